"""Collect what functions typed in a notebook name: imports, plain values, functions and classes, in a working order.

Rule: nothing of the student's is run or copied by reference. What cannot be written as text is refused by name.
"""

from __future__ import annotations

import builtins
import inspect
import io
import sys
import types
from collections import deque
from typing import TYPE_CHECKING, NoReturn

from labkit.errors import BadWorkload
from labkit.model import Part
from labkit.runs.cells import Definition, definition, is_a, lambda_definition, unwrap
from labkit.runs.changed import changed
from labkit.runs.literals import PLAIN, Literals, Unwritable, classes_of
from labkit.runs.sync_objects import InUse, as_call, attributes, is_named_tuple, recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Belongings", "reach"]

_OBJECTS = "objects of the notebook"
_OF_MODULES = {"__name__", "__builtins__", "__spec__", "__loader__", "__package__", "__doc__"}  # the child has its own


class Belongings:
    """What functions of a notebook need in the child, found by following the names that they use."""

    def __init__(self, names: dict[str, object]) -> None:
        """Begin with nothing; ``names`` are the globals of the notebook."""
        self.workload = ""
        self._names = names
        self._future = False
        self._imports: dict[str, None] = {}  # a set that keeps its order
        self._values: dict[str, object] = {}
        self._classes: dict[type, str] = {}  # of objects among the values
        self._late: dict[str, None] = {}  # values that need classes, or are attributes
        self._owners: dict[str, None] = {}  # of such attributes
        self._found: dict[str, Definition] = {}
        self._waiting: deque[tuple[str, str]] = deque()

    def add(self, thing: object, key: str = "") -> str:
        """Find everything that a function needs.

        Args:
            thing: A function or class, as the notebook knows it (a decorator's wrapper is fine).
            key: What to call it if it has no name that it can be found by.

        Returns:
            The global name of it in the child.

        Raises:
            BadWorkload: If it or something that it names cannot travel as text.
        """
        self.workload = getattr(unwrap(thing)[0], "__name__", key)
        name = self._lambda(thing, key) or self._method(thing, key) or self._foreign(thing, key)
        name = name or self._define(self.workload, thing, self.workload)
        self._follow()
        return name

    def need(self, name: str) -> None:
        """Find everything that one global name needs; raises as `add` does."""
        self.workload = name
        self._need(name, name)
        self._follow()

    def _follow(self) -> None:
        while self._waiting:
            self._need(*self._waiting.popleft())
        for name in list(self._found):
            self._submodules(self._found[name].chains)

    def parts(self) -> tuple[Part, ...]:
        """Return the source in the order in which it must be run: imports, values, then definitions.

        Raises:
            BadWorkload: If a plain value holds something else, or is too large.
        """
        imports = "".join(f"{line}\n" for line in self._imports)
        found = dict(self._found)
        try:
            values, objects = Literals(self._values, lambda kind: self._classes[kind], self._late).texts()
            if objects:
                found[_OBJECTS] = _block(_OBJECTS, objects, [*self._classes.values(), *self._owners])
                found |= {name: _block(name, "", [_OBJECTS]) for name in self._late}
            order = _in_order(found)
        except Unwritable as reason:
            name, what, advice = reason.args
            self._refuse(self.workload, name, what, advice)
        first = (Part("imports of the notebook", 1, imports), Part("values of the notebook", 1, values))
        return tuple(part for part in (*first, *(found[name].part for name in order)) if part.text)

    def _need(self, name: str, user: str) -> None:
        """Decide how one global name travels; a name that exists nowhere stays a NameError, which is honest data."""
        if name in self._found or name in self._values or name in _OF_MODULES or name not in self._names:
            return
        value = self._names[name]
        if hasattr(builtins, name) and (_is_builtin(name, value) or type(value).__module__.startswith("IPython.")):
            return  # also IPython's own open, exit and quit, which stand in every notebook in place of Python's
        if is_a(value, types.ModuleType):
            self._import_module(name, value, user)
        elif type(value) in PLAIN:
            self._value(name, value, user)
        elif _of_main(value):
            self._define(name, value, user)
        elif not self._import_name(name, value):
            self._object(name, value, user)

    def _value(self, name: str, value: object, user: str) -> None:
        """Note a value, and the classes of the objects in it."""
        self._values[name] = value
        for kind in classes_of(value):
            found = [kind.__name__, *self._names]
            known = next((other for other in found if self._names.get(other) is kind), "")
            if not known:
                what = f"an object of a class {kind.__name__!r} that is defined anew since"
                self._refuse(user, name, what, "Run the cells again from the top")
            self._classes[kind] = known
            self._late[name] = None
            self._waiting.append((known, name))

    def _object(self, name: str, value: object, user: str) -> None:
        """Note an object that can be made again, or refuse it."""
        try:
            known = recipe(value) is not None or is_named_tuple(type(value)) or attributes(value) is not None
        except InUse as reason:
            self._refuse(user, name, *reason.args)
        if not known:
            self._refuse(user, name, _kind(value), _advice(value))
        self._value(name, value, user)

    def _lambda(self, thing: object, key: str) -> str:
        """Define a lambda that has no name; return the name that it gets, or nothing if it is no such thing."""
        if not is_a(thing, types.FunctionType) or thing.__name__ != "<lambda>" or thing.__module__ != "__main__":
            return ""
        self.workload = key
        named = definition(thing, future=self._future)
        if named and self._names.get(named.name) is thing:
            return self._define(named.name, thing, key)
        name = self._free(key)
        if thing.__closure__ or thing.__defaults__ or thing.__kwdefaults__:
            self._refuse(key, key, "a lambda made inside another function, or with defaults", "Write it with def")
        found = lambda_definition(thing, name)
        if found is None:
            self._refuse(key, key, "without source that can be found", "Write it with def, in a cell of its own")
        self._found[name] = found
        self._waiting.extend((needed, name) for needed in sorted(found.now | found.later))
        return name

    def _method(self, thing: object, key: str) -> str:
        """Take a method from the global object that it is bound to; return its new name, or nothing if it is none."""
        if not is_a(thing, types.MethodType) or type(thing.__self__).__module__ != "__main__":
            return ""
        names = [name for name, value in self._names.items() if value is thing.__self__ and not name.startswith("_")]
        owner = next(iter(names), "")
        if not owner or inspect.getattr_static(type(thing.__self__), thing.__name__, None) is not thing.__func__:
            return ""
        self._need(owner, key)
        name = self._free(key)
        text = f"{name} = {owner}.{thing.__name__}\n"
        self._found[name] = _block(name, "", [owner])._replace(part=Part(f"method {name} of the notebook", 1, text))
        return name

    def _foreign(self, thing: object, key: str) -> str:
        """Import what is not of the notebook; return the name that it gets, or nothing if it is of the notebook."""
        if _of_main(thing):
            return ""
        name = self._free(key or self.workload)
        self.workload = getattr(thing, "__qualname__", name)
        if not self._import_name(name, thing):
            inner = is_a(thing, types.FunctionType) and "<locals>" in thing.__qualname__
            unnamed = "a lambda of a module" if is_a(thing, types.FunctionType) else _kind(thing)
            what = "made inside another function" if inner else unnamed
            self._refuse(self.workload, self.workload, what, "Define it at the left margin of a cell or module")
        return name

    def _free(self, name: str) -> str:
        while name in self._names or name in self._found or hasattr(builtins, name):
            name += "_"
        return name

    def _define(self, name: str, value: object, user: str) -> str:
        thing, wraps = unwrap(value)
        if not (is_a(thing, types.FunctionType) or is_a(thing, type)):
            self._refuse(user, name, _kind(thing), "Write it with def")
        if "<locals>" in thing.__qualname__ or getattr(thing, "__closure__", None):
            advice = "Define it at the left margin of a cell; a decorator must use functools.wraps"
            self._refuse(user, name, "made inside another function", advice)
        call = as_call(thing) if is_a(thing, type) else None
        found = _named_tuple(name, call) if call else definition(thing, future=self._future)
        if found is None:
            advice = "Type its definition in a cell of its own, without a %%magic line, or put it into a module"
            self._refuse(user, name, "without source that can be found", advice)
        if wraps > found.decorators_count:
            self._refuse(user, name, "wrapped after it was defined", "Write the decorator above its def")
        if self._names.get(found.name) is not value:
            self._refuse(user, name, f"defined as {found.name!r}, which now means something else", "Define it again")
        self._future = found.future
        if name != found.name:  # one definition for both names, so that they stay one object
            alias = Part(found.part.file, 1, f"{name} = {found.name}\n")
            found = Definition(name, alias, frozenset({found.name}), frozenset(), frozenset(), 0, found.future)
        self._found[name] = found
        self._waiting.extend((needed, name) for needed in sorted(found.now | found.later) if needed != name)
        if not call:
            self._attributes(name, thing, found, user)
        return found.name

    def _attributes(self, name: str, thing: types.FunctionType | type, found: Definition, user: str) -> None:
        """Note what was set on a class or function since its definition."""
        try:
            later = changed(thing, found, self._names)
        except InUse as reason:
            self._refuse(user, name, *reason.args)
        for key, value in later.items():
            self._late[f"{name}.{key}"] = None
            self._owners[name] = None
            self._value(f"{name}.{key}", value, user)

    def _import_module(self, name: str, module: object, user: str) -> None:
        full = vars(module)["__name__"]
        if full == "__main__" or vars(module).get("__spec__") is None or sys.modules.get(full) is not module:
            self._refuse(user, name, "a module that cannot be imported by name", "Save it as a file and import that")
        self._imports[f"import {full} as {name}"] = None

    def _import_name(self, name: str, value: object) -> bool:
        """Import an object by name; return False if no module offers it."""
        place = _public(name, value)
        if place is None:
            return False
        module, path = place
        first, _, rest = path.partition(".")
        self._imports[f"from {module} import {first} as {name}"] = None
        if rest:
            self._imports[f"{name} = {name}.{rest}"] = None
        return True

    def _submodules(self, chains: Iterable[tuple[str, ...]]) -> None:
        """Import what ``import a.b`` made visible as an attribute: the name ``a`` alone does not bring it."""
        for chain in sorted(chains):
            module = self._names.get(chain[0])
            for name in chain[1:]:
                if not is_a(module, types.ModuleType):
                    break
                full = f"{vars(module)['__name__']}.{name}"
                module = vars(module).get(name)
                if module is not None and sys.modules.get(full) is module:
                    self._imports[f"__import__({full!r})"] = None

    def _refuse(self, user: str, name: str, what: str, advice: str) -> NoReturn:
        via = "" if user == self.workload else f"uses {user!r}, which "
        problem = "is " + what if name == user == self.workload else f"{via}names {name!r}, {what}"
        raise BadWorkload(self.workload, f"{problem}; only source text reaches its process", f"{advice}.")


