"""Models of locks, semaphores and events. Rule: what CPython does, also in its errors."""

from __future__ import annotations

import _thread
import sys
import threading
from typing import Any

from labkit.interleave import execution, primitives
from labkit.interleave.ops import READ, WRITE, Op, Place
from labkit.interleave.primitives import Model, Ticket, Wake, me, narrow, need, seen, stop, test

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.interleave.primitives import Accesses

__all__ = ["BoundedSemaphore", "Event", "Lock", "RLock", "Semaphore"]

_probe = _thread.allocate_lock()  # always free: judges the arguments of acquire as this Python does


class Acquire(Op):
    """Taking a lock: possible when nobody holds it."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if the lock is free."""
        return self.target.m_owner is None


class _Taken(Model):
    """What Lock and RLock have in common. The owner of a Lock is only for people: anybody may release it."""

    def __init__(self) -> None:
        super().__init__()
        self.m_owner: int | None = None
        self.m_count = 0

    def m_try(self, blocking: Any, timeout: Any, place: Place | None) -> bool:
        """Take the lock if it is free; a timed wait may be over at any time."""
        _probe.acquire(blocking, timeout)  # raises what a real lock raises
        _probe.release()
        op = Op("try", ((id(self), WRITE),), self, self.name, place)
        stop(op)
        op.value = self.m_owner is None
        if self.m_owner is None:
            self.m_owner, self.m_count = me(), 1
            return True
        narrow(op)
        return False

    def m_take(self, place: Place | None, count: int = 1, more: Accesses = ()) -> None:
        """Wait for the lock, and take it."""
        stop(Acquire("acquire", ((id(self), WRITE), *more), self, self.name, place))
        self.m_owner, self.m_count = me(), count

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        return (self.m_owner, self.m_count)

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait could pass."""
        return self.m_owner is None


class Lock(_Taken):
    """Models ``threading.Lock``."""

    word = "lock"
    real = _thread.LockType

    def acquire(self, blocking: Any = True, timeout: Any = -1) -> bool:  # noqa: FBT002 - as the real one
        """Take the lock."""
        if blocking is not True or timeout != -1 or type(timeout) is not int:
            return self.m_try(blocking, timeout, primitives.place_of_call)
        self.m_take(primitives.place_of_call)
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Give the lock back, whoever holds it."""
        op = Op("release", ((id(self), WRITE),), self, self.name, primitives.place_of_call)
        stop(op)
        if self.m_owner is None:
            narrow(op)
            raise RuntimeError("release unlocked lock")
        self.m_owner, self.m_count = None, 0

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.release()

    def locked(self) -> bool:
        """Return True if somebody holds it."""
        return bool(test(self, lambda: self.m_owner is not None, primitives.place_of_call))


