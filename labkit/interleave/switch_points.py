"""Schedules that one interpreter can produce: threads are switched only at certain points. Rule: no reduction here.

A GIL build switches threads where it looks whether somebody else wants to run, and not between any two operations.
Which points these are is probed (labkit/child/gaps.py) and given to this search, never assumed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.interleave.execution import Execution
    from labkit.interleave.ops import Op
    from labkit.interleave.search import Search

__all__ = ["SwitchPoints"]

_ANY = "any"
_MEMORY = frozenset({"read", "write"})  # every other operation is a call, in which a thread may wait


class SwitchPoints:
    """A search in which a thread goes on until it has passed one of the given points.

    Args:
        search: An unreduced search.
        points: Kinds of gaps between operations in which a switch was seen: 'call' (of a Python function), 'builtin',
            'loop' (back to its head), 'with', 'print', 'sleep', or 'any' (between any two operations).
    """

    def __init__(self, search: Search, points: frozenset[str]) -> None:
        self._search, self._points = search, points

    @property
    def share(self) -> float:
        """Return the estimated share of the work that is done."""
        return self._search.share

    @property
    def done(self) -> bool:
        """Return True if everything was walked."""
        return self._search.done

    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Let the search choose, among those who may run now."""
        if current in enabled and _ANY not in self._points:
            thread = execution.threads[current]
            passed = thread.gaps & self._points or pending[current].kind not in _MEMORY
            slept = "sleep" in self._points and bool(thread.log) and thread.log[-1].kind == "sleep"
            if not passed and not slept:
                enabled = [current]
        chosen = self._search.choose(execution, depth, enabled, pending, current)
        if chosen is not None:
            execution.threads[chosen].gaps.clear()
        return chosen

    def after(self, execution: Execution) -> bool:
        """Pass on what happened."""
        return self._search.after(execution)
