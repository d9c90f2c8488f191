"""Exercise: a client that sends a message for every item. Rule: messages are counted by the service, not timed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.batched import BOOK, ITEMS_MOST
from labkit.course.lesson import Counted, Exercise, WrongAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.model import Json

__all__ = ["EXERCISE"]

_GIVEN = """\
class Service:
    # another process: each call of a method sends one message, and waits for the answer
    most = 100  # items that one message carries

    def price(self, item):
        \"\"\"Return the price of one item; None if it is not known.\"\"\"

    def prices(self, items):
        \"\"\"Return the price of each of at most 100 items, in their order.\"\"\"
"""
_STUB = """\
def prices_of(service, items):
    found = []
    for item in items:
        found.append(service.price(item))
    return found
"""
_SOLUTION = """\
def prices_of(service, items):
    found = []
    for first in range(0, len(items), 100):
        found += service.prices(items[first : first + 100])
    return found
"""
_COUNT = """\
def count_messages():
    from labkit.child.batched import try_client

    return try_client(prices_of)
"""


class _Order(NamedTuple):
    """What came of one order; the fields as `labkit.child.batched` tells them."""

    items: list[str]
    expected: list[int | None]
    kind: str
    word: str
    got: list[Json]
    left_count: int
    same_order: bool
    sent: list[int]
    single_count: int
    patched: bool

    @property
    def name(self) -> str:
        """How the order is called."""
        return f"An order of {_counted(len(self.items), 'item')}"

    @property
    def needed(self) -> int:
        """How many messages carry its items."""
        return math.ceil(len(self.items) / ITEMS_MOST)


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _judge(told: Mapping[str, Json]) -> str:
    """Say what is wrong with the first order that is not as it should be; empty if all are."""
    orders = [_Order(**one) for one in told["orders"]]
    faults = (_broken(one) or _wrong(number, one) or _chatty(one) for number, one in enumerate(orders, 1))
    return next((fault for fault in faults if fault), "")


def _first(*rules: tuple[bool, str]) -> str:
    return next((words for holds, words in rules if holds), "")


def _broken(one: _Order) -> str:
    """Say why there is no list of prices; empty if there is one."""
    raised = one.kind == "raised"
    return _first(
        (one.patched, "The service was changed. It is another process: nothing but its answers comes from there."),
        (
            raised and "at most 100 items" in one.word,
            f"{one.name} ends in an error of the service: a message carries at most {ITEMS_MOST} items. Send several.",
        ),
        (raised, f"{one.name} fails with `{one.word}`."),
        (one.word == "NoneType", f"{one.name} gives `None`. Return the list of prices."),
        (
            one.kind == "type",
            f"{one.name} gives a value of type `{one.word}`. Return a list: the price of each item, in their order.",
        ),
        (
            not one.same_order,
            f"{one.name} is another list afterwards, of {one.left_count}. It is the caller's: leave it as it is.",
        ),
    )


def _wrong(number: int, one: _Order) -> str:
    """Say what is wrong with a list of prices; empty if it is right."""
    got, expected = one.got, one.expected
    if got == expected:
        return ""
    stale = any(type(price) is int and 0 < price < number * BOOK and price >= BOOK for price in got)
    fewer, known = len(got) < len(expected), [price for price in expected if price is not None]
    shown = f"{one.name} gives {_counted(len(got), 'price')}"
    place = next((at for at, (had, right) in enumerate(zip(got, expected, strict=False)) if had != right), 0)
    return _first(
        (
            stale and not fewer,
            f"{one.name} gets a price that an earlier service gave. Prices change: keep none from call to call.",
        ),
        (
            any(isinstance(price, list) for price in got),
            f"{one.name} gives a list of lists. Add the prices of each answer to one list.",
        ),
        (got == known, f"{one.name} gives no price for an item that is not known. Its place is kept, with `None`."),
        (
            fewer and set(map(str, got)) == set(map(str, expected)),
            f"{shown}: an item that stands there twice gets one only.",
        ),
        (fewer and got == expected[: len(got)], f"{shown}: what is left over at the end is never asked for."),
        (
            sorted(map(str, got)) == sorted(map(str, expected)),
            f"{one.name} gives the right prices in another order. Whoever asks goes by their places.",
        ),
        (fewer, f"{shown}: some of its items get none."),
        (len(got) > len(expected), f"{one.name} gives more prices than it has items. Do the parts overlap?"),
        (
            True,
            f"{one.name} gives a wrong price at place {place}: {got[place : place + 1]} where {expected[place]} is.",
        ),
    )


def _chatty(one: _Order) -> str:
    """Say why there are more messages than needed; empty if there are not."""
    sent = one.sent
    if len(sent) <= one.needed:
        uncounted = max(sent, default=0) > ITEMS_MOST or sum(sent) < len(set(one.items))
        return f"{one.name} gets prices that no message of the service can have carried." if uncounted else ""
    said = f"{one.name} takes {_counted(len(sent), 'message')}"
    enough = f"{said}, and {one.needed:,} would do"
    return _first(
        (not one.items, f"{said}, and there is nothing to ask for."),
        (one.single_count >= len(sent), f"{enough}: `price` sends one for each item, and waits for each answer."),
        (one.single_count > 0, f"{enough}: some items still go one by one, with `price`."),
        (0 in sent, f"{enough}: one of them carries no item at all."),
        (
            sum(sent) > len(one.items),
            f"{enough}: together they carry {sum(sent):,} items, so some are asked for again.",
        ),
        (True, f"{enough}: none of them carries more than {max(sent)}, and there is room for {ITEMS_MOST}."),
    )


EXERCISE = Exercise(
    id="batch-the-client",
    title="Batch a chatty client",
    kind="fix the bug",
    minutes=8,
    task="`prices_of(service, items)` returns the price of each item, in their order. It is right, and it is slow: it "
    "sends a message for every item, and waits for every answer. Mend it: as few messages as can be, each with at most "
    "100 items. An order may be empty, may name an item twice, and may name one that is not known. The service counts "
    "the messages that it gets.",
    given=_GIVEN,
    names=("prices_of",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "How many messages do 250 items need, if each carries at most 100? How many are sent now?",
        "Cut the list into parts of 100, the last one shorter: `items[first : first + 100]`. Where does each begin?",
        "`for first in range(0, len(items), 100):` and then `found += service.prices(...)` of that part.",
    ),
    wrong=(
        WrongAnswer(
            "shorter, and as chatty",
            """\