class RLock(_Taken):
    """Models ``threading.RLock``. Taking it again, and giving that back, is seen by nobody else."""

    word = "rlock"
    real = type(threading.RLock())

    def acquire(self, blocking: Any = True, timeout: Any = -1) -> bool:  # noqa: FBT002 - as the real one
        """Take the lock, if need be once more."""
        plain = blocking is True and type(timeout) is int and timeout == -1
        if self.m_owner == me():
            if not plain:
                _probe.acquire(blocking, timeout)
                _probe.release()
            self.m_count += 1
            return True
        if not plain:
            return self.m_try(blocking, timeout, primitives.place_of_call)
        self.m_take(primitives.place_of_call)
        return True

    __enter__ = acquire

    def release(self) -> None:
        """Give the lock back as often as it was taken."""
        if self.m_owner != me():
            raise RuntimeError("cannot release un-acquired lock")
        if self.m_count > 1:
            self.m_count -= 1
            return
        stop(Op("release", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
        self.m_owner, self.m_count = None, 0

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.release()

    if sys.version_info >= (3, 14):

        def locked(self) -> bool:
            """Return True if somebody holds it."""
            return bool(test(self, lambda: self.m_owner is not None, primitives.place_of_call))


# ------------------------------------------------------------------------------------------------ semaphores
class SemaphoreAcquire(Op):
    """Taking from a semaphore: possible when something is left."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if something is left."""
        return bool(self.target.m_value > 0)


class Semaphore(Model):
    """Models ``threading.Semaphore``."""

    word = "semaphore"
    real = threading.Semaphore

    def __init__(self, value: int = 1) -> None:
        threading.Semaphore(value)  # raises what a real one raises
        super().__init__()
        self.m_value = self.m_first = value

    def acquire(self, blocking: Any = True, timeout: Any = None) -> bool:  # noqa: FBT002 - as the real one
        """Take one."""
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        if blocking and timeout is None:
            stop(SemaphoreAcquire("acquire", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
            self.m_value -= 1
            return True
        op = Op("try", ((id(self), WRITE),), self, self.name, primitives.place_of_call)
        stop(op)
        op.value = self.m_value > 0
        if not op.value:
            narrow(op)
            return False
        self.m_value -= 1
        return True

    __enter__ = acquire

    def release(self, n: int = 1) -> None:
        """Give n back."""
        if n < 1:
            raise ValueError("n must be one or more")
        stop(Op("release", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
        self.m_value += n

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.release()

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        return (self.m_value, self.m_first)

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait could pass."""
        return self.m_value > 0


class BoundedSemaphore(Semaphore):
    """Models ``threading.BoundedSemaphore``."""

    real = threading.BoundedSemaphore

    def release(self, n: int = 1) -> None:
        """Give n back, never more than were taken."""
        if n < 1:
            raise ValueError("n must be one or more")
        op = Op("release", ((id(self), WRITE),), self, self.name, primitives.place_of_call)
        stop(op)
        if self.m_value + n > self.m_first:
            narrow(op)
            raise ValueError("Semaphore released too many times")
        self.m_value += n


# ------------------------------------------------------------------------------------------------ events
class EventWait(Op):
    """Waiting for an event that nobody clears: possible when it is set."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if the event is set."""
        return bool(self.target.m_flag)


class Event(Model):
    """Models ``threading.Event``.

    A thread that waits goes on after ``set()``, even if ``clear()`` follows before it runs. So in programs that clear
    events while several threads run, coming to wait and going on are two operations.
    """

    word = "event"
    real = threading.Event

    def __init__(self) -> None:
        super().__init__()
        self.m_flag = False
        self.m_waiting: list[Ticket] = []

    def is_set(self) -> bool:
        """Return True if it is set."""
        return bool(test(self, lambda: self.m_flag, primitives.place_of_call))

    def set(self) -> None:
        """Set it, and let all go on that wait."""
        stop(Op("set", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
        self.m_flag = True
        for ticket in self.m_waiting:
            if not ticket.given:
                ticket.give()

    def clear(self) -> None:
        """Clear it."""
        need("Event.clear")
        stop(Op("clear", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
        self.m_flag = False

    def wait(self, timeout: Any = None) -> bool:
        """Wait until it is set; a timed wait may be over at any time."""
        place = primitives.place_of_call
        if execution.current() is None or not seen("Event.clear"):
            kind = EventWait if timeout is None else Op
            op = kind("wait" if timeout is None else "try", ((id(self), READ),), self, self.name, place)
            stop(op)
            op.value = self.m_flag
            return self.m_flag
        return self._wait_finely(timeout, place)

    def _wait_finely(self, timeout: Any, place: Place | None) -> bool:
        stop(Op("wait", ((id(self), READ),), self, self.name, place))
        if self.m_flag:
            return True
        ticket = Ticket()
        self.m_waiting.append(ticket)  # all are let go at once, so the order of coming does not matter
        if timeout is None:
            op: Op = Wake(self, ticket, None, place)
        else:
            op = Op("wake", ((id(self), READ),), self, self.name, place)
        execution.stop(op)
        self.m_waiting.remove(ticket)
        op.value = ticket.given
        return ticket.given

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        return (self.m_flag, *sorted(ticket.state() for ticket in self.m_waiting))

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait could pass."""
        return self.m_flag
