"""Search of the state graph: every state once, without reduction. For loops that walks over schedules never finish.

A path is executed anew for each branch; it ends where a known state is met. Reduction by independence and merging of
states are unsound when they are simply combined (Yang et al., SPIN 2008), so here is merging alone.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from labkit.interleave.execution import Execution, Strategy
    from labkit.interleave.ops import Op
    from labkit.interleave.states import Tracker

__all__ = ["Graph", "Watch"]


class _Node:
    __slots__ = ("chosen", "enabled", "key", "signature", "todo")

    def __init__(self, key: int, enabled: list[int], signature: dict[int, tuple[str, int]]) -> None:
        self.key, self.enabled, self.signature = key, tuple(enabled), signature
        self.todo = list(enabled)
        self.chosen = -1


def _signature(pending: dict[int, Op]) -> dict[int, tuple[str, int]]:
    return {index: (op.kind, id(op.place)) for index, op in pending.items()}


def _note_stops(tracker: Tracker, execution: Execution) -> None:
    """Tell the tracker of every thread that has stopped at another operation than before."""
    for thread in execution.threads:
        memory = thread.memory
        if not thread.done and (memory is None or not memory.at or memory.at[-1][0] is not thread.op):
            tracker.stopped(thread)


class Graph:
    """A strategy that walks through all states, depth first.

    Attributes:
        states: For each state, where its branches lead: thread -> state; a text for an ending.
        share: 1.0 when all states have been walked; before that nothing is known.
    """

    def __init__(self, make_tracker: Callable[[], Tracker]) -> None:
        self._make_tracker = make_tracker
        self._tracker: Tracker | None = None
        self._numbers: dict[Hashable, int] = {}
        self._path: list[_Node] = []
        self.states: dict[int, dict[int, int | str]] = {}
        self.enabled: dict[int, tuple[int, ...]] = {}
        self.share = 0.0
        self.done = False
        self._circle: list[int] = []

    def begin(self) -> Tracker:
        """Return the tracker of the next execution."""
        self._tracker = self._make_tracker()
        return self._tracker

    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Follow the path that is under way, then go on to states that are new."""
        tracker = self._tracker
        if tracker is None:
            raise RuntimeError("begin() comes first")
        _note_stops(tracker, execution)
        path = self._path
        if depth < len(path):
            node = path[depth]
            if node.chosen not in enabled or _signature(pending) != node.signature:
                execution.ending = "nondeterministic"
                return None
            return node.chosen
        key = self._numbers.setdefault(tracker.key(execution), len(self._numbers))
        if path:
            self.states[path[-1].key][path[-1].chosen] = key
        if key in self.states:
            return None
        self.states[key], self.enabled[key] = {}, tuple(enabled)
        node = _Node(key, enabled, _signature(pending))
        node.chosen = current if current in enabled else enabled[0]
        node.todo.remove(node.chosen)
        path.append(node)
        return node.chosen

    def after(self, execution: Execution) -> bool:
        """Note how the execution ended, and step back to the last state with a branch that nobody took."""
        if execution.ending != "pruned" and self._path and len(execution.trace) == len(self._path):
            last = self._path[-1]
            self.states[last.key][last.chosen] = execution.ending
        while self._path and not self._path[-1].todo:
            self._path.pop()
        if not self._path:
            self.done, self.share = True, 1.0
            return False
        node = self._path[-1]
        node.chosen = node.todo.pop(0)
        return True

    def circles(self) -> str:
        """Say what the circles of the finished graph mean.

        Returns:
            ``"spins"`` if some circle cannot be left, ``"livelock"`` if a fair scheduler may stay in one for ever
            but need not, else ``""``.
        """
        found, self._circle = "", []
        for group in _components({key: list(ways.values()) for key, ways in self.states.items()}):
            inside = set(group)
            ways = [(key, thread, to) for key in group for thread, to in self.states[key].items()]
            moves = {thread for _, thread, to in ways if to in inside}
            if not moves:
                continue
            if all(to in inside for _, _, to in ways):
                self._circle = group
                return "spins"
            always = set.intersection(*(set(self.enabled[key]) for key in group))
            if always <= moves:  # else some thread could go on all the time and never does: that is unfair
                found, self._circle = "livelock", group
        return found

    def way_round(self) -> tuple[int, ...]:
        """Return a schedule that leads into the circle that was found, and once around in it."""
        inside = set(self._circle)
        start = next(iter(self.states))
        into, first = self._shortest(start, lambda key: key in inside, None)
        around: tuple[int, ...] = ()
        for thread, to in self.states[first].items():
            if isinstance(to, int) and to in inside:
                back, _ = self._shortest(to, lambda key: key == first, inside)
                if not around or len(back) + 1 < len(around):
                    around = (thread, *back)
        return (*into, *around)

    def _shortest(
        self, start: int, wanted: Callable[[int], bool], inside: set[int] | None
    ) -> tuple[tuple[int, ...], int]:
        """Return the shortest way from a state to a wanted one, and that state; ((), start) if there is none."""
        ways: dict[int, tuple[int, ...]] = {start: ()}
        waiting = [start]
        for key in waiting:
            if wanted(key):
                return ways[key], key
            for thread, to in self.states.get(key, {}).items():
                if isinstance(to, int) and to not in ways and (inside is None or to in inside):
                    ways[to] = (*ways[key], thread)
                    waiting.append(to)
        return (), start


class Watch:
    """Puts a search under watch: ends an execution that comes back to a state that it was in before."""

    def __init__(self, search: Strategy, tracker: Tracker) -> None:
        self.search, self._tracker = search, tracker
        self._seen: set[Hashable] = set()

    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Let the search choose, unless the state has been met before in this execution."""
        _note_stops(self._tracker, execution)
        key = self._tracker.key(execution)
        if key in self._seen:
            execution.ending = "circle"
            return None
        self._seen.add(key)
        return self.search.choose(execution, depth, enabled, pending, current)

    def after(self, execution: Execution) -> bool:
        """Pass on what happened."""
        return self.search.after(execution)


def _components(edges: Mapping[int, list[int | str]]) -> list[list[int]]:
    """Return the strongly connected components of a graph (Tarjan 1972, without recursion)."""
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    grouped: set[int] = set()
    groups = []

    def enter(node: int) -> tuple[int, Iterator[int | str]]:
        index[node] = low[node] = len(index)
        stack.append(node)
        return node, iter(edges[node])

    for root in list(edges):
        work = [] if root in index else [enter(root)]
        while work:
            node, ways = work[-1]
            to = next((to for to in ways if isinstance(to, int) and to not in grouped), None)
            if to is not None and to not in index:
                work.append(enter(to))
            elif to is not None:
                low[node] = min(low[node], index[to])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    at = stack.index(node)
                    groups.append(stack[at:])
                    grouped.update(stack[at:])
                    del stack[at:]
    return groups
