"""Deadlock: two threads move money between two accounts, each guarded by a lock, and some rounds stop for ever.

One round: two new locks, and two new threads that begin together at a barrier and make some transfers each. A transfer
takes its first lock, works for a while (it keeps the processor busy, it does not sleep), and then takes the second. The
main thread watches. A round has deadlocked when each thread holds the lock that the other waits for: a proof, for which
no time has to pass; `labkit.child.circles` says how. The threads of such a round stay frozen until the process ends.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from labkit.child.circles import Board
from labkit.child.emit import emit
from labkit.limits import Limits
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_LOOK_S = 0.02  # between two looks at the round; long, as each look asks for the GIL
_LEAST = 3  # runs: fewer give no interval worth showing
_BAD, _LOOK = "opposite order", LOOKS["thread"]
_HALF, _SEEN, _TIMES = 0.5, 0.1, 10  # shares that decide a verdict, and how far two loads must be apart
_TOTAL = "hold_total_s"
_AXES = {
    "iterations": "transfers of each thread",
    "hold_s": "work while the first lock is held, per transfer",
    "rounds": "rounds in one run",
    "switch_interval_s": "switch interval",
    _TOTAL: "work of one thread while it holds its first lock, in all",
}


class _Round:
    """Two locks, two threads, and what they have done."""

    def __init__(self, hold_s: float) -> None:
        self.locks = (threading.Lock(), threading.Lock())
        self.gate, self.together, self.board = threading.Lock(), threading.Barrier(2), Board(2)
        self.hold_s, self.transfers, self.retries = hold_s, [0, 0], [0, 0]

    def transfer(self, thread: int, first: int, second: int) -> None:
        """Take one lock, work, wait for the other one."""
        with self.locks[first]:
            self.work()
            self.board.waits(thread, (first,), second)
            with self.locks[second]:
                self.board.goes_on(thread)
                self.transfers[thread] += 1

    def try_transfer(self, thread: int, first: int, second: int) -> bool:
        """Take one lock, work, take the other one only if it is free."""
        with self.locks[first]:
            self.work()
            free = self.locks[second].acquire(blocking=False)
            if free:
                self.transfers[thread] += 1
                self.locks[second].release()
        return free

    def work(self) -> None:
        """Keep the processor busy for a while."""
        until = time.perf_counter() + self.hold_s
        while time.perf_counter() < until:
            pass


def opposite_order(*, iterations: int, hold_s: float, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Take the two locks in opposite order: A then B, and B then A."""

    def transfer(this: _Round, thread: int) -> None:
        this.transfer(thread, thread, 1 - thread)

    return _repeat(transfer, iterations, hold_s, rounds, switch_interval_s)


