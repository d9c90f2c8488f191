"""Rounds of a student's loops: one that had no effect becomes an await. Rule: a doubtful round counts as an effect.

A round of a ``while`` loop that only read, and after which the local variables are as before, would be repeated without
end until another thread writes what it has read. The thread stops then with a `Spin`, which is enabled by such a write:
busy waiting has finitely many interleavings in this way.
"""

from __future__ import annotations

import sys
from typing import Any

from labkit.interleave import execution
from labkit.interleave.ops import CONFLICT, ENGINE, PART_READ, READ, CannotCheck, Op, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from types import FrameType

    from labkit.interleave.execution import Execution

__all__ = ["STRIDE", "Spin", "begin", "effect", "local_step", "tick"]

STRIDE = 1000  # steps of a for loop between two calls of local_step
_ROUNDS_MOST = 100_000
_STEPS_MOST = 1_000_000
_EFFECTS = "effects"  # key in Controlled.loops, beside the loops' own
_STEPS = "steps"
_INLINED = sys.version_info >= (3, 12)  # comprehensions are no functions: what is in a cell is seen by another function


class Spin(Op):
    """Waits until something that a round without effect has read is written.

    Attributes:
        since: For each location, the index in the trace of the round's first operation that read it: a conflicting
            write with a greater index enables the spin. Empty if the round read nothing: it spins for ever.
    """

    __slots__ = ("_awake", "_execution", "_looked", "_modes", "since")

    def __init__(self, run: Execution, reads: Mapping[Hashable, tuple[int, int]], name: str, place: Place) -> None:
        super().__init__("spin", tuple((location, mode) for location, (mode, _) in reads.items()), None, name, place)
        self.since = {location: index for location, (_, index) in reads.items()}
        self._modes = dict(self.accesses)
        self._execution, self._awake = run, False
        self._looked = min(self.since.values(), default=0)  # steps of the trace before this one wake nobody

    @property
    def pure(self) -> bool:
        """Return True if the round read nothing, so that no write can end the loop."""
        return not self.since

    def enabled(self) -> bool:
        """Return True if a location has been written after it was read.

        The trace says it, and not `Execution.versions`: those do not tell a write of a whole container from that of
        another item. Every step of the trace is over when a thread asks.
        """
        if self.since and not self._awake:
            trace = self._execution.trace
            while self._looked < len(trace) and not self._awake:
                self._awake = self._wakes(self._looked, trace[self._looked][1])
                self._looked += 1
        return self._awake

    def _wakes(self, index: int, op: Op) -> bool:
        for location, mode in op.accesses:
            if mode & 1 and index > self.since.get(location, index) and CONFLICT[self._modes[location]][mode]:
                return True
        return False


class _Round:
    """How things stood at the head of a round.

    Attributes:
        at: Length of the trace.
        values: The local variables.
        effects: Count of effects that are no operations.
        quiet_count: Rounds since the last operation.
    """

    __slots__ = ("at", "effects", "quiet_count", "values")

    def __init__(self, at: int, values: dict[str, Any], effects: int, quiet_count: int) -> None:
        self.at, self.values, self.effects, self.quiet_count = at, values, effects, quiet_count


def begin(key: Hashable) -> None:
    """Forget what is known of a loop in the calling thread: the loop is entered anew."""
    thread = execution.current()
    if thread is not None:
        thread.loops.pop((key, id(_student())), None)


def effect() -> None:
    """Note a change that is no operation, such as of an iterator's position: the round has an effect."""
    thread = execution.current()
    if thread is not None:
        thread.loops[_EFFECTS] = thread.loops.get(_EFFECTS, 0) + 1


def tick(key: Hashable, values: dict[str, Any], place: Place) -> None:
    """Begin a round of a ``while`` loop, also the first; wait here if the round before had no effect.

    Args:
        key: Which loop.
        values: The local variables, without those that other functions share: these are written by operations.
        place: The loop's condition.

    Raises:
        Abort: The execution has ended.
        CannotCheck: There were more than 100,000 rounds without an operation.
    """
    thread = execution.current()
    if thread is None:
        return
    execution.check()
    frame = _student()
    record_key, values = (key, id(frame)), _own(values, frame)
    trace = thread.execution.trace
    effects = thread.loops.get(_EFFECTS, 0)
    last: _Round | None = thread.loops.get(record_key)
    quiet_count = 0
    if last is not None:
        ops = [(index, trace[index][1]) for index in range(last.at, len(trace)) if trace[index][0] == thread.index]
        quiet_count = 0 if ops else last.quiet_count + 1
        if quiet_count > _ROUNDS_MOST:
            raise CannotCheck(f"computes more than {_ROUNDS_MOST} rounds without touching anything shared", place)
        if last.effects == effects and _same_values(last.values, values):
            reads = _reads(ops)
            if reads is not None:
                execution.stop(Spin(thread.execution, reads, place.text, place))
    thread.loops[record_key] = _Round(len(trace), values, effects, quiet_count)


def local_step(place: Place) -> None:
    """Take note of `STRIDE` steps of a ``for`` loop, which may be all that a thread does.

    Raises:
        Abort: The execution has ended.
        CannotCheck: There were more than 1,000,000 steps without an operation.
    """
    thread = execution.current()
    if thread is None:
        return
    execution.check()
    ops_count, steps_count = thread.loops.get(_STEPS, (-1, 0))
    steps_count = steps_count + STRIDE if ops_count == len(thread.log) else STRIDE
    thread.loops[_STEPS] = len(thread.log), steps_count
    if steps_count > _STEPS_MOST:
        raise CannotCheck(f"computes more than {_STEPS_MOST} steps without touching anything shared", place)


def _student() -> FrameType:
    """Return the frame whose loop it is: a recursive function has the same loop in several frames."""
    frame = sys._getframe(1)  # noqa: SLF001 - documented for CPython
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).startswith(ENGINE):
        frame = frame.f_back
    return frame


def _own(values: dict[str, Any], frame: FrameType) -> dict[str, Any]:
    """Leave out variables that other functions share: another thread may write them between two operations."""
    shared = frame.f_code.co_freevars + (frame.f_code.co_cellvars if _INLINED else ())
    return {name: value for name, value in values.items() if name not in shared} if shared else values


def _reads(ops: list[tuple[int, Op]]) -> dict[Hashable, tuple[int, int]] | None:
    """Return mode and index of the first read of each location; None if there was anything but reads."""
    reads: dict[Hashable, tuple[int, int]] = {}
    for index, op in ops:
        for location, mode in op.accesses:
            if mode not in {READ, PART_READ}:
                return None
            known_mode, first = reads.get(location, (mode, index))
            reads[location] = (min(mode, known_mode), first)  # READ conflicts with more than PART_READ
    return reads


def _same_values(before: dict[str, Any], now: dict[str, Any]) -> bool:
    return before.keys() == now.keys() and all(_same(value, now[name]) for name, value in before.items())


def _same(first: Any, second: Any) -> bool:
    """Return True if nobody can tell two values apart, not even by what they do next."""
    kind = type(first)
    if kind is not type(second):
        return False
    if kind is tuple:
        return len(first) == len(second) and all(map(_same, first, second))
    if kind in {int, str, bool, type(None), bytes}:
        return bool(first == second)
    if kind in {float, complex}:
        return repr(first) == repr(second)  # 0.0 is not -0.0
    return first is second and not hasattr(kind, "__next__")  # an iterator moves on without an operation
