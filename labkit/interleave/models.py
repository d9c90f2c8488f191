"""What stands for the real locks, queues, threads, clocks and random numbers. Rule: what is not known is refused.

A real object that a program can reach is replaced by its model, if it is as new; one that is in use is refused, and
so is everything of ``threading``, ``queue``, ``time`` and ``random`` that has no model.
"""

from __future__ import annotations

import _thread
import queue
import random
import threading
import time
import types
from typing import Any

from labkit.interleave import containers, execution, locks, loops, primitives, queues, threads, waits
from labkit.interleave.ops import READ, WRITE, CannotCheck, Op

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["adopt", "begin", "is_real", "stand_in"]

_CLOCKS = ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
_REAL_MODULES = {"threading", "_thread", "queue", "_queue", "_multiprocessing"}
_REAL_PACKAGES = ("multiprocessing.", "concurrent.futures.", "asyncio.")
_TYPES_MOST = 10_000
_world: Any = None
_generators: dict[int, random.Random] = {}
_adopted: dict[int, tuple[object, str, str]] = {}  # of one world: id -> (original, serial, name)
_real_types: dict[type, bool] = {}


def begin(world: Any) -> None:
    """Begin an execution of a world's program: count from 1 again, and forget the random numbers."""
    global _world  # noqa: PLW0603 - one execution at a time
    if world is not _world:
        _adopted.clear()
    _world = world
    _generators.clear()
    primitives.begin(world)
    threads.begin()


# ------------------------------------------------------------------------------------------------ modules
class Shim(types.ModuleType):
    """Stands for a module: has the models of what is known, and refuses the rest.

    Args:
        module: The real one.
        known: Its attributes.
    """

    def __init__(self, module: types.ModuleType, known: dict[str, Any]) -> None:
        super().__init__(module.__name__)
        self.__dict__.update(known)
        self.__dict__["m_module"] = module

    def __getattr__(self, name: str) -> Any:
        """Refuse what has no model."""
        module = self.__dict__["m_module"]
        value = getattr(module, name)  # raises what the real module raises
        if name.startswith("__") or isinstance(value, (int, float, str)):
            return value
        if isinstance(value, type) and issubclass(value, BaseException):
            return value
        raise CannotCheck(f"uses {module.__name__}.{name}, which the explorer does not know", primitives.place_of_call)


def _clock(name: str) -> Callable[..., Any]:
    def clock(*_given: Any) -> Any:
        raise CannotCheck(f"reads the clock (time.{name}): its answer is no interleaving", primitives.place_of_call)

    clock.__name__ = clock.__qualname__ = name
    return clock


def _chance(name: str) -> Callable[..., Any]:
    """Make a function of ``random`` that every thread calls with numbers of its own, the same in every execution."""

    def chance(*given: Any, **named: Any) -> Any:
        if _world is not None:
            _world.chance = True
        loops.effect()
        thread = primitives.me()
        if thread not in _generators:
            _generators[thread] = random.Random(f"0:{thread}")  # noqa: S311 - no secret
        looked = containers.collect((*given, *named.values()))
        if name == "shuffle":
            looked = tuple((location, WRITE if location == id(given[0]) else READ) for location, _ in looked)
        if looked and execution.current() is not None:
            kind = "write" if name == "shuffle" else "read"
            execution.stop(Op(kind, looked, (given, named), f"random.{name}", primitives.place_of_call))
        return getattr(_generators[thread], name)(*given, **named)

    chance.__name__ = chance.__qualname__ = name
    return chance