def prices_of(service, items):
    return [service.price(item) for item in items]
""",
            "sends one for each item",
            shown=False,
        ),
        WrongAnswer(
            "all in one message",
            """\
def prices_of(service, items):
    return service.prices(items) if items else []
""",
            "ends in an error of the service",
            shown=False,
        ),
        WrongAnswer(
            "whole hundreds only",
            """\
def prices_of(service, items):
    found = []
    for number in range(len(items) // 100):
        found += service.prices(items[100 * number : 100 * number + 100])
    return found
""",
            "what is left over at the end",
            shown=False,
        ),
        WrongAnswer(
            "the rest one by one",
            """\
def prices_of(service, items):
    found = []
    whole = len(items) - len(items) % 100
    for first in range(0, whole, 100):
        found += service.prices(items[first : first + 100])
    return found + [service.price(item) for item in items[whole:]] if whole else service.prices(items) if items else []
""",
            "some items still go one by one",
            shown=False,
        ),
        WrongAnswer(
            "a message without items at the end",
            """\
def prices_of(service, items):
    found = []
    for number in range(len(items) // 100 + 1):
        found += service.prices(items[100 * number : 100 * number + 100])
    return found
""",
            "there is nothing to ask for",
            shown=False,
        ),
        WrongAnswer(
            "an empty order apart, and one message too many",
            """\
def prices_of(service, items):
    found = []
    if items:
        for number in range(len(items) // 100 + 1):
            found += service.prices(items[100 * number : 100 * number + 100])
    return found
""",
            "carries no item at all",
            shown=False,
        ),
        WrongAnswer(
            "small parts",
            """\
def prices_of(service, items):
    found = []
    for first in range(0, len(items), 10):
        found += service.prices(items[first : first + 10])
    return found
""",
            "there is room for 100",
            shown=False,
        ),
        WrongAnswer(
            "a list of lists",
            """\
def prices_of(service, items):
    found = []
    for first in range(0, len(items), 100):
        found.append(service.prices(items[first : first + 100]))
    return found
""",
            "a list of lists",
            shown=False,
        ),
        WrongAnswer(
            "each item once",
            """\
def prices_of(service, items):
    different = list(dict.fromkeys(items))
    found = []
    for first in range(0, len(different), 100):
        found += service.prices(different[first : first + 100])
    return found
""",
            "stands there twice gets one only",
            shown=False,
        ),
        WrongAnswer(
            "what is not known is left out",
            """\
def prices_of(service, items):
    found = []
    for first in range(0, len(items), 100):
        found += [price for price in service.prices(items[first : first + 100]) if price is not None]
    return found
""",
            "Its place is kept",
            shown=False,
        ),
        WrongAnswer(
            "takes the order apart",
            """\
def prices_of(service, items):
    found = []
    while items:
        found += service.prices(items[:100])
        del items[:100]
    return found
""",
            "is another list afterwards",
            shown=False,
        ),
        WrongAnswer(
            "keeps prices for the next order",
            """\
known = {}


def prices_of(service, items):
    new = [item for item in dict.fromkeys(items) if item not in known]
    for first in range(0, len(new), 100):
        part = new[first : first + 100]
        known.update(zip(part, service.prices(part)))
    return [known[item] for item in items]
""",
            "an earlier service gave",
            shown=False,
        ),
    ),
    probes=(
        Counted(
            source=_COUNT,
            count="count_messages",
            columns=("items in the order", "messages needed", "messages sent"),
            said="Seven orders were tried, of none to 1,000 items, and no message was sent that was not needed.",
            judge=_judge,
        ),
    ),
    moral="The same prices for a hundredth of the messages: the sender waits as often as it sends, so it waits less.",
)
