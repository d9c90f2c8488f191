"""The course's rows of `make bench`: how long a lesson takes, quick and in full, and how soon a check answers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from answers import typed
from bench_explorer import Figure

from labkit.course.lessons import lessons
from labkit.show.exercise import check

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
QUICK_S, FULL_S, CHECK_S = 60, 180, 2
EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}).execute()
"""


def figures() -> list[Figure]:
    """Run every lesson twice, and check every answer that is known to every exercise."""
    rows = []
    for slug in lessons():
        [path] = NOTEBOOKS.glob(f"[0-9][0-9]_{slug}.ipynb")
        for words, quick, limit in (("quick mode", "1", QUICK_S), ("full", "", FULL_S)):
            took = executed(path, quick)
            rows.append(Figure(f"lesson {path.stem}, {words} (s)", f"{took:.0f} s", "", took, limit))
    return [*rows, slowest_check()]


def executed(path: Path, quick: str) -> float:
    """Execute a notebook from a fresh kernel; return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LABKIT_QUICK": quick, "LABKIT_PROGRESS": f"{folder}/progress.jsonl"}
        began = time.perf_counter()
        command = [sys.executable, "-c", EXECUTE, str(path), str(path.parent)]
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began


def slowest_check() -> Figure:
    """Check solutions and wrong answers as a student would, each in a child process."""
    took = {}
    for exercise in (exercise for lesson in lessons().values() for exercise in lesson.exercises):
        for name, source in [
            ("solution", exercise.solution),
            *((wrong.name, wrong.source) for wrong in exercise.wrong),
        ]:
            began = time.perf_counter()
            check(exercise, typed(source))
            took[f"{exercise.id}: {name}"] = time.perf_counter() - began
    slowest = max(took, key=took.__getitem__)
    what = f"check of an exercise, slowest of {len(took)} answers (s)"
    return Figure(what, f"{took[slowest]:.2f} s", slowest, took[slowest], CHECK_S)
