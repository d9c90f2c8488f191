"""Find and end processes, by identity and never by name. Rule: standard library only; used by keeper and kernel alike.

On Linux everything is read from ``/proc``; elsewhere from one call of ``ps``.
"""

from __future__ import annotations

import os
import signal
import time
from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["COOKIE", "Process", "boot", "every", "is_tracker", "kill", "pss_bytes", "read", "tree", "with_cookie"]

COOKIE = "LABKIT_RUN"  # environment variable that names the run in each of its processes
LINUX = os.path.isdir("/proc/self/task")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

# One row of the process table; `start` tells two processes apart that had the same pid. (namedtuple, since typing
# would double the start-up time of the keeper.)
Process = namedtuple("Process", "pid parent group state threads_count start rss_bytes name")  # noqa: PYI024


def read(pid: int) -> Process | None:
    """Look at one process; None if it is gone."""
    if not LINUX:
        return every().get(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    end = text.rindex(b")")  # the name may hold anything, brackets included
    name = text[text.index(b"(") + 1 : end].decode("utf-8", "replace")
    part = text[end + 2 :].split()
    rss_bytes = int(part[21]) * _PAGE_BYTES
    return Process(pid, int(part[1]), int(part[2]), chr(part[0][0]), int(part[17]), int(part[19]), rss_bytes, name)


def boot() -> str:
    """Name this start of the machine: pids and start times mean nothing after the next."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return "?"


def every() -> dict[int, Process]:
    """Look at every process of the machine, by pid."""
    if not LINUX:
        return _from_ps()
    found = (read(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {process.pid: process for process in found if process}


def tree(root: int) -> dict[int, Process]:
    """Look at every descendant of a process that is not a zombie, by pid. Costs nothing for the rest of the machine."""
    found: dict[int, Process] = {}
    table = None if _has_children_files() else every()
    todo = [root]
    while todo:
        parent = todo.pop()
        for pid in _children(parent) if table is None else [p.pid for p in table.values() if p.parent == parent]:
            process = read(pid) if table is None else table[pid]
            if process and pid not in found:
                found[pid] = process
                todo.append(pid)
    return {pid: process for pid, process in found.items() if process.state != "Z"}


def with_cookie(run_id: str) -> dict[int, Process]:
    """Find the processes that carry a run's cookie in their environment: also daemons that left its tree."""
    wanted, me = f"{COOKIE}={run_id}".encode(), os.getpid()
    if not LINUX:
        listing = _output(["ps", "-axwwE", "-o", "pid=,command="])
        pids = {int(line.split()[0]) for line in listing.splitlines() if wanted.decode() in line}
        return {pid: process for pid, process in every().items() if pid in pids and pid != me}
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == me:
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                hit = wanted in file.read().split(b"\0")
        except OSError:
            continue  # gone, or another user's
        process = read(int(name)) if hit else None
        if process and process.state != "Z":
            found[process.pid] = process
    return found


def kill(processes: Iterable[Process]) -> None:
    """Send SIGKILL to exactly these processes: a recycled pid has another start time, and is left alone."""
    for process in processes:
        try:
            if not hasattr(os, "pidfd_open"):
                os.kill(process.pid, signal.SIGKILL)
                continue
            descriptor = os.pidfd_open(process.pid)  # pins the identity before it is compared
            try:
                now = read(process.pid)
                if now and now.start == process.start:
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            finally:
                os.close(descriptor)
        except OSError:
            pass  # already gone, or not ours to end: the caller looks again and reports it


def pss_bytes(process: Process) -> int:
    """Memory of a process in which a page shared by n processes counts 1/n; its RSS where the system has no PSS."""
    try:
        with open(f"/proc/{process.pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0 if LINUX else int(process.rss_bytes)


def is_tracker(pid: int) -> bool:
    """Say whether this is multiprocessing's resource tracker, which unlinks names when its clients are gone."""
    if not LINUX:
        return "resource_tracker" in _output(["ps", "-o", "command=", "-p", str(pid)])
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"multiprocessing.resource_tracker" in file.read()
    except OSError:
        return False


def _has_children_files() -> bool:
    return os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children")


def _children(pid: int) -> list[int]:
    """Children of every thread of a process, from the kernel's own lists."""
    pids: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return pids  # it has ended while we looked
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                pids += map(int, file.read().split())
        except OSError:  # noqa: PERF203 - each thread stands for itself
            pass  # this thread has, and its children are another's
    return pids


def _from_ps() -> dict[int, Process]:
    table = {}
    for line in _output(["ps", "-axo", "pid=,ppid=,pgid=,state=,rss=,lstart=,comm="]).splitlines():
        pid, parent, group, state, rss_kib, *started, name = line.split(None, 10)
        start = int(time.mktime(time.strptime(" ".join(started), "%a %b %d %H:%M:%S %Y")))
        table[int(pid)] = Process(int(pid), int(parent), int(group), state[0], 1, start, int(rss_kib) * 1024, name)
    return table


def _output(command: list[str]) -> str:
    import subprocess  # not needed on Linux, and half of the keeper's start-up time

    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
