"""The long form of the tests: `python tests/soak.py [--minutes 30]` prints one table; exit status 1 if it must.

Every fault on every interpreter, kernels killed and interrupted at hundreds of moments and at every bytecode; the
explorer on 30,000 random programs and on random source text, each against an exhaustive search. What does not fit into
the time is printed as not tried, and is a failure too: a table that shows less than it names is no proof.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import around  # noqa: E402
from battery import ROWS, run_rows  # noqa: E402
from leftovers import adopt_orphans  # noqa: E402

from labkit.runs import interpreters  # noqa: E402

KILLS, INTERRUPTS, BUNDLE = 200, 400, 50
PROGRAMS, SOURCES = 30_000, 2_000
HEAD = f"{'fault':46}{'tries':>6}{'survived':>10}{'left':>6}"


class Table:
    """Counts per fault, printed as they come in."""

    def __init__(self, minutes: float) -> None:
        self.until = time.monotonic() + 60 * minutes
        self.bad = 0
        print(HEAD, flush=True)

    @property
    def over(self) -> bool:
        return time.monotonic() > self.until

    def add(self, fault: str, tries: int, survived: int, left: list[str], why: str = "") -> None:
        """Print one line; ``why`` says what was wrong where a try did not survive."""
        self.bad += survived < tries or bool(left) or not tries
        line = f"{fault:46}{tries or 'none':>6}{survived:>10}{len(left):>6}  {'; '.join(left[:3])} {why}"
        print(line[:400].rstrip(), flush=True)


def battery(table: Table) -> None:
    """Run every row on every interpreter, one interpreter after the other."""
    pythons = [found.path for found in interpreters.find()]
    for row in ROWS:
        results = [] if table.over else run_rows([row], pythons)
        why = "; ".join(f"{result['python']}: {text}" for result in results for text in result["wrong"])
        left = sorted({text for result in results for text in result["left"]})
        table.add(row.name, len(results), sum(not result["wrong"] for result in results), left, why)


def moments(table: Table, seed: int) -> None:
    """Kill and interrupt kernels, in bundles so that the time can be kept."""
    numbers = random.Random(seed)
    kinds = {
        "kernel killed at a random moment": (around.kill_at_random, KILLS // BUNDLE),
        "two interrupts at random moments": (partial(around.in_a_kernel, "interrupts"), INTERRUPTS // BUNDLE),
        "interrupt at every bytecode": (lambda _, s: around.in_a_kernel("at_every_bytecode", 1, s), 1),
    }
    for name, (step, times) in kinds.items():
        tries, survived, left = 0, 0, []
        for _ in range(times):
            if not table.over:
                more = step(BUNDLE, numbers.randrange(10**6))
                tries, survived, left = tries + more[0], survived + more[1], left + more[2]
        table.add(name, tries, survived, left)


def fuzz(table: Table) -> None:
    """Compare explorer and exhaustive search on random programs, on two cores."""
    kinds = {
        "random programs, search": ("interleave_programs", PROGRAMS),
        "random source": ("source_programs", SOURCES),
    }
    with ProcessPoolExecutor(max_workers=2, mp_context=multiprocessing.get_context("spawn")) as pool:
        for name, (module, count) in kinds.items():
            tries, bad = 0, []
            for first in range(0, count, BUNDLE):
                if table.over:
                    break
                seeds = range(first, min(first + BUNDLE, count))
                answers = list(pool.map(_compare, [module] * len(seeds), seeds))
                tries, bad = tries + len(answers), bad + [answer for answer in answers if answer]
            why = bad[0].splitlines()[0] if bad else "" if tries == count else f"of {count}: no time for the others"
            table.add(name, tries, tries - len(bad), [], why)
            table.bad += 0 < tries < count


def _compare(module: str, seed: int) -> str:
    answer: str = importlib.import_module(module).compare(seed)
    return answer


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="start nothing new after this (30)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the random moments")
    parser.add_argument("--part", choices=("safety", "explorer"), help="only this one")
    options = parser.parse_args()
    adopt_orphans()
    folder = tempfile.mkdtemp(prefix="labtests-")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    table = Table(options.minutes)
    try:
        if options.part != "explorer":
            moments(table, options.seed)
            battery(table)
        if options.part != "safety":
            fuzz(table)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"seed {options.seed}; {'nothing left' if not table.bad else f'{table.bad} lines are not as they must be'}")
    return table.bad > 0


if __name__ == "__main__":
    sys.exit(main())
