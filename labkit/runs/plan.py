"""Decide which trials to run, and in which order. Rule: pure, no clock, no process."""

from __future__ import annotations

import itertools
import os
import random
from typing import TYPE_CHECKING

from labkit.errors import BadValue
from labkit.model import Trial
from labkit.runs.pythons import chosen_pythons
from labkit.runs.travel import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from labkit.model import Experiment, Json

__all__ = ["QUICK_REPEATS", "REPEATS", "blocks", "chosen_arms", "plan"]

REPEATS, QUICK_REPEATS = 7, 3  # blocks; three is the least that a verdict is given for
_TRIALS_MOST = 2000
_REPEATS_MOST = 1000
_SEED_MOST = 1 << 63  # what a recording can hold


def plan(  # noqa: PLR0913 - all that a plan is made from, by keyword
    experiment: Experiment,
    *,
    repeats: int,
    seed: int,
    arms: Sequence[str] | None = None,
    sweep: Mapping[str, Json] | None = None,
    pythons: Sequence[str] | None = None,
) -> list[Trial]:
    """List the trials of an experiment in blocks, each block in a shuffled order of its own.

    Every block holds each arm and setting once, so a machine that slows down while measuring touches all arms alike.

    Args:
        experiment: What to measure.
        repeats: Number of blocks, from 1 to 1000.
        seed: Fixes the order: equal seeds give equal plans.
        arms: Arms to run; all if left out.
        sweep: A value or a list of values per parameter; the rest keep their defaults.
        pythons: Words for interpreters, see `labkit.runs.pythons`; this notebook's alone if left out.

    Raises:
        BadValue: If an arm, a parameter, a value or an interpreter is not allowed, or there are more than 2000 trials.
        BadWorkload: If an arm cannot travel to a child, or does not take the swept parameters.
    """
    _check_whole("repeats", repeats, 1, _REPEATS_MOST)
    if isinstance(seed, bool) or not isinstance(seed, int) or not -_SEED_MOST <= seed < _SEED_MOST:
        raise BadValue("seed", seed, "a whole number of 64 bits", "Leave it out to have one chosen and stored.")
    names = chosen_arms(experiment, arms)
    settings, interpreters = _settings(experiment, sweep or {}), chosen_pythons(pythons)
    if pythons is not None and not experiment.pythons:
        allowed = f"nothing: {experiment.name!r} is measured on this notebook's Python only"
        raise BadValue("pythons", pythons, allowed, "Leave it out.")
    count = repeats * len(names) * len(settings) * len(interpreters)
    if count > _TRIALS_MOST:
        raise BadValue("the number of trials", count, f"at most {_TRIALS_MOST}", "Sweep fewer values, or repeat less.")
    parcels = {arm: pack(experiment.arms[arm], settings[0]) for arm in names}
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    trials: list[Trial] = []
    for block in range(repeats):
        one_block = [
            Trial(
                experiment=experiment.name,
                arm=arm,
                workload=parcels[arm].workload,
                source=parcels[arm].source,
                params=params,
                block=block,
                seed=seed,
                python=python,
            )
            for arm in names
            for params in settings
            for python in interpreters
        ]
        order.shuffle(one_block)
        trials += one_block
    return trials


def chosen_arms(experiment: Experiment, arms: Sequence[str] | None) -> list[str]:
    """Return the arms to run, in the experiment's order.

    Raises:
        BadValue: If one is unknown, or none is left.
    """
    if arms is None:
        return list(experiment.arms)
    wanted = [arms] if not isinstance(arms, (list, tuple, set)) else list(arms)
    unknown = [arm for arm in wanted if arm not in experiment.arms]
    if unknown or not wanted:
        raise BadValue("arms", unknown[0] if unknown else wanted, _listed(experiment.arms), "Choose at least one.")
    return [arm for arm in experiment.arms if arm in wanted]


def blocks(repeats: int | None, quick: bool | None) -> int:  # noqa: FBT001 - handed through from a keyword
    """Return how many blocks to measure: as asked, else fewer in quick mode."""
    return (QUICK_REPEATS if _is_quick(quick) else REPEATS) if repeats is None else repeats


def _is_quick(quick: bool | None) -> bool:  # noqa: FBT001 - handed through from a keyword
    """Say whether to repeat less: as asked, else as ``LABKIT_QUICK`` says."""
    return os.environ.get("LABKIT_QUICK", "") not in ("", "0") if quick is None else quick


def _settings(experiment: Experiment, sweep: Mapping[str, Json]) -> list[dict[str, Json]]:
    for name in sweep:
        if name not in experiment.sweep:
            raise BadValue("parameter", name, _listed(experiment.sweep), f"{experiment.name!r} takes no other.")
    choices = {}
    for name, offered in experiment.sweep.items():
        given = sweep.get(name, experiment.defaults[name])
        values = list(given) if isinstance(given, (list, tuple, range)) else [given]
        if not values:
            raise BadValue(name, given, "at least one value", f"Leave it out for {experiment.defaults[name]!r}.")
        for value in values:
            _check_value(name, value, offered)
        choices[name] = list(dict.fromkeys(values))
    return [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]


def _check_value(name: str, value: Json, offered: Sequence[Json]) -> None:
    """A number may lie anywhere between the smallest and the largest that is offered; anything else must be offered."""
    if any(value == one and type(value) is type(one) for one in offered):
        return
    numbers = [one for one in offered if isinstance(one, (int, float)) and not isinstance(one, bool)]
    if not numbers:
        raise BadValue(name, value, _listed(offered), "Choose one of these.")
    whole = all(isinstance(one, int) for one in numbers)
    right = isinstance(value, int) if whole else isinstance(value, (int, float))
    if isinstance(value, bool) or not right or not min(numbers) <= value <= max(numbers):
        kind = "a whole number" if whole else "a number"
        raise BadValue(name, value, f"{kind} from {min(numbers)} to {max(numbers)}", "Choose one in that range.")


def _check_whole(name: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadValue(name, value, f"a whole number from {least} to {most}", "Leave it out for the default.")


def _listed(names: object) -> str:
    return ", ".join(repr(name) for name in names)  # type: ignore[attr-defined]
