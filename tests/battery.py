"""The battery: each fault with the ending it must have, and what must be left after it, which is nothing.

Standard library only: `python battery.py --json` runs the table as any user, on any Python from 3.11 on. Every row also
demands that the kernel (this process) was never held up, that the next run is right, and that nothing of the run is
left: processes, shared names, folders, descriptors, threads.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]

import faults  # noqa: E402

from labkit.child import processes  # noqa: E402
from labkit.model import Ending, Limits  # noqa: E402
from labkit.runs import supervise  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from labkit.model import Run

MIB = 1 << 20
STALL_S = 3.0  # more than a busy machine makes any thread wait, and far less than the longer deadlines
GRACE_S = 3.0  # init buries adopted dead when it likes; what is there after this was left
SHARED_MEMORY = "/dev/shm"
DEADLINE_S = 1.0
LONG_S = 15.0


class Row(NamedTuple):
    """One fault, with what must be said of it."""

    name: str
    workload: Callable[..., object]
    ending: Ending | tuple[Ending, ...]
    words: tuple[str, ...] = ()
    params: dict[str, Any] = {}  # noqa: RUF012 - never changed
    limits: dict[str, Any] = {}  # noqa: RUF012
    deadline_s: float = DEADLINE_S
    most_s: float = 12.0  # beyond the deadline: no figure, only far less than for ever, on any machine


LATE, DIED, RAISED, DONE = Ending.TIMED_OUT, Ending.KILLED, Ending.RAISED, Ending.FINISHED
LONG = {"deadline_s": LONG_S}
ROWS = (
    Row("AB/BA deadlock", faults.deadlock, LATE, ("deadline of 1 s", "in left", "in right")),
    Row("endless Python loop", faults.python_loop, LATE, ("in python_loop",)),
    Row("GIL held by C calls", faults.gil_held, LATE, ("in gil_held",)),
    Row("one endless C call", faults.c_call, LATE, ("in c_call",)),
    Row("segfault", faults.segfault, DIED, ("SIGSEGV", "in segfault"), **LONG),
    Row("abort", faults.abort, DIED, ("SIGABRT", "in abort"), **LONG),
    Row("os._exit", faults.exit_at_once, Ending.EXITED, ("exit code 42",), **LONG),
    Row("os._exit(0)", faults.exit_with_zero, Ending.EXITED, ("exit code 0",), **LONG),
    Row("sys.exit", faults.sys_exit, Ending.EXITED, ("exit code 3",), **LONG),
    Row("exception", faults.raises, RAISED, ("ZeroDivisionError", "in raises"), **LONG),
    Row("machine lacks something", faults.not_here, Ending.UNAVAILABLE, ("has no moon",), **LONG),
    Row("hostile exception", faults.hostile_exception, RAISED, ("Hostile",), **LONG),
    *(
        Row(f"result that is no data: {kind}", faults.no_plain_data, RAISED, (word,), {"kind": kind}, **LONG)
        for kind, word in (
            ("lock", "not JSON serializable"),
            ("set", "not JSON serializable"),
            ("bytes", "not JSON serializable"),
            ("nan", "not JSON compliant"),
            ("long", "4300"),
            ("nested", "RecursionError"),
            ("sly", "LookupError: sly"),
            ("sly interrupt", "KeyboardInterrupt"),
            ("large", "at most 1 MiB"),
        )
    ),
    Row(
        "leak to the cap",
        faults.leak,
        Ending.OVER_MEMORY,
        ("more memory", "MiB"),
        limits={"memory_bytes": 200 * MIB},
        **LONG,
    ),
    Row("MemoryError", faults.memory_error, RAISED, ("MemoryError",), **LONG),
    Row(
        "endless recursion",
        faults.recursion,
        (DIED, RAISED, Ending.OVER_MEMORY),
        limits={"memory_bytes": 300 * MIB},
        **LONG,
    ),
    Row("both copies of a fork return", faults.comes_back_twice, DONE, ("False",), **LONG),
    Row("a forked copy raises", faults.raises_in_a_fork, DONE, ("in the copy",), **LONG),
    Row("fork bomb", faults.fork_bomb, Ending.OVER_PROCESSES, ("more processes", "at once"), **LONG),
    Row("fork bomb with setsid", faults.fork_bomb, Ending.OVER_PROCESSES, ("at once",), {"setsid": True}, **LONG),
    Row(
        "fork bomb, no cap",
        faults.fork_bomb,
        LATE,
        params={"setsid": True},
        limits={"processes_count": 1000},
        most_s=40.0,  # 4 bombs of 1,000 processes at once: the machine is busy with ending them
    ),
    Row("deaf to signals", faults.deaf, LATE),
    Row("daemon, environment kept", faults.daemon, DONE, **LONG),
    Row("daemon, environment wiped", faults.daemon, DONE, params={"keep_environment": False}, **LONG),
    Row("daemon and a hang", faults.daemon, LATE, params={"keep_environment": False, "then": "hang"}),
    Row("1 GiB of output", faults.flood, Ending.OVER_OUTPUT, ("bytes printed",), **LONG),
    Row("1 GiB of output, allowed", faults.flood, DONE, limits={"output_bytes": 2048 * MIB}, deadline_s=30.0),
    Row("flood of events", faults.event_flood, DONE, **LONG),
    Row("garbage on every descriptor", faults.garbage, (DONE, Ending.EXITED, RAISED), **LONG),
    Row("256 threads", faults.many_threads, LATE),
    Row("all descriptors", faults.all_descriptors, DONE, **LONG),
    Row("20,000 files, shut and deep folders", faults.many_files, DONE, **LONG),
    Row("file over its limit", faults.large_file, RAISED, ("File too large",), limits={"file_bytes": 8 * MIB}, **LONG),
    Row("segments and a hang", faults.segments, LATE),
    Row("segments and SIGKILL", faults.segments, DIED, ("SIGKILL",), {"then": "kill"}, **LONG),
    Row("segments, tracker killed", faults.segments, Ending.EXITED, ("code 7",), {"then": "tracker killed"}, **LONG),
    Row("segments of its own name", faults.segments, DIED, ("SIGKILL",), {"then": "own name"}, **LONG),
    Row(
        "segments of grandchildren",
        faults.segments_of_grandchildren,
        LATE,
        words=("psm_",),
        deadline_s=2.0,
    ),
    Row("the same and SIGKILL", faults.segments_of_grandchildren, DIED, ("psm_",), {"then": "kill"}, **LONG),
    Row(
        "the same, keeper killed",
        faults.segments_of_grandchildren,
        Ending.LOST,
        words=("psm_",),
        params={"then": "kill keeper"},
        **LONG,
    ),
    Row("segment from C and a hang", faults.segment_from_c, LATE),
    Row("segment from C and an exit", faults.segment_from_c, Ending.EXITED, params={"then": "exit"}, **LONG),
    Row("kills its keeper", faults.signals_its_keeper, Ending.LOST, ("ended without a report",), **LONG),
    Row("ends its keeper", faults.signals_its_keeper, Ending.LOST, ("SIGTERM",), {"number": 15}, **LONG),
    Row(
        "stops its keeper", faults.signals_its_keeper, Ending.LOST, params={"number": int(signal.SIGSTOP)}, most_s=20.0
    ),
    Row("interrupts its keeper", faults.signals_its_keeper, LATE, params={"number": 2}),
    Row("children at exit", faults.children_at_exit, Ending.LINGERED, limits={"linger_s": 0.5}, **LONG),
    Row("atexit hang", faults.hang_at_exit, Ending.LINGERED, limits={"linger_s": 0.5}, **LONG),
    Row("fork with a held lock", faults.fork_with_a_held_lock, LATE, ("in fork_with_a_held_lock",)),
    Row("stops itself", faults.stops_itself, LATE),
    Row("60 zombies", faults.zombies, DONE, **LONG),
    Row("new sessions, then SIGSEGV", faults.new_sessions, DIED, ("SIGSEGV",), **LONG),
    Row("forgotten server", faults.forgotten_server, LATE),
    Row("reads stdin", faults.reads_stdin, RAISED, ("EOFError",), **LONG),
    Row("closes stdout", faults.closes_stdout, RAISED, ("Bad file descriptor",), **LONG),
)


class Heartbeat:
    """A thread of the kernel that notes the longest time for which it did not get to run."""

    def __init__(self) -> None:
        self.longest_s, self._stop = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat")

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._stop.wait(0.02):
            now = time.monotonic()
            self.longest_s, last = max(self.longest_s, now - last), now


@dataclass
class World:
    """What exists before a run, and so may exist after it."""

    mine: set[tuple[int, int]] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    descriptors_count: int = 0
    threads: set[threading.Thread] = field(default_factory=set)

    @classmethod
    def now(cls) -> World:
        return cls(
            {(p.pid, p.start) for p in _everybody().values()},
            _own_names(),
            _folders(),
            len(os.listdir("/proc/self/fd")),
            {thread for thread in threading.enumerate() if not isinstance(thread, threading._DummyThread)},
        )

    def left(self) -> list[str]:
        """List what has come since and does not go."""
        began = time.monotonic()
        while (found := self._new()) and time.monotonic() < began + GRACE_S:
            if time.monotonic() > began + GRACE_S / 4:  # its own parent had this long to wait for it
                self._bury_adopted()
            time.sleep(0.02)
        return found

    def _bury_adopted(self) -> None:
        """Wait for dead orphans, as init would: pytest's process adopts them (see leftovers.py)."""
        for process in _everybody().values():
            if process.state == "Z" and (process.pid, process.start) not in self.mine:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(process.pid, os.WNOHANG)

    def _new(self) -> list[str]:
        now = World.now()
        new = [p for p in _everybody().values() if (p.pid, p.start) not in self.mine]
        extra = now.descriptors_count - self.descriptors_count
        return [
            *(f"process {p.pid} {p.name} {p.state}" for p in new),
            *(f"shared name {name}" for name in sorted(now.names - self.names)),
            *(f"folder {name}" for name in sorted(now.folders - self.folders)),
            *(f"thread {thread.name}" for thread in now.threads - self.threads),
            *([f"{extra} descriptors"] if extra > 0 else []),
        ]


