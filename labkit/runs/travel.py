"""How a workload gets to its child process: as text, never pickled. Rule: the student's code is read, and never run.

A function of a module travels as its name. One typed in a notebook travels as source, with all that it names. (A
pickled function of Python 3.11 crashed 3.12 with a segmentation fault; a pool given a function of a notebook hangs.)
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import json
import math
import os
import re
import sys
import sysconfig
import types
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.errors import BadValue, BadWorkload
from labkit.runs.belongings import Belongings, reach
from labkit.runs.cells import is_a, unwrap
from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from labkit.model import Json, Part

__all__ = ["PARAMS_BYTES_MOST", "PARAM_DEPTH_MOST", "Bundle", "Parcel", "folder_of", "pack", "pack_all"]

PARAMS_BYTES_MOST = MIB
PARAM_DEPTH_MOST = 5  # a recording may nest 8 levels, and a parameter stands on the third
_INT_BITS_MOST = 14_000  # Python reads and writes ints of at most 4300 digits in base 10
_PLAIN = (type(None), bool, int, float, str)
_SURROGATES = re.compile("[\ud800-\udfff]")  # two halves would come back as one character


class Parcel(NamedTuple):
    """A workload as the child needs it.

    Attributes:
        workload: ``module:name``, or ``<cell>:name`` for a function that travels as source.
        source: Pieces of source to run in order, in one namespace; empty for a function of a module.
        folder: Folder that the child appends to the end of its ``sys.path``; empty if it needs none.
    """

    workload: str
    source: tuple[Part, ...]
    folder: str


class Bundle(NamedTuple):
    """Several functions as the child needs them, in one namespace.

    Attributes:
        names: Global name of each in the child, by the key that it was given.
        source: Pieces of source to run in order.
        folder: Folder that the child appends to the end of its ``sys.path``; empty if it needs none.
    """

    names: Mapping[str, str]
    source: tuple[Part, ...]
    folder: str


def pack(workload: Callable[..., object], params: Mapping[str, Json]) -> Parcel:
    """Make a function ready to travel, and check that it takes these parameters.

    Args:
        workload: A function of a module that can be imported, or one typed in a notebook.
        params: Keyword arguments: None, bool, int, finite float, str, lists and dicts of those; at most 1 MiB as JSON.

    Returns:
        The parcel. Nothing has been run.

    Raises:
        BadWorkload: If it is not a plain function, names something that cannot travel, or does not take the parameters.
        BadValue: If a parameter is not JSON, or all together are too large.
    """
    function = _plain_function(workload)
    typed = function.__module__ == "__main__"
    if typed:
        _check_typed(function)
    _check_params(function, params)
    if typed:
        found = Belongings(function.__globals__)
        place, source = f"<cell>:{found.add(function)}", found.parts()
        return Parcel(place, source, folder_of(place, source))
    place = f"{function.__module__}:{function.__qualname__}"
    if reach(function.__module__, function.__qualname__) is not function:
        raise BadWorkload(
            function.__qualname__,
            f"is not what {place!r} leads to",
            "Define it at the left margin of a module that can be imported, and use the name that it has there.",
        )
    return Parcel(place, (), folder_of(place))


def pack_all(functions: Mapping[str, Callable[..., object]], names: Iterable[str] = ()) -> Bundle:
    """Make several functions ready to travel together, so that all see the same globals.

    Args:
        functions: Functions and classes by key: of modules that can be imported, or typed in one notebook. A lambda
            that has no name gets its key as its name.
        names: Global names of the notebook that travel as well.

    Returns:
        The bundle. Nothing has been run.

    Raises:
        BadWorkload: If one of them cannot travel: a closure, a method, or something that names a live object.
    """
    spaces = {id(space): space for thing in functions.values() if (space := _globals(thing)) is not None}
    if len(spaces) > 1:
        raise BadWorkload(next(iter(functions)), "and the others are not of one notebook", "Type all in one notebook.")
    found = Belongings(next(iter(spaces.values()), {}))
    given = {key: found.add(thing, key) for key, thing in functions.items()}
    for name in names:
        found.need(name)
    source = found.parts()
    return Bundle(given, source, folder_of(f"<cell>:{found.workload}", source))


def _globals(thing: object) -> dict[str, object] | None:
    """Return the namespace of a function or class of a notebook; None if it is not of one."""
    inner = thing.__func__ if is_a(thing, types.MethodType) else unwrap(thing)[0]
    if not (is_a(inner, types.FunctionType) or is_a(inner, type)) or inner.__module__ != "__main__":
        return None
    return inner.__globals__ if is_a(inner, types.FunctionType) else vars(sys.modules["__main__"])


def folder_of(workload: str, source: Sequence[Part] = ()) -> str:
    """Find the one folder from which the child must import what it would not find by itself.

    Args:
        workload: ``module:name``, or ``<cell>:name``.
        source: The pieces of source that travel with it; imports inside its functions count too.

    Returns:
        The folder; empty if all is in the standard library, in site-packages, or in labkit itself.

    Raises:
        BadWorkload: If modules of several folders are needed, or one hides a module of the standard library.
    """
    module, _, name = workload.partition(":")
    tops = {module.partition(".")[0]} - {"<cell>"}
    for node in (item for part in source for item in ast.walk(ast.parse(part.text))):
        if isinstance(node, ast.Import):
            tops |= {item.name.partition(".")[0] for item in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            tops.add(str(node.module).partition(".")[0])
    folders = {top: folder for top in sorted(tops) if (folder := _home(name, top))}
    if len(set(folders.values())) > 1:
        where = " and ".join(f"{top!r} in {folder}" for top, folder in folders.items())
        raise BadWorkload(name, f"needs modules of several folders: {where}", "Put these modules into one folder.")
    return next(iter(folders.values()), "")


def _check_typed(function: types.FunctionType) -> None:
    """Refuse what the source of one function of a notebook cannot make again."""
    inner = unwrap(function)[0]
    name = function.__qualname__
    made_inside = "<locals>" in name or (is_a(inner, types.FunctionType) and inner.__closure__)
    if made_inside or "." in name:
        advice = "Define it at the left margin of a cell, and pass what it used from around it as parameters."
        raise BadWorkload(name, "is made in a function" if made_inside else "is a method", advice)


def _plain_function(workload: object) -> types.FunctionType:
    """Return the workload if it is a plain function; refuse whatever else can be called."""
    name, problem = type(workload).__qualname__, f"is no function but an object of type {type(workload).__qualname__}"
    if is_a(workload, type):
        name, problem = workload.__qualname__, "is a class"
    elif type(workload) is functools.partial:
        name, problem = f"partial of {getattr(workload.func, '__qualname__', '?')}", "is not a plain function"
    elif is_a(workload, types.MethodType):
        name, problem = workload.__qualname__, "is a method bound to an object"
    elif is_a(workload, types.BuiltinFunctionType):
        name, problem = workload.__qualname__, "is built in"
    elif is_a(workload, types.FunctionType):
        name, problem = workload.__qualname__, _suspended(workload)
        if not problem:
            return workload
    raise BadWorkload(name, problem, "Write a function with def that does the work and returns its result.")


def _suspended(function: types.FunctionType) -> str:
    """Say why calling a function would not do its work; empty if it would."""
    if function.__name__ == "<lambda>":
        return "has no name that the child process could find"
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is async: calling it would only make a coroutine"
    if inspect.isgeneratorfunction(function):
        return "is a generator: calling it would run nothing"
    return ""


def _check_params(function: types.FunctionType, params: Mapping[str, Json]) -> None:
    name = function.__qualname__
    takes = _signature(function).parameters.values()
    by_position = [item.name for item in takes if item.kind is inspect.Parameter.POSITIONAL_ONLY]
    if by_position:
        raise BadWorkload(name, f"takes {by_position[0]!r} by position only", "Remove the '/' from its parameters.")
    named = {item.name: item for item in takes if item.kind in {item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY}}
    known = f"It has {', '.join(named)}." if named else "It has none."
    for key in params:
        if key not in named and not any(item.kind is item.VAR_KEYWORD for item in takes):
            raise BadWorkload(name, f"has no parameter {key!r}", known)
    for key, item in named.items():
        if item.default is item.empty and key not in params:
            raise BadWorkload(name, f"needs a value for its parameter {key!r}", f"Pass {key}=... to it. {known}")
    for key, value in params.items():
        _check_json(key, value, 1)
    sizes = {key: len(json.dumps(value)) for key, value in params.items()}
    if sum(sizes.values()) > PARAMS_BYTES_MOST:
        largest = max(sizes, key=lambda key: sizes[key])
        allowed = "parameters of at most 1 MiB as JSON"
        raise BadValue(largest, params[largest], allowed, "Make the data inside the function, from a size or a seed.")


def _signature(function: types.FunctionType) -> inspect.Signature:
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # there, annotations are evaluated when asked for: ask for their text instead
        import annotationlib

        options["annotation_format"] = annotationlib.Format.STRING
    return inspect.signature(function, **options)


def _check_json(name: str, value: Any, depth: int) -> None:
    """Refuse what JSON lacks or would change: a tuple would come back as a list, an enum member as a number."""
    kind = type(value)  # isinstance would ask the object itself
    allowed = "None, bool, int, finite float, str, and lists and dicts of those with str keys"
    if kind in (list, dict):
        if depth > PARAM_DEPTH_MOST:
            deep = f"{allowed}, at most {PARAM_DEPTH_MOST} levels deep"
            raise BadValue(name, "a nested value", deep, "Use a flatter one.")
        if kind is dict and any(type(key) is not str for key in value):
            raise BadValue(name, value, allowed, "Make the keys str.")
        for item in [*value.keys(), *value.values()] if kind is dict else value:
            _check_json(name, item, depth + 1)
    elif kind is int and value.bit_length() > _INT_BITS_MOST:  # too long to be shown, too
        raise BadValue(name, f"an int of {value.bit_length()} bits", allowed, "Use at most 4000 digits.")
    elif kind is str and _SURROGATES.search(value):
        raise BadValue(name, value, f"{allowed}, without half characters (surrogates)", "Pass proper text.")
    elif kind not in _PLAIN or (kind is float and not math.isfinite(value)):
        listed = kind in (tuple, set, frozenset, range)
        advice = "Use a list." if listed else "Pass a plain value and build from it inside."
        raise BadValue(name, value, allowed, advice)


def _home(workload: str, top: str) -> str:
    spec = getattr(sys.modules[top], "__spec__", None) if top in sys.modules else importlib.util.find_spec(top)
    inside = list(getattr(spec, "submodule_search_locations", None) or ())
    place = str(inside[0]) if inside else str(getattr(spec, "origin", None) or "")
    if top == "labkit" or not os.path.isabs(place):  # 'built-in' and 'frozen' are no paths
        return ""
    installed = {"site-packages", "dist-packages"} & set(place.split(os.sep))
    library = [os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    if top in sys.stdlib_module_names:
        if os.path.realpath(place).startswith(tuple(library)):
            return ""
        problem = f"imports {top!r} from {place}, which hides the standard library's module of that name"
        raise BadWorkload(workload, problem, "Rename your module.")
    # a finder of an editable install may map a package to a folder of another name: the child has the same finder
    mapped = bool(inside) and os.path.basename(place) != top
    return "" if installed or mapped else os.path.dirname(place)
