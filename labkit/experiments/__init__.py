"""One experiment per file. To add one, add a file that ends in ``EXPERIMENT = Experiment(...)``; nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

from labkit.errors import BadValue

if TYPE_CHECKING:
    from labkit.model import Experiment

__all__ = ["experiment", "load_all"]


def load_all() -> list[Experiment]:
    """Import every experiment file, in alphabetical order. Errors are not hidden."""
    return [_load(file) for file in _files()]


def experiment(name: str) -> Experiment:
    """Load one experiment by its name.

    Args:
        name: Such as ``"lost updates"``; with underscores it is the file's name, which works too.

    Raises:
        BadValue: If there is no such experiment.
    """
    file = name.replace(" ", "_") if isinstance(name, str) else ""
    if file not in _files():
        names = ", ".join(found.replace("_", " ") for found in _files())
        raise BadValue("experiment", name, names, "Choose one of these, or add its file to labkit/experiments.")
    return _load(file)


def _files() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def _load(file: str) -> Experiment:
    return cast("Experiment", importlib.import_module(f"{__name__}.{file}").EXPERIMENT)
