"""What the article says, beside what was measured here: a table that follows new runs. Rule: it measures nothing."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from IPython.display import display

from labkit import ledger
from labkit.course import session
from labkit.course.standing import note_verdict, standings
from labkit.errors import BadValue
from labkit.show import html
from labkit.show.html import OUTCOME_MARKS as MARKS  # the same marks as beside each measurement
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.course.standing import Standing
    from labkit.model import Verdict

__all__ = ["ClaimsTable", "claims"]

_LIVE_MOST = 8  # a cell that is run again makes a new table; the oldest stop to follow
_live: deque[ClaimsTable] = deque(maxlen=_LIVE_MOST)

_LINE = "border-bottom:1px solid var(--jp-border-color2,#e0e0e0)"
_CELL = f"text-align:left;vertical-align:top;padding:8px;white-space:normal;overflow-wrap:break-word;{_LINE}"
_SMALL = "margin:2px 0 0;font-size:0.9em"
_COMMAND = "white-space:nowrap;font-size:0.85em;padding:0 2px"  # in one line, to be copied
# Widths are shares: at 1280 pixels the table gets about 900, and no column may squeeze the sentences.
_COLUMNS = (("The article says", 23), ("Your number", 17), ("Verdict", 15), ("Why", 29), ("Measured by", 16))


class ClaimsTable:
    """The claims of one lesson; once shown, it is redrawn whenever runs of one of their experiments were measured."""

    def __init__(self, lesson: str) -> None:
        """Take the slug of a lesson that has claims."""
        self.lesson = lesson
        self._places: deque[Any] = deque(maxlen=_LIVE_MOST)  # a table can be shown in several cells
        self._drawing = threading.Lock()  # a bench measures in a thread of its own, beside the cells

    def __repr__(self) -> str:
        """Say it in plain text."""
        return _in_text(self.lesson, standings(self.lesson))

    def _repr_html_(self) -> str:
        return _in_html(self.lesson, standings(self.lesson))

    def _ipython_display_(self) -> None:
        """Show the table in the cell that runs now, and follow what is measured from now on."""
        self._places.append(display(self._shown(), raw=True, display_id=True))
        if self not in _live:
            _live.append(self)
            session.listen(self._follow)

    def _shown(self) -> dict[str, str]:
        """Judge all runs, keep the verdicts in the student's progress, and return HTML and plain text."""
        found = standings(self.lesson)
        for standing in found:
            note_verdict(standing)
        return {"text/html": _in_html(self.lesson, found), "text/plain": _in_text(self.lesson, found)}

    def _follow(self, experiment: str) -> None:
        """Show the new state after runs of an experiment; called from any thread, and never raises."""
        if self not in _live:
            return
        try:
            if any(claim.experiment == experiment for claim in ledger.claims().values() if claim.lesson == self.lesson):
                with self._drawing:
                    self._update(self._shown())
        except Exception as error:  # noqa: BLE001 - it would end the measurement that told us; so it is shown
            failed = html.failure(error, "The table could not be judged: ")
            self._update({"text/html": failed, "text/plain": f"The table could not be judged: {error!r}"})

    def _update(self, shown: dict[str, str]) -> None:
        for place in self._places:
            if place is not None:  # there is none where nobody looks
                place.update(shown, raw=True)


def claims(slug: str | None = None) -> ClaimsTable:
    """Show what the article says in a lesson, beside what was measured here: number, verdict, why.

    Verdicts rest on all runs since the kernel started, of every cell and bench. Once shown, the table follows each
    new measurement by itself.

    Args:
        slug: The lesson, such as ``"lost_updates"``; that of the last `labkit.setup` if left out.

    Raises:
        BadValue: If no claim belongs to such a lesson, or none was set up.
    """
    if slug is None and not session.current_lesson():
        allowed = ", ".join(dict.fromkeys(claim.lesson for claim in ledger.claims().values()))
        raise BadValue("slug", slug, allowed, "Name the lesson, or run the cell with lab.setup first.")
    return ClaimsTable(ledger.lesson_slug(session.current_lesson() if slug is None else slug))


