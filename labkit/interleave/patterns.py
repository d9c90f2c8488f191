"""Names the mistake that a witness shows, and says each step in words. Rule: pure; names only what the steps show."""

from __future__ import annotations

from itertools import combinations, permutations
from typing import TYPE_CHECKING

from labkit.interleave.story import cycle
from labkit.interleave.syntax import feeds, in_test
from labkit.interleave.words import is_call, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labkit.interleave.result import Result, Step

__all__ = ["CHANGES", "PATTERNS", "advice", "mark_stale", "pattern", "say"]

CHANGES = frozenset({"write", "put", "get", "set", "clear"})  # kinds that change what a name stands for
_ABSENT = ("None", "False", "0", "")  # values of a thing that is not there yet
_PAIR = 2


def mark_stale(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Fill `stale` and `overwritten` of each write whose thread's own latest read of the name had become old.

    `stale` is the thread's latest read of the name, `overwritten` the latest write to it, if that came after the read
    and from another thread. A call such as ``items.pop()`` changes a container, and overwrites nothing.
    """
    marked: list[Step] = []
    reads: dict[tuple[int, str], int] = {}  # the latest read of each thread, by name
    writes: dict[str, int] = {}  # the latest write of anyone
    for index, step in enumerate(steps):
        stale, overwritten = -1, -1
        if step.kind == "read":
            reads[step.thread, step.name] = index
        elif step.kind == "write":
            read, write = reads.get((step.thread, step.name), -1), writes.get(step.name, -1)
            if 0 <= read < write and steps[write].thread != step.thread and not is_call(step):
                stale, overwritten = read, write
            writes[step.name] = index
        marked.append(step._replace(stale=stale, overwritten=overwritten))
    return tuple(marked)


def pattern(result: Result) -> str:
    """Name the mistake that the witness of a result shows; empty if none is recognised."""
    if result.kind == "livelock":
        return "livelock"
    if result.verdict != "bug" or not result.witness:
        return ""
    return next((name for name, (found, _) in PATTERNS.items() if found(result)), "")


def advice(name: str) -> str:
    """Return what a pattern is, and what mends it, in one sentence; empty for an unknown one."""
    return PATTERNS[name][1] if name in PATTERNS else _LIVELOCK if name == "livelock" else ""


def _latest(steps: Sequence[Step], before: int, thread: int, kind: str, name: str = "") -> int:
    """Return the index of a thread's latest step of a kind before another step; -1 if there is none."""
    found = (index for index in reversed(range(before)) if (steps[index].thread, steps[index].kind) == (thread, kind))
    return next((index for index in found if not name or steps[index].name == name), -1)


# --- deadlocks -------------------------------------------------------------------------------------------------------


def _lock_kept_after_exception(result: Result) -> bool:
    """Someone waits for ever for a lock whose holder has ended, with an exception."""
    waiting = {thread for thread, *_ in result.blocked}
    gone = {holder for _, _, holder, *_ in result.blocked if holder >= 0} - waiting
    failed = {step.thread for step in result.witness if step.kind == "raise"}
    return any(thread in failed or (result.error and not failed) for thread in gone)


def _self_deadlock(result: Result) -> bool:
    return any(thread == holder for thread, _, holder, *_ in result.blocked)


def _ab_ba(result: Result) -> bool:
    return len(cycle(result)) == _PAIR


def _circular_wait(result: Result) -> bool:
    return len(cycle(result)) > _PAIR


def _lost_wake_up(result: Result) -> bool:
    """A thread sleeps for ever, and the notification came before it slept: nobody was there to hear it."""
    steps = result.witness
    for thread, name, holder, *_ in result.blocked:
        slept = _latest(steps, len(steps), thread, "wait", name)
        calls = [index for index, one in enumerate(steps[: max(slept, 0)]) if (one.kind, one.name) == ("notify", name)]
        if holder < 0 and any(not _sleepers(result, index) for index in calls):
            return True
    return False


def _sleepers(result: Result, index: int) -> set[int]:
    """Return the threads that had begun to wait on what a step notifies, and had not woken."""
    name, sleeping = result.witness[index].name, set()
    for step in result.witness[:index]:
        if step.name == name and step.kind == "wait":
            sleeping.add(step.thread)
        elif step.thread in sleeping:
            sleeping.discard(step.thread)
    return sleeping


# --- wrong results ---------------------------------------------------------------------------------------------------


def _if_instead_of_while(result: Result) -> bool:
    return any(_goes_on_unchecked(result, index) for index, step in enumerate(result.witness) if step.kind == "wake")


def _goes_on_unchecked(result: Result, woke: int) -> bool:
    """A thread wakes, the value that made it wait is back, and it goes on without looking at it again."""
    steps, step = result.witness, result.witness[woke]
    slept = _latest(steps, woke, step.thread, "wait")
    looked = _latest(steps, slept, step.thread, "read") if slept >= 0 else -1
    if looked < 0 or not in_test(result.sources, steps[looked]):
        return False
    read = steps[looked]
    others = [one for one in steps[slept:woke] if one.thread != step.thread]
    changed = any(one.name == read.name and one.kind in CHANGES for one in others)
    back = any(one.name == read.name and one.value == read.value for one in step.shared)
    after = [one for one in steps[woke + 1 :] if one.thread == step.thread]
    again = any((one.file, one.span) == (read.file, read.span) for one in after)
    return changed and back and bool(after) and not again


def _lost_update(result: Result) -> bool:
    return any(
        not in_test(result.sources, result.witness[step.stale])
        and feeds(result.sources, result.witness[step.stale], step)
        for step in result.witness
        if step.stale >= 0
    )


def _check_then_act(result: Result) -> bool:
    return any(
        step.kind == "read" and in_test(result.sources, step) and _acts_on_old_test(result, index)
        for index, step in enumerate(result.witness)
    )


def _acts_on_old_test(result: Result, tested: int) -> bool:
    """A thread tests a value, another one changes it, and the first acts on it without testing again."""
    read, changed = result.witness[tested], False
    for one in result.witness[tested + 1 :]:
        if one.thread == read.thread:
            if changed and (one.kind == "raise" or (one.name == read.name and one.kind in CHANGES)):
                return True
            if one.kind == "read" and one.name == read.name and in_test(result.sources, one):
                return False
        elif one.name == read.name:
            changed = changed or one.kind in CHANGES
    return changed and any((thread, name) == (read.thread, read.name) for thread, name, *_ in result.blocked)


def _unsafe_publication(result: Result) -> bool:
    """A thread sees that something is there, and then reads a part of it that is only made later."""
    for first, second, shown, made in _mixed_reads(result):
        tested = in_test(result.sources, result.witness[first]) and not in_test(result.sources, result.witness[second])
        new_then_old = shown < first and second < made
        if (
            tested
            and new_then_old
            and _value_before(result, shown) in _ABSENT
            and result.witness[first].value not in _ABSENT
        ):
            return True
    return False


def _value_before(result: Result, index: int) -> str:
    """Return what a name stood for before a step; ``"?"`` if no step shows it, and nothing before the first step."""
    if not index:
        return ""
    shared = result.witness[index - 1].shared
    return next((one.value for one in shared if one.name == result.witness[index].name), "?")


def _torn_read(result: Result) -> bool:
    """A thread reads two values in a row that another one writes in a row: one new, one old."""
    steps = result.witness
    return any(
        not in_test(result.sources, steps[first])
        and not in_test(result.sources, steps[second])
        and _next_own(steps, first) == second
        and max(_next_own(steps, a), _next_own(steps, b)) == max(a, b)
        for first, second, a, b in _mixed_reads(result)
    )


def _next_own(steps: Sequence[Step], index: int) -> int:
    """Return the index of the same thread's next step; -1 if it has none."""
    return next((later for later in range(index + 1, len(steps)) if steps[later].thread == steps[index].thread), -1)


def _mixed_reads(result: Result) -> Iterator[tuple[int, int, int, int]]:
    """Yield two reads of one thread and two writes of another one, of the same two names, one seen and one not."""
    steps = result.witness
    reads = [index for index, step in enumerate(steps) if step.kind == "read"]
    writes = [index for index, step in enumerate(steps) if step.kind == "write"]
    own = {(steps[index].thread, steps[index].name) for index in writes}
    for first, second in combinations(reads, _PAIR):
        one, two = steps[first], steps[second]
        if one.thread != two.thread or one.name == two.name or {(one.thread, one.name), (one.thread, two.name)} & own:
            continue
        for a, b in permutations(writes, _PAIR):
            named = (steps[a].name, steps[b].name) == (one.name, two.name)
            if (
                named
                and steps[a].thread == steps[b].thread
                and ((a < first and second < b) or (first < a and b < second))
            ):
                yield first, second, a, b


_LIVELOCK = "Livelock: the threads react to each other for ever, and none gets on; let one of them go first."
PATTERNS: dict[str, tuple[Callable[[Result], bool], str]] = {
    "lock kept after an exception": (
        _lock_kept_after_exception,
        "Lock kept after an exception: the thread failed between acquire and release; 'with' releases in any case.",
    ),
    "self-deadlock": (
        _self_deadlock,
        "Self-deadlock: a thread waits for a lock that it holds itself; use an RLock, or take the lock in one place.",
    ),
    "AB-BA deadlock": (
        _ab_ba,
        "AB-BA deadlock: two threads take the same two locks in opposite order; take them in one order everywhere.",
    ),
    "circular wait": (
        _circular_wait,
        "Circular wait: each thread holds what the one before it waits for; take the locks in one order everywhere.",
    ),
    "lost wake-up": (
        _lost_wake_up,
        "Lost wake-up: the notification came before the thread slept; test the state and wait under the same lock.",
    ),
    "if instead of while": (
        _if_instead_of_while,
        "If instead of while: the state can change again before the woken thread runs; test it again in a while loop.",
    ),
    "lost update": (
        _lost_update,
        "Lost update: another thread's write fell between reading and writing; hold a lock around both.",
    ),
    "check-then-act": (
        _check_then_act,
        "Check-then-act: what was tested is no longer true when it is acted upon; hold a lock around both.",
    ),
    "unsafe publication": (
        _unsafe_publication,
        "Unsafe publication: the thing can be seen before it is finished; finish it first, publish it last.",
    ),
    "torn read": (
        _torn_read,
        "Torn read: two values that belong together were read while they were being changed; read both under the lock.",
    ),
}
