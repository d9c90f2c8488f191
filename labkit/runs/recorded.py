"""Runs of named machines: find them, pick from them, add to them. Rule: nothing is measured, and no run left out.

``data/recordings/EXPERIMENT-MACHINE.jsonl`` holds the runs of one experiment on one machine. A replay takes every run
of the arms and settings that were asked for, and never one of another setting.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labkit.errors import BadValue
from labkit.model import Ending, Run
from labkit.runs.lines import line_of
from labkit.runs.pythons import OWN
from labkit.runs.recording import Recording, load, save

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.model import Experiment, Json, Machine, Trial

__all__ = [
    "RECORDINGS",
    "Recorded",
    "add",
    "check_same_machine",
    "file_of",
    "key_of",
    "pick",
    "pick_all",
    "recorded_as",
    "settings_of",
    "where",
]

RECORDINGS = Path(__file__).resolve().parents[2] / "data" / "recordings"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")  # an experiment's name has no hyphen: the first one parts the two
_SAME = ("system", "processor", "cores_count", "cores_present_count", "memory_bytes", "python", "gil")
_DEFAULTS = "the defaults"
_FULL_BYTES_MOST = 400_000  # of one file: it is kept in git


class Recorded(NamedTuple):
    """The runs of one experiment in one recording.

    Attributes:
        experiment: Which.
        runs: All of its runs in the file.
        name: The machine's name, or the file's.
        label: One sentence that must stand beside whatever is shown of them.
    """

    experiment: Experiment
    runs: tuple[Run, ...]
    name: str
    label: str


def where(machine: Machine) -> str:
    """Say in few words what a machine is."""
    return f"{machine.system}, {machine.cores_count:g} cores, Python {machine.python}"


def file_of(experiment: str, machine: str) -> Path:
    """Return where the runs of an experiment on a named machine belong; nothing need be there.

    Raises:
        BadValue: If the machine's name is not 1 to 40 letters, digits, hyphens and underscores.
    """
    if not isinstance(machine, str) or not _NAME.fullmatch(machine):
        allowed = "1 to 40 letters, digits, hyphens and underscores"
        raise BadValue("machine", machine, allowed, "Choose a short name, such as 'founders'.")
    return RECORDINGS / f"{_stem(experiment)}-{machine}.jsonl"


def recorded_as(experiment: Experiment, source: str | os.PathLike[str]) -> Recorded:
    """Read the runs of an experiment from a recording.

    Args:
        experiment: Whose runs.
        source: Name of a machine with a file in ``data/recordings``, or the path of a file.

    Raises:
        BadValue: If there is no such file, or it has no run of this experiment as it is today.
        BadRecording: If the file is damaged, or was not made by labkit.
    """
    path = _path(experiment, source)
    recording = load(path)
    runs = tuple(run for run in recording.runs if run.trial.experiment == experiment.name)
    results = [run.result for run in runs if run.ending is Ending.FINISHED]
    unfit = [name for name in experiment.columns if any(not _fits(result.get(name, "")) for result in results)]
    if unfit or not runs:
        held = f"runs without numbers for {', '.join(unfit)}" if unfit else "none"
        allowed = f"a recording with runs of {experiment.name!r} as it is today; this one holds {held}"
        raise BadValue("recorded", str(source), allowed, "Record anew, or leave recorded= out to measure here.")
    name = source if isinstance(source, str) and _NAME.fullmatch(source) else path.name
    return Recorded(experiment, runs, name, f"Recorded, not measured here: {name} ({where(recording.machine)}).")


def pick(recorded: Recorded, trials: Iterable[Trial]) -> tuple[list[Run], str]:
    """Take every recorded run of the arms and settings of some trials.

    Returns:
        The runs, in the order in which they were recorded; and what of the trials was not recorded, in words.
    """
    asked = {key_of(trial): trial for trial in trials}
    found = [run for run in recorded.runs if key_of(run.trial) in asked]
    there = {key_of(run.trial) for run in found}
    arms: dict[str, list[str]] = {}
    for key, trial in asked.items():
        if key not in there:
            arms.setdefault(_setting(recorded.experiment, trial), []).append(trial.arm)
    order = list(recorded.experiment.arms)
    named = {setting: ", ".join(sorted(some, key=order.index)) for setting, some in arms.items()}
    return found, "; ".join(f"{some} with {setting}" for setting, some in named.items())


def pick_all(recorded: Recorded, trials: Iterable[Trial]) -> list[Run]:
    """Take every recorded run of the arms and settings of some trials.

    Raises:
        BadValue: If one of them was not recorded.
    """
    found, missing = pick(recorded, trials)
    if missing:
        allowed = f"what was recorded as {recorded.name}: {settings_of(recorded)}"
        raise BadValue("setting", missing, allowed, "Ask for one of these, or leave recorded= out to measure here.")
    return found


def settings_of(recorded: Recorded) -> str:
    """Say which settings were recorded, each with its arms."""
    arms: dict[str, list[str]] = {}
    for run in recorded.runs:
        arms.setdefault(_setting(recorded.experiment, run.trial), []).append(run.trial.arm)
    known = set(recorded.experiment.arms)
    only = {setting: ", ".join(dict.fromkeys(named)) for setting, named in arms.items() if not known <= set(named)}
    return "; ".join(f"{setting} (only {only[setting]})" if setting in only else setting for setting in arms)


def standard_runs(experiment: Experiment, runs: Iterable[Run]) -> list[Run]:
    """Take the runs that were made with the experiment's defaults."""
    return [run for run in runs if _setting(experiment, run.trial) == _DEFAULTS]


