"""Say which thread waits for what, and who holds it, when a run has passed its deadline. Rule: look, never touch.

Nothing is instrumented: until the deadline the threads run as they always do. Then a signal handler in the main thread
reads every thread's stack and the source of its lines. ``with lock:`` in a stack tells who holds what, and the line
that a thread stands on tells what it waits for. Names are looked up in variables, and no code of the student's is run.
"""

from __future__ import annotations

import ast
import dis
import linecache
import os
import signal
import sys
import threading
from collections import namedtuple
from functools import lru_cache
from itertools import islice

from labkit.child.emit import send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any

__all__ = ["SIGNAL", "install", "waits"]

SIGNAL = signal.SIGUSR2
_CALLS = ("acquire", "wait", "wait_for", "join", "get", "put")
_KINDS = {
    "lock": "lock",
    "RLock": "lock",
    "_RLock": "lock",
    "Semaphore": "semaphore",
    "BoundedSemaphore": "semaphore",
    "Condition": "condition",
    "Event": "event",
    "Barrier": "barrier",
    "Queue": "queue",
    "SimpleQueue": "queue",
    "LifoQueue": "queue",
    "Thread": "thread",
}
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_SENTENCES_MOST = 8

# A lock (or another object that can be waited for): its identity, what it is, and how the student's code names it.
Thing = namedtuple("Thing", "id kind name line")  # noqa: PYI024 - typing would add to the start-up time
# Where a thread stands: the thing that it waits for, and those that the same `with` statement took before.
Stand = namedtuple("Stand", "thing taken")  # noqa: PYI024
_NOWHERE = Stand(None, ())


def install() -> None:
    """From now on answer the signal with one record of sentences on the event pipe."""
    signal.signal(SIGNAL, lambda _number, _frame: send(["waits", waits()]))


def waits() -> list[str]:
    """Say for each thread that waits for something what it is, where, and which thread holds it."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = {names.get(ident, "unnamed"): list(_stack(top)) for ident, top in sys._current_frames().items()}  # noqa: SLF001
    stands = {thread: _stand(frames[0]) for thread, frames in stacks.items() if frames}
    held: dict[int, str] = {}
    for thread, frames in stacks.items():
        for thing in (*_held(frames), *stands.get(thread, _NOWHERE).taken):
            held[thing.id] = thread
    sentences = []
    for thread, (thing, _) in sorted(stands.items()):
        if thing is not None:
            holder = {thread: "it itself", None: ""}.get(held.get(thing.id), f"thread {held.get(thing.id)}")
            whose = f" that {holder} holds" if holder else ""
            place = _place(stacks[thread][0], thing.line)
            sentences.append(f"thread {thread} waits for the {thing.kind} {thing.name}{whose}, {place}")
    return sentences[:_SENTENCES_MOST]


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Go through a thread's frames from where it stands, without those of the standard library."""
    while frame is not None:
        if not frame.f_code.co_filename.startswith((_LIBRARY, "<frozen")):
            yield frame
        frame = frame.f_back


def _held(frames: list[FrameType]) -> Iterator[Thing]:
    """Find what a thread holds: every ``with`` whose body one of its frames is in."""
    for frame in frames:
        line, column = _position(frame)
        for node in _own_nodes(frame):
            if isinstance(node, ast.With):
                first, last = node.body[0], node.end_lineno or node.lineno
                begun = line > node.lineno if column is None else (line, column) >= (first.lineno, first.col_offset)
                if begun and first.lineno <= line <= last:
                    things = (_thing(frame, item.context_expr) for item in node.items)
                    yield from (thing for thing in things if thing)


