"""Say how an object of `threading`, `queue` or `collections` is made again. Rule: only one that nobody uses right now.

A lock that is held, or a queue in which somebody waits, belongs to threads that stay behind: it is refused. The fields
that tell so have been the same in 3.10 to 3.14; an object that lacks one of them is refused as well.
"""

from __future__ import annotations

import collections
import queue
import threading
import types
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["InUse", "Recipe", "as_call", "attributes", "is_named_tuple", "recipe"]

_BUILTIN_FACTORIES = (None, bool, bytearray, dict, float, frozenset, int, list, set, str, tuple)
_ODD = (  # an object of a class with one of these is more than its attributes, or looks at it runs the student's code
    *("__class__", "__getattr__", "__getattribute__", "__getstate__", "__new__", "__reduce__", "__reduce_ex__"),
    *("__setattr__", "__setstate__", "__slots__"),
)
_SORTED = (bool, int, float, str, bytes)


class InUse(Exception):  # noqa: N818 - as Unwritable in literals.py, which it becomes
    """An object cannot be made again as it is; the arguments are what it is, and what to do."""


class Recipe(NamedTuple):
    """How to make an object again.

    Attributes:
        call: What to call, as ``module.name``.
        arguments: Values to call it with.
        first: An argument before these that is text already; empty if there is none.
        keywords: The same by name.
        then: Methods to call on the new object, each with its arguments.
        hidden: Objects inside, which the new object makes for itself: no other name may mean one of them.
    """

    call: str
    arguments: tuple[object, ...] = ()
    first: str = ""
    keywords: tuple[tuple[str, object], ...] = ()
    then: tuple[tuple[str, tuple[object, ...]], ...] = ()
    hidden: tuple[object, ...] = ()

    def inner(self) -> list[object]:
        """Return every value that must be written for it."""
        later = [item for _, arguments in self.then for item in arguments]
        return [*self.arguments, *(value for _, value in self.keywords), *later]


def recipe(value: object) -> Recipe | None:
    """Say how to make an object again.

    Returns:
        The recipe; None if the object is of no kind that is known here.

    Raises:
        InUse: If it is of such a kind, and a thread holds it or waits for it, or it holds what cannot be seen.
    """
    kind = type(value)  # isinstance would ask the object itself
    make = _RECIPES.get(kind)
    if make is None:
        return None
    try:
        return make(value)
    except AttributeError as missing:
        raise InUse(f"{_named(kind)} without {missing.name!r}", "Create it inside the function") from None


def is_named_tuple(kind: type) -> bool:
    """Return True for a class of the notebook that ``namedtuple`` or ``class ...(NamedTuple)`` made."""
    own = vars(kind)
    return kind.__bases__ == (tuple,) and type(own.get("_fields")) is tuple and kind.__module__ == "__main__"


def as_call(kind: type) -> str | None:
    """Return the arguments of the call of ``namedtuple`` that made a class; None if no such call did."""
    fields = vars(kind).get("_fields")
    if not is_named_tuple(kind) or type(kind) is not type:
        return None
    try:
        same = collections.namedtuple(kind.__name__, fields)  # type: ignore[misc, arg-type]  # noqa: PYI024 - the same call
    except (TypeError, ValueError):
        return None
    plain = vars(same).keys() == vars(kind).keys() and not vars(kind)["_field_defaults"]
    return f"{kind.__name__!r}, {list(fields)!r}" if plain else None  # type: ignore[arg-type]


def attributes(value: object) -> dict[str, object] | None:
    """Return the attributes of an instance of a plain class typed in the notebook, without running its code.

    Returns:
        They, by name; None if the object is no instance of a class of ``__main__``.

    Raises:
        InUse: If attributes alone would not make the same object again.
    """
    kind = type(value)
    if kind.__module__ != "__main__":
        return None
    for base in kind.__mro__[:-1]:
        odd = next((f"defines {name}" for name in _ODD if name in vars(base)), "")
        why = "is not of the notebook" if base.__module__ != "__main__" else odd
        why = why if type(base) is type else "has a metaclass"
        if why:
            what = f"a {_named(kind)} object, whose class {base.__name__!r} {why}"
            raise InUse(what, "Create it inside the function, or in setup=, or pass plain values")
    if type(vars(_owner(kind)).get("__dict__")) is not types.GetSetDescriptorType:
        raise InUse(f"a {_named(kind)} object, whose class replaces __dict__", "Create it inside the function")
    return object.__getattribute__(value, "__dict__")  # type: ignore[no-any-return]


def _owner(kind: type) -> type:
    return next((base for base in kind.__mro__ if "__dict__" in vars(base)), object)


