"""Answers to exercises for tests: typed like cells, and explored in this process, which is as true and faster."""

import linecache
import threading
import time

from labkit.child import predicted
from labkit.interleave.explore import explore
from labkit.model import Ending, Run, Trial
from labkit.show import explorer


def typed(source, number=1):
    """Run an answer as a cell of a notebook would be run; return its globals."""
    file = f"answer-{number}-{abs(hash(source))}"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = {"__name__": "__main__", "threading": threading, "time": time}
    exec(compile(source, file, "exec", dont_inherit=True), space)
    return space


def explored_here(source, workers, roles, limits, *, token=""):
    """Stand in for `explore_source`: the same engine on the same pieces of source, without a child process."""
    space, lines = {"__name__": "__main__"}, {}
    for file, line, text in source:
        known, own = lines.setdefault(file, []), text.splitlines(keepends=True)
        known += ["\n"] * (line - 1 + len(own) - len(known))
        known[line - 1 : line - 1 + len(own)] = own
        linecache.cache[file] = (0, None, known, file)
        exec(compile("\n" * (line - 1) + text, file, "exec", dont_inherit=True), space)
    chosen = {role: space[name] for role, name in roles.items()}
    if "switch_points" in limits:
        limits = {**limits, "switch_points": frozenset(limits["switch_points"])}
    found = explore([space[name] for name in workers], token=token, **chosen, **limits)
    return explorer._remember(found, None, None, "here")


def asked_here(probe, source, *, gil=True):
    """Stand in for `measured.ask`: the same questions to the same pieces of source, without a child process."""
    space = {"__name__": "__main__"}
    for _, _, text in source:
        exec(compile(text, "answer", "exec", dont_inherit=True), space)
    space["GIL"] = gil
    told = predicted.told_of(space[probe.predict], probe.settings)
    return Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={"told": told, "gil": gil})


def measured_as(cores, **values):
    """Stand in for `measured.measure`: return a function that gives the cores of a work and a number of workers."""

    def measure(probe, setting):
        result = {probe.column: cores(**setting)}
        return Run(**{"trial": Trial(workload="m:f"), "ending": Ending.FINISHED, "result": result, **values})

    return measure


def with_a_gil(work, workers):
    """Say about how many cores threads demand on a build with a GIL."""
    return 1.02 if work != "sha256" else 0.94 * workers


RIGHT = {  # right answers other than the solution
    "count-visits": [
        """\
def visit(page):
    page.lock.acquire()
    try:
        page.hits += 1
    finally:
        page.lock.release()
""",
    ],
    "last-ticket": [
        """\
def sell(shop, customer):
    shop.lock.acquire()
    try:
        free = shop.stock > 0
        if free:
            shop.stock -= 1
    finally:
        shop.lock.release()
    if free:
        bill(shop, customer)
""",
        """\
sales = threading.RLock()


def take(shop):
    with sales:
        if shop.stock <= 0:
            return False
        shop.stock -= 1
        return True


def sell(shop, customer):
    if take(shop):
        bill(shop, customer)
""",
        """\
def sell(shop, customer):
    if shop.stock > 0:
        with shop.lock:
            if shop.stock == 0:
                return
            shop.stock -= 1
        bill(shop, customer)
""",
        """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock > 0:
            shop.stock -= 1
            shop.lock.release()
            bill(shop, customer)
            shop.lock.acquire()
""",
    ],
    "break-the-cache": [
        """\
def first(cache):
    if cache.has("seats"):
        cache.get("seats")


def second(cache):
    cache.drop("seats")
""",
        """\
def book(cache, count):
    left = cache.get("seats")
    if left >= count:
        cache.put("seats", left - count)


def first(cache):
    book(cache, 1)


def second(cache):
    book(cache, 4)
""",
    ],
    "same-order": [
        """\
def to_safe(shop):
    with shop.safe_lock:
        with shop.till_lock:
            shop.move(10)


def to_till(shop):
    with shop.safe_lock, shop.till_lock:
        shop.move(-5)
""",
        """\
gate = threading.Lock()


def to_safe(shop):
    with gate, shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    with gate, shop.safe_lock, shop.till_lock:
        shop.move(-5)
""",
    ],
    "any-direction": [
        """\
def transfer(source, target, amount):
    first, second = (source, target) if source.number < target.number else (target, source)
    first.lock.acquire()
    try:
        second.lock.acquire()
        try:
            source.balance -= amount
            target.balance += amount
            book(source, target)
        finally:
            second.lock.release()
    finally:
        first.lock.release()
""",
        """\
room = threading.Condition()
busy = set()


def transfer(source, target, amount):
    with room:
        while source.number in busy or target.number in busy:
            room.wait()
        busy.update((source.number, target.number))
    source.balance -= amount
    target.balance += amount
    book(source, target)
    with room:
        busy.difference_update((source.number, target.number))
        room.notify_all()
""",
        """\
def transfer(source, target, amount):
    accounts = {source.number: source, target.number: target}
    with accounts[max(accounts)].lock, accounts[min(accounts)].lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
    ],
    "one-lock": [
        """\
written = threading.Event()


def clerk(office):
    with office.lock:
        office.tray.put("letter")
        written.set()


def boss(office):
    with office.lock:
        written.wait()
        office.tray.get()
""",
    ],
    "predict-the-curve": [
        """\
def cores(work, workers):
    taking_turns = {1: 1.0, 2: 1.1, 4: 0.9}
    curves = {"Python loop": taking_turns, "sort": taking_turns, "sha256": {2: 1.8}}
    return curves[work][workers]
""",
    ],
    "hash-files": [
        """\
def worker(job):
    lines = []
    while True:
        job.lock.acquire()
        file = job.files.pop() if job.files else None
        job.lock.release()
        if file is None:
            break
        lines.append(f"{file} {sha256_of(file)}\\n")
    with job.lock:
        job.report += "".join(lines)
""",
        """\
notes = threading.Lock()


def worker(job):
    while True:
        try:
            file = job.files.pop()
        except IndexError:
            return
        line = f"{file} {sha256_of(file)}\\n"
        with notes:
            job.report += line
""",
    ],
    "not-your-lock": [
        """\
def pay(account, amount):
    cost = fee(amount)
    cost += amount
    account.balance = account.balance - cost
""",
        """\
def pay(account, amount):
    account.balance = -(amount + fee(amount)) + account.balance
""",
        """\
def pay(account, amount):
    cost = amount + fee(amount)
    with threading.Lock():
        account.balance -= cost
""",
    ],
}
