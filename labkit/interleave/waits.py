"""Models of Condition and Barrier. Rule: what CPython does, also where the documentation does not say it."""

from __future__ import annotations

import threading
from typing import Any

from labkit.interleave import execution, primitives
from labkit.interleave.locks import Lock, RLock
from labkit.interleave.ops import READ, WRITE, Abort, CannotCheck, Op, Place
from labkit.interleave.primitives import Model, Ticket, Wake, narrow, need, seen, stop, test

__all__ = ["Barrier", "Condition"]


class Condition(Model):
    """Models ``threading.Condition``.

    A thread whose wait has timed out stays among the waiting ones until it has the lock again, as in CPython: a
    ``notify()`` that meets it there is lost.
    """

    word = "condition"
    real = threading.Condition

    def __init__(self, lock: Any = None) -> None:
        super().__init__()
        if lock is not None and not isinstance(lock, (Lock, RLock)):
            raise CannotCheck(f"makes a Condition with a {type(lock).__qualname__}", primitives.place_of_call)
        self.m_own = lock is None
        self.m_lock: Lock | RLock = RLock() if lock is None else lock
        if self.m_own:
            self.m_lock.name = self.name
        self.m_waiting: list[Ticket] = []  # those whom notify() looks at, in the order of their coming
        self.m_tickets: list[Ticket] = []  # those, and all that do not have the lock again

    def __setattr__(self, name: str, value: Any) -> None:
        """Name the condition's own lock as the condition."""
        object.__setattr__(self, name, value)
        if name == "name" and getattr(self, "m_own", False):
            self.m_lock.name = value

    def acquire(self, blocking: Any = True, timeout: Any = -1) -> bool:  # noqa: FBT002 - as the real one
        """Take the lock."""
        return self.m_lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Give the lock back."""
        self.m_lock.release()

    def __enter__(self) -> bool:
        """Take the lock."""
        return self.m_lock.acquire()

    def __exit__(self, *error: object) -> None:
        """Give it back."""
        self.m_lock.release()

    def _held(self) -> bool:
        """Say what CPython takes for 'the caller holds the lock': a Lock does not know who holds it."""
        owner = self.m_lock.m_owner
        return owner == primitives.me() if isinstance(self.m_lock, RLock) else owner is not None

    def wait(self, timeout: Any = None) -> bool:
        """Give the lock back, wait for a notify, take the lock again; a timed wait may be over at any time."""
        return self._wait(timeout, primitives.place_of_call)

    def _wait(self, timeout: Any, place: Place | None) -> bool:
        lock = self.m_lock
        if isinstance(lock, RLock) and not self._held():  # no other thread can change that
            raise RuntimeError("cannot wait on un-acquired lock")
        op = Op("wait", ((id(self), WRITE), (id(lock), WRITE)), self, self.name, place)
        stop(op)
        if not self._held():
            narrow(op)
            raise RuntimeError("cannot wait on un-acquired lock")
        if execution.current() is None:
            if timeout is None:
                raise CannotCheck("would wait for ever in setup or check (wait)", place)
            return False
        ticket = Ticket(lock.m_count)
        self.m_waiting.append(ticket)
        self.m_tickets.append(ticket)
        lock.m_owner, lock.m_count = None, 0
        notified = self._woken(ticket, place) if timeout is None else self._woken_or_late(ticket, place)
        self.m_tickets.remove(ticket)
        return notified

    def _woken(self, ticket: Ticket, place: Place | None) -> bool:
        op = Wake(self, ticket, self.m_lock, place)
        execution.stop(op)
        op.value = True
        self.m_lock.m_owner, self.m_lock.m_count = primitives.me(), ticket.count
        return True

    def _woken_or_late(self, ticket: Ticket, place: Place | None) -> bool:
        op = Op("wake", ((id(self), READ),), self, self.name, place)
        execution.stop(op)
        op.value = notified = ticket.given
        ticket.late = True
        # A late thread leaves the waiting ones with the lock in its hands.
        self.m_lock.m_take(place, ticket.count, () if notified else ((id(self), WRITE),))
        if ticket in self.m_waiting:
            self.m_waiting.remove(ticket)
        return notified

    def wait_for(self, predicate: Any, timeout: Any = None) -> Any:
        """Wait until a predicate holds, which is asked with the lock held."""
        place = primitives.place_of_call
        result = primitives.call(place, predicate)
        in_time = True
        while not result and in_time:
            in_time = self._wait(timeout, place) or timeout is None
            result = primitives.call(place, predicate)
        return result

    def notify(self, n: int = 1) -> None:
        """Wake the n threads that have waited longest."""
        self._notify(lambda: n, primitives.place_of_call)

    def notify_all(self) -> None:
        """Wake all threads that wait."""
        self._notify(lambda: len(self.m_waiting), primitives.place_of_call)

    def _notify(self, wanted: Any, place: Place | None) -> None:
        lock = self.m_lock
        reentrant = isinstance(lock, RLock)
        if reentrant and not self._held():
            raise RuntimeError("cannot notify on un-acquired lock")
        op = Op("notify", ((id(self), WRITE), *(() if reentrant else ((id(lock), READ),))), self, self.name, place)
        stop(op)
        if not self._held():
            narrow(op)
            raise RuntimeError("cannot notify on un-acquired lock")
        count = max(wanted(), 0)
        for ticket in self.m_waiting[:count]:
            ticket.give()
        op.value = len(self.m_waiting[:count])
        del self.m_waiting[:count]

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        waiting = [ticket.state() for ticket in self.m_waiting]
        return (self.m_lock, tuple(waiting), *sorted(ticket.state() for ticket in self.m_tickets))

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait could pass."""
        return self.m_lock.m_owner is None


