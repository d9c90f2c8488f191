"""Classic programs about locks. Rule: each as a student types it, with a machine by hand."""

# ruff: noqa: SIM117 - students use globals, and a `with` inside another

from __future__ import annotations

import contextlib
import threading

from oracle import classic

LOCK, FREE = "lock = me when lock is None\n", "lock = None\n"


def locked(*names, inside=""):
    """Return the text of nested `with` statements around some steps."""
    takes, frees = (
        (f"{name} = me when {name} is None\n" for name in names),
        (f"{name} = None\n" for name in reversed(names)),
    )
    return "".join([*takes, inside, *frees])


# ----------------------------------------------------------------------------------------------------------- AB-BA
lock_a, lock_b = threading.Lock(), threading.Lock()
trips = 0


def take_a_then_b():
    global trips
    with lock_a, lock_b:
        trips += 1


def take_b_then_a():
    global trips
    with lock_b:
        with lock_a:
            trips += 1


TRIP = """
    t = trips
    trips = t + 1
    """
AB_BA = classic(
    "AB-BA",
    "lock_a, lock_b, trips = None, None, 0",
    outcome=(lambda: trips, "trips"),
    check=(lambda: trips == 2, "trips == 2"),
    broken=(
        [take_a_then_b, take_b_then_a],
        [locked("lock_a", "lock_b", inside=TRIP), locked("lock_b", "lock_a", inside=TRIP)],
        "deadlock",
    ),
    mended=([take_a_then_b, take_a_then_b], [locked("lock_a", "lock_b", inside=TRIP)] * 2, None),
)


# ------------------------------------------------------------------------------------------------------- gate lock
class Rooms:
    def __init__(self):
        Lock = threading.Lock  # noqa: N806 - an alias, where an explorer must look too
        self.gate, self.left, self.right = Lock(), Lock(), Lock()
        self.log = []


def left_right_through_gate(rooms):
    with rooms.gate:
        with rooms.left, rooms.right:
            rooms.log.append("left right")


def right_left_through_gate(rooms):
    with rooms.gate:
        with rooms.right, rooms.left:
            rooms.log.append("right left")


def right_left_past_gate(rooms):
    with rooms.right, rooms.left:
        rooms.log.append("right left")


LEFT_RIGHT, RIGHT_LEFT = "log += ('left right',)\n", "log += ('right left',)\n"
GATE_LOCK = classic(
    "gate lock",
    "gate, left, right, log = None, None, None, ()",
    setup=Rooms,
    outcome=(lambda rooms: rooms.log, "list(log)"),
    broken=(
        [left_right_through_gate, right_left_past_gate],
        [locked("gate", "left", "right", inside=LEFT_RIGHT), locked("right", "left", inside=RIGHT_LEFT)],
        "deadlock",
    ),
    mended=(
        [left_right_through_gate, right_left_through_gate],
        [locked("gate", "left", "right", inside=LEFT_RIGHT), locked("gate", "right", "left", inside=RIGHT_LEFT)],
        None,
    ),
)


# --------------------------------------------------------------------------------------------- dining philosophers
forks = [threading.Lock() for _ in range(3)]
meals = []


def dine(seat):
    with forks[seat]:
        with forks[(seat + 1) % 3]:
            meals.append(seat)


def dine_lowest_first(seat):
    first, second = sorted([seat, (seat + 1) % 3])
    with forks[first], forks[second]:
        meals.append(seat)


def dinner():
    guests = [threading.Thread(target=dine, args=(seat,)) for seat in range(3)]
    for guest in guests:
        guest.start()
    for guest in guests:
        guest.join()


def orderly_dinner():
    guests = [threading.Thread(target=dine_lowest_first, args=(seat,)) for seat in range(3)]
    for guest in guests:
        guest.start()
    for guest in guests:
        guest.join()


def dines(seat, first, second):
    return locked(f"fork{first}", f"fork{second}", inside=f"meals += ({seat},)\n")


