"""Calls in the rewritten code: who is called decides what it is. Rule: what is in no table is refused, with its line.

A student's own functions run rewritten, wherever they were found. A call into C is one operation that reads every
container that it is given. Models of locks and threads stop by themselves.
"""

from __future__ import annotations

import functools
import itertools
import operator
import types
from typing import Any

from labkit.interleave import containers, execution, known, loops, primitives
from labkit.interleave.containers import View, kind_of
from labkit.interleave.from_c import C_METHODS, FromC
from labkit.interleave.known import Kind
from labkit.interleave.ops import ENGINE, READ, WRITE, Abort, CannotCheck, Op, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from labkit.interleave.rewrite import Hot
    from labkit.interleave.world import World

__all__ = ["Calls", "Restart"]

_ITEM = 3  # length of a location that is an item of a container


class Restart(CannotCheck):
    """A name or attribute turned out to be written by threads: rewrite the program, and begin anew."""


class Calls(FromC):
    """The two hooks for calls, of a function and of a method; `Hooks` has the others."""

    def __init__(self, world: World, hot: Hot, places: list[Place]) -> None:
        self.world, self.hot, self.places = world, hot, places
        self._numbers = {id(at): number for number, at in enumerate(places)}
        self.gaps = False  # True to note what is between operations
        self.special: Mapping[Any, Callable[..., Any]] = {
            getattr: self._getattr,
            setattr: self._setattr,
            hasattr: self._hasattr,
            delattr: self._delattr,
            print: self._print,
            id: self._id,
            len: self._len,
            iter: self._iter,
            type: self._type,
            next: self._next_item,
        }
        self._stales: dict[int, Place] = {}

    @staticmethod
    def multi() -> bool:
        """Return True if a controlled thread is running, and is not the only one that there is or will be."""
        thread = execution.current()
        return thread is not None and thread.execution.several

    def watched(self, container: Any) -> bool:
        """Return True if looking into a container is an operation: it was not there before, or threads write to it."""
        label = self.world.labels.get(id(container))
        return self.multi() and (label is None or label in self.hot.names)

    def changes(self, container: Any) -> bool:
        """Return True if writing to a container is an operation; begin anew if it was thought to be constant."""
        label = self.world.labels.get(id(container))
        return self.multi() if label is None else self.several(self.hot.names, label)

    def several(self, hot: set[str], name: str) -> bool:
        """Return True if a write can be seen by other threads; begin anew if that was not known of this name."""
        if not self.multi():
            loops.effect()
            return False
        if name not in hot:
            hot.add(name)
            raise Restart(f"writes {name}")
        return True

    def reads(self, accesses: containers.Accesses) -> containers.Accesses:
        """Leave out the reads of containers that no thread ever writes to."""
        labels, hot = self.world.labels, self.hot.names
        found = []
        for location, mode in accesses:
            of_item = isinstance(location, tuple) and len(location) == _ITEM
            label = labels.get(location[0] if of_item else location)  # type: ignore[index, arg-type]
            if label is None or label in hot:
                found.append((location, mode))
        return tuple(found)

    # ------------------------------------------------------------------------------------------------ the two hooks
    def c(self, place: int, called: Any, /, *given: Any, **named: Any) -> Any:
        """Call a function, a class, or anything else that can be called."""
        if type(called) is types.FunctionType and self.world.is_ours(called):
            self.gap("call")
            return called(*given, **named)
        at = self.places[place]
        called = self.world.stand_in(called)
        kind = known.kind(called)
        if kind is Kind.SPECIAL:
            value = self.special[called](place, *given, **named)
            self.gap("builtin")
            return value
        if kind is Kind.CONSUMES:
            return self._consume(at, called, given, named)
        if kind is Kind.LAZY:
            return self._lazy(at, called, given, named)
        if kind is Kind.CHANGES:
            return self._change(at, called, given, named)
        if isinstance(called, type):
            return self._make(at, called, given, named)
        return self._call_other(place, at, called, given, named)

    def m(self, place: int, owner: Any, name: str, /, *given: Any, **named: Any) -> Any:
        """Call a method of an object, or a function of a module."""
        at = self.places[place]
        kind = type(owner)
        if kind.__module__.startswith(ENGINE) and kind is not View:
            return self._model(at, getattr(owner, name), given, named)
        if kind_of(owner) and not isinstance(self.world.static(owner, name), types.FunctionType):
            return self._container(at, owner, name, given, named)
        if kind is View:
            raise CannotCheck(f"calls {name} of a view of a dict", at)
        owner = self.world.known(owner, at)
        if name in self.hot.attributes and not self.world.is_plain(owner):
            found = self.a(owner, name, place)  # type: ignore[attr-defined]
        else:
            self.world.check_value(owner, at, method=name)
            found = getattr(owner, name)
        if isinstance(found, C_METHODS) and self.world.is_plain(getattr(found, "__self__", owner)):
            return self._consume(at, found, given, named)
        return self.c(place, found, *given, **named)

    def call_other(self, place: Place | None, called: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """Call what a program has handed to a model, such as a thread's target, if it is no function of its own."""
        at = place if place is not None else Place("", 0, 0, 0, 0, "")
        number = self._numbers.setdefault(id(at), len(self.places))
        if number == len(self.places):
            self.places.append(at)
        return self.c(number, called, *given, **named)

    # ------------------------------------------------------------------------------------------------ kinds of calls
    def entered(self, frame: types.FrameType, event: str, _: object) -> None:
        """Note that a function of the program begins, also one that is not called by name, such as a property's."""
        if event == "call" and self.world.is_ours(frame):
            self.gap("call")

    def gap(self, kind: str) -> None:
        """Note what the calling thread does between two operations: there, an interpreter may switch threads.

        A call into C is noted at its end: that is where an interpreter looks whether somebody else wants to run.
        """
        if self.gaps:
            thread = execution.current()
            if thread is not None:
                thread.gaps.add(kind)

    def _model(self, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        primitives.place_of_call = at
        value = called(*given, **named)
        self.gap("builtin")
        return value

    def _container(  # noqa: PLR0913, PLR0917 - all of a call
        self, at: Place, owner: Any, name: str, given: tuple[Any, ...], named: dict[str, Any], called: Any = None
    ) -> Any:
        if kind_of(owner) == "dict" and name in {"keys", "values", "items"}:
            return View(owner, getattr(owner, name)())
        if name in {"__dict__", "__class__", "__reduce__", "__reduce_ex__"}:
            raise CannotCheck(f"uses {name}", at)
        if name not in containers.KEEPS:  # it looks into what it is given
            for item in given:
                self.world.check_value(item, at)
                self.alone(item, at)
        op = None
        if name == "sort":
            named = self._callables(at, named)
        accesses = containers.method(owner, name, given, named) if self.multi() else ()
        writes = any(mode & 1 for _, mode in accesses)
        accesses = accesses if writes and self.changes(owner) else self.reads(accesses)
        if accesses:
            op = Op("write" if writes else "read", accesses, owner, f".{name}", at)
            execution.stop(op)
            accesses = containers.method(owner, name, given, named)
            writes = any(mode & 1 for _, mode in accesses)
            op.kind = "write" if writes else "read"  # a key may have come or gone meanwhile
            op.accesses = accesses if writes else self.reads(accesses)
        else:
            loops.effect()
        real = (item.real if type(item) is View else item for item in given)
        # super().append is not the append of the owner's own class
        with _AtOnce(name, at, matters=op is not None and op.kind == "write"):
            value = (called or getattr(owner, name))(*real, **named)
        if op is not None:
            op.value = value if op.kind == "read" or name.startswith("pop") else given[0] if given else None
        self.gap("builtin")
        self.saw("computed", value)  # type: ignore[attr-defined]
        return self.world.known(value, at)

    def _consume(self, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call into C, which looks into what it is given, at once."""
        for item in (*given, *named.values()):
            if not isinstance(item, containers.ATOMS):
                self.world.check_value(item, at)
                self.alone(item, at)
        given, named = self._with_callbacks(at, called, given, named)
        if self.multi():
            deep = getattr(called, "__module__", "") in {"copy", "dataclasses", "json"}
            values = (*given, *named.values())
            more = self.world.attributes(values) if deep else ()
            accesses = self.reads(containers.collect(values)) + more
            if accesses:
                op = Op("read", accesses, (given, named), "", at)
                execution.stop(op)
                more = self.world.attributes(values) if deep else ()
                op.accesses = self.reads(containers.collect(values)) + more  # other things may be in it meanwhile
        real = [self.world.stand_in(item.real if type(item) is View else item) for item in given]
        value = self.world.known(called(*real, **named), at)
        self.gap("builtin")
        self.saw("computed", value)  # type: ignore[attr-defined]
        return value

    def _change(self, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if self.changes(given[0]):
            changed = tuple((id(item), WRITE) for item in given[:1])
            execution.stop(Op("write", changed + containers.collect(given[1:]), given, "", at))
        else:
            loops.effect()
        with _AtOnce(known.name_of(called), at, matters=self.multi()):
            value = self.world.known(called(*given, **self._callables(at, named)), at)
        self.gap("builtin")
        self.saw("computed", value)  # type: ignore[attr-defined]
        return value

    def _make(self, at: Place, kind: type, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if kind.__module__.startswith(ENGINE):
            return self._model(at, kind, given, named)
        own = self.world.own_class(kind, at)
        made = own(*given, **named)
        self.world.adopt_fields(made)
        self.saw("made", made)  # type: ignore[attr-defined]
        return made

    def _call_other(self, place: int, at: Place, called: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if isinstance(called, types.FunctionType):
            if called.__module__.startswith(ENGINE):
                return self._model(at, called, given, named)
            return self.world.function(called, at)(*given, **named)
        if isinstance(called, types.MethodType):
            if type(called.__self__).__module__.startswith(ENGINE):
                return self._model(at, called, given, named)
            return self.c(place, called.__func__, called.__self__, *given, **named)
        if isinstance(called, functools.partial):
            return self.c(place, called.func, *called.args, *given, **{**called.keywords, **named})
        if isinstance(called, (operator.itemgetter, operator.attrgetter)) and len(given) == 1 and not named:
            return self._get(place, called, given[0])
        if isinstance(called, C_METHODS) and self._knows_method(called, given):
            return self._c_method(at, called, given, named)
        owner = getattr(called, "__self__", None)
        if isinstance(owner, types.GeneratorType):
            self.alone(owner, at)
            return called(*given, **named)
        own_call = self.world.static(called, "__call__")
        if isinstance(own_call, types.FunctionType) and self.world.is_ours(own_call):
            return called(*given, **named)
        raise CannotCheck(f"calls {known.name_of(called)}, which the explorer does not know", at)

    # ------------------------------------------------------------------------------------------------ special builtins
    def _next_item(self, place: int, iterator: Any, /, *default: Any) -> Any:
        at = self.places[place]
        self.world.check_value(iterator, at)
        if type(iterator) is itertools.count:
            loops.effect()
            if self.multi():
                execution.stop(Op("write", ((id(iterator), WRITE),), iterator, "", at))
        else:
            self.alone(iterator, at)
        value = self.world.known(next(iterator, *default), at)
        self.saw("computed", value)  # type: ignore[attr-defined]
        return value

    def _getattr(self, place: int, owner: Any, name: str, /, *default: Any) -> Any:
        try:
            if name in self.hot.attributes and (isinstance(owner, BaseException) or not self.world.is_plain(owner)):
                return self.a(owner, name, place)  # type: ignore[attr-defined]
            self.world.check_special(name, self.places[place])
            self.world.check_owner(owner, self.places[place])
            return self.world.known(getattr(owner, name), self.places[place])
        except AttributeError:
            if default:
                return default[0]
            raise

    def _setattr(self, place: int, owner: Any, name: str, value: Any, /) -> None:
        self.s(value, owner, name, place)  # type: ignore[attr-defined]

    def _delattr(self, place: int, owner: Any, name: str, /) -> None:
        self.da(owner, name, place)  # type: ignore[attr-defined]

    def _hasattr(self, place: int, owner: Any, name: str, /) -> bool:
        missing = object()
        return self._getattr(place, owner, name, missing) is not missing

    def _print(self, place: int, *given: Any, **named: Any) -> None:
        self.gap("print")
        sep, end = named.get("sep"), named.get("end")
        texts = [self._consume(self.places[place], str, (item,), {}) for item in given]
        self.world.output.append((" " if sep is None else sep).join(texts) + ("\n" if end is None else end))

    def _id(self, place: int, value: Any, /) -> int:
        return self.world.number(value, self.places[place])

    def _len(self, place: int, value: Any, /) -> int:
        inside = value.container if type(value) is View else value
        if not kind_of(inside):
            return self._consume(self.places[place], len, (value,), {})  # type: ignore[no-any-return]
        if self.watched(inside):
            # the number of items changes when one comes or goes: storing into a list's item leaves it alone
            at = self.places[place]
            op = Op("read", containers.whole(inside, READ), inside, "", at)
            execution.stop(op)
            op.value = len(inside)
        return len(inside)

    def _iter(self, place: int, value: Any, /, *sentinel: Any) -> Any:
        if sentinel:
            raise CannotCheck("calls iter with a sentinel", self.places[place])
        stepping = self._stepping(self.places[place], value)
        return stepping if stepping is not value else iter(value)

    def _type(self, place: int, *given: Any) -> Any:
        if len(given) != 1:
            raise CannotCheck("makes a class by calling type", self.places[place])
        return type(given[0])


class _AtOnce:
    """Refuses a call that changes something shared and comes to operations of its own meanwhile: a key, a generator."""

    __slots__ = ("_at", "_matters", "_name", "_steps_count")

    def __init__(self, name: str, at: Place, *, matters: bool) -> None:
        self._name, self._at, self._matters = name, at, matters

    def __enter__(self) -> None:
        self._steps_count = primitives.own_steps()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._matters and primitives.own_steps() != self._steps_count and kind is not Abort:
            what = f"stops inside {self._name}, which changes something shared: make the values before it"
            raise CannotCheck(what, self._at)
