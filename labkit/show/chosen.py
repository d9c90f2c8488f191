"""Check choices by what all that is offered costs here. Rule: no right answer is written down; what is cheap is right.

The student's function is asked in one child, and what is offered is measured in another. A choice may cost some times
the cheapest: only what is far off is wrong, and that is so beside a busy neighbour as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.child.predicted import ENTRY
from labkit.course.lesson import Weighed
from labkit.limits import Limits
from labkit.model import Ending, Part, Trial
from labkit.show.counted import Tried
from labkit.show.measured import ASKED, run_trial
from labkit.units import MIB, in_words

if TYPE_CHECKING:
    from labkit.course.lesson import Chosen
    from labkit.model import Run
    from labkit.show.measured import State

__all__ = ["ask", "compare", "measure"]

_ROUNDS = 3
_MEASURING = Limits(deadline_s=10.0, memory_bytes=512 * MIB)


def compare(probe: Chosen, source: tuple[Part, ...]) -> Tried:
    """Ask an answer for its choices, and compare each with what is measured here, now.

    Args:
        probe: What is chosen from.
        source: The answer and all that it names, ready to travel.

    Returns:
        What came of it. Nothing of the student's has run in this process.
    """
    rows: list[Weighed] = []
    try:
        state, message = _compared(probe, ask(probe, source), rows)
    except KeyboardInterrupt:
        state, message = "not finished", "Interrupted. Run the cell again."
    return Tried(
        state=state,
        headline="Right, as measured here",
        said=f"Each choice costs at most {probe.factor:g} times the cheapest, as measured here.",
        message=message,
        caption="CPU time of a message, both sides together on one core: the lowest that was measured",
        header=("job", *probe.offered, "you chose", f"at most {probe.factor:g} times the cheapest?"),
        rows=tuple(_cells(probe, row) for row in rows),
    )


def ask(probe: Chosen, source: tuple[Part, ...]) -> Run:
    """Ask the student's function in a child; the result is that of `labkit.child.predicted.choices`."""
    line = Part("labkit", 1, f"from labkit.child.predicted import choices as {ENTRY}\n")
    params = {"function": probe.choose, "jobs": list(probe.jobs)}
    return run_trial(Trial(workload=f"<cell>:{ENTRY}", arm="the answer", params=params, source=(*source, line)), ASKED)


def measure(probe: Chosen) -> Run:
    """Measure every job with all that is offered, in one child; the result is that of `labkit.child.costs.costs`."""
    jobs = [dict(job) for job in probe.jobs.values()]
    params = {"jobs": jobs, "offered": list(probe.offered), "rounds": _ROUNDS}
    return run_trial(Trial(workload="labkit.child.costs:costs", arm="the costs", params=params), _MEASURING)


def _compared(probe: Chosen, asked: Run, rows: list[Weighed]) -> tuple[State, str]:
    """Measure what was chosen from, and put it into ``rows``, until a choice costs too much."""
    problem = _no_choice(probe, asked)
    if problem:
        return "wrong", problem
    run = measure(probe)
    if run.ending is not Ending.FINISHED:
        return "cannot check", f"Nothing is said of the answer: the measurement {run.explain()}. Run the cell again."
    for job, (_, chosen), costs_s in zip(probe.jobs, asked.result["told"], run.result["costs"], strict=True):
        if all(isinstance(cost_s, str) for cost_s in costs_s.values()):
            return "cannot check", f"Nothing is said of the answer: for `{job}` nothing can be measured here."
        rows.append(Weighed(job, chosen, costs_s))
        if not _fits(probe, rows[-1]):
            return "wrong", _costly(probe, rows[-1])
    return "fits", ""


def _no_choice(probe: Chosen, asked: Run) -> str:
    """Say why there is no choice; empty if there is one for every job."""
    if asked.ending is not Ending.FINISHED:
        return f"`{probe.choose}` gives no answer: its process {asked.explain()}. It has only to return a name."
    offered = ", ".join(f"`{name}`" for name in probe.offered)
    for job, (kind, value) in zip(probe.jobs, asked.result["told"], strict=True):
        call = f"`{probe.choose}({job!r})`"
        if kind == "raised":
            return f"{call} fails with `{value}`, so nothing was measured. Mend that first."
        if kind == "changed":
            return f"{call} gives {value}. A choice stays as it is: do without what changes from call to call."
        if kind == "no text":
            return f"{call} gives `{value}`, which is no text. Return one of {offered}, in quotes."
        if value not in probe.offered:
            return f"{call} gives `{value[:60]!r}`, which is not offered. Return one of {offered}, as it is written."
    return ""


def _cheapest_s(row: Weighed) -> float:
    return min(cost_s for cost_s in row.costs_s.values() if not isinstance(cost_s, str))


def _fits(probe: Chosen, row: Weighed) -> bool:
    cost_s = row.costs_s[row.chosen]
    return not isinstance(cost_s, str) and cost_s <= probe.factor * _cheapest_s(row)


def _costly(probe: Chosen, row: Weighed) -> str:
    """Say of one job what was chosen, what it and the cheapest cost, and why both differ."""
    cost_s = row.costs_s[row.chosen]
    if isinstance(cost_s, str):
        return f"For `{row.job}` you chose `{row.chosen}`, which cannot be had: {cost_s}. {probe.judge(row)}"
    took, least = (in_words("cpu_s", one) for one in (cost_s, _cheapest_s(row)))
    said = f"For `{row.job}` you chose `{row.chosen}`: {took} of CPU a message here, and {least} would do."
    return f"{said} {probe.judge(row)}"


def _cells(probe: Chosen, row: Weighed) -> tuple[str, ...]:
    costs = [row.costs_s[name] for name in probe.offered]
    shown = ["cannot be had" if isinstance(cost_s, str) else in_words("cpu_s", cost_s) for cost_s in costs]
    return row.job, *shown, row.chosen, "✔ yes" if _fits(probe, row) else "✘ no"
