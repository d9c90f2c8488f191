"""Versions of Python, such as ``3.13.5t``. Rule: they are ordered by their numbers, never as text: 3.9 before 3.10.

A ``t`` at the end is a free-threaded build.
"""

from __future__ import annotations

__all__ = ["age", "build", "free_threaded", "numbers"]

_WITHOUT_GIL = "without GIL"


def numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, which can be compared; a part that is none, such as ``0rc1``, is left out."""
    return tuple(int(part) for part in version.rstrip("t").split(".") if part.isdecimal())


def free_threaded(version: str) -> bool:
    """Return True for a free-threaded build: a version, or what `build` calls all of them."""
    return version.endswith("t") or version == _WITHOUT_GIL


def age(version: str) -> tuple[bool, tuple[int, ...]]:
    """Return what sorts versions: builds with a GIL come first, the oldest before all others, then those without."""
    return free_threaded(version), numbers(version)


def build(version: str) -> str:
    """Say of which build a version is, where a picture has no room for all versions and takes each build together."""
    return _WITHOUT_GIL if free_threaded(version) else "with GIL"
