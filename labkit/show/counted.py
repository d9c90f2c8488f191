"""Check an answer by what it does, counted in a child. Rule: neither luck nor a clock decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.child.predicted import ENTRY
from labkit.course.exercises.checks import PROBE
from labkit.limits import Limits
from labkit.model import Ending, Part, Trial
from labkit.show import html
from labkit.show.measured import run_trial
from labkit.units import MIB

if TYPE_CHECKING:
    from labkit.course.lesson import Counted
    from labkit.model import Run
    from labkit.show.measured import State

__all__ = ["COUNTED", "Tried", "compare", "count"]

COUNTED = Limits(deadline_s=3.0, memory_bytes=512 * MIB)  # the answers of the lessons take a tenth of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of trying an answer, with a table of it.

    Attributes:
        state: 'fits' if there is nothing against the answer; 'not finished' if it was interrupted.
        headline: How a right answer is called.
        said: What was tried, as a sentence after the moral of a right answer.
        message: What the student is told; empty if all fits.
        caption: Of the table.
        header: Heads of its columns.
        rows: Its rows, as text; none if nothing was tried.
    """

    state: State
    headline: str
    said: str
    message: str = ""
    caption: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def in_text(self) -> str:
        """Return what was tried as a text table."""
        return "\n".join(" | ".join(cells) for cells in (self.header, *self.rows))

    def in_html(self) -> str:
        """Return what was tried as a table."""
        table = html.rows(self.header, self.rows, self.caption)
        return f'<div style="font-size:1.15em;margin:6px 0">{table}</div>'


def compare(probe: Counted, source: tuple[Part, ...]) -> Tried:
    """Let an answer do its work, and judge what was counted.

    Args:
        probe: What is counted.
        source: The answer and all that it names, ready to travel.

    Returns:
        What came of it. Nothing of the student's has run in this process.
    """
    rows: tuple[tuple[str, ...], ...] = ()
    state: State = "wrong"
    try:
        run = count(probe, source)
    except KeyboardInterrupt:
        state, message = "not finished", "Interrupted. Run the cell again."
    else:
        message = _no_count(run)
        if not message:
            message = probe.judge(run.result)
            rows = tuple(tuple(map(str, row)) for row in run.result["rows"])
            state = "wrong" if message else "fits"
    return Tried(
        state=state,
        headline="Right, as counted",
        said=probe.said,
        message=message,
        caption="What was tried, and counted",
        header=probe.columns,
        rows=rows,
    )


def count(probe: Counted, source: tuple[Part, ...]) -> Run:
    """Count in a child; the result is what the probe's function returns."""
    line = Part("labkit", 1, f"{ENTRY} = {probe.count}\n")
    whole = (*source, Part(PROBE, 1, probe.source), line)
    return run_trial(Trial(workload=f"<cell>:{ENTRY}", arm="the answer", source=whole), COUNTED)


def _no_count(run: Run) -> str:
    """Say why nothing was counted; empty if something was."""
    if run.ending is not Ending.FINISHED:
        return f"Nothing could be counted: the answer's process {run.explain()}. It has to return, and soon."
    if not isinstance(run.result.get("rows"), list):
        return "Nothing could be counted: the answer put something else in the place of the check. Do without."
    return ""