def _named(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _refuse(value: object, problem: str, advice: str) -> InUse:
    return InUse(f"a live {_named(type(value))} {problem}", f"{advice}, or create it inside the function")


# ------------------------------------------------------------------------------------------------- threading
def _lock(value: Any) -> Recipe:
    if value.locked():
        raise _refuse(value, "that is held", "Release it first")
    return Recipe("threading.Lock")


def _rlock(value: Any) -> Recipe:
    if value._is_owned() or not value.acquire(blocking=False):  # noqa: SLF001 - no public way before 3.14
        raise _refuse(value, "that is held", "Release it first")
    value.release()
    return Recipe("threading.RLock")


def _condition(value: Any) -> Recipe:
    if value._waiters:  # noqa: SLF001 - no public way
        raise _refuse(value, "in which a thread waits", "Let that thread end first")
    return Recipe("threading.Condition", (value._lock,))  # noqa: SLF001 - it may be the notebook's own lock


def _semaphore(value: Any) -> Recipe:
    free, inside = value._value, _idle(value, value._cond)  # noqa: SLF001 - no public way
    return Recipe("threading.Semaphore", (free,), hidden=inside)


def _bounded(value: Any) -> Recipe:
    free, most = value._value, value._initial_value  # noqa: SLF001 - no public way
    taken = tuple(("acquire", ()) for _ in range(most - free))
    return Recipe("threading.BoundedSemaphore", (most,), then=taken, hidden=_idle(value, value._cond))  # noqa: SLF001


def _event(value: Any) -> Recipe:
    inside = _idle(value, value._cond)  # noqa: SLF001 - no public way
    return Recipe("threading.Event", then=(("set", ()),) if value.is_set() else (), hidden=inside)


def _barrier(value: Any) -> Recipe:
    if value.n_waiting or value._state or value._action is not None:  # noqa: SLF001 - no public way
        problem = "that is broken" if value.broken else "in use" if value.n_waiting else "with an action"
        raise _refuse(value, problem, "Make a new one")
    keywords = () if value._timeout is None else (("timeout", value._timeout),)  # noqa: SLF001
    return Recipe("threading.Barrier", (value.parties,), keywords=keywords, hidden=_idle(value, value._cond))  # noqa: SLF001


def _idle(value: object, *conditions: Any) -> tuple[object, ...]:
    """Return the locks inside an object, all of which must be free."""
    inside: list[object] = []
    for condition in conditions:
        lock = condition._lock  # noqa: SLF001 - no public way
        try:
            _condition(condition)
            recipe(lock)
        except InUse:
            raise _refuse(value, "for which a thread waits", "Let that thread end first") from None
        inside += [condition, lock]
    return tuple(inside)


# ----------------------------------------------------------------------------------------------------- queue
def _queue(value: Any) -> Recipe:
    items = list(value.queue)
    inside = _idle(value, value.not_empty, value.not_full, value.all_tasks_done)
    if value.unfinished_tasks != len(items) or getattr(value, "is_shutdown", False):
        ended = getattr(value, "is_shutdown", False)
        problem = "that was shut down" if ended else "with tasks that are taken and not done"
        raise _refuse(value, problem, "Make a new one")
    if type(value) is queue.PriorityQueue and not all(map(_sortable, items)):
        raise _refuse(value, "with items that are no numbers, texts or tuples of them", "Use such items")
    puts = tuple(("put", (item,)) for item in items)  # in the order of a heap, which leaves them in this order
    return Recipe(
        f"queue.{type(value).__name__}", (value.maxsize,), then=puts, hidden=(value.mutex, value.queue, *inside)
    )


def _sortable(item: object) -> bool:
    return type(item) in _SORTED or (type(item) is tuple and all(map(_sortable, item)))


def _simple_queue(value: Any) -> Recipe:
    if not value.empty():
        raise _refuse(value, "whose items cannot be seen without taking them", "Fill it inside the function")
    return Recipe("queue.SimpleQueue")


# ------------------------------------------------------------------------------------------------ containers
def _deque(value: collections.deque[object]) -> Recipe:
    most = () if value.maxlen is None else (("maxlen", value.maxlen),)
    return Recipe("collections.deque", (list(value),), keywords=most)


def _default(value: collections.defaultdict[object, object]) -> Recipe:
    factory = value.default_factory
    if not any(factory is known for known in _BUILTIN_FACTORIES):
        raise InUse("a defaultdict whose factory is no builtin type", "Use list, dict, set or int as its factory")
    name = "None" if factory is None else f"builtins.{getattr(factory, '__name__', '')}"
    return Recipe("collections.defaultdict", (dict(value),), first=name)


_RECIPES: dict[type, Callable[[Any], Recipe]] = {
    type(threading.Lock()): _lock,
    type(threading.RLock()): _rlock,
    threading.Condition: _condition,
    threading.Semaphore: _semaphore,
    threading.BoundedSemaphore: _bounded,
    threading.Event: _event,
    threading.Barrier: _barrier,
    queue.Queue: _queue,
    queue.LifoQueue: _queue,
    queue.PriorityQueue: _queue,
    queue.SimpleQueue: _simple_queue,
    collections.deque: _deque,
    collections.defaultdict: _default,
    collections.Counter: lambda value: Recipe("collections.Counter", (dict(value),)),
    collections.OrderedDict: lambda value: Recipe("collections.OrderedDict", (dict(value),)),
    frozenset: lambda value: Recipe("builtins.frozenset", (set(value),)),
    bytearray: lambda value: Recipe("builtins.bytearray", (bytes(value),)),
    complex: lambda value: Recipe("builtins.complex", (value.real, value.imag)),
    range: lambda value: Recipe("builtins.range", (value.start, value.stop, value.step)),
}
