"""Deadlock: what the lesson asks. Each exercise has a file of its own, with stub, solution and wrong answers."""

from __future__ import annotations

from labkit.course.deadlock_predictions import PREDICTIONS
from labkit.course.deadlock_questions import QUIZ
from labkit.course.exercises import any_direction, one_lock, same_order
from labkit.course.lesson import Lesson

__all__ = ["LESSON"]

LESSON = Lesson(
    slug="deadlock",
    predictions=PREDICTIONS,
    exercises=(same_order.EXERCISE, any_direction.EXERCISE, one_lock.EXERCISE),
    quiz=QUIZ,
)
