"""A service that tells prices, one item or many at a time, asked by calls or by messages. Rule: every price counts.

Whoever asks adds the prices up, in every arm alike, and the sum is checked: nothing was lost, doubled or changed. All
of it happens on one core, calls as well: on several, the scheduler decides more about the time of a message than the
message does.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.channels import connect
from labkit.child.cores import on_one_core
from labkit.child.partner import beside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from labkit.child.channels import End
    from labkit.child.partner import Partner
    from labkit.model import Json

    Ask = Callable[[Sequence[int]], list[int]]

__all__ = ["ITEMS_MOST", "asker", "by_calls", "by_messages", "prices"]

ITEMS_MOST = 4096
_PRICES = {item: 3 * item + 1 for item in range(ITEMS_MOST)}
_WARM_S = 0.01
_MECHANISMS = {"threads": "SimpleQueue", "processes": "pipe"}  # the plainest of each


def prices(items: Sequence[int]) -> list[int]:
    """Tell the price of each item, a number from 0 to `ITEMS_MOST` - 1."""
    return [_PRICES[item] for item in items]


def asker(near: End) -> Ask:
    """Return a function that asks whoever holds the other end of a channel for prices."""

    def ask(items: Sequence[int]) -> list[int]:
        near.send(items)
        return near.receive()  # type: ignore[no-any-return]  # whoever is asked sends what `prices` returned

    return ask


def by_calls(messages: int, batch: int, *, window_s: float) -> dict[str, Json]:
    """Handle requests by calling `prices` in the same thread, on one core as well; see `by_messages`.

    Its clock is that of the thread. With a limit on CPU time, as runs have, Linux moves the clock of a process at ticks
    and context switches only: messages make enough of those, and calls make none.
    """
    with on_one_core():
        return _measured(_Service(prices, lambda _: nullcontext(), time.thread_time), messages, batch, window_s)


def by_messages(between: str, messages: int, batch: int, *, window_s: float) -> dict[str, Json]:
    """Handle requests, one after another, by asking a service that is another thread or another process.

    Args:
        between: ``"threads"`` or ``"processes"``.
        messages: How often a request asks.
        batch: Items in each message, from 1 to `ITEMS_MOST`.
        window_s: For how long, in seconds; at least one request is handled, whatever it takes.

    Returns:
        ``request_s``, ``message_s`` and ``item_s``: time of one; ``cpu_per_item_s`` of both sides; ``used_cores``:
        CPU time of both sides per time; ``requests_count`` and ``asked_count``: requests handled, and messages sent.

    Raises:
        NotHere: If this system cannot fork a process.
        RuntimeError: If a price was wrong, or not all that was asked for came.
    """
    held = connect(_MECHANISMS[between], between=between, room_bytes=0)
    with held as (near, far), on_one_core(), _beside(between, near, far) as partner:
        service = _Service(asker(near), partial(_serving, partner), partial(_cpu_s, partner, between))
        return _measured(service, messages, batch, window_s)


class _Service(NamedTuple):
    """Whom to ask, what to hold while that many questions are asked, and the CPU time of all who take part."""

    ask: Ask
    serving: Callable[[int], AbstractContextManager[None]]
    cpu_s: Callable[[], float]


def _measured(service: _Service, messages: int, batch: int, window_s: float) -> dict[str, Json]:
    items = list(range(batch))
    price = sum(prices(items))
    warm_s = _warm_up(service, items, price)
    requests = max(1, round(window_s / (messages * warm_s)))
    asked, total = requests * messages, 0
    before_s = service.cpu_s()
    with service.serving(asked):
        began_s = time.perf_counter()
        for _ in range(requests):
            total += _request(service.ask, items, messages)
        took_s = time.perf_counter() - began_s
    cpu_s = service.cpu_s() - before_s
    _check(total, asked, price)
    return {
        "request_s": took_s / requests,
        "message_s": took_s / asked,
        "item_s": took_s / asked / batch,
        "cpu_per_item_s": cpu_s / asked / batch,
        "used_cores": cpu_s / took_s,
        "requests_count": requests,
        "asked_count": asked,
    }


def _request(ask: Ask, items: Sequence[int], messages: int) -> int:
    """Handle one request: ask, again and again, and add the prices up."""
    total = 0
    for _ in range(messages):
        total += sum(ask(items))
    return total


def _check(total: int, messages: int, price: int) -> None:
    if total != messages * price:
        raise RuntimeError(f"the prices of {messages} messages do not add up: {total}, and not {messages * price}")


def _warm_up(service: _Service, items: Sequence[int], price: int) -> float:
    """Ask until all is warm; return how long one message takes, in seconds."""
    messages, once_s, until_s = 1, 0.0, time.perf_counter() + _WARM_S
    while messages <= 2 or time.perf_counter() < until_s:  # noqa: PLR2004 - the first time is one of a cold service
        with service.serving(messages):
            began_s = time.perf_counter()
            total = _request(service.ask, items, messages)
            once_s = max(1e-7, (time.perf_counter() - began_s) / messages)
        _check(total, messages, price)
        messages *= 2
    return once_s


def _beside(between: str, near: End, far: End) -> AbstractContextManager[Partner]:
    """Hold the service; each side drops the ends of the other, and so sees when that has gone."""
    return beside(between, partial(_serve, far), mine=[near.close], its=[far.close])


@contextmanager
def _serving(partner: Partner, messages: int) -> Iterator[None]:
    """Let the service answer that many messages, and no more."""
    partner.order(messages)
    partner.answer()
    yield
    if (served := partner.answer()) != messages:
        raise RuntimeError(f"{messages} messages were sent, and {served} came")


def _serve(far: End, order: Callable[[], Json], answer: Callable[[Json], None]) -> None:
    """Be the service: answer as many messages as is said, or tell the CPU time of this process."""
    send, receive = far.send, far.receive
    while what := order():
        if what == "cpu":
            answer(time.process_time())
            continue
        answer("ready")
        served = 0
        for _ in range(what):
            send(prices(receive()))
            served += 1
        answer(served)


def _cpu_s(partner: Partner, between: str) -> float:
    """Return the CPU time so far, of both sides together."""
    if between == "threads":
        return time.process_time()
    partner.order("cpu")
    return time.process_time() + float(partner.answer())
