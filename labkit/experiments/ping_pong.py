"""Ping-pong: what a context switch costs in Python, beside programs in C that do the same.

Two sides hand four bytes to and fro through two pipes, some thousand times. Each waits until the other has written, so
every message makes one context switch: they are counted, and no others should be there. On one core the two take turns.

The yardsticks do the same, in the same shuffled blocks: a small program in C, compiled for the run, and ``perf bench
sched pipe``, which the people who write Linux use. Counted is the CPU time of both sides, so it hardly matters what
else runs on the machine. It holds the message as well: its write, its read, and the switch that it makes.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from labkit.child import yardsticks
from labkit.child.switching import bounce, one_core, sides
from labkit.model import LOOKS, Experiment
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.child.switching import Used
    from labkit.model import Json, Machine

_ONE_CORE, _ANY_CORE = "one core", "any core"
_TRIPS = {_ONE_CORE: 10_000, _ANY_CORE: 2_000}  # on any core a switch may take ten times as long
_WARM_TRIPS = 200
_DATA = b"ball"  # four bytes, as perf sends
_YARDSTICKS = ("perf", "C")


def threads(*, placement: str) -> dict[str, Json]:
    """Hand bytes to and fro between two threads, in Python."""
    return _count(_in_python, "threads", placement=placement)


def processes(*, placement: str) -> dict[str, Json]:
    """Hand bytes to and fro between two processes, in Python."""
    return _count(_in_python, "processes", placement=placement)


def c_threads(*, placement: str) -> dict[str, Json]:
    """Let a program in C do it with two threads."""
    return _count(yardsticks.in_c, "threads", placement=placement)


def c_processes(*, placement: str) -> dict[str, Json]:
    """Let a program in C do it with two processes."""
    return _count(yardsticks.in_c, "processes", placement=placement)


def perf_threads(*, placement: str) -> dict[str, Json]:
    """Let ``perf bench sched pipe -T`` do it."""
    return _count(yardsticks.perf, "threads", placement=placement)


def perf_processes(*, placement: str) -> dict[str, Json]:
    """Let ``perf bench sched pipe`` do it."""
    return _count(yardsticks.perf, "processes", placement=placement)


def _in_python(between: str, trips: int) -> Used:
    with bounce(_DATA) as ball, sides(between, {"ball": ball}) as take:
        take("ball", _WARM_TRIPS)
        return take("ball", trips)


def _count(play: Callable[[str, int], Used], between: str, *, placement: str) -> dict[str, Json]:
    messages = 2 * _TRIPS[placement]
    with one_core() if placement == _ONE_CORE else nullcontext():
        used = play(between, _TRIPS[placement])
    return {
        "cpu_per_switch_s": used.cpu_s / used.switches_count,
        "switches_per_message_count": used.switches_count / messages,
        "messages_count": messages,
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the CPU time of a switch: one row per arm, and beside ours how many times the yardsticks it is."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    artists.left_out(ax, artists.unfinished(table), [])
    ax.set(xlabel="CPU time per context switch (us)", ylabel="two sides")
    if done.empty:
        artists.blank(ax)
        return
    done = done.assign(cpu_us=1e6 * done["cpu_per_switch_s"])
    cores = [placement for placement in _TRIPS if (done["placement"] == placement).any()]
    parts = {
        (arm, placement): runs
        for arm in _ORDER
        for placement in cores
        if len(runs := done[(done["arm"] == arm) & (done["placement"] == placement)])
    }
    ax.set_xlim(0, 1.1 * float(done["cpu_us"].max()))
    several = len(cores) > 1
    artists.dots(ax, [_row(arm, placement, parts, several=several) for arm, placement in parts])
    if not several:
        ax.set_xlabel(f"CPU time per context switch, on {cores[0]} (us)")


def _row(arm: str, placement: str, parts: dict[tuple[str, str], DataFrame], *, several: bool) -> artists.Row:
    from labkit import artists

    runs = parts[arm, placement]
    text = in_words("_s", float(runs["cpu_per_switch_s"].median()))
    if several:
        text = f"{placement}: {text}"
    if arm in _OURS:
        told = _beside(arm, placement, parts)
        text += f", {told[0]}" if several else f"\n{', '.join(told)}"
    look = LOOKS[EXPERIMENT.units[arm]]
    return artists.Row(_LABELS.get(arm, arm), look, list(runs["cpu_us"]), text, hollow=placement == _ANY_CORE)


def _beside(arm: str, placement: str, parts: dict[tuple[str, str], DataFrame]) -> list[str]:
    """Say how many times each yardstick ours is, or that there is none."""
    ours = float(parts[arm, placement]["cpu_us"].median())
    found = {name: parts.get((f"{name} {arm}", placement)) for name in _YARDSTICKS}
    told = [f"{ours / float(runs['cpu_us'].median()):.2f} x {name}" for name, runs in found.items() if runs is not None]
    return told or ["no yardstick"]


def expect(machine: Machine) -> list[str]:
    """Say what a context switch costs on this machine.

    Args:
        machine: Its system, its cores and its GIL decide.
    """
    told = [
        "A switch takes a microsecond or two of CPU, and one between processes hardly more than one between threads.",
        "Python adds its own part to every message: expect 1.1 to 1.5 times a program in C.",
        f"Python {machine.python} has a GIL: a thread gives it up in every system call, and has to take it again."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: threads and processes do the same in a message.",
    ]
    if machine.cores_count > 1:
        told.append("On any core the two sides may run on two of them: then a message has to wake a core that sleeps.")
    if not machine.system.startswith("Linux"):
        told.append("This system cannot keep two sides on one core, and has no perf: most rows cannot be run here.")
    return told


_OURS = ("threads", "processes")
_LABELS = {"threads": "Python threads", "processes": "Python processes"}
_ORDER = ("threads", "C threads", "perf threads", "processes", "C processes", "perf processes")

EXPERIMENT = Experiment(
    name="ping pong",
    question="What does a context switch cost, beside programs in C?",
    source="IPC costs",
    arms={
        "threads": threads,
        "processes": processes,
        "C threads": c_threads,
        "C processes": c_processes,
        "perf threads": perf_threads,
        "perf processes": perf_processes,
    },
    units={
        "threads": "thread",
        "processes": "process",
        "C threads": "thread",
        "C processes": "process",
        "perf threads": "thread",
        "perf processes": "process",
    },
    sweep={"placement": tuple(_TRIPS)},
    defaults={"placement": _ONE_CORE},
    columns={
        "cpu_per_switch_s": "CPU time of both sides for one context switch, with the message that makes it",
        "switches_per_message_count": "context switches of one message: 1 if the two take turns",
        "messages_count": "messages handed over",
    },
    headline="cpu_per_switch_s",
    draw=draw,
    expect=expect,
    claims={},
)
