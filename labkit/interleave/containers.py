"""What an operation on a list, dict, set or deque touches: the whole, or one item. Rule: looks, never changes.

A container is a location, and so is each item of it (ops.py has the modes). The order of a dict or set is a third
one: inserting two keys commutes for who reads a key, and not for who iterates.
"""

from __future__ import annotations

import collections
import dataclasses
import types

from labkit.interleave.ops import PART_READ, PART_WRITE, READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from typing import Any, TypeAlias

    Accesses: TypeAlias = tuple[tuple[Hashable, int], ...]

__all__ = ["ATOMS", "KEEPS", "View", "collect", "key_read", "key_write", "kind_of", "method", "whole"]

ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_KINDS = {list: "list", dict: "dict", set: "set", collections.deque: "deque", bytearray: "list"}
_known: dict[type, str] = {}
# Methods that touch one key only, and how; every method of a container that is in no table writes the whole.
_KEYED = {
    "dict": {"get": "read", "__getitem__": "read", "__contains__": "read", "setdefault": "write", "pop": "write"},
    "set": {"__contains__": "read", "add": "write", "discard": "write", "remove": "write"},
}
_READS = {
    "list": {"copy", "count", "index", "__len__", "__contains__", "__iter__", "__eq__", "__getitem__", "decode", "hex"},
    "dict": {"copy", "__len__", "__iter__", "__eq__", "keys", "values", "items", "most_common", "elements", "total"},
    "set": {"copy", "union", "intersection", "difference", "symmetric_difference", "issubset", "issuperset"}
    | {"isdisjoint", "__len__", "__iter__", "__eq__"},
    "deque": {"copy", "count", "index", "__len__", "__iter__", "__contains__", "__getitem__", "maxlen"},
}
KEEPS = {
    "append",
    "appendleft",
    "add",
    "insert",
    "setdefault",
    "get",
    "__setitem__",
    "discard",
}  # args not looked into
_COMPARES = {"sort", "remove", "index", "count", "__contains__"}  # items with what they are given, or one another
_NESTED_MOST = 10_000


class View:
    """Stands for ``d.keys()``, ``d.values()`` or ``d.items()``, and knows the dict that it shows."""

    __slots__ = ("container", "real")

    def __init__(self, container: Any, real: Any) -> None:
        self.container, self.real = container, real


def kind_of(value: object) -> str:
    """Return 'list', 'dict', 'set' or 'deque' for a mutable container, also of a subclass; else an empty text."""
    kind = type(value)
    if kind not in _known:
        _known[kind] = next((name for base, name in _KINDS.items() if issubclass(kind, base)), "")
        if len(_known) > _NESTED_MOST:
            _known.clear()
            return kind_of(value)
    return _known[kind]


def whole(value: object, mode: int) -> Accesses:
    """Return the access to all of a container."""
    return ((id(value), mode),)


def _key(container: Any, key: object) -> Hashable:
    """Return the location of one item; None if a key cannot be compared without running a student's code."""
    if isinstance(key, ATOMS) or (type(key) is tuple and all(isinstance(part, ATOMS) for part in key)):
        return (id(container), "item", key)
    return None


def _position(container: Any, key: object) -> object:
    return key + len(container) if type(key) is int and key < 0 else key


def key_read(container: Any, key: object) -> Accesses:
    """Return the accesses of reading one item; a missing key of a defaultdict is written."""
    kind = kind_of(container)
    at = _key(container, _position(container, key) if kind in {"list", "deque"} else key)
    if at is None or kind == "":
        return whole(container, READ)
    if isinstance(container, collections.defaultdict) and key not in container:
        return key_write(container, key)
    return ((id(container), PART_READ), (at, READ))


def key_write(container: Any, key: object, *, removes: bool = False) -> Accesses:
    """Return the accesses of storing or removing one item."""
    kind = kind_of(container)
    at = _key(container, _position(container, key) if kind in {"list", "deque"} else key)
    if at is None or kind == "" or (removes and kind in {"list", "deque"}):
        return whole(container, WRITE)
    if kind in {"list", "deque"}:
        return ((id(container), PART_WRITE), (at, WRITE))
    if removes or key not in container:
        return ((id(container), PART_WRITE), (at, WRITE), ((id(container), "order", None), WRITE))
    return ((id(container), PART_WRITE), (at, WRITE))


def method(container: Any, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Accesses:
    """Return the accesses of a method call on a container."""
    kind = kind_of(container)
    how = _KEYED.get(kind, {}).get(name)
    own: Accesses
    if how and arguments:
        key, missing = arguments[0], not _has(container, arguments[0])
        if how == "read" or (missing and name in {"discard", "remove", "pop"}):
            own = ((id(container), PART_READ), (_key(container, key), READ)) if _key(container, key) else ()
        elif name in {"add", "setdefault"} and not missing:
            own = key_read(container, key)
        else:
            own = key_write(container, key, removes=name in {"pop", "discard", "remove"})
        own = own or whole(container, READ if how == "read" else WRITE)
    else:
        own = whole(container, READ if name in _READS.get(kind, ()) else WRITE)
    if name in _COMPARES:
        own += collect(list(container))  # the items are looked into, too
    return own if name in KEEPS else own + collect((*arguments, *named.values()))


def _has(container: Any, key: object) -> bool:
    try:
        return key in container
    except TypeError:
        return False


def collect(values: Iterable[Any]) -> Accesses:
    """Return a read of every mutable container that can be reached through values, containers and dataclasses."""
    found: dict[int, None] = {}
    fields: dict[tuple[int, str], None] = {}
    waiting = [value for value in values if not isinstance(value, ATOMS)]
    seen: set[int] = set()
    while waiting and len(seen) < _NESTED_MOST:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if type(value) is View:
            value = value.container
        kind = kind_of(value)
        if kind:
            found[id(value)] = None
            inner = [*value.keys(), *value.values()] if kind == "dict" else list(value)
        elif isinstance(value, (tuple, frozenset)):
            inner = list(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            names = [item.name for item in dataclasses.fields(value)]
            fields.update(((id(value), name), None) for name in names)
            inner = [getattr(value, name, None) for name in names]
        elif isinstance(value, types.MappingProxyType):
            inner = list(value.values())
        else:
            continue
        waiting += [item for item in inner if not isinstance(item, ATOMS)]
    return tuple((location, READ) for location in (*found, *fields))
