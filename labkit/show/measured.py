"""Check an answer that predicts a measurement. Rule: both run in children, and no single stroke of luck decides.

The student's function is asked first. Then each setting is measured, in order, up to the first in which prediction and
measurement differ: two of at most three measurements decide. Neighbours on the machine make a measurement too low now
and then, and hardly ever too high. So of a prediction that is as high as can be, one that fits is enough, and three
that miss are needed; any other prediction might fit by such bad luck.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from labkit import experiments
from labkit.child.predicted import ENTRY
from labkit.course.lesson import Compared
from labkit.limits import Limits
from labkit.model import Ending, Part, Trial
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.show import html
from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.course.lesson import Measured
    from labkit.model import Json, Run

__all__ = ["ASKED", "MEASURED_MOST", "Comparison", "State", "ask", "compare", "measure", "run_trial"]

State: TypeAlias = Literal["fits", "wrong", "not finished", "cannot check"]
MEASURED_MOST = 3  # times, of one setting
ASKED = Limits(deadline_s=2.0, memory_bytes=512 * MIB)  # a prediction is a small sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of comparing predictions with measurements.

    Attributes:
        probe: What was predicted.
        state: 'fits' if every prediction does; 'not finished' if it was interrupted.
        message: What the student is told; empty if all fits.
        rows: The settings that were compared, in order.
    """

    probe: Measured
    state: State
    message: str = ""
    rows: tuple[Compared, ...] = ()

    @property
    def tolerance(self) -> str:
        """By how much a prediction may differ, in words."""
        return f"{100 * self.probe.tolerance_ratio:.0f} %"

    @property
    def headline(self) -> str:
        """How a right answer is called."""
        return "Right, as measured here"

    @property
    def said(self) -> str:
        """What was compared, as a sentence after the moral of a right answer."""
        return f"All {len(self.rows)} predictions lie within {self.tolerance} of the measurement."

    def in_text(self) -> str:
        """Return predictions and measurements as a text table."""
        return "\n".join(" | ".join(cells) for cells in self._table())

    def in_html(self) -> str:
        """Return predictions and measurements as a table."""
        header, *body = self._table()
        table = html.rows(header, body, f"Your prediction beside the measurement, in {self.probe.unit}")
        return f'<div style="font-size:1.15em;margin:6px 0">{table}</div>'

    def _table(self) -> list[list[str]]:
        table = [[*self.probe.settings[0], "you said", "measured here", f"within {self.tolerance} of it?"]]
        for row in self.rows:
            fits = "✔ yes" if _right(self.probe, row) else "✘ no"
            measured = ", ".join(f"{one:.2f}" for one in row.measured)
            table.append([*map(str, row.setting.values()), f"{row.predicted:.3g}", measured, fits])
        return table


def compare(probe: Measured, source: tuple[Part, ...]) -> Comparison:
    """Ask an answer for its predictions, and compare each with what is measured here, now.

    Args:
        probe: What is predicted.
        source: The answer and all that it names, ready to travel.

    Returns:
        The comparison. Nothing of the student's has run in this process.
    """
    rows: list[Compared] = []
    try:
        state, message = _compared(probe, ask(probe, source), rows)
    except KeyboardInterrupt:
        state, message = "not finished", "Interrupted. Run the cell again."
    return Comparison(probe=probe, state=state, message=message, rows=tuple(rows))


def ask(probe: Measured, source: tuple[Part, ...]) -> Run:
    """Ask the student's function in a child; the result is that of `labkit.child.predicted.predictions`."""
    line = Part("labkit", 1, f"from labkit.child.predicted import predictions as {ENTRY}\n")
    params = {"function": probe.predict, "settings": [dict(one) for one in probe.settings]}
    return run_trial(Trial(workload=f"<cell>:{ENTRY}", arm="the answer", params=params, source=(*source, line)), ASKED)


def measure(probe: Measured, setting: Mapping[str, Json]) -> Run:
    """Measure one setting once, in a child."""
    subject = experiments.experiment(probe.experiment)
    (trial,) = plan(subject, repeats=1, seed=0, arms=[probe.arm], sweep=setting)
    return run_trial(trial, subject.limits)


def run_trial(trial: Trial, limits: Limits) -> Run:
    """Run one trial in a child, to its end; an interrupt ends it."""
    live = begin(trial, limits=limits)
    try:
        return live.wait()
    finally:
        live.stop()  # does nothing if it has ended


def _compared(probe: Measured, asked: Run, rows: list[Compared]) -> tuple[State, str]:
    """Measure what was predicted, and put it into ``rows``, until one differs."""
    problem = _no_prediction(probe, asked)
    if problem:
        return "wrong", problem
    for setting, (_, predicted) in zip(probe.settings, asked.result["told"], strict=True):
        row = Compared(setting, predicted, (), asked.result["gil"])
        while _right(probe, row) is None:
            run = measure(probe, setting)
            value = run.result.get(probe.column) if run.ending is Ending.FINISHED else None
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                return "cannot check", _no_measurement(probe, setting, run)
            row = row._replace(measured=(*row.measured, float(value)))
        rows.append(row)
        if _right(probe, row) is False:
            return "wrong", _off(probe, row)
    return "fits", ""


def _no_prediction(probe: Measured, asked: Run) -> str:
    """Say why there is no prediction; empty if there is one of every setting."""
    if asked.ending is not Ending.FINISHED:
        return f"`{probe.predict}` gives no answer: its process {asked.explain()}. It has only to return a number."
    for setting, (kind, value) in zip(probe.settings, asked.result["told"], strict=True):
        call = _call(probe, setting)
        if kind == "raised":
            return f"{call} fails with `{value}`, so nothing was measured. Mend that first."
        if kind == "changed":
            return f"{call} gives {value}. A prediction stays as it is: do without what changes from call to call."
        if kind == "no number":
            return f"{call} gives `{value}`, which is no number of {probe.unit}. Return a number for every setting."
    return ""


def _no_measurement(probe: Measured, setting: Mapping[str, Json], run: Run) -> str:
    why = f"gave no number of {probe.unit}" if run.ending is Ending.FINISHED else run.explain()
    return f"Nothing is said of the answer: the measurement for {_call(probe, setting)} {why}. Run the cell again."


def _right(probe: Measured, row: Compared) -> bool | None:
    """Say whether the measurements of a setting so far are for the prediction or against it; None if neither."""
    fits = [abs(row.predicted - one) <= probe.tolerance_ratio * one for one in row.measured]
    highest = row.predicted >= row.setting[probe.most] * (1 - probe.tolerance_ratio)
    if sum(fits) >= (1 if highest else 2):
        return True
    return False if len(fits) - sum(fits) >= (MEASURED_MOST if highest else 2) else None


def _off(probe: Measured, row: Compared) -> str:
    """Say of one setting what was predicted, what was measured, and why both differ."""
    middle = statistics.median(row.measured)
    said = f"{_call(probe, row.setting)} says {row.predicted:.3g}, and {middle:.2f} {probe.unit} were measured."
    return f"{said} {probe.judge(row)}".rstrip()


def _call(probe: Measured, setting: Mapping[str, Json]) -> str:
    return f"`{probe.predict}({', '.join(map(repr, setting.values()))})`"
