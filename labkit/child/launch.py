"""Start a worker from its keeper: folder, pipes, limits, own session, fresh interpreter. Standard library only.

A folder belongs to a living run as long as the lock on it (flock) is held, whatever the wall clock says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import sys
import time
from collections import namedtuple

from labkit.child import ROOT, processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["BOOT", "ROOT", "Worker", "make_folder", "prctl_linux", "start", "take_lock"]

# How a bare interpreter finds labkit, and nothing else of the folder that labkit lies in.
BOOT = (
    "import sys; sys.path.insert(0, {root!r}); import labkit; del sys.path[0]; "
    "from labkit.child.{module} import main; main({args})"
)
_DEATH_SIGNAL = 1  # prctl(2): PR_SET_PDEATHSIG
_PIPE_BYTES = 1 << 20  # fewer wake-ups under a flood
_TRIES = 100
_CPU_S = 660  # on each core: more than the longest deadline; a spare does not know yet which one it will have

# Pid of the worker, and the keeper's ends of the three pipes. (namedtuple: typing would double the start-up time.)
Worker = namedtuple("Worker", "pid task events output")  # noqa: PYI024


def make_folder(folder: str) -> int:
    """Make a run's private folder (mode 0700). Return the descriptor that holds its lock."""
    for number in range(_TRIES):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if number == 0:
                raise  # it is somebody else's
        lock = take_lock(folder)
        if lock is not None:
            return lock
        time.sleep(0.01)  # a janitor came between these two lines: it takes the folder away
    raise FileNotFoundError(f"{folder} was taken away {_TRIES} times while it was made")


def take_lock(folder: str) -> int | None:
    """Take a folder's lock; None if somebody holds it, or took the folder away meanwhile."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(folder)):
            return lock
    except OSError:
        pass  # held, or gone
    os.close(lock)
    return None


def start(setup: dict[str, Any]) -> Worker:
    """Start the interpreter; it imports what it can and waits for the word on its task pipe.

    Args:
        setup: The kernel's first line: run_id, folder, python, preload, environment, limits.
    """
    folder = os.path.join(setup["folder"], "tmp")
    os.mkdir(folder, 0o700)
    os.symlink(os.path.join(ROOT, "labkit"), os.path.join(setup["folder"], "labkit"))
    events, worker_events = os.pipe()
    output, worker_output = os.pipe()
    worker_task, task = os.pipe()
    for descriptor in (events, output):
        os.set_blocking(descriptor, False)
        with contextlib.suppress(AttributeError, OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    keeper, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            _isolate(keeper, setup["limits"])
            os.chdir(folder)
            _place((worker_task, worker_events, worker_output))
            _become(setup, folder)
        except BaseException as error:  # noqa: BLE001 - the keeper reads this as the worker's last words
            os.write(2, f"{setup['python']}: {error}\n".encode())
        finally:
            os._exit(127)
    for descriptor in (worker_task, worker_events, worker_output):
        os.close(descriptor)
    return Worker(pid, task, events, output)


def prctl_linux(option: int, value: int) -> None:
    """Set a property of this process that only Linux has; elsewhere do nothing."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _isolate(keeper: int, limits: dict[str, Any]) -> None:
    os.setsid()
    prctl_linux(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != keeper:
        os._exit(0)  # the keeper died before the line above
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # if the machine runs out of memory, the experiment goes first
    wanted = {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits["file_bytes"],
        "RLIMIT_NOFILE": limits["open_files_count"],
        "RLIMIT_CPU": _CPU_S * (os.cpu_count() or 1),  # it burns no CPU for ever, even if everybody else is gone
    }
    for name, value in wanted.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS refuses some
            which = getattr(resource, name)
            hard = resource.getrlimit(which)[1]
            most = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(which, (most, most))


def _place(ends: tuple[int, int, int]) -> None:
    """Give the worker its descriptors: 0 nothing, 1 and 2 output, 3 events, 4 task; and no other."""
    task, events, output = (fcntl.fcntl(end, fcntl.F_DUPFD, 5) for end in ends)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2), (events, 3), (task, 4)):
        os.dup2(source, target, inheritable=True)
    os.closerange(5, 64)  # the rest closes itself at exec


def _become(setup: dict[str, Any], tmp: str) -> None:
    environment = {**setup["environment"], processes.COOKIE: setup["run_id"], "TMPDIR": tmp}
    code = BOOT.format(root=ROOT, module="entry", args=f"{setup['folder']!r}, {setup['preload']!r}")
    # -I: no PYTHON* variables, no user packages, no current folder in sys.path; -u: a crash loses no printed line
    os.execve(setup["python"], [setup["python"], "-I", "-u", "-c", code], environment)  # noqa: S606
