"""What was asked of the explorer. Rule: everything that can be wrong with it is said before anything is started."""

from __future__ import annotations

import functools
import inspect
import linecache
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.errors import BadValue, BadWorkload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["THREADS_MOST", "WHERE", "Asked"]

THREADS_MOST = 4
WHERE = ("auto", "child", "kernel")
_EXECUTIONS_MOST, _SECONDS_MOST, _STEPS_MOST = 10_000_000, 500.0, 100_000
_FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, functools.partial)
_WHY_FOUR = "three steps in each of 4 threads have 369,600 interleavings, in each of 5 threads 168,168,000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The arguments of `labkit.explore`; making one checks them all.

    Raises `BadWorkload` if something that must be a function is none, takes the wrong arguments, or has no source; and
    `BadValue` if another value is not allowed.

    Attributes:
        functions: What runs, one per thread.
        alone: True for one function, not in a list: it starts its own threads.
        setup: Makes a fresh state, which every function takes; None if they take nothing.
        check: Says whether the end is right; None if every end is.
        outcome: What counts as the outcome: a function, or names of globals; None for the visible state.
        limits: ``executions_most``, ``seconds_most`` and ``steps_most``.
        token: Replays one schedule; empty to explore.
        where: One of `WHERE`.
        python: Interpreter for the child; None for this one.
    """

    functions: tuple[Callable[..., object], ...]
    alone: bool = False
    setup: Callable[[], object] | None = None
    check: Callable[..., object] | None = None
    outcome: Callable[..., object] | str | Sequence[str] | None = None
    limits: Mapping[str, float]
    token: str = ""
    where: str = "auto"
    python: str | None = None

    def __post_init__(self) -> None:
        """Refuse what the explorer would not understand."""
        count = len(self.functions)
        if not 1 <= count <= THREADS_MOST:
            allowed = f"1 to {THREADS_MOST} functions, one for each thread"
            advice = f"Use fewer: {_WHY_FOUR}." if count else "Pass at least one."
            raise BadValue("functions", f"a list of {count}", allowed, advice)
        taken = 0 if self.setup is None else 1
        for function in self.functions:
            _check_function(function, "functions", taken)
        for role, value in self.roles.items():
            if not (role == "outcome" and _is_names(value)):
                _check_function(value, role, 0 if role == "setup" else max(taken, self.alone))  # what main returns
        if not isinstance(self.token, str):
            raise BadValue("token", self.token, "the .token of an earlier result", "Leave it out to explore.")
        if self.where not in WHERE:
            allowed = ", ".join(map(repr, WHERE))
            raise BadValue("where", self.where, allowed, "Leave it out: 'auto' prefers a child process.")
        if self.python is not None and self.where == "kernel":
            raise BadValue("python", self.python, "nothing together with where='kernel'", "Leave one of them out.")
        for name, value in self.limits.items():
            _check_limit(name, value)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of globals that count as the outcome."""
        if self.outcome is None or callable(self.outcome):
            return ()
        return (self.outcome,) if isinstance(self.outcome, str) else tuple(self.outcome)

    @property
    def roles(self) -> dict[str, Any]:
        """Setup, check and outcome where they were given."""
        given = {"setup": self.setup, "check": self.check, "outcome": self.outcome}
        return {role: value for role, value in given.items() if value is not None}


def _check_limit(name: str, value: object) -> None:
    most = {"executions_most": _EXECUTIONS_MOST, "seconds_most": _SECONDS_MOST, "steps_most": _STEPS_MOST}[name]
    whole = name != "seconds_most"
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value <= most:  # type: ignore[operator]
        kind = "a whole number" if whole else "a number of seconds"
        raise BadValue(name, value, f"{kind} above 0 and at most {most:,.0f}", "Leave it out for the default.")


def _is_names(value: object) -> bool:
    if isinstance(value, (list, tuple)) and value and all(isinstance(name, str) for name in value):
        return all(name.isidentifier() for name in value)
    return isinstance(value, str) and value.isidentifier()


def _check_function(value: object, role: str, taken: int) -> None:
    """Refuse what cannot be called with what it will be called with, or cannot be read."""
    if role == "setup" and isinstance(value, type):
        return
    if not isinstance(value, _FUNCTIONS):
        whole = role == "functions"
        also = ", or the name of a global, or a list of names" if role == "outcome" else ""
        called = "one function, or a list of 1 to 4 functions" if whole else f"a function{also}"
        if isinstance(value, type) or not callable(value):
            raise BadValue(role, value, called, "Pass the function itself: work, not work()." if whole else _NO_CALL)
        raise BadWorkload(type(value).__name__, "is no function but an object that can be called", "Write it with def.")
    plain = value.func if isinstance(value, functools.partial) else value
    plain = plain.__func__ if isinstance(plain, types.MethodType) else plain
    name = getattr(plain, "__qualname__", repr(plain))
    if inspect.iscoroutinefunction(plain) or inspect.isasyncgenfunction(plain):
        raise BadWorkload(name, "is async: calling it would only make a coroutine", "Write it with def.")
    if inspect.isgeneratorfunction(plain):
        raise BadWorkload(name, "is a generator: calling it would run nothing", "Loop over it inside a function.")
    _check_arguments(value, name, role, taken)
    if isinstance(plain, types.FunctionType) and not _has_source(plain):
        advice = "Type its definition in a cell of its own, without a %%magic line, or put it into a module."
        raise BadWorkload(name, "has no source that can be found, so its steps cannot be seen", advice)


_NO_CALL = "Pass the function itself, or a lambda, not what it returns."


def _check_arguments(value: Callable[..., object], name: str, role: str, taken: int) -> None:
    try:
        takes = inspect.signature(value).parameters.values()
    except (TypeError, ValueError):  # some built-in ones do not tell
        return
    needed = [item.name for item in takes if item.default is item.empty and item.kind in _NEEDED]
    by_name = [item.name for item in takes if item.default is item.empty and item.kind is item.KEYWORD_ONLY]
    if len(needed) <= taken and not by_name:
        return
    listed = ", ".join([*needed, *by_name])
    if role == "setup" or taken:
        what = (
            "setup takes no argument"
            if role == "setup"
            else "it gets one argument at most, the state that setup() returns"
        )
        raise BadWorkload(name, f"needs {listed}", f"As a part of lab.explore, {what}.")
    advice = f"Give it no parameter, or pass setup= that makes what {listed} stands for: lab.explore(..., setup=make)."
    raise BadWorkload(name, f"needs {listed}, and is called without arguments", advice)


_NEEDED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _has_source(function: types.FunctionType) -> bool:
    code = function.__code__
    return len(linecache.getlines(code.co_filename, function.__globals__)) >= code.co_firstlineno
