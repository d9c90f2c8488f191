"""`labkit.explore`: every interleaving of a student's functions. Rule: in a supervised child wherever that is possible.

The engine (labkit/interleave) knows nothing of processes. What is asked is checked first, then packed; if all of it can
travel, the engine runs in a child, so that an endless call or a crash takes no kernel with it. If not, it runs here.
"""

from __future__ import annotations

import html
import importlib
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit import errors
from labkit.errors import BadWorkload
from labkit.interleave.in_child import ENTRY, PROGRESS
from labkit.interleave.result import Result, from_json
from labkit.limits import Limits
from labkit.model import Ending, Part, Trial
from labkit.runs.interpreters import probe
from labkit.runs.supervise import begin
from labkit.runs.travel import folder_of, pack_all
from labkit.show.asked import Asked
from labkit.show.live import LivePlace
from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labkit.model import Json, Run
    from labkit.runs.supervise import LiveRun
    from labkit.runs.travel import Bundle
    from labkit.show.levels import Levels

__all__ = ["Exploration", "explore", "explore_asked", "explore_source", "start_in_child"]

_MARGIN_S = 10.0  # the engine keeps its own time; beyond this something in the child does not come back
_SHORT_MARGIN_S = 3.0  # for an exercise: its programs are small, and a student waits for the answer
_QUIET_S = 0.5  # most explorations are over by then: no progress is shown before
_MEMORY_BYTES = 1024 * MIB
_IN_CHILD = "in a child process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration(Result):
    """A `Result` that shows itself, and remembers what was asked.

    Attributes:
        asked: The arguments of the exploration; None for one that was loaded, or asked for as source.
        run: The run of the child process; None if there was none.
    """

    asked: Asked | None = field(default=None, compare=False)
    run: Run | None = field(default=None, compare=False)

    def levels(self) -> Levels:
        """Say whether the language allows the bug, whether this interpreter does, and how often it is seen."""
        from labkit.show.levels import levels

        return levels(self)

    def replay(self) -> Exploration:
        """Execute the witness once more, and nothing else.

        Raises:
            BadWorkload: If there is nothing to replay.
        """
        if self.asked is None or not self.token:
            raise BadWorkload(
                "The exploration", "has no witness to replay", "Only a schedule that was found has a token."
            )
        return explore_asked(self.asked, token=self.token)

    def stepper(self) -> object:
        """Return a stepper with buttons and a slider."""
        return importlib.import_module("labkit.show.stepper_widgets").stepper(self)

    def figure(self) -> object:
        """Show the witness as a timeline, with its alt text and the steps as a table."""
        from IPython.display import HTML

        from labkit.show.schedule_figure import timeline

        return HTML(timeline(self))

    def __repr__(self) -> str:
        """Show the result as a text table."""
        text: str = importlib.import_module("labkit.interleave.text").table(self)
        return text

    def _repr_html_(self) -> str:
        card: str = importlib.import_module("labkit.show.exploration_html").card(self)
        return card


def explore(  # noqa: PLR0913 - the whole public interface; all but the first by keyword
    functions: Callable[..., object] | Sequence[Callable[..., object]],
    *,
    setup: Callable[[], object] | None = None,
    check: Callable[..., object] | None = None,
    outcome: Callable[..., object] | str | Sequence[str] | None = None,
    executions_most: int = 20_000,
    seconds_most: float = 5.0,
    steps_most: int = 2_000,
    token: str = "",
    where: str = "auto",
    python: str | None = None,
) -> Exploration:
    """Explore every interleaving of functions that run as threads, and say what can happen.

    Args:
        functions: A list of 1 to 4 functions, one per thread; or one function that starts and joins its own threads.
            They take no argument, or the state that ``setup`` makes.
        setup: Makes a fresh state for each execution. Without it the globals that the functions name are the state.
        check: Called at the end, with nothing or with the state: what it returns must be true.
        outcome: What counts as the outcome: a function as ``check``, or names of globals. Else the visible state.
        executions_most: Executions after which the search gives up.
        seconds_most: Seconds after which it gives up: at most 500.
        steps_most: Steps of one execution after which that is given up.
        token: The ``token`` of an earlier result: replays its schedule, and nothing else.
        where: ``"child"`` for a process of its own, ``"kernel"`` for this one, ``"auto"`` for a child if all that the
            functions name can travel there.
        python: Interpreter for the child, 3.10 or later; this one if left out.

    Returns:
        What was found. Interrupting the kernel ends the search, and returns what is known.

    Raises:
        BadWorkload: If a function is none, takes the wrong arguments or has no source; or it cannot travel and
            ``where="child"``.
        BadValue: If another value is not allowed. Nothing has been started then.
    """
    limits = {"executions_most": executions_most, "seconds_most": seconds_most, "steps_most": steps_most}
    alone = not isinstance(functions, (list, tuple))
    what = Asked(
        functions=(functions,) if alone else tuple(functions),  # type: ignore[arg-type]
        alone=alone,
        setup=setup,
        check=check,
        outcome=outcome,
        limits=limits,
        token=token,
        where=where,
        python=python,
    )
    return explore_asked(what, token=token)


