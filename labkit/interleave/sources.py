"""Find the source of a function, rewrite it, and compile it to the same place. Rule: no student's code is run here.

The statement at the left margin that holds the function is compiled twice: as it stands, which must give the very
bytecode that the function has (else its source has changed since), and rewritten. The rewritten code is found at the
same position among the code objects of its statement, so closures, class cells and private names come out right.
"""

from __future__ import annotations

import ast
import functools
import linecache
import os
import types
from copy import deepcopy
from pathlib import Path

from labkit.interleave.ops import CannotCheck, Place
from labkit.interleave.rewrite import ADDED_LINE, Hot, Places
from labkit.interleave.statements import StatementRewriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Sources", "at"]

_LIBRARY = str(Path(os.__file__).parent) + os.sep
_FUTURE = 0x1FFE0000  # the flags of 'from __future__ import ...' in co_flags


class Sources:
    """The rewritten code of every function that a program reaches."""

    def __init__(self, hot: Hot, places: Places) -> None:
        self.hot, self.places = hot, places
        self.files: dict[str, ast.Module] = {}
        self.done: dict[tuple[str, int, int], dict[tuple[str, int], list[types.CodeType]]] = {}
        self.shown: dict[str, tuple[int, str]] = {}

    def rewritten(self, code: types.CodeType) -> types.CodeType:
        """Return the rewritten form of a function's code.

        Raises:
            CannotCheck: If its source is not there, is not the one that it was made from, or holds something that
                cannot be explored.
        """
        statement = self._statement(code)
        flags = code.co_flags & _FUTURE
        key = (code.co_filename, statement.lineno, flags)
        if key not in self.done:
            new = StatementRewriter(code.co_filename, self.hot, self.places).visit(deepcopy(statement))
            module = ast.Module(new if isinstance(new, list) else [new], [])
            ast.fix_missing_locations(module)
            self.done[key] = _by_position(
                _compiled.__wrapped__(module, code.co_filename, flags)
            )  # for this search only
        # A file is compiled as a whole, a notebook's cell statement by statement: the bytecode may differ.
        for whole in (self.files[code.co_filename], _alone(statement)):
            old = _by_position(_compiled(whole, code.co_filename, flags)).get(_position(code), [])
            pairs = zip(old, self.done[key].get(_position(code), []), strict=False)
            same = [rewritten for compiled, rewritten in pairs if _alike(compiled, code)]
            if same:
                self._show(code, statement)
                return same[0]
        raise CannotCheck(f"{code.co_name} is not what its source says: run its cell again", at(code))

    def _statement(self, code: types.CodeType) -> ast.stmt:
        file = code.co_filename
        if file not in self.files:
            text = "".join(linecache.getlines(file))
            if not text:
                raise CannotCheck(f"{code.co_name} has no source: type it in a cell or a file", at(code))
            self.files[file] = _parsed(text)
        for statement in self.files[file].body:
            first = min([statement.lineno, *(item.lineno for item in getattr(statement, "decorator_list", ()))])
            if first <= code.co_firstlineno <= (statement.end_lineno or first):
                return statement
        raise CannotCheck(f"{code.co_name} is not in its source: run its cell again", at(code))

    def _show(self, code: types.CodeType, statement: ast.stmt) -> None:
        """Keep the lines of a statement for the views; those of the library are nobody's program."""
        if code.co_filename.startswith(_LIBRARY) and "site-packages" not in code.co_filename:
            return
        line, text = self.shown.get(code.co_filename, (statement.lineno, ""))
        if line <= statement.lineno < line + max(1, text.count("\n")) and text:
            return
        first, last = min(line, statement.lineno), max(line + text.count("\n"), statement.end_lineno or 0)
        self.shown[code.co_filename] = (first, "".join(linecache.getlines(code.co_filename)[first - 1 : last]))


def at(code: types.CodeType) -> Place:
    """Return the place of a function."""
    return Place(code.co_filename, code.co_firstlineno, 0, code.co_firstlineno, 0, code.co_name)


@functools.lru_cache(maxsize=256)
def _compiled(module: ast.Module, file: str, flags: int) -> types.CodeType:
    code: types.CodeType = compile(module, file, "exec", flags=flags, dont_inherit=True)
    return code


@functools.lru_cache(maxsize=256)
def _alone(statement: ast.stmt) -> ast.Module:
    return ast.Module([statement], [])


@functools.lru_cache(maxsize=64)
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _position(code: types.CodeType) -> tuple[str, int]:
    return (code.co_name, code.co_firstlineno)


def _all(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_firstlineno < ADDED_LINE:
                yield constant
            yield from _all(constant)


def _by_position(code: types.CodeType) -> dict[tuple[str, int], list[types.CodeType]]:
    found: dict[tuple[str, int], list[types.CodeType]] = {}
    for inner in _all(code):
        found.setdefault(_position(inner), []).append(inner)
    return found


def _alike(compiled: types.CodeType, live: types.CodeType) -> bool:
    """Return True if a function was made from this source (pytest writes the asserts of its own modules anew)."""
    shape = ("co_name", "co_firstlineno", "co_argcount", "co_kwonlyargcount", "co_posonlyargcount", "co_freevars")
    if any(getattr(compiled, name) != getattr(live, name) for name in shape):
        return False
    if any(name.startswith("@py") for name in (*live.co_names, *live.co_varnames)):
        return True
    same = ("co_code", "co_names", "co_varnames", "co_cellvars")
    return all(getattr(compiled, name) == getattr(live, name) for name in same) and _constants(compiled) == _constants(
        live
    )


def _constants(code: types.CodeType) -> list[str]:
    return [_position(item).__repr__() if isinstance(item, types.CodeType) else repr(item) for item in code.co_consts]
