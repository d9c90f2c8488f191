"""One private folder per run, and the janitor that removes those of runs that nobody keeps any more.

A folder belongs to a living run as long as the lock on its ``lock`` file is held. The kernel takes the lock before
the keeper starts and the keeper inherits it, so there is no moment at which a folder that is being made looks
abandoned, whatever the wall clock says.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import tempfile

from labkit.child import leftovers

__all__ = ["clean_up", "make"]

_NAME = re.compile(r"labkit-([0-9a-f]{6})")
_TRIES = 100


def make() -> tuple[str, str, int]:
    """Make a private folder (mode 0700) with a name that nobody can foresee.

    Returns:
        The run's id (6 hex digits), the folder, and the descriptor that holds its lock.

    Raises:
        OSError: If the temporary folder cannot be written.
    """
    for _ in range(_TRIES):
        run_id = secrets.token_hex(3)
        folder = os.path.join(tempfile.gettempdir(), f"labkit-{run_id}")
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            continue
        lock = _lock(folder, create=True)
        if lock is not None:
            return run_id, folder, lock
    raise FileExistsError(f"no free name for a run's folder in {tempfile.gettempdir()} after {_TRIES} tries")


def clean_up() -> list[str]:
    """End and remove what runs left whose kernel and keeper were both killed. Return the ids of those runs."""
    cleaned = []
    for name in os.listdir(tempfile.gettempdir()):
        match, folder = _NAME.fullmatch(name), os.path.join(tempfile.gettempdir(), name)
        if not match or not _is_ours(folder):
            continue
        lock = _lock(folder, create=False)
        if lock is None:
            continue  # kept by a living run, or being made
        try:
            leftovers.sweep(match[1], folder)
            cleaned.append(match[1])
        finally:
            os.close(lock)
    return cleaned


def _is_ours(folder: str) -> bool:
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()


def _lock(folder: str, *, create: bool) -> int | None:
    """Take the folder's lock; None if somebody holds it, or took the folder away meanwhile."""
    path = os.path.join(folder, "lock")
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o600)
    except FileNotFoundError:
        if not create:
            _remove_empty(folder)  # its maker was killed between two lines; a living maker just tries again
        return None
    except OSError:
        if create:
            raise
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), os.stat(path)):
            return lock
    except OSError:
        pass
    os.close(lock)
    return None


def _remove_empty(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError:
        pass  # it holds something by now: its maker lives
