"""Classic programs whose threads spoil each other's data. Rule: each as a student types it, with a machine by hand."""

from __future__ import annotations

import queue
import threading
from threading import Lock

from oracle import classic

LOCK, FREE = "lock = me when lock is None\n", "lock = None\n"


# ---------------------------------------------------------------------------------------------------- lost update
hits = 0
hits_lock = threading.Lock()


def hit():
    global hits
    hits += 1


def hit_locked():
    global hits
    with hits_lock:
        hits += 1


HIT = """
    h = hits
    hits = h + 1
    """
LOST_UPDATE = classic(
    "lost update",
    "hits, lock = 0, None",
    outcome=(lambda: hits, "hits"),
    check=(lambda: hits == 2, "hits == 2"),
    broken=([hit, hit], [HIT, HIT], "wrong result"),
    mended=([hit_locked, hit_locked], [LOCK + HIT + FREE] * 2, None),
)


# ------------------------------------------------------------------------------------------------------- withdraw
class Account:
    def __init__(self):
        self.balance = 100
        self.lock = threading.Lock()

    def withdraw(self, amount):
        if self.balance >= amount:
            self.balance -= amount


class SafeAccount(Account):
    def withdraw(self, amount):
        with self.lock:
            super().withdraw(amount)


def withdraw_70(account):
    account.withdraw(70)


def withdraw_60(account):
    account.withdraw(60)


TAKE = """
          b = balance -> {no} if b < {n}
          b = balance
          balance = b - {n}
    """
WITHDRAW = classic(
    "withdraw",
    "balance, lock = 100, None",
    setup=(Account, SafeAccount),
    outcome=(lambda account: account.balance, "balance"),
    check=(lambda account: account.balance >= 0, "balance >= 0"),
    broken=([withdraw_70, withdraw_60], [TAKE.format(no="end", n=n) for n in (70, 60)], "wrong result"),
    mended=([withdraw_70, withdraw_60], [f"{LOCK}{TAKE.format(no='no', n=n)}no: {FREE}" for n in (70, 60)], None),
)


# ------------------------------------------------------------------------------------------------- lazy singleton
class Settings:
    the_one = None
    lock = threading.Lock()

    @classmethod
    def get(cls):
        if cls.the_one is None:
            cls.the_one = cls()
        return cls.the_one

    @classmethod
    def get_locked(cls):
        with cls.lock:
            return cls.get()


settings_got = {}


def get_a():
    settings_got["A"] = Settings.get()


def get_b():
    settings_got["B"] = Settings.get()


def get_locked_a():
    settings_got["A"] = Settings.get_locked()


def get_locked_b():
    settings_got["B"] = Settings.get_locked()


def settings_got_are():
    return "the same" if settings_got["A"] is settings_got["B"] else "two of them"


GET = """
          o = single -> got if o
          single = me
    got:  r = single
          {free}
          {mine} = r
    """
LAZY_SINGLETON = classic(
    "lazy singleton",
    "single, got_a, got_b, lock = None, None, None, None",
    outcome=(settings_got_are, "'the same' if got_a == got_b else 'two of them'"),
    check=(lambda: settings_got_are() == "the same", "got_a == got_b"),
    broken=([get_a, get_b], [GET.format(mine=f"got_{k}", free="") for k in "ab"], "wrong result"),
    mended=([get_locked_a, get_locked_b], [LOCK + GET.format(mine=f"got_{k}", free=FREE) for k in "ab"], None),
)


# ------------------------------------------------------------------------------------------- double-checked locking
class Cache:
    def __init__(self):
        self.lock = Lock()
        self.table = None
        self.made = []

    def load(self):
        self.made.append("table")
        return "table"

    def get_checked_once(self):
        if self.table is None:
            with self.lock:
                self.table = self.load()
        return self.table

    def get_checked_twice(self):
        if self.table is None:
            with self.lock:
                if self.table is None:
                    self.table = self.load()
        return self.table


def load_once(cache):
    cache.get_checked_once()


def load_twice(cache):
    cache.get_checked_twice()


LOAD = """
          t = table -> got if t
          lock = me when lock is None
          {check}
          made += 1
          table = "table"
    free: lock = None
    got:  t = table
    """
