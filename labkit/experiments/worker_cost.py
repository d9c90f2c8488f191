"""Worker cost: what a worker costs beside the cores that it brings: its start, its memory, and handing work over to it.

A list of numbers goes to a worker that waits, and a number comes back. A thread is given the list itself. A forked
process and a subinterpreter have their own memory: there the list is written as bytes (by `marshal`), goes through a
pipe, and is built anew. One answer is the sum, checked, so that nothing was lost on the way; it is not timed. The timed
ones ask for the last number, so that nothing counts but the way there and back.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from labkit.child import handover, starts
from labkit.child.clocks import cpu_clock
from labkit.child.memory import growth_bytes, private_bytes
from labkit.model import LOOKS, Experiment
from labkit.units import MIB, in_words
from labkit.versions import age, build, free_threaded

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.child.handover import Ask
    from labkit.model import Json, Machine

_STARTS = 4
_HELD = {"thread": 16, "subinterpreter": 4}  # together: one alone would be lost in what the allocator keeps ready
_HANDED_LEAST, _HANDED_MOST, _HANDED_S = 3, 200, 0.06
_NUMBER_BYTES = 9  # of a float, as marshal writes it
_ROWS_MOST, _LINES_MOST = 6, 3  # that have room for a second line of text
_ROWS_FEW = 3  # that have room for a third one
_GROUPS_MOST = 9  # that can be told apart


def thread(*, argument_bytes: int) -> dict[str, Json]:
    """Hand the list itself to a thread, through a queue."""
    memory = partial(growth_bytes, starts.held_thread, _HELD["thread"])
    return _measure(starts.start_thread, memory, handover.to_thread, argument_bytes)


def process(*, argument_bytes: int) -> dict[str, Json]:
    """Hand the list to a forked process, as bytes through a pipe."""
    return _measure(starts.start_fork, partial(private_bytes, starts.held_fork), handover.to_fork, argument_bytes)


def subinterpreter(*, argument_bytes: int) -> dict[str, Json]:
    """Hand the list to a subinterpreter of this process, as bytes through a pipe."""
    memory = partial(growth_bytes, starts.held_interpreter, _HELD["subinterpreter"])
    return _measure(starts.start_interpreter, memory, handover.to_interpreter, argument_bytes)


def _measure(
    start: Callable[[], None],
    memory: Callable[[], int | None],
    worker: Callable[[], AbstractContextManager[Ask]],
    argument_bytes: int,
) -> dict[str, Json]:
    uss_bytes = memory()  # first: what earlier ones gave back would be used again
    began_s = cpu_clock()
    for _ in range(_STARTS):
        start()
    start_s = (cpu_clock() - began_s) / _STARTS
    with worker() as ask:  # before the list is made: a fork would have it for nothing
        handed = _hand_over(ask, [n + 0.5 for n in range(max(1, argument_bytes // _NUMBER_BYTES))])
    return {"start_cpu_s": start_s, "uss_per_worker_bytes": uss_bytes, **handed}


def _hand_over(ask: Ask, numbers: list[float]) -> dict[str, Json]:
    """Hand a list over again and again, and check every answer."""
    if ask("sum", numbers)[0] != sum(numbers):
        raise RuntimeError("a worker did not get the numbers that it was sent")
    _, worker_s = ask("last", numbers)
    times_s: list[float] = []
    began_s = time.process_time()
    while len(times_s) < _HANDED_LEAST or (len(times_s) < _HANDED_MOST and sum(times_s) < _HANDED_S):
        then_s = time.perf_counter()
        answer, ended_s = ask("last", numbers)
        times_s.append(time.perf_counter() - then_s)
        if answer != numbers[-1]:
            raise RuntimeError("a worker gave a wrong answer")
    used_s = time.process_time() - began_s + ended_s - worker_s
    middle_s = sorted(times_s)[len(times_s) // 2]
    return {"handover_cpu_s": used_s / len(times_s), "handover_s": middle_s, "handed_count": len(times_s)}


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the CPU time of a hand-over: lines against the argument's size, or one row per interpreter and arm."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    ax.set(xlabel="CPU time to hand one argument over (ms)", ylabel="worker")
    if done.empty:
        artists.left_out(ax, artists.unfinished(table), [])
        artists.blank(ax)
        return
    sizes = sorted(int(size) for size in done["argument_bytes"].unique())
    groups = _split(done)
    pooled = len(groups) > _GROUPS_MOST
    if pooled:
        groups = _split(done.assign(python=[build(str(python)) for python in done["python"]]))
    artists.left_out(ax, artists.unfinished(table), ["versions of Python"] if pooled else [])
    several = len(sizes) > 1
    artists.log_axis(ax, ax.yaxis if several else ax.xaxis, [1000 * float(cpu_s) for cpu_s in done["handover_cpu_s"]])
    if not several:
        ax.set(xlabel=f"CPU time to hand {in_words('_bytes', sizes[0])} over (ms)")
        artists.dots(ax, [_row(one, of=len(groups)) for one in groups])
        return
    ax.set(xscale="log", xlabel="size of the argument", ylabel="CPU time to hand\none over (ms)")
    ax.set(xlim=(sizes[0] / 2, sizes[-1] * 2))
    ax.minorticks_off()
    ax.set_xticks(sizes, labels=[in_words("_bytes", size) for size in sizes])
    artists.lines(ax, [_line(one, room=len(groups) <= _LINES_MOST) for one in groups])


class _Group(NamedTuple):
    """The runs that make one line, or one row."""

    arm: str
    python: str  # empty if there is one only
    hollow: bool
    runs: DataFrame


def _split(done: DataFrame) -> list[_Group]:
    pythons = sorted((str(python) for python in done["python"].unique()), key=age)
    return [
        _Group(arm, python if len(pythons) > 1 else "", free_threaded(python), runs)
        for arm in EXPERIMENT.arms
        for python in pythons
        if len(runs := done[(done["arm"] == arm) & (done["python"] == python)])
    ]


def _row(one: _Group, *, of: int) -> artists.Row:
    from labkit import artists

    room, memory = of <= _ROWS_MOST, "\nmemory " if of <= _ROWS_FEW else ", "
    cpu_ms = [1000 * float(cpu_s) for cpu_s in one.runs["handover_cpu_s"]]
    text = f"{in_words('_s', float(one.runs['handover_cpu_s'].median()))}{_beside(one.runs, memory) if room else ''}"
    label = f"{one.arm}\n{one.python}" if room else f"{one.arm} {one.python}"
    return artists.Row(label.strip(), LOOKS[EXPERIMENT.units[one.arm]], cpu_ms, text, hollow=one.hollow)


def _line(one: _Group, *, room: bool) -> artists.Line:
    from labkit import artists

    points = {
        float(size): [1000 * float(cpu_s) for cpu_s in one.runs[one.runs["argument_bytes"] == size]["handover_cpu_s"]]
        for size in one.runs["argument_bytes"].unique()
    }
    label = f"{one.arm} {one.python}".strip() + (_beside(one.runs, ", ") if room else "")
    return artists.Line(label, LOOKS[EXPERIMENT.units[one.arm]], points, hollow=one.hollow)


def _beside(runs: DataFrame, memory: str) -> str:
    """Tell start and memory of a worker as the table does, to stand below its name; ``memory`` stands between both."""
    start = f"\nstart {in_words('start_cpu_s', float(runs['start_cpu_s'].median()))}"
    sizes = runs["uss_per_worker_bytes"].dropna()
    return start + (memory + in_words("uss_per_worker_bytes", float(sizes.median())) if len(sizes) else "")


def expect(machine: Machine) -> list[str]:
    """Say what workers cost on this machine.

    Args:
        machine: Its GIL, and whether its system tells the memory of a process, decide.
    """
    told = [
        "A thread is handed the list itself, however long it is: that costs the same for 8 B and for 8 MiB.",
        "For a process and for a subinterpreter the list is written as bytes, sent, and built anew: it costs by size.",
        "A subinterpreter costs most to start, as it loads Python's own modules anew; a thread costs least.",
        f"Python {machine.python} has a GIL: that price buys cores for Python code, which threads would not get."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: threads use several cores too, without that price.",
    ]
    if not machine.system.startswith("Linux"):
        told.append("This system does not tell the private memory of a process.")
    return told


EXPERIMENT = Experiment(
    name="worker cost",
    question="What does a worker cost beside the cores that it brings?",
    source="Multithreading or multiprocessing",
    arms={"thread": thread, "process": process, "subinterpreter": subinterpreter},
    units={"thread": "thread", "process": "process", "subinterpreter": "subinterpreter"},
    sweep={"argument_bytes": (8, 64 << 10, MIB, 8 * MIB)},
    defaults={"argument_bytes": MIB},
    columns={
        "start_cpu_s": "CPU time to start a worker that does nothing, and to end it",
        "uss_per_worker_bytes": "memory of one worker alive that nothing else shares",
        "handover_cpu_s": "CPU time of both sides to hand one list over, and to get a number back",
        "handover_s": "time from handing one list over until the number is back",
        "handed_count": "lists handed over",
    },
    headline="handover_cpu_s",
    draw=draw,
    expect=expect,
    claims={},
    pythons=True,
)
