"""Remove what a run left: shared names, files, and processes if its keeper is gone. Rule: standard library only."""

from __future__ import annotations

import os
import time

from labkit.child import processes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LEDGER",
    "mapped_names",
    "note_shared_names",
    "remove_folder",
    "remove_names",
    "shared_names",
    "sweep",
    "tag",
]

LEDGER = "names"  # file in the run's folder: every segment is written there before it is made
_BEFORE = "names-before"  # file in the run's folder: what was in shared memory before the worker began
_SHARED = "/dev/shm"  # noqa: S108 - where Linux shows POSIX shared memory; nothing is made there
_TRACKER_GRACE_S = 1.0  # resource trackers get this long to unlink their names themselves


def tag(run_id: str) -> str:
    """Prefix of all shared names of a run; short, since macOS cuts names at 31 characters and Python at 14."""
    return f"lk{run_id}"


def shared_names() -> set[str]:
    """List the names in shared memory, where the system shows them."""
    try:
        return set(os.listdir(_SHARED))
    except OSError:
        return set()


def note_shared_names(folder: str) -> None:
    """Write down what is in shared memory before a run begins, so that nobody else's segment is taken for the run's."""
    with open(os.path.join(folder, _BEFORE), "w") as file:
        file.write("".join(f"{name}\n" for name in shared_names()))


def mapped_names(pids: Iterable[int], folder: str) -> set[str]:
    """Find segments that these processes map and that are new: those made from C, or by a spawned child."""
    try:
        with open(os.path.join(folder, _BEFORE)) as file:
            before = set(file.read().splitlines())
    except OSError:
        return set()  # without it, a segment of somebody else could be taken for the run's
    found = set()
    for pid in pids:
        try:
            with open(f"/proc/{pid}/maps", errors="replace") as file:
                lines = [line for line in file if f"{_SHARED}/" in line and "(deleted)" not in line]
        except OSError:
            continue
        found |= {line.split(f"{_SHARED}/", 1)[1].strip() for line in lines}
    return {name for name in found - before if "/" not in name}


def remove_names(run_id: str, folder: str, mapped: Iterable[str] = ()) -> tuple[list[str], list[str]]:
    """Unlink every shared name of a run: by prefix, by its ledger and by what its processes mapped.

    Returns:
        The names that were removed, and those that could not be.
    """
    wanted = set(mapped)
    wanted |= {name for name in shared_names() if name.startswith((tag(run_id), f"sem.{tag(run_id)}"))}
    try:
        with open(os.path.join(folder, LEDGER), errors="replace") as file:
            wanted |= {line.strip().lstrip("/") for line in file if line.strip()}
    except OSError:
        pass
    removed, left = [], []
    for name in sorted(wanted):
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


def remove_folder(folder: str) -> bool:
    """Delete a run's private folder, whatever modes the experiment gave its parts. Return True if it is gone."""
    for root, folders, _ in os.walk(folder):  # from the top, so that each folder can be entered before its turn
        for name in folders:
            path = os.path.join(root, name)
            if not os.path.islink(path):
                _try(os.chmod, path, 0o700)
    for root, folders, files in os.walk(folder, topdown=False):
        for name in files:
            _try(os.unlink, os.path.join(root, name))
        for name in folders:
            path = os.path.join(root, name)
            _try(os.unlink if os.path.islink(path) else os.rmdir, path)
    _try(os.rmdir, folder)
    return not os.path.lexists(folder)


def _try(action: object, *arguments: object) -> None:
    try:
        action(*arguments)  # type: ignore[operator]
    except OSError:
        pass  # `remove_folder` looks at the end whether the folder is gone


def sweep(
    run_id: str, folder: str, known: Iterable[tuple[int, int]] = (), limit_s: float = 3.0
) -> tuple[list[str], list[str]]:
    """End and remove everything of a run whose keeper is gone, from the kernel or from the next start.

    Args:
        run_id: The run's cookie.
        folder: The run's private folder.
        known: Pid and start time of processes that the keeper had reported: also those that wiped their environment.
        limit_s: Time to try before what is left is reported as left.

    Returns:
        ``"pid name"`` of the processes that were ended, and the names that were removed.
    """
    began, empty_looks = time.monotonic(), 0
    ended: dict[int, str] = {}
    mapped: set[str] = set()
    while empty_looks < 2 and time.monotonic() < began + limit_s:  # noqa: PLR2004 - one may be forking as we look
        found = processes.with_cookie(run_id)
        for pid, start in known:
            process = processes.read(pid)
            if process and process.start == start and process.state != "Z":
                found[pid] = process
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
