"""How many cores workers ask for: what they used, and what they waited for in the run queue. Rule: no guess.

A worker that computes asks for a whole core: what it did not get of it, it spent in the run queue. A worker that sleeps
for the GIL asks for none meanwhile; but it wakes at every switch interval to ask for it, and then stands in the run
queue as well, for a core that it could not use. So every piece of work is looked at by itself, and then all together:

- If the thread did not go to sleep in a piece (no voluntary switch), what it lacks in CPU time was spent in the queue.
- If it did, and all workers need one GIL, they may be taking turns: each computes for a switch interval with the GIL,
  and the others sleep as long. Then their time in the queue counts up to the time in which none of them ran.
- If they sleep shorter or more often than that (half an interval on average is the border), they sleep for a lock that
  is held for a moment, as around C code that runs without the GIL. Then what they spent in the queue counts.

The system is asked before and after, not in between: to read a file gives the GIL away. And where neighbours take most
of a core, threads around a GIL are cut short so often that turns and short sleeps look alike: whoever measures has to
leave out rounds in which much was taken.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import NamedTuple

from labkit.child import tasks
from labkit.child.clocks import thread_clock
from labkit.child.cores import usable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Share", "busy_until", "can_tell", "cores", "given", "share", "sleeps"]


class Share(NamedTuple):
    """What one worker did in a round.

    Attributes:
        pieces_count: Pieces of work done.
        cpu_s: CPU time of the thread.
        delay_s: Time in the run queue as the system counts it; 0.0 where it does not tell.
        missing_s: Time without CPU time in pieces in which it did not sleep.
        gaps_s: Time without CPU time in pieces in which it did.
        gaps_count: How many pieces these are.
        began_ns: When it came to its first piece, on the monotonic clock.
        ended_ns: When it was done.
        stop_ns: When it was to stop.
    """

    pieces_count: int
    cpu_s: float
    delay_s: float
    missing_s: float
    gaps_s: float
    gaps_count: int
    began_ns: int
    ended_ns: int
    stop_ns: int


@functools.cache
def can_tell() -> bool:
    """Return True if this system tells sleeping from waiting for a core: if it counts a sleep, when it is tried."""
    if not sys.platform.startswith("linux"):
        return False
    slept = _counter()
    before = slept()
    time.sleep(0.001)
    return slept() > before


def busy_until(stop_ns: int, once: Callable[[], None]) -> Share:
    """Do pieces of work until a time has come.

    Args:
        stop_ns: When to stop, on the monotonic clock.
        once: Does one piece, of much less than a switch interval.
    """
    slept = sleeps()
    missing_s, gaps_s, gaps_count, pieces = 0.0, 0.0, 0, 0
    delay_s = thread_clock()[1]
    began_s = cpu_s = time.thread_time()
    count, began_ns = slept(), time.monotonic_ns()
    now_ns = began_ns
    while now_ns < stop_ns:
        once()
        pieces += 1
        then_count, then_cpu_s, then_ns = count, cpu_s, now_ns
        # The GIL may be given away between any two of these: a sleep here makes both neighbours pieces with a sleep.
        count, cpu_s, now_ns, last = slept(), time.thread_time(), time.monotonic_ns(), slept()
        gap_s = max(0.0, (now_ns - then_ns) / 1e9 - (cpu_s - then_cpu_s))
        if last == then_count:
            missing_s += gap_s
        else:
            gaps_count += 1
            gaps_s += gap_s
    delay_s = thread_clock()[1] - delay_s
    used_s = cpu_s - began_s
    return Share(pieces, used_s, delay_s, missing_s, gaps_s, gaps_count, began_ns, now_ns, stop_ns)


def share(_: str, wait: Callable[[], int], *, work: str) -> list[float]:
    """Be one worker of a round: get ready, wait for the others, and do one kind of work until its end.

    Args:
        _: The worker's name.
        wait: Returns when all are ready, with the monotonic time in ns at which to stop.
        work: A key of `labkit.child.tasks.TASKS`.

    Returns:
        The fields of a `Share`.
    """
    once = tasks.ready(work)
    once()
    return list(busy_until(wait(), once))


def cores(shares: Sequence[Share], window_s: float, *, one_gil: bool) -> tuple[float, float]:
    """Tell how many cores the workers of a round used, and how many they demanded.

    Args:
        shares: One for each worker, one at least.
        window_s: How long the round was to last.
        one_gil: True if all workers need the same GIL, so that they may be taking turns.

    Returns:
        Cores used, and cores demanded: equal where the system does not tell what the workers waited for.
    """
    go_ns = shares[0].stop_ns - round(window_s * 1e9)
    own_s = [(one.ended_ns - go_ns) / 1e9 for one in shares]
    used = sum(one.cpu_s / wall_s for one, wall_s in zip(shares, own_s, strict=True))
    if not can_tell():
        return used, used
    if one_gil and _turns(shares, max(own_s)):
        idle_s = max(0.0, max(own_s) - sum(one.cpu_s for one in shares))
        return used, used + min(idle_s, sum(one.delay_s for one in shares)) / max(own_s)
    # Who computes by itself was late for its first piece because it had to wait for a core, or else for the GIL.
    late_s = [0.0 if one_gil else max(0.0, (one.began_ns - go_ns) / 1e9) for one in shares]
    queued_s = [late + one.missing_s + _in_gaps_s(one) for late, one in zip(late_s, shares, strict=True)]
    demands = [
        min(1.0, (one.cpu_s + queue_s) / wall_s) for one, queue_s, wall_s in zip(shares, queued_s, own_s, strict=True)
    ]
    return used, max(used, sum(demands))


def given(used: float, demanded: float) -> float:
    """Return which share of the cores that they could have used workers were given, up to 1; others took the rest.

    Args:
        used: Cores that they used, as `cores` tells them.
        demanded: Cores that they demanded, likewise; more than this process may use nobody could have given them.
    """
    return min(1.0, used / min(demanded, usable()[0]))


def _in_gaps_s(share: Share) -> float:
    """Return how long a worker stood in the run queue in pieces in which it also slept."""
    return min(max(0.0, share.delay_s - share.missing_s), share.gaps_s)


def _turns(shares: Sequence[Share], wall_s: float) -> bool:
    """Return True if all but one of the workers slept at any time, and each computed and slept for long."""
    gaps_s, cpu_s = sum(one.gaps_s for one in shares), sum(one.cpu_s for one in shares)
    turns_s = sum(one.gaps_count for one in shares) * sys.getswitchinterval() / 2
    others_s = (len(shares) - 1) * wall_s
    slept_s = gaps_s - sum(map(_in_gaps_s, shares))
    return 0.0 < turns_s <= min(slept_s, cpu_s) and gaps_s > others_s / 2


def sleeps() -> Callable[[], int]:
    """Return a function that says how often the calling thread has gone to sleep; 0 where the system does not tell."""
    return _counter() if can_tell() else int


def _counter() -> Callable[[], int]:
    import resource

    usage, thread = resource.getrusage, resource.RUSAGE_THREAD
    return lambda: usage(thread).ru_nvcsw
