"""Where everything stands in a picture of a witness. Rule: numbers and words only, in pixels of the picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

from labkit.interleave.story import Bar, arrows, holds
from labkit.interleave.words import is_call, short

if TYPE_CHECKING:
    from labkit.interleave.result import Result, Step

__all__ = ["MOST_WIDE", "Geometry", "Point", "arrow_points", "box_words"]

MOST_WIDE = 1000.0  # of what is seen at once
Point: TypeAlias = "tuple[float, float]"
_TOP, _BOX, _HOLD = 26.0, 46.0, 20.0
_LANE_GAP, _ARROW_GAP = 24.0, 58.0  # between lanes; more where an arrow has to be seen
_LARGEST = 1.4  # times its size, where there are few steps
_LETTER_WIDE = 8.6  # of text of 15 pixels, on average
_FEWEST, _MOST_LETTERS = 8, 15
_VERBS = {
    "acquire": "acquires",
    "try": "tries",
    "release": "releases",
    "wait": "waits on",
    "wake": "wakes",
    "notify": "notifies",
    "set": "sets",
    "clear": "clears",
    "arrive": "arrives",
    "leave": "leaves",
    "start": "starts",
    "join": "joins",
    "sleep": "sleeps",
    "spin": "spins",
    "raise": "fails",
}


def box_words(step: Step, letters: int) -> tuple[str, str]:
    """Return the two lines in the box of a step; the end of a dotted name says more than its beginning."""
    kind, name = step.kind, step.name
    verb = step.text.rpartition(".")[2] if is_call(step) else _VERBS.get(kind, f"{kind}s {step.value}".strip())
    tail = name if len(name) <= letters else "…" + short(name, 10_000)[-(letters - 1) :]
    return short(verb, letters), tail if kind != "raise" else short(name, letters)


class Geometry:
    """The places of steps, lanes and lock bars of one result.

    Attributes:
        steps: Number of steps.
        gap: Width of one step.
        box: Height of the box of a step.
        letters: Characters that fit into a box.
        left: Width of the labels at the left.
        width: Of the whole picture.
        visible: Of what is seen at once.
        height: Of the picture.
        scale: Times which the picture is shown, so that few steps fill the page too.
    """

    def __init__(self, result: Result, most_wide: float = MOST_WIDE) -> None:
        """Measure a result, of which at most so many pixels are seen at once."""
        words = [box_words(step, _MOST_LETTERS) for step in result.witness]
        words += [("✗ waits for", short(name, _MOST_LETTERS)) for _, name, *_ in result.blocked]
        longest = max((len(word) for pair in words for word in pair), default=0)
        self.steps, self.box = len(result.witness), _BOX
        self.letters = min(max(longest, _FEWEST), _MOST_LETTERS)
        self.gap = self.letters * _LETTER_WIDE + 18
        self.left = 56.0 if all(len(lane.name) <= 2 for lane in result.threads) else 84.0  # noqa: PLR2004 - letters
        self.width = self.left + self.steps * self.gap + (self.gap + 12 if result.blocked else 8)
        self.visible = min(self.width, most_wide)
        self._rows = _stacked(holds(result))
        self._tops: list[float] = []
        y, air = _TOP + 14, _ARROW_GAP if arrows(result) else _LANE_GAP
        for thread in range(len(result.threads)):
            self._tops.append(y)
            rows = max((row + 1 for bar, row in self._rows.items() if bar.thread == thread), default=0)
            y += _BOX + rows * _HOLD + air
        self.height = y - air + 10
        self.scale = min(_LARGEST, MOST_WIDE / self.visible)

    def x(self, index: int) -> float:
        """Return the left edge of a step, which is also the place of the position before it."""
        return self.left + index * self.gap

    def port(self, index: int) -> float:
        """Return where an arrow begins or ends at a step: left of the middle, since a mark stands at the right."""
        return self.x(index) + 0.3 * self.gap

    def y(self, thread: int) -> float:
        """Return the top of a thread's boxes."""
        return self._tops[thread]

    def hold_y(self, bar: Bar) -> float:
        """Return the top of a lock bar; bars that overlap in time stand under each other."""
        return self.y(bar.thread) + _BOX + 5 + self._rows[bar] * _HOLD

    def window(self, position: int) -> float:
        """Return the left edge of what is seen at a position: all, or the steps around it."""
        most = self.width - self.visible
        return min(most, max(0.0, self.x(position) - self.left - self.visible * 0.55)) if most > 0 else 0.0

    def columns(self, position: int) -> range:
        """Return the steps that can be seen at a position."""
        first = int(self.window(position) / self.gap)
        return range(max(0, first - 1), min(self.steps, first + math.ceil(self.visible / self.gap) + 1))


def _stacked(bars: list[Bar]) -> dict[Bar, int]:
    """Give each bar the first row of its lane that is free while it lasts."""
    rows: dict[Bar, int] = {}
    for bar in bars:
        taken = {row for other, row in rows.items() if other.thread == bar.thread and other.last > bar.first}
        rows[bar] = next(row for row in range(len(bars)) if row not in taken)
    return rows


def arrow_points(start: Point, end: Point, box: float) -> tuple[tuple[Point, ...], tuple[Point, ...]]:
    """Return an arrow between the boxes of two lanes: four points of a Bézier curve, and three of its head.

    Args:
        start: Middle of the upper edge of the box where it begins.
        end: The same of the box where it ends.
        box: Height of a box.
    """
    down = end[1] > start[1]
    (x1, y1), (x2, y2) = (start[0], start[1] + (box if down else 0)), (end[0], end[1] + (0 if down else box))
    bend, neck = (y2 - y1) * 0.5, y2 + (-15.0 if down else 15.0)
    return ((x1, y1), (x1, y1 + bend), (x2, y2 - bend), (x2, neck)), ((x2, y2), (x2 - 9, neck), (x2 + 9, neck))
