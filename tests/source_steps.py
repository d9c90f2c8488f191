"""Runs what source_compiler.py makes, instruction by instruction. Rule: shares nothing with labkit.interleave.

Some instructions are visible to other threads. A step of a thread is one of these, and then all up to its next one.
"""

from __future__ import annotations

import operator
import queue

from source_compiler import BUILTINS

__all__ = ["ERRORS", "Raised", "Steps", "Thing", "TooLarge"]

ERRORS = (
    *(KeyError, IndexError, ValueError, RuntimeError, ZeroDivisionError, AssertionError, TypeError),
    *(queue.Empty, queue.Full, UnboundLocalError),
)
CAUGHT = {"Exception": Exception, "LookupError": LookupError, "Empty": queue.Empty, "Full": queue.Full}
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


class Steps:
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
        look = LOOKS.get(name)
        return look is not None and bool(look(self, self.frame[STACK], *given))

    def possible(self, thread):
        """Return True if the next step does not have to wait."""
        if thread[PHASE]:
            return self.can_go_on(*thread[PHASE])
        name, *given = self.row()
        if name == "enter":
            return self.can_take(self.frame[STACK][-1])
        if name != "method" or not isinstance(self.frame[STACK][-1 - given[1]], Thing):
            return True
        return self.can_call(self.frame[STACK][-1 - given[1]], given[0])

    def can_call(self, owner, name):
        if name == "acquire":
            return self.can_take(owner)
        if owner.kind == QUEUE:
            return {"get": bool(owner.data[0]), "put": not full(owner)}.get(name, True)
        if owner.kind == THREAD and name == "join":
            return owner.data[0] < 0 or self.threads[owner.data[0]][STATUS] == ENDED
        return True

    def can_go_on(self, kind, *given):
        if kind == WAKE:
            return given[1].data[0] and given[0].data[0].data[0] is None
        if kind == RETAKE:
            return given[0].data[0].data[0] is None
        return given[0].data[0] if kind in {WAIT_EVENT, LEAVE} else True

    def can_take(self, owner):
        if owner.kind == SEMAPHORE:
            return owner.data[0] > 0
        lock = owner.data[0] if owner.kind == CONDITION else owner
        return lock.data[0] is None or (lock.data[2] and lock.data[0] == self.number)

    # -------------------------------------------------------------------------------- plain instructions
    def i_const(self, stack, value):
        stack.append(value)

    def i_pop(self, stack):
        stack.pop()

    def i_dup(self, stack):
        stack.append(stack[-1])

    def i_dup_two(self, stack):
        stack.extend(stack[-2:])

    def i_swap(self, stack):
        stack[-2:] = stack[:-3:-1]

    def i_third(self, stack):
        stack.insert(-2, stack.pop())

    def i_keep(self, stack):
        """Keep the right operand of a comparison for the next one: l r -> r l r."""
        stack.insert(-2, stack[-1])

    def i_chain(self, stack, end):
        """Go on with a chain of comparisons, or end it with the answer that ends it: r a -> r, or a."""
        answer = stack.pop()
        if not answer:
            stack[-1] = answer
            self.frame[PC] = end

    def i_load_global(self, stack, slot, _):
        stack.append(self.globals[slot])

    def i_store_global(self, stack, slot, _):
        self.globals[slot] = stack.pop()

    def i_load(self, stack, depth, number, _):
        stack.append((self.frame[VALUES] if depth == 0 else self.frame[OUTER][depth - 1])[number])

    def i_store(self, stack, depth, number, _):
        (self.frame[VALUES] if depth == 0 else self.frame[OUTER][depth - 1])[number] = stack.pop()

    def i_jump(self, _, to):
        self.frame[PC] = to

    def i_unless(self, stack, to):
        if not stack.pop():
            self.frame[PC] = to

    def i_if(self, stack, to):
        if stack.pop():
            self.frame[PC] = to

    def i_and(self, stack, to):
        if stack.pop():
            stack.pop()
        else:
            self.frame[PC] = to

    def i_or(self, stack, to):
        if stack.pop():
            self.frame[PC] = to
        else:
            stack.pop()

    def i_test(self, stack):
        stack.append(bool(stack.pop()))

    def i_unary(self, stack, how):
        value = stack.pop()
        stack.append(not value if how == "Not" else native(operator.neg, value))

    def i_binary(self, stack, how):
        right, left = stack.pop(), stack.pop()
        stack.append(native(BINARY[how], left, right))

    def i_change(self, stack, how):
        """Compute what an augmented assignment stores; a list is changed in place."""
        right, left = stack.pop(), stack.pop()
        stack.append(native(operator.iadd if isinstance(left, list) else BINARY[how], left, right))

    def i_build(self, stack, kind, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        pairs = zip(given[::2], given[1::2], strict=True) if kind == "Dict" else ()
        stack.append(tuple(given) if kind == "Tuple" else given if kind == "List" else dict(pairs))

    def i_unpack(self, stack, count):
        values = list(stack.pop())
        if len(values) != count:
            fail(ValueError)
        stack.extend(reversed(values))

    def i_item(self, stack):
        key, owner = stack.pop(), stack.pop()
        stack.append(native(operator.getitem, owner, key))

    def i_store_item(self, stack):
        key, owner, value = stack.pop(), stack.pop(), stack.pop()
        native(operator.setitem, owner, key, value)

    def i_delete_item(self, stack):
        key, owner = stack.pop(), stack.pop()
        native(operator.delitem, owner, key)

    def i_iter(self, stack, private):
        source = stack.pop()
        source = tuple(source) if private or isinstance(source, range) else source
        stack.append(Thing(WALK, source, 0, len(source)))

    def i_next(self, stack, end):
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

    def i_append(self, stack):
        value = stack.pop()
        stack[-2].append(value)

    def i_drop_walk(self, stack):
        del stack[-2]

    def i_block(self, stack, to):
        self.frame[BLOCKS].append((to, len(stack)))

    def i_end_block(self, _):
        self.frame[BLOCKS].pop()

    def i_raise(self, _, name):
        fail(next(one for one in ERRORS if one.__name__ == name))

    def i_raise_top(self, stack):
        raise Raised(stack.pop())

    def i_unless_error(self, stack, to, names):
        caught = tuple(CAUGHT.get(name) or next(one for one in ERRORS if one.__name__ == name) for name in names)
        if issubclass(ERRORS[stack[-1]], caught):
            stack.pop()
        else:
            self.frame[PC] = to

    def i_builtin(self, stack, name, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        stack.append(native(BUILTINS[name], *given))


def full(items):
    return 0 < items.data[1] <= len(items.data[0])


def shared(value):
    """Return True if a value is a container that can change, or holds one."""
    return isinstance(value, (list, dict)) or (isinstance(value, tuple) and any(map(shared, value)))


def of_method(_, stack, __, count):
    owner = stack[-1 - count]
    return shared(owner) or (isinstance(owner, Thing) and owner.kind not in {OBJECT, CLASS})


def of_attribute(run, stack, name, hot):
    return hot and name not in run.program.classes[stack[-1].data[0]][1]


# For each instruction that others may see: whether they do.
LOOKS = {
    "enter": lambda *_: True,
    "exit": lambda *_: True,
    "load_global": lambda *given: given[-1],
    "store_global": lambda *given: given[-1],
    "load": lambda *given: given[-1],
    "store": lambda *given: given[-1],
    "attr": of_attribute,
    "store_attr": of_attribute,
    "method": of_method,
    "item": lambda _, stack: shared(stack[-2]),
    "store_item": lambda _, stack: shared(stack[-2]),
    "delete_item": lambda _, stack: shared(stack[-2]),
    "change": lambda _, stack, __: shared(stack[-2]) or shared(stack[-1]),
    "binary": lambda _, stack, how: how not in {"Is", "IsNot"} and (shared(stack[-2]) or shared(stack[-1])),
    "test": lambda _, stack: shared(stack[-1]),
    "unpack": lambda _, stack, __: shared(stack[-1]),
    "iter": lambda _, stack, __: shared(stack[-1]),
    "next": lambda _, stack, __: shared(stack[-1].data[0]),
    "builtin": lambda _, stack, __, count: any(shared(item) for item in stack[len(stack) - count :]),
}
