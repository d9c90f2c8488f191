"""Where a step stands in the student's source: in a test, in which function. Rule: reads source, never runs it."""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from labkit.interleave.result import Step

__all__ = ["columns", "feeds", "function_lines", "in_test"]

Sources: TypeAlias = "Mapping[str, tuple[int, str]]"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_REMEMBERED = 64  # files; a witness stands in one or two


def in_test(sources: Sources, step: Step) -> bool:
    """Return True if the expression of a step decides what happens next: the test of an if, a while or an assert."""
    moved = _moved(sources, step)
    for node in _around(sources, step):
        if isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert)) and _covers(node.test, moved):
            return True
        if isinstance(node, ast.stmt):
            return False
    return False


def feeds(sources: Sources, read: Step, write: Step) -> bool:
    """Return True if what one step read can flow into what another one writes, by local names of one function.

    True as well where there is no source to look into.
    """
    to, source, found = _statement(sources, write), _statement(sources, read), _tree(sources, write)
    if to is None or source is None or found is None or to is source:
        return True
    reached = _stored(source)
    scope = next((node for node in _around(sources, write) if isinstance(node, _FUNCTIONS)), found[0])
    while True:
        more = {
            name
            for node in ast.walk(scope)
            if isinstance(node, ast.stmt) and not hasattr(node, "body") and _loaded(node) & reached
            for name in _stored(node)
        }
        if more <= reached:
            return bool(_loaded(to) & reached)
        reached |= more


def function_lines(sources: Sources, step: Step) -> tuple[int, int] | None:
    """Return first and last line of the innermost function around a step; None if there is none, or no source."""
    found = _tree(sources, step)
    shift = found[1] if found else 0
    for node in _around(sources, step):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            return first + shift, (node.end_lineno or node.lineno) + shift
    return None


def columns(line: str, first: int, last: int, text: str) -> tuple[int, int]:
    """Turn the columns of an expression into places of characters: Python's own count bytes of UTF-8."""
    if line.isascii() or line[first:last] == text:
        return first, last
    data = line.encode()
    return len(data[:first].decode(errors="ignore")), len(data[:last].decode(errors="ignore"))


@lru_cache(maxsize=_REMEMBERED)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return None


def _block(lines: list[str], line: int) -> tuple[int, str]:
    """Cut out the function around a line, by its indentation; returns its first line, from 0, and its text."""
    depths = [len(one) - len(one.lstrip()) if one.strip() else 10**6 for one in lines]
    first = min(line, len(lines) - 1)
    while first > 0 and not lines[first].lstrip().startswith(("def ", "async def ")):
        first -= 1
    last = next((at for at in range(first + 1, len(lines)) if depths[at] <= depths[first]), len(lines))
    return max(first, 0), "\n".join(lines[max(first, 0) : last])


def _tree(sources: Sources, step: Step) -> tuple[ast.Module, int] | None:
    """Return the tree around a step, and what to add to its lines to get those of the file.

    The source may be indented, and it may be cut from a file so that the whole is no Python: then the function around
    the step is parsed.
    """
    if step.file not in sources:
        return None
    first, text = sources[step.file]
    begin, block = _block(text.splitlines(), max(step.span[0] - first, 0))
    for source, shift in ((text, 0), ("if 1:\n" + text, -1), (block, begin), ("if 1:\n" + block, begin - 1)):
        tree = _parsed(source)
        if tree is not None:
            return tree, shift + first - 1
    return None


def _around(sources: Sources, step: Step) -> Iterator[ast.AST]:
    """Yield the nodes that cover a step, the innermost first."""
    found = _tree(sources, step)
    if found is None:
        return
    moved = _moved(sources, step)
    path: list[ast.AST] = [found[0]]
    while True:
        inner = next((node for node in ast.iter_child_nodes(path[-1]) if _covers(node, moved)), None)
        if inner is None:
            break
        path.append(inner)
    yield from reversed(path)


def _moved(sources: Sources, step: Step) -> tuple[int, int, int, int]:
    """Return the span of a step with the lines of the tree."""
    found = _tree(sources, step)
    shift = found[1] if found else 0
    return step.span[0] - shift, step.span[1], step.span[2] - shift, step.span[3]


def _covers(node: ast.AST, span: tuple[int, int, int, int]) -> bool:
    if isinstance(node, (ast.withitem, ast.comprehension)):  # these have no place of their own
        return any(_covers(each, span) for each in ast.iter_child_nodes(node))
    if not isinstance(node, (ast.stmt, ast.expr, ast.ExceptHandler, ast.keyword)):
        return False
    begin = (node.lineno, node.col_offset)
    end = (node.end_lineno or node.lineno, node.end_col_offset or 0)
    return begin <= span[:2] and span[2:] <= end


def _statement(sources: Sources, step: Step) -> ast.stmt | None:
    return next((node for node in _around(sources, step) if isinstance(node, ast.stmt)), None)


def _names(node: ast.AST, context: type[ast.expr_context]) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, context)}


def _stored(node: ast.AST) -> set[str]:
    return _names(node, ast.Store)


def _loaded(node: ast.AST) -> set[str]:
    return _names(node, ast.Load)