DINING = classic(
    "dining philosophers",
    "fork0, fork1, fork2, meals = None, None, None, ()",
    outcome=(lambda: meals, "list(meals)"),
    check=(lambda: len(meals) == 3, "len(meals) == 3"),
    broken=(dinner, [dines(0, 0, 1), dines(1, 1, 2), dines(2, 2, 0)], "deadlock"),
    mended=(orderly_dinner, [dines(0, 0, 1), dines(1, 1, 2), dines(2, 0, 2)], None),
)


# --------------------------------------------------------------------------------------- the same lock taken twice
class Diary:
    def __init__(self):
        self.lock = threading.Lock()
        self.pages = 0

    def write(self):
        with self.lock:
            self.pages += 1

    def write_two(self):
        with self.lock:
            self.write()
            self.write()


class PatientDiary(Diary):
    def __init__(self):
        super().__init__()
        self.lock = threading.RLock()


WRITE = """
    p = pages
    pages = p + 1
    """
SELF_DEADLOCK = classic(
    "self-deadlock",
    "pages, lock = 0, None",
    setup=(Diary, PatientDiary),
    outcome=(lambda diary: diary.pages, "pages"),
    check=(lambda diary: diary.pages == 3, "pages == 3"),
    broken=(
        [lambda diary: diary.write_two(), lambda diary: diary.write()],
        [LOCK + LOCK + WRITE, LOCK + WRITE + FREE],
        "deadlock",
    ),
    mended=(
        [lambda diary: diary.write_two(), lambda diary: diary.write()],
        [LOCK + WRITE + WRITE + FREE, LOCK + WRITE + FREE],
        None,
    ),
)


# ---------------------------------------------------------------------------------------- lock kept by an exception
orders = {}
orders_lock = threading.Lock()


def cancel_order():
    with contextlib.suppress(KeyError):
        orders_lock.acquire()
        del orders["pizza"]
        orders_lock.release()


def place_order():
    orders_lock.acquire()
    orders["pizza"] = 1
    orders_lock.release()


def cancel_order_safely():
    try:
        with orders_lock:
            del orders["pizza"]
    except KeyError:
        pass


def place_order_safely():
    orders_lock.acquire()
    try:
        orders["pizza"] = 1
    finally:
        orders_lock.release()


CANCEL = """
          lock = me when lock is None
          h = orders; orders = 0 -> {free} if not h
    free: lock = None
    """
LOCK_KEPT = classic(
    "lock kept by an exception",
    "orders, lock = 0, None",
    outcome=(lambda: len(orders), "orders"),
    broken=(
        [cancel_order, place_order],
        [CANCEL.format(free="end"), locked("lock", inside="orders = 1\n")],
        "deadlock",
    ),
    mended=(
        [cancel_order_safely, place_order_safely],
        [CANCEL.format(free="free"), locked("lock", inside="orders = 1\n")],
        None,
    ),
)


# -------------------------------------------------------------------------------------------------- polite livelock
class Corridor:
    def __init__(self):
        self.left, self.right = threading.Lock(), threading.Lock()
        self.passed = []


def step_aside(corridor, mine, other):
    while True:
        with mine:
            if other.acquire(blocking=False):
                corridor.passed.append("one")
                other.release()
                return


def polite_left(corridor):
    step_aside(corridor, corridor.left, corridor.right)


def polite_right(corridor):
    step_aside(corridor, corridor.right, corridor.left)


def walk(corridor):
    with corridor.left:
        with corridor.right:
            corridor.passed.append("one")


STEP_ASIDE = """
    again: {mine} = me when {mine} is None
           o = {other} is None; {other} = me if o else {other} -> no if not o
           passed += 1
           {other} = None
           {mine} = None -> end
    no:    {mine} = None -> again
    """
