"""Remove what a run left: shared names, files, and processes if its keeper is gone. Rule: standard library only."""

from __future__ import annotations

import os
import time

from labkit.child import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "LEDGER",
    "mapped_names",
    "note_processes",
    "note_shared_names",
    "remove_folder",
    "remove_names",
    "shared_names",
    "sweep",
    "tag",
]

# Files in the run's folder.
LEDGER = "names"  # every segment is written there before it is made
_BEFORE = "names-before"  # what was in shared memory before the worker began
_KNOWN = "processes"  # what the keeper saw alive: the boot, then pid and start time of each

_SHARED = "/dev/shm"  # noqa: S108 - where Linux shows POSIX shared memory; nothing is made there
_TRACKER_GRACE_S = 1.0  # resource trackers get this long to unlink their names themselves
_REMOVE_S = 5.0  # for the files of one folder: about 500,000


def tag(run_id: str) -> str:
    """Prefix of all shared names of a run; short, since macOS cuts names at 31 characters and Python at 14."""
    return f"lk{run_id}"


def shared_names() -> set[str]:
    """List the names in shared memory, where the system shows them."""
    try:
        return set(os.listdir(_SHARED))
    except OSError:
        return set()


def note_shared_names(folder: str) -> set[str]:
    """Write down what is in shared memory before a run begins, so that nobody else's segment is taken for the run's."""
    before = shared_names()
    with open(os.path.join(folder, _BEFORE), "w") as file:
        file.write("".join(f"{name}\n" for name in before))
    return before


def note_processes(folder: str, found: Iterable[processes.Process]) -> None:
    """Write down who is alive: if the keeper is killed, those that wiped their environment are found by this list."""
    path = os.path.join(folder, _KNOWN)
    try:
        with open(f"{path}.new", "w") as file:
            file.write(processes.boot() + "".join(f"\n{p.pid} {p.start}" for p in found))
        os.replace(f"{path}.new", path)
    except OSError:
        pass  # a full disk, or the workload removed its folder: the cookie still finds most


def _known_processes(folder: str) -> dict[int, processes.Process]:
    lines = _lines(os.path.join(folder, _KNOWN))
    found = {}
    for line in lines[1:] if lines[:1] == [processes.boot()] else []:
        pid, _, start = line.partition(" ")
        process = processes.read(int(pid)) if pid.isdigit() else None
        if process and str(process.start) == start and process.state != "Z":
            found[process.pid] = process
    return found


def mapped_names(pids: Iterable[int], folder: str) -> set[str]:
    """Find segments that these processes map and that are new: those made from C, or by a spawned child."""
    found = set()
    for pid in pids:
        for line in _lines(f"/proc/{pid}/maps"):
            if f"{_SHARED}/" in line and "(deleted)" not in line:
                found.add(line.split(f"{_SHARED}/", 1)[1].strip())
    return {name for name in found if "/" not in name} - set(_lines(os.path.join(folder, _BEFORE)))


def remove_names(run_id: str, folder: str, mapped: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Unlink every shared name of a run: by prefix, by its ledger and by what its processes mapped.

    Returns:
        The names that were removed, and those that could not be.
    """
    wanted = set(mapped)
    for line in _lines(os.path.join(folder, LEDGER)):
        name = line.strip("+-/ ")
        (wanted.discard if line.startswith("-") else wanted.add)(name)
    wanted -= set(_lines(os.path.join(folder, _BEFORE)))  # its maker asked for a name that somebody else had
    wanted |= {name for name in shared_names() if name.startswith((tag(run_id), f"sem.{tag(run_id)}"))}
    removed, left = [], []
    for name in sorted(wanted - {""}):
        try:
            _unlink(name)
            removed.append(name)
        except FileNotFoundError:  # noqa: PERF203 - each name stands for itself
            pass  # its owner, or a resource tracker, was quicker
        except OSError:
            left.append(name)
    return removed, left


def _unlink(name: str) -> None:
    if os.path.isdir(_SHARED):
        os.unlink(os.path.join(_SHARED, os.path.basename(name)))
    else:
        import _posixshmem

        _posixshmem.shm_unlink(f"/{name}")


def remove_folder(folder: str, limit_s: float = _REMOVE_S) -> tuple[int, bool]:
    """Delete a run's private folder, whatever modes the experiment gave its parts, and however deep they are.

    Each folder inside is moved up to the first level when it is met, so that no path grows too long to be named.

    Returns:
        How many files its folders held, and True if all is gone.
    """
    until, files_count, moved_count = time.monotonic() + limit_s, 0, 0
    todo = [folder]
    while todo and time.monotonic() < until:
        here = todo.pop()
        _try(os.chmod, here, 0o700)
        for entry in _entries(here):
            if time.monotonic() > until:
                break
            if not entry.is_dir(follow_symlinks=False):
                files_count += here != folder
                _try(os.unlink, entry.path)
            elif here == folder:
                todo.append(entry.path)
            else:
                _try(os.chmod, entry.path, 0o700)  # moving a folder changes its '..'
                moved_count += 1
                up = os.path.join(folder, f"moved-{time.monotonic_ns()}-{moved_count}")
                _try(os.rename, entry.path, up)
                todo.append(up)
        if here != folder:
            _try(os.rmdir, here)
    _try(os.rmdir, folder)
    return files_count, not os.path.lexists(folder)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []


def _try(action: Callable[..., object], *arguments: object) -> None:
    try:
        action(*arguments)
    except OSError:
        pass  # `remove_folder` looks at the end whether the folder is gone


def _lines(path: str) -> list[str]:
    try:
        with open(path, errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []


def sweep(run_id: str, folder: str, limit_s: float = 3.0) -> tuple[list[str], list[str]]:
    """End and remove everything of a run whose keeper is gone, from the kernel or from the next start.

    Args:
        run_id: The run's cookie.
        folder: The run's private folder.
        limit_s: Time to try before what is left is left to the next start.

    Returns:
        ``"pid name"`` of the processes that were ended, and the names that were removed.
    """
    began, empty_looks = time.monotonic(), 0
    ended: dict[int, str] = {}
    mapped: set[str] = set()
    while empty_looks < 2 and time.monotonic() < began + limit_s:  # noqa: PLR2004 - one may be forking as we look
        found = {**processes.with_cookie(run_id), **_known_processes(folder)}
        for pid in [pid for pid in found if pid != os.getpid()]:
            found.update(processes.tree(pid))
        empty_looks = 0 if found else empty_looks + 1
        mapped |= mapped_names(found, folder)
        spare = time.monotonic() < began + _TRACKER_GRACE_S
        doomed = [p for p in found.values() if not (spare and processes.is_tracker(p.pid))]
        processes.kill(doomed)
        ended.update({p.pid: f"{p.pid} {p.name}" for p in doomed})
        time.sleep(0.01)
    removed, _ = remove_names(run_id, folder, mapped)
    remove_folder(folder)
    return list(ended.values()), removed
