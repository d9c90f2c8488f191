"""A machine for small Python programs with threads: tries every interleaving. Rule: shares nothing with labkit.interleave.

The source is compiled into instructions of a stack machine. Some of them are visible to other threads; a step of a
thread is one of these and then all up to its next one. A state is the pickle of everything, so that equal pickles are
equal states. It knows the Python that source_programs.py writes, and no more.
"""

from __future__ import annotations

import ast
import operator
import pickle
import queue
from collections import defaultdict
from typing import NamedTuple

from oracle import DEADLOCK, SPINS, _components, _fair, _reach

__all__ = ["Answer", "TooLarge", "solve"]

ERRORS = (
    *(KeyError, IndexError, ValueError, RuntimeError, ZeroDivisionError, AssertionError, TypeError),
    *(queue.Empty, queue.Full, UnboundLocalError),
)
CAUGHT = {"Exception": Exception, "LookupError": LookupError, "Empty": queue.Empty, "Full": queue.Full}
BUILTINS = {one.__name__: one for one in (len, sum, sorted, list, tuple, dict, min, max, abs, bool, int, any, all, range, str, slice)}
BINARY = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Mod": operator.mod,
    "FloorDiv": operator.floordiv,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Is": operator.is_,
    "IsNot": operator.is_not,
    "In": lambda one, many: one in many,
    "NotIn": lambda one, many: one not in many,
}
LOCK, CONDITION, SEMAPHORE, EVENT, QUEUE, BARRIER, THREAD, OBJECT, FUNCTION, BOUND, CLASS, WALK, TICKET = range(13)
CODE, PC, STACK, VALUES, OUTER, BLOCKS, ROLE = range(7)  # of a frame
FRAMES, STATUS, ERROR, PHASE, RETURNED = range(5)  # of a thread
RUNS, ENDED = 0, 1
CALL, INIT, DROP = 0, 1, 2  # what becomes of what a frame returns: pushed, the new object instead, nothing
WAKE, LATE, RETAKE, WAIT_EVENT, LATE_EVENT, LEAVE, BEGIN, END = range(8)  # second steps of operations
LOCAL_MOST = 5000


class TooLarge(Exception):  # noqa: N818 - no error
    """The program has too many states."""


class Raised(Exception):  # noqa: N818 - of the program, not of the machine
    """The program raises one of ERRORS."""


class Answer(NamedTuple):
    """All that can happen: outcome texts, those that are not allowed, kinds of trouble, the number of states."""

    outcomes: frozenset[str]
    wrong: frozenset[str]
    kinds: frozenset[str]
    states: int


class Thing:
    """An object of the program that is no plain value."""

    __slots__ = ("data", "kind")

    def __init__(self, kind, *data):
        self.kind, self.data = kind, list(data)


def native(function, *given):
    """Compute something as Python does, errors included."""
    try:
        return function(*given)
    except ERRORS as error:
        raise Raised(ERRORS.index(type(error))) from None


def fail(kind):
    raise Raised(ERRORS.index(kind))


