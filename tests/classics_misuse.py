"""Classic programs that use a primitive against its rules. Rule: each as a student types it, with a machine by hand."""

from __future__ import annotations

import queue
import threading

from oracle import classic

LOCK, FREE = "lock = me when lock is None\n", "lock = None\n"


# ----------------------------------------------------------------------------------- a permit that was never taken
class Pool:
    def __init__(self):
        self.permits = threading.BoundedSemaphore(1)
        self.used = 0


def use_and_return(pool):
    if pool.permits.acquire(blocking=False):
        pool.used += 1
    pool.permits.release()


def use_if_free(pool):
    if pool.permits.acquire(blocking=False):
        try:
            pool.used += 1
        finally:
            pool.permits.release()


USE = """
          p = permits; permits = 0 -> {give} if not p
          u = used
          used = u + 1
    give: f = permits; permits = 1 -> !ValueError if f
    """
PERMIT = classic(
    "a permit given back twice",
    "permits, used = 1, 0",
    setup=Pool,
    outcome=(lambda pool: pool.used, "used"),
    broken=([use_and_return, use_and_return], [USE.format(give="give")] * 2, "exception"),
    mended=([use_if_free, use_if_free], [USE.format(give="end")] * 2, None),
)


# --------------------------------------------------------------------------------------- notify without the lock
class Mailbox:
    def __init__(self):
        self.letter = None
        self.changed = threading.Condition()
        self.read = None


def wait_for_letter(mailbox):
    with mailbox.changed:
        while mailbox.letter is None:
            mailbox.changed.wait()
    mailbox.read = mailbox.letter


def send_outside(mailbox):
    mailbox.letter = "hello"
    mailbox.changed.notify()


def send_inside(mailbox):
    with mailbox.changed:
        mailbox.letter = "hello"
        mailbox.changed.notify()


WAIT_FOR_LETTER = """
          lock = me when lock is None
    test: x = letter -> free if x
          lock = None; asleep += me
          lock = me when lock is None and me not in asleep -> test
    free: lock = None
          x = letter
          read = x
    """
NOTIFY_OUTSIDE = classic(
    "notify without the lock",
    "lock, asleep, letter, read = None, '', None, None",
    setup=Mailbox,
    outcome=(lambda mailbox: mailbox.read, "read"),
    broken=([wait_for_letter, send_outside], [WAIT_FOR_LETTER, "letter = 'hello'\npass -> !RuntimeError"], "exception"),
    mended=(
        [wait_for_letter, send_inside],
        [WAIT_FOR_LETTER, f"{LOCK}letter = 'hello'\nasleep = asleep[1:]\n{FREE}"],
        None,
    ),
)


# ------------------------------------------------------------------------------------------- a thread started twice
laps = []


def run_lap():
    laps.append("lap")


def same_thread_twice():
    runner = threading.Thread(target=run_lap)
    for _ in range(2):
        runner.start()
        runner.join()


def a_thread_per_lap():
    for _ in range(2):
        runner = threading.Thread(target=run_lap)
        runner.start()
        runner.join()


STARTED_TWICE = classic(
    "a thread started twice",
    "laps, started = 0, ''",
    outcome=(lambda: len(laps), "laps"),
    broken=(
        same_thread_twice,
        {"main": "started = 'A'\npass when 'A' in ended\npass -> !RuntimeError", "A": "laps += 1 when started"},
        "exception",
    ),
    mended=(
        a_thread_per_lap,
        {
            "main": "started = 'A'\npass when 'A' in ended\nstarted = 'AB'\npass when 'B' in ended",
            "A": "laps += 1 when me in started",
            "B": "laps += 1 when me in started",
        },
        None,
    ),
)


# ------------------------------------------------------------------------------------ each waits for the other's word
class Line:
    def __init__(self):
        self.to_ann, self.to_bob = queue.SimpleQueue(), queue.SimpleQueue()
        self.said = []


def answer_ann(line):
    line.said.append(line.to_bob.get())
    line.to_ann.put("hello Ann")


def answer_bob(line):
    line.said.append(line.to_ann.get())
    line.to_bob.put("hello Bob")


def greet_bob(line):
    line.to_bob.put("hello Bob")
    line.said.append(line.to_ann.get())


