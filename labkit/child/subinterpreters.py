"""Subinterpreters under one set of names. Rule: the public module where there is one, else the private one before it.

``concurrent.interpreters`` came with 3.14; 3.13 has ``_interpreters``, and those before ``_xxsubinterpreters``.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager

from labkit.child import ROOT
from labkit.errors import NotHere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__all__ = ["find_labkit", "interpreter"]


@contextmanager
def interpreter() -> Iterator[Callable[[str], None]]:
    """Create an interpreter in this process; it is destroyed at the end.

    Yields:
        A function that runs source in the interpreter, in the calling thread, and returns when that has ended.

    Raises:
        NotHere: If this Python cannot make subinterpreters.
        RuntimeError: If the source raised, with what it raised.
    """
    name = "concurrent.interpreters" if sys.version_info >= (3, 14) else "_interpreters"
    name = name if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    try:
        module: Any = importlib.import_module(name)
    except ImportError as error:
        raise NotHere(f"this Python cannot make subinterpreters: it has no module {name}") from error
    unit = module.create()

    def execute(text: str) -> None:
        try:
            failed = unit.exec(text) if sys.version_info >= (3, 14) else module.run_string(unit, text)
        except Exception as error:  # each version raises another class
            raise RuntimeError(f"the code in a subinterpreter failed: {error}") from error
        if failed is not None:  # 3.13 returns what was raised
            raise RuntimeError(f"the code in a subinterpreter failed: {getattr(failed, 'formatted', failed)}")

    try:
        yield execute
    finally:
        unit.close() if sys.version_info >= (3, 14) else module.destroy(unit)


def find_labkit() -> str:
    """Return the source by which a new subinterpreter finds what this one finds, and labkit as `launch.BOOT` does."""
    return f"import sys; sys.path[:] = {[ROOT, *sys.path]!r}; import labkit; del sys.path[0]"
