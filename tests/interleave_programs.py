"""Random small programs, and whether the reduced search finds all that plain exhaustive search finds.

The programs are interpreted, not instrumented: each statement stops before its operation and then has its effect.
"""

from __future__ import annotations

import queue
import random
from typing import Any

from labkit.interleave import containers, locks, loops, models, queues, threads, waits
from labkit.interleave.execution import Execution, stop
from labkit.interleave.happens_before import canonical
from labkit.interleave.ops import READ, WRITE, Op, Place
from labkit.interleave.pool import Pool
from labkit.interleave.search import Search

__all__ = ["compare", "explore", "program", "run_program"]

_PLAIN_MOST = 300  # executions of the search without reduction; a larger program is compared with sleep sets alone
_SLEEP_MOST = 400
_PLACE = Place("program", 1, 0, 1, 0, "await")
# Statements that only make sense together; each program takes some of these groups.
_GROUPS = (
    ("read x", "write x", "read y", "write y", "if x y", "if y x", "add x"),
    ("read x", "write x", "add x", "add y"),
    ("lock A", "lock B", "nest A B", "nest B A"),
    ("lock A", "try A", "timed A", "hold A"),
    ("take A", "peek A", "write x", "write y", "write y"),
    ("rlock", "rlock twice", "rlock try"),
    ("semaphore", "semaphore release", "semaphore try", "semaphore acquire"),
    ("wait", "notify", "notify all", "wait"),
    ("wait", "timedwait", "notify", "wait for x", "write x"),
    ("event set", "event wait", "event clear", "event ask", "event timed"),
    ("barrier", "barrier", "add x"),
    ("put", "get", "put now", "get now", "put"),
    ("await x", "write x", "zero x"),
    ("await x", "await x or y", "write x", "write y", "zero x", "write x"),
    ("await x or y", "await x y x", "write x", "write y", "zero y"),
    ("await x y x", "write x", "zero x", "zero x"),
    ("start", "join", "start", "timedjoin", "add x"),
    ("launch", "meet", "meet", "launch", "write x"),
    ("dict set", "dict get", "dict del", "dict keys", "dict size", "dict other"),
    ("dict set", "dict del", "dict other"),
    ("timedwait", "timedwait", "section", "notify"),
    ("fail", "lock A fail"),
)


def program(seed: int) -> list[list[str]]:
    """Return the statements of each thread of a random program."""
    chance = random.Random(seed)
    groups = chance.sample(_GROUPS, chance.choice((1, 1, 2, 2, 3)))
    kinds = [kind for group in groups for kind in group]
    count = chance.choice((2, 2, 3))
    most = (4, 4) if count == 2 else chance.choice(((2, 2, 2), (3, 2, 1), (1, 2, 3)))
    threads_of = [[chance.choice(kinds) for _ in range(chance.randint(1, length))] for length in most]
    if any(kind == "barrier" for statements in threads_of for kind in statements):
        for statements in threads_of[:2]:
            if "barrier" not in statements:
                statements[-1] = "barrier"
    return threads_of


class _World:
    """What the threads of one execution share, and what they saw."""

    def __init__(self) -> None:
        self.x = self.y = 0
        self.table: dict[str, int] = {"a": 0}
        self.A, self.B = locks.Lock(), locks.Lock()
        self.R = locks.RLock()
        self.semaphore = locks.Semaphore(1)
        self.condition = waits.Condition(locks.Lock())
        self.event = locks.Event()
        self.barrier = waits.Barrier(2)
        self.queue = queues.Queue(1)
        self.shared_thread = threads.Thread(target=lambda: self.write("x", 7))
        self.seen: dict[str, list[Any]] = {}

    def read(self, name: str) -> int:
        stop(Op("read", ((name, READ),), None, name))
        return getattr(self, name)  # type: ignore[no-any-return]

    def write(self, name: str, value: int) -> None:
        stop(Op("write", ((name, WRITE),), None, name))
        setattr(self, name, value)

    def result(self, execution: Execution) -> Any:
        """Return all that counts as the outcome."""
        seen = tuple(sorted((name, tuple(values)) for name, values in self.seen.items()))
        return (execution.ending, self.x, self.y, tuple(self.table.items()), seen)


