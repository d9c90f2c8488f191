"""Programs for a run that is watched, standard library only: they run on every Python found."""

from __future__ import annotations

import queue
import threading
import time

SPIN_S = 0.6


class Account:
    def __init__(self):
        self.lock = threading.Lock()


def started(**functions):
    threads = [threading.Thread(target=function, name=name, daemon=True) for name, function in functions.items()]
    for thread in threads:
        thread.start()
    return threads


def transfer(source, target, both):
    with source.lock:
        both.wait()
        with target.lock:
            pass


def works_then_deadlocks():
    """Use a core for a while, then wait for each other for ever."""
    alice, bob, both = Account(), Account(), threading.Barrier(2)
    until = time.process_time() + SPIN_S
    while time.process_time() < until:
        pass
    threads = started(left=lambda: transfer(alice, bob, both), right=lambda: transfer(bob, alice, both))
    for thread in threads:
        thread.join()


def dines(seats=3):
    """Let every philosopher take the fork on his left, and then wait for the one on his right."""
    forks, all_sit = [threading.Lock() for _ in range(seats)], threading.Barrier(seats)

    def dine(me):
        with forks[me]:
            all_sit.wait()
            with forks[(me + 1) % seats]:
                pass

    threads = [threading.Thread(target=dine, args=(n,), name=f"p{n}", daemon=True) for n in range(seats)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def gives_way():
    """Try the second lock without waiting, over and over, while the other has it: a livelock of two."""
    a, b = threading.Lock(), threading.Lock()

    def polite(first, second):
        while True:
            if first.acquire(blocking=False):
                if second.acquire(blocking=False):
                    second.release()
                first.release()

    started(left=lambda: polite(a, b), right=lambda: polite(b, a))
    while True:
        pass


def prints_and_ends():
    """Make progress: print, and come to an end."""
    until = time.process_time() + SPIN_S
    while time.process_time() < until:
        pass
    print("one")
    print("two")
    return 2


def waits_for_everything():
    """Stand at each kind of thing for ever."""
    lock, again, changed, work = threading.Lock(), threading.RLock(), threading.Condition(), queue.Queue()
    forever = threading.Event()

    def holder():
        with lock, again:
            forever.wait()

    def at_lock():
        with lock:
            pass

    def at_again():
        with again:
            pass

    def at_condition():
        with changed:
            changed.wait()

    def at_queue():
        work.get()

    (held,) = started(holder=holder)
    while not lock.locked():
        time.sleep(0.01)
    started(at_lock=at_lock, at_again=at_again, at_condition=at_condition, at_queue=at_queue)
    held.join()


def prints_and_waits(lines_count):
    """Print some lines, and wait for ever."""
    for number in range(lines_count):
        print(number, flush=True)
    threading.Event().wait()
