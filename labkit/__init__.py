"""Controlled thread and process experiments, measured on this machine.

Data flows one way; every arrow is a plain function whose input and output can be printed::

    Experiment --plan--> Trial --run--> Run --frame--> DataFrame --draw--> Axes
    experiments/x.py              |                        |
                                  |  one child per trial   +------judge--> Verdict
                                  v
                        child: workload -> emit() -> Event lines on a pipe

``import labkit`` loads the standard library only; pandas, matplotlib and ipywidgets come with the first name that needs
them.
"""

from __future__ import annotations

import importlib
import sys

from labkit.errors import LabError

TYPE_CHECKING = False  # typing itself costs the child a third of its start-up time
if TYPE_CHECKING:
    from labkit.child.emit import emit
    from labkit.experiments import experiment
    from labkit.runs.machine import machine
    from labkit.runs.recording import save
    from labkit.runs.supervise import run, start
    from labkit.show.bench import bench
    from labkit.show.claims import claims
    from labkit.show.evidence import evidence
    from labkit.show.exercise import exercise
    from labkit.show.explorer import explore
    from labkit.show.measure import load, measure
    from labkit.show.passport import setup
    from labkit.show.predict import predict
    from labkit.show.present import present
    from labkit.show.quiz import quiz
    from labkit.tables import frame, timeline

__version__ = "0.1.0"
__all__ = [
    "LabError",
    "bench",
    "claims",
    "emit",
    "evidence",
    "exercise",
    "experiment",
    "explore",
    "frame",
    "load",
    "machine",
    "measure",
    "predict",
    "present",
    "quiz",
    "run",
    "save",
    "setup",
    "start",
    "timeline",
]
_ROOMS = {
    "bench": "show.bench",
    "claims": "show.claims",
    "emit": "child.emit",
    "evidence": "show.evidence",
    "exercise": "show.exercise",
    "experiment": "experiments",
    "explore": "show.explorer",
    "frame": "tables",
    "load": "show.measure",
    "machine": "runs.machine",
    "measure": "show.measure",
    "predict": "show.predict",
    "present": "show.present",
    "quiz": "show.quiz",
    "run": "runs.supervise",
    "save": "runs.recording",
    "setup": "show.passport",
    "start": "runs.supervise",
    "timeline": "tables",
}


def _show_runs_in_notebooks() -> None:
    """Let IPython show a `Run` as a card and a `LiveRun` live; what draws them is loaded when the first is shown."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell and shell.display_formatter:
        html = shell.display_formatter.formatters["text/html"]
        html.for_type_by_name(
            "labkit.model", "Run", lambda run: importlib.import_module("labkit.show.html").run_card(run)
        )
        shell.display_formatter.ipython_display_formatter.for_type_by_name(
            "labkit.runs.supervise", "LiveRun", lambda run: importlib.import_module("labkit.show.live_run").follow(run)
        )


_show_runs_in_notebooks()


def __getattr__(name: str) -> object:
    """Load a public name from its room when it is first used."""
    if name not in _ROOMS:
        message = f"labkit has no {name!r}; it has {', '.join(__all__)}"
        raise AttributeError(message)
    value: object = getattr(importlib.import_module(f"labkit.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names only, so that completion in a notebook shows nothing else."""
    return list(__all__)