class _Thread:
    """Interprets the statements of one thread."""

    def __init__(self, world: _World, name: str, statements: list[str]) -> None:
        self.world, self.name, self.statements = world, name, statements
        self.seen = world.seen.setdefault(name, [])
        self.children: list[Any] = []
        self.number = len(name) + ord(name[0]) - ord("0")

    def __call__(self) -> None:
        try:
            for statement in self.statements:
                word, *rest = statement.split()
                getattr(self, f"do_{word}")(*rest)
        except Exception as error:
            self.note(repr(error))
            raise
        self.note("end")

    def note(self, value: Any) -> None:
        self.seen.append(value)

    # ------------------------------------------------------------------------------------------------ variables
    def do_read(self, name: str) -> None:
        self.note(self.world.read(name))

    def do_write(self, name: str) -> None:
        self.world.write(name, self.number)

    def do_zero(self, name: str) -> None:
        self.world.write(name, 0)

    def do_if(self, name: str, other: str) -> None:
        if self.world.read(name):
            self.world.write(other, 9)

    def do_add(self, name: str) -> None:
        self.world.write(name, self.world.read(name) + 1)

    def do_fail(self) -> None:
        raise ValueError(self.name)

    def do_await(self, *names: str) -> None:
        loops.begin(names)
        while True:
            loops.tick(names, {}, _PLACE)
            if any(self.world.read(name) for name in names if name != "or"):
                return

    # ------------------------------------------------------------------------------------------------ a dict
    def do_dict(self, what: str) -> None:
        table, key = self.world.table, "a" if self.number % 2 else "b"
        if what == "other":
            what, key = "set", "c"
        if what in {"keys", "size"}:
            stop(Op("read", containers.whole(table, READ), table))
            self.note(tuple(table) if what == "keys" else len(table))
            return
        if what == "get":
            key = "a"
            stop(Op("read", containers.key_read(table, key), table))
            self.note(table.get(key))
            return
        removes = what == "del"
        op = Op("write", containers.key_write(table, key, removes=removes), table)
        stop(op)
        op.accesses = containers.key_write(table, key, removes=removes)
        if removes:
            del table[key]
        else:
            table[key] = self.number

    # ------------------------------------------------------------------------------------------------ locks
    def do_lock(self, name: str, fails: str = "") -> None:
        with getattr(self.world, name):
            self.do_add("y")
            if fails:
                self.do_fail()

    def do_hold(self, name: str) -> None:
        getattr(self.world, name).acquire()

    def do_peek(self, name: str) -> None:
        with getattr(self.world, name):
            self.do_read("x")

    def do_take(self, name: str) -> None:
        """Take a lock and write a variable in one step, as the end of a timed wait does."""
        lock = getattr(self.world, name)
        lock.m_take(None, 1, (("y", WRITE),))
        self.world.y += 1
        lock.release()

    def do_nest(self, first: str, second: str) -> None:
        with getattr(self.world, first), getattr(self.world, second):
            self.world.write("x", self.number)

    def do_try(self, name: str) -> None:
        lock = getattr(self.world, name)
        got = lock.acquire(blocking=False)
        self.note(got)
        if got:
            self.world.write("x", self.number)
            lock.release()

    def do_timed(self, name: str) -> None:
        lock = getattr(self.world, name)
        got = lock.acquire(timeout=1.0)
        self.note(got)
        if got:
            lock.release()

    def do_rlock(self, how: str = "") -> None:
        lock = self.world.R
        got = lock.acquire(blocking=how != "try")
        self.note(got)
        if not got:
            return
        if how == "twice":
            with lock:
                self.do_add("x")
        else:
            self.world.write("x", self.number)
        lock.release()

    def do_semaphore(self, how: str = "") -> None:
        semaphore = self.world.semaphore
        if how == "release":
            semaphore.release()
        elif how == "acquire":
            semaphore.acquire()
        elif how == "try":
            self.note(semaphore.acquire(blocking=False))
        else:
            with semaphore:
                self.world.write("y", self.number)

    # ------------------------------------------------------------------------------------------------ waiting
    def do_wait(self, *rest: str) -> None:
        with self.world.condition:
            if rest:
                while not self.world.read("x"):
                    self.world.condition.wait()
            else:
                self.note(self.world.condition.wait())

    def do_section(self) -> None:
        with self.world.condition:
            self.do_add("y")

    def do_timedwait(self) -> None:
        with self.world.condition:
            self.note(self.world.condition.wait(1.0))

    def do_notify(self, rest: str = "") -> None:
        with self.world.condition:
            if rest:
                self.world.condition.notify_all()
            else:
                self.world.condition.notify()

    def do_event(self, what: str) -> None:
        event = self.world.event
        if what == "timed":
            self.note(event.wait(1.0))
        elif what == "ask":
            self.note(event.is_set())
        elif what == "wait":
            self.note(event.wait())
        else:
            getattr(event, what)()

    def do_barrier(self) -> None:
        self.note(self.world.barrier.wait())

    def do_put(self, now: str = "") -> None:
        try:
            self.world.queue.put(self.number, block=not now)
        except queue.Full:
            self.note("full")

    def do_get(self, now: str = "") -> None:
        try:
            self.note(self.world.queue.get(block=not now))
        except queue.Empty:
            self.note("empty")

    # ------------------------------------------------------------------------------------------------ threads
    def do_start(self) -> None:
        name = f"{self.name}.{len(self.children)}"
        child = threads.Thread(target=_Thread(self.world, name, ["add x"]))
        self.children.append(child)
        child.start()

    def do_join(self) -> None:
        if self.children:
            self.children[-1].join()
            self.note(self.children[-1].is_alive())

    def do_launch(self) -> None:
        try:
            self.world.shared_thread.start()
        except RuntimeError as error:
            self.note(str(error))

    def do_meet(self) -> None:
        try:
            self.world.shared_thread.join()
        except RuntimeError as error:
            self.note(str(error))

    def do_timedjoin(self) -> None:
        if self.children:
            self.children[-1].join(1.0)
            self.note(self.children[-1].is_alive())


