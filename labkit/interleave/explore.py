"""Explore every interleaving of a program and say what follows. Rule: 'proved' only if nothing at all was left out.

First a quick search with few preemptions, for a bug that is short; then all traces (source-DPOR); if loops keep that
from ending, all states; then an audit by random schedules. The work is done in a thread of its own, so that an
interrupt in a notebook never hits it half way.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from labkit.errors import BadValue, LabError
from labkit.interleave.program import validate
from labkit.interleave.result import Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EXECUTIONS_MOST", "SECONDS_MOST", "STEPS_MOST", "explore"]

EXECUTIONS_MOST, SECONDS_MOST, STEPS_MOST = 20_000, 5.0, 2000
_PATIENCE_S = 3.0
_one_at_a_time = threading.Lock()


def explore(  # noqa: PLR0913 - options of the one call, keywords only
    functions: Any,
    *,
    setup: Callable[[], Any] | None = None,
    check: Callable[..., object] | None = None,
    outcome: Any = None,
    executions_most: int = EXECUTIONS_MOST,
    seconds_most: float = SECONDS_MOST,
    steps_most: int = STEPS_MOST,
    token: str = "",
    switch_points: frozenset[str] | None = None,
    progress: Callable[[int, float, float, float], None] | None = None,
) -> Result:
    """Explore all interleavings of functions, as a language without a GIL allows them.

    Args:
        functions: 1 to 4 functions, one per thread; or a single function, not in a list, that starts its own threads.
        setup: Makes the state that each function gets; called anew for each execution.
        check: Gets the state (or nothing), and says whether an end is right. A single function's check may take what
            the function returned.
        outcome: What counts as the outcome: a function like check, or names of variables. Default: the visible state.
        executions_most: Executions after which the search gives up.
        seconds_most: Seconds after which the search gives up.
        steps_most: Steps after which one execution is cut off; then nothing is 'proved'.
        token: Replays one schedule of an earlier result instead.
        switch_points: Only switch threads at these points, see gaps.py; the verdict is then of this interpreter only.
        progress: Called before the search and now and then with executions, estimated share of the work that is done,
            seconds, and estimated number of schedules.

    Returns:
        The result. A program that cannot be explored gives the verdict 'cannot check', with the line.

    Raises:
        BadWorkload: If a function is none, or takes other parameters, or if check raises or answers nothing.
        BadValue: If a limit is not positive, or there are too many threads.
    """
    from labkit.interleave.job import Job

    validate(functions, setup, check, outcome)
    limits = {"executions_most": executions_most, "seconds_most": seconds_most, "steps_most": steps_most}
    for name, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
            raise BadValue(name, value, "a number above 0", "Leave it out to get the default.")
    job = Job((functions, setup, check, outcome), limits, token, switch_points, progress)
    return _await(job)


def _work(job: Any, ended: threading.Event) -> None:
    try:
        if _one_at_a_time.acquire(blocking=False):
            try:
                job.run()
            finally:
                _one_at_a_time.release()
        else:
            job.error = BadValue("explore", "a second exploration", "one at a time", "Wait until the other has ended.")
    finally:
        ended.set()


def _await(job: Any) -> Result:
    """Let a thread do the work; an interrupt ends it soon, and what is known by then is the result."""
    ended = threading.Event()
    thread = threading.Thread(target=_work, args=(job, ended), name="explorer", daemon=True)
    started, interrupted_at = False, None
    while not ended.is_set():
        try:
            if not started:
                started = True
                thread.start()
            ended.wait(0.5)
            if interrupted_at is not None and time.monotonic() > interrupted_at + _PATIENCE_S:
                break  # setup or check does not come to an end; a thread cannot be killed
        except KeyboardInterrupt:
            job.interrupt()
            interrupted_at = time.monotonic()
    if ended.is_set():
        thread.join()
    if job.error is not None:
        if isinstance(job.error, LabError):
            raise job.error
        raise RuntimeError("the explorer itself has failed; please report this") from job.error
    if job.result is None:
        return Result(verdict="not finished", reason="Interrupted; the program did not come to an end.")
    result: Result = job.result
    return result