def key_of(trial: Trial) -> tuple[str, str, str]:
    """Return what tells settings apart: arm, interpreter, and parameters as text (True is not 1 there)."""
    return trial.arm, trial.python, json.dumps(dict(trial.params), sort_keys=True)


def check_same_machine(path: Path, machine: Machine) -> None:
    """Refuse to add to what another machine has recorded under the same name.

    Raises:
        BadValue: If the file's machine differs in more than its load and its free memory.
        BadRecording: If the file is damaged.
    """
    if not path.exists():
        return
    there = load(path).machine
    differs = [name for name in _SAME if getattr(there, name) != getattr(machine, name)]
    if differs:
        now, then = getattr(machine, differs[0]), getattr(there, differs[0])
        allowed = f"a name under which {differs[0]} is {now!r}; in {path.name} it is {then!r}"
        raise BadValue("machine", path.stem.partition("-")[2], allowed, "Choose another name, or remove that file.")


def add(runs: Sequence[Run], path: Path, machine: Machine) -> Path:
    """Add runs to a recording; what it held of the same arms and settings is replaced, the rest stays.

    Of the first block everything is kept, of the others what was returned: no events, no output, no stacks. If that is
    more than 400 kB, the first block is cut as well.

    Args:
        runs: Of one experiment, all new.
        path: The recording; made if it is not there.
        machine: Measured them.

    Raises:
        BadValue: If the file belongs to another machine, or cannot be written.
        BadRecording: If the file is damaged.
    """
    check_same_machine(path, machine)
    renewed = {key_of(run.trial) for run in runs}
    kept = [run for run in (load(path).runs if path.exists() else ()) if key_of(run.trial) not in renewed]
    whole = [*kept, *(run if run.trial.block == 0 else _bare(run) for run in runs)]
    if sum(len(line_of(run)) for run in whole) > _FULL_BYTES_MOST:
        whole = [_bare(run) for run in whole]
    return save(Recording(tuple(whole), machine), path)


def _fits(value: Json) -> bool:
    """Return True if a column may hold this: a number, or nothing."""
    return value is None or isinstance(value, (int, float))


def _stem(experiment: str) -> str:
    return experiment.replace(" ", "_")


def _bare(run: Run) -> Run:
    return replace(run, events=(), output="", stacks="")


def _path(experiment: Experiment, source: object) -> Path:
    """Find the file: a plain word is a machine's name, anything else a path."""
    if isinstance(source, str) and _NAME.fullmatch(source):
        path = file_of(experiment.name, source)
        if not path.is_file():
            there = [one.stem.partition("-")[2] for one in RECORDINGS.glob(f"{_stem(experiment.name)}-*.jsonl")]
            allowed = (
                f"a machine that recorded {experiment.name!r} ({', '.join(sorted(there)) or 'none yet'}), or a path"
            )
            raise BadValue("recorded", source, allowed, "Leave it out to measure here.")
        return path
    name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else ""
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadValue("recorded", source, "the name of a machine, or a path", "Leave it out to measure here.")
    return Path(name)


def _setting(experiment: Experiment, trial: Trial) -> str:
    """Name a setting by what differs from the defaults."""
    standard = json.loads(json.dumps(dict(experiment.defaults)))
    differs = [
        f"{name}={value!r}"
        for name, value in trial.params.items()
        if name not in standard
        or value != standard[name]
        or isinstance(value, bool) != isinstance(standard[name], bool)
    ]
    differs += [f"python {trial.python}"] if trial.python != OWN else []
    return ", ".join(differs) or _DEFAULTS
