"""Divide one message into its parts, each measured by itself. Rule: no part is guessed, and what is left is told.

Everything happens on one core, in short rounds in which every part has its turn, and is CPU time of both sides: of each
part the median round counts, and with it the parts add up.

- The message: as `labkit.child.channels` sends it through a pipe, half of a round trip.
- Serialization: the value written as bytes and built anew, by itself; bytes need neither.
- Kernel transition: the system calls of a message, as the kernel counts them, times half of what it takes to write one
  byte into a pipe and to read it within one thread: there is hardly anything to copy, and nobody to switch to.
- Copy: the same bytes through a pipe within one thread, into the kernel and out of it, less the system calls of that.
- Context switch: the switches of a message, as the kernel counts them, times what a switch takes in a ping-pong of one
  byte between the same two sides on the same core, less its system calls.
- Left over: what the message takes beyond that: the Python code of the channel and its buffers, fresh memory for the
  new value (which page faults tell), and caches that the other side has filled meanwhile. It is below 0 if the parts
  take less in a message than by themselves.
"""

from __future__ import annotations

import fcntl
import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.child.channels import connect, packed, pipe, unpacked
from labkit.child.switching import Steps, Used, bounce, metered, one_core, sides
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.child.channels import End

__all__ = ["PARTS", "Parts", "split"]

_ROUND_S = 0.002  # of each part in a round, at most twice that; once at least, whatever it takes
_ROUNDS_LEAST, _ROUNDS_MOST, _ROUNDS_S = 3, 7, 0.1
_PIPE_BYTES = 4096  # the smallest pipe of any Linux

PARTS = ("serialization_s", "copy_s", "transition_s", "switch_s", "left_over_s")


class Parts(NamedTuple):
    """One message: CPU time of both sides in seconds, the parts of it, and what the kernel counted."""

    total_s: float
    serialization_s: float
    copy_s: float
    transition_s: float
    switch_s: float
    left_over_s: float
    syscalls_count: float
    switches_count: float
    faults_count: float
    message_bytes: int


class _Mean(NamedTuple):
    """What one turn of a part takes, in the mean over a round."""

    cpu_s: float
    switches_count: float
    calls_count: float
    faults_count: float


def split(between: str, value: Any) -> Parts:
    """Send a value between two sides on one core, and measure the parts of a message beside it.

    Args:
        between: ``"threads"`` or ``"processes"``.
        value: What a message carries.

    Raises:
        NotHere: If this system cannot keep both sides on one core, or does not count system calls and switches.
    """
    data = packed(value)
    with (
        one_core(),
        connect("pipe", between=between, room_bytes=0) as (near, far),
        bounce(b"x") as byte,
        pipe() as alone,
    ):
        steps = {"message": _messages(near, far, value), "byte": byte}
        chunks = _chunks(data, alone)
        with sides(between, steps) as take:
            found = _rounds(
                {
                    "message": partial(take, "message"),
                    "byte": partial(take, "byte"),
                    "serialize": partial(metered, partial(_serialize, value)),
                    "call": partial(metered, partial(_through, alone, [memoryview(b"x")])),
                    "copy": partial(metered, partial(_through, alone, chunks)),
                }
            )
    return _parts(found, len(chunks), len(data))


def _parts(found: Mapping[str, _Mean], chunks: int, message_bytes: int) -> Parts:
    """Put the parts together; a turn of a message and of a byte is one there and one back."""
    total_s, switches, calls, faults = (each / 2 for each in found["message"])
    if not calls or not found["byte"].switches_count:
        raise NotHere("this system does not count system calls and context switches, so a message cannot be divided")
    call_s = found["call"].cpu_s / 2
    switch_s = (found["byte"].cpu_s - 4 * call_s) / found["byte"].switches_count
    parts = (
        found["serialize"].cpu_s,
        found["copy"].cpu_s - 2 * chunks * call_s,
        calls * call_s,
        switches * switch_s,
    )
    return Parts(total_s, *parts, total_s - sum(parts), calls, switches, faults, message_bytes)


def _rounds(turns: Mapping[str, Callable[[int], Used]]) -> dict[str, _Mean]:
    """Take every part in turn, in rounds; return of each the median round."""
    counts = {name: _enough(take) for name, take in turns.items()}
    kept: dict[str, list[_Mean]] = {name: [] for name in turns}
    began_s = time.perf_counter()
    for number in range(_ROUNDS_MOST):
        if number >= _ROUNDS_LEAST and time.perf_counter() > began_s + _ROUNDS_S:
            break
        for name, take in turns.items():
            used = take(counts[name])
            kept[name].append(_Mean(*(each / counts[name] for each in used)))
    return {name: sorted(means)[len(means) // 2] for name, means in kept.items()}


def _enough(take: Callable[[int], Used]) -> int:
    """Warm up, and find how often a part has its turn in a round."""
    count = 1
    while take(count).cpu_s < _ROUND_S:
        count *= 2
    return count


def _messages(near: End, far: End, value: Any) -> Steps:
    def there_and_back(count: int) -> None:
        for _ in range(count):
            near.send(value)
            near.receive()

    def return_them(count: int) -> None:
        for _ in range(count):
            far.send(far.receive())

    return Steps(there_and_back, return_them, [near.close], [far.close])


def _serialize(value: Any, count: int) -> None:
    for _ in range(count):
        data = packed(value)
        unpacked(data, plain=data is value)


def _through(ends: tuple[int, int], chunks: list[memoryview], count: int) -> None:
    """Write chunks into a pipe and read each at once."""
    out, into = ends
    for _ in range(count):
        for chunk in chunks:
            os.write(into, chunk)
            os.read(out, len(chunk))


def _chunks(data: bytes, ends: tuple[int, int]) -> list[memoryview]:
    """Cut bytes into pieces that fit into a pipe: who writes one never waits."""
    size = fcntl.fcntl(ends[1], fcntl.F_GETPIPE_SZ) if hasattr(fcntl, "F_GETPIPE_SZ") else _PIPE_BYTES
    return [memoryview(data)[start : start + size] for start in range(0, len(data), size)]
