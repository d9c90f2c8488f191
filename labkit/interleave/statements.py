"""Rewrite the statements of a student's function; rewrite.py does its expressions. Rule: no value is looked at here."""

from __future__ import annotations

import ast

from labkit.interleave.rewrite import Rewriter
from labkit.interleave.scopes import Scope

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.interleave.ops import Place

__all__ = ["StatementRewriter"]


class StatementRewriter(Rewriter):
    """Rewrites whole statements: each store, loop, with and handler becomes calls of hooks."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        """Rewrite a list of statements."""
        done: list[ast.stmt] = []
        for statement in statements:
            new = self.visit(statement)
            done += new if isinstance(new, list) else [new]
        return done

    def test(self, node: ast.expr) -> Any:
        self.first = True
        return self.used(node)

    # ------------------------------------------------------------------------------------------------ definitions
    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | list[ast.stmt]:
        marked = self.mark(node)
        marked[1].text = f"def {node.name}"
        if self.scopes:
            node.decorator_list = self.decorators(node)
            node.args.defaults = [self.visit(item) for item in node.args.defaults]
            node.args.kw_defaults = [item and self.visit(item) for item in node.args.kw_defaults]
        yields = any(isinstance(inner, (ast.Yield, ast.YieldFrom)) for inner in ast.walk(node))
        kept, self.kept = self.kept, int(yields)  # what a generator has given may still be waiting in its consumer
        self.scopes.append(Scope(node))
        node.body = self.block(node.body)
        self.scopes.pop()
        self.kept = kept
        return [node, *self.bound(node, node.name, marked)]

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        raise self.refuse(node, "is asynchronous")

    def decorators(self, node: ast.FunctionDef | ast.ClassDef) -> list[ast.expr]:
        """Rewrite decorators; each keeps its line, which is the first line of the function."""
        return [ast.copy_location(self.visit(item), item) for item in node.decorator_list]

    def bound(self, node: ast.stmt, name: str, marked: tuple[int, Place]) -> list[ast.stmt]:
        """Tell the hooks of a name that a def, class or import has bound, if others can see it."""
        if not self.scopes or self.where(name) == "local":
            return []
        told = self.hook("wd", ast.Name(name, ast.Load()), ast.Constant(name), self.cell(name), self.place(marked))
        return self.fixed(node, [ast.Assign([ast.Name(name, ast.Store())], told)])

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST | list[ast.stmt]:
        marked = self.mark(node)
        marked[1].text = f"class {node.name}"
        if self.scopes:
            node.bases = [self.visit(item) for item in node.bases]
            node.decorator_list = self.decorators(node)
        self.classes.append(node.name)
        body: list[ast.stmt] = []
        for item in node.body:
            if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                body.append(self.visit(item)[0])  # the name that it binds is the class's own
            elif self.scopes and not _quiet(item):
                raise self.refuse(item, "computes something in the body of a class that a function defines")
            else:
                body.append(item)
        self.classes.pop()
        node.body = body
        return [node, *self.bound(node, node.name, marked)]

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> list[ast.stmt]:
        marked = self.mark(node)
        done: list[ast.stmt] = [node]
        for item in node.names:
            name = item.asname or item.name.partition(".")[0]
            twin = self.hook("imp", ast.Name(name, ast.Load()))
            done.append(ast.Assign([ast.Name(name, ast.Store())], twin))
            done += self.bound(node, name, marked)
        return self.fixed(node, done)

    visit_ImportFrom = visit_Import  # noqa: N815

    # ------------------------------------------------------------------------------------------------ stores
    def store(self, target: ast.expr, value: ast.expr, marked: tuple[int, Place]) -> list[ast.stmt]:
        """Return the statements that store a value that is computed already, or is about to be."""
        if isinstance(target, ast.Starred):
            return self.store(target.value, value, marked)
        if isinstance(target, ast.Attribute):
            owner = self.visit(target.value)
            return [
                ast.Expr(self.hook("s", value, owner, ast.Constant(self.attribute(target.attr)), self.place(marked)))
            ]
        if isinstance(target, ast.Subscript):
            owner, key = self.visit(target.value), self.key(target.slice)
            return [ast.Expr(self.hook("si", value, owner, key, self.place(marked)))]
        if isinstance(target, (ast.Tuple, ast.List)):
            return self.unpack(target, value, marked)
        if not isinstance(target, ast.Name):
            raise self.refuse(target, "stores into something unknown")
        if not self.plain(target):
            value = self.hook("wn", value, ast.Constant(target.id), self.cell(target.id), self.place(marked))
        return [ast.Assign([ast.Name(target.id, ast.Store())], value)]

    def unpack(self, target: ast.Tuple | ast.List, value: ast.expr, marked: tuple[int, Place]) -> list[ast.stmt]:
        names = [self.temporary() for _ in target.elts]
        into: list[ast.expr] = [
            ast.Starred(ast.Name(name, ast.Store()), ast.Store())
            if isinstance(item, ast.Starred)
            else ast.Name(name, ast.Store())
            for name, item in zip(names, target.elts, strict=True)
        ]
        done: list[ast.stmt] = [ast.Assign([ast.Tuple(into, ast.Store())], value)]
        for name, item in zip(names, target.elts, strict=True):
            done += self.store(item, ast.Name(name, ast.Load()), self.mark(item) if marked else marked)
        return done

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        marked = self.mark(node)
        unpacks = any(isinstance(target, (ast.Tuple, ast.List)) for target in node.targets)
        node.value = self.used(node.value) if unpacks else self.visit(node.value)
        if all(self.plain(target) for target in node.targets):
            return node
        if len(node.targets) == 1:
            return self.fixed(node, self.store(node.targets[0], node.value, marked))
        name = self.temporary()
        done: list[ast.stmt] = [ast.Assign([ast.Name(name, ast.Store())], node.value)]
        for target in node.targets:
            done += self.store(target, ast.Name(name, ast.Load()), self.mark(target))
        return self.fixed(node, done)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | list[ast.stmt]:
        marked = self.mark(node)
        if node.value is None:
            return node
        node.value = self.visit(node.value)
        return node if self.plain(node.target) else self.fixed(node, self.store(node.target, node.value, marked))

    def visit_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        marked, target, before = self.mark(node), node.target, []
        loaded: ast.expr
        read = self.mark(target)
        if isinstance(target, ast.Attribute):
            owner = self.temporary()
            before = [ast.Assign([ast.Name(owner, ast.Store())], self.visit(target.value))]
            loaded = ast.Attribute(ast.Name(owner, ast.Load()), target.attr, ast.Load())
            if self.attribute(target.attr) in self.hot.attributes:
                loaded = self.hook(
                    "a", ast.Name(owner, ast.Load()), ast.Constant(self.attribute(target.attr)), self.place(read)
                )
            new = self.changed(node, loaded)
            last = self.hook(
                "s", new, ast.Name(owner, ast.Load()), ast.Constant(self.attribute(target.attr)), self.place(marked)
            )
            return self.fixed(node, [*before, ast.Expr(last)])
        if isinstance(target, ast.Subscript):
            owner, key = self.temporary(), self.temporary()
            before = [
                ast.Assign([ast.Name(owner, ast.Store())], self.visit(target.value)),
                ast.Assign([ast.Name(key, ast.Store())], self.key(target.slice)),
            ]
            held, at = ast.Name(owner, ast.Load()), ast.Name(key, ast.Load())
            loaded = self.hook("i", held, at, self.place(read))
            last = self.hook("si", self.changed(node, loaded), held, at, self.place(marked))
            return self.fixed(node, [*before, ast.Expr(last)])
        name = ast.copy_location(ast.Name(target.id, ast.Load()), target)
        new = self.changed(node, self.visit(name))
        return self.fixed(node, self.store(target, new, marked))

    def changed(self, node: ast.AugAssign, loaded: ast.expr) -> ast.expr:
        """Return the call that computes what an augmented assignment stores."""
        marked = self.mark(node)
        value = self.used(node.value)
        return self.hook("aug", ast.Constant(type(node.op).__name__), loaded, value, self.place(marked))

    def visit_Delete(self, node: ast.Delete) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for target in node.targets:
            marked = self.mark(target)
            if isinstance(target, ast.Attribute):
                owner = self.visit(target.value)
                done.append(
                    ast.Expr(self.hook("da", owner, ast.Constant(self.attribute(target.attr)), self.place(marked)))
                )
            elif isinstance(target, ast.Subscript):
                owner, key = self.visit(target.value), self.key(target.slice)
                done.append(ast.Expr(self.hook("di", owner, key, self.place(marked))))
            elif isinstance(target, ast.Name):
                if not self.plain(target):
                    name, nothing = ast.Constant(target.id), ast.Constant(None)
                    done.append(ast.Expr(self.hook("wn", nothing, name, self.cell(target.id), self.place(marked))))
                done.append(ast.Delete([target]))
            else:
                raise self.refuse(target, "deletes several things at once")
        return self.fixed(node, done)

    # ------------------------------------------------------------------------------------------------ control
    def visit_Return(self, node: ast.Return) -> ast.AST:
        if node.value is not None and not isinstance(node.value, ast.Constant):
            node.value = self.hook("ret", self.visit(node.value))
            self.fixed(node, [node])
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.test = self.used(node.test)
        node.msg = self.visit(node.msg) if node.msg else None
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        node.test = self.test(node.test)
        node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        return node

    def visit_While(self, node: ast.While) -> list[ast.stmt]:
        marked = self.mark(node.test)
        number = ast.Constant(marked[0])
        marked[1].fresh = not self.kept
        begin = ast.Expr(self.hook("t0", number))
        node.test = ast.BoolOp(ast.And(), [self.hook("t", number), self.test(node.test)])
        node.body, node.orelse = self.block(node.body), self.block(node.orelse)
        return self.fixed(node, [begin, node])

    def visit_For(self, node: ast.For) -> list[ast.stmt]:
        name = self.temporary()
        begin = ast.Assign([ast.Name(name, ast.Store())], self.iterated(node.iter))
        node.iter = ast.Name(name, ast.Load())
        if not self.plain(node.target):
            item = self.temporary()
            first = self.store(node.target, ast.Name(item, ast.Load()), self.mark(node.target))
            node.target, node.body = ast.Name(item, ast.Store()), [*first, *self.block(node.body)]
        else:
            node.body = self.block(node.body)
        node.orelse = self.block(node.orelse)
        return self.fixed(node, [begin, node])

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        raise self.refuse(node, "is asynchronous")

    def visit_With(self, node: ast.With) -> list[ast.stmt]:
        body: list[ast.stmt] | None = None
        managers = []
        for item in node.items:
            self.first = True
            shown, left = self.mark(item.context_expr), self.mark(item.context_expr)
            expression = self.visit(item.context_expr)
            managers.append((item, self.hook("w", expression, self.place(shown), ast.Constant(left[0]))))
        body = self.block(node.body)
        for item, manager in reversed(managers):
            target = item.optional_vars
            if target is not None and not self.plain(target):
                name = self.temporary()
                body = [*self.store(target, ast.Name(name, ast.Load()), self.mark(target)), *body]
                target = ast.Name(name, ast.Store())
            body = [ast.With([ast.withitem(manager, target)], body)]
        return self.fixed(node, body)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        raise self.refuse(node, "is asynchronous")

    def visit_Try(self, node: ast.Try) -> ast.AST:
        node.body = self.block(node.body)
        self.kept += 1  # an exception or a value to return may be waiting
        for handler in node.handlers:
            if handler.name and self.where(handler.name) != "local":
                raise self.refuse(handler, "binds an exception to a name that other functions see")
            handler.body = [*self.fixed(handler, [ast.Expr(self.hook("x"))]), *self.block(handler.body)]
        if node.finalbody:
            node.finalbody = [*self.fixed(node, [ast.Expr(self.hook("x"))]), *self.block(node.finalbody)]
        self.kept -= 1
        node.orelse = self.block(node.orelse)
        return node

    def visit_TryStar(self, node: ast.AST) -> ast.AST:
        raise self.refuse(node, "uses except*")

    def visit_Match(self, node: ast.Match) -> ast.AST:
        node.subject = self.used(node.subject)
        for case in node.cases:
            for inner in ast.walk(case.pattern):
                name = getattr(inner, "name", None)
                if isinstance(inner, (ast.MatchClass, ast.MatchMapping)) or (name and self.where(name) != "local"):
                    raise self.refuse(case.pattern, "matches the inside of an object, or binds a shared name")
            case.guard = self.test(case.guard) if case.guard else None
            case.body = self.block(case.body)
        return node


def _quiet(item: ast.stmt) -> bool:
    """Return True if a statement of a class's body computes nothing that a thread could see."""
    if isinstance(item, ast.Pass) or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)):
        return True
    if isinstance(item, ast.AnnAssign) and item.value is None:
        return True
    if not isinstance(item, (ast.Assign, ast.AnnAssign)) or item.value is None:
        return False
    literal = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp, ast.unaryop, ast.expr_context)
    return all(isinstance(node, literal) for node in ast.walk(item.value))
