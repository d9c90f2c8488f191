"""What a student's function predicts, asked in a child. Rule: whatever it answers, plain data comes back."""

from __future__ import annotations

import math
import sys

from labkit.child import gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labkit.model import Json

__all__ = ["ENTRY", "predictions", "told_of"]

ENTRY = "_labkit_entry"  # name in ``__main__`` by which the child's entry point finds the function below
_SHOWN_MOST = 60


def predictions(function: str, settings: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Ask a function of ``__main__`` for its prediction of each setting, twice.

    Args:
        function: Its global name.
        settings: Values by parameter; it is called with the values alone, in their order.

    Returns:
        ``told``: for each setting ``["number", value]``, or why there is none: ``["raised", error]``,
        ``["no number", value]``, or ``["changed", both]`` if the second answer was another one. ``gil``: whether this
        interpreter has its GIL on.
    """
    told = told_of(vars(sys.modules["__main__"])[function], settings)
    return {"told": told, "gil": gil.enabled()}


def told_of(asked: Callable[..., object], settings: Sequence[Mapping[str, Json]]) -> list[list[Json]]:
    """Ask a function for its prediction of each setting, as `predictions` tells it."""
    first, second = ([_told(asked, *one.values()) for one in settings] for _ in range(2))
    return [one if one == other else _changed(one, other) for one, other in zip(first, second, strict=True)]


def _told(asked: Callable[..., object], *values: Json) -> list[Json]:
    try:
        value = asked(*values)
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
        return ["number", number] if math.isfinite(number) else ["no number", repr(value)[:_SHOWN_MOST]]
    except Exception as error:  # noqa: BLE001 - the student's own, or that of a value that cannot be shown
        return ["raised", f"{type(error).__name__}: {error}"[: 2 * _SHOWN_MOST].rstrip(": ")]


def _changed(one: list[Json], other: list[Json]) -> list[Json]:
    """Say that two answers differ; what merely looks different, such as the address of an object, is no number."""
    kinds = {one[0], other[0]}
    return ["changed", f"{one[1]} and then {other[1]}"] if "number" in kinds else one
