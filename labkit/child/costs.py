"""What mechanisms cost for a job. Rule: nothing of the student's runs beside it, and neighbours cannot decide.

Both sides are kept on one core, as far as the system allows it: with one on each of two cores, a message was seen to
take up to five times the CPU time, or not, as the scheduler liked. Every mechanism has several turns, one after the
other, and the lowest cost counts: a neighbour adds to it, and takes nothing away.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from labkit.child.exchange import exchange
from labkit.child.payloads import payload
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from labkit.model import Json

__all__ = ["costs"]

_WINDOW_S = 0.01
_THREADS_END_S = 0.5


def costs(jobs: Sequence[Mapping[str, Json]], offered: Sequence[str], rounds: int) -> dict[str, Json]:
    """Measure the CPU time of a message for each job with each mechanism.

    Args:
        jobs: Each with ``between``, ``payload`` and ``size_bytes``, as `exchange` and `payload` take them.
        offered: Keys of `labkit.child.channels.MECHANISMS`.
        rounds: Turns of each.

    Returns:
        ``costs``: for each job, by mechanism, the lowest CPU time of a message in s, both sides together; or the
        reason why there is none, as text.
    """
    found: list[dict[str, Json]] = [{} for _ in jobs]
    for job, known in zip(jobs, found, strict=True):
        value = payload(job["payload"], job["size_bytes"])
        for _ in range(rounds):
            for mechanism in offered:
                known[mechanism] = _less(known.get(mechanism), mechanism, job["between"], value)
    return {"costs": found}


def _less(known: Json, mechanism: str, between: str, value: Any) -> Json:
    """Measure once more, and keep the lower cost; what cannot be had is not asked for again."""
    if isinstance(known, str):
        return known
    try:
        cost_s = exchange(mechanism, between, value, window_s=_WINDOW_S, pinned=True)["cpu_per_message_s"]
    except NotHere as missing:
        return str(missing)
    _wait_for_threads()
    return cost_s if known is None else min(known, cost_s)


def _wait_for_threads() -> None:
    """Wait until the threads of a queue have ended: the next measurement may fork."""
    until_s = time.monotonic() + _THREADS_END_S
    while threading.active_count() > 1 and time.monotonic() < until_s:
        time.sleep(0.001)