ANSWER = "x = to_{me}[0]; to_{me} = to_{me}[1:] when to_{me}\nsaid += (x,)\nto_{you} += ('hello {You}',)"
FIRST_WORD = classic(
    "each waits for the other's word",
    "to_ann, to_bob, said = (), (), ()",
    setup=Line,
    outcome=(lambda line: line.said, "list(said)"),
    broken=(
        [answer_ann, answer_bob],
        [ANSWER.format(me="bob", you="ann", You="Ann"), ANSWER.format(me="ann", you="bob", You="Bob")],
        "deadlock",
    ),
    mended=(
        [answer_ann, greet_bob],
        [
            ANSWER.format(me="bob", you="ann", You="Ann"),
            "to_bob += ('hello Bob',)\nx = to_ann[0]; to_ann = to_ann[1:] when to_ann\nsaid += (x,)",
        ],
        None,
    ),
)


# ------------------------------------------------------------------------------------------------------ a full queue
belt = queue.Queue(maxsize=1)
taken = []


def load_belt():
    for piece in ("wheel", "door", "seat"):
        belt.put(piece)


def unload_one():
    taken.append(belt.get())


def unload_two():
    unload_one()
    unload_one()


LOAD_BELT = "belt = 'wheel' when not belt\nbelt = 'door' when not belt\nbelt = 'seat' when not belt"
UNLOAD = "x = belt; belt = '' when belt\ntaken += (x,)\n"
FULL_QUEUE = classic(
    "a full queue",
    "belt, taken = '', ()",
    outcome=(lambda: taken, "list(taken)"),
    broken=([load_belt, unload_one], [LOAD_BELT, UNLOAD], "deadlock"),
    mended=([load_belt, unload_two], [LOAD_BELT, UNLOAD * 2], None),
)


# ----------------------------------------------------------------------------------------- a wait that was cut short
class Oven:
    def __init__(self):
        self.ready = threading.Event()
        self.bread = "dough"
        self.eaten = None


def bake(oven):
    oven.bread = "loaf"
    oven.ready.set()


def eat_after_a_while(oven):
    oven.ready.wait(timeout=60)
    oven.eaten = oven.bread


def eat_when_ready(oven):
    while not oven.ready.wait(timeout=60):
        pass
    oven.eaten = oven.bread


CUT_SHORT = classic(
    "a wait that was cut short",
    "ready, bread, eaten = False, 'dough', None",
    setup=Oven,
    outcome=(lambda oven: oven.eaten, "eaten"),
    check=(lambda oven: oven.eaten == "loaf", "eaten == 'loaf'"),
    broken=([bake, eat_after_a_while], ["bread = 'loaf'\nready = True", "pass\nx = bread\neaten = x"], "wrong result"),
    mended=(
        [bake, eat_when_ready],
        ["bread = 'loaf'\nready = True", "spin: pass -> spin if not ready\nx = bread\neaten = x"],
        None,
    ),
)


# ---------------------------------------------------------------------------------------------------- test, then set
class Door:
    def __init__(self):
        self.lock = threading.Lock()
        self.inside = 0


def look_then_lock(door):
    while door.lock.locked():
        pass
    door.lock.acquire(blocking=False)
    door.inside += 1
    door.lock.release()


def lock_at_once(door):
    while not door.lock.acquire(blocking=False):
        pass
    door.inside += 1
    door.lock.release()


TEST_THEN_SET = """
    spin: pass -> spin if lock
          lock = lock or me
    """
TEST_AND_SET = """
    spin: o = lock; lock = lock or me -> spin if o
    """
GO_IN = """
          n = inside
          inside = n + 1
          o = lock; lock = None -> end if o else !RuntimeError
    """
SPIN_LOCK = classic(
    "test, then set",
    "lock, inside = None, 0",
    setup=Door,
    outcome=(lambda door: door.inside, "inside"),
    check=(lambda door: door.inside == 2, "inside == 2"),
    broken=([look_then_lock, look_then_lock], [TEST_THEN_SET + GO_IN] * 2, "wrong result"),
    mended=([lock_at_once, lock_at_once], [TEST_AND_SET + GO_IN] * 2, None),
)


# -------------------------------------------------------------------------------------------- a barrier for too few
class Race:
    def __init__(self, runners=2):
        self.start = threading.Barrier(runners)
        self.running = []


class FullRace(Race):
    def __init__(self):
        super().__init__(runners=3)


def run_race(race):
    race.start.wait()
    race.running.append("one")


RUN_RACE = """
    n = here; here += 1
    pass when here >= (n // {size} + 1) * {size}
    running += 1
    """
BARRIER_TOO_SMALL = classic(
    "a barrier for too few",
    "here, running = 0, 0",
    setup=(Race, FullRace),
    outcome=(lambda race: len(race.running), "running"),
    broken=([run_race] * 3, [RUN_RACE.format(size=2)] * 3, "deadlock"),
    mended=([run_race] * 3, [RUN_RACE.format(size=3)] * 3, None),
)
