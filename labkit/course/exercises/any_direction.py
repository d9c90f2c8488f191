"""Exercise: transfers in any direction, without a lock for all. Rule: stub, solution, wrong answers, check together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["EXERCISE"]

_GIVEN = """\
import threading
import time


class Account:
    def __init__(self, number):
        self.number, self.balance = number, 100
        self.lock = threading.Lock()


def book(source, target):
    # writes both balances to a disk: takes long, and both accounts must be locked
    time.sleep(0)
"""
_STUB = """\
def transfer(source, target, amount):
    with source.lock, target.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
"""
_SOLUTION = """\
def transfer(source, target, amount):
    first, second = sorted((source, target), key=lambda account: account.number)
    with first.lock, second.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
"""
_TWO = 2
_THERE_AND_BACK = """\
sums = []


class Bank:
    def __init__(self):
        self.ann, self.bob = Account(8), Account(5)


def there(bank):
    transfer(bank.ann, bank.bob, 10)


def back(bank):
    transfer(bank.bob, bank.ann, 30)


def book(source, target):
    sums.append(source.balance + target.balance)


def nothing_is_lost(bank):
    return (bank.ann.balance, bank.bob.balance) == (120, 80) and sums == [200, 200]
"""
_ROUND = """\
changed_meanwhile = []


class Bank:
    def __init__(self):
        self.ann, self.bob, self.cem = Account(1), Account(2), Account(3)


def ann_to_bob(bank):
    transfer(bank.ann, bank.bob, 10)


def bob_to_cem(bank):
    transfer(bank.bob, bank.cem, 10)


def cem_to_ann(bank):
    transfer(bank.cem, bank.ann, 10)


def book(source, target):
    first_look = source.balance, target.balance
    if (source.balance, target.balance) != first_look:
        changed_meanwhile.append(source.number)


def all_have_as_before(bank):
    balances = [one.balance for one in (bank.ann, bank.bob, bank.cem)]
    return balances == [100, 100, 100] and not changed_meanwhile
"""
_APART = """\
both_in_book = threading.Barrier(2)


class Bank:
    def __init__(self):
        self.ann, self.bob, self.cem, self.dora, self.eve = [Account(number) for number in (1, 2, 3, 4, 5)]


def ann_to_bob(bank):
    transfer(bank.ann, bank.bob, 10)


def bob_to_cem(bank):
    transfer(bank.bob, bank.cem, 10)


def dora_to_eve(bank):
    transfer(bank.dora, bank.eve, 10)


def book(source, target):
    # the first and the last have no account in common: each goes on when the other one is in here as well
    if {source.number, target.number} != {2, 3}:
        both_in_book.wait()
"""


def _by_balance(result: Result) -> bool:
    """A thread of the circle looked at both balances before it took its first lock."""
    for thread, *_ in result.blocked:
        own = [step for step in result.witness if step.thread == thread]
        before = own[: next((at for at, step in enumerate(own) if step.kind == "acquire"), len(own))]
        seen = {step.name for step in before if step.kind == "read" and step.name.endswith("balance")}
        if len(seen) == _TWO:
            return checks.circle(result)
    return False


def _one_only(result: Result) -> bool:
    """No thread of the witness ever holds two locks."""
    return all(len(checks.held(result, index)) < _TWO for index in range(len(result.witness)))


def _source_only(result: Result) -> bool:
    """No thread ever holds two locks, and each that it takes belongs to an account."""
    taken = [step.name for step in result.witness if step.kind == "acquire"]
    return _one_only(result) and all(name.endswith(".lock") for name in taken)


def _one_after_the_other(result: Result) -> bool:
    """No thread ever holds two locks, and some thread takes two."""
    taken = [step.thread for step in result.witness if step.kind == "acquire"]
    return _one_only(result) and any(taken.count(thread) > 1 for thread in taken)


_PAIR = checks.judge(
    (
        _by_balance,
        (
            "The order depends on the balances: `there` and `back` compare them before they hold a lock, and may "
            "see different ones, or equal ones. Order by something that never changes."
        ),
    ),
    (
        checks.circle,
        (
            "They stop for ever: `there` holds Ann's lock and waits for Bob's, `back` holds Bob's and waits for "
            "Ann's. The order still depends on who pays whom."
        ),
    ),
    (
        checks.in_turn,
        "One transfer after the other must move the money and call `book` once, and does not. Mend that first.",
    ),
    (checks.blind, "A transfer was left out: a lock was not free, at once or in time, and the money never moved."),
    (checks.no_lock, "Without locks nothing stops, and money is lost: both transfers change the same balances."),
    (
        _one_after_the_other,
        (
            "No thread stops, but the two accounts are locked one after the other: in between, the money is in "
            "neither, and `book` writes a wrong sum. Both locks must be held together."
        ),
    ),
    (
        _source_only,
        "Only one of the two accounts is locked: the other one's balance is changed by both transfers at once.",
    ),
    (
        checks.own_locks,
        "Each transfer takes locks that no other one takes, so they keep nobody out, and money is lost.",
    ),
    otherwise="Money is lost, or `book` writes a wrong sum: see in the schedule below who changes what unlocked.",
)
_CIRCLE = checks.judge(
    (
        checks.circle,
        "Two accounts are safe now, three are not: each transfer holds what the next one waits for, all the way round.",
    ),
    otherwise=(
        "With three transfers in a circle money is lost, or moves while `book` writes: some account is not locked "
        "until `book` is done."
    ),
)


_OVERLAP = checks.judge(
    (
        checks.overlocked,
        (
            "Nothing is lost, but too much is locked: `ann_to_bob` and `dora_to_eve` have no account in common, and "
            "one waits until the other one has left `book`. One lock for all, and the whole bank queues. In the "
            "schedule below `book` waits until both are in it, for ever."
        ),
    ),
    otherwise=(
        "Nothing is lost, but who waits for an account holds up the whole bank: `bob_to_cem` waits for Bob's and keeps "
        "the gate, a lock that all need, so `dora_to_eve` queues behind it, with no account in common. Wait for "
        "an account only while you hold nothing but accounts."
    ),
)


EXERCISE = Exercise(
    id="any-direction",
    title="Transfer in any direction",
    kind="fix the bug",
    minutes=8,
    task="Threads call `transfer(source, target, amount)` for any two different accounts, in any direction. No thread "
    "may stop for ever, no money may be lost, and both accounts stay locked while `book` writes. Transfers that have "
    "no account in common must be able to be in `book` at the same time.",
    given=_GIVEN,
    names=("transfer",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "Ann pays Bob while Bob pays Ann. Which lock does each of the two take first?",
        "The order of the locks must not depend on who pays whom. What about an account never changes?",
        "Take the lock of the account with the smaller `number` first, whether it pays or is paid.",
    ),
    wrong=(
        WrongAnswer(
            "target first",
            """\
