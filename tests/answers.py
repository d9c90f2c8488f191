"""Answers to exercises for tests: typed like cells, and explored in this process, which is as true and faster."""

import json
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


def counted_here(probe, source):
    """Stand in for `counted.count`: the same pieces of source, run without a child process."""
    space = {"__name__": "__main__"}
    for number, (_, _, text) in enumerate((*source, ("", 1, probe.source))):
        exec(compile(text, f"piece {number}", "exec", dont_inherit=True), space)
    result = json.loads(json.dumps(space[probe.count]()))
    return Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result=result)


def choosing_here(probe, source):
    """Stand in for `chosen.ask`: the same questions, without a child process."""
    space = {"__name__": "__main__"}
    for _, _, text in source:
        exec(compile(text, "answer", "exec", dont_inherit=True), space)
    told = predicted.choices_of(space[probe.choose], probe.jobs)
    return Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={"told": told})


def costs_as(*costs, **values):
    """Stand in for `chosen.measure`: return a function that gives these costs, one dict for each job."""

    def measure(_):
        return Run(**{"trial": Trial(workload="m:f"), "ending": Ending.FINISHED, "result": {"costs": costs}, **values})

    return measure


USUAL_COSTS = (  # about what was measured on several machines
    {"pipe": 5e-6, "Queue": 22e-6, "memory in place": 5.2e-6},
    {"pipe": 1.3e-3, "Queue": 7e-3, "memory in place": 5e-6},
    {"pipe": 9e-4, "Queue": 1e-5, "memory in place": "memory in place carries only bytes and arrays"},
)


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
    "choose-a-mechanism": [
        """\
def choose(job):
    best = {"tiny messages": "memory in place", "large blocks": "memory in place", "list of dicts": "Queue"}
    return best[job]
""",
        """\
def choose(job):
    match job.split():
        case ["tiny", _]:
            return MECHANISMS[0]
        case ["large", _]:
            return MECHANISMS[-1]
    return MECHANISMS[1]
""",
    ],
    "batch-the-client": [
        """\
def prices_of(service, items):
    if not items:
        return []
    return service.prices(items[: service.most]) + prices_of(service, items[service.most :])
""",
        """\
def prices_of(service, items):
    different = list(dict.fromkeys(items))
    book = {}
    for first in range(0, len(different), 100):
        part = different[first : first + 100]
        book.update(zip(part, service.prices(part)))
    return [book[item] for item in items]
""",
        """\
from itertools import islice


def prices_of(service, items):
    rest, found = iter(items), []
    while part := list(islice(rest, 100)):
        found.extend(service.prices(part))
    return found
""",
        """\
import concurrent.futures


def prices_of(service, items):
    parts = [items[first : first + 100] for first in range(0, len(items), 100)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return [price for some in pool.map(service.prices, parts) for price in some]
""",
    ],
    "find-the-hidden-copy": [
        """\
def checksums(block, parts):
    with memoryview(block) as view:
        return [zlib.crc32(view[begin:end]) for begin, end in parts]
""",
        """\
def checksums(block, parts):
    return [zlib.crc32(memoryview(block)[slice(*part)]) for part in parts]
""",
        """\
def checksums(block, parts):
    view, found = memoryview(block), []
    for begin, end in parts:
        total = 0
        for first in range(begin, end, 65536):
            total = zlib.crc32(view[first : min(first + 65536, end)], total)
        found.append(total)
    return found
""",
        """\
import ctypes


def checksums(block, parts):
    view = memoryview((ctypes.c_char * len(block)).from_buffer(block))
    return [zlib.crc32(view[begin:end]) for begin, end in parts]
""",
    ],
}
