"""Which interpreter a word means. Rule: a word is the same on every machine, and what is missing is said, never faked.

``own`` is this notebook's Python, ``GIL`` one with a GIL, ``free-threaded`` one that runs without; anything else is a
version, such as ``3.13`` or ``3.14t``. Where several fit, this notebook's is meant, else the newest. Recordings keep
the words: a path is private, and means nothing elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.errors import BadValue
from labkit.runs.interpreters import OLDEST, find
from labkit.versions import free_threaded, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.model import Interpreter

__all__ = [
    "FREE",
    "GIL",
    "OWN",
    "Missing",
    "chosen_pythons",
    "distinct",
    "interpreter_of",
    "is_word",
    "kind_of",
    "lacks",
    "missing",
    "to_install",
    "word_of",
]

OWN, GIL, FREE = "own", "GIL", "free-threaded"
_VERSION = re.compile(r"3\.[1-9][0-9](\.(0|[1-9][0-9]?))?t?")
_OLDEST_FREE = (3, 13)
_PUBLIC = (3, 14)  # from here on `concurrent.interpreters` is part of the standard library
_NEWEST = {OWN: "3.14", GIL: "3.14", FREE: "3.14t"}
_CONDA = "conda create -n python314 -c conda-forge python=3.14"
_HERE = "this kernel"  # where `find` says that it found this notebook's


class Missing(NamedTuple):
    """A kind of interpreter that a lesson would like to show, and that is not installed.

    Attributes:
        what: The kind, in words.
        why: What it would show.
        commands: Each of them installs one.
    """

    what: str
    why: str
    commands: tuple[str, ...]


def is_word(name: object) -> bool:
    """Return True if this is a word for an interpreter, whether there is one here or not."""
    if not isinstance(name, str) or not _VERSION.fullmatch(name):
        return name in (OWN, GIL, FREE)
    return numbers(name)[:2] >= (_OLDEST_FREE if free_threaded(name) else OLDEST)


def chosen_pythons(names: Sequence[str] | str | None) -> list[str]:
    """Return the words for the interpreters to run on; this notebook's if none is named.

    Raises:
        BadValue: If one is no such word, or none is left.
    """
    if names is None:
        return [OWN]
    wanted: list[Any] = list(names) if isinstance(names, (list, tuple)) else [names]
    wrong = [name for name in wanted if not is_word(name)]
    if wrong or not wanted:
        oldest = ".".join(map(str, OLDEST))
        allowed = f"{OWN!r}, {GIL!r}, {FREE!r}, or a version from {oldest} on, such as '3.13' or '3.14t'"
        advice = "lab.machine().interpreters lists those that are here." if wrong else "Choose at least one."
        raise BadValue("pythons", wrong[0] if wrong else wanted, allowed, advice)
    return list(dict.fromkeys(wanted))


def distinct(names: Sequence[str] | str | None) -> list[str]:
    """Drop each word that means the same interpreter here as an earlier one, which would be measured twice.

    Raises:
        BadValue: If one is no word for an interpreter, or none is left.
    """
    kept: dict[object, str] = {}
    for name in chosen_pythons(names):
        kept.setdefault(interpreter_of(name) or name, name)
    return list(kept.values())


def interpreter_of(name: str) -> Interpreter | None:
    """Return the interpreter that a word means here: this notebook's if it fits, else the newest; None if none does."""
    fitting = [one for one in find() if _fits(one, name)]
    if fitting and fitting[0].found_in == _HERE:
        return fitting[0]
    return max(fitting, key=lambda one: numbers(one.version), default=None)


def word_of(interpreter: Interpreter) -> str:
    """Return a word for an interpreter; it means another one if that has the same version and was found first."""
    return next((name for name in (OWN, FREE) if interpreter_of(name) == interpreter), interpreter.version)


def kind_of(name: str) -> str:
    """Say what a word means, whether there is one here or not."""
    return {OWN: "Python", GIL: "Python with a GIL", FREE: "free-threaded Python"}.get(name, f"Python {name}")


def to_install(name: str) -> str:
    """Return the one command that installs what a word means."""
    return f"uv python install {_NEWEST.get(name, name)}"


def lacks(name: str) -> str:
    """Say that what a word means is not here, and what would install it."""
    return f"no {kind_of(name)} is installed ({to_install(name)} would install one; then restart the kernel)"


def missing() -> list[Missing]:
    """Name each kind of interpreter that the lessons would like to show and that is not here."""
    found, lacking = find(), []
    if all(one.gil for one in found):
        conda = "conda create -n free-threaded -c conda-forge python-freethreading"
        why = "threads that compute on several cores at once"
        lacking.append(Missing("a free-threaded build", why, (to_install(FREE), conda)))
    if not any(one.gil for one in found):
        lacking.append(Missing("a build with a GIL", "threads that take turns", (to_install(GIL), _CONDA)))
    if all(numbers(one.version)[:2] < _PUBLIC for one in found):
        lacking.append(Missing("Python 3.14", "subinterpreters as a public module", (to_install("3.14"), _CONDA)))
    return lacking


def _fits(one: Interpreter, name: str) -> bool:
    if name in (OWN, GIL, FREE):
        return {OWN: one.found_in == _HERE, GIL: one.gil, FREE: not one.gil}[name]
    same_build = free_threaded(one.version) == free_threaded(name)
    return same_build and numbers(one.version)[: len(numbers(name))] == numbers(name)
