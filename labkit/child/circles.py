"""Tell whether threads wait for each other in a circle. Rule: a proof from what they wrote down, never from a clock.

A thread writes what it holds and what it wants just before it waits, and overwrites that as soon as it has waited and
before it releases anything. The slots are read twice: one that is the same object both times stood there in between, so
all those did at the same moment. A circle among them can never resolve, as everyone in it waits for the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Board"]


class Board:
    """One slot per thread, each written by its own thread only."""

    def __init__(self, threads: int) -> None:
        """Begin with threads that wait for nothing.

        Args:
            threads: How many there are; they are numbered from 0.
        """
        self._slots: list[tuple[Sequence[int], int] | None] = [None] * threads

    def waits(self, thread: int, held: Sequence[int], wanted: int) -> None:
        """Write down, just before waiting, the numbers of the locks that a thread holds and of the one it wants."""
        self._slots[thread] = (held, wanted)  # a new object every time, which tells this wait from an earlier one

    def goes_on(self, thread: int) -> None:
        """Write down that a thread waits no more; call it before anything is released."""
        self._slots[thread] = None

    def circle(self) -> list[int]:
        """Return the numbers of threads that wait for each other for ever, in order; empty if there are none."""
        first, again = list(self._slots), list(self._slots)
        still = {n: slot for n, slot in enumerate(first) if slot is not None and slot is again[n]}
        holder = {lock: n for n, (held, _) in still.items() for lock in held}
        for start in still:
            path = [start]
            while (after := holder.get(still[path[-1]][1])) is not None:
                if after in path:
                    return path[path.index(after) :]
                path.append(after)
        return []
