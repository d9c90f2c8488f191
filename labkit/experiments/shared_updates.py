"""Shared updates: what it costs to add 1 to state that workers share, if they are threads or processes.

Each update is made under a lock, and every one must be there at the end. A number is shared by threads as an attribute,
and by processes as a `multiprocessing.Value`. A dictionary is shared by threads as it is; for processes a
`multiprocessing.Manager` holds it, in one process more, which is asked for the lock and for every look at an entry.

CPU time is that of all who take part. On a busy machine the time of an update grows, and the CPU time hardly does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit.child import updates
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_WINDOW_S = 0.05
_LEAST = 3  # runs: fewer give no interval worth showing
_CLEAR = 1.25  # times as much: the border of a difference worth talking about


def threads(*, state: str, workers: int) -> dict[str, Json]:
    """Update state of one process with its threads, under `threading.Lock`."""
    return updates.measure("threads", state, workers, window_s=_WINDOW_S)


def processes(*, state: str, workers: int) -> dict[str, Json]:
    """Update state that forked processes share, under the lock that comes with it."""
    return updates.measure("processes", state, workers, window_s=_WINDOW_S)


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the CPU time of an update: lines against the workers, or one row per state and arm."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    artists.left_out(ax, artists.unfinished(table), [])
    ax.set(xlabel="CPU time of one update (us)", ylabel="shared state")
    if done.empty:
        artists.blank(ax)
        return
    counts = sorted(int(count) for count in done["workers"].unique())
    states = [state for state in updates.STATES if state in set(done["state"])]
    groups = list(_split(done.assign(cpu_us=1e6 * done["cpu_per_update_s"])))
    artists.log_axis(ax, ax.yaxis if len(counts) > 1 else ax.xaxis, [1e6 * float(s) for s in done["cpu_per_update_s"]])
    if len(counts) > 1:
        ax.set(xlim=(counts[0] - 0.3, counts[-1] + 0.3), xlabel="workers", ylabel="CPU time of\none update (us)")
        ax.set_xticks(counts)
        artists.lines(ax, [_line(one, several=len(states) > 1) for one in groups])
        return
    ax.set_xlabel(f"CPU time of one update (us), {counts[0]} worker{'s' if counts[0] > 1 else ''}")
    artists.dots(ax, [_row(one) for one in groups])


class _Group(NamedTuple):
    """The runs that make one line, or one row."""

    state: str
    arm: str
    runs: DataFrame


def _split(done: DataFrame) -> Iterator[_Group]:
    for state in updates.STATES:
        for arm in EXPERIMENT.arms:
            if len(runs := done[(done["state"] == state) & (done["arm"] == arm)]):
                yield _Group(state, arm, runs)


def _row(one: _Group) -> artists.Row:
    from labkit import artists

    text = f"{in_words('_s', float(one.runs['cpu_per_update_s'].median()))}  {one.arm}"
    return artists.Row(one.state, LOOKS[EXPERIMENT.units[one.arm]], [float(us) for us in one.runs["cpu_us"]], text)


def _line(one: _Group, *, several: bool) -> artists.Line:
    from labkit import artists

    points = {
        float(count): [float(us) for us in some["cpu_us"]]
        for count in sorted(one.runs["workers"].unique())
        if len(some := one.runs[one.runs["workers"] == count])
    }
    label = f"{one.arm}, {one.state}" if several else f"{one.arm}\n{one.state}"
    return artists.Line(label, LOOKS[EXPERIMENT.units[one.arm]], points, hollow=several and one.state != "number")


def expect(machine: Machine) -> list[str]:
    """Say what an update of shared state costs on this machine.

    Args:
        machine: Its GIL, its cores and its system decide.
    """
    return [
        "Threads share what they can name: an update of a number or of a dictionary is a lock and a line.",
        "Processes share a number in memory made for it: the lock and each look at it cost more, but no message.",
        "Processes share a dictionary through one process more: lock, read, write and unlock are a message each.",
        f"Only one holds the lock: {machine.cores_count:g} cores help no more than one, and more workers cost more.",
        f"Python {machine.python} has a GIL: threads seldom meet at the lock, as only one runs at a time."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: threads meet at the lock, and wait for it as processes do.",
    ]


class _Found(NamedTuple):
    """Processes beside threads, for one kind of state."""

    state: str
    workers: int
    ratio: Interval
    cost_s: tuple[float, float]
    runs_count: int


def _found(table: DataFrame) -> list[_Found]:
    """Compare the CPU time of an update, for each state, with the fewest workers that share it and have enough runs."""
    from statistics import median

    from labkit.intervals import ratio_interval

    done, found = table[table["ending"] == "finished"], dict[str, _Found]()
    shared = done[done["workers"] > 1] if len(done) else done
    for (workers, state), runs in shared.groupby(["workers", "state"]) if len(shared) else ():
        cost = {arm: [float(s) for s in runs[runs["arm"] == arm]["cpu_per_update_s"]] for arm in EXPERIMENT.arms}
        if str(state) not in found and min(map(len, cost.values())) >= _LEAST:  # the fewest workers come first
            ratio = ratio_interval(cost["processes"], cost["threads"])
            middles = median(cost["threads"]), median(cost["processes"])
            found[str(state)] = _Found(str(state), int(str(workers)), ratio, middles, sum(map(len, cost.values())))
    return [found[state] for state in updates.STATES if state in found]


def _judge_shared_state(table: DataFrame) -> Verdict:
    """Judge whether threads update shared state with clearly less CPU time than processes, for every state measured."""
    found = _found(table)
    if not found:
        return Verdict(
            outcome="cannot be measured here",
            sentence="What an update of shared state costs threads and processes is not measured yet.",
            reason=f"it takes {_LEAST} finished runs of threads and {_LEAST} of processes, with the same state and the "
            "same number of workers, 2 or more",
        )
    least = min((one.ratio for one in found), key=lambda ratio: ratio.low)
    every, none = all(one.ratio.low > _CLEAR for one in found), all(one.ratio.high < _CLEAR for one in found)
    told = [
        f"of a {one.state} by {one.workers} workers {one.ratio.middle:.3g} times "
        f"({' and '.join(in_words('_s', cost_s) for cost_s in one.cost_s)}) the CPU time"
        for one in found
    ]
    return Verdict(
        outcome="holds" if every else "does not hold" if none else "too close to call",
        sentence=f"Beside threads, an update by processes takes: {'; '.join(told)}.",
        effect=least.middle,
        low=least.low,
        high=least.high,
        unit="times the CPU time of threads for one update, where processes cost least",
        runs_count=sum(one.runs_count for one in found),
        reason="" if every or none else f"not every interval is on the same side of the border of {_CLEAR}",
    )


EXPERIMENT = Experiment(
    name="shared updates",
    question="What does it cost to update state that workers share?",
    source="Multithreading or multiprocessing",
    arms={"threads": threads, "processes": processes},
    units={"threads": "thread", "processes": "process"},
    sweep={"state": updates.STATES, "workers": (1, 2, 4)},
    defaults={"state": "number", "workers": 2},
    columns={
        "update_s": "time of one update, all workers together",
        "cpu_per_update_s": "CPU time of one update, of the workers and of the process that serves them",
        "used_cores": "CPU time of all of them per time",
        "updates_count": "updates made, and found at the end",
    },
    headline="cpu_per_update_s",
    draw=draw,
    expect=expect,
    claims={"choice.shared_state": _judge_shared_state},
)
