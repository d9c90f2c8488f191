"""Counts the ends of executions, and keeps the shortest schedule to each. Rule: counts, decides nothing."""

from __future__ import annotations

from itertools import pairwise

from labkit.interleave.result import Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from labkit.interleave.program import Ending

__all__ = ["Tally", "switches"]


def switches(schedule: Sequence[int]) -> tuple[int, int]:
    """Return how hard a schedule is to read: switches between threads, then steps."""
    return (sum(1 for one, two in pairwise(schedule) if one != two), len(schedule))


class Tally:
    """The outcomes of a search.

    Attributes:
        traces: Names of the traces that were met.
    """

    def __init__(self) -> None:
        self.traces: set[Hashable] = set()
        self._kinds: dict[str, str | None] = {}
        self._counts: dict[str, int] = {}
        self._schedules: dict[str, tuple[int, ...]] = {}

    def add(self, ending: Ending, schedule: Sequence[int], trace: Hashable) -> None:
        """Note one execution that ran to its end."""
        text, kind = ending.text, None if ending.allowed else ending.kind
        if self._kinds.get(text, kind) != kind:  # a check may look at what is not shown: these are two ends
            text += " (not allowed)" if kind else " (allowed)"
        if trace not in self.traces:
            self.traces.add(trace)
            self._counts[text] = self._counts.get(text, 0) + 1
        self._kinds[text] = kind
        known = self._schedules.get(text)
        if known is None or switches(schedule) < switches(known):
            self._schedules[text] = tuple(schedule)

    def forget_counts(self) -> None:
        """Begin to count anew; what ends were found, and how, stays known."""
        self._counts = {}

    def bug(self) -> tuple[str, str, tuple[int, ...]] | None:
        """Return text, kind and schedule of the bug that is easiest to read; None if there is none."""
        found = [(switches(self._schedules[text]), text, kind) for text, kind in self._kinds.items() if kind]
        if not found:
            return None
        _, text, kind = min(found)
        return text, kind, self._schedules[text]

    def knows(self, text: str) -> bool:
        """Return True if some execution has ended so."""
        return text in self._kinds

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return the table, the allowed outcomes first, the frequent ones first among them."""
        rows = [
            Outcome(text, self._counts.get(text, 0), self._kinds[text] is None, self._schedules[text])
            for text in self._kinds
        ]
        return tuple(sorted(rows, key=lambda row: (not row.allowed, -row.traces_count, row.text)))
