"""Which schedule comes next: depth first over all schedules, with or without reduction. Rule: one execution per path.

Nothing of a program's state is kept. The search remembers, for the path that it is on, which thread went on at each
step and which others are still to be tried, and lets the program run again from its beginning.
"""

from __future__ import annotations

import random

from labkit.interleave.ops import clash
from labkit.interleave.races import Races

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from labkit.interleave.execution import Execution
    from labkit.interleave.ops import Op

    # What a step touched, told by the accesses that its operation announced: (number of the access, mode). None: all.
    Shape: TypeAlias = tuple[tuple[int, int], ...] | None

__all__ = ["Node", "RandomWalk", "Replay", "Search"]

_CUT_SHORT = ("interrupted", "nondeterministic")


class Node:
    """One step of the path that the search is on.

    Attributes:
        enabled: Threads that could go on.
        pending: The operation that each thread had stopped before, of the latest execution.
        chosen: The thread that went on.
        announced: The accesses of its operation before it was executed.
        done: Threads whose branches are finished.
        backtrack: Threads whose branches are to be walked.
        sleep: Threads that need not be tried: whatever begins with them was walked from an earlier node. With what
            their step touched there.
        cost: Preemptions up to here.
        previous: The thread that executed the step before.
        sign: What the same schedule must lead to again.
        open: For the objects that threads wait for, by id, whether one could pass just before this step; None if
            that depends on what it wants there.
    """

    __slots__ = (
        *("announced", "backtrack", "chosen", "cost", "done", "enabled", "open", "pending", "previous", "sign"),
        *("sleep",),
    )

    def __init__(self, enabled: list[int], pending: dict[int, Op], previous: int, sign: Any) -> None:
        self.enabled, self.pending, self.previous, self.sign = enabled, pending, previous, sign
        self.chosen, self.cost = -1, 0
        self.announced: tuple[Any, ...] = ()
        self.done: set[int] = set()
        self.backtrack: set[int] = set()
        self.sleep: dict[int, Shape] = {}
        self.open: dict[int, bool | None] = {}


