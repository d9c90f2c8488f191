"""One execution of a program under a schedule: real threads that pass a baton. Rule: one of them runs at a time.

A controlled thread stops before each visible operation (`stop`). There the strategy chooses who goes on; the chooser
runs in the thread that has stopped, so going on with the same thread costs no switch.
"""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from typing import Any, Protocol

from labkit.interleave.ops import ENGINE, Abort, CannotCheck, Op, Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from labkit.interleave.pool import Player, Pool

__all__ = ["Controlled", "Execution", "Strategy", "check", "current", "stop"]

_SWALLOWED_MOST = 1000  # ends of an execution that a thread's own except blocks may swallow before it is given up
_mine = threading.local()  # .controlled: which controlled thread a pooled thread plays


class Strategy(Protocol):
    """Who decides which thread goes on."""

    def choose(
        self, execution: Execution, depth: int, enabled: list[int], pending: dict[int, Op], current: int
    ) -> int | None:
        """Return the thread that executes its pending operation; None ends the execution ('pruned')."""

    def after(self, execution: Execution) -> bool:
        """Learn from a finished execution. Return True if there is more to explore."""


class Controlled:
    """One controlled thread.

    Attributes:
        index: Its number; threads are numbered in the order of their start.
        name: For people.
        op: The operation that it has stopped before; None if it is done.
        done: True when its function has returned.
        error: What its function raised.
        started_by: Number of the step that started it; -1 if it was there from the beginning.
        log: The operations that it has executed.
        entered: Context managers that it is in.
        loops: What `loops.tick` remembers.
        ident: The operating system thread that plays it.
        returned: What its function returned.
        rounds: Rounds of while loops that it has begun.
        gaps: What it did between its last operation and the next.
        daemon: True if the program may end while it still waits.
    """

    __slots__ = (
        *("index", "name", "function", "op", "done", "error", "started_by", "log", "entered", "loops", "ident"),
        *("baton", "execution", "swallowed", "returned", "memory", "spawner", "rounds", "gaps", "daemon"),
    )

    def __init__(
        self, execution: Execution, name: str, function: Callable[[], object], spawner: Controlled | None
    ) -> None:
        self.execution, self.index, self.name, self.function = execution, len(execution.threads), name, function
        self.started_by = -1 if spawner is None else len(execution.trace) - 1
        self.spawner: Controlled | None = spawner  # gets the baton back at the first operation
        self.op: Op | None = None
        self.done = False
        self.error: BaseException | None = None
        self.returned: object = None
        self.log: list[Op] = []
        self.entered: list[Any] = []
        self.loops: dict[Any, Any] = {}
        self.ident, self.swallowed, self.rounds = 0, 0, 0
        self.gaps: set[str] = set()
        self.daemon = False
        self.baton: Any = None
        self.memory: Any = None  # of states.py


