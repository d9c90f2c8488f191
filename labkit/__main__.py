"""Commands of the project: ``python -m labkit record`` and ``python -m labkit picture``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from labkit import experiments, tables
from labkit.errors import LabError
from labkit.plots import picture
from labkit.runs.plan import REPEATS, plan
from labkit.runs.recording import load, save
from labkit.runs.supervise import begin

_DATA = Path(__file__).resolve().parent.parent / "data"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m labkit", description="Record experiments, and draw recordings.")
    commands = parser.add_subparsers(required=True)
    record = commands.add_parser("record", help="measure an experiment, and save its runs in data/recordings")
    record.add_argument("experiment", nargs="?", default="lost updates")
    record.add_argument("--machine", default="unnamed", help="a short name of this machine, for the file's name")
    record.add_argument("--repeats", type=int, default=REPEATS)
    record.set_defaults(command=_record)
    draw = commands.add_parser("picture", help="draw a recording as PNG")
    draw.add_argument("recording", nargs="?", type=Path, default=_DATA / "recordings" / "lost_updates-founders.jsonl")
    draw.add_argument("png", nargs="?", type=Path, default=_DATA / "lost_updates.png")
    draw.set_defaults(command=_picture)
    chosen = parser.parse_args(arguments)
    try:
        chosen.command(chosen)
    except LabError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command speaks to a terminal
        return 2
    return 0


def _record(chosen: argparse.Namespace) -> None:
    experiment = experiments.experiment(chosen.experiment)
    folder = _DATA / "recordings"
    folder.mkdir(parents=True, exist_ok=True)  # before anything is measured
    trials = plan(experiment, repeats=chosen.repeats, seed=0)
    runs = []
    for number, trial in enumerate(trials, 1):
        runs.append(begin(trial, limits=experiment.limits).wait())
        print(f"{number} of {len(trials)}: {runs[-1]!r}")  # noqa: T201
    name = f"{experiment.name.replace(' ', '_')}-{chosen.machine}.jsonl"
    print(save(runs, folder / name))  # noqa: T201


def _picture(chosen: argparse.Namespace) -> None:
    recording = load(chosen.recording)
    experiment = experiments.experiment(recording.runs[0].trial.experiment)
    chosen.png.write_bytes(picture(experiment.draw, tables.frame(recording.runs), experiment.question))
    print(chosen.png)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
