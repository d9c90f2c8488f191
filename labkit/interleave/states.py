"""The state of a program as a value: equal keys mean equal futures. Rule: where in doubt, the key is unique.

A state is the shared values, and for each thread what it is about to do, the position and local variables of its
frames, and what waits on their value stacks. Python does not show that stack. What is on it was computed since the
statement began, from local variables (which are shown), from what the operations of this statement have seen, and from
what its calls have returned: these are part of the state until a statement begins with nothing waiting
(`Place.fresh`).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import sys
import types
from typing import Any

from labkit.interleave.containers import ATOMS, View, kind_of
from labkit.interleave.hooks import Each, Entered
from labkit.interleave.ops import ENGINE, Op
from labkit.interleave.primitives import Model, state_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from labkit.interleave.execution import Controlled, Execution
    from labkit.interleave.world import World

__all__ = ["Tracker"]

_OF_MODELS = {f"{ENGINE}{name}" for name in ("locks", "waits", "threads", "queues")}
_DEPTH_MOST = 100
_CODE: tuple[type, ...] = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
    type,
    types.ModuleType,
)
_CODE += (range, slice)


class _Unhashable(Exception):  # noqa: N818 - says what a state is
    """A state holds something whose future cannot be read off: a suspended generator, an unknown object."""


class _Memory:
    """What one thread has seen since the statements of its frames began: a list per frame, outermost first.

    Level 0 stands for whoever called the thread's function, level n + 1 for frame n. A frame's level holds what its own
    operations have seen and what the calls that are over have returned: a call that is under way has given nothing yet.
    """

    __slots__ = ("at", "levels")

    def __init__(self) -> None:
        self.levels: list[list[Any]] = []
        self.at: list[tuple[Op, int]] = []


class Tracker:
    """Computes the keys of one execution's states."""

    def __init__(self, world: World) -> None:
        self.world = world

    # ------------------------------------------------------------------------------------------------ histories
    def stopped(self, thread: Controlled) -> None:
        """Take note that a thread has stopped before its next operation."""
        memory = self._memory(thread)
        self._note(memory)
        op = thread.op
        if op is None:
            return
        level = len(self._frames(thread))
        self._cut(memory, level, fresh=op.place is not None and op.place.fresh)
        memory.at.append((op, level))

    def at_loop(self, thread: Controlled, fresh: bool) -> None:  # noqa: FBT001 - a flag of the place
        """Take note that a thread is at the head of a while loop: nothing waits in this frame."""
        memory = self._memory(thread)
        self._note(memory)
        self._cut(memory, len(self._frames(thread)), fresh=fresh)

    def seen(self, thread: Controlled, what: str, value: Any, *, by_caller: bool = False) -> None:
        """Take note of a value that may wait on the value stack: what is returned, made, or raised."""
        memory = self._memory(thread)
        self._note(memory)
        level = len(self._frames(thread))
        self._cut(memory, level, fresh=False)
        memory.levels[max(0, level - by_caller)].append((what, value))

    def _memory(self, thread: Controlled) -> _Memory:
        if thread.memory is None:
            thread.memory = _Memory()
        return thread.memory  # type: ignore[no-any-return]

    def _note(self, memory: _Memory) -> None:
        for op, level in memory.at:
            memory.levels[level].append((op.kind, op.value))
            if op.value is op.target and op.target is not None:  # its content was read, which may change from now on
                memory.levels[level].append(("content", _frozen(op.value, ())))
        memory.at.clear()

    def _cut(self, memory: _Memory, level: int, *, fresh: bool) -> None:
        del memory.levels[level + 1 :]
        while len(memory.levels) <= level:
            memory.levels.append([])
        if fresh and level > 0:
            memory.levels[level] = []

    def _frames(self, thread: Controlled) -> list[types.FrameType]:
        """Return the frames of the student's code in a thread, outermost first."""
        frame = sys._current_frames().get(thread.ident)  # noqa: SLF001 - documented for CPython
        found = []
        while frame is not None:
            if self.world.is_our_frame(frame):
                found.append(frame)
            frame = frame.f_back
        return found[::-1]

    # ------------------------------------------------------------------------------------------------ keys
    def key(self, execution: Execution) -> Hashable:
        """Return the key of the state in which all threads have stopped; one of its kind if that cannot be told."""
        try:
            return self._key(execution)
        except _Unhashable:
            return object()

    def _key(self, execution: Execution) -> Hashable:
        if self.world.chance or self.world.changed_classes or self.world.changed_functions:
            raise _Unhashable("random numbers, or attributes of classes and functions, are part of the state")
        namer = _Namer()
        parts: list[Hashable] = [(name, namer.of(value)) for name, value in self.world.shared()]
        parts += [self._thread(thread, namer) for thread in execution.threads]
        parts += [namer.of(thread.function) for thread in execution.threads]  # it has the state that setup made
        parts += [namer.of(value) for value in self.world.hidden()]
        return tuple(parts)

    def _thread(self, thread: Controlled, namer: _Namer) -> Hashable:
        if thread.done:
            return ("done", type(thread.error).__name__, namer.of(thread.returned))
        op = thread.op
        if op is None:
            return ("starting",)
        spinning = op.kind == "spin" and op.enabled()
        frames = []
        levels = self._memory(thread).levels
        for number, frame in enumerate(self._frames(thread)):
            values = [(name, namer.of(value)) for name, value in sorted(frame.f_locals.items())]
            seen = namer.seen(levels[number + 1] if number + 1 < len(levels) else ())
            frames.append((id(frame.f_code), frame.f_lasti, tuple(values), seen))
        models = tuple(namer.model_frame(frame) for frame in self._model_frames(thread))
        entered = tuple(namer.of(manager) for manager in thread.entered)
        returned = namer.seen(levels[0] if levels else ())
        doing = (
            op.kind,
            id(op.place),
            spinning,
            namer.of(op.target),
            namer.of(op.value) if op.kind == "write" else None,
        )
        return (*doing, tuple(frames), models, entered, returned)

    def _model_frames(self, thread: Controlled) -> list[types.FrameType]:
        """Return the frames of models (a wait has a ticket, a barrier a generation) around the operation."""
        frame = sys._current_frames().get(thread.ident)  # noqa: SLF001
        found = []
        while frame is not None and not self.world.is_our_frame(frame):
            if frame.f_globals.get("__name__", "") in _OF_MODELS:
                found.append(frame)
            frame = frame.f_back
        return found


