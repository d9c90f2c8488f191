"""Say which thread waits for what, and who holds it, when a run has passed its deadline. Rule: look, never touch.

Nothing is instrumented: until the deadline the threads run as they always do. Then a signal handler in the main thread
reads every thread's stack and the source of its lines. ``with lock:`` in a stack tells who holds what, and the line
that a thread stands on tells what it waits for. Names are looked up in variables, and no code of the student's is run.
"""

from __future__ import annotations

import ast
import dis
import linecache
import operator
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
    from collections.abc import Iterator, Sequence
    from types import FrameType
    from typing import Any

__all__ = ["SIGNAL", "Edge", "asked", "circle", "edges", "install", "waits"]

SIGNAL = signal.SIGUSR2
asked: list[bool] = []  # no longer empty once the deadline has passed: then the main thread stands in this file
_ENDLESS = ("send", "sendall", "send_bytes", "recv", "recv_into", "recv_bytes", "accept")  # they know no time limit
_CALLS = ("acquire", "wait", "wait_for", "join", "get", "put", *_ENDLESS)
_OPEN = ("connection", "socket")  # a `with` closes these at its end; it holds nothing that another may wait for
_ROOMS = ("threading", "_thread", "queue", "_queue", "socket", "multiprocessing.queues", "multiprocessing.connection")
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
    "Connection": "connection",
    "socket": "socket",
}
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_SENTENCES_MOST = 8
_AGAIN = ("RLock", "_RLock", "Condition")  # their owner may take them again
_SUMS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mod: operator.mod}  # in an index, of whole numbers
_PLAIN_LOCK = type(threading.Lock())
_EVER, _LIMITED, _NEVER = "for ever", "for a limited time", "not at all"

# A lock (or another object that can be waited for): its identity, what it is, and how the student's code names it.
# Then the name with its indices looked up (`forks[1]` for `forks[me]`), whether its owner may take it again, and a
# thread's own identity: whoever waits for a thread waits for its end.
Thing = namedtuple("Thing", "id kind name line label again holder")  # noqa: PYI024 - typing would add to the start-up time
# Where a thread stands: the thing that it waits for, those that the same `with` statement took before, and whether it
# waits for a limited time only.
Stand = namedtuple("Stand", "thing taken timed")  # noqa: PYI024
_NOWHERE = Stand(None, (), False)  # noqa: FBT003 - a field of a tuple
# One thread that waits: for what (its kind, and its name there), who holds that (a thread's name, or None if nobody can
# say), and in which line. Then what tells two things of one name apart; its label; label and line with which the holder
# took it (empty and 0 if unknown); and whether the thread waits for a limited time only.
Edge = namedtuple("Edge", "thread kind name holder place thing label held_as held_line timed")  # noqa: PYI024


def install() -> None:
    """From now on answer the signal with one record of sentences on the event pipe."""
    signal.signal(SIGNAL, _answer)


def _answer(*_: object) -> None:
    asked.append(True)
    send(["waits", waits()])


def waits() -> list[str]:
    """Say for each thread that waits for something what it is, where, and which thread holds it."""
    return [_sentence(edge) for edge in edges()][:_SENTENCES_MOST]


def edges(*, without: tuple[int, ...] = ()) -> list[Edge]:
    """Find which thread waits for what, and who holds it: the edges of the wait-for graph, by name of the thread.

    Args:
        without: Identities of threads that are left out, such as the one that looks on.
    """
    tops = sys._current_frames()  # noqa: SLF001 - documented, in spite of its name
    known = {thread.ident: thread.name for thread in threading.enumerate()}
    names = _told_apart({ident: known.get(ident, "unnamed") for ident in tops})
    stacks = {names[ident]: list(_stack(top)) for ident, top in tops.items() if ident not in without}
    stands = {thread: _stand(frames[0]) for thread, frames in stacks.items() if frames}
    held: dict[int, tuple[str, Thing]] = {}
    for thread, frames in stacks.items():
        stand = stands.get(thread, _NOWHERE)
        let_go = stand.thing.id if stand.thing and stand.thing.kind == "condition" else None  # who waits for it lets go
        held.update({one.id: (thread, one) for one in (*_held(frames), *stand.taken) if one.id != let_go})
    found = []
    for thread, (thing, _, timed) in sorted(stands.items()):
        if thing is not None:
            holder, had = held.get(thing.id, (names.get(thing.holder), None))
            if holder == thread and thing.again:
                continue  # it stands there, but it may pass
            place = _place(stacks[thread][0], thing.line)
            as_, since = (had.label, had.line) if had else ("", 0)
            found.append(Edge(thread, thing.kind, thing.name, holder, place, thing.id, thing.label, as_, since, timed))
    return found


def circle(found: Sequence[Edge]) -> list[Edge]:
    """Return edges that form a circle, in its order: each holder is the thread that waits next. Empty if none does.

    Only locks and threads count: what nobody in particular holds, or several do, may still come from elsewhere.
    """
    by_thread = {edge.thread: edge for edge in found if edge.kind in ("lock", "thread")}
    for start in sorted(by_thread):
        path = [by_thread[start]]
        while path[-1].holder in by_thread and by_thread[path[-1].holder] not in path:
            path.append(by_thread[path[-1].holder])
        if path[-1].holder == start:
            return path
    return []


def _sentence(edge: Edge) -> str:
    holder = "it itself" if edge.holder == edge.thread else f"thread {edge.holder}"
    whose = f" that {holder} holds" if edge.holder and edge.kind != "thread" else ""
    return f"thread {edge.thread} waits for the {edge.kind} {edge.name}{whose}, {edge.place}"


