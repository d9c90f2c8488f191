"""Find the lessons of the course. Rule: one file per lesson, named as its slug, which ends in a LESSON."""

from __future__ import annotations

import importlib
from functools import cache
from typing import TYPE_CHECKING

from labkit.errors import BadValue

if TYPE_CHECKING:
    from labkit.course.lesson import Lesson

__all__ = ["lesson_of", "lessons"]

_SLUGS = ("gil", "lost_updates", "deadlock", "ipc")  # in the order of their notebooks


@cache
def lessons() -> dict[str, Lesson]:
    """Load every lesson, by its slug, in the order of the course."""
    return {slug: importlib.import_module(f"labkit.course.{slug}").LESSON for slug in _SLUGS}


def lesson_of(slug: str) -> Lesson:
    """Return one lesson.

    Raises:
        BadValue: If there is none of this name.
    """
    known = lessons()
    if not isinstance(slug, str) or slug not in known:
        raise BadValue("slug", slug, ", ".join(sorted(known)), "Give the lesson's name, as in its file name.")
    return known[slug]