_THREADING = {
    "Lock": locks.Lock,
    "RLock": locks.RLock,
    "Semaphore": locks.Semaphore,
    "BoundedSemaphore": locks.BoundedSemaphore,
    "Event": locks.Event,
    "Condition": waits.Condition,
    "Barrier": waits.Barrier,
    "Thread": threads.Thread,
    "Timer": threads.Timer,
    "local": threads.local,
    "current_thread": threads.current_thread,
    "main_thread": threads.main_thread,
    "active_count": threads.active_count,
    "enumerate": threads.every_thread,
    "get_ident": threads.get_ident,
    "get_native_id": threads.get_ident,
}
_LOW = {
    "allocate_lock": locks.Lock,
    "allocate": locks.Lock,
    "LockType": locks.Lock,
    "lock": locks.Lock,
    "RLock": locks.RLock,
    "get_ident": threads.get_ident,
    "get_native_id": threads.get_ident,
    "_local": threads.local,
}
_QUEUES = {
    "Queue": queues.Queue,
    "LifoQueue": queues.LifoQueue,
    "PriorityQueue": queues.PriorityQueue,
    "SimpleQueue": queues.SimpleQueue,
}
_TIME: dict[str, Any] = {
    "sleep": threads.sleep,
    **{
        name + ending: _clock(name + ending)
        for name in _CLOCKS
        for ending in ("", "_ns")
        if hasattr(time, name + ending)
    },
}
_RANDOM: dict[str, Any] = {
    name: _chance(name)
    for name, value in vars(random).items()
    if isinstance(getattr(value, "__self__", None), random.Random) and not name.startswith("_")
}
_KNOWN = ((threading, _THREADING), (_thread, _LOW), (queue, _QUEUES), (time, _TIME), (random, _RANDOM))


def _stand_ins() -> dict[int, Any]:
    """List what is replaced, by id: all of it lives as long as Python does."""
    table: dict[int, Any] = {}
    for module, known in _KNOWN:
        table[id(module)] = Shim(module, known)
        table.update((id(vars(module)[name]), model) for name, model in known.items() if name in vars(module))
    for name in ("_RLock", "_PyRLock", "_CRLock"):
        if getattr(threading, name, None) is not None:
            table[id(getattr(threading, name))] = locks.RLock
    return table


_STAND_INS = _stand_ins()


def stand_in(value: Any) -> Any:
    """Return the model of a class, function or module; the value itself if it has none."""
    return _STAND_INS.get(id(value), value)


# ------------------------------------------------------------------------------------------------ objects
def is_real(value: object) -> bool:
    """Return True for an object of a real lock, thread, queue or executor, whichever library made it."""
    kind = type(value)
    known = _real_types.get(kind)
    if known is None:
        if len(_real_types) > _TYPES_MOST:
            _real_types.clear()
        known = _real_types[kind] = not issubclass(kind, BaseException) and any(map(_is_of_threads, kind.__mro__))
    return known


def _is_of_threads(kind: type) -> bool:
    module = kind.__module__
    return isinstance(module, str) and (module in _REAL_MODULES or module.startswith(_REAL_PACKAGES))


def adopt(value: Any, memo: dict[int, tuple[Any, Any]]) -> Any:
    """Return the model of a real object that is as new; None for a value of any other kind.

    Args:
        value: What a program can reach.
        memo: For each object that has a twin already, by id: itself and the twin. Gets what is made on the way.

    Raises:
        CannotCheck: It is in use, or of a kind that has no model.
    """
    if not is_real(value):
        return None
    if id(value) in memo:
        return memo[id(value)][1]
    made = _ADOPTERS.get(type(value), _unknown)(value, memo)
    memo[id(value)] = (value, made)
    if id(value) not in _adopted:  # a module's lock may be met later, by whichever thread comes first
        _adopted[id(value)] = (value, made.serial, getattr(made, "name", ""))
    _, serial, name = _adopted[id(value)]
    object.__setattr__(made, "serial", serial)  # not as an attribute of a thread's own
    if name:
        made.name = name
    return made


def _refuse(value: Any, why: str) -> None:
    kind = type(value).__name__
    raise CannotCheck(f"can reach a {kind} that {why}")


