"""Printing: a print that is put in to find a lost update makes it come, or go.

One round: two threads begin together and add 1 to one counter, 50 times each; a wrong total shows the bug. Every print
is flushed at once, as it is when it goes to a terminal: that is a call of the system, at which a thread lets the other
one go on. Inside the window between read and write it brings the switch that the bug needs. After the write it brings
the switch at a harmless place, and the thread is back in the queue before the interpreter would interrupt a window.

All arms run the same loop, and differ in a flag. "read, work, write" keeps the processor busy for 0.2 ms in the window.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import in_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_ADDITIONS = 50  # of each thread in one round
_THREADS = 2
_WORK_S = {"read, write": 0.0, "read, work, write": 0.0002}
_LEAST = 3  # runs: fewer give no interval worth showing
_SMALL = 0.25  # a difference of shares that is surely below this is none
_NONE, _INSIDE, _AFTER = "no print", "print inside the window", "print after the write"
_AXES = {"body": "body of the loop", "rounds": "rounds in one run"}


class _Counter:
    """One counter at 0, and the loop that adds to it."""

    def __init__(self, work_s: float, *, inside: bool, after: bool) -> None:
        self.value, self.printed, self.together = 0, [0] * _THREADS, threading.Barrier(_THREADS)
        self.work_s, self.inside, self.after = work_s, inside, after

    def add(self, thread: int) -> None:
        """Add from one thread."""
        self.together.wait()
        for _ in range(_ADDITIONS):
            seen = self.value
            if self.work_s:
                until = time.perf_counter() + self.work_s
                while time.perf_counter() < until:
                    pass
            if self.inside:
                print(seen, flush=True)
                self.printed[thread] += 1
            self.value = seen + 1
            if self.after:
                print(seen, flush=True)
                self.printed[thread] += 1


def no_print(*, body: str, rounds: int) -> dict[str, Json]:
    """Add without a print."""
    return _repeat(body, rounds, inside=False, after=False)


def print_inside(*, body: str, rounds: int) -> dict[str, Json]:
    """Print what was read before writing it back."""
    return _repeat(body, rounds, inside=True, after=False)


def print_after(*, body: str, rounds: int) -> dict[str, Json]:
    """Print what was read after the new value has been written."""
    return _repeat(body, rounds, inside=False, after=True)


def _repeat(body: str, rounds: int, *, inside: bool, after: bool) -> dict[str, Json]:
    """Play the rounds, each with a new counter, and add them up."""
    lost, printed, added = [], 0, _THREADS * _ADDITIONS
    for _ in range(rounds):
        counter = _Counter(_WORK_S[body], inside=inside, after=after)
        threads = [threading.Thread(target=counter.add, args=(n,)) for n in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lost.append(added - counter.value)
        printed += sum(counter.printed)
    with_loss = sum(count > 0 for count in lost)
    return {
        "rounds_with_loss_count": with_loss,
        "rounds_with_loss_ratio": with_loss / rounds,
        "added_count": added * rounds,
        "lost_count": sum(lost),
        "lost_ratio": sum(lost) / (added * rounds),
        "printed_count": printed,
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the share of rounds with a wrong total: one row per place of the print, and body if it varies."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name in done and len(done[name].unique()) > 1]
    artists.left_out(ax, len(table) - len(done), [_AXES[name] for name in varied if name != "body"])
    ax.set(xlabel="rounds with a wrong total (%)", ylabel="body of the loop" if "body" in varied else "the print")
    if done.empty:
        artists.blank(ax)
        return
    ax.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    found = {
        (body, arm): rows
        for body in _WORK_S
        for arm in EXPERIMENT.arms
        if len(rows := done[(done["body"] == body) & (done["arm"] == arm)])
    }
    artists.dots(ax, [_row(arm, body if "body" in varied else "", rows) for (body, arm), rows in found.items()])


def _row(arm: str, body: str, rows: DataFrame) -> artists.Row:
    from labkit import artists

    text = f"{rows['rounds_with_loss_count'].sum():g} of {rows['rounds'].sum():g}"
    label, text = (
        (body.replace(", w", ",\nw"), f"{text}  {arm}") if body else (arm.replace(" the", "\nthe"), f"{text} rounds")
    )
    return artists.Row(label, LOOKS[EXPERIMENT.units[arm]], _share(rows).percent(), text, hollow=arm != _NONE)


def _share(rows: DataFrame) -> Interval:
    """Give the share of rounds with a loss, with its Wilson interval, all runs taken together."""
    from labkit.intervals import wilson

    return wilson(int(rows["rounds_with_loss_count"].sum()), int(rows["rounds"].sum()))


def expect(machine: Machine) -> list[str]:
    """Say what a print does to the bug on this machine.

    Args:
        machine: Its GIL and its switch interval decide.
    """
    python, interval = f"Python {machine.python}", in_words("_s", machine.switch_interval_s)
    told = (
        [
            f"{python} has a GIL: 'read, write' is done long before {interval} are over, and loses nothing unprinted.",
            "A print inside the window brings the loss.",
            "'read, work, write' loses without a print. A print after the write hides that, or nearly.",
        ]
        if machine.gil
        else [
            f"{python} runs without a GIL: both threads run at once, so additions may vanish with and without a print.",
            "A print after the write need not help: nothing keeps two windows apart.",
        ]
    )
    return [*told, "None of this mends anything: the print moves the moment at which threads change."]


def _judge_debug(table: DataFrame) -> Verdict:
    """Judge, as a proxy for 'hard to debug', whether a print changes how often the bug shows."""
    from labkit.intervals import difference

    done, found = table[table["ending"] == "finished"], []
    for body in _WORK_S:
        runs = (
            {arm: done[(done["arm"] == arm) & (done["body"] == body)] for arm in EXPERIMENT.arms} if len(done) else {}
        )
        enough = {arm: rows for arm, rows in runs.items() if len(rows) >= _LEAST}
        found += [(body, arm, enough[_NONE], rows) for arm, rows in enough.items() if _NONE in enough and arm != _NONE]
    if not found:
        reason = (
            f"it takes {_LEAST} finished runs without a print and {_LEAST} with one, with the same body of the loop"
        )
        sentence = "Whether a print changes how often the bug shows (a proxy for 'hard to debug') is not measured yet."
        return Verdict(outcome="cannot be measured here", sentence=sentence, reason=reason)
    changes = [difference(_share(beside), _share(without)) for _, _, without, beside in found]
    best = max(changes, key=lambda change: abs(change.middle))
    clear, small = best.low > 0 or best.high < 0, all(max(-one.low, one.high) < _SMALL for one in changes)
    told = [
        f"with '{body}', {_counts(pairs[0][0])} without a print"
        + "".join(f", {_counts(beside)} with a {arm}" for _, beside, arm in pairs)
        for body in _WORK_S
        if (pairs := [(without, beside, arm) for one, arm, without, beside in found if one == body])
    ]
    return Verdict(
        outcome="holds" if clear else "does not hold" if small else "too close to call",
        sentence=f"Rounds with a wrong total, as a proxy for 'hard to debug': {'; '.join(told)}.",
        effect=best.middle,
        low=best.low,
        high=best.high,
        unit="change of the share of rounds with a wrong total that a print makes",
        runs_count=len(set().union(*(rows.index for _, _, *pair in found for rows in pair))),
        reason="" if clear or small else "the interval of the change contains 0; it takes more rounds",
    )


def _counts(rows: DataFrame) -> str:
    return f"{rows['rounds_with_loss_count'].sum():g} of {rows['rounds'].sum():g}"


EXPERIMENT = Experiment(
    name="printing",
    question="Does a print show the bug, or move it?",
    source="Thread lifecycle",
    arms={_NONE: no_print, _INSIDE: print_inside, _AFTER: print_after},
    units=dict.fromkeys((_NONE, _INSIDE, _AFTER), "thread"),
    sweep={"body": tuple(_WORK_S), "rounds": (5, 10, 20)},
    defaults={"body": "read, write", "rounds": 10},
    columns={
        "rounds_with_loss_count": "rounds with a wrong total",
        "rounds_with_loss_ratio": "share of the rounds with a wrong total",
        "added_count": "additions that the threads made together",
        "lost_count": "additions that did not reach the counter",
        "lost_ratio": "share of the additions that did not reach the counter",
        "printed_count": "lines printed",
    },
    headline="rounds_with_loss_ratio",
    draw=draw,
    expect=expect,
    claims={"thread.hard_to_debug": _judge_debug},
)
