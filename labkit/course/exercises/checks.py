"""What a schedule says of a student's answer. Rule: pure, from the result; never from the answer's text."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from labkit.interleave.story import cycle

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.interleave.result import Result

__all__ = [
    "GIVEN",
    "PROBE",
    "Rule",
    "blind",
    "circle",
    "endless",
    "failed",
    "held",
    "in_turn",
    "judge",
    "kept",
    "let_go",
    "livelock",
    "never",
    "no_lock",
    "overlocked",
    "own_locks",
    "read_before",
    "said",
    "self_stop",
    "slept",
    "window",
    "written_after",
]

GIVEN, PROBE = "the given code", "the check"  # names of the files that are not the student's
_PAIR = 2

Rule: TypeAlias = "tuple[Callable[[Result], bool], str]"  # if the result is such, the student is told this


def judge(*rules: Rule, otherwise: str) -> Callable[[Result], str]:
    """Return the judgement of a probe that finds nothing if the answer is right.

    Args:
        rules: Asked in order after those that fit every exercise; in a message ``{read}`` and ``{write}`` stand for
            the numbers of the lines of the window, ``{error}`` for the exception.
        otherwise: What is said if no rule fits.
    """

    def says(result: Result) -> str:
        if result.kind is None:
            return ""
        return next((said(message, result) for fits, message in (*_ALWAYS, *rules) if fits(result)), otherwise)

    return says


def said(message: str, result: Result) -> str:
    """Fill the lines of the window and the exception into a message."""
    read, write = window(result)
    lines = {"read": _line(result, read), "write": _line(result, write)}
    return message.format(error=(result.error.splitlines() or [""])[-1], **lines)


def _line(result: Result, index: int) -> str:
    return str(result.witness[index].span[0]) if index >= 0 else "?"


def held(result: Result, index: int) -> frozenset[str]:
    """Return the names of the locks that a step's thread holds when it takes that step."""
    names: list[str] = []
    for step in result.witness[:index]:
        if step.thread != result.witness[index].thread:
            continue
        if step.kind == "acquire" or (step.kind == "try" and step.value == "True"):
            names.append(step.name)
        elif step.kind == "release" and step.name in names:
            names.remove(step.name)
    return frozenset(names)


def window(result: Result) -> tuple[int, int]:
    """Find a read and a write of one thread between which another one wrote the same name; (-1, -1) if none did.

    Both ends stand in the student's own lines: the given code and the check have lines that the student does not see.
    """
    steps = result.witness
    for read, first in enumerate(steps):
        for write in range(read + 1, len(steps)):
            last = steps[write]
            kinds, files = (first.kind, last.kind), {first.file, last.file}
            same = (first.thread, first.name) == (last.thread, last.name)
            own = kinds == ("read", "write") and same and not files & {GIVEN, PROBE}
            between = steps[read + 1 : write]
            if own and any(
                one.thread != first.thread and one.kind == "write" and one.name == first.name for one in between
            ):
                return read, write
    return -1, -1


def never(result: Result, kind: str) -> bool:
    """Return True if no thread of the witness takes a step of a kind."""
    return all(step.kind != kind for step in result.witness)


def no_lock(result: Result) -> bool:
    """Nobody takes a lock."""
    return never(result, "acquire") and never(result, "try")


def slept(result: Result) -> bool:
    """A thread sleeps, and nobody takes a lock."""
    return no_lock(result) and not never(result, "sleep")


def read_before(result: Result) -> bool:
    """The window opens before the lock is taken that closes it."""
    read, write = window(result)
    return read >= 0 and not held(result, read) and bool(held(result, write))


def written_after(result: Result) -> bool:
    """The window closes after the lock was given back under which it opened."""
    read, write = window(result)
    return read >= 0 and bool(held(result, read)) and not held(result, write)


def let_go(result: Result) -> bool:
    """The same lock is held at both ends of the window, and was given back in between."""
    read, write = window(result)
    if read < 0:
        return False
    both, thread = held(result, read) & held(result, write), result.witness[read].thread
    between = result.witness[read:write]
    return any((one.thread, one.kind) == (thread, "release") and one.name in both for one in between)


def own_locks(result: Result) -> bool:
    """Two threads take locks, and none is taken by more than one of them."""
    taken = {(step.thread, step.name) for step in result.witness if step.kind in {"acquire", "try"}}
    names = [name for _, name in taken]
    anew = any(step.kind == "write" and step.name in names for step in result.witness)
    return len({thread for thread, _ in taken}) >= _PAIR and (anew or len(names) == len(set(names)))


def blind(result: Result) -> bool:
    """A thread does not get a lock at once, and does not wait for it."""
    return any(step.kind == "try" and step.value == "False" for step in result.witness)


def _apart(result: Result) -> bool:
    """The threads ran one after the other."""
    turns = [one for one, before in zip(result.schedule, (-1, *result.schedule), strict=False) if one != before]
    return len(turns) == len(set(turns))


def in_turn(result: Result) -> bool:
    """The end is wrong although the threads ran one after the other."""
    return result.kind == "wrong result" and _apart(result)


def failed(result: Result) -> bool:
    """A thread dies of an exception."""
    return result.kind == "exception"


def _failed_apart(result: Result) -> bool:
    """A thread dies of an exception although the threads ran one after the other."""
    return failed(result) and _apart(result)


def livelock(result: Result) -> bool:
    """The threads give way to each other, and come back to where they were."""
    return result.kind == "livelock"


def endless(result: Result) -> bool:
    """A loop goes round for ever, and nothing that another thread does could end it."""
    return result.kind == "spins for ever"


def circle(result: Result) -> bool:
    """Threads wait for each other in a circle."""
    return len(cycle(result)) >= _PAIR


def self_stop(result: Result) -> bool:
    """A thread waits for a lock that it holds itself."""
    return any(thread == holder for thread, _, holder, *_ in result.blocked)


def kept(result: Result) -> bool:
    """A lock is still held at the end, by a thread that has ended."""
    if result.kind == "wrong result":
        return bool(result.witness) and any(one.owner >= 0 for one in result.witness[-1].shared)
    waiting = {thread for thread, *_ in result.blocked}
    return result.kind == "deadlock" and any(who >= 0 and who not in waiting for _, _, who, *_ in result.blocked)


def overlocked(result: Result) -> bool:
    """Where two threads are made to meet, no schedule lets them."""
    return bool(result.outcomes) and all(outcome.text == "deadlock" for outcome in result.outcomes)


_ALWAYS: tuple[Rule, ...] = (
    (_failed_apart, "A thread fails with `{error}`. That is no question of interleaving yet: mend it first."),
    (failed, "A thread fails with `{error}`, in some interleavings only: see below what the other one did before."),
    (endless, "A loop goes round for ever, whatever the other thread does."),
    (
        livelock,
        (
            "No deadlock, but a livelock: a thread fails to get a lock, gives way and tries again, and that can go on "
            "for ever. The schedule below comes back to where it was."
        ),
    ),
    (self_stop, "A thread takes a lock that it holds already, and waits for itself. Take it once, or use an `RLock`."),
    (
        kept,
        "A lock is never given back: its holder is gone, and whoever comes next waits for ever. `with` gives it back.",
    ),
)
