"""Models of Thread, Timer, thread-local data and sleep. Rule: starting and ending a thread are visible operations.

The end of a thread is an operation of its own only in programs that ask whether a thread is alive.
"""

from __future__ import annotations

import math
import threading
import time
import zlib
from typing import Any, NoReturn

from labkit.interleave import execution, primitives
from labkit.interleave.locks import Event
from labkit.interleave.ops import READ, WRITE, Abort, CannotCheck, Op
from labkit.interleave.primitives import Model, me, need, seen, stop, test

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.interleave.execution import Controlled

__all__ = ["Thread", "Timer", "active_count", "current_thread", "every_thread", "get_ident", "local", "main_thread"]
__all__ += ["sleep", "thread_of"]

_ENDS = "the ends of threads"
_COUNTS = "the number of threads"
_EVERYBODY = ("threads",)  # the location that starts and ends write in programs that count threads
_threads: dict[Controlled, Thread] = {}
_main: list[Thread] = []


def begin() -> None:
    """Begin an execution."""
    _threads.clear()
    _main.clear()


class Join(Op):
    """Waiting for a thread to end: possible when it is done (or was never started, which is an error)."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if the thread is done."""
        return not self.target.m_running()


class Thread(Model):
    """Models ``threading.Thread``.

    Attributes:
        controlled: The controlled thread that it is; None before its start.
        daemon: Whether the program may end without it.
    """

    word = "Thread"
    real: Any = threading.Thread
    m_daemon: bool

    def __init__(  # noqa: PLR0913 - as the real one
        self,
        group: None = None,
        target: Any = None,
        name: Any = None,
        args: Any = (),
        kwargs: Any = None,
        *,
        daemon: Any = None,
        **others: Any,
    ) -> None:
        if others:
            threading.Thread(**others)  # raises what a real one raises
            raise CannotCheck(f"makes a Thread with {', '.join(others)}", primitives.place_of_call)
        assert group is None, "group argument must be None for now"  # noqa: S101 - as the real one
        super().__init__()
        self.controlled: Controlled | None = None
        self.m_target, self.m_given, self.m_named = target, args, kwargs or {}
        known = getattr(target, "__name__", None)
        word, _, count = self.name.partition(" ")
        made = f"{word}-{count}" + (f" ({known})" if known is not None else "")
        self.name = str(name) if name else made
        self.m_daemon = current_thread().m_daemon if daemon is None else bool(daemon)

    # ------------------------------------------------------------------------------------------------ its life
    def start(self) -> None:
        """Start it."""
        place = primitives.place_of_call
        if "m_target" not in vars(self):
            raise RuntimeError("thread.__init__() not called")
        thread = execution.current()
        if thread is None:
            raise CannotCheck("starts a thread in setup or check", place)
        everybody = ((_EVERYBODY, WRITE),) if seen(_COUNTS) else ()
        op = Op("start", ((id(self), WRITE), *everybody), self, self.name, place)
        stop(op)
        if self.controlled is not None:
            primitives.narrow(op)
            raise RuntimeError("threads can only be started once")
        thread.execution.spawn(self.name, self._live)

    def _live(self) -> None:
        self.controlled = thread = execution.current()
        if thread is None:
            raise CannotCheck("calls a thread's inside")
        _threads[thread] = self
        thread.daemon = bool(self.m_daemon)
        primitives.paths[thread] = self.serial
        try:
            self.run()
        except (Abort, CannotCheck):
            raise
        except BaseException:
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        if seen(_ENDS) or seen(_COUNTS):
            everybody = ((_EVERYBODY, WRITE),) if seen(_COUNTS) else ()
            execution.stop(Op("end", ((id(self), WRITE), *everybody), self, self.name))

    def run(self) -> None:
        """Call the target."""
        if self.m_target is not None:
            primitives.call(primitives.place_of_call, self.m_target, tuple(self.m_given), self.m_named)

    def m_running(self) -> bool:
        """Return True if it was started and is not done; at its last operation it counts as done."""
        thread = self.controlled
        return thread is not None and not thread.done

    def join(self, timeout: Any = None) -> None:
        """Wait until it is done; a timed wait may be over at any time."""
        place = primitives.place_of_call
        if "m_target" not in vars(self):
            raise RuntimeError("Thread.__init__() not called")
        if self.controlled is not None and self.controlled is execution.current():
            raise RuntimeError("cannot join current thread")
        if timeout is None:
            stop(Join("join", ((id(self), READ),), self, self.name, place))
        else:
            need(_ENDS)
            stop(Op("try", ((id(self), READ),), self, self.name, place))
        if self.controlled is None:
            raise RuntimeError("cannot join thread before it is started")

    def is_alive(self) -> bool:
        """Return True if it was started and is not done."""
        place = primitives.place_of_call
        if self.controlled is not None and self.controlled is execution.current():
            return True
        if self.m_target is _ROOT and execution.current() is not None:
            raise CannotCheck("asks whether a thread is alive that it has not started", place)
        need(_ENDS)
        return bool(test(self, self.m_running, place))

    # ------------------------------------------------------------------------------------------------ its attributes
    @property
    def ident(self) -> int | None:
        """Return its number; None before its start."""
        if self.controlled is None or self.controlled is not execution.current():
            started = test(
                self, lambda: self.controlled is not None or self.m_target is _ROOT, primitives.place_of_call
            )
            return _ident(self.serial) if started else None
        return _ident(self.serial)

    native_id = ident

    @property
    def daemon(self) -> bool:
        """Return True if the program may end without it."""
        return bool(self.m_daemon)

    @daemon.setter
    def daemon(self, value: Any) -> None:
        if self.controlled is not None:
            raise RuntimeError("cannot set daemon status of active thread")
        self.m_daemon = bool(value)

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        thread = self.controlled
        started = () if thread is None else (thread.index, thread.done)
        return (self.name, self.m_daemon, self.m_target, self.m_given, self.m_named, *started)

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait could pass."""
        return not self.m_running()


def _ROOT() -> NoReturn:  # noqa: N802 - a mark, never called
    raise AssertionError


def _root(thread: Controlled | None) -> Thread:
    """Make the model of a thread that no Thread has started: the main thread, or one of explore()."""
    made = Thread.__new__(Thread)
    made.serial = "-1" if thread is None else str(thread.index)
    made.name = "MainThread" if thread is None or thread.name == "main" else thread.name
    made.controlled = thread
    made.m_target, made.m_given, made.m_named, made.m_daemon = _ROOT, (), {}, False
    return made


class Timer(Thread):
    """Models ``threading.Timer``: its time may be over at any moment."""

    real = threading.Timer

    def __init__(self, interval: Any, function: Any, args: Any = None, kwargs: Any = None) -> None:
        super().__init__()
        self.interval, self.function = interval, function
        self.args = args if args is not None else []
        self.kwargs = kwargs if kwargs is not None else {}
        self.finished = Event()

    def cancel(self) -> None:
        """Stop it, if its time is not over."""
        self.finished.set()

    def run(self) -> None:
        """Wait, then call the function unless it was cancelled."""
        place = primitives.place_of_call
        self.finished.wait(self.interval)
        if not self.finished.is_set():
            primitives.call(place, self.function, tuple(self.args), self.kwargs)
        self.finished.set()


# ------------------------------------------------------------------------------------------------ functions
def thread_of(controlled: Controlled | None) -> Thread | None:
    """Return the model of a controlled thread; None if the program has none of it."""
    return _threads.get(controlled) if controlled is not None else (_main[0] if _main else None)


def current_thread() -> Thread:
    """Model ``threading.current_thread``."""
    thread = execution.current()
    if thread is None:
        if not _main:
            _main.append(_root(None))
        return _main[0]
    if thread not in _threads:
        _threads[thread] = _root(thread)
    return _threads[thread]


def main_thread() -> Thread:
    """Model ``threading.main_thread``: a single function given to explore() runs in it."""
    thread = execution.current()
    if thread is None:
        return current_thread()
    if not thread.execution.trace:
        execution.stop(Op("test", (), None, "main thread", primitives.place_of_call))  # until all functions have begun
    first, *others = [item for item in thread.execution.threads if item.started_by < 0]
    if others:
        raise CannotCheck("asks for the main thread, which runs none of the functions", primitives.place_of_call)
    if first not in _threads:
        _threads[first] = _root(first)
    return _threads[first]


def every_thread() -> list[Any]:
    """Model ``threading.enumerate``, as if only this program ran; the main thread asks."""
    place = primitives.place_of_call
    main = main_thread()
    thread = execution.current()
    if thread is None:
        return [main]
    if main is not current_thread():
        raise CannotCheck("counts threads in another than the main thread", place)
    need(_COUNTS)
    execution.stop(Op("test", ((_EVERYBODY, READ),), None, "threads", place))
    return [main, *(item for item in _threads.values() if item is not main and item.m_running())]


def active_count() -> int:
    """Model ``threading.active_count``."""
    return len(every_thread())


def get_ident() -> int:
    """Model ``threading.get_ident``."""
    return _ident(current_thread().serial)


def _ident(serial: str) -> int:
    return 1_000_000 + zlib.crc32(serial.encode())


def sleep(seconds: Any) -> None:
    """Model ``time.sleep``: it may take any time, so it is a step that touches nothing."""
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        time.sleep(seconds)  # raises what the real one raises
    stop(Op("sleep", (), None, "", primitives.place_of_call))


class local:  # noqa: N801 - as the real one
    """Models ``threading.local``: each thread has attributes of its own."""

    def __new__(cls, /, *given: Any, **named: Any) -> local:  # noqa: PYI034 - Self is of Python 3.11
        """Keep what a thread's own attributes are made with."""
        if (given or named) and cls.__init__ is object.__init__:
            raise TypeError("Initialization arguments are not supported")
        made = object.__new__(cls)
        object.__setattr__(made, "m_local", ({me(): {}}, given, named))
        object.__setattr__(made, "serial", primitives.number("local")[0])
        return made

    def __getattribute__(self, name: str) -> Any:
        """Look among the calling thread's attributes first."""
        if not name.startswith("__"):
            mine = _attributes(self)
            if name in mine:
                return mine[name]
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute of the calling thread's."""
        if hasattr(getattr(type(self), name, None), "__set__"):
            object.__setattr__(self, name, value)
        else:
            _attributes(self)[name] = value

    def __delattr__(self, name: str) -> None:
        """Delete an attribute of the calling thread's."""
        mine = _attributes(self)
        if name not in mine:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        del mine[name]

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        values = object.__getattribute__(self, "m_local")[0]
        return tuple((thread, *sorted(mine.items())) for thread, mine in sorted(values.items()))


def _attributes(owner: local) -> dict[str, Any]:
    """Return the calling thread's attributes; a class's ``__init__`` runs once for each thread."""
    values, given, named = object.__getattribute__(owner, "m_local")
    if me() not in values:
        values[me()] = {}
        if type(owner).__init__ is not object.__init__:
            type(owner).__init__(owner, *given, **named)
    return values[me()]  # type: ignore[no-any-return]