DOUBLE_CHECKED = classic(
    "double-checked locking",
    "table, lock, made = None, None, 0",
    setup=Cache,
    outcome=(lambda cache: len(cache.made), "made"),
    check=(lambda cache: cache.made == ["table"], "made == 1"),
    broken=([load_once, load_once], [LOAD.format(check="")] * 2, "wrong result"),
    mended=([load_twice, load_twice], [LOAD.format(check="t = table -> free if t")] * 2, None),
)


# ------------------------------------------------------------------------------------------------------- torn read
def torn_main():
    point = {"x": 0, "y": 0}

    def move():
        point["x"] = 1
        point["y"] = 1

    def look():
        global torn_seen
        torn_seen = (point["x"], point["y"])

    writer, reader = threading.Thread(target=move), threading.Thread(target=look)
    writer.start()
    reader.start()
    writer.join()
    reader.join()


def whole_main():
    point = {"x": 0, "y": 0}
    guard = threading.Lock()

    def move():
        with guard:
            point["x"] = 1
            point["y"] = 1

    def look():
        global torn_seen
        with guard:
            torn_seen = (point["x"], point["y"])

    threads = [threading.Thread(target=job) for job in (move, look)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


torn_seen = None
MOVE = """
    left = 1
    right = 1
    """
LOOK = """
    l = left
    r = right
    seen = (l, r)
    """
TORN_READ = classic(
    "torn read",
    "left, right, seen, lock = 0, 0, None, None",
    outcome=(lambda: torn_seen, "seen"),
    check=(lambda: torn_seen in {(0, 0), (1, 1)}, "seen[0] == seen[1]"),
    broken=(torn_main, [MOVE, LOOK], "wrong result"),
    mended=(whole_main, [LOCK + MOVE + FREE, LOCK + LOOK + FREE], None),
)


# --------------------------------------------------------------------- a locked get and a locked set, not together
class Heater:
    def __init__(self):
        self._lock = threading.Lock()
        self._level = 20

    @property
    def level(self):
        with self._lock:
            return self._level

    @level.setter
    def level(self, value):
        with self._lock:
            self._level = value

    def change(self, by):
        with self._lock:
            self._level += by


def warm_by_property(heater):
    heater.level += 1


def cool_by_property(heater):
    heater.level -= 1


def warm_in_one(heater):
    heater.change(1)


def cool_in_one(heater):
    heater.change(-1)


GET_SET = """
    lock = me when lock is None
    v = level
    {between}
    level = v + {by}
    lock = None
    """
LOCKED_GET_AND_SET = classic(
    "locked get and locked set",
    "level, lock = 20, None",
    setup=Heater,
    outcome=(lambda heater: heater.level, "level"),
    check=(lambda heater: heater.level == 20, "level == 20"),
    broken=(
        [warm_by_property, cool_by_property],
        [GET_SET.format(by=by, between=FREE + LOCK) for by in (1, -1)],
        "wrong result",
    ),
    mended=([warm_in_one, cool_in_one], [GET_SET.format(by=by, between="") for by in (1, -1)], None),
)


# ----------------------------------------------------------------------------------------------- publication order
parcel = None
parcel_ready = False
parcel_seen = "nothing"


def announce_then_pack():
    global parcel, parcel_ready
    parcel_ready = True
    parcel = "a book"


def pack_then_announce():
    global parcel, parcel_ready
    parcel = "a book"
    parcel_ready = True


def fetch_parcel():
    global parcel_seen
    if parcel_ready:
        parcel_seen = parcel


FETCH = """
    r = ready -> end if not r
    p = parcel
    seen = p
    """
PUBLICATION = classic(
    "publication order",
    "ready, parcel, seen = False, None, 'nothing'",
    outcome=(lambda: parcel_seen, "seen"),
    check=(lambda: parcel_seen is not None, "seen is not None"),
    broken=([announce_then_pack, fetch_parcel], ["ready = True\nparcel = 'a book'", FETCH], "wrong result"),
    mended=([pack_then_announce, fetch_parcel], ["parcel = 'a book'\nready = True", FETCH], None),
)


# ------------------------------------------------------------------------------------------- queue: check, then get
class Jobs:
    def __init__(self):
        self.waiting = queue.Queue()
        self.waiting.put("the only job")
        self.done = []


def check_then_get(jobs):
    if not jobs.waiting.empty():
        jobs.done.append(jobs.waiting.get())


def get_or_leave(jobs):
    try:
        job = jobs.waiting.get_nowait()
    except queue.Empty:
        return
    jobs.done.append(job)


CHECK_THEN_GET = """
    pass -> end if not waiting
    waiting -= 1 when waiting
    done += 1
    """
GET_OR_LEAVE = """
    h = waiting > 0; waiting -= h -> end if not h
    done += 1
    """
QUEUE_CHECK = classic(
    "queue: check, then get",
    "waiting, done = 1, 0",
    setup=Jobs,
    outcome=(lambda jobs: len(jobs.done), "done"),
    check=(lambda jobs: jobs.done == ["the only job"], "done == 1"),
    broken=([check_then_get, check_then_get], [CHECK_THEN_GET] * 2, "deadlock"),
    mended=([get_or_leave, get_or_leave], [GET_OR_LEAVE] * 2, None),
)


# ------------------------------------------------------------------------------------------------------------- ABA
class Stack:
    """Nodes a on b on c; `swap` is a compare-and-set made of a lock, as a processor would have it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.top = "a"
        self.below = {"a": "b", "b": "c", "c": None}

    def swap(self, old, new):
        with self.lock:
            if self.top != old:
                return False
            self.top = new
            return True

    def pop(self):
        while True:
            old = self.top
            if self.swap(old, self.below[old]):
                return old

    def push(self, node):
        while True:
            old = self.top
            self.below[node] = old
            if self.swap(old, node):
                return

    def nodes(self):
        found, node = "", self.top
        while node is not None:
            found, node = found + node, self.below[node]
        return found


class VersionedStack(Stack):
    def __init__(self):
        super().__init__()
        self.top = ("a", 0)

    def pop(self):
        while True:
            old, version = self.top
            if self.swap((old, version), (self.below[old], version + 1)):
                return old

    def push(self, node):
        while True:
            old, version = self.top
            self.below[node] = old
            if self.swap((old, version), (node, version + 1)):
                return

    def nodes(self):
        found, (node, _) = "", self.top
        while node is not None:
            found, node = found + node, self.below[node]
        return found


def pop_one(stack):
    stack.pop()


def pop_two_push_first(stack):
    first = stack.pop()
    stack.pop()
    stack.push(first)


POP = """
    local e = {v}
    again: t = top; v = vers
           n = dict(below)[t]
           lock = me when lock is None
           pass -> no if (top, vers) != (t, v)
           top = n; vers = v + e
           lock = None -> end
    no:    lock = None -> again
    """
POPS_AND_PUSH = """
    local e, i, f = {v}, 0, None
    again: t = top; v = vers
           n = dict(below)[t]
           lock = me when lock is None
           pass -> no if (top, vers) != (t, v)
           top = n; vers = v + e; f = f or t; i += 1
           lock = None -> again if i < 2 else push
    no:    lock = None -> again
    push:  t = top; v = vers
           below = tuple({{**dict(below), f: t}}.items())
           lock = me when lock is None
           pass -> not_yet if (top, vers) != (t, v)
           top = f; vers = v + e
           lock = None -> end
    not_yet: lock = None -> push
    """
ABA = classic(
    "ABA",
    "top, vers, below, lock = 'a', 0, (('a', 'b'), ('b', 'c'), ('c', None)), None",
    setup=(Stack, VersionedStack),
    outcome=(lambda stack: stack.nodes(), "top + (dict(below)[top] or '')"),
    check=(lambda stack: len(stack.nodes()) == 1, "dict(below)[top] is None"),
    broken=([pop_one, pop_two_push_first], [POP.format(v=0), POPS_AND_PUSH.format(v=0)], "wrong result"),
    mended=([pop_one, pop_two_push_first], [POP.format(v=1), POPS_AND_PUSH.format(v=1)], None),
)
