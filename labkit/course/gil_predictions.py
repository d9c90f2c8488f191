"""GIL: which of the answers offered before a run the run speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import Came, Prediction
from labkit.versions import age, free_threaded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas import DataFrame

__all__ = ["PREDICTIONS"]

_LEAST = 3  # runs: fewer decide nothing
_ONE, _TWO, _FOUR = 1.2, 1.6, 3.2  # cores: below the first it is one, above the second two, above the third four
_MORE, _NEARLY_ALL = 1.5, 6.0  # times the throughput of one worker; eight would be all
_PUNCTUAL, _LATE = 0.5, 10.0  # switch intervals: below the first a wake-up is on time, above the second far too late


def _threads(table: DataFrame, **setting: object) -> DataFrame:
    """Return the finished runs of threads at a setting, on the oldest interpreter with a GIL; else on the oldest."""
    done = table[(table["ending"] == "finished") & (table["arm"] == "threads")]
    for name, value in setting.items():
        done = done[done[name] == value] if len(done) else done
    pythons = sorted(done["python"].unique(), key=age)
    return done[done["python"] == pythons[0]] if pythons else done


def _with_gil(runs: DataFrame) -> bool:
    """Return True if there are enough runs, on an interpreter with a GIL: the question is about that."""
    return len(runs) >= _LEAST and not free_threaded(str(runs.iloc[0]["python"]))


def _cores(table: DataFrame) -> Came | None:
    runs = _threads(table, work="Python loop", workers=4)
    if not _with_gil(runs):
        return None
    cores = float(runs["demanded_cores"].median())
    answer = 0 if cores < _ONE else 1 if cores > _FOUR else None
    return Came(answer, f"On {runs.iloc[0]['python']} four threads demanded {cores:.2f} cores.")


def _in_c(table: DataFrame) -> Came | None:
    runs = {work: _threads(table, work=work, workers=2) for work in ("sort", "sha256")}
    if not all(map(_with_gil, runs.values())):
        return None
    sort, sha256 = (float(some["demanded_cores"].median()) for some in runs.values())
    clear = all(cores < _ONE or cores > _TWO for cores in (sort, sha256))
    answers = {(True, False): 0, (False, True): 1, (True, True): 2, (False, False): 3}
    python = runs["sort"].iloc[0]["python"]
    return Came(
        answers[sort > _TWO, sha256 > _TWO] if clear else None,
        f"On {python} two threads demanded {sort:.2f} cores with sort, and {sha256:.2f} with sha256.",
    )


def _waiting(table: DataFrame) -> Came | None:
    one, eight = (_threads(table, work="sleep", workers=workers) for workers in (1, 8))
    if min(len(one), len(eight)) < _LEAST:
        return None
    ratio = float(eight["tasks_per_s"].median() / one["tasks_per_s"].median())
    answer = 0 if ratio < _MORE else 1 if ratio < _NEARLY_ALL else 2
    return Came(answer, f"Eight threads got {ratio:.1f} times as much done as one.")


def _late(table: DataFrame) -> Came | None:
    runs = _threads(table, busy=2, switch_interval_s=0.005)
    if len(runs) < _LEAST:
        return None
    late_s = float(runs["late_s"].median())
    intervals = late_s / 0.005
    answer = 0 if intervals < _PUNCTUAL else 1 if intervals < _LATE else 2
    return Came(answer, f"It woke {1000 * late_s:.1f} ms late; a switch interval is 5 ms.")


PREDICTIONS: Mapping[str, Prediction] = {
    "four-threads": Prediction("cpu bound", 3, _cores),
    "c-code": Prediction("cpu bound", 4, _in_c),
    "waiting-threads": Prediction("waiting", 3, _waiting),
    "late-sleep": Prediction("convoy", 3, _late),
}
