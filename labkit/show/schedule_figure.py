"""The witness as a matplotlib figure: lanes, lock bars, waits, stale reads, the circle. Rule: no pyplot, no state."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path

from labkit.artists import blank
from labkit.interleave.story import Bar, arrows, holds, letter, waits
from labkit.interleave.text import describe
from labkit.interleave.words import short
from labkit.plots import WIDTH_IN
from labkit.show import html, ring
from labkit.show.geometry import MOST_WIDE, Geometry, arrow_points, box_words
from labkit.show.lanes import INKS
from labkit.show.stepper import static_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from labkit.interleave.result import Result

__all__ = ["describe", "draw", "figure", "timeline"]

_FEW_WIDE = 780.0  # a narrower picture is not made larger: text of 15 pixels is 12 points on a figure of 9 inches
_RED = "#B00020"
_TEXT, _TINY, _LETTER = 15.0, 13.0, 20.0  # in the unit of the axes
_DOTS_PER_INCH = 110
_MARGIN_IN = 0.1


def draw(result: Result, ax: Axes) -> None:
    """Draw the witness on one Axes; of a long one, the last steps. Sets the limits, and hides the axis.

    Args:
        result: What `explore` found.
        ax: Where to draw.
    """
    if not result.witness:
        blank(ax)
        ax.texts[-1].set_text("no witness to draw")
        return
    shape = Geometry(result)
    wide, high, right, below = _size(result, shape)
    view = _View(ax, shape, max(wide, _FEW_WIDE), high)
    for thread in range(len(result.threads)):
        _lane(view, result, thread)
    if view.shown.start:
        view.text(2, 12, f"… {view.shown.start} before", _TINY, ha="left")
    for bar in holds(result):
        _hold(view, bar)
    for bar in waits(result):
        _wait(view, bar)
    for index in view.shown:
        _box(view, result, index)
    for thread, name, *_ in result.blocked:
        _stuck(view, thread, name)
    for arrow in arrows(result)[-1:]:  # several would cover each other
        if arrow.read in view.shown:
            _stale(view, result, arrow.read, arrow.overwritten, arrow.write)
    _ring(view, result, right, below)


def figure(result: Result) -> Figure:
    """Return a figure of the witness, as high as it needs to be."""
    wide, high, *_ = _size(result, Geometry(result))
    height = WIDTH_IN * high / max(wide, _FEW_WIDE) if result.witness else 1.0
    made = Figure(figsize=(WIDTH_IN, height + _MARGIN_IN), dpi=_DOTS_PER_INCH, facecolor="white")
    FigureCanvasAgg(made)
    draw(result, made.add_axes((0.0, 0.0, 1.0, 1.0)))
    return made


def timeline(result: Result) -> str:
    """Return the figure as HTML, with its alt text and all steps as a table beside it."""
    buffer = io.BytesIO()
    figure(result).savefig(buffer, format="png")
    table = static_table(result) if result.witness else ""
    return html.figure(buffer.getvalue(), describe(result)) + table


def _size(result: Result, shape: Geometry) -> tuple[float, float, float, float]:
    """Return width and height of the picture, and where the circle stands: beside the lanes, or below them."""
    if not ring.nodes_of(result):
        return shape.visible, shape.height, 0.0, 0.0
    if shape.visible + ring.WIDE <= MOST_WIDE:
        return shape.visible + ring.WIDE, max(shape.height, ring.HIGH), shape.visible, 0.0
    return shape.visible, shape.height + ring.HIGH, 0.0, shape.height


class _View:
    """The Axes with the geometry: one unit of its data is one pixel of the geometry."""

    def __init__(self, ax: Axes, shape: Geometry, wide: float, high: float) -> None:
        self.ax, self.shape = ax, shape
        self.from_left = shape.window(shape.steps)
        first = next(index for index in range(shape.steps) if shape.x(index) >= self.from_left + shape.left - 1)
        self.shown = range(first, shape.steps)
        ax.set(xlim=(0, wide), ylim=(high, 0), aspect="equal", anchor="NW")
        ax.set_axis_off()
        size = ax.get_window_extent()
        dots = min(size.width / wide, size.height / high)
        figure = ax.get_figure(root=True)
        self.points = dots * 72 / (figure.dpi if figure else _DOTS_PER_INCH)

    def x(self, index: int) -> float:
        return self.shape.x(index) - self.from_left

    def text(self, x: float, y: float, words: str, size: float = _TEXT, **how: Any) -> None:
        """Write words as they are: no formula, whatever a student's name may hold."""
        how = {"ha": "center", "va": "center", "color": "black"} | how
        self.ax.text(x, y, words, fontsize=size * self.points, parse_math=False, zorder=how.pop("zorder", 5), **how)

    def rectangle(self, x: float, y: float, wide: float, high: float, **how: Any) -> None:
        how = {"linewidth": 2.5 * self.points, "zorder": 3} | how
        self.ax.add_patch(Rectangle((x, y), wide, high, **how))

    def line(self, xs: tuple[float, float], ys: tuple[float, float]) -> None:
        self.ax.plot(xs, ys, color="0.6", linewidth=1.5 * self.points, zorder=1)


