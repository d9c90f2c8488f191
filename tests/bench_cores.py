"""The rows of `make bench` on cores: beside a C program with two threads, and beside a busy process.

Every row interleaves what it compares. Cores demanded count what a worker used and what it waited for in the run queue,
so they should not change when somebody else uses the machine: that is what the last rows hold them to.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from math import isnan, nan
from pathlib import Path
from shutil import which
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from bench_explorer import Figure

from labkit import experiments
from labkit.errors import RunFailed
from labkit.experiments import cpu_bound
from labkit.runs.interpreters import find
from labkit.runs.plan import plan
from labkit.runs.pythons import FREE, GIL, interpreter_of
from labkit.runs.supervise import begin

if TYPE_CHECKING:
    from collections.abc import Callable

SUBJECT, RACE = experiments.experiment("cpu bound"), experiments.experiment("lost updates")
RACING = (("threads", 1), ("processes sharing memory", 2))  # the arms, with workers, in which none waits for a GIL
IN_PYTHON, IN_C = "Python loop", "sha256"
WORKERS = 2
FROM_C, ONE_CORE, SEVERAL, STEADY = 0.1, 1.1, 1.6, 0.05  # the limits
SHOWN_ONLY = float("inf")
BUSY = "while True: pass"
PROGRAM = Path(__file__).with_name("pthreads.c")


class Cores(NamedTuple):
    """Cores of all workers of one run; those used are not a number where an experiment does not tell."""

    demanded: float
    used: float = nan


class Asked(NamedTuple):
    """What is run: the arm, the word for the interpreter, and its version for the table."""

    arm: str
    python: str
    version: str

    def __str__(self) -> str:
        return f"{WORKERS} {self.arm} on {self.version}"


def figures(repeats: int) -> list[Figure]:
    """Measure every row; ``repeats`` is the number of runs behind each median."""
    return [beside_c(repeats), *reached(repeats), *steady(repeats)]


def beside_c(repeats: int) -> Figure:
    """Compare threads whose work is in C, without the GIL, with a program in C that computes in two threads."""
    ours = asked("threads", GIL)
    what = f"cores demanded, {IN_C}: {ours}, apart from C by"
    compiler = which("cc")
    if compiler is None:
        return Figure(what, "", "no cc here: not compared", 0, SHOWN_ONLY)
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/pthreads"
        subprocess.run([compiler, "-O1", "-pthread", "-o", program, str(PROGRAM)], check=True)
        mine, theirs = interleaved(repeats, [lambda: run(ours, IN_C), lambda: in_c(program)])
    apart = abs(mine.demanded / theirs.demanded - 1)
    return Figure(what, in_words(mine), f"C {in_words(theirs)}", apart, FROM_C)


def reached(repeats: int) -> list[Figure]:
    """Say how far threads with a GIL are above one core, and processes and threads without one are from two."""
    wanted = [asked("threads", GIL), asked("processes", GIL)]
    free = interpreter_of(FREE)
    wanted += [asked("threads", FREE)] if free else []
    found = interleaved(repeats, [lambda one=one: run(one, IN_PYTHON) for one in wanted])
    rows = [Figure(f"cores demanded: {wanted[0]}", in_words(found[0]), "", found[0].demanded, ONE_CORE)]
    for one, cores in zip(wanted[1:], found[1:], strict=True):
        short = max(0.0, SEVERAL - cores.demanded)
        rows.append(Figure(f"cores demanded, short of {SEVERAL}: {one}", in_words(cores), "", short, 0))
    if not free:
        rows.append(Figure(f"cores demanded: {WORKERS} threads without a GIL", "", "not installed", 0, SHOWN_ONLY))
    return rows


def steady(repeats: int) -> list[Figure]:
    """Compare the cores demanded in quiet runs and in runs beside a busy process."""
    wanted = [asked(arm, GIL) for arm in SUBJECT.arms]
    newest = max((one for one in find() if one.gil), key=lambda one: [int(part) for part in one.version.split(".")])
    if newest.version != wanted[-1].version:  # subinterpreters of an old Python share its GIL
        wanted.append(Asked("subinterpreters", newest.version, newest.version))
    if interpreter_of(FREE):
        wanted.append(asked("threads", FREE))
    rows = [unchanged(f"{workers} {arm}", partial(race, arm, workers), repeats) for arm, workers in RACING]
    return rows + [unchanged(str(one), partial(run, one, IN_PYTHON), repeats) for one in wanted]


def unchanged(who: str, measure: Callable[[], Cores], repeats: int) -> Figure:
    what = f"cores demanded beside a busy process: {who}"
    try:
        quiet, disturbed = interleaved(repeats, [measure, partial(beside_busy, measure)])
    except RunFailed as error:  # the other rows are worth having
        return Figure(what, "a run failed", error.run.ending.value, float("inf"), STEADY)
    change = abs(disturbed.demanded / quiet.demanded - 1)
    return Figure(what, in_words(disturbed), f"quiet {in_words(quiet)}", change, STEADY)


def asked(arm: str, word: str) -> Asked:
    python = interpreter_of(word)
    if python is None:
        message = f"there is no Python that {word!r} means"
        raise RuntimeError(message)
    return Asked(arm, word, python.version)


def interleaved(repeats: int, measure: list[Callable[[], Cores]]) -> list[Cores]:
    """Take every measure in turn, again and again; return the median of each."""
    taken: list[list[Cores]] = [[] for _ in measure]
    for _ in range(repeats):
        for one, kept in zip(measure, taken, strict=True):
            kept.append(one())
    return [Cores(*(median(column) for column in zip(*kept, strict=True))) for kept in taken]


def run(one: Asked, work: str) -> Cores:
    """Run an arm once."""
    settings = {"work": work, "workers": WORKERS}
    [trial] = plan(SUBJECT, repeats=1, seed=0, arms=[one.arm], sweep=settings, pythons=[one.python])
    result = begin(trial, limits=SUBJECT.limits).wait().check().result
    return Cores(result["demanded_cores"], result["used_cores"])


def race(arm: str, workers: int) -> Cores:
    """Run an arm of lost updates once."""
    settings = {"body": "counter += 1", "workers": workers, "rounds": 20}
    [trial] = plan(RACE, repeats=1, seed=0, arms=[arm], sweep=settings)
    return Cores(begin(trial, limits=RACE.limits).wait().check().result["demanded_cores"])


def in_c(program: str) -> Cores:
    """Run the program in C once."""
    done = subprocess.run([program, str(WORKERS), str(cpu_bound._WINDOW_S)], check=True, capture_output=True, text=True)
    cpu_s, delay_s, wall_s = (float(word) for word in done.stdout.split())
    return Cores((cpu_s + delay_s) / wall_s, cpu_s / wall_s)


def beside_busy(measure: Callable[[], Cores]) -> Cores:
    """Measure while another process computes."""
    neighbour = subprocess.Popen([sys.executable, "-I", "-S", "-c", BUSY])
    try:
        return measure()
    finally:
        neighbour.kill()
        neighbour.wait()


def in_words(cores: Cores) -> str:
    return f"{cores.demanded:.2f}" + ("" if isnan(cores.used) else f" (used {cores.used:.2f})")
