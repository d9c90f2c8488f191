"""What a test can leave behind, counted: processes, shared memory, folders, threads, descriptors.

`Snapshot.take()` before, `left_since(before)` after. Only this process and its descendants are looked at,
except in /dev/shm, which all processes of a machine share: what another test process has there for the moment is no
leak, so each says in a folder that they share whether a test is running (`say`), and waits for the others' tests to end
before it calls a name there left behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

BESIDE = "LABKIT_TESTS_BESIDE"  # names the folder in which test processes side by side say what they do
OTHERS_S = 100.0  # no test takes longer
GRACE_S = 2.0  # a thread's last lines and a kernel's shutdown take time; what is there after this was left
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SHARED_MEMORY = Path("/dev/shm")
IN_SHARED_MEMORY = "shared memory "
DESCRIPTORS = Path("/proc/self/fd") if Path("/proc/self/fd").exists() else Path("/dev/fd")

# Chromium's own files there come and go while a browser that lives longer than one test is open.
FOREIGN_SHARED_MEMORY = (".org.chromium.", ".com.google.Chrome.")
# A browser starts and ends helpers when it likes; those of one that was open before the test are not the test's.
LONG_LIVED_PARENTS = ("chromium", "chrome", "chrome_crashpad_handler")
# Playwright's event loop keeps the thread that writes its files until the browser is closed.
LOOP_THREADS = "asyncio_"
# Opened once and kept by a library, in whatever test happens to need it first: randomness, and matplotlib's fonts.
KEPT_DESCRIPTORS = ("/dev/urandom", "/dev/random", "anon_inode:[getrandom]", ".ttf")


def adopt_orphans(*, on: bool = True) -> None:
    """Become the parent of descendants whose parent ends: a kernel's stray children stay in sight (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


@dataclass(frozen=True)
class Snapshot:
    """What exists at one moment; a value names the thing for a reader."""

    processes: dict[psutil.Process, str] = field(default_factory=dict)
    shared_memory: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    threads: frozenset[threading.Thread] = frozenset()
    descriptors: dict[int, str] = field(default_factory=dict)

    @classmethod
    def take(cls) -> Snapshot:
        return cls(
            processes={child: describe(child) for child in psutil.Process().children(recursive=True)},
            shared_memory=frozenset(names(SHARED_MEMORY)),
            folders=frozenset(name for name in names(Path(tempfile.gettempdir())) if name.startswith("labkit-")),
            threads=frozenset(
                thread
                for thread in threading.enumerate()
                if not thread.daemon and not thread.name.startswith(LOOP_THREADS)
            ),
            descriptors=descriptors(),
        )

    def left_since(self, before: Snapshot) -> list[str]:
        """List what is here and was not there before, one line each."""
        new_descriptors = [
            f"descriptor {number} ({target})"
            for number, target in self.descriptors.items()
            if before.descriptors.get(number) != target and not target.endswith(KEPT_DESCRIPTORS)
        ]
        # A number that was closed and opened again is no leak by itself: there must also be more of them than before.
        if len(self.descriptors) <= len(before.descriptors):
            new_descriptors = []
        return [
            *(f"process {text}" for process, text in self.processes.items() if is_new(process, before)),
            *(
                f"{IN_SHARED_MEMORY}{SHARED_MEMORY / name}"
                for name in self.shared_memory - before.shared_memory
                if not name.startswith(FOREIGN_SHARED_MEMORY)
            ),
            *(f"folder {name} in {tempfile.gettempdir()}" for name in self.folders - before.folders),
            *(f"thread {thread.name}" for thread in self.threads - before.threads),
            *new_descriptors,
        ]


def say(folder: Path | None, *, running: bool) -> None:
    """Tell the other test processes that a test of this one begins or has ended: its end makes a new number."""
    if folder:
        mine = folder / str(os.getpid())
        new = mine.with_suffix(".new")
        new.write_text(f"running {time.monotonic_ns()}" if running else "")
        new.replace(mine)


def left_since(before: Snapshot, others: Path | None = None) -> list[str]:
    """Look until nothing is left, or the grace is over and the tests that ran beside this one have ended.

    Args:
        before: What there was before.
        others: The folder in which test processes `say` what they do; None if there is one only.

    Returns:
        What is left then, a line each.
    """
    left = _left_after_grace(before)
    if others and any(line.startswith(IN_SHARED_MEMORY) for line in left):
        _wait_for(others)
        later = set(_left_after_grace(before))
        left = [line for line in left if line in later or not line.startswith(IN_SHARED_MEMORY)]
    return left


def _wait_for(others: Path) -> None:
    """Wait until each test that another process runs now has ended."""
    told = {path: said for path in others.iterdir() if path.suffix == "" and (said := _said(path))}
    told.pop(others / str(os.getpid()), None)
    deadline = time.monotonic() + OTHERS_S
    while any(_said(path) == said for path, said in told.items()) and time.monotonic() < deadline:
        time.sleep(0.05)


def _said(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""  # it has ended


def _left_after_grace(before: Snapshot) -> list[str]:
    deadline = time.monotonic() + GRACE_S
    pause_s = 0.005
    while left := Snapshot.take().left_since(before):
        if time.monotonic() > deadline:
            return left
        if time.monotonic() > deadline - GRACE_S * 0.75:  # its own parent had the first quarter to wait for it
            bury_adopted_zombies(before)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.1)
    return []


def end(before: Snapshot) -> None:
    """Kill the processes that appeared since, so that one leak fails one test and not all after it."""
    for process in psutil.Process().children(recursive=True):
        if is_new(process, before):
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(GRACE_S)


def is_new(process: psutil.Process, before: Snapshot) -> bool:
    if process in before.processes:
        return False
    try:
        return not any(
            parent in before.processes and parent.name().startswith(LONG_LIVED_PARENTS) for parent in process.parents()
        )
    except psutil.Error:
        return False  # it has just ended


def bury_adopted_zombies(before: Snapshot) -> None:
    """Wait for dead children that `adopt_orphans` brought here: init would have done it.

    This hides no zombie of our own: a Popen that nobody waited for warns when it is collected, and warnings are
    errors here.
    """
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ChildProcessError):
            if child not in before.processes and child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)


def describe(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.status()}: {' '.join(process.cmdline()) or process.name()}"[:300]
    except psutil.Error:
        return f"{process.pid}, which has just ended"


def descriptors() -> dict[int, str]:
    """Return what every open descriptor of this process points to."""
    found = {}
    for name in names(DESCRIPTORS):
        with contextlib.suppress(OSError, ValueError):  # the one that lists the folder is closed by now
            found[int(name)] = os.readlink(DESCRIPTORS / name) if sys.platform == "linux" else "open"
    return found


def names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
