"""The GIL of this interpreter, and of its subinterpreters. Rule: imports sys only, as watched runs load it as well."""

from __future__ import annotations

import sys

__all__ = ["OWN_GIL", "enabled"]

OWN_GIL = (3, 12)  # from here on each subinterpreter has a GIL of its own


def enabled() -> bool:
    """Return True if threads of this interpreter need a GIL."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())
