"""Run a workload in a process of its own, and outlive whatever it does: the kernel's side of the pipe.

All delicate work is done in threads, since Python raises KeyboardInterrupt in the main thread only. The main thread
puts a request into a queue (one C call), and waits; stopping is a flag and a line on a socket. An interrupt may come
at any bytecode, and a second one at any bytecode of what handles the first: so the thread that conducts a run looks
at each heartbeat whether the call that asked for it is still being executed, and stops the run if not. For the same
reason the main thread uses no `threading.Event` or `threading.Thread`: an interrupt inside these leaves locks held.
"""

from __future__ import annotations

import _thread
import contextlib
import dataclasses
import inspect
import json
import math
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from labkit.child.keeper import HEADER
from labkit.errors import BadValue, BadWorkload
from labkit.limits import Limits
from labkit.model import Ending, Run, Trial
from labkit.runs import folders, keepers
from labkit.runs.endings import Heard
from labkit.runs.interpreters import probe
from labkit.runs.pythons import OWN, interpreter_of, lacks
from labkit.runs.travel import folder_of, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from labkit.model import Event, Json

__all__ = ["LiveRun", "begin", "path_of", "run", "start"]

_LOOK_S = 0.5  # between two looks of one who waits, should he be passed over

_OWN = {"workload", "deadline_s", "python", "limits", "watch"}  # parameters of `run` itself


