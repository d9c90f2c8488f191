"""Compare what a student predicted with what came out. Rule: what was chosen before the runs answered is the record.

A choice may be changed until it is compared. What is chosen later is kept as well, and is called what it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit.course import lessons, progress, session
from labkit.tables import frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.course.lesson import Came, Prediction
    from labkit.model import Json, Run

__all__ = [
    "Asked",
    "Choice",
    "Comparison",
    "Record",
    "ask",
    "asked",
    "choose",
    "compare",
    "comparison",
    "find",
    "forget",
    "record",
    "settle",
    "tell",
]

_asked: dict[str, Asked] = {}
_told: set[str] = set()  # questions whose answer was on the page in this session


class Asked(NamedTuple):
    """A question as the lesson's cell asked it.

    Attributes:
        id: Unique in the course.
        question: What was asked.
        answers: What could be chosen.
        lesson: Slug of its lesson; the current one for a question that no lesson knows.
        how: How runs answer it; None for a question of the student's or the teacher's own.
    """

    id: str
    question: str
    answers: tuple[str, ...]
    lesson: str
    how: Prediction | None


class Choice(NamedTuple):
    """What was chosen, and when (UTC).

    Attributes:
        at: When.
        answer: Number of the answer, from 0; None if the question was skipped.
    """

    at: str
    answer: int | None


class Record(NamedTuple):
    """What was chosen before the runs answered, and after it; None if nothing was."""

    before: Choice | None
    after: Choice | None


class Comparison(NamedTuple):
    """A question, what was chosen, and what came out."""

    asked: Asked
    record: Record
    came: Came

    @property
    def chosen(self) -> str | None:
        """The text that was predicted before the runs; None if nothing was."""
        before = self.record.before
        return None if before is None or before.answer is None else self.asked.answers[before.answer]

    @property
    def right(self) -> bool | None:
        """True if it came out as predicted; None if nothing was predicted."""
        before = self.record.before
        return None if before is None or before.answer is None else before.answer == self.came.answer

    def sentence(self) -> str:
        """Say it in words, without blame."""
        answers = self.asked.answers
        came = "none of the answers" if self.came.answer is None else answers[self.came.answer]
        how = {True: ", as you said", False: ", otherwise than you said", None: ""}[self.right]
        return f"{self._predicted()} It came out: {_open(came)}{how}. {self.came.sentence}"

    def _predicted(self) -> str:
        after = self.record.after
        later = "" if after is None or after.answer is None else _open(self.asked.answers[after.answer])
        if self.chosen is None:
            said = f" After the run you chose: {later}." if later else ""
            return f"You made no prediction.{said}"
        changed = later if after and self.record.before and after.answer != self.record.before.answer else ""
        return f"You predicted: {_open(self.chosen)}." + (f" After the run you chose: {changed}." if changed else "")


def ask(name: str, question: str, answers: Sequence[str]) -> Asked:
    """Ask a question in this session; from now on runs are compared with it.

    Args:
        name: The id of the question.
        question: What is asked.
        answers: What can be chosen.
    """
    lesson, how = find(name)
    _asked[name] = Asked(name, question, tuple(answers), lesson, how)
    return _asked[name]


def asked() -> tuple[Asked, ...]:
    """Return what was asked since the kernel started, in order."""
    return tuple(_asked.values())


def find(name: str) -> tuple[str, Prediction | None]:
    """Return the lesson that knows a question, and how runs answer it; for any other the current lesson, and None."""
    for lesson in lessons.lessons().values():
        if name in lesson.predictions:
            return lesson.slug, lesson.predictions[name]
    return session.current_lesson(), None


def choose(question: Asked, answer: int | None) -> None:
    """Keep what the student chose.

    Args:
        question: What was asked.
        answer: Number of the answer, from 0; None to skip it.
    """
    late = question.id in _told or _compared(question) or comparison(question) is not None
    text = "" if answer is None else question.answers[answer]
    value = {"question": question.question, "answer": answer, "text": text, "after_run": late}
    progress.note("predict", question.id, value, question.lesson)


def record(question: Asked) -> Record:
    """Return what was chosen for a question, in this session or an earlier one."""
    before = after = None
    for entry, value in _kept(question):
        choice = Choice(entry.at, value["answer"])
        if value.get("came") is not None:
            continue
        if value.get("after_run") is True:
            after = choice
        else:
            before, after = choice, None
    return Record(before, after)


def comparison(question: Asked) -> Comparison | None:
    """Compare a question with all runs of this session; None while they cannot answer it."""
    runs = session.runs_of(question.how.about) if question.how else ()
    came = _came(question, runs)
    return None if came is None else Comparison(question, record(question), came)


def compare(experiment: str, runs: Iterable[Run]) -> list[Comparison]:
    """Compare runs with what was asked in this session.

    Args:
        experiment: Name of the experiment.
        runs: Its runs.

    Returns:
        One comparison per question about this experiment that the runs answer, in the order of asking.
    """
    kept = tuple(runs)
    about = [one for one in asked() if one.how and one.how.about == experiment]
    found = []
    for question in about:
        came = _came(question, kept)
        if came is not None:
            found.append(Comparison(question, record(question), came))
    return found


def tell(comparisons: Iterable[Comparison]) -> None:
    """Remember that these were shown: what is chosen from now on was chosen after the run."""
    _told.update(one.asked.id for one in comparisons)


def settle(comparison: Comparison) -> None:
    """Keep what came out of this machine's runs beside what was predicted, also for later sessions.

    Nothing is kept if there was no prediction: it may still be made in the next session.
    """
    question, came, before = comparison.asked, comparison.came, comparison.record.before
    if comparison.chosen is None or before is None or _compared(question):
        return
    value = {
        "question": question.question,
        "answer": before.answer,
        "text": comparison.chosen,
        "came": {"answer": came.answer, "sentence": came.sentence, "right": comparison.right},
    }
    progress.note("predict", question.id, value, question.lesson)


def forget() -> None:
    """Forget what was asked in this session, as a new kernel would."""
    _asked.clear()
    _told.clear()


def _came(question: Asked, runs: Sequence[Run]) -> Came | None:
    return question.how.came(frame(runs)) if question.how and runs else None


def _compared(question: Asked) -> bool:
    return any(value.get("came") is not None for _, value in _kept(question))


def _kept(question: Asked) -> list[tuple[progress.Entry, dict[str, Json]]]:
    """Return the entries of a question, without those whose answer is not among today's answers."""
    found = []
    for entry in progress.entries():
        value = entry.value
        if (entry.kind, entry.id) != ("predict", question.id) or type(value) is not dict:
            continue
        answer = value.get("answer", -1)
        listed = type(answer) is int and 0 <= answer < len(question.answers)
        if answer is None or (listed and value.get("text") == question.answers[answer]):
            found.append((entry, value))
    return found


def _open(text: str) -> str:
    """Take the full stop away, where the sentence goes on."""
    return text.removesuffix(".")
