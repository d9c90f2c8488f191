"""What all models of locks, queues and threads share. Rule: what CPython does, at one visible operation at a time.

Between two stops nothing else runs, so a model needs no lock of its own. The models are in locks.py, waits.py,
threads.py and queues.py. Where finer operations would multiply the interleavings of every program, only the programs
that `need` them get them.
"""

from __future__ import annotations

from typing import Any, NoReturn

from labkit.interleave import execution
from labkit.interleave.ops import ENGINE, READ, WRITE, CannotCheck, Op, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from labkit.interleave.execution import Controlled

    Accesses = tuple[tuple[Hashable, int], ...]

__all__ = [
    "Model",
    "Ticket",
    "Wake",
    "begin",
    "call",
    "free_of",
    "last_step",
    "me",
    "narrow",
    "need",
    "seen",
    "state_of",
]
__all__ += ["own_steps", "rest", "stop", "test"]

place_of_call: Place | None = None  # set just before a method is called; read at its entry
# Set by the hooks: calls something of the student's that is no function which runs rewritten, such as list.append.
call_other: Callable[[Place | None, Any, tuple[Any, ...], Mapping[str, Any]], Any] | None = None
paths: dict[Controlled, str] = {}  # serials of threads that threads have started
_world: Any = None
_counts: dict[tuple[str, str], int] = {}
_OWN = {"serial", "name", "controlled"}  # attributes of a model that carry no state


def begin(world: Any) -> None:
    """Begin an execution: number the objects from 1 again."""
    global _world  # noqa: PLW0603 - one execution at a time
    _world = world
    _counts.clear()
    paths.clear()


# ------------------------------------------------------------------------------------------------ shared by all models
def seen(feature: str) -> bool:
    """Return True if a program is known to need the finer operations of a model."""
    return _world is None or f"<{feature}>" in _world.hot.names


def need(feature: str) -> None:
    """Take note that a program needs the finer operations of a model; if that was not known, begin anew."""
    if execution.current() is not None and not seen(feature):
        from labkit.interleave.hooks import Restart

        _world.hot.names.add(f"<{feature}>")
        raise Restart(f"needs {feature}")


def me() -> int:
    """Return the number of the calling thread; -1 for setup and check."""
    thread = execution.current()
    return -1 if thread is None else thread.index


def last_step() -> int:
    """Return the number of the step that the calling thread executes; -1 in setup and check."""
    thread = execution.current()
    return -1 if thread is None else len(thread.execution.trace) - 1


def own_steps() -> int:
    """Return how many operations the calling thread has executed."""
    thread = execution.current()
    return 0 if thread is None else len(thread.log)


def rest(model: Model, steps_before: int) -> None:
    """End what a model did while it called the student's code: if that had operations, the end is one, too."""
    if own_steps() != steps_before:
        stop(Op("release", ((id(model), WRITE),), model, model.name))


def stop(op: Op) -> None:
    """Stop before an operation; in setup and check it has to be possible at once.

    Raises:
        CannotCheck: Nobody is there who could make it possible.
    """
    if execution.current() is not None:
        execution.stop(op)
    elif not op.enabled():
        raise CannotCheck(f"would wait for ever in setup or check ({op})", op.place)


def narrow(op: Op) -> None:
    """Make a read of an operation that turned out to change nothing."""
    op.accesses = tuple((location, mode & ~1) for location, mode in op.accesses)


def test(model: Model, value: Callable[[], Any], place: Place | None) -> Any:
    """Look at a model."""
    op = Op("test", ((id(model), READ),), model, model.name, place)
    stop(op)
    op.value = value()
    return op.value


def call(
    place: Place | None, function: Any, given: tuple[Any, ...] = (), named: Mapping[str, Any] | None = None
) -> Any:
    """Call what the student has handed to a model: a thread's target, a predicate, a barrier's action.

    Raises:
        CannotCheck: It does not run rewritten, and the hooks have left no way to call it.
    """
    named = named or {}
    if _world is None or _is_ours(function):
        return function(*given, **named)
    if call_other is None:
        raise CannotCheck(f"hands {getattr(function, '__qualname__', function)!s} to a model, to be called", place)
    return call_other(place, function, given, named)


