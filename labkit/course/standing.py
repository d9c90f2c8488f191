"""Where each claim of the article stands on this machine. Rule: judged from all runs since the kernel started."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit import experiments, ledger, tables
from labkit.course import progress, session

if TYPE_CHECKING:
    from labkit.model import Claim, Verdict

__all__ = ["Standing", "last_noted", "note_verdict", "standings"]

_OUTCOMES = ("holds", "does not hold", "too close to call", "cannot be measured here")


class Standing(NamedTuple):
    """One claim, and what the student's own runs say of it.

    Attributes:
        claim: The row of ``data/claims.csv``.
        experiment: Name of the experiment that measures it; empty if it is not built yet.
        verdict: What all runs of this session say; None if there are none.
        runs_count: Runs of the experiment in this session, also those that the verdict does not rest on.
        earlier: If there is no verdict yet, one phrase with the last one from before this kernel started; else empty.
    """

    claim: Claim
    experiment: str
    verdict: Verdict | None
    runs_count: int
    earlier: str


def standings(lesson: str = "") -> list[Standing]:
    """Say where the claims of a lesson stand, in the order of the ledger; those of the whole course if left out.

    Raises:
        BadValue: If no claim belongs to such a lesson.
        BadRecording: If the ledger is damaged.
    """
    slug = ledger.lesson_slug(lesson) if lesson else ""
    asked = [claim for claim in ledger.claims().values() if claim.lesson == slug or not slug]
    verdicts: dict[str, Verdict] = {}
    counts: dict[str, int] = {}
    for name in dict.fromkeys(claim.experiment for claim in asked if claim.experiment != ledger.NOT_BUILT):
        runs = session.runs_of(name)
        counts[name] = len(runs)
        if runs:
            verdicts |= ledger.judge(experiments.experiment(name), tables.frame(runs))
    return [_standing(claim, verdicts.get(claim.id), counts.get(claim.experiment, 0)) for claim in asked]


def note_verdict(standing: Standing) -> None:
    """Keep a verdict in the student's progress, unless the last one there is the same."""
    claim, verdict = standing.claim, standing.verdict
    if verdict is None or verdict.unasked:
        return
    last = progress.latest("verdict", claim.id)
    if last is None or last.value != verdict.outcome:
        progress.note("verdict", claim.id, verdict.outcome, claim.lesson)


def last_noted(claim: str) -> str:
    """Say the last verdict of a claim in the student's progress, and when it was noted; empty if there is none."""
    last = progress.latest("verdict", claim)
    if last is None or last.value not in _OUTCOMES:  # the file may have been written by anybody
        return ""
    return f"{last.value}, measured {last.at[:10]} {last.at[11:16]} UTC"


def _standing(claim: Claim, verdict: Verdict | None, runs_count: int) -> Standing:
    built = claim.experiment != ledger.NOT_BUILT
    earlier = "" if (verdict and not verdict.unasked) or not built else last_noted(claim.id)
    earlier = f"{earlier} before this kernel started" if earlier else ""
    return Standing(claim, claim.experiment if built else "", verdict, runs_count, earlier)
