"""Exercise: break a class whose every method is locked. Rule: stub, solution, wrong answers, check together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["EXERCISE"]

_GIVEN = """\
import threading


class Cache:  # "safe with threads: every method takes the lock"
    def __init__(self):
        self._lock = threading.Lock()
        self._items = {"seats": 10}

    def has(self, key):
        with self._lock:
            return key in self._items

    def get(self, key):
        with self._lock:
            return self._items[key]

    def put(self, key, value):
        with self._lock:
            self._items[key] = value

    def drop(self, key):
        with self._lock:
            self._items.pop(key, None)
"""
_STUB = """\
def first(cache):
    cache.put("seats", 9)


def second(cache):
    cache.put("seats", 8)
"""
_SOLUTION = """\
def first(cache):
    cache.put("seats", cache.get("seats") - 1)


def second(cache):
    cache.put("seats", cache.get("seats") - 2)
"""
_USES = {"read", "write", "acquire", "try"}
_NO_INTERLEAVING = """\
def each_alone():
    first(Cache())
    second(Cache())


def each_order():
    one_order, other_order = Cache(), Cache()
    first(one_order)
    second(one_order)
    second(other_order)
    first(other_order)


def end_of(*functions):
    cache = Cache()
    for function in functions:
        function(cache)
    return cache._items


def once_more():
    assert end_of(first, second) == end_of(first, second)
    assert end_of(second, first) == end_of(second, first)


def no_interleaving():
    each_alone()
    each_order()
    once_more()
"""
_TOGETHER = """\
def thread_1(cache):
    first(cache)


def thread_2(cache):
    second(cache)


def contents(cache):
    return sorted(cache._items.items(), key=repr)


def after(*functions):
    cache = Cache()
    for function in functions:
        function(cache)
    return cache._items


def as_one_of_the_orders(cache):
    return cache._items in (after(first, second), after(second, first))
"""


def _in_order(result: Result) -> str:
    if result.kind is None:
        return ""
    if checks.endless(result):
        return "A loop never ends when nothing runs beside it. Each of the two must come to its end by itself."
    if result.kind != "exception":
        return (
            "It stops for ever although nothing runs beside it. Use the methods of the cache only: they take `_lock` "
            "themselves."
        )
    if "in each_alone" in result.error:
        return checks.said(
            "It fails with `{error}` already when `first` and `second` each have a fresh cache for themselves. A race "
            "goes wrong only when two threads meet.",
            result,
        )
    if "in once_more" in result.error:
        return (
            "The same order, run again on a fresh cache, does not end in the same way, so no end can be called wrong. "
            "Put plain values such as numbers, and keep everything in the cache."
        )
    return checks.said(
        "Run one after the other on the same cache, one of the two orders fails: `{error}`. Then the order is "
        "to blame, not the interleaving. Both orders must be right.",
        result,
    )


def _from_inside(result: Result) -> bool:
    """A thread uses what the methods of the cache guard, without a method."""
    own = [step for step in result.witness if step.file != checks.GIVEN]
    return any(step.kind in _USES and any(name in step.name for name in ("._items", "._lock")) for step in own)


def _from_itself(result: Result) -> bool:
    """A thread writes what no method of the cache writes."""
    return any(step.kind == "write" and step.file != checks.GIVEN for step in result.witness)


def _stops(result: Result) -> bool:
    return result.kind == "deadlock"


_INSTEAD: tuple[checks.Rule, ...] = (
    (
        _from_inside,
        (
            "It goes wrong past the methods of the cache. Anyone can break a class from the inside: use `has`, `get`, "
            "`put` and `drop` only."
        ),
    ),
    (
        checks.livelock,
        (
            "Not broken: they can keep each other from ending, but every end is one that an order gives as well. Let "
            "some interleaving end as neither order does."
        ),
    ),
    (_stops, "They stop for ever, and at nothing of the cache: it never keeps its lock. Use its methods only."),
    (
        _from_itself,
        (
            "It goes wrong in what you change without a method of the cache, such as a global or a list that you put "
            "there. Put plain values, and use the methods only."
        ),
    ),
)


def _together(result: Result) -> str:
    if result.kind is None and len(result.outcomes) <= 1:
        return "Not broken: every interleaving ends in the same way. The two never disturb each other."
    if result.kind is None:
        return (
            "Not broken: there are different ends, but each is one that an order gives as well, so nothing "
            "shows that the threads met. Let both write what they worked out from what the cache had told them."
        )
    return next((message for fits, message in _INSTEAD if fits(result)), "")


EXERCISE = Exercise(
    id="break-the-cache",
    title="Break a class whose every method is locked",
    kind="break it",
    minutes=10,
    task="A colleague says: every method of `Cache` takes the lock, so it is safe. Write `first(cache)` and "
    "`second(cache)` that use its methods only. Run one after the other, in either order, all is well. Run as two "
    "threads, some interleaving ends as neither order does, or fails with an exception.",
    given=_GIVEN,
    names=("first", "second"),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "Each call is safe. What does the lock protect between two calls?",
        "Ask the cache something, and then do something that relies on the answer.",
        (
            "Read with `get` and write back with `put`, in both. Or test with `has` before `get`, while the other "
            "one drops."
        ),
    ),
    wrong=(
        WrongAnswer(
            "two keys",
            """\
def first(cache):
    cache.put("ann", cache.get("seats"))


def second(cache):
    cache.put("bob", cache.get("seats"))
""",
            "ends in the same way",
            shown=False,
        ),
        WrongAnswer(
            "the last one wins",
            """\
def first(cache):
    cache.put("seats", 7)


def second(cache):
    cache.drop("seats")
""",
            "one that an order gives as well",
            shown=False,
        ),
        WrongAnswer(
            "fails by itself",
            """\
def first(cache):
    cache.get("tables")


def second(cache):
    cache.drop("seats")
""",
            "a fresh cache for themselves",
        ),
        WrongAnswer(
            "fails in one order",
            """\
def first(cache):
    cache.get("seats")


def second(cache):
    cache.drop("seats")
""",
            "the order is to blame",
        ),
        WrongAnswer(
            "reaches past the methods",
            """\
def first(cache):
    cache._items["seats"] -= 1


def second(cache):
    cache._items["seats"] -= 2
""",
            "from the inside",
        ),
        WrongAnswer(
            "waits for the other one in a loop",
            """\
def first(cache):
    while not cache.has("go"):
        pass


def second(cache):
    cache.put("go", 1)
""",
            "A loop never ends",
        ),
        WrongAnswer(
            "takes the lock by hand",
            """\
def first(cache):
    with cache._lock:
        cache.put("seats", cache.get("seats") - 1)


def second(cache):
    cache.drop("seats")
""",
            "stops for ever",
        ),
    ),
    probes=(
        Probe(source=_NO_INTERLEAVING, workers=("no_interleaving",), judge=_in_order),
        Probe(
            source=_TOGETHER,
            workers=("thread_1", "thread_2"),
            setup="Cache",
            check="as_one_of_the_orders",
            outcome="contents",
            judge=_together,
        ),
    ),
    moral="You broke it: each call is locked, and what happens between two calls is not.",
)
