"""Dining philosophers: each takes two forks, one after the other, and eats; a fork lies between each two of them.

One dinner: every philosopher is a thread, all begin together at a barrier, and each eats some meals. A meal takes one
fork, works for a while (it keeps the processor busy), takes the other fork, and puts both back. A dinner has deadlocked
when philosophers wait for each other's forks in a circle: a proof, see `labkit.child.circles`. With two seats it is the
deadlock of two locks in opposite order; the more there are, the more must hold their first fork at the same moment.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from labkit.child.circles import Board
from labkit.child.emit import emit
from labkit.model import LOOKS, Experiment
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_LOOK_S = 0.02  # between two looks at the table; long, as each look asks for the GIL
_BAD, _LOOK = "left fork first", LOOKS["thread"]
_AXES = {
    "seats": "seats at the table",
    "meals": "meals of each",
    "hold_s": "work with the first fork, per meal",
    "dinners": "dinners in one run",
}


class _Table:
    """Forks, philosophers, and how many meals each has had."""

    def __init__(self, seats: int, hold_s: float, waiter: Any) -> None:
        self.seats, self.hold_s, self.waiter = seats, hold_s, waiter
        self.forks = [threading.Lock() for _ in range(seats)]
        self.board, self.together, self.eaten = Board(seats), threading.Barrier(seats), [0] * seats
        self.failed: list[BaseException] = []

    def eat(self, seat: int, first: int, second: int) -> None:
        """Take one fork, work, wait for the other one."""
        with self.forks[first]:
            until = time.perf_counter() + self.hold_s
            while time.perf_counter() < until:
                pass
            self.board.waits(seat, (first,), second)
            with self.forks[second]:
                self.board.goes_on(seat)
                self.eaten[seat] += 1

    def dine(self, seat: int, meals: int, first: int, second: int) -> None:
        """Be one philosopher."""
        try:
            self.together.wait()
            for _ in range(meals):
                with self.waiter:
                    self.eat(seat, first, second)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            self.failed.append(error)


def left_first(*, seats: int, meals: int, hold_s: float, dinners: int) -> dict[str, Json]:
    """Let everyone take the left fork first."""
    return _repeat(lambda: _Table(seats, hold_s, nullcontext()), meals, dinners, last_first=False)


def one_right_first(*, seats: int, meals: int, hold_s: float, dinners: int) -> dict[str, Json]:
    """Let one take the right fork first: then all take the fork with the lower number first."""
    return _repeat(lambda: _Table(seats, hold_s, nullcontext()), meals, dinners, last_first=True)


def waiter(*, seats: int, meals: int, hold_s: float, dinners: int) -> dict[str, Json]:
    """Let everyone take the left fork first, and a waiter let all but one eat at a time."""
    return _repeat(lambda: _Table(seats, hold_s, threading.Semaphore(seats - 1)), meals, dinners, last_first=False)


def _repeat(make_table: Callable[[], _Table], meals: int, dinners: int, *, last_first: bool) -> dict[str, Json]:
    """Serve the dinners, each with new forks, and add them up."""
    stopped, eaten, began_s = 0, 0, time.perf_counter()
    for number in range(1, dinners + 1):
        table = make_table()
        pairs = [(seat, (seat + 1) % table.seats) for seat in range(table.seats)]
        pairs[-1] = pairs[-1][::-1] if last_first else pairs[-1]
        stops = _serve(table, meals, pairs)
        stopped, eaten = stopped + stops, eaten + sum(table.eaten)
        emit("note", f"dinner {number}", f"{'deadlock' if stops else 'done'} after {sum(table.eaten)} meals")
    wall_s = time.perf_counter() - began_s
    return {
        "deadlocked_count": stopped,
        "deadlocked_ratio": stopped / dinners,
        "meals_count": eaten,
        "meals_per_s": eaten / wall_s,
    }


def _serve(table: _Table, meals: int, pairs: list[tuple[int, int]]) -> bool:
    """Serve one dinner; return True if it stopped for ever. A thread that fails is an exception here."""
    threads = [
        threading.Thread(target=table.dine, args=(seat, meals, *pair), name=f"seat {seat + 1}", daemon=True)
        for seat, pair in enumerate(pairs)
    ]
    for thread in threads:
        thread.start()
    while (alive := [thread for thread in threads if thread.is_alive()]) and not table.failed:
        if table.board.circle():
            return True
        alive[0].join(_LOOK_S)
    if table.failed:
        raise table.failed[0]
    return False


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the share of dinners that deadlock: one row per arm, or lines against what varies, with Wilson intervals."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name in done and len(done[name].unique()) > 1]
    artists.left_out(ax, len(table) - len(done), [_AXES[name] for name in varied[1:]])
    ax.set(xlabel="dinners that stop for ever (%)", ylabel="the philosophers")
    if done.empty:
        artists.blank(ax)
        return
    arms = {arm: rows for arm in EXPERIMENT.arms if len(rows := done[done["arm"] == arm])}
    if varied:
        _draw_lines(ax, arms, varied[0], sorted(done[varied[0]].unique()))
        return
    ax.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    marks = [
        artists.Row(arm.replace(" the", "\nthe"), _LOOK, _share(runs).percent(), _counts(runs), hollow=arm != _BAD)
        for arm, runs in arms.items()
    ]
    artists.dots(ax, marks)


def _draw_lines(ax: Axes, arms: dict[str, DataFrame], x: str, values: list[Json]) -> None:
    from labkit import artists

    ax.set(ylim=(-3, 103), yticks=range(0, 101, 25), xlabel=_AXES[x], ylabel="dinners that stop\nfor ever (%)")
    ax.set_xticks(range(len(values)), [in_words(x, float(value)) for value in values])
    lines = []
    for arm, runs in arms.items():
        at = {float(place): runs[runs[x] == value] for place, value in enumerate(values)}
        points = {place: _share(rows).percent() for place, rows in at.items() if len(rows)}
        label = arm.replace(" right", "\nright")
        lines.append(artists.Line(label, _LOOK, points, hollow=arm != _BAD, quiet=arm != _BAD))
    artists.lines(ax, lines)


def _share(runs: DataFrame) -> Interval:
    """Give the share of dinners that deadlocked, with its Wilson interval, all runs taken together."""
    from labkit.intervals import wilson

    return wilson(int(runs["deadlocked_count"].sum()), int(runs["dinners"].sum()))


def _counts(runs: DataFrame) -> str:
    return f"{runs['deadlocked_count'].sum():g} of {runs['dinners'].sum():g} dinners"


def expect(machine: Machine) -> list[str]:
    """Say which tables stop on this machine.

    Args:
        machine: Its GIL and its switch interval decide.
    """
    python, interval = f"Python {machine.python}", in_words("_s", machine.switch_interval_s)
    return [
        f"{python} has a GIL: it takes more work than {interval} of each philosopher for the forks to be contended."
        if machine.gil
        else f"{python} runs without a GIL: all philosophers reach for their forks at once.",
        "If everyone takes the left fork first, a dinner can stop for ever.",
        "One who takes the right fork first, or a waiter who lets all but one eat, makes that impossible.",
    ]


EXPERIMENT = Experiment(
    name="philosophers",
    question="How often does a table of philosophers stop for ever?",
    source="Deadlocks",
    arms={_BAD: left_first, "one takes the right first": one_right_first, "waiter": waiter},
    units=dict.fromkeys((_BAD, "one takes the right first", "waiter"), "thread"),
    sweep={"seats": (2, 3, 5, 8), "meals": (1, 10, 30), "hold_s": (0.0, 1e-4, 1e-3), "dinners": (5, 10)},
    defaults={"seats": 5, "meals": 10, "hold_s": 1e-3, "dinners": 5},
    columns={
        "deadlocked_count": "dinners at which philosophers waited for each other in a circle",
        "deadlocked_ratio": "share of the dinners that deadlocked",
        "meals_count": "meals eaten at all dinners, also before a deadlock",
        "meals_per_s": "meals per second, of all philosophers together",
    },
    headline="deadlocked_ratio",
    draw=draw,
    expect=expect,
    claims={},
)
