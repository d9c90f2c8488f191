"""The source of each thread as a column, with the expressions of its steps to be lit. Rule: all text is escaped."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from labkit.interleave.story import standing, upcoming
from labkit.interleave.syntax import columns, function_lines
from labkit.show.lanes import chip

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.interleave.result import Result, Step

__all__ = ["Column", "columns_of", "frame", "markup"]

_WHOLE = 16  # lines of a function that is shown whole; of a longer one, only what is near a step
_NEAR = 1  # lines before and after
_WORDS = {
    "runs": "made this step",
    "ready": "can go on",
    "ended": "has ended",
    "failed": "failed",
    "waits": "waits for ",
}
_MARKS = {"now": "▶", "next": "▷", "stuck": "✗"}


class Piece(NamedTuple):
    """A stretch of a line, and the operations whose expression covers it."""

    text: str
    operations: frozenset[int]


class Line(NamedTuple):
    """One line of source; number 0 stands for lines that are left out."""

    number: int
    pieces: tuple[Piece, ...]


class Column(NamedTuple):
    """What one thread runs.

    Attributes:
        thread: Its number.
        lines: Source, cut into pieces. Operations are indices of steps; the one that is blocked has the number of
            steps as its own.
    """

    thread: int
    lines: tuple[Line, ...]


def columns_of(result: Result) -> list[Column]:
    """Cut the source of each thread's functions into pieces that can be lit."""
    return [Column(thread, _lines(result, _operations(result, thread))) for thread in range(len(result.threads))]


def frame(result: Result, listing: list[Column], position: int) -> dict[str, str]:
    """Return what is lit, and what each thread does, at a position."""
    state: dict[str, str] = {}
    for column in listing:
        kind, about = standing(result, column.thread, position)
        words = f"waits for {about}" if kind in {"waits", "stuck"} else _WORDS[kind] + (f": {about}" if about else "")
        state[f"h{column.thread}|text"], state[f"h{column.thread}|data-state"] = words, kind
        operation, look = _lit(result, column.thread, position)
        for row, line in enumerate(column.lines):
            for number, piece in enumerate(line.pieces):
                if operation in piece.operations:
                    state[f"s{column.thread}.{row}.{number}|data-state"] = look
                    state[f"m{column.thread}.{row}|text"] = _MARKS[look]
    return state


def markup(result: Result, listing: list[Column], state: Mapping[str, str]) -> str:
    """Draw the columns as HTML."""
    return f'<div class="lk-sources">{"".join(_column(result, column, state) for column in listing)}</div>'


def _column(result: Result, column: Column, state: Mapping[str, str]) -> str:
    lane, head = result.threads[column.thread], f"h{column.thread}"
    rows = []
    for row, line in enumerate(column.lines):
        mark, number = f"m{column.thread}.{row}", f"{line.number}" if line.number else "⋮"
        pieces = "".join(
            _piece(f"s{column.thread}.{row}.{place}", piece, state) for place, piece in enumerate(line.pieces)
        )
        shown = f'<span data-part="{mark}">{state.get(f"{mark}|text", "")}</span>'
        rows.append(
            f'<div class="lk-line"><span class="lk-mark">{shown}</span><span class="lk-no">{number}</span>'
            f'<span class="lk-code">{pieces}</span></div>'
        )
    words, kind = escape(state.get(f"{head}|text", "")), state.get(f"{head}|data-state", "")
    return (
        f'<div class="lk-source"><p class="lk-head">{chip(result, column.thread)} <b>{escape(lane.function)}</b><br>'
        f'<span data-part="{head}" data-state="{kind}">{words}</span></p>{"".join(rows)}</div>'
    )


def _piece(key: str, piece: Piece, state: Mapping[str, str]) -> str:
    if not piece.operations:
        return escape(piece.text)
    return f'<span data-part="{key}" data-state="{state.get(f"{key}|data-state", "")}">{escape(piece.text)}</span>'


def _lit(result: Result, thread: int, position: int) -> tuple[int, str]:
    """Return which operation of a thread is lit, and how: the one just made, else the one that it stands before."""
    end = len(result.witness)
    blocked = any(row[0] == thread for row in result.blocked)
    if blocked and position == end:
        return end, "stuck"
    if position and result.witness[position - 1].thread == thread:
        return position - 1, "now"
    ahead = upcoming(result, thread, position)
    return (ahead, "next") if ahead >= 0 else (end if blocked else -1, "next")


def _operations(result: Result, thread: int) -> dict[int, Step]:
    """Return what a thread did, and what it is blocked in, as steps with a place."""
    found = {
        index: step
        for index, step in enumerate(result.witness)
        if step.thread == thread and step.file in result.sources
    }
    for who, name, _, file, line in result.blocked:
        if who == thread and file in result.sources and result.witness:
            text = _text_of(result, file, line)
            left, right = len(text) - len(text.lstrip()), len(text)
            span = (line, len(text[:left].encode()), line, len(text[:right].encode()))
            found[len(result.witness)] = result.witness[0]._replace(
                thread=thread, kind="acquire", name=name, file=file, span=span, text=text[left:right]
            )
    return found


def _text_of(result: Result, file: str, line: int) -> str:
    first, text = result.sources[file]
    lines = text.splitlines()
    return lines[line - first] if 0 <= line - first < len(lines) else ""


def _lines(result: Result, operations: Mapping[int, Step]) -> tuple[Line, ...]:
    wanted: dict[tuple[str, int], None] = {}
    for step in operations.values():
        first, last = function_lines(result.sources, step) or (step.span[0], step.span[2])
        wanted.update(dict.fromkeys((step.file, line) for line in range(first, last + 1)))
    near = {
        (step.file, line)
        for step in operations.values()
        for line in range(step.span[0] - _NEAR, step.span[2] + _NEAR + 1)
    }
    shown: list[Line] = []
    keep = (
        sorted(wanted)
        if len(wanted) <= _WHOLE
        else [each for each in sorted(wanted) if each in near or _defines(result, *each)]
    )
    before: tuple[str, int] | None = None
    for file, line in keep:
        if before and before != (file, line - 1):
            shown.append(Line(0, (Piece("", frozenset()),)))
        shown.append(Line(line, _pieces(_text_of(result, file, line), line, operations, file)))
        before = file, line
    return tuple(shown)


def _defines(result: Result, file: str, line: int) -> bool:
    return _text_of(result, file, line).lstrip().startswith(("def ", "async def "))


def _pieces(text: str, line: int, operations: Mapping[int, Step], file: str) -> tuple[Piece, ...]:
    """Cut a line wherever an expression begins or ends."""
    covers = {}
    for index, step in operations.items():
        first, left, last, right = step.span
        if step.file == file and first <= line <= last:
            indent = len(text) - len(text.lstrip())
            begin, end = columns(text, left if line == first else indent, right if line == last else 10**6, step.text)
            covers[index] = (max(begin, 0), min(end, len(text)))
    cuts = sorted({0, len(text), *(place for cover in covers.values() for place in cover)})
    return tuple(
        Piece(
            text[begin:end],
            frozenset(index for index, (left, right) in covers.items() if left <= begin and end <= right),
        )
        for begin, end in pairwise(cuts)
    )
