"""What the rewritten code calls at each visible operation. Rule: stop first, then do what Python would have done.

Each hook gets the number of its place. In a run without controlled threads (setup, check) it does only the second.
Whatever a hook does not know is refused with `CannotCheck`, never passed over.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from labkit.interleave import containers, execution, loops, primitives
from labkit.interleave.calls import Calls, Restart
from labkit.interleave.containers import View, kind_of
from labkit.interleave.known import BINARY, IN_PLACE
from labkit.interleave.ops import READ, WRITE, Abort, CannotCheck, Op, Place
from labkit.interleave.rewrite import PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from labkit.interleave.states import Tracker

__all__ = ["Each", "Entered", "Hooks", "Restart"]

_ROUNDS_FEW = 6  # rounds of while loops in one thread, from which on its states are watched for a circle


class Each:
    """An iterator of a loop: counts, and stops before each step if what it walks through is shared."""

    __slots__ = ("_gap", "_next", "count", "place", "shared", "source")

    def __init__(self, source: Any, shared: Any, place: Place, gap: Callable[[str], None]) -> None:
        self.source, self.shared, self.place, self.count, self._gap = source, shared, place, 0, gap
        if shared is not None and kind_of(shared) != "list":  # it remembers how many items there are
            op = Op("read", containers.whole(shared, READ), shared, "", place)
            execution.stop(op)
            op.value = len(shared)
        self._next = iter(source.real if type(source) is View else source).__next__

    def backwards(self) -> Each:
        """Turn round, before the first step."""
        self._next = reversed(self.source.real if type(self.source) is View else self.source).__next__
        return self

    def __iter__(self) -> Each:
        """Return this iterator."""
        return self

    def __next__(self) -> Any:
        """Return the next item."""
        if self.count:
            self._gap("loop")
        shared = self.shared
        if shared is not None:
            op = Op("read", containers.whole(shared, READ), shared, "", self.place)
            execution.stop(op)
            self.count += 1
            op.value = value = self._next()
            return value
        self.count += 1
        loops.local_step(self.place) if self.count % 1000 == 0 else None
        return self._next()


class Entered:
    """A context manager in a with statement: keeps the places of entering and leaving apart."""

    __slots__ = ("_enter", "_hooks", "_leave", "manager")

    def __init__(self, manager: Any, enter: Place, leave: Place, hooks: Hooks) -> None:
        self.manager, self._enter, self._leave, self._hooks = manager, enter, leave, hooks

    def __enter__(self) -> Any:
        """Enter, at the place of the with statement."""
        primitives.place_of_call = self._enter
        entered = self.manager.__enter__()
        current = execution.current()
        if current is not None:
            current.entered.append(self.manager)
        return entered

    def __exit__(self, *error: object) -> Any:
        """Leave, at the same place."""
        current = execution.current()
        if current is not None and current.entered:
            current.entered.pop()
        self._hooks.saw("left with", error[1])
        primitives.place_of_call = self._leave
        swallowed = self.manager.__exit__(*error)
        self._hooks.gap("with")
        return swallowed and not isinstance(error[1], (CannotCheck, Abort))


class Hooks(Calls):
    """The hooks of one program.

    Attributes:
        tracker: Keeps the states of this execution; None while nobody needs them.
    """

    tracker: Tracker | None = None

    def table(self) -> dict[str, Callable[..., Any]]:
        """Return the hooks under the names that the rewritten code calls them by."""
        names = "n r wn wd a s da i si di u c m f w t0 t x ret old imp in aug bin slice"
        own: dict[str, Any] = {"in": self.contains, "slice": slice}
        return {PREFIX + name: own.get(name) or getattr(self, name) for name in names.split()}

    # ------------------------------------------------------------------------------------------------ names
    def _name(self, name: str, cell: Callable[[], Any] | None) -> Any:
        if cell is None or not cell.__closure__:
            return name
        held = cell.__closure__[0]
        self.world.held[id(held)] = held  # else another variable may get its number later
        return id(held)

    def n(self, name: str, cell: Callable[[], Any] | None, place: int) -> Op:
        """Stop before a shared name is read."""
        op = Op("read", ((("name", self._name(name, cell)), READ),), None, name, self.places[place])
        execution.stop(op)
        return op

    def r(self, op: Op, value: Any) -> Any:
        """Note the value that was read, and return it."""
        op.value = value
        return self.world.known(value, op.place)

    def wn(self, value: Any, name: str, cell: Callable[[], Any] | None, place: int) -> Any:
        """Stop before a shared name is bound."""
        if self.several(self.hot.names, name):
            op = Op("write", ((("name", self._name(name, cell)), WRITE),), None, name, self.places[place])
            op.value = value
            execution.stop(op)
        if cell is not None:
            self.world.cells[name] = value
        return value

    def wd(self, value: Any, name: str, cell: Callable[[], Any] | None, place: int) -> Any:
        """Take note of a def, class or import that has bound a shared name."""
        if cell is None and self.multi():
            raise CannotCheck(f"defines the shared name {name} while other threads run", self.places[place])
        return value

    # ------------------------------------------------------------------------------------------------ attributes
    def _attribute(self, owner: Any, name: str) -> containers.Accesses:
        """Return the locations that reading an attribute looks at: the object's own, then its classes'."""
        kind = type(owner)
        if self.world.is_module(owner):
            return ((("name", name), READ),)
        found: tuple[tuple[Any, int], ...] = (((id(owner), name), READ),)
        if name in getattr(owner, "__dict__", ()):
            return found
        classes = owner.__mro__ if isinstance(owner, type) else kind.__mro__
        return found + tuple(((id(item), name), READ) for item in classes if item is not owner)

    def a(self, owner: Any, name: str, place: int) -> Any:
        """Stop before an attribute is read."""
        at = self.places[place]
        if name.startswith("__"):
            self.world.check_special(name, at)
        if isinstance(self.world.static(owner, name), property):
            self.world.check_value(owner, at)
            return getattr(owner, name)
        self.world.check_owner(owner, at)
        op = Op("read", self._attribute(owner, name), owner, name, at)
        execution.stop(op)
        op.accesses = self._attribute(owner, name)  # it may have come or gone meanwhile
        op.value = value = getattr(owner, name)
        return self.world.known(value, at)

    def s(self, value: Any, owner: Any, name: str, place: int) -> None:
        """Stop before an attribute is written."""
        at = self.places[place]
        if isinstance(self.world.static(owner, name), property):
            setattr(owner, name, value)
            return
        self.world.check_owner(owner, at, stores=True)
        self._store(owner, name, at, value)
        setattr(owner, name, value)

    def da(self, owner: Any, name: str, place: int) -> None:
        """Stop before an attribute is deleted."""
        at = self.places[place]
        self.world.check_owner(owner, at, stores=True)
        self._store(owner, name, at, None)
        delattr(owner, name)

    def _store(self, owner: Any, name: str, at: Place, value: Any) -> None:
        if isinstance(owner, type):
            self.world.changed_classes[id(owner)] = owner
        elif isinstance(owner, types.FunctionType):
            self.world.changed_functions = True
        if not self.several(self.hot.attributes, name):
            return
        module = self.world.is_module(owner)
        op = Op("write", ((("name", name) if module else (id(owner), name), WRITE),), owner, name, at)
        op.value = value
        execution.stop(op)

    # ------------------------------------------------------------------------------------------------ items
    def i(self, owner: Any, key: Any, place: int) -> Any:
        """Stop before an item is read."""
        at = self.places[place]
        if kind_of(owner):
            accesses = containers.key_read(owner, key) if self.multi() else ()
            if any(mode & 1 for _, mode in accesses):
                self.changes(owner)  # a defaultdict makes what is missing
            op = self._read(self.reads(accesses), owner, _shown(key), at)
            if accesses:
                op.accesses = self.reads(containers.key_read(owner, key))  # it may have gone, or come, meanwhile
            if isinstance(getattr(owner, "default_factory", None), types.FunctionType) and key not in owner:
                value = owner.default_factory()  # in Python, so that others may come between
                self.si(value, owner, key, place)
                return value
            op.value = value = owner[key]
            return self.world.known(value, at)
        if not isinstance(owner, type):
            self.world.check_value(owner, at)
        return self.world.known(owner[key], at)

    def _read(self, accesses: containers.Accesses, owner: Any, name: str, at: Place) -> Op:
        """Stop before a read, if it is one that another thread can disturb; return the operation."""
        op = Op("read", accesses, owner, name, at)
        if accesses:
            execution.stop(op)
        return op

    def si(self, value: Any, owner: Any, key: Any, place: int) -> None:
        """Stop before an item is written."""
        at = self.places[place]
        if not kind_of(owner):
            self.world.check_value(owner, at)
        elif self.changes(owner):
            given = (value,) if isinstance(key, slice) else ()  # its items are read
            op = Op("write", containers.key_write(owner, key) + containers.collect(given), owner, _shown(key), at)
            op.value = value
            execution.stop(op)
            # another thread may have put the key there meanwhile
            op.accesses = containers.key_write(owner, key) + containers.collect(given)
        else:
            loops.effect()
        owner[key] = value

    def di(self, owner: Any, key: Any, place: int) -> None:
        """Stop before an item is deleted."""
        at = self.places[place]
        if not kind_of(owner):
            self.world.check_value(owner, at)
        elif self.changes(owner):
            op = Op("write", containers.key_write(owner, key, removes=True), owner, _shown(key), at)
            execution.stop(op)
            op.accesses = containers.key_write(owner, key, removes=True)
        else:
            loops.effect()
        del owner[key]

    def u(self, value: Any, place: int) -> Any:
        """Stop before a container is looked into: compared, added, tested, unpacked, formatted."""
        if isinstance(value, containers.ATOMS):
            return value
        accesses = self.reads(containers.collect((value,))) if self.multi() else ()
        if accesses:
            op = Op("read", accesses, value, "", self.places[place])
            execution.stop(op)
            op.value = value
            op.accesses = self.reads(containers.collect((value,)))  # more may be in it meanwhile
        elif not kind_of(value):
            self.world.check_value(value, self.places[place])
        return value.real if type(value) is View else value

    def bin(self, how: str, left: Any, right: Any, left_place: int, right_place: int) -> Any:
        """Do an operation on two values, which looks into both at once."""
        both = (left, right)
        if not isinstance(left, containers.ATOMS) or not isinstance(right, containers.ATOMS):
            accesses = self.reads(containers.collect(both)) if self.multi() else ()
            if accesses:
                number = int(not containers.collect((left,)))
                op = Op("read", accesses, both[number], "", self.places[(left_place, right_place)[number]])
                execution.stop(op)
                op.value = both[number]
                op.accesses = self.reads(containers.collect(both))
            for value, place in zip(both, (left_place, right_place), strict=True):
                if not isinstance(value, containers.ATOMS):
                    self.world.check_value(value, self.places[place])
        value = BINARY[how](*(item.real if type(item) is View else item for item in both))
        self.saw("computed", value)
        return value

    def contains(self, item: Any, owner: Any, place: int) -> bool:
        """Stop before a membership test."""
        at = self.places[place]
        if type(owner) is View:
            owner = owner.container if owner.real.__class__.__name__ == "dict_keys" else owner
        if type(owner) is View or kind_of(owner):
            real, inside = (owner.real, owner.container) if type(owner) is View else (owner, owner)
            keyed = kind_of(owner) in {"dict", "set"}
            accesses = containers.method(inside, "__contains__", (item,), {}) if keyed else containers.collect((owner,))
            op = self._read(self.reads(accesses) if self.multi() else (), inside, _shown(item), at)
            if not keyed and op.accesses:
                op.accesses = self.reads(containers.collect((owner,)))  # more may be in it meanwhile
            op.value = found = item in real
            return found
        self.world.check_value(owner, at)
        return item in owner

    def aug(self, how: str, value: Any, other: Any, place: int) -> Any:
        """Compute what an augmented assignment stores; a container is changed in place, which is an operation."""
        at = self.places[place]
        loops.effect()  # a container may change in place
        if kind_of(value) and self.changes(value):
            op = Op("write", containers.whole(value, WRITE) + containers.collect((other,)), value, "", at)
            execution.stop(op)
            op.accesses = containers.whole(value, WRITE) + containers.collect((other,))
            op.value = changed = IN_PLACE[how](value, other)
            return changed
        self.world.check_value(value, at)
        return IN_PLACE[how](value, other)

    # ------------------------------------------------------------------------------------------------ control
    def f(self, source: Any, place: int) -> Iterator[Any]:
        """Return the iterator of a loop."""
        at = self.places[place]
        inside = source.container if type(source) is View else source
        if kind_of(inside):
            return Each(source, inside if self.watched(inside) else None, at, self.gap)
        self.world.check_value(source, at)
        self.alone(source, at)
        return Each(source, None, at, self.gap)

    def w(self, manager: Any, enter: int, leave: int) -> Any:
        """Return what a with statement enters."""
        at = self.places[enter]
        self.gap("with")
        manager = self.world.known(manager, at)
        self.world.check_manager(manager, at)
        return Entered(manager, at, self.places[leave], self)

    def t0(self, loop: int) -> None:
        """Begin a while loop."""
        loops.begin(loop)

    def t(self, loop: int) -> bool:
        """Begin one round of a while loop."""
        thread = execution.current()
        if thread is None:
            return True
        values = sys._getframe(1).f_locals  # noqa: SLF001 - documented for CPython
        self.gap("loop")
        rounds = thread.rounds = thread.rounds + 1
        if rounds >= _ROUNDS_FEW:
            self.world.looped = True
        if self.tracker is not None:
            self.tracker.at_loop(thread, fresh=self.places[loop].fresh)
        loops.tick(loop, {k: v for k, v in values.items() if not k.startswith(PREFIX)}, self.places[loop])
        return True

    def x(self) -> None:
        """Begin an except or finally block: the end of an execution is no exception of the student's."""
        execution.check()
        error = sys.exc_info()[1]
        if isinstance(error, (CannotCheck, Abort)):
            raise error  # a bare except does not swallow it
        self.saw("raised", error)

    def ret(self, value: Any) -> Any:
        """Note what a function returns."""
        self.saw("returned", value, by_caller=True)
        return value

    def old(self, value: Any, *names: str) -> Any:
        """Note what variables hold that are bound anew within a statement: it may still wait to be used."""
        if self.tracker is not None:
            values = sys._getframe(1).f_locals  # noqa: SLF001 - documented for CPython
            for name in names:
                self.saw(f"replaced {name}", values.get(name))
        return value

    def saw(self, what: str, value: Any, *, by_caller: bool = False) -> None:
        """Tell the tracker of a value that may wait on the value stack."""
        if self.tracker is not None:
            thread = execution.current()
            if thread is not None:
                self.tracker.seen(thread, what, value, by_caller=by_caller)

    def imp(self, value: Any) -> Any:
        """Return what stands for something that was imported in a function."""
        return self.world.twin(value)


def _shown(key: Any) -> str:
    return f"[{key!r}]" if isinstance(key, containers.ATOMS) else "[...]"
