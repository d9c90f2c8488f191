"""Rounds: workers that begin together and stop at a given time. Rule: one barrier for threads and for processes.

Every worker reports at the barrier through one pipe and reads the time at which to stop from another, so that threads
and forked processes run the same code, and a comparison of the two compares nothing else.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.model import Json

__all__ = ["in_processes", "in_threads"]


def in_threads(work: Callable[[str, Callable[[], int]], Json], *, workers: int, duration_s: float) -> list[Json]:
    """Play one round with threads of this process.

    Args:
        work: What each worker does. It is given its name and a function ``wait``, which it must call once: that
            returns when all workers have called it, with the monotonic time in ns at which to stop.
        workers: Threads, from 1.
        duration_s: Time from the start of the round to its stop, in seconds.

    Returns:
        What each worker returned.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool, _pipe() as ready, _pipe() as go:
        wait = partial(_wait, ready[1], go[0])
        shares = [pool.submit(work, f"worker {n}", wait) for n in range(1, workers + 1)]
        _begin(ready[0], go[1], workers, duration_s)
        return [share.result() for share in shares]


def in_processes(work: Callable[[str, Callable[[], int]], Json], *, workers: int, duration_s: float) -> list[Json]:
    """Play one round with forked processes; see `in_threads`.

    What a worker returns must be JSON, shorter than 512 bytes (and comes back as lists where it was a tuple).

    Raises:
        NotHere: If this system cannot fork.
        RuntimeError: If a worker raised, with the end of its traceback, or ended without a reply.
    """
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    pids: list[int] = []
    statuses: list[int] = []
    with _pipe() as replies:
        try:
            with _pipe() as ready, _pipe() as go:
                for n in range(1, workers + 1):
                    pid = os.fork()
                    if not pid:
                        os.close(go[1])  # else no worker would see the end of this pipe when the parent dies
                        _serve(replies[1], partial(work, f"worker {n}", partial(_wait, ready[1], go[0])))
                    pids.append(pid)
                _begin(ready[0], go[1], workers, duration_s)
        finally:  # reached with both pipes closed, so that workers still at the barrier give up
            statuses += [os.waitpid(pid, 0)[1] for pid in pids]
        # A pipe holds all replies, so no worker had to wait for this read. The mark ends it if nobody replied.
        os.write(replies[1], b"\n")
        lines = os.read(replies[0], 65536).splitlines()
    told = [json.loads(line) for line in lines if line]
    failures = [str(reply["failed"]) for reply in told if "failed" in reply]
    if failures or len(told) != workers:
        raise RuntimeError("\n".join(failures) or f"a worker process died (wait statuses {statuses})")
    return [reply["returned"] for reply in told]


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:  # the write end first: whoever still waits for a message sees the end of the pipe
        os.close(ends[1])
        os.close(ends[0])


def _begin(ready: int, go: int, workers: int, duration_s: float) -> None:
    for _ in range(workers):
        os.read(ready, 1)
    stop_ns = time.monotonic_ns() + int(duration_s * 1e9)
    os.write(go, stop_ns.to_bytes(8, "little") * workers)


def _wait(ready: int, go: int) -> int:
    os.write(ready, b"r")
    message = os.read(go, 8)  # written by one write of a few bytes, so nobody reads half a number
    if not message:
        raise RuntimeError("the round was called off before it began")
    return int.from_bytes(message, "little")


def _serve(reply: int, work: Callable[[], Json]) -> None:
    """Work in a forked process, reply in one line, and never return into the parent's code."""
    status = 1
    try:
        try:
            line = json.dumps({"returned": work()})
        except BaseException:  # noqa: BLE001 - the parent raises it again
            line = json.dumps({"failed": traceback.format_exc()[-400:]})
        os.write(reply, line.encode() + b"\n")
        status = 0
    finally:
        os._exit(status)
