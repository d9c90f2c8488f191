"""Small files that students keep and hand in. Rule: whoever wrote it, a file is a stranger's until it was checked."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from labkit.runs.lines import Wrong
from labkit.units import in_words

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NO_FOLLOW", "read", "replace"]

NO_FOLLOW = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe would let us wait for ever
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


def read(path: Path, bytes_most: int) -> bytes | None:
    """Read a whole regular file; not a link, which may lead anywhere, and not a pipe, which may never end.

    Args:
        path: The file.
        bytes_most: How large it may be, in bytes.

    Returns:
        Its bytes; None if there is no such file.

    Raises:
        Wrong: If it cannot be read, or is not such a file. The message completes 'The file: ...'.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW)
    except FileNotFoundError:
        return None
    except ValueError:
        raise Wrong("its name holds a zero byte") from None
    except OSError as error:
        raise Wrong("it is a link" if path.is_symlink() else f"it cannot be opened ({error.strerror})") from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Wrong("it is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(bytes_most + 1)
    except OSError as error:
        raise Wrong(f"it cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)
    if len(data) > bytes_most:
        raise Wrong(f"it is larger than {in_words('_bytes', bytes_most)}")
    return data


def replace(path: Path, data: bytes) -> None:
    """Write a file in one step: it holds all of the data afterwards, or what it held before.

    Raises:
        OSError: If it cannot be written.
    """
    beside = path.with_name(f".labkit-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:  # an interrupt, too, leaves nothing behind
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
