"""Lost updates: which of the answers offered before a run the run speaks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import Came, Prediction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pandas import DataFrame

__all__ = ["PREDICTIONS"]

_LEAST = 3  # runs: fewer decide nothing
_FEW = 0.1
_SAME, _DOUBLE = 1.25, 2.0  # CPU times of one loop differ by up to a quarter from run to run


def _measured(table: DataFrame, arm: str, **setting: object) -> DataFrame:
    """Return the finished runs of two or more workers of one arm at a setting."""
    done = table[(table["ending"] == "finished") & (table["arm"] == arm)]
    done = done[done["workers"] > 1] if len(done) else done
    for name, value in setting.items():
        done = done[done[name] == value] if len(done) else done
    return done


def _plain(table: DataFrame) -> Came | None:
    runs = _measured(table, "threads", body="counter += 1", lock=False)
    if len(runs) < _LEAST:
        return None
    lost, added = int(runs["lost_count"].sum()), int(runs["added_count"].sum())
    answer = 0 if not lost else 1 if lost < _FEW * added else 2
    return Came(answer, f"{lost:,} of {added:,} additions were lost.")


def _who(table: DataFrame) -> Came | None:
    arms = ("threads", "isolated processes", "processes sharing memory")
    runs = [_measured(table, arm, body="read, sleep(0), write", lock=False) for arm in arms]
    if min(map(len, runs)) < _LEAST:
        return None
    lost = [int(found["lost_count"].sum()) for found in runs]
    answers: dict[tuple[bool, ...], int] = {(True, False, False): 0, (True, False, True): 1, (True, True, True): 2}
    said = "; ".join(f"{arm} {count:,}" for arm, count in zip(arms, lost, strict=True))
    return Came(answers.get(tuple(count > 0 for count in lost)), f"Additions lost: {said}.")


def _cost(table: DataFrame) -> Came | None:
    free, locked = (_measured(table, "threads", lock=lock) for lock in (False, True))
    if min(len(free), len(locked)) < _LEAST:
        return None
    free = free[free["body"].isin(set(locked["body"]))]
    if len(free) < _LEAST or set(free["body"]) != set(locked["body"]):
        return None
    ratio = float(locked["cpu_per_addition_s"].median() / free["cpu_per_addition_s"].median())
    answer = 0 if ratio < _SAME else 1 if ratio < _DOUBLE else 2
    return Came(answer, f"With the lock one addition took {ratio:.2g} times the CPU time.")


def _print(table: DataFrame) -> Came | None:
    from labkit.intervals import wilson

    done = table[table["ending"] == "finished"]
    done = done[done["body"] == "read, write"] if len(done) else done
    without, inside = (done[done["arm"] == arm] for arm in ("no print", "print inside the window"))
    if min(len(without), len(inside)) < _LEAST:
        return None
    counts = [(int(runs["rounds_with_loss_count"].sum()), int(runs["rounds"].sum())) for runs in (without, inside)]
    before, after = (wilson(hits, tries) for hits, tries in counts)
    answer = 1 if after.low > before.high else 2 if after.high < before.low else 0
    said = [f"{hits} of {tries} rounds" for hits, tries in counts]
    return Came(
        answer, f"Something was lost in {said[0]} without a print, and in {said[1]} with one inside the window."
    )


PREDICTIONS: Mapping[str, Prediction] = {
    "plain-addition": Prediction("lost updates", 3, _plain),
    "who-loses": Prediction("lost updates", 3, _who),
    "print-it": Prediction("printing", 3, _print),
    "lock-cost": Prediction("lost updates", 3, _cost),
}