def explore_asked(what: Asked, *, token: str = "", **options: Json) -> Exploration:
    """Explore what was checked before; ``options`` are further arguments of the engine."""
    if what.python is not None:
        probe(what.python)  # refuses a bad one before anything else
    given = {**what.limits, **options, "token": token}
    if what.where == "kernel":
        return _in_kernel(what, given, "as asked")
    try:
        bundle = pack(what)
    except BadWorkload as refusal:
        if what.where == "child" or what.python is not None:
            raise
        return _in_kernel(what, given, f"{refusal.workload} {refusal.problem}")
    return _in_child(what, bundle, given)


def pack(what: Asked) -> Bundle:
    """Make everything that was asked for ready to travel."""
    named = [_label(number) for number in range(len(what.functions))]
    functions: dict[str, Any] = dict(zip(named, what.functions, strict=True))
    functions |= {role: value for role, value in what.roles.items() if not (role == "outcome" and what.names)}
    return pack_all(functions, what.names)


def explore_source(
    source: tuple[Part, ...],
    workers: Sequence[str],
    roles: Mapping[str, str],
    limits: Mapping[str, float],
    *,
    token: str = "",
) -> Exploration:
    """Explore functions of source that is ready to travel, always in a child: how an exercise asks.

    Args:
        source: Pieces of source to run in order, in one namespace.
        workers: Global names in it of the functions that run as threads.
        roles: Global names of setup, check and outcome, where there are.
        limits: ``executions_most``, ``seconds_most`` and ``steps_most``.
        token: Replays one schedule; empty to explore.

    Returns:
        What was found; it cannot be replayed by itself.

    Raises:
        LabError: What the engine refuses, as in `explore`.
    """
    given = {**limits, "token": token}
    params = {"functions": list(workers), "roles": dict(roles), "alone": False, "options": given}
    deadline_s = limits["seconds_most"] + _SHORT_MARGIN_S
    return _watched(None, given, lambda: _start(source, "explore_here", params, sys.executable, deadline_s))


def start_in_child(what: Asked, bundle: Bundle, entry: str, params: dict[str, Json], deadline_s: float) -> LiveRun:
    """Start a function of `labkit.interleave.in_child` on what travels; return the live run."""
    roles = {role: bundle.names[role] for role in what.roles if role in bundle.names}
    workers = [bundle.names[_label(number)] for number in range(len(what.functions))]
    given = {"functions": workers, "roles": roles, "alone": what.alone, **params}
    path = sys.executable if what.python is None else probe(what.python).path
    return _start(bundle.source, entry, given, path, deadline_s)


def _start(travels: tuple[Part, ...], entry: str, params: dict[str, Json], path: str, deadline_s: float) -> LiveRun:
    line = f"from labkit.interleave.in_child import {entry} as {ENTRY}\n"
    source = (*travels, Part("labkit", 1, line))
    trial = Trial(workload=f"<cell>:{ENTRY}", arm="the exploration", params=params, source=source)
    folder_of(trial.workload, source)  # refuses now what could not be imported there
    return begin(trial, python=path, limits=Limits(deadline_s=deadline_s, memory_bytes=_MEMORY_BYTES))


def _label(number: int) -> str:
    return f"worker_{number + 1}"


def _in_child(what: Asked, bundle: Bundle, given: dict[str, Json]) -> Exploration:
    if what.names:
        given = {**given, "outcome": list(what.names)}
    deadline_s = what.limits["seconds_most"] + _MARGIN_S
    return _watched(what, given, lambda: start_in_child(what, bundle, "explore_here", {"options": given}, deadline_s))


