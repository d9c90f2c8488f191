"""What a student's function predicts or chooses, asked in a child. Rule: whatever it answers, plain data comes back."""

from __future__ import annotations

import math
import sys

from labkit.child import gil

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from labkit.model import Json

__all__ = ["ENTRY", "choices", "choices_of", "predictions", "said_of", "told_of"]

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


def choices(function: str, jobs: Sequence[str]) -> dict[str, Json]:
    """Ask a function of ``__main__`` for its choice for each job, twice.

    Args:
        function: Its global name; it is called with the name of a job.
        jobs: Their names.

    Returns:
        ``told``: for each job ``["text", value]``, or why there is none, as in `predictions`.
    """
    return {"told": choices_of(vars(sys.modules["__main__"])[function], jobs)}


def choices_of(asked: Callable[..., object], jobs: Iterable[str]) -> list[list[Json]]:
    """Ask a function for its choice for each job, as `choices` tells it."""
    return told_of(asked, [{"job": job} for job in jobs], _text)


def told_of(
    asked: Callable[..., object],
    settings: Sequence[Mapping[str, Json]],
    take: Callable[[object], list[Json]] | None = None,
) -> list[list[Json]]:
    """Ask a function for its answer to each setting, a number if not said otherwise, as `predictions` tells it."""
    first, second = ([_told(asked, take or _number, *one.values()) for one in settings] for _ in range(2))
    return [one if one == other else _changed(one, other) for one, other in zip(first, second, strict=True)]


def _told(asked: Callable[..., object], take: Callable[[object], list[Json]], *values: Json) -> list[Json]:
    try:
        return take(asked(*values))
    except Exception as error:  # noqa: BLE001 - the student's own, or that of a value that cannot be shown
        return ["raised", said_of(error)]


def said_of(error: Exception) -> str:
    """Return kind and first words of an exception of the student's, whatever its text does."""
    try:
        text = str(error)[: 2 * _SHOWN_MOST]
    except Exception:  # noqa: BLE001 - its __str__ may raise anything
        text = "it cannot be printed"
    return f"{type(error).__name__}: {_showable(text)}".rstrip(": ")


def _showable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _number(value: object) -> list[Json]:
    number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    return ["number", number] if math.isfinite(number) else ["no number", repr(value)[:_SHOWN_MOST]]


def _text(value: object) -> list[Json]:
    return ["text", _showable(value[:_SHOWN_MOST])] if type(value) is str else ["no text", repr(value)[:_SHOWN_MOST]]


def _changed(one: list[Json], other: list[Json]) -> list[Json]:
    """Say that two answers differ; what merely looks different, such as the address of an object, is no answer."""
    kinds = {one[0], other[0]}
    return ["changed", f"{one[1]} and then {other[1]}"] if kinds & {"number", "text"} else one
