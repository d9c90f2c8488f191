"""Find the source of what was typed in a notebook, and the names that it needs. Rule: reads text, runs none of it.

``inspect.getsource`` fails for classes of a notebook and cuts some functions short, so the syntax tree of the whole
cell is searched for the statement that made the object.
"""

from __future__ import annotations
import __future__

import ast
import inspect
import linecache
import os
import symtable
import sys
import textwrap
import types
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, TypeVar

from labkit.model import Part

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Definition", "definition", "is_a", "lambda_definition", "unwrap"]

_Kind = TypeVar("_Kind")
_Function = TypeVar("_Function", ast.FunctionDef, ast.AsyncFunctionDef)
_DEFINES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}  # scopes of their own up to 3.11, but run at once
_FUTURE = "from __future__ import annotations\n"
_WRAPPERS_MOST = 100


class Definition(NamedTuple):
    """The statement that made a function or a class.

    Attributes:
        name: Name that the statement binds.
        part: Its source, with the cell and line where it stands.
        now: Global names that must be there when the statement runs: decorators, defaults, base classes, annotations.
        later: Global names that are looked up when the function is called.
        chains: Dotted names in it, such as ``("concurrent", "futures", "Executor")``.
        decorators_count: Decorators on the statement.
        future: True if annotations stay text where it stands (``from __future__ import annotations``).
    """

    name: str
    part: Part
    now: frozenset[str]
    later: frozenset[str]
    chains: frozenset[tuple[str, ...]]
    decorators_count: int
    future: bool


def is_a(thing: object, kind: type[_Kind]) -> TypeGuard[_Kind]:
    """Return True if an object is of a kind. `isinstance` would ask ``__class__``, which may be the student's code."""
    return issubclass(type(thing), kind)


def unwrap(thing: object) -> tuple[object, int]:
    """Follow ``__wrapped__`` down, without running a ``__getattr__`` of the object as `inspect.unwrap` would.

    Returns:
        The innermost object, and how many wrappers were taken off.
    """
    for depth in range(_WRAPPERS_MOST):
        inner = inspect.getattr_static(thing, "__wrapped__", None)
        if inner is None:
            return thing, depth
        thing = inner
    return thing, _WRAPPERS_MOST


def definition(thing: types.FunctionType | type, *, future: bool = False) -> Definition | None:
    """Find the statement that made a function or class of ``__main__``.

    Args:
        thing: The function, with its wrappers taken off, or the class.
        future: Whether annotations stay text, for a class without a method that could tell.

    Returns:
        The definition; None if the source is not to be had.
    """
    place = _of_class(thing) if isinstance(thing, type) else _of_function(thing.__code__)
    if place is None:
        return None
    file, node = place
    first = min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", ()))])
    lines = linecache.getlines(file)
    if isinstance(node, ast.Assign):
        text = ast.get_source_segment("".join(lines), node) or ""
    else:
        text = textwrap.dedent("".join(lines[first - 1 : node.end_lineno]))
    codes = _codes(thing)
    future = bool(codes[0].co_flags & __future__.annotations.compiler_flag) if codes else future
    try:
        return _read(text, Part(_label(file), first, text), future=future)
    except (SyntaxError, ValueError):  # a string at the left margin inside an indented block
        return None


def lambda_definition(thing: types.FunctionType, name: str) -> Definition | None:
    """Find a lambda by the place of its instructions, and make it an assignment to a name.

    Args:
        thing: The lambda, as its cell made it.
        name: The name that it is to have.

    Returns:
        The definition; None if the source is not to be had.
    """
    code = thing.__code__
    lines = linecache.getlines(code.co_filename)
    inside = []
    for line, end_line, column, end_column in code.co_positions():
        if (
            line
            and end_line
            and column is not None
            and end_column is not None
            and (line, column) < (end_line, end_column)
        ):
            inside.append((line, column, end_line, end_column))
    if not inside:
        return None
    first = min((line, column) for line, column, _, _ in inside)
    last = max((line, column) for _, _, line, column in inside)
    try:
        nodes = [node for node in ast.walk(ast.parse("".join(lines))) if isinstance(node, ast.Lambda)]
    except (SyntaxError, ValueError):
        return None
    around = [node for node in nodes if _starts(node.body) <= first and last <= _ends(node.body)]
    if not around:
        return None
    node = max(around, key=_starts)  # the innermost one
    text = f"{name} = ({ast.get_source_segment(''.join(lines), node)})\n"
    future = bool(code.co_flags & __future__.annotations.compiler_flag)
    label = f"{_label(code.co_filename)}, {name}"  # of its own: several may stand on one line
    return _read(text, Part(label, node.lineno, text), future=future)