class Execution:
    """One run of a program.

    Attributes:
        threads: The controlled threads.
        trace: What was executed: (thread, operation).
        pending: What the threads that are not done waited for at the end.
        ending: '' while under way; 'done', 'deadlock', 'spins' (nobody can go on, and at least one thread spins),
            'pruned' (by the strategy), 'too long' (over steps_most), 'stuck' (a call into C that does not return),
            'cannot check', 'nondeterministic' (by the strategy) or 'interrupted'.
        problem: What cannot be checked, or where it is stuck.
        several: True once there is more than one thread: from then on, what one writes another may see.
        leaked: Threads that could not be ended: they hang in C, or swallow everything.
    """

    def __init__(self, strategy: Strategy, pool: Pool, *, steps_most: int = 2000, hang_s: float = 5.0) -> None:
        self.strategy, self.pool, self.steps_most, self.hang_s = strategy, pool, steps_most, hang_s
        self.threads: list[Controlled] = []
        self.trace: list[tuple[int, Op]] = []
        self.pending: dict[int, Op] = {}
        self.ending = ""
        self.problem: CannotCheck | None = None
        self.crash: BaseException | None = None  # an error of our own, in a strategy or model
        self.leaked: list[Controlled] = []
        self.interrupted = False  # set by another thread: end at the next step
        self.profile: Callable[..., None] | None = None  # sees each call in the threads
        self.before_step: Callable[[], None] | None = None  # for the recorder of a witness
        self.several = False
        self._running: Controlled | None = None
        self._aborting, self._starting = False, True
        self._gate = _thread.allocate_lock()  # a thread passes the baton on, or is given up: never both
        self._outside = _thread.allocate_lock()
        self._outside.acquire()
        self._players: dict[int, Player] = {}

    # ------------------------------------------------------------------------------------------------ from outside
    def run(self, functions: Sequence[tuple[str, Callable[[], object]]]) -> None:
        """Run a program to its end; whatever happens, no controlled thread goes on running.

        Call it from a thread that gets no signals: `explore` has one of its own.

        Args:
            functions: Name and function of each thread.
        """
        self.several = len(functions) > 1
        try:
            for name, function in functions:
                self._start(Controlled(self, name, function, None))
                self._wait()
                if self.ending:
                    break
            self._starting = False
            if not self.ending:
                first = self._choose(None)
                if first is not None:
                    first.baton.release()
                    self._wait()
        finally:
            self._release_all()
        if self.crash is not None:
            raise self.crash

    def _start(self, thread: Controlled) -> None:
        """Let a thread run up to its first operation."""
        self.threads.append(thread)
        player = self.pool.get()
        thread.baton = player.baton
        self._players[thread.index] = player
        self._running = thread
        player.job = lambda: self._play(thread, player)
        player.baton.release()

    def _wait(self) -> None:
        """Wait until the controlled threads have given the baton back, as long as they come to operations."""
        seen = -1
        while not self._outside.acquire(timeout=self.hang_s):
            steps_count = len(self.trace) + sum(len(thread.log) for thread in self.threads)
            if steps_count == seen or self._aborting:
                self._leave_alone()
                return
            seen = steps_count

    def _leave_alone(self) -> None:
        with self._gate:
            if self._outside.acquire(blocking=False):
                return  # it has come after all
            running = self._running
            if not self.ending:
                self.ending = "stuck"
            if running is None or running in self.leaked:
                return
            self.leaked.append(running)
        self.pool.forget(self._players[running.index])
        frame = sys._current_frames().get(running.ident)  # noqa: SLF001 - documented for CPython
        self.problem = self.problem or CannotCheck("waits or computes in a call that cannot be interrupted", _at(frame))

    def _release_all(self) -> None:
        """End every thread that has stopped somewhere."""
        self._aborting = True
        for thread in self.threads:
            if not thread.done and thread not in self.leaked:
                self._running = thread
                thread.baton.release()
                self._wait()

    # ------------------------------------------------------------------------------------------------ in the threads
    def _play(self, thread: Controlled, player: Player) -> None:
        """Run one thread's function, then hand the baton on."""
        _mine.controlled = thread
        thread.ident = _thread.get_ident()
        if self.profile is not None:
            sys.setprofile(self.profile)
        try:
            thread.returned = thread.function()
        except BaseException as error:  # noqa: BLE001 - whatever a student's code raises is data
            self._failed(thread, error)
        _mine.controlled = None
        if self.profile is not None:
            sys.setprofile(None)
        if thread in self.leaked:
            return
        thread.done, thread.op = True, None
        after = None
        if not (self._aborting or self.ending):
            after = thread.spawner or (None if self._starting else self._choose(thread))
        with contextlib.suppress(Abort):
            self._pass(after, thread, player)

    def _failed(self, thread: Controlled, error: BaseException) -> None:
        """Note what a thread died of, but for what ends threads in silence, or only while they are ended."""
        hidden = _hidden(error)
        if hidden is not None:
            self._give_up(hidden)
        elif not (self._aborting or isinstance(error, (Abort, SystemExit))):
            thread.error = error

    def _pass(self, thread: Controlled | None, giver: Controlled, player: Player | None = None) -> None:
        """Give the baton to a thread; None gives it back to the outside.

        Args:
            thread: Who gets it.
            giver: Who has it.
            player: The real thread that is free now, if the giver has ended.

        Raises:
            Abort: The giver was given up meanwhile, and has no baton.
        """
        with self._gate:
            if giver in self.leaked:
                raise Abort
            if player is not None:
                self.pool.put(player)
            self._running = thread
            (self._outside if thread is None else thread.baton).release()

    def stop(self, thread: Controlled, op: Op) -> None:
        """Stop a thread before an operation; return when it is to be executed.

        Raises:
            Abort: When the execution has ended meanwhile.
        """
        self.check(thread)
        thread.op = op
        if thread.spawner is not None:
            spawner, thread.spawner = thread.spawner, None
            self._pass(spawner, thread)
        elif self._starting:
            self._pass(None, thread)
        else:
            after = self._choose(thread)
            if after is thread:
                return
            self._pass(after, thread)
        thread.baton.acquire()
        if self._aborting:
            raise Abort

    def check(self, thread: Controlled) -> None:
        """Raise `Abort` if the execution has ended; a thread that swallows it for ever is parked."""
        if self._aborting:
            thread.swallowed += 1
            if thread.swallowed > _SWALLOWED_MOST:
                thread.baton.acquire()
            raise Abort

    def spawn(self, name: str, function: Callable[[], object]) -> Controlled:
        """Start a controlled thread from another one: it runs at once up to its first operation.

        Raises:
            Abort: When the execution has ended meanwhile.
        """
        spawner, self.several = _mine.controlled, True
        thread = Controlled(self, name, function, spawner)
        self._start(thread)
        spawner.baton.acquire()
        if self._aborting:
            raise Abort
        return thread

    def _give_up(self, problem: CannotCheck) -> None:
        if not self.ending:
            self.ending, self.problem = "cannot check", problem

    def _choose(self, thread: Controlled | None) -> Controlled | None:
        """Let the strategy choose who executes its pending operation; None if the execution ends here."""
        if self.ending:
            return None
        try:
            return self._chosen(thread)
        except CannotCheck as problem:
            self._give_up(problem)
        except BaseException as error:  # noqa: BLE001 - a bug of ours must not leave threads behind
            self.crash, self.ending = error, "cannot check"
        return None

    def _chosen(self, thread: Controlled | None) -> Controlled | None:
        if self.before_step is not None:
            self.before_step()
        pending: dict[int, Op] = {}
        enabled: list[int] = []
        for item in self.threads:
            if not item.done:
                pending[item.index] = op = item.op  # type: ignore[assignment]
                if op.enabled():  # type: ignore[union-attr]
                    enabled.append(item.index)
        self.pending = pending
        if self.interrupted:
            self.ending = "interrupted"
        elif not enabled:
            self.ending = _at_rest([op for index, op in pending.items() if not self.threads[index].daemon])
        elif len(self.trace) >= self.steps_most:
            self.ending = "too long"
        else:
            return self._execute(enabled, pending, -1 if thread is None else thread.index)
        return None

    def _execute(self, enabled: list[int], pending: dict[int, Op], current_index: int) -> Controlled | None:
        chosen = self.strategy.choose(self, len(self.trace), enabled, pending, current_index)
        if chosen is None:
            self.ending = self.ending or "pruned"
            return None
        thread, op = self.threads[chosen], pending[chosen]
        self.trace.append((chosen, op))
        thread.log.append(op)
        return thread


