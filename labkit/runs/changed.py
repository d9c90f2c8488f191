"""Find what was set on a class or function after its definition. Rule: what the source alone would make is left out.

``Account.fee = 2`` in a later cell, or a list of the class that has grown since, is part of the program: without it
the child would run another one.
"""

from __future__ import annotations

import ast
import types
from typing import TYPE_CHECKING

from labkit.runs.cells import is_a
from labkit.runs.literals import PLAIN
from labkit.runs.sync_objects import InUse, attributes, is_named_tuple, recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.runs.cells import Definition

__all__ = ["changed"]

_ADVICE = "Write it into the definition, and run that again"


def changed(thing: types.FunctionType | type, found: Definition, names: Mapping[str, object]) -> dict[str, object]:
    """Return the attributes of a class or function that its source alone would not give it.

    Args:
        thing: The class or function. One with decorators, a metaclass or foreign bases gets its attributes from these.
        found: Its definition.
        names: The globals of the notebook.

    Returns:
        Values by the attribute's name: plain ones, or objects that can be made again.

    Raises:
        InUse: If an attribute was set later that cannot be written, such as a method.
    """
    if found.decorators_count or (is_a(thing, type) and not _plain(thing)):
        return {}
    written = _written(found.part.text)
    later: dict[str, object] = {}
    for name, value in list(vars(thing).items()):
        if name.startswith("__") or (name in written and _same(written[name], value)):
            continue
        if _known(value):
            later[name] = value
        elif name not in written or (is_a(value, types.FunctionType) and names.get(value.__name__) is value):
            raise InUse(f"with an attribute {name!r} that was set after its definition", _ADVICE)
    return later


def _plain(kind: type) -> bool:
    return type(kind) is type and all(base.__module__ == "__main__" for base in kind.__mro__[:-1])


def _known(value: object) -> bool:
    try:
        known = type(value) in PLAIN or recipe(value) is not None or is_named_tuple(type(value))
        return known or attributes(value) is not None
    except InUse:
        return False


def _written(text: str) -> dict[str, ast.expr | None]:
    """Return the names that a class body binds, with what is assigned; None if that is not one plain assignment."""
    bound: dict[str, ast.expr | None] = {}
    definition = ast.parse(text).body[-1]
    if not isinstance(definition, ast.ClassDef):
        return bound
    for node in ast.walk(definition):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound[node.name] = None
        elif isinstance(node, ast.alias):
            bound[node.asname or node.name] = None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound[node.id] = None
    for statement in definition.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
            if isinstance(target, ast.Name):
                bound[target.id] = value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            bound[statement.target.id] = statement.value
    return bound


def _same(expression: ast.expr | None, value: object) -> bool:
    """Return True if an expression is a constant that gives this very value."""
    if expression is None:
        return False
    try:
        constant = ast.literal_eval(expression)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return type(constant) is type(value) and type(value) in PLAIN and repr(constant) == repr(value)
