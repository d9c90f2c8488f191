"""Run a workload in a process of its own, and outlive whatever it does: the kernel's side of the pipe.

All delicate work is done in threads, since Python raises KeyboardInterrupt in the main thread only. The main thread
puts a request into a queue (one C call), and waits; stopping is a flag and a line on a socket.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import select
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from labkit.child.keeper import HEADER
from labkit.model import Limits, Run, Trial
from labkit.runs import folders, keepers
from labkit.runs.endings import Heard
from labkit.runs.interpreters import probe
from labkit.runs.travel import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.model import Event, Json

__all__ = ["LiveRun", "begin", "run", "start"]


class LiveRun:
    """A run on its way. Stop it, wait for it, or follow its events."""

    def __init__(self, trial: Trial, *, python: str, limits: Limits, folder: str = "") -> None:
        """Describe a run; nothing is started yet. ``folder`` is where the child finds the workload's module."""
        self.trial, self.python, self.limits, self.folder = trial, python, limits, folder
        self._heard = Heard(trial, self.limits)
        self._asked = time.monotonic()
        self._stopped = False
        self._link: keepers.Link | None = None
        self._run: Run | None = None
        self._done = threading.Event()

    def __repr__(self) -> str:
        """Say what it is doing."""
        return repr(self._run) if self._run else f"<LiveRun of {self.trial.arm or self.trial.workload}: running>"

    @property
    def done(self) -> bool:
        """True if the run has ended and nothing of it is left."""
        return self._done.is_set()

    def stop(self) -> None:
        """End the run now; returns at once. `wait` then gives a `Run` that was stopped."""
        self._stopped = True
        link = self._link
        if link:
            with contextlib.suppress(OSError):  # it has just ended
                link.sock.send(b"stop\n")

    def wait(self, timeout_s: float | None = None) -> Run:
        """Wait until the run has ended and nothing of it is left.

        Args:
            timeout_s: How long to wait at most; a run ends by itself soon after its deadline.

        Raises:
            TimeoutError: If it has not ended by then; it goes on.
        """
        if not self._done.wait(timeout_s) or self._run is None:
            raise TimeoutError(f"{self.trial.workload} has not ended after {timeout_s} s; wait again, or stop it")
        return self._run

    def join(self, timeout_s: float) -> bool:
        """Wait for the end for at most ``timeout_s`` seconds; return True if it has come."""
        return self._done.wait(timeout_s)

    def events(self) -> Iterator[Event]:
        """Yield each event as it arrives, from the first one, until the run has ended."""
        seen = 0
        while True:
            ended = self._done.wait(0.01)
            heard = self._heard.events
            while seen < len(heard):
                seen += 1
                yield heard[seen - 1]
            if ended:
                return

    def _launch(self) -> None:
        _ensure_starter()
        _requests.put(self)

    def _conduct(self) -> None:
        """See the run through, in a thread of its own."""
        report, problem, swept, link = None, "", None, None
        try:
            link = keepers.link_for(self.trial, python=self.python, limits=self.limits)
            link.sock.sendall(_line(_task(self)))
            self._link = link
            if self._stopped:  # it was set before the link could be seen
                self.stop()
            report = self._listen(link)
        except Exception as error:  # noqa: BLE001 - no descriptors, no memory, a full disk: an answer, not a silence
            problem = f"{type(error).__name__}: {error}"
        try:
            if link:
                swept = keepers.close(link, self._heard.known if report is None else None)
        except Exception as error:  # noqa: BLE001
            problem = problem or f"{type(error).__name__}: {error}"
        lifetime_s = time.monotonic() - self._asked
        self._run = self._heard.as_run(report, problem=problem, swept=swept, lifetime_s=lifetime_s)
        self._done.set()

    def _listen(self, link: keepers.Link) -> dict[str, Any] | None:
        """Take frames until the keeper's last; None if the keeper falls silent or vanishes."""
        buffer = bytearray()
        while select.select([link.sock], [], [], keepers.SILENCE_S)[0]:
            data = link.sock.recv(1 << 20)
            if not data:
                return None
            buffer += data
            while len(buffer) >= HEADER.size:
                length, kind = HEADER.unpack_from(buffer)
                if len(buffer) < HEADER.size + length:
                    break
                payload = bytes(buffer[HEADER.size : HEADER.size + length])
                del buffer[: HEADER.size + length]
                if kind == ord("Z"):
                    return dict(json.loads(payload))
                self._heard.take(chr(kind), payload)
        return None