def _stand(frame: FrameType) -> Stand:
    """Find what a thread stands at, and what it has taken in the same ``with`` statement before."""
    line, column = _position(frame)
    found = [_nth_with(frame)]
    for node in _own_nodes(frame):
        if isinstance(node, ast.With):
            found += [(node.items, n) for n, item in enumerate(node.items) if _starts(item.context_expr, line, column)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS:
            call = ast.withitem(context_expr=node.func.value)
            found += [([call], 0)] if _starts(node, line, column) else []
    stands = []
    for items, number in (one for one in found if one):
        thing, *taken = (_thing(frame, item.context_expr) for item in reversed(items[: number + 1]))
        stands += [Stand(thing, [one for one in taken if one])] if thing else []
    return stands[0] if len(stands) == 1 else _NOWHERE  # of several, nobody knows which: say nothing


def _nth_with(frame: FrameType) -> tuple[list[ast.withitem], int] | None:
    """Find the ``with`` item that a frame enters, up to Python 3.12, which gives all items of one statement one place.

    They are counted: the n-th instruction that enters one belongs to the n-th item in the source.
    """
    if sys.version_info >= (3, 13):
        return None
    enters = [one.offset for one in dis.get_instructions(frame.f_code) if one.opname in ("BEFORE_WITH", "SETUP_WITH")]
    nodes = sorted((n for n in _own_nodes(frame) if isinstance(n, ast.With)), key=lambda n: (n.lineno, n.col_offset))
    items = [(node.items, number) for node in nodes for number in range(len(node.items))]
    if frame.f_lasti not in enters or len(enters) != len(items):  # a `finally` is compiled twice: then nobody knows
        return None
    return items[enters.index(frame.f_lasti)]


def _starts(node: ast.expr, line: int, column: int | None) -> bool:
    if isinstance(node, ast.Call) or sys.version_info >= (3, 13):
        return node.lineno == line and column in (None, node.col_offset)
    return False


def _position(frame: FrameType) -> tuple[int, int | None]:
    """Give the line and column at which a frame stands; no column before Python 3.11, which does not know it."""
    positions = getattr(frame.f_code, "co_positions", None)
    column = next(islice(positions(), frame.f_lasti // 2, None))[2] if positions else None
    return frame.f_lineno, column


def _thing(frame: FrameType, expression: ast.expr) -> Thing | None:
    value = _value(frame, expression)
    for kind in type(value).__mro__:
        if kind.__name__ in _KINDS and kind.__module__ in ("threading", "_thread", "queue", "_queue"):
            return Thing(id(value), _KINDS[kind.__name__], ast.unparse(expression), expression.lineno)
    return None


def _value(frame: FrameType, expression: ast.expr) -> Any:
    """Look a name, an attribute or an entry up, without running any code; None if that cannot be done."""
    if isinstance(expression, ast.Name):
        return frame.f_locals.get(expression.id, frame.f_globals.get(expression.id))
    if isinstance(expression, ast.Attribute):
        owner = _value(frame, expression.value)
        return getattr(owner, "__dict__", {}).get(expression.attr)
    if isinstance(expression, ast.Subscript):
        owner = _value(frame, expression.value)
        index = (
            expression.slice.value if isinstance(expression.slice, ast.Constant) else _value(frame, expression.slice)
        )
        if type(owner) in (list, tuple, dict) and type(index) in (int, str):
            try:
                return owner[index]
            except LookupError:
                return None
    return None


def _own_nodes(frame: FrameType) -> Iterator[ast.AST]:
    """Go through the syntax of a frame's own function, without that of functions inside it; nothing without source."""
    code, tree = frame.f_code, _parsed(frame.f_code.co_filename)
    functions = (ast.FunctionDef, ast.Lambda)
    own = [n for n in ast.walk(tree) if isinstance(n, functions) and _first_line(n) == code.co_firstlineno]
    todo: list[ast.AST] = list(ast.iter_child_nodes(own[0])) if len(own) == 1 else []
    while todo:
        node = todo.pop()
        if not isinstance(node, (*functions, ast.ClassDef)):
            yield node
            todo += ast.iter_child_nodes(node)


@lru_cache(maxsize=32)
def _parsed(file: str) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except SyntaxError:
        return ast.Module([], [])


def _first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    """Give the line on which Python says that a function begins: its first decorator's, if it has one."""
    decorators = getattr(node, "decorator_list", [])
    return int(decorators[0].lineno if decorators else node.lineno)


def _place(frame: FrameType, line: int) -> str:
    return f"line {line} of {os.path.basename(frame.f_code.co_filename)}, in {frame.f_code.co_name}"
