"""Message cost: what it takes to hand one value over, by each mechanism, between threads and between processes.

A round trip carries the same value there and back; a message is half of one. Like is compared with like: a mechanism
is the same one between threads and between processes, and has one marker for both. Where the two have classes of their
own, such as `queue.Queue` and `multiprocessing.Queue`, each uses its own, as users do: the one hands a reference over,
the other writes the value to a pipe.

Both sides run on one core, unless asked otherwise: on several, the scheduler decides whether the other side is woken
where the message is or on a core that has to wake up first, and the same pipe takes 5 us or 25. CPU time is that of
both sides. On one core it is all that a message takes, if nobody else is there: it decides the verdicts, and a run
counts if both sides had nine tenths of the core. What is in place was written once: a message says that it is there.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.channels import IN_PLACE, MECHANISMS
from labkit.child.exchange import calls, exchange
from labkit.child.payloads import PAYLOADS
from labkit.child.payloads import payload as _value
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
_LEAST = 3  # runs: fewer give no interval worth showing
_CLEAR = 1.25  # times as much: the border of a difference worth talking about
_QUIET = 0.9  # of the time of a run: else others had the core
_FLAT, _FAR = 2.0, 1000  # times as much: a border between growing and not, and a size that is far from another
_CHOICE, _MECHANISMS_MOST, _TOLD_MOST = 3, 4, 2  # mechanisms to choose from, and as lines; comparisons in a sentence
_PINNED, _FREE = "one core", "any core"
_TALKING = ("threads", "processes")
_BY_REFERENCE = ("Queue", "SimpleQueue")  # between threads
_MARKS = dict(zip(MECHANISMS, "osD^v<>P*", strict=True))


def threads(*, mechanism: str, payload: str, size_bytes: int, placement: str) -> dict[str, Json]:
    """Send messages between two threads of one process."""
    return exchange(mechanism, "threads", _value(payload, size_bytes), window_s=_WINDOW_S, pinned=placement == _PINNED)


def processes(*, mechanism: str, payload: str, size_bytes: int, placement: str) -> dict[str, Json]:
    """Send messages between a process and its fork."""
    return exchange(
        mechanism, "processes", _value(payload, size_bytes), window_s=_WINDOW_S, pinned=placement == _PINNED
    )


def direct_call(*, mechanism: str, payload: str, size_bytes: int, placement: str) -> dict[str, Json]:
    """Call a function in the same thread: no message at all, whatever the mechanism and the placement."""
    del mechanism, placement
    return calls(_value(payload, size_bytes), window_s=_WINDOW_S)


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
    varied = [name for name in ("payload", "placement") if len(done[name].unique()) > 1]
    by_rows = len(sizes) == len(varied) == 1
    artists.left_out(ax, artists.unfinished(table), [] if by_rows else [f"{name}s" for name in varied])
    artists.log_axis(ax, ax.yaxis if len(sizes) > 1 else ax.xaxis, list(done["latency_us"]))
    if len(sizes) > 1:
        _draw_lines(_split(done), sizes, ax)
    elif by_rows:
        _draw_rows(done, varied[0], ax)
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

    text = f"{in_words('_s', float(one.runs['latency_s'].median()))}  {one.arm}"
    return artists.Row(label, one.look, [float(us) for us in one.runs["latency_us"]], text)


def _draw_rows(done: DataFrame, name: str, ax: Axes) -> None:
    """Draw rows for each payload, or placement, of the first mechanism measured; the table holds the others."""
    from labkit import artists

    first, *others = (mechanism for mechanism in MECHANISMS if mechanism in set(done["mechanism"]))
    if others:
        artists.note(ax, f"shown: {first}; the table holds the other mechanisms")
    shown = done[(done["mechanism"] == first) | ~done["arm"].isin(_TALKING)]
    values = [value for value in EXPERIMENT.sweep[name] if value in set(shown[name])]
    ax.set(ylabel=name)
    artists.dots(ax, [_row(one, str(value)) for value in values for one in _split(shown[shown[name] == value])])


def _draw_pairs(groups: Sequence[_Group], ax: Axes) -> None:
    """Draw one line for each mechanism, with threads and processes on it, and say who wins where that is clear."""
    from labkit import artists

    rows: dict[str, list[artists.Row]] = {}
    for one in groups:
        row, middle = _row(one, one.mechanism), in_words("_s", float(one.runs["latency_s"].median()))
        rows.setdefault(one.mechanism, []).append(row._replace(text=middle, hollow=one.arm == _TALKING[1]))
    for one, other in pairwise(groups):
        if one.mechanism == other.mechanism and (winner := _winner(one.runs, other.runs)):
            last = rows[one.mechanism].pop()
            rows[one.mechanism].append(last._replace(text=f"{last.text}   {winner} win"))
    arms = dict.fromkeys(one.arm for one in groups if one.arm in _TALKING)
    artists.pairs(ax, rows, [(arm, LOOKS[EXPERIMENT.units[arm]]) for arm in arms])


def _winner(threads: DataFrame, processes: DataFrame) -> str:
    """Say who wins if every run of one is clearly faster than all of the other; an interval takes long to draw."""
    names = dict(zip(_TALKING, (threads["latency_us"], processes["latency_us"]), strict=True))
    known = min(map(len, names.values())) >= _LEAST
    order = sorted(names, key=lambda arm: float(names[arm].median()))
    return order[0] if known and names[order[1]].min() > _CLEAR * names[order[0]].max() else ""


def _draw_lines(groups: Sequence[_Group], sizes: Sequence[int], ax: Axes) -> None:
    """Draw the time against the size, one line per mechanism and arm, and mark from where on threads win or lose."""
    from labkit import artists

    names = list(dict.fromkeys(one.mechanism for one in groups if one.arm in _TALKING))
    shown = [one for one in groups if one.arm not in _TALKING or one.mechanism in names[:_MECHANISMS_MOST]]
    if len(names) > _MECHANISMS_MOST:
        artists.note(ax, f"shown: {', '.join(names[:_MECHANISMS_MOST])}; the table holds all {len(names)} mechanisms")
    ax.set(xscale="log", xlim=(sizes[0] / 2, sizes[-1] * 2))
    ax.set(xlabel="size of the message", ylabel="time to hand\none over (us)")
    ax.minorticks_off()
    few = sizes[:: 1 + len(sizes) // 6]
    ax.set_xticks(few, labels=[in_words("_bytes", size) for size in few])
    artists.lines(ax, [_line(one, several=len(names) > 1) for one in shown])
    if crossing := _crossing(groups):
        artists.border(ax, "x", *crossing)


def _line(one: _Group, *, several: bool) -> artists.Line:
    from labkit import artists

    places = one.runs.groupby("size_bytes")["latency_us"]
    points = {float(str(size)): [float(us) for us in values] for size, values in places}
    label = f"{one.mechanism}, {one.arm}" if several and one.arm in _TALKING else one.arm
    return artists.Line(label, one.look, points)


def _crossing(groups: Sequence[_Group]) -> tuple[float, str] | None:
    """Find the first size measured from which on a queue between threads beats what processes copy through."""
    queues = [one for one in groups if one.arm == "threads" and one.mechanism in _BY_REFERENCE]
    copying = [one for one in groups if one.arm == "processes" and one.mechanism not in (*_BY_REFERENCE, IN_PLACE)]
    if not queues or not copying:
        return None
    beside, apart = (one[0].runs.groupby("size_bytes")["latency_s"].median() for one in (queues, copying))
    known = [size for size in sorted(beside.index) if size in apart]
    wins = [size for size in known if apart[size] > _CLEAR * beside[size]]
    if not wins or wins == known or wins != known[-len(wins) :]:
        return None  # one of them wins at every size, or now this one and now the other
    words = f"from {in_words('_bytes', int(wins[0]))} on {queues[0].mechanism} of threads"
    return float(wins[0]), f"{words} beats {copying[0].mechanism} of processes"


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
    if not machine.system.startswith("Linux"):
        told.append("This system cannot keep both sides on one core: choose any core, or look at the recorded run.")
    if (room := machine.shared_memory_bytes or 0) < 2 * max(EXPERIMENT.sweep["size_bytes"]):
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
    """How many times as much something takes, what that was, and the runs behind it, by their index."""

    times: Interval
    words: str
    runs: frozenset[int]


def _alike(table: DataFrame) -> list[_Like]:
    """List what was measured of both, on one core: elsewhere the scheduler decides more than the mechanism."""
    done, found = _quiet(table), []
    for (size, mechanism, kind), runs in done.groupby(["size_bytes", "mechanism", "payload"]) if len(done) else ():
        beside, apart = (runs[runs["arm"] == arm] for arm in _TALKING)
        if min(len(beside), len(apart)) >= _LEAST:
            found.append(_Like(str(mechanism), str(kind), int(str(size)), beside, apart))
    return found


def _quiet(table: DataFrame) -> DataFrame:
    """Leave out messages on any core, and runs in which others had the core: caches make CPU time dearer, too."""
    done = table[(table["ending"] == "finished") & table["arm"].isin(_TALKING)]
    if not len(done):
        return done
    return done[(done["placement"] == _PINNED) & (done["cpu_per_message_s"] > _QUIET * done["latency_s"])]


def _ratio(words: str, above: DataFrame, below: DataFrame) -> _Ratio:
    """Compare two groups of runs; the words are followed by both medians, that of ``below`` first."""
    from labkit.intervals import ratio_interval

    times = ratio_interval(*([float(value) for value in runs["cpu_per_message_s"]] for runs in (above, below)))
    medians = [in_words("_s", _cost(runs)) for runs in (below, above)]
    return _Ratio(times, f"{words} {medians[0]} and {medians[1]}", frozenset([*above.index, *below.index]))


def _cost(runs: DataFrame) -> float:
    return float(runs["cpu_per_message_s"].median())


def _judge_communication(table: DataFrame) -> Verdict:
    """Judge whether processes pay for what threads get by reference: queues decide, at the largest size measured."""
    queues = [one for one in _alike(table) if one.mechanism in _BY_REFERENCE]
    most = max((one.size for one in queues), default=0)
    ratios = [
        _ratio(f"by {one.mechanism}, with {in_words('_bytes', most)} ({one.payload}),", one.processes, one.threads)
        for one in queues
        if one.size == most
    ]
    subject = "CPU time of one message, between threads and between processes"
    return _by_the_least(table, ratios, subject, "times what threads need", "a queue")


def _judge_immediate(table: DataFrame) -> Verdict:
    """Judge whether an object is there as soon however large it is, where threads share it; pickled it is not."""
    objects = [one for one in _alike(table) if one.mechanism in _BY_REFERENCE and one.payload != "bytes"]
    small, large = (pick(objects, key=lambda one: one.size, default=None) for pick in (min, max))
    subject = "CPU time of one message with a small object and with a large one"
    if small is None or large is None or small[:2] != large[:2] or large.size < _FAR * small.size:
        return _open(table, subject, f"a queue, objects, and two sizes of which one is {_FAR:,} times the other")
    sizes = " and ".join(in_words("_bytes", one.size) for one in (small, large))
    beside = _ratio(f"{sizes} ({large.payload}) by {large.mechanism} between threads", large.threads, small.threads)
    apart = _ratio("between processes, pickled,", large.processes, small.processes)
    holds, fails = beside.times.high < _FLAT < apart.times.low, beside.times.low > _FLAT or apart.times.high < _FLAT
    return Verdict(
        outcome="holds" if holds else "does not hold" if fails else "too close to call",
        sentence=f"{subject}: {beside.words}; {apart.words}.",
        effect=beside.times.middle,
        low=beside.times.low,
        high=beside.times.high,
        unit="times what the small one takes, between threads",
        runs_count=len(beside.runs | apart.runs),
        reason="" if holds or fails else f"an interval contains the border of {_FLAT:g}",
    )


def _judge_speed(table: DataFrame) -> Verdict:
    """Judge whether threads are cheaper than processes: the best way of each, at the smallest and the largest size."""
    choices = sorted(_choices(table).items())
    ratios = []
    for (size, kind), here in dict([*choices[:1], *choices[-1:]]).items():
        beside, apart = min(here, key=lambda one: _cost(one.threads)), min(here, key=lambda one: _cost(one.processes))
        words = f"{in_words('_bytes', size)} ({kind}) through {beside.mechanism} and {apart.mechanism}"
        ratios.append(_ratio(words, apart.processes, beside.threads))
    subject = "CPU time of one message by the best way, between threads and between processes"
    return _by_the_least(table, ratios, subject, "times what threads need", f"{_CHOICE} mechanisms at the same size")


def _judge_mechanisms(table: DataFrame) -> Verdict:
    """Judge whether mechanisms differ between processes: the dearest beside the cheapest, at each size."""
    ratios = []
    for (size, kind), here in _choices(table).items():
        cheapest, *_, dearest = sorted(here, key=lambda one: _cost(one.processes))
        words = f"{in_words('_bytes', size)} ({kind}) through {cheapest.mechanism} and {dearest.mechanism}"
        ratios.append(_ratio(words, dearest.processes, cheapest.processes))
    subject = "CPU time of one message between processes, by the cheapest way and by the dearest"
    return _by_the_least(table, ratios, subject, "times the cheapest", f"{_CHOICE} mechanisms at the same size")


def _choices(table: DataFrame) -> dict[tuple[int, str], list[_Like]]:
    """Group what was measured of both by size and payload, where there are enough mechanisms to choose from."""
    found: dict[tuple[int, str], list[_Like]] = {}
    for one in _alike(table):
        found.setdefault((one.size, one.payload), []).append(one)
    return {key: here for key, here in found.items() if len(here) >= _CHOICE}


def _by_the_least(table: DataFrame, ratios: Sequence[_Ratio], subject: str, unit: str, what: str) -> Verdict:
    """Judge by where the difference is least: it holds if it is clear there, and not if there is clearly none."""
    if not ratios:
        return _open(table, subject, what)
    order = sorted(ratios, key=lambda one: one.times.low)
    least, against = order[0].times, min((one.times for one in ratios), key=lambda one: one.high)
    clear, none = least.low > _CLEAR, against.high < _CLEAR
    shown = against if none else least
    told = "; ".join(one.words for one in (order if len(order) <= _TOLD_MOST else (order[0], order[-1])))
    if len(order) > _TOLD_MOST:
        told += f": the least and the largest of {len(order)} differences"
    return Verdict(
        outcome="holds" if clear else "does not hold" if none else "too close to call",
        sentence=f"{subject}: {told}.",
        effect=shown.middle,
        low=shown.low,
        high=shown.high,
        unit=f"{unit}, where the difference is least",
        runs_count=len(frozenset[int]().union(*(one.runs for one in ratios))),
        reason="" if clear or none else f"an interval contains the border of {_CLEAR}",
    )


def _open(table: DataFrame, subject: str, what: str) -> Verdict:
    """Say what is lacking, and how many runs do not count."""
    done = table[(table["ending"] == "finished") & table["arm"].isin(_TALKING)]
    reason = f"it takes {_LEAST} finished runs of threads and {_LEAST} of processes on one core, with {what}"
    if loud := len(done) - len(_quiet(done)):
        reason += f"; {loud} of {len(done)} runs do not count: on any core, or others had more than a tenth of theirs"
    return Verdict(outcome="cannot be measured here", sentence=f"{subject}: not measured yet.", reason=reason)


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
        "bandwidth_bytes_per_s": "size of what is handed over one way, per time; a reference moves none of it",
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
