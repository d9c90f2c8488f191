"""Creation cost: start and end one unit after another, and charge all CPU time that this takes to the start.

A unit does nothing: a thread calls a function that returns, a process or an interpreter runs an empty program. CPU time
is that of the parent and of the units together. The parent's memory is written to page by page before, as memory that
was never touched costs a fork nothing. The memory of one unit is measured afterwards, on units that are held alive.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from labkit.child import starts as units
from labkit.child.clocks import cpu_clock
from labkit.child.memory import growth_bytes, private_bytes
from labkit.limits import Limits
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import MIB, in_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit.model import Json, Machine

_HELD = 16  # threads or interpreters held together: the growth for one would be lost in that of the allocator
_AXES = {"parent_bytes": "memory of the parent (MiB)", "starts": "units started in one run"}
_PROCESSES = ("fork", "forkserver", "spawn", "subprocess")


def thread(*, parent_bytes: int, starts: int) -> dict[str, Json]:
    """Start threads and join them."""
    return _measure(units.start_thread, partial(growth_bytes, units.held_thread, _HELD), parent_bytes, starts)


def fork(*, parent_bytes: int, starts: int) -> dict[str, Json]:
    """Fork processes that end at once, and wait for each."""
    return _measure(units.start_fork, partial(private_bytes, units.held_fork), parent_bytes, starts)


def subprocess(*, parent_bytes: int, starts: int) -> dict[str, Json]:
    """Start new Python programs that do nothing by the module ``subprocess``, and wait for each."""
    return _measure(units.start_python, partial(private_bytes, units.held_python), parent_bytes, starts)


def subinterpreter(*, parent_bytes: int, starts: int) -> dict[str, Json]:
    """Create interpreters in this process, run an empty program in each, and destroy them."""
    return _measure(units.start_interpreter, partial(growth_bytes, units.held_interpreter, _HELD), parent_bytes, starts)


def spawn(*, parent_bytes: int, starts: int) -> dict[str, Json]:
    """Start processes by the method spawn of ``multiprocessing``, and join them."""
    try:
        hold = partial(units.held_process, "spawn")
        return _measure(partial(units.start_process, "spawn"), partial(private_bytes, hold), parent_bytes, starts)
    finally:
        units.end_servers()


def forkserver(*, parent_bytes: int, starts: int) -> dict[str, Json]:
    """Ask the fork server of ``multiprocessing`` for processes, and join them; the server's own start is not counted.

    The units are children of the server, so their CPU time reaches this process only when the server has ended: server
    and units together, in microseconds. What the server used itself was read from /proc before, in nanoseconds. In runs
    of 20 this spread by 2 %; the units' time read from /proc (cutime, in steps of 10 ms) spread by 12 %, and the
    difference from a second server that started one unit by 4 %.
    """
    parent, start = _touched(parent_bytes), partial(units.start_process, "forkserver")
    try:
        start()  # starts the server, too
        own_before_s = units.server_run_s()
        cpu_s, wall_s = _timed(start, starts)
        own_s, before_s = units.server_run_s(), cpu_clock()
        units.kill_server()
        per_unit_s = (cpu_clock() - before_s - own_s) / (starts + 1)  # with the one that started the server
        cpu_s += own_s - own_before_s + per_unit_s * starts
        memory = private_bytes(partial(units.held_process, "forkserver"))
    finally:
        units.end_servers()
        del parent
    return _result(starts, cpu_s, wall_s, memory)


def _measure(
    start: Callable[[], object], memory: Callable[[], int | None], parent_bytes: int, starts: int
) -> dict[str, Json]:
    parent = _touched(parent_bytes)
    start()  # the first start pays for imports, and for multiprocessing's resource tracker
    cpu_s, wall_s = _timed(start, starts)
    size = memory()
    del parent
    return _result(starts, cpu_s, wall_s, size)


def _touched(size_bytes: int) -> bytearray:
    block = bytearray(size_bytes)
    block[:: mmap.PAGESIZE] = b"x" * len(range(0, size_bytes, mmap.PAGESIZE))
    return block


def _timed(start: Callable[[], object], starts: int) -> tuple[float, float]:
    """Return CPU time and wall time of all starts together, in seconds."""
    cpu_s, wall_s = cpu_clock(), time.perf_counter()
    for _ in range(starts):
        start()
    wall_s = time.perf_counter() - wall_s
    return cpu_clock() - cpu_s, wall_s


def _result(starts: int, cpu_s: float, wall_s: float, memory: int | None) -> dict[str, Json]:
    return {
        "started_count": starts,
        "cpu_per_start_s": cpu_s / starts,
        "wall_per_start_s": wall_s / starts,
        "uss_per_unit_bytes": memory,
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the CPU time per start: one row per arm, the cheapest on top, or lines against what varies."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name in done and len(done[name].unique()) > 1]
    artists.left_out(ax, len(table) - len(done), [_AXES[name] for name in varied[1:]])
    ax.set(xlabel="CPU time to start and end one (ms)", ylabel="what is started")
    if done.empty:
        artists.blank(ax)
        return
    done = done.assign(cpu_ms=1000 * done["cpu_per_start_s"])
    middles = {str(arm): float(ms) for arm, ms in done.groupby("arm")["cpu_ms"].median().sort_values().items()}
    costs = {arm: done[done["arm"] == arm] for arm in middles}
    looks = {arm: LOOKS[EXPERIMENT.units[arm]] for arm in middles}
    artists.log_axis(ax, ax.yaxis if varied else ax.xaxis, list(done["cpu_ms"]))
    if not varied:
        base = middles.get("thread")
        beside = {arm: f"x {_rounded(ms / base)}" if base else f"{ms:.2g} ms" for arm, ms in middles.items()}
        artists.dots(ax, [artists.Row(arm, looks[arm], list(costs[arm]["cpu_ms"]), beside[arm]) for arm in middles])
        return
    scale = MIB if varied[0] == "parent_bytes" else 1
    ax.set(xlabel=_AXES[varied[0]], ylabel="CPU time to start\nand end one (ms)")
    values = sorted(int(value) for value in done[varied[0]].unique())
    ax.set_xticks([value / scale for value in values])
    points = {
        arm: {value / scale: ms for value in values if (ms := list(rows[rows[varied[0]] == value]["cpu_ms"]))}
        for arm, rows in costs.items()
    }
    artists.lines(
        ax, [artists.Line(arm, looks[arm], points[arm], quiet=arm not in ("thread", "fork")) for arm in middles]
    )


def _rounded(ratio: float) -> str:
    return f"{ratio:.2g}" if ratio < 9.95 else f"{float(f'{ratio:.2g}'):,.0f}"  # noqa: PLR2004 - rounds to 10


def expect(machine: Machine) -> list[str]:
    """Say what starting units costs on this machine.

    Args:
        machine: Its system, Python version and default start method decide.
    """
    forks = "A fork copies the tables of the parent's memory, so it costs more the more memory the parent has."
    told = [
        f"A thread is the cheapest to start. {forks}",
        "Spawn and subprocess start a whole new Python, whatever the parent's memory, and cost most.",
        f"`multiprocessing` starts processes by {machine.start_method} here unless told otherwise.",
    ]
    if not machine.system.startswith("Linux"):
        told.append("This system does not tell the private memory of a process, nor the fork server's own CPU time.")
    return told


def _judge_cost(table: DataFrame) -> Verdict:
    return _compare(table, "cpu_per_start_s", "Starting and ending a process", "CPU time")


def _judge_memory(table: DataFrame) -> Verdict:
    return _compare(table, "uss_per_unit_bytes", "A process", "private memory")


def _judge_expensive(table: DataFrame) -> Verdict:
    verdict = _compare(table, "cpu_per_start_s", "Starting and ending a process", "CPU time")
    forks = table[(table["ending"] == "finished") & (table["arm"] == "fork")]
    sizes = sorted(forks["parent_bytes"].unique()) if len(forks) else []
    if verdict.effect is None or len(sizes) < 2:  # noqa: PLR2004 - growth needs two sizes
        return verdict
    cost = forks.groupby("parent_bytes")["cpu_per_start_s"].median()
    grown = " and ".join(
        f"{in_words('_s', float(cost[size]))} with {in_words('_bytes', int(size))}" for size in (sizes[0], sizes[-1])
    )
    return replace(verdict, sentence=f"{verdict.sentence} One fork took {grown} of extra memory in the parent.")


def _compare(table: DataFrame, column: str, subject: str, what: str) -> Verdict:
    """Compare the cheapest kind of process with a thread, at the smallest memory of the parent that was measured."""
    from statistics import median

    from labkit.intervals import ratio_interval

    done, found = table[table["ending"] == "finished"], {}
    if len(done):
        done = done[(done["parent_bytes"] == done["parent_bytes"].min()) & done[column].notna()]
        found = {arm: [float(v) for v in done[done["arm"] == arm][column]] for arm in ("thread", *_PROCESSES)}
    enough = {arm: values for arm, values in found.items() if len(values) >= 3}  # noqa: PLR2004 - else no interval
    middles = {arm: median(values) for arm, values in enough.items()}
    threads = enough.pop("thread", [])
    if not threads or not enough or min(threads) <= 0:
        counts = ", ".join(f"{arm} {len(values)}" for arm, values in found.items() if values) or "none"
        reason = f"it takes 3 finished runs of thread and of one kind of process, all above 0; there are: {counts}"
        sentence = f"The {what} of a process beside that of a thread is not measured yet."
        return Verdict(outcome="cannot be measured here", sentence=sentence, reason=reason)
    cheapest, dearest = min(enough, key=middles.__getitem__), max(enough, key=middles.__getitem__)
    ratio = ratio_interval(enough[cheapest], threads)
    sizes = f"{in_words(column, middles[cheapest])} against {in_words(column, middles['thread'])}"
    sentence = f"{subject} takes {_rounded(ratio.middle)} times the {what} of a thread ({cheapest}: {sizes})"
    more = f", by {dearest} {_rounded(middles[dearest] / middles['thread'])} times" if len(enough) > 1 else ""
    clear = ratio.low > 1 or ratio.high < 1
    return Verdict(
        outcome="too close to call" if not clear else "holds" if ratio.low > 1 else "does not hold",
        sentence=f"{sentence}{more}.",
        effect=ratio.middle,
        low=ratio.low,
        high=ratio.high,
        unit=f"times the {what} of a thread",
        runs_count=len(threads) + len(enough[cheapest]),
        reason="" if clear else "the interval of the ratio contains 1",
    )


EXPERIMENT = Experiment(
    name="creation cost",
    question="How much more does a process cost to start than a thread?",
    source="Why does this isolation matter",
    arms={
        "thread": thread,
        "fork": fork,
        "forkserver": forkserver,
        "spawn": spawn,
        "subprocess": subprocess,
        "subinterpreter": subinterpreter,
    },
    units={"thread": "thread", **dict.fromkeys(_PROCESSES, "process"), "subinterpreter": "subinterpreter"},
    sweep={"parent_bytes": (0, 64 * MIB, 256 * MIB, 512 * MIB), "starts": (5, 20, 50)},
    defaults={"parent_bytes": 0, "starts": 20},
    columns={
        "started_count": "units started and ended",
        "cpu_per_start_s": "CPU time of parent and unit to start and end one",
        "wall_per_start_s": "time to start and end one",
        "uss_per_unit_bytes": "memory of one unit alive that nothing else shares",
    },
    headline="cpu_per_start_s",
    draw=draw,
    expect=expect,
    claims={
        "process.creation_expensive": _judge_expensive,
        "table.creation_cost": _judge_cost,
        "table.resource_overhead": _judge_memory,
    },
    limits=Limits(deadline_s=20.0, memory_bytes=1024 * MIB),
)