# ------------------------------------------------------------------------------------------------ barriers
_FILLING, _DRAINING, _RESETTING, _BROKEN = 0, 1, -1, -2  # the states of CPython's Barrier
_FINE = "a barrier that can break"


class Arrive(Op):
    """Coming to a barrier: possible unless its action runs, or (if it can break) the last round has not left."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if the thread can come in."""
        barrier = self.target
        return not barrier.m_busy and barrier.m_phase in {_FILLING, _BROKEN}


class Leave(Op):
    """Leaving a barrier that can break: possible when all have come, or it is broken or reset."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if the thread can go."""
        return not self.target.m_busy and self.target.m_phase != _FILLING


class Settle(Op):
    """Resetting or aborting a barrier: possible unless its action runs."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if no action is under way."""
        return not self.target.m_busy


class Barrier(Model):
    """Models ``threading.Barrier``.

    In a program that never resets, aborts or times out, a round that is full cannot break: leaving it conflicts with
    nothing. Other programs get the states of CPython's barrier, where each thread that leaves changes it.
    """

    word = "barrier"
    real = threading.Barrier

    def __init__(self, parties: int, action: Any = None, timeout: Any = None) -> None:
        threading.Barrier(parties, None, timeout)  # raises what a real one raises
        super().__init__()
        self.m_parties, self.m_action, self.m_timeout = parties, action, timeout
        self.m_phase, self.m_count = _FILLING, 0
        self.m_busy = False
        self.m_tickets: list[Ticket] = []

    def wait(self, timeout: Any = None) -> int:
        """Wait until all have come; return as which of them the thread came, from 0."""
        place = primitives.place_of_call
        timeout = self.m_timeout if timeout is None else timeout
        if timeout is not None:
            need(_FINE)
        op = Arrive("arrive", ((id(self), WRITE),), self, self.name, place)
        stop(op)
        if self.m_phase < 0:
            narrow(op)
            raise threading.BrokenBarrierError
        op.value = index = self.m_count
        self.m_count += 1
        fine = seen(_FINE) or execution.current() is None
        if index + 1 == self.m_parties:
            self._open(place, fine=fine)
        elif fine:
            self._leave_finely(timeout, place)
        else:
            ticket = Ticket(index)
            self.m_tickets.append(ticket)
            stop(Wake(self, ticket, None, place, "leave"))
            self.m_tickets.remove(ticket)
        return index

    def _open(self, place: Place | None, *, fine: bool) -> None:
        """Let all go: the last one has come."""
        if self.m_action:
            steps_count = primitives.own_steps()
            self.m_busy = True  # CPython holds the barrier's lock meanwhile
            try:
                primitives.call(place, self.m_action)
                primitives.rest(self, steps_count)
            except (Abort, CannotCheck):
                raise
            except BaseException:
                primitives.rest(self, steps_count)
                self.m_busy = False
                need(_FINE)
                self.m_phase = _BROKEN
                self._left()
                raise
            self.m_busy = False
        if fine:
            self.m_phase = _DRAINING
            self._left()
            return
        self.m_count = 0
        for ticket in self.m_tickets:
            if not ticket.given:
                ticket.give()

    def _leave_finely(self, timeout: Any, place: Place | None) -> None:
        kind = Leave if timeout is None else Settle
        op = kind("leave", ((id(self), WRITE),), self, self.name, place)
        stop(op)
        phase = self.m_phase
        if phase == _FILLING:
            self.m_phase = _BROKEN
        self._left()
        if phase != _DRAINING:
            raise threading.BrokenBarrierError

    def _left(self) -> None:
        self.m_count -= 1
        if self.m_count == 0 and self.m_phase in {_RESETTING, _DRAINING}:
            self.m_phase = _FILLING

    def reset(self) -> None:
        """Make it as new; threads that wait get BrokenBarrierError."""
        need(_FINE)
        stop(Settle("clear", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
        if self.m_count == 0:
            self.m_phase = _FILLING
        elif self.m_phase in {_FILLING, _BROKEN}:
            self.m_phase = _RESETTING

    def abort(self) -> None:
        """Break it; threads that wait or come get BrokenBarrierError."""
        need(_FINE)
        stop(Settle("set", ((id(self), WRITE),), self, self.name, primitives.place_of_call))
        self.m_phase = _BROKEN

    @property
    def parties(self) -> int:
        """Return how many threads it takes."""
        return self.m_parties

    @property
    def n_waiting(self) -> int:
        """Return how many threads have come."""
        need(_FINE)
        count = test(self, lambda: self.m_count if self.m_phase == _FILLING else 0, primitives.place_of_call)
        return int(count)

    @property
    def broken(self) -> bool:
        """Return True if it is broken."""
        need(_FINE)
        return bool(test(self, lambda: self.m_phase == _BROKEN, primitives.place_of_call))

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        tickets = sorted(ticket.state() for ticket in self.m_tickets)
        return (self.m_parties, self.m_action, self.m_phase, self.m_count, self.m_busy, *tickets)

    def free(self) -> bool | None:
        """Return whether a thread that comes to wait could pass."""
        return None if seen(_FINE) or self.m_action else True
