"""The visible operations of a program, and which two of them depend on each other. Rule: no search, no threads.

A controlled thread stops *before* each visible operation, with the operation pending; what runs between two of them
touches nothing that another thread can see.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence
    from typing import Any

__all__ = [
    "CONFLICT",
    "ENGINE",
    "PART_READ",
    "PART_WRITE",
    "READ",
    "WRITE",
    "Abort",
    "CannotCheck",
    "Op",
    "Place",
    "clash",
]

ENGINE = "labkit.interleave."  # modules of this room: their classes are models, and their frames nobody's program
# How an operation touches a location. A container is a location, and each of its items another one: an operation on
# one item touches the item with READ or WRITE, and the container with PART_READ or PART_WRITE.
READ, WRITE, PART_READ, PART_WRITE = 0, 1, 2, 3
CONFLICT = (
    (False, True, False, True),
    (True, True, True, True),
    (False, True, False, False),
    (True, True, False, False),
)


class Abort(BaseException):
    """Unwinds a controlled thread at the end of an execution; students never see it."""


class CannotCheck(BaseException):
    """Something was met that the explorer does not understand: the verdict is 'cannot check', never 'proved'.

    Attributes:
        reason: What was met, as a phrase, such as ``"calls socket.recv"``.
        place: Where it stands; None if it is not known.
    """

    def __init__(self, reason: str, place: Place | None = None) -> None:
        super().__init__(reason, place)
        self.reason, self.place = reason, place


class Place:
    """An expression of the student's source.

    Attributes:
        file: File or cell.
        line: First line, from 1.
        column: First column, from 0.
        end_line: Last line.
        end_column: Column after the last character.
        text: The source of the expression.
        fresh: True if nothing of the same statement was evaluated before it (see states.py).
    """

    __slots__ = ("column", "end_column", "end_line", "file", "fresh", "line", "text")

    def __init__(  # noqa: PLR0913, PLR0917 - a position has five numbers
        self, file: str, line: int, column: int, end_line: int, end_column: int, text: str
    ) -> None:
        self.file, self.line, self.column, self.end_line, self.end_column = file, line, column, end_line, end_column
        self.text, self.fresh = text, False

    def __repr__(self) -> str:
        """Name file and line."""
        return f"{self.file}:{self.line} {self.text}"


class Op:
    """One visible operation of one thread.

    Attributes:
        kind: What it does, such as ``"read"``, ``"write"``, ``"acquire"``.
        accesses: The locations that it touches, each with a mode.
        target: The object that it works on; kept, so that no other object gets its id during the execution.
        name: What a person calls the target, such as ``"counter"`` or ``"lock A"``.
        place: Where it stands in the source; None for an operation that has no place.
        value: What was seen or written; set when it was executed.
    """

    __slots__ = ("accesses", "kind", "name", "place", "target", "value")

    def __init__(
        self,
        kind: str,
        accesses: tuple[tuple[Hashable, int], ...] = (),
        target: Any = None,
        name: str = "",
        place: Place | None = None,
    ) -> None:
        self.kind, self.accesses, self.target, self.name, self.place = kind, accesses, target, name, place
        self.value: Any = None

    def enabled(self) -> bool:
        """Return True if the operation can be executed now."""
        return True

    def __repr__(self) -> str:
        """Show kind and name."""
        return f"{self.kind} {self.name}".rstrip()


def clash(first: Sequence[tuple[Any, int]], second: Sequence[tuple[Any, int]]) -> bool:
    """Return True if the order of two operations with these accesses can matter."""
    for location, mode in first:
        for other, other_mode in second:
            if location == other and CONFLICT[mode][other_mode]:
                return True
    return False
