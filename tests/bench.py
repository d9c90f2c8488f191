"""The figures of labkit itself, each beside its yardstick in one interleaved run: `make bench`.

A benchmark and no test: it prints what it measured and whether the limit was met, and its exit status says the same.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import bench_cores
import bench_course
import bench_explorer
import bench_ipc

from labkit import experiments
from labkit.child.launch import ROOT
from labkit.limits import Limits
from labkit.model import Trial
from labkit.runs.keepers import prewarm
from labkit.runs.supervise import begin
from labkit.show.bench import bench

if TYPE_CHECKING:
    from collections.abc import Callable

LOST = experiments.experiment("lost updates")
IMPORT = f"import sys; sys.path.insert(0, {ROOT!r}); import labkit; del sys.path[0]; "
FOREIGN = "import sys; print(sorted({m.partition('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
READY_S = 0.4  # a spare is ready after about 0.1 s; the benchmark waits until the machine is quiet again
NO_LIMIT = float("inf")


class Row(NamedTuple):
    """One line of the table."""

    figure: str
    ours: str
    yardstick: str
    reached: float
    limit: float

    @property
    def met(self) -> bool:
        return self.reached <= self.limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    rows = [*starting(repeats), slider(repeats), *modules()]
    few = max(5, repeats // 3)
    figures = (
        *bench_cores.figures(few),
        *bench_ipc.figures(few),
        *bench_course.figures(),
        *bench_explorer.figures(),
    )
    rows += [Row(*figure) for figure in figures]
    print(f"{'figure':<66}{'ours':>16}{'yardstick':>30}{'reached':>10}{'limit':>8}")
    for row in rows:
        mark = "shown only" if row.limit == NO_LIMIT else "ok" if row.met else "MISSED"
        print(f"{row.figure:<66}{row.ours:>16}{row.yardstick:>30}{row.reached:>10.3g}{row.limit:>8g}  {mark}")
    return 0 if all(row.met for row in rows) else 1


def starting(repeats: int) -> list[Row]:
    """Time a bare interpreter, an import of labkit, a cold run and a run on a spare, in turn."""
    times: dict[str, list[float]] = {"bare": [], "import": [], "cold": [], "spare": []}
    for _ in range(repeats):
        times["bare"].append(seconds(lambda: python("pass")))
        times["import"].append(seconds(lambda: python(IMPORT)))
        times["cold"].append(seconds(run_nothing))
        prewarm(empty_trial(), limits=Limits())
        time.sleep(READY_S)
        times["spare"].append(seconds(run_nothing))
    middle = {name: median(values) for name, values in times.items()}
    bare = f"python -I -S -c pass {ms(middle['bare'])}"
    return [
        Row(
            "import labkit beyond a bare interpreter (s)",
            ms(middle["import"]),
            bare,
            middle["import"] - middle["bare"],
            0.1,
        ),
        Row("cold run / bare interpreter", ms(middle["cold"]), bare, middle["cold"] / middle["bare"], 12),
        Row("run on a spare / bare interpreter", ms(middle["spare"]), bare, middle["spare"] / middle["bare"], 4),
    ]


def slider(repeats: int) -> Row:
    """Time from a moved slider to the first event of the new run: through the bench, with a spare kept ready."""
    panel = bench(LOST, repeats=1, arms=["threads"], rounds=1)
    panel.controls._run.click()
    panel.wait()
    waits = []
    for number in range(repeats):
        time.sleep(READY_S)
        before = len(panel.runs)
        began = time.perf_counter()
        panel.controls._sliders["workers"].value = (2, 4)[number % 2 == 0]
        while len(panel.runs) == before and not (panel._live and panel._live._heard.events):
            time.sleep(0.0005)
        waits.append(time.perf_counter() - began)
        panel.wait()
    panel.close()
    return Row(
        "slider to first event, with a spare (s)", ms(median(waits)), f"worst {ms(max(waits))}", median(waits), 0.1
    )


def modules() -> list[Row]:
    """Count the modules beside the standard library that labkit and its child's side load."""
    child = "import labkit.child.entry, labkit.experiments; labkit.experiments.load_all(); "
    rows = []
    for what, code in (("import labkit", IMPORT), ("the child", IMPORT + child)):
        foreign = [name for name in json.loads(python(code + FOREIGN).replace("'", '"')) if name not in OWN]
        rows.append(Row(f"foreign modules after: {what}", ", ".join(foreign) or "none", "", len(foreign), 0))
    return rows


OWN = ("labkit", "__main__")


def empty_trial() -> Trial:
    return Trial(workload="os:getpid")


def run_nothing() -> None:
    begin(empty_trial(), limits=Limits()).wait().check()


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True)
    return done.stdout


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def ms(value_s: float) -> str:
    return f"{value_s * 1000:.1f} ms"


if __name__ == "__main__":
    sys.exit(main())
