"""What is shown of the runs of one experiment: picture, verdicts, table, receipt. Shared by `measure` and `bench`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from labkit import ledger, tables
from labkit.model import Ending
from labkit.plots import picture
from labkit.show import html

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pandas import DataFrame

    from labkit.model import Experiment, Run, Verdict

__all__ = ["in_text", "report"]


def report(
    experiment: Experiment, runs: Sequence[Run], *, note: str = "", final: bool = True, recorded: bool = False
) -> str:
    """Show runs as HTML.

    Args:
        experiment: What was measured.
        runs: So far; may be empty.
        note: One sentence to stand above the picture, such as how far the measurement is.
        recorded: True if the runs were made elsewhere; the note says where.
        final: False while runs still arrive: then there is no verdict yet.
    """
    table = tables.frame(runs)
    verdicts = ledger.judge(experiment, table) if final else {}
    drawn = html.figure(picture(experiment.draw, table, experiment.question), _alt(experiment, table))
    heading = f"<p style='margin:4px 0'>{html.escape(note)}</p>" if note else ""
    return html.card(
        f"{'Recorded' if recorded else 'Measured'}: {experiment.name}",
        f"<p style='margin:4px 0'>{html.escape(_setting(experiment, table))}</p>",
        heading,
        drawn,
        html.sentences(_with_claims(verdicts)),
        _summary(experiment, table),
        _unfinished(runs),
        f"<p style='margin:4px 0'>{html.escape(html.receipt_line([run.receipt for run in runs]))}</p>",
    )


def in_text(experiment: Experiment, runs: Sequence[Run], note: str = "") -> str:
    """Say the same in plain text, for where there is no HTML."""
    verdicts = ledger.judge(experiment, tables.frame(runs))
    lines = [f"{experiment.name}: {len(runs)} runs. {note}".strip()]
    lines += [f"{name}: {verdict.word}. {verdict.sentence}" for name, verdict in verdicts.items()]
    lines.append(html.receipt_line([run.receipt for run in runs]))
    return "\n".join(lines)


def _with_claims(verdicts: dict[str, Verdict]) -> list[tuple[str, Verdict]]:
    known = ledger.claims()
    return [(known[name].claim, verdict) for name, verdict in verdicts.items()]


def _summary(experiment: Experiment, table: DataFrame) -> str:
    """One row per arm and setting: the number of runs, and the median of each column in words."""
    varied, summary = tables.summary(table, list(experiment.sweep), list(experiment.columns))
    header = ["arm", *map(html.label, varied), "runs", *map(html.heading, experiment.columns)]
    body = [
        [row["arm"], *(html.setting_in_words(name, row[name]) for name in varied), row["runs_count"]]
        + [html.in_words(name, row[name]) if math.isfinite(row[name]) else "-" for name in experiment.columns]
        for row in summary
    ]
    meanings = html.details(
        "What the columns mean", "\n".join(f"{html.heading(n)}: {m}" for n, m in experiment.columns.items())
    )
    return html.rows(header, body, "Medians of the finished runs") + meanings


def _setting(experiment: Experiment, table: DataFrame) -> str:
    """Say at which setting the runs were made, leaving out what varies among them."""
    fixed = [name for name in experiment.sweep if name in table and len(table[name].unique()) == 1]
    return "; ".join(f"{html.label(name)} {html.setting_in_words(name, table[name].iloc[0])}" for name in fixed)


def _alt(experiment: Experiment, table: DataFrame) -> str:
    """Say what the picture shows, from the same numbers: the median of each arm and setting."""
    name = experiment.headline
    varied, summary = tables.summary(table, list(experiment.sweep), [name])
    parts = []
    for row in summary:
        setting = "".join(f", {html.label(one)} {html.setting_in_words(one, row[one])}" for one in varied)
        parts.append(f"{row['arm']}{setting}: {html.in_words(name, row[name])} in {html.runs(row['runs_count'])}")
    what = f"Picture, as the median per arm: {experiment.columns[name]}."
    return (
        f"{experiment.question} {what} {'; '.join(parts) or 'Nothing is measured yet'}. The table below holds the rest."
    )


def _unfinished(runs: Sequence[Run]) -> str:
    """Name each way in which runs did not finish; a crash or a missing feature is a finding."""
    said = dict.fromkeys(f"{run.trial.arm} {run.explain()}" for run in runs if run.ending is not Ending.FINISHED)
    return "".join(f"<p style='margin:4px 0'>{html.escape(sentence)}.</p>" for sentence in said)
