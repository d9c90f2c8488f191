"""A made-up lesson, and made-up runs that answer its question, for the tests of what a lesson asks."""

from __future__ import annotations

from labkit.course.lesson import Came, Lesson, Option, Prediction, Question
from labkit.experiments import lost_updates
from labkit.model import Ending, Run, Trial

ABOUT = "lost updates"
ANSWERS = ["None of it", "Some of it", "All of it"]
ASKED = "How much of the work arrives?"


def came(table):
    """Answer by the share that was lost, once there is a run without a lock."""
    rows = table[table["lock"] == False]  # noqa: E712 - a column of booleans
    if rows.empty:
        return None
    lost = rows["lost_ratio"].median()
    return Came(2 if lost == 0 else 1, f"{100 - 100 * lost:.0f} % arrived.")


LESSON = Lesson(
    slug="made_up",
    predictions={"made_up.arrives": Prediction(ABOUT, len(ANSWERS), came)},
    exercises=(),
    quiz=tuple(
        Question(
            f"made_up.q{number}",
            f"What does `x += {number}` do?",
            (
                Option("It adds in one step", "The language makes no such promise."),
                Option("It reads, adds and writes", "Three steps, and a switch may come between.", right=True),
                Option("It <b>locks</b> x", "Nothing locks unless you do."),
            ),
        )
        for number in (1, 2, 3)
    ),
)


def run(lost=0.25, *, lock=False, arm="threads", ending=Ending.FINISHED):
    """Make one run of the experiment that the lesson asks about."""
    subject = lost_updates.EXPERIMENT
    numbers = {"added_count": 1000, "lost_count": int(1000 * lost), "lost_ratio": lost}
    result = {**dict.fromkeys(subject.columns, 1.0), **numbers} if ending is Ending.FINISHED else {}
    params = {**subject.defaults, "lock": lock}
    trial = Trial(workload="made:up", experiment=ABOUT, arm=arm, params=params)
    return Run(trial=trial, ending=ending, lifetime_s=0.1, deadline_s=10.0, python="3.11.7", result=result)


def forget():
    """Forget all of this session, as a kernel that is restarted does; the file stays."""
    from labkit.course import predictions, session

    session.forget()
    predictions.forget()
