"""Pieces of HTML. Rule: text in, text out; whatever comes from outside is escaped; nothing is told by colour alone."""

from __future__ import annotations

import base64
import time
import traceback
from html import escape
from typing import TYPE_CHECKING

from labkit.show import wait_graph
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.model import Json, Receipt, Run, Verdict

__all__ = [
    "OUTCOME_MARKS",
    "alert",
    "card",
    "details",
    "escape",
    "failure",
    "figure",
    "heading",
    "in_words",
    "inline",
    "label",
    "progress_words",
    "receipt_line",
    "rows",
    "run_card",
    "runs",
    "sentences",
    "setting_in_words",
]

_BOX = (
    "border:1px solid var(--jp-border-color1,#bdbdbd);border-left:6px solid var(--jp-brand-color1,#1976d2);"
    "border-radius:4px;padding:8px 14px;margin:6px 0;max-width:960px;line-height:1.5"
)
_SHORT = 14  # characters, such as '1,660 per s'
OUTCOME_MARKS = {
    "holds": "✔",
    "does not hold": "✘",
    "too close to call": "≈",
    "cannot be measured here": "?",
    "not measured yet": "○",
}


def card(title: str, *parts: str) -> str:
    """Frame parts that are HTML already, under a title that is text."""
    return f'<section style="{_BOX}"><p style="margin:0;font-weight:600">{escape(title)}</p>{"".join(parts)}</section>'


def rows(header: Sequence[str], body: Iterable[Sequence[object]], caption: str) -> str:
    """Make a table; the first cell of each row is its heading."""
    head = "".join(f'<th scope="col" style="text-align:left">{escape(str(name))}</th>' for name in header)
    lines = []
    for first, *others in body:
        cells = "".join(
            f'<td style="text-align:left{_wrapping(str(cell))}">{escape(str(cell))}</td>' for cell in others
        )
        lines.append(f'<tr><th scope="row" style="text-align:left">{escape(str(first))}</th>{cells}</tr>')
    title = f'<caption style="text-align:left">{escape(caption)}</caption>'
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _wrapping(cell: str) -> str:
    """Keep a number and its unit on one line: else a table of many columns is twice as high."""
    return ";white-space:nowrap" if len(cell) <= _SHORT else ""