def same_order(*, iterations: int, hold_s: float, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Take A then B, in both threads."""

    def transfer(this: _Round, thread: int) -> None:
        this.transfer(thread, 0, 1)

    return _repeat(transfer, iterations, hold_s, rounds, switch_interval_s)


def gate_lock(*, iterations: int, hold_s: float, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Take the locks in opposite order, and a third lock, the gate, before either."""

    def transfer(this: _Round, thread: int) -> None:
        with this.gate:
            this.transfer(thread, thread, 1 - thread)

    return _repeat(transfer, iterations, hold_s, rounds, switch_interval_s)


def back_off(*, iterations: int, hold_s: float, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Take the locks in opposite order; if the second is taken, give the first back, sleep a random time, try again."""
    from random import random

    def transfer(this: _Round, thread: int) -> None:
        while not this.try_transfer(thread, thread, 1 - thread):
            this.retries[thread] += 1
            time.sleep(random() * 2 * (hold_s + 1e-4))  # noqa: S311 - no secret: it only breaks the step

    return _repeat(transfer, iterations, hold_s, rounds, switch_interval_s)


def _repeat(
    transfer: Callable[[_Round, int], None], iterations: int, hold_s: float, rounds: int, switch_interval_s: float
) -> dict[str, Json]:
    """Play the rounds and add them up."""
    before, cpu_s = sys.getswitchinterval(), time.process_time()
    played: list[tuple[bool, int, int]] = []
    sys.setswitchinterval(switch_interval_s)
    try:
        for number in range(1, rounds + 1):
            this = _Round(hold_s)
            stopped = _play(this, transfer, iterations)
            played.append((stopped, sum(this.transfers), sum(this.retries)))
            emit(
                "note", f"round {number}", f"{'deadlock' if stopped else 'done'} after {sum(this.transfers)} transfers"
            )
    finally:
        sys.setswitchinterval(before)
    cpu_s = time.process_time() - cpu_s
    deadlocked, transfers, retries = (sum(column) for column in zip(*played, strict=True))
    return {
        "deadlocked_count": deadlocked,
        "deadlocked_ratio": deadlocked / rounds,
        "transfers_count": transfers,
        "retries_count": retries,
        _TOTAL: iterations * hold_s,
        "cpu_per_transfer_s": cpu_s / transfers if transfers else None,
    }


def _play(this: _Round, transfer: Callable[[_Round, int], None], iterations: int) -> bool:
    """Play one round; return True if it stopped for ever. A thread that fails is an exception here."""
    failed: list[BaseException] = []

    def repeat(thread: int) -> None:
        try:
            this.together.wait()
            for _ in range(iterations):
                transfer(this, thread)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            failed.append(error)

    threads = [threading.Thread(target=repeat, args=(n,), name=f"thread {n + 1}", daemon=True) for n in (0, 1)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) and not failed:
        if this.board.circle():
            return True
        threads[0 if threads[0].is_alive() else 1].join(_LOOK_S)
    if failed:
        raise failed[0]
    return False


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the share of rounds that deadlock: one row per arm, or lines against what varies, with Wilson intervals."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name != _TOTAL and name in done and len(done[name].unique()) > 1]
    if {"iterations", "hold_s"} <= set(varied):
        done = done.assign(**{_TOTAL: done["iterations"] * done["hold_s"]})
        varied = [_TOTAL, *(name for name in varied if name not in ("iterations", "hold_s"))]
    artists.left_out(ax, len(table) - len(done), [_AXES[name] for name in varied[1:]])
    ax.set(xlabel="rounds that stop for ever (%)", ylabel="two threads take two locks")
    if done.empty:
        artists.blank(ax)
        return
    arms = {arm: rows for arm in EXPERIMENT.arms if len(rows := done[done["arm"] == arm])}
    if varied:
        _draw_lines(ax, arms, varied[0], sorted(done[varied[0]].unique()))
        return
    ax.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    marks = [artists.Row(arm, _LOOK, _share(runs).percent(), _counts(runs), arm != _BAD) for arm, runs in arms.items()]
    artists.dots(ax, marks)


def _draw_lines(ax: Axes, arms: dict[str, DataFrame], x: str, values: list[Json]) -> None:
    from labkit import artists

    ax.set(ylim=(-3, 103), yticks=range(0, 101, 25), xlabel=_AXES[x], ylabel="rounds that stop\nfor ever (%)")
    ax.set_xticks(range(len(values)), [in_words(x, float(value)) for value in values])
    lines = []
    for arm, runs in arms.items():
        at = {float(place): runs[runs[x] == value] for place, value in enumerate(values)}
        points = {place: _share(rows).percent() for place, rows in at.items() if len(rows)}
        lines.append(artists.Line(arm, _LOOK, points, hollow=arm != _BAD, quiet=arm != _BAD))
    artists.lines(ax, lines)


def _share(runs: DataFrame) -> Interval:
    """Give the share of rounds that deadlocked, with its Wilson interval, all runs taken together."""
    from labkit.intervals import wilson

    return wilson(*_rounds(runs))


def _counts(runs: DataFrame) -> str:
    return f"{runs['deadlocked_count'].sum():g} of {runs['rounds'].sum():g} rounds"


def expect(machine: Machine) -> list[str]:
    """Say under which load a deadlock shows on this machine.

    Args:
        machine: Its GIL and its switch interval decide.
    """
    python, interval = f"Python {machine.python}", in_words("_s", machine.switch_interval_s)
    load = (
        f"{python} has a GIL: a waiting thread asks for its turn after {interval}. Threads that are done sooner "
        "hardly ever meet, so a deadlock needs more work than that."
        if machine.gil
        else f"{python} runs without a GIL: both threads run at once, so a deadlock may show with very little work."
    )
    return [
        load,
        "The same order, and a gate lock before both, never deadlock: the threads cannot wait in a circle.",
        "A try-lock with a random back-off never deadlocks either; it pays with transfers that are begun again.",
    ]


def _runs(table: DataFrame) -> DataFrame:
    done = table[table["ending"] == "finished"]
    return done[done["arm"] == _BAD]


def _judge_deadlock(table: DataFrame) -> Verdict:
    """Judge whether two locks in opposite order deadlock at all, by all rounds that were measured."""
    runs = _runs(table)
    if len(runs) < _LEAST:
        reason = f"it takes {_LEAST} finished runs of the arm '{_BAD}', and there are {len(runs)}"
        sentence = "Whether two locks in opposite order deadlock is not measured yet."
        return Verdict(outcome="cannot be measured here", sentence=sentence, runs_count=len(runs), reason=reason)
    (hits, tries), share = _rounds(runs), _share(runs)
    others = table[(table["ending"] == "finished") & (table["arm"] != _BAD)]
    beside = f"; taken in another way, {_counts(others)} did" if len(others) else ""
    few = not hits and share.high > _HALF
    return Verdict(
        outcome="holds" if hits else "too close to call" if few else "does not hold",
        sentence=f"{_counts(runs)} with two locks in opposite order stopped for ever{beside}."
        if hits
        else f"None of {tries} rounds stopped; at most {100 * share.high:.0f} % of such rounds do.",
        effect=share.middle,
        low=share.low,
        high=share.high,
        unit="share of rounds that deadlocked",
        runs_count=len(runs),
        reason="too few rounds" if few else "",
    )


def _judge_load(table: DataFrame) -> Verdict:
    """Judge whether a light load passes where a heavy one deadlocks; load is the work done while the lock is held."""
    from labkit.intervals import difference

    runs = _runs(table)
    if len(runs):
        usual = runs["switch_interval_s"].mode()[0]  # loads are compared under one switch interval only
        runs = runs[runs["switch_interval_s"] == usual]
    loads = sorted(runs[_TOTAL].unique()) if len(runs) else []
    if len(loads) < 2 or loads[-1] < _TIMES * loads[0]:  # noqa: PLR2004 - a comparison needs two
        told = ", ".join(in_words(_TOTAL, float(load)) for load in loads) or "none"
        return _open(f"it takes two loads, one at least {_TIMES} times the other; measured: {told}", len(runs))
    light, heavy = (_share(runs[runs[_TOTAL] == load]) for load in (loads[0], loads[-1]))
    if not heavy.middle and not light.middle:
        return _open("no deadlock showed even at the heaviest load; make it heavier", len(runs))
    words = [
        f"{_counts(runs[runs[_TOTAL] == load])} with {in_words(_TOTAL, float(load))} of work under the first lock"
        for load in (loads[0], loads[-1])
    ]
    effect, low, high = difference(heavy, light)
    seen, clear = light.low > _SEEN, low > 0
    return Verdict(
        outcome="does not hold" if seen or high < 0 else "holds" if clear else "too close to call",
        sentence=f"{words[0]} stopped for ever, and {words[1]}."
        + (" A test with little work sees it, too." if seen else ""),
        effect=effect,
        low=low,
        high=high,
        unit="share of rounds that deadlocked, heavy load less light load",
        runs_count=int(runs[_TOTAL].isin((loads[0], loads[-1])).sum()),
        reason="" if seen or clear or high < 0 else "the interval of the difference contains 0",
    )


def _open(reason: str, count: int) -> Verdict:
    sentence = "Whether the deadlock shows only under load is not measured yet."
    return Verdict(outcome="cannot be measured here", sentence=sentence, reason=reason, runs_count=count)


def _rounds(runs: DataFrame) -> tuple[int, int]:
    return int(runs["deadlocked_count"].sum()), int(runs["rounds"].sum())


EXPERIMENT = Experiment(
    name="deadlock",
    question="How often do two threads with two locks stop for ever?",
    source="Deadlocks",
    arms={
        _BAD: opposite_order,
        "same order": same_order,
        "gate lock": gate_lock,
        "try-lock, back off": back_off,
    },
    units=dict.fromkeys((_BAD, "same order", "gate lock", "try-lock, back off"), "thread"),
    sweep={
        "iterations": (1, 10, 100),
        "hold_s": (0.0, 1e-5, 1e-4, 1e-3),
        "rounds": (5, 10, 20),
        "switch_interval_s": (0.0005, 0.005, 0.05),
    },
    defaults={"iterations": 10, "hold_s": 1e-3, "rounds": 10, "switch_interval_s": 0.005},
    columns={
        "deadlocked_count": "rounds in which each thread waited for the lock that the other held",
        "deadlocked_ratio": "share of the rounds that deadlocked",
        "transfers_count": "transfers made in all rounds, also before a deadlock",
        "retries_count": "transfers begun again because the second lock was taken",
        _TOTAL: "work of one thread while it holds its first lock, in one round",
        "cpu_per_transfer_s": "CPU time of the process per transfer",
    },
    headline="deadlocked_ratio",
    draw=draw,
    expect=expect,
    claims={"memory.deadlock": _judge_deadlock, "deadlock.load_only": _judge_load},
    limits=Limits(deadline_s=20.0),  # the heaviest setting keeps the processor busy for 4 s
)
