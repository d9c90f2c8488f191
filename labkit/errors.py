"""Every error that labkit raises. Rule: raised before a process starts, or not at all.

LabError
 |- BadValue       a parameter, deadline, interpreter or setting is not allowed
 |- BadWorkload    a function cannot travel to the child process, or does not take these parameters
 |- BadRecording   a file of saved runs is damaged, or was not made by labkit
 |- NotHere        this machine or interpreter lacks what an arm needs (raised inside the child, becomes an Ending)
 `- RunFailed      a run did not finish, and the caller asked for an exception with Run.check()

A crash, a hang or a leak inside a workload is data: it comes back as ``Run.ending``.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself costs the child a third of its start-up time
if TYPE_CHECKING:
    from labkit.model import Run

__all__ = ["BadRecording", "BadValue", "BadWorkload", "LabError", "NotHere", "RunFailed"]


class LabError(Exception):
    """Base of every error that labkit raises; catch this one to catch them all."""


class BadValue(LabError, ValueError):  # noqa: N818 - names say what is wrong, as in trio
    """A value is outside what is allowed. You get `BadWorkload` instead when the function itself is the problem."""

    def __init__(self, name: str, value: object, allowed: str, advice: str) -> None:
        """Keep what was given, so that a caller can read it back.

        Args:
            name: The parameter.
            value: What was given for it.
            allowed: What may be given, as a phrase.
            advice: What to do, as a sentence.
        """
        super().__init__(name, value, allowed, advice)
        self.name, self.value, self.allowed, self.advice = name, value, allowed, advice

    def __str__(self) -> str:
        """Say the value, what is allowed and what to do."""
        return f"{self.name} is {_short(self.value)}; allowed: {self.allowed}. {self.advice}"


class BadWorkload(LabError, TypeError):  # noqa: N818
    """A function cannot be sent to a child process. You get `BadValue` when only a parameter's value is wrong."""

    def __init__(self, workload: str, problem: str, advice: str) -> None:
        """Keep the function's name, what is wrong with it, and what to do about it."""
        super().__init__(workload, problem, advice)
        self.workload, self.problem, self.advice = workload, problem, advice

    def __str__(self) -> str:
        """Name the function, the problem and the way out."""
        return f"{self.workload} {self.problem}. {self.advice}"


class BadRecording(LabError, ValueError):  # noqa: N818
    """A file of saved runs cannot be read. Nothing that is already in memory is touched."""

    def __init__(self, path: str, line: int, problem: str, advice: str) -> None:
        """Keep the file, the line (1 is the first, 0 the file as a whole), the problem and the advice."""
        super().__init__(path, line, problem, advice)
        self.path, self.line, self.problem, self.advice = path, line, problem, advice

    def __str__(self) -> str:
        """Name the file, the line and the problem."""
        where = f"{self.path}, line {self.line}" if self.line else self.path
        return f"{where}: {self.problem}. {self.advice}"


class NotHere(LabError, RuntimeError):  # noqa: N818
    """An arm raises this when the machine lacks what it needs; the run then ends as `Ending.UNAVAILABLE`."""


class RunFailed(LabError, RuntimeError):  # noqa: N818
    """A run did not finish. Its ``run`` holds everything that was recorded."""

    def __init__(self, run: Run) -> None:
        """Keep the run."""
        super().__init__(run)
        self.run = run

    def __str__(self) -> str:
        """Say which workload failed, and how."""
        return f"{self.run.trial.workload} {self.run.explain()}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a student's own __repr__, or a number of over 4,300 digits
        text = f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - one line of a traceback
