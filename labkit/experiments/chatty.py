"""Chatty: what a request costs that asks for many things, one by one or many in a message.

A request asks a service for prices: so many messages, one after another, each with so many items. It adds all prices
up, and the sum is checked. The service is a function that is called; or a thread behind a `queue.SimpleQueue`; or a
forked process behind a pipe. All three run the same lines on both sides, on one core, and differ in nothing but the
way there.

A message has a price of its own, whatever it carries. One item in each pays it for every item; thousands share it. What
is judged is CPU time, of both sides: of that a busy machine changes less than of the time that passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit.child import service
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_WINDOW_S = 0.04
_LEAST = 3  # runs: fewer give no interval worth showing
_SLOW = 10.0  # times a call: the border of slow
_WIDE = 10  # times as many items in a message, at least, to say what batching does
_FAR = 100  # times as many messages, at least, to say how a request grows with them
_ABOUT = 2.0  # a request grows as its messages do, within this factor
_MATTERS_S = 1.0  # CPU time of a million messages: more than the second in which they may have been sent
_MILLION = 1_000_000
_CALL, _THREAD, _PROCESS = "direct call", "threads", "processes"


def direct_call(*, messages: int, batch: int) -> dict[str, Json]:
    """Call a function of the same thread for each message."""
    return service.by_calls(messages, batch, window_s=_WINDOW_S)


def threads(*, messages: int, batch: int) -> dict[str, Json]:
    """Ask a thread of the same process, through queues that hand references over."""
    return service.by_messages("threads", messages, batch, window_s=_WINDOW_S)


def processes(*, messages: int, batch: int) -> dict[str, Json]:
    """Ask a forked process, through pipes."""
    return service.by_messages("processes", messages, batch, window_s=_WINDOW_S)


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the time of an item against the batch, or of a request against its messages; else one row per arm."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    ax.set(xlabel="time of one item (us)", ylabel="the service is")
    if done.empty:
        artists.left_out(ax, artists.unfinished(table), [])
        artists.blank(ax)
        return
    batches, counts = (sorted(int(value) for value in done[name].unique()) for name in ("batch", "messages"))
    several = len(batches) > 1 and len(counts) > 1
    artists.left_out(ax, artists.unfinished(table), ["messages per request"] if several else [])
    if len(batches) > 1:
        _draw_lines(done.assign(shown=1e6 * done["item_s"]), "batch", batches, ax)
        ax.set(xlabel="items in one message", ylabel="time of one item (us)")
        _mark(done, ax)
    elif len(counts) > 1:
        _draw_lines(done.assign(shown=1e3 * done["request_s"]), "messages", counts, ax)
        ax.set(xlabel=f"messages in one request, {_items(batches[0])} each", ylabel="time of one request (ms)")
    else:
        rows = [_row(arm, runs) for arm, runs in _by_arm(done)]
        artists.log_axis(ax, ax.xaxis, [1e6 * float(item_s) for item_s in done["item_s"]])
        ax.set_xlabel(f"time of one item (us), {_items(batches[0])} in a message")
        artists.dots(ax, rows)


def _items(count: int) -> str:
    return "1 item" if count == 1 else f"{count:,} items"


def _by_arm(done: DataFrame) -> Iterator[tuple[str, DataFrame]]:
    for arm in EXPERIMENT.arms:
        if len(runs := done[done["arm"] == arm]):
            yield arm, runs


def _row(arm: str, runs: DataFrame) -> artists.Row:
    from labkit import artists

    item, request = (in_words("_s", float(runs[name].median())) for name in ("item_s", "request_s"))
    count = int(runs["messages"].iloc[0])
    text = f"{item} an item\n{request} for {count:,} {'call' if arm == _CALL else 'message'}{'s' if count > 1 else ''}"
    values = [1e6 * float(item_s) for item_s in runs["item_s"]]
    return artists.Row(arm, LOOKS[EXPERIMENT.units[arm]], values, text, hollow=arm == _CALL)


def _draw_lines(done: DataFrame, x: str, places: Sequence[int], ax: Axes) -> None:
    """Draw what is ``shown``, on two logarithmic axes; the label gives the time at the last place."""
    from labkit import artists

    values = [float(value) for value in done["shown"]]
    artists.log_axis(ax, ax.yaxis, [*values, 2 * max(values)])  # room for two labels at the top
    ax.set(xscale="log", xlim=(places[0] / 1.5, places[-1] * 1.5))
    ax.minorticks_off()
    ax.set_xticks(places, labels=[f"{place:,}" for place in places])
    series = []
    for arm, runs in _by_arm(done):
        points = {
            float(place): [float(value) for value in some["shown"]]
            for place in places
            if len(some := runs[runs[x] == place])
        }
        last = runs[runs[x] == max(points)]
        item, message = (in_words("_s", float(last[name].median())) for name in ("item_s", "message_s"))
        each = f"{message} each {'call' if arm == _CALL else 'message'}"
        label = f"{arm}: {item}" if x == "batch" else f"{arm}\n{each}"
        series.append(artists.Line(label, LOOKS[EXPERIMENT.units[arm]], points, hollow=arm == _CALL))
    artists.lines(ax, series)


def _mark(done: DataFrame, ax: Axes) -> None:
    """Mark from which batch on a process is not slow beside a call, if it is slow with less."""
    from labkit import artists

    slow = [(one.batch, one.slower("item_s")) for one in _pairs(done, least=1)]
    fine = [batch for batch, ratio in slow if all(r.high < _SLOW for b, r in slow if b >= batch)]
    if fine and len(fine) < len(slow) and any(ratio.low > _SLOW for _, ratio in slow):
        text = f"from {min(fine):,} items on: a process\ntakes less than {_SLOW:g} x a call"
        artists.border(ax, "x", min(fine), text)


def expect(machine: Machine) -> list[str]:
    """Say what asking one by one costs on this machine.

    Args:
        machine: Its cores and its GIL decide.
    """
    told = [
        "A message costs about the same with one item and with ten: who asks for one at a time pays it for each item.",
        "A request that sends ten times the messages takes about ten times as long: nothing gets cheaper by repeating.",
        "With thousands of items in a message its price is shared, and what is left is to write and to read the items.",
        f"Python {machine.python} has a GIL: the thread that answers waits for that of the thread that asks."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: a thread that answers waits for nothing but the message.",
    ]
    if machine.cores_count < 2:  # noqa: PLR2004 - a second core
        told.append("With less than two cores here both sides take turns on one; they take turns anyway.")
    else:
        told.append(
            f"Both sides take turns, so the {machine.cores_count:g} cores of this machine make a request no faster."
        )
    return told


class _Pair(NamedTuple):
    """Runs of a process and of calls, with the same setting, and those of threads if there are enough."""

    messages: int
    batch: int
    process: DataFrame
    call: DataFrame
    thread: DataFrame | None

    @property
    def runs_count(self) -> int:
        return len(self.process) + len(self.call)

    def slower(self, column: str) -> Interval:
        """Return how many times as much a process takes."""
        from labkit.intervals import ratio_interval

        return ratio_interval(_values(self.process, column), _values(self.call, column))

    def extra(self) -> Interval:
        """Return how much more CPU time a message takes than a call, in seconds."""
        from labkit.intervals import difference, median_interval

        each = (median_interval(_message_cpu_s(runs)) for runs in (self.process, self.call))
        return difference(*each)


def _values(runs: DataFrame, column: str) -> list[float]:
    return [float(value) for value in runs[column]]


def _message_cpu_s(runs: DataFrame) -> list[float]:
    return _values(runs.assign(cpu_s=runs["cpu_per_item_s"] * runs["batch"]), "cpu_s")


def _pairs(table: DataFrame, *, least: int = _LEAST) -> list[_Pair]:
    """Return every setting with enough finished runs of a process and of calls, by messages and then by batch."""
    done, found = table[table["ending"] == "finished"], []
    done = done[done["cpu_per_item_s"] > 0] if len(done) else done  # a coarse clock may not have moved
    for (messages, batch), runs in done.groupby(["messages", "batch"]) if len(done) else ():
        process, call, thread = (runs[runs["arm"] == arm] for arm in (_PROCESS, _CALL, _THREAD))
        if min(len(process), len(call)) >= least:
            some = thread if len(thread) >= least else None
            found.append(_Pair(int(str(messages)), int(str(batch)), process, call, some))
    return found


def _judge_chatty(table: DataFrame) -> Verdict:
    """Judge whether a process is slow if asked one by one, and less so if asked for many in a message."""
    pairs = _pairs(table)
    ends = [
        _ends([one for one in pairs if one.messages == count], "batch") for count in {one.messages for one in pairs}
    ]
    few, many = max(ends, key=lambda two: (two[1].batch / two[0].batch, two[0].messages), default=(None, None))
    if few is None or many is None or many.batch < _WIDE * few.batch:
        reason = f"of two sizes of a batch, of which one is at least {_WIDE} times the other, with as many messages"
        return _open("What asking one by one costs beside a call", reason)
    one, batched = (two.slower("cpu_per_item_s") for two in (few, many))
    holds, not_so = one.low > max(_SLOW, batched.high), one.high < max(_SLOW, batched.low)
    return Verdict(
        outcome="holds" if holds else "does not hold" if not_so else "too close to call",
        sentence=f"Asked for {_items(few.batch)} in a message, a process takes {one.middle:.3g} times the CPU time of "
        f"calls for each item; asked for {_items(many.batch)}, {batched.middle:.3g} times.{_of_threads(few)}",
        effect=one.middle,
        low=one.low,
        high=one.high,
        unit="times the CPU time of calls for each item, with the smallest batch",
        runs_count=few.runs_count + many.runs_count,
        reason=""
        if holds or not_so
        else f"the interval contains the border of {_SLOW:g}, or overlaps with that of the largest batch",
    )


def _of_threads(one: _Pair) -> str:
    """Say what threads take that send messages: is it the messages that cost, or the border between processes?"""
    from labkit.intervals import ratio_interval

    if one.thread is None:
        return ""
    calls, processes = (
        ratio_interval(_values(one.thread, "cpu_per_item_s"), _values(runs, "cpu_per_item_s"))
        for runs in (one.call, one.process)
    )
    why = ""
    if calls.low > _SLOW:
        why = ": messages cost, with or without a border between processes"
    elif calls.high < _SLOW and processes.high < 1:
        why = ": the border between processes costs, more than messages do"
    return f" Threads that send messages of {_items(one.batch)} take {calls.middle:.3g} times{why}."


def _judge_amplification(table: DataFrame) -> Verdict:
    """Judge whether what a message costs more than a call adds up: a million take more than the second they have.

    A request must take about so many times the CPU time as it has messages, else nobody knows what a million take.
    """
    from labkit.intervals import ratio_interval

    pairs = _pairs(table)
    ends = [_ends([one for one in pairs if one.batch == batch], "messages") for batch in {one.batch for one in pairs}]
    few, many = max(ends, key=lambda two: (two[1].messages / two[0].messages, -two[0].batch), default=(None, None))
    if few is None or many is None or many.messages < _FAR * few.messages:
        reason = f"of two numbers of messages, of which one is at least {_FAR} times the other, with the same batch"
        return _open("How what a message costs adds up", reason)
    extra = many.extra()
    cost = type(extra)(*(end * _MILLION for end in extra))
    growth = ratio_interval(_message_cpu_s(many.process), _message_cpu_s(few.process))
    holds = cost.low > _MATTERS_S and growth.low > 1 / _ABOUT and growth.high < _ABOUT
    not_so = cost.high < _MATTERS_S or growth.high < 1 / _ABOUT or growth.low > _ABOUT
    times = many.messages / few.messages
    return Verdict(
        outcome="holds" if holds else "does not hold" if not_so else "too close to call",
        sentence=f"A message with {_items(many.batch)} to a process takes {in_words('_s', extra.middle)} of CPU time "
        f"more than a call, so a million take {in_words('_s', cost.middle)} more; a request with {times:,.0f} times "
        f"the messages took {growth.middle * times:,.0f} times the CPU time.",
        effect=cost.middle,
        low=cost.low,
        high=cost.high,
        unit="s of CPU time that a million messages take more than a million calls",
        runs_count=few.runs_count + many.runs_count,
        reason=""
        if holds or not_so
        else f"the cost of a million is not clearly on one side of {_MATTERS_S:g} s, or how a request grows is not "
        "clear",
    )


def _ends(pairs: Sequence[_Pair], name: str) -> tuple[_Pair, _Pair]:
    ordered = sorted(pairs, key=lambda one: int(getattr(one, name)))
    return ordered[0], ordered[-1]


def _open(subject: str, what: str) -> Verdict:
    reason = f"it takes {_LEAST} finished runs of {_PROCESS} and {_LEAST} of the {_CALL}, {what}"
    return Verdict(outcome="cannot be measured here", sentence=f"{subject} is not measured yet.", reason=reason)


EXPERIMENT = Experiment(
    name="chatty",
    question="What does it cost to ask for many things one by one?",
    source="IPC costs",
    arms={_CALL: direct_call, _THREAD: threads, _PROCESS: processes},
    units={_CALL: "thread", _THREAD: "thread", _PROCESS: "process"},
    sweep={"messages": (1, 10, 100, 1000), "batch": (1, 10, 100, 1000, 4000)},
    defaults={"messages": 100, "batch": 1},
    columns={
        "request_s": "time of one request",
        "message_s": "time of one message and its answer, or of one call",
        "item_s": "time of one item",
        "cpu_per_item_s": "CPU time of both sides for one item",
        "used_cores": "CPU time of both sides per time",
        "requests_count": "requests handled",
        "asked_count": "messages sent, or calls made, by all requests",
    },
    headline="item_s",
    draw=draw,
    expect=expect,
    claims={"ipc.chatty": _judge_chatty, "ipc.amplification": _judge_amplification},
)
