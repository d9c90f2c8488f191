"""A worker that does tasks which wait, or compute, until a common moment. Rule: nothing heavy is imported here.

Each subinterpreter imports this anew, so what it brings along is a part of how long a run takes.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from labkit.child import busy, echo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.model import Json

__all__ = ["TASK_S", "WORKS", "piece_s", "share"]

TASK_S = 0.005  # how long a task waits, or computes
WORKS = ("sleep", "socket echo", "compute")  # "compute" goes by pieces of about half a millisecond
_ALONE = 15  # pieces


def share(_: str, wait: Callable[[], int], *, work: str, port: int) -> list[Json]:
    """Be one worker: get ready, wait for the others, and do one task after another until the end of the round.

    Args:
        _: The worker's name.
        wait: Returns when all are ready, with the monotonic time in ns at which to stop.
        work: One of `WORKS`.
        port: Where the echo server listens; not used by other work.

    Returns:
        The fields of a `busy.Share`.

    Raises:
        RuntimeError: If a task gave a wrong answer.
    """
    with _ready(work, port) as once:
        once()  # the first one pays for imports, and for the server's start
        return list(busy.busy_until(wait(), once))


def piece_s() -> float:
    """Measure the CPU time that one piece of computing takes a thread that is alone, in seconds."""
    with _ready("compute", 0) as once:
        times = []
        for _ in range(_ALONE):
            began_s = time.thread_time()
            once()
            times.append(time.thread_time() - began_s)
    return sorted(times)[_ALONE // 2]


@contextmanager
def _ready(work: str, port: int) -> Iterator[Callable[[], None]]:
    """Get ready for a kind of work; yields the function that does one piece."""
    if work == "socket echo":
        with echo.asking(port) as ask:
            yield ask
    elif work == "sleep":
        yield partial(time.sleep, TASK_S)
    else:
        from labkit.child import tasks

        yield tasks.ready("Python loop")
