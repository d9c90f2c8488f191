"""Which names of a function are its own, and which other functions can see. Rule: reads syntax trees, changes none."""

from __future__ import annotations

import ast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

__all__ = ["COMPREHENSIONS", "FUNCTIONS", "Scope", "body_of", "parameters"]

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Scope:
    """The names of one function.

    Attributes:
        bound: Names that are its own variables.
        outer: Names that it declares global or nonlocal, and so writes elsewhere.
        captured: Names of its own that a function inside it mentions.
    """

    def __init__(self, function: Function) -> None:
        bound, declared_global, declared_outer = set(parameters(function)), set(), set()
        for node in _own_nodes(function):
            if isinstance(node, ast.Global):
                declared_global |= set(node.names)
            elif isinstance(node, ast.Nonlocal):
                declared_outer |= set(node.names)
            else:
                bound |= set(_binds(node))
        self.outer = declared_global | declared_outer
        self.globals = declared_global
        self.bound = bound - self.outer
        self.captured = {name for name in _inside(function) if name in self.bound}


def parameters(function: Function) -> list[str]:
    """List the names of a function's parameters."""
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [item.arg for item in [*named, given.vararg, given.kwarg] if item is not None]


def body_of(function: Function) -> list[ast.AST]:
    """Return what a function executes when it is called."""
    return [function.body] if isinstance(function, ast.Lambda) else list(function.body)


def _own_nodes(function: Function) -> Iterator[ast.AST]:
    """Yield the nodes that belong to the function itself, not to functions, classes and comprehensions inside it."""
    waiting = body_of(function)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, COMPREHENSIONS):  # of these, only := binds a name out here
            waiting += [inner for inner in ast.walk(node) if isinstance(inner, ast.NamedExpr)]
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            waiting += [*getattr(node, "decorator_list", ()), *_defaults(node)]
        else:
            waiting += ast.iter_child_nodes(node)


def _defaults(node: ast.AST) -> list[ast.expr]:
    given = getattr(node, "args", None)
    return [item for item in [*given.defaults, *given.kw_defaults] if item] if isinstance(given, ast.arguments) else []


def _binds(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [] if isinstance(node.ctx, ast.Load) else [node.id]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [item.asname or item.name.partition(".")[0] for item in node.names]
    if isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        return [node.name] if node.name else []
    if isinstance(node, ast.MatchMapping):
        return [node.rest] if node.rest else []
    return []


def _inside(function: Function) -> set[str]:
    """Collect every name that is mentioned in functions, classes and generator expressions inside a function."""
    names: set[str] = set()
    for node in _walk(function):
        if isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.GeneratorExp)) and node is not function:
            own = _targets(node)
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name):
                    names |= {inner.id} - own
                elif isinstance(inner, (ast.Nonlocal, ast.Global)):
                    names |= set(inner.names)
    return names


def _targets(node: ast.AST) -> set[str]:
    """Return the names that a generator expression binds, except those in what is evaluated outside it."""
    if not isinstance(node, ast.GeneratorExp):
        return set()
    parts = [inner for part in node.generators for inner in ast.walk(part.target)]
    outside = {inner.id for inner in ast.walk(node.generators[0].iter) if isinstance(inner, ast.Name)}
    return {inner.id for inner in parts if isinstance(inner, ast.Name)} - outside


def _walk(function: Function) -> Iterator[ast.AST]:
    for node in body_of(function):
        yield from ast.walk(node)