def _watched(what: Asked | None, given: dict[str, Json], start: Callable[[], LiveRun]) -> Exploration:
    """Start an exploration in a child, show how far it is, and make a result of how it ends."""
    meter = _Meter(given)
    live = None
    try:
        live = start()
        for event in live.events():
            if event.kind == "sample" and event.name == PROGRESS:
                meter.show(*event.value)
        run = live.wait()
    except KeyboardInterrupt:
        if live:
            live.stop()
            live.join(_MARGIN_S)  # a second interrupt ends this wait; the thread that conducts the run goes on
        return _unfinished(what, meter, _IN_CHILD)
    finally:
        if live:
            live.stop()  # does nothing if it has ended
        meter.close()
    return _of_run(what, run, meter)


def _of_run(what: Asked | None, run: Run, meter: _Meter) -> Exploration:
    """Make a result of how the child ended."""
    if run.ending in (Ending.FINISHED, Ending.LINGERED) and run.result:
        if "refused" in run.result:
            kind, *words = run.result["refused"]
            raise getattr(errors, kind)(*(_Said(word) for word in words))
        return _remember(from_json(run.result["result"]), what, run, _IN_CHILD)
    reason = f"The child process of the exploration {run.explain()}, after {meter.count}."
    found = Result(verdict="cannot check", reason=reason, executions=meter.executions, seconds=run.lifetime_s)
    return _remember(found, what, run, _IN_CHILD)


def _in_kernel(what: Asked, given: dict[str, Json], why: str) -> Exploration:
    from labkit.interleave.explore import explore as search

    where = f"in the kernel: {why}"
    meter = _Meter(given)
    workers: Any = what.functions[0] if what.alone else list(what.functions)
    outcome = list(what.names) if what.names else what.outcome
    if "switch_points" in given:
        given = {**given, "switch_points": frozenset(given["switch_points"])}
    try:
        found = search(workers, setup=what.setup, check=what.check, outcome=outcome, progress=meter.show, **given)
    except KeyboardInterrupt:
        return _unfinished(what, meter, where)
    except errors.LabError:
        raise
    except Exception as error:  # noqa: BLE001 - as in a child: a failure of the explorer is no verdict on the program
        reason = f"The explorer failed: {type(error).__name__}: {error}"
        found = Result(verdict="cannot check", reason=reason, error="".join(traceback.format_exception(error)))
    finally:
        meter.close()
    return _remember(found, what, None, where)


def _remember(found: Result, what: Asked | None, run: Run | None, where: str) -> Exploration:
    values = {name: getattr(found, name) for name in Result.__dataclass_fields__}
    return Exploration(**{**values, "where": where}, asked=what, run=run)


def _unfinished(what: Asked | None, meter: _Meter, where: str) -> Exploration:
    reason = f"Interrupted after {meter.count}."
    found = Result(verdict="not finished", reason=reason, executions=meter.executions, seconds=meter.seconds)
    return _remember(found, what, None, where)


class _Said(str):
    """Text that stands in an error's message as it is: it was made by repr() in the child."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class _Meter:
    """Counts executions, and shows the count if it takes long and there is a page to show it on."""

    def __init__(self, given: dict[str, Json]) -> None:
        self.executions, self.began = 0, time.monotonic()
        self._most = int(given["executions_most"])
        self._place: LivePlace | None = None
        self._schedules = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    @property
    def count(self) -> str:
        return f"{self.executions:,} executions" if self.executions else "less than 0.1 s of searching"

    def show(self, executions: int, share: float = 0.0, _: float = 0.0, schedules: float = 0.0) -> None:
        """Note how far the search is; ``share`` is the part of the work that is done, as far as that can be known."""
        self.executions, self._schedules = executions, schedules or self._schedules
        if self.seconds < _QUIET_S or not in_notebook():
            return
        if self._place is None:
            self._place = LivePlace()
            self._place.open()
        self._place.update(lambda: self._bar(share))

    def close(self) -> None:
        """Leave one line of what was shown."""
        if self._place is not None:
            done = f"<p>Explored {self.count} in {self.seconds:.1f} s.</p>"
            self._place.update(lambda: done, now=True)

    def _bar(self, share: float) -> str:
        known = f"about {self.executions / share:,.0f} in all" if share else f"at most {self._most:,}"
        all_of_them = f" of a program with about {self._schedules:.0e} schedules" if self._schedules else ""
        text = html.escape(f"{self.count} so far, {known}, {self.seconds:.0f} s{all_of_them}")
        done = share or self.executions / self._most
        return f'<p><progress value="{done:.3f}" max="1" aria-label="{text}"></progress> {text}</p>'


def in_notebook() -> bool:
    """Return True if there is an IPython that can show something."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None
