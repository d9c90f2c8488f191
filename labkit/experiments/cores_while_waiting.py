"""Cores while waiting: how many cores two sides use that talk all the time, and how little they get done.

A pair is one side that asks for the price of one item, waits for the answer and asks for the next, and one that tells
prices. Both are threads, or forked processes. Beside them one thread gets the same prices by plain calls.

While one side of a pair works the other waits, so a pair can use about one core, however many there are. If each side
has a core of its own, that core may even go to sleep between two messages: then a pair uses less than one, and takes
longer still. So it is the number of cores that decides whether a pair uses little of them. What it used is the least
that it asked for; the most is that and its time in the run queue.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit.child import talk
from labkit.child.cores import usable
from labkit.model import LOOKS, Experiment, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_WINDOW_S = 0.06
_LEAST = 3  # runs: fewer give no interval worth showing
_SLOW = 5.0  # times as long for one item as by a call
_LOW = 0.5  # of the usable cores: less is low
_MECHANISMS = ("pipe", "TCP", "Queue")
_CALL, _PROCESS = "direct call", "processes"
_NEAR = 3.0  # a border that far above everything would leave no room for the lines


def direct_call(*, mechanism: str, pairs: int) -> dict[str, Json]:
    """Get prices by plain calls in one thread: no mechanism, and no pair."""
    del mechanism, pairs
    return _added_up(talk.alone(window_s=_WINDOW_S), at_once=1)


def threads(*, mechanism: str, pairs: int) -> dict[str, Json]:
    """Let pairs of threads of one process talk."""
    return _added_up(talk.talk("threads", mechanism, pairs, window_s=_WINDOW_S), at_once=pairs)


def processes(*, mechanism: str, pairs: int) -> dict[str, Json]:
    """Let pairs of forked processes talk."""
    return _added_up(talk.talk("processes", mechanism, pairs, window_s=_WINDOW_S), at_once=pairs)


def _added_up(sides: Sequence[talk.Side], *, at_once: int) -> dict[str, Json]:
    items, cpu_s = sum(one.items_count for one in sides), sum(one.cpu_s for one in sides)
    lasted_s, cores = max(one.lasted_s for one in sides), usable()[0]
    return {
        "used_cores": cpu_s / lasted_s,
        "used_ratio": cpu_s / lasted_s / cores,
        "demanded_ratio": (cpu_s + sum(one.delay_s for one in sides)) / lasted_s / cores,
        "usable_cores": cores,
        "items_per_s": items / lasted_s,
        "item_s": lasted_s * at_once / items,
        "cpu_per_item_s": cpu_s / items,
        "items_count": items,
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the cores used: lines against the pairs, or one row per mechanism and arm; the text tells items per s."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    ax.set(xlabel="cores used", ylabel="pairs are")
    if done.empty:
        artists.left_out(ax, artists.unfinished(table), [])
        artists.blank(ax)
        return
    counts, mixed = sorted(int(count) for count in done["pairs"].unique()), len(done["mechanism"].unique()) > 1
    several = len(counts) > 1
    artists.left_out(ax, artists.unfinished(table), ["mechanisms"] if several and mixed else [])
    cores, most = float(done["usable_cores"].max()), max(1.0, float(done["used_cores"].max()))
    near = cores <= _NEAR * most
    top = 1.15 * max(most, cores if near else 1.0)
    if several:
        ax.set(ylim=(0, top), xlabel="pairs that talk", ylabel="cores used")
        _draw_lines(done, counts, ax)
    else:
        ax.set(xlim=(0, top), xlabel=f"cores used by {counts[0]} pair{'s' if counts[0] > 1 else ''}")
        ax.set_ylabel("mechanism" if mixed else "pairs are")
        artists.dots(ax, list(_rows(done, mixed=mixed)))
    text = f"{cores:g} usable core{'s' if cores > 1 else ''}" if near else f"one core, of {cores:g} usable"
    artists.border(ax, "y" if several else "x", cores if near else 1.0, text)


def _rows(done: DataFrame, *, mixed: bool) -> Iterator[artists.Row]:
    """Make a row per arm, within each mechanism if there are several; a call stands once."""
    from labkit import artists

    groups = [(arm, arm, runs) for arm, runs in _by_arm(done)]
    if mixed:
        calls = [one for one in groups if one[1] == _CALL]
        named = [(name, done[done["mechanism"] == name]) for name in _MECHANISMS]
        groups = [*calls, *((name, arm, runs) for name, some in named for arm, runs in _by_arm(some) if arm != _CALL)]
    for label, arm, runs in groups:
        used, per_s = float(runs["used_cores"].median()), float(runs["items_per_s"].median())
        text = f"{used:.2f} cores  {per_s:,.0f}/s  {arm}" if mixed else f"{used:.2f} cores\n{per_s:,.0f} items/s"
        values = [float(cores) for cores in runs["used_cores"]]
        yield artists.Row(label, LOOKS[EXPERIMENT.units[arm]], values, text, hollow=arm == _CALL)


def _by_arm(done: DataFrame) -> Iterator[tuple[str, DataFrame]]:
    for arm in EXPERIMENT.arms:
        if len(runs := done[done["arm"] == arm]):
            yield arm, runs


def _draw_lines(done: DataFrame, counts: Sequence[int], ax: Axes) -> None:
    from labkit import artists

    series = []
    for arm, runs in _by_arm(done):
        points = {
            float(place): [float(cores) for cores in some["used_cores"]]
            for place, count in enumerate(counts)
            if len(some := runs[runs["pairs"] == count])
        }
        last = runs[runs["pairs"] == runs["pairs"].max()]
        label = f"{arm}, {float(last['items_per_s'].median()):,.0f}/s"
        series.append(artists.Line(label, LOOKS[EXPERIMENT.units[arm]], points, hollow=arm == _CALL))
    top = ax.get_ylim()[1]
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= top])  # else one may stand above the axis
    ax.set(xlim=(-0.2, len(counts) - 0.8), ylim=(0, top))
    ax.set_xticks(range(len(counts)), labels=[str(count) for count in counts])
    artists.lines(ax, series)


def expect(machine: Machine) -> list[str]:
    """Say how many cores pairs that talk use on this machine.

    Args:
        machine: Its cores and its GIL decide.
    """
    cores = f"{machine.cores_count:g} core{'s' if machine.cores_count > 1 else ''}"
    told = [
        "The two sides of a pair take turns: one works while the other waits, so a pair uses about one core, or less.",
        f"Of the {cores} of this machine that is about {min(100, 100 / machine.cores_count):.0f} % or less.",
        "A monitor of the CPU shows no trouble then, and cannot show that it is messages that take the time.",
        "One thread that calls a function uses one core as well, and gets far more items done with it.",
        f"Python {machine.python} has a GIL: more pairs of threads gain little, as only the system works without it."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: more pairs of threads use more cores, as processes do.",
    ]
    if not machine.system.startswith("Linux"):
        told.append("This system does not tell what the pairs waited for, so a busy neighbour makes them look idle.")
    return told


class _Found(NamedTuple):
    """One pair of processes beside calls."""

    mechanism: str
    slower: Interval
    share: Interval  # of the usable cores
    cores: float
    usable: float
    runs_count: int

    def of_one(self) -> Interval:
        """Return the share of what its sides can use that take turns: one core, or what there is of one."""
        return type(self.share)(*(end * self.usable / min(1.0, self.usable) for end in self.share))


def _found(table: DataFrame) -> list[_Found]:
    """Compare one pair of processes with calls, for each mechanism with enough runs; in the order of the sweep."""
    from labkit.intervals import Interval, median_interval, ratio_interval

    done = table[table["ending"] == "finished"]
    calls = [float(item_s) for item_s in done[done["arm"] == _CALL]["item_s"]] if len(done) else []
    talking = done[(done["arm"] == _PROCESS) & (done["pairs"] == 1)] if len(calls) >= _LEAST else done[:0]
    found = []
    for mechanism in _MECHANISMS if len(talking) else ():
        if len(runs := talking[talking["mechanism"] == mechanism]) >= _LEAST:
            used, asked = (
                median_interval([float(share) for share in runs[name]]) for name in ("used_ratio", "demanded_ratio")
            )
            slower = ratio_interval([float(item_s) for item_s in runs["item_s"]], calls)
            share = Interval(used.middle, used.low, max(used.high, asked.high))
            cores, most = (float(runs[name].median()) for name in ("used_cores", "usable_cores"))
            found.append(_Found(mechanism, slower, share, cores, most, len(runs) + len(calls)))
    return found


def _judge_low(table: DataFrame) -> Verdict:
    """Judge whether a pair is slow while it uses little: one mechanism that does so is enough.

    A pair uses about one core at most, as a call does: so it is the number of cores that makes its share low or not.
    """
    found = _found(table)
    if not found:
        return Verdict(
            outcome="cannot be measured here",
            sentence="How many cores a chatty pair uses is not measured yet.",
            reason=f"it takes {_LEAST} finished runs of {_PROCESS} with 1 pair, and {_LEAST} of the {_CALL}",
        )
    fits = [one for one in found if one.slower.low > _SLOW and one.share.high < _LOW]
    none = all(one.slower.high < _SLOW or one.share.low > _LOW for one in found)
    best = min(fits or found, key=lambda one: one.share.high)
    calls = table[(table["ending"] == "finished") & (table["arm"] == _CALL)]
    told = [
        f"{one.mechanism} {one.cores:.2f} cores ({100 * one.share.middle:.0f} %), and an item takes "
        f"{one.slower.middle:.3g} times as long as by a call"
        for one in found
    ]
    return Verdict(
        outcome="holds" if fits else "does not hold" if none else "too close to call",
        sentence=f"One pair of processes used, of {_in_cores(best.usable)}: {'; '.join(told)}. The direct call used "
        f"{float(calls['used_cores'].median()):.2f} cores. {_why_low(best, holds=bool(fits))}",
        effect=best.share.middle,
        low=best.share.low,
        high=best.share.high,
        unit="share of the usable cores that one pair uses; the upper end counts its time in the run queue as well",
        runs_count=best.runs_count,
        reason="" if fits or none else _why_open(best),
    )


def _in_cores(count: float) -> str:
    return "1 core" if count == 1 else f"{count:.3g} cores"


def _why_low(best: _Found, *, holds: bool) -> str:
    """Say what the share of a pair that takes turns is due to: how many cores there are, or how little it uses."""
    turns, most = best.of_one(), "one core" if best.usable >= 1 else _in_cores(best.usable)
    told = f"of the {most} that the pair could use at once, as its sides take turns, it used"
    told = f"{told} {100 * turns.middle:.0f} % by {best.mechanism}."
    if not holds:
        return told[0].upper() + told[1:]
    if turns.high < _LOW:
        return f"That is low on any machine: {told}"
    return f"That is low because this machine has {_in_cores(best.usable)}; {told}"


def _why_open(best: _Found) -> str:
    if best.slower.low <= _SLOW:
        return f"the pair is not clearly {_SLOW:g} times as slow as calls"
    return (
        f"the pair used or waited for {100 * best.share.low:.0f} to {100 * best.share.high:.0f} % of the "
        f"{_in_cores(best.usable)}, and less than {100 * _LOW:.0f} % is low; its sides take turns and so need about "
        "one core, which is much of this machine, and little of one with many cores"
    )


EXPERIMENT = Experiment(
    name="cores while waiting",
    question="How many cores does a pair use that is slow because it talks?",
    source="IPC costs",
    arms={_CALL: direct_call, "threads": threads, _PROCESS: processes},
    units={_CALL: "thread", "threads": "thread", _PROCESS: "process"},
    sweep={"mechanism": _MECHANISMS, "pairs": (1, 2, talk.PAIRS_MOST)},
    defaults={"mechanism": "pipe", "pairs": 1},
    columns={
        "used_cores": "CPU time of all sides per time",
        "used_ratio": "the same, as a share of the usable cores",
        "demanded_ratio": "the same with the time in the run queue: the most that they asked for",
        "usable_cores": "cores that this process may use",
        "items_per_s": "items asked for and told, by all pairs together",
        "item_s": "time from asking for an item until the price is there",
        "cpu_per_item_s": "CPU time of both sides for one item",
        "items_count": "items asked for and told",
    },
    headline="used_cores",
    draw=draw,
    expect=expect,
    claims={"ipc.low_cpu_slow": _judge_low},
)
