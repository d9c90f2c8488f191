"""Files that are kept and handed in. Rule: whoever wrote it, a file is a stranger's until it was checked."""

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

__all__ = ["NO_FOLLOW", "Unreadable", "read", "replace"]

_NAME_IT = "Name the file itself"
NO_FOLLOW = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a pipe would let us wait for ever
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class Unreadable(Wrong):
    """A file is not one that is read; the message completes 'The file: ...'.

    Attributes:
        advice: What to do about it, for whoever named the file as a recording.
    """

    def __init__(self, problem: str, advice: str) -> None:
        """Keep both apart: not everybody who reads a file has named it."""
        super().__init__(problem)
        self.advice = advice


def read(path: Path, bytes_most: int) -> bytes | None:
    """Read a whole regular file; not a link, which may lead anywhere, and not a pipe, which may never end.

    Args:
        path: The file.
        bytes_most: How large it may be, in bytes.

    Returns:
        Its bytes; None if there is no such file.

    Raises:
        Unreadable: If it cannot be read, or is not such a file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW)
    except FileNotFoundError:
        return None
    except ValueError:
        raise Unreadable("its name holds a zero byte", _NAME_IT) from None
    except OSError as error:
        problem = "it is a link" if path.is_symlink() else f"it cannot be opened ({error.strerror})"
        raise Unreadable(problem, _NAME_IT) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("it is not a regular file", "Name a file that lab.save wrote")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(bytes_most + 1)
    except OSError as error:
        raise Unreadable(f"it cannot be read ({error.strerror})", "Ask for the file again, or record anew") from None
    finally:
        os.close(descriptor)
    if len(data) > bytes_most:
        raise Unreadable(f"it is larger than {in_words('_bytes', bytes_most)}", "Save the runs as several files")
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
