"""Random small programs as a student would write them, for two judges. Rule: a seed gives one program, always.

`compare` asks the explorer and source_machine.py about a program, and says where they differ.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import random
import textwrap
from typing import NamedTuple
from unittest import mock

from source_machine import TooLarge, solve

from labkit.interleave import job
from labkit.interleave.explore import explore

__all__ = ["SEEDS", "Source", "alone", "asked", "compare", "cut_off", "differences", "judged", "program"]

SEEDS = range(150)  # in `make test`; the soak goes on from there
cut_off: list[str] = []  # names of programs whose exploration took too many executions, so that it says less
STATES_MOST, EXECUTIONS_MOST = 1500, 2000
CONTAINERS = {"items": "[1]", "cells": "[0, 0]", "table": "{'a': 0}", "grid": "[[1], [2]]"}
OBJECTS = {
    "lock": ("Lock()", "RLock()"),
    "other": ("Lock()", "Lock()", "RLock()"),
    "ready": ("Condition()", "Condition()", "Condition(lock)"),
    "slots": ("Semaphore(1)", "Semaphore(0)", "BoundedSemaphore(1)", "Semaphore(2)"),
    "event": ("Event()",),
    "box": ("Queue()", "Queue(1)", "LifoQueue()"),
    "meeting": ("Barrier(2)",),
}


class Source(NamedTuple):
    """A program: its text, and the names of its workers (one text: a main that starts its threads) and functions."""

    text: str
    workers: list[str] | str
    setup: str


class Writer:
    """Writes one program.

    Attributes:
        p: What stands before the name of something shared: nothing for a global, else the state's name and a dot.
        left: How many statements may still be written.
        own: Local variables that hold numbers here.
    """

    def __init__(self, seed: object) -> None:
        self.r = random.Random(str(seed))
        self.style = self.r.choice(["globals", "globals", "state", "main"])
        self.p = "s." if self.style == "state" else ""
        self.left, self.own, self.depth, self.held, self.count = 0, [], 0, [], 0
        self.numbers = self.r.sample(["n", "m", "turn"], self.r.randint(1, 3))
        self.containers = self.r.sample(list(CONTAINERS), self.r.randint(0, 2))
        self.objects = self.r.sample(list(OBJECTS), self.r.randint(0, 3))
        self.made = {name: self.r.choice(OBJECTS[name]) for name in self.objects}
        if self.made.get("ready") == "Condition(lock)":
            self.made = {"lock": self.r.choice(OBJECTS["lock"]), **self.made}
        self.objects = list(self.made)
        self.helpers = self.r.sample(["bump", "look", "closure"], self.r.randint(0, 2))
        self.property = self.style == "state" and self.r.random() < 0.4

    def chance(self, share):
        return self.r.random() < share

    def fresh(self, letter):
        self.count += 1
        return f"{letter}{self.count}"

    def locks(self):
        """Name what a with statement can enter."""
        return [self.p + name for name in self.objects if name in {"lock", "other", "ready", "slots"}]

    # ------------------------------------------------------------------------------------------------ expressions
    def number(self):
        return self.p + self.r.choice(self.numbers)

    def place(self):
        """Return something that can be assigned to and holds a number."""
        ways = [self.number(), self.number()]
        if "cells" in self.containers:
            ways.append(f"{self.p}cells[{self.r.choice([0, 1, -1])}]")
        if "table" in self.containers:
            ways.append(f"{self.p}table['a']")
        if "grid" in self.containers:
            ways.append(f"{self.p}grid[0][{self.r.choice([0, -1])}]")
        if self.property:
            ways.append("s.value")
        return self.r.choice(ways)

    def simple(self):
        return self.r.choice([str(self.r.randint(0, 2)), self.place(), self.place(), *self.own[-2:]])

    def expr(self, depth=1):
        if depth == 0 or self.chance(0.35):
            return self.simple()
        a, b = self.expr(depth - 1), self.simple()
        if self.helpers and self.chance(0.25) and not self.p.startswith("self"):
            return self.helped(a)
        ways = [f"{a} + {b}", f"{a} + {b}", f"{a} - {b}", f"{a} * 2", f"({a} if {self.test()} else {b})"]
        ways += [f"({a} or {b})", f"({a} and {b})", f"max({a}, {b})"]
        if "items" in self.containers:
            ways += [
                f"len({self.p}items)",
                f"sum({self.p}items)",
                f"len({self.p}items + [{a}])",
                f"sum({self.p}items[:])",
            ]
            ways += [f"{self.p}items[-1]", f"sum({self.p}items[{a} :])", f"({self.fresh('w')} := {a}) + {b}"]
            ways += [f"sum([{a} + v for v in {self.p}items])", f"sum([v for v in {self.p}items if v != {b}])"]
        if "grid" in self.containers:
            ways += [
                f"sum({self.p}grid[0])",
                f"len(sorted({self.p}grid)[0])",
                f"{self.p}grid.count([{a}])",
                f"{self.p}grid[1][0]",
            ]
            ways += [f"len({self.p}grid[0] + [{a}])", f"max({self.p}grid)[0]"]
        if "cells" in self.containers:
            ways += [f"sum({self.p}cells)", f"{self.p}cells[{a} % 2]", f"max({self.p}cells)"]
        if "table" in self.containers:
            ways += [
                f"{self.p}table.get('b', {a})",
                f"{self.p}table.setdefault('b', {a})",
                f"sum({self.p}table.values())",
            ]
            ways += [f"{self.p}table.pop('b', {b})", f"len({self.p}table)"]
        return self.r.choice(ways)

    def helped(self, given):
        name = self.r.choice(self.helpers)
        if self.style == "state":
            return f"s.{name}({given})"
        return f"{name}({given})"

    def test(self):
        a, b = self.simple(), self.simple()
        ways = [
            f"{a} {self.r.choice(['==', '!=', '<', '>=', '>'])} {self.r.randint(0, 2)}",
            f"{a} == {b}",
            f"not {a}",
            a,
        ]
        ways += [f"0 < {a} < {b} + 2", f"{a} and {b}", f"{a} or not {b}"]
        if "items" in self.containers:
            ways += [f"{self.p}items", f"not {self.p}items", f"{a} in {self.p}items", f"{self.p}items == [{a}]"]
        if "grid" in self.containers:
            ways += [
                f"[{a}] in {self.p}grid",
                f"{self.p}grid == [[{a}], [{b}]]",
                f"({self.p}grid[0], {a}) == ([{b}], 1)",
            ]
            ways.append(f"f'{{{self.p}grid}}' == '[[1], [2]]'")
        if "table" in self.containers:
            ways += [f"'b' in {self.p}table", f"'b' not in {self.p}table"]
        if "event" in self.objects:
            ways.append(f"{self.p}event.is_set()")
        if "box" in self.objects:
            ways += [f"{self.p}box.empty()", f"{self.p}box.qsize() > 1"]
        return self.r.choice(ways)

    # ------------------------------------------------------------------------------------------------ statements
    def block(self, most, *, last=False):
        """Write a block of statements, as lines."""
        lines, own = [], len(self.own)
        for _ in range(self.r.randint(1, most)):
            if self.left > 0:
                lines += self.statement()
        if last and self.chance(0.3):
            lines.append("return" if self.depth else "pass")
        del self.own[own:]
        return lines or ["pass"]

    def inside(self, head, most=2, **how):
        """Write a compound statement."""
        self.depth += 1
        lines = [head, *indented(self.block(most, **how))]
        self.depth -= 1
        return lines

    def statement(self):
        self.left -= 1
        if self.depth == 0 and self.chance(0.15):
            return self.idiom()
        ways = [self.assign] * 4 + [self.change] * 4 + [self.local] * 2 + [self.swap]
        if self.containers:
            ways += [self.contain] * 7
        if self.objects:
            ways += [self.synchronize] * 8
        if self.depth < 2:
            ways += [self.branch] * 2 + [self.repeat, self.attempt, self.attempt, self.wait_busily]
            ways += [self.guard] * 4 if self.locks() else []
        return self.r.choice(ways)()

    def assign(self):
        if self.chance(0.1):
            return [f"{self.place()} = {self.place()} = {self.expr()}"]
        return [f"{self.place()} = {self.expr(2)}"]

    def change(self):
        return [f"{self.place()} {self.r.choice(['+=', '+=', '-='])} {self.expr() if self.chance(0.4) else 1}"]

    def local(self):
        value = self.expr(2)
        self.own.append(self.fresh("x"))
        return [f"{self.own[-1]} = {value}"]

    def swap(self):
        a, b = self.place(), self.place()
        return [f"{a}, {b} = {b}, {self.r.choice([a, a, self.simple()])}"]

    def contain(self):
        p, name, a = self.p, self.r.choice(self.containers), self.simple()
        ways = {
            "items": [
                *[f"{p}items.append({self.expr()})"] * 2,
                *(f"{p}items.pop()", f"{p}items.insert(0, {a})", f"{p}items[0] = {a}", f"{p}items.remove({a})"),
                *(f"{p}items[-1] += {a}", f"{p}items.extend([{a}, {self.simple()}])", f"{p}items.clear()"),
                *(f"del {p}items[0]", f"{p}items.append(len({p}items))", f"{p}items += [{a}]"),
            ],
            "grid": [
                *(f"{p}grid[0] = [{a}]", f"{p}grid[0] = {p}grid[1]", f"{p}grid[0].append({a})", f"{p}grid.sort()"),
                *(f"{p}grid[0], {p}grid[1] = {p}grid[1], {p}grid[0]", f"{p}grid[0] += [{a}]", f"{p}grid.remove([{a}])"),
                *(f"{p}grid.append([{a}])", f"{p}grid[1][0] += 1", f"{p}grid[-1][0] = {a}"),
            ],
            "cells": [f"{p}cells[0], {p}cells[1] = {p}cells[1], {p}cells[0]", f"{p}cells[{a} % 2] = {a}"],
            "table": [
                *(f"{p}table['b'] = {a}", f"{p}table['b'] = {p}table.get('b', 0) + 1", f"del {p}table['b']"),
                *(f"{p}table['b'] += {a}", f"{p}table.pop('b')", f"{p}table.setdefault('b', {a})"),
                *(f"{p}table.update({{'b': {a}}})", f"{p}table['a'] = len({p}table)"),
            ],
        }[name]
        if name != "table" and self.chance(0.15):
            alias = self.fresh("c")
            return [f"{alias} = {p}{name}", *self.assign(), f"{alias}.append({self.expr() if name != 'grid' else [0]})"]
        return [self.r.choice(ways)]

    def synchronize(self):
        name = self.r.choice(self.objects)
        return getattr(self, f"use_{name}")(self.p + name)

    def use_lock(self, lock):
        kind = self.r.randint(0, 4)
        if kind == 0:
            return [f"{lock}.acquire()", *self.block(1), f"{lock}.release()"]
        if kind == 1:
            return [f"{lock}.acquire()", *self.inside("try:", 2, last=True), "finally:", f"    {lock}.release()"]
        if kind == 2:
            how = self.r.choice(["blocking=False", "False", "timeout=1"])
            lines = self.inside(f"if {lock}.acquire({how}):")
            return [*lines, f"    {lock}.release()", *self.inside("else:", 1)]
        if kind == 3:
            return self.back_off(lock)
        return self.inside(f"with {lock}:", 2, last=True)

    use_other = use_lock

    def back_off(self, lock):
        """Write a polite loop: it tries a second lock, and gives the first one back."""
        others = [one for one in self.locks() if one != lock and not one.endswith(("ready", "slots"))]
        if not others or lock.endswith("ready") or self.chance(0.3):
            return [f"while not {lock}.acquire(blocking=False):", "    pass", *self.block(1), f"{lock}.release()"]
        return [
            "while True:",
            f"    {lock}.acquire()",
            f"    if {others[0]}.acquire(blocking=False):",
            *indented([self.change()[0], f"{others[0]}.release()", f"{lock}.release()", "break"], 2),
            f"    {lock}.release()",
        ]

    def use_ready(self, ready):
        kind = self.r.randint(0, 5)
        wait = self.r.choice([f"{ready}.wait()", f"{ready}.wait()", f"{ready}.wait(timeout=1)"])
        if kind == 0:
            return [f"with {ready}:", f"    while {self.test()}:", f"        {wait}", *indented(self.block(1))]
        if kind == 1:
            return [f"with {ready}:", f"    if {self.test()}:", f"        {wait}", *indented(self.block(1))]
        if kind == 2:
            return [f"with {ready}:", f"    {ready}.wait_for(lambda: {self.number()} > 0)", *indented(self.block(1))]
        notify = self.r.choice([f"{ready}.notify()", f"{ready}.notify_all()"])
        return [f"with {ready}:", *indented([*self.block(1), *self.change()]), f"    {notify}"]

    def use_slots(self, slots):
        ways = [f"{slots}.acquire()", f"{slots}.release()", f"{slots}.release()"]
        if self.chance(0.5):
            return [self.r.choice(ways)]
        if self.chance(0.5):
            lines = self.inside(f"if {slots}.acquire(blocking=False):", 1)
            return [*lines, f"    {slots}.release()"]
        return self.inside(f"with {slots}:", 2, last=True)

    def use_event(self, event):
        ways = [f"{event}.set()", f"{event}.set()", f"{event}.wait()", f"{event}.clear()", f"{event}.wait(timeout=1)"]
        if self.chance(0.2):
            return self.inside(f"if {event}.wait(timeout=1):", 1)
        return [self.r.choice(ways)]

    def use_box(self, box):
        if self.chance(0.2):
            return [
                "try:",
                f"    {self.place()} = {box}.get_nowait()",
                "except queue.Empty:",
                f"    {self.place()} = 9",
            ]
        put = [f"{box}.put({self.simple()})"] * 3 + [f"{box}.put_nowait({self.simple()})"]
        return [self.r.choice([*put, f"{self.place()} = {box}.get()", f"{self.place()} = {box}.get(timeout=1)"])]

    def use_meeting(self, meeting):
        return [f"{meeting}.wait()"]

    def idiom(self):
        """Write what goes round: back off, take turns, try until it works."""
        lock = next((one for one in self.locks() if one.endswith(("lock", "other"))), None)
        a, b = self.number(), self.number()
        if lock and self.chance(0.6):
            return self.back_off(lock)
        if self.chance(0.3):
            return [f"while {a} == {self.r.randint(0, 1)}:", f"    {a} = 1", f"    if {b} == 1:", f"        {a} = 0"]
        if self.chance(0.4):
            return [f"{a} = 1", f"while {b} == 1:", f"    {a} = 0", f"    {a} = 1", *self.block(1), f"{a} = 0"]
        name = self.fresh("v")
        return [
            "while True:",
            f"    {name} = {a}",
            f"    if {name} == {a}:",
            f"        {a} = {name} + 1",
            "        break",
        ]

    def guard(self):
        """Write a with statement, perhaps of two locks."""
        locks = self.r.sample(self.locks(), min(len(self.locks()), self.r.choice([1, 1, 2])))
        return self.inside(f"with {', '.join(locks)}:", 2, last=True)

    def branch(self):
        head = self.test()
        if self.chance(0.15):
            name = self.fresh("w")
            head = f"({name} := {self.expr()}) > 0"
        lines = self.inside(f"if {head}:", 2, last=True)
        return lines + (self.inside("else:", 1) if self.chance(0.4) else [])

    def repeat(self):
        name = self.fresh("i")
        ways = [f"range({self.r.randint(1, 2)})"]
        if "items" in self.containers:
            ways += [f"{self.p}items", f"list({self.p}items)"]
        if "table" in self.containers:
            ways += [f"sorted({self.p}table)"] + ([f"{self.p}table"] if self.chance(0.3) else [])
        over = self.r.choice(ways)
        numbers = "table" not in over
        self.own += [name] if numbers else []
        lines = self.inside(f"for {name} in {over}:", 1)
        if numbers:
            self.own.remove(name)
        if self.chance(0.2):
            lines.append(f"    if {self.test()}:\n        {self.r.choice(['break', 'continue'])}")
        return lines

    def attempt(self):
        kind = self.r.randint(0, 3)
        caught = self.r.choice(["KeyError", "IndexError", "(KeyError, IndexError)", "Exception", "ValueError"])
        if kind == 0:
            return [*self.inside("try:"), "finally:", *indented(self.change())]
        lines = [*self.inside("try:", 2, last=True), f"except {caught}:", *indented(self.change())]
        if self.chance(0.2):
            lines.insert(1, f"    if {self.test()}:\n        raise ValueError")
        if self.chance(0.2):
            lines += ["else:", *indented(self.change())]
        if self.chance(0.3):
            lines += ["finally:", *indented(self.change())]
        return lines

    def wait_busily(self):
        p, kind = self.p, self.r.randint(0, 5)
        test = f"{self.number()} {self.r.choice(['==', '!=', '<'])} {self.r.randint(0, 1)}" if kind else self.test()
        if kind == 1:
            return [f"while {test}:", *indented(self.change())]
        if kind == 2 and self.locks():
            lock = self.r.choice(self.locks())
            return ["while True:", f"    with {lock}:", f"        if {test}:", "            break", *self.or_less()]
        if kind == 3:
            name = self.fresh("k")
            lines = [f"{name} = 0", f"while {test} and {name} < {self.r.randint(1, 2)}:", f"    {name} += 1"]
            return [*lines, *indented(self.change())] if self.chance(0.5) else lines
        if kind == 4:
            name = self.number()
            return [f"while {test}:", f"    {name} = 1 - {name}"]
        return [
            f"while {test}:",
            "    pass" if self.chance(0.7) or "event" not in self.objects else f"    {p}event.is_set()",
        ]

    def or_less(self):
        return [f"    {self.number()} = {self.r.randint(0, 1)}"] if self.chance(0.3) else []

    # ------------------------------------------------------------------------------------------------ whole programs
    def worker(self, budget):
        self.left, self.own, self.depth = budget, [], 0
        lines = []
        while self.left > 0:
            lines += self.statement()
        return lines

    def write(self):
        count = self.r.choice([2, 2, 3])
        size = self.r.choice([1, 2, 2, 3, 4] if count == 2 else [1, 1, 2])
        text = ["import queue", "import threading", ""]
        text += self.state() if self.style == "state" else self.names()
        names = [f"work{number}" for number in range(count)]
        given = "s" if self.style == "state" else ""
        share = self.chance(0.25)
        for number, name in enumerate(names):
            if number and share:
                names[number] = names[0]
                continue
            lines = self.worker(size)
            text += [f"def {name}({given}):", *indented([*self.declared(), *lines]), ""]
        if self.style == "main":
            text += self.main(names)
        shown = [*self.numbers, *self.containers]
        p = "s." if self.style == "state" else ""
        given = "r" if self.style == "main" else given
        seen = "".join(f"{p}{name}, " for name in shown) + ("r" if self.style == "main" else "")
        text += [f"def outcome({given}):", f"    return [{seen}]", ""]
        text += [f"def check({given}):", f"    return {p}{self.numbers[0]} != {self.r.randint(0, 3)}", ""]
        workers = "main" if self.style == "main" else names
        return Source("\n".join(text), workers, "setup" if self.style == "state" else "")

    def declared(self):
        return [f"global {', '.join([*self.numbers, *self.containers])}"] if self.style != "state" else []

    def values(self):
        rows = [(name, str(self.r.choice([0, 0, 1]))) for name in self.numbers]
        rows += [(name, CONTAINERS[name]) for name in self.containers]
        for name, how in self.made.items():
            rows.append((name, f"{'queue' if 'Queue' in how else 'threading'}.{how}"))
        return rows

    def names(self):
        lines = [f"{name} = {value}" for name, value in self.values()]
        for name in self.helpers:
            if name == "closure":
                lines += ["", "def make():", "    seen = 0", "    def closure(given):", "        nonlocal seen"]
                lines += [
                    f"        seen {self.r.choice(['+=', '='])} given",
                    "        return seen",
                    "    return closure",
                ]
                lines += ["", "closure = make()"]
            else:
                lines += ["", *self.helper(name, "given, more=1")]
        return [*lines, ""]

    def helper(self, name, parameters):
        self.left, self.own, kept, self.helpers = 2, ["given"], self.helpers, []
        body = self.statement() if name == "bump" else [f"if {self.test()}:", f"    return {self.expr()}"]
        lines = [f"def {name}({parameters}):", *indented([*self.declared(), *body, f"return {self.expr()}"])]
        self.helpers = kept
        return lines

    def state(self):
        lines = ["class State:", "    def __init__(self):"]
        lines += [f"        self.{name} = {value.replace('(lock)', '(self.lock)')}" for name, value in self.values()]
        hidden = self.property
        self.property = False
        self.p, self.helpers = "self.", [name for name in self.helpers if name != "closure"]
        for name in self.helpers:
            lines += ["", *indented(self.helper(name, "self, given"))]
        if hidden:
            name = self.r.choice(self.numbers)
            lines += [
                "",
                "    @property",
                "    def value(self):",
                f"        return self.{name} + {self.r.randint(0, 1)}",
            ]
            lines += ["", "    @value.setter", "    def value(self, new):", f"        self.{name} = new"]
            lines += [f"        self.{self.r.choice(self.numbers)} += 1"] if self.chance(0.3) else []
        self.p, self.property = "s.", hidden
        return [*lines, "", "def setup():", "    return State()", ""]

    def main(self, names):
        lines = ["def main():", "    total = 0", "    def count(how):", "        nonlocal total", "        how()"]
        lines += ["        total += 1"]
        lines += [
            f"    t{number} = threading.Thread(target=count, args=({name},))" for number, name in enumerate(names)
        ]
        if self.chance(0.3):
            lines[-1] = f"    t{len(names) - 1} = threading.Thread(target={names[-1]})"
        if self.chance(0.3):
            lines[-1] = f"    t{len(names) - 1} = threading.Thread(target=lambda: {names[-1]}())"
        lines += [f"    t{number}.start()" for number in range(len(names))]
        joined = self.r.sample(range(len(names)), self.r.choice([len(names), len(names), len(names) - 1]))
        lines += [f"    t{number}.join()" for number in joined]
        if self.chance(0.2):
            lines += ["    if t0.is_alive():", f"        {self.declared()[0]}", f"        {self.number()} += 1"]
            lines[1:1] = [f"    {self.declared()[0]}"]
            del lines[-2]
        return [*lines, f"    return total + {self.number()}", ""]


def indented(lines, depth=1):
    return textwrap.indent("\n".join(lines), "    " * depth).split("\n")


# ------------------------------------------------------------------------------------------------ both judges
@functools.lru_cache(maxsize=len(SEEDS))
def program(seed):
    """Return the program of a seed, and what can happen in it; programs that are too large are left out."""
    for attempt in range(100):
        source = Writer((seed, attempt)).write()
        try:
            return source, judged(source)
        except TooLarge:
            continue
    raise AssertionError(seed)


def judged(source, states_most=STATES_MOST):
    return solve(source.text, source.workers, states_most, setup=source.setup, check="check", outcome="outcome")


def asked(source, name="program"):
    """Ask the explorer about a program; also return what has changed in the program's own namespace."""
    file = f"<{name}>"
    linecache.cache[file] = (len(source.text), None, source.text.splitlines(keepends=True), file)
    space = {"__name__": "student"}
    exec(compile(source.text, file, "exec"), space)
    before = {key: (id(value), repr(value)) for key, value in space.items() if key != "__builtins__"}
    single = isinstance(source.workers, str)
    result = explore(
        space[source.workers] if single else [space[worker] for worker in source.workers],
        setup=space[source.setup] if source.setup else None,
        check=space["check"],
        outcome=space["outcome"],
        executions_most=EXECUTIONS_MOST,
        seconds_most=60.0,
    )
    after = {key: (id(value), repr(value)) for key, value in space.items() if key != "__builtins__"}
    del linecache.cache[file]
    return result, sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def differences(source, answer, name="program"):
    """Return where explorer and machine differ, as lines."""
    result, changed = asked(source, name)
    found = frozenset(one.text for one in result.outcomes)
    wrong = frozenset(one.text for one in result.outcomes if not one.allowed)
    verdict = "bug" if answer.kinds - {"livelock"} else "proved"
    kinds = answer.kinds - ({"livelock"} if verdict == "bug" else set())
    lines = []
    if result.executions >= EXECUTIONS_MOST and result.verdict in {"not finished", verdict} and not changed:
        cut_off.append(name)
        return [f"impossible: {text}" for text in sorted(found - answer.outcomes)]  # true as far as it goes
    if result.verdict != verdict:
        lines.append(f"verdict: {result.verdict} ({result.kind}: {result.reason}), not {verdict} ({sorted(kinds)})")
    elif result.kind not in (kinds or {None}):
        lines.append(f"kind: {result.kind}, not {sorted(kinds)} ({result.reason})")
    lines += [f"not found: {text}" for text in sorted(answer.outcomes - found)]
    lines += [f"impossible: {text}" for text in sorted(found - answer.outcomes)]
    if found == answer.outcomes and wrong != answer.wrong:
        lines.append(f"not allowed: {sorted(wrong)}, not {sorted(answer.wrong)}")
    lines += [f"changed in the student's namespace: {name}" for name in changed]
    return lines


def alone():
    """Let the search stand alone: the quick search before it and the audit after it would hide what it misses."""
    return mock.patch.multiple(job, _HUNT_EXECUTIONS=0, _AUDIT_EXECUTIONS=0, _ESTIMATES=0)


def compare(seed):
    """Return nothing if explorer and machine agree about the program of a seed, else its source and the differences.

    With odd seeds the explorer's search stands alone.
    """
    source, answer = program(seed)
    with alone() if seed % 2 else contextlib.nullcontext():
        lines = differences(source, answer, f"program {seed}")
    return "\n".join([f"seed {seed}: {source.workers}", source.text, *lines]) if lines else ""
