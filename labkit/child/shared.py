"""Memory and a lock that a process shares with its forks. Rule: nothing here has a name that could be left behind."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING

from labkit.errors import NotHere

if TYPE_CHECKING:
    from multiprocessing.synchronize import Lock

__all__ = ["SharedCell", "fork_lock"]


class SharedCell:
    """Eight bytes that this process and its forks share, seen as an item, an attribute and a dict entry.

    Attributes:
        view: The bytes as a signed integer: ``view[0]``.
    """

    def __init__(self) -> None:
        self.view = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")

    @property
    def count(self) -> int:
        """The integer; setting it writes to the shared memory."""
        return self.view[0]

    @count.setter
    def count(self, value: int) -> None:
        self.view[0] = value

    def __getitem__(self, _name: str) -> int:
        """Read the integer, whatever the entry is called."""
        return self.view[0]

    def __setitem__(self, _name: str, value: int) -> None:
        """Write the integer, whatever the entry is called."""
        self.view[0] = value


def fork_lock() -> Lock:
    """Make a lock that works between this process and its forks.

    Raises:
        NotHere: If this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    from multiprocessing import get_context

    return get_context("fork").Lock()  # a semaphore whose name is removed as soon as it is made
