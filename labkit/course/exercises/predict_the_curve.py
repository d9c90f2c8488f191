"""Exercise: predict how many cores threads demand. Rule: no right answer stands here; what is measured decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import Exercise, Measured, WrongAnswer

if TYPE_CHECKING:
    from labkit.course.lesson import Compared

__all__ = ["EXERCISE"]

_GIVEN = """\
import sys

# False on a free-threaded build of Python that runs without its GIL
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()
"""
_STUB = """\
def cores(work, workers):
    if work == "sort":
        return 0 * workers
    if work == "sha256":
        return 0 * workers
    return 0 * workers  # a Python loop
"""
_SOLUTION = """\
def cores(work, workers):
    if GIL and work != "sha256":
        return 1
    return workers
"""
_ONE = 1.25  # more than one core, with the tolerance
_LOOP, _SORT, _SHA = "Python loop", "sort", "sha256"
_SETTINGS = ((_LOOP, 1), (_LOOP, 4), (_SORT, 2), (_SHA, 2))


def _judge(off: Compared) -> str:
    """Say why a prediction differs; only what holds whatever was measured, and what the GIL explains if it is on."""
    work, workers = off.setting["work"], off.setting["workers"]
    high = off.predicted > max(off.measured)
    if workers == 1:
        return "One worker has nobody to wait for: it computes all the time, and that is one core."
    if high and off.predicted > workers * _ONE:
        return "No worker asks for more than one core, whatever its work is written in."
    if not off.gil:
        return _without_gil(high=high)
    if max(off.measured) > _ONE:
        return _let_go(work, high=high)
    if not high:
        return "Threads that take turns do not rest together: while one waits for the GIL, another computes."
    return _kept(off, work)


def _without_gil(*, high: bool) -> str:
    if high:
        return "This Python runs without a GIL, and still something makes the threads wait for each other."
    return "This Python runs without a GIL: nothing makes threads wait that share nothing, so each computes."


def _let_go(work: str, *, high: bool) -> str:
    if high:
        return "They do compute at the same time, only not as much as you say."
    return f"`{work}` gives the GIL away while it computes in C, and meanwhile another thread computes as well."


def _kept(off: Compared, work: str) -> str:
    if work == _SHA:
        return (
            "The GIL is given away meanwhile, and still they did not compute at once: no second core is to be had here."
        )
    if work == _SORT:
        return (
            f"Being written in C is not enough: `{work}` works on Python objects, and keeps the GIL until it is done."
        )
    if off.predicted * _ONE < off.setting["workers"]:
        return (
            "However many threads wait for the GIL, only one of them has it, and the others compute nothing meanwhile."
        )
    return "The threads are there, and the system would run them all; but each needs the GIL for its Python code."


EXERCISE = Exercise(
    id="predict-the-curve",
    title="Predict the curve",
    kind="tweak",
    minutes=2,
    task="How many cores do threads of this Python ask for, if all of them compute? Change what `cores(work, workers)` "
    "returns: for a `Python loop` with 1 and 4 workers, for `sort` and `sha256` with 2. The check measures it here, "
    "now, and compares: 25 % off is near enough.",
    given=_GIVEN,
    names=("cores",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "Who may run Python code while another thread holds the GIL? How many cores does that keep busy?",
        "C code may give the GIL away, if it does not touch Python objects meanwhile. Which of the two does?",
        "With a GIL, `1` for the loop and for `sort`, however many workers there are, and `workers` for `sha256`.",
    ),
    wrong=(
        WrongAnswer(
            "as many cores as workers",
            """\
def cores(work, workers):
    return workers
""",
            "each needs the GIL for its Python code",
            shown=False,
        ),
        WrongAnswer(
            "always one",
            """\
def cores(work, workers):
    return 1
""",
            "gives the GIL away while it computes",
            shown=False,
        ),
        WrongAnswer(
            "C code never needs the GIL",
            """\
def cores(work, workers):
    if work == "Python loop":
        return 1
    return workers
""",
            "Being written in C is not enough",
            shown=False,
        ),
        WrongAnswer(
            "half of what one would think",
            """\
def cores(work, workers):
    return workers / 2
""",
            "it computes all the time",
            shown=False,
        ),
        WrongAnswer(
            "one core is shared, and some of it is lost",
            """\
def cores(work, workers):
    return 1 / workers
""",
            "take turns do not rest together",
            shown=False,
        ),
        WrongAnswer(
            "as many as this machine may have",
            """\
def cores(work, workers):
    return min(workers, 2)
""",
            "However many threads wait",
            shown=False,
        ),
        WrongAnswer(
            "C code takes all cores",
            """\
def cores(work, workers):
    if work == "sha256":
        return 2 * workers
    return 1
""",
            "No worker asks for more than one core",
            shown=False,
        ),
        WrongAnswer(
            "says it in words",
            """\
def cores(work, workers):
    if work == "sha256":
        return "all"
    return "one"
""",
            "which is no number of cores",
            shown=False,
        ),
        WrongAnswer(
            "asks a table that lacks a row",
            """\
def cores(work, workers):
    return {"Python loop": 1, "sha256": workers}[work]
""",
            "so nothing was measured",
            shown=False,
        ),
    ),
    probes=(
        Measured(
            predict="cores",
            experiment="cpu bound",
            arm="threads",
            column="demanded_cores",
            unit="cores",
            settings=tuple({"work": work, "workers": workers} for work, workers in _SETTINGS),
            most="workers",
            tolerance_ratio=0.25,
            judge=_judge,
        ),
    ),
    moral="Threads that need the GIL ask for one core between them, however many they are; where it is given away, or "
    "where there is none, each asks for one.",
)