def _starts(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _ends(node: ast.expr) -> tuple[int, int]:
    return node.end_lineno or node.lineno, node.end_col_offset or node.col_offset


def _read(text: str, part: Part, *, future: bool) -> Definition:
    tree = ast.parse(text)
    node = tree.body[0]
    name = node.name if isinstance(node, _DEFINES) else ast.unparse(node.targets[0])  # type: ignore[attr-defined]
    dotted = {ast.unparse(item) for item in ast.walk(tree) if isinstance(item, ast.Attribute)}
    chains = frozenset(tuple(item.split(".")) for item in dotted if item.replace(".", "").isidentifier())
    count = len(getattr(node, "decorator_list", ()))
    plain = ast.unparse(ast.fix_missing_locations(_Annotations(drop=future).visit(tree)))
    now: set[str] = set()
    later: set[str] = set()
    _names(symtable.symtable(plain, part.file, "exec"), now, later, at_once=True)
    if future:  # one line above, so that all other lines keep their numbers; on line 1 there is none above
        part = Part(part.file, max(1, part.line - 1), _FUTURE + text)
    return Definition(name, part, frozenset(now), frozenset(later - now), chains, count, future)


def _names(table: symtable.SymbolTable, now: set[str], later: set[str], *, at_once: bool) -> None:
    """Sort the global names of a scope and of all scopes in it by when they are needed."""
    module = table.get_type() == "module"
    for symbol in table.get_symbols():
        # `counter += 1` after `global counter` is listed as assigned only, so inside functions every global name counts
        if symbol.is_referenced() if module else symbol.is_global():
            (now if at_once else later).add(symbol.get_name())
    for inner in table.get_children():
        runs_now = inner.get_type() != "function" or inner.get_name() in _COMPREHENSIONS
        _names(inner, now, later, at_once=at_once and runs_now)


class _Annotations(ast.NodeTransformer):
    """Turn annotations into what is evaluated at the same time: decorators, and statements in a class.

    Python 3.14 gives annotations scopes of their own, and a child of 3.13 evaluates them at once: this suits both.
    """

    def __init__(self, *, drop: bool) -> None:
        self.drop = drop  # they stay text: nothing needs the names in them
        self.in_class = False

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer, self.in_class = self.in_class, True
        self.generic_visit(node)
        self.in_class = outer
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def _function(self, node: _Function) -> _Function:
        outer, self.in_class = self.in_class, False
        self.generic_visit(node)
        self.in_class = outer
        takes = [item for item in ast.walk(node.args) if isinstance(item, ast.arg)]
        notes = [item.annotation for item in takes if item.annotation] + ([node.returns] if node.returns else [])
        for item in takes:
            item.annotation = None
        node.returns = None
        node.decorator_list += [] if self.drop else notes
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        self.generic_visit(node)
        plain = ast.Assign(targets=[node.target], value=node.value or ast.Constant(None))
        # inside a function Python never evaluates the annotation of a variable
        return [plain, ast.Expr(node.annotation)] if self.in_class and not self.drop else [plain]


def _statements(file: str) -> Iterator[ast.stmt]:
    """Yield the statements of a cell or script that are not inside a function or class."""
    try:
        waiting: list[ast.AST] = [ast.parse("".join(linecache.getlines(file)))]
    except (SyntaxError, ValueError):
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, _DEFINES):
            waiting.extend(ast.iter_child_nodes(node))


def _of_function(code: types.CodeType) -> tuple[str, ast.stmt] | None:
    for node in _statements(code.co_filename):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            found = node.name == code.co_name and first == code.co_firstlineno
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            alone = len(node.targets) == 1 and isinstance(node.targets[0], ast.Name)
            found = alone and code.co_name == "<lambda>" and node.value.lineno == code.co_firstlineno
        else:
            continue
        if found:
            return code.co_filename, node
    return None


def _of_class(thing: type) -> tuple[str, ast.stmt] | None:
    """Find a class by the line of one of its methods; one without methods by name, in the newest cell that has it."""
    name = thing.__name__
    for code in _codes(thing):
        for node in _statements(code.co_filename):
            if isinstance(node, ast.ClassDef) and node.name == name and _holds(node, code):
                return code.co_filename, node
    if _codes(thing):
        return None
    cells = _cells()
    # a cell that is run again keeps its place in linecache: the execution count tells which is the newest
    newest = sorted(linecache.cache, key=lambda file: cells.get(file, 0))
    for file in reversed([_main_file(), *(file for file in newest if _typed(file))]):
        same = [node for node in _statements(file) if isinstance(node, ast.ClassDef) and node.name == name]
        if same:
            return file, max(same, key=lambda node: node.lineno)
    return None


def _holds(node: ast.ClassDef, code: types.CodeType) -> bool:
    return node.lineno <= code.co_firstlineno <= (node.end_lineno or node.lineno)


def _codes(thing: types.FunctionType | type) -> list[types.CodeType]:
    """Return the code of a function, or that of each method written in a class (not those that dataclass generates)."""
    if not isinstance(thing, type):  # a function: by its signature it can be nothing else
        return [thing.__code__]
    found: list[types.CodeType] = []
    for value in vars(thing).values():
        plain = value.fget if is_a(value, property) else value
        method = unwrap(plain)[0]
        if is_a(method, types.FunctionType) and method.__module__ == thing.__module__:
            inside = method.__qualname__.startswith(f"{thing.__qualname__}.")
            found += [method.__code__] if inside and linecache.getlines(method.__code__.co_filename) else []
    return found


def _cells() -> dict[str, int]:
    """Return the execution count of each cell's file name, as IPython keeps it; empty outside IPython."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    counts = getattr(getattr(shell, "compile", None), "_filename_map", None)
    return counts if isinstance(counts, dict) else {}


def _typed(file: str) -> bool:
    """Return True for text typed in a cell or at a prompt: linecache has no modification time for it."""
    entry = linecache.cache.get(file)
    return entry is not None and len(entry) > 1 and entry[1] is None


def _main_file() -> str:
    return getattr(sys.modules.get("__main__"), "__file__", None) or ""


def _label(file: str) -> str:
    count = _cells().get(file)
    if count is not None:
        return f"cell In[{count}]"
    return os.path.basename(file) if file == _main_file() else "cell"
