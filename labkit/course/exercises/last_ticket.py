"""Exercise: test, then act, and the slow part outside the lock. Rule: stub, solution, wrong answers, check together."""

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
    def __init__(self, stock):
        self.stock = stock
        self.billed = []
        self.lock = threading.Lock()  # one shop, one lock


def bill(shop, customer):
    # asks the bank as well, which takes long
    shop.billed.append(customer)
"""
_STUB = """\
def sell(shop, customer):
    if shop.stock > 0:
        bill(shop, customer)
        shop.stock -= 1
"""
_SOLUTION = """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock == 0:
            return
        shop.stock -= 1
    bill(shop, customer)
"""
_SELLERS = """\
def seller_1(shop):
    sell(shop, "Ann")


def seller_2(shop):
    sell(shop, "Bob")
"""
_ONE_LEFT = f"""\
{_SELLERS}

sent_to_bank = []


def bill(shop, customer):
    sent_to_bank.append(customer)
    shop.billed.append(customer)


def one_ticket():
    return Shop(1)


def one_is_billed(shop):
    return shop.stock == 0 and len(shop.billed) == 1 and sent_to_bank == shop.billed and not shop.lock.locked()
"""
_TWO_LEFT = f"""\
{_SELLERS}

def two_tickets():
    return Shop(2)


def both_are_billed(shop):
    return shop.stock == 0 and sorted(shop.billed) == ["Ann", "Bob"]
"""
_MEETING = f"""\
{_SELLERS}

both_in_bill = threading.Barrier(2)
sent_to_bank = []


def bill(shop, customer):
    # goes on when both sellers are in here
    sent_to_bank.append(customer)
    both_in_bill.wait()


def two_tickets():
    return Shop(2)


def the_bank_was_asked(shop):
    return sorted(sent_to_bank) == ["Ann", "Bob"]
"""


def _by_hand(result: Result) -> bool:
    """Somebody changes the list of the billed beside `bill`."""
    own = [step for step in result.witness if step.file != checks.PROBE]
    return any(step.kind == "write" and ".billed" in step.name for step in own)


_OVERSOLD = checks.judge(
    (
        _by_hand,
        "Leave `shop.billed` to `bill`, which asks the bank as well: no line of `sell` may write into that list.",
    ),
    (
        checks.in_turn,
        (
            "With one ticket left, two sellers one after the other must sell it once and call `bill` once, and this "
            "`sell` does not. That needs no interleaving: mend it first."
        ),
    ),
    (checks.slept, "A pause is no lock: `sleep` moves the moment at which the other seller comes, and stops nobody."),
    (
        checks.no_lock,
        (
            "Sold twice: `sell` takes no lock. In whatever order the lines stand, testing the stock and taking the "
            "ticket are two steps, and the other seller came between them."
        ),
    ),
    (
        checks.blind,
        "With one ticket left nobody got it, or two did: a seller did not get the lock in time, and went on.",
    ),
    (
        checks.own_locks,
        (
            "Sold twice: each call takes a lock of its own. A lock keeps out only those who take the same one: "
            "`shop.lock`."
        ),
    ),
    (
        checks.let_go,
        (
            "Sold twice: test and sale are both locked, but the lock is given back between them. Take the ticket "
            "under the same lock that saw it."
        ),
    ),
    (
        checks.read_before,
        (
            "Sold twice: line {read} tests the stock before the lock is taken. By the time the lock lets the seller "
            "in, the answer is old."
        ),
    ),
    (checks.written_after, "Sold twice: line {write} takes the ticket after the lock was given back."),
    otherwise=(
        "With one ticket left, `bill` must be called for one customer, and no ticket remain. In this schedule it is "
        "not so: see below who acts on what is no longer true."
    ),
)
_LOST = checks.judge(
    (
        checks.in_turn,
        (
            "With two tickets left, two sellers one after the other must bill both customers, and this `sell` does "
            "not. That needs no interleaving: mend it first."
        ),
    ),
    (
        checks.blind,
        (
            "Two tickets, two customers, and one was sent away: this seller did not get the lock, at once or in "
            "time, and gave up."
        ),
    ),
    otherwise=(
        "With two tickets left, two customers must be billed and no ticket remain: an update of the stock is lost."
    ),
)


def _overlap(result: Result) -> str:
    if result.kind == "wrong result" or len(result.blocked) == 1:  # the other one has ended without `bill`
        return (
            "Nobody calls `bill` for some customer who gets a ticket. Writing into `shop.billed` by hand does not do: "
            "`bill` asks the bank as well."
        )
    if not checks.overlocked(result):
        return ""
    return (
        "Never sold twice, but too much is locked: a seller is in `bill` and still holds the lock, so the other "
        "one can never be in `bill` at the same time. The bank is slow, and all customers queue. In the "
        "schedule below `bill` waits until both sellers are in it, for ever."
    )


EXERCISE = Exercise(
    id="last-ticket",
    title="Sell the last ticket once",
    kind="fix the bug",
    minutes=8,
    task="Two sellers call `sell(shop, customer)` at the same time. Never sell more than there is, bill every customer "
    "who gets a ticket, and no other one. `bill` takes long: both sellers must be able to be in it at the same time.",
    given=_GIVEN,
    names=("sell",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "One ticket is left. Between which two lines of `sell` must no other seller come?",
        "Testing the stock and taking the ticket belong under one lock. Does `bill` belong there as well?",
        "Take the ticket first: `with shop.lock:` test, return if there is none, subtract. Then `bill`, outside.",
    ),
    wrong=(
        WrongAnswer(
            "a lock made inside the function",
            """\
