"""Whose a class or function is, and what cannot be copied. Rule: looks at objects, runs none of their code."""

from __future__ import annotations

import builtins
import collections
import dis
import sys
import types
from typing import Any

from labkit.interleave.containers import ATOMS
from labkit.interleave.ops import CannotCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DESCRIPTORS",
    "LOOKS_INTO",
    "REWRITTEN_LIBRARY",
    "by_a_student",
    "fixed_part",
    "foreign",
    "hidden_code",
    "names_in",
]
__all__ += ["of_dataclass", "refuser", "rewritable_module", "slots_of"]

REWRITTEN_LIBRARY = {"contextlib", "collections", "abc", "types"}
_HANDS_OFF = {"labkit", "IPython", "ipykernel", "builtins", "traitlets", "numpy", "pandas", "pytest", "_pytest"}
_PROGRAMS = (
    "labkit.course.",
    "labkit.experiments.",
)  # programs like a student's
DESCRIPTORS: tuple[type, ...] = (  # parts of classes that need no twin, or get one
    *(types.FunctionType, types.BuiltinFunctionType, types.MemberDescriptorType, types.GetSetDescriptorType),
    *(types.MethodType, types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
    type(collections.namedtuple("_Pair", "x").x),  # type: ignore[attr-defined] # noqa: PYI024 - its type has no name
)
LOOKS_INTO: tuple[type, ...] = (  # their objects show what is in another one
    *(types.MappingProxyType, memoryview, type({}.keys()), type({}.values()), type({}.items())),
)


def by_a_student(kind: type) -> bool:
    """Return True for a class that a student's module has made."""
    return rewritable_module(kind.__module__) and bool(kind.__flags__ & 1 << 9)  # a class made by Python code


def hidden_code(function: Any) -> bool:
    """Return True for a function of a student's that looks at something global."""
    if not isinstance(function, types.FunctionType) or not rewritable_module(function.__globals__.get("__name__", "")):
        return False
    own = rewritable_module(function.__module__ or "") and function.__module__ not in REWRITTEN_LIBRARY
    return own and (
        bool(function.__closure__) or any(not hasattr(builtins, name) for name in names_in(function.__code__))
    )


def refuser(kind: type) -> Callable[..., Any]:
    """Return a function that refuses objects of a class."""

    def refuse(*_: object) -> Any:
        raise CannotCheck(f"uses a {kind.__name__} made outside the threads, which the explorer does not know")

    return refuse


def foreign(kind: type) -> Any:
    """Return what stands for an object that cannot be copied, such as a generator: it is refused when it is used."""
    return type(kind.__name__, (), {"__module__": "outside", "__getattr__": refuser(kind)})()


def rewritable_module(name: str) -> bool:
    """Return True if functions of a module run rewritten: a student's, not the library's."""
    top = name.partition(".")[0]
    if top in _HANDS_OFF:
        return name.startswith(_PROGRAMS)
    return name in REWRITTEN_LIBRARY or top not in sys.stdlib_module_names or top == "__main__"


def of_dataclass(function: Any) -> bool:
    """Return True for a method that a dataclass or namedtuple generated: there is no file, and it waits for nothing."""
    return isinstance(function, types.FunctionType) and function.__code__.co_filename.startswith("<string>")


def fixed_part(name: str, value: Any) -> bool:
    """Return True for an attribute of a class that no thread can change the inside of."""
    return name.startswith("__") or isinstance(value, (*ATOMS, type)) or hasattr(value, "__get__")


def slots_of(kind: type) -> list[str]:
    """List the slots that a student's class, or one that it inherits from, has declared."""
    return [
        name
        for item in kind.__mro__
        if by_a_student(item)
        for name, value in vars(item).items()
        if isinstance(value, types.MemberDescriptorType)
    ]


def names_in(code: types.CodeType) -> set[str]:
    """Collect the global names that a function and those inside it mention."""
    names = {item.argval for item in dis.get_instructions(code) if item.opname.endswith(("_GLOBAL", "_NAME"))}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= names_in(constant)
    return names
