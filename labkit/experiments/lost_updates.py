"""Lost updates: workers add 1 to one counter, and some additions vanish.

One round: all workers wait at a start barrier, then add for 20 ms. Each counts its additions in a variable of its own;
what the shared counter lacks afterwards is lost. Rounds last a fixed time, not a fixed number of additions: a worker
with a fixed number can be done before the next one starts, and then nothing is shared at all.

Threads share a plain variable, attribute or dict. A plain dict cannot be shared between processes: there all bodies
work on the same 8 bytes of memory that forked processes share, behind an object with an attribute and an entry.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from labkit.child.clocks import thread_clock
from labkit.child.emit import emit
from labkit.child.rounds import in_processes, in_threads
from labkit.child.shared import SharedCell, fork_lock
from labkit.model import LOOKS, Experiment, Verdict
from labkit.units import in_words
from labkit.versions import age

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.model import Json, Machine

_ROUND_S = 0.02
_SHARED = ("threads", "processes sharing memory")  # the arms whose workers write to one place
_UNIT = "share of rounds that lost additions"
_BATCH = 64  # additions between two looks at the clock, which stays outside the window between read and write
_BODIES = {
    "counter += 1": "counter += 1",
    "read, call, write": "seen = counter; more = plus_one(seen); counter = more",
    "read, sleep(0), write": "seen = counter; sleep(0); counter = seen + 1",
    "attribute += 1": "box.count += 1",
    "dict entry += 1": "entries['count'] += 1",
}
_AXES = {
    "body": "body of the loop",
    "workers": "workers",
    "rounds": "rounds in one run",
    "switch_interval_s": "switch interval",
}
# The loop is made from its text, so that all bodies, with and without a lock, differ in exactly the line shown above:
# a function call or a context manager that does nothing would itself change the window and the cost.
_LOOP = f"""
def add(stop_ns):
    global counter
    made = 0
    while True:
        for _ in range({_BATCH}):
            BODY
        made += {_BATCH}
        if monotonic_ns() >= stop_ns:
            return made
"""


class _Adder:
    """One counter at 0, and the loop that adds to it."""

    def __init__(self, body: str, lock: Any, memory: Literal["one", "copies", "shared"]) -> None:
        cell, text, shared = SharedCell(), _BODIES[body], memory == "shared"
        self.memory = memory
        self.names: dict[str, Any] = {
            "counter": 0,
            "shared": cell.view,
            "box": cell if shared else SimpleNamespace(count=0),
            "entries": cell if shared else {"count": 0},
            "lock": lock,
            "plus_one": lambda seen: seen + 1,
            "sleep": time.sleep,
            "monotonic_ns": time.monotonic_ns,
        }
        text = text.replace("counter", "shared[0]") if shared else text
        text = _LOOP.replace("BODY", f"with lock: {text}" if lock else text)
        exec(compile(text, f"<{body}>", "exec"), self.names)  # noqa: S102 - the text is a constant of this file

    def seen(self) -> int:
        """Read the counter as this process sees it: the place that the body adds to, as the others stay 0."""
        if self.memory == "shared":
            return int(self.names["box"].count)
        return int(self.names["counter"] + self.names["box"].count + self.names["entries"]["count"])

    def work(self, number: int, name: str, wait: Callable[[], int]) -> tuple[int, int, float, float, float]:
        """Take part in one round; return additions made, counter seen, and run time, run-queue delay and wall in s."""
        stop_ns = wait()
        emit("begin", name, number)
        begin_s, (run_s, delay_s) = time.perf_counter(), thread_clock()
        made: int = self.names["add"](stop_ns)
        (run_end_s, delay_end_s), end_s = thread_clock(), time.perf_counter()
        emit("end", name, made)
        return made, self.seen(), run_end_s - run_s, delay_end_s - delay_s, end_s - begin_s


def _repeat(
    play: Callable[..., list[Json]],
    adder: Callable[[], _Adder],
    *,
    workers: int,
    rounds: int,
    switch_interval_s: float,
) -> dict[str, Json]:
    """Play the rounds, each with a new counter, and add them up."""
    before, played = sys.getswitchinterval(), []
    sys.setswitchinterval(switch_interval_s)
    try:
        for number in range(1, rounds + 1):
            counter = adder()
            shares = play(partial(counter.work, number), workers=workers, duration_s=_ROUND_S)
            made, seen, run_s, delay_s, wall_s = zip(*shares, strict=True)
            lost = sum(made) - (sum(seen) if counter.memory == "copies" else counter.seen())
            played.append((sum(made), lost, lost > 0, sum(run_s), sum(delay_s), sum(wall_s)))
    finally:
        sys.setswitchinterval(before)
    added, lost, with_loss, run, delay, wall = (sum(column) for column in zip(*played, strict=True))
    return {
        "added_count": added,
        "lost_count": lost,
        "lost_ratio": lost / added,
        "rounds_with_loss_count": with_loss,
        "cpu_per_addition_s": run / added,
        "demanded_cores": workers * (run + delay) / wall,  # each over its own time: it may be late to begin
        "delay_ratio": delay / run if run else 0.0,  # Windows reads a thread's clock in steps of 16 ms
    }


def threads(*, body: str, lock: bool, workers: int, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Add with threads of one process to a variable that they share."""
    from threading import Lock

    adder = partial(_Adder, body, Lock() if lock else None, "one")
    return _repeat(in_threads, adder, workers=workers, rounds=rounds, switch_interval_s=switch_interval_s)