def sell(shop, customer):
    with threading.Lock():
        if shop.stock == 0:
            return
        shop.stock -= 1
    bill(shop, customer)
""",
            "a lock of its own",
        ),
        WrongAnswer(
            "the test stands outside the lock",
            """\
def sell(shop, customer):
    if shop.stock > 0:
        with shop.lock:
            shop.stock -= 1
        bill(shop, customer)
""",
            "tests the stock before the lock is taken",
        ),
        WrongAnswer(
            "test and sale locked one by one",
            """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock == 0:
            return
    bill(shop, customer)
    with shop.lock:
        shop.stock -= 1
""",
            "given back between them",
        ),
        WrongAnswer(
            "everything under the lock",
            """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock > 0:
            bill(shop, customer)
            shop.stock -= 1
""",
            "too much is locked",
        ),
        WrongAnswer(
            "a try-lock that sends customers away",
            """\
def sell(shop, customer):
    if not shop.lock.acquire(blocking=False):
        return
    free = shop.stock > 0
    shop.stock -= free
    shop.lock.release()
    if free:
        bill(shop, customer)
""",
            "was sent away",
        ),
        WrongAnswer(
            "no lock, but the ticket is taken first",
            """\
def sell(shop, customer):
    if shop.stock > 0:
        shop.stock -= 1
        bill(shop, customer)
""",
            "takes no lock",
        ),
        WrongAnswer(
            "returns with the lock",
            """\
def sell(shop, customer):
    shop.lock.acquire()
    if shop.stock == 0:
        return
    shop.stock -= 1
    shop.lock.release()
    bill(shop, customer)
""",
            "never given back",
        ),
        WrongAnswer(
            "billed by hand",
            """\
def sell(shop, customer):
    with shop.lock:
        if shop.stock == 0:
            return
        shop.stock -= 1
        shop.billed.append(customer)
""",
            "Leave `shop.billed` to `bill`",
        ),
        WrongAnswer(
            "a pause instead of a lock",
            """\
def sell(shop, customer):
    time.sleep(0.1)
    if shop.stock > 0:
        shop.stock -= 1
        bill(shop, customer)
""",
            "A pause is no lock",
        ),
    ),
    probes=(
        Probe(
            source=_ONE_LEFT,
            workers=("seller_1", "seller_2"),
            setup="one_ticket",
            check="one_is_billed",
            judge=_OVERSOLD,
        ),
        Probe(
            source=_TWO_LEFT,
            workers=("seller_1", "seller_2"),
            setup="two_tickets",
            check="both_are_billed",
            judge=_LOST,
        ),
        Probe(
            source=_MEETING,
            workers=("seller_1", "seller_2"),
            setup="two_tickets",
            check="the_bank_was_asked",
            judge=_overlap,
        ),
    ),
    moral="Never sold twice, nobody sent away, and two customers can be billed at once: test and "
    "sale are one step, and nothing slow is in it.",
)