POLITE = classic(
    "polite livelock",
    "left, right, passed = None, None, 0",
    setup=Corridor,
    outcome=(lambda corridor: len(corridor.passed), "passed"),
    check=(lambda corridor: len(corridor.passed) == 2, "passed == 2"),
    broken=(
        [polite_left, polite_right],
        [STEP_ASIDE.format(mine="left", other="right"), STEP_ASIDE.format(mine="right", other="left")],
        "livelock",
    ),
    mended=([walk, walk], [locked("left", "right", inside="passed += 1\n")] * 2, None),
)


# -------------------------------------------------------------------------------------------------------- transfer
class Purse:
    def __init__(self, name, money):
        self.name, self.money, self.lock = name, money, threading.Lock()


class Purses:
    def __init__(self):
        self.ann, self.bob = Purse("ann", 10), Purse("bob", 10)


def transfer(source, target, amount):
    with source.lock:
        with target.lock:
            source.money -= amount
            target.money += amount


def transfer_by_name(source, target, amount):
    first, second = sorted([source, target], key=lambda purse: purse.name)
    with first.lock, second.lock:
        source.money -= amount
        target.money += amount


def transfers(source, target, amount):
    return f"""
        m = {source}
        {source} = m - {amount}
        m = {target}
        {target} = m + {amount}
        """


TRANSFER = classic(
    "transfer",
    "ann, bob, ann_lock, bob_lock = 10, 10, None, None",
    setup=Purses,
    outcome=(lambda purses: (purses.ann.money, purses.bob.money), "(ann, bob)"),
    check=(lambda purses: (purses.ann.money, purses.bob.money) == (6, 14), "(ann, bob) == (6, 14)"),
    broken=(
        [lambda purses: transfer(purses.ann, purses.bob, 5), lambda purses: transfer(purses.bob, purses.ann, 1)],
        [
            locked("ann_lock", "bob_lock", inside=transfers("ann", "bob", 5)),
            locked("bob_lock", "ann_lock", inside=transfers("bob", "ann", 1)),
        ],
        "deadlock",
    ),
    mended=(
        [
            lambda purses: transfer_by_name(purses.ann, purses.bob, 5),
            lambda purses: transfer_by_name(purses.bob, purses.ann, 1),
        ],
        [
            locked("ann_lock", "bob_lock", inside=transfers("ann", "bob", 5)),
            locked("ann_lock", "bob_lock", inside=transfers("bob", "ann", 1)),
        ],
        None,
    ),
)


# --------------------------------------------------------------------------------------------- readers and writers
class Board:
    """The first reader locks the room, the last one unlocks it."""

    def __init__(self):
        self.room, self.mutex = threading.Lock(), threading.Lock()
        self.readers = 0
        self.text = "old"
        self.read = []

    def enter(self):
        self.readers += 1
        if self.readers == 1:
            self.room.acquire()

    def leave(self):
        self.readers -= 1
        if self.readers == 0:
            self.room.release()


def read_board(board):
    with board.mutex:
        board.enter()
    board.read.append(board.text)
    board.leave()


def read_board_counted(board):
    with board.mutex:
        board.enter()
    board.read.append(board.text)
    with board.mutex:
        board.leave()


def write_board(board):
    with board.room:
        board.text = "half"
        board.text = "new"


READ_BOARD = """
          mutex = me when mutex is None
          r = readers
          readers = r + 1
          r = readers -> text if r != 1
          room = me when room is None
    text: mutex = None
          t = text
          read += (t,)
          {lock}
          r = readers
          readers = r - 1
          r = readers -> free if r != 0
          h = room; room = None -> !RuntimeError if h is None
    free: {free}
    """
WRITE_BOARD = """
    room = me when room is None
    text = "half"
    text = "new"
    h = room; room = None -> !RuntimeError if h is None
    """
