"""Marks that the pictures of all experiments share. Rule: standard library only, draws on the Axes given, no state.

Made for the last row of a room: few words, 12 points at least, every number beside its mark, and nothing told by colour
alone. Text stands outside the axes on the right, so the figure needs ``layout="constrained"``.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.intervals import Interval, median_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from pandas import DataFrame

    from labkit.model import Look

__all__ = ["Line", "Row", "blank", "border", "dots", "left_out", "lines", "log_axis", "note", "pairs", "unfinished"]

_LARGE, _TEXT, _SMALL = 18, 14, 12  # points
_ROOM = 60  # points that the rows share for each inch of the figure's height
_LINES_ROOM = 35  # the same for the lines of texts that have several
_GAP_IN = 0.2925  # between labels at the ends of lines
_AIR = 0.5  # rows between groups of rows
_ABOVE = 22  # points from the axes to a note: the name of a border stands between them


class Row(NamedTuple):
    """One row of a dot plot: every run as a faint dot, their median large, its 95 % interval as a thick line.

    Attributes:
        label: What stands on the y axis; neighbours with the same label share it.
        look: Colour and marker of the kind of worker.
        values: One per run, in the unit of the x axis; or the estimate itself, such as a share of all runs together.
        text: What stands on the right, in the colour of the row.
        hollow: True draws the large marker hollow.
    """

    label: str
    look: Look
    values: Sequence[float] | Interval
    text: str
    hollow: bool = False


class Line(NamedTuple):
    """One line of medians with their 95 % intervals.

    Attributes:
        label: What stands at its right end.
        look: Colour, marker and dash of the kind of worker.
        points: At each place on the x axis the values of all runs, or the estimate itself.
        hollow: True draws the markers hollow.
        quiet: True draws it thin and pale: for lines that the reader may look at second.
    """

    label: str
    look: Look
    points: Mapping[float, Sequence[float] | Interval]
    hollow: bool = False
    quiet: bool = False


def dots(ax: Axes, rows: Sequence[Row]) -> None:
    """Draw a horizontal dot plot, the first row on top. Sets ticks and limits of the y axis."""
    places: dict[str, list[float]] = {}
    grouped, y = len({row.label for row in rows}) < len(rows), 0.0
    height_in = _height_in(ax)
    air = _AIR * (len({row.label for row in rows}) - 1) if grouped else 0.0
    size = min(_SMALL if grouped else _LARGE, _ROOM * height_in / (len(rows) + air))
    tall = max((1 + row.text.count("\n") for row in rows), default=1)
    if tall > 1:
        size = min(size, _LINES_ROOM * height_in / (tall * len(rows)))
    for row in rows:
        y += _AIR if grouped and places and row.label not in places else 0.0  # air between groups
        places.setdefault(row.label, []).append(y)
        middle, low, high = _estimate(row.values)
        color, face = row.look.color, "white" if row.hollow else row.look.color
        if not isinstance(row.values, Interval):
            ax.plot(row.values, [y] * len(row.values), "o", color=color, alpha=0.3, markersize=6, markeredgewidth=0)
        ax.plot([low, high], [y, y], color=color, linewidth=5, alpha=0.6, solid_capstyle="round")
        ax.plot([middle], [y], row.look.marker, color=color, markerfacecolor=face, markersize=min(13, size), zorder=3)
        ax.annotate(
            row.text,
            (1.02, y),
            xycoords=("axes fraction", "data"),
            va="center",
            color=color,
            fontsize=size,
            fontweight="bold",
            annotation_clip=False,
        )
        y += 1
    ax.set_yticks([sum(place) / len(place) for place in places.values()], list(places), fontsize=_TEXT)
    ax.set_ylim(y - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    _finish(ax, "x")


def pairs(ax: Axes, rows: Mapping[str, Sequence[Row]], names: Sequence[tuple[str, Look]]) -> None:
    """Draw a dot plot with one line per label, on which several kinds of worker stand; the first label on top.

    Args:
        ax: Where to draw; set the scale and the limits of the x axis before.
        rows: For each label its rows; the texts of all stand on the right, one after another.
        names: The kinds of worker, in the order of the texts; the rows of all but the first are hollow ones.
    """
    shown: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
    for y, row in enumerate(rows.values()):
        found = [_estimate(one.values) for one in row]
        ax.plot([each.middle for each in found], [y] * len(found), "-", color="0.75", linewidth=3, zorder=1)
        for one, (middle, low, high) in zip(row, found, strict=True):
            color, face = one.look.color, "white" if one.hollow else one.look.color
            ax.plot([low, high], [y, y], color=color, linewidth=6, alpha=0.4, solid_capstyle="round", zorder=2)
            mark: dict[str, Any] = {"color": color, "markerfacecolor": face, "markeredgewidth": 2.5}
            ax.plot([middle], [y], one.look.marker, markersize=11 - one.hollow, zorder=3, clip_on=False, **mark)
        text = "   ".join(one.text for one in row)
        ax.annotate(text, (1.03, y), color="0.15", fontsize=_TEXT, fontweight="bold", **shown)
    for n, (name, look) in enumerate(names):
        text, place = f"{'hollow' if n else 'full'}: {name}", (0.02 + 0.4 * n, -1)
        ax.annotate(text, place, color=look.color, fontsize=_TEXT, fontweight="bold", **shown)
    if len(names) > 1:
        ax.annotate(", ".join(name for name, _ in names), (1.03, -1), color="0.35", fontsize=_SMALL, **shown)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set_ylim(len(rows) - 0.4, -1.5)
    ax.tick_params(axis="y", length=0)
    _finish(ax, "x")


def lines(ax: Axes, series: Sequence[Line]) -> None:
    """Draw lines of medians, each labelled at its right end. Set the scale and the limits of the axes before."""
    ends: list[tuple[float, Line]] = []
    for line in series:
        xs = sorted(line.points)
        found = [_estimate(line.points[x]) for x in xs]
        face = "white" if line.hollow else line.look.color
        color, marker, dash = line.look
        ax.fill_between(
            xs,
            [each.low for each in found],
            [each.high for each in found],
            color=color,
            alpha=0.06 if line.quiet else 0.2,
            lw=0,
        )
        middles = [each.middle for each in found]
        width, size, alpha, z = (1.5, 6, 0.6, 3) if line.quiet else (3.5, 11, 1.0, 4)
        mark: dict[str, Any] = {"marker": marker, "markersize": size, "markerfacecolor": face, "clip_on": False}
        ax.plot(xs, middles, color=color, linestyle=dash, linewidth=width, alpha=alpha, zorder=z, **mark)
        ends.append((middles[-1], line))
    to_axes = ax.transData + ax.transAxes.inverted()  # works on any scale
    heights = [float(to_axes.transform((0, y))[1]) for y, _ in ends]
    gap = _GAP_IN / _height_in(ax) * max(1 + line.label.count("\n") for line in series)
    for height, place, (_, line) in zip(heights, _apart(heights, gap), ends, strict=True):
        ax.annotate(
            line.label,
            (1.0, height),
            xytext=(1.05, place),
            xycoords="axes fraction",
            va="center",
            color=line.look.color,
            fontsize=_SMALL if line.quiet else _TEXT,
            fontweight="normal" if line.quiet else "bold",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": line.look.color,
                "lw": 1,
                "shrinkA": 2,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )
    _finish(ax, "both")


def log_axis(ax: Axes, axis: Axis, values: Sequence[float]) -> None:
    """Make the x or y axis of a plot logarithmic, with room for positive values and few plain numbers on it."""
    low, high = min(values) / 2, max(values) * 2
    steps = (1,) if high / low > 100 else (1, 2, 5)  # noqa: PLR2004 - two decades show two or three powers of ten
    ticks = [step * 10.0**power for power in range(-9, 10) for step in steps if low <= step * 10.0**power <= high]
    if axis is ax.xaxis:
        ax.set(xscale="log", xlim=(low, high))
    else:
        ax.set(yscale="log", ylim=(low, high))
    ax.minorticks_off()
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])


def border(ax: Axes, across: str, place: float, text: str) -> None:
    """Draw a line that means something, such as one core, across the x or the y axis, and name it."""
    style: dict[str, Any] = {"color": "0.35", "linewidth": 1.5, "linestyle": (0, (6, 3)), "zorder": 1}
    words: dict[str, Any] = {"color": "0.35", "fontsize": _SMALL, "annotation_clip": False}
    if across == "x":
        ax.axvline(place, **style)
        ax.annotate(text, (place, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", **words)
    else:
        ax.axhline(place, **style)
        offset: dict[str, Any] = {"xytext": (0, -4), "textcoords": "offset points", "ha": "center", "va": "top"}
        ax.annotate(text, (0.3, place), xycoords=("axes fraction", "data"), **offset, **words)


def left_out(ax: Axes, unfinished_count: int, pooled: Sequence[str]) -> None:
    """Write above the axes which runs are not drawn, and over which parameters the others are taken together."""
    parts = [f"unfinished runs left out: {unfinished_count}"] if unfinished_count else []
    note(ax, "; ".join([*parts, f"pooled over {', '.join(pooled)}"] if pooled else parts))


def unfinished(table: DataFrame) -> int:
    """Count the runs that a picture leaves out.

    An interpreter that is not installed is no failure, and the text below the table names it; but if nothing at all
    could be drawn, its runs count.
    """
    endings = table["ending"]
    finished, lacking = int((endings == "finished").sum()), int((endings == "cannot be run here").sum())
    return len(table) - finished - (lacking if finished else 0)


def note(ax: Axes, text: str) -> None:
    """Write a line above the axes, such as what was left out; an empty text writes nothing."""
    if text:
        ax.set_title(text, fontsize=_SMALL, color="0.35", loc="left", pad=_ABOVE)


def blank(ax: Axes) -> None:
    """Say that there is nothing to draw."""
    ax.set(xticks=[], yticks=[])
    ax.text(0.5, 0.5, "nothing measured yet", transform=ax.transAxes, ha="center", va="center", fontsize=_LARGE)
    _finish(ax, "")


def _estimate(values: Sequence[float] | Interval) -> Interval:
    return values if isinstance(values, Interval) else median_interval(values)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels until neighbours are at least a gap apart, as little as possible and around where they belong."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    groups: list[list[float]] = []  # heights of labels that touch; each group is centred on its median
    for index in order:
        groups.append([heights[index]])
        while len(groups) > 1 and _top(groups[-2], gap) + gap > median(groups[-1]) - gap * (len(groups[-1]) - 1) / 2:
            groups[-2:] = [groups[-2] + groups[-1]]
    spread = [_top(group, gap) - gap * (len(group) - 1 - n) for group in groups for n in range(len(group))]
    return [place for _, place in sorted(zip(order, spread, strict=True))]


def _top(group: Sequence[float], gap: float) -> float:
    return median(group) + gap * (len(group) - 1) / 2


def _height_in(ax: Axes) -> float:
    """Return the height of the whole figure; for a projector it is smaller, so that all on it is larger."""
    figure = ax.get_figure()
    return float(figure.get_figheight()) if figure else 4.5  # type: ignore[union-attr]  # in no figure of a figure


def _finish(ax: Axes, grid: str) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(_TEXT)
        axis.set_tick_params(which="major", labelsize=_TEXT)
    if grid in ("x", "both"):
        ax.grid(axis="x" if grid == "x" else "y", color="0.9")
        ax.set_axisbelow(True)