def _at_rest(pending: list[Op]) -> str:
    if any(op.kind == "spin" for op in pending):
        return "spins"
    return "deadlock" if pending else "done"


def current() -> Controlled | None:
    """Return the controlled thread that calls; None in setup, check and everywhere else."""
    return getattr(_mine, "controlled", None)


def stop(op: Op) -> None:
    """Stop the calling thread before an operation, if it is a controlled one."""
    thread: Controlled | None = getattr(_mine, "controlled", None)
    if thread is not None:
        thread.execution.stop(thread, op)


def check() -> None:
    """Raise `Abort` if the calling thread's execution has ended, and `CannotCheck` if an exception hides one."""
    thread: Controlled | None = getattr(_mine, "controlled", None)
    if thread is not None:
        thread.execution.check(thread)
        hidden = _hidden(sys.exc_info()[1])
        if hidden is not None:
            raise hidden


def _hidden(error: BaseException | None) -> CannotCheck | None:
    """Find a `CannotCheck` behind an exception: a `with` that it leaves may raise another one in its place."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, CannotCheck):
            return error
        seen.add(id(error))  # a program may tie a chain of exceptions into a circle
        error = error.__context__
    return None


def _at(frame: FrameType | None) -> Place | None:
    """Return where a thread is, in code that is not this package's."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith(ENGINE):
        frame = frame.f_back
    if frame is None:
        return None
    line = frame.f_lineno
    return Place(frame.f_code.co_filename, line, 0, line, 0, frame.f_code.co_name)
