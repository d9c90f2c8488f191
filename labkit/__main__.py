"""Commands of the project: ``python -m labkit claims``, ``record`` and ``picture``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from labkit import experiments, ledger, tables
from labkit.course.calls import Call, calls_of, notebook_of, trials_of
from labkit.course.standing import last_noted
from labkit.errors import BadValue, LabError
from labkit.plots import picture
from labkit.runs.machine import machine
from labkit.runs.plan import REPEATS
from labkit.runs.pythons import OWN, chosen_pythons, interpreter_of, lacks
from labkit.runs.recorded import RECORDINGS, add, check_same_machine, file_of, standard_runs
from labkit.runs.recording import load
from labkit.runs.supervise import begin

if TYPE_CHECKING:
    from labkit.model import Experiment, Trial

_PICTURE = RECORDINGS.parent / "lost_updates.png"
_ADVICE = "Name a lesson that has a notebook, or an experiment."


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m labkit", description="Claims, recordings and their pictures.")
    commands = parser.add_subparsers(required=True)
    where = commands.add_parser("claims", help="say where each claim of the article stands")
    where.add_argument("lesson", nargs="?", help="only those of one lesson, such as lost_updates")
    where.set_defaults(command=_claims)
    record = commands.add_parser("record", help="measure on this machine, and save the runs in data/recordings")
    record.add_argument("subject", nargs="?", default="lost updates", help="a lesson (deadlock) or an experiment")
    record.add_argument("--machine", default="unnamed", help="a short name of this machine, for the file's name")
    record.add_argument("--repeats", type=int, default=REPEATS)
    record.add_argument("--pythons", help="measure also on these: words or versions with commas, such as 3.12,3.14t")
    record.set_defaults(command=_record)
    draw = commands.add_parser("picture", help="draw the default setting of a recording as PNG")
    draw.add_argument("recording", nargs="?", type=Path, default=RECORDINGS / "lost_updates-founders.jsonl")
    draw.add_argument("png", nargs="?", type=Path, default=_PICTURE)
    draw.set_defaults(command=_picture)
    chosen = parser.parse_args(arguments)
    try:
        chosen.command(chosen)
        sys.stdout.flush()
    except LabError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command speaks to a terminal
        return 2
    except BrokenPipeError:  # whoever reads has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter's end complains
    return 0


def _claims(chosen: argparse.Namespace) -> None:
    slug = None if chosen.lesson is None else ledger.lesson_slug(chosen.lesson)
    known = [claim for claim in ledger.claims().values() if slug in (None, claim.lesson)]
    header = ("claim", "lesson", "experiment", "judge", "your last verdict")
    lines = [(one.id, one.lesson, one.experiment, one.judge, last_noted(one.id) or "none yet") for one in known]
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in (header, *lines):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())  # noqa: T201
    built = sum(one.experiment != ledger.NOT_BUILT for one in known)
    print(f"{built} of {len(known)} measured by an experiment")  # noqa: T201


def _record(chosen: argparse.Namespace) -> None:
    """Check and plan everything, then measure one experiment after the other; each is saved when it is done."""
    planned: list[tuple[Experiment, list[Trial], Path]] = []
    here = machine()
    for name, calls in _widened(_asked(chosen.subject), chosen.pythons).items():
        experiment, path = experiments.experiment(name), file_of(name, chosen.machine)
        check_same_machine(path, here)
        planned.append((experiment, trials_of(experiment, calls, repeats=chosen.repeats, seed=0), path))
    RECORDINGS.mkdir(parents=True, exist_ok=True)  # before anything is measured
    for experiment, all_trials, path in planned:
        runs, trials = [], _that_run_here(all_trials)
        for number, trial in enumerate(trials, 1):
            runs.append(begin(trial, limits=experiment.limits).wait())
            print(f"{experiment.name}: {number} of {len(trials)}: {runs[-1]!r}", flush=True)  # noqa: T201
        if runs:
            print(f"{add(runs, path, here)}: {path.stat().st_size / 1000:.0f} kB")  # noqa: T201


def _asked(subject: str) -> dict[str, list[Call]]:
    """Return the calls to record, by experiment: those of a lesson's notebook, or an experiment with its defaults."""
    notebook = notebook_of(subject)
    if notebook:
        calls: dict[str, list[Call]] = {}
        for call in calls_of(notebook):
            calls.setdefault(call.experiment, []).append(call)
        if not calls:
            raise BadValue("lesson", subject, "a lesson whose notebook measures something", _ADVICE)
        return calls
    try:
        name = experiments.experiment(subject).name
    except BadValue as error:
        raise BadValue("lesson or experiment", subject, error.allowed, _ADVICE) from None
    return {name: [Call("", "measure", name, None, {})]}


def _widened(calls: dict[str, list[Call]], pythons: str | None) -> dict[str, list[Call]]:
    """Let each measurement that compares interpreters run on some more, named with commas between them."""
    if pythons is None:
        return calls
    more = chosen_pythons([word.strip() for word in pythons.split(",") if word.strip()])
    comparing = [name for name in calls if experiments.experiment(name).pythons]
    if not comparing:
        allowed = f"nothing: {', '.join(calls)} run on this Python only"
        raise BadValue("pythons", pythons, allowed, "Leave it out.")
    wide = {
        name: [
            call._replace(pythons=(*chosen_pythons(call.pythons), *more)) if call.verb == "measure" else call
            for call in calls[name]
        ]
        for name in comparing
    }
    return calls | wide


def _that_run_here(trials: list[Trial]) -> list[Trial]:
    """Leave out the trials on interpreters that are missing here, and say so: their runs would hold nothing."""
    words = dict.fromkeys(trial.python for trial in trials)
    lacking = [word for word in words if word != OWN and not interpreter_of(word)]
    for word in sorted(lacking):
        print(f"left out: {lacks(word)}")  # noqa: T201
    return [trial for trial in trials if trial.python not in lacking]


def _picture(chosen: argparse.Namespace) -> None:
    runs = load(chosen.recording).runs
    names = {run.trial.experiment for run in runs}
    experiment = experiments.experiment(names.pop()) if len(names) == 1 else None
    kept = standard_runs(experiment, runs) if experiment else []
    if experiment is None or not kept:
        allowed = "a recording of one experiment that holds its default setting"
        raise BadValue("recording", str(chosen.recording), allowed, "Record it: python -m labkit record EXPERIMENT.")
    chosen.png.write_bytes(picture(experiment.draw, tables.frame(kept), experiment.question))
    print(chosen.png)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
