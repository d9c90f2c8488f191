"""A result as plain text of at most 110 columns, for nbval, GitHub and a terminal. Rule: text only, no colour."""

from __future__ import annotations

import textwrap
import unicodedata
from typing import TYPE_CHECKING

from labkit.interleave.patterns import advice
from labkit.interleave.story import arrows, cycle, letter, shared_at, shared_names
from labkit.interleave.words import deed, end, say, short, where_it_waits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from labkit.interleave.result import Result

__all__ = ["COLUMNS", "describe", "headline", "schedule_words", "searched", "steps_left_out", "table"]

COLUMNS = 110
_STEP = 4  # columns of the step's number
_MOST_STEPS = 60  # a longer witness is cut in the middle
_SHARED_SHARE = 0.32  # of the width that the threads and the shared values share
_LEAST, _MOST_LANE, _MOST_SHARED = 14, 30, 40
_LINES = 4  # of one cell
_MOST_OUTCOMES = 20
_OUTCOME = 56
_MANY = 1e12
_MOST_SCHEDULE = 36  # characters


def table(result: Result) -> str:
    """Show a result as text: verdict, outcomes, and the witness with one column per thread."""
    lines = [*_wrapped(headline(result)), *_wrapped(result.reason), *_wrapped(searched(result))]
    if result.outcomes:
        lines += ["", *_outcomes(result)]
    if result.witness or result.blocked:
        lines += ["", *_witness(result)]
    notes = [say(result, arrow.write) for arrow in arrows(result)[-1:]] + [advice(result.pattern)]
    notes += [] if result.witness else [end(result)]
    lines += [line for note in notes if note for line in _wrapped(note)]
    if result.token:
        lines += _wrapped(f'Replay: token="{result.token}"')
    return "\n".join(line.rstrip() for line in lines)


def headline(result: Result) -> str:
    """Say verdict, kind and pattern in one line."""
    kind = f": {result.kind}" if result.kind else ""
    named = f" ({result.pattern})" if result.pattern and result.pattern != result.kind else ""
    return f"{result.verdict}{kind}{named}"


def searched(result: Result) -> str:
    """Say how much was searched, how long it took, and where."""
    if not result.executions and not result.hunted:
        return f"Nothing was searched; {result.where}." if result.where else ""
    counts = [f"{result.executions:,} executions", f"{result.traces:,} different traces"]
    counts += [f"of about {_round(result.schedules)} schedules"] if result.schedules >= 1 else []
    counts += [f"{result.hunted:,} to find the bug first"] if result.hunted else []
    counts += [f"{result.audited:,} random ones as a check"] if result.audited else []
    return f"Searched: {', '.join(counts)}; {result.seconds:.2g} s" + (f", {result.where}." if result.where else ".")


def _round(count: float) -> str:
    """Say a large number by its size: it is an estimate."""
    if count < _MANY:
        return f"{float(f'{count:.1g}'):,.0f}"
    return f"1 followed by {len(f'{count:.0f}') - 1} zeros"


def schedule_words(result: Result, schedule: Sequence[int], longest: int = _MOST_SCHEDULE) -> str:
    """Say a schedule as the letters of its threads, such as ``"A A B"``; runs of more than three with a count."""
    words: list[str] = []
    place = 0
    while place < len(schedule):
        ahead = place
        while ahead < len(schedule) and schedule[ahead] == schedule[place]:
            ahead += 1
        name, count = letter(result, schedule[place]), ahead - place
        words += [name] * count if count <= 3 else [f"{count}·{name}"]  # noqa: PLR2004 - said above
        place = ahead
    return short(" ".join(words), longest)


