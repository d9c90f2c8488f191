"""Cost split: what one message is paid for. Serialization, copy, kernel transition and context switch, each measured.

A message goes through a pipe between two threads, or two processes, on one core. What it takes in all is measured, and
so is each part by itself, in the same run and in turn with the others: see `labkit.child.split`. The parts are not
scaled to fit: what they leave over is told, and so is where they overlap.

A pipe carries bytes, so here threads have to serialize, too. They need not, as their memory is one: that they can hand
over a reference is another experiment, ``message cost``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from labkit.child.payloads import PAYLOADS, payload
from labkit.child.split import PARTS, split
from labkit.model import Experiment, Verdict
from labkit.units import MIB, in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_BARS_MOST = 8  # that have room for their words
_TALL_MOST, _WIDE = 4, 10  # bars up to which, and percent from which a part has its number in it
_OVERLAP = 0.02  # of the total; less is noise
_NEEDED = PARTS[:-1]  # all but what is left over
_CLEAR = 0.01  # of the total: less is nothing to pay for
_SENT_AS_THEY_ARE = "bytes"
_AXES = {"payload": "payload", "size_bytes": "size of the payload"}
_NAMES = {"int": "an int", "list of dicts": "a list of dicts", "array": "an array"}
_LOOKS = {  # name, colour, hatch; the colours are none of those that mean threads or processes
    "serialization_s": ("serialization", "#F0E442", ""),
    "copy_s": ("copy", "#56B4E9", "///"),
    "transition_s": ("kernel transition", "#FFFFFF", "..."),
    "switch_s": ("context switch", "#9A9A9A", "xx"),
    "left_over_s": ("left over", "#FFFFFF", ""),
}


def threads(*, payload: str, size_bytes: int) -> dict[str, Json]:
    """Send a message through a pipe between two threads of one process."""
    return _measure("threads", payload, size_bytes)


def processes(*, payload: str, size_bytes: int) -> dict[str, Json]:
    """Send a message through a pipe between two processes, one of them forked."""
    return _measure("processes", payload, size_bytes)


def _measure(between: str, kind: str, size_bytes: int) -> dict[str, Json]:
    return split(between, payload(kind, size_bytes))._asdict()


class _Bar(NamedTuple):
    """One bar: what it is of, and the run in the middle."""

    label: str
    middle: dict[str, float]


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw one bar per payload, size and arm: the parts as shares of the whole, and the whole in words beside it."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    unfinished = artists.unfinished(table)
    ax.set(xlabel="share of the CPU time of one message (%)", ylabel="one message")
    if done.empty:
        artists.left_out(ax, unfinished, [])
        artists.blank(ax)
        return
    few = _few(done)
    told = [f"unfinished runs left out: {unfinished}"] if unfinished else []
    artists.note(
        ax, "; ".join(told + (["between processes only, smallest and largest"] if len(few) < len(done) else []))
    )
    bars = _bars(few)
    for place, bar in enumerate(bars):
        _draw_bar(ax, place, bar, numbers=len(bars) <= _TALL_MOST)
    _finish(ax, bars)


def _few(done: DataFrame) -> DataFrame:
    """Leave out what there is no room for: threads first, and then all sizes but the smallest and the largest."""
    settings = done.groupby(["payload", "size_bytes", "arm"]).ngroups
    if settings <= _BARS_MOST:
        return done
    if (done["arm"] == "processes").any():
        done = done[done["arm"] == "processes"]
    return done[done["size_bytes"].isin([done["size_bytes"].min(), done["size_bytes"].max()])]


def _bars(done: DataFrame) -> list[_Bar]:
    bars = []
    several = [name for name in _AXES if len(done[name].unique()) > 1]
    for kind in [kind for kind in PAYLOADS if (done["payload"] == kind).any()]:
        for size in sorted(int(size) for size in done["size_bytes"].unique()):
            for arm in EXPERIMENT.arms:
                runs = done[(done["payload"] == kind) & (done["size_bytes"] == size) & (done["arm"] == arm)]
                words = {"payload": kind, "size_bytes": in_words("size_bytes", size)}
                if len(runs):
                    label = ", ".join([*(words[name] for name in several), arm])
                    bars.append(_Bar(label, _middle(runs)))
    return bars


def _middle(runs: DataFrame) -> dict[str, float]:
    """Return the columns of the run with the median total: its parts add up, the medians of each part need not."""
    order = runs.sort_values("total_s")
    return {name: float(order[name].iloc[(len(order) - 1) // 2]) for name in EXPERIMENT.columns}


def _draw_bar(ax: Axes, place: int, bar: _Bar, *, numbers: bool) -> None:
    left, total_s = 0.0, bar.middle["total_s"]
    for part, (_, color, hatch) in _LOOKS.items():
        percent = max(0.0, 100 * bar.middle[part] / total_s)
        ax.barh(place, percent, 0.72, left, color=color, edgecolor="0.15", hatch=hatch, linewidth=1)
        if numbers and percent >= _WIDE:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            ax.text(
                left + percent / 2,
                place,
                f"{percent:.0f}",
                ha="center",
                va="center",
                fontsize=14,
                bbox=box,
                clip_on=True,
            )
        left += percent
    ax.annotate(
        _in_words(bar.middle),
        (1.02, place),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=12,
        fontweight="bold",
        annotation_clip=False,
    )


def _in_words(middle: dict[str, float]) -> str:
    """Say what the message takes, and which part is the largest."""
    largest = max(PARTS, key=middle.__getitem__)
    total_s, faults = middle["total_s"], middle["faults_count"]
    text = f"{in_words('_s', total_s)}: {100 * middle[largest] / total_s:.0f} % {_LOOKS[largest][0]}"
    if middle["left_over_s"] < -_OVERLAP * total_s:
        return f"{text}\n(parts overlap)"
    if largest == "left_over_s" and faults >= 1:
        return f"{text}\n({faults:.0f} page fault{'s' if faults >= 1.5 else ''})"  # noqa: PLR2004 - rounds to 2
    return text


def _finish(ax: Axes, bars: Sequence[_Bar]) -> None:
    """Name bars and parts; the scale ends at the whole, or where parts that overlap end."""
    ends = [sum(max(0.0, bar.middle[part]) for part in PARTS) / bar.middle["total_s"] for bar in bars]
    ax.set(xlim=(0, 100 * max(1.0, *ends)), ylim=(len(bars) - 0.5, -0.5))
    ax.set_yticks(range(len(bars)), [bar.label for bar in bars], fontsize=12)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=12)
    for axis in (ax.xaxis, ax.yaxis):
        axis.label.set_fontsize(14)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    handles = [
        ax.barh(0, 0, color=color, edgecolor="0.15", hatch=2 * hatch, label=name)
        for name, color, hatch in _LOOKS.values()
    ]
    ax.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=(0.55, 1.0),
        ncols=len(handles),
        fontsize=12,
        frameon=False,
        handlelength=1.6,
        handletextpad=0.4,
        columnspacing=1.0,
    )


def expect(machine: Machine) -> list[str]:
    """Say what a message is paid for on this machine.

    Args:
        machine: Its system and its GIL decide.
    """
    told = [
        "A small message is paid for by system calls, a context switch, Python's own code; a large one by its bytes.",
        "Lists of dicts are paid for by serialization nearly alone; bytes need none, and pay for the copy.",
        "What is left over is Python's own code, and fresh memory for a large value: see the page faults.",
        f"Python {machine.python} has a GIL: threads take turns for it, which the context switch counts."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: on one core threads take turns all the same.",
    ]
    if not machine.system.startswith("Linux"):
        told.append("This system cannot keep both sides on one core: the parts cannot be measured here.")
    return told


class _Largest(NamedTuple):
    """A part, in the message of which it is the largest share; and whether it is a clear part of none."""

    part: str
    share: Interval
    runs: DataFrame
    lacking: bool


def _judge_components(table: DataFrame) -> Verdict:
    """Judge whether every part is clearly there, each in some message between processes; the smallest decides."""
    done = table[(table["ending"] == "finished") & (table["arm"] == "processes")]
    enough = _enough(done) if len(done) else []
    if not any(runs["payload"].iloc[0] != _SENT_AS_THEY_ARE for runs in enough):
        sentence = "What a message between processes is paid for is not measured yet."
        reason = f"it takes 3 finished runs of a message that has to be serialized; there are {len(done)} of any"
        return Verdict(outcome="cannot be measured here", sentence=sentence, reason=reason)
    parts = [_largest(part, enough) for part in _NEEDED]
    least = min(parts, key=lambda one: one.share.low)
    lacking = [one for one in parts if one.lacking]
    if lacking:
        least = min(lacking, key=lambda one: one.share.high)
    outcome: Literal["holds", "does not hold", "too close to call"] = (
        "does not hold" if lacking else "holds" if least.share.low > _CLEAR else "too close to call"
    )
    found, name = least.share.percent(), _LOOKS[least.part][0]
    return Verdict(
        outcome=outcome,
        sentence=_sentence(parts, enough),
        effect=found.middle,
        low=found.low,
        high=found.high,
        unit=f"% of the message in which it is largest, for the smallest part: {name}",
        runs_count=sum(len(runs) for runs in enough),
        reason=f"the interval of {name} contains {100 * _CLEAR:g} %" if outcome == "too close to call" else "",
    )


def _enough(done: DataFrame) -> list[DataFrame]:
    """Return the runs of each message, if there are three; the shortest message first."""
    groups = [runs for _, runs in done.groupby(["payload", "size_bytes"])]
    enough = [runs for runs in groups if len(runs) >= 3]  # noqa: PLR2004 - else no interval
    return sorted(enough, key=lambda runs: float(runs["message_bytes"].median()))


def _largest(part: str, enough: Sequence[DataFrame]) -> _Largest:
    """Find the message in which a part is clearly the most."""
    from labkit.intervals import median_interval

    shares = [median_interval(list(runs[part] / runs["total_s"])) for runs in enough]
    first = max(range(len(shares)), key=lambda n: shares[n].low)
    return _Largest(part, shares[first], enough[first], all(share.high < _CLEAR for share in shares))


def _sentence(parts: Sequence[_Largest], enough: Sequence[DataFrame]) -> str:
    """Tell of each part the message in which it is largest, what is left over at most, and what there is none of."""
    left = _largest(PARTS[-1], enough)
    shares: dict[str, list[str]] = {}
    for one in (*parts, left):
        shares.setdefault(_message(one.runs), []).append(f"{_LOOKS[one.part][0]} {100 * one.share.middle:.2g} %")
    told = [f"{', '.join(some)} of {message}" for message, some in shares.items()]
    none = " and ".join(_LOOKS[one.part][0] for one in parts if one.lacking)
    told = [f"Each part of a message between processes, where it is largest: {'; '.join(told)}."]
    return " ".join([*told, f"Less than {100 * _CLEAR:g} % of any for {none}."] if none else told)


def _message(runs: DataFrame) -> str:
    kind, size = str(runs["payload"].iloc[0]), in_words("_bytes", int(runs["size_bytes"].iloc[0]))
    return f"{in_words('_s', float(runs['total_s'].median()))} with {_NAMES.get(kind, kind)} of {size}"


EXPERIMENT = Experiment(
    name="cost split",
    question="What is one message paid for?",
    source="IPC costs",
    arms={"threads": threads, "processes": processes},
    units={"threads": "thread", "processes": "process"},
    sweep={"payload": PAYLOADS, "size_bytes": (8, 1024, 64 << 10, MIB)},
    defaults={"payload": "list of dicts", "size_bytes": 64 << 10},
    columns={
        "total_s": "CPU time of both sides for one message",
        "serialization_s": "the part of it for writing the value as bytes and building it anew",
        "copy_s": "the part for copying the bytes into the kernel and out of it",
        "transition_s": "the part for entering and leaving the kernel",
        "switch_s": "the part for switching from one side to the other",
        "left_over_s": "what is left over; below 0 if the parts take less together than one by one",
        "syscalls_count": "system calls of one message, of both sides",
        "switches_count": "context switches of one message",
        "faults_count": "page faults of one message: fresh memory for it",
        "message_bytes": "length of the payload as bytes",
    },
    headline="total_s",
    draw=draw,
    expect=expect,
    claims={"ipc.components": _judge_components},
)
