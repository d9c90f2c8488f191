"""Classic programs about waiting and waking. Rule: each as a student types it, with a machine by hand.

A wait is two steps of the machine: leave the lock and sleep; take the lock again when woken. Sleepers are a text, the
first one to sleep is the first one to be woken.
"""

from __future__ import annotations

import queue
import threading

from oracle import classic

LOCK, FREE = "lock = me when lock is None\n", "lock = None\n"
SLEEP = "lock = None; asleep += me\nlock = me when lock is None and me not in asleep"
NOTIFY, NOTIFY_ALL = "asleep = asleep[1:]\n", "asleep = ''\n"


# ------------------------------------------------------------------------------------- if instead of while: a thief
class Shelf:
    def __init__(self):
        self.items = []
        self.changed = threading.Condition()
        self.sold = []

    def put(self, item):
        with self.changed:
            self.items.append(item)
            self.changed.notify()

    def take_if(self):
        with self.changed:
            if not self.items:
                self.changed.wait()
            return self.items.pop(0)

    def take_while(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            return self.items.pop(0)


def fill_shelf(shelf):
    for item in ("jam", "tea"):
        shelf.put(item)


def buy_if(shelf):
    shelf.sold.append(shelf.take_if())


def buy_while(shelf):
    shelf.sold.append(shelf.take_while())


FILL = f"""
    {LOCK}
    items += ("jam",)
    {NOTIFY}
    {FREE}
    {LOCK}
    items += ("tea",)
    {NOTIFY}
    {FREE}
    """
BUY = """
          lock = me when lock is None
    test: n = items -> take if n
          lock = None; asleep += me
          lock = me when lock is None and me not in asleep -> {awake}
    take: x = items[:1]; items = items[1:] -> fail if not x
          lock = None
          sold += x -> end
    fail: lock = None -> !IndexError
    """
IF_NOT_WHILE = classic(
    "if instead of while",
    "lock, asleep, items, sold = None, '', (), ()",
    setup=Shelf,
    outcome=(lambda shelf: shelf.sold, "list(sold)"),
    check=(lambda shelf: sorted(shelf.sold) == ["jam", "tea"], "sorted(sold) == ['jam', 'tea']"),
    broken=([buy_if, buy_if, fill_shelf], [BUY.format(awake="take")] * 2 + [FILL], "exception"),
    mended=([buy_while, buy_while, fill_shelf], [BUY.format(awake="test")] * 2 + [FILL], None),
)


# ----------------------------------------------------- bounded buffer: notify wakes one, perhaps one of the wrong kind
class Buffer:
    """Has room for one item."""

    def __init__(self):
        self.items = []
        self.changed = threading.Condition()
        self.eaten = []

    def wake(self):
        self.changed.notify()

    def put(self, item):
        with self.changed:
            while len(self.items) == 1:
                self.changed.wait()
            self.items.append(item)
            self.wake()

    def take(self):
        with self.changed:
            while not self.items:
                self.changed.wait()
            item = self.items.pop()
            self.wake()
        return item


class FairBuffer(Buffer):
    def wake(self):
        self.changed.notify_all()


def cook_two(buffer):
    buffer.put(1)
    buffer.put(2)


def eat_one(buffer):
    buffer.eaten.append(buffer.take())


COOK_TWO = """
    local i = 1
    again: lock = me when lock is None
    test:  n = items -> put if not n
           lock = None; asleep += me
           lock = me when lock is None and me not in asleep -> test
    put:   items = i; i += 1
           {wake}
           lock = None -> again if i < 3
    """
EAT_ONE = """
           lock = me when lock is None
    test:  n = items -> take if n
           lock = None; asleep += me
           lock = me when lock is None and me not in asleep -> test
    take:  n = items; items = 0
           {wake}
           lock = None
           eaten += (n,)
    """
BOUNDED_BUFFER = classic(
    "bounded buffer",
    "lock, asleep, items, eaten = None, '', 0, ()",
    setup=(Buffer, FairBuffer),
    outcome=(lambda buffer: buffer.eaten, "list(eaten)"),
    check=(lambda buffer: sorted(buffer.eaten) == [1, 2], "sorted(eaten) == [1, 2]"),
    broken=(
        [cook_two, eat_one, eat_one],
        [COOK_TWO.format(wake=NOTIFY)] + [EAT_ONE.format(wake=NOTIFY)] * 2,
        "deadlock",
    ),
    mended=(
        [cook_two, eat_one, eat_one],
        [COOK_TWO.format(wake=NOTIFY_ALL)] + [EAT_ONE.format(wake=NOTIFY_ALL)] * 2,
        None,
    ),
)


# -------------------------------------------------------------------------------- lost wake-up: tested without the lock
bell = threading.Condition()
rung = False
heard = False


def wait_for_bell_carelessly():
    global heard
    if not rung:
        with bell:
            bell.wait()
    heard = True


def wait_for_bell():
    global heard
    with bell:
        while not rung:
            bell.wait()
    heard = True


def ring_bell():
    global rung
    with bell:
        rung = True
        bell.notify()


CARELESS = f"""
          r = rung -> heard if r
          {LOCK}
          {SLEEP}
          {FREE}
    heard: heard = True
    """
CAREFUL = """
           lock = me when lock is None
    test:  r = rung -> free if r
           lock = None; asleep += me
           lock = me when lock is None and me not in asleep -> test
    free:  lock = None
           heard = True
    """
RING = LOCK + "rung = True\n" + NOTIFY + FREE
LOST_WAKE_UP = classic(
    "lost wake-up",
    "lock, asleep, rung, heard = None, '', False, False",
    outcome=(lambda: heard, "heard"),
    check=(lambda: heard, "heard"),
    broken=([wait_for_bell_carelessly, ring_bell], [CARELESS, RING], "deadlock"),
    mended=([wait_for_bell, ring_bell], [CAREFUL, RING], None),
)


# -------------------------------------------------------------------- a notify that nobody remembers, and an event does
class Post:
    def __init__(self):
        self.letter = None
        self.condition = threading.Condition()
        self.event = threading.Event()
        self.read = None


def wait_for_notify(post):
    with post.condition:
        post.condition.wait()
        post.read = post.letter


def send_and_notify(post):
    with post.condition:
        post.letter = "hello"
        post.condition.notify_all()


def wait_for_event(post):
    post.event.wait()
    post.read = post.letter


def send_and_set(post):
    post.letter = "hello"
    post.event.set()


EVENT_BEFORE_WAIT = classic(
    "a notify that nobody remembers",
    "lock, asleep, event, letter, read = None, '', False, None, None",
    setup=Post,
    outcome=(lambda post: post.read, "read"),
    check=(lambda post: post.read == "hello", "read == 'hello'"),
    broken=(
        [wait_for_notify, send_and_notify],
        [f"{LOCK}{SLEEP}\nx = letter\nread = x\n{FREE}", f"{LOCK}letter = 'hello'\n{NOTIFY_ALL}{FREE}"],
        "deadlock",
    ),
    mended=(
        [wait_for_event, send_and_set],
        ["pass when event\nx = letter\nread = x", "letter = 'hello'\nevent = True"],
        None,
    ),
)


# ----------------------------------------------------------------------------------------- an event cleared too early
lamp = threading.Event()
lamp_seen = []


def flash_lamp():
    lamp.set()
    lamp.clear()


def light_lamp():
    lamp.set()


def watch_lamp():
    lamp.wait()
    lamp_seen.append("light")


EVENT_CLEARED = classic(
    "an event cleared too early",
    "lamp, asleep, seen = False, '', 0",
    outcome=(lambda: len(lamp_seen), "seen"),
    broken=(
        [watch_lamp, flash_lamp],
        [
            "asleep += '' if lamp else me\npass when me not in asleep\nseen += 1",
            "lamp = True; asleep = ''\nlamp = False",
        ],
        "deadlock",
    ),
    mended=([watch_lamp, light_lamp], ["pass when lamp\nseen += 1", "lamp = True"], None),
)


# -------------------------------------------------------------------------------------------------- semaphore order
class Relay:
    def __init__(self):
        self.go = threading.Semaphore()  # counts from 1: the mistake
        self.log = []


class StartedRelay(Relay):
    def __init__(self):
        super().__init__()
        self.go = threading.Semaphore(0)


def run_first(relay):
    relay.log.append("first")
    relay.go.release()


def run_second(relay):
    relay.go.acquire()
    relay.log.append("second")


SEMAPHORE_ORDER = classic(
    "semaphore order",
    ("permits, log = 1, ()", "permits, log = 0, ()"),
    setup=(Relay, StartedRelay),
    outcome=(lambda relay: " then ".join(relay.log), "' then '.join(log)"),
    check=(lambda relay: relay.log == ["first", "second"], "log == ('first', 'second')"),
    broken=(
        [run_first, run_second],
        ["log += ('first',)\npermits += 1", "permits -= 1 when permits\nlog += ('second',)"],
        "wrong result",
    ),
    mended=(
        [run_first, run_second],
        ["log += ('first',)\npermits += 1", "permits -= 1 when permits\nlog += ('second',)"],
        None,
    ),
)


# ------------------------------------------------------------------------------------------------- barrier, used once
class Halves:
    def __init__(self):
        self.parts = [0, 0]
        self.sums = [None, None]
        self.barrier = threading.Barrier(2)


def add_half(halves, index):
    halves.parts[index] = index + 1
    halves.sums[index] = halves.parts[0] + halves.parts[1]


def add_half_together(halves, index):
    halves.parts[index] = index + 1
    halves.barrier.wait()
    halves.sums[index] = halves.parts[0] + halves.parts[1]


ADD_HALF = """
    part{index} = {index} + 1
    {barrier}
    l = part0
    r = part1
    sum{index} = l + r
    """
MEET = "here += 1\npass when here == 2"
BARRIER_ONCE = classic(
    "barrier, used once",
    "part0, part1, sum0, sum1, here = 0, 0, None, None, 0",
    setup=Halves,
    outcome=(lambda halves: halves.sums, "[sum0, sum1]"),
    check=(lambda halves: halves.sums == [3, 3], "sum0 == sum1 == 3"),
    broken=(
        [lambda halves: add_half(halves, 0), lambda halves: add_half(halves, 1)],
        [ADD_HALF.format(index=index, barrier="") for index in (0, 1)],
        "wrong result",
    ),
    mended=(
        [lambda halves: add_half_together(halves, 0), lambda halves: add_half_together(halves, 1)],
        [ADD_HALF.format(index=index, barrier=MEET) for index in (0, 1)],
        None,
    ),
)


# ------------------------------------------------------------------------------------ a barrier made by hand, reused
class HandBarrier:
    """Wrong: a fast thread comes back and counts before a slow one has seen that the count was zero."""

    def __init__(self):
        self.count = 0
        self.generation = 0
        self.full = threading.Condition()

    def wait(self):
        with self.full:
            self.count += 1
            if self.count == 2:
                self.count = 0
                self.full.notify_all()
            else:
                while self.count != 0:
                    self.full.wait()


class GenerationBarrier(HandBarrier):
    def wait(self):
        with self.full:
            mine = self.generation
            self.count += 1
            if self.count == 2:
                self.count = 0
                self.generation += 1
                self.full.notify_all()
            while mine == self.generation:
                self.full.wait()


def two_rounds(barrier):
    for _ in range(2):
        barrier.wait()


HAND_BARRIER = """
    local i = 0
    again: lock = me; i += 1 when lock is None
           c = count
           count = c + 1
           c = count -> test if c != 2
           count = 0
           asleep = '' -> free
    test:  c = count -> free if c == 0
           lock = None; asleep += me
           lock = me when lock is None and me not in asleep -> test
    free:  lock = None -> again if i < 2
    """
GENERATION_BARRIER = """
    local i = 0
    again: lock = me; i += 1 when lock is None
           m = generation
           c = count
           count = c + 1
           c = count -> test if c != 2
           count = 0
           g = generation
           generation = g + 1
           asleep = ''
    test:  g = generation -> free if g != m
           lock = None; asleep += me
           lock = me when lock is None and me not in asleep -> test
    free:  lock = None -> again if i < 2
    """
BARRIER_REUSED = classic(
    "hand-written barrier, reused",
    "lock, asleep, count, generation = None, '', 0, 0",
    setup=(HandBarrier, GenerationBarrier),
    outcome=(lambda barrier: barrier.count, "count"),
    broken=([two_rounds, two_rounds], [HAND_BARRIER] * 2, "deadlock"),
    mended=([two_rounds, two_rounds], [GENERATION_BARRIER] * 2, None),
)


# ------------------------------------------------------------------------------------------ one sentinel for two
letters = queue.Queue()
answered = []
NO_MORE = None


def answer():
    while True:
        letter = letters.get()
        if letter is NO_MORE:
            break
        answered.append(letter)


def write_letters():
    letters.put("a")
    letters.put(NO_MORE)


def write_letters_for_two():
    letters.put("a")
    for _ in range(2):
        letters.put(NO_MORE)


ANSWER = """
    again: x = letters[0]; letters = letters[1:] when letters -> end if x == "-"
           answered += 1 -> again
    """
SENTINEL = classic(
    "one sentinel for two",
    "letters, answered = '', 0",
    outcome=(lambda: len(answered), "answered"),
    broken=([answer, answer, write_letters], [ANSWER, ANSWER, "letters += 'a'\nletters += '-'"], "deadlock"),
    mended=(
        [answer, answer, write_letters_for_two],
        [ANSWER, ANSWER, "letters += 'a'\nletters += '-'\nletters += '-'"],
        None,
    ),
)


# ---------------------------------------------------------------------------------------------- a latch counted down
class Latch:
    def __init__(self):
        self.left = 2
        self.lock = threading.Lock()
        self.open = threading.Event()
        self.log = []

    def count_down(self):
        self.left -= 1
        if self.left == 0:
            self.open.set()


def arrive(latch):
    latch.count_down()


def arrive_locked(latch):
    with latch.lock:
        latch.count_down()


def go_when_open(latch):
    latch.open.wait()
    latch.log.append("go")


COUNT_DOWN = """
    n = latch
    latch = n - 1
    n = latch -> {free} if n
    opened = True
    """
LATCH = classic(
    "a latch counted down",
    "latch, opened, log, lock = 2, False, 0, None",
    setup=Latch,
    outcome=(lambda latch: len(latch.log), "log"),
    broken=(
        [arrive, arrive, go_when_open],
        [COUNT_DOWN.format(free="end")] * 2 + ["pass when opened\nlog += 1"],
        "deadlock",
    ),
    mended=(
        [arrive_locked, arrive_locked, go_when_open],
        [f"{LOCK}{COUNT_DOWN.format(free='free')}free: {FREE}"] * 2 + ["pass when opened\nlog += 1"],
        None,
    ),
)