def transfer(source, target, amount):
    with target.lock, source.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "The order still depends on who pays whom",
        ),
        WrongAnswer(
            "one lock for the whole bank",
            """\
gate = threading.Lock()


def transfer(source, target, amount):
    with gate:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "too much is locked",
        ),
        WrongAnswer(
            "sorted by balance",
            """\
def transfer(source, target, amount):
    first, second = sorted((source, target), key=lambda a: a.balance)
    with first.lock, second.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "The order depends on the balances",
        ),
        WrongAnswer(
            "one account after the other",
            """\
def transfer(source, target, amount):
    with source.lock:
        source.balance -= amount
    with target.lock:
        target.balance += amount
    book(source, target)
""",
            "locked one after the other",
        ),
        WrongAnswer(
            "only the source is locked",
            """\
def transfer(source, target, amount):
    with source.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "Only one of the two accounts",
        ),
        WrongAnswer(
            "a try-lock that leaves the transfer out",
            """\
def transfer(source, target, amount):
    with source.lock:
        if target.lock.acquire(blocking=False):
            source.balance -= amount
            target.balance += amount
            book(source, target)
            target.lock.release()
""",
            "A transfer was left out",
        ),
        WrongAnswer(
            "a try-lock that tries for ever",
            """\
def transfer(source, target, amount):
    while True:
        with source.lock:
            if target.lock.acquire(blocking=False):
                source.balance -= amount
                target.balance += amount
                book(source, target)
                target.lock.release()
                return
""",
            "gives way and tries again",
        ),
        WrongAnswer(
            "locks made in the function",
            """\
def transfer(source, target, amount):
    with threading.Lock(), threading.Lock():
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "keep nobody out",
        ),
        WrongAnswer(
            "only the smaller number is locked",
            """\
def transfer(source, target, amount):
    first = min(source, target, key=lambda a: a.number)
    with first.lock:
        source.balance -= amount
        target.balance += amount
        book(source, target)
""",
            "some account is not locked until",
        ),
        WrongAnswer(
            "a gate around taking both locks",
            """\
gate = threading.Lock()


def transfer(source, target, amount):
    with gate:
        source.lock.acquire()
        target.lock.acquire()
    source.balance -= amount
    target.balance += amount
    book(source, target)
    source.lock.release()
    target.lock.release()
""",
            "holds up the whole bank",
        ),
    ),
    probes=(
        Probe(source=_THERE_AND_BACK, workers=("there", "back"), setup="Bank", check="nothing_is_lost", judge=_PAIR),
        Probe(
            source=_ROUND,
            workers=("ann_to_bob", "bob_to_cem", "cem_to_ann"),
            setup="Bank",
            check="all_have_as_before",
            judge=_CIRCLE,
        ),
        Probe(source=_APART, workers=("ann_to_bob", "bob_to_cem", "dora_to_eve"), setup="Bank", judge=_OVERLAP),
    ),
    moral="No circle can close, and no transfer waits for others with which it has no account in common: one order for "
    "all locks is the simplest way to get both.",
)