def inline(text: str) -> str:
    """Escape text, and set what stands between backticks as code."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if number % 2 else piece for number, piece in enumerate(pieces))


def runs(count: int) -> str:
    """Count runs in words."""
    return f"{count} run{'' if count == 1 else 's'}"


def label(name: str) -> str:
    """Say a column or parameter without its unit, which stands beside the value."""
    for suffix in ("_per_s", "_s", "_ns", "_bytes", "_count", "_ratio", "_cores"):
        name = name.removesuffix(suffix)
    return name.replace("_", " ")


def heading(name: str) -> str:
    """Say a column with what it counts, where two columns may differ in nothing else."""
    kinds = {"_ratio": " (share)", "_count": " (number)", "_cores": " (cores)"}
    return label(name) + next((words for suffix, words in kinds.items() if name.endswith(suffix)), "")


def setting_in_words(name: str, value: Json) -> str:
    """Say the value of a parameter, also one that comes from a table; a switch is on or off."""
    plain = value.item() if hasattr(value, "item") else value  # numpy's own numbers are no int and no bool
    if isinstance(plain, bool):
        return "on" if plain else "off"
    return in_words(name, plain)


def figure(png: bytes, alt: str) -> str:
    """Put a picture with its alt text into HTML; JupyterLab drops the alt text of plain image outputs."""
    data = base64.b64encode(png).decode()
    size = "width:990px;max-width:100%;height:auto"
    return (
        f'<figure style="margin:0"><img style="{size}" width="990" height="495" alt="{escape(alt, quote=True)}" '
        f'src="data:image/png;base64,{data}"></figure>'
    )


def sentences(verdicts: Iterable[tuple[str, Verdict]]) -> str:
    """Say each verdict in words, with the claim that it judges before it."""
    items = []
    for claim, verdict in verdicts:
        mark = OUTCOME_MARKS[verdict.word]
        reason = f" ({escape(verdict.reason)})" if verdict.reason else ""
        items.append(
            f"<p style='margin:6px 0'>The article: <q>{escape(claim)}</q><br>"
            f"<b>{mark} {escape(verdict.word)}</b>: {inline(verdict.sentence)}{reason}{_numbers(verdict)}</p>"
        )
    return "".join(items)


def _numbers(verdict: Verdict) -> str:
    if verdict.effect is None or verdict.low is None or verdict.high is None:
        return ""
    counted = verdict.low == verdict.high  # not sampled: there is no interval
    interval = f"{verdict.effect:.3g}" + (
        "" if counted else f" (95 % interval {verdict.low:.3g} to {verdict.high:.3g})"
    )
    return f"<br><small>{escape(f'{verdict.unit}: {interval}, from {verdict.runs_count} runs')}</small>"


def receipt_line(receipts: Sequence[Receipt]) -> str:
    """Add up what runs started and what they left, as text."""
    started = sum(r.processes_started_count for r in receipts)
    left = [name for r in receipts for name in r.processes_left]
    names_left = [name for r in receipts for name in r.names_left]
    ended = [name for r in receipts for name in r.processes_removed]
    removed = [name for r in receipts for name in r.names_removed]
    text = f"Receipt: processes started {started}, left {len(left)}; shared memory left {len(names_left)}"
    for what, which in (("ended by the keeper", ended), ("names removed", removed), ("STILL THERE", left + names_left)):
        if which:
            text += f"; {what}: {', '.join(which[:5])}{f' and {len(which) - 5} more' if len(which) > 5 else ''}"  # noqa: PLR2004
    folders = sum(r.folder_left for r in receipts)
    return text + (f"; FOLDERS LEFT {folders}" if folders else "") + "."


def details(summary: str, text: str) -> str:
    """Fold long text away; nothing if there is none."""
    if not text.strip():
        return ""
    return (
        f"<details><summary>{escape(summary)}</summary>"
        f'<pre style="white-space:pre-wrap;max-height:24em;overflow:auto">{escape(text)}</pre></details>'
    )


def alert(problem: str, text: str = "") -> str:
    """Say that something failed, to eyes and to a screen reader."""
    style = f"{_BOX};border-left-color:#B00020"
    return f'<div role="alert" style="{style}"><b>⚠ {escape(problem)}</b>{details("Details", text)}</div>'


def failure(error: Exception, before: str = "") -> str:
    """Say that an exception came, with its traceback folded away; ``before`` is put before its name."""
    return alert(f"{before}{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


def progress_words(done: int, total: int, began: float) -> str:
    """Say how many of the runs have ended, and how long the rest will take.

    Args:
        done: Runs that have ended.
        total: Runs that were planned.
        began: When the first began, in seconds of the monotonic clock.
    """
    left = f"about {(time.monotonic() - began) / done * (total - done):.0f} s left" if done else "starting"
    return f"{done} of {total} runs, {left}"


def run_card(run: Run) -> str:
    """Show one run: how it ended, what it returned and printed, who waited for whom, what is left."""
    name = run.trial.arm or run.trial.workload
    returned = "".join(
        f"<li><code>{escape(key)}</code>: {escape(in_words(key, value) if not isinstance(value, str) else value)}</li>"
        for key, value in run.result.items()
    )
    return card(
        f"The run of {name} {run.explain()}.",
        f"<ul style='margin:4px 0'>{returned}</ul>" if returned else "",
        _last_look(run),
        details("Where every thread stood", run.stacks),
        details("Traceback", run.error),
        details("What it printed", run.output),
        f"<p style='margin:4px 0'>{escape(receipt_line([run.receipt]))}</p>",
    )


def _last_look(run: Run) -> str:
    """Show who waited for whom when the watch looked last, and the CPU used; nothing if the run was not watched."""
    seen = wait_graph.glances(run.events)
    if not seen:
        return ""
    when = f"<p>The last look, {escape(in_words('t_s', seen[-1].t_s))} after it began:</p>"
    lines = wait_graph.lines_printed(run.output.count("\n"))  # where much was printed: of what was kept of it
    beside = wait_graph.step_line(seen) + wait_graph.cpu_table(seen) + lines
    return wait_graph.framed(when, wait_graph.graph(seen[-1].edges, beside))
