"""Time messages: there and back, and one after another in one direction. Rule: both sides know what comes next.

A round trip carries the same value there and back. One way is half of it: an answer of another size would make the two
halves different. For the bandwidth, messages go in one direction only; where the channel has room for one value, each
waits for a word that the one before has been received.

The last message of a series is looked at, outside of what is timed. At the end comes one that is unlike all others: a
channel that doubled a message, or kept one back, gives something else then. One that lost a message waits until the
deadline of its run.
"""

from __future__ import annotations

import os
import resource
import time
from array import array
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.child.channels import IN_PLACE, connect, packed
from labkit.child.cores import on_one_core
from labkit.child.partner import beside
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from labkit.child.channels import End
    from labkit.child.partner import Partner
    from labkit.model import Json

__all__ = ["calls", "exchange"]

_WARM_S = 0.01  # caches, and a resource tracker that starts meanwhile
_MARGIN_BYTES = 256  # what pickle may add
_LAST = b"the last message"
_CHANGED = "a message was changed on its way, or is not the one that was due"
_CALLS = 2000  # between two looks at the clock
_STREAM_BYTES = 64 << 20  # in one direction at most: a queue without bounds holds them all


def exchange(mechanism: str, between: str, value: Any, *, window_s: float, pinned: bool = False) -> dict[str, Json]:
    """Send a value there and back for a while, and then in one direction.

    Args:
        mechanism: A key of `labkit.child.channels.MECHANISMS`.
        between: ``"threads"`` or ``"processes"``.
        value: What every message carries.
        window_s: How long the round trips take, in seconds; at least one is made, whatever it takes.
        pinned: True lets both sides share one core.

    Returns:
        ``latency_s``, half of a round trip; ``cpu_per_message_s`` and ``switches_count``, of both sides for one message
        of those; ``bandwidth_bytes_per_s`` in one direction; ``message_bytes``, the size of the value as bytes; and
        ``messages_count``.

    Raises:
        NotHere: If this system lacks the mechanism, has no room for the value, or cannot keep both sides on one core.
        RuntimeError: If a message was changed or doubled, or the partner failed.
    """
    size_bytes = len(packed(value))
    if mechanism == IN_PLACE and isinstance(value, array):
        value = memoryview(value).cast("B")  # the bytes that it has, without a copy
    channel = connect(mechanism, between=between, room_bytes=size_bytes + _MARGIN_BYTES)
    with (
        channel as (near, far),
        _on_one_core() if pinned else nullcontext(),
        _word() as (word, say),
        _partner(between, value, (near, word), (far, say)) as partner,
    ):
        once_s = _warm_up(partner, near, value)
        trips = max(1, round(window_s / once_s))
        before = _usage(partner, between)
        trips_s, last = _round_trips(partner, near, value, trips)
        cpu_s, switches = (after - then for after, then in zip(_usage(partner, between), before, strict=True))
        _check(last, value)
        pushed = max(1, min(trips, _STREAM_BYTES // max(1, size_bytes)))
        push_s = _push(partner, near, value, pushed, word)
        _check(_round_trips(partner, near, _LAST, 1)[1], _LAST)
    return {
        "latency_s": trips_s / trips / 2,
        "cpu_per_message_s": cpu_s / trips / 2,
        "switches_count": switches / trips / 2,
        "bandwidth_bytes_per_s": size_bytes * pushed / push_s,
        "message_bytes": size_bytes,
        "messages_count": 2 * trips + pushed,
    }


def calls(value: Any, *, window_s: float) -> dict[str, Json]:
    """Hand a value over by calling a function in the same thread, for a while; returns what `exchange` does."""

    def hand_over(given: Any) -> Any:
        return given

    size_bytes, count = len(packed(value)), 0
    began_s, cpu_s = time.perf_counter(), time.process_time()
    while time.perf_counter() < began_s + window_s:
        for _ in range(_CALLS):
            hand_over(value)
        count += _CALLS
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {
        "latency_s": took_s / count / 2,
        "cpu_per_message_s": cpu_s / count / 2,
        "switches_count": 0,
        "bandwidth_bytes_per_s": size_bytes * count / took_s,
        "message_bytes": 0,
        "messages_count": 2 * count,
    }


@contextmanager
def _on_one_core() -> Iterator[None]:
    with on_one_core() as kept:
        if not kept:
            raise NotHere("this system cannot keep both sides on one core: choose any core")
        yield


@contextmanager
def _word() -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Make a pipe for words of one byte; its write end is closed first, so that whoever waits sees the end."""
    reader, writer = os.pipe()
    with open(reader, "rb", buffering=0) as word, open(writer, "wb", buffering=0) as say:
        yield word, say


def _partner(
    between: str, value: Any, mine: tuple[End, BinaryIO], its: tuple[End, BinaryIO]
) -> AbstractContextManager[Partner]:
    work = partial(_serve, *its, value)
    return beside(between, work, mine=[one.close for one in mine], its=[one.close for one in its])


def _warm_up(partner: Partner, near: End, value: Any) -> float:
    """Send a value there and back until all is warm; return how long one round trip takes, in seconds."""
    _check(_round_trips(partner, near, value, 1)[1], value)
    trips, once_s, until_s = 1, 0.0, time.perf_counter() + _WARM_S
    while not once_s or time.perf_counter() < until_s:
        once_s = max(1e-7, _round_trips(partner, near, value, trips)[0] / trips)
        trips *= 2
    return once_s


def _round_trips(partner: Partner, near: End, value: Any, count: int) -> tuple[float, Any]:
    """Send a value there and back; return how long that took, in seconds, and what came back last."""
    _order(partner, "return", count)
    send, receive = near.send, near.receive
    began_s = time.perf_counter()
    for _ in range(count - 1):
        send(value)
        receive()
    send(value)
    last = receive()
    took_s = time.perf_counter() - began_s
    partner.answer()
    return took_s, last


def _check(last: Any, value: Any) -> None:
    """Refuse what is not the value that was sent. Where it lies, it is compared as bytes: a view does so one by one."""
    if (bytes(last) != bytes(value)) if isinstance(last, memoryview) else (last != value):
        raise RuntimeError(_CHANGED)


def _push(partner: Partner, near: End, value: Any, count: int, word: BinaryIO) -> float:
    """Send a value again and again, until the partner has them all; return how long that took, in seconds."""
    _order(partner, "take", count)
    send, paced = near.send, near.paced
    began_s = time.perf_counter()
    for _ in range(count):
        send(value)
        if paced and not word.read(1):
            raise EOFError("the partner has gone")
    partner.answer()
    took_s = time.perf_counter() - began_s
    partner.order("check")
    partner.answer()
    return took_s


def _order(partner: Partner, what: str, count: int) -> None:
    """Say what comes next, and wait until the partner is ready for it."""
    partner.order([what, count])
    partner.answer()


def _serve(far: End, say: BinaryIO, value: Any, order: Callable[[], Json], answer: Callable[[Json], None]) -> None:
    """Be the partner: return messages, or take them, as many as is said."""
    send, receive = far.send, far.receive
    while what := order():
        if what == "usage":
            answer(_own_usage())
            continue
        answer("ready")
        if what[0] == "return":
            for _ in range(what[1]):
                send(receive())
            answer(what[1])
        else:
            last = _take(receive, what[1], say if far.paced else None)
            answer(what[1])
            order()  # who sent them has looked at its clock: to compare takes time, and the core
            _check(last, value)
            answer("the right ones")


def _take(receive: Callable[[], Any], count: int, say: BinaryIO | None) -> Any:
    """Receive messages, and say so after each if that is asked for; return the last one."""
    for _ in range(count - 1):
        receive()
        if say:
            say.write(b"+")
    last = receive()
    if say:
        say.write(b"+")
    return last


def _usage(partner: Partner, between: str) -> list[float]:
    """Return the CPU time in s and the context switches so far, of both sides together."""
    own = _own_usage()
    if between == "threads":
        return own
    partner.order("usage")
    return [mine + its for mine, its in zip(own, partner.answer(), strict=True)]


def _own_usage() -> list[float]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [time.process_time(), used.ru_nvcsw + used.ru_nivcsw]
