"""The questions of 'Check yourself'. Rule: every option has its reason; a wrong try is kept, and may be mended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course import lessons, progress, session
from labkit.errors import BadValue
from labkit.show import html
from labkit.show.choices import STYLE, Choices, Place
from labkit.show.choices import Option as Button

if TYPE_CHECKING:
    from collections.abc import Iterator

    from labkit.course.lesson import Question

__all__ = ["QuestionCard", "Quiz", "quiz", "tries"]


class QuestionCard:
    """One question; shows the reason of every option that was tried.

    Attributes:
        question: As the lesson holds it.
    """

    def __init__(self, question: Question, lesson: str, title: str) -> None:
        """Build the card; what was tried in an earlier session is shown."""
        self.question, self._lesson, self._title = question, lesson, title
        self._place = Place()
        names = [f"Option {number}: {option.text}" for number, option in enumerate(question.options, 1)]
        buttons = [Button(str(number), name) for number, name in enumerate(names, 1)]
        self._choices = Choices(f"{title}: {question.text}", buttons, self._choose)
        self._draw()

    def choose(self, number: int) -> bool:
        """Choose an option without a button, and return True if it is right.

        Args:
            number: Of the option, from 1.

        Raises:
            BadValue: If there is no such option.
        """
        count = len(self.question.options)
        if type(number) is not int or not 1 <= number <= count:
            raise BadValue("number", number, f"1 to {count}", "Give the number that stands before the option.")
        self._choose(number - 1)
        return self.question.options[number - 1].right

    def show(self) -> None:
        """Put the card and its buttons into the output of the cell that runs now."""
        self._place.open(self._page(), repr(self))
        self._choices.show()

    def __repr__(self) -> str:
        """Say question, options and the reasons of those that were tried in plain text."""
        tried = tries(self.question)
        lines = [f"{self._title}: {self.question.text}"]
        for number, option in enumerate(self.question.options):
            lines.append(f"  {number + 1}. {option.text}")
            if number in tried:
                lines.append(f"     {_sign(option.right)}: {option.reason}")
        return "\n".join([*lines, self._state(tried), *filter(None, [progress.problem()])])

    def _repr_html_(self) -> str:
        return self._page()

    def _choose(self, number: int) -> None:
        option = self.question.options[number]
        value = {"option": number, "text": option.text, "right": option.right}
        progress.note("quiz", self.question.id, value, self._lesson)
        self._draw()
        words = f"Option {number + 1}: {_sign(option.right)}. {option.reason}"
        again = "" if option.right else " You may try again."
        self._choices.say(" ".join(filter(None, [words + again, progress.problem()])))

    def _draw(self) -> None:
        tried = tries(self.question)
        marks = {True: ("✔", "right"), False: ("✘", "not right")}
        self._choices.mark({number: marks[self.question.options[number].right] for number in tried})
        self._choices.say("" if tried else "Press the number of the right option.")
        self._place.update(self._page(), repr(self))

    def _page(self) -> str:
        tried = tries(self.question)
        items = []
        for number, option in enumerate(self.question.options):
            if number in tried:
                said = f'<br><span class="labkit-mark">{_sign(option.right)}:</span> {html.inline(option.reason)}'
                items.append(f'<li data-state="marked">{html.inline(option.text)}{said}</li>')
            else:  # folded, for where no button works; hidden where the buttons are on the page
                said = f"<b>{_sign(option.right)}</b>: {html.inline(option.reason)}"
                fold = f'<details class="labkit-folded"><summary>Is it right?</summary>{said}</details>'
                items.append(f"<li>{html.inline(option.text)}{fold}</li>")
        problem = f'<p class="labkit-state">⚠ {html.escape(progress.problem())}</p>' if progress.problem() else ""
        return STYLE + html.card(
            self._title,
            f'<p class="labkit-question">{html.inline(self.question.text)}</p>',
            f'<ol class="labkit-options">{"".join(items)}</ol>',
            f'<p class="labkit-state">{html.escape(self._state(tried))}</p>',
            problem,
        )

    def _state(self, tried: list[int]) -> str:
        if not tried:
            return "Not answered yet."
        at = next((at for at, number in enumerate(tried, 1) if self.question.options[number].right), 0)
        if at:
            return f"Answered right at try {at}." if at > 1 else "Answered right at once."
        return f"Not right yet, after {len(tried)} {'tries' if len(tried) > 1 else 'try'}."


class Quiz:
    """The questions of one lesson."""

    def __init__(self, slug: str, questions: tuple[Question, ...]) -> None:
        """Make one card per question."""
        count = len(questions)
        self.cards = tuple(
            QuestionCard(question, slug, f"Question {number} of {count}")
            for number, question in enumerate(questions, 1)
        )

    def __iter__(self) -> Iterator[QuestionCard]:
        """Go through the cards."""
        return iter(self.cards)

    def __repr__(self) -> str:
        """Say all questions in plain text."""
        return "\n\n".join(map(repr, self.cards)) or _NONE

    def _repr_html_(self) -> str:
        return "".join(card._repr_html_() for card in self.cards) or f"<p>{_NONE}</p>"

    def _ipython_display_(self) -> None:
        if not self.cards:
            place = Place()
            place.open(self._repr_html_(), repr(self))
        for card in self.cards:
            card.show()


_NONE = "This lesson has no questions."


def quiz(slug: str | None = None) -> Quiz:
    """Ask the questions at the end of a lesson.

    Args:
        slug: The lesson, such as ``"lost_updates"``; the one that was set up last if left out.

    Raises:
        BadValue: If there is no such lesson, or none was set up.
    """
    name = session.current_lesson() if slug is None else slug
    if slug is None and name not in lessons.lessons():
        advice = 'Begin the notebook with lab.setup("..."), or name the lesson: lab.quiz("...").'
        raise BadValue("slug", name or None, ", ".join(sorted(lessons.lessons())), advice)
    lesson = lessons.lesson_of(name.lstrip("0123456789_") if isinstance(name, str) else name)
    return Quiz(lesson.slug, lesson.quiz)


def tries(question: Question) -> list[int]:
    """Return the options that were tried, as numbers from 0, in order, each once.

    What was tried of a question whose options have been rewritten since is left out.
    """
    tried: list[int] = []
    for entry in progress.entries():
        value = entry.value
        if (entry.kind, entry.id) != ("quiz", question.id) or type(value) is not dict:
            continue
        number = value.get("option")
        if type(number) is not int or not 0 <= number < len(question.options) or number in tried:
            continue
        if value.get("text") == question.options[number].text:
            tried.append(number)
    return tried


def _sign(right: bool) -> str:  # noqa: FBT001 - an option's own word
    return "✔ Right" if right else "✘ Not right"
