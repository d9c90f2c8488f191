"""Find the lessons of the course. Rule: one file per lesson; a file that has a LESSON is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import labkit.course as room
from labkit.course.lesson import Lesson
from labkit.errors import BadValue

__all__ = ["lesson_of", "lessons"]


@cache
def lessons() -> dict[str, Lesson]:
    """Load every lesson, by its slug."""
    found = {}
    for file in pkgutil.iter_modules(room.__path__):
        lesson = getattr(importlib.import_module(f"labkit.course.{file.name}"), "LESSON", None)
        if isinstance(lesson, Lesson):
            found[lesson.slug] = lesson
    return found


def lesson_of(slug: str) -> Lesson:
    """Return one lesson.

    Raises:
        BadValue: If there is none of this name.
    """
    known = lessons()
    if not isinstance(slug, str) or slug not in known:
        raise BadValue("slug", slug, ", ".join(sorted(known)), "Give the lesson's name, as in its file name.")
    return known[slug]
