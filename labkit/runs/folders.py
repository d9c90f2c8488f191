"""Where a run's private folder is, and the janitor that removes those of runs that nobody keeps any more.

The folder itself is made, locked and removed by the run's keeper: see `labkit.child.launch`.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
import tempfile

from labkit.child import leftovers
from labkit.child.launch import take_lock

__all__ = ["clean_up", "name_one"]

_NAME = re.compile(r"labkit-([0-9a-f]{6})")


def name_one() -> tuple[str, str]:
    """Choose a run's id (6 hex digits that nobody can foresee) and the path of its folder. Nothing is made."""
    run_id = secrets.token_hex(3)
    return run_id, os.path.join(tempfile.gettempdir(), f"labkit-{run_id}")


def clean_up() -> list[str]:
    """End and remove what runs left whose kernel and keeper were both killed. Return the ids of those runs."""
    cleaned = []
    for name in os.listdir(tempfile.gettempdir()):
        match, folder = _NAME.fullmatch(name), os.path.join(tempfile.gettempdir(), name)
        if match and _is_ours(folder) and _clean_up_one(match[1], folder):
            cleaned.append(match[1])
    return cleaned


def _clean_up_one(run_id: str, folder: str) -> bool:
    with contextlib.suppress(OSError):
        os.chmod(folder, 0o700)  # else one that its run had shut could not be looked at
    lock = take_lock(folder)
    if lock is None:
        return False  # kept by a living run
    try:
        leftovers.sweep(run_id, folder)
    finally:
        os.close(lock)
    return True


def _is_ours(folder: str) -> bool:
    try:
        status = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
