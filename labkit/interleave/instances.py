"""Copies of single objects: of a student's classes, of subclasses of list or int, of exceptions. Rule: no code runs.

What cannot be copied is replaced by something that is refused as soon as the program touches it.
"""

from __future__ import annotations

import ast
import collections
import contextlib
import itertools
import types
from typing import Any

from labkit.interleave import execution
from labkit.interleave.containers import kind_of
from labkit.interleave.outside import LOOKS_INTO, by_a_student, foreign, slots_of

__all__ = ["Instances"]


class Instances:
    """The part of `Copies` that copies objects which are no plain containers."""

    _numbers: dict[int, tuple[int, Any]]
    _serial: dict[int, int]

    def twin(self, value: Any) -> Any:
        """Return what stands for one of the student's objects in this execution."""
        raise NotImplementedError

    def _keep(self, value: Any, twin: Any) -> Any:
        raise NotImplementedError

    def _class(self, kind: type) -> type:
        raise NotImplementedError

    def _instance(self, value: Any, kind: type) -> Any:
        own = self._class(kind)
        if own is kind:
            return self._of_library(value, kind)
        if isinstance(value, BaseException):
            return self._attributes(value, self._keep(value, own.__new__(own, *self.twin(value.args))))
        base: Any = next(item for item in kind.__mro__ if not by_a_student(item))
        try:
            if base in {tuple, frozenset}:
                return self._attributes(value, self._keep(value, base.__new__(own, map(self.twin, value))))
            if base in {str, int, float, bytes}:
                return self._attributes(value, self._keep(value, base.__new__(own, base(value))))
            twin = self._keep(value, base.__new__(own))
            self._content(value, twin, base)
        except TypeError:
            return self._keep(value, foreign(kind))
        self._number(twin)
        return self._attributes(value, twin)

    def _of_library(self, value: Any, kind: type) -> Any:
        if kind is itertools.count:
            with contextlib.suppress(ValueError, SyntaxError):
                return self._keep(value, itertools.count(*ast.literal_eval(repr(value)[5:-1] + ",)")))
        if hasattr(kind, "__next__") or kind in LOOKS_INTO:
            return self._keep(value, foreign(kind))
        if issubclass(kind, tuple):  # a namedtuple
            return self._keep(value, tuple.__new__(kind, [self.twin(item) for item in value]))
        if kind is types.SimpleNamespace:
            twin = self._keep(value, types.SimpleNamespace())
            self._number(twin)
            return self._attributes(value, twin)
        return value  # refused when the program touches it

    def _content(self, value: Any, twin: Any, base: Any) -> None:
        if kind_of(value) == "dict":
            for key, item in dict.items(value):
                base.__setitem__(twin, self.twin(key), self.twin(item))
            if isinstance(value, collections.defaultdict):
                twin.default_factory = self.twin(value.default_factory)
        elif kind_of(value) == "deque":
            base.__init__(twin, [self.twin(item) for item in value], value.maxlen)
        elif kind_of(value):
            base.__init__(
                twin, value if isinstance(value, bytearray) else [self.twin(item) for item in base.copy(value)]
            )

    def _attributes(self, value: Any, twin: Any) -> Any:
        for name, item in getattr(value, "__dict__", {}).items():
            object.__setattr__(twin, name, self.twin(item))
        for name in slots_of(type(value)) if not isinstance(value, BaseException) else ():
            if hasattr(value, name):
                object.__setattr__(twin, name, self.twin(getattr(value, name)))
        return twin

    def _number(self, value: Any) -> None:
        current = execution.current()
        thread = -1 if current is None else current.index
        self._serial[thread] = self._serial.get(thread, 0) + 1
        self._numbers[id(value)] = (1_000_000 * (thread + 2) + self._serial[thread], value)