def _unknown(value: Any, _memo: Any) -> Any:
    if isinstance(value, threading.Thread):
        raise CannotCheck("can reach a Thread made outside: make threads inside the function")
    raise CannotCheck(f"can reach a real {type(value).__qualname__}, which has no model: make it in setup")


def _lock(value: Any, _memo: Any) -> Any:
    if value.locked():
        _refuse(value, "is held")
    return locks.Lock()


def _rlock(value: Any, _memo: Any) -> Any:
    if not repr(value).startswith("<unlocked"):  # locked() is there from 3.14 on
        _refuse(value, "is held")
    return locks.RLock()


def _inside(value: Any, name: str) -> Any:
    """Return a private attribute of a real object."""
    try:
        return getattr(value, name)
    except AttributeError:
        raise CannotCheck(f"cannot look into a {type(value).__name__} of this Python: make it in setup") from None


def _condition(value: Any, memo: dict[int, tuple[Any, Any]]) -> Any:
    if _inside(value, "_waiters"):
        _refuse(value, "threads wait for")
    inner = _inside(value, "_lock")
    own = id(inner) not in memo
    lock = adopt(inner, memo)
    if lock is None:
        _refuse(value, f"has a {type(inner).__qualname__} for a lock")
    made = waits.Condition(lock)
    made.m_own = own  # then the lock is called as the condition is
    return made


def _quiet(value: Any) -> None:
    """Refuse an object that threads wait for."""
    condition = _inside(value, "_cond")
    if _inside(condition, "_waiters"):
        _refuse(value, "threads wait for")


def _semaphore(value: Any, _memo: Any) -> Any:
    _quiet(value)
    made: locks.Semaphore
    if type(value) is threading.BoundedSemaphore:
        made = locks.BoundedSemaphore(_inside(value, "_initial_value"))
    else:
        made = locks.Semaphore(0)
    made.m_value = _inside(value, "_value")
    return made


def _event(value: Any, _memo: Any) -> Any:
    _quiet(value)
    made = locks.Event()
    made.m_flag = value.is_set()
    return made


def _barrier(value: Any, _memo: Any) -> Any:
    _quiet(value)
    if value.broken or value.n_waiting or _inside(value, "_action") is not None:
        _refuse(value, "is broken, is in use, or has an action: make it in setup")
    return waits.Barrier(value.parties, None, _inside(value, "_timeout"))


def _queue(value: Any, memo: dict[int, tuple[Any, Any]]) -> Any:
    if any(_inside(_inside(value, name), "_waiters") for name in ("not_empty", "not_full", "all_tasks_done")):
        _refuse(value, "threads wait for")
    made = {queue.LifoQueue: queues.LifoQueue, queue.PriorityQueue: queues.PriorityQueue}.get(
        type(value), queues.Queue
    )(value.maxsize)
    memo[id(value)] = (value, made)
    twin = _world.twin if _world is not None else lambda item: item
    made.m_fill([twin(item) for item in list(value.queue)])
    made.m_unfinished = value.unfinished_tasks
    return made


def _simple_queue(value: Any, _memo: Any) -> Any:
    if not value.empty():
        _refuse(value, "is not empty: fill it in setup")
    return queues.SimpleQueue()


def _local(_value: Any, _memo: Any) -> Any:
    return threads.local()


_ADOPTERS: dict[type, Callable[[Any, Any], Any]] = {
    type(threading.Lock()): _lock,
    type(threading.RLock()): _rlock,
    threading._RLock: _rlock,  # noqa: SLF001 - the one that is written in Python
    threading.Condition: _condition,
    threading.Semaphore: _semaphore,
    threading.BoundedSemaphore: _semaphore,
    threading.Event: _event,
    threading.Barrier: _barrier,
    queue.Queue: _queue,
    queue.LifoQueue: _queue,
    queue.PriorityQueue: _queue,
    queue.SimpleQueue: _simple_queue,
    threading.local: _local,
}