# ------------------------------------------------------------------------------------------------ compiling
class Code:
    """A function in the making: its variables, instructions, and what is around the statement that is compiled."""

    def __init__(self, program, name, node, outer):
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
                self.emit("RETURN")
            else:
                self.block(body)
        self.emit("CONST", None)
        self.emit("RETURN")

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
        """Emit LOAD or STORE of a name."""
        depth, code = 0, self
        while code is not None and (name not in code.names or name in self.globals):
            depth, code = depth + 1, code.outer
        if code is None or code.number == 0:
            visible = name in self.program.hot_names and self.number > 0
            self.emit(f"{what}_GLOBAL", self.program.slot(name), visible)
        else:
            self.emit(what, depth, code.names[name], name in code.captured)

    # -------------------------------------------------------------------------------- expressions
    def expr(self, node):
        getattr(self, f"e_{type(node).__name__}")(node)

    def e_Constant(self, node):
        self.emit("CONST", node.value)

    def e_Name(self, node):
        self.name("LOAD", node.id)

    def e_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id in {"threading", "queue"}:
            self.emit("CONST", node.attr)
            return
        self.expr(node.value)
        self.emit("ATTR", node.attr, node.attr in self.program.hot_attributes)

    def e_Subscript(self, node):
        self.expr(node.value)
        self.expr(node.slice)
        self.emit("ITEM")

    def e_BinOp(self, node):
        self.expr(node.left)
        self.expr(node.right)
        self.emit("BINARY", type(node.op).__name__)

    def e_UnaryOp(self, node):
        self.expr(node.operand)
        if isinstance(node.op, ast.Not):
            self.emit("TEST")
        self.emit("UNARY", type(node.op).__name__)

    def e_BoolOp(self, node):
        ends = []
        for value in node.values[:-1]:
            self.expr(value)
            self.emit("DUP")
            self.emit("TEST")
            ends.append(self.emit("AND" if isinstance(node.op, ast.And) else "OR", None))
        self.expr(node.values[-1])
        self.here(*ends)

    def e_Compare(self, node):
        ends = []
        self.expr(node.left)
        for op, right in zip(node.ops[:-1], node.comparators[:-1], strict=True):
            self.expr(right)
            self.emit("KEEP")
            self.emit("BINARY", type(op).__name__)
            ends.append(self.emit("CHAIN", None))
        self.expr(node.comparators[-1])
        self.emit("BINARY", type(node.ops[-1]).__name__)
        self.here(*ends)

    def e_IfExp(self, node):
        self.expr(node.test)
        self.emit("TEST")
        other = self.emit("UNLESS", None)
        self.expr(node.body)
        end = self.emit("JUMP", None)
        self.here(other)
        self.expr(node.orelse)
        self.here(end)

    def e_NamedExpr(self, node):
        self.expr(node.value)
        self.emit("DUP")
        self.name("STORE", node.target.id)

    def e_Tuple(self, node):
        for item in node.elts:
            self.expr(item)
        self.emit("BUILD", type(node).__name__, len(node.elts))

    e_List = e_Tuple

    def e_Slice(self, node):
        for end in (node.lower, node.upper, node.step):
            self.expr(end or ast.Constant(None))
        self.emit("BUILTIN", "slice", 3)

    def e_JoinedStr(self, node):
        self.emit("CONST", "")
        for part in node.values:
            self.expr(part if isinstance(part, ast.Constant) else part.value)
            self.emit("BUILTIN", "str", 1)
            self.emit("BINARY", "Add")

    def e_Dict(self, node):
        for key, value in zip(node.keys, node.values, strict=True):
            self.expr(key)
            self.expr(value)
        self.emit("BUILD", "Dict", 2 * len(node.keys))

    def e_ListComp(self, node):
        (part,) = node.generators
        self.emit("BUILD", "List", 0)
        self.walk(part.iter)
        start = self.here()
        end = self.emit("NEXT", None)
        self.target(part.target)
        for test in part.ifs:
            self.expr(test)
            self.emit("TEST")
            self.emit("UNLESS", start)
        self.expr(node.elt)
        self.emit("APPEND")
        self.emit("JUMP", start)
        self.here(end)

    def walk(self, node):
        """Emit the making of an iterator; a list that nobody else has is walked through without steps."""
        self.expr(node)
        called = node.func if isinstance(node, ast.Call) else None
        self.emit("ITER", isinstance(called, ast.Name) and called.id in {"list", "sorted", "range"})

    def e_Lambda(self, node):
        self.emit("FUNCTION", Code(self.program, "<lambda>", node, self).number)

    def e_Call(self, node):
        called, named = node.func, {item.arg: item.value for item in node.keywords}
        made = self.made(called)
        if made:
            given = [named["target"], named.get("args", ast.Tuple([], ast.Load()))] if made == "Thread" else None
            given = given or [*node.args, *named.values()]
            for item in given:
                self.expr(item)
            self.emit("MAKE", made, len(given))
        elif isinstance(called, ast.Attribute):
            self.method(called, node.args, named)
        elif isinstance(called, ast.Name) and called.id in BUILTINS:
            for item in node.args:
                self.expr(item)
            self.emit("BUILTIN", called.id, len(node.args))
        else:
            self.expr(called)
            for item in [*node.args, *named.values()]:
                self.expr(item)
            self.emit("CALL", len(node.args), tuple(named))

    def made(self, called):
        """Return the name of the class of threading or queue that is called, or nothing."""
        if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            return called.attr if called.value.id in {"threading", "queue", "time"} else ""
        return self.program.imported.get(called.id, "") if isinstance(called, ast.Name) else ""

    def method(self, called, given, named):
        if called.attr == "wait_for":  # as threading.Condition has it
            start = self.here()
            self.expr(ast.Call(given[0], [], []))
            self.emit("TEST")
            self.emit("DUP")
            end = self.emit("IF", None)
            self.emit("POP")
            self.expr(called.value)
            self.emit("METHOD", "wait", 0)
            self.emit("POP")
            self.emit("JUMP", start)
            self.here(end)
            return
        tries = bool(named) if called.attr != "acquire" else bool(named or given)
        name = called.attr + (" or not" if tries else "")
        self.expr(called.value)
        given = [] if called.attr == "acquire" else given
        for item in given:
            self.expr(item)
        self.emit("METHOD", name, len(given))

    # -------------------------------------------------------------------------------- statements
    def block(self, body):
        for node in body:
            getattr(self, f"s_{type(node).__name__}")(node)

    def s_Expr(self, node):
        self.expr(node.value)
        self.emit("POP")

    def s_Pass(self, node):
        pass

    s_Global = s_Nonlocal = s_Import = s_Pass

    def s_ImportFrom(self, node):
        self.program.imported.update({item.asname or item.name: item.name for item in node.names})

    def s_Assign(self, node):
        self.expr(node.value)
        for target in node.targets[:-1]:
            self.emit("DUP")
            self.target(target)
        self.target(node.targets[-1])

    def target(self, node):
        """Store the value on top of the stack."""
        if isinstance(node, ast.Name):
            self.name("STORE", node.id)
        elif isinstance(node, ast.Tuple):
            self.emit("UNPACK", len(node.elts))
            for item in node.elts:
                self.target(item)
        elif isinstance(node, ast.Attribute):
            self.expr(node.value)
            self.emit("STORE_ATTR", node.attr, node.attr in self.program.hot_attributes)
        else:
            self.expr(node.value)
            self.expr(node.slice)
            self.emit("STORE_ITEM")

    def s_AugAssign(self, node):
        target, how = node.target, type(node.op).__name__
        if isinstance(target, ast.Name):
            self.name("LOAD", target.id)
            self.expr(node.value)
            self.emit("CHANGE", how)
            self.name("STORE", target.id)
        elif isinstance(target, ast.Attribute):
            hot = target.attr in self.program.hot_attributes
            self.expr(target.value)
            self.emit("DUP")
            self.emit("ATTR", target.attr, hot)
            self.expr(node.value)
            self.emit("CHANGE", how)
            self.emit("SWAP")
            self.emit("STORE_ATTR", target.attr, hot)
        else:
            self.expr(target.value)
            self.expr(target.slice)
            self.emit("DUP_TWO")
            self.emit("ITEM")
            self.expr(node.value)
            self.emit("CHANGE", how)
            self.emit("THIRD")
            self.emit("STORE_ITEM")

    def s_Delete(self, node):
        for target in node.targets:
            self.expr(target.value)
            self.expr(target.slice)
            self.emit("DELETE_ITEM")

    def s_If(self, node):
        self.expr(node.test)
        self.emit("TEST")
        other = self.emit("UNLESS", None)
        self.block(node.body)
        end = self.emit("JUMP", None)
        self.here(other)
        self.block(node.orelse)
        self.here(end)

    def s_While(self, node):
        start = self.here()
        self.expr(node.test)
        self.emit("TEST")
        other = self.emit("UNLESS", None)
        self.loop(node, start, other, walks=False)

    def s_For(self, node):
        self.walk(node.iter)
        start = self.here()
        other = self.emit("NEXT", None)
        self.target(node.target)
        self.loop(node, start, other, walks=True)

    def loop(self, node, start, other, *, walks):
        breaks = []
        self.around.append(("loop", start, breaks, walks))
        self.block(node.body)
        self.around.pop()
        self.emit("JUMP", start)
        self.here(other)
        self.block(node.orelse)
        self.here(*breaks)

    def leave(self, to):
        """Emit what is done on the way out of blocks, with a value on the stack."""
        kept = self.around
        while len(self.around) > to:
            block, self.around = self.around[-1], self.around[:-1]
            if block[0] != "loop":
                self.emit("END_BLOCK")
            if block[0] == "with":
                self.emit("EXIT")
            elif block[0] == "finally":
                self.block(block[1])
            elif block[0] == "loop" and block[3]:
                self.emit("DROP_WALK")
        self.around = kept

    def s_Return(self, node):
        self.expr(node.value or ast.Constant(None))
        self.leave(0)
        self.emit("RETURN")

    def s_Break(self, node):
        at = max(number for number, block in enumerate(self.around) if block[0] == "loop")
        self.emit("CONST", None)
        self.leave(at)  # takes the iterator away, too
        self.emit("POP")
        self.around[at][2].append(self.emit("JUMP", None))

    def s_Continue(self, node):
        at = max(number for number, block in enumerate(self.around) if block[0] == "loop")
        self.emit("CONST", None)
        self.leave(at + 1)
        self.emit("POP")
        self.emit("JUMP", self.around[at][1])

    def s_With(self, node):
        first, *rest = node.items
        self.expr(first.context_expr)
        self.emit("ENTER")
        caught = self.emit("BLOCK", None)
        self.around.append(("with",))
        if rest:
            self.s_With(ast.With(rest, node.body))
        else:
            self.block(node.body)
        self.around.pop()
        self.emit("END_BLOCK")
        self.emit("CONST", None)
        self.emit("EXIT")
        self.emit("POP")
        end = self.emit("JUMP", None)
        self.here(caught)
        self.emit("EXIT")
        self.emit("RAISE_TOP")
        self.here(end)

    def s_Try(self, node):
        if node.finalbody:
            caught = self.emit("BLOCK", None)
            self.around.append(("finally", node.finalbody))
            self.handled(node)
            self.around.pop()
            self.emit("END_BLOCK")
            self.block(node.finalbody)
            end = self.emit("JUMP", None)
            self.here(caught)
            self.block(node.finalbody)
            self.emit("RAISE_TOP")
            self.here(end)
        else:
            self.handled(node)

    def handled(self, node):
        """Emit a try statement without its finally."""
        if not node.handlers:
            self.block(node.body)
            return
        caught = self.emit("BLOCK", None)
        self.around.append(("except",))
        self.block(node.body)
        self.around.pop()
        self.emit("END_BLOCK")
        self.block(node.orelse)
        ends = [self.emit("JUMP", None)]
        self.here(caught)
        for handler in node.handlers:
            other = self.emit("UNLESS_ERROR", None, error_names(handler.type))
            self.block(handler.body)
            ends.append(self.emit("JUMP", None))
            self.here(other)
        self.emit("RAISE_TOP")
        self.here(*ends)

    def s_Raise(self, node):
        name = node.exc.func.id if isinstance(node.exc, ast.Call) else node.exc.id
        self.emit("RAISE", name)

    def s_Assert(self, node):
        self.expr(node.test)
        self.emit("TEST")
        end = self.emit("IF", None)
        self.emit("RAISE", "AssertionError")
        self.here(end)

    def s_FunctionDef(self, node):
        self.emit("FUNCTION", Code(self.program, node.name, node, self).number)
        self.name("STORE", node.name)

    def s_ClassDef(self, node):
        methods, properties, setters = {}, {}, {}
        for item in node.body:
            code = Code(self.program, item.name, item, self).number
            marks = [ast.unparse(one) for one in item.decorator_list]
            (properties if "property" in marks else setters if marks else methods)[item.name] = code
        self.program.classes.append((methods, properties, setters))
        self.emit("CLASS", len(self.program.classes) - 1)
        self.name("STORE", node.name)


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
    return tuple(ast.unparse(item).rpartition(".")[2] for item in (node.elts if isinstance(node, ast.Tuple) else [node]))


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
        module = Code(self, "<module>", None, None)
        module.rows.clear()
        module.block(tree.body)
        module.emit("CONST", None)
        module.emit("RETURN")

    def slot(self, name):
        return self.slots.setdefault(name, len(self.slots))


