"""Figures without state: made, drawn by an experiment, turned into a PNG. Rule: no pyplot, nothing is measured here."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["HEIGHT_IN", "WIDTH_IN", "empty", "larger", "picture"]

WIDTH_IN, HEIGHT_IN = 9.0, 4.5
_DOTS_PER_INCH = 110
_PROJECTED = 1.2, 1.6  # how much larger marks and text are, and how many more pixels
_for_a_projector: list[bool] = [False]  # the last one counts
_STYLE: dict[Any, Any] = {
    "font.size": 14,  # readable from the last row when the page is shown on a projector
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",  # also in Lab's dark theme: the palette is made for white
    "svg.fonttype": "none",
}


def larger(*, on: bool) -> None:
    """From now on draw pictures with larger text and thicker lines, and more pixels; or as usual again."""
    _for_a_projector[:] = [on]


def empty() -> Figure:
    """Make the figure of a picture: on a smaller sheet with more dots, all that is drawn comes out larger."""
    scale, pixels = _PROJECTED if _for_a_projector[0] else (1.0, 1.0)
    size = (WIDTH_IN / scale, HEIGHT_IN / scale)
    return Figure(figsize=size, dpi=_DOTS_PER_INCH * scale * pixels, layout="constrained")


def picture(draw: Callable[[DataFrame, Axes], None], table: DataFrame, title: str) -> bytes:
    """Draw a table, and return the picture as PNG (990 x 495 pixels, for a projector 1584 x 792).

    Args:
        draw: Draws a table on one Axes.
        table: What to draw.
        title: Stands above the picture.
    """
    with mpl.rc_context(_STYLE):
        figure = empty()
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(table, axes)
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=15, fontweight="bold")
        buffer = io.BytesIO()
        canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
