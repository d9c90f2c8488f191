"""Write values of a notebook as Python source. Rule: what is one object there is one object in the child.

A race over a list that two names share would vanish if each name came back with a list of its own.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

from labkit.runs.sync_objects import InUse, Recipe, attributes, is_named_tuple, recipe
from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["PLAIN", "TEXT_BYTES_MOST", "Literals", "Unwritable", "classes_of"]

TEXT_BYTES_MOST = MIB
_ATOMS = (type(None), bool, int, float, str, bytes)
_MUTABLE = (list, dict, set)
PLAIN = (*_ATOMS, *_MUTABLE, tuple)  # these very types: a subclass may behave in another way
_WORD_BITS = 64  # longer ints in base 16: repr() refuses those of more than 4300 digits
_DEPTH_MOST = 50  # the parser gives up at 200 open brackets
_BY_IDENTITY = (object.__hash__, object.__eq__)
_OWN = "_labkit_"  # begins every name that the text makes for itself and deletes at its end


class Unwritable(Exception):  # noqa: N818 - as in labkit.errors; turned into a BadWorkload by who knows the workload
    """Something cannot be written as source; the arguments are its name, what it is, and what to do."""


class Literals:
    """Values by name, as assignments."""

    def __init__(
        self,
        values: Mapping[str, object],
        class_name: Callable[[type], str] = lambda kind: kind.__name__,
        late: Collection[str] = (),
    ) -> None:
        """Look at all values before any is written, to learn which objects are shared.

        Args:
            values: Each a plain value (None, a bool, int, float, str or bytes, or a list, tuple, dict or set of those),
                a free object of `threading`, `queue` or `collections`, or an instance of a plain class of the notebook.
            class_name: Gives the global name of a class of the notebook.
            late: Names of those that are written in a second part, which is run after classes are defined.

        Raises:
            Unwritable: If a value holds anything else, holds itself, is in use, or is too large.
        """
        self._values, self._class_name, self._late = values, class_name, late
        self._counts: Counter[int] = Counter()
        self._recipes: dict[int, Recipe] = {}
        self._instances: dict[int, tuple[object, dict[str, object]]] = {}
        self._unseen: list[tuple[str, dict[str, object]]] = []  # instances whose attributes were not looked at yet
        self._where: dict[int, str] = {}
        self._size_bytes = 0
        self._names: dict[int, str] = {}
        self._lines: dict[str, str] = {}
        self._modules: dict[str, None] = {}
        early: set[int] | None = None  # what the first part holds: no name of the second one is there yet
        for name in self._in_order():
            if name in late and early is None:
                early = set(self._counts)
            self._look(name, values[name], ())
            if self._has_identity(values[name]) and id(values[name]) not in (early or ()):
                self._names.setdefault(id(values[name]), name)
        while self._unseen:
            name, own = self._unseen.pop()
            for item in own.values():
                self._look(name, item, ())
        self._check_hidden()

    def text(self) -> str:
        """Return the assignments, one a line, in an order in which each finds what it names.

        Raises:
            Unwritable: If the text is longer than 1 MiB.
        """
        return "".join(self.texts())

    def texts(self) -> tuple[str, str]:
        """Return the same in two parts.

        Raises:
            Unwritable: If the text is longer than 1 MiB.
        """
        self._write_all(name for name in self._values if name not in self._late)
        split = len(self._lines)
        self._write_all(name for name in self._values if name in self._late)
        fills = self._filled()
        lines = list(self._lines.values())
        imports = [f"import {module} as {_OWN}{module}" for module in self._modules]
        own = [name for name in self._lines if name.startswith(_OWN)] + [_OWN + module for module in self._modules]
        ending = [f"del {', '.join(own)}"] if own else []
        first, second = [*imports, *lines[:split]], [*lines[split:], *fills]
        (second or first).extend(ending)
        return tuple("".join(f"{line}\n" for line in part) for part in (first, second))  # type: ignore[return-value]

    def _in_order(self) -> list[str]:
        return sorted(self._values, key=lambda name: name in self._late)

    # ------------------------------------------------------------------------------------------------ looking
    def _look(self, name: str, value: object, path: tuple[int, ...]) -> None:
        kind = type(value)
        self._size_bytes += len(value) if isinstance(value, (str, bytes)) else 2
        if isinstance(value, int):
            self._size_bytes += value.bit_length() // 4
        if self._size_bytes > TEXT_BYTES_MOST:  # before any text is made: it might not fit into memory
            raise _too_large(name)
        if kind in _ATOMS:
            return
        if id(value) in path or len(path) >= _DEPTH_MOST:
            raise Unwritable(name, "a value that holds itself, or nests too deep", "Create it inside the function")
        self._counts[id(value)] += 1
        if self._counts[id(value)] == 1:
            for item in self._inside(name, value):
                self._look(name, item, (*path, id(value)))

    def _inside(self, name: str, value: object) -> list[object]:
        """Return what a value holds, and remember how it is made."""
        if type(value) in PLAIN or is_named_tuple(type(value)):
            if isinstance(value, (dict, set)):
                self._check_keys(name, value)
            return _items(value)
        try:
            made = recipe(value)
            own = None if made else attributes(value)
        except InUse as reason:
            raise Unwritable(name, _as_part(self._values[name], value, reason.args[0]), reason.args[1]) from None
        if made:
            self._recipes[id(value)] = made
            self._where[id(value)] = name
            return made.inner()
        if own is not None:
            self._instances[id(value)] = value, own
            self._unseen.append((name, own))  # from the top: a chain of objects nests in no text
            return []
        kind = type(value)
        what = _as_part(self._values[name], value, f"a {kind.__module__}.{kind.__qualname__}")
        raise Unwritable(name, what, "Create it inside the function, or pass plain values as parameters")

    def _check_hidden(self) -> None:
        """Refuse a name for a lock that stands inside another object, which makes a lock of its own."""
        for number, made in self._recipes.items():
            if any(id(inner) in self._counts for inner in made.hidden):
                what = f"a {made.call} of which something inside is named as well"
                raise Unwritable(self._where[number], what, "Create it inside the function")

    def _check_keys(self, name: str, value: Iterable[object]) -> None:
        """Refuse keys whose class compares them by attributes: they are put in before they have any."""
        for item in value:
            if type(item).__module__ == "__main__" and (type(item).__hash__, type(item).__eq__) != _BY_IDENTITY:
                what = f"a {type(self._values[name]).__name__} with keys that define __eq__ or __hash__"
                raise Unwritable(name, what, "Create it inside the function")
            if type(item) is tuple:
                self._check_keys(name, item)

    def _has_identity(self, value: object) -> bool:
        return isinstance(value, _MUTABLE) or id(value) in self._recipes or id(value) in self._instances

    # ------------------------------------------------------------------------------------------------ writing
    def _write_all(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._lines:
                self._assign(name, self._values[name])
            if sum(map(len, self._lines.values())) > TEXT_BYTES_MOST:
                raise _too_large(name)

    def _assign(self, name: str, value: object) -> None:
        """Write the line of a name, and after it the calls that bring the new object to its state."""
        text = self._write(value, of=name)  # before its own line: it may name others
        made = self._recipes.get(id(value)) if self._names.get(id(value), name) == name else None
        lines = [f"{name} = {text}"]
        for method, arguments in made.then if made else ():
            lines.append(f"{name}.{method}({', '.join(map(self._write, arguments))})")
        self._lines[name] = "\n".join(lines)

    def _write(self, value: object, *, of: str = "") -> str:
        if self._has_identity(value) and self._elsewhere(value, of):
            return self._shared(value)
        if id(value) in self._recipes or id(value) in self._instances:
            return self._call(value)
        if isinstance(value, tuple):
            return self._tuple(value)
        if isinstance(value, (list, dict, set)):
            return self._container(value)
        if isinstance(value, float):
            return repr(value).replace("inf", "1e999").replace("nan", "(1e999 * 0)")
        return f"{value:#x}" if isinstance(value, int) and value.bit_length() > _WORD_BITS else repr(value)

    def _tuple(self, value: tuple[object, ...]) -> str:
        inner = "(" + "".join(f"{self._write(item)}, " for item in value) + ")"
        if type(value) is tuple:
            return inner
        return f"{self._own('builtins.tuple')}.__new__({self._class_name(type(value))}, {inner})"

    def _call(self, value: object) -> str:
        made = self._recipes.get(id(value))
        if made is None:  # an instance
            return f"{self._own('builtins.object')}.__new__({self._class_name(type(value))})"
        words = [self._own(made.first)] if made.first else []
        words += [self._write(item) for item in made.arguments]
        words += [f"{key}={self._write(item)}" for key, item in made.keywords]
        return f"{self._own(made.call)}({', '.join(words)})"

    def _own(self, name: str) -> str:
        """Say a name of a module so that nothing of the notebook can mean something else by it."""
        module, dot, _ = name.partition(".")
        if not dot:
            return name  # None
        self._modules[module] = None
        return _OWN + name

    def _elsewhere(self, value: object, of: str) -> bool:
        """Return True if an object is written in an assignment of its own, under another name than this."""
        made = self._recipes.get(id(value))
        alone = id(value) in self._instances or (made is not None and made.then)
        if id(value) not in self._names and (self._counts[id(value)] > 1 or alone):
            self._names[id(value)] = f"{_OWN}shared_{len(self._names)}"
        return self._names.get(id(value), of) != of

    def _shared(self, value: object) -> str:
        name = self._names[id(value)]
        if name not in self._lines:
            self._assign(name, value)
        return name

    def _filled(self) -> list[str]:
        """Give every instance its attributes, when all are there: they may name each other."""
        fills = []
        for value, own in self._instances.values():
            inner = "{" + ", ".join(f"{key!r}: {self._write(item)}" for key, item in own.items()) + "}"
            fills.append(f"{self._write(value)}.__dict__.update({inner})")
        return fills

    def _container(self, value: list[object] | dict[object, object] | set[object]) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{self._write(key)}: {self._write(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(self._write, value)) + "]"
        return "{" + (", ".join(sorted(map(self._write, value))) or "*()") + "}"  # set() needs a name


def classes_of(value: object) -> list[type]:
    """Return the classes of the notebook that must be defined before a value can be made again."""
    found: dict[type, None] = {}
    seen: set[int] = set()
    waiting = deque([value])
    alive: list[object] = []  # so that no number is used twice
    while waiting:
        item = waiting.popleft()
        if type(item) in _ATOMS or id(item) in seen:
            continue
        seen.add(id(item))
        alive.append(item)
        if type(item) in PLAIN:
            waiting.extend(_items(item))
        elif is_named_tuple(type(item)):
            found[type(item)] = None
            waiting.extend(_items(item))
        else:
            _look_inside(item, found, waiting)
    return list(found)


def _look_inside(item: object, found: dict[type, None], waiting: deque[object]) -> None:
    try:
        made = recipe(item)
        own = None if made else attributes(item)
    except InUse:
        return  # which is said when it is to be written
    if own is not None:
        found[type(item)] = None
    waiting.extend(made.inner() if made else (own or {}).values())


def _items(value: object) -> list[object]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple, set)) else []


def _as_part(whole: object, part: object, what: str) -> str:
    """Say what is wrong with a value, and in what it stands if it is inside another one."""
    return what if whole is part else f"a {type(whole).__name__} that holds {what}"


def _too_large(name: str) -> Unwritable:
    return Unwritable(name, "plain values of more than 1 MiB together", "Make them inside the function")
