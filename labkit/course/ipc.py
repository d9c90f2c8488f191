"""IPC: what the lesson asks. Each exercise has a file of its own, with stub, solution and wrong answers."""

from __future__ import annotations

from labkit.course.exercises import batch_the_client, choose_a_mechanism, find_the_hidden_copy
from labkit.course.ipc_predictions import PREDICTIONS
from labkit.course.ipc_questions import QUIZ
from labkit.course.lesson import Lesson

__all__ = ["LESSON"]

LESSON = Lesson(
    slug="ipc",
    predictions=PREDICTIONS,
    exercises=(choose_a_mechanism.EXERCISE, batch_the_client.EXERCISE, find_the_hidden_copy.EXERCISE),
    quiz=QUIZ,
)
