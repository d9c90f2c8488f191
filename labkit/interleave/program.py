"""A student's program, made ready to be executed again and again. Rule: refuses what it cannot run, before it runs."""

from __future__ import annotations

import inspect
import types
from typing import Any, NamedTuple

from labkit.errors import BadValue, BadWorkload
from labkit.interleave import primitives
from labkit.interleave.hooks import Hooks
from labkit.interleave.rewrite import Hot, Places
from labkit.interleave.sources import Sources
from labkit.interleave.text_of import is_data, text
from labkit.interleave.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.interleave.execution import Execution
    from labkit.interleave.states import Tracker

__all__ = ["THREADS_MOST", "Ending", "Program", "validate"]

THREADS_MOST = 4
_LETTERS = 26


class Ending(NamedTuple):
    """How one execution ended, in words."""

    text: str
    allowed: bool
    kind: str | None


def validate(functions: Any, setup: Any, check: Any, outcome: Any) -> list[types.FunctionType]:
    """Refuse what cannot be explored, before anything is started; return the functions of the threads.

    Raises:
        BadWorkload: If something is no plain function, is suspended, takes other parameters, or has no source.
        BadValue: If there are no functions, or too many.
    """
    single = not isinstance(functions, (list, tuple))
    workers = [functions] if single else list(functions)
    if not workers:
        raise BadValue("functions", functions, "1 to 4 functions", "Pass the functions that the threads run.")
    if len(workers) > THREADS_MOST:
        advice = "Use 2: two threads show almost every mistake. (5 threads with 4 steps each have 3e11 schedules.)"
        raise BadValue("functions", f"{len(workers)} functions", f"at most {THREADS_MOST} threads", advice)
    given = 0 if setup is None else 1
    for worker in workers:
        _takes(worker, "a thread", {given})
    for role, function, counts in (("setup", setup, {0}), ("check", check, {given, 1} if single else {given})):
        if function is not None:
            _takes(function, role, counts)
    if callable(outcome):
        _takes(outcome, "outcome", {given, 1} if single else {given})
    elif outcome is not None and not _names_of(outcome):
        advice = "Pass outcome=lambda: ... or the names of variables."
        raise BadValue("outcome", outcome, "a function, a name or a list of names", advice)
    return workers


def _names_of(outcome: Any) -> list[str]:
    names = [outcome] if isinstance(outcome, str) else outcome
    good = isinstance(names, (list, tuple)) and all(isinstance(name, str) and name.isidentifier() for name in names)
    return list(names) if good else []


def _takes(function: Any, role: str, counts: set[int]) -> None:
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    inner = function.__func__ if isinstance(function, types.MethodType) else function
    if role == "setup" and isinstance(function, type):
        return  # a class makes a state, too
    if not isinstance(inner, types.FunctionType):
        raise BadWorkload(str(name), f"is no function that {role} could run", "Write a function with def, and pass it.")
    if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
        raise BadWorkload(name, "is async: no thread runs it", "Write it with def; the explorer explores threads.")
    if inspect.isgeneratorfunction(inner):
        raise BadWorkload(
            name, "is a generator: calling it runs nothing", "Write a function that does its work itself."
        )
    parameters = list(inspect.signature(function).parameters.values())
    needed = [p for p in parameters if p.default is p.empty and p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]
    room = len(parameters) if not any(p.kind is p.VAR_POSITIONAL for p in parameters) else 9
    if not any(len(needed) <= count <= room for count in counts) or any(p.kind is p.KEYWORD_ONLY for p in needed):
        takes = f"({', '.join(str(p) for p in parameters)})"
        wanted = "the state that setup returns" if counts == {1} else "no argument"
        advice = "Give setup=, whose result each function gets." if counts == {0} else "Let it take one parameter."
        raise BadWorkload(name, f"takes {takes}, and {role} gets {wanted}", advice)


