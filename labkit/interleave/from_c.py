"""What C code is given to call or to step through, and its methods. Rule: what it does later stops, too.

A key of ``sorted`` or a function of ``map`` is called by C code, which takes the items one by one: what is called goes
through the hook for calls, and each item is a step of its own.
"""

from __future__ import annotations

import functools
import heapq
import operator
import types
from typing import Any

from labkit.interleave import containers, execution, loops, primitives
from labkit.interleave.containers import View, kind_of
from labkit.interleave.ops import READ, CannotCheck, Op, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.interleave.world import World

__all__ = ["C_METHODS", "FromC"]

C_METHODS = (types.BuiltinMethodType, types.MethodWrapperType, types.MethodDescriptorType, types.WrapperDescriptorType)
_SAFE_WRAPPED = {"__init__", "__new__", "__init_subclass__", "__set_name__", "__eq__", "__ne__", "__hash__", "__repr__"}
_SAFE_WRAPPED |= {"__str__", "__enter__", "__exit__", "with_traceback", "add_note"}
_STEPPED = (max, min, functools.reduce, heapq.nlargest, heapq.nsmallest)  # look at one item after another


class FromC:
    """The part of `Calls` for what C code does with a student's functions and containers."""

    world: World
    _stales: dict[int, Place]

    def gap(self, kind: str) -> None:
        """Note what the calling thread does between two operations."""
        raise NotImplementedError

    def watched(self, container: Any) -> bool:
        """Return True if looking into a container is an operation."""
        raise NotImplementedError

    def call_other(self, place: Place | None, called: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Call whatever can be called."""
        raise NotImplementedError

    def _container(  # noqa: PLR0913, PLR0917 - all of a call
        self, at: Place, owner: Any, name: str, given: tuple[Any, ...], named: dict[str, Any], called: Any = None
    ) -> Any:
        raise NotImplementedError

    def _getattr(self, place: int, owner: Any, name: str, /, *default: Any) -> Any:
        raise NotImplementedError

    def i(self, owner: Any, key: Any, place: int) -> Any:
        """Read an item."""
        raise NotImplementedError

    def _store(self, owner: Any, name: str, at: Place, value: Any) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ steps
    def _stepping(self, at: Place, value: Any) -> Any:
        from labkit.interleave.hooks import Each

        inside = value.container if type(value) is View else value
        if kind_of(inside):
            return Each(value, inside if self.watched(inside) else None, self._stale(at), self.gap)
        if callable(value) and not hasattr(value, "__iter__"):
            return self._callable(at, value)
        self.world.check_value(value, at)
        self.alone(value, at)
        return value

    def _stale(self, at: Place) -> Place:
        """Return the same place for the steps of an iterator: what it gave before may be waiting on the value stack."""
        if id(at) not in self._stales:
            self._stales[id(at)] = Place(at.file, at.line, at.column, at.end_line, at.end_column, at.text)
        return self._stales[id(at)]

    def _lazy(self, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        steps = [self._stepping(at, item) for item in given]
        if called is not reversed or not kind_of(getattr(steps[0], "source", None)):
            return called(*steps, **self._callables(at, named))
        if steps[0].shared is not None:  # where it begins depends on how many items there are
            execution.stop(Op("read", containers.whole(steps[0].shared, READ), steps[0].shared, "", self._stale(at)))
        return steps[0].backwards()

    def _callables(self, at: Place, named: dict[str, Any]) -> dict[str, Any]:
        return {name: self._callable(at, item) if callable(item) else item for name, item in named.items()}

    def _callable(self, at: Place, called: Any) -> Any:
        """Return what C code may call, such as a key: it goes through the hook for calls, whatever it is."""
        if type(called) is types.FunctionType and self.world.is_ours(called):
            return called
        if type(called).__name__ == "KeyWrapper":  # of cmp_to_key, whose function was seen to when it was made
            return called
        return lambda *given, **named: self.call_other(self._stale(at), called, given, named)

    def _with_callbacks(
        self, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Prepare the arguments of a call into C during which C code calls the student's, between two items."""
        items = 1 if called in _STEPPED[2:] else 0
        if called in {functools.reduce, functools.cmp_to_key} and given:
            given = (self._callable(at, given[0]), *given[1:])
        elif "key" not in named:
            return given, named
        if len(given) == items + 1 and called in _STEPPED:
            given = (*given[:items], self._stepping(at, given[items]))
        return given, {
            name: self._callable(at, item) if name == "key" and item else item for name, item in named.items()
        }

    def alone(self, iterator: Any, at: Place) -> None:
        """Refuse an iterator that several threads step through: how far it is, no operation shows."""
        if hasattr(type(iterator), "__next__") and execution.current() is not None:
            loops.effect()
            first = self.world.steppers.setdefault(id(iterator), (primitives.me(), iterator))[0]
            own = (
                isinstance(self.world.static(iterator, "__next__"), types.FunctionType)
                and type(iterator).__name__ != "Each"
            )
            if first != primitives.me() and not own:
                raise CannotCheck(f"steps through one {type(iterator).__name__} in several threads", at)

    # ------------------------------------------------------------------------------------------------ methods
    def _knows_method(self, called: Any, given: tuple[Any, ...]) -> bool:
        owner, name = _owner(called, given), called.__name__
        own_call = name == "__call__" and self.world.is_own_class(owner)  # in a metaclass
        known = own_call or name in {*_SAFE_WRAPPED, "__setattr__"}
        return bool(known or kind_of(owner) or (owner is not None and self.world.is_plain(owner)))

    def _c_method(self, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call a method that is written in C; it may be bound to its object, or get it as its first argument."""
        owner, bound = _owner(called, given), getattr(called, "__self__", None) is not None
        rest = given if bound else given[1:]
        if kind_of(owner):
            method = called if bound else functools.partial(called, owner)
            return self._container(at, owner, called.__name__, rest, named, method)
        if called.__name__ == "__setattr__" and len(rest) == 2:  # noqa: PLR2004 - name and value
            self.world.check_owner(owner, at, stores=True)
            self._store(owner, rest[0], at, rest[1])
        return called(*given, **named)

    def _get(self, place: int, getter: Any, owner: Any) -> Any:
        values = []
        for key in getter.__reduce__()[1]:
            value = owner
            if isinstance(getter, operator.itemgetter):
                value = self.i(owner, key, place)
            else:
                for name in key.split("."):
                    value = self._getattr(place, value, name)
            values.append(value)
        return values[0] if len(values) == 1 else tuple(values)


def _owner(called: Any, given: tuple[Any, ...]) -> Any:
    bound = getattr(called, "__self__", None)
    return given[0] if bound is None and given else bound
