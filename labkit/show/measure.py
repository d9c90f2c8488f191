"""Measure an experiment in the cell that asks for it, with a progress bar and a picture that fills in."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, overload

from labkit import experiments, ledger, tables
from labkit.course import session
from labkit.errors import BadValue
from labkit.model import Experiment
from labkit.runs.plan import blocks, plan
from labkit.runs.pythons import distinct
from labkit.runs.recorded import pick_all, recorded_as, where
from labkit.runs.recording import Recording
from labkit.runs.recording import load as read
from labkit.runs.supervise import begin
from labkit.show import html, predict, results
from labkit.show.live import LivePlace, progress_bar

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    from pandas import DataFrame

    from labkit.model import Json, Run, Verdict

__all__ = ["Measurement", "chosen", "load", "measure"]


class Measurement:
    """The runs of one experiment; shows itself as picture, verdict, table and receipt."""

    def __init__(self, experiment: Experiment, runs: Sequence[Run], *, note: str = "", recorded: bool = False) -> None:
        """Keep runs that were measured here, or recorded; ``note`` is a sentence about them as a whole."""
        self.experiment, self.runs, self.note, self.recorded = experiment, tuple(runs), note, recorded

    def __iter__(self) -> Iterator[Run]:
        """Go through the runs in the order in which they were made."""
        return iter(self.runs)

    def __len__(self) -> int:
        """Count the runs."""
        return len(self.runs)

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Run, ...]: ...
    def __getitem__(self, index: int | slice) -> Run | tuple[Run, ...]:
        """Return one run, or some."""
        return self.runs[index]

    @property
    def table(self) -> DataFrame:
        """The runs as a table, one row per run; see `labkit.frame`."""
        return tables.frame(self.runs)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """What the runs say of each claim that the experiment judges, by the claim's id."""
        return ledger.judge(self.experiment, self.table)

    def __repr__(self) -> str:
        """Say the verdicts in plain text."""
        compared = predict.compared_in_text(self.experiment.name, self.runs)
        return results.in_text(self.experiment, self.runs, self.note) + compared

    def _repr_html_(self) -> str:
        compared = predict.compared(self.experiment.name, self.runs, self.note)
        return results.report(self.experiment, self.runs, note=self.note, recorded=self.recorded) + compared


def measure(  # noqa: PLR0913 - the whole public interface; all but the first by keyword
    experiment: Experiment | str,
    *,
    repeats: int | None = None,
    seed: int | None = None,
    quick: bool | None = None,
    arms: Sequence[str] | None = None,
    recorded: str | os.PathLike[str] | None = None,
    pythons: Sequence[str] | None = None,
    **sweep: Json,
) -> Measurement:
    """Measure an experiment: every arm and setting once per block, each block in a shuffled order.

    Args:
        experiment: An `Experiment`, or the name of one.
        repeats: Number of blocks; 7 if left out, 3 in quick mode.
        seed: Fixes the order; one is chosen, and stored in every trial, if left out.
        quick: True to repeat less. If left out, the environment variable LABKIT_QUICK decides.
        arms: Arms to run; all if left out.
        recorded: Name of a machine with a file in ``data/recordings``, or the path of a recording: shows all of its
            runs of these arms and settings in place of new ones. Nothing is started, and nothing counts as yours.
        pythons: Interpreters to measure on: ``"own"``, ``"GIL"``, ``"free-threaded"``, or versions such as ``"3.13"``;
            this notebook's if left out. One that is not installed gives runs that say so.
        **sweep: A value, or a list of values, per parameter; the rest keep their defaults.

    Returns:
        The runs. Interrupting the kernel ends the run in flight and returns those that were measured.

    Raises:
        BadValue: If a name or a value is not allowed, or was not recorded. No process has been started then.
        BadRecording: If the recording is damaged.
    """
    subject = chosen(experiment)
    order = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    trials = plan(subject, repeats=blocks(repeats, quick), seed=order, arms=arms, sweep=sweep, pythons=pythons)
    if recorded is not None:
        kept = recorded_as(subject, recorded)
        return Measurement(subject, pick_all(kept, trials), note=kept.label, recorded=True)
    if pythons is not None:
        words = distinct(pythons)  # only now: to know what a word means, each interpreter is asked
        trials = [trial for trial in trials if trial.python in words]
    runs: list[Run] = []
    place, began, live, note = LivePlace(), time.monotonic(), None, ""
    failed = False
    try:
        place.open()
        for trial in trials:
            live = begin(trial, limits=subject.limits)
            runs.append(live.wait())
            failed = failed or not _redraw(place, subject, runs, progress_bar(len(runs), len(trials), began))
    except KeyboardInterrupt:
        note = f"Interrupted: {len(runs)} of {len(trials)} runs were measured, and are kept."
    finally:
        if live:
            live.stop()  # does nothing if it has ended
        session.note(subject.name, runs)
    seconds = time.monotonic() - began
    if not failed:  # else the failure stays on the page
        place.update(lambda: f"<p>{len(runs)} runs in {seconds:.1f} s, order seed {order}. {note}</p>", now=True)
    return Measurement(subject, runs, note=note)


def _redraw(place: LivePlace, experiment: Experiment, runs: list[Run], bar: str) -> bool:
    """Show the runs so far; a picture that fails is shown as a failure, and costs none of the runs."""
    try:
        place.update(lambda: bar + results.report(experiment, runs, final=False))
    except Exception as error:  # noqa: BLE001 - raised again when the measurement shows itself
        shown = html.failure(error, "The picture failed, the measuring goes on: ")
        place.update(lambda: shown, now=True)
        return False
    return True


def load(path: str | os.PathLike[str]) -> Measurement | Recording:
    """Read runs that were saved, on this machine or another.

    Returns:
        The runs of one experiment, which show themselves as measured ones do, labelled as recorded. Of runs of
        several experiments, or of none, the plain `Recording`.

    Raises:
        BadRecording: If the file is damaged, or was not made by labkit.
    """
    recorded = read(path)
    names = {run.trial.experiment for run in recorded.runs}
    known = {experiment.name: experiment for experiment in experiments.load_all()}
    if len(names) != 1 or not names <= known.keys():
        return recorded
    note = f"Recorded, not measured here: {where(recorded.machine)}."
    return Measurement(known[names.pop()], recorded.runs, note=note, recorded=True)


def chosen(experiment: Experiment | str) -> Experiment:
    """Return an experiment, given itself or its name.

    Raises:
        BadValue: If it is neither.
    """
    if isinstance(experiment, str):
        return experiments.experiment(experiment)
    if not isinstance(experiment, Experiment):
        raise BadValue("experiment", experiment, "an Experiment, or the name of one", "Try 'lost updates'.")
    return experiment
