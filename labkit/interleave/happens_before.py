"""The order that an execution forces on its steps, as bit masks and as a name. Rule: looks at finished executions only.

Step i happens before step j if one thread executed both, if their accesses conflict, or if i is what made j possible
whatever else had happened (start, end of a joined thread, notify, last arrival at a barrier). Two executions with the
same order are equivalent: they end in the same state.
"""

from __future__ import annotations

from labkit.interleave.ops import CONFLICT, PART_WRITE, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from labkit.interleave.execution import Controlled, Execution
    from labkit.interleave.ops import Op

__all__ = ["HappensBefore", "canonical", "granted"]

# For each access mode, the modes that conflict with it.
_CONFLICTING = tuple(tuple(other for other in range(4) if CONFLICT[mode][other]) for mode in range(4))


def granted(op: Op) -> int | None:
    """Return the step that gave an operation its ticket, -1 if it has none yet, None if it needs none."""
    ticket = getattr(op, "ticket", None)
    if ticket is None:
        return None
    return -1 if ticket.step is None else int(ticket.step)


class HappensBefore:
    """The order of one execution's steps, built step by step.

    Attributes:
        past: For each step the mask of the steps that happen before it, with its own bit.
        last: For each thread its latest step.
    """

    __slots__ = ("_events", "_pasts", "_threads", "last", "past")

    def __init__(self, threads: list[Controlled]) -> None:
        self.past: list[int] = []
        self.last: dict[int, int] = {}
        self._threads = threads
        # Location -> for each mode the mask of the steps that accessed it so, and of all that happens before them.
        self._events: dict[Hashable, list[int]] = {}
        self._pasts: dict[Hashable, list[int]] = {}

    def forced(self, thread: int, op: Op) -> int:
        """Return the mask of what happens before a thread's next step whatever it accesses."""
        mask = self.own(thread, op)
        return mask | self._end_of(op) if op.kind == "join" else mask

    def own(self, thread: int, op: Op) -> int:
        """Return the mask of what has to come before a thread's next step for it to be the next step at all.

        For a join that is less than `forced`: a join that comes before the start has another effect.
        """
        past = self.past
        latest = self.last.get(thread)
        if latest is not None:
            mask = past[latest]
        else:
            start = self._threads[thread].started_by
            mask = past[start] if start >= 0 else 0
        step = granted(op)
        if step is not None and step >= 0:
            mask |= past[step]
        return mask

    def _end_of(self, join: Op) -> int:
        joined = getattr(join.target, "controlled", None)
        if joined is None:
            return 0
        latest = self.last.get(joined.index, joined.started_by)
        return self.past[latest] if 0 <= latest < len(self.past) else 0  # it may have been started later

    def conflicts(self, op: Op) -> int:
        """Return the mask of the steps so far whose accesses conflict with an operation's."""
        mask = 0
        for location, mode in op.accesses:
            events = self._events.get(location)
            if events is not None:
                for other in _CONFLICTING[mode]:
                    mask |= events[other]
        return mask

    def writers(self, location: Hashable) -> int:
        """Return the mask of the steps so far that wrote a location, or a part of it."""
        events = self._events.get(location)
        return 0 if events is None else events[WRITE] | events[PART_WRITE]

    def before(self, op: Op, forced: int) -> int:
        """Return the mask of all that happens before an operation if it is the next step."""
        mask = forced
        for location, mode in op.accesses:
            pasts = self._pasts.get(location)
            if pasts is not None:
                for other in _CONFLICTING[mode]:
                    mask |= pasts[other]
        return mask

    def add(self, thread: int, op: Op, before: int) -> None:
        """Append a step, given what happens before it."""
        bit = 1 << len(self.past)
        mask = before | bit
        self.last[thread] = len(self.past)
        self.past.append(mask)
        for location, mode in op.accesses:
            events = self._events.get(location)
            if events is None:
                events = self._events[location] = [0, 0, 0, 0]
                self._pasts[location] = [0, 0, 0, 0]
            events[mode] |= bit
            self._pasts[location][mode] |= mask


def canonical(execution: Execution) -> Hashable:
    """Return a name of an execution that all equivalent executions share, and no other execution of the program.

    It holds no address and no number of a thread: a thread is named by who started it as which of its children.
    """
    lineage = _lineage(execution)
    rank = {index: place for place, index in enumerate(sorted(range(len(lineage)), key=lineage.__getitem__))}
    order = HappensBefore(execution.threads)
    mine = [0] * len(lineage)  # masks of each thread's steps
    rows: list[list[Hashable]] = [[] for _ in lineage]
    by_rank = sorted(range(len(lineage)), key=rank.__getitem__)
    for number, (thread, op) in enumerate(execution.trace):
        before = order.before(op, order.forced(thread, op))
        order.add(thread, op, before)
        clock = tuple([(before & mine[other]).bit_count() for other in by_rank])
        rows[thread].append((op.kind, clock))
        mine[thread] |= 1 << number
    waiting = tuple(sorted((rank[thread], op.kind) for thread, op in execution.pending.items()))
    return (execution.ending, tuple(tuple(rows[index]) for index in by_rank), waiting)


def _lineage(execution: Execution) -> list[tuple[int, ...]]:
    """Return for each thread the way to it: number of the first ancestor, then which child of which."""
    ways: list[tuple[int, ...]] = []
    children: dict[int, int] = {}
    for thread in execution.threads:
        start = thread.started_by
        parent = execution.trace[start][0] if start >= 0 else -1
        nth = children[parent] = children.get(parent, -1) + 1
        ways.append((*ways[parent], nth) if parent >= 0 else (nth,))
    return ways
