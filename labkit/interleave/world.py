"""What the hooks ask about a program's objects: whose they are, and whether they are understood. Rule: no guess."""

from __future__ import annotations

import contextlib
import enum
import types
import zlib
from abc import ABCMeta
from typing import Any

from labkit.interleave import containers, known, models
from labkit.interleave.containers import ATOMS, View, kind_of
from labkit.interleave.copies import Copies
from labkit.interleave.known import PLAIN_TYPES, Kind
from labkit.interleave.ops import ENGINE, READ, CannotCheck, Place
from labkit.interleave.outside import of_dataclass, rewritable_module
from labkit.interleave.rewrite import SPECIAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["World"]

_TOOLS = (types.GeneratorType, types.MappingProxyType, property, staticmethod, classmethod, super, memoryview)


class World(Copies):
    """The copies of one program, with what the hooks ask about them."""

    def stand_in(self, value: Any) -> Any:
        """Return the model of a lock class or the like; else the value itself."""
        return models.stand_in(value)

    def function(self, function: types.FunctionType, at: Place) -> Any:
        """Return the rewritten form of a function that was met during an execution."""
        if not self._rewritable(function):
            raise CannotCheck(f"calls {known.name_of(function)}, which the explorer does not know", at)
        twin = self._function(function)
        if twin is function:
            if function.__code__.co_filename.startswith("<") and hasattr(function, "__qualname__"):
                return function if of_dataclass(function) else self._explain(function, at)
            self._explain(function, at)
        return twin

    def _explain(self, function: types.FunctionType, at: Place) -> Any:
        try:
            self.sources.rewritten(function.__code__)
        except CannotCheck as problem:
            raise CannotCheck(problem.reason, problem.place if problem.place and problem.place.line else at) from None
        raise CannotCheck(f"calls {function.__qualname__}, which has no source", at)

    def own_class(self, kind: type, at: Place) -> type:
        """Return the class to make an object of, when the program calls a class."""
        twin = self._class(kind)
        if twin is not kind or self._is_own(kind):
            return twin
        raise CannotCheck(f"makes a {known.name_of(kind)}, which the explorer does not know", at)

    def _is_own(self, kind: type) -> bool:
        if id(kind) in self._classes:
            return True
        meta = type(kind)
        if meta not in {type, ABCMeta, enum.EnumMeta} and id(meta) not in self._classes:
            return False  # its code would run whenever an object is made
        for item in kind.__mro__[:-1]:
            if item.__module__.startswith(ENGINE) or id(item) in self._classes or known.kind(item) is not Kind.UNKNOWN:
                continue
            functions = [value for value in vars(item).values() if isinstance(value, types.FunctionType)]
            if item.__module__ != "abc" and not functions and not rewritable_module(item.__module__):
                return False
            if not all(self.is_ours(value) or of_dataclass(value) for value in functions):
                return False
        self._classes[id(kind)] = (kind, None)
        return True

    def is_own_class(self, kind: Any) -> bool:
        """Return True for a class of the program's own."""
        return id(kind) in self._classes

    def known(self, value: Any, at: Place | None) -> Any:
        """Return a value that the program has got hold of; a real lock or thread among them is refused."""
        if isinstance(value, ATOMS) or not models.is_real(value):
            return value
        raise CannotCheck(f"got hold of a real {type(value).__qualname__}, made where the explorer cannot look", at)

    def check_value(self, value: Any, at: Place, method: str = "") -> None:
        """Refuse to look into what is not known."""
        if self.closed and id(type(value)) in self.closed:
            raise CannotCheck(f"uses a {known.name_of(type(value))}, whose own code the explorer cannot follow", at)
        if isinstance(value, (*PLAIN_TYPES, types.FunctionType, types.MethodType, types.ModuleType, type)):
            return
        kind = type(value)
        if kind_of(value) or isinstance(value, _TOOLS) or kind is View or kind.__module__.startswith(ENGINE):
            return
        if kind.__module__ in {"builtins", "itertools", "functools"} and not models.is_real(value):
            return
        if self._is_own(kind):
            return
        self.known(value, at)
        what = f"calls {method} of" if method else "uses"
        raise CannotCheck(f"{what} a {known.name_of(kind)}, which the explorer does not know", at)

    def check_owner(self, owner: Any, at: Place, *, stores: bool = False) -> None:
        """Refuse to read or write attributes of what is not known."""
        own = any(owner is new for _, new in self._fixed.values())
        plain = isinstance(owner, PLAIN_TYPES) and not isinstance(owner, BaseException)
        if stores and (plain or (isinstance(owner, types.ModuleType) and not own)):
            raise CannotCheck(f"stores into a {type(owner).__qualname__}", at)
        self.check_value(owner, at)

    def check_special(self, name: str, at: Place) -> None:
        """Refuse attributes through which shared values could be reached unseen."""
        if name in SPECIAL:
            raise CannotCheck(f"looks at {name}", at)

    def is_our_frame(self, frame: types.FrameType) -> bool:
        """Return True if a frame is of a rewritten function."""
        return id(frame.f_globals) in self._ours

    def shared(self) -> list[tuple[str, Any]]:
        """List the global names that can change: values, locks, and whatever threads write."""
        found = []
        for _, ours in self._overlays.values():
            for name, value in ours.items():
                static = isinstance(value, (types.FunctionType, type, types.ModuleType))
                if name in self.hot.names or not (static or name.startswith("__")):
                    found.append((name, value))
        return found

    def constant(self, value: Any) -> bool:
        """Return True for a container that no thread writes to (what it holds may change)."""
        label = self.labels.get(id(value))
        return label is not None and label not in self.hot.names

    def enclosed(self) -> dict[str, Any]:
        """Return the variables of functions around the student's functions, which these can see, by name."""
        found = {}
        for name, cell in self._variables.items():
            with contextlib.suppress(ValueError):  # no value yet
                found[name] = cell.cell_contents
        return {**found, **self.cells}

    def check_manager(self, manager: Any, at: Place) -> None:
        """Refuse a with statement on what is not known."""
        self.check_value(manager, at)

    def is_plain(self, value: Any) -> bool:
        """Return True if no thread can change a value."""
        return isinstance(value, PLAIN_TYPES)

    def is_module(self, value: Any) -> bool:
        """Return True for a module or what stands for one."""
        return isinstance(value, types.ModuleType)

    def static(self, owner: Any, name: str) -> Any:
        """Look an attribute up in an object's classes, without running anything."""
        for item in type(owner).__mro__:
            if name in vars(item):
                return vars(item)[name]
        return None

    def adopt_fields(self, made: Any) -> None:
        """Replace real locks that the generated constructor of a dataclass has made, and give the object a number."""
        self._number(made)
        for name in getattr(type(made), "__dataclass_fields__", ()):
            value = getattr(made, name, None)
            if models.is_real(value):
                object.__setattr__(made, name, models.adopt(value, {}))

    def attributes(self, values: Iterable[Any]) -> containers.Accesses:
        """Return a read of every attribute of the objects that can be reached through some values."""
        found: dict[tuple[int, str], None] = {}
        waiting, seen = list(values), set()
        while waiting:
            value = waiting.pop()
            if isinstance(value, (*ATOMS, types.FunctionType, type)) or id(value) in seen:
                continue
            seen.add(id(value))
            if kind_of(value) or isinstance(value, (tuple, frozenset)):
                waiting += [*value.keys(), *value.values()] if kind_of(value) == "dict" else list(value)
            for name, item in getattr(value, "__dict__", {}).items():
                found[id(value), name] = None
                waiting.append(item)
        return tuple((location, READ) for location in found)

    def number(self, value: Any, at: Place) -> int:
        """Return what id() gives: a number that is the same in every schedule."""
        if id(value) in self._numbers:
            return self._numbers[id(value)][0]
        serial = getattr(value, "serial", None)
        if isinstance(serial, str):
            return zlib.crc32(serial.encode())
        raise CannotCheck(f"asks for the id of a {type(value).__qualname__}", at)
