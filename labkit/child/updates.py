"""Updates of state that workers share, each under a lock. Rule: not one update may be lost, else the run fails.

The workers run the same lines, ``number.value += 1`` or ``entries["count"] += 1``, on what they share: threads on a
plain object or dict, with `threading.Lock`; processes on a `multiprocessing.Value` with its own lock, or on the dict
and the lock of a `multiprocessing.Manager`. That is one process more, which holds both, and is asked at each step.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.child import rounds
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from labkit.model import Json

__all__ = ["STATES", "measure"]

STATES = ("number", "dictionary")
_BETWEEN_LOOKS = 8  # updates between two looks at the clock
_PATIENCE_S = 0.5  # for a server that has failed to end


class _Clock:
    """CPU time of the process in which this lives, since somebody first told it to begin."""

    def __init__(self) -> None:
        self._began_s: float | None = None

    def begin(self) -> None:
        self._began_s = time.process_time() if self._began_s is None else self._began_s

    def spent_s(self) -> float:
        return 0.0 if self._began_s is None else time.process_time() - self._began_s


class _Shared(NamedTuple):
    """What workers share, its lock, and the clock of the process that serves it, if there is one."""

    state: Any
    lock: Any
    server: Any = None


def measure(between: str, state: str, workers: int, *, window_s: float) -> dict[str, Json]:
    """Let workers update shared state for a while, and check that every update is there afterwards.

    Args:
        between: ``"threads"`` or ``"processes"``.
        state: One of `STATES`.
        workers: How many update it, from 1.
        window_s: For how long, in seconds.

    Returns:
        ``update_s``, the time of one update by all workers together; ``cpu_per_update_s`` of the workers and of the
        process that serves them; ``used_cores``; ``updates_count``.

    Raises:
        NotHere: If this system cannot fork a process, or has no semaphore, memory or server for what they share.
        RuntimeError: If an update was lost.
    """
    add, seen = _ADD[state], _SEEN[state]
    play = {"threads": rounds.in_threads, "processes": rounds.in_processes}[between]
    clock = time.thread_time if between == "threads" else time.process_time
    with _shared(between, state) as shared:
        told = play(partial(_update, shared, add, clock), workers=workers, duration_s=window_s)
        made, cpu_s, server_s, lasted_s = zip(*told, strict=True)
        found = seen(shared.state)
    if found != sum(made):
        raise RuntimeError(f"{sum(made)} updates were made under the lock, and {found} are there")
    used_s = sum(cpu_s) + max(server_s)
    return {
        "update_s": max(lasted_s) / found,
        "cpu_per_update_s": used_s / found,
        "used_cores": used_s / max(lasted_s),
        "updates_count": found,
    }


def _update(
    shared: _Shared,
    add: Callable[[Any, Any, int], None],
    clock: Callable[[], float],
    _name: str,
    wait: Callable[[], int],
) -> Json:
    """Be one worker: return the updates made, the CPU time of this worker and of the server, and how long it took."""
    state, lock, server = shared
    add(state, lock, 1)  # connected, and warm
    made, stop_ns = 1, wait()
    if server is not None:
        server.begin()
    began_s, cpu_s = time.monotonic(), clock()
    while made == 1 or time.monotonic_ns() < stop_ns:
        add(state, lock, _BETWEEN_LOOKS)
        made += _BETWEEN_LOOKS
    cpu_s, lasted_s = clock() - cpu_s, time.monotonic() - began_s
    return [made, cpu_s, 0.0 if server is None else server.spent_s(), lasted_s]


def _add_to_number(number: Any, lock: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            number.value += 1


def _add_to_entry(entries: Any, lock: Any, times: int) -> None:
    for _ in range(times):
        with lock:
            entries["count"] += 1


_ADD = {"number": _add_to_number, "dictionary": _add_to_entry}
_SEEN: dict[str, Callable[[Any], int]] = {
    "number": lambda number: int(number.value),
    "dictionary": lambda entries: int(entries["count"]),
}


def _shared(between: str, state: str) -> AbstractContextManager[_Shared]:
    if between == "threads":
        return _in_one_process(state)
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    return _in_shared_memory() if state == "number" else _in_a_server()


@contextmanager
def _in_one_process(state: str) -> Iterator[_Shared]:
    yield _Shared(SimpleNamespace(value=0) if state == "number" else {"count": 0}, threading.Lock())


@contextmanager
def _in_shared_memory() -> Iterator[_Shared]:
    """Eight bytes of memory without a name, and a semaphore whose name is removed as soon as it is made."""
    from multiprocessing import get_context

    try:
        number = get_context("fork").Value("q", 0)
    except (OSError, ImportError) as error:  # no semaphores, or no place for the memory
        raise NotHere(f"this system lets processes share no number: {_said(error)}") from error
    yield _Shared(number, number.get_lock())


@contextmanager
def _in_a_server() -> Iterator[_Shared]:
    """A dictionary and a lock in a process of their own.

    This process sends it nothing before the workers are forked: a connection that all of them share would mix up their
    answers.
    """
    from multiprocessing import active_children, get_context
    from multiprocessing.managers import SyncManager

    class Server(SyncManager):
        """A manager that can tell its CPU time."""

    Server.register("Clock", _Clock, exposed=("begin", "spent_s"))
    with ExitStack() as held:
        try:
            server: Any = held.enter_context(Server(ctx=get_context("fork")))
            shared = _Shared(server.dict(count=0), server.Lock(), server.Clock())
        except (OSError, ImportError, EOFError) as error:  # no socket, no process, or no place for its name
            for ended in active_children():
                ended.join(_PATIENCE_S)
            raise NotHere(f"this system holds no dictionary in a process of its own: {_said(error)}") from error
        yield shared


def _said(error: Exception) -> str:
    return str(error) or "the process ended before it listened"
