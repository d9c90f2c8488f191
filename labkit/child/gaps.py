"""Probe where this interpreter switches threads between a read and a write. Rule: counts, and never 'impossible'.

Two threads add to one number as ``value = read; GAP; write(value + 1)``. An addition that is lost shows that the other
thread ran inside the gap. Nothing lost shows nothing but that: so many rounds were made, and no switch was seen.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Rounds = Callable[["_Cell", range], None]

__all__ = ["KINDS", "count", "probe"]

SMALLEST_INTERVAL_S = 1e-6
_ROUNDS = 4000  # of each thread, between two looks at what was lost
_PIECE = 200
_THREADS = 2
_ONCE = (0,)
_OTHER = threading.Lock()


class _Cell:
    """A number that two threads add to."""

    def __init__(self) -> None:
        self.value, self.other = 0, 0


def _empty() -> None:
    pass


def _nothing(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        cell.value = value + 1


def _attribute(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        cell.other  # noqa: B018 - reading it is the gap
        cell.value = value + 1


def _call(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        _empty()
        cell.value = value + 1


def _builtin(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        abs(value)
        cell.value = value + 1


def _for(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        for _ in _ONCE:
            pass
        cell.value = value + 1


def _while(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        left = 2
        while left:
            left -= 1
        cell.value = value + 1


def _with(cell: _Cell, rounds: range) -> None:
    mine = threading.Lock()
    for _ in rounds:
        value = cell.value
        with mine:
            pass
        cell.value = value + 1


def _print(cell: _Cell, rounds: range) -> None:
    with open(os.devnull, "w") as sink:
        for _ in rounds:
            value = cell.value
            print(value, file=sink, flush=True)
            cell.value = value + 1


def _sleep(cell: _Cell, rounds: range) -> None:
    for _ in rounds:
        value = cell.value
        time.sleep(0)
        cell.value = value + 1


KINDS: dict[str, tuple[str, str, Rounds]] = {  # name -> (what the explorer calls it, what stands in the gap, rounds)
    "nothing": ("any", "no code in between", _nothing),
    "attribute": ("any", "an attribute read", _attribute),
    "call": ("call", "a call of a Python function", _call),
    "builtin": ("builtin", "a call of a built-in function", _builtin),
    "for": ("loop", "a for loop", _for),
    "while": ("loop", "a while loop", _while),
    "with": ("with", "a with block of another lock", _with),
    "print": ("print", "a print", _print),
    "sleep": ("sleep", "a sleep(0)", _sleep),
}


def probe(seconds_most: float = 1.6) -> dict[str, dict[str, float]]:
    """Count lost additions for each kind of gap, in the smallest switch interval.

    Args:
        seconds_most: Time for all kinds together; a kind in which an addition is lost is done early.

    Returns:
        For each name of `KINDS`: ``rounds`` made by all threads together, and how many additions were ``lost``.
    """
    with _switching_every(SMALLEST_INTERVAL_S):
        return {name: _lose(rounds, seconds_most / len(KINDS)) for name, (_, _, rounds) in KINDS.items()}


def count(name: str, *, seconds: float, switch_interval_s: float) -> tuple[int, int]:
    """Let two threads add for some time with one kind of gap, and count all that they lose.

    They do so in one go: in pieces shorter than the switch interval no thread would ever be interrupted.

    Args:
        name: A key of `KINDS`.
        seconds: How long.
        switch_interval_s: How long a thread waits before it asks for the GIL.

    Returns:
        Additions made by both threads together, and how many of them were lost.
    """
    with _switching_every(switch_interval_s):
        made, lost = _add(KINDS[name][2], time.monotonic() + seconds, sys.maxsize)
    return made, lost


@contextmanager
def _switching_every(interval_s: float) -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _lose(work: Rounds, seconds: float) -> dict[str, float]:
    until, made, lost = time.monotonic() + seconds, 0, 0
    while not lost and time.monotonic() < until:
        more, lost = _add(work, until, _ROUNDS)
        made += more
    return {"rounds": made, "lost": lost}


def _add(work: Rounds, until: float, rounds_most: int) -> tuple[int, int]:
    """Let two threads add to a new number; return how many additions they made, and how many were lost."""
    cell, together = _Cell(), threading.Barrier(_THREADS)
    given = (work, cell, together, until, rounds_most)
    threads = [threading.Thread(target=_batches, args=given) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return cell.other, cell.other - cell.value


def _batches(work: Rounds, cell: _Cell, together: threading.Barrier, until: float, rounds_most: int) -> None:
    """Make rounds after the other thread is ready, in pieces that look at the clock; one piece at least."""
    done, over = 0, False
    together.wait()
    while not over:
        work(cell, range(_PIECE))
        done += _PIECE
        over = done >= rounds_most or time.monotonic() >= until
    with _OTHER:
        cell.other += done
