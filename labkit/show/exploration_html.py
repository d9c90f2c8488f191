"""The card of an exploration: verdict, outcomes, and the witness to step through. Rule: all text is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from labkit.interleave.text import headline, schedule_words, searched
from labkit.interleave.words import short
from labkit.show import html
from labkit.show.stepper import static_table, stepper_html

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["card", "outcome_table", "verdict_card"]

_MARKS = {"bug": "✘", "proved": "✔", "not finished": "…", "cannot check": "?"}
_MOST_OUTCOMES = 20
_OUTCOME, _SCHEDULE = 120, 60  # characters
_NOT_SHOWN = (
    "Every step shown here is one operation of Python; what a processor may do to the order of memory accesses is no "
    "interleaving, and is not explored."
)


def card(result: Result) -> str:
    """Show a result as HTML: its verdict, and the stepper if there is a witness."""
    if not result.witness:  # a deadlock before the first step is shown as well
        return verdict_card(result) + (static_table(result) if result.blocked else "")
    return verdict_card(result) + stepper_html(result)


def verdict_card(result: Result) -> str:
    """Show verdict, reason, outcomes, and what was searched."""
    large = (
        f"<p style='margin:0;font-size:1.7em;font-weight:700'>{_MARKS[result.verdict]} {escape(headline(result))}</p>"
    )
    reason = f"<p style='margin:4px 0;font-size:1.25em'>{html.inline(result.reason)}</p>" if result.reason else ""
    return html.card(
        "All interleavings of " + short(_functions(result), _OUTCOME),
        large,
        reason,
        outcome_table(result),
        f"<p style='margin:4px 0'>{escape(searched(result))}</p>",
        html.details("Traceback", result.error),
        html.details("What the witness printed", result.output),
        html.details("Replay this witness", f'lab.explore(..., token="{result.token}")' if result.token else ""),
        html.details("What this does not show", _NOT_SHOWN),
    )


def outcome_table(result: Result) -> str:
    """Show every way to end, those that are not allowed first; empty if none was found."""
    if not result.outcomes:
        return ""
    ordered = sorted(result.outcomes, key=lambda one: one.allowed)
    body = [
        (
            short(one.text, _OUTCOME),
            f"{one.traces_count:,}",
            "✔ yes" if one.allowed else "✘ no",
            schedule_words(result, one.schedule, _SCHEDULE),
        )
        for one in ordered[:_MOST_OUTCOMES]
    ]
    left = len(ordered) - len(body)
    more = f"<p style='margin:4px 0'>… and {left:,} more outcomes.</p>" if left else ""
    return html.rows(("outcome", "traces", "allowed", "shortest schedule"), body, "How the program can end") + more


def _functions(result: Result) -> str:
    return ", ".join(f"{lane.name}: {lane.function}" for lane in result.threads) or "the program"
