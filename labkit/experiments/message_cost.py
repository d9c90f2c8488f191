"""Message cost: what it takes to hand one value over, by each mechanism, between threads and between processes.

A round trip carries the same value there and back; a message is half of one. Like is compared with like: a mechanism
is the same one between threads and between processes, and has one marker for both. Where the two have classes of their
own, such as `queue.Queue` and `multiprocessing.Queue`, each uses its own, as users do: the one hands a reference over,
the other writes the value to a pipe.

Both sides run on one core, unless asked otherwise: on several, the scheduler decides whether the other side is woken
where the message is or on a core that has to wake up first, and the same pipe takes 5 us or 25. CPU time is that of
both sides. On one core it is all that a message takes, and neighbours do not change it: so it decides the verdicts.
"""

from __future__ import annotations

import time
from itertools import pairwise
from math import exp, log
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.channels import IN_PLACE, MECHANISMS
from labkit.child.exchange import exchange
from labkit.child.payloads import PAYLOADS, payload
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.intervals import Interval
    from labkit.model import Json, Look, Machine

_WINDOW_S = 0.02
_CALLS = 2000  # between two looks at the clock
_LEAST = 3  # runs: fewer give no interval worth showing
_CLEAR = 1.25  # times as much: the border of a difference worth talking about
_CHOICE = 3  # mechanisms: fewer are no choice
_MECHANISMS_MOST = 4  # that can be told apart as lines
_TO_THREADS = "times what threads need"
_PINNED, _FREE = "one core", "any core"
_TALKING = ("threads", "processes")
_BY_REFERENCE = ("Queue", "SimpleQueue")  # between threads
_MARKS = dict(zip(MECHANISMS, "osD^v<>P*", strict=True))


def threads(*, mechanism: str, payload: str, size_bytes: int, placement: str) -> dict[str, Json]:
    """Send messages between two threads of one process."""
    return _told("threads", mechanism, _value(payload, size_bytes), placement)


def processes(*, mechanism: str, payload: str, size_bytes: int, placement: str) -> dict[str, Json]:
    """Send messages between a process and its fork."""
    return _told("processes", mechanism, _value(payload, size_bytes), placement)


def direct_call(*, mechanism: str, payload: str, size_bytes: int, placement: str) -> dict[str, Json]:
    """Call a function in the same thread: no message at all, whatever the mechanism and the placement."""
    del mechanism, placement
    value = _value(payload, size_bytes)

    def hand_over(given: object) -> object:
        return given

    calls, until_s = 0, time.perf_counter() + _WINDOW_S
    began_s, cpu_s = time.perf_counter(), time.process_time()
    while time.perf_counter() < until_s:
        for _ in range(_CALLS):
            hand_over(value)
        calls += _CALLS
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return {
        "latency_s": took_s / calls / 2,
        "cpu_per_message_s": cpu_s / calls / 2,
        "switches_count": 0,
        "bandwidth_bytes_per_s": size_bytes * calls / took_s,
        "message_bytes": 0,
        "messages_count": 2 * calls,
    }


def _told(between: str, mechanism: str, value: object, placement: str) -> dict[str, Json]:
    return exchange(mechanism, between, value, window_s=_WINDOW_S, pinned=placement == _PINNED)


_value = payload  # the arms have a parameter of that name


class _Group(NamedTuple):
    """The runs that make one line, or one row."""

    mechanism: str
    arm: str
    runs: DataFrame

    @property
    def look(self) -> Look:
        mark = _MARKS[self.mechanism] if self.arm in _TALKING else "x"
        return LOOKS[EXPERIMENT.units[self.arm]]._replace(marker=mark)


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the time of a message: lines against the size, or threads and processes side by side for each mechanism."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    ax.set(xlabel="time to hand one message over (us)", ylabel="mechanism")
    if done.empty:
        artists.left_out(ax, artists.unfinished(table), [])
        artists.blank(ax)
        return
    done = done.assign(latency_us=1e6 * done["latency_s"])
    sizes = sorted(int(size) for size in done["size_bytes"].unique())
    kinds = [kind for kind in PAYLOADS if kind in set(done["payload"])]
    pooled = ["payloads"] if len(kinds) > 1 and len(sizes) > 1 else []
    artists.left_out(ax, artists.unfinished(table), pooled)
    artists.log_axis(ax, ax.yaxis if len(sizes) > 1 else ax.xaxis, list(done["latency_us"]))
    if len(sizes) > 1:
        _draw_lines(_split(done), sizes, ax)
    elif len(kinds) > 1:
        ax.set(ylabel="payload")
        artists.dots(ax, [_row(one, kind) for kind in kinds for one in _split(done[done["payload"] == kind])[:8]])
    else:
        ax.set(xlabel=f"time to hand {in_words('_bytes', sizes[0])} over (us)")
        _draw_pairs(_split(done), ax)