def isolated(*, body: str, lock: bool, workers: int, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Add with forked processes, each to its own copy of the variable; the parent adds up what they send."""
    adder = partial(_Adder, body, fork_lock() if lock else None, "copies")
    return _repeat(in_processes, adder, workers=workers, rounds=rounds, switch_interval_s=switch_interval_s)


def sharing(*, body: str, lock: bool, workers: int, rounds: int, switch_interval_s: float) -> dict[str, Json]:
    """Add with forked processes to eight bytes of memory that they share."""
    adder = partial(_Adder, body, fork_lock() if lock else None, "shared")
    return _repeat(in_processes, adder, workers=workers, rounds=rounds, switch_interval_s=switch_interval_s)


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the share of additions lost: one row per arm, or lines against the parameter that varies."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name in done and len(done[name].unique()) > 1]
    artists.left_out(ax, len(table) - len(done), [_AXES[name] for name in varied[1:]])
    x = varied[0] if varied else "body"
    ax.set(xlabel="additions lost (%)", ylabel=_AXES[x] if varied else "workers")
    if done.empty:
        artists.blank(ax)
    elif x == "body":
        ax.set(xlim=(-3, 103), xticks=range(0, 101, 25))
        priced = not varied and len(done["lock"].unique()) > 1  # what the lock costs, beside what it saves
        artists.dots(ax, [_row(rows, grouped=bool(varied), priced=priced) for rows in _parts(done)])
    else:
        values = sorted(done[x].unique())
        ax.set(ylim=(-3, 103), yticks=range(0, 101, 25), ylabel="additions lost (%)", xlabel=_AXES[x])
        ax.set_xticks(range(len(values)), [in_words(x, float(value)) for value in values])
        artists.lines(ax, [_line(rows, x, values) for rows in _parts(done.assign(body=""))])


def _parts(done: DataFrame) -> list[DataFrame]:
    """Split the runs by body, arm and lock, in the order of the sweep."""
    order = [(body, arm, lock) for body in ("", *_BODIES) for arm in EXPERIMENT.arms for lock in (False, True)]
    parts = {key: rows for key, rows in done.groupby(["body", "arm", "lock"])}  # noqa: C416 - dict() hides the pairs
    return [parts[key] for key in order if key in parts]


def _row(rows: DataFrame, *, grouped: bool, priced: bool) -> artists.Row:
    from labkit import artists

    first, name = rows.iloc[0], _name(rows)
    lost = [float(value) for value in 100 * rows["lost_ratio"]]
    text = _percent(float(rows["lost_ratio"].median()))
    if priced:
        text += f" lost\n{in_words('_s', float(rows['cpu_per_addition_s'].median()))} of CPU each"
    label, text = (str(first["body"]), f"{text}  {name}") if grouped else (name, text if priced else f"{text} lost")
    return artists.Row(label, LOOKS[EXPERIMENT.units[str(first["arm"])]], lost, text, hollow=bool(first["lock"]))


def _line(rows: DataFrame, x: str, values: list[Json]) -> artists.Line:
    from labkit import artists

    at = {place: rows[rows[x] == value]["lost_ratio"] for place, value in enumerate(values)}
    points = {float(place): [100 * float(value) for value in found] for place, found in at.items() if len(found)}
    look = LOOKS[EXPERIMENT.units[str(rows.iloc[0]["arm"])]]
    return artists.Line(_name(rows).replace(" sharing", "\nsharing"), look, points, hollow=bool(rows.iloc[0]["lock"]))


def _name(rows: DataFrame) -> str:
    return f"{rows.iloc[0]['arm']}{', lock' if rows.iloc[0]['lock'] else ''}"


def _percent(ratio: float) -> str:
    return f"{100 * ratio:.0f} %" if ratio in (0, 1) or 0.01 <= ratio < 0.995 else f"{100 * ratio:.2g} %"  # noqa: PLR2004


def expect(machine: Machine) -> list[str]:
    """Say which additions can vanish on this machine.

    Args:
        machine: Its GIL, Python version and cores decide.
    """
    python, cores = f"Python {machine.python}", machine.cores_count
    plain = (
        f"{python} has a GIL: threads lose nothing with a plain `+= 1`. The language does not promise that; this "
        "interpreter just never changes threads inside it. With a call between read and write, it depends on the "
        "switch interval."
        if machine.gil
        else f"{python} runs without a GIL: threads lose additions with every body, even a plain `+= 1`."
    )
    sharing_memory = (
        "Processes sharing memory lose additions with every body, GIL or not."
        if cores >= 2  # noqa: PLR2004 - two must run at the same instant
        else f"Processes sharing memory need two cores at once; with {cores:g} expect losses with `sleep(0)`."
    )
    return [
        plain,
        "With `sleep(0)` between read and write, threads lose additions on every build.",
        "Isolated processes lose nothing, as no two of them write to the same memory.",
        sharing_memory,
    ]


def _judge_race(table: DataFrame) -> Verdict:
    from labkit.intervals import median_interval, wilson

    done = table[(table["ending"] == "finished") & table["arm"].isin(_SHARED)]
    locked = done[done["lock"].astype(bool)] if len(done) else done
    runs = done.drop(locked.index)
    runs = runs[runs["workers"] > 1] if len(runs) else runs
    if len(runs) < 3:  # noqa: PLR2004 - fewer give no interval worth showing
        sentence = "Whether sharing without a lock loses additions is not measured yet"
        if len(locked):
            sentence += f"; {len(locked)} runs with the lock lost {locked['lost_count'].sum():.0f} additions"
        reason = f"it takes 3 finished runs of 2 or more workers that share memory, and there are {len(runs)}"
        return Verdict(outcome="cannot be measured here", sentence=f"{sentence}.", reason=reason, runs_count=len(runs))
    hits, tries = int(runs["rounds_with_loss_count"].sum()), int(runs["rounds"].sum())
    share, lost = wilson(hits, tries), median_interval([float(value) for value in runs["lost_ratio"]])
    what = "without a lock, Python " + " and ".join(sorted(runs["python"].unique(), key=age))
    counts = runs.groupby(["arm", "body"], sort=False)[["rounds_with_loss_count", "rounds"]].sum()
    what += "".join(f"; {arm}, '{body}' {row[0]:.0f} of {row[1]:.0f}" for (arm, body), *row in counts.itertuples())
    few = not hits and share.high > 0.5  # noqa: PLR2004 - 3 rounds without a loss say next to nothing
    return Verdict(
        outcome="holds" if hits else "too close to call" if few else "does not hold",
        sentence=f"{hits} of {tries} rounds lost additions, {_percent(lost.middle)} of them in the median run ({what})."
        if hits
        else f"0 of {tries} rounds lost an addition; at most {_percent(share.high)} of such rounds do ({what}).",
        effect=share.middle,
        low=share.low,
        high=share.high,
        unit=_UNIT,
        runs_count=len(runs),
        reason="too few rounds" if few else "",
    )


EXPERIMENT = Experiment(
    name="lost updates",
    question="How many additions vanish when workers share a counter?",
    source="Memory sharing between threads",
    arms={"threads": threads, "isolated processes": isolated, "processes sharing memory": sharing},
    units={"threads": "thread", "isolated processes": "process", "processes sharing memory": "shared memory"},
    sweep={
        "body": tuple(_BODIES),
        "lock": (False, True),
        "workers": (1, 2, 4, 8),
        "rounds": (1, 5, 20),
        "switch_interval_s": (1e-6, 0.0005, 0.005, 0.05),
    },
    defaults={"body": "read, sleep(0), write", "lock": False, "workers": 2, "rounds": 5, "switch_interval_s": 0.005},
    columns={
        "added_count": "additions that the workers made together",
        "lost_count": "additions that did not reach the counter",
        "lost_ratio": "share of the additions that did not reach the counter",
        "rounds_with_loss_count": "rounds in which an addition was lost",
        "cpu_per_addition_s": "CPU time per addition",
        "demanded_cores": "cores that the workers used or queued for; too high for GIL threads on a busy machine",
        "delay_ratio": "time queued for a core, per time on one",
    },
    headline="lost_ratio",
    draw=draw,
    expect=expect,
    claims={"memory.race": _judge_race},
)