def reach(module: str, path: str) -> object:
    """Return what a dotted path leads to in an imported module; None if it leads nowhere.

    Args:
        module: Name of the module. ``__main__`` and modules without a spec lead nowhere: no child could import them.
        path: Such as ``"Pool.map"``.
    """
    found: object = sys.modules.get(module)
    if module == "__main__" or getattr(found, "__spec__", None) is None:
        return None
    first, *rest = path.split(".")
    found = vars(found).get(first)  # not getattr: modules may load more when asked
    for name in rest:
        found = getattr(found, name, None)
    return found


def _block(name: str, text: str, now: Iterable[str]) -> Definition:
    """Make lines that are no definition stand in the order of the definitions."""
    return Definition(name, Part(_OBJECTS, 1, text), frozenset(now), frozenset(), frozenset(), 0, future=False)


def _named_tuple(name: str, call: str) -> Definition:
    text = f"{name} = __import__('collections').namedtuple({call})\n"
    return _block(name, text, ())._replace(part=Part(f"namedtuple {name} of the notebook", 1, text))


def _is_builtin(name: str, value: object) -> bool:
    return getattr(builtins, name) in (value, unwrap(value)[0])


def _of_main(value: object) -> bool:
    thing = unwrap(value)[0]
    return (is_a(thing, types.FunctionType) or is_a(thing, type)) and thing.__module__ == "__main__"


