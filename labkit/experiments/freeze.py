"""Freeze: what can be seen from outside of a program whose threads stand still, beside one that works.

Two threads move money between two accounts, each guarded by a lock; a transfer keeps the processor busy for 1 ms. Every
50th transfer writes a line to the log, and so would every exception. In the arm "deadlock" the threads meet between
their two locks, once, so that it is certain. When that has happened the main thread looks on: first it asks for the
health of the program over TCP, then it counts for a while, and then it asks who waits for whom.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING

from labkit.child.health import answers, server
from labkit.child.waits import circle, edges
from labkit.model import LOOKS, Experiment, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.model import Json, Machine

_WORK_S = 0.001
_LOG_EVERY = 50  # transfers
_REQUESTS = 3  # health checks: with a GIL and threads at work, each takes some 100 ms
_SETTLE_S = 0.05  # between the moment at which the threads stand still, or run, and the first look
_LEAST = 3  # runs: fewer give no interval worth showing
_IDLE, _HALF = 0.05, 0.5  # cores that count as none, and the share of runs that decides
_HEALTHY, _DEADLOCK, _LIVELOCK = "healthy", "deadlock", "try-lock livelock"


class _Program:
    """Two accounts, two locks, two threads, a log, and what has been done so far."""

    def __init__(self) -> None:
        import logging

        self.lock_a, self.lock_b, self.all_there = threading.Lock(), threading.Lock(), threading.Barrier(3)
        self.attempts, self.transfers, self.exceptions, self.stopped = [0, 0], [0, 0], [0, 0], False
        self.lines: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())  # type: ignore[method-assign]
        self.log = logging.Logger("transfers")  # noqa: LOG001 - a registered one would outlive this run of the arm
        self.log.addHandler(handler)

    def moved(self, thread: int) -> None:
        self.transfers[thread] += 1
        if self.transfers[thread] % _LOG_EVERY == 0:
            self.log.info("%d transfers made", self.transfers[thread])

    def work(self) -> None:
        until = time.perf_counter() + _WORK_S
        while time.perf_counter() < until:
            pass

    def same_order(self, thread: int) -> None:
        """Take A, then B."""
        self.all_there.wait()
        while not self.stopped:
            self.attempts[thread] += 1
            with self.lock_a:
                self.work()
                with self.lock_b:
                    self.moved(thread)

    def opposite_order(self, thread: int) -> None:
        """Take A, then B, or B, then A, and meet in between."""
        first, second = (self.lock_a, self.lock_b) if thread == 0 else (self.lock_b, self.lock_a)
        self.attempts[thread] += 1
        with first:
            self.work()
            self.all_there.wait()  # now each thread has its first lock
            with second:
                self.moved(thread)

    def try_again(self, thread: int) -> None:
        """Take A, or B; if the other one is taken, give back what it has, and try again at once."""
        first, second = (self.lock_a, self.lock_b) if thread == 0 else (self.lock_b, self.lock_a)
        self.all_there.wait()
        while not self.stopped:
            self.attempts[thread] += 1
            with first:
                self.work()
                if second.acquire(blocking=False):
                    self.moved(thread)
                    second.release()

    def counts(self) -> tuple[list[int], list[int], list[int], list[int]]:
        """Return attempts, transfers and exceptions of each thread, and the lines of the log."""
        return list(self.attempts), list(self.transfers), list(self.exceptions), [len(self.lines)]

    def guarded(self, body: Callable[[_Program, int], None], thread: int) -> None:
        """Run a thread; an exception that nobody caught is counted, and is a line of the log."""
        try:
            body(self, thread)
        except Exception:
            self.exceptions[thread] += 1
            self.log.exception("a thread has failed")


def healthy(*, observe_s: float) -> dict[str, Json]:
    """Take the two locks in the same order."""
    return _observe(_Program.same_order, observe_s, ends=True)


def deadlock(*, observe_s: float) -> dict[str, Json]:
    """Take the two locks in opposite order, and meet in between: each thread waits for the other one's lock."""
    return _observe(_Program.opposite_order, observe_s, ends=False)


def livelock(*, observe_s: float) -> dict[str, Json]:
    """Try the second lock, give the first one back if that fails, and begin again at once."""
    return _observe(_Program.try_again, observe_s, ends=True)