class _Namer:
    """Gives objects numbers in the order in which they are met, so that a key holds no address."""

    def __init__(self) -> None:
        self.met: dict[int, int] = {}
        self.kept: list[Any] = []
        self.depth = 0

    def of(self, value: Any) -> Hashable:
        """Return the canonical form of a value."""
        if isinstance(value, ATOMS):
            return (type(value).__name__, value)
        if id(value) in self.met:
            return ("again", self.met[id(value)])
        self.met[id(value)] = len(self.met)
        self.kept.append(value)
        self.depth += 1
        if self.depth > _DEPTH_MOST:
            raise _Unhashable("values are nested too deeply")
        form = self._form(value)
        self.depth -= 1
        return form

    def seen(self, rows: Iterable[tuple[str, Any]]) -> tuple[Hashable, ...]:
        """Return the canonical form of what a frame has seen."""
        return tuple((what, self.of(value)) for what, value in rows)

    def many(self, values: Any) -> tuple[Hashable, ...]:
        return tuple(self.of(value) for value in values)

    def _form(self, value: Any) -> Hashable:
        kind = kind_of(value)
        name = type(value).__name__
        if (kind or isinstance(value, tuple)) and getattr(value, "__dict__", None):  # a subclass, with attributes
            return (name, self._content(value, kind, name), self.of(vars(value)))
        if kind or isinstance(value, (tuple, frozenset)):
            return self._content(value, kind, name)
        if isinstance(value, Each):
            return (name, value.count, self._left(value), self.of(value.source), self.of(value.shared))
        if type(value) is View:
            return (name, type(value.real).__name__, self.of(value.container))
        if isinstance(value, Op):
            return (name, value.kind)
        if isinstance(value, Entered):
            return (name, self.of(value.manager))
        return self._object(value, name)

    def _content(self, value: Any, kind: str, name: str) -> Hashable:
        if kind == "dict":
            return (name, *((self.of(key), self.of(item)) for key, item in dict.items(value)))
        if kind == "set" or isinstance(value, frozenset):
            if not all(isinstance(item, ATOMS) for item in value):
                raise _Unhashable("a set holds objects")
            return (name, *((type(item).__name__, item) for item in value))  # equal sets may have another order
        return (name, *self.many(value))

    def _left(self, each: Each) -> Hashable:
        """Return what an iterator remembers of a dict, set or deque, beside how many items it has given."""
        iterator = each._next.__self__  # noqa: SLF001 - the iterator itself
        inside = each.source.container if type(each.source) is View else each.source
        if kind_of(inside) == "deque" and each.shared is not None:
            raise _Unhashable("an iterator of a deque is part of the state")
        if kind_of(inside) not in {"dict", "set"}:
            return iterator.__reduce__()[2:] if kind_of(inside) == "list" else None  # the index, if it is not over
        try:
            return self.many(iterator.__reduce__()[1][0])
        except RuntimeError:
            return "changed size"

    def _object(self, value: Any, name: str) -> Hashable:
        if isinstance(value, _CODE):
            return self._code(value, name)
        if type(value) is itertools.count:
            return (name, repr(value))
        if isinstance(value, BaseException):
            return (name, self.many(value.args), self.of(vars(value) or None), self.of(value.__cause__))
        if type(value).__module__.startswith(ENGINE):
            if not isinstance(value, Model):
                raise _Unhashable(f"a {name} is part of the state")
            return (name, self.of(state_of(value)))
        own = type(value).__module__ not in sys.stdlib_module_names or type(value) is types.SimpleNamespace
        if isinstance(getattr(value, "__dict__", None), dict) and own:
            if any(
                isinstance(item, types.MemberDescriptorType) for c in type(value).__mro__ for item in vars(c).values()
            ):
                raise _Unhashable("an object has slots")
            return (name, id(type(value)), *((key, self.of(item)) for key, item in value.__dict__.items()))
        raise _Unhashable(f"a {type(value).__qualname__} is part of the state")

    def _code(self, value: Any, name: str) -> Hashable:
        if isinstance(value, types.FunctionType):
            cells = [self._cell(cell) for cell in value.__closure__ or ()]
            given = (self.of(value.__defaults__), self.of(value.__kwdefaults__), self.of(value.__dict__ or None))
            return (name, id(value.__code__), *cells, *given)
        if isinstance(value, types.MethodType):
            return (name, self.of(value.__func__), self.of(value.__self__))
        if isinstance(value, functools.partial):
            return (name, self.of(value.func), self.many(value.args), self.of(value.keywords))
        if isinstance(value, types.BuiltinMethodType) and kind_of(value.__self__):
            return (name, value.__name__, self.of(value.__self__))
        if isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
            return (name, id(value))
        return (name, repr(value))  # a range or slice

    def _cell(self, cell: types.CellType) -> Hashable:
        try:
            return self.of(cell.cell_contents) if id(cell) not in self.met else ("again", self.met[id(cell)])
        except ValueError:
            return ("empty",)

    def model_frame(self, frame: types.FrameType) -> Hashable:
        """Return the state of a model's method that has stopped: its plain local values and its lists of them."""
        values = []
        for name, value in sorted(frame.f_locals.items()):
            # `more` holds accesses, and so addresses, that differ each time; its caller's state says what is in it
            if name != "more" and isinstance(value, (*ATOMS, list, tuple)):
                values.append((name, self.of(value)))
        return (frame.f_code.co_name, frame.f_lasti, tuple(values))


def _frozen(value: Any, around: tuple[int, ...]) -> Any:
    """Return a tuple of what is in a container now, with all that is in it; another value as it is."""
    value = value.container if type(value) is View else value
    if id(value) in around:
        return "again"
    kind, inner = kind_of(value), (*around, id(value))
    if kind == "dict":
        return tuple((_frozen(key, inner), _frozen(item, inner)) for key, item in dict.items(value))
    if kind or isinstance(value, (tuple, frozenset)):
        return (type(value).__name__, *(_frozen(item, inner) for item in value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return (value, *(_frozen(getattr(value, item.name, None), inner) for item in dataclasses.fields(value)))
    return value
