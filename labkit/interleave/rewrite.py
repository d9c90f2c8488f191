"""Rewrite a student's function so that it stops before each visible operation. Rule: syntax tree in, syntax tree out.

Every hook that is put in (``_lab_...``) is described in hooks.py; it decides by the objects that it meets. Names and
attributes that no thread ever writes while others run are left alone: `Hot` says which are written, and when it grows,
the program is rewritten and the search begins anew.
"""

from __future__ import annotations

import ast

from labkit.interleave.ops import CannotCheck, Place
from labkit.interleave.scopes import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["ADDED_LINE", "PREFIX", "SPECIAL", "Hot", "Places", "Rewriter"]

PREFIX = "_lab_"
SPECIAL = frozenset({"__dict__", "__code__", "__globals__", "__closure__", "__defaults__", "__kwdefaults__"})  # refused
ADDED_LINE = 999_999  # on which lambdas stand that the rewriting adds
_SIMPLE = (ast.Constant, ast.JoinedStr, ast.Compare, ast.Lambda, ast.List, ast.Dict, ast.Set, ast.ListComp, ast.BinOp)


class Hot:
    """What is written while several threads run: names of variables, and names of attributes."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.attributes: set[str] = set()


class Places:
    """All places of a program; hooks get them by number, since a compiled constant can be no object."""

    def __init__(self) -> None:
        self.known: list[Place] = []

    def add(self, file: str, node: ast.AST) -> tuple[int, Place]:
        """Return the number of a new place, and the place."""
        line, column = getattr(node, "lineno", 0), getattr(node, "col_offset", 0)
        end_line, end_column = getattr(node, "end_lineno", line), getattr(node, "end_col_offset", column)
        place = Place(file, line, column, end_line or line, end_column or column, ast.unparse(node))
        self.known.append(place)
        return len(self.known) - 1, place


class Rewriter(ast.NodeTransformer):
    """Rewrites the functions of one statement of a file."""

    def __init__(self, file: str, hot: Hot, places: Places) -> None:
        self.file, self.hot, self.places = file, hot, places
        self.scopes: list[Scope] = []
        self.first = False  # True until the first operation of a statement: nothing of it is evaluated yet
        self.kept = 0  # > 0 in places where a statement may begin with values still waiting: finally, except
        self.classes: list[str] = []
        self.count = 0

    # ------------------------------------------------------------------------------------------------ building blocks
    def hook(self, name: str, *arguments: Any) -> ast.Call:
        return ast.Call(ast.Name(PREFIX + name, ast.Load()), list(arguments), [])

    def mark(self, node: ast.AST) -> tuple[int, Place]:
        """Note text and span of an expression before its parts are rewritten."""
        return self.places.add(self.file, node)

    def place(self, marked: tuple[int, Place]) -> ast.Constant:
        """Number the place of an operation whose operands are rewritten already, that is: evaluated before it."""
        number, place = marked
        place.fresh, self.first = self.first and not self.kept, False
        return ast.Constant(number)

    def temporary(self) -> str:
        self.count += 1
        return f"{PREFIX}v{self.count}"

    def refuse(self, node: ast.AST, reason: str) -> CannotCheck:
        return CannotCheck(reason, self.mark(node)[1])

    def attribute(self, name: str) -> str:
        """Return an attribute's name as Python stores it: inside a class, ``__x`` gets the name of the class."""
        if not self.classes or not name.startswith("__") or name.endswith("__"):
            return name
        owner = self.classes[-1].lstrip("_")
        return f"_{owner}{name}" if owner else name

    def fixed(self, source: ast.AST, statements: Sequence[ast.stmt]) -> list[ast.stmt]:
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, (ast.expr, ast.stmt, ast.arg)) and not hasattr(node, "lineno"):
                    ast.copy_location(node, source)
        return list(statements)

    # ------------------------------------------------------------------------------------------------ names
    def where(self, name: str) -> str:
        """Say whose a name is: 'local', 'cell' (seen by several functions) or 'global'."""
        for depth, scope in enumerate(reversed(self.scopes)):
            if name in scope.globals:
                return "global"
            if name in scope.bound:
                return "local" if depth == 0 and name not in scope.captured else "cell"
        return "global"

    def cell(self, name: str) -> ast.expr:
        """Return a function that holds the variable's cell, which tells one call's variable from another's."""
        if self.where(name) != "cell":
            return ast.Constant(None)
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        return ast.Lambda(nothing, ast.Name(name, ast.Load()), lineno=ADDED_LINE, end_lineno=ADDED_LINE)

    def visit(self, node: ast.AST) -> Any:
        """Rewrite one node; with each statement, the evaluation begins anew."""
        if isinstance(node, ast.stmt):
            self.first = True
        return super().visit(node)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if not isinstance(node.ctx, ast.Load) or node.id not in self.hot.names or self.where(node.id) == "local":
            return node
        asked = self.hook("n", ast.Constant(node.id), self.cell(node.id), self.place(self.mark(node)))
        return self.hook("r", asked, node)

    def plain(self, target: ast.AST) -> bool:
        """Return True if assigning to a target is nobody else's business."""
        if isinstance(target, (ast.Tuple, ast.List)):
            return all(self.plain(item) for item in target.elts)
        if isinstance(target, ast.Starred):
            return self.plain(target.value)
        return isinstance(target, ast.Name) and self.where(target.id) == "local"

    # ------------------------------------------------------------------------------------------------ expressions
    def used(self, node: ast.expr) -> Any:
        """Rewrite an expression whose value is looked into: the content of a container is read here."""
        if isinstance(node, (*_SIMPLE, ast.BoolOp)) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
            return self.visit(node)
        shown = self.mark(node)
        visited = self.visit(node)
        return self.hook("u", visited, self.place(shown))

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        shown = self.mark(node)
        value = self.visit(node.value)
        name = self.attribute(node.attr)
        if name not in self.hot.attributes and name not in SPECIAL:
            node.value = value
            return node
        return self.hook("a", value, ast.Constant(name), self.place(shown))

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        shown = self.mark(node)
        value, key = self.visit(node.value), self.key(node.slice)
        return self.hook("i", value, key, self.place(shown))

    def key(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Slice):
            ends = [self.visit(end) if end else ast.Constant(None) for end in (node.lower, node.upper, node.step)]
            return self.hook("slice", *ends)
        return self.visit(node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name) and node.func.id == "super" and not node.args:
            return node
        shown = self.mark(node)
        if isinstance(node.func, ast.Attribute):
            called = [self.visit(node.func.value), ast.Constant(self.attribute(node.func.attr))]
        else:
            called = [self.visit(node.func)]
        given = [
            ast.Starred(self.used(item.value), ast.Load()) if isinstance(item, ast.Starred) else self.visit(item)
            for item in node.args
        ]
        named = [
            ast.keyword(item.arg, self.visit(item.value) if item.arg else self.used(item.value))
            for item in node.keywords
        ]
        name = "m" if isinstance(node.func, ast.Attribute) else "c"
        call = self.hook(name, self.place(shown), *called, *given)
        call.keywords = named
        return call

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        return self.both(type(node.op).__name__, node, node.left, node.right)

    def both(self, how: str, node: Any, left: ast.expr, right: ast.expr) -> ast.expr:
        """Rewrite an operation with two operands: both are evaluated before either is looked into."""
        shown_left, shown_right = self.mark(left), self.mark(right)
        if isinstance(left, (ast.Constant, ast.JoinedStr)) or isinstance(right, (ast.Constant, ast.JoinedStr)):
            if isinstance(node, ast.BinOp):
                node.left, node.right = self.used(left), self.used(right)
            else:
                node.left, node.comparators = self.used(left), [self.used(right)]
            return node  # type: ignore[no-any-return]
        values = [self.visit(left), self.visit(right)]
        return self.hook("bin", ast.Constant(how), *values, self.place(shown_left), self.place(shown_right))

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        node.operand = self.used(node.operand)
        return node

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
        node.values = [self.used(value) for value in node.values]
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        node.test = self.used(node.test)
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn)):
            shown = self.mark(node)
            found = self.hook("in", self.visit(node.left), self.visit(node.comparators[0]), self.place(shown))
            return ast.UnaryOp(ast.Not(), found) if isinstance(node.ops[0], ast.NotIn) else found
        if any(isinstance(op, (ast.In, ast.NotIn)) for op in node.ops):
            raise self.refuse(node, "chains 'in' with another comparison")
        same = all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)
        if len(node.ops) == 1 and not same:
            return self.both(type(node.ops[0]).__name__, node, node.left, node.comparators[0])
        look = self.visit if same else self.used
        node.left = look(node.left)
        node.comparators = [look(item) for item in node.comparators]
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.expr:
        node.value = self.used(node.value)
        if node.format_spec:
            node.format_spec = self.visit(node.format_spec)
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.expr:
        node.value = self.used(node.value) if isinstance(node.ctx, ast.Load) else node.value
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        for number, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
            node.keys[number] = self.visit(key) if key else None
            node.values[number] = self.visit(value) if key else self.used(value)
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.expr:
        shown = self.mark(node)
        node.value = self.hook("old", self.visit(node.value), ast.Constant(node.target.id))
        self.first = False
        if not self.plain(node.target) or not self.scopes:
            name = node.target.id
            node.value = self.hook("wn", node.value, ast.Constant(name), self.cell(name), self.place(shown))
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.expr:
        node.args = self.visit(node.args)
        outside, self.first, kept, self.kept = self.first, True, self.kept, 0
        self.scopes.append(Scope(node))
        node.body = self.hook("ret", self.visit(node.body))
        self.scopes.pop()
        self.first, self.kept = outside, kept
        return node

    def comprehension(self, node: ast.expr) -> ast.expr:
        parts = node.generators  # type: ignore[attr-defined]
        self.first = False
        self.kept += 1  # what the items gave so far is waiting
        parts[0].iter = self.iterated(parts[0].iter)
        again = [
            name for part in parts for name in _names(part.target) if self.scopes and name in self.scopes[-1].bound
        ]
        if again:  # since 3.12 the function's own variable waits on the value stack meanwhile
            parts[0].iter = self.hook("old", parts[0].iter, *map(ast.Constant, again))
        for number, part in enumerate(parts):
            if not _only_names(part.target):
                raise self.refuse(part.target, "assigns to something shared in a comprehension")
            if part.is_async:
                raise self.refuse(node, "is asynchronous")
            if number:
                part.iter = self.iterated(part.iter)
            part.ifs = [self.used(test) for test in part.ifs]
        for name in ("key", "value", "elt"):
            if hasattr(node, name):
                setattr(node, name, self.visit(getattr(node, name)))
        self.kept -= 1
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = comprehension  # noqa: N815

    def iterated(self, node: ast.expr) -> ast.expr:
        shown = self.mark(node)
        return self.hook("f", self.visit(node), self.place(shown))

    def visit_Await(self, node: ast.Await) -> ast.expr:
        raise self.refuse(node, "is asynchronous")

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.expr:
        node.value = self.iterated(node.value)
        return node

    def visit_Yield(self, node: ast.Yield) -> ast.expr:
        node.value = self.hook("ret", self.visit(node.value)) if node.value else None
        return node


def _only_names(target: ast.AST) -> bool:
    return all(not isinstance(node, (ast.Attribute, ast.Subscript)) for node in ast.walk(target))


def _names(target: ast.AST) -> list[str]:
    return [node.id for node in ast.walk(target) if isinstance(node, ast.Name)]
