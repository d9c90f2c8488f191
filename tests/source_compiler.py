"""Compiles small Python programs for source_machine.py. Rule: shares nothing with labkit.interleave.

It knows the Python that source_programs.py writes, and no more.
"""

from __future__ import annotations

import ast

__all__ = ["BUILTINS", "Code", "Program"]

BUILTINS = {
    one.__name__: one
    for one in (len, sum, sorted, list, tuple, dict, min, max, abs, bool, int, any, all, range, str, slice)
}


class Code:
    """A function in the making: its variables, instructions, and what is around the statement that is compiled."""

    def __init__(self, program, node, outer):
        self.program, self.outer = program, outer
        self.number = len(program.codes)
        program.codes.append(self)
        self.rows, self.around = [], []
        given = node.args if node is not None else None
        self.parameters = [item.arg for item in given.args] if given else []
        self.defaults = [ast.literal_eval(item) for item in given.defaults] if given else []
        self.names = {name: number for number, name in enumerate(self.parameters)}
        self.globals, self.captured = set(), set()
        if node is not None:
            body = [node.body] if isinstance(node, ast.Lambda) else node.body
            self.find_names(body)
            if isinstance(node, ast.Lambda):
                self.expr(node.body)
                self.emit("return")
            else:
                self.block(body)
        self.emit("const", None)
        self.emit("return")

    def find_names(self, body):
        declared, bound = set(), []
        for node in own_nodes(body):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                declared |= set(node.names)
                self.globals |= set(node.names) if isinstance(node, ast.Global) else set()
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.append(node.id)
            elif isinstance(node, ast.FunctionDef):
                bound.append(node.name)
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                self.captured |= {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        for name in bound:
            if name not in declared:
                self.names.setdefault(name, len(self.names))

    # -------------------------------------------------------------------------------- instructions
    def emit(self, *row):
        self.rows.append(list(row))
        return self.rows[-1]

    def here(self, *jumps):
        for row in jumps:
            row[1] = len(self.rows)
        return len(self.rows)

    def name(self, what, name):
        """Emit the load or store of a name."""
        depth, code = 0, self
        while code is not None and (name not in code.names or name in self.globals):
            depth, code = depth + 1, code.outer
        if code is None or code.number == 0:
            visible = name in self.program.hot_names and self.number > 0
            self.emit(f"{what}_global", self.program.slot(name), visible)
        else:
            self.emit(what, depth, code.names[name], name in code.captured)

    # -------------------------------------------------------------------------------- expressions
    def expr(self, node):
        getattr(self, f"e_{type(node).__name__.lower()}")(node)

    def e_constant(self, node):
        self.emit("const", node.value)

    def e_name(self, node):
        self.name("load", node.id)

    def e_attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id in {"threading", "queue"}:
            self.emit("const", node.attr)
            return
        self.expr(node.value)
        self.emit("attr", node.attr, node.attr in self.program.hot_attributes)

    def e_subscript(self, node):
        self.expr(node.value)
        self.expr(node.slice)
        self.emit("item")

    def e_binop(self, node):
        self.expr(node.left)
        self.expr(node.right)
        self.emit("binary", type(node.op).__name__)

    def e_unaryop(self, node):
        self.expr(node.operand)
        if isinstance(node.op, ast.Not):
            self.emit("test")
        self.emit("unary", type(node.op).__name__)

    def e_boolop(self, node):
        ends = []
        for value in node.values[:-1]:
            self.expr(value)
            self.emit("dup")
            self.emit("test")
            ends.append(self.emit("and" if isinstance(node.op, ast.And) else "or", None))
        self.expr(node.values[-1])
        self.here(*ends)

    def e_compare(self, node):
        ends = []
        self.expr(node.left)
        for op, right in zip(node.ops[:-1], node.comparators[:-1], strict=True):
            self.expr(right)
            self.emit("keep")
            self.emit("binary", type(op).__name__)
            ends.append(self.emit("chain", None))
        self.expr(node.comparators[-1])
        self.emit("binary", type(node.ops[-1]).__name__)
        self.here(*ends)

    def e_ifexp(self, node):
        self.expr(node.test)
        self.emit("test")
        other = self.emit("unless", None)
        self.expr(node.body)
        end = self.emit("jump", None)
        self.here(other)
        self.expr(node.orelse)
        self.here(end)

    def e_namedexpr(self, node):
        self.expr(node.value)
        self.emit("dup")
        self.name("store", node.target.id)

    def e_tuple(self, node):
        for item in node.elts:
            self.expr(item)
        self.emit("build", type(node).__name__, len(node.elts))

    e_list = e_tuple

    def e_slice(self, node):
        for end in (node.lower, node.upper, node.step):
            self.expr(end or ast.Constant(None))
        self.emit("builtin", "slice", 3)

    def e_joinedstr(self, node):
        self.emit("const", "")
        for part in node.values:
            self.expr(part if isinstance(part, ast.Constant) else part.value)
            self.emit("builtin", "str", 1)
            self.emit("binary", "Add")

    def e_dict(self, node):
        for key, value in zip(node.keys, node.values, strict=True):
            self.expr(key)
            self.expr(value)
        self.emit("build", "Dict", 2 * len(node.keys))

    def e_listcomp(self, node):
        (part,) = node.generators
        self.emit("build", "List", 0)
        self.walk(part.iter)
        start = self.here()
        end = self.emit("next", None)
        self.target(part.target)
        for test in part.ifs:
            self.expr(test)
            self.emit("test")
            self.emit("unless", start)
        self.expr(node.elt)
        self.emit("append")
        self.emit("jump", start)
        self.here(end)

    def walk(self, node):
        """Emit the making of an iterator; a list that nobody else has is walked through without steps."""
        self.expr(node)
        called = node.func if isinstance(node, ast.Call) else None
        self.emit("iter", isinstance(called, ast.Name) and called.id in {"list", "sorted", "range"})

    def e_lambda(self, node):
        self.emit("function", Code(self.program, node, self).number)

    def e_call(self, node):
        called, named = node.func, {item.arg: item.value for item in node.keywords}
        made = self.made(called)
        if made:
            given = [named["target"], named.get("args", ast.Tuple([], ast.Load()))] if made == "Thread" else None
            given = given or [*node.args, *named.values()]
            for item in given:
                self.expr(item)
            self.emit("make", made, len(given))
        elif isinstance(called, ast.Attribute):
            self.method(called, node.args, named)
        elif isinstance(called, ast.Name) and called.id in BUILTINS:
            for item in node.args:
                self.expr(item)
            self.emit("builtin", called.id, len(node.args))
        else:
            self.expr(called)
            for item in [*node.args, *named.values()]:
                self.expr(item)
            self.emit("call", len(node.args), tuple(named))

    def made(self, called):
        """Return the name of the class of threading or queue that is called, or nothing."""
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            return called.attr if called.value.id in {"threading", "queue", "time"} else ""
        return self.program.imported.get(called.id, "") if isinstance(called, ast.Name) else ""

    def method(self, called, given, named):
        if called.attr == "wait_for":  # as threading.Condition has it
            start = self.here()
            self.expr(ast.Call(given[0], [], []))
            self.emit("test")
            self.emit("dup")
            end = self.emit("if", None)
            self.emit("pop")
            self.expr(called.value)
            self.emit("method", "wait", 0)
            self.emit("pop")
            self.emit("jump", start)
            self.here(end)
            return
        tries = bool(named) if called.attr != "acquire" else bool(named or given)
        name = called.attr + (" or not" if tries else "")
        self.expr(called.value)
        given = [] if called.attr == "acquire" else given
        for item in given:
            self.expr(item)
        self.emit("method", name, len(given))

    # -------------------------------------------------------------------------------- statements
    def block(self, body):
        for node in body:
            getattr(self, f"s_{type(node).__name__.lower()}")(node)

    def s_expr(self, node):
        self.expr(node.value)
        self.emit("pop")

    def s_pass(self, node):
        pass

    s_global = s_nonlocal = s_import = s_pass

    def s_importfrom(self, node):
        self.program.imported.update({item.asname or item.name: item.name for item in node.names})

    def s_assign(self, node):
        self.expr(node.value)
        for target in node.targets[:-1]:
            self.emit("dup")
            self.target(target)
        self.target(node.targets[-1])

    def target(self, node):
        """Store the value on top of the stack."""
        if isinstance(node, ast.Name):
            self.name("store", node.id)
        elif isinstance(node, ast.Tuple):
            self.emit("unpack", len(node.elts))
            for item in node.elts:
                self.target(item)
        elif isinstance(node, ast.Attribute):
            self.expr(node.value)
            self.emit("store_attr", node.attr, node.attr in self.program.hot_attributes)
        else:
            self.expr(node.value)
            self.expr(node.slice)
            self.emit("store_item")

    def s_augassign(self, node):
        target, how = node.target, type(node.op).__name__
        if isinstance(target, ast.Name):
            self.name("load", target.id)
            self.expr(node.value)
            self.emit("change", how)
            self.name("store", target.id)
        elif isinstance(target, ast.Attribute):
            hot = target.attr in self.program.hot_attributes
            self.expr(target.value)
            self.emit("dup")
            self.emit("attr", target.attr, hot)
            self.expr(node.value)
            self.emit("change", how)
            self.emit("swap")
            self.emit("store_attr", target.attr, hot)
        else:
            self.expr(target.value)
            self.expr(target.slice)
            self.emit("dup_two")
            self.emit("item")
            self.expr(node.value)
            self.emit("change", how)
            self.emit("third")
            self.emit("store_item")

    def s_delete(self, node):
        for target in node.targets:
            self.expr(target.value)
            self.expr(target.slice)
            self.emit("delete_item")

    def s_if(self, node):
        self.expr(node.test)
        self.emit("test")
        other = self.emit("unless", None)
        self.block(node.body)
        end = self.emit("jump", None)
        self.here(other)
        self.block(node.orelse)
        self.here(end)

    def s_while(self, node):
        start = self.here()
        self.expr(node.test)
        self.emit("test")
        other = self.emit("unless", None)
        self.loop(node, start, other, walks=False)

    def s_for(self, node):
        self.walk(node.iter)
        start = self.here()
        other = self.emit("next", None)
        self.target(node.target)
        self.loop(node, start, other, walks=True)

    def loop(self, node, start, other, *, walks):
        breaks = []
        self.around.append(("loop", start, breaks, walks))
        self.block(node.body)
        self.around.pop()
        self.emit("jump", start)
        self.here(other)
        self.block(node.orelse)
        self.here(*breaks)

    def leave(self, to):
        """Emit what is done on the way out of blocks, with a value on the stack."""
        kept = self.around
        while len(self.around) > to:
            block, self.around = self.around[-1], self.around[:-1]
            if block[0] != "loop":
                self.emit("end_block")
            if block[0] == "with":
                self.emit("exit")
            elif block[0] == "finally":
                self.block(block[1])
            elif block[0] == "loop" and block[3]:
                self.emit("drop_walk")
        self.around = kept

    def s_return(self, node):
        self.expr(node.value or ast.Constant(None))
        self.leave(0)
        self.emit("return")

    def s_break(self, _):
        at = max(number for number, block in enumerate(self.around) if block[0] == "loop")
        self.emit("const", None)
        self.leave(at)  # takes the iterator away, too
        self.emit("pop")
        self.around[at][2].append(self.emit("jump", None))

    def s_continue(self, _):
        at = max(number for number, block in enumerate(self.around) if block[0] == "loop")
        self.emit("const", None)
        self.leave(at + 1)
        self.emit("pop")
        self.emit("jump", self.around[at][1])

    def s_with(self, node):
        first, *rest = node.items
        self.expr(first.context_expr)
        self.emit("enter")
        caught = self.emit("block", None)
        self.around.append(("with",))
        if rest:
            self.s_with(ast.With(rest, node.body))
        else:
            self.block(node.body)
        self.around.pop()
        self.emit("end_block")
        self.emit("const", None)
        self.emit("exit")
        self.emit("pop")
        end = self.emit("jump", None)
        self.here(caught)
        self.emit("exit")
        self.emit("raise_top")
        self.here(end)

    def s_try(self, node):
        if node.finalbody:
            caught = self.emit("block", None)
            self.around.append(("finally", node.finalbody))
            self.handled(node)
            self.around.pop()
            self.emit("end_block")
            self.block(node.finalbody)
            end = self.emit("jump", None)
            self.here(caught)
            self.block(node.finalbody)
            self.emit("raise_top")
            self.here(end)
        else:
            self.handled(node)

    def handled(self, node):
        """Emit a try statement without its finally."""
        if not node.handlers:
            self.block(node.body)
            return
        caught = self.emit("block", None)
        self.around.append(("except",))
        self.block(node.body)
        self.around.pop()
        self.emit("end_block")
        self.block(node.orelse)
        ends = [self.emit("jump", None)]
        self.here(caught)
        for handler in node.handlers:
            other = self.emit("unless_error", None, error_names(handler.type))
            self.block(handler.body)
            ends.append(self.emit("jump", None))
            self.here(other)
        self.emit("raise_top")
        self.here(*ends)

    def s_raise(self, node):
        name = node.exc.func.id if isinstance(node.exc, ast.Call) else node.exc.id
        self.emit("raise", name)

    def s_assert(self, node):
        self.expr(node.test)
        self.emit("test")
        end = self.emit("if", None)
        self.emit("raise", "AssertionError")
        self.here(end)

    def s_functiondef(self, node):
        self.emit("function", Code(self.program, node, self).number)
        self.name("store", node.name)

    def s_classdef(self, node):
        methods, properties, setters = {}, {}, {}
        for item in node.body:
            code = Code(self.program, item, self).number
            marks = [ast.unparse(one) for one in item.decorator_list]
            (properties if "property" in marks else setters if marks else methods)[item.name] = code
        self.program.classes.append((methods, properties, setters))
        self.emit("class", len(self.program.classes) - 1)
        self.name("store", node.name)


def own_nodes(body):
    """Yield the nodes of a function, and not those of functions inside it."""
    waiting = list(body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def error_names(node):
    if node is None:
        return ("Exception",)
    return tuple(
        ast.unparse(item).rpartition(".")[2] for item in (node.elts if isinstance(node, ast.Tuple) else [node])
    )


class Program:
    """A compiled module: its functions and classes, and which names and attributes its functions write."""

    def __init__(self, source):
        tree = ast.parse(source)
        self.codes, self.classes, self.slots, self.imported = [], [], {}, {}
        self.hot_names, self.hot_attributes = set(), set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Global):
                self.hot_names |= set(node.names)
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                stores = (inner for inner in ast.walk(node) if isinstance(inner, ast.Attribute))
                self.hot_attributes |= {inner.attr for inner in stores if isinstance(inner.ctx, ast.Store)}
        self.finally_ends = "is_alive" in source
        module = Code(self, None, None)
        module.rows.clear()
        module.block(tree.body)
        module.emit("const", None)
        module.emit("return")

    def slot(self, name):
        return self.slots.setdefault(name, len(self.slots))
