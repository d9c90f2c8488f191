"""Lock order: every interleaving of small programs that take several locks, walked one by one.

Each arm is ordinary threading code, written below as a student would write it; `labkit.interleave` runs all its
interleavings. So nothing is sampled: equal programs give equal counts, whatever the machine and its load. Two threads
move money between two accounts, three threads round a ring of three. The refactored program is another one: a payment
writes a line to the journal, and an audit writes the balance there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from labkit.model import LOOKS, Experiment, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from threading import Lock

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.model import Json, Machine

_MONEY = 100
_SECONDS_MOST = 8.0  # 1 to 3 s for three threads with try-locks; all others need some 0.1 s
_OPPOSITE, _SAME = "opposite order", "same order"
_BEFORE, _AFTER = "before the refactor", "after the refactor"


# -------------------------------------------------------------------------------------------- the programs explored
class Account:
    """Money, guarded by a lock."""

    def __init__(self, number: int, gate: Lock) -> None:
        """Open an account with 100 on it; all accounts have one gate."""
        self.number, self.money, self.lock, self.gate = number, _MONEY, threading.Lock(), gate


class Bank:
    """Three accounts, and the way in which money is transferred between two of them."""

    def __init__(self, transfer: Callable[[Account, Account], None]) -> None:
        """Open the accounts."""
        gate = threading.Lock()
        self.a, self.b, self.c, self.transfer = Account(1, gate), Account(2, gate), Account(3, gate), transfer


def move(source: Account, target: Account) -> None:
    """Move 1 from the source to the target; the caller holds both locks."""
    source.money -= 1
    target.money += 1


def nested(source: Account, target: Account) -> None:
    """Take the lock of the source, then that of the target."""
    with source.lock, target.lock:
        move(source, target)


def ordered(source: Account, target: Account) -> None:
    """Take the lock of the account with the lower number first."""
    first, second = (source, target) if source.number < target.number else (target, source)
    with first.lock, second.lock:
        move(source, target)


def gated(source: Account, target: Account) -> None:
    """Take the gate before either lock."""
    with source.gate, source.lock, target.lock:
        move(source, target)


def tried(source: Account, target: Account) -> None:
    """Take the second lock only if it is free; else give the first one back, wait, and begin again."""
    while True:
        with source.lock:
            if target.lock.acquire(blocking=False):
                move(source, target)
                target.lock.release()
                return
        time.sleep(0.001)


def a_to_b(bank: Bank) -> None:
    """Transfer from A to B."""
    bank.transfer(bank.a, bank.b)


def b_to_a(bank: Bank) -> None:
    """Transfer from B to A."""
    bank.transfer(bank.b, bank.a)


def b_to_c(bank: Bank) -> None:
    """Transfer from B to C."""
    bank.transfer(bank.b, bank.c)


def c_to_a(bank: Bank) -> None:
    """Transfer from C to A."""
    bank.transfer(bank.c, bank.a)


class Shop:
    """A balance and a journal, each guarded by a lock."""

    def __init__(self) -> None:
        """Open the shop."""
        self.balance, self.balance_lock = _MONEY, threading.Lock()
        self.lines, self.journal_lock = 0, threading.Lock()


def write_line(shop: Shop) -> None:
    """Write a line to the journal."""
    with shop.journal_lock:
        shop.lines += 1


def pay(shop: Shop) -> None:
    """Pay 1, and write a line about it before anyone sees the balance."""
    with shop.balance_lock:
        shop.balance -= 1
        write_line(shop)


def audit_before(shop: Shop) -> int:
    """Read the balance; then write a line about it."""
    with shop.balance_lock:
        seen = shop.balance
    write_line(shop)
    return seen


def audit_after(shop: Shop) -> int:
    """Read the balance, and write a line about it, with no other line in between."""
    with shop.journal_lock:
        with shop.balance_lock:
            seen = shop.balance
        shop.lines += 1
    return seen


# ------------------------------------------------------------------------------------------------------------- arms
def opposite_order(*, threads: int) -> dict[str, Json]:
    """Take the locks in the order of the transfer: A then B, and B then A; with three threads, round the ring."""
    return _explore(_transfers(threads), lambda: Bank(nested), _all_there)


def same_order(*, threads: int) -> dict[str, Json]:
    """Take the lock of the account with the lower number first, in every thread."""
    return _explore(_transfers(threads), lambda: Bank(ordered), _all_there)


def gate_lock(*, threads: int) -> dict[str, Json]:
    """Take the locks in the order of the transfer, and a gate before."""
    return _explore(_transfers(threads), lambda: Bank(gated), _all_there)


def back_off(*, threads: int) -> dict[str, Json]:
    """Take the second lock only if it is free; else give the first one back, wait, and begin again."""
    return _explore(_transfers(threads), lambda: Bank(tried), _all_there)


def before_refactor(*, threads: int) -> dict[str, Json]:
    """Read the balance, let its lock go, and write the line of the journal then; the other threads pay."""
    return _explore([audit_before, pay, pay][:threads], Shop, _all_written)


def after_refactor(*, threads: int) -> dict[str, Json]:
    """Hold the lock of the journal while the balance is read; the other threads pay."""
    return _explore([audit_after, pay, pay][:threads], Shop, _all_written)


def _transfers(threads: int) -> list[Callable[[Bank], None]]:
    return [a_to_b, b_to_a] if threads < 3 else [a_to_b, b_to_c, c_to_a]  # noqa: PLR2004 - a ring takes three


def _all_there(bank: Bank) -> bool:
    return bank.a.money + bank.b.money + bank.c.money == 3 * _MONEY


def _all_written(shop: Shop) -> bool:
    return shop.lines > _MONEY - shop.balance  # one line for each payment, and one of the audit


def _explore(
    functions: Sequence[Callable[..., object]], setup: Callable[[], object], check: Callable[..., bool]
) -> dict[str, Json]:
    """Walk all interleavings and count.

    Raises:
        RuntimeError: If the explorer does not understand a program of this file.
    """
    from labkit.interleave.explore import explore

    found = explore(functions, setup=setup, check=check, seconds_most=_SECONDS_MOST)
    if found.verdict == "cannot check":
        raise RuntimeError(found.reason)
    deadlocks = sum(outcome.traces_count for outcome in found.outcomes if outcome.text == "deadlock")
    return {
        "executions_count": found.executions,
        "schedules_count": round(found.schedules),
        "traces_count": found.traces,
        "deadlocks_count": deadlocks,
        "deadlocked_ratio": deadlocks / max(found.traces, 1),
        "proved_count": int(found.verdict == "proved"),
        "livelock_count": int(found.kind == "livelock"),
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the share of traces that deadlock, one row per program and number of threads."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    artists.left_out(ax, len(table) - len(done), [])
    ax.set(xlabel="interleavings that deadlock (%)", ylabel="the program")
    if done.empty:
        artists.blank(ax)
        return
    counts = sorted(int(count) for count in done["threads"].unique())
    ax.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    rows = [
        _row(arm, runs, f"  {count} threads" if len(counts) > 1 else "")
        for arm in EXPERIMENT.arms
        for count in counts
        if len(runs := done[(done["arm"] == arm) & (done["threads"] == count)])
    ]
    artists.dots(ax, rows)


def _row(arm: str, runs: DataFrame, threads: str) -> artists.Row:
    from labkit import artists

    text = f"deadlock: {_counts(runs)}{threads}" if runs["deadlocks_count"].any() else f"{_proof(runs)}{threads}"
    shares = [100 * float(share) for share in runs["deadlocked_ratio"]]
    return artists.Row(arm, LOOKS[EXPERIMENT.units[arm]], shares, text, hollow=not runs["deadlocks_count"].any())


def _counts(runs: DataFrame) -> str:
    middle = runs[["deadlocks_count", "traces_count"]].median()
    return f"{middle.iloc[0]:g} of {middle.iloc[1]:g}"


def _proof(runs: DataFrame) -> str:
    if not runs["proved_count"].all():
        return "not finished"
    return "livelock instead" if runs["livelock_count"].any() else "proved free"


def expect(machine: Machine) -> list[str]:
    """Say what the explorer finds.

    Args:
        machine: Its interpreter is named, as it makes no difference.
    """
    gil = "has a GIL" if machine.gil else "runs without a GIL"
    return [
        "Two locks in opposite order deadlock in some interleavings, and three in a ring do.",
        "One order for all, and a gate before, are proved to be free of deadlock.",
        "A try-lock that backs off never deadlocks, but may go round for ever: a livelock.",
        "Moving one line, so that a lock is taken earlier, brings a deadlock in.",
        f"Python {machine.python} {gil}, which changes none of this: all interleavings are walked.",
    ]


# ----------------------------------------------------------------------------------------------------------- judges
def _judge_ab_ba(table: DataFrame) -> Verdict:
    return _judge(table, bad=_OPPOSITE, good=_SAME, what="opposite order", other="the same order")


def _judge_refactor(table: DataFrame) -> Verdict:
    return _judge(table, bad=_AFTER, good=_BEFORE, what=_AFTER, other=_BEFORE)


def _judge(table: DataFrame, *, bad: str, good: str, what: str, other: str) -> Verdict:
    """Judge by two programs: the bad one can deadlock, the good one is proved not to. One run of each is enough."""
    done = table[table["ending"] == "finished"]
    runs, beside = done[done["arm"] == bad], done[done["arm"] == good]
    if not len(runs) or not len(beside):
        reason = f"it takes a finished run of '{bad}' and one of '{good}'; there are {len(runs)} and {len(beside)}"
        sentence = f"Whether a program can deadlock ({what}) is not explored yet."
        return Verdict(outcome="cannot be measured here", sentence=sentence, reason=reason)
    least = runs[runs["threads"] == runs["threads"].min()]
    share = float(least["deadlocked_ratio"].median())
    found, free = bool((runs["deadlocks_count"] > 0).all()), bool((beside["proved_count"] == 1).all())
    wrong = bool((runs["proved_count"] == 1).any() or (beside["deadlocks_count"] > 0).any())
    proof = "proved that there is none" if free else "no proof"
    return Verdict(
        outcome="does not hold" if wrong else "holds" if found and free else "too close to call",
        sentence=f"{what.capitalize()}: deadlock in {_counts(least)} interleavings; {other}: {proof}. "
        "They are counted, not sampled, so this is no probability.",
        effect=share,
        low=share,
        high=share,
        unit="share of the interleavings that deadlock, counted",
        runs_count=len(runs) + len(beside),
        reason="" if wrong or (found and free) else "a search was not finished",
    )


EXPERIMENT = Experiment(
    name="lock order",
    question="Which lock orders can stop for ever?",
    source="Deadlocks",
    arms={
        _OPPOSITE: opposite_order,
        _SAME: same_order,
        "gate lock": gate_lock,
        "try-lock, back off": back_off,
        _BEFORE: before_refactor,
        _AFTER: after_refactor,
    },
    units=dict.fromkeys((_OPPOSITE, _SAME, "gate lock", "try-lock, back off", _BEFORE, _AFTER), "thread"),
    sweep={"threads": (2, 3)},
    defaults={"threads": 2},
    columns={
        "executions_count": "executions of the search, without the random ones that check it",
        "schedules_count": "estimate of how many schedules there are without any reduction",
        "traces_count": "interleavings that differ in more than the order of independent steps",
        "deadlocks_count": "of these, those that deadlock",
        "deadlocked_ratio": "share of these that deadlock",
        "proved_count": "1 if all were walked, and none is wrong",
        "livelock_count": "1 if the threads may go round for ever before they end",
    },
    headline="deadlocked_ratio",
    draw=draw,
    expect=expect,
    claims={"deadlock.ab_ba": _judge_ab_ba, "deadlock.refactor": _judge_refactor},
)
