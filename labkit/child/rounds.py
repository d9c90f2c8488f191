"""Rounds: workers that begin together and stop at a given time. Rule: one barrier for every kind of worker.

Every worker reports at the barrier through one pipe and reads the time at which to stop from another, so that threads,
forked processes and subinterpreters run the same code, and a comparison of them compares nothing else.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from contextlib import ExitStack, contextmanager
from functools import partial

from labkit.child import gil
from labkit.child.subinterpreters import find_labkit, interpreter
from labkit.errors import NotHere

TYPE_CHECKING = False  # not from typing, nor a module more than needed: every subinterpreter imports them anew
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labkit.model import Json

__all__ = ["in_processes", "in_subinterpreters", "in_threads", "join_in", "one_gil", "play"]

_LOOK_MS = 100  # how often to look whether a process has died that others wait for


def play(
    way: str, work: Callable[..., Json], params: dict[str, Json], *, workers: int, duration_s: float
) -> list[Json]:
    """Play one round in one of the three ways; see `in_threads`, `in_processes` and `in_subinterpreters`.

    Args:
        way: ``threads``, ``processes`` or ``subinterpreters``.
        work: What each worker does: a function of a module, as subinterpreters import it anew by its name.
        params: Keyword arguments of the function, as JSON.
        workers: How many, from 1.
        duration_s: Time from the start of the round to its stop, in seconds.

    Returns:
        What each worker returned, in any order.
    """
    if way == "subinterpreters":
        address = f"{work.__module__}:{work.__name__}"
        return in_subinterpreters(address, params, workers=workers, duration_s=duration_s)
    in_this_way = {"threads": in_threads, "processes": in_processes}[way]
    return in_this_way(partial(work, **params), workers=workers, duration_s=duration_s)


def one_gil(way: str) -> bool:
    """Return True if all workers of a round in this way, as `play` takes it, need the same GIL."""
    return {"threads": gil.enabled(), "processes": False, "subinterpreters": sys.version_info < gil.OWN_GIL}[way]


def in_threads(work: Callable[[str, Callable[[], int]], Json], *, workers: int, duration_s: float) -> list[Json]:
    """Play one round with threads of this process.

    Args:
        work: What each worker does. It is given its name and a function ``wait``, which it must call once: that
            returns when all workers have called it, with the monotonic time in ns at which to stop.
        workers: Threads, from 1.
        duration_s: Time from the start of the round to its stop, in seconds.

    Returns:
        What each worker returned, in any order.

    Raises:
        Exception: Whatever a worker raised, when the others have ended.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool, _pipe() as ready, _pipe() as go:
        ends = ready[1], go[0]
        shares = [pool.submit(_play, partial(work, f"worker {n}"), ends) for n in range(1, workers + 1)]
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
    statuses: dict[int, int] = {}
    with _pipe() as replies:
        try:
            with _pipe() as ready, _pipe() as go:
                for n in range(1, workers + 1):
                    pid = os.fork()
                    if not pid:
                        os.close(go[1])  # else no worker would see the end of this pipe when the parent dies
                        _serve(replies[1], partial(_play, partial(work, f"worker {n}"), (ready[1], go[0])))
                    pids.append(pid)
                begun = _begin(ready[0], go[1], workers, duration_s, partial(_comes, ready[0], pids, statuses))
        finally:  # reached with both pipes closed, so that workers still at the barrier give up
            statuses |= {pid: os.waitpid(pid, 0)[1] for pid in pids if pid not in statuses}
        died = f"a worker process died (wait statuses {[statuses[pid] for pid in pids]})"
        if not begun:
            raise RuntimeError(died)
        return _told(replies, workers, died)


def in_subinterpreters(work: str, params: dict[str, Json], *, workers: int, duration_s: float) -> list[Json]:
    """Play one round with subinterpreters of this process, each in a thread of its own; see `in_threads`.

    Args:
        work: ``module:function``, imported anew in each of them: nothing is shared.
        params: Keyword arguments of the function, as JSON; a worker calls it with these, its name and ``wait``.
        workers: Subinterpreters, from 1.
        duration_s: As for threads.

    Returns:
        What each worker returned, as JSON, shorter than 512 bytes.

    Raises:
        NotHere: If this Python cannot make subinterpreters.
        RuntimeError: If a worker raised.
    """
    import hashlib  # noqa: F401 - Python 3.12.1 aborts at its end if a subinterpreter was the first to import it
    from concurrent.futures import ThreadPoolExecutor

    with _pipe() as replies, ExitStack() as held:
        units = [held.enter_context(interpreter()) for _ in range(workers)]
        for unit in units:  # by the thread that will destroy it: else its end waits for ever (3.10 to 3.12)
            unit("import threading")
        with ThreadPoolExecutor(workers) as pool, _pipe() as ready, _pipe() as go:  # no thread outlives its interpreter
            ends = (ready[1], go[0], replies[1])
            texts = [_text(work, params, f"worker {n}", ends) for n in range(1, workers + 1)]
            shares = [pool.submit(_join, unit, text, ready[1]) for unit, text in zip(units, texts, strict=True)]
            _begin(ready[0], go[1], workers, duration_s)
            for share in shares:
                share.result()
        return _told(replies, workers, "a worker did not reply")


