"""One exploration from begin to end: which search follows which, when it is enough. Rule: decides, shows nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from labkit.errors import BadWorkload
from labkit.interleave import tokens
from labkit.interleave.execution import Execution
from labkit.interleave.graph import Graph, Watch
from labkit.interleave.happens_before import canonical
from labkit.interleave.hooks import Restart
from labkit.interleave.ops import CannotCheck
from labkit.interleave.pool import Pool
from labkit.interleave.program import Program
from labkit.interleave.rewrite import Hot
from labkit.interleave.search import RandomWalk, Replay, Search
from labkit.interleave.sources import at
from labkit.interleave.states import Tracker
from labkit.interleave.switch_points import SwitchPoints
from labkit.interleave.tally import Tally
from labkit.interleave.verdict import finish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from labkit.interleave.execution import Strategy
    from labkit.interleave.result import Result

__all__ = ["Job"]

_RESTARTS_MOST = 100
_HUNT_EXECUTIONS, _HUNT_S = 300, 0.1  # per bound of preemptions
_AUDIT_EXECUTIONS, _AUDIT_S = 48, 0.25
_ESTIMATES, _SCHEDULES_MOST = 8, 1e100
_HANG_S = 2.0
_PROGRESS_S = 0.2
_RAN = {"done", "deadlock", "spins"}
_WALKED = {*_RAN, "pruned"}  # an execution that ends otherwise was cut off: then nothing is complete


class Job:
    """One exploration.

    Args:
        parts: Functions, setup, check and outcome.
        limits: executions_most, seconds_most and steps_most.
        token: A schedule to replay instead; empty for none.
        switch_points: See `explore`.
        progress: See `explore`.

    Attributes:
        result: The result, when there is one.
        error: What stopped it instead.
        complete: 'traces' or 'states' if the whole tree or graph was walked, else ''.
        loose: Why the result may not be called complete after all.
    """

    def __init__(
        self,
        parts: tuple[Any, Any, Any, Any],
        limits: dict[str, Any],
        token: str,
        switch_points: frozenset[str] | None,
        progress: Callable[[int, float, float, float], None] | None,
    ) -> None:
        self._parts, self.limits, self.hot, self._token = parts, limits, Hot(), token
        self.switch_points, self._progress = switch_points, progress
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.interrupted = False
        self._execution: Execution | None = None
        self._began = time.monotonic()
        self._shown = self._began
        self.pool = Pool()
        self.program: Program
        self._clear()

    def _clear(self) -> None:
        self.tally = Tally()
        self.problem: CannotCheck | None = None
        self.complete, self.loose, self.circle = "", "", ""
        self.hunted = self.executions = self.audited = 0
        self.share = self.schedules = 0.0
        self.graph: Graph | None = None
        self.looped = self.chance = False
        self._last_text = ""
        self._hunted_traces: set[Any] = set()

    # ------------------------------------------------------------------------------------------------ from outside
    def interrupt(self) -> None:
        """End the work soon; may be called from any thread."""
        self.interrupted = True
        execution = self._execution
        if execution is not None:
            execution.interrupted = True

    def run(self) -> None:
        """Do all of it; the result or the error is kept."""
        try:
            self.result = self._run()
        except BaseException as error:  # noqa: BLE001 - this is the end of a thread: the caller raises it
            self.error = error
        finally:
            self.pool.close()

    @property
    def seconds(self) -> float:
        """Return how long it has taken."""
        return time.monotonic() - self._began

    # ------------------------------------------------------------------------------------------------ the procedure
    def _run(self) -> Result:
        replayed = tokens.read(self._token) if self._token else None
        if replayed is not None:
            self.hot.names |= set(replayed.names)
            self.hot.attributes |= set(replayed.attributes)
        for _ in range(_RESTARTS_MOST):
            self._clear()
            try:
                self.program = Program(*self._parts, self.hot)
                self._check_setup()
                self._explore(replayed)
            except Restart:
                continue
            except CannotCheck as problem:
                self.problem = problem
            return finish(self, replayed)
        self.problem = CannotCheck("writes ever new names: the explorer does not come to an end")
        return finish(self, replayed)

    def _check_setup(self) -> None:
        """Refuse a setup that makes something else each time: no schedule could be replayed."""
        setup = self._parts[1]
        if setup is None:
            return
        made = []
        for _ in range(2):
            try:
                self.program.begin()
            except Exception as error:
                problem = f"raises {type(error).__name__}: {error}"
                raise BadWorkload(setup.__qualname__, problem, "Call it by itself first, and mend it.") from error
            made.append(self.program.visible())
        if made[0] != made[1] or self.program.world.chance:
            shown = f"makes {made[0]} one time and {made[1]} another" if made[0] != made[1] else "asks for chance"
            raise BadWorkload(setup.__qualname__, shown, "Let it make the same state each time, from fixed values.")

    def _explore(self, replayed: tokens.Token | None) -> None:
        if replayed is not None:
            self.looped = bool(replayed.circle)  # then look whether it really comes back
            execution = self._execute(Replay(replayed.schedule))
            if execution.ending == "circle" and len(execution.trace) == len(replayed.schedule):
                self.circle = replayed.circle
            return
        if self.switch_points is not None:
            self.program.hooks.gaps = True
            self._walk(SwitchPoints(Search("none"), self.switch_points))
            return
        self._estimate()
        for bound in (0, 1, 2):
            if self._hunt(bound):
                break
        self._hunted_traces, self.tally.traces = self.tally.traces, set()
        self.tally.forget_counts()
        self._walk(Search("dpor"))
        if self.loose == "loops" and not self._over():
            self._walk_states()
        if self.complete and not self._over():
            self._audit()

    def _over(self) -> bool:
        """Return True if it is time to stop."""
        limits = self.limits
        return self.interrupted or self.executions >= limits["executions_most"] or self.seconds > limits["seconds_most"]

    def _estimate(self) -> None:
        """Estimate how many schedules there are, by a few random ones (Knuth 1975), and tell it before the search."""
        for seed in range(_ESTIMATES):
            walk = RandomWalk(seed)
            self._execute(walk, watch=True)
            self.schedules += min(walk.weight, _SCHEDULES_MOST) / _ESTIMATES
        if self._progress is not None:
            self._progress(0, 0.0, self.seconds, self.schedules)

    def _hunt(self, bound: int) -> bool:
        """Search with few preemptions, for a short time. Return True if a bug was found."""
        search, until = Search("none", bound=bound), time.monotonic() + _HUNT_S
        for _ in range(_HUNT_EXECUTIONS):
            self._execute(search)
            self.hunted += 1
            if self.tally.bug() or not search.after(self._done) or time.monotonic() > until or self.interrupted:
                break
        return self.tally.bug() is not None

    def _walk(self, search: Search | SwitchPoints) -> None:
        """Search all traces."""
        while not self._over():
            execution = self._execute(search)
            self.executions, self.share = self.executions + 1, search.share
            if execution.ending in {"circle", "too long"}:
                self.loose = "loops"
                return
            more = search.after(execution)
            if not more or execution.ending not in _WALKED:
                self.complete = "traces" if search.done and execution.ending in _WALKED else ""
                return
            self._tell()

    def _walk_states(self) -> None:
        """Search all states."""
        graph = self.graph = Graph(lambda: Tracker(self.program.world))
        self.looped = False
        self.tally.traces = set()
        self.tally.forget_counts()
        while not self._over():
            execution = self._execute(graph, graph.begin())
            self.executions, self.share = self.executions + 1, graph.share
            if execution.ending not in _WALKED:
                self.loose = "loops without an end" if execution.ending == "too long" else self.loose
                return
            if not graph.after(execution):
                self.complete, self.loose = "states", ""
                self.circle = graph.circles()
                return
            self._tell()

    def _audit(self) -> None:
        """Check the search by random schedules: each must be one of the known traces, or at least a known end."""
        until = time.monotonic() + _AUDIT_S
        known = set(self.tally.traces)
        if self.complete == "traces" and not self._hunted_traces <= known:
            self._mistrust("the quick search found a trace that this one had missed")
            return
        for seed in range(_AUDIT_EXECUTIONS):
            if time.monotonic() > until or self.interrupted:
                return
            execution = self._execute(RandomWalk(seed), watch=True)
            self.audited += 1
            if execution.ending not in _RAN:
                continue
            name = canonical(execution)
            missed = name not in known if self.complete == "traces" else not self.tally.knows(self._last_text)
            if missed:
                self._mistrust("an audit found a schedule that the search had missed")
                return

    def _mistrust(self, why: str) -> None:
        """Take back that the search was complete: it has a mistake of ours."""
        self.complete, self.loose = "", f"{why}: please report this"

    # ------------------------------------------------------------------------------------------------ one execution
    def _begin(self, tracker: Tracker | None, profile: Any) -> Any:
        """Make the program ready, and have an eye on what setup runs."""
        if profile is not None:
            sys.setprofile(profile)
        try:
            return self.program.begin(tracker)
        finally:
            if profile is not None:
                sys.setprofile(None)

    def _execute(self, strategy: Strategy, tracker: Tracker | None = None, *, watch: bool = False) -> Execution:
        """Execute the program once, and count how it ends.

        Args:
            strategy: Who chooses the schedule.
            tracker: Keeps the states, if somebody needs them.
            watch: True to see each call, and to refuse a program of which something runs as it was typed.
        """
        if self.looped and tracker is None:
            tracker = Tracker(self.program.world)
            strategy = Watch(strategy, tracker)
        world = self.program.world
        strays: list[Any] = []

        def profile(frame: Any, event: str, _: object) -> None:
            if event == "call" and world.stray(frame):
                strays.append(frame.f_code)

        watched = profile if watch else self.program.hooks.entered if self.program.hooks.gaps else None
        functions = self._begin(tracker, profile if watch else None)
        execution = Execution(strategy, self.pool, steps_most=self.limits["steps_most"], hang_s=_HANG_S)
        self._execution = self._done = execution
        execution.interrupted, execution.profile = self.interrupted, watched
        execution.run(functions)
        self._execution = None
        if strays:
            raise CannotCheck(f"runs {strays[0].co_name} where the explorer cannot look", at(strays[0]))
        self.looped, self.chance = self.looped or world.looped, self.chance or world.chance
        if execution.problem is not None:
            raise execution.problem
        if execution.ending == "nondeterministic":
            raise CannotCheck("does something else when the same schedule is executed again")
        if execution.ending in _RAN:
            ending = self.program.ending(execution)
            self._last_text = ending.text
            trace = canonical(execution) if not isinstance(strategy, Graph) else ("state", len(self.tally.traces))
            self.tally.add(ending, [thread for thread, _ in execution.trace], trace)
        return execution

    def record(self, schedule: Sequence[int]) -> tuple[Any, Execution]:
        """Execute one schedule again, and write every step down."""
        from labkit.interleave.witness import Recorder

        functions = self.program.begin()
        execution = Execution(Replay(list(schedule)), self.pool, steps_most=len(schedule) + 1, hang_s=_HANG_S)
        recorder = Recorder(self.program, execution)
        execution.run(functions)
        return recorder, execution

    def _tell(self) -> None:
        now = time.monotonic()
        if self._progress is not None and now > self._shown + _PROGRESS_S:
            self._shown = now
            self._progress(self.executions, self.share, now - self._began, self.schedules)
