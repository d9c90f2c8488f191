"""What a lesson's notebook measures. Rule: the notebook is read, never run; only literal arguments are understood.

`lab.measure` runs the settings that it names. `lab.bench` may be moved: its settings are where its sliders stand at
first, and each slider moved alone to each of its values.
"""

from __future__ import annotations

import ast
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from labkit import experiments
from labkit.errors import BadWorkload
from labkit.runs.plan import plan
from labkit.runs.recorded import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.model import Experiment, Json, Trial

__all__ = ["NOTEBOOKS", "Call", "calls_of", "notebook_of", "trials_of"]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
_VERBS = ("measure", "bench")
_NO_SETTING = {"experiment", "repeats", "seed", "quick", "arms", "recorded", "pythons"}  # the rest are parameters


class Call(NamedTuple):
    """One call of `labkit.measure` or `labkit.bench` in a notebook.

    Attributes:
        cell: Id of the cell.
        verb: ``"measure"`` or ``"bench"``.
        experiment: Name of the experiment.
        arms: The arms that are named; None if none are.
        settings: The parameters that are given, each a value or several.
        pythons: The interpreters that are named; None if none are.
    """

    cell: str
    verb: str
    experiment: str
    arms: tuple[str, ...] | None
    settings: Mapping[str, Json]
    pythons: tuple[str, ...] | None = None


def notebook_of(slug: str) -> Path | None:
    """Return the notebook of a lesson, given its slug; None if there is none."""
    found = [path for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb") if path.stem[3:] == slug]
    return found[0] if found else None


def calls_of(notebook: Path) -> list[Call]:
    """Find every ``lab.measure(...)`` and ``lab.bench(...)`` of a notebook, in order.

    Raises:
        BadWorkload: If an argument is no literal: what it would measure cannot be read.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found: list[Call] = []
    for cell in cells:
        if cell["cell_type"] == "code":
            nodes = ast.walk(ast.parse("".join(cell["source"])))
            calls = [node for node in nodes if isinstance(node, ast.Call) and _verb(node)]
            found += [_read(call, cell["id"]) for call in sorted(calls, key=lambda one: (one.lineno, one.col_offset))]
    return found


def trials_of(experiment: Experiment, calls: Iterable[Call], *, repeats: int, seed: int) -> list[Trial]:
    """Plan every setting that some calls may show, once in each block, each block in a shuffled order.

    Raises:
        BadValue: If a call names something that the experiment does not have.
        BadWorkload: If an arm cannot travel to a child process.
    """
    once: dict[tuple[str, ...], Trial] = {}
    for call in calls:
        for setting in _settings(experiment, call):
            arms, pythons = call.arms, call.pythons
            for trial in plan(experiment, repeats=repeats, seed=seed, arms=arms, sweep=setting, pythons=pythons):
                once.setdefault(key_of(trial), trial)
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    trials: list[Trial] = []
    for block in range(repeats):
        one_block = [replace(trial, block=block) for trial in once.values()]
        order.shuffle(one_block)
        trials += one_block
    return trials


def _settings(experiment: Experiment, call: Call) -> list[Mapping[str, Json]]:
    if call.verb == "measure":
        return [call.settings]
    moved = [{**call.settings, name: value} for name, values in experiment.sweep.items() for value in values]
    return [call.settings, *moved]


def _verb(call: ast.Call) -> str:
    """Return ``measure`` or ``bench`` if the call is one of them, else nothing."""
    names = {f"{before}{verb}": verb for verb in _VERBS for before in ("", "lab.", "labkit.")}
    return names.get(ast.unparse(call.func), "")


def _read(call: ast.Call, cell: str) -> Call:
    try:
        first = [ast.literal_eval(argument) for argument in call.args]
        named = {_named(keyword): ast.literal_eval(keyword.value) for keyword in call.keywords}
        (name,) = [*first, *([named["experiment"]] if "experiment" in named else [])]
    except ValueError:
        problem = "cannot be read without running it"
        advice = "Write one experiment's name and all values themselves, so that they can be recorded."
        raise BadWorkload(f"cell {cell}: {ast.unparse(call)[:200]}", problem, advice) from None
    settings = {key: value for key, value in named.items() if key not in _NO_SETTING}
    arms, pythons = _listed(named.get("arms")), _listed(named.get("pythons"))
    return Call(cell, _verb(call), experiments.experiment(name).name, arms, settings, pythons)


def _listed(names: Json) -> tuple[str, ...] | None:
    return names if names is None else tuple(names) if isinstance(names, (list, tuple, set)) else (names,)


def _named(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("**")
    return keyword.arg