READERS_WRITERS = classic(
    "readers and writers",
    "room, mutex, readers, text, read = None, None, 0, 'old', ()",
    setup=Board,
    outcome=(lambda board: sorted(board.read), "sorted(read)"),
    check=(lambda board: "half" not in board.read, "'half' not in read"),
    broken=(
        [read_board, read_board, write_board],
        [READ_BOARD.format(lock="", free="")] * 2 + [WRITE_BOARD],
        "deadlock",
    ),
    mended=(
        [read_board_counted, read_board_counted, write_board],
        [READ_BOARD.format(lock="mutex = me when mutex is None", free="mutex = None")] * 2 + [WRITE_BOARD],
        None,
    ),
)


# ------------------------------------------------------------------------------------ a semaphore with one too many
class Bridge:
    """Carries one car."""

    def __init__(self, permits=2):
        self.permits = threading.Semaphore(permits)
        self.load = 0
        self.most = 0


class NarrowBridge(Bridge):
    def __init__(self):
        super().__init__(permits=1)


def cross(bridge):
    with bridge.permits:
        bridge.load += 1
        bridge.most = max(bridge.most, bridge.load)
        bridge.load -= 1


CROSS = """
    permits -= 1 when permits
    n = load
    load = n + 1
    m = most
    n = load
    most = max(m, n)
    n = load
    load = n - 1
    permits += 1
    """
PERMITS = classic(
    "semaphore with two permits",
    ("permits, load, most = 2, 0, 0", "permits, load, most = 1, 0, 0"),
    setup=(Bridge, NarrowBridge),
    outcome=(lambda bridge: (bridge.load, bridge.most), "(load, most)"),
    check=(lambda bridge: (bridge.load, bridge.most) == (0, 1), "(load, most) == (0, 1)"),
    broken=([cross, cross], [CROSS] * 2, "wrong result"),
    mended=([cross, cross], [CROSS] * 2, None),
)


# --------------------------------------------------------------------------------------------- a time-out forgotten
class Till:
    def __init__(self):
        self.lock = threading.Lock()
        self.sales = 0


def sell_hastily(till):
    till.lock.acquire(timeout=0.5)
    till.sales += 1
    till.lock.release()


def sell_if_possible(till):
    if till.lock.acquire(timeout=0.5):
        try:
            till.sales += 1
        finally:
            till.lock.release()


SELL_HASTILY = """
    lock = me when lock is None
    | pass when lock is not None
    s = sales
    sales = s + 1
    h = lock; lock = None -> !RuntimeError if h is None
    """
SELL_IF_POSSIBLE = """
    lock = me when lock is None
    | pass when lock is not None -> end
    s = sales
    sales = s + 1
    lock = None
    """
TIME_OUT = classic(
    "a time-out forgotten",
    "lock, sales = None, 0",
    setup=Till,
    outcome=(lambda till: till.sales, "sales"),
    broken=([sell_hastily, sell_hastily], [SELL_HASTILY] * 2, "exception"),
    mended=([sell_if_possible, sell_if_possible], [SELL_IF_POSSIBLE] * 2, None),
)


# ------------------------------------------------------------------------------------------- a try-lock that gives up
votes = 0
votes_lock = threading.Lock()


def vote_or_not():
    global votes
    if votes_lock.acquire(False):  # noqa: FBT003 - as students write it
        votes += 1
        votes_lock.release()


def vote():
    global votes
    votes_lock.acquire()
    votes += 1
    votes_lock.release()


VOTE = """
    {get}
    v = votes
    votes = v + 1
    lock = None
    """
TRY_LOCK = classic(
    "a try-lock that gives up",
    "lock, votes = None, 0",
    outcome=(lambda: votes, "votes"),
    check=(lambda: votes == 2, "votes == 2"),
    broken=(
        [vote_or_not, vote_or_not],
        [VOTE.format(get="lock = me when lock is None\n| pass when lock is not None -> end")] * 2,
        "wrong result",
    ),
    mended=([vote, vote], [VOTE.format(get=LOCK)] * 2, None),
)