def _split(done: DataFrame) -> list[_Group]:
    """Split the runs by mechanism and arm; a direct call stands once, whatever the mechanism."""
    groups = [
        _Group(mechanism, arm, runs)
        for mechanism in MECHANISMS
        for arm in _TALKING
        if len(runs := done[(done["mechanism"] == mechanism) & (done["arm"] == arm)])
    ]
    calls = done[done["arm"] == "direct call"]
    return [*groups, _Group("direct call", "direct call", calls)] if len(calls) else groups


def _row(one: _Group, label: str) -> artists.Row:
    from labkit import artists

    middle_s = float(one.runs["latency_s"].median())
    return artists.Row(
        label, one.look, [float(us) for us in one.runs["latency_us"]], f"{in_words('_s', middle_s)}  {one.arm}"
    )


def _draw_pairs(groups: Sequence[_Group], ax: Axes) -> None:
    """Draw one line for each mechanism, with threads and processes on it."""
    from labkit import artists

    rows: dict[str, list[artists.Row]] = {}
    for one in groups:
        row = _row(one, one.mechanism)
        rows.setdefault(one.mechanism, []).append(row._replace(text=f"{one.runs['latency_us'].median():.3g}"))
    arms = [arm for arm in _TALKING if any(one.arm == arm for one in groups)]
    artists.pairs(ax, rows, [(arm, LOOKS[EXPERIMENT.units[arm]]) for arm in arms])


