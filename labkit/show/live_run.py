"""A run on its way, shown in its cell, with a Stop button. Rule: shows only, at most four times a second.

The cell waits until the run has ended, as for a bench; the kernel answers the Stop button meanwhile, and an interrupt
stops the run. The last picture is the run's card, and it stays in the notebook's file.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from IPython import get_ipython
from IPython.display import display

from labkit.show import html, wait_graph
from labkit.show.live import answer_while_the_cell_runs

if TYPE_CHECKING:
    from labkit.model import Run
    from labkit.runs.supervise import LiveRun

__all__ = ["View", "follow", "picture"]

_LOOK_S, _REDRAW_S = 0.1, 0.25
_SILENT_S = 1.0  # the watch tells something four times a second, unless it cannot run


def follow(live: LiveRun) -> None:
    """Show a run until it has ended, and wait for that. Interrupting this stops the run; nothing heard is lost."""
    if live.done:
        display(live.wait())
    elif getattr(get_ipython(), "kernel", None) is None:  # a terminal: there is nothing that could be redrawn
        print(repr(live.wait()))  # noqa: T201 - this is what showing means there
    else:
        View(live).follow()


class View:
    """Stop button and picture of one run.

    Attributes:
        live: The run that is shown.
        stop: The button.
    """

    def __init__(self, live: LiveRun) -> None:
        """Build the button; nothing is shown yet."""
        self.live, self._name = live, live.trial.arm or live.trial.workload
        self.stop = widgets.Button(
            description="Stop", icon="stop", tooltip=f"Stop the run of {self._name}", layout=widgets.Layout(width="8em")
        )
        self.stop.on_click(lambda _: live.stop())
        self._words = widgets.HTML()
        self._panel = widgets.HBox([self.stop, self._words], layout=widgets.Layout(flex_flow="row wrap"))
        self._panel.add_class("labkit-live-run")
        self._drawn = 0.0
        self._place: Any = None

    def follow(self) -> None:
        """Show the run until it has ended."""
        try:
            display(self._panel)
            answer_while_the_cell_runs(self.stop)
            self._put(picture(self.live), repr(self.live))
            self._redraw_until_ended()
        except KeyboardInterrupt:
            self.live.stop()
            self._redraw_until_ended()
        finally:
            self.live.stop()  # does nothing if it has ended; else the picture has failed
            self.stop.disabled = True
        self._finish(self.live.wait())

    def _redraw_until_ended(self) -> None:
        while not self.live.join(_LOOK_S):
            if time.monotonic() >= self._drawn + _REDRAW_S:
                self._say(_state(self.live))
                self._put(picture(self.live), repr(self.live))
                self._drawn = time.monotonic()

    def _finish(self, run: Run) -> None:
        self._say(f"The run of {self._name} has ended.")
        self._put(html.run_card(run), repr(run))

    def _put(self, markup: str, text: str) -> None:
        """Show something in the one place that is redrawn."""
        bundle = {"text/html": markup, "text/plain": text}
        if self._place is None:
            self._place = display(bundle, raw=True, display_id=True)
        else:
            self._place.update(bundle, raw=True)

    def _say(self, words: str) -> None:
        """Say how it stands, to a screen reader too; only when it changes, or it would never be silent."""
        text = f'<span role="status">{html.escape(words)}</span>'
        if self._words.value != text:
            self._words.value = text


def picture(live: LiveRun) -> str:
    """Return how a run stands now, as HTML: time, who waits for whom, CPU and lines printed."""
    name, most = live.trial.arm or live.trial.workload, html.in_words("deadline_s", live.limits.deadline_s)
    running = live.running_s
    title = f"{name} is running for {running:.1f} s of at most {most}" if running else f"{name} is about to start"
    printed = live.heard.lines_count
    lines = "" if printed is None else wait_graph.lines_printed(printed)
    return html.card(title, wait_graph.framed(_watched(live, running, lines) if live.watch else lines))


def _watched(live: LiveRun, running_s: float, lines: str) -> str:
    seen = wait_graph.glances(list(live.heard.events))
    if not seen:
        return f"<p>not looked yet</p>{lines}"
    silent_s = running_s - seen[-1].t_s
    note = f"<p>No look for {silent_s:.1f} s: something holds the interpreter.</p>" if silent_s > _SILENT_S else ""
    return wait_graph.graph(seen[-1].edges, wait_graph.step_line(seen) + lines) + note


def _state(live: LiveRun) -> str:
    """Say in a few words how it stands, without a number that changes all the time."""
    seen = wait_graph.glances(list(live.heard.events)) if live.watch else []
    return f"Running: {wait_graph.in_words(seen[-1].edges)}." if seen else "Running."
