"""The keeper: one small process per run, between the kernel and the worker. Rule: whatever happens, end the run.

It runs in a session of its own and is a child subreaper, so every descendant of the worker stays its descendant however
often it forks. It ends a run by killing its whole tree until ``waitpid`` says ECHILD: the proof that nothing is left.
It also makes and removes the run's folder, so there is no moment at which a killed kernel leaves one to nobody.

Kernel to keeper, JSON lines on a socket: a setup (folder, interpreter, limits), a task (what to run), then perhaps
``stop``; end-of-file means that the kernel is gone. Keeper to kernel, frames: length (4 bytes), kind (1 byte), payload:
``E`` an event line of the worker, as it came; ``H`` a heartbeat; ``Z`` the end, always the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time

from labkit.child import launch, leftovers, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource
    from collections.abc import Callable
    from typing import Any

__all__ = ["HEADER", "STACKS", "TASK", "main"]

HEADER = struct.Struct(">IB")
STACKS, TASK = "stacks", "task"  # files in the run's folder

_TICK_S = 0.1  # between two looks at the tree; each costs about 0.4 ms of CPU
_SPARE_S = 3600.0  # for a worker that was started ahead to get its task
_GRACE_S = 0.3  # for each of the two answers at a deadline
_KILL_S = 5.0  # for killing the tree
_TRACKER_S = 1.0  # for resource trackers to unlink names
_REMOVE_S = 10.0  # from the end of the run until its files are gone; the kernel hears nothing in between
_READ_BYTES = 1 << 20
_KEPT_BYTES = 32 << 10  # of the output: this much of its beginning, and of its end
_LINE_BYTES = 4 << 20  # longest record
_QUEUE_BYTES = 4 << 20  # events waiting for a slow kernel; more are dropped and counted
_SUBREAPER = 36  # prctl(2): PR_SET_CHILD_SUBREAPER
_ENDS = (b'["result"', b'["error"', b'["unavailable"')


def main() -> None:
    """Keep one run, from its setup to its end. The socket to the kernel is standard input: a low number, always."""
    keeper = Keeper(socket.socket(fileno=0))
    try:
        keeper.keep()
    except BaseException as error:  # noqa: BLE001 - a full disk or a bug must be an answer, never a silence
        keeper.give_up(f"{type(error).__name__}: {error}")
    os._exit(0)  # nothing may run after the end: the folder's lock is freed by the system, and only then


class Keeper:
    """The state of one run, as its keeper sees it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.kernel, self.linked = sock, os.getppid(), True
        self.inbox, self.outbox = bytearray(), bytearray()
        self.setup: dict[str, Any] = {}
        self.limits: dict[str, Any] = {}
        self.folder, self.run_id = "", ""
        self.lock: int | None = None  # held as long as this process lives
        self.worker, self.childless = 0, False
        self.status: int | None = None
        self.usage: resource.struct_rusage | None = None
        self.task_pipe = self.events = self.output = -1
        self.readable: list[int] = []
        self.partial, self.skipping, self.dropped_count = bytearray(), False, 0
        self.head, self.tail = bytearray(), bytearray()
        self.output_bytes = self.lines_count = self.events_bytes = 0
        self.seen: set[int] = set()
        self.names: set[str] = set()  # in shared memory at the last look
        self.mapped: set[str] = set()  # those that this run's processes were seen to map
        self.ending, self.reason = "", ""
        self.began = time.monotonic()
        self.end_at = self.next_tick = self.began + _SPARE_S  # a spare waits this long for its task
        self.running = self.said_begin = self.said_result = self.said_waits = False

    def keep(self) -> None:
        """Start the worker, watch it, end it, report."""
        self._catch_signals()
        self.setup = json.loads(self._line(wait=True))
        self.limits, self.folder, self.run_id = self.setup["limits"], self.setup["folder"], self.setup["run_id"]
        launch.prctl_linux(_SUBREAPER, 1)
        self.lock = launch.make_folder(self.folder)
        self.names = leftovers.note_shared_names(self.folder)
        self.worker, self.task_pipe, self.events, self.output = launch.start(self.setup)
        self.readable = [self.events, self.output]
        self.sock.setblocking(False)  # noqa: FBT003 - its only parameter
        self._obey()
        while not self.ending:
            self._watch()
        self._end()

    def give_up(self, error: str) -> None:
        """Report that the keeper itself failed, after ending what it had started."""
        with contextlib.suppress(Exception):
            self._kill_tree()
            if self.lock is not None:  # else the folder is not this run's
                leftovers.remove_names(self.run_id, self.folder, self.mapped)
                leftovers.remove_folder(self.folder)
        with contextlib.suppress(Exception):
            ending = "LOST" if self.running else "NOT_STARTED"
            self._push(b"Z", json.dumps({"ending": ending, "reason": error[:500]}).encode())
            self._flush_all()

    # ------------------------------------------------------------------------------------------------ start
    def _catch_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)  # handlers, since an ignored signal would stay ignored after exec
        signal.signal(signal.SIGTERM, self._told_to_end)
        self.wake, wake = os.pipe()
        for end in (self.wake, wake):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)  # a worker's death ends the wait at once

    def _told_to_end(self, *_: object) -> None:
        """Obey SIGTERM: a Jupyter kernel sends it to all its descendants when it is shut down, and waits for them."""
        if not self.ending:
            self.ending, self.reason = "LOST", "its keeper was told to end by SIGTERM; what it kept was removed"

    def _line(self, *, wait: bool) -> bytes:
        """Take the next line from the kernel; empty if there is none yet."""
        while wait and b"\n" not in self.inbox:
            data = self.sock.recv(_READ_BYTES)
            if not data:
                os._exit(0)  # the kernel went away before it asked for anything
            self.inbox += data
        if b"\n" not in self.inbox:
            return b""
        line, _, rest = bytes(self.inbox).partition(b"\n")
        self.inbox[:] = rest
        return line

    # ------------------------------------------------------------------------------------------------ watch
    def _obey(self) -> None:
        """Do what the kernel's lines say; a stop may come in the same packet as the task."""
        while line := self._line(wait=False):
            if line == b"stop":
                self.ending = "STOPPED"
            elif not self.running:
                self._hand_over(line)

    def _hand_over(self, task: bytes) -> None:
        self.limits = {**self.limits, **json.loads(task)["limits"]}
        with open(os.path.join(self.folder, TASK), "wb") as file:
            file.write(task)
        self.running, self.began = True, time.monotonic()
        self.end_at, self.next_tick = self.began + self.setup["start_s"], self.began + _TICK_S
        with contextlib.suppress(BrokenPipeError):  # the interpreter may have failed already: its exit is seen next
            os.write(self.task_pipe, b"g")

    def _watch(self) -> None:
        """Wait for something to happen, and take it in."""
        timeout = max(0.0, min(self.end_at, self.next_tick) - time.monotonic())
        wanted: list[Any] = [self.wake, *self.readable, *([self.sock] if self.linked else [])]
        ready, _, _ = select.select(wanted, [self.sock] if self.linked and self.outbox else [], [], timeout)
        if self.wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self.wake, 4096)
        for descriptor in [d for d in self.readable if d in ready]:
            self._drain(descriptor)
        if self.sock in ready:
            self._hear()
        self._reap()
        self._flush()
        self._judge()

    def _hear(self) -> None:
        try:
            data = self.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.inbox += data
        self.linked = bool(data)
        self._obey()

    def _judge(self) -> None:
        """Decide whether the run is over, and why."""
        now, limits = time.monotonic(), self.limits
        if not self.linked or os.getppid() != self.kernel:
            self.ending, self.linked = self.ending or "STOPPED", False
        elif self.ending:
            pass
        elif self.status is not None:
            self.ending = "EXITED"
        elif self.output_bytes > limits["output_bytes"] or self.events_bytes > limits["events_bytes"]:
            self.ending = "OVER_OUTPUT"
            self.reason = f"{self.output_bytes} bytes printed, {self.events_bytes} bytes of events"
        elif now >= self.end_at:
            self.ending = "LINGERED" if self.said_result else "TIMED_OUT" if self.said_begin else "NOT_STARTED"
            if not self.said_begin:
                self.reason = f"the workload had not begun {now - self.began:.0f} s after its interpreter was started"
        elif now >= self.next_tick:
            self.next_tick = now + _TICK_S
            self._look()

    def _look(self) -> None:
        tree = processes.tree(os.getpid())
        if tree.keys() - self.seen:
            self.seen |= tree.keys()
            leftovers.note_processes(self.folder, tree.values())
        names = leftovers.shared_names()
        if names - self.names:  # somebody made a segment: if it was made from C, only a map can say who
            self.mapped |= leftovers.mapped_names(tree, self.folder)
        self.names = names
        rss_bytes = sum(p.rss_bytes for p in tree.values())
        beat = {"processes_count": len(tree), "rss_bytes": rss_bytes, "lines_count": self.lines_count}
        beat["threads_count"] = sum(p.threads_count for p in tree.values())
        self._push(b"H", json.dumps(beat).encode())
        if len(tree) > self.limits["processes_count"]:
            self.ending, self.reason = "OVER_PROCESSES", f"{len(tree)} at once"
        elif rss_bytes > self.limits["memory_bytes"]:  # pages of forked children count several times: look again
            pss_bytes = sum(processes.pss_bytes(p) for p in tree.values())
            if pss_bytes > self.limits["memory_bytes"]:
                self.ending, self.reason = "OVER_MEMORY", f"{pss_bytes >> 20} MiB"

    def _drain(self, descriptor: int) -> bool:
        """Read what there is; return False at the end of the pipe, or if there is nothing now."""
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.readable.remove(descriptor)
        elif descriptor == self.output:
            self.output_bytes, self.lines_count = self.output_bytes + len(data), self.lines_count + data.count(b"\n")
            room = _KEPT_BYTES - len(self.head)
            self.head += data[:room]
            self.tail = (self.tail + data[max(room, 0) :])[-_KEPT_BYTES:]
        else:
            self.events_bytes += len(data)
            self._take_events(data)
        return bool(data)

    def _take_events(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self.partial += line
            if self.partial and not self.skipping:
                self._take_event(bytes(self.partial))
            self.partial, self.skipping = bytearray(), False
        self.partial += rest
        if len(self.partial) > _LINE_BYTES:
            self.partial, self.skipping = bytearray(), True
            self.dropped_count += 1

    def _take_event(self, line: bytes) -> None:
        if len(self.outbox) > _QUEUE_BYTES and line.startswith(b'["event"'):
            self.dropped_count += 1
            return
        self._push(b"E", line)
        if line.startswith(b'["begin"') and not self.said_begin:
            self.said_begin = True
            self.end_at = time.monotonic() + self.limits["deadline_s"]  # the deadline is for the workload alone
        elif line.startswith(b'["waits"'):
            self.said_waits = True
        elif line.startswith(_ENDS) and not self.said_result:
            self.said_result = True
            self.end_at = min(self.end_at, time.monotonic() + self.limits["linger_s"])

    def _reap(self) -> None:
        self.childless = False
        try:
            while True:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
                if pid == 0:
                    return
                if pid == self.worker:
                    self.status, self.usage = status, usage
        except ChildProcessError:
            self.childless = True

    # ------------------------------------------------------------------------------------------------ end
    def _end(self) -> None:
        ended_at = time.monotonic()
        if self.ending in ("TIMED_OUT", "LINGERED", "NOT_STARTED") and self.status is None:
            self._ask_threads()
        removed = self._kill_tree()
        for descriptor in list(self.readable):
            while time.monotonic() < ended_at + _KILL_S and self._drain(descriptor):
                pass
        stacks = self._stacks()
        left = [f"{p.pid} {p.name}" for p in processes.tree(os.getpid()).values()]
        names, names_left = leftovers.remove_names(self.run_id, self.folder, self.mapped)
        files_count, gone = leftovers.remove_folder(self.folder, ended_at + _REMOVE_S - time.monotonic())
        status, usage, started_count = self.status, self.usage, len({*self.seen, self.worker})
        report = {
            "ending": self.ending,
            "reason": self.reason,
            "exit_code": None if status is None else os.waitstatus_to_exitcode(status),
            "cpu_s": usage and usage.ru_utime + usage.ru_stime,
            "output": self._printed(),
            "stacks": stacks,
            "dropped_count": self.dropped_count,
            "receipt": [
                started_count,
                *(found[:50] for found in (removed, left, names, names_left)),
                files_count,
                not gone,
            ],
        }
        self._push(b"Z", json.dumps(report).encode())
        self._flush_all()

    def _ask_threads(self) -> None:
        """Ask the worker where its threads stand, and what they wait for.

        faulthandler answers the first signal even while C code holds the GIL; the second one needs the GIL. They are
        sent one after the other: while the main thread has one to handle, Linux gives the next to another thread.
        """
        stacks = os.path.join(self.folder, STACKS)
        if self._signal_until(signal.SIGUSR1, lambda: _size(stacks) > 0):
            self._signal_until(signal.SIGUSR2, lambda: self.said_waits)

    def _signal_until(self, number: signal.Signals, answered: Callable[[], bool]) -> bool:
        """Send the worker a signal, and read what it says until it has answered, is gone or is given up."""
        until = time.monotonic() + _GRACE_S
        with contextlib.suppress(OSError):
            os.kill(self.worker, number)
        while time.monotonic() < until and self.status is None and not answered():
            select.select(self.readable, [], [], 0.02)
            for descriptor in list(self.readable):
                self._drain(descriptor)
            self._reap()
        return answered()

    def _kill_tree(self) -> list[str]:
        """Kill every descendant until the system says that there is none. Return those found beside the worker."""
        began = time.monotonic()
        found: dict[int, str] = {}
        trackers: set[int] = set()
        self._reap()
        while not self.childless and time.monotonic() < began + _KILL_S:
            tree = processes.tree(os.getpid())
            found.update({p.pid: f"{p.pid} {p.name}" for p in tree.values() if p.pid != self.worker})
            if len(tree) <= 64:  # noqa: PLR2004 - a fork bomb is killed before it is searched
                self.mapped |= leftovers.mapped_names(tree, self.folder)
                trackers |= {pid for pid in tree if processes.is_tracker(pid)}
            spare = trackers & tree.keys() if time.monotonic() < began + _TRACKER_S else set()
            if not spare:
                for group in {p.group for p in tree.values()} - {os.getpgrp(), 0}:
                    with contextlib.suppress(OSError):
                        os.killpg(group, signal.SIGKILL)  # one call stops a whole group, fork bombs included
            processes.kill(p for p in tree.values() if p.pid not in spare)
            self._reap()
            time.sleep(0.002)
            self._reap()
        return [name for pid, name in found.items() if pid not in trackers]

    def _printed(self) -> str:
        cut = self.output_bytes - len(self.head) - len(self.tail)
        middle = f"\n... {cut} bytes left out ...\n".encode() if cut > 0 else b""
        return (bytes(self.head) + middle + bytes(self.tail)).decode("utf-8", "replace")

    def _stacks(self) -> str:
        with contextlib.suppress(OSError), open(os.path.join(self.folder, STACKS), "rb") as file:
            return file.read(_KEPT_BYTES).decode("utf-8", "replace")
        return ""

    # ------------------------------------------------------------------------------------------------ talk
    def _push(self, kind: bytes, payload: bytes) -> None:
        self.outbox += HEADER.pack(len(payload), kind[0]) + payload

    def _flush(self) -> None:
        try:
            while self.linked and self.outbox:
                del self.outbox[: self.sock.send(self.outbox[:_READ_BYTES])]
        except BlockingIOError:
            pass
        except OSError:
            self.linked = False

    def _flush_all(self) -> None:
        """Send all that waits, for as long as the kernel takes anything: several floods may keep it busy for long."""
        self.sock.setblocking(False)  # noqa: FBT003 - its only parameter
        waiting, until = len(self.outbox) + 1, 0.0
        while self.linked and self.outbox and (len(self.outbox) < waiting or time.monotonic() < until):
            if len(self.outbox) < waiting:
                waiting, until = len(self.outbox), time.monotonic() + _KILL_S
            select.select([], [self.sock], [], 0.1)
            self._flush()


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
