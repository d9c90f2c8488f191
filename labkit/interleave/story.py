"""What a witness shows beside its steps: who holds what, who waits, which read went stale. Rule: pure, from the steps.

Positions count from 0 (before the first step) to the number of steps; step number `n` leads from position n to n + 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.interleave.result import Result, Shared

__all__ = [
    "Arrow",
    "Bar",
    "arrows",
    "cycle",
    "holds",
    "letter",
    "shared_at",
    "shared_names",
    "standing",
    "upcoming",
    "waits",
]


class Bar(NamedTuple):
    """A stretch of one lane in which a thread holds something, or waits for it.

    Attributes:
        thread: Number of the thread.
        name: What it holds or waits for.
        first: Position at which it begins.
        last: Position at which it ends; one more than the number of steps if it does not end.
    """

    thread: int
    name: str
    first: int
    last: int


class Arrow(NamedTuple):
    """A write that is based on a value that another thread had replaced meanwhile; all are indices of steps."""

    read: int
    overwritten: int
    write: int


def letter(result: Result, thread: int) -> str:
    """Return what a thread is called, such as ``"A"``."""
    return result.threads[thread].name if 0 <= thread < len(result.threads) else "?"


def shared_names(result: Result) -> tuple[tuple[str, int], ...]:
    """List the shared values and locks of a witness in order of appearance; equal names are told apart by a number."""
    found: dict[tuple[str, int], None] = {}
    for step in result.witness:
        found.update(dict.fromkeys(_keyed(step.shared)))
    return tuple(found)


def shared_at(result: Result, position: int) -> dict[tuple[str, int], Shared]:
    """Return the shared values after `position` steps.

    Before the first step only what that step left untouched is known; the rest has the value ``"?"``.
    """
    if not result.witness:
        return {}
    if position > 0:
        return _keyed(result.witness[position - 1].shared)
    first = result.witness[0]
    after = _keyed(first.shared)
    return {key: _before(one, first.kind, touched=one.name == first.name) for key, one in after.items()}


def _before(one: Shared, kind: str, *, touched: bool) -> Shared:
    unknown = one.writer == 0 or (touched and kind not in {"read", "acquire", "try", "release", "wait", "notify"})
    return one._replace(value="?" if unknown and one.value else one.value, writer=-1, owner=-1, waiters=())


def _keyed(shared: tuple[Shared, ...]) -> dict[tuple[str, int], Shared]:
    keyed: dict[tuple[str, int], Shared] = {}
    for one in shared:
        number = 0
        while (one.name, number) in keyed:
            number += 1
        keyed[one.name, number] = one
    return keyed


def holds(result: Result) -> list[Bar]:
    """List who held which lock, from when to when."""
    return _bars(result, lambda one: (one.owner,) if one.owner >= 0 else ())


def waits(result: Result) -> list[Bar]:
    """List who waited for what, from when to when; without a pause between two steps in a row."""
    bars = _bars(result, lambda one: one.waiters)
    end = len(result.witness) + 1
    known = {(bar.thread, bar.name) for bar in bars if bar.last == end}
    missing = [(thread, name) for thread, name, *_ in result.blocked if (thread, name) not in known]
    return bars + [Bar(thread, name, _last_step_of(result, thread) + 1, end) for thread, name in missing]


def _bars(result: Result, who: Callable[[Shared], tuple[int, ...]]) -> list[Bar]:
    bars: list[Bar] = []
    begun: dict[tuple[int, tuple[str, int]], int] = {}
    for position in range(1, len(result.witness) + 1):
        now = {(thread, key) for key, one in shared_at(result, position).items() for thread in who(one)}
        for thread, key in [each for each in begun if each not in now]:
            bars.append(Bar(thread, key[0], begun.pop((thread, key)), position))
        for each in now:
            begun.setdefault(each, position)
    bars += [Bar(thread, key[0], first, len(result.witness) + 1) for (thread, key), first in begun.items()]
    return sorted(bars, key=lambda bar: (bar.first, bar.thread, bar.name))


def arrows(result: Result) -> list[Arrow]:
    """List the stale reads with the writes that were overwritten unseen, in order of the stale writes."""
    return [
        Arrow(step.stale, step.overwritten, index)
        for index, step in enumerate(result.witness)
        if step.stale >= 0 and step.overwritten >= 0
    ]


def cycle(result: Result) -> tuple[tuple[int, str], ...]:
    """Return the circle of a deadlock: each thread with the lock it waits for, which the next thread holds."""
    waiting = {thread: (name, holder) for thread, name, holder, *_ in result.blocked if holder >= 0}
    for start in waiting:
        path: list[int] = []
        thread = start
        while thread in waiting and thread not in path:
            path.append(thread)
            thread = waiting[thread][1]
        if thread in path:
            circle = path[path.index(thread) :]
            first = circle.index(min(circle))
            return tuple((each, waiting[each][0]) for each in circle[first:] + circle[:first])
    return ()


def upcoming(result: Result, thread: int, position: int) -> int:
    """Return the index of a thread's next step, or -1 if it has none."""
    steps = result.witness
    return next((index for index in range(position, len(steps)) if steps[index].thread == thread), -1)


def standing(result: Result, thread: int, position: int) -> tuple[str, str]:
    """Say what a thread does at a position: one of runs, waits, ready, failed, ended, stuck; and about what."""
    waiting = [(key[0], one) for key, one in shared_at(result, position).items() if thread in one.waiters]
    last = position == len(result.witness)
    stuck = [(name, holder) for who, name, holder, *_ in result.blocked if who == thread]
    if stuck and last:
        return "stuck", _for(result, *stuck[0])
    if waiting:
        return "waits", _for(result, waiting[0][0], waiting[0][1].owner)
    if position and result.witness[position - 1].thread == thread:
        if result.witness[position - 1].kind == "raise":
            return "failed", result.witness[position - 1].name
        return "runs", ""
    if upcoming(result, thread, position) >= 0 or stuck:
        return "ready", ""
    own = [step for step in result.witness[:position] if step.thread == thread]
    return ("failed", own[-1].name) if own and own[-1].kind == "raise" else ("ended", "")


def _for(result: Result, name: str, holder: int) -> str:
    return f"{name}, held by {letter(result, holder)}" if holder >= 0 else name


def _last_step_of(result: Result, thread: int) -> int:
    return max((index for index, step in enumerate(result.witness) if step.thread == thread), default=-1)
