"""The long form of the safety tests: `python tests/soak.py [--minutes 30]` prints one table; exit status 1 if it must.

Every fault on every interpreter, kernels killed and interrupted at hundreds of moments and at every bytecode. What does
not fit into the time is printed as not tried, and is a failure too: a table that shows less than it names is no proof.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import around  # noqa: E402
from battery import ROWS, run_rows  # noqa: E402
from leftovers import adopt_orphans  # noqa: E402

from labkit.runs import interpreters  # noqa: E402

KILLS, INTERRUPTS, BUNDLE = 200, 400, 50
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


def main() -> int:
    """Run the long form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="start nothing new after this (30)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the random moments")
    options = parser.parse_args()
    adopt_orphans()
    folder = tempfile.mkdtemp(prefix="labtests-")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    table = Table(options.minutes)
    try:
        moments(table, options.seed)
        battery(table)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"seed {options.seed}; {'nothing left' if not table.bad else f'{table.bad} lines are not as they must be'}")
    return table.bad > 0


if __name__ == "__main__":
    sys.exit(main())
