"""The rows of `make bench` on messages: beside perf, dd and memcpy, each beside its yardstick in one interleaved run.

A yardstick that is not here is said to be missing, and the row is shown only. CPU time is compared where that is what
is asked; bandwidths and copies are wall times, so the best of several runs counts: neighbours only make them worse.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import ExitStack
from functools import partial
from shutil import which
from statistics import median
from typing import TYPE_CHECKING

from bench_explorer import Figure

from labkit import experiments
from labkit.child import channels, segments
from labkit.model import Ending
from labkit.runs.plan import plan
from labkit.runs.supervise import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labkit.model import Json

SWITCH, MESSAGE = experiments.experiment("ping pong"), experiments.experiment("message cost")
SWITCH_TIMES, COPY_TIMES, PIPE_TIMES, ZERO_COPY_TIMES = 1.5, 2.0, 1 / 0.7, 5.0  # the limits
SHOWN_ONLY = float("inf")
BLOCK, MIB = 64 << 10, 1 << 20
BLOCKS = 4000  # that dd hands over: 250 MiB
COPIES = 500  # between two looks at the clock
PATIENCE_S = 10.0
C_WORDS = {**os.environ, "LC_ALL": "C"}  # dd says seconds in the user's language


def figures(repeats: int) -> list[Figure]:
    """Measure every row; ``repeats`` is the number of runs behind each."""
    return [*switches(repeats), *copies(repeats), pipes(repeats), zero_copy(repeats)]


def switches(repeats: int) -> list[Figure]:
    """Compare the CPU time of our ping-pong on one core with perf's, and with that of a program in C."""
    found: dict[str, list[float]] = {arm: [] for arm in SWITCH.arms}
    for trial in plan(SWITCH, repeats=repeats, seed=0):
        run = begin(trial, limits=SWITCH.limits).wait()
        if run.ending is not Ending.UNAVAILABLE:
            found[trial.arm].append(1e6 * run.check().result["cpu_per_switch_s"])
    middle = {arm: median(values) for arm, values in found.items() if values}
    rows = []
    for arm in ("processes", "threads"):
        for name, limit in (("perf", SWITCH_TIMES), ("C", SHOWN_ONLY)):
            what = f"CPU per context switch, {arm} on one core / {name}"
            rows.append(beside(what, middle[arm], middle.get(f"{name} {arm}"), limit, "us"))
    return rows


def beside(what: str, ours: float, yardstick: float | None, limit: float, unit: str) -> Figure:
    if yardstick is None:
        return Figure(what, f"{ours:.2f} {unit}", "no yardstick", 0, SHOWN_ONLY)
    return Figure(what, f"{ours:.2f} {unit}", f"{yardstick:.2f} {unit}", ours / yardstick, limit)


def copies(repeats: int) -> list[Figure]:
    """Compare how a message of 1 MiB is copied into shared memory with memcpy: not much slower, and not much faster."""
    perf = which("perf")
    data = os.urandom(MIB)
    with ExitStack() as held:
        memory = segments.segment(held, "processes", MIB)
        measure = [partial(copy_s, memory, data), *([partial(memcpy_s, perf)] if perf else [])]
        ours_s, *theirs_s = best(repeats, measure)
        if bytes(memory[:MIB]) != data:
            raise RuntimeError("the copy is not what was copied")
    what = "copy of 1 MiB into shared memory / perf bench mem memcpy"
    row = beside(what, 1e6 * ours_s, 1e6 * theirs_s[0] if theirs_s else None, COPY_TIMES, "us")
    if not theirs_s:
        return [row]
    return [row, Figure("the same, the other way round", "", "the same runs", 1 / row.reached, COPY_TIMES)]


def copy_s(memory: memoryview, data: bytes) -> float:
    """Time one copy, as a message makes it, in the mean over many: the pages are warm."""
    began_s = time.perf_counter()
    for _ in range(COPIES):
        channels._put(memory, data)
    return (time.perf_counter() - began_s) / COPIES


def memcpy_s(perf: str) -> float:
    """Let perf time the same."""
    command = [perf, "bench", "-f", "simple", "mem", "memcpy", "-s", "1MB", "-l", str(COPIES), "-f", "default"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S)
    return MIB / float(done.stdout.split()[-1])


def pipes(repeats: int) -> Figure:
    """Compare the bandwidth of our pipe between processes, at 64 KiB, with that of two dd."""
    what = "dd | dd at 64 KiB / our pipe between processes"
    dd = which("dd")
    seconds_per_block = partial(block_s, "any core")
    ours_s, *theirs_s = best(2 * repeats, [seconds_per_block, *([partial(dd_s, dd)] if dd else [])])  # short runs
    ours = f"{BLOCK / ours_s / 1e9:.2f} GB/s"
    if not theirs_s:
        return Figure(what, ours, "no yardstick", 0, SHOWN_ONLY)
    return Figure(what, ours, f"{BLOCK / theirs_s[0] / 1e9:.2f} GB/s", ours_s / theirs_s[0], PIPE_TIMES)


def block_s(placement: str) -> float:
    """Send blocks in one direction in a fresh run; return the time of one."""
    result = message("pipe", size_bytes=BLOCK, placement=placement)
    return result["message_bytes"] / result["bandwidth_bytes_per_s"]


def dd_s(dd: str) -> float:
    """Let one dd write blocks to another, and return the time of one as the reader tells it."""
    source, sink = [dd, "if=/dev/zero", f"bs={BLOCK}", f"count={BLOCKS}"], [dd, "of=/dev/null", f"bs={BLOCK}"]
    with subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=C_WORDS) as writer:
        done = subprocess.run(
            sink, stdin=writer.stdout, check=True, stderr=subprocess.PIPE, text=True, env=C_WORDS, timeout=PATIENCE_S
        )
    told = re.search(r"^(\d+) bytes .* copied, ([\d.e-]+) s", done.stderr, re.MULTILINE)
    if told is None:
        message = f"dd said: {done.stderr}"
        raise RuntimeError(message)
    return float(told[2]) * BLOCK / int(told[1])


def zero_copy(repeats: int) -> Figure:
    """Compare handing over 8 MiB that lie in shared memory with handing over 8 B."""
    small, large = (partial(in_place_s, size) for size in (8, 8 * MIB))
    small_s, large_s = best(repeats, [small, large])
    what = "zero-copy hand-over of 8 MiB / of 8 B"
    return beside(what, 1e6 * large_s, 1e6 * small_s, ZERO_COPY_TIMES, "us")


def in_place_s(size_bytes: int) -> float:
    return message("memory in place", size_bytes=size_bytes, placement="one core")["latency_s"]


def message(mechanism: str, **setting: Json) -> Mapping[str, Json]:
    """Send bytes between processes in a fresh run."""
    wanted = {"mechanism": mechanism, "payload": "bytes", **setting}
    [trial] = plan(MESSAGE, repeats=1, seed=0, arms=["processes"], sweep=wanted)
    return begin(trial, limits=MESSAGE.limits).wait().check().result


def best(repeats: int, measure: Sequence[Callable[[], float]]) -> list[float]:
    """Take every measure in turn, again and again; return the shortest time of each."""
    taken = [[one() for one in measure] for _ in range(repeats)]
    return [min(column) for column in zip(*taken, strict=True)]
