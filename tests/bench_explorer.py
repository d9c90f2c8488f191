"""The explorer's rows of `make bench`: every classic, and beside them two other explorers of Python threads.

The others (frontrun, interleave-test) are the optional extra ``compare``, and no dependency: they are installed into a
virtual environment of their own in the user's cache folder; where that fails, the table says so. Each program is given
to each explorer in turn, the others in a process with a time limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from classics import FORMS
from explorer_programs import RATES

from labkit.errors import LabError
from labkit.runs.interpreters import find
from labkit.show.explorer import explore

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TOOLS = {"frontrun": "frontrun==0.7.0", "interleave-test": "interleave-test==0.1.0"}
OLDEST = (3, 12)  # for interleave-test
INSTALL_S, PROGRAM_S = 180, 10.0
SLOWEST_S, SET_S, TIMES_FRONTRUN = 1.0, 15.0, 4.0
COMPARED = (  # programs that both can express at least in part; a main that starts threads is beyond frontrun
    *("lost update", "withdraw", "lazy singleton", "queue: check, then get", "ABA", "AB-BA", "transfer"),
    *("bounded buffer", "lost wake-up", "semaphore order", "Peterson, flag after the check", "barrier, used once"),
)
WORDS = {True: "holds", False: "bug", None: "no answer"}


class Answer(NamedTuple):
    """What an explorer says of a program: True for right, False for a bug, None or a text for neither."""

    answer: bool | str | None
    executions: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.executions / self.seconds if self.seconds else 0.0

    def told(self, *, right: bool) -> str:
        """Say the answer, and whether it is right."""
        if isinstance(self.answer, str):
            return self.answer
        mark = "" if self.answer is None else " ✔" if self.answer is right else " WRONG"
        return f"{WORDS[self.answer]}{mark} ({self.executions:,} in {self.seconds:.2f} s)"


class Figure(NamedTuple):
    """One figure for the table of bench.py: what, ours, the yardstick, what was reached, the limit."""

    figure: str
    ours: str
    yardstick: str
    reached: float
    limit: float


def figures() -> list[Figure]:
    """Explore everything, print a line per program, and return the figures that are to be reached."""
    python = comparison()
    tools = {name: python for name in TOOLS if python and has(python, name)}
    print(f"other explorers: {', '.join(tools) or 'not installed'}; python -m pip install labkit[compare] names them")
    print(f"{'program':<44}{'labkit':>34}{'executions/s':>14}" + "".join(f"{name:>34}" for name in TOOLS))
    ours, theirs, wrong, seconds = {}, {}, [], []
    for name, form in FORMS.items():
        ours[name] = mine = own(form)
        seconds.append(mine.seconds)
        right = form.verdict == "proved"
        if mine.answer is not right:
            wrong.append(name)
        asked = name.rpartition(",")[0] in COMPARED
        theirs[name] = {tool: foreign(path, tool, name) for tool, path in tools.items()} if asked else {}
        row(name, mine, theirs[name], right=right)
    rates = list(compared_rates(tools))
    result = [
        Figure("explorer: classics answered wrong or not at all", ", ".join(wrong) or "none", "", len(wrong), 0),
        Figure("explorer: slowest classic (s)", f"{max(seconds):.2f} s", "", max(seconds), SLOWEST_S),
        Figure(f"explorer: all {len(seconds)} classics (s)", f"{sum(seconds):.1f} s", "", sum(seconds), SET_S),
    ]
    if rates:
        ratio, mine, other = max(rates)
        words = f"frontrun {other:,.0f} /s"
        what = f"explorer: frontrun's executions/s over ours, the worse of {len(rates)}"
        result.append(Figure(what, f"{mine:,.0f} /s", words, ratio, 1 / TIMES_FRONTRUN))
    result += [counted(tool, theirs) for tool in tools]
    return result


def own(form: Any) -> Answer:
    """Explore with labkit, as a student does: in a child process."""
    try:
        found = explore(form.functions, setup=form.setup, check=form.check)
    except LabError as refusal:
        return Answer(f"refused: {refusal}"[:30], 0, 0.0)
    told = {"proved": True, "bug": False}.get(found.verdict, found.verdict)
    return Answer(told, found.executions + found.hunted + found.audited, found.seconds)


def foreign(python: str, tool: str, name: str) -> Answer:
    """Explore with another tool, in a process of its own."""
    command = [python, str(HERE / "compare_with.py"), tool, name, str(PROGRAM_S - 1)]
    if tool == "frontrun":
        command.insert(0, str(Path(python).with_name("frontrun")))
    began = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROGRAM_S, check=False)
        said = json.loads(done.stdout.strip().splitlines()[-1])
        return Answer(said["answer"], said["executions"], said["seconds"])
    except subprocess.TimeoutExpired:
        return Answer(None, 0, time.perf_counter() - began)
    except (ValueError, LookupError):
        return Answer(f"failed: {(done.stderr.strip().splitlines() or ['no output'])[-1][:24]}", 0, 0.0)


def compared_rates(tools: dict[str, str]) -> Iterator[tuple[float, float, float]]:
    """Explore programs of many executions with each tool three times in turn; yield frontrun's ratio and both rates."""
    for name, form in RATES.items():
        mine, other = [], []
        for _ in range(3):
            answer = own(form)
            mine.append(answer.rate)
            if "frontrun" in tools:
                other.append(foreign(tools["frontrun"], "frontrun", name).rate)
        told = {tool: foreign(path, tool, name) for tool, path in tools.items()}
        row(name, answer, told, right=True)
        if other and median(other) > 0:
            yield median(other) / median(mine), median(mine), median(other)


def counted(tool: str, theirs: dict[str, dict[str, Answer]]) -> Figure:
    """Count how often another tool is right; shown only."""
    told = {name: answers[tool] for name, answers in theirs.items() if tool in answers}
    right = sum(answer.answer is (FORMS[name].verdict == "proved") for name, answer in told.items())
    lies = sum(answer.answer is (FORMS[name].verdict != "proved") for name, answer in told.items())
    words = f"{right} right, {lies} wrong"
    return Figure(f"explorer: {tool} on {len(told)} of the programs", "", words, len(told) - right, float("inf"))


def row(name: str, mine: Answer, theirs: dict[str, Answer], *, right: bool) -> None:
    told = "".join(f"{theirs[tool].told(right=right) if tool in theirs else '-':>34}" for tool in TOOLS)
    print(f"{name:<44}{mine.told(right=right):>34}{mine.rate:>14,.0f}{told}", flush=True)


# ------------------------------------------------------------------------------------------------- installing
def comparison() -> str:
    """Return an interpreter that has the other tools, installing them if need be; empty if there is none."""
    for base in find():
        version = tuple(int(part) for part in base.version.rstrip("t").split(".")[:2])
        if version >= OLDEST and base.gil:
            return installed(base.path, base.version)
    return ""


def installed(base: str, version: str) -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labkit" / f"compare-{version}"
    python = cache / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([base, "-m", "venv", str(cache)], check=True, capture_output=True, timeout=INSTALL_S)
        for name, wanted in TOOLS.items():
            if not has(str(python), name):
                command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", wanted]
                subprocess.run(command, check=False, capture_output=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"other explorers: not installed ({type(error).__name__})")
        return ""
    return str(python)


def has(python: str, tool: str) -> bool:
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({tool.replace('-', '_')!r}) is None)"
    return subprocess.run([python, "-c", code], check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    reached = figures()
    for figure in reached:
        print(figure, "OK" if figure.reached <= figure.limit else "MISSED")
    sys.exit(any(figure.reached > figure.limit for figure in reached))
