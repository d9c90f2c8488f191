"""Exercise: two locks in opposite order. Rule: stub, solution, wrong answers and check stand together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["EXERCISE"]

_GIVEN = """\
import threading


class Shop:
    def __init__(self):
        self.till, self.safe = 100, 100
        self.till_lock, self.safe_lock = threading.Lock(), threading.Lock()

    def move(self, amount):  # from the till to the safe; the caller holds both locks
        self.till -= amount
        self.safe += amount
"""
_STUB = """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    with shop.safe_lock, shop.till_lock:
        shop.move(-5)
"""
_SOLUTION = """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(-5)
"""
_ALONE = """\
def two_shops():
    return [Shop(), Shop()]


def each_alone(shops):
    to_till(shops[0])
    to_safe(shops[1])


def each_moves_its_own(shops):
    return [(shop.till, shop.safe) for shop in shops] == [(105, 95), (90, 110)]
"""
_BOTH = """\
def all_money_is_there(shop):
    return (shop.till, shop.safe) == (95, 105)
"""
_BESIDE_OTHERS = """\
def mover(shop):
    to_safe(shop)
    to_till(shop)


def customer(shop):
    with shop.till_lock:
        shop.till += 1


def bank(shop):
    with shop.safe_lock:
        shop.safe += 1


def all_money_is_there_too(shop):
    return (shop.till, shop.safe) == (96, 106)
"""


def _swapped(result: Result) -> bool:
    """`to_safe`, which began with the till, now begins with the safe."""
    waits = {thread: name for thread, name, *_ in result.blocked}
    return checks.circle(result) and waits[0].endswith("till_lock")


def _paused(result: Result) -> bool:
    return checks.circle(result) and not checks.never(result, "sleep")


def _waits_for_the_other(result: Result) -> bool:
    """A thread waits for what is no lock of the shop."""
    return result.kind == "deadlock" and any(not name.endswith("_lock") for _, name, *_ in result.blocked)


_ALONE_OR_NOT = (
    _waits_for_the_other,
    "One function waits until the other one has run. Each must do its own move whether the other one comes or not.",
)
_BY_ITSELF = checks.judge(
    _ALONE_OR_NOT,
    otherwise="Alone, `to_safe` must move 10 into the safe, and `to_till` 5 back into the till, and they do not.",
)
_TOGETHER = checks.judge(
    (
        _paused,
        "The pause makes it rarer, not impossible: each thread still holds one lock and waits for the other one's.",
    ),
    (
        _swapped,
        (
            "You swapped both. Now `to_safe` begins with the safe, `to_till` with the till: still opposite, only "
            "the other way round. Leave one of them as it was."
        ),
    ),
    (
        checks.circle,
        "They still stop for ever: each thread holds one lock and waits for the one that the other thread holds.",
    ),
    (checks.in_turn, "One after the other, `to_safe` must move 10 and `to_till` 5 back, and they do not."),
    (
        checks.blind,
        "Nothing stops, but a move is left out: a thread did not get a lock, at once or in time, and gave up.",
    ),
    (
        checks.no_lock,
        (
            "Without locks nothing can stop, and money is lost: `move` reads and writes, and the other one came in "
            "between."
        ),
    ),
    (checks.own_locks, "Locks made anew in each call keep nobody out, and money is lost. Use the two of the shop."),
    otherwise="Money is lost: the two moves are not kept apart. Both functions need both locks, nested.",
)
_OTHERS = checks.judge(
    _ALONE_OR_NOT,
    otherwise=(
        "The two no longer stop each other, but one lock is left out: whoever holds only that one changes the same "
        "money at the same time. Keep both locks in both functions."
    ),
)

EXERCISE = Exercise(
    id="same-order",
    title="Let two threads take two locks",
    kind="tweak",
    minutes=2,
    task="`to_safe(shop)` and `to_till(shop)` run as two threads, and sometimes both stop for ever. Change one line so "
    "that they cannot, and no money is lost. Others use each of the two locks as well.",
    given=_GIVEN,
    names=("to_safe", "to_till"),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "Stop the film after each thread has taken its first lock. What does each of them hold, and want?",
        "A circle needs two opposite orders. `with a, b:` takes `a` first.",
        "Write `shop.till_lock, shop.safe_lock` in both functions.",
    ),
    wrong=(
        WrongAnswer(
            "both lines swapped",
            """\
def to_safe(shop):
    with shop.safe_lock, shop.till_lock:
        shop.move(10)


def to_till(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(-5)
""",
            "You swapped both",
        ),
        WrongAnswer(
            "no locks at all",
            """\
def to_safe(shop):
    shop.move(10)


def to_till(shop):
    shop.move(-5)
""",
            "Without locks",
        ),
        WrongAnswer(
            "one lock left out",
            """\
def to_safe(shop):
    with shop.till_lock:
        shop.move(10)


def to_till(shop):
    with shop.till_lock:
        shop.move(-5)
""",
            "one lock is left out",
        ),
        WrongAnswer(
            "a try-lock that gives up",
            """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    with shop.safe_lock:
        if shop.till_lock.acquire(timeout=1):
            shop.move(-5)
            shop.till_lock.release()
""",
            "a move is left out",
        ),
        WrongAnswer(
            "a pause between the locks",
            """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    time.sleep(0.1)
    with shop.safe_lock, shop.till_lock:
        shop.move(-5)
""",
            "makes it rarer",
        ),
        WrongAnswer(
            "the lines said anew",
            """\
def to_safe(shop):
    with shop.till_lock:
        with shop.safe_lock:
            shop.move(10)


def to_till(shop):
    with shop.safe_lock:
        with shop.till_lock:
            shop.move(-5)
""",
            "They still stop for ever",
        ),
        WrongAnswer(
            "a try-lock that tries again",
            """\
def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)


def to_till(shop):
    while True:
        with shop.safe_lock:
            if shop.till_lock.acquire(blocking=False):
                shop.move(-5)
                shop.till_lock.release()
                return
""",
            "gives way and tries again",
        ),
        WrongAnswer(
            "one waits until the other is done",
            """\
done = threading.Event()


def to_safe(shop):
    with shop.till_lock, shop.safe_lock:
        shop.move(10)
    done.set()


def to_till(shop):
    done.wait()
    with shop.safe_lock, shop.till_lock:
        shop.move(-5)
""",
            "waits until the other one has run",
        ),
        WrongAnswer(
            "locks made in the function",
            """\
def to_safe(shop):
    with threading.Lock():
        shop.move(10)


def to_till(shop):
    with threading.Lock():
        shop.move(-5)
""",
            "made anew in each call",
        ),
    ),
    probes=(
        Probe(source=_ALONE, workers=("each_alone",), setup="two_shops", check="each_moves_its_own", judge=_BY_ITSELF),
        Probe(
            source=_BOTH,
            workers=("to_safe", "to_till"),
            setup="Shop",
            check="all_money_is_there",
            judge=_TOGETHER,
        ),
        Probe(
            source=_BESIDE_OTHERS,
            workers=("mover", "customer", "bank"),
            setup="Shop",
            check="all_money_is_there_too",
            judge=_OTHERS,
        ),
    ),
    moral="No circle can close, and no money is lost: one order for all locks is the simplest way to get there.",
)
