"""Memory of one unit that is held alive. Rule: what nothing else shares, never the resident size.

A process tells its private pages. A thread, or an interpreter, has none of its own: there the process is asked how much
it grows by several, as the growth for one would be lost in that of the allocator.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

from labkit.child.clocks import uss_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["growth_bytes", "private_bytes"]


def private_bytes(hold: Callable[[], AbstractContextManager[int]]) -> int | None:
    """Return the private memory of one process that is held alive, in bytes; None where the system does not tell.

    Args:
        hold: Holds one process, and yields its id.
    """
    with hold() as pid:
        return uss_bytes(pid)


def growth_bytes(hold: Callable[[], AbstractContextManager[int]], held: int) -> int | None:
    """Return by how much this process grows per unit held alive, in bytes; None where the system does not tell.

    Args:
        hold: Holds one unit.
        held: How many are held together, from 1, beside a first one that pays for imports.
    """
    uss_bytes(os.getpid())  # the first reading pays for its own buffers
    with ExitStack() as units:
        units.enter_context(hold())
        before = uss_bytes(os.getpid())
        for _ in range(held):
            units.enter_context(hold())
        after = uss_bytes(os.getpid())
    return None if before is None or after is None else (after - before) // held
