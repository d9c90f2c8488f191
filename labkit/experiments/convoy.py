"""Convoy: how late a short sleep wakes beside workers that compute, in the same interpreter or in others.

One worker sleeps for 1 ms, again and again; the others compute for 0.15 s. All are of one kind: threads of one
interpreter, forked processes, or subinterpreters. Who wakes needs a core, and then the GIL, if others share his.
Their holder lets go when somebody has waited for a switch interval; then one of those who wait gets it. So beside k
busy threads it takes k intervals in the mean. The median is less, and tells less: it hardly grows with k.

A sleep after which the thread went to sleep once more has waited for the GIL. That is counted apart from what a busy
machine adds. Before Python 3.12 subinterpreters share a GIL, and who waits in one of them cannot make a thread of
another one let go: he waits until the busy ones are done.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from labkit.child import rounds
from labkit.child.busy import sleeps
from labkit.child.gil import OWN_GIL
from labkit.model import LOOKS, Experiment
from labkit.units import in_words
from labkit.versions import age, free_threaded, numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.model import Json, Machine

_ROUND_S, _SLEEP_S = 0.15, 0.001
_SETTLE_S = 0.02  # before the round: the sleeper has begun to sleep when the others begin to compute
_SLEEPER = "worker 1"
_SPINS = 500  # of a busy worker between two looks at the clock: some 10 us
_LATE = "a sleep of 1 ms\nends late by (ms)"
_X = {  # what varies -> column of the x axis, factor, and what stands below
    ("busy",): ("busy", 1, "busy workers"),
    ("switch_interval_s",): ("switch_interval_s", 1000, "switch interval (ms)"),
    ("busy", "switch_interval_s"): ("product_ms", 1, "busy workers x switch interval (ms)"),
}


def share(name: str, wait: Callable[[], int], *, switch_interval_s: float) -> list[float]:
    """Be one worker of a round: worker 1 sleeps, and every other computes until the round ends.

    Returns:
        Of the sleeper the columns, in their order; of the others nothing.
    """
    sys.setswitchinterval(switch_interval_s)  # an interpreter with a GIL of its own has an interval of its own
    slept = sleeps()
    before = slept()
    stop_ns = wait()
    busy_ns = stop_ns - int(_ROUND_S * 1e9)
    if name == _SLEEPER and time.monotonic_ns() >= stop_ns:  # the wait at the barrier has not ended in all that time
        return [_ROUND_S, _ROUND_S if slept() > before + 1 else 0.0, _ROUND_S, 0]
    if name == _SLEEPER:
        return _sleep(busy_ns, stop_ns, slept)
    time.sleep(max(0, busy_ns - time.monotonic_ns()) / 1e9)
    while time.monotonic_ns() < stop_ns:
        for _ in range(_SPINS):
            pass
    return []


def _sleep(busy_ns: int, stop_ns: int, slept: Callable[[], int]) -> list[float]:
    """Sleep again and again while the others are busy, and add up how late each sleep ends.

    The last one is cut off when they stop: it adds its lateness so far, and no wake-up. So the mean holds also for few.
    """
    woke_ns, late_s, for_gil_s, worst_s, woke_up = 0, 0.0, 0.0, 0.0, 0
    while woke_ns < stop_ns:
        before, began_ns = slept(), time.monotonic_ns()
        time.sleep(_SLEEP_S)
        woke_ns = time.monotonic_ns()
        if woke_ns < busy_ns:
            continue
        one_s = max(0.0, (min(woke_ns, stop_ns) - began_ns) / 1e9 - _SLEEP_S)
        late_s += one_s
        for_gil_s += one_s if slept() > before + 1 else 0.0
        worst_s = max(worst_s, one_s)
        woke_up += woke_ns < stop_ns
    return [late_s / max(1, woke_up), for_gil_s / max(1, woke_up), worst_s, woke_up]


def threads(*, busy: int, switch_interval_s: float) -> dict[str, Json]:
    """Sleep beside busy threads of the same interpreter."""
    return _play("threads", busy, switch_interval_s)


def processes(*, busy: int, switch_interval_s: float) -> dict[str, Json]:
    """Sleep beside busy processes, all of them forked."""
    return _play("processes", busy, switch_interval_s)


def subinterpreters(*, busy: int, switch_interval_s: float) -> dict[str, Json]:
    """Sleep in one subinterpreter beside busy ones, each in a thread of the same process."""
    return _play("subinterpreters", busy, switch_interval_s)


def _play(way: str, busy: int, switch_interval_s: float) -> dict[str, Json]:
    """Play one round, and return what its sleeper tells."""
    params, before = {"switch_interval_s": switch_interval_s}, sys.getswitchinterval()
    try:
        told = rounds.play(way, share, params, workers=1 + busy, duration_s=_SETTLE_S + _ROUND_S)
    finally:
        sys.setswitchinterval(before)
    (found,) = (one for one in told if one)
    return dict(zip(EXPERIMENT.columns, found, strict=True))


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw how late a sleep ends: one row per arm and interpreter, or lines against what varies."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = tuple(name for name in EXPERIMENT.sweep if name in done and len(done[name].unique()) > 1)
    artists.left_out(ax, artists.unfinished(table), [])
    ax.set(xlabel=_LATE.replace("\n", " "), ylabel="workers")
    if done.empty:
        artists.blank(ax)
        return
    done = done.assign(late_ms=1000 * done["late_s"], product_ms=1000 * done["busy"] * done["switch_interval_s"])
    artists.log_axis(ax, ax.yaxis if varied else ax.xaxis, [*done["late_ms"], *done["product_ms"]])
    if varied:
        _draw_lines(ax, done, *_X[varied])
        return
    artists.dots(ax, [_row(rows) for rows in _parts(done)])
    busy, interval_s = (done[name].iloc[0] for name in EXPERIMENT.sweep)
    artists.border(ax, "x", 1000 * busy * interval_s, f"{busy} busy x {in_words('_s', float(interval_s))}")


def _parts(done: DataFrame) -> list[DataFrame]:
    """Split the runs by arm and interpreter, and name each part as the picture does."""
    parts = []
    several = len(done["python"].unique()) > 1
    for arm in EXPERIMENT.arms:
        runs = done[done["arm"] == arm]
        for python in sorted(runs["python"].unique(), key=age):
            name = f" {python}" if several else ""
            parts.append(runs[runs["python"] == python].assign(version=name, free=free_threaded(python)))
    return parts


def _row(rows: DataFrame) -> artists.Row:
    from labkit import artists

    first, values = rows.iloc[0], [float(ms) for ms in rows["late_ms"]]
    least, middle = "" if rows["wakeups_count"].median() else "at least ", float(rows["late_ms"].median())
    text = f"{least}{middle:.{2 if middle < 99.5 else 3}g} ms {first['version']}"  # noqa: PLR2004 - rounds to 100
    return artists.Row(first["arm"], LOOKS[EXPERIMENT.units[first["arm"]]], values, text.rstrip(), hollow=first["free"])


def _draw_lines(ax: Axes, done: DataFrame, name: str, factor: float, words: str) -> None:
    """Draw one line per arm and interpreter; beside them how late one GIL for all makes a sleep, dotted."""
    from labkit import artists

    done = done.assign(x=[float(f"{factor * x:.4g}") for x in done[name]])  # 2 x 0.5 ms and 1 ms are one place
    places = {x: float(place) for place, x in enumerate(sorted(done["x"].unique()))}
    expected = [float(done[done["x"] == x]["product_ms"].iloc[0]) for x in places]
    ax.set(xlabel=words, ylabel=_LATE)
    ax.set_xticks(list(places.values()), [f"{x:g}" for x in places])
    ax.plot(list(places.values()), expected, ":", color="0.35", linewidth=2)
    ax.annotate(
        "dotted: busy x interval",
        (places[max(places)], expected[-1]),
        xytext=(-6, -62),
        textcoords="offset points",
        ha="right",
        va="top",
        color="0.35",
        fontsize=12,
    )
    never = done[done["wakeups_count"] == 0]
    if len(never):
        artists.border(ax, "y", float(never["late_ms"].median()), "no wake-up at all")
    series = []
    for rows in _parts(done):
        first = rows.iloc[0]
        points = {places[x]: [float(ms) for ms in one["late_ms"]] for x, one in rows.groupby("x")}
        label, look = f"{first['arm']}{first['version']}", LOOKS[EXPERIMENT.units[first["arm"]]]
        series.append(artists.Line(label, look, points, hollow=bool(first["free"])))
    artists.lines(ax, series)


def expect(machine: Machine) -> list[str]:
    """Say how late a sleep ends on this machine.

    Args:
        machine: Its GIL, its Python version and its cores decide.
    """
    python, interval = f"Python {machine.python}", in_words("_s", machine.switch_interval_s)
    cores = (
        f"With {machine.cores_count:g} cores, busy workers and other programs may take them all: then the run queue of "
        "the system adds some milliseconds now and then, in every arm."
    )
    beside = "Beside busy processes a sleep ends late by much less: it needs a core, and no GIL that others hold."
    if not machine.gil:
        free = f"{python} runs without a GIL: threads are as late as processes, whatever the switch interval."
        return [free, beside, cores]
    threads = f"{python} has a GIL: a sleep ends late by one switch interval for each busy thread, in the mean."
    return [
        f"{threads} It is {interval} unless you change it.",
        beside,
        "Each subinterpreter has a GIL of its own here: they are like processes."
        if numbers(machine.python)[:2] >= OWN_GIL
        else "Subinterpreters share the GIL here, and one cannot make another let it go: expect no wake-up at all.",
        cores,
    ]


EXPERIMENT = Experiment(
    name="convoy",
    question="How late does a short sleep end beside busy workers?",
    source="FAQ",
    arms={"threads": threads, "processes": processes, "subinterpreters": subinterpreters},
    units={"threads": "thread", "processes": "process", "subinterpreters": "subinterpreter"},
    sweep={"busy": (1, 2, 4), "switch_interval_s": (0.0005, 0.005, 0.02)},
    defaults={"busy": 2, "switch_interval_s": 0.005},
    columns={
        "late_s": "how late a sleep of 1 ms ends, in the mean; at least that if there was no wake-up",
        "late_for_gil_s": "the part of it in sleeps after which the worker waited for the GIL; 0 where unknown",
        "late_worst_s": "how late the latest sleep was",
        "wakeups_count": "sleeps that ended while the others were busy",
    },
    headline="late_s",
    draw=draw,
    expect=expect,
    claims={},
    pythons=True,
)