def _everybody() -> dict[int, Any]:
    """Find the processes that could be a run's: descendants, those with its cookie, and all of an unprivileged user."""
    me = os.getpid()
    found = {p.pid: p for p in processes.every().values() if p.parent == me}
    found.update(processes.tree(me))
    for pid, _ in _cookies(ours=True):
        process = processes.read(pid)
        if process and process.state != "Z":
            found[pid] = process
    if os.getuid() != 0:
        owned = [p for p in processes.every().values() if p.state != "Z" and _owner(f"/proc/{p.pid}") == os.getuid()]
        found.update({process.pid: process for process in owned if process.pid != me})
    return found


def _cookies(*, ours: bool) -> Iterator[tuple[int, str]]:
    """Find the processes with a run's cookie. Another session beside this one has another temporary folder."""
    here = f"\0TMPDIR={tempfile.gettempdir()}/".encode()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            environment = b"\0" + Path(f"/proc/{name}/environ").read_bytes()
            _, found, rest = environment.partition(f"\0{processes.COOKIE}=".encode())
            if found and ours == (here in environment or b"\0TMPDIR=" not in environment):
                yield int(name), rest.partition(b"\0")[0].decode()


def _own_names() -> set[str]:
    foreign = tuple({f"{kind}lk{run_id}" for _, run_id in _cookies(ours=False) for kind in ("", "sem.", "mine_", "c_")})
    found = {name for name in os.listdir(SHARED_MEMORY) if _owner(os.path.join(SHARED_MEMORY, name)) == os.getuid()}
    return {name for name in found if not name.startswith((".org.chromium", *foreign))}


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


