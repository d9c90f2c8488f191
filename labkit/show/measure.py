"""Measure an experiment in the cell that asks for it, with a progress bar and a picture that fills in."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, overload

from labkit import experiments, ledger, tables
from labkit.errors import BadValue
from labkit.model import Experiment
from labkit.runs.plan import QUICK_REPEATS, REPEATS, is_quick, plan
from labkit.runs.supervise import begin
from labkit.show import results
from labkit.show.live import LivePlace, progress_bar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pandas import DataFrame

    from labkit.model import Json, Run, Verdict

__all__ = ["Measurement", "chosen", "measure"]


class Measurement:
    """The runs of one experiment; shows itself as picture, verdict, table and receipt."""

    def __init__(self, experiment: Experiment, runs: Sequence[Run], *, note: str = "") -> None:
        """Keep runs that were measured or loaded; ``note`` is a sentence about them as a whole."""
        self.experiment, self.runs, self.note = experiment, tuple(runs), note

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
        return results.in_text(self.experiment, self.runs, self.note)

    def _repr_html_(self) -> str:
        return results.report(self.experiment, self.runs, note=self.note)


def measure(
    experiment: Experiment | str,
    *,
    repeats: int | None = None,
    seed: int | None = None,
    quick: bool | None = None,
    arms: Sequence[str] | None = None,
    **sweep: Json,
) -> Measurement:
    """Measure an experiment: every arm and setting once per block, each block in a shuffled order.

    Args:
        experiment: An `Experiment`, or the name of one.
        repeats: Number of blocks; 7 if left out, 3 in quick mode.
        seed: Fixes the order; one is chosen, and stored in every trial, if left out.
        quick: True to repeat less. If left out, the environment variable LABKIT_QUICK decides.
        arms: Arms to run; all if left out.
        **sweep: A value, or a list of values, per parameter; the rest keep their defaults.

    Returns:
        The runs. Interrupting the kernel ends the run in flight and returns those that were measured.

    Raises:
        BadValue: If a name or a value is not allowed. No process has been started then.
    """
    subject = chosen(experiment)
    blocks = (QUICK_REPEATS if is_quick(quick) else REPEATS) if repeats is None else repeats
    order = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    trials = plan(subject, repeats=blocks, seed=order, arms=arms, sweep=sweep)
    runs: list[Run] = []
    place, began, live, note = LivePlace(), time.monotonic(), None, ""
    try:
        place.open()
        for trial in trials:
            live = begin(trial, limits=subject.limits)
            runs.append(live.wait())
            bar = progress_bar(len(runs), len(trials), began)
            place.update(lambda bar=bar: bar + results.report(subject, runs, final=False))  # type: ignore[misc]
    except KeyboardInterrupt:
        note = f"Interrupted: {len(runs)} of {len(trials)} runs were measured, and are kept."
    finally:
        if live:
            live.stop()  # does nothing if it has ended
    seconds = time.monotonic() - began
    place.update(lambda: f"<p>{len(runs)} runs in {seconds:.1f} s, order seed {order}. {note}</p>", now=True)
    return Measurement(subject, runs, note=note)


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