def program_text(statements_of: list[list[str]]) -> str:
    """Return a program for people."""
    return " | ".join("; ".join(statements) for statements in statements_of)


def run_program(statements_of: list[list[str]], strategy: Any, pool: Pool) -> tuple[Execution, _World]:
    """Run a program once."""
    models.begin(None)
    world = _World()
    execution = Execution(strategy, pool, steps_most=300)
    functions = [(str(number), _Thread(world, str(number), rows)) for number, rows in enumerate(statements_of)]
    execution.run(functions)
    return execution, world


class Found:
    """What a search found: traces with their outcomes, and how many executions it took."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.outcomes: dict[Any, Any] = {}
        self.trouble = ""


def explore(statements_of: list[list[str]], search: Search, pool: Pool, most: int) -> Found:
    """Search a program; `Found.search.done` tells whether everything was walked."""
    found = Found(search)
    more = True
    while more and search.executions < most:
        execution, world = run_program(statements_of, search, pool)
        if execution.ending in {"cannot check", "nondeterministic", "stuck", "too long", "interrupted"}:
            found.trouble = f"{execution.ending}: {execution.problem}"
        if execution.ending != "pruned":
            name, outcome = canonical(execution), world.result(execution)
            if found.outcomes.setdefault(name, outcome) != outcome:
                found.trouble = f"one trace has two outcomes: {outcome} and {found.outcomes[name]}"
        more = search.after(execution)
    return found


def compare(seed: int, pool: Pool | None = None) -> str:
    """Return '' if the reduced search finds exactly the traces and outcomes of the exhaustive one, else how not."""
    if pool is not None:
        return _compare(seed, pool)
    own = Pool()
    try:
        return _compare(seed, own)
    finally:
        own.close()


def _compare(seed: int, pool: Pool) -> str:
    rows = program(seed)
    head = f"seed {seed}: {program_text(rows)}: "
    reduced = explore(rows, Search("dpor"), pool, _SLEEP_MOST)
    if reduced.trouble:
        return head + reduced.trouble
    if not reduced.search.done:
        return ""
    slept = explore(rows, Search("sleep"), pool, 2 * _SLEEP_MOST)
    difference = _difference("dpor", reduced, "sleep", slept)
    if not difference and slept.search.done and slept.search.executions <= _PLAIN_MOST // 4:
        plain = explore(rows, Search("none"), pool, _PLAIN_MOST)
        difference = _difference("dpor", reduced, "none", plain)
    return head + difference if difference else ""


def _difference(name: str, reduced: Found, reference_name: str, reference: Found) -> str:
    if reference.trouble:
        return f"{reference_name}: {reference.trouble}"
    extra = set(reduced.outcomes) - set(reference.outcomes)
    missing = set(reference.outcomes) - set(reduced.outcomes)
    if not missing and not (extra and reference.search.done):
        return ""
    ends = sorted(
        {str(reference.outcomes[trace]) for trace in missing} - {str(end) for end in reduced.outcomes.values()}
    )
    return (
        f"{name} found {len(reduced.outcomes)} traces, {reference_name} {len(reference.outcomes)}; "
        f"{len(missing)} missing, {len(extra)} extra; missing outcomes: {ends}"
    )
