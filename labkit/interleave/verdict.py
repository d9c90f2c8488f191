"""From what a search has found to what may be said of it. Rule: each sentence says what it rests on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from labkit.errors import BadValue
from labkit.interleave import patterns, tokens
from labkit.interleave.calm import calmest
from labkit.interleave.result import Lane, Outcome, Result
from labkit.model import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.interleave.job import Job
    from labkit.interleave.result import Step
    from labkit.interleave.tokens import Token

__all__ = ["finish"]

_EVENT_KINDS = {
    "read": "read",
    "test": "read",
    "get": "read",
    "write": "write",
    "set": "write",
    "clear": "write",
    "put": "write",
    "acquire": "hold",
    "try": "hold",
    "wake": "hold",
    "release": "free",
    "wait": "free",
}


def finish(job: Job, replayed: Token | None) -> Result:
    """Return the result of an exploration that has ended.

    Raises:
        BadValue: If a token belongs to another program.
    """
    if job.problem is not None:
        return _cannot(job)
    verdict, kind, reason, schedule = _judge(job, replayed)
    result = Result(
        verdict=verdict,
        kind=kind,
        reason=reason,
        outcomes=_outcomes(job),
        executions=job.executions,
        hunted=job.hunted,
        audited=job.audited,
        schedules=job.schedules,
        traces=len(job.tally.traces),
        seconds=job.seconds,
    )
    if schedule or kind is not None:
        result = _with_witness(job, result, schedule, replayed)
    return replace(result, seconds=job.seconds)


def _cannot(job: Job) -> Result:
    problem = job.problem
    place = problem.place if problem is not None else None
    where = f" ({place.file}, line {place.line}: {place.text})" if place is not None else ""
    reason = f"The program {problem.reason if problem else '?'}{where}."
    return Result(
        verdict="cannot check",
        reason=reason,
        executions=job.executions,
        hunted=job.hunted,
        seconds=job.seconds,
        sources=dict(job.program.sources.shown) if hasattr(job, "program") else {},
    )


def _judge(job: Job, replayed: Token | None) -> tuple[str, str | None, str, tuple[int, ...]]:
    bug = job.tally.bug()
    circle = job.graph.way_round() if job.graph is not None and job.circle else ()
    if replayed is not None and job.circle:
        reason = "At the end of this schedule the threads are where they were before: they can go round for ever."
        verdict = "bug" if job.circle == "spins" else "not finished"
        return verdict, "spins for ever" if job.circle == "spins" else "livelock", reason, replayed.schedule
    if replayed is not None:
        text = job.tally.outcomes()[0].text if job.tally.outcomes() else "no end"
        schedule = replayed.schedule
        if bug is not None:
            return "bug", bug[1], f"This schedule ends with: {text}.", schedule
        return "not finished", None, f"Only this schedule was executed; it ends with: {text}.", schedule
    if bug is not None:
        rest = "" if job.complete else " The search was not finished: there may be more ends."
        return "bug", bug[1], _of_bug(*bug[:2]) + rest, bug[2]
    if job.circle == "spins":
        reason = "From some point on the threads go round for ever, and no scheduler can end it."
        return "bug", "spins for ever", reason, circle
    if not job.complete:
        return "not finished", None, _why_not(job), ()
    if job.program.world.chance or job.chance:
        reason = f"All {_walked(job)} are right, but for one sequence of random numbers (seed 0) only."
        return "not finished", None, reason, ()
    if job.circle == "livelock":
        reason = f"All ends are right ({_walked(job)}), but the threads may go round for ever before they come to one."
        return "proved", "livelock", reason, circle
    if job.program.check is None and job.program.outcome is None:
        return "proved", None, f"No deadlock and no exception in any of {_walked(job)}; no check was given.", ()
    return "proved", None, f"The check holds in every one of {_walked(job)}.", ()


def _of_bug(text: str, kind: str) -> str:
    if kind == "deadlock":
        return "The threads wait for each other for ever."
    if kind == "spins for ever":
        return "A loop waits for something that never comes."
    if kind == "exception":
        return f"A thread raises an exception: {text}."
    return f"The program can end with {text}, which the check does not allow."


def _walked(job: Job) -> str:
    if job.switch_points is not None:
        where = ", ".join(sorted(job.switch_points)) or "nowhere"
        return f"{job.executions} schedules with switches only at certain points ({where})"
    if job.complete == "states" and job.graph is not None:
        return f"{len(job.graph.states)} states"
    count = len(job.tally.traces)
    return f"{count} trace{'s' if count != 1 else ''}"


def _why_not(job: Job) -> str:
    limits = job.limits
    if job.interrupted:
        why = "Interrupted"
    elif job.executions >= limits["executions_most"]:
        why = f"Stopped after {job.executions} executions (executions_most)"
    elif job.seconds > limits["seconds_most"]:
        why = f"Stopped after {limits['seconds_most']:g} s (seconds_most)"
    else:
        return f"Not finished: {job.loose or 'something was left out'}."
    share = f", about {job.share:.0%} of the work" if job.share > 0.01 else ""  # noqa: PLR2004 - below, it says nothing
    loops = "; the program has loops without a bound" if job.loose == "loops" else ""
    return f"{why}{share}{loops}. No bug so far, and no proof."


def _outcomes(job: Job) -> tuple[Outcome, ...]:
    rows = job.tally.outcomes()
    if job.circle == "spins" and not any(row.text == "spins for ever" for row in rows):
        rows += (Outcome("spins for ever", 1, allowed=False),)
    return rows


# ------------------------------------------------------------------------------------------------ the witness
def _with_witness(job: Job, result: Result, schedule: tuple[int, ...], replayed: Token | None) -> Result:
    shorter = schedule if replayed is not None or job.circle else _shortened(job, schedule)
    recorder, execution = job.record(shorter)
    source = tokens.digest(job.program.sources.shown)
    if replayed is not None and replayed.source != source:
        advice = "Replay it with the same functions, or explore these anew."
        raise BadValue("token", "a token of another program", "a token of exactly this source", advice)
    steps = tuple(patterns.mark_stale(recorder.steps))
    error = next((thread.error for thread in execution.threads if thread.error is not None), None)
    result = replace(
        result,
        threads=tuple(Lane(job.program.lane(thread.index), _function_name(thread)) for thread in execution.threads),
        schedule=tuple(thread for thread, _ in execution.trace),
        witness=steps,
        blocked=recorder.blocked if execution.ending in {"deadlock", "spins"} else (),
        error=_traceback(error, job.program.sources.shown),
        token=tokens.write(source, shorter, job.hot.names, job.hot.attributes, job.circle),
        events=_events(steps),
        sources=dict(job.program.sources.shown),
        output="".join(job.program.world.output),
    )
    return replace(result, pattern=patterns.pattern(result))


def _shortened(job: Job, schedule: tuple[int, ...]) -> tuple[int, ...]:
    """Reorder independent steps of a trace so that threads change less often, if it still ends in the same way."""
    from labkit.interleave.tally import switches

    _, execution = job.record(schedule)
    wanted = job.program.ending(execution).text if execution.ending else ""
    calm = tuple(calmest(execution))
    if switches(calm) >= switches(schedule):
        return schedule
    _, again = job.record(calm)
    same = again.ending == execution.ending and job.program.ending(again).text == wanted
    return calm if same else schedule


def _function_name(thread: Any) -> str:
    return str(getattr(thread.function, "__name__", "")) or thread.name


def _traceback(error: BaseException | None, shown: dict[str, tuple[int, str]]) -> str:
    """Return a traceback that shows the student's own lines only."""
    import traceback

    if error is None:
        return ""
    frames = [item for item in traceback.extract_tb(error.__traceback__) if item.filename in shown]
    lines = [f'  File "{item.filename}", line {item.lineno}, in {item.name}\n    {item.line}\n' for item in frames]
    last = traceback.format_exception_only(type(error), error)
    return "".join(["Traceback (most recent call last):\n", *lines, *last]).rstrip()


def _events(steps: tuple[Step, ...]) -> tuple[Event, ...]:
    rows = [(number, step, _EVENT_KINDS.get(step.kind, "note")) for number, step in enumerate(steps)]
    return tuple(Event(number, 0, step.thread, kind, step.name or step.kind, step.value) for number, step, kind in rows)
