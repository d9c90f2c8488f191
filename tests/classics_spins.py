"""Classic programs that wait by going round. Rule: each as a student types it, with a machine by hand."""

from __future__ import annotations

import threading
import time

from oracle import classic

LOCK, FREE = "lock = me when lock is None\n", "lock = None\n"


# ------------------------------------------------------------------------------------- Peterson and four broken forms
want = [False, False]
turn = 0
visits = 0


def visit():
    global visits
    visits += 1


def peterson(me, rounds=1):
    global turn
    other = 1 - me
    for _ in range(rounds):
        want[me] = True
        turn = other
        while want[other] and turn == other:
            pass
        visit()
        want[me] = False


def without_turn(me):
    want[me] = True
    while want[1 - me]:
        pass
    visit()
    want[me] = False


def flag_after_check(me):
    while want[1 - me]:
        pass
    want[me] = True
    visit()
    want[me] = False


def own_turn(me):
    global turn
    other = 1 - me
    want[me] = True
    turn = me
    while want[other] and turn == other:
        pass
    visit()
    want[me] = False


def only_turn(me, rounds=1):
    global turn
    for _ in range(rounds):
        while turn != me:
            pass
        visit()
        turn = 1 - me


VISIT = """
    visit: v = visits
           visits = v + 1
    """


def peterson_machine(me, rounds=1, turn_to=None):
    return f"""
    local i = 0
    again: want{me} = True; i += 1
           turn = {1 - me if turn_to is None else turn_to}
    spin:  w = want{1 - me} -> visit if not w
           t = turn -> spin if t == {1 - me}
    {VISIT}
           want{me} = False -> again if i < {rounds}
    """


def without_turn_machine(me):
    return f"""
           want{me} = True
    spin:  pass -> spin if want{1 - me}
    {VISIT}
           want{me} = False
    """


def flag_after_machine(me):
    return f"""
    spin:  pass -> spin if want{1 - me}
           want{me} = True
    {VISIT}
           want{me} = False
    """


def only_turn_machine(me, rounds):
    return f"""
    local i = 0
    spin:  pass -> spin if turn != {me}
    {VISIT}
           turn = {1 - me}; i += 1 -> spin if i < {rounds}
    """


def peterson_classic(name, functions, texts, kind, rounds=1):
    mended = [lambda: peterson(0), lambda: peterson(1, rounds)]
    return classic(
        name,
        "want0, want1, turn, visits = False, False, 0, 0",
        outcome=(lambda: visits, "visits"),
        check=(lambda: visits == 1 + rounds, f"visits == {1 + rounds}"),
        broken=(functions, texts, kind),
        mended=(mended, [peterson_machine(0), peterson_machine(1, rounds)], None),
    )


PETERSON_NO_TURN = peterson_classic(
    "Peterson without turn",
    [lambda: without_turn(0), lambda: without_turn(1)],
    [without_turn_machine(0), without_turn_machine(1)],
    "spins for ever",
)
PETERSON_FLAG_LATE = peterson_classic(
    "Peterson, flag after the check",
    [lambda: flag_after_check(0), lambda: flag_after_check(1)],
    [flag_after_machine(0), flag_after_machine(1)],
    "wrong result",
)
PETERSON_OWN_TURN = peterson_classic(
    "Peterson, turn kept",
    [lambda: own_turn(0), lambda: own_turn(1)],
    [peterson_machine(0, turn_to=0), peterson_machine(1, turn_to=1)],
    "wrong result",
)
STRICT_ALTERNATION = peterson_classic(
    "strict alternation",
    [lambda: only_turn(0), lambda: only_turn(1, 2)],
    [only_turn_machine(0, 1), only_turn_machine(1, 2)],
    "spins for ever",
    rounds=2,
)


# ---------------------------------------------------------------------------------------------------- store buffer
flag_x = flag_y = 0
saw_y = saw_x = None


def store_x_read_y():
    global flag_x, saw_y
    flag_x = 1
    saw_y = flag_y


def store_y_read_x():
    global flag_y, saw_x
    flag_y = 1
    saw_x = flag_x


def read_y_store_x():
    global flag_x, saw_y
    saw_y = flag_y
    flag_x = 1


def read_x_store_y():
    global flag_y, saw_x
    saw_x = flag_x
    flag_y = 1


