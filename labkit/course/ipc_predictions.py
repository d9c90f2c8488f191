"""IPC: which of the answers offered before a run the run speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import Came, Prediction
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas import DataFrame

__all__ = ["PREDICTIONS"]

_LEAST = 3  # runs: fewer decide nothing
_CLEAR = 1.25  # times as much: less is no difference
_ABOUT_THE_SAME, _A_HUNDRED = 3.0, 100.0  # times as much: the borders between the three answers


def _median(table: DataFrame, column: str, **setting: object) -> float | None:
    """Return the median of the finished runs at a setting; None if there are too few."""
    done = table[table["ending"] == "finished"]
    for name, value in setting.items():
        done = done[done[name] == value] if len(done) else done
    return float(done[column].median()) if len(done) >= _LEAST else None


def _message(table: DataFrame, arm: str, mechanism: str, payload: str, size_bytes: int) -> float | None:
    setting = {"arm": arm, "mechanism": mechanism, "size_bytes": size_bytes, "payload": payload}
    return _median(table, "cpu_per_message_s", placement="one core", **setting)


def _small(table: DataFrame) -> Came | None:
    queue, pipe = (_message(table, *who, "bytes", 8) for who in (("threads", "Queue"), ("processes", "pipe")))
    if queue is None or pipe is None:
        return None
    answer = 0 if pipe > _CLEAR * queue else 1 if queue > _CLEAR * pipe else 2
    return Came(answer, f"The queue took {in_words('_s', queue)} of CPU time, the pipe {in_words('_s', pipe)}.")


def _large(table: DataFrame) -> Came | None:
    beside, apart = (_message(table, arm, "Queue", "array", 1 << 20) for arm in ("threads", "processes"))
    if beside is None or apart is None:
        return None
    ratio = apart / beside
    answer = 0 if ratio < _ABOUT_THE_SAME else 1 if ratio < _A_HUNDRED else 2
    return Came(answer, f"Between processes it took {ratio:,.0f} times the CPU time.")


def _chatty(table: DataFrame) -> Came | None:
    setting = {"messages": 1000, "batch": 1}
    call, process = (_median(table, "request_s", arm=arm, **setting) for arm in ("direct call", "processes"))
    if call is None or process is None:
        return None
    ratio = process / call
    answer = 0 if ratio < _ABOUT_THE_SAME else 1 if ratio < _A_HUNDRED else 2
    told = (
        f"By calls it took {in_words('_s', call)}, by messages {in_words('_s', process)}: {ratio:,.0f} times as long."
    )
    return Came(answer, told)


PREDICTIONS: Mapping[str, Prediction] = {
    "small-message": Prediction("message cost", 3, _small),
    "large-message": Prediction("message cost", 3, _large),
    "chatty-page": Prediction("chatty", 3, _chatty),
}
