"""Pairs that talk all the time: one asks for the price of one item, the other tells it. Rule: both sides are measured.

All pairs begin together, and ask until a common moment. No process holds an end of another: a side that is killed is
seen at once. CPU time and the time in the run queue are those of all threads that a side has: a `multiprocessing.Queue`
sends from a thread of its own.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.channels import connect
from labkit.child.clocks import thread_clock
from labkit.child.partner import beside
from labkit.child.service import asker, prices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.child.channels import End
    from labkit.model import Json

__all__ = ["PAIRS_MOST", "Side", "alone", "talk"]

PAIRS_MOST = 4
_BETWEEN_LOOKS = 8  # items between two looks at the clock
_TASKS = "/proc/self/task"


class Side(NamedTuple):
    """What one side of a pair did in a round.

    Attributes:
        items_count: Items that it asked for; 0 for the side that answers.
        cpu_s: CPU time that it used.
        delay_s: Time that its threads spent in the run queue; 0.0 where the system does not tell.
        lasted_s: Time from the start of the round to its end.
    """

    items_count: int
    cpu_s: float
    delay_s: float
    lasted_s: float


def alone(*, window_s: float) -> list[Side]:
    """Ask by plain calls, in this thread, for ``window_s`` seconds."""
    return [_ask_until(time.monotonic_ns() + int(window_s * 1e9), prices, thread_clock)]


def talk(between: str, mechanism: str, pairs: int, *, window_s: float) -> list[Side]:
    """Let pairs talk for a while; each side is a thread or a forked process.

    Args:
        between: ``"threads"`` or ``"processes"``.
        mechanism: A key of `labkit.child.channels.MECHANISMS` that is not memory.
        pairs: How many, from 1 to `PAIRS_MOST`.
        window_s: For how long, in seconds.

    Returns:
        Both sides of all pairs, in any order.

    Raises:
        NotHere: If this system lacks the mechanism, or cannot fork a process.
        RuntimeError: If a price was wrong, or a side failed or was killed.
    """
    clocks = thread_clock if between == "threads" else _process_clock
    with ExitStack() as held:
        askers, tellers = [], []
        for _ in range(pairs):
            near, far = held.enter_context(connect(mechanism, between=between, room_bytes=0))
            # Each process is forked when this one holds no ends but those of its pair, and drops the one that is not
            # its own: nobody holds what a killed side held, and the other side sees the end.
            work = partial(_side, partial(_ask, near, clocks))
            askers.append(held.enter_context(beside(between, work, mine=[far.close], its=[near.close])))
            work = partial(_side, partial(_tell, far, clocks))
            tellers.append(held.enter_context(beside(between, work, its=[far.close])))
        sides = [*tellers, *askers]  # who tells fails for a reason of its own: whoever asks then sees an end at most
        for side in sides:
            side.answer()
        stop_ns = time.monotonic_ns() + int(window_s * 1e9)
        for side in sides:
            side.order(stop_ns)
        return [Side(*side.answer()) for side in sides]


def _side(side: Callable[[Callable[[], int]], Side], order: Callable[[], Json], answer: Callable[[Json], None]) -> None:
    """Be one side; it stays until there are no more orders: a `multiprocessing.Queue` may have more to send."""

    def wait() -> int:
        answer("ready")
        if (stop_ns := order()) is None:
            raise RuntimeError("the round was called off before it began")
        return int(stop_ns)

    answer(list(side(wait)))
    order()


def _ask(near: End, clocks: Callable[[], tuple[float, float]], wait: Callable[[], int]) -> Side:
    """Ask until the round ends; then say so."""
    ask = asker(near)
    warm = ask([0])
    try:
        side = _ask_until(wait(), ask, clocks)
        if warm != prices([0]):
            raise RuntimeError(f"the service told a wrong price: {warm}")
        return side
    finally:
        with suppress(OSError):  # the other side has gone
            near.send(None)


def _tell(far: End, clocks: Callable[[], tuple[float, float]], wait: Callable[[], int]) -> Side:
    """Answer until there are no more questions."""
    far.send(prices(far.receive()))
    wait()
    began_s, (cpu_s, delay_s) = time.monotonic(), clocks()
    while (items := far.receive()) is not None:
        far.send(prices(items))
    (cpu_end_s, delay_end_s), lasted_s = clocks(), time.monotonic() - began_s
    return Side(0, cpu_end_s - cpu_s, delay_end_s - delay_s, lasted_s)


def _ask_until(
    stop_ns: int, ask: Callable[[Sequence[int]], list[int]], clocks: Callable[[], tuple[float, float]]
) -> Side:
    """Ask for one item after another, at least for a few, and check the sum of their prices."""
    began_s, (cpu_s, delay_s) = time.monotonic(), clocks()
    questions = [[item] for item in range(_BETWEEN_LOOKS)]
    count = total = 0
    while not count or time.monotonic_ns() < stop_ns:
        for question in questions:
            total += ask(question)[0]
        count += _BETWEEN_LOOKS
    (cpu_end_s, delay_end_s), lasted_s = clocks(), time.monotonic() - began_s
    if total != count // _BETWEEN_LOOKS * sum(prices(range(_BETWEEN_LOOKS))):
        raise RuntimeError(f"the prices of {count} items do not add up: {total}")
    return Side(count, cpu_end_s - cpu_s, delay_end_s - delay_s, lasted_s)


def _process_clock() -> tuple[float, float]:
    """Read the CPU time of this process, and the time that its threads spent in the run queue, in seconds."""
    delay_ns = 0
    try:
        for task in os.listdir(_TASKS):
            with open(f"{_TASKS}/{task}/schedstat", "rb") as file:
                delay_ns += int(file.read().split()[1])
    except (OSError, IndexError):  # no /proc, or a kernel that does not tell
        delay_ns = 0
    return time.process_time(), delay_ns / 1e9