def _observe(body: Callable[[_Program, int], None], observe_s: float, *, ends: bool) -> dict[str, Json]:
    """Start the program and look on for a while. One that cannot end is left frozen: a thread cannot be killed."""
    this = _Program()
    targets = [partial(this.guarded, body, n) for n in (0, 1)]
    workers = [threading.Thread(target=target, name=f"thread {n}", daemon=True) for n, target in enumerate(targets, 1)]
    with server() as port:
        for worker in workers:
            worker.start()
        this.all_there.wait()
        time.sleep(_SETTLE_S)
        asked_s = time.perf_counter()
        well = answers(port, _REQUESTS)
        asked_s = time.perf_counter() - asked_s
        before, began_s, cpu_s = this.counts(), time.perf_counter(), time.process_time()
        time.sleep(observe_s)
        cpu_s, wall_s, after = time.process_time() - cpu_s, time.perf_counter() - began_s, this.counts()
        stands = [worker for worker, then, now in zip(workers, before[0], after[0], strict=True) if then == now]
        # Only threads that made no attempt in all that time are looked into. Others wait for something else by now, and
        # without a GIL it is not safe to read the variables of a thread that runs.
        found = edges(without=tuple(one.ident or 0 for one in threading.enumerate() if one not in stands))
    alive = sum(worker.is_alive() for worker in workers)
    this.stopped = True
    for worker in workers if ends else ():
        worker.join()
    attempts, transfers, lines = (sum(after[n]) - sum(before[n]) for n in (0, 1, 3))
    return {
        "worker_cores": cpu_s / wall_s,
        "progress_per_s": transfers / wall_s,
        "attempts_per_s": attempts / wall_s,
        "log_lines_count": lines,
        "exceptions_count": sum(after[2]),
        "health_ok_ratio": well / _REQUESTS,
        "health_answer_s": asked_s / _REQUESTS,
        "threads_alive_count": alive,
        "waiting_count": len(found),
        "cycle_count": int(bool(circle(found))),
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the cores that the threads use, one row per arm, with what else can be seen on the right."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    pooled = len(done) and len(done["observe_s"].unique()) > 1
    artists.left_out(ax, len(table) - len(done), ["time observed"] if pooled else [])
    ax.set(xlabel="cores used", ylabel="the program")
    if done.empty:
        artists.blank(ax)
        return
    ax.set(xlim=(-0.05, max(1.25, 1.1 * float(done["worker_cores"].max()))))
    artists.dots(ax, [_row(rows) for arm in EXPERIMENT.arms if len(rows := done[done["arm"] == arm])])


def _row(rows: DataFrame) -> artists.Row:
    from labkit import artists

    arm, middle = str(rows.iloc[0]["arm"]), rows.median(numeric_only=True)
    health = "OK" if middle["health_ok_ratio"] == 1 else f"{100 * middle['health_ok_ratio']:.0f} % OK"
    text = f"{middle['worker_cores']:.2f} cores, health {health}\n{middle['progress_per_s']:,.0f} transfers/s"
    text += f"\n{middle['log_lines_count']:.0f} log lines"
    cores = [float(value) for value in rows["worker_cores"]]
    return artists.Row(arm.replace(" ", "\n"), LOOKS[EXPERIMENT.units[arm]], cores, text, hollow=arm != _HEALTHY)


def expect(machine: Machine) -> list[str]:
    """Say what a program that stands still looks like on this machine.

    Args:
        machine: Its GIL decides how many cores the others use.
    """
    most = "one core: threads share it by turns under a GIL" if machine.gil else "more than one core, without a GIL"
    return [
        "In a deadlock nothing moves: no CPU time, no progress, no exception, and no line in the log.",
        f"A try-lock livelock makes no progress either, or next to none, and uses up to {most}.",
        "The health check says OK in all three, as the thread that answers needs neither of the two locks.",
        "The wait-for graph closes into a circle in the deadlock only.",
    ]


def _runs(table: DataFrame, arm: str) -> DataFrame:
    return table[(table["ending"] == "finished") & (table["arm"] == arm)]


def _judge_silent(table: DataFrame) -> Verdict:
    """Judge whether a deadlock shows nothing: no progress, no exception, no line, and no CPU time."""
    from labkit.intervals import median_interval

    frozen, works = _runs(table, _DEADLOCK), _runs(table, _HEALTHY)
    if min(len(frozen), len(works)) < _LEAST:
        return _open("What a deadlock shows", {_DEADLOCK: len(frozen), _HEALTHY: len(works)})
    cores, busy = (median_interval([float(value) for value in runs["worker_cores"]]) for runs in (frozen, works))
    told = frozen[["progress_per_s", "exceptions_count", "log_lines_count"]].sum()
    silent, idle, clear = not told.any(), cores.high < _IDLE, busy.low > _IDLE
    sentence = (
        f"While deadlocked the threads used {cores.middle:.4f} cores (at work {busy.middle:.2f}); "
        f"in {len(frozen)} runs there were {told['exceptions_count']:.0f} exceptions and "
        f"{told['log_lines_count']:.0f} log lines (at work {works['log_lines_count'].sum():.0f})."
    )
    return Verdict(
        outcome="too close to call" if silent and not (idle and clear) else "holds" if silent else "does not hold",
        sentence=sentence,
        effect=cores.middle,
        low=cores.low,
        high=cores.high,
        unit="cores used while deadlocked",
        runs_count=len(frozen) + len(works),
        reason="" if not silent or (idle and clear) else f"one arm is not clearly on its side of {_IDLE} cores",
    )


def _judge_blind(table: DataFrame) -> Verdict:
    """Judge whether the health check says OK while nothing moves; the wait-for graph is told beside it."""
    from labkit.intervals import wilson

    frozen = _runs(table, _DEADLOCK)
    if len(frozen) < _LEAST:
        return _open("What a health check says of a deadlock", {_DEADLOCK: len(frozen)})
    blind = int(((frozen["health_ok_ratio"] == 1) & (frozen["progress_per_s"] == 0)).sum())
    share, seen = wilson(blind, len(frozen)), int(frozen["cycle_count"].sum())
    yes, no = share.middle == 1 or share.low > _HALF, share.middle == 0 or share.high < _HALF
    return Verdict(
        outcome="holds" if yes else "does not hold" if no else "too close to call",
        sentence=f"In {blind} of {len(frozen)} deadlocked runs every health check said OK while nothing moved; "
        f"the wait-for graph showed the circle in {seen} of {len(frozen)}.",
        effect=share.middle,
        low=share.low,
        high=share.high,
        unit="share of deadlocked runs in which every health check said OK",
        runs_count=len(frozen),
        reason="" if yes or no else "the runs disagree",
    )


def _open(subject: str, counts: dict[str, int]) -> Verdict:
    reason = f"it takes {_LEAST} finished runs of each arm; there are: " + ", ".join(
        f"{arm} {count}" for arm, count in counts.items()
    )
    return Verdict(outcome="cannot be measured here", sentence=f"{subject} is not measured yet.", reason=reason)


EXPERIMENT = Experiment(
    name="freeze",
    question="What does a monitor see of a program that stands still?",
    source="Deadlocks",
    arms={_HEALTHY: healthy, _DEADLOCK: deadlock, _LIVELOCK: livelock},
    units=dict.fromkeys((_HEALTHY, _DEADLOCK, _LIVELOCK), "thread"),
    sweep={"observe_s": (0.3, 0.5, 1.0)},
    defaults={"observe_s": 0.3},
    columns={
        "worker_cores": "CPU time of the process per time observed, while the one who looks on sleeps",
        "progress_per_s": "transfers made",
        "attempts_per_s": "transfers begun",
        "log_lines_count": "lines that the program wrote to its log while observed",
        "exceptions_count": "exceptions that ended a thread, from the start on",
        "health_ok_ratio": f"share of {_REQUESTS} health checks that were answered with OK",
        "health_answer_s": "time that one health check takes",
        "threads_alive_count": "threads of the program that are alive, of 2",
        "waiting_count": "threads that began no transfer while observed, and stand waiting at its end",
        "cycle_count": "1 if these wait for each other in a circle",
    },
    headline="worker_cores",
    draw=draw,
    expect=expect,
    claims={"deadlock.silent": _judge_silent, "deadlock.tools_blind": _judge_blind},
)
