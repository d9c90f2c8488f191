"""One schedule, executed again and written down step by step. Rule: all that the views show is made here, as text."""

from __future__ import annotations

from typing import Any

from labkit.interleave.containers import kind_of
from labkit.interleave.ops import ENGINE
from labkit.interleave.result import Shared, Step
from labkit.interleave.text_of import is_data, short

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

    from labkit.interleave.execution import Execution
    from labkit.interleave.ops import Op
    from labkit.interleave.program import Program

__all__ = ["Recorder"]

_SHARED_MOST, _NESTED_MOST = 16, 3


class Recorder:
    """Writes down what each step of an execution does and what the shared values are after it.

    Attributes:
        steps: What was written down.
        blocked: For each thread that cannot go on: what it waits for, who has that (-1: nobody), file and line.
    """

    def __init__(self, program: Program, execution: Execution) -> None:
        self._program, self._execution = program, execution
        self._names: dict[Hashable, str] = {}
        self._writers: dict[str, int] = {}
        self.steps: list[Step] = []
        self.blocked: tuple[tuple[int, str, int, str, int], ...] = ()
        execution.before_step = self.note

    def note(self) -> None:
        """Write down the step that has just been executed, if there is one."""
        trace = self._execution.trace
        if len(trace) == len(self.steps) + 1:
            before = dict(self._names)
            self._look()
            thread, op = trace[-1]
            self._names = {**before, **self._names}
            self.steps.append(self._step(thread, op))
        else:
            self._look()
        self.blocked = self._blocked()

    def _step(self, thread: int, op: Op) -> Step:
        names = [self._names[location] for location, _ in op.accesses if location in self._names]
        written = [self._names[place] for place, mode in op.accesses if mode & 1 and place in self._names]
        number = len(self.steps)
        for name in written:
            self._writers[name] = number
        place, name = op.place, (written or names or [self._called(op)])[-1]
        span = (place.line, place.column, place.end_line, place.end_column) if place else (0, 0, 0, 0)
        value = "" if op.value is None and op.kind not in {"read", "write"} else short(op.value)
        file, text = (place.file, place.text) if place else ("", "")
        return Step(thread, op.kind, name, value, file, span, text, self._shared())

    def _called(self, op: Op) -> str:
        if op.name and not op.name.startswith("[") and not op.name.startswith("."):
            return op.name
        name = getattr(op.target, "name", None)
        return str(name) if isinstance(name, str) else op.place.text if op.place else ""

    # ------------------------------------------------------------------------------------------------ shared values
    def _look(self) -> None:
        """Find out what each location is called, from the roots that the source names."""
        self._names = {}
        self._found: list[tuple[str, Any]] = []
        seen: set[int] = set()
        for name, value in self.roots():
            self._names["name", name] = name
            self._visit(name, value, seen, 0)

    def roots(self) -> list[tuple[str, Any]]:
        """List what the source reaches by name: shared variables, and the state that setup returned."""
        program = self._program
        found = []
        if program.setup is not None and program.state is not None:
            first = program.workers[0].__code__.co_varnames[:1]
            found.append((first[0] if first else "state", program.state))
        found += sorted(program.world.shared())
        return found + sorted(program.world.enclosed().items())

    def _visit(self, name: str, value: Any, seen: set[int], depth: int) -> None:
        model = type(value).__module__.startswith(ENGINE)
        if id(value) in seen or depth > _NESTED_MOST:
            return
        fields = getattr(value, "__dict__", None)
        own = isinstance(fields, dict) and not model and not isinstance(value, type) and is_data(value)
        if model or kind_of(value) or own:
            seen.add(id(value))
        if (not own or kind_of(value)) and not self._program.world.constant(value):
            self._found.append((name, value))
        self._names[id(value)] = name
        inner = getattr(value, "m_lock", None) if model else None
        if inner is not None:
            self._names.setdefault(id(inner), name)
        if own and fields is not None:
            for key, item in fields.items():
                self._names[id(value), key] = f"{name}.{key}"
                self._visit(f"{name}.{key}", item, seen, depth + 1)
        elif kind_of(value) in {"list", "dict"}:
            pairs = list(dict.items(value)) if kind_of(value) == "dict" else list(enumerate(value))
            for key, item in pairs[:_SHARED_MOST]:
                self._names[id(value), "item", key] = f"{name}[{key!r}]"
                if type(item).__module__.startswith(ENGINE) or hasattr(item, "__dict__"):
                    self._visit(f"{name}[{key!r}]", item, seen, depth + 1)

    def _shared(self) -> tuple[Shared, ...]:
        rows = []
        waiting = [
            (thread.index, thread.op)
            for thread in self._execution.threads
            if not thread.done and thread.op is not None and not thread.op.enabled()
        ]
        for name, value in self._found:
            waiters = tuple(index for index, op in waiting if op.target is value)
            if type(value).__module__.startswith(ENGINE):
                rows.append(Shared(name, _model_text(value), self._writers.get(name, -1), owner_of(value), waiters))
            elif is_data(value):
                writer = max((at for text, at in self._writers.items() if text.startswith(name)), default=-1)
                rows.append(Shared(name, short(value), writer, -1, waiters))
        return tuple(rows[:_SHARED_MOST])

    # ------------------------------------------------------------------------------------------------ the end
    def _blocked(self) -> tuple[tuple[int, str, int, str, int], ...]:
        rows = []
        for thread in self._execution.threads:
            op = None if thread.done else thread.op
            if op is not None and not op.enabled():
                target = op.target
                name = self._names.get(id(target)) or self._called(op)
                place = op.place
                rows.append(
                    (thread.index, name, owner_of(target), place.file if place else "", place.line if place else 0)
                )
        return tuple(rows)


def owner_of(model: Any) -> int:
    """Return the number of the thread that holds a lock; -1 if none does, or if it is no lock."""
    lock = getattr(model, "m_lock", model)
    owner = getattr(lock, "m_owner", None)
    return owner if isinstance(owner, int) else -1


def _model_text(model: Any) -> str:
    shown = getattr(model, "shown", None)
    return str(shown()) if callable(shown) else ""
