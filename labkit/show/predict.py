"""Ask for a prediction before a run, and compare it afterwards. Rule: true and complete also where no button works."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from labkit.course import predictions, progress, session
from labkit.errors import BadValue
from labkit.show import html
from labkit.show.choices import STYLE, Choices, Option, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.course.predictions import Asked, Comparison, Record
    from labkit.model import Run

__all__ = ["PredictCard", "compared", "compared_in_text", "predict"]

_ANSWERS_LEAST, _ANSWERS_MOST = 2, 6
_ID_MOST, _QUESTION_MOST, _ANSWER_MOST = 80, 500, 200
_PRESS = "Press a number, or Skip."
_cards: dict[str, PredictCard] = {}  # the newest card of each question; older ones are not redrawn


class PredictCard:
    """A question with the answers to choose from; shows what was chosen and, after the run, what came out.

    Attributes:
        asked: The question.
    """

    def __init__(self, asked: Asked) -> None:
        """Build the card; what was chosen in an earlier session is chosen still."""
        self.asked = asked
        self._place = Place()
        self._drawing = threading.Lock()  # a bench measures in a thread of its own, beside the buttons
        count = len(asked.answers)
        names = [f"Answer {number}: {answer}" for number, answer in enumerate(asked.answers, 1)]
        options = [Option(str(number), name) for number, name in enumerate(names, 1)]
        self._choices = Choices(
            f"Your prediction: {asked.question}",
            [*options, Option("Skip", "Skip this prediction")],
            lambda pressed: self._choose(None if pressed == count else pressed),
        )
        self._draw()

    def choose(self, number: int | None) -> None:
        """Choose an answer without a button.

        Args:
            number: Of the answer, from 1; None to skip.

        Raises:
            BadValue: If there is no such answer.
        """
        count = len(self.asked.answers)
        if number is not None and (type(number) is not int or not 1 <= number <= count):
            raise BadValue("number", number, f"1 to {count}, or None", "Give the number that stands before the answer.")
        self._choose(None if number is None else number - 1)

    def __repr__(self) -> str:
        """Say question, answers and state in plain text."""
        return self._text(predictions.record(self.asked), predictions.comparison(self.asked))

    def _repr_html_(self) -> str:
        return self._page(predictions.record(self.asked), predictions.comparison(self.asked))

    def _ipython_display_(self) -> None:
        record, comparison = predictions.record(self.asked), predictions.comparison(self.asked)
        self._place.open(self._page(record, comparison), self._text(record, comparison))
        self._choices.show()

    def _choose(self, answer: int | None) -> None:
        predictions.choose(self.asked, answer)
        self._draw()
        words = "Skipped." if answer is None else f"Recorded: answer {answer + 1}."
        self._choices.say(words if not progress.problem() else f"{words} {progress.problem()}")

    def _heard(self, experiment: str) -> None:
        """Redraw when runs were noted; may be called from any thread, and never raises."""
        if _cards.get(self.asked.id) is not self or not self.asked.how or self.asked.how.about != experiment:
            return
        try:
            self._draw()
        except Exception as error:  # noqa: BLE001 - shown in the card; whoever measures must not fail for it
            self._place.update(html.failure(error, "The comparison failed: "), repr(error))

    def _draw(self) -> None:
        """Show the state in the page and on the buttons; settle the comparison if there is one."""
        with self._drawing:
            record, comparison = predictions.record(self.asked), predictions.comparison(self.asked)
            if comparison:
                predictions.settle(comparison)
            self._place.update(self._page(record, comparison), self._text(record, comparison))
            newest = record.after or record.before
            pressed = None if newest is None else len(self.asked.answers) if newest.answer is None else newest.answer
            self._choices.mark({} if pressed is None else {pressed: ("✔", "chosen")})
            if comparison:
                self._choices.say("It came out: see above.")
            elif pressed is None:
                self._choices.say(_PRESS)

    def _page(self, record: Record, comparison: Comparison | None) -> str:
        items = []
        for number, answer in enumerate(self.asked.answers):
            mark = _mark(number, record, comparison)
            state = ' data-state="marked"' if mark else ""
            said = f' <span class="labkit-mark">{mark}</span>' if mark else ""
            items.append(f"<li{state}>{html.inline(answer)}{said}</li>")
        state = f'<p class="labkit-state">{html.inline(_state(self.asked, record, comparison))}</p>'
        problem = f'<p class="labkit-state">⚠ {html.escape(progress.problem())}</p>' if progress.problem() else ""
        return STYLE + html.card(
            "Predict",
            f'<p class="labkit-question">{html.inline(self.asked.question)}</p>',
            f'<ol class="labkit-options">{"".join(items)}</ol>',
            state,
            problem,
        )

    def _text(self, record: Record, comparison: Comparison | None) -> str:
        lines = [f"Predict: {self.asked.question}"]
        for number, answer in enumerate(self.asked.answers):
            mark = _mark(number, record, comparison)
            lines.append(f"  {number + 1}. {answer}" + (f"  {mark}" if mark else ""))
        return "\n".join([*lines, _state(self.asked, record, comparison), *filter(None, [progress.problem()])])


def predict(id: str, question: str, answers: Sequence[str]) -> PredictCard:  # noqa: A002 - the word of the lessons
    """Ask what will come out, before the run that shows it.

    The choice is kept on this machine, survives a restart of the kernel, and may be skipped or changed until the runs
    have answered. From then on the card says what was predicted and what came out.

    Args:
        id: Name of the question, unique in the course. One that no lesson knows is kept, and not compared.
        question: What is asked.
        answers: 2 to 6 different texts to choose from.

    Raises:
        BadValue: If something of it is not allowed, or the lesson knows another number of answers.
    """
    _check_text("id", id, _ID_MOST)
    _check_text("question", question, _QUESTION_MOST)
    _check_answers(answers)
    how = predictions.find(id)[1]
    if how and how.answers_count != len(answers):
        advice = f"The lesson compares {id!r} by their order."
        raise BadValue("answers", len(answers), f"{how.answers_count} answers to this question", advice)
    card = PredictCard(predictions.ask(id, question, answers))
    _cards[id] = card
    session.listen(card._heard)  # noqa: SLF001 - its own
    return card


def compared(experiment: str, runs: Iterable[Run], note: str = "") -> str:
    """Say as HTML what was predicted of an experiment, and what its runs say; empty if nothing was asked.

    Args:
        experiment: Name of the experiment.
        runs: Its runs.
        note: A sentence about them as a whole, such as that they were recorded elsewhere.
    """
    found = predictions.compare(experiment, runs)
    predictions.tell(found)
    if not found:
        return ""
    lines = [f"<p style='margin:4px 0'>{html.escape(note)}</p>"] if note else []
    lines += [
        f'<p class="labkit-question">{html.inline(one.asked.question)}</p>'
        f'<p class="labkit-state">{_sign(one)}{html.inline(one.sentence())}</p>'
        for one in found
    ]
    return STYLE + f'<div class="labkit-compared">{html.card("Your prediction", *lines)}</div>'


def compared_in_text(experiment: str, runs: Iterable[Run]) -> str:
    """Say the same in plain text, one line per question, each after a line end; empty if nothing was asked."""
    found = predictions.compare(experiment, runs)
    predictions.tell(found)
    return "".join(f"\n{one.asked.question} {one.sentence()}" for one in found)


def _sign(comparison: Comparison) -> str:
    return {True: "<b>✔ as predicted</b><br>", False: "<b>≠ otherwise</b><br>", None: ""}[comparison.right]


def _mark(number: int, record: Record, comparison: Comparison | None) -> str:
    """Say in words what stands behind an answer."""
    words = []
    before, after = record.before, record.after
    if before and before.answer == number:
        words.append("your prediction")
    if after and after.answer == number and not (before and before.answer == number):
        words.append("your choice after the run")
    if comparison and comparison.came.answer == number:
        words.append("it came out so")
    return f"← {', '.join(words)}" if words else ""


def _state(asked: Asked, record: Record, comparison: Comparison | None) -> str:
    if comparison:
        return comparison.sentence()
    newest = record.after or record.before
    if newest is None:
        return "No prediction is made yet. It may be skipped."
    if newest.answer is None:
        return "Skipped."
    chosen = asked.answers[newest.answer].removesuffix(".")
    how = "You chose, after the run:" if record.after else "You predicted:"
    return f"{how} {chosen}. ({newest.at.replace('T', ' ').replace('Z', ' UTC')})"


def _check_text(name: str, text: object, most: int) -> None:
    allowed = isinstance(text, str) and 0 < len(text.strip()) <= len(text) <= most and text.isprintable()
    if not allowed:
        raise BadValue(name, text, f"one line of text, at most {most} characters", "Write it between quotes.")


def _check_answers(answers: object) -> None:
    allowed = f"{_ANSWERS_LEAST} to {_ANSWERS_MOST} different texts"
    if not isinstance(answers, (list, tuple)) or not _ANSWERS_LEAST <= len(answers) <= _ANSWERS_MOST:
        raise BadValue("answers", answers, allowed, 'Write a list: ["All of it", "Some of it"].')
    for answer in answers:
        _check_text("answers", answer, _ANSWER_MOST)
    if len({answer.strip() for answer in answers}) < len(answers):
        raise BadValue("answers", answers, allowed, "Leave out the one that stands twice.")
