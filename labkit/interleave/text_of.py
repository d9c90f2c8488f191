"""Values as short, stable text: the same in every execution and on every Python. Rule: runs no code of a student's."""

from __future__ import annotations

import types
from typing import Any

from labkit.interleave.containers import ATOMS, View, kind_of
from labkit.interleave.ops import ENGINE

__all__ = ["is_data", "short", "text"]

_DEPTH_MOST, _SHORT = 6, 60


def text(value: Any, depth: int = 0, seen: tuple[int, ...] = ()) -> str:
    """Return the text of a value: like repr, but of objects it shows the attributes, and of sets a fixed order."""
    if isinstance(value, ATOMS):
        return repr(value)
    if id(value) in seen or depth > _DEPTH_MOST:
        return "..."
    inside = (*seen, id(value))

    def inner(item: Any) -> str:
        return text(item, depth + 1, inside)

    kind = kind_of(value)
    if type(value) is View:
        return inner(value.container)
    if kind == "dict":
        return "{" + ", ".join(f"{inner(key)}: {inner(item)}" for key, item in dict.items(value)) + "}"
    if kind == "set" or isinstance(value, frozenset):
        items = sorted(inner(item) for item in value)
        return "{" + ", ".join(items) + "}" if items else "set()"
    if kind:
        items = [inner(item) for item in value]
        return "[" + ", ".join(items) + "]" if kind == "list" else f"deque([{', '.join(items)}])"
    if isinstance(value, tuple):
        names = getattr(value, "_fields", ())
        items = [f"{name}={inner(item)}" for name, item in zip(names, value, strict=False)] or [inner(i) for i in value]
        opening = type(value).__name__ if names else ""
        return f"{opening}({', '.join(items)}{',' if len(items) == 1 and not names else ''})"
    return _object(value, inner)


def _object(value: Any, inner: Any) -> str:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}({', '.join(inner(item) for item in value.args)})"
    if isinstance(value, (types.FunctionType, types.MethodType, type, types.ModuleType)):
        return str(getattr(value, "__name__", "?"))
    fields = getattr(value, "__dict__", None)
    if type(value).__module__.startswith(ENGINE):
        return str(getattr(value, "name", type(value).__name__))
    if isinstance(fields, dict) and type(value).__module__ != "builtins":
        shown = [f"{name}={inner(item)}" for name, item in fields.items() if is_data(item)]
        return f"{type(value).__name__}({', '.join(shown)})"
    return f"<{type(value).__name__}>"


def is_data(value: Any) -> bool:
    """Return True for what a person would call a value: no lock, thread, function, class or module."""
    if type(value).__module__.startswith(ENGINE) and type(value) is not View:
        return False
    return not isinstance(
        value, (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type, types.ModuleType)
    )


def short(value: Any) -> str:
    """Return the text of a value, at most 60 characters."""
    whole = text(value)
    return whole if len(whole) <= _SHORT else f"{whole[: _SHORT - 3]}..."
