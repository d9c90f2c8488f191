"""Memory that threads or forked processes share. Rule: room is taken before anybody writes, and all is given back."""

from __future__ import annotations

import errno
import mmap
import os
from typing import TYPE_CHECKING, Any, cast

from labkit.errors import NotHere

if TYPE_CHECKING:
    from contextlib import ExitStack

__all__ = ["MARGIN_BYTES", "mapped", "segment"]

MARGIN_BYTES = 1 << 20  # left free in shared memory, for others
_SHM = "/dev/shm"  # noqa: S108 - the system's shared memory, not a temporary file


def segment(held: ExitStack, between: str, room_bytes: int) -> memoryview:
    """Memory of one process for its threads; a named segment for processes, unlinked at the end."""
    if between == "threads":
        return memoryview(bytearray(room_bytes))
    from multiprocessing.shared_memory import SharedMemory

    _check_room(room_bytes)
    made = SharedMemory(create=True, size=room_bytes)
    held.callback(made.unlink)
    held.callback(made.close)
    _reserve(made.name, room_bytes)
    memory = memoryview(cast("Any", made.buf))
    held.callback(memory.release)
    return memory


def _check_room(room_bytes: int) -> None:
    try:
        found = os.statvfs(_SHM)
    except OSError:
        return  # no such folder: the system tells when it has no room
    free_bytes = found.f_bavail * found.f_frsize
    if room_bytes + MARGIN_BYTES > free_bytes:
        raise _no_room(room_bytes + MARGIN_BYTES, f"{free_bytes:,}")


def _reserve(name: str, room_bytes: int) -> None:
    """Take the memory of a segment now: one that is only promised kills whoever writes where there is none."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        descriptor = os.open(os.path.join(_SHM, name.lstrip("/")), os.O_RDWR)
    except OSError:
        return  # it lies elsewhere
    try:
        os.posix_fallocate(descriptor, 0, room_bytes)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise _no_room(room_bytes, "fewer") from error
    finally:
        os.close(descriptor)


def _no_room(room_bytes: int, free: str) -> NotHere:
    return NotHere(
        f"no room in {_SHM}: {room_bytes:,} bytes are needed and {free} are free; choose a smaller "
        "payload, or give the container more (--shm-size)"
    )


def mapped(_held: ExitStack, _between: str, room_bytes: int) -> memoryview:
    """Memory without a name that forks share; it is gone when the last of them has ended."""
    return memoryview(mmap.mmap(-1, room_bytes))
