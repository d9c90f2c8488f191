"""Crash: one of several workers fails, and the heartbeats of the others tell who survives.

The units beat until unit 1 is told to fail; `labkit.child.heartbeats` says how they are watched, and when one counts as
a survivor. In both arms they live in processes that the arm forks: all as threads of one, or each in its own.

The memory bomb is an allocation that fails: it takes up to 64 MiB under a limit on its own process, and then gets a
MemoryError, which is an exception like any other. The others of that process share the limit, and have the memory back
when the exception has ended the bomb. A machine that runs out of memory is another thing: there Linux sends SIGKILL,
and that is the fault "kill".
"""

from __future__ import annotations

import mmap
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

from labkit.child.heartbeats import ENOUGH, beats_after
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.model import Json, Machine

_BOMB, _BLOCK = 64 * MIB, 8 * MIB
_LEAST = 3  # runs: fewer give no interval worth showing
_AXES = {"fault": "fault of one worker", "workers": "workers started"}
_FAULTS = {
    "exception": "an uncaught exception",
    "sys.exit": "sys.exit()",
    "memory bomb": "a memory bomb",
    "os._exit": "os._exit()",
    "segfault": "a segfault",
    "abort": "abort()",
    "kill": "SIGKILL",
}


def threads(*, fault: str, workers: int) -> dict[str, Json]:
    """Let one of several threads of one process fail."""
    return _observe([range(1, workers + 1)], fault)


def processes(*, fault: str, workers: int) -> dict[str, Json]:
    """Let one of several processes fail."""
    return _observe([[number] for number in range(1, workers + 1)], fault)


