"""Exercise: code that only the GIL keeps right. Rule: explored twice, with the switches of a GIL build and with all.

Builds with a GIL of 3.10 and later were seen to switch threads at calls, at the end of a loop's round, at `with` and
where a thread waits; the lesson measures that. All of these together is more than any one of them allows, so an answer
that is right there is right on each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["EXERCISE"]

_CALLS = ("builtin", "call", "print", "sleep", "with")
_WITH_A_GIL = (*_CALLS, "loop")
_GIVEN = """\
import threading


class Account:
    def __init__(self):
        self.balance = 100
        self.lock = threading.Lock()


def fee(amount):
    return 1 if amount < 50 else 2
"""
_STUB = """\
def pay(account, amount):
    with account.lock:
        account.balance -= amount + fee(amount)
"""
_SOLUTION = """\
def pay(account, amount):
    cost = amount + fee(amount)
    account.balance -= cost
"""
_IN_ORDER = """\
asked = []


def fee(amount):
    asked.append(amount)
    return amount // 10


def two_accounts():
    return [Account(), Account()]


def one_after_the_other(accounts):
    pay(accounts[0], 10)
    pay(accounts[0], 40)
    pay(accounts[1], 60)


def all_is_paid(accounts):
    paid = [account.balance for account in accounts] == [45, 34] and asked == [10, 40, 60]
    return paid and not any(account.lock.locked() for account in accounts)
"""
_TOGETHER = """\
def payer_1(account):
    pay(account, 10)


def payer_2(account):
    pay(account, 60)


def both_have_paid(account):
    return account.balance == 27
"""


def _waits(result: Result) -> bool:
    return result.kind == "deadlock"


_ALONE = checks.judge(
    (
        _waits,
        "One payment after the other stops for ever: it waits for something that nobody brings.",
    ),
    otherwise=(
        "One payment after the other must take amount and fee off the balance, ask `fee` once each, and leave the lock "
        "free. That needs no second thread: mend it first."
    ),
)
_AT_CALLS = checks.judge(
    (
        checks.blind,
        "A payment is left out, with a GIL as well: the lock was not free, at once or in time, and `pay` went on.",
    ),
    (
        checks.slept,
        (
            "It fails with a GIL as well: a thread that sleeps gives the GIL away, and this one sleeps between reading "
            "and writing."
        ),
    ),
    (
        _waits,
        "They stop for ever, with a GIL as well. Money is to be lost, and only where a switch may come anywhere.",
    ),
    (
        checks.no_lock,
        (
            "It fails with a GIL as well: between reading the balance (line {read}) and writing it (line {write}) "
            "something is called, and where a function is called, threads are switched."
        ),
    ),
    otherwise=(
        "It fails with a GIL as well: you take or give back a lock between reading the balance and writing it, and "
        "there threads are switched. Do without."
    ),
)
_AT_LOOPS = checks.judge(
    otherwise=(
        "It fails with a GIL as well: a loop goes round between reading the balance and writing it, and at the end of "
        "a round threads are switched."
    ),
)


def _anywhere(result: Result) -> str:
    if result.kind is None:
        return (
            "Not broken: wherever a switch comes, no money is lost. Something keeps the two apart, as a lock does. Do "
            "without it, and look where `fee` is called."
        )
    if result.kind in {"wrong result", "exception"}:
        return ""
    return "They stop, or go round for ever, where a switch may come anywhere. Let money be lost instead."


EXERCISE = Exercise(
    id="not-your-lock",
    title="Break what only the GIL keeps right",
    kind="break it",
    minutes=10,
    task=(
        "A colleague says: we have the GIL, so `pay` needs no lock. Write `pay(account, amount)`, which asks "
        "`fee(amount)` once and takes both off `account.balance`, so that all his tests pass and he is still wrong: "
        "two threads lose nothing while a switch comes only at calls, loops and waits, as with a GIL; they lose money "
        "where it may come anywhere."
    ),
    given=_GIVEN,
    names=("pay",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "Without the lock, `account.balance -= amount + fee(amount)` reads, calls and writes. In which order?",
        "With a GIL a switch comes at the call of `fee`. Where must that stand to do no harm?",
        "Work the cost out first, into a variable of its own; then `account.balance -= cost`, without a lock.",
    ),
    wrong=(
        WrongAnswer(
            "only the lock is gone",
            """\
def pay(account, amount):
    account.balance -= amount + fee(amount)
""",
            "something is called",
        ),
        WrongAnswer(
            "still locked",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    account.lock.acquire()
    account.balance -= cost
    account.lock.release()
""",
            "Not broken",
            shown=False,
        ),
        WrongAnswer(
            "a loop between reading and writing",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    left = account.balance
    while cost:
        left, cost = left - 1, cost - 1
    account.balance = left
""",
            "a loop goes round",
        ),
        WrongAnswer(
            "a sleep between reading and writing",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    left = account.balance - cost
    time.sleep(0.01)
    account.balance = left
""",
            "a thread that sleeps",
        ),
        WrongAnswer(
            "the fee is left out",
            """\
def pay(account, amount):
    account.balance -= amount
""",
            "ask `fee` once",
            shown=False,
        ),
        WrongAnswer(
            "the lock is not given back",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    account.lock.acquire()
    account.balance -= cost
""",
            "waits for itself",
        ),
        WrongAnswer(
            "only the read is locked",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    with account.lock:
        left = account.balance
    left -= cost
    with account.lock:
        account.balance = left
""",
            "you take or give back a lock",
        ),
        WrongAnswer(
            "a try-lock that does not pay",
            """\
def pay(account, amount):
    cost = amount + fee(amount)
    if account.lock.acquire(blocking=False):
        account.balance -= cost
        account.lock.release()
""",
            "A payment is left out",
        ),
    ),
    probes=(
        Probe(
            source=_IN_ORDER,
            workers=("one_after_the_other",),
            setup="two_accounts",
            check="all_is_paid",
            judge=_ALONE,
        ),
        Probe(
            source=_TOGETHER,
            workers=("payer_1", "payer_2"),
            setup="Account",
            check="both_have_paid",
            switch_points=_CALLS,
            judge=_AT_CALLS,
        ),
        Probe(
            source=_TOGETHER,
            workers=("payer_1", "payer_2"),
            setup="Account",
            check="both_have_paid",
            switch_points=_WITH_A_GIL,
            judge=_AT_LOOPS,
        ),
        Probe(
            source=_TOGETHER,
            workers=("payer_1", "payer_2"),
            setup="Account",
            check="both_have_paid",
            judge=_anywhere,
        ),
    ),
    moral="You broke it, and no test on a build with a GIL tells: what keeps it right there is where that interpreter "
    "happens to switch threads, and no promise of the language.",
)