def steps_left_out(result: Result, most: int = _MOST_STEPS) -> range:
    """Return the steps in the middle of a long witness that a table leaves out; empty if it shows all."""
    count = len(result.witness)
    return range(most // 2, count - most // 2) if count > most else range(0)


def describe(result: Result) -> str:
    """Say what a picture of the witness shows, as alt text."""
    if not result.witness:
        return f"{headline(result)}. {short(result.reason, 200)} There is no witness to draw.".strip()
    threads = ", ".join(f"{lane.name} runs {short(lane.function, 30)}" for lane in result.threads)
    parts = [f"{headline(result)}. Steps: {len(result.witness)}; threads: {threads}."]
    for arrow in arrows(result)[-1:]:
        read, write = result.witness[arrow.read], result.witness[arrow.write]
        parts.append(
            f"A red arrow goes from the read by {letter(result, read.thread)} in step {arrow.read + 1} to the write by "
            f"{letter(result, result.witness[arrow.overwritten].thread)} in step {arrow.overwritten + 1}, which "
            f"{letter(result, write.thread)} overwrites in step {arrow.write + 1}."
        )
    if cycle(result):
        parts.append("A closed circle shows who waits for whom.")
    parts.append(end(result) or deed(result, len(result.witness) - 1) + ".")
    return " ".join(parts)


def _outcomes(result: Result) -> list[str]:
    shown = result.outcomes[:_MOST_OUTCOMES]
    cells = [(short(one.text, _OUTCOME), f"{one.traces_count:,}", "yes" if one.allowed else "NO") for one in shown]
    wide = max(_width(row[0]) for row in (("outcome",), *cells))
    lines = [f"{_fit('outcome', wide)}  {'traces':>8}  allowed  shortest schedule"]
    for (text, count, allowed), one in zip(cells, shown, strict=True):
        lines.append(f"{_fit(text, wide)}  {count:>8}  {allowed:<7}  {schedule_words(result, one.schedule, 30)}")
    left = len(result.outcomes) - len(shown)
    return [*lines, f"… and {left} more outcomes"] if left else lines


def _witness(result: Result) -> Iterator[str]:
    lanes = [f"{lane.name}: {lane.function}" for lane in result.threads]
    deeds = [_cell(result, index) for index in range(len(result.witness))]
    changes = [_changes(result, position) for position in range(1, len(deeds) + 1)]
    lane, shared = _widths(
        len(lanes), max(map(_width, [*lanes, *deeds]), default=0), max(map(_width, changes), default=0)
    )
    widths = [_STEP, *[lane] * len(lanes), shared]
    yield from _row(["step", *lanes, "shared"], widths)
    yield "─┼─".join("─" * width for width in widths)
    left_out = steps_left_out(result)
    for index, step in enumerate(result.witness):
        if left_out and index == left_out.start:
            yield f"{'…':>{_STEP}} │ {len(left_out):,} steps left out"
        if index not in left_out:
            cells = [deeds[index] if number == step.thread else "" for number in range(len(lanes))]
            yield from _row([f"{index + 1:>{_STEP}}", *cells, changes[index]], widths)
    if result.blocked:
        stuck = {thread: (thread, name, holder) for thread, name, holder, *_ in result.blocked}
        cells = [_stuck(result, *stuck[number]) if number in stuck else "" for number in range(len(lanes))]
        yield from _row(["end", *cells, ""], widths)


def _cell(result: Result, index: int) -> str:
    """Say a step without the thread's name, which stands on top of the column."""
    words = deed(result, index).partition(" ")[2]
    step = result.witness[index]
    return f"{words} ✗ step {step.overwritten + 1} is lost" if step.stale >= 0 else words


def _stuck(result: Result, thread: int, name: str, holder: int) -> str:
    return "✗ " + where_it_waits(result, thread, name, holder).partition(" ")[2]


def _changes(result: Result, position: int) -> str:
    """Say the shared values and locks after a step: all values, and of the locks those that somebody holds."""
    words = []
    now = shared_at(result, position)
    for key in shared_names(result):
        one = now.get(key)
        if one and one.owner >= 0:
            words.append(f"{short(one.name, 20)}: {letter(result, one.owner)}")
        if one and one.value:
            words.append(f"{short(one.name, 20)} = {short(one.value, 20)}")
    return ", ".join(words)


def _widths(lanes: int, wish: int, shared_wish: int) -> tuple[int, int]:
    """Share the line among the threads and the shared values."""
    room = COLUMNS - _STEP - 3 * (lanes + 1)
    shared = max(_LEAST, min(shared_wish, _MOST_SHARED, int(room * _SHARED_SHARE)))
    return max(_LEAST, min(wish, _MOST_LANE, (room - shared) // lanes)) if lanes else _LEAST, shared


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    """Yield the lines of one row of cells, each wrapped to its width."""
    wrapped = [_wrapped(cell, width) for cell, width in zip(cells, widths, strict=True)]
    for number in range(min(_LINES, max(map(len, wrapped)))):
        line = [lines[number] if number < len(lines) else "" for lines in wrapped]
        yield " │ ".join(_fit(text, width) for text, width in zip(line, widths, strict=True))


def _wrapped(text: str, width: int = COLUMNS) -> list[str]:
    """Break a text into lines of at most a width in columns, also where a character takes two."""
    plain = short(text, 10_000)
    if _width(plain) <= width:
        return [plain] if plain.strip() else []
    narrow = width if _width(plain) == len(plain) else width // 2
    return textwrap.wrap(plain, narrow)


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )


def _fit(text: str, width: int) -> str:
    return text + " " * (width - _width(text))
