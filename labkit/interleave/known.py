"""Which calls into C and into the library are understood, and how. Rule: tables; what is in none is refused."""

from __future__ import annotations

import bisect
import builtins
import collections
import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import heapq
import itertools
import json
import math
import operator
import types
from typing import Any

__all__ = ["BINARY", "IN_PLACE", "PLAIN_TYPES", "Kind", "kind", "name_of"]


class Kind(enum.Enum):
    """What a call does, as far as interleavings are concerned."""

    UNKNOWN = 0
    SPECIAL = 1  # has a hook of its own
    CONSUMES = 2  # reads what it is given, at once, and changes nothing
    LAZY = 3  # reads what it is given later, item by item
    CHANGES = 4  # changes its first argument, at once


_SPECIAL = (getattr, setattr, hasattr, delattr, print, id, len, iter, type, next)
_PURE_BUILTINS = (
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod float format frozenset hash hex int "
    "isinstance issubclass list max min next object oct ord pow property range repr round set slice sorted "
    "staticmethod classmethod str sum tuple"
)
_PURE_MODULES = (math, operator)
_PURE = (
    *(collections.deque, collections.defaultdict, collections.OrderedDict, collections.Counter),
    *(fractions.Fraction, decimal.Decimal, dt.date, dt.time, dt.datetime, dt.timedelta),
    *(collections.namedtuple, copy.copy, copy.deepcopy, json.dumps, json.loads, functools.partial, functools.wraps),  # noqa: PYI024
    *(functools.update_wrapper, dataclasses.asdict, dataclasses.astuple, dataclasses.replace, functools.cmp_to_key),
    *(bisect.bisect, bisect.bisect_left, bisect.bisect_right, heapq.nlargest, heapq.nsmallest, functools.reduce),
    *(dataclasses.field, dataclasses.fields, types.SimpleNamespace.__init__),
)
_LAZY = (enumerate, filter, map, reversed, zip)
_CHANGES = (
    *(heapq.heappush, heapq.heappop, heapq.heapify, heapq.heapreplace, heapq.heappushpop),
    *(bisect.insort, bisect.insort_left, bisect.insort_right),
)
# Types whose objects no thread can change: their methods are calls into C that read.
PLAIN_TYPES = (
    *(type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range, slice, type(...)),
    *(fractions.Fraction, decimal.Decimal, dt.date, dt.time, dt.timedelta),
    *(enum.Enum, types.GenericAlias, BaseException),
)


# What the operators of the syntax tree compute.
IN_PLACE: dict[str, Any] = {
    "Add": operator.iadd,
    "Sub": operator.isub,
    "Mult": operator.imul,
    "MatMult": operator.imatmul,
    "Div": operator.itruediv,
    "Mod": operator.imod,
    "Pow": operator.ipow,
    "LShift": operator.ilshift,
    "RShift": operator.irshift,
    "BitOr": operator.ior,
    "BitXor": operator.ixor,
    "BitAnd": operator.iand,
    "FloorDiv": operator.ifloordiv,
}


BINARY = {
    name: getattr(operator, function.__name__[1:] + "_" * (function.__name__ in {"iand", "ior"}))
    for name, function in IN_PLACE.items()
}
BINARY |= {"Eq": operator.eq, "NotEq": operator.ne, "Lt": operator.lt, "LtE": operator.le}
BINARY |= {"Gt": operator.gt, "GtE": operator.ge}


def _table() -> dict[int, Kind]:
    table: dict[int, Kind] = {}
    lazy = [value for value in vars(itertools).values() if isinstance(value, type)]
    pure: list[Any] = [getattr(builtins, name) for name in _PURE_BUILTINS.split()]
    pure += [value for module in _PURE_MODULES for value in vars(module).values() if callable(value)]
    for values, how in ((pure, Kind.CONSUMES), (_PURE, Kind.CONSUMES), ([*_LAZY, *lazy], Kind.LAZY)):
        table.update((id(value), how) for value in values)
    in_place = [
        "iadd",
        "iand",
        "iconcat",
        "ifloordiv",
        "ilshift",
        "imatmul",
        "imod",
        "imul",
        "ior",
        "ipow",
        "irshift",
        "isub",
        "itruediv",
        "ixor",
    ]
    changes = [*_CHANGES, operator.setitem, operator.delitem, *(getattr(operator, name) for name in in_place)]
    table.update((id(value), Kind.CHANGES) for value in changes)
    table.update((id(value), Kind.SPECIAL) for value in _SPECIAL)
    for unknown in (operator.attrgetter, operator.itemgetter, operator.methodcaller):
        table[id(unknown)] = Kind.CONSUMES  # making one looks at nothing; calling it is not known
    return table


_TABLE = _table()  # of objects that live as long as Python: their ids stay theirs


def kind(called: Any) -> Kind:
    """Say what a call of an object does."""
    found = _TABLE.get(id(called))
    if found is not None:
        return found
    if isinstance(called, type) and issubclass(called, PLAIN_TYPES) and not _has_own_code(called):
        return Kind.CONSUMES
    if isinstance(called, types.BuiltinFunctionType) and getattr(called, "__self__", None) in _PURE_MODULES:
        return Kind.CONSUMES
    return Kind.UNKNOWN


def _has_own_code(called: type) -> bool:
    """Return True if a class brings functions that somebody wrote (those of namedtuple and enum are the library's)."""
    if issubclass(called, enum.Enum):
        return False
    parts = [value for item in called.__mro__ for value in vars(item).values()]
    functions = [part.fget if isinstance(part, property) else part for part in parts]
    return any(isinstance(item, types.FunctionType) and not _of_namedtuple(item) for item in functions)


def _of_namedtuple(function: types.FunctionType) -> bool:
    return function.__code__.co_filename in {collections.__file__, "<string>"} or (
        function.__code__.co_name == "__new__" and function.__module__.startswith("namedtuple_")
    )


def name_of(called: Any) -> str:
    """Name something that is called, for a person."""
    owner = getattr(called, "__self__", None)
    name = getattr(called, "__qualname__", None) or type(called).__qualname__
    module = getattr(called, "__module__", None)
    if module is None and owner is not None:
        module = getattr(owner, "__name__", None) or type(owner).__module__
    return f"{module}.{name}" if module and module not in {"builtins", "__main__"} else str(name)