def _in_html(lesson: str, found: Sequence[Standing]) -> str:
    columns = "".join(f'<col style="width:{share}%">' for _, share in _COLUMNS)
    head = "".join(f'<th scope="col" style="{_CELL};font-weight:600">{name}</th>' for name, _ in _COLUMNS)
    body = "".join(_row(standing) for standing in found)
    title = html.escape(f"{_title(lesson)}. {_count(found)}")
    return (
        '<table class="labkit-claims" style="table-layout:fixed;width:100%;max-width:1200px;margin:6px 0;'
        'font-size:1.1em;line-height:1.4;border-collapse:collapse">'
        f'<caption style="text-align:left;padding:4px 8px 8px;font-weight:600">{title}</caption>'
        f"<colgroup>{columns}</colgroup><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _row(standing: Standing) -> str:
    cells = (_number_html(standing.verdict), _word_html(standing), _why_html(standing), _source_html(standing))
    said = f'<th scope="row" style="{_CELL};font-weight:normal"><q>{html.escape(standing.claim.claim)}</q></th>'
    return f"<tr>{said}{''.join(f'<td style={chr(34)}{_CELL}{chr(34)}>{cell}</td>' for cell in cells)}</tr>"


def _number_html(verdict: Verdict | None) -> str:
    if verdict is None or verdict.effect is None:
        return "no number yet"
    interval = f'<p style="{_SMALL}">{html.escape(_interval(verdict))}</p>' if _interval(verdict) else ""
    unit = f'<p style="{_SMALL}">{html.escape(verdict.unit)}</p>' if verdict.unit else ""
    return f'<b style="font-size:1.2em">{html.escape(_short(verdict.effect))}</b>{interval}{unit}'


def _word_html(standing: Standing) -> str:
    mark, word = _word(standing)
    return f'<b style="white-space:normal"><span aria-hidden="true">{mark}</span> {html.escape(word)}</b>'


def _why_html(standing: Standing) -> str:
    sentences = (html.inline(sentence).replace("<code>", f'<code style="{_COMMAND}">') for sentence in _why(standing))
    return "".join(f'<p style="margin:0 0 4px">{sentence}</p>' for sentence in sentences)


def _source_html(standing: Standing) -> str:
    name, count = _source(standing)
    return f'{html.escape(name)}<p style="{_SMALL}">{html.escape(count)}</p>'


def _in_text(lesson: str, found: Sequence[Standing]) -> str:
    lines = [f"{_title(lesson)}. {_count(found)}"]
    for standing in found:
        verdict, (mark, word) = standing.verdict, _word(standing)
        number = ""
        if verdict and verdict.effect is not None:
            number = f"; {verdict.unit}: {_short(verdict.effect)} ({_interval(verdict)})"
        lines.append(f"{standing.claim.claim}: {mark} {word}{number}")
        lines += [f"    {sentence.replace('`', '')}" for sentence in _why(standing)]
        lines.append(f"    Measured by: {', '.join(_source(standing))}")
    return "\n".join(lines)


def _title(lesson: str) -> str:
    return f"What the article says, and what was measured here: {lesson.replace('_', ' ')}"


def _count(found: Sequence[Standing]) -> str:
    verdicts = [standing.verdict for standing in found if standing.verdict]
    measured = sum(verdict.outcome != "cannot be measured here" for verdict in verdicts)
    return f"{measured} of {len(found)} claims measured, judged from all runs since the kernel started"


def _word(standing: Standing) -> tuple[str, str]:
    """Return mark and word; neither says anything that the other does not."""
    if standing.verdict:
        return MARKS[standing.verdict.word], standing.verdict.word
    return ("○", "not measured yet") if standing.experiment else ("·", ledger.NOT_BUILT)


def _why(standing: Standing) -> list[str]:
    """Return the sentences that stand beside a verdict, or in its place."""
    verdict = standing.verdict
    if verdict:
        reason = verdict.reason.rstrip(".")
        return [verdict.sentence, *([f"Reason: {reason}."] if reason else [])]
    if not standing.experiment:
        return ["No experiment of this course measures it yet.", f"It would take: {standing.claim.measured_by}."]
    earlier = [f"Earlier: {standing.earlier}."] if standing.earlier else []
    return [f'Not measured since the kernel started. Run `lab.measure("{standing.experiment}")`', *earlier]


def _source(standing: Standing) -> tuple[str, str]:
    """Return the experiment, and its runs; of those the verdict rests on, if it is not all of them."""
    if not standing.experiment:
        return ledger.NOT_BUILT, "no run"
    count, used = standing.runs_count, standing.verdict.runs_count if standing.verdict else 0
    words = html.runs(count)
    return (
        standing.experiment,
        f"{used} of {words} count here" if 0 < used < count else words if count else "no run yet",
    )


def _short(value: float) -> str:
    return in_words("", float(f"{value:.3g}"))


def _interval(verdict: Verdict) -> str:
    if verdict.low is None or verdict.high is None or verdict.low == verdict.high:  # the last is counted, not sampled
        return ""
    return f"95 % interval {_short(verdict.low)} to {_short(verdict.high)}"