def start(
    workload: Callable[..., object],
    *,
    deadline_s: float = 10.0,
    python: str | None = None,
    limits: Limits | None = None,
    **params: Json,
) -> LiveRun:
    """Run a function in a process of its own, and return at once.

    Takes and raises the same as `run`.
    """
    live = _prepare(workload, deadline_s, python, limits, params)
    live._launch()  # noqa: SLF001 - same module
    return live


def run(
    workload: Callable[..., object],
    *,
    deadline_s: float = 10.0,
    python: str | None = None,
    limits: Limits | None = None,
    **params: Json,
) -> Run:
    """Run a function in a process of its own, and wait for it.

    Whatever the function does (crash, hang, leak), this returns soon after the deadline, and nothing of it is left.

    Args:
        workload: A function of a module, an arm of an experiment, or a function typed in a notebook cell. The latter
            travels as source, with the functions, classes, imports and plain values of other cells that it names.
        deadline_s: Wall time allowed for the function, in seconds: more than 0, at most 600.
        python: Interpreter to run it on, 3.10 or later; needs no packages. This one if left out.
        limits: What the run may use at most; see `labkit.model.Limits`.
        **params: Keyword arguments of the function: plain JSON values.

    Returns:
        How it ended, what it returned, its events and its output. Interrupting the kernel stops the run first.

    Raises:
        BadWorkload: If the function cannot travel, or does not take these parameters.
        BadValue: If a parameter, the deadline or the interpreter is not allowed. No process has been started then.
    """
    live = _prepare(workload, deadline_s, python, limits, params)
    return _see_through(live)


def begin(trial: Trial, *, python: str = sys.executable, limits: Limits) -> LiveRun:
    """Start a planned trial, and return at once."""
    live = LiveRun(trial, python=python, limits=limits)
    live._launch()  # noqa: SLF001 - same module
    return live


def _see_through(live: LiveRun) -> Run:
    try:
        live._launch()  # noqa: SLF001 - same module
        return live.wait()
    except BaseException:
        live.stop()
        live._done.wait(keepers.SILENCE_S)  # noqa: SLF001 - a second interrupt ends this wait; the thread cleans up all the same
        raise


def _prepare(
    workload: Callable[..., object],
    deadline_s: float,
    python: str | None,
    limits: Limits | None,
    params: dict[str, Json],
) -> LiveRun:
    """Check everything that can be checked before a process is started."""
    allowed = dataclasses.replace(limits or Limits(), deadline_s=deadline_s)
    parcel = pack(workload, params)
    path = sys.executable if python is None else probe(python).path
    trial = Trial(workload=parcel.workload, arm=workload.__name__, params=params, source=parcel.source)
    return LiveRun(trial, python=path, limits=allowed, folder=parcel.folder)


# ---------------------------------------------------------------------------------------------------- threads
_requests: queue.SimpleQueue[LiveRun] = queue.SimpleQueue()
_starter: list[threading.Thread] = []


def _ensure_starter() -> None:
    if not _starter or not _starter[0].is_alive():
        thread = threading.Thread(target=_start_requested, daemon=True, name="labkit-starter")
        _starter[:] = [thread]
        thread.start()


def _start_requested() -> None:
    with contextlib.suppress(OSError):
        folders.clean_up()
    while True:
        live = _requests.get()
        try:
            threading.Thread(target=live._conduct, daemon=True, name="labkit-run").start()  # noqa: SLF001
        except RuntimeError:  # the kernel can have no more threads: then the runs wait for each other
            live._conduct()  # noqa: SLF001


os.register_at_fork(after_in_child=_starter.clear)


def _task(live: LiveRun) -> dict[str, Any]:
    trial = live.trial
    return {
        "workload": trial.workload,
        "params": dict(trial.params),
        "source": [list(part) for part in trial.source],
        "folder": live.folder,
        "limits": dataclasses.asdict(live.limits),
    }


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"
