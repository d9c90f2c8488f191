"""CPU-bound work: how many cores workers use when they compute, by threads, processes and subinterpreters.

Every worker does the same pieces of work until a common moment. Cores demanded are the CPU time of all workers, and
what they spent in the run queue, per time: what they would use if nobody else were on the machine. Quiet gate: a window
counts if others took at most 4 % of the cores that the workers could have used. A run measures up to three windows of
0.08 s and keeps the quietest, whatever its cores were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.child import busy, rounds, tasks
from labkit.model import LOOKS, Experiment, Verdict
from labkit.versions import age, free_threaded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

    from labkit import artists
    from labkit.intervals import Interval
    from labkit.model import Json, Machine

    _Group = tuple[tuple[str, str], DataFrame]  # work and interpreter, with their runs

_WINDOW_S = 0.08
_WINDOWS_MOST = 3
_QUIET = 0.04
_LEAST = 3  # quiet runs: fewer give no interval worth showing
_ONE_CORE = 1.2  # the border between one core and more than one
_DEARER = 1.25  # times the CPU time: caches and clock rates make less than that
_PLAIN = "Python loop"
_HOLLOW = " (hollow: no GIL)"
_AXES = {"work": "kind of work", "workers": "workers"}


def threads(*, work: str, workers: int) -> dict[str, Json]:
    """Work in threads of one interpreter."""
    return _quietest("threads", work, workers)


def processes(*, work: str, workers: int) -> dict[str, Json]:
    """Work in forked processes."""
    return _quietest("processes", work, workers)


def subinterpreters(*, work: str, workers: int) -> dict[str, Json]:
    """Work in subinterpreters of one process, each in a thread of its own."""
    return _quietest("subinterpreters", work, workers)


def _quietest(way: str, work: str, workers: int) -> dict[str, Json]:
    """Play rounds until one is quiet, three at most; return the quietest."""
    best: dict[str, Json] = {}
    for number in range(1, _WINDOWS_MOST + 1):
        told = rounds.play(way, busy.share, {"work": work}, workers=workers, duration_s=_WINDOW_S)
        found = _summed([busy.Share(*one) for one in told], one_gil=rounds.one_gil(way))
        if not best or found["taken_ratio"] < best["taken_ratio"]:
            best = found
        best["windows_count"] = number
        if best["taken_ratio"] <= _QUIET:
            break
    return best


def _summed(shares: list[busy.Share], *, one_gil: bool) -> dict[str, Json]:
    """Add up what the workers of one round did."""
    used, demanded = busy.cores(shares, _WINDOW_S, one_gil=one_gil)
    pieces, cpu_s = sum(one.pieces_count for one in shares), sum(one.cpu_s for one in shares)
    lasted_s = (max(one.ended_ns for one in shares) - shares[0].stop_ns) / 1e9 + _WINDOW_S
    return {
        "demanded_cores": demanded,
        "used_cores": used,
        "taken_ratio": 1 - busy.given(used, demanded),
        "pieces_per_s": pieces / lasted_s,
        "cpu_per_piece_s": cpu_s / max(1, pieces),
        "pieces_count": pieces,
    }


def draw(table: DataFrame, ax: Axes) -> None:
    """Draw the cores demanded: lines against the workers, or one row per kind of work, interpreter and arm."""
    from labkit import artists

    done = table[table["ending"] == "finished"]
    varied = [name for name in _AXES if name in done and len(done[name].unique()) > 1]
    ax.set(xlabel="cores demanded", ylabel="work")
    artists.left_out(ax, artists.unfinished(table), [])
    if done.empty:
        artists.blank(ax)
        return
    several = len(done["python"].unique()) > 1
    if varied == ["workers"]:
        _draw_lines(done, ax, several=several)
        return
    if "workers" in varied:
        done = done[done["workers"] == done["workers"].max()]  # the table beside it holds the others
    rows = [
        _row(rows, several=several, works="work" in varied)
        for work in tasks.TASKS
        for python in sorted(done["python"].unique(), key=age)
        for arm in EXPERIMENT.arms
        if len(rows := done[(done["work"] == work) & (done["python"] == python) & (done["arm"] == arm)])
    ]
    most = max(2.0, 1.1 * float(done["demanded_cores"].max()))
    ax.set(
        xlim=(0, most),
        xlabel=f"cores demanded by {_workers(int(done['workers'].iloc[0]))}{_hollow(done)}",
        ylabel="work" if "work" in varied else "Python" if several else "workers are",
    )
    ax.set_xticks(range(int(most) + 1))
    artists.dots(ax, rows)
    artists.border(ax, "x", 1, "one core")


def _draw_lines(done: DataFrame, ax: Axes, *, several: bool) -> None:
    from labkit import artists

    groups = [
        (arm, python, rows)
        for arm in EXPERIMENT.arms
        for python in sorted(done["python"].unique(), key=age)
        if len(rows := done[(done["arm"] == arm) & (done["python"] == python)])
    ]
    most = int(done["workers"].max())
    ax.set(xlabel=f"workers{_hollow(done)}", ylabel="cores demanded", xlim=(0.7, most + 0.3), ylim=(0, 1.1 * most))
    ax.set_xticks(sorted(int(count) for count in done["workers"].unique()))
    ax.set_yticks(range(most + 1))
    step = 0.015 * most  # beside each other, since several lines may say the same
    series = [
        artists.Line(
            f"{arm} {python}" if several else arm,
            LOOKS[EXPERIMENT.units[arm]],
            {
                float(count) + (n - (len(groups) - 1) / 2) * step: [float(cores) for cores in one["demanded_cores"]]
                for count, one in rows.groupby("workers")
            },
            hollow=free_threaded(python),
        )
        for n, (arm, python, rows) in enumerate(groups)
    ]
    artists.lines(ax, series)
    artists.border(ax, "y", 1, "")
    place: dict[str, Any] = {"xytext": (0, -9), "textcoords": "offset points", "ha": "center", "va": "top"}
    words: dict[str, Any] = {"color": "0.25", "fontsize": 14, "fontweight": "bold"}
    ax.annotate("one core", (0.65, 1), xycoords=("axes fraction", "data"), **place, **words)  # clear of all marks


def _workers(count: int) -> str:
    return f"{count} worker{'s' if count > 1 else ''}"


def _hollow(done: DataFrame) -> str:
    """Say what a hollow mark means, where there is one."""
    return _HOLLOW if any(map(free_threaded, done["python"].unique())) else ""


def _row(rows: DataFrame, *, several: bool, works: bool) -> artists.Row:
    from labkit import artists

    first, cores = rows.iloc[0], [float(value) for value in rows["demanded_cores"]]
    arm, python = str(first["arm"]), str(first["python"])
    label = str(first["work"]) if works else python if several else arm
    named = [name for name, told in ((arm, label != arm), (python, several and works)) if told]
    text = f"{rows['demanded_cores'].median():.2f}  {' '.join(named) or 'cores'}"
    return artists.Row(label, LOOKS[EXPERIMENT.units[arm]], cores, text, hollow=free_threaded(python))


def expect(machine: Machine) -> list[str]:
    """Say how many cores each way uses on this machine.

    Args:
        machine: Its GIL, its cores and its interpreters decide.
    """
    free = any(not one.gil for one in machine.interpreters)
    told = [
        f"Python {machine.python} has a GIL: threads that compute in Python use one core together."
        if machine.gil
        else f"Python {machine.python} runs without a GIL: threads that compute use as many cores as processes do.",
        "Processes use a core each, on every interpreter.",
        "Subinterpreters use a core each since 3.12, where each got a GIL of its own; before, they share one.",
        "sha256 and zlib compute without the GIL, so threads use several cores there. A sort in C keeps it.",
    ]
    if not free:
        told.append("No free-threaded build is installed here, so that line is missing from the picture.")
    if not machine.system.startswith("Linux"):
        told.append("This system does not tell what workers waited for: cores demanded are cores used here.")
    if machine.cores_count < 2:  # noqa: PLR2004 - a second core
        told.append(
            "With less than two cores to use you see what workers would use, told from how long they wait for a core, "
            "and no speed-up. A recorded run of a machine with two is shown below the passport."
        )
    return told


def _judge_processes(table: DataFrame) -> Verdict:
    """Judge whether processes use more cores than threads: Python code on the oldest interpreter with a GIL decides."""
    from labkit.intervals import difference

    pairs = []
    for (work, python), runs in _groups(table, ("threads", "processes")):
        beside, processes = (_cores(runs[runs["arm"] == arm]) for arm in ("threads", "processes"))
        pairs.append((work, python, beside, processes, len(runs)))
    if not pairs:
        return _open(table, "Whether processes use more cores than threads", ("threads", "processes"))
    *_, threads, processes, count = pairs[0]
    more = difference(processes, threads)
    clear, none = more.low > _ONE_CORE - 1, more.high < _ONE_CORE - 1
    told = [(python, work, f"{a.middle:.2f} and {b.middle:.2f}") for work, python, a, b, _ in pairs]
    also = [(python, work, f"{one.middle:.2f}") for work, python, one, _ in _of_threads(table) if one.low > _ONE_CORE]
    return Verdict(
        outcome="holds" if clear else "does not hold" if none else "too close to call",
        sentence=f"Cores that threads and processes demanded {_listed(told)}. The first of these decides."
        + (f" But threads demand several cores as well {_listed(also)}." if also and clear else ""),
        effect=more.middle,
        low=more.low,
        high=more.high,
        unit="cores that processes demand more than threads",
        runs_count=count,
        reason="" if clear or none else "the interval contains the border of 0.2 cores",
    )


def _judge_several(table: DataFrame) -> Verdict:
    """Judge whether threads can use several cores: one kind of work on one interpreter where they do is enough."""
    found = _of_threads(table)
    if not found:
        return _open(table, "How many cores threads use", ("threads",))
    *_, best, count = max(found, key=lambda one: one[2].low)
    some, none = best.low > _ONE_CORE, all(cores.high < _ONE_CORE for _, _, cores, _ in found)
    told = [(python, work, f"{cores.middle:.2f}") for work, python, cores, _ in found]
    return Verdict(
        outcome="holds" if some else "does not hold" if none else "too close to call",
        sentence=f"Cores that threads demanded {_listed(told)}."
        + (" It is the GIL that decides, not the system's scheduler." if some and found[0][2].high < _ONE_CORE else "")
        + _dearer(table),
        effect=best.middle,
        low=best.low,
        high=best.high,
        unit="cores demanded by threads, where they demanded most",
        runs_count=count,
        reason="" if some or none else f"the interval contains the border of {_ONE_CORE} cores",
    )


def _of_threads(table: DataFrame) -> list[tuple[str, str, Interval, int]]:
    """Give the cores that threads demanded, with the number of runs, for each work and interpreter with enough runs."""
    return [(work, python, _cores(runs), len(runs)) for (work, python), runs in _groups(table, ("threads",))]


def _dearer(table: DataFrame) -> str:
    """Say where a piece of work takes threads clearly more CPU time than one alone: they are in each other's way.

    CPU time needs no quiet machine.
    """
    from labkit.intervals import ratio_interval

    told, done = [], table[(table["ending"] == "finished") & (table["arm"] == "threads")]
    groups = list(done.groupby(["work", "python"])) if len(done) else []
    for (work, python), runs in sorted(groups, key=lambda group: (str(group[0][0]), age(str(group[0][1])))):
        costs = {
            int(str(count)): [float(s) for s in some["cpu_per_piece_s"]] for count, some in runs.groupby("workers")
        }
        most = max(costs)
        if 1 in costs and most > 1 and min(len(costs[1]), len(costs[most])) >= _LEAST:
            ratio = ratio_interval(costs[most], costs[1])
            if ratio.low > 1 and ratio.middle > _DEARER:
                told.append(f"{work!s} on {python!s} takes {ratio.middle:.1f} times the CPU time in {most} threads")
    return f" They can be in each other's way: {'; '.join(told)}." if told else ""


def _listed(told: list[tuple[str, str, str]]) -> str:
    """List what was measured of each kind of work, by interpreter."""
    pythons = dict.fromkeys(python for python, _, _ in told)
    return "; ".join(
        f"on {one}: " + ", ".join(f"{work} {number}" for python, work, number in told if python == one)
        for one in pythons
    )


def _groups(table: DataFrame, arms: tuple[str, ...]) -> list[_Group]:
    """Take quiet runs of some arms, by work and interpreter: of the fewest workers above one with enough of each arm.

    Plain Python comes first, then the interpreters by age.
    """
    done = _measured(table)
    quiet = done[(done["taken_ratio"] <= _QUIET) & done["arm"].isin(arms)] if len(done) else done
    found: dict[tuple[str, str], DataFrame] = {}
    for (work, python, _), runs in quiet.groupby(["work", "python", "workers"]) if len(quiet) else ():
        if min(int((runs["arm"] == arm).sum()) for arm in arms) >= _LEAST:
            found.setdefault((str(work), str(python)), runs)  # they come in the order of the workers
    return sorted(found.items(), key=lambda group: (group[0][0] != _PLAIN, age(group[0][1])))


def _measured(table: DataFrame) -> DataFrame:
    done = table[table["ending"] == "finished"]
    return done[done["workers"] > 1] if len(done) else done


def _cores(runs: DataFrame) -> Interval:
    from labkit.intervals import median_interval

    return median_interval([float(cores) for cores in runs["demanded_cores"]])


def _open(table: DataFrame, subject: str, arms: tuple[str, ...]) -> Verdict:
    """Say what is lacking; the arm with the fewest runs counts, since one that nobody asked for is no failure."""
    done = _measured(table)
    done = done[done["arm"].isin(arms)]
    loud = int((done["taken_ratio"] > _QUIET).sum()) if len(done) else 0
    reason = f"it takes {_LEAST} quiet runs of {' and of '.join(arms)} with 2 workers or more"
    if loud:
        reason += f"; in {loud} of {len(done)} runs others took more than {100 * _QUIET:g} % of the cores"
        reason += ": close what you can, and run the cell again"
    return Verdict(
        outcome="cannot be measured here",
        sentence=f"{subject} is not measured yet.",
        reason=reason,
        runs_count=min(int((done["arm"] == arm).sum()) for arm in arms),
    )


EXPERIMENT = Experiment(
    name="cpu bound",
    question="How many cores do workers use when they compute?",
    source="Multithreading or multiprocessing",
    arms={"threads": threads, "processes": processes, "subinterpreters": subinterpreters},
    units={"threads": "thread", "processes": "process", "subinterpreters": "subinterpreter"},
    sweep={"work": tuple(tasks.TASKS), "workers": (1, 2, 4, 8)},
    defaults={"work": _PLAIN, "workers": 2},
    columns={
        "demanded_cores": "cores demanded: CPU time and time in the run queue, of all workers, per time",
        "used_cores": "cores used: CPU time of all workers per time",
        "taken_ratio": "share of the cores that the workers could have used that others took; quiet is at most 0.04",
        "pieces_per_s": "pieces of work done by all workers together",
        "cpu_per_piece_s": "CPU time of one piece of work",
        "pieces_count": "pieces of work done",
        "windows_count": "windows measured; the quietest is shown",
    },
    headline="demanded_cores",
    draw=draw,
    expect=expect,
    claims={"choice.cpu_bound": _judge_processes, "faq.os_schedules_threads": _judge_several},
    pythons=True,
)
