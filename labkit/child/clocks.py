"""Clocks and a memory gauge for the arms. Rule: each reads one number of the operating system, and keeps no state."""

from __future__ import annotations

import sys
import time

__all__ = ["cpu_clock", "thread_clock", "uss_bytes"]


def thread_clock() -> tuple[float, float]:
    """Read what the calling thread has used and missed since it began.

    Run time comes from the thread's CPU clock, not from schedstat's first field: the kernel brings that one up to date
    only at ticks and switches, and it was 0.7 ms behind in windows of 3 ms (Linux 6.18).

    Returns:
        Run time in seconds, and time spent runnable in the run queue in seconds, 0.0 where the system does not tell
        (macOS, Windows, kernels without schedstat).
    """
    return time.thread_time(), _queue_delay_s()


def cpu_clock() -> float:
    """Read the CPU time of this process and of the children that it has waited for, in seconds.

    On Windows children are not counted.
    """
    own = time.process_time()  # in nanoseconds, and brought up to date when read; getrusage gives microseconds
    if sys.platform == "win32":
        return own
    import resource

    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime


def uss_bytes(pid: int) -> int | None:
    """Read the memory that would come back if this process alone ended: its private pages, in bytes.

    Args:
        pid: A process of the same user.

    Returns:
        Bytes, or None where the system does not tell.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            fields = [line.split() for line in file]
    except OSError:
        return None
    # Private_Hugetlb is left out: nobody here asks for huge pages of that kind.
    return sum(1024 * int(field[1]) for field in fields if field[0] in (b"Private_Clean:", b"Private_Dirty:"))


def _queue_delay_s() -> float:
    try:
        with open("/proc/thread-self/schedstat", "rb") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError):  # no /proc, or a kernel built without CONFIG_SCHED_INFO
        return 0.0