def join_in(ends: tuple[int, int, int], work: str, name: str, params: str) -> None:
    """Be one worker of a round in a subinterpreter, which has been given nothing but numbers and text."""

    def share(wait: Callable[[], int]) -> Json:
        module, _, function = work.partition(":")
        return getattr(importlib.import_module(module), function)(name, wait, **json.loads(params))

    ready, go, descriptor = ends
    _reply(descriptor, partial(_play, share, (ready, go)))


def _join(unit: Callable[[str], None], text: str, ready: int) -> None:
    """Let an interpreter be one worker; if it cannot even begin, the others need not wait for it at the barrier."""
    try:
        unit(text)
    except BaseException:
        os.write(ready, b"r")
        raise


def _text(work: str, params: dict[str, Json], name: str, ends: tuple[int, int, int]) -> str:
    arguments = f"{ends!r}, {work!r}, {name!r}, {json.dumps(params)!r}"
    return f"{find_labkit()}; from labkit.child import rounds; rounds.join_in({arguments})"


def _told(replies: tuple[int, int], workers: int, otherwise: str) -> list[Json]:
    """Read what the workers wrote. A pipe holds all replies, so none had to wait for this; the mark ends the read."""
    os.write(replies[1], b"\n")
    told = [json.loads(line) for line in os.read(replies[0], 65536).splitlines() if line]
    failures = [str(one["failed"]) for one in told if "failed" in one]
    if failures or len(told) != workers:
        raise RuntimeError("\n".join(failures) or otherwise)
    return [one["returned"] for one in told]


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:  # the write end first: whoever still waits for a message sees the end of the pipe
        os.close(ends[1])
        os.close(ends[0])


def _begin(ready: int, go: int, workers: int, duration_s: float, comes: Callable[[], bool] | None = None) -> bool:
    """Wait for all workers and let them go. False, and nobody goes, if ``comes`` says that one never will come."""
    for _ in range(workers):
        if comes is not None and not comes():
            return False
        os.read(ready, 1)
    stop_ns = time.monotonic_ns() + int(duration_s * 1e9)
    os.write(go, stop_ns.to_bytes(8, "little") * workers)
    return True


def _comes(ready: int, pids: Sequence[int], statuses: dict[int, int]) -> bool:
    """Wait until one more worker is at the barrier; False if one has died instead, whose status is then written down.

    No worker ends by itself before all are let go: one that fails waits for the others.
    """
    from select import POLLIN, poll

    poller = poll()
    poller.register(ready, POLLIN)
    while not poller.poll(_LOOK_MS):
        for pid in pids:
            dead, status = os.waitpid(pid, os.WNOHANG)
            if dead:
                statuses[pid] = status
        if statuses:
            return False
    return True


def _play(share: Callable[[Callable[[], int]], Json], ends: tuple[int, int]) -> Json:
    """Let one worker do its share. One that fails before the barrier still goes there: the others wait for it."""
    waited = False

    def wait() -> int:
        nonlocal waited
        waited = True
        return _wait(*ends)

    try:
        return share(wait)
    finally:
        if not waited:
            wait()


def _wait(ready: int, go: int) -> int:
    os.write(ready, b"r")
    message = os.read(go, 8)  # written by one write of a few bytes, so nobody reads half a number
    if not message:
        raise RuntimeError("the round was called off before it began")
    return int.from_bytes(message, "little")


def _reply(descriptor: int, work: Callable[[], Json]) -> None:
    """Work, and write one line: what was returned, or what was raised."""
    try:
        line = json.dumps({"returned": work()})
    except BaseException:  # noqa: BLE001 - the parent raises it again
        import traceback

        line = json.dumps({"failed": traceback.format_exc()[-400:]})
    os.write(descriptor, line.encode() + b"\n")


def _serve(descriptor: int, work: Callable[[], Json]) -> None:
    """Work in a forked process, reply in one line, and never return into the parent's code."""
    status = 1
    try:
        _reply(descriptor, work)
        status = 0
    finally:
        os._exit(status)