def _told_apart(names: dict[int, str]) -> dict[int, str]:
    """Number the threads whose names are taken already, so that a name is one thread."""
    seen: dict[str, int] = {}
    told = {}
    for ident, name in sorted(names.items()):
        seen[name] = seen.get(name, 0) + 1
        told[ident] = name if seen[name] == 1 else f"{name} [{seen[name]}]"
    return told


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Go through a thread's frames from where it stands, without those of the standard library and of this file.

    The main thread looks on by itself, out of whatever it waited in.
    """
    while frame is not None:
        if not frame.f_code.co_filename.startswith((_LIBRARY, "<frozen", __file__)):
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
                    yield from (thing for thing in things if thing and thing.kind not in _OPEN)


def _stand(frame: FrameType) -> Stand:
    """Find what a thread stands at, and what it has taken in the same ``with`` statement before."""
    line, column = _position(frame)
    entered = _nth_with(frame)
    found = [(*entered, _EVER)] if entered else []
    for node in _own_nodes(frame):
        if isinstance(node, ast.With):
            starts = [n for n, item in enumerate(node.items) if _starts(item.context_expr, line, column)]
            found += [(node.items, n, _EVER) for n in starts]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CALLS:
            call = ast.withitem(context_expr=node.func.value)
            found += [([call], 0, _patience(node))] if _starts(node, line, column) else []
    stands = []
    for items, number, patience in found:
        thing, *taken = (_thing(frame, item.context_expr) for item in reversed(items[: number + 1]))
        if thing and patience != _NEVER and not _is_free(frame, items[number].context_expr):
            stands.append(Stand(thing, [one for one in taken if one], patience == _LIMITED))
    return stands[0] if len(stands) == 1 else _NOWHERE  # of several, nobody knows which: say nothing


def _patience(call: ast.Call) -> str:
    """Tell how long a call may wait, as far as its arguments are constants: for ever, a limited time, or not at all."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in _ENDLESS:
        return _EVER
    # Positions of `block` and `timeout`; put(item, ...) and wait_for(predicate, ...) have one argument before them.
    block = {"acquire": 0, "get": 0, "put": 1}.get(name)
    timeout = {"acquire": 1, "get": 1, "put": 2, "wait_for": 1}.get(name, 0)
    given = dict(enumerate(call.args)) | {one.arg: one.value for one in call.keywords}
    blocks = given.get("blocking", given.get("block", given.get(block)))
    limit = given.get("timeout", given.get(timeout))
    zero = isinstance(limit, ast.Constant) and limit.value == 0
    if zero or (isinstance(blocks, ast.Constant) and not blocks.value):
        return _NEVER
    return _LIMITED if limit is not None and ast.unparse(limit) not in ("None", "-1") else _EVER


def _is_free(frame: FrameType, expression: ast.expr) -> bool:
    """Say whether a plain lock is free: then a thread that stands at it passes now. Others do not tell."""
    value = _value(frame, expression)
    return type(value) is _PLAIN_LOCK and not value.locked()


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
        if kind.__name__ in _KINDS and kind.__module__ in _ROOMS:
            inside = getattr(value, "__dict__", {})
            one = id(inside.get("_lock", value)) if kind.__name__ == "Condition" else id(value)  # several may share it
            again, label = kind.__name__ in _AGAIN, _label(frame, expression)
            name, line = ast.unparse(expression), expression.lineno
            return Thing(one, _KINDS[kind.__name__], name, line, label, again, inside.get("_ident"))
    return None


def _label(frame: FrameType, expression: ast.expr) -> str:
    """Name a thing with its indices looked up; all that was found by `_value` can be."""
    if isinstance(expression, ast.Attribute):
        return f"{_label(frame, expression.value)}.{expression.attr}"
    if isinstance(expression, ast.Subscript):
        return f"{_label(frame, expression.value)}[{_value(frame, expression.slice)!r}]"
    return ast.unparse(expression)


def _value(frame: FrameType, expression: ast.expr) -> Any:
    """Look a name, an attribute or an entry up, without running any code; None if that cannot be done."""
    if isinstance(expression, ast.Name):
        return frame.f_locals.get(expression.id, frame.f_globals.get(expression.id))
    if isinstance(expression, ast.Attribute):
        owner = _value(frame, expression.value)
        return getattr(owner, "__dict__", {}).get(expression.attr)
    if isinstance(expression, ast.Subscript):
        owner = _value(frame, expression.value)
        index = _value(frame, expression.slice)
        if type(owner) in (list, tuple, dict) and type(index) in (int, str):
            try:
                return owner[index]
            except LookupError:
                return None
    if isinstance(expression, ast.BinOp) and type(expression.op) in _SUMS:
        left, right = _value(frame, expression.left), _value(frame, expression.right)
        if type(left) is type(right) is int and not (type(expression.op) is ast.Mod and right == 0):
            return _SUMS[type(expression.op)](left, right)
    return expression.value if isinstance(expression, ast.Constant) else None


def _own_nodes(frame: FrameType) -> tuple[ast.AST, ...]:
    """Return the syntax of a frame's own function, without that of functions inside it; nothing without source."""
    return _nodes_at(frame.f_code.co_filename, frame.f_code.co_firstlineno)


@lru_cache(maxsize=256)
def _nodes_at(file: str, line: int) -> tuple[ast.AST, ...]:
    functions = (ast.FunctionDef, ast.Lambda)
    own = [n for n in ast.walk(_parsed(file)) if isinstance(n, functions) and _first_line(n) == line]
    todo: list[ast.AST] = list(ast.iter_child_nodes(own[0])) if len(own) == 1 else []
    found = []
    while todo:
        node = todo.pop()
        if not isinstance(node, (*functions, ast.ClassDef)):
            found.append(node)
            todo += ast.iter_child_nodes(node)
    return tuple(found)


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
