"""What was measured since the kernel started. Rule: runs only, without their events; whoever shows them listens.

Measurements and benches of every cell leave their runs here, so that a lesson's table of claims judges all that was
measured, and not what somebody picked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labkit.model import Run

__all__ = ["begin_lesson", "current_lesson", "forget", "listen", "note", "runs_of"]

_RUNS_MOST = 5000  # of one experiment; a student who moves sliders for an hour makes about 1,000

_runs: dict[str, list[Run]] = {}
_listeners: list[Callable[[str], None]] = []
_lesson = ""


def note(experiment: str, runs: Iterable[Run]) -> None:
    """Keep runs that were measured here, and tell whoever listens.

    Args:
        experiment: Name of the experiment.
        runs: Its runs, without any that were recorded elsewhere.
    """
    kept = _runs.setdefault(experiment, [])
    kept += [replace(run, events=(), output="", stacks="") for run in runs]
    del kept[:-_RUNS_MOST]
    for listener in tuple(_listeners):
        listener(experiment)


def runs_of(experiment: str) -> tuple[Run, ...]:
    """Return every run of an experiment since the kernel started, in order."""
    return tuple(_runs.get(experiment, ()))


def listen(listener: Callable[[str], None]) -> None:
    """Call a function with the experiment's name whenever runs were noted; it must not raise."""
    _listeners.append(listener)


def begin_lesson(slug: str) -> None:
    """Remember which lesson is being worked through: `labkit.setup` says so."""
    global _lesson  # noqa: PLW0603 - a kernel works through one lesson at a time
    _lesson = slug


def current_lesson() -> str:
    """Return the lesson that was set up last; empty if none was."""
    return _lesson


def forget() -> None:
    """Forget runs, listeners and lesson, as a new kernel would."""
    _runs.clear()
    _listeners.clear()
    begin_lesson("")
