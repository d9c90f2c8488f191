"""Count the messages that a client sends to a service. Rule: the service counts, and only messages reach its book."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from labkit.child.predicted import said_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from labkit.model import Json

    Client = Callable[[Any, list[str]], object]

__all__ = ["BOOK", "ITEMS_MOST", "UNKNOWN", "try_client"]

ITEMS_MOST = 100  # in one message
BOOK = (
    10_000  # the prices of an order's book begin at its number, from 1, times this: a stale one tells where it is from
)
UNKNOWN = "no such item"
_SENT_MOST = 2000
_PRICE_MOST = 1 << 63  # JSON does not carry all that Python calls an int


def try_client(prices_of: Client) -> dict[str, Json]:
    """Let a client get the prices of several orders, each from a service of its own.

    Args:
        prices_of: Takes a service and a list of items.

    Returns:
        ``orders``: for each what was given, expected and sent; ``rows`` of items, messages needed, messages sent.
    """
    mixed = ["tea", UNKNOWN, "rice", "tea", "milk"]
    repeated = _names(230) + _names(20)[::-1]
    orders = [mixed, [], _names(1), _names(100), _names(101), repeated, _names(1000)]
    told = [_tried(prices_of, number, items) for number, items in enumerate(orders, 1)]
    rows = [[len(one["items"]), -(-len(one["items"]) // ITEMS_MOST), len(one["sent"])] for one in told]
    return {"orders": told, "rows": rows}


def _names(count: int) -> list[str]:
    return [f"item {number}" for number in range(count)]


def _service(book: dict[str, int], sent: list[int], single: list[object]) -> Any:
    class Service:
        __slots__ = ()
        most = ITEMS_MOST

        def price(self, item: str) -> int | None:
            single.append(item)
            _send(sent, 1)
            return book.get(item)

        def prices(self, items: Iterable[str]) -> list[int | None]:
            some = list(islice(items, ITEMS_MOST + 1))
            _send(sent, len(some))
            if len(some) > ITEMS_MOST:
                raise ValueError(f"a message carries at most {ITEMS_MOST} items")
            return [book.get(item) for item in some]

    return Service()


def _send(sent: list[int], count: int) -> None:
    sent.append(count)
    if len(sent) >= _SENT_MOST:
        raise RuntimeError(f"{_SENT_MOST:,} messages were sent for one order, and no end is in sight")


def _tried(prices_of: Client, number: int, items: list[str]) -> dict[str, Json]:
    """Let the client get the prices of one order."""
    known = [item for item in dict.fromkeys(items) if item != UNKNOWN]
    book = {item: BOOK * number + place for place, item in enumerate(known)}
    expected, order = [book.get(item) for item in items], list(items)
    sent: list[int] = []
    single: list[object] = []
    service = _service(book, sent, single)
    before = dict(vars(type(service)))
    kind, word, got = _called(prices_of, service, order)
    return {
        "items": items,
        "expected": expected,
        "kind": kind,
        "word": word,
        "got": got,
        "left_count": len(order),
        "same_order": order == items,
        "sent": sent,
        "single_count": len(single),
        "patched": dict(vars(type(service))) != before,
    }


def _called(prices_of: Client, service: Any, order: list[str]) -> tuple[str, str, list[Json]]:
    try:
        got = prices_of(service, order)
    except Exception as error:  # noqa: BLE001 - the student's own, or that of the service
        return "raised", said_of(error), []
    if type(got) is not list:
        return "type", type(got).__name__, []
    return "", "", [_plain(price) for price in got[: 2 * len(order) + 2]]


def _plain(price: object) -> Json:
    if price is None or (type(price) is int and abs(price) < _PRICE_MOST):
        return price
    return [] if isinstance(price, list) else f"a {type(price).__name__}"
