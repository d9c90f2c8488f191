"""The claims of the article, and what the measurements say of them. Rule: every sentence stands in data/claims.csv."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.errors import BadRecording, BadValue
from labkit.model import Claim, Ending

if TYPE_CHECKING:
    from pandas import DataFrame

    from labkit.model import Experiment, Verdict

__all__ = ["NOT_BUILT", "claims", "judge", "lesson_slug"]

NOT_BUILT = "not built yet"  # stands in the place of an experiment and its judge
_FILE = Path(__file__).resolve().parent.parent / "data" / "claims.csv"
_LEAST_RUNS = 3  # fewer give no verdict
_ADVICE = "Restore the file from git, or mend the line"


def claims() -> dict[str, Claim]:
    """Read every claim of ``data/claims.csv``.

    Returns:
        Claims by id, in the order of the file.

    Raises:
        BadRecording: If the file is missing, its header differs, a cell is missing or empty, an id stands twice, or
            only one of experiment and judge is built.
    """
    if not _FILE.is_file():
        raise BadRecording(str(_FILE), 0, "is missing", "Use labkit from a clone of its repository")
    ledger: dict[str, Claim] = {}
    with _FILE.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, strict=True)
        try:
            if next(reader, []) != list(Claim._fields):
                raise BadRecording(str(_FILE), 1, f"is not the header {','.join(Claim._fields)}", _ADVICE)
            for cells in reader:
                claim = _claim(cells, reader.line_num)
                if claim.id in ledger:
                    raise BadRecording(str(_FILE), reader.line_num, f"the id {claim.id} stands twice", _ADVICE)
                ledger[claim.id] = claim
        except csv.Error as error:
            raise BadRecording(str(_FILE), reader.line_num, str(error), _ADVICE) from error
    return ledger


def lesson_slug(name: object) -> str:
    """Return a lesson that has claims, given its name; the number before it may be given too.

    Raises:
        BadValue: If no claim belongs to such a lesson.
    """
    slug = name.lstrip("0123456789_") if isinstance(name, str) else ""
    known = list(dict.fromkeys(claim.lesson for claim in claims().values()))
    if slug not in known:
        raise BadValue("lesson", name, ", ".join(known), "Give the lesson's name, as in its file name.")
    return slug


def judge(experiment: Experiment, table: DataFrame) -> dict[str, Verdict]:
    """Ask every judge of an experiment.

    Args:
        experiment: Whose claims are judged.
        table: Its runs, as `labkit.frame` gives them.

    Returns:
        Verdicts by the claim's id.
    """
    finished = bool((table["ending"] == Ending.FINISHED.value).all())
    return {name: _asked_for(judge_one(table), finished=finished) for name, judge_one in experiment.claims.items()}


def _asked_for(verdict: Verdict, *, finished: bool) -> Verdict:
    """Mark a verdict that lacks runs although all that were made have finished: they were not asked for."""
    lacking = verdict.outcome == "cannot be measured here" and verdict.runs_count < _LEAST_RUNS
    return replace(verdict, unasked=lacking and finished)


def _claim(cells: list[str], line: int) -> Claim:
    if len(cells) != len(Claim._fields):
        raise BadRecording(str(_FILE), line, f"has {len(cells)} cells, not {len(Claim._fields)}", _ADVICE)
    for name, cell in zip(Claim._fields, cells, strict=True):
        if not cell.strip():
            raise BadRecording(str(_FILE), line, f"has an empty {name}", _ADVICE)
    claim = Claim(*cells)
    if (claim.experiment == NOT_BUILT) != (claim.judge == NOT_BUILT):
        raise BadRecording(
            str(_FILE), line, f"names only one of experiment and judge; the other is {NOT_BUILT}", _ADVICE
        )
    return claim
