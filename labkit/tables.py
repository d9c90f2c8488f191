"""Turn runs into tidy tables. Rule: one row per run, or one row per event; the two are never mixed."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd

from labkit.errors import BadValue
from labkit.model import Ending, Event, Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.model import Json

__all__ = ["frame", "summary", "timeline"]

_ASKED = ("experiment", "arm", "block", "seed")
_ENDED = ("ending", "reason", "elapsed_s", "lifetime_s", "cpu_s", "python")


def frame(runs: Iterable[Run] | Run) -> pd.DataFrame:
    """Put runs into a table, one row per run, in the order given.

    Args:
        runs: One, or those of one experiment or of several.

    Returns:
        Columns ``experiment``, ``arm``, ``block``, ``seed``, each parameter, ``ending``, ``reason``, ``elapsed_s``,
        ``lifetime_s``, ``cpu_s``, ``python``, and each returned column; parameters and returned columns stand in the
        order in which they were first seen. Cells that a run has no value for are NaN.

    Raises:
        BadValue: If something is no run, or a parameter or a returned column has the name of another column.
    """
    kept = [runs] if isinstance(runs, Run) else list(runs)
    strangers = [one for one in kept if not isinstance(one, Run)]
    if strangers:
        raise BadValue("runs", strangers[0], "a Run, or several", "Wait for a run that is on its way: live.wait().")
    asked = _names(run.trial.params for run in kept)
    returned = _names(run.result for run in kept)
    columns = [*_ASKED, *asked, *_ENDED, *returned]
    for name in [*asked, *returned]:
        if columns.count(name) > 1:
            advice = "Rename the parameter or the returned column."
            raise BadValue("column", name, "a name that no other column has", advice)
    return pd.DataFrame([_row(run) for run in kept], columns=columns)


def timeline(run: Run) -> pd.DataFrame:
    """Put the events of one run into a table, one row per event, ordered by time.

    Returns:
        Columns ``t_ns`` (nanoseconds since the workload began), ``pid``, ``tid``, ``kind``, ``name`` and ``value``.
    """
    if not isinstance(run, Run):
        raise BadValue("run", run, "one Run", "Take one of several by its number: runs[0].")
    events = sorted(run.events, key=lambda event: event.t_ns)  # stable: equal times keep the order of arrival
    return pd.DataFrame(events, columns=list(Event._fields))


def _names(mappings: Iterable[Mapping[str, Json]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(mappings)))


def _row(run: Run) -> dict[str, Json]:
    trial = run.trial
    return {
        "experiment": trial.experiment,
        "arm": trial.arm,
        "block": trial.block,
        "seed": trial.seed,
        **trial.params,
        "ending": run.ending.value,
        "reason": run.reason,
        "elapsed_s": run.elapsed_s,
        "lifetime_s": run.lifetime_s,
        "cpu_s": run.cpu_s,
        "python": run.python,
        **run.result,
    }


def summary(table: pd.DataFrame, parameters: list[str], columns: list[str]) -> tuple[list[str], list[dict[str, Json]]]:
    """Summarise the finished runs of one experiment by arm and setting.

    Args:
        table: Runs, as `frame` gives them.
        parameters: Names of the swept parameters.
        columns: Names of the returned columns.

    Returns:
        What varies (``python`` and parameters), and one mapping per arm and setting: ``arm``, what varies,
        ``runs_count``, and the median of each column (NaN where no run has a number for it).
    """
    finished = table[table["ending"] == Ending.FINISHED.value]
    several = ["python"] if len(finished["python"].unique()) > 1 else []
    varied = several + [name for name in parameters if name in table and len(table[name].unique()) > 1]
    rows: list[dict[str, Json]] = []
    for key, group in finished.groupby(["arm", *varied], sort=True):
        row: dict[str, Json] = dict(zip(["arm", *varied], key, strict=True))
        row["runs_count"] = len(group)
        for name in columns:
            numbers = pd.to_numeric(group[name], errors="coerce") if name in group else pd.Series(dtype=float)
            row[name] = float(numbers.median())
        rows.append(row)
    return varied, rows
