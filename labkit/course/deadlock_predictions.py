"""Deadlock: which of the answers offered before a run the run speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import Came, Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas import DataFrame

__all__ = ["PREDICTIONS"]

_LEAST = 3  # runs: fewer decide nothing
_IDLE_CORES, _BUSY_CORES = 0.1, 0.3  # a busy neighbour takes a share of the one core
_NEARLY_ALL, _HARDLY_ANY, _MOST = 0.8, 0.1, 0.5  # shares of rounds
_HARDLY_WORKS, _WORKS = 0.1, 0.5  # transfers, as shares of the healthy program's
_APART = 10  # the heavy load is at least so many times the light one


def _of(table: DataFrame, arm: str) -> DataFrame:
    return table[(table["ending"] == "finished") & (table["arm"] == arm)]


def _monitor(table: DataFrame) -> Came | None:
    frozen = _of(table, "deadlock")
    if len(frozen) < _LEAST:
        return None
    cores, healthy = float(frozen["worker_cores"].median()), float(frozen["health_ok_ratio"].median())
    idle, well = cores < _IDLE_CORES, healthy == 1
    answer = {(False, False): 0, (True, False): 1, (True, True): 2}.get((idle, well))
    return Came(answer, f"It used {cores:.2f} cores, and answered {100 * healthy:.0f} % of the health checks with OK.")


def _refactor(table: DataFrame) -> Came | None:
    after = _of(table, "after the refactor")
    if after.empty:
        return None
    last = after.iloc[-1]
    stuck, traces = int(last["deadlocks_count"]), int(last["traces_count"])
    answer = 2 if stuck else 0 if last["proved_count"] else 1
    return Came(answer, f"{stuck} of {traces} different interleavings stop for ever.")


def _load(table: DataFrame) -> Came | None:
    runs = _of(table, "opposite order")
    if len(runs) < _LEAST:
        return None
    per_load = runs.groupby("hold_total_s")[["deadlocked_count", "rounds"]].sum().sort_index()
    light, heavy = per_load.index[0], per_load.index[-1]
    if heavy <= 0 or heavy < _APART * light:
        return None
    few, many = (float(row["deadlocked_count"] / row["rounds"]) for _, row in per_load.iloc[[0, -1]].iterrows())
    answer = 0 if few > _NEARLY_ALL else 2 if few <= _HARDLY_ANY and many > _MOST else 1
    return Came(
        answer,
        f"{100 * few:.0f} % of the rounds stopped under the lightest load, {100 * many:.0f} % under the heaviest.",
    )


def _try_lock(table: DataFrame) -> Came | None:
    healthy, trying = _of(table, "healthy"), _of(table, "try-lock livelock")
    if min(len(healthy), len(trying)) < _LEAST:
        return None
    cores = float(trying["worker_cores"].median())
    share = float(trying["progress_per_s"].median() / healthy["progress_per_s"].median())
    stuck = float(trying["cycle_count"].median()) > 0
    busy = cores > _BUSY_CORES and share < _HARDLY_WORKS
    answer = 2 if stuck else 0 if share > _WORKS else 1 if busy else None
    return Came(answer, f"It used {cores:.2f} cores, and made {100 * share:.2g} % of the healthy program's transfers.")


PREDICTIONS: Mapping[str, Prediction] = {
    "what-monitors-see": Prediction("freeze", 3, _monitor),
    "refactor": Prediction("lock order", 3, _refactor),
    "load": Prediction("deadlock", 3, _load),
    "try-lock": Prediction("freeze", 3, _try_lock),
}