def _public(name: str, value: object) -> tuple[str, str] | None:
    """Find where to import an object from: rather not from a private module, which other versions may lack."""
    tries = [(str(type(value).__module__), name)]
    if is_a(value, types.MethodType) or is_a(value, types.BuiltinFunctionType):
        tries.insert(0, (str(type(value.__self__).__module__), value.__name__))
    if is_a(value, type) or is_a(value, types.FunctionType) or is_a(value, types.BuiltinFunctionType):
        tries[:0] = [(str(value.__module__), value.__qualname__), (str(value.__module__), value.__name__)]
    good = [place for place in tries if reach(*place) is value]
    for module, path in good:
        if "._" not in f".{module}":
            return module, path
    found = []
    for module in [full for full in sys.modules if full.partition(".")[0] in sys.stdlib_module_names]:
        if "._" not in f".{module}":
            space = vars(sys.modules[module])
            offered = space.get("__all__", ())
            found += [(key not in offered, key != name, module, key) for key in list(space) if space[key] is value]
    found = [item for item in found if reach(item[2], item[3]) is value]
    return min(found)[2:] if found else next(iter(good), None)


def _in_order(found: Mapping[str, Definition]) -> list[str]:
    """Sort definitions so that each finds what it needs at once, and what this in turn may call.

    Needs of the moment are strict. Those of a later call are followed only where that closes no circle: a decorator may
    name the function that it decorates, which cannot be there yet.
    """
    order: dict[str, None] = {}
    unfinished: set[str] = set()

    def place(name: str) -> None:
        if name in unfinished:
            raise Unwritable(name, "which needs itself to be defined", "Run the cells again from the top")
        if name in order:
            return
        unfinished.add(name)
        needed = sorted((found[name].now & found.keys()) - {name})
        for other in needed:
            place(other)
        for other in sorted(_reachable(found, needed, strict=False)):
            if not unfinished & _reachable(found, [other], strict=True):
                place(other)
        unfinished.discard(name)
        order[name] = None

    for name in reversed(list(found)):  # what the workload names was found after it, and reads better before it
        place(name)
    return list(order)


def _reachable(found: Mapping[str, Definition], names: Iterable[str], *, strict: bool) -> set[str]:
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in found and name not in seen:
            seen.add(name)
            waiting.extend(found[name].now if strict else found[name].now | found[name].later)
    return seen


def _kind(value: object) -> str:
    kind = type(value)
    known = {io.IOBase: "an open file", types.GeneratorType: "a generator", types.ModuleType: "a module"}
    word = next((text for base, text in known.items() if issubclass(kind, base)), "a live object")
    return f"{word} of type {kind.__module__}.{kind.__qualname__}"


def _advice(value: object) -> str:
    kind = type(value)
    if issubclass(kind, io.IOBase):
        return "Open it inside the function"
    if kind.__module__.partition(".")[0] in {"_thread", "threading", "multiprocessing", "queue", "_queue"}:
        return "Create it inside the function, and hand it to the threads that share it"
    return "Create it inside the function, or pass plain values as parameters"