def _is_ours(function: Any) -> bool:
    inner = getattr(function, "__func__", function)
    code_globals = getattr(inner, "__globals__", None)
    if code_globals is None:
        return False
    return bool(_world.is_ours(inner)) or str(getattr(inner, "__module__", "")).startswith(ENGINE)


class Model:
    """What stands for an object of ``threading`` or ``queue``.

    Attributes:
        serial: A name that is the same in every schedule: who made it, and as which of its objects.
        name: What a person calls it; may be assigned.
    """

    word = "object"
    real: Any = None

    def __init__(self) -> None:
        self.serial, self.name = number(self.word)

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what the real object has and the model has not."""
        real = type(self).real
        private = name.startswith("_") and not name.endswith("__")
        if not name.startswith("m_") and (private or (not name.endswith("__") and hasattr(real, name))):
            raise CannotCheck(
                f"uses {name} of a {type(self).__name__}, which the explorer does not know", place_of_call
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied, as locks and all that holds one do."""
        raise TypeError("cannot pickle '_thread.lock' object")

    def __repr__(self) -> str:
        """Name it."""
        return f"<{self.name}>"

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        return ()

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait for it could pass; None if that depends on what it wants."""
        return True


def number(word: str) -> tuple[str, str]:
    """Return serial and name of a new object of the calling thread."""
    thread = execution.current()
    path = paths.get(thread, str(thread.index)) if thread is not None else "-1"
    suffix = "" if thread is None or thread.index == 0 else f" of {thread.name}"
    # setup is over when threads begin, so it can share the count of names with the first thread
    for_serial, for_name = (path, ""), ("0" if not suffix else path, word)
    for key in (for_serial, for_name):
        _counts[key] = _counts.get(key, 0) + 1
    return f"{path}.{_counts[for_serial]}", f"{word} {_counts[for_name]}{suffix}"


def _class_of(model: Model) -> type[Model]:
    """Return the model's class: a student's subclass may have a method of its own that is called ``state``."""
    return next(kind for kind in type(model).__mro__ if kind.__module__.startswith(ENGINE))


def state_of(model: Model) -> tuple[Any, ...]:
    """Return a model's state, with the attributes that a subclass has added."""
    added = [
        (name, value) for name, value in sorted(vars(model).items()) if not name.startswith("m_") and name not in _OWN
    ]
    return (*_class_of(model).state(model), *added)


def free_of(model: Model) -> bool | None:
    """Return whether a thread that comes to wait for a model could pass."""
    return _class_of(model).free(model)


class Ticket:
    """The right to go on that a waiting thread is given by another one.

    Attributes:
        thread: Who waits.
        step: Number of the step that let it go on; None if none has.
        given: True if it may go on.
        count: How often it held the lock that it has released; at a barrier, as which it came.
        late: True if its wait has timed out, or was notified in time: it only needs the lock.
    """

    __slots__ = ("count", "given", "late", "step", "thread")

    def __init__(self, count: int = 0) -> None:
        self.thread, self.count = me(), count
        self.step: int | None = None
        self.given = self.late = False

    def give(self) -> None:
        """Let the thread go on."""
        self.given, self.step = True, last_step()

    def state(self) -> tuple[int, int, bool, bool]:
        """Return what belongs to the state of a program."""
        return (self.thread, self.count, self.given, self.late)


class Wake(Op):
    """The end of a wait: possible when the ticket was given, and the lock (if there is one) is free."""

    __slots__ = ("lock", "ticket")

    def __init__(self, model: Model, ticket: Ticket, lock: Any, place: Place | None, kind: str = "wake") -> None:
        # What gave the ticket is known by its step, so that only the lock is a location to conflict on.
        super().__init__(kind, () if lock is None else ((id(lock), WRITE),), model, model.name, place)
        self.ticket, self.lock = ticket, lock

    def enabled(self) -> bool:
        """Return True if the thread can go on."""
        return self.ticket.given and (self.lock is None or self.lock.m_owner is None)