def _lane(view: _View, result: Result, thread: int) -> None:
    shape, fill, ink = view.shape, *INKS[thread % len(INKS)]
    middle = shape.y(thread) + shape.box / 2
    view.line((shape.left - 8, shape.visible), (middle, middle))
    view.rectangle(2, middle - 17, shape.left - 18, 34, facecolor=fill, edgecolor=fill)
    view.text((shape.left - 14) / 2, middle, short(letter(result, thread), 5), _LETTER, color=ink, fontweight="bold")


def _box(view: _View, result: Result, index: int) -> None:
    step, shape = result.witness[index], view.shape
    fill, ink = INKS[step.thread % len(INKS)]
    changes = step.kind not in {"read", "try", "sleep", "spin", "join"}
    x, y = view.x(index) + 5, shape.y(step.thread)
    view.rectangle(x, y, shape.gap - 10, shape.box, facecolor=fill if changes else "white", edgecolor=fill)
    first, second = box_words(step, shape.letters)
    color, middle = ink if changes else "black", view.x(index) + shape.gap / 2
    view.text(middle, y + 14, first, color=color, fontweight="bold")
    view.text(middle, y + 33, second, color=color)
    view.text(middle, 12, str(index + 1), _TINY)


def _stuck(view: _View, thread: int, name: str) -> None:
    shape = view.shape
    x, y = view.x(shape.steps) + 5, shape.y(thread)
    view.rectangle(x, y, shape.gap, shape.box, facecolor="white", edgecolor=_RED, linestyle="--")
    view.text(x + shape.gap / 2, y + 14, "✗ waits for", color=_RED, fontweight="bold")
    view.text(x + shape.gap / 2, y + 33, short(name, shape.letters))


def _hold(view: _View, bar: Bar) -> None:
    shape, first = view.shape, max(bar.first - 1, view.shown.start)
    last = min(bar.last - 1, shape.steps)
    if last < first:
        return
    x, y = view.x(first) + 5, shape.hold_y(bar)
    wide = max(view.x(last) - x - 2 + (shape.gap - 8 if bar.last <= shape.steps else 0), shape.gap - 10)
    view.rectangle(x, y, wide, 18, facecolor="white", edgecolor=INKS[bar.thread % len(INKS)].fill)
    view.text(x + 6, y + 9, short(f"holds {bar.name}", max(3, int(wide / 8))), _TINY, ha="left")


def _wait(view: _View, bar: Bar) -> None:
    shape, first = view.shape, max(bar.first, view.shown.start)
    x, end = view.x(first) + 5, view.x(min(bar.last - 1, shape.steps)) - 5
    if end - x < shape.gap / 2:
        return
    middle = shape.y(bar.thread) + shape.box / 2
    view.rectangle(
        x, middle - 13, end - x, 26, facecolor="white", edgecolor="0.55", hatch="///", linewidth=1.2 * view.points
    )
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    view.text((x + end) / 2, middle, "waits", _TINY, bbox=box)


def _stale(view: _View, result: Result, read: int, overwritten: int, write: int) -> None:
    """Draw the arrow from a stale read to the write that is overwritten unseen, and mark both writes."""
    shape, steps = view.shape, result.witness
    top, other = shape.y(steps[read].thread), shape.y(steps[overwritten].thread)
    start = shape.port(read) - view.from_left, top
    end = shape.port(overwritten) - view.from_left, other
    curve, head = arrow_points(start, end, shape.box)
    path = Path(curve, [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
    view.ax.add_patch(PathPatch(path, facecolor="none", edgecolor=_RED, linewidth=5 * view.points, zorder=2))
    view.ax.add_patch(Polygon(head, closed=True, facecolor=_RED, edgecolor=_RED, zorder=2))
    for index, words in ((overwritten, "lost"), (write, "stale")):
        x, y = view.x(index) + shape.gap - 48, shape.y(steps[index].thread) - 16
        view.rectangle(x, y, 46, 19, facecolor=_RED, edgecolor="white", zorder=7)
        view.text(x + 23, y + 10, words, _TINY, color="white", fontweight="bold", zorder=8)


def _ring(view: _View, result: Result, right: float, below: float) -> None:
    nodes = ring.nodes_of(result)
    for number, node in enumerate(nodes):
        points = [(x + right, y + below) for x, y in ring.arc(nodes, number)]
        waiting = node.thread >= 0
        how: dict[str, Any] = {
            "color": _RED if waiting else "black",
            "linewidth": (4 if waiting else 2.5) * view.points,
        }
        if points:
            view.ax.plot(*zip(*points[:-1], strict=True), linestyle="-" if waiting else "--", **how, zorder=4)
            head = {"arrowstyle": "-|>", "mutation_scale": 20 * view.points, "shrinkA": 0, "shrinkB": 0, **how}
            view.ax.add_patch(FancyArrowPatch(points[-2], points[-1], zorder=5, **head))
    for node in nodes:
        x, y, fill, ink = node.x + right, node.y + below, "0.93", "black"
        if node.thread >= 0:
            fill, ink = INKS[node.thread % len(INKS)]
            view.ax.add_patch(Circle((x, y), node.reach, facecolor=fill, edgecolor="white", zorder=6))
        else:
            view.rectangle(x - node.reach, y - 15, 2 * node.reach, 30, facecolor=fill, edgecolor="black", zorder=6)
        view.text(x, y, node.text, color=ink, zorder=7)
    if nodes:
        view.text(right + ring.WIDE / 2, below + ring.HIGH - 12, "red: waits for · dashed: is held by", _TINY)
