"""Waiting: how many tasks workers get done that wait, beside tasks that compute, by one worker and by several.

A task is 5 ms of sleep; or one request to a server on this machine, which answers after 5 ms; or, as the contrast, as
much of a loop in Python as takes one thread alone 5 ms of CPU time in the same run. All workers do one task after
another until a common moment. The server is a process of its own: it needs no GIL of those who wait for it.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

from labkit.child import busy, echo, rounds
from labkit.child.waiting import TASK_S, WORKS, piece_s, share
from labkit.model import LOOKS, Experiment, Look, Verdict
from labkit.versions import age, build, free_threaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit.intervals import Interval
    from labkit.model import Json, Machine

_WINDOW_S = 0.15
_LEAST = 3  # runs: fewer give no interval worth showing
_MORE = 1.5  # times as much: the border between more and not more, half-way to what a second worker may bring
_TAKEN_MOST = 0.5  # runs from which others took more do not count
_WAITS = ("sleep", "socket echo")
_LINES_MOST, _ROWS_MOST = 9, 15  # that can be told apart from the last row
_IDEAL = Look("0.35", "", ":")


def threads(*, work: str, workers: int) -> dict[str, Json]:
    """Do the tasks in threads of one interpreter."""
    return _play("threads", work, workers)


def processes(*, work: str, workers: int) -> dict[str, Json]:
    """Do the tasks in forked processes."""
    return _play("processes", work, workers)


def subinterpreters(*, work: str, workers: int) -> dict[str, Json]:
    """Do the tasks in subinterpreters of one process, each in a thread of its own."""
    return _play("subinterpreters", work, workers)


def _play(way: str, work: str, workers: int) -> dict[str, Json]:
    """Play one round, with a server if the tasks ask one, and add up what the workers did."""
    computes = work == "compute"
    before_s = piece_s() if computes else TASK_S
    with echo.server(TASK_S) if work == "socket echo" else nullcontext(0) as port:
        told = rounds.play(way, share, {"work": work, "port": port}, workers=workers, duration_s=_WINDOW_S)
    pieces = 2 * TASK_S / (before_s + (piece_s() if computes else TASK_S))
    shares = [busy.Share(*one) for one in told]
    return _summed(pieces, shares, _given(shares, one_gil=rounds.one_gil(way)) if computes else _undelayed(shares))


def _summed(pieces: float, shares: list[busy.Share], given: float) -> dict[str, Json]:
    """Add up what the workers did, and give back what others took of the cores that they could have used.

    Beside busy neighbours a second thread would else seem to help, or to hurt, by what it takes from them. The length
    of a task is measured in the same run for the same reason: neighbours make one processor slower than the next.
    """
    lasted_s, counts = _lasted_s(shares), [one.pieces_count / pieces for one in shares]
    if not any(counts):
        raise RuntimeError(f"no worker came to its first task in {_WINDOW_S} s: the machine is too busy, try again")
    rate = sum(count / own_s for count, own_s in zip(counts, lasted_s, strict=True))
    return {
        "tasks_per_s": rate / given,
        "task_s": len(shares) / rate * given,
        "used_cores": sum(one.cpu_s for one in shares) / max(lasted_s),
        "taken_ratio": 1 - given,
        "tasks_count": round(sum(counts)),
    }


def _lasted_s(shares: list[busy.Share]) -> list[float]:
    return [_WINDOW_S + (one.ended_ns - one.stop_ns) / 1e9 for one in shares]


def _undelayed(shares: list[busy.Share]) -> float:
    """Return which share of their time workers that wait for an answer did not wait for a core."""
    return 1 - sum(one.delay_s for one in shares) / sum(_lasted_s(shares))


def _given(shares: list[busy.Share], *, one_gil: bool) -> float:
    """Return which share workers that compute were given of the cores that they could have used."""
    return busy.given(*busy.cores(shares, _WINDOW_S, one_gil=one_gil))


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the throughput: lines against the workers with the ideal one, or one row per work, interpreter and arm."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    ax.set(xlabel="workers", ylabel="tasks done per second")
    if done.empty:
        artists.left_out(ax, artists.unfinished(table), [])
        artists.blank(ax)
        return
    counts = sorted(int(count) for count in done["workers"].unique())
    groups = _split(done)
    most = _LINES_MOST if len(counts) > 1 else _ROWS_MOST
    pooled = len(groups) > most and len(done["python"].unique()) > 2  # noqa: PLR2004 - with a GIL, and without
    if pooled:
        groups = _split(done.assign(python=[build(str(python)) for python in done["python"]]))
    artists.left_out(ax, artists.unfinished(table), ["versions of Python"] if pooled else [])
    if len(groups) > most:
        groups = [one for one in groups if one.work == groups[0].work]
        ax.set(ylabel=f"tasks done per second\n({groups[0].work} only)")
    _draw_lines(groups, counts, ax) if len(counts) > 1 else _draw_rows(groups, counts[0], ax)


class _Group(NamedTuple):
    """The runs that make one line, or one row."""

    work: str
    python: str
    arm: str
    runs: DataFrame


def _split(done: DataFrame) -> list[_Group]:
    return [
        _Group(work, python, arm, runs)
        for work in WORKS
        for python in sorted((str(version) for version in done["python"].unique()), key=age)
        for arm in EXPERIMENT.arms
        if len(runs := done[(done["work"] == work) & (done["python"] == python) & (done["arm"] == arm)])
    ]


def _draw_lines(groups: Sequence[_Group], counts: Sequence[int], ax: Axes) -> None:
    from labkit import artists

    works, pythons = ({one[place] for one in groups} for place in range(2))
    step = 0.008 * counts[-1]  # beside each other, since several lines may say the same
    series, top = [], 0.0
    for n, (work, python, arm, runs) in enumerate(groups):
        points = {
            count + (n - (len(groups) - 1) / 2) * step: [float(rate) for rate in some["tasks_per_s"]]
            for count in counts
            if len(some := runs[runs["workers"] == count])
        }
        label = " ".join([arm, *([python] if len(pythons) > 1 else []), *([work] if len(works) > 1 else [])])
        series.append(artists.Line(label, LOOKS[EXPERIMENT.units[arm]], points, hollow=free_threaded(python)))
        top = max(top, float(runs["tasks_per_s"].max()))
    alone = [float(rate) for rate in groups[0].runs[groups[0].runs["workers"] == 1]["tasks_per_s"]]
    if alone:
        ideal = {float(count): [count * rate for rate in alone] for count in (1, counts[-1])}
        series.append(artists.Line("ideal: n times one", _IDEAL, ideal, quiet=True))
        top = max(top, counts[-1] * max(alone))
    ax.set(xlim=(0.7, counts[-1] + 0.3), ylim=(0, 1.1 * top))
    ax.set_xticks(counts)
    ax.set_yticks([tick for tick in ax.get_yticks() if tick <= 1.1 * top])  # else one may stand above the axis
    artists.lines(ax, series)


def _draw_rows(groups: Sequence[_Group], count: int, ax: Axes) -> None:
    from labkit import artists

    works, pythons = (len({one[place] for one in groups}) > 1 for place in range(2))
    rows, top = [], max(float(one.runs["tasks_per_s"].max()) for one in groups)
    for work, python, arm, runs in groups:
        label = work if works else python if pythons else arm
        named = [name for name, told in ((arm, label != arm), (python, works and pythons)) if told]
        text = f"{runs['tasks_per_s'].median():,.0f} {' '.join(named) or 'per s'}"
        rates = [float(rate) for rate in runs["tasks_per_s"]]
        rows.append(artists.Row(label, LOOKS[EXPERIMENT.units[arm]], rates, text, hollow=free_threaded(python)))
    ax.set(
        xlim=(0, 1.1 * top),
        xlabel=f"tasks done per second by {count} worker{'s' if count > 1 else ''}",
        ylabel="task" if works else "Python" if pythons else "workers are",
    )
    artists.dots(ax, rows)


def expect(machine: Machine) -> list[str]:
    """Say what more workers bring on this machine.

    Args:
        machine: Its GIL and its cores decide.
    """
    python, cores = f"Python {machine.python}", f"{machine.cores_count:g} core{'s' if machine.cores_count > 1 else ''}"
    return [
        "A worker that sleeps, or waits for a server, needs no core and no GIL: each more does as much again.",
        "That holds for threads, processes and subinterpreters alike, so the cheapest to start is the best: a thread.",
        f"{python} has a GIL: threads that compute get no more done than one does, and each task takes longer."
        if machine.gil
        else f"{python} runs without a GIL: threads that compute get more done, up to the {cores} of this machine.",
        f"Processes that compute get more done, up to the {cores} of this machine; more than that share them.",
    ]


class _Growth(NamedTuple):
    """What the most workers measured do, beside one worker, in the same table."""

    work: str
    python: str
    workers: int
    rate: Interval
    task: Interval
    runs_count: int


def _growth(table: DataFrame, arm: str, works: Sequence[str]) -> list[_Growth]:
    """Compare the most workers with one, for each kind of work and interpreter with enough runs of both."""
    from labkit.intervals import ratio_interval

    found, done = [], table[table["ending"] == "finished"]
    done = done[done["taken_ratio"] <= _TAKEN_MOST] if len(done) else done  # what was given back is an estimate
    for work, python, _, runs in _split(done[done["arm"] == arm]) if len(done) else ():
        counts = {int(count): runs[runs["workers"] == count] for count in runs["workers"].unique()}
        sizes = {count: some for count, some in counts.items() if len(some) >= _LEAST}
        if work in works and 1 in sizes and len(sizes) > 1:
            one, most = sizes[1], sizes[max(sizes)]
            rate, task = (
                ratio_interval([float(v) for v in most[name]], [float(v) for v in one[name]])
                for name in ("tasks_per_s", "task_s")
            )
            found.append(_Growth(work, python, max(sizes), rate, task, len(one) + len(most)))
    return found


def _judge_io(table: DataFrame) -> Verdict:
    """Judge whether more threads get more waiting tasks done, on every interpreter and for each kind measured."""
    found = _growth(table, "threads", _WAITS)
    if not found:
        return _open("What more threads do where tasks wait", "threads that wait")
    beside = {(one.work, one.python, one.workers): one.rate.middle for one in _growth(table, "processes", _WAITS)}
    told = []
    for work, python, workers, rate, *_ in found:
        processes = beside.get((work, python, workers))
        others = f", processes {processes:.3g}" if processes else ""
        told.append(f"{work} on {python}, {workers} workers: threads {rate.middle:.3g}{others}, ideal {workers}")
    least = min((one.rate for one in found), key=lambda rate: rate.low)
    more, none = least.low > _MORE, least.high < _MORE
    return Verdict(
        outcome="holds" if more else "does not hold" if none else "too close to call",
        sentence=f"Waiting tasks done, as times what one worker does: {'; '.join(told)}.",
        effect=least.middle,
        low=least.low,
        high=least.high,
        unit="times the throughput of one thread",
        runs_count=sum(one.runs_count for one in found),
        reason="" if more or none else f"the interval contains the border of {_MORE}",
    )


def _judge_more(table: DataFrame) -> Verdict:
    """Judge whether more threads help somewhere, where tasks wait, and hurt somewhere, where they compute."""
    waits, computes = _growth(table, "threads", _WAITS), _growth(table, "threads", ("compute",))
    if not waits or not computes:
        lacking = [name for name, there in (("wait", waits), ("compute", computes)) if not there]
        return _open(
            "Whether more threads help here and hurt there", f"threads that {' and of threads that '.join(lacking)}"
        )
    best = max((one.rate for one in waits), key=lambda rate: rate.low)
    worst = min(computes, key=lambda one: one.rate.high)
    helps, hurts = best.low > _MORE, any(one.rate.high < _MORE < one.task.low for one in computes)
    helpless = all(one.rate.high < _MORE for one in waits)
    harmless = all(one.rate.low > _MORE or one.task.high < _MORE for one in computes)
    told = [
        f"{one.work} on {one.python}: {one.workers} threads do {one.rate.middle:.2g} times what one does"
        + (f", and a task takes {one.task.middle:.2g} times as long" if one in computes else "")
        for one in (*waits, *computes)
    ]
    sure = helpless or harmless
    return Verdict(
        outcome="holds" if helps and hurts else "does not hold" if sure else "too close to call",
        sentence=f"{'; '.join(told)}.",
        effect=worst.rate.middle,
        low=worst.rate.low,
        high=worst.rate.high,
        unit="times the throughput of one thread, where tasks compute",
        runs_count=sum(one.runs_count for one in (*waits, *computes)),
        reason="" if (helps and hurts) or sure else f"an interval contains the border of {_MORE}",
    )


def _open(subject: str, what: str) -> Verdict:
    reason = (
        f"it takes {_LEAST} finished runs of 1 worker and {_LEAST} of more, of {what}, on the same Python; runs from "
        "which others took more than half of the time do not count"
    )
    return Verdict(outcome="cannot be measured here", sentence=f"{subject} is not measured yet.", reason=reason)


EXPERIMENT = Experiment(
    name="waiting",
    question="What do more workers bring, if tasks wait or compute?",
    source="Multithreading or multiprocessing",
    arms={"threads": threads, "processes": processes, "subinterpreters": subinterpreters},
    units={"threads": "thread", "processes": "process", "subinterpreters": "subinterpreter"},
    sweep={"work": WORKS, "workers": (1, 2, 4, 8)},
    defaults={"work": "sleep", "workers": 4},
    columns={
        "tasks_per_s": "tasks done by all workers, with the time given back that others took",
        "task_s": "mean time of one task, likewise",
        "used_cores": "CPU time of all workers per time",
        "taken_ratio": "share of the time that the workers waited for a core that others had",
        "tasks_count": "tasks done",
    },
    headline="tasks_per_s",
    draw=draw,
    expect=expect,
    claims={"choice.io_bound": _judge_io, "faq.more_threads": _judge_more},
    pythons=True,
)