class LiveRun:
    """A run on its way. Stop it, wait for it, or follow its events."""

    def __init__(self, trial: Trial, *, python: str, limits: Limits, folder: str = "") -> None:
        """Describe a run; nothing is started yet. ``folder`` is where the child finds the workload's module."""
        self.trial, self.python, self.limits, self.folder = trial, python, limits, folder
        self.watch = False  # True for a thread in the run that looks on
        self._heard = Heard(trial, self.limits)
        self._asked = time.monotonic()
        self._stopped = False
        self._unclaimed = [True]  # taken out by the one thread that conducts the run
        self._caller: tuple[int, FrameType] | None = None  # thread and frame that wait for the run, if any must
        self._link: keepers.Link | None = None
        self._run: Run | None = None
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()  # holds something as soon as there is a run

    def __repr__(self) -> str:
        """Say what it is doing."""
        return repr(self._run) if self._run else f"<LiveRun of {self.trial.arm or self.trial.workload}: running>"

    @property
    def done(self) -> bool:
        """True if the run has ended and nothing of it is left."""
        return self._run is not None

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
        self.join(math.inf if timeout_s is None else timeout_s)
        if self._run is None:
            raise TimeoutError(f"{self.trial.workload} has not ended after {timeout_s} s; wait again, or stop it")
        return self._run

    def join(self, timeout_s: float) -> bool:
        """Wait for the end for at most ``timeout_s`` seconds; return True if it has come."""
        until = time.monotonic() + timeout_s
        while self._run is None and (left_s := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._bell.get(timeout=min(left_s, _LOOK_S))
                self._bell.put(None)  # for the next one who waits; if an interrupt comes in between, he looks himself
        return self._run is not None

    def events(self) -> Iterator[Event]:
        """Yield each event as it arrives, from the first one, until the run has ended."""
        seen = 0
        while True:
            ended = self.join(0.01)
            heard = self._heard.events
            while seen < len(heard):
                seen += 1
                yield heard[seen - 1]
            if ended:
                return

    @property
    def heard(self) -> Heard:
        """What has been received so far; it grows until the run has ended."""
        return self._heard

    @property
    def running_s(self) -> float:
        """Wall time since the workload began, in seconds; 0 before that."""
        began_ns = self._heard.began_ns
        return 0.0 if began_ns is None else max(0.0, (time.monotonic_ns() - began_ns) / 1e9)

    def _launch(self) -> None:
        """Ask for the run to be conducted; asking again does nothing."""
        _requests.put(self)
        try:
            _ensure_starter()
        except RuntimeError as error:  # the kernel can have no more threads, and this one is not to be held up
            if self._claim():
                self._finish(None, f"the kernel could not start a thread: {error}", None)

    def _answer_without(self, reason: str) -> None:
        """End a run that nothing was started for."""
        if self._claim():
            limit_s = self.limits.deadline_s
            self._run = Run(trial=self.trial, ending=Ending.UNAVAILABLE, reason=reason, deadline_s=limit_s)
            self._bell.put(None)

    def _claim(self) -> bool:
        """Say whether the caller is the first who is to see this run through."""
        try:
            return self._unclaimed.pop()
        except IndexError:
            return False

    def _conduct(self) -> None:
        """See the run through, in a thread of its own."""
        if not self._claim():
            return
        report = {"ending": "STOPPED"} if self._stopped else None
        if report:
            self._finish(report, "", None)
            return
        problem, swept, link = "", None, None
        try:
            link = keepers.link_for(self.trial, python=self.python, limits=self.limits)
            keepers.tell(link, _task(self))
            self._link = link
            if self._stopped:  # it was set before the link could be seen
                self.stop()
            report = self._listen(link)
        except Exception as error:  # noqa: BLE001 - no descriptors, no memory, a full disk: an answer, not a silence
            problem = f"{type(error).__name__}: {error}"
        try:
            if link:
                swept = keepers.close(link, lost=report is None)
        except Exception as error:  # noqa: BLE001 - no descriptors, no memory, a full disk: an answer, not a silence
            problem = problem or f"{type(error).__name__}: {error}"
        self._finish(report, problem, swept)

    def _finish(self, report: dict[str, Any] | None, problem: str, swept: tuple[list[str], list[str]] | None) -> None:
        lifetime_s = time.monotonic() - self._asked
        try:
            self._run = self._heard.as_run(report, problem=problem, swept=swept, lifetime_s=lifetime_s)
        except Exception as error:  # noqa: BLE001 - no descriptors, no memory, a full disk: an answer, not a silence
            reason = f"its report could not be read: {type(error).__name__}: {error}"
            self._run = Run(trial=self.trial, ending=Ending.LOST, reason=reason, lifetime_s=lifetime_s)
        self._caller = None
        self._bell.put(None)

    def _listen(self, link: keepers.Link) -> dict[str, Any] | None:
        """Take frames until the keeper's last; None if the keeper falls silent or vanishes."""
        buffer = bytearray()
        while True:
            try:
                data = link.sock.recv(1 << 20)
            except (TimeoutError, ConnectionError):
                return None
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
                if kind == ord("H") and self._forsaken() and not self._stopped:
                    self.stop()

    def _forsaken(self) -> bool:
        """Say whether the call that must wait for this run is no longer being executed: it was interrupted."""
        if self._caller is None:
            return False
        thread, waiting = self._caller
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - documented, in spite of its name
        while frame is not None and frame is not waiting:
            frame = frame.f_back
        return frame is None


def start(
    workload: Callable[..., object],
    *,
    deadline_s: float = 10.0,
    python: str | None = None,
    limits: Limits | None = None,
    watch: bool = False,
    **params: Json,
) -> LiveRun:
    """Run a function in a process of its own, and return at once.

    In a notebook, the value that this returns shows itself live: time, output and Stop, and with ``watch`` who waits
    for whom and the CPU used. The cell then waits until the run has ended; interrupting it stops the run.

    Takes and raises the same as `run`.
    """
    live = _watched(_prepare(workload, deadline_s, python, limits, params), watch)
    live._launch()  # noqa: SLF001 - same module
    return live


def run(
    workload: Callable[..., object],
    *,
    deadline_s: float = 10.0,
    python: str | None = None,
    limits: Limits | None = None,
    watch: bool = False,
    **params: Json,
) -> Run:
    """Run a function in a process of its own, and wait for it.

    Whatever the function does (crash, hang, leak), this returns soon after the deadline, and nothing of it is left.

    Args:
        workload: A function of a module, an arm of an experiment, or a function typed in a notebook cell. The latter
            travels as source, with the functions, classes, imports and plain values of other cells that it names.
        deadline_s: Wall time allowed for the function, in seconds: more than 0, at most 600.
        python: Interpreter to run it on, 3.10 or later; needs no packages. This one if left out.
        limits: What the run may use at most; see `labkit.limits.Limits`.
        watch: True for one more thread in the run that notes ten times a second who waits for whom, and the CPU used.
        **params: Keyword arguments of the function: plain JSON values.

    Returns:
        How it ended, what it returned, its events and its output. Interrupting the kernel stops the run first.

    Raises:
        BadWorkload: If the function cannot travel, or does not take these parameters.
        BadValue: If a parameter, the deadline or the interpreter is not allowed. No process has been started then.
    """
    live = _watched(_prepare(workload, deadline_s, python, limits, params), watch)
    return _see_through(live)


def begin(trial: Trial, *, python: str | None = None, limits: Limits) -> LiveRun:
    """Start a planned trial on the interpreter that it names, or on another one, and return at once.

    If that interpreter is not installed, nothing is started: the run has then ended, and says what would install it.
    """
    python = python or path_of(trial)
    live = LiveRun(trial, python=python or "", limits=limits, folder=folder_of(trial.workload, trial.source))
    if python is None:
        live._answer_without(lacks(trial.python))  # noqa: SLF001 - same module
    else:
        live._launch()  # noqa: SLF001 - same module
    return live


def path_of(trial: Trial) -> str | None:
    """Return the executable that a trial is to run on; None if it is not installed."""
    if trial.python == OWN:
        return sys.executable
    found = interpreter_of(trial.python)
    return found.path if found else None


def _see_through(live: LiveRun) -> Run:
    """Launch a run and wait for it; however this ends, the run has ended or is about to."""
    live._caller = threading.get_ident(), sys._getframe()  # noqa: SLF001 - same module; see `_forsaken`
    try:
        live._launch()  # noqa: SLF001 - same module
        return live.wait()
    except BaseException:
        live.stop()
        live._launch()  # noqa: SLF001 - same module
        live.join(keepers.SILENCE_S)  # a second interrupt ends this wait; the thread goes on
        raise


def _prepare(
    workload: Callable[..., object],
    deadline_s: float,
    python: str | None,
    limits: Limits | None,
    params: dict[str, Json],
) -> LiveRun:
    """Check everything that can be checked before a process is started."""
    if limits is not None and not isinstance(limits, Limits):
        raise BadValue("limits", limits, "a labkit.limits.Limits", "Leave it out for the default.")
    allowed = dataclasses.replace(limits or Limits(), deadline_s=deadline_s)
    taken = sorted(_OWN & inspect.signature(workload).parameters.keys()) if inspect.isfunction(workload) else []
    if taken:
        advice = "Rename it in the function"
        raise BadWorkload(workload.__name__, f"has a parameter {taken[0]!r}, which lab.run takes for itself", advice)
    parcel = pack(workload, params)
    path = sys.executable if python is None else probe(python).path
    trial = Trial(workload=parcel.workload, arm=workload.__name__, params=params, source=parcel.source)
    return LiveRun(trial, python=path, limits=allowed, folder=parcel.folder)


def _watched(live: LiveRun, watch: bool) -> LiveRun:  # noqa: FBT001 - of this module only
    """Let a run that is not started yet be watched from inside, or not."""
    if not isinstance(watch, bool):
        raise BadValue("watch", watch, "True or False", "Leave it out to measure undisturbed.")
    live.watch = watch
    return live


# ---------------------------------------------------------------------------------------------------- threads
_requests: queue.SimpleQueue[LiveRun] = queue.SimpleQueue()
_starters: list[int] = []


def _ensure_starter() -> None:
    if not _starters:
        _starters.append(_thread.start_new_thread(_start_requested, ()))  # an interrupt in between makes two: no harm


def _start_requested() -> None:
    with contextlib.suppress(Exception):  # an old run that cannot be removed is no reason to start no new one
        folders.clean_up()
    while True:
        live = _requests.get()
        try:
            threading.Thread(target=live._conduct, daemon=True, name="labkit-run").start()  # noqa: SLF001
        except RuntimeError:  # the kernel can have no more threads: then the runs wait for each other
            live._conduct()  # noqa: SLF001


os.register_at_fork(after_in_child=_starters.clear)


def _task(live: LiveRun) -> dict[str, Any]:
    trial = live.trial
    return {
        "workload": trial.workload,
        "params": dict(trial.params),
        "source": [list(part) for part in trial.source],
        "folder": live.folder,
        "watch": live.watch,
        "limits": dataclasses.asdict(live.limits),
    }
