"""Switch points: what the interpreter lets happen between two lines.

Two threads add to one number for a moment: each reads it into a variable, does something, and writes the variable plus
1. Whatever it does there is an arm, as arms are what is compared, and one run is one of them. An addition is lost if
the other thread wrote in between. So a loss shows that the interpreter changed threads there, or ran both at once. No
loss shows nothing but that: so many additions were made, and none was lost; the language promises nothing.

One change of threads loses thousands of additions at once. So additions are no independent trials, and a share of them
has no interval of its own: the interval shown is that of the runs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from labkit.child import gaps
from labkit.model import LOOKS, Experiment
from labkit.units import in_words
from labkit.versions import age, free_threaded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit.model import Json, Machine

_COLUMN = 145  # percent from one interpreter's column to the next: 100 for the marks, and room for a number
_LARGE, _SMALL = 14, 12  # points
_TWO_CORES = 1.3  # cores: two threads that used less were hardly ever at work at the same moment


def nothing(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Write right after the read."""
    return _count("nothing", switch_interval_s, observe_s)


def attribute(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Read an attribute between read and write."""
    return _count("attribute", switch_interval_s, observe_s)


def call(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Call a function written in Python."""
    return _count("call", switch_interval_s, observe_s)


def builtin(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Call a function written in C."""
    return _count("builtin", switch_interval_s, observe_s)


def loop(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Go through a for loop of one turn."""
    return _count("for", switch_interval_s, observe_s)


def with_block(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Take a lock that no other thread knows."""
    return _count("with", switch_interval_s, observe_s)


def printing(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Print to the null device, flushed at once."""
    return _count("print", switch_interval_s, observe_s)


def sleep(*, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    """Sleep for 0 seconds."""
    return _count("sleep", switch_interval_s, observe_s)


def _count(gap: str, switch_interval_s: float, observe_s: float) -> dict[str, Json]:
    began_s, cpu_s = time.perf_counter(), time.process_time()
    added, lost = gaps.count(gap, seconds=observe_s, switch_interval_s=switch_interval_s)
    cpu_s, wall_s = time.process_time() - cpu_s, time.perf_counter() - began_s
    return {"lost_ratio": lost / added, "lost_count": lost, "added_count": added, "used_cores": cpu_s / wall_s}


_ARMS = {
    "nothing": nothing,
    "attribute read": attribute,
    "function call": call,
    "built-in call": builtin,
    "for loop": loop,
    "with block": with_block,
    "print": printing,
    "sleep(0)": sleep,
}


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the share of additions lost: one row per arm, and a column per interpreter and switch interval."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in EXPERIMENT.sweep if name in done and len(done[name].unique()) > 1]
    artists.left_out(ax, artists.unfinished(table), ["time observed"] if "observe_s" in varied else [])
    ax.set(xlabel="additions lost (%)", ylabel="between read and write")
    if done.empty:
        artists.blank(ax)
        return
    columns = [
        ((python, at), runs)
        for python in sorted(done["python"].unique(), key=age)
        for at in sorted(done["switch_interval_s"].unique())
        if len(runs := done[(done["python"] == python) & (done["switch_interval_s"] == at)])
    ]
    arms = [arm for arm in EXPERIMENT.arms if arm in set(done["arm"])]
    for place, (_, runs) in enumerate(columns):
        ax.vlines(
            [_COLUMN * place + x for x in (0, 50, 100)], -0.6, len(arms) - 0.4, color="0.9", linewidth=1, zorder=0
        )
        for y, arm in enumerate(arms):
            _draw_cell(ax, _COLUMN * place, y, runs[runs["arm"] == arm])
    ax.set(xlim=(-4, _COLUMN * len(columns) - 15), ylim=(len(arms) - 0.4, -0.6))
    ax.set_yticks(range(len(arms)), arms)
    if len(columns) == 1:
        ax.set_xticks(range(0, 101, 25))
    else:
        several = "switch_interval_s" in varied
        names = [f"{python}\n{in_words('_s', at)}" if several else f"Python {python}" for (python, at), _ in columns]
        ax.set_xticks([_COLUMN * place + 50 for place in range(len(columns))], names)
        hollow = " (hollow: no GIL)" if any(map(free_threaded, done["python"].unique())) else ""
        ax.set(xlabel=f"additions lost: 0 to 100 % in each column{hollow}")
    ax.tick_params(labelsize=_LARGE)
    ax.tick_params(axis="y", length=0)
    for words in (ax.xaxis.label, ax.yaxis.label):
        words.set_fontsize(_LARGE)
    ax.spines[["top", "right"]].set_visible(False)


def _draw_cell(ax: Axes, left: float, y: float, runs: DataFrame) -> None:
    """Draw what one interpreter lost in one gap; if it lost nothing there is no mark, and the text says in how many."""
    from labkit.intervals import median_interval

    if runs.empty:
        return
    first = runs.iloc[0]
    look, free = LOOKS["thread"], free_threaded(str(first["python"]))
    words: dict[str, Any] = {"color": look.color, "fontsize": _SMALL, "fontweight": "bold", "va": "center"}
    if not runs["lost_count"].any():
        alone = ", on one core" if free and runs["used_cores"].median() < _TWO_CORES else ""
        ax.text(left + 2, y, f"none in {_many(int(runs['added_count'].sum()))}{alone}", **words)
        return
    lost = [100 * float(ratio) for ratio in runs["lost_ratio"]]
    share = median_interval(lost)
    ax.plot([left + one for one in lost], [y] * len(lost), "o", color=look.color, alpha=0.3, markersize=6, mew=0)
    ax.plot([left + share.low, left + share.high], [y, y], color=look.color, linewidth=5, alpha=0.6)
    face = "white" if free else look.color
    ax.plot([left + share.middle], [y], look.marker, color=look.color, markerfacecolor=face, markersize=11, zorder=3)
    text = _percent(share.middle) if share.middle else f"0-{_percent(max(lost))}"  # 0 alone would say: never
    ax.text(left + 103, y, f"{text} %", **words)


def _percent(number: float) -> str:
    return f"{number:.0f}" if number >= 1 else f"{number:.2g}"


def _many(number: int) -> str:
    return f"{number / 1e6:.1f} million" if number >= 1e6 else f"{float(f'{number:.2g}'):,.0f}"  # noqa: PLR2004


def expect(machine: Machine) -> list[str]:
    """Say between which lines additions can vanish on this machine.

    Args:
        machine: Its GIL, its Python version and its cores decide.
    """
    python = f"Python {machine.python}"
    if machine.gil:
        told = (
            f"{python} has a GIL, and looks whether another thread wants it at calls and at the ends of loops.",
            "With nothing or an attribute between read and write, expect no loss: this is no promise of the language.",
        )
    else:
        told = (
            f"{python} runs without a GIL: two threads write at once, and with every gap additions can vanish.",
            f"That takes two cores at the same moment, and there are {machine.cores_count:g}.",
        )
    return [*told, "A print and a sleep give the GIL away: with them additions vanish on every build."]


EXPERIMENT = Experiment(
    name="switch points",
    question="What does the interpreter let happen between two lines?",
    source="Memory sharing between threads",
    arms=_ARMS,
    units=dict.fromkeys(_ARMS, "thread"),
    sweep={"switch_interval_s": (1e-6, 0.005), "observe_s": (0.05, 0.1, 0.3)},
    defaults={"switch_interval_s": 1e-6, "observe_s": 0.05},
    columns={
        "lost_ratio": "share of the additions that were lost",
        "lost_count": "additions that were lost",
        "added_count": "additions that the two threads made",
        "used_cores": "cores that the two threads used",
    },
    headline="lost_ratio",
    draw=draw,
    expect=expect,
    claims={},
    pythons=True,
)