def _draw_lines(groups: Sequence[_Group], sizes: Sequence[int], ax: Axes) -> None:
    """Draw the time against the size, one line per mechanism and arm, and mark from where on threads win or lose."""
    from labkit import artists

    names = list(dict.fromkeys(one.mechanism for one in groups if one.arm in _TALKING))
    shown = [one for one in groups if one.arm not in _TALKING or one.mechanism in names[:_MECHANISMS_MOST]]
    if len(names) > _MECHANISMS_MOST:
        artists.note(ax, f"shown: {', '.join(names[:_MECHANISMS_MOST])}; the table holds all {len(names)} mechanisms")
    ax.set(xscale="log", xlabel="size of the message", ylabel="time to hand\none over (us)")
    ax.set(xlim=(sizes[0] / 2, sizes[-1] * 2))
    ax.minorticks_off()
    ax.set_xticks(
        sizes[:: 1 + len(sizes) // 6], labels=[in_words("_bytes", size) for size in sizes][:: 1 + len(sizes) // 6]
    )
    several = len(names) > 1
    artists.lines(
        ax,
        [
            artists.Line(
                f"{one.mechanism}, {one.arm}" if several and one.arm in _TALKING else one.arm,
                one.look,
                {
                    float(str(size)): [float(us) for us in runs["latency_us"]]
                    for size, runs in one.runs.groupby("size_bytes")
                },
            )
            for one in shown
        ],
    )
    crossing = _crossing(groups)
    if crossing:
        artists.border(ax, "x", *crossing)


def _crossing(groups: Sequence[_Group]) -> tuple[float, str] | None:
    """Find the size from which on a queue between threads, which copies nothing, beats what processes copy through."""
    queues = [one for one in groups if one.arm == "threads" and one.mechanism in _BY_REFERENCE]
    copying = [one for one in groups if one.arm == "processes" and one.mechanism not in (*_BY_REFERENCE, IN_PLACE)]
    if not queues or not copying:
        return None
    beside, apart = (one[0].runs.groupby("size_bytes")["latency_s"].median() for one in (queues, copying))
    logs = [(log(float(str(size))), log(float(apart[size] / beside[size]))) for size in beside.index if size in apart]
    if not logs or logs[0][1] > -log(_CLEAR) or logs[-1][1] < log(_CLEAR):
        return None  # one of them wins at every size, or hardly
    (x, y), (later_x, later_y) = next(two for two in pairwise(logs) if two[0][1] < 0 <= two[1][1])
    place = exp(x - y * (later_x - x) / (later_y - y))
    return place, f"from here {queues[0].mechanism} of threads beats {copying[0].mechanism} of processes"


def expect(machine: Machine) -> list[str]:
    """Say what messages cost on this machine.

    Args:
        machine: Its cores, its system and its room for shared memory decide.
    """
    told = [
        "A small message costs a few microseconds by any mechanism: what it waits for is the other side.",
        "A message that is copied takes longer the larger it is; one that is handed over by reference does not.",
        "All but bytes is serialized between processes, and that can cost more than the way itself.",
    ]
    if machine.cores_count < 2:  # noqa: PLR2004 - a second core
        told.append("With less than two cores both sides take turns on one: a large message is written, then read.")
    room = machine.shared_memory_bytes
    if room is None:
        told.append("This system does not tell how much room there is for shared memory.")
    elif room < 2 * max(EXPERIMENT.sweep["size_bytes"]):
        told.append(f"There are {in_words('_bytes', room)} for shared memory here: larger messages have no room there.")
    return told


class _Like(NamedTuple):
    """One mechanism and setting, measured between threads and between processes, with enough runs of both."""

    mechanism: str
    payload: str
    size: int
    threads: DataFrame
    processes: DataFrame


class _Ratio(NamedTuple):
    """How many times as much something takes, what that was, and how many runs stand behind it."""

    times: Interval
    words: str
    runs_count: int


def _alike(table: DataFrame) -> list[_Like]:
    """List what was measured of both, on one core: elsewhere the scheduler decides more than the mechanism."""
    done, found = table[(table["ending"] == "finished") & table["arm"].isin(_TALKING)], []
    keys = ["size_bytes", "mechanism", "payload", "placement"]
    for (size, mechanism, kind, placement), runs in done.groupby(keys) if len(done) else ():
        beside, apart = (runs[runs["arm"] == arm] for arm in _TALKING)
        if min(len(beside), len(apart)) >= _LEAST and placement == _PINNED:
            found.append(_Like(str(mechanism), str(kind), int(str(size)), beside, apart))
    return found


def _ratio(words: str, above: DataFrame, below: DataFrame, column: str = "cpu_per_message_s") -> _Ratio:
    """Compare two groups of runs; the words are followed by both medians, that of ``below`` first."""
    from labkit.intervals import ratio_interval

    times = ratio_interval(*([float(value) for value in runs[column]] for runs in (above, below)))
    medians = [in_words("_s", float(runs[column].median())) for runs in (below, above)]
    return _Ratio(times, f"{words} {medians[0]} and {medians[1]}", len(above) + len(below))


def _largest(found: Sequence[_Like]) -> list[_Ratio]:
    """Compare queues between processes with those between threads, which hand over references, at the largest size."""
    queues = [one for one in found if one.mechanism in _BY_REFERENCE]
    most = max((one.size for one in queues), default=0)
    return [
        _ratio(f"{one.mechanism}, {in_words('_bytes', most)} ({one.payload}):", one.processes, one.threads)
        for one in queues
        if one.size == most
    ]


def _judge_communication(table: DataFrame) -> Verdict:
    """Judge whether processes pay for what threads get by reference: bytes decide, which need no serialization."""
    found = [one for one in _alike(table) if one.payload == "bytes"]
    subject = "CPU time to hand one over between threads and between processes"
    return _by_the_least(_largest(found), subject, _TO_THREADS, "a queue and bytes")


def _judge_immediate(table: DataFrame) -> Verdict:
    """Judge whether a reference is there sooner than a pickled object; queues between processes pickle all."""
    found = _alike(table)
    objects = [one for one in found if one.payload != "bytes" and one.mechanism in _BY_REFERENCE]
    subject = "CPU time to hand one over by reference and pickled"
    return _by_the_least(_largest(objects or found), subject, _TO_THREADS, "a queue")


def _judge_speed(table: DataFrame) -> Verdict:
    """Judge whether threads are faster and use less CPU: the best way of each, at the smallest and the largest size."""
    found = [one for one in _alike(table) if one.payload == "bytes"]
    ratios, sizes = [], sorted({one.size for one in found})
    for size in sorted({*sizes[:1], *sizes[-1:]}):
        here = [one for one in found if one.size == size]
        beside = min(here, key=lambda one: float(one.threads["latency_s"].median()))
        apart = min(here, key=lambda one: float(one.processes["latency_s"].median()))
        for column, what in (("latency_s", ""), ("cpu_per_message_s", "CPU time ")):
            words = f"{in_words('_bytes', size)} through {beside.mechanism} and {apart.mechanism}: {what}"
            ratios.append(_ratio(words.rstrip(), apart.processes, beside.threads, column))
    return _by_the_least(ratios, "The fastest way between threads and that between processes", _TO_THREADS, "bytes")


def _judge_mechanisms(table: DataFrame) -> Verdict:
    """Judge whether mechanisms differ between processes: the slowest beside the fastest, at each size."""
    ratios, sizes = [], {(one.size, one.payload): one for one in _alike(table)}
    for size, kind in sizes:
        here = [one for one in _alike(table) if (one.size, one.payload) == (size, kind)]
        if len(here) >= _CHOICE:
            order = sorted(here, key=lambda one: float(one.processes["cpu_per_message_s"].median()))
            words = f"{in_words('_bytes', size)} ({kind}) through {order[0].mechanism} and {order[-1].mechanism}:"
            ratios.append(_ratio(words, order[-1].processes, order[0].processes))
    return _by_the_least(
        ratios,
        "CPU time of the cheapest and of the dearest way between processes",
        "times the cheapest",
        "3 mechanisms",
    )


def _by_the_least(ratios: Sequence[_Ratio], subject: str, unit: str, what: str) -> Verdict:
    """Judge by where the difference is least: it holds if it is clear there, and so everywhere."""
    if not ratios:
        reason = f"it takes {_LEAST} finished runs of threads and {_LEAST} of processes, with {what}"
        return Verdict(outcome="cannot be measured here", sentence=f"{subject}: not measured yet.", reason=reason)
    least = min(ratios, key=lambda one: one.times.low).times
    clear, none = least.low > _CLEAR, any(one.times.high < _CLEAR for one in ratios)
    return Verdict(
        outcome="holds" if clear else "does not hold" if none else "too close to call",
        sentence=f"{subject}. {'; '.join(one.words for one in ratios)}.",
        effect=least.middle,
        low=least.low,
        high=least.high,
        unit=f"{unit}, where the difference is least",
        runs_count=sum(one.runs_count for one in ratios),
        reason="" if clear or none else f"an interval contains the border of {_CLEAR}",
    )


EXPERIMENT = Experiment(
    name="message cost",
    question="What does it cost to hand one message over?",
    source="IPC costs",
    arms={"threads": threads, "processes": processes, "direct call": direct_call},
    units={"threads": "thread", "processes": "process", "direct call": "thread"},
    sweep={
        "mechanism": tuple(MECHANISMS),
        "payload": PAYLOADS,
        "size_bytes": (8, 1 << 10, 1 << 16, 1 << 20, 1 << 23, 1 << 26),
        "placement": (_PINNED, _FREE),
    },
    defaults={"mechanism": "pipe", "payload": "bytes", "size_bytes": 8, "placement": _PINNED},
    columns={
        "latency_s": "time to hand one message over: half of a round trip",
        "cpu_per_message_s": "CPU time of both sides for one message",
        "switches_count": "context switches of both sides for one message",
        "bandwidth_bytes_per_s": "bytes handed over when messages go one way only",
        "message_bytes": "size of the value as bytes",
        "messages_count": "messages sent",
    },
    headline="latency_s",
    draw=draw,
    expect=expect,
    claims={
        "table.communication": _judge_communication,
        "tradeoff.threads_speed": _judge_speed,
        "memory.immediate": _judge_immediate,
        "ipc.mechanisms": _judge_mechanisms,
    },
)
