"""Small programs for the tests of the explorer's process: standard library only, since a child imports them by name."""

import os
import threading
import time
from types import SimpleNamespace

counter = 0
lock = threading.Lock()


def inc():
    global counter
    counter += 1


def slow_inc():
    global counter
    seen = counter
    time.sleep(0)
    counter = seen + 1


def locked_inc():
    global counter
    with lock:
        counter += 1


def both():
    return counter == 2


def at_most_two():
    return 0 <= counter <= 2


class Account:
    def __init__(self):
        self.balance = 10


def deposit(account):
    account.balance += 5


def rich(account):
    return account.balance == 20


def crash():
    os.abort()


def crash_softly():
    raise ValueError


def endless():
    while True:
        pass


def stuck():
    lock.acquire()
    lock.acquire()


# ------------------------------------------------------- programs with many executions, to compare how many a second
class Hits:
    def __init__(self):
        self.count = 0
        self.lock = threading.Lock()


def new_hits():
    return Hits()


def three_hits(hits):
    hits.count += 1
    hits.count += 1
    hits.count += 1


def two_locked_hits(hits):
    for _ in range(2):
        with hits.lock:
            hits.count += 1


RATES = {
    "three additions in each of two threads": SimpleNamespace(functions=[three_hits] * 2, setup=new_hits, check=None),
    "two locked additions in each of three": SimpleNamespace(
        functions=[two_locked_hits] * 3, setup=new_hits, check=None
    ),
}
