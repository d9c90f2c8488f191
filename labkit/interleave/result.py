"""What an exploration found: plain values that travel as JSON. Rule: no behaviour beyond text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.model import Event

__all__ = ["Lane", "Outcome", "Result", "Shared", "Step", "from_json", "to_json"]


class Outcome(NamedTuple):
    """One way in which the program can end.

    Attributes:
        text: The visible state at the end, such as ``"counter = 1"``; or ``"deadlock"``, ``"spins for ever"``.
        traces_count: Traces (schedules that differ in more than independent steps) that end so.
        allowed: True if the check accepts it.
        schedule: Thread numbers of the shortest schedule found that ends so.
    """

    text: str
    traces_count: int
    allowed: bool
    schedule: tuple[int, ...] = ()


class Lane(NamedTuple):
    """One thread of the program.

    Attributes:
        name: ``"A"``, ``"B"`` ... in the order of their start (``"main"`` for a main that starts the others).
        function: Name of what it runs.
    """

    name: str
    function: str


class Shared(NamedTuple):
    """One shared value or synchronization object, as it is after a step.

    Attributes:
        name: What the source calls it.
        value: Its text; empty for a lock.
        writer: Index of the step that wrote it last; -1 if none did.
        owner: Number of the thread that holds it; -1 if none, or if it is no lock.
        waiters: Numbers of the threads whose next step waits for it.
    """

    name: str
    value: str
    writer: int = -1
    owner: int = -1
    waiters: tuple[int, ...] = ()


class Step(NamedTuple):
    """One step of the witness: a visible operation that one thread executed.

    Attributes:
        thread: Number of the thread, an index of `Result.threads`.
        kind: One of: read, write, acquire, try, release, wait, wake, notify, set, clear, put, get, arrive, leave,
            start, join, sleep, spin, raise.
        name: What it was done to.
        value: What was seen or written, as text.
        file: File or cell of the expression; empty if it has none.
        span: First line (from 1), first column (from 0), last line, column after the last character.
        text: Source of the expression.
        shared: All shared values and locks after the step.
        stale: For a write that is based on a stale read: index of the step that read; else -1. The write that it
            overwrites without having seen it is `overwritten`.
        overwritten: See `stale`; else -1.
    """

    thread: int
    kind: str
    name: str
    value: str
    file: str
    span: tuple[int, int, int, int]
    text: str
    shared: tuple[Shared, ...] = ()
    stale: int = -1
    overwritten: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What exploring a program found.

    Attributes:
        verdict: 'bug', 'proved', 'not finished' or 'cannot check'.
        kind: None, 'wrong result', 'deadlock', 'exception', 'livelock' or 'spins for ever'.
        reason: One sentence.
        pattern: Name of the mistake, such as 'lost update'; empty if none was recognised.
        outcomes: Every way to end that was found.
        executions: Executions of the search that walks the whole tree.
        hunted: Executions of the quick search that came first, for a short witness.
        audited: Executions of random schedules that checked the search.
        schedules: Estimate of how many schedules there are, without any reduction; 0 if it is not known.
        traces: Different traces among the executions that ran to their end.
        seconds: How long everything took.
        threads: The threads of the program.
        schedule: Thread numbers of the shortened witness, one per step; empty if there is none.
        witness: The steps of that schedule.
        blocked: At a deadlock, for each thread that waits: (thread, name of what it waits for, thread that holds
            it or -1, file, line).
        error: Traceback, if the witness ends with an exception.
        token: Text that replays the witness with ``explore(..., token=...)``.
        events: The witness for the shared timeline; time is the number of the step.
        sources: Source of the functions that the steps stand in: file -> (first line, text).
        output: What the witness printed.
        where: 'in a child process', or 'in the kernel' with the reason.
    """

    verdict: str
    kind: str | None = None
    reason: str = ""
    pattern: str = ""
    outcomes: tuple[Outcome, ...] = ()
    executions: int = 0
    hunted: int = 0
    audited: int = 0
    schedules: float = 0.0
    traces: int = 0
    seconds: float = 0.0
    threads: tuple[Lane, ...] = ()
    schedule: tuple[int, ...] = ()
    witness: tuple[Step, ...] = ()
    blocked: tuple[tuple[int, str, int, str, int], ...] = ()
    error: str = ""
    token: str = ""
    events: tuple[Event, ...] = ()
    sources: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    output: str = ""
    where: str = ""

    def __bool__(self) -> bool:
        """Refuse to be a truth value: 'not finished' is neither."""
        message = f"ask for .verdict, which is {self.verdict!r}: a result is neither true nor false"
        raise TypeError(message)


def to_json(result: Result) -> dict[str, Any]:
    """Return a result as lists and dicts of plain values."""
    return {name: getattr(result, name) for name in Result.__dataclass_fields__}


def from_json(data: Mapping[str, Any]) -> Result:
    """Make a result from what `to_json` gave, after a journey as JSON text."""
    from labkit.model import Event

    known = {name: data[name] for name in Result.__dataclass_fields__}
    known["outcomes"] = tuple(
        Outcome(text, count, allowed, tuple(way)) for text, count, allowed, way in known["outcomes"]
    )
    known["threads"] = tuple(Lane(*lane) for lane in known["threads"])
    known["witness"] = tuple(_step(row) for row in known["witness"])
    known["schedule"] = tuple(known["schedule"])
    known["blocked"] = tuple(tuple(row) for row in known["blocked"])
    known["events"] = tuple(Event(*row) for row in known["events"])
    known["sources"] = {file: (line, text) for file, (line, text) in known["sources"].items()}
    return Result(**known)


def _step(row: Any) -> Step:
    step = Step(*row)
    shared = tuple(
        Shared(name, value, writer, owner, tuple(waiters)) for name, value, writer, owner, waiters in step.shared
    )
    first, column, last, end = step.span
    return step._replace(span=(first, column, last, end), shared=shared)