def _observe(groups: Sequence[Sequence[int]], fault: str) -> dict[str, Json]:
    if fault == "segfault":
        import ctypes  # noqa: F401 - else the others would beat on while unit 1, told to fail, imports it
    beats = sorted(beats_after(groups, fault, partial(_fail, fault)))
    survivors, others = sum(count >= ENOUGH for count in beats), len(beats)
    return {
        "survivors_count": survivors,
        "others_count": others,
        "survivors_ratio": survivors / others,
        "beats_after_count": (beats[others // 2] + beats[(others - 1) // 2]) / 2,
    }


def _fail(fault: str) -> None:
    if fault == "sys.exit":
        sys.exit(1)
    if fault == "os._exit":
        os._exit(1)
    if fault == "segfault":
        import ctypes

        ctypes.string_at(0)
    if fault == "abort":
        os.abort()
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "memory bomb":
        _take_memory()
    raise RuntimeError(f"the {fault} of a lesson")


def _take_memory() -> None:
    """Allocate until it fails, at most 64 MiB and a block."""
    import resource  # not on Windows, which has no fork either

    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm", "rb") as file:
            data_bytes = int(file.read().split()[5]) * mmap.PAGESIZE
        limit_bytes = data_bytes + _BOMB + _BLOCK // 2  # half a block is left for the others meanwhile
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    blocks = [bytearray(_BLOCK) for _ in range(_BOMB // _BLOCK + 1)]
    blocks.append(bytearray(1 << 62))  # fails everywhere, also where the limit is not kept (macOS)


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw how many of the others survive: one row per arm and fault, or lines against the number of workers."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name in done and len(done[name].unique()) > 1]
    artists.left_out(ax, len(table) - len(done), [_AXES[name] for name in varied[1:]])
    ax.set(xlabel="other workers that survive (%)", ylabel="workers are")
    if done.empty:
        artists.blank(ax)
        return
    what = "" if "fault" in varied else f" {_FAULTS[str(done.iloc[0]['fault'])]}"
    arms = [rows for arm in EXPERIMENT.arms if len(rows := done[done["arm"] == arm])]
    if varied[:1] == ["workers"]:
        values = sorted(int(value) for value in done["workers"].unique())
        ax.set(xlabel=_AXES["workers"], ylabel=f"others that survive\n{what.strip()}", ylim=(-0.3, max(values) - 0.7))
        ax.set(xticks=values, yticks=range(0, max(values), 1 if max(values) < 6 else 2))  # noqa: PLR2004 - room
        artists.lines(ax, [_line(rows, values) for rows in arms])
        return
    ax.set(xlim=(-3, 103), xticks=(0, 50, 100), xlabel=f"other workers that survive{what} (%)")
    if not varied:
        artists.dots(ax, [_row(rows, str(rows.iloc[0]["arm"]), f"{_counts(rows)} survive") for rows in arms])
        return
    ax.set(ylabel=_AXES["fault"])
    parts = [part for fault in _FAULTS for rows in arms if len(part := rows[rows["fault"] == fault])]
    artists.dots(ax, [_row(p, str(p.iloc[0]["fault"]), f"{_counts(p)} {p.iloc[0]['arm']}") for p in parts])


def _row(rows: DataFrame, label: str, text: str) -> artists.Row:
    from labkit import artists

    look = LOOKS[EXPERIMENT.units[str(rows.iloc[0]["arm"])]]
    return artists.Row(label, look, [100 * float(share) for share in rows["survivors_ratio"]], text)


def _line(rows: DataFrame, values: list[int]) -> artists.Line:
    from labkit import artists

    at = {value: rows[rows["workers"] == value]["survivors_count"] for value in values}
    points = {float(value): [float(count) for count in found] for value, found in at.items() if len(found)}
    arm = str(rows.iloc[0]["arm"])
    last = _counts(rows[rows["workers"] == rows["workers"].max()])
    return artists.Line(f"{arm}\n{last}", LOOKS[EXPERIMENT.units[arm]], points)


def _counts(rows: DataFrame) -> str:
    """Say how many survive of how many: of one run if all runs agree, else of all together."""
    counts = rows[["survivors_count", "others_count"]].drop_duplicates()
    survivors, others = counts.iloc[0] if len(counts) == 1 else rows[list(counts)].sum()
    return f"{survivors:g} of {others:g}"


def expect(machine: Machine) -> list[str]:
    """Say who survives which fault on this machine.

    Args:
        machine: Its system and its GIL decide.
    """
    if machine.system.startswith("Windows"):
        return ["This system cannot fork a process, so nobody crashes here.", *_RULES]
    gil = "has a GIL" if machine.gil else "runs without a GIL"
    return [*_RULES, f"Python {machine.python} {gil}, which changes none of this: it is the process that dies."]


_RULES = (
    "An exception, sys.exit() and a memory error end the thread that they happen in; the other threads go on.",
    "A segfault, abort(), os._exit() and SIGKILL end the whole process with every thread in it.",
    "Beside other processes every one of these faults ends a single worker.",
)


def _judge_crash(table: DataFrame) -> Verdict:
    parts = {
        "all threads died": _runs(table, "threads", 0),
        "all other processes survived": _runs(table, "processes", 1),
    }
    return _judge(parts, "share of runs in which all threads died")


def _judge_isolation(table: DataFrame) -> Verdict:
    parts = {"all other processes survived": _runs(table, "processes", 1)}
    return _judge(parts, "share of runs in which all other processes survived")


def _runs(table: DataFrame, arm: str, ratio: int) -> dict[str, tuple[int, int]]:
    """Count by fault the finished runs of an arm: those in which this share of the others survived, and all."""
    done = table[(table["ending"] == "finished") & (table["arm"] == arm)]
    shares = {str(fault): rows["survivors_ratio"] for fault, rows in done.groupby("fault")} if len(done) else {}
    return {fault: (int((shares[fault] == ratio).sum()), len(shares[fault])) for fault in _FAULTS if fault in shares}


def _judge(parts: Mapping[str, Mapping[str, tuple[int, int]]], unit: str) -> Verdict:
    """Judge a claim fault by fault: it must hold for each that was measured. The first part gives the effect."""
    from labkit.intervals import wilson

    groups: dict[str, list[str]] = {"yes": [], "no": [], "open": []}
    for fault in _FAULTS:
        if min(part.get(fault, (0, 0))[1] for part in parts.values()) >= _LEAST:
            found = [wilson(*part[fault]) for part in parts.values()]
            no = any(share.middle == 0 or share.high < 0.5 for share in found)  # noqa: PLR2004 - half of the runs
            yes = all(share.middle == 1 or share.low > 0.5 for share in found)  # noqa: PLR2004 - half of the runs
            groups["no" if no else "yes" if yes else "open"].append(fault)
    measured = [fault for faults in groups.values() for fault in faults]
    if not measured:
        most = max([tries for part in parts.values() for _, tries in part.values()], default=0)
        reason = f"it takes {_LEAST} finished runs with one fault in {len(parts)} arm(s); there are at most {most}"
        sentence = "Who survives a crash is not measured yet."
        return Verdict(outcome="cannot be measured here", sentence=sentence, reason=reason)
    told = [
        f"with {_listed(faults)}, "
        + " and ".join(f"{words} in {_share(part, faults)}" for words, part in parts.items())
        for faults in groups.values()
        if faults
    ]
    first = next(iter(parts.values()))
    share = wilson(*(sum(first[fault][place] for fault in measured) for place in (0, 1)))
    return Verdict(
        outcome="does not hold" if groups["no"] else "too close to call" if groups["open"] else "holds",
        sentence="; ".join(told).capitalize() + ".",
        effect=share.middle,
        low=share.low,
        high=share.high,
        unit=unit,
        runs_count=sum(part[fault][1] for part in parts.values() for fault in measured),
        reason=f"runs with {_listed(groups['open'])} disagree" if groups["open"] and not groups["no"] else "",
    )


def _share(part: Mapping[str, tuple[int, int]], faults: Sequence[str]) -> str:
    return f"{sum(part[fault][0] for fault in faults)} of {sum(part[fault][1] for fault in faults)} runs"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


EXPERIMENT = Experiment(
    name="crash",
    question="Who survives when one worker crashes?",
    source="Failure-mode table",
    arms={"threads": threads, "processes": processes},
    units={"threads": "thread", "processes": "process"},
    sweep={"fault": tuple(_FAULTS), "workers": (2, 4, 8)},
    defaults={"fault": "segfault", "workers": 4},
    columns={
        "survivors_count": f"other workers with {ENOUGH} heartbeats or more after the fault",
        "others_count": "workers beside the one that fails",
        "survivors_ratio": "share of the other workers that survive",
        "beats_after_count": "heartbeats of the median other worker after the fault",
    },
    headline="survivors_ratio",
    draw=draw,
    expect=expect,
    claims={"failure.crash": _judge_crash, "process.isolation_crash": _judge_isolation},
)