def _folders() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("labkit-")}


def run_row(row: Row, python: str | None = None) -> tuple[Run, list[str]]:
    """Run one row. Return its run, and what is wrong with it."""
    began = time.monotonic()
    run = supervise.run(
        row.workload, deadline_s=row.deadline_s, python=python, limits=Limits(**row.limits), **row.params
    )
    took_s = time.monotonic() - began
    endings = row.ending if isinstance(row.ending, tuple) else (row.ending,)
    said = "\n".join(
        (run.explain(), run.reason, run.error, run.stacks, run.output, repr(dict(run.result)), repr(run.events[:5]))
    )
    wrong = (
        [] if run.ending in endings else [f"ended as {run.ending}: {run.explain()}; {run.reason}; {run.error[-300:]}"]
    )
    wrong += [f"does not say {word!r}: {said[:3000]}" for word in row.words if word not in said]
    if not run.receipt.clean:
        wrong.append(f"left by its own word: {run.receipt}")
    if took_s > row.deadline_s + row.most_s:
        wrong.append(f"took {took_s:.1f} s")
    return run, wrong


def run_rows(rows: Iterable[Row], pythons: Iterable[str | None] = (None,), at_once: int = 1) -> list[dict[str, Any]]:
    """Run rows on interpreters, ``at_once`` at the same time; look after each such bundle what is left.

    Returns:
        One dict for each row and interpreter: fault, python, ending, wrong (a list of sentences), left (likewise).
    """
    todo = [(row, python) for row in rows for python in pythons]
    supervise.run(faults.fine)  # so that what is made once and kept is there before we look
    results = []
    with ThreadPoolExecutor(at_once) as pool:
        together = threading.Barrier(at_once)
        list(pool.map(lambda _: together.wait(), range(at_once)))  # all its threads exist
        for start in range(0, len(todo), at_once):
            bundle = todo[start : start + at_once]
            before = World.now()
            with Heartbeat() as heart:
                ran = list(pool.map(lambda item: run_row(*item), bundle))
                after = supervise.run(faults.fine, times=2)
            left = before.left()
            for (row, python), (run, wrong) in zip(bundle, ran, strict=True):
                if dict(after.result) != {"times": 2} or len(after.events) != 2:
                    wrong.append(f"the next run was wrong: {after.explain()} {after.reason}")
                if heart.longest_s > STALL_S:
                    wrong.append(f"the kernel was held up for {heart.longest_s:.1f} s")
                said = {"fault": row.name, "python": run.python or python or "", "ending": run.ending.name}
                results.append({**said, "wrong": wrong, "left": left, "took_s": run.lifetime_s})
    return results


def main() -> int:
    """Run the table here, and print it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON line per row")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="labtests-")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    try:
        results = run_rows([row for row in ROWS if options.only in row.name], at_once=options.at_once)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for result in results:
        good = not result["wrong"] and not result["left"]
        line = f"{'ok ' if good else 'BAD'} {result['took_s']:5.1f} s  {result['fault']}: {result['ending']}"
        print(
            json.dumps(result) if options.json else f"{line} {result['wrong'] or ''} {result['left'] or ''}", flush=True
        )
    return any(result["wrong"] or result["left"] for result in results)


if __name__ == "__main__":
    sys.exit(main())
