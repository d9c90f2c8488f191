"""Write plain values of a notebook as Python source. Rule: what is one object there is one object in the child.

A race over a list that two names share would vanish if each name came back with a list of its own.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PLAIN", "TEXT_BYTES_MOST", "Literals", "Unwritable"]

TEXT_BYTES_MOST = MIB
_ATOMS = (type(None), bool, int, float, str, bytes)
_MUTABLE = (list, dict, set)
PLAIN = (*_ATOMS, *_MUTABLE, tuple)  # these very types: a subclass may behave in another way
_WORD_BITS = 64  # longer ints in base 16: repr() refuses those of more than 4300 digits
_DEPTH_MOST = 50  # the parser gives up at 200 open brackets


class Unwritable(Exception):  # noqa: N818 - as in labkit.errors; turned into a BadWorkload by who knows the workload
    """Something cannot be written as source; the arguments are its name, what it is, and what to do."""


class Literals:
    """Plain values by name, as assignments."""

    def __init__(self, values: Mapping[str, object]) -> None:
        """Look at all values before any is written, to learn which objects are shared.

        Args:
            values: Each a plain value: None, a bool, int, float, str or bytes, or a list, tuple, dict or set of those.

        Raises:
            Unwritable: If a value holds anything else, holds itself, or is too large.
        """
        self._values = values
        self._counts: Counter[int] = Counter()
        self._size_bytes = 0
        self._names: dict[int, str] = {}
        self._lines: dict[str, str] = {}
        for name, value in values.items():
            self._look(name, value, ())
            if isinstance(value, _MUTABLE):
                self._names.setdefault(id(value), name)

    def text(self) -> str:
        """Return the assignments, one a line, in an order in which each finds what it names.

        Raises:
            Unwritable: If the text is longer than 1 MiB.
        """
        for name, value in self._values.items():
            if name not in self._lines:
                self._lines[name] = f"{name} = {self._write(value, of=name)}"
            if sum(map(len, self._lines.values())) > TEXT_BYTES_MOST:
                raise _too_large(name)
        return "".join(f"{line}\n" for line in self._lines.values())

    def _look(self, name: str, value: object, path: tuple[int, ...]) -> None:
        kind = type(value)
        if kind not in PLAIN:
            what = f"a {type(self._values[name]).__name__} that holds a {kind.__module__}.{kind.__qualname__}"
            raise Unwritable(name, what, "Create it inside the function, or pass plain values as parameters")
        self._size_bytes += len(value) if isinstance(value, (str, bytes)) else 2
        if isinstance(value, int):
            self._size_bytes += value.bit_length() // 4
        if self._size_bytes > TEXT_BYTES_MOST:  # before any text is made: it might not fit into memory
            raise _too_large(name)
        if not isinstance(value, (tuple, *_MUTABLE)):
            return
        if id(value) in path or len(path) >= _DEPTH_MOST:
            raise Unwritable(name, "a value that holds itself, or nests too deep", "Create it inside the function")
        self._counts[id(value)] += 1
        if self._counts[id(value)] == 1:
            inner = [*value.keys(), *value.values()] if isinstance(value, dict) else list(value)
            for item in inner:
                self._look(name, item, (*path, id(value)))

    def _write(self, value: object, *, of: str = "") -> str:
        if isinstance(value, _MUTABLE) and self._elsewhere(value, of):
            return self._shared(value)
        if isinstance(value, tuple):
            return "(" + "".join(f"{self._write(item)}, " for item in value) + ")"
        if isinstance(value, (list, dict, set)):
            return self._container(value)
        if isinstance(value, float):
            return repr(value).replace("inf", "1e999").replace("nan", "(1e999 * 0)")
        wide = isinstance(value, int) and value.bit_length() > _WORD_BITS
        return f"{value:#x}" if wide else repr(value)

    def _elsewhere(self, value: object, of: str) -> bool:
        """Return True if a container is written in an assignment of its own, under another name than this."""
        if id(value) not in self._names and self._counts[id(value)] > 1:
            self._names[id(value)] = f"_labkit_shared_{len(self._names)}"
        return self._names.get(id(value), of) != of

    def _shared(self, value: object) -> str:
        name = self._names[id(value)]
        if name not in self._lines:
            text = self._write(value, of=name)  # before its own line: it may name others
            self._lines[name] = f"{name} = {text}"
        return name

    def _container(self, value: list[object] | dict[object, object] | set[object]) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self._write(key)}: {self._write(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self._write, value)) + "]"
        return "{" + (", ".join(sorted(map(self._write, value))) or "*()") + "}"  # set() needs a name


def _too_large(name: str) -> Unwritable:
    return Unwritable(name, "plain values of more than 1 MiB together", "Make them inside the function")
