"""Which steps of an execution could have come in another order, and where to branch for that. Rule: never misses one.

This is the race detection of source-DPOR. For a step j that may have to wait (for a lock, an event, a write) it is not
enough to look at the latest conflicting step i: if i is what let j go on, the two cannot be swapped, and the race is
with a step further back, such as the acquire before a release.
"""

from __future__ import annotations

from typing import NamedTuple

from labkit.interleave.happens_before import HappensBefore, granted
from labkit.interleave.locks import Acquire, EventWait, SemaphoreAcquire
from labkit.interleave.ops import CONFLICT, Op
from labkit.interleave.primitives import Model, Wake, free_of
from labkit.interleave.queues import Get, PriorityQueue, Put
from labkit.interleave.threads import Join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.interleave.execution import Execution
    from labkit.interleave.search import Node

__all__ = ["Races"]

# Operations that are never blocked and change no object that others wait for.
_PLAIN = frozenset({"read", "write"})
# Operations of which `Model.free` of what they wait for says whether they are possible; of others that is in doubt.
_TOLD_BY_FREE = (Acquire, SemaphoreAcquire, EventWait, Wake, Join, Get, Put)
_QUEUE_OP = Get.__bases__[0]
_YES, _NO, _DOUBT = "yes", "no", "doubt"


class Races:
    """Finds the races of one execution after another, and adds the branches that reverse them."""

    def __init__(self) -> None:
        self._past: list[int] = []  # of the execution before; its beginning is also that of the next one
        self._awaited: dict[int, Model] = {}  # objects of the execution under way that threads may wait for, by id

    def look(self, op: Op) -> dict[int, bool | None]:
        """Return, just before a step that may change objects that threads wait for, whether one could pass each."""
        if op.kind in _PLAIN:
            return {}
        target = op.target
        if id(target) not in self._awaited and isinstance(target, Model):
            self._awaited[id(target)] = target
        return {number: free_of(model) for number, model in self._awaited.items()}

    def learn(self, execution: Execution, path: list[Node], first: int, blocked: dict[int, Op]) -> None:
        """Add the branches that reverse the races of a finished execution.

        Args:
            execution: It.
            path: The steps of the search; gets the branches.
            first: The first step that is new; the races among those before it are known.
            blocked: What threads waited for at the end: steps that never came.
        """
        self._awaited = {}
        order = HappensBefore(execution.threads)
        analysis = _Analysis(order, execution.trace, path)
        for number, (thread, op) in enumerate(execution.trace):
            if number < first:
                order.add(thread, op, self._past[number])
                continue
            analysis.reverse(_Late(thread, op, order.own(thread, op), order.conflicts(op), executed=True))
            order.add(thread, op, order.before(op, order.forced(thread, op)))
        for thread, op in blocked.items():
            if granted(op) != -1:
                analysis.reverse(_Late(thread, op, order.own(thread, op), order.conflicts(op), executed=False))
        self._past = order.past


class _Late(NamedTuple):
    """A step that may have been possible earlier.

    Attributes:
        thread: Who executes it.
        op: The operation.
        forced: Mask of the steps that have to come before it.
        direct: Mask of the steps so far that conflict with it.
        executed: False for what a thread waited for at the end.
    """

    thread: int
    op: Op
    forced: int
    direct: int
    executed: bool


class _Analysis:
    """The steps of one execution so far, and the path that gets the branches."""

    __slots__ = ("_order", "_past", "_path", "_trace")

    def __init__(self, order: HappensBefore, trace: list[tuple[int, Op]], path: list[Node]) -> None:
        self._order, self._past, self._trace, self._path = order, order.past, trace, path

    def reverse(self, late: _Late) -> None:
        """Branch before each step that a late one could have come before."""
        left = late.direct & ~late.forced
        waits = _may_wait(late.op)
        while left:
            step = left.bit_length() - 1
            answer = self._swappable(step, late) if waits else _YES
            if answer != _NO:
                self._branch(step, late)
            # What comes before a step that can be swapped becomes a race of its own once they are swapped.
            left &= ~self._past[step] if answer == _YES else ~(1 << step)

    def _swappable(self, step: int, late: _Late) -> str:
        """Tell whether an operation that may wait could have been executed had a step not come before it.

        That is before the first change of what it waits for that comes with the step or after it: all changes of one
        object are ordered. Only a spin waits for any of several locations to be written.
        """
        op = late.op
        if op.kind == "spin":
            return _YES if self._another_writer(step, late) else _NO
        awaited = getattr(op, "lock", None) or op.target
        change = self._first_change(id(awaited), step)
        if change < 0:
            return _YES if late.executed else _DOUBT
        node = self._path[change]
        if granted(op) is None and node.pending.get(late.thread) is op:
            return _YES if late.thread in node.enabled else _NO
        is_open = node.open.get(id(awaited)) if isinstance(op, _TOLD_BY_FREE) else None
        return _DOUBT if is_open is None else _YES if is_open else _NO

    def _first_change(self, location: int, step: int) -> int:
        """Return the first write of a location that is a step or happens after it; -1 if there is none."""
        left = self._order.writers(location) >> step
        number = step
        while left:
            skipped = (left & -left).bit_length() - 1
            number += skipped
            if self._past[number] >> step & 1:
                return number
            left >>= skipped + 1
            number += 1
        return -1

    def _another_writer(self, step: int, late: _Late) -> bool:
        """Return True if a spin is let go by a write that does not need the given step to come first."""
        left = late.direct & ~(1 << step)
        while left:
            other = left.bit_length() - 1
            if not self._past[other] >> step & 1 and (not late.forced >> other & 1 or self._wakes(other, late.op)):
                return True
            left &= ~(1 << other)
        return False

    def _wakes(self, step: int, spin: Op) -> bool:
        """Return True if a write that a spin's own round saw in part lets it go: it came between two reads."""
        since = getattr(spin, "since", {})
        reads = dict(spin.accesses)
        return any(
            mode & 1 and location in reads and CONFLICT[reads[location]][mode] and step > since.get(location, step)
            for location, mode in self._trace[step][1].accesses
        )

    def _branch(self, step: int, late: _Late) -> None:
        """Make sure that some schedule does all that does not depend on a step, then the late one, before that step.

        It has to begin with one of the initials: threads whose first step in that sequence depends on none before it.
        """
        node, past = self._path[step], self._past
        walked = node.backtrack | node.sleep.keys()
        sequence, seen = 0, set()
        initials = []
        for number in range(step + 1, len(past)):
            if past[number] >> step & 1:
                continue
            thread = self._trace[number][0]
            if thread not in seen:
                seen.add(thread)
                if not past[number] & sequence:
                    if thread in walked:
                        return
                    initials.append(thread)
            sequence |= 1 << number
        if late.thread not in seen and not (late.direct | late.forced) & sequence:
            if late.thread in walked:
                return
            initials.append(late.thread)
        # Any initial will do; with the one that comes last, fewest executions turn out to be pruned.
        begin = next((initial for initial in reversed(initials) if initial in node.enabled), None)
        node.backtrack.update(node.enabled if begin is None else (begin,))


def _may_wait(op: Op) -> bool:
    """Return True if an operation is not always possible."""
    kind = type(op)
    if kind is _QUEUE_OP and not isinstance(op.target, PriorityQueue):
        return False  # only a priority queue is ever busy
    return kind.enabled is not Op.enabled
