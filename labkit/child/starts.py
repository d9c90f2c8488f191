"""Start and end one unit of each kind, or hold one alive. Rule: a unit does nothing, and nothing measures here.

``held_...`` are context managers: they begin when the unit has started up and waits, and end when it is gone. What the
units of ``multiprocessing`` do comes from the standard library alone: a new Python started by a labkit child cannot
import labkit.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.child.subinterpreters import interpreter
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "end_servers",
    "held_fork",
    "held_interpreter",
    "held_process",
    "held_python",
    "held_thread",
    "kill_server",
    "server_run_s",
    "start_fork",
    "start_interpreter",
    "start_process",
    "start_python",
    "start_thread",
]

_WAIT = "line.send_bytes(b'r'); line.recv_bytes()"
_PROGRAM = "import sys; sys.stdout.write('r'); sys.stdout.flush(); sys.stdin.read()"


def start_thread() -> None:
    """Start a thread that returns at once, and join it."""
    unit = threading.Thread(target=int)
    unit.start()
    unit.join()


@contextmanager
def held_thread() -> Iterator[int]:
    """Hold a waiting thread; yields the id of this process."""
    ready, done = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        done.wait()

    unit = threading.Thread(target=wait)
    unit.start()
    ready.wait()
    try:
        yield os.getpid()
    finally:
        done.set()
        unit.join()


def start_fork() -> None:
    """Fork a process that ends at once, and wait for it.

    Raises:
        NotHere: If this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


@contextmanager
def held_fork() -> Iterator[int]:
    """Hold a waiting fork; yields its process id."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(go[1])  # else it would not see the end of this pipe
            os.write(ready[1], b"r")
            os.read(go[0], 1)
        finally:
            os._exit(0)
    try:
        os.read(ready[0], 1)
        yield pid
    finally:
        for end in (*ready, *go):
            os.close(end)
        os.waitpid(pid, 0)


def start_python() -> None:
    """Start a new Python program that does nothing, and wait for it."""
    subprocess.run([sys.executable, "-I", "-c", ""], check=True)


@contextmanager
def held_python() -> Iterator[int]:
    """Hold a new Python program that waits for input; yields its process id."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-I", "-c", _PROGRAM], stdin=pipe, stdout=pipe) as unit:
        os.read(unit.stdout.fileno(), 1) if unit.stdout else None
        yield unit.pid  # leaving closes its input, which ends it


def start_process(method: str) -> None:
    """Start a process of ``multiprocessing`` that returns at once, and join it.

    Args:
        method: spawn or forkserver.

    Raises:
        NotHere: If this system lacks the method.
        RuntimeError: If the process failed.
    """
    unit: Any = _context(method).Process(target=int)
    unit.start()
    unit.join()
    if unit.exitcode:
        raise RuntimeError(f"a process started by {method} ended with exit code {unit.exitcode}")
    unit.close()


@contextmanager
def held_process(method: str) -> Iterator[int]:
    """Hold a waiting process of ``multiprocessing``; yields its process id."""
    context = _context(method)
    mine, theirs = context.Pipe()
    unit = context.Process(target=exec, args=(_WAIT, {"line": theirs}))
    unit.start()
    theirs.close()
    try:
        mine.recv_bytes()
        yield unit.pid
        mine.send_bytes(b"")
    finally:
        mine.close()
        unit.join()
        unit.close()


def start_interpreter() -> None:
    """Create an interpreter in this process, run an empty program in it, and destroy it.

    Raises:
        NotHere: If this Python cannot make subinterpreters.
    """
    with held_interpreter():
        pass


@contextmanager
def held_interpreter() -> Iterator[int]:
    """Hold an interpreter that has run an empty program; yields the id of this process."""
    with interpreter() as execute:
        execute("pass")
        yield os.getpid()


def server_run_s() -> float:
    """Read the CPU time of the running fork server alone, without its children, in seconds.

    Raises:
        NotHere: If the system does not tell.
    """
    try:
        with open(f"/proc/{_server()._forkserver_pid}/schedstat", "rb") as file:  # noqa: SLF001
            return int(file.read().split()[0]) / 1e9  # exact: the server sleeps between requests
    except OSError as error:
        raise NotHere("this system does not tell the fork server's CPU time from that of its children") from error


def kill_server() -> None:
    """Kill the fork server and wait for it: told to end, it would spend some 10 ms of CPU time on tidying up."""
    os.kill(_server()._forkserver_pid, signal.SIGKILL)  # noqa: SLF001
    _server()._stop()  # noqa: SLF001


def end_servers() -> None:
    """End the fork server and the resource tracker of ``multiprocessing`` if they run.

    Both would live until this process ends, and there is no public way to end them earlier.
    """
    if sys.platform == "win32":
        return
    from multiprocessing import resource_tracker

    _server()._stop()  # noqa: SLF001
    tracker: Any = resource_tracker._resource_tracker  # noqa: SLF001
    if tracker._pid is not None:  # noqa: SLF001
        tracker._stop()  # noqa: SLF001


def _server() -> Any:
    from multiprocessing import forkserver

    return forkserver._forkserver  # noqa: SLF001 - there is no public way to its process id


def _context(method: str) -> Any:
    import multiprocessing

    try:
        return multiprocessing.get_context(method)
    except ValueError as error:
        raise NotHere(f"this system cannot start processes by {method}") from error
