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

__all__ = ["HEIGHT_IN", "WIDTH_IN", "picture"]

WIDTH_IN, HEIGHT_IN = 9.0, 4.5
_DOTS_PER_INCH = 110
_STYLE: dict[Any, Any] = {
    "font.size": 14,  # readable from the last row when the page is shown on a projector
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",  # also in Lab's dark theme: the palette is made for white
    "svg.fonttype": "none",
}


def picture(draw: Callable[[DataFrame, Axes], None], table: DataFrame, title: str) -> bytes:
    """Draw a table, and return the picture as PNG (990 x 495 pixels).

    Args:
        draw: Draws a table on one Axes.
        table: What to draw.
        title: Stands above the picture.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=_DOTS_PER_INCH, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        draw(table, axes)
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=15, fontweight="bold")
        buffer = io.BytesIO()
        canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
