"""One place on the page that is redrawn while something is measured. Rule: at most four times a second.

A picture with many marks takes longer: then it is drawn less often, so that a fifth of the time goes into drawing at
most, and not into waiting for it between two runs.
"""

from __future__ import annotations

import re
import time
from html import unescape
from typing import TYPE_CHECKING, Any

from IPython.display import HTML, display

from labkit.show import html

if TYPE_CHECKING:
    from collections.abc import Callable

    import ipywidgets as widgets

__all__ = ["LivePlace", "answer_while_the_cell_runs", "progress_bar"]

_INTERVAL_S = 0.25  # a full redraw costs the kernel 57 to 80 ms, and one with many marks up to 300
_REST = 4  # times as long as the last redraw took


class LivePlace:
    """A display that is updated in place, from any thread; its last content stays in the notebook's file."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._handle: Any = None
        self._due = float("-inf")

    def open(self) -> None:
        """Take a place in the output of the cell that runs now."""
        self._handle = display(HTML("<p>…</p>"), display_id=True)

    def update(self, make: Callable[[], str], *, now: bool = False) -> None:
        """Show new content, unless the last redraw was a moment ago.

        Args:
            make: Makes the HTML; not called if it is too early.
            now: True to draw in any case.
        """
        began = time.monotonic()
        if not now and began < self._due:
            return
        content = make()
        if self._handle is not None:
            self._handle.update({"text/html": content, "text/plain": _plain(content)}, raw=True)
        drawn = time.monotonic()
        self._due = drawn + max(_INTERVAL_S, _REST * (drawn - began))


def _plain(content: str) -> str:
    """Give the words of a piece of HTML, for where there is no front end."""
    return unescape(" ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", content, flags=re.DOTALL).split()))


def progress_bar(done: int, total: int, began: float) -> str:
    """Say how far it is and how long it will take, as HTML.

    Args:
        done: Runs that have ended.
        total: Runs that were planned.
        began: When the first began, in seconds of the monotonic clock.
    """
    text = html.progress_words(done, total, began)
    return f'<p><progress value="{done}" max="{total}" aria-label="{text}"></progress> {text}</p>'


def answer_while_the_cell_runs(widget: widgets.Widget) -> None:
    """Let a widget's callbacks run at once, and not when the cell that showed it has ended.

    JupyterLab sends clicks to a thread of their own (a subshell), which is there for this. ipykernel 7.4 gives them
    back to the shell that wrote to the widget last, and that one is busy with the cell. It forgets here who wrote.
    Has to be done again after each change of the widget; does nothing in other versions.
    """
    if widget.comm is not None:
        vars(widget.comm).pop("_reply_subshell_id", None)
