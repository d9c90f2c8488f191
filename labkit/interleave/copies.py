"""Private copies of everything that a program can reach. Rule: the student's own objects are read, never changed.

Functions and classes are rewritten once; values are copied anew for every execution, aliases kept; locks, queues and
threads are replaced by models. What cannot be copied stays itself, and is refused as soon as the program touches it.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import inspect
import types
from abc import ABCMeta
from typing import Any

from labkit.interleave import known, models
from labkit.interleave.containers import ATOMS, kind_of
from labkit.interleave.instances import Instances
from labkit.interleave.known import Kind
from labkit.interleave.ops import CannotCheck
from labkit.interleave.outside import (
    DESCRIPTORS,
    REWRITTEN_LIBRARY,
    by_a_student,
    fixed_part,
    hidden_code,
    names_in,
    of_dataclass,
    refuser,
    rewritable_module,
    slots_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from labkit.interleave.rewrite import Hot
    from labkit.interleave.sources import Sources

__all__ = ["Copies"]

_FIRST_INSTRUCTION = 6  # a generator that begins stands before it, on every Python from 3.10 on
_OF_CLASSES = {"__dict__", "__weakref__"}


class Copies(Instances):
    """The copy of one program's functions, classes and values.

    Attributes:
        cells: Last value of each variable that several functions share, by name.
        output: What was printed during this execution.
        chance: True once the program asked for a random number.
    """

    def __init__(self, sources: Sources, hot: Hot) -> None:
        self.sources, self.hot = sources, hot
        self._builtins = dict(vars(builtins))
        self._overlays: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}  # id of globals -> (theirs, ours)
        self._ours: set[int] = set()
        self._theirs: set[int] = set()
        self._fixed: dict[int, tuple[Any, Any]] = {}  # id -> (original, twin), for all executions
        self._made: dict[int, tuple[Any, Any]] = {}  # likewise, for this execution
        self._cells: list[tuple[types.CellType, types.CellType]] = []
        self._defaults: list[tuple[types.FunctionType, types.FunctionType]] = []
        self._classes: dict[int, tuple[type, type | None]] = {}  # id of a class that is ours -> (it, its original)
        self.labels: dict[int, str] = {}  # id of a copied container -> a name that is the same in each execution
        self._roots: dict[str, int] = {}
        self._root = ""
        self.closed: dict[int, type] = {}  # classes whose code would run as it is
        self._variables: dict[str, types.CellType] = {}  # of enclosing functions, by name
        self.begin()

    def install(self, hooks: Mapping[str, Callable[..., Any]]) -> None:
        """Let the rewritten functions find the hooks, as if they were builtins."""
        self._builtins.update(hooks)

    def begin(self) -> None:
        """Forget the last execution: every value is copied anew from the student's."""
        self._made = {}
        self.cells: dict[str, Any] = {}
        self.output: list[str] = []
        self.chance = self.changed_functions = self.looped = False
        self.changed_classes: dict[int, type] = getattr(self, "changed_classes", {})
        self._numbers: dict[int, tuple[int, Any]] = {}
        self.held: dict[int, types.CellType] = {}  # cells of variables that threads have used
        self.steppers: dict[int, tuple[int, Any]] = {}  # iterators: who was the first to step through them
        self._serial: dict[int, int] = {}
        models.begin(self)
        self.labels = {}
        self._roots = {}
        for theirs, ours in self._overlays.values():
            for name in [name for name in ours if name not in theirs and name != "__builtins__"]:
                del ours[name]
            for name in [name for name in ours if name != "__builtins__"]:
                ours[name] = self._rooted(name, theirs[name])
        for old, new in self._cells:
            _copy_cell(old, new, self.twin)
        for old_function, new_function in self._defaults:
            self._give_defaults(old_function, new_function)
        self._renew_classes()

    def _renew_classes(self) -> None:
        for number in self.changed_classes:
            if number in self._classes:
                self._reset(*self._classes[number])
        for twin, kind in list(self._classes.values()):
            for name, value in list(vars(kind or object).items()):
                if kind is not None and not fixed_part(name, value):  # a list or lock of the class, say
                    type.__setattr__(twin, name, self._rooted(f"{kind.__qualname__}.{name}", value))

    # ------------------------------------------------------------------------------------------------ twins
    def twin(self, value: Any) -> Any:
        """Return what stands for one of the student's objects in this execution."""
        if type(value) in ATOMS:
            return value
        key = id(value)
        for memo in (self._made, self._fixed):
            if key in memo:
                return memo[key][1]
        shim = models.stand_in(value)
        if shim is not value:
            return shim
        kind = type(value)
        if kind is types.FunctionType:
            return self._function(value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, types.ModuleType):
            return self._module(value)
        return self._value(value, kind)

    def _value(self, value: Any, kind: type) -> Any:
        if kind is tuple:
            return self._keep(value, tuple(self.twin(item) for item in value))
        if kind is types.MethodType:
            return self._keep(value, types.MethodType(self.twin(value.__func__), self.twin(value.__self__)))
        if kind in {types.BuiltinMethodType, types.MethodWrapperType} and kind_of(value.__self__):
            return self._keep(value, getattr(self.twin(value.__self__), value.__name__))
        if kind is functools.partial:
            given = [self.twin(item) for item in value.args]
            named = {name: self.twin(item) for name, item in value.keywords.items()}
            return self._keep(value, functools.partial(self.twin(value.func), *given, **named))
        return self._copy(value, kind)

    def _keep(self, value: Any, twin: Any) -> Any:
        self._made[id(value)] = (value, twin)
        if kind_of(twin):
            self._roots[self._root] = count = self._roots.get(self._root, 0) + 1
            self.labels[id(twin)] = f"[]{self._root}#{count}"
        return twin

    def _rooted(self, root: str, value: Any) -> Any:
        """Return the twin of what the source calls by a name; the containers in it are labelled by that name."""
        before, self._root = self._root, root
        try:
            return self.twin(value)
        finally:
            self._root = before

    def _copy(self, value: Any, kind: type) -> Any:
        adopted = models.adopt(value, self._made)
        if adopted is not None:
            return self._keep(value, adopted)
        twin: Any
        if kind in {list, set, frozenset}:
            if kind is frozenset:
                return self._keep(value, frozenset(self.twin(item) for item in value))
            twin = self._keep(value, kind())
            (twin.extend if kind is list else twin.update)([self.twin(item) for item in value])
            return twin
        if kind is bytearray:
            return self._keep(value, bytearray(value))
        if kind_of(value) in {"dict", "deque"} and kind.__module__ in {"builtins", "collections"}:
            twin = self._keep(value, value.copy())
            pairs = [*value.items()] if kind_of(value) == "dict" else list(value)
            twin.clear()
            if kind_of(value) == "deque":
                twin.extend(self.twin(item) for item in pairs)
            else:
                twin.update((self.twin(name), self.twin(item)) for name, item in pairs)
                if hasattr(twin, "default_factory"):
                    twin.default_factory = self.twin(twin.default_factory)
            return twin
        return self._instance(value, kind)

    def hidden(self) -> list[Any]:
        """List what can change and is in no variable: parts of functions and classes, such as a default argument."""
        found: list[Any] = []
        for _, cell in self._cells:
            with contextlib.suppress(ValueError):  # no value yet
                found.append(cell.cell_contents)
        for _, function in self._defaults:
            found += [function.__defaults__, function.__kwdefaults__, function.__dict__ or None]
        for kind, _ in self._classes.values():
            found += [value for name, value in vars(kind).items() if not fixed_part(name, value)]
        return found

    # ------------------------------------------------------------------------------------------------ functions
    def stray(self, frame: types.FrameType) -> bool:
        """Return True for a frame of the student's code as it was typed: it runs unseen, and on the real objects."""
        code = frame.f_code
        closed = code.co_flags & inspect.CO_GENERATOR and frame.f_lasti > _FIRST_INSTRUCTION
        if id(frame.f_globals) not in self._theirs or closed or code.co_name == "__del__":
            return False  # what is no part of the program may be collected, or closed, at any moment
        return not code.co_filename.startswith("<")  # what dataclass and namedtuple have generated

    def is_ours(self, code: types.FunctionType | types.FrameType) -> bool:
        """Return True if a function, or a frame of one, runs rewritten."""
        return id(code.f_globals if isinstance(code, types.FrameType) else code.__globals__) in self._ours

    def _function(self, function: types.FunctionType) -> Any:
        if self.is_ours(function) or not self._rewritable(function):
            return function
        try:
            code = self.sources.rewritten(function.__code__)
        except CannotCheck as problem:
            return self._fixed.setdefault(id(function), (function, self._refusal(function, problem)))[1]
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        closure = tuple(self._cell(cells[name]) for name in code.co_freevars)
        ours = self._overlay(function.__globals__)
        twin = types.FunctionType(code, ours, function.__name__, None, closure)
        twin.__qualname__, twin.__module__, twin.__doc__ = function.__qualname__, function.__module__, function.__doc__
        self._fixed[id(function)] = (function, twin)
        self._variables.update(zip(code.co_freevars, closure, strict=True))
        self._defaults.append((function, twin))
        self._give_defaults(function, twin)
        self._fill(function.__globals__, names_in(function.__code__))
        return twin

    def _refusal(self, function: types.FunctionType, problem: CannotCheck) -> Any:
        """Return what stands for a function that cannot be rewritten: it is refused when it is called, not before."""
        if of_dataclass(function):
            return function

        def refuse(*_: object, **__: object) -> None:
            raise CannotCheck(problem.reason, problem.place)

        ours = self._overlay(function.__globals__)
        return types.FunctionType(
            refuse.__code__, {**ours, "CannotCheck": CannotCheck}, "refuse", None, refuse.__closure__
        )

    def _rewritable(self, function: types.FunctionType) -> bool:
        if known.kind(function) is not Kind.UNKNOWN:
            return False
        return rewritable_module(function.__globals__.get("__name__", "__main__"))

    def _cell(self, cell: types.CellType) -> types.CellType:
        for old, new in self._cells:
            if old is cell:
                return new
        new = types.CellType()
        self._cells.append((cell, new))
        self._later(lambda: _copy_cell(cell, new, self.twin))
        return new

    def _later(self, work: Callable[[], None]) -> None:
        """Do something when no class is half made: a method's cell may hold its own class."""
        if self._half_made:
            self._waiting.append(work)
        else:
            work()

    _half_made = 0
    _waiting: list[Callable[[], None]] = []  # noqa: RUF012 - replaced per object in _class

    def _give_defaults(self, function: types.FunctionType, twin: types.FunctionType) -> None:
        if function.__defaults__:
            twin.__defaults__ = tuple(self.twin(item) for item in function.__defaults__)
        if function.__kwdefaults__:
            twin.__kwdefaults__ = {name: self.twin(item) for name, item in function.__kwdefaults__.items()}
        if function.__dict__ or twin.__dict__:
            twin.__dict__.clear()
            twin.__dict__.update((name, self.twin(item)) for name, item in function.__dict__.items())

    def _overlay(self, theirs: dict[str, Any]) -> dict[str, Any]:
        if id(theirs) not in self._overlays:
            ours: dict[str, Any] = {"__builtins__": self._builtins}
            self._overlays[id(theirs)] = (theirs, ours)
            module = str(theirs.get("__name__", "__main__"))
            if rewritable_module(module) and module not in REWRITTEN_LIBRARY:
                self._theirs.add(id(theirs))
            self._ours.add(id(ours))
            self._fill(theirs, ["__name__"])
        return self._overlays[id(theirs)][1]

    def _fill(self, theirs: dict[str, Any], names: Iterable[str]) -> None:
        ours = self._overlay(theirs)
        for name in sorted(names):
            if name in theirs and name not in ours:
                ours[name] = None  # taken, while its value is under way
                ours[name] = self._rooted(name, theirs[name])

    # ------------------------------------------------------------------------------------------------ classes, modules
    def _class(self, kind: type) -> type:
        key = id(kind)
        if key in self._fixed:
            return self._fixed[key][1]  # type: ignore[no-any-return]
        meta = type(kind)
        if key in self._classes or not by_a_student(kind):
            return kind
        if meta not in {type, ABCMeta} and by_a_student(meta):
            meta = self._class(meta)
        plain = known.kind(kind) is not Kind.UNKNOWN or (meta not in {type, ABCMeta} and id(meta) not in self._classes)
        if plain:
            self._leave(kind)
            return kind
        if self._half_made == 0:
            self._waiting = []
        self._half_made += 1
        try:
            bases = tuple(self.twin(base) for base in kind.__bases__)
            twin: type = meta(kind.__name__, bases, self._members(kind))
        except TypeError:
            self._leave(kind)
            return kind
        finally:
            self._half_made -= 1
        twin.__qualname__, twin.__module__ = kind.__qualname__, kind.__module__
        self._fixed[key] = (kind, twin)
        self._classes[id(twin)] = (twin, kind)
        if self._half_made == 0:
            for work in self._waiting:
                work()
        return twin

    def _leave(self, kind: type) -> None:
        """Take note of a class that is not rewritten, such as an Enum, if Python itself would run its code."""
        found = [
            name
            for name, value in vars(kind).items()
            if (isinstance(value, property) and hidden_code(value.fget))
            or (name.startswith("__") and hidden_code(value))
        ]
        if found:
            self.closed[id(kind)] = kind
            news = {name for name in found if not name.startswith("__")} - self.hot.attributes
            if news:
                from labkit.interleave.hooks import Restart

                self.hot.attributes |= news
                raise Restart("reads a property of a class that is not rewritten")

    def _members(self, kind: type) -> dict[str, Any]:
        slots = slots_of(kind)
        members = {name: value for name, value in vars(kind).items() if name not in _OF_CLASSES and name not in slots}
        return {name: self._member(value) for name, value in members.items()}

    def _member(self, value: Any) -> Any:
        if isinstance(value, (staticmethod, classmethod)):
            return type(value)(self.twin(value.__func__))
        if isinstance(value, property):
            getter, setter, deleter = (item and self.twin(item) for item in (value.fget, value.fset, value.fdel))
            return property(getter, setter, deleter, value.__doc__)
        if hasattr(type(value), "__get__") and not isinstance(value, DESCRIPTORS) and self.twin(value) is value:
            return property(refuser(type(value)))  # such as a cached_property: it would call what is not rewritten
        return self.twin(value) if not isinstance(value, type) else value

    def _reset(self, twin: type, kind: type | None) -> None:
        if kind is None:
            return
        for name in [name for name in vars(twin) if name not in vars(kind) and name not in _OF_CLASSES]:
            delattr(twin, name)
        for name, value in vars(kind).items():
            if (
                name not in _OF_CLASSES
                and not isinstance(value, types.MemberDescriptorType)
                and not name.startswith("__")
            ):
                setattr(twin, name, self._member(value))

    def _module(self, module: types.ModuleType) -> Any:
        if not rewritable_module(module.__name__):
            return module
        theirs, world = vars(module), self

        class Twin(types.ModuleType):
            def __getattr__(self, name: str) -> Any:
                if name not in theirs:
                    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
                world._fill(theirs, [name])
                return world._overlay(theirs)[name]

            def __setattr__(self, name: str, value: Any) -> None:
                world._overlay(theirs)[name] = value

        twin = Twin(module.__name__)
        self._fixed[id(module)] = (module, twin)
        return twin


def _copy_cell(old: types.CellType, new: types.CellType, twin: Callable[[Any], Any]) -> None:
    try:
        new.cell_contents = twin(old.cell_contents)
    except ValueError:  # empty: the variable has no value yet
        with contextlib.suppress(ValueError):
            del new.cell_contents