class Program:
    """One program; `begin` makes it ready for the next execution."""

    def __init__(self, functions: Any, setup: Any, check: Any, outcome: Any, hot: Hot) -> None:
        self.single = not isinstance(functions, (list, tuple))
        self.workers = validate(functions, setup, check, outcome)
        self.setup, self.check, self.outcome = setup, check, outcome
        self.hot, self.places = hot, Places()
        self.sources = Sources(hot, self.places)
        self.world = World(self.sources, hot)
        self.hooks = Hooks(self.world, hot, self.places.known)
        self.world.install(self.hooks.table())
        self.state: Any = None
        for function in (*self.workers, setup, check, outcome):
            if isinstance(function, (types.FunctionType, types.MethodType)):
                self._require(function)

    def _require(self, function: Any) -> None:
        inner = function.__func__ if isinstance(function, types.MethodType) else function
        twin = self.world.twin(inner)
        if not self.world.is_ours(twin):
            self.sources.rewritten(inner.__code__)  # says why not

    def begin(self, tracker: Tracker | None = None) -> list[tuple[str, Callable[[], object]]]:
        """Copy everything anew, run setup, and return name and function of each thread."""
        self.world.begin()
        primitives.call_other = self.hooks.call_other
        self.hooks.tracker = tracker
        twins = [self.world.twin(worker) for worker in self.workers]
        if self.setup is not None:
            self.state = self.world.twin(self.setup)()
            state = self.state
            if isinstance(self.setup, type):
                self.world.adopt_fields(state)  # a dataclass may have made real locks
            twins = [_with(twin, state) for twin in twins]
        return [(self.lane(number), twin) for number, twin in enumerate(twins)]

    def lane(self, index: int) -> str:
        """Return what a thread is called in the views: main, A, B ..."""
        if self.single and index == 0:
            return "main"
        return chr(ord("A") + index - self.single) if index - self.single < _LETTERS else f"T{index}"

    def ending(self, execution: Execution) -> Ending:
        """Say how an execution has ended, and whether the check allows it."""
        if execution.ending == "deadlock":
            return Ending("deadlock", allowed=False, kind="deadlock")
        if execution.ending == "spins":
            return Ending("spins for ever", allowed=False, kind="spins for ever")
        errors = [
            f"{type(thread.error).__name__} in {self.lane(thread.index)}"
            for thread in execution.threads
            if thread.error is not None
        ]
        shown = "; ".join([self._outcome(execution), *errors])
        if errors:
            return Ending(shown, allowed=False, kind="exception")
        allowed = self._allowed(execution)
        return Ending(shown, allowed=allowed, kind=None if allowed else "wrong result")

    def _given(self, function: Any, execution: Execution) -> tuple[Any, ...]:
        if self.setup is not None:
            return (self.state,)
        wants = self.single and any(p.default is p.empty for p in inspect.signature(function).parameters.values())
        return (execution.threads[0].returned,) if wants else ()

    def _allowed(self, execution: Execution) -> bool:
        if self.check is None:
            return True
        try:
            answer = self.world.twin(self.check)(*self._given(self.check, execution))
        except AssertionError:
            return False
        except Exception as error:
            name = getattr(self.check, "__qualname__", "check")
            problem = f"raises {type(error).__name__}: {error}, when the program ends with {self.visible()}"
            raise BadWorkload(name, problem, "A check answers True or False for every end.") from error
        if answer is None and "AssertionError" not in _loads(self.check):
            name = getattr(self.check, "__qualname__", "check")
            raise BadWorkload(name, "returns None", "A check returns True or False (or asserts something).")
        return answer is None or bool(answer)

    def _outcome(self, execution: Execution) -> str:
        if callable(self.outcome):
            value = self.world.twin(self.outcome)(*self._given(self.outcome, execution))
            return value if isinstance(value, str) else text(value)
        if self.outcome is not None:
            values = dict(self.variables())
            missing = [name for name in _names_of(self.outcome) if name not in values]
            if missing:
                allowed = f"names of {', '.join(sorted(values)) or 'variables that can change'}"
                raise BadValue("outcome", missing[0], allowed, "Name a variable that the program changes.")
            return ", ".join(f"{name} = {text(values[name])}" for name in _names_of(self.outcome))
        return self.visible(execution)

    def visible(self, execution: Execution | None = None) -> str:
        """Return the visible state as text; at the end of an execution with what a single function has returned."""
        shown = [f"{name} = {text(value)}" for name, value in self.variables()]
        if self.single and execution is not None and execution.threads[0].returned is not None:
            shown.append(f"returns {text(execution.threads[0].returned)}")
        return ", ".join(shown) or "ends"

    def variables(self) -> list[tuple[str, Any]]:
        """List the visible state, by name: variables and attributes that hold data and can change."""
        if self.setup is not None and self.state is not None:
            fields = getattr(self.state, "__dict__", None)
            own = type(self.state).__module__ != "builtins" and isinstance(fields, dict)
            found = sorted(fields.items()) if own and fields else [("state", self.state)]
        else:
            found = []
        hot = self.hot.names
        found += [(name, value) for name, value in sorted(self.world.shared()) if name in hot or _changes(value)]
        found += [
            (name, value) for name, value in sorted(self.world.enclosed().items()) if name in hot or _changes(value)
        ]
        return [(name, value) for name, value in found if is_data(value) and not self.world.constant(value)]


def _with(function: Any, state: Any) -> Callable[[], object]:
    def call() -> object:
        return function(state)

    call.__name__ = function.__name__
    return call


def _changes(value: Any) -> bool:
    return not isinstance(value, (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range))


def _loads(function: Any) -> str:
    import dis

    return " ".join(f"{item.opname} {item.argval!r}" for item in dis.get_instructions(function)).replace(
        "LOAD_ASSERTION_ERROR", "AssertionError"
    )
