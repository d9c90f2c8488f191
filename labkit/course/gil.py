"""The GIL: what the lesson asks. Each exercise has a file of its own, with stub, solution and wrong answers."""

from __future__ import annotations

from labkit.course.exercises import hash_files, not_your_lock, predict_the_curve
from labkit.course.gil_predictions import PREDICTIONS
from labkit.course.gil_questions import QUIZ
from labkit.course.lesson import Lesson

__all__ = ["LESSON"]

LESSON = Lesson(
    slug="gil",
    predictions=PREDICTIONS,
    exercises=(predict_the_curve.EXERCISE, hash_files.EXERCISE, not_your_lock.EXERCISE),
    quiz=QUIZ,
)