# ------------------------------------------------------------------------------------------------ running
def frame_of(program, function, given, role=CALL, named=()):
    """Return a new frame for a call of a function."""
    code = program.codes[function.data[0]]
    count = len(given) - len(named)
    values = [None] * len(code.names)
    for number, default in enumerate(code.defaults, len(code.parameters) - len(code.defaults)):
        values[number] = default
    values[:count] = given[:count]
    for name, value in zip(named, given[count:], strict=True):
        values[code.names[name]] = value
    return [code.number, 0, [], values, function.data[1], [], role]


def thread_of(program, called, given):
    """Return a new thread that is about to call a function."""
    if called.kind == BOUND:
        called, given = called.data[0], [called.data[1], *given]
    return [[frame_of(program, called, list(given))], RUNS, None, None, None]


class Run:
    """One state, in which steps can be taken: the program's globals, threads, and how many have begun."""

    def __init__(self, program, state):
        self.program = program
        self.globals, self.threads = state
        self.number, self.frame = -1, None

    # -------------------------------------------------------------------------------- steps
    def alone(self, called, *given):
        """Call a function while no thread runs, and return its value."""
        thread = thread_of(self.program, called, given)
        kept, self.threads, self.number = self.threads, {-1: thread}, -1
        while thread[STATUS] == RUNS:
            self.frame = thread[FRAMES][-1]
            assert not self.seen() or self.possible(thread), "waits while no thread runs"
            self.execute(thread)
        self.threads = kept
        assert thread[ERROR] is None, ERRORS[thread[ERROR]]
        return thread[RETURNED]

    def enabled(self, number):
        """Return True if a thread can take a step."""
        thread = self.threads[number]
        if thread[STATUS] == ENDED:
            return False
        self.number, self.frame = number, thread[FRAMES][-1] if thread[FRAMES] else None
        return self.possible(thread)

    def step(self, number):
        """Let a thread take a step: what is visible, and then all up to the next that is."""
        thread = self.threads[number]
        self.number, self.frame = number, thread[FRAMES][-1] if thread[FRAMES] else None
        self.execute(thread)
        self.advance(number)

    def advance(self, number):
        thread = self.threads[number]
        for _ in range(LOCAL_MOST):
            if thread[STATUS] == ENDED or thread[PHASE]:
                return
            self.number, self.frame = number, thread[FRAMES][-1]
            if self.seen():
                return
            self.execute(thread)
        raise TooLarge

    def execute(self, thread):
        """Execute one instruction, or the second step of an operation."""
        if thread[PHASE]:
            self.go_on(thread)
            return
        frame = self.frame
        row = self.program.codes[frame[CODE]].rows[frame[PC]]
        frame[PC] += 1
        try:
            getattr(self, f"i_{row[0]}")(frame[STACK], *row[1:])
        except Raised as raised:
            self.unwind(thread, raised.args[0])

    def unwind(self, thread, error):
        while thread[FRAMES]:
            frame = thread[FRAMES][-1]
            if frame[BLOCKS]:
                frame[PC], depth = frame[BLOCKS].pop()
                del frame[STACK][depth:]
                frame[STACK].append(error)
                return
            thread[FRAMES].pop()
        self.end(thread, error, None)

    def end(self, thread, error, value):
        thread[ERROR], thread[RETURNED] = error, value
        if self.program.finally_ends and self.number > 0:
            thread[PHASE] = [END]
        else:
            thread[STATUS] = ENDED

    # -------------------------------------------------------------------------------- what others can see
    def row(self):
        return self.program.codes[self.frame[CODE]].rows[self.frame[PC]]

    def seen(self):
        """Return True if the next instruction is a step of its own."""
        if self.frame is None:
            return True
        name, *given = self.row()
        stack = self.frame[STACK]
        if name in {"ENTER", "EXIT"}:
            return True
        if name in {"LOAD_GLOBAL", "STORE_GLOBAL"}:
            return given[1]
        if name in {"LOAD", "STORE"}:
            return given[2]
        if name in {"ATTR", "STORE_ATTR"}:
            return given[1] and given[0] not in self.program.classes[stack[-1].data[0]][1]
        if name == "METHOD":
            owner = stack[-1 - given[1]]
            return shared(owner) or (isinstance(owner, Thing) and owner.kind not in {OBJECT, CLASS})
        if name == "MAKE":
            return False
        places = {"ITEM": (-2,), "STORE_ITEM": (-2,), "DELETE_ITEM": (-2,), "BINARY": (-1, -2), "TEST": (-1,)}
        places |= {"CHANGE": (-2, -1), "UNPACK": (-1,)}
        if name == "BINARY" and given[0] in {"Is", "IsNot"}:
            return False
        if name == "BUILTIN":
            return any(shared(item) for item in stack[len(stack) - given[1] :])
        if name == "NEXT":
            return shared(stack[-1].data[0])
        if name == "ITER":
            return shared(stack[-1])
        return any(shared(stack[at]) for at in places.get(name, ()))

    def possible(self, thread):
        """Return True if the next step does not have to wait."""
        if thread[PHASE]:
            kind, *given = thread[PHASE]
            if kind == WAKE:
                return given[1].data[0] and given[0].data[0].data[0] is None
            if kind == RETAKE:
                return given[0].data[0].data[0] is None
            return given[0].data[0] if kind in {WAIT_EVENT, LEAVE} else True
        name, *given = self.row()
        if name == "ENTER":
            return self.can_take(self.frame[STACK][-1])
        if name != "METHOD" or not isinstance(self.frame[STACK][-1 - given[1]], Thing):
            return True
        owner = self.frame[STACK][-1 - given[1]]
        if given[0] == "acquire":
            return self.can_take(owner)
        if owner.kind == QUEUE:
            return {"get": bool(owner.data[0]), "put": not full(owner)}.get(given[0], True)
        if owner.kind == THREAD and given[0] == "join":
            return owner.data[0] < 0 or self.threads[owner.data[0]][STATUS] == ENDED
        return True

    def can_take(self, owner):
        if owner.kind == SEMAPHORE:
            return owner.data[0] > 0
        lock = owner.data[0] if owner.kind == CONDITION else owner
        return lock.data[0] is None or (lock.data[2] and lock.data[0] == self.number)

    # -------------------------------------------------------------------------------- plain instructions
    def i_CONST(self, stack, value):
        stack.append(value)

    def i_POP(self, stack):
        stack.pop()

    def i_DUP(self, stack):
        stack.append(stack[-1])

    def i_DUP_TWO(self, stack):
        stack.extend(stack[-2:])

    def i_SWAP(self, stack):
        stack[-2:] = stack[:-3:-1]

    def i_THIRD(self, stack):
        stack.insert(-2, stack.pop())

    def i_KEEP(self, stack):
        """Keep the right operand of a comparison for the next one: l r -> r l r."""
        stack.insert(-2, stack[-1])

    def i_CHAIN(self, stack, end):
        """Go on with a chain of comparisons, or end it with the answer that ends it: r a -> r, or a."""
        answer = stack.pop()
        if not answer:
            stack[-1] = answer
            self.frame[PC] = end

    def i_LOAD_GLOBAL(self, stack, slot, _):
        stack.append(self.globals[slot])

    def i_STORE_GLOBAL(self, stack, slot, _):
        self.globals[slot] = stack.pop()

    def i_LOAD(self, stack, depth, number, _):
        stack.append((self.frame[VALUES] if depth == 0 else self.frame[OUTER][depth - 1])[number])

    def i_STORE(self, stack, depth, number, _):
        (self.frame[VALUES] if depth == 0 else self.frame[OUTER][depth - 1])[number] = stack.pop()

    def i_JUMP(self, _, to):
        self.frame[PC] = to

    def i_UNLESS(self, stack, to):
        if not stack.pop():
            self.frame[PC] = to

    def i_IF(self, stack, to):
        if stack.pop():
            self.frame[PC] = to

    def i_AND(self, stack, to):
        if stack.pop():
            stack.pop()
        else:
            self.frame[PC] = to

    def i_OR(self, stack, to):
        if stack.pop():
            self.frame[PC] = to
        else:
            stack.pop()

    def i_TEST(self, stack):
        stack.append(bool(stack.pop()))

    def i_UNARY(self, stack, how):
        value = stack.pop()
        stack.append(not value if how == "Not" else native(operator.neg, value))

    def i_BINARY(self, stack, how):
        right, left = stack.pop(), stack.pop()
        stack.append(native(BINARY[how], left, right))

    def i_CHANGE(self, stack, how):
        """Compute what an augmented assignment stores; a list is changed in place."""
        right, left = stack.pop(), stack.pop()
        stack.append(native(operator.iadd if isinstance(left, list) else BINARY[how], left, right))

    def i_BUILD(self, stack, kind, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        pairs = zip(given[::2], given[1::2], strict=True) if kind == "Dict" else ()
        stack.append(tuple(given) if kind == "Tuple" else given if kind == "List" else dict(pairs))

    def i_UNPACK(self, stack, count):
        values = list(stack.pop())
        if len(values) != count:
            fail(ValueError)
        stack.extend(reversed(values))

    def i_ITEM(self, stack):
        key, owner = stack.pop(), stack.pop()
        stack.append(native(operator.getitem, owner, key))

    def i_STORE_ITEM(self, stack):
        key, owner, value = stack.pop(), stack.pop(), stack.pop()
        native(operator.setitem, owner, key, value)

    def i_DELETE_ITEM(self, stack):
        key, owner = stack.pop(), stack.pop()
        native(operator.delitem, owner, key)

    def i_ITER(self, stack, private):  # noqa: FBT001 - an operand of the instruction
        source = stack.pop()
        source = tuple(source) if private or isinstance(source, range) else source
        stack.append(Thing(WALK, source, 0, len(source)))

    def i_NEXT(self, stack, end):
        walk = stack[-1]
        source, at, size = walk.data
        if isinstance(source, dict) and len(source) != size:
            fail(RuntimeError)
        if at >= len(source):
            stack.pop()
            self.frame[PC] = end
            return
        walk.data[1] += 1
        stack.append(list(source)[at] if isinstance(source, dict) else source[at])

    def i_APPEND(self, stack):
        value = stack.pop()
        stack[-2].append(value)

    def i_DROP_WALK(self, stack):
        del stack[-2]

    def i_BLOCK(self, stack, to):
        self.frame[BLOCKS].append((to, len(stack)))

    def i_END_BLOCK(self, _):
        self.frame[BLOCKS].pop()

    def i_RAISE(self, _, name):
        fail(next(one for one in ERRORS if one.__name__ == name))

    def i_RAISE_TOP(self, stack):
        raise Raised(stack.pop())

    def i_UNLESS_ERROR(self, stack, to, names):
        caught = tuple(CAUGHT.get(name) or next(one for one in ERRORS if one.__name__ == name) for name in names)
        if issubclass(ERRORS[stack[-1]], caught):
            stack.pop()
        else:
            self.frame[PC] = to

    def i_BUILTIN(self, stack, name, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        stack.append(native(BUILTINS[name], *given))

    # -------------------------------------------------------------------------------- functions and objects
    def i_FUNCTION(self, stack, number):
        outer = [self.frame[VALUES], *self.frame[OUTER]] if self.frame[CODE] else []
        stack.append(Thing(FUNCTION, number, outer))

    def i_CLASS(self, stack, number):
        stack.append(Thing(CLASS, number))

    def i_CALL(self, stack, count, named):
        count += len(named)
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        called = stack.pop()
        self.call(called, given, CALL, named)

    def call(self, called, given, role, named=()):
        frames = self.threads[self.number][FRAMES]
        if called.kind == BOUND:
            called, given = called.data[0], [called.data[1], *given]
        if called.kind == CLASS:
            made = Thing(OBJECT, called.data[0], {})
            code = self.program.classes[called.data[0]][0].get("__init__")
            if code is None:
                self.frame[STACK].append(made)
                return
            called, given, role = Thing(FUNCTION, code, []), [made, *given], INIT
        frames.append(frame_of(self.program, called, given, role, named))

    def i_RETURN(self, stack):
        value = stack.pop()
        thread = self.threads[self.number]
        gone = thread[FRAMES].pop()
        if not thread[FRAMES]:
            self.end(thread, None, value)
            return
        if gone[ROLE] != DROP:
            thread[FRAMES][-1][STACK].append(gone[VALUES][0] if gone[ROLE] == INIT else value)

    def i_ATTR(self, stack, name, _):
        owner = stack.pop()
        methods, properties, _ = self.program.classes[owner.data[0]]
        if name in properties:
            self.call(Thing(FUNCTION, properties[name], []), [owner], CALL)
        elif name in methods:
            stack.append(Thing(BOUND, Thing(FUNCTION, methods[name], []), owner))
        else:
            stack.append(owner.data[1][self.program.slot(name)])

    def i_STORE_ATTR(self, stack, name, _):
        owner, value = stack.pop(), stack.pop()
        _, properties, setters = self.program.classes[owner.data[0]]
        if name in properties:
            self.call(Thing(FUNCTION, setters[name], []), [owner, value], DROP)
        else:
            owner.data[1][self.program.slot(name)] = value

    def i_MAKE(self, stack, name, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        lock = Thing(LOCK, None, 0, True)
        makers = {
            "Lock": lambda: Thing(LOCK, None, 0, False),
            "RLock": lambda: lock,
            "Condition": lambda of=lock: Thing(CONDITION, of, []),
            "Semaphore": lambda value=1: Thing(SEMAPHORE, value, None),
            "BoundedSemaphore": lambda value=1: Thing(SEMAPHORE, value, value),
            "Event": lambda: Thing(EVENT, False, []),
            "Queue": lambda most=0: Thing(QUEUE, [], most, 0),
            "LifoQueue": lambda most=0: Thing(QUEUE, [], most, -1),
            "Barrier": lambda parties: Thing(BARRIER, parties, 0, []),
            "Thread": lambda function, arguments: Thing(THREAD, -1, function, arguments),
            "sleep": lambda _: None,
        }
        stack.append(makers[name](*given))

    # -------------------------------------------------------------------------------- methods
    def i_METHOD(self, stack, name, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        owner = stack.pop()
        if not isinstance(owner, Thing):
            value = native(getattr(owner, name), *given)
            stack.append(list(value) if name in {"values", "keys", "items"} else value)
        elif owner.kind == OBJECT:
            self.call(Thing(FUNCTION, self.program.classes[owner.data[0]][0][name], []), [owner, *given], CALL)
        else:
            kind = ["lock", "condition", "semaphore", "event", "queue", "barrier", "thread"][owner.kind]
            value = getattr(self, f"{kind}_{name.replace(' ', '_')}")(owner, *given)
            if not self.threads[self.number][PHASE] or value is not None:
                stack.append(value)

    def i_ENTER(self, stack):
        owner = stack[-1]
        if owner.kind == SEMAPHORE:
            self.semaphore_acquire(owner)
        else:
            self.lock_acquire(owner.data[0] if owner.kind == CONDITION else owner)

    def i_EXIT(self, stack):
        owner = stack.pop(-2)
        if owner.kind == SEMAPHORE:
            self.semaphore_release(owner)
        else:
            self.lock_release(owner.data[0] if owner.kind == CONDITION else owner)

    def lock_acquire(self, lock):
        lock.data[0] = self.number
        lock.data[1] += 1
        return True

    def lock_acquire_or_not(self, lock):
        return self.can_take(lock) and self.lock_acquire(lock)

    def lock_release(self, lock):
        if lock.data[0] is None or (lock.data[2] and lock.data[0] != self.number):
            fail(RuntimeError)
        lock.data[1] -= 1
        if lock.data[1] == 0:
            lock.data[0] = None

    def lock_locked(self, lock):
        return lock.data[0] is not None

    def condition_acquire(self, condition):
        return self.lock_acquire(condition.data[0])

    def condition_release(self, condition):
        self.lock_release(condition.data[0])

    def held(self, condition):
        owner, _, reentrant = condition.data[0].data
        if not (owner == self.number if reentrant else owner is not None):
            fail(RuntimeError)

    def condition_wait(self, condition, kind=WAKE):
        self.held(condition)
        ticket = Thing(TICKET, False)
        lock = condition.data[0]
        condition.data[1].append(ticket)
        self.threads[self.number][PHASE] = [kind, condition, ticket, lock.data[1]]
        lock.data[:2] = None, 0

    def condition_wait_or_not(self, condition):
        self.condition_wait(condition, LATE)

    def condition_notify(self, condition, count=1):
        self.held(condition)
        for ticket in condition.data[1][:count]:
            ticket.data[0] = True
        del condition.data[1][:count]

    def condition_notify_all(self, condition):
        self.condition_notify(condition, len(condition.data[1]))

    def semaphore_acquire(self, semaphore):
        semaphore.data[0] -= 1
        return True

    def semaphore_acquire_or_not(self, semaphore):
        return semaphore.data[0] > 0 and self.semaphore_acquire(semaphore)

    def semaphore_release(self, semaphore):
        if semaphore.data[0] == semaphore.data[1]:
            fail(ValueError)
        semaphore.data[0] += 1

    def event_is_set(self, event):
        return event.data[0]

    def event_set(self, event):
        event.data[0] = True
        for ticket in event.data[1]:
            ticket.data[0] = True

    def event_clear(self, event):
        event.data[0] = False

    def event_wait(self, event, kind=WAIT_EVENT):
        if event.data[0]:
            return True
        event.data[1].append(Thing(TICKET, False))
        self.threads[self.number][PHASE] = [kind, event.data[1][-1], event]
        return None

    def event_wait_or_not(self, event):
        return self.event_wait(event, LATE_EVENT)

    def queue_put(self, items, item):
        items.data[0].append(item)

    def queue_put_nowait(self, items, item):
        if full(items):
            fail(queue.Full)
        items.data[0].append(item)

    queue_put_or_not = queue_put_nowait

    def queue_get(self, items):
        return items.data[0].pop(items.data[2])

    def queue_get_nowait(self, items):
        if not items.data[0]:
            fail(queue.Empty)
        return self.queue_get(items)

    queue_get_or_not = queue_get_nowait

    def queue_empty(self, items):
        return not items.data[0]

    def queue_qsize(self, items):
        return len(items.data[0])

    def barrier_wait(self, barrier):
        parties, index, tickets = barrier.data
        if index + 1 == parties:
            for ticket in tickets:
                ticket.data[0] = True
            barrier.data[1:] = 0, []
            return index
        tickets.append(Thing(TICKET, False))
        barrier.data[1] += 1
        self.threads[self.number][PHASE] = [LEAVE, tickets[-1], index]
        return None

    def thread_start(self, thread):
        if thread.data[0] >= 0:
            fail(RuntimeError)
        thread.data[0] = len(self.threads)
        new = thread_of(self.program, thread.data[1], thread.data[2])
        self.threads.append(new)
        if self.program.finally_ends:
            new[PHASE] = [BEGIN]
            return
        number, frame = self.number, self.frame
        self.advance(thread.data[0])
        self.number, self.frame = number, frame

    def thread_join(self, thread):
        if thread.data[0] < 0:
            fail(RuntimeError)

    def thread_is_alive(self, thread):
        return thread.data[0] >= 0 and self.threads[thread.data[0]][STATUS] == RUNS

    def go_on(self, thread):
        """Take the second step of an operation."""
        kind, *given = thread[PHASE]
        thread[PHASE] = None
        stack = self.frame[STACK] if self.frame is not None else []
        if kind == END:
            thread[STATUS] = ENDED
        elif kind in {WAKE, RETAKE}:
            condition, ticket, count, notified = (*given, True)[:4]
            condition.data[0].data[:2] = self.number, count
            if ticket in condition.data[1]:
                condition.data[1].remove(ticket)
            stack.append(notified)
        elif kind == LATE:
            thread[PHASE] = [RETAKE, *given, given[1].data[0]]
        elif kind in {WAIT_EVENT, LATE_EVENT}:
            given[1].data[1].remove(given[0])
            stack.append(given[0].data[0])
        elif kind == LEAVE:
            stack.append(given[1])


def full(items):
    return 0 < items.data[1] <= len(items.data[0])


def shared(value):
    """Return True if a value is a container that can change, or holds one."""
    return isinstance(value, (list, dict)) or (isinstance(value, tuple) and any(map(shared, value)))


# ------------------------------------------------------------------------------------------------ all states
def solve(source, workers, states_most, *, setup="", check="", outcome=""):
    """Try every interleaving of a program.

    Args:
        source: The module.
        workers: Names of the functions that the threads run; a text, and no list, for a main that starts them.
        states_most: States from which on it is too large.
        setup: Name of the function that makes the state.
        check: Name of the function that says what is right.
        outcome: Name of the function that says what counts.

    Raises:
        TooLarge: There are more states.
    """
    program = Program(source)
    run = Run(program, ([None] * 200, []))
    run.alone(Thing(FUNCTION, 0, []))
    functions = [run.globals[program.slots[name]] for name in ([workers] if isinstance(workers, str) else workers)]
    given = (run.alone(run.globals[program.slots[setup]]),) if setup else ()
    del run.globals[len(program.slots) :]
    run.threads = [thread_of(program, function, given) for function in functions]
    for number in range(len(functions)):
        run.advance(number)
    kept = (given, check, outcome, isinstance(workers, str))
    return _explored(program, kept, pickle.dumps((run.globals, run.threads, given), 5), states_most)


def _explored(program, kept, first, states_most):
    numbers, waiting, edges, ends, threads_most = {first: 0}, [first], {}, {}, 0
    for key in waiting:  # grows while it is walked
        own = numbers[key]
        state = pickle.loads(key)
        run = Run(program, state[:2])
        able = [number for number in range(len(run.threads)) if run.enabled(number)]
        edges[own] = []
        threads_most = max(threads_most, len(run.threads))
        for number in able:
            if state is None:
                state = pickle.loads(key)
                run = Run(program, state[:2])
            run.step(number)
            after = pickle.dumps((run.globals, run.threads, state[2]), 5)
            state = None
            if after not in numbers:
                numbers[after] = len(numbers)
                waiting.append(after)
                if len(numbers) > states_most:
                    raise TooLarge
            edges[own].append((number, numbers[after]))
        if not able:
            ends[own] = _end(run, kept, state[2])
    return _report(edges, ends, threads_most)


def _end(run, kept, given):
    """Return text and kind of an end."""
    _, check, outcome, single = kept
    if any(thread[STATUS] == RUNS for thread in run.threads):
        return DEADLOCK, DEADLOCK
    space = run.globals
    slots = run.program.slots
    threads = run.threads
    given = (threads[0][RETURNED],) if single else given
    errors = [
        f"{ERRORS[thread[ERROR]].__name__} in {'main' if single and not number else 'ABCDE'[number - single]}"
        for number, thread in enumerate(threads)
        if thread[ERROR] is not None
    ]
    text = "; ".join([repr(run.alone(space[slots[outcome]], *given)), *errors])
    if errors:
        return text, "exception"
    return text, None if run.alone(space[slots[check]], *given) else "wrong result"


def _report(edges, ends, threads_count):
    outcomes = {text for text, _ in ends.values()}
    wrong = {text for text, kind in ends.values() if kind}
    kinds = {kind for _, kind in ends.values() if kind}
    backward = defaultdict(list)
    for state, after in edges.items():
        for _, successor in after:
            backward[successor].append(state)
    can_end = _reach(ends, lambda state: backward[state])
    if len(can_end) < len(edges):
        outcomes.add(SPINS)
        wrong.add(SPINS)
        kinds.add(SPINS)
    if any(_fair(component, edges, threads_count) for component in _components(can_end, edges, backward)):
        kinds.add("livelock")
    return Answer(frozenset(outcomes), frozenset(wrong), frozenset(kinds), len(edges))
