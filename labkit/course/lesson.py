"""The values that a lesson is made of. Rule: frozen; one file per lesson holds one `Lesson`, named LESSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pandas import DataFrame

    from labkit.interleave.result import Result
    from labkit.model import Json

__all__ = [
    "Came",
    "Chosen",
    "Compared",
    "Counted",
    "Exercise",
    "Lesson",
    "Measured",
    "Option",
    "Prediction",
    "Probe",
    "Question",
    "Weighed",
    "WrongAnswer",
]


class Came(NamedTuple):
    """What came out, as one of the answers that a student could choose.

    Attributes:
        answer: Number of the answer that the runs speak for, from 0; None if they speak for none of them.
        sentence: One sentence with the number that decided.
    """

    answer: int | None
    sentence: str


class Prediction(NamedTuple):
    """How a question that was asked before a run is answered by the run.

    Attributes:
        about: Name of the experiment whose runs answer it.
        answers_count: How many answers the lesson offers.
        came: Says which answer the runs speak for; None while they cannot tell.
    """

    about: str
    answers_count: int
    came: Callable[[DataFrame], Came | None]


class Option(NamedTuple):
    """One answer of a question, and why it is right or wrong."""

    text: str
    reason: str
    right: bool = False


class Question(NamedTuple):
    """One question of 'Check yourself': exactly one option is right."""

    id: str
    text: str
    options: tuple[Option, ...]


class WrongAnswer(NamedTuple):
    """An answer that students give, and what the check must say to it.

    Attributes:
        name: What is wrong with it, in few words.
        source: What the student typed.
        message: Words that stand in the message of its rejection, and in no other one's of this exercise.
        shown: False if there is no schedule to step through, as when nothing goes wrong where something should.
    """

    name: str
    source: str
    message: str
    shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One exploration of a student's answer.

    Attributes:
        source: Python that is put after the student's: it defines what follows, may call the student's functions, and
            may replace what is given.
        workers: Names of the functions that run as threads.
        setup: Name of the function or class that makes the state; empty if there is none.
        check: Name of the function that says whether the end is right; empty if every end is.
        outcome: Name of the function that says what counts as the outcome; empty for the visible state.
        switch_points: Where threads may be switched, as `labkit.interleave.switch_points` names it; empty for between
            any two operations.
        judge: What the result says of the answer: a message to the student, empty if this probe has nothing against it.
    """

    source: str
    workers: tuple[str, ...]
    setup: str = ""
    check: str = ""
    outcome: str = ""
    switch_points: tuple[str, ...] = ()
    judge: Callable[[Result], str]


class Compared(NamedTuple):
    """What an answer predicted of one setting, and what was measured.

    Attributes:
        setting: Values by parameter.
        predicted: As the answer said it.
        measured: Each measurement, in order; the median counts.
        gil: True if the interpreter that was measured has its GIL on.
    """

    setting: Mapping[str, Json]
    predicted: float
    measured: tuple[float, ...]
    gil: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One measurement that a student's answer must predict.

    Attributes:
        predict: Name of the student's function: it takes the values of a setting, in their order, and returns a number.
        experiment: Name of the experiment that measures, on this notebook's Python.
        arm: Which of its arms.
        column: Which of its columns is predicted.
        unit: What that column counts, as a word after a number.
        settings: Predicted, and measured, in this order; the first in which both differ decides.
        most: Name of the parameter that is also the most that can be measured.
        tolerance_ratio: By how much a prediction may differ, as a share of what was measured.
        judge: What a difference says of the answer: a sentence to the student, after one that gives both numbers.
    """

    predict: str
    experiment: str
    arm: str
    column: str
    unit: str
    settings: tuple[Mapping[str, Json], ...]
    most: str
    tolerance_ratio: float
    judge: Callable[[Compared], str]


class Weighed(NamedTuple):
    """What an answer chose for one job, and what each choice costs.

    Attributes:
        job: Its name.
        chosen: One of the mechanisms that are offered.
        costs_s: CPU time of a message by mechanism, as measured; the reason, as text, where it cannot be had.
    """

    job: str
    chosen: str
    costs_s: Mapping[str, float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Choices for several jobs, each compared with what all that is offered costs here.

    Attributes:
        choose: Name of the student's function: it takes the name of a job, and returns one of those offered.
        jobs: What `labkit.child.costs` measures, by the name of the job; the first that is wrong decides.
        offered: Mechanisms to choose from.
        factor: How many times the cheapest a choice may cost.
        judge: Why a choice costs more: a sentence to the student, after one that gives both numbers.
    """

    choose: str
    jobs: Mapping[str, Mapping[str, Json]]
    offered: tuple[str, ...]
    factor: float
    judge: Callable[[Weighed], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What an answer does in one thread, counted: no luck, and no clock.

    Attributes:
        source: Python that is put after the student's: it defines what follows, and may call the student's functions.
        count: Name of the function that calls them, and returns what it counted as a dict of plain data; its ``rows``
            are shown as a table.
        columns: Heads of that table.
        said: What was tried, as a sentence after the moral of a right answer.
        judge: What the counts say of the answer: a message to the student, empty if there is nothing against it.
    """

    source: str
    count: str
    columns: tuple[str, ...]
    said: str
    judge: Callable[[Mapping[str, Json]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """A task, its stub and solution, the wrong answers that are known, and the probes that tell them apart.

    Attributes:
        id: Slug, unique in the course.
        title: What the answer achieves, in few words.
        kind: What the student does.
        minutes: How long it takes.
        task: What is asked, in Markdown-free words; code between backticks.
        given: Python that the answer may use: it runs before the answer, and the card shows it.
        names: Functions that the answer must define, in the order of the stub.
        stub: What the lesson's cell holds at first: the definitions of `names`, and nothing else.
        solution: One right answer.
        hints: Three, each more telling than the one before.
        wrong: Answers that must be rejected, each with its own message.
        probes: Explored, measured or counted in order; the first that has something against the answer decides.
        moral: What a right answer shows: one sentence, said when it is right.
    """

    id: str
    title: str
    kind: Literal["tweak", "fix the bug", "break it", "find it"]
    minutes: int
    task: str
    given: str
    names: tuple[str, ...]
    stub: str
    solution: str
    hints: tuple[str, str, str]
    wrong: tuple[WrongAnswer, ...]
    probes: tuple[Probe | Measured | Chosen | Counted, ...]
    moral: str


class Lesson(NamedTuple):
    """What one lesson asks: predictions before runs, exercises, and three questions at the end.

    Attributes:
        slug: As in the name of its notebook and in ``data/claims.csv``.
        predictions: How each prediction is answered, by the id that the notebook gives it.
        exercises: Tweak, fix, break (or find).
        quiz: Three questions.
    """

    slug: str
    predictions: Mapping[str, Prediction]
    exercises: tuple[Exercise, ...]
    quiz: tuple[Question, ...]