STORE_BUFFER = classic(
    "store buffer",
    "flag_x, flag_y, saw_x, saw_y = 0, 0, None, None",
    outcome=(lambda: f"{saw_y}, {saw_x}", "f'{saw_y}, {saw_x}'"),
    check=(lambda: saw_y or saw_x, "saw_y or saw_x"),
    broken=(
        [read_y_store_x, read_x_store_y],
        ["v = flag_y\nsaw_y = v\nflag_x = 1", "v = flag_x\nsaw_x = v\nflag_y = 1"],
        "wrong result",
    ),
    mended=(
        [store_x_read_y, store_y_read_x],
        ["flag_x = 1\nv = flag_y\nsaw_y = v", "flag_y = 1\nv = flag_x\nsaw_x = v"],
        None,
    ),
)


# ------------------------------------------------------------------------------------------------------- ticket lock
class Baker:
    def __init__(self):
        self.next_ticket = 0
        self.serving = 0
        self.sold = 0
        self.lock = threading.Lock()

    def draw(self):
        ticket = self.next_ticket
        self.next_ticket = ticket + 1
        return ticket

    def draw_locked(self):
        with self.lock:
            return self.draw()

    def serve(self, ticket):
        while self.serving != ticket:
            time.sleep(0)
        self.sold += 1
        self.serving += 1


def buy(baker):
    baker.serve(baker.draw())


def buy_with_lock(baker):
    baker.serve(baker.draw_locked())


BUY = """
          t = ticket
          ticket = t + 1
          {free}
    spin: s = serving -> spin if s != t
          s = sold
          sold = s + 1
          s = serving
          serving = s + 1
    """
TICKET_LOCK = classic(
    "ticket lock",
    "ticket, serving, sold, lock = 0, 0, 0, None",
    setup=Baker,
    outcome=(lambda baker: baker.sold, "sold"),
    check=(lambda baker: baker.sold == 2, "sold == 2"),
    broken=([buy, buy], [BUY.format(free="")] * 2, "wrong result"),
    mended=([buy_with_lock, buy_with_lock], [LOCK + BUY.format(free=FREE)] * 2, None),
)


# -------------------------------------------------------------------------------------------- a missing `global`
stop = False
work_done = False


def ask_to_stop_locally():
    stop = True  # noqa: F841 - the mistake


def ask_to_stop():
    global stop
    stop = True


def work_until_stop():
    global work_done
    while not stop:
        time.sleep(0.1)
    work_done = True


WORK = """
    spin: pass -> spin if not stop
          work = True
    """
MISSING_GLOBAL = classic(
    "a missing global",
    "stop, work = False, False",
    outcome=(lambda: work_done, "work"),
    broken=([work_until_stop, ask_to_stop_locally], [WORK, ""], "spins for ever"),
    mended=([work_until_stop, ask_to_stop], [WORK, "stop = True"], None),
)


# ----------------------------------------------------------------------------------- a barrier that spins, used twice
class SpinBarrier:
    """Wrong: a fast thread comes back and counts before a slow one has seen that all were there."""

    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0

    def wait(self):
        with self.lock:
            self.count += 1
            if self.count == 2:
                self.count = 0
        while self.count != 0:
            pass


class GenerationSpinBarrier:
    def __init__(self):
        self.lock = threading.Lock()
        self.count = 0
        self.generation = 0

    def wait(self):
        with self.lock:
            mine = self.generation
            self.count += 1
            if self.count == 2:
                self.count = 0
                self.generation += 1
        while self.generation == mine:
            pass


def two_rounds(barrier):
    for _ in range(2):
        barrier.wait()


SPIN_BARRIER = """
    local i = 0
    again: lock = me; i += 1 when lock is None
           c = count
           count = c + 1
           c = count -> free if c != 2
           count = 0
    free:  lock = None
    spin:  c = count -> spin if c != 0
           -> again if i < 2
    """
GENERATION_SPIN_BARRIER = """
    local i = 0
    again: lock = me when lock is None
           m = generation; i += 1
           c = count
           count = c + 1
           c = count -> free if c != 2
           count = 0
           g = generation
           generation = g + 1
    free:  lock = None
    spin:  g = generation -> spin if g == m
           -> again if i < 2
    """
SPIN_BARRIER_REUSED = classic(
    "spinning barrier, reused",
    "lock, count, generation = None, 0, 0",
    setup=(SpinBarrier, GenerationSpinBarrier),
    outcome=(lambda barrier: barrier.count, "count"),
    broken=([two_rounds, two_rounds], [SPIN_BARRIER] * 2, "spins for ever"),
    mended=([two_rounds, two_rounds], [GENERATION_SPIN_BARRIER] * 2, None),
)
