"""Lost updates: what the lesson asks. Each exercise has a file of its own, with stub, solution and wrong answers."""

from __future__ import annotations

from labkit.course.exercises import break_the_cache, count_visits, last_ticket
from labkit.course.lesson import Lesson
from labkit.course.lost_updates_predictions import PREDICTIONS
from labkit.course.lost_updates_questions import QUIZ

__all__ = ["LESSON"]

LESSON = Lesson(
    slug="lost_updates",
    predictions=PREDICTIONS,
    exercises=(count_visits.EXERCISE, last_ticket.EXERCISE, break_the_cache.EXERCISE),
    quiz=QUIZ,
)