class Search:
    """Depth first search over schedules.

    With 'dpor' it is source-DPOR (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014): at least one schedule of each set of
    equivalent ones. With 'sleep' it tries every thread at every step, but for those that sleep sets rule out. With
    'none' it walks every schedule.

    Args:
        reduction: 'dpor', 'sleep' or 'none'.
        bound: With 'none': walk only the schedules with at most so many preemptions.

    Attributes:
        executions: Executions so far.
        pruned: How many of them were given up because all that could follow had been walked.
        done: True when everything was walked.
        path: The steps of the latest execution, as far as the search decided them.
    """

    def __init__(self, reduction: str = "dpor", bound: int | None = None) -> None:
        if reduction not in {"dpor", "sleep", "none"}:
            raise ValueError(f"reduction is 'dpor', 'sleep' or 'none', not {reduction!r}")
        if bound is not None and reduction != "none":
            raise ValueError("only a search without reduction can be bounded: a bound cuts what a reduction relies on")
        self.reduction, self.bound = reduction, bound
        self.executions = self.pruned = 0
        self.done = False
        self.path: list[Node] = []
        self._races = Races() if reduction == "dpor" else None
        self._sleeps = reduction != "none"
        self._changed = 0  # the first step that differs from the execution before
        self._last_enabled: list[int] = []

    # ------------------------------------------------------------------------------------------------ in an execution
    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Return the thread that goes on; None if all that can follow was walked already."""
        path = self.path
        mover = execution.trace[-1][0] if depth else -1
        if depth < len(path):
            node = path[depth]
            if node.chosen not in enabled or node.sign != _sign(pending, mover):
                execution.ending = "nondeterministic"
                return None
            node.enabled, node.pending = enabled, pending
        else:
            node = Node(enabled, pending, current, _sign(pending, mover))
            self._enter(node, execution)
            if node.chosen < 0:
                self._last_enabled = enabled
                return None
            path.append(node)
        op = pending[node.chosen]
        node.announced = op.accesses
        if self._races is not None:
            node.open = self._races.look(op)
        return node.chosen

    def _enter(self, node: Node, execution: Execution) -> None:
        """Decide how a new node begins: who goes on first, and who sleeps."""
        if self.path:
            parent = self.path[-1]
            accesses = execution.trace[-1][1].accesses
            if parent.sleep:
                node.sleep = {
                    thread: shape
                    for thread, shape in parent.sleep.items()
                    if thread in node.pending and not clash(_touched(node.pending[thread], shape), accesses)
                }
            node.cost = parent.cost + self._preempts(parent, parent.chosen)
        if node.previous in node.enabled and node.previous not in node.sleep:
            node.chosen = node.previous
        else:
            node.chosen = next((thread for thread in node.enabled if thread not in node.sleep), -1)
        node.backtrack = {node.chosen} if self._races is not None else set(node.enabled)

    def _preempts(self, node: Node, thread: int) -> int:
        return int(thread != node.previous and node.previous in node.enabled)

    # ----------------------------------------------------------------------------------------------- between executions
    def after(self, execution: Execution) -> bool:
        """Learn from a finished execution, and choose the next path. Return False if there is none.

        After an execution that was interrupted, or that did something else than the same schedule did before, the
        search is over, and not `done`.
        """
        self.executions += 1
        self.pruned += execution.ending == "pruned"
        if execution.ending in _CUT_SHORT or len(execution.trace) < len(self.path):
            return False
        if self._races is not None:
            blocked = execution.pending
            if execution.ending == "pruned":
                blocked = {thread: op for thread, op in blocked.items() if thread not in self._last_enabled}
            self._races.learn(execution, self.path, self._changed, blocked)
        self._go_back()
        return not self.done

    def _go_back(self) -> None:
        """Go back to the last step where something is left to try."""
        path = self.path
        while path:
            node = path[-1]
            node.done.add(node.chosen)
            if self._sleeps:
                _put_to_sleep(node)
            left = [thread for thread in node.backtrack if thread not in node.done and thread not in node.sleep]
            if self.bound is not None:
                left = [thread for thread in left if node.cost + self._preempts(node, thread) <= self.bound]
            if left:
                node.chosen = min(left)
                self._changed = len(path) - 1
                return
            path.pop()
        self.done = True

    @property
    def share(self) -> float:
        """Estimate how much of the tree was walked, from 0 to 1; reductions make it jump."""
        if self.done:
            return 1.0
        share, weight = 0.0, 1.0
        for node in self.path:
            branches = len(node.done | {thread for thread in node.backtrack if thread not in node.sleep})
            weight /= max(branches, 1)
            share += weight * len(node.done)
        return min(share, 1.0)


def _sign(pending: dict[int, Op], mover: int) -> Any:
    """Return what the same schedule must lead to again: who is there, and the operations that are new."""
    op = pending.get(mover)
    if op is not None:
        return (len(pending), op.kind, op.place)
    return [(thread, op.kind, op.place) for thread, op in pending.items()]


def _touched(op: Op, shape: Shape) -> Sequence[tuple[Any, int]]:
    """Return the accesses of a pending operation, as they were when it was executed in another branch."""
    accesses = op.accesses
    return accesses if shape is None else [(accesses[number][0], mode) for number, mode in shape]


def _put_to_sleep(node: Node) -> None:
    """Let the thread whose branch is finished sleep, as long as nobody touches what its step touched.

    What an operation announces may be more than what it touches (a try that fails only reads), or something else (a
    key that was there when the thread stopped is gone). What counts is what it touched when it was executed here. If
    that includes a location that was not announced, the thread is not put to sleep: more work, nothing missed.
    """
    announced, touched = node.announced, node.pending[node.chosen].accesses
    if touched is announced or touched == announced:
        node.sleep[node.chosen] = None
        return
    numbers = {location: number for number, (location, _) in enumerate(announced)}
    if all(location in numbers for location, _ in touched):
        node.sleep[node.chosen] = tuple((numbers[location], mode) for location, mode in touched)


class Replay:
    """Follows a schedule; when it is over, the thread that runs goes on, else the first that can.

    Args:
        schedule: Thread numbers, one per step.
    """

    def __init__(self, schedule: Sequence[int]) -> None:
        self.schedule = tuple(schedule)

    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Return the thread that the schedule names; if it cannot go on, the program is not the same."""
        del pending
        if depth < len(self.schedule):
            if self.schedule[depth] in enabled:
                return self.schedule[depth]
            execution.ending = "nondeterministic"
            return None
        return current if current in enabled else enabled[0]

    def after(self, execution: Execution) -> bool:
        """Return False: a replay is one execution."""
        del execution
        return False


class RandomWalk:
    """Chooses by chance, each enabled thread as likely as the others.

    Args:
        seed: Same seed, same schedules.

    Attributes:
        weight: Product of the choices that there were: its mean over many walks is the number of schedules.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - schedules are no secrets
        self.executions = 0
        self.weight = 1.0

    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Return any thread that can go on."""
        del execution, depth, pending, current
        self.weight *= len(enabled)
        return self._random.choice(enabled)

    def after(self, execution: Execution) -> bool:
        """Return True: chance never ends."""
        del execution
        self.executions += 1
        return True
