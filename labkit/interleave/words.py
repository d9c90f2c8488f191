"""Says the steps of a witness in words. Rule: text only; steps are numbered from 1 for people, from 0 in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.interleave.story import cycle, letter
from labkit.interleave.syntax import feeds, in_test

if TYPE_CHECKING:
    from collections.abc import Callable

    from labkit.interleave.result import Result, Shared, Step

__all__ = ["deed", "end", "is_call", "say", "short", "where_it_waits"]

_LONGEST = 60  # characters of a value in a sentence
_VALUES = {"read": "{who} reads {value} from {name}", "write": "{who} writes {value} to {name}"}
_PLAIN = {
    "acquire": "{who} acquires {name}",
    "release": "{who} releases {name}",
    "wake": "{who} wakes up on {name}",
    "set": "{who} sets {name}",
    "clear": "{who} clears {name}",
    "put": "{who} puts {value} into {name}",
    "get": "{who} gets {value} from {name}",
    "arrive": "{who} arrives at {name}",
    "leave": "{who} leaves {name}",
    "start": "{who} starts {name}",
    "join": "{who} sees that {name} has ended",
    "sleep": "{who} sleeps: every other thread may run",
    "spin": "{who} goes round its loop again, and sees nothing new in {name}",
    "raise": "{who} fails with {name}: {value}",
}


def short(text: str, longest: int = _LONGEST) -> str:
    """Cut a text that is too long, and put what breaks a line as a blank."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def say(result: Result, index: int) -> str:
    """Say one step of the witness in one sentence; with what is wrong about it, if something is.

    Args:
        result: What was found.
        index: The step, from 0; the last one says how it all ends as well.
    """
    step = result.witness[index]
    sentence = _stale(result, step) if step.stale >= 0 else f"{deed(result, index)}{_old_test(result, index)}."
    last = index == len(result.witness) - 1
    return f"{sentence} {end(result)}".strip() if last else sentence


def is_call(step: Step) -> bool:
    """Return True for a write that is a method call, such as ``items.append(1)``."""
    return step.kind == "write" and step.text.endswith(")")


def deed(result: Result, index: int) -> str:
    """Say what one step does, without the full stop."""
    step = result.witness[index]
    special: dict[str, Callable[[Result, int], str]] = {
        "try": _try,
        "wait": _wait,
        "notify": _notify,
        "release": _release,
    }
    if step.kind in special:
        return special[step.kind](result, index)
    if is_call(step):  # its value is what the call gave, not what is there now
        return _fill(result, step, "{who} changes {name} by") + f" {short(step.text)}"
    return _fill(result, step, (_VALUES | _PLAIN).get(step.kind, "{who}: {kind} {name}"))


def end(result: Result) -> str:
    """Say how the witness ends, if it ends badly."""
    failed = ""
    if result.error and not any(step.kind == "raise" for step in result.witness):
        failed = f"A thread fails with {short(result.error.strip().splitlines()[-1], 2 * _LONGEST)}. "
    return (failed + _ending(result)).strip()


def _ending(result: Result) -> str:
    if result.blocked:
        reasons = [where_it_waits(result, *row[:3]) for row in result.blocked]
        closing = "a circle that nobody can leave" if cycle(result) else "nobody is left who could end this"
        return f"Now {_listed(reasons)}: {closing}."
    ends = [one.text for one in result.outcomes if not one.allowed and one.schedule == result.schedule]
    if result.kind == "wrong result" and ends:
        return f"At the end {short(ends[0])}, which is not allowed."
    return ""


def where_it_waits(result: Result, thread: int, name: str, holder: int) -> str:
    """Say what a thread that is blocked waits for."""
    who = letter(result, thread)
    if holder == thread:
        return f"{who} waits for {short(name)}, which it holds itself"
    return f"{who} waits for {short(name)}" + (f", which {letter(result, holder)} holds" if holder >= 0 else "")


def _fill(result: Result, step: Step, words: str) -> str:
    value = short(step.value) if step.value else "a value"
    return words.format(who=letter(result, step.thread), name=short(step.name), value=value, kind=step.kind).rstrip(
        ": "
    )


def _stale(result: Result, step: Step) -> str:
    """Say that a write is based on an old value, or on a test of an old value."""
    read, lost = result.witness[step.stale], result.witness[step.overwritten]
    other = letter(result, lost.thread)
    written = f"before {other} wrote {short(lost.value) or 'a value'} in step {step.overwritten + 1}"
    told = _fill(result, step, _VALUES["write"])
    if in_test(result.sources, read):
        return f"{told}: it decided so when it looked in step {step.stale + 1}, {written}; {other}'s write is lost."
    if not feeds(result.sources, read, step):
        return f"{told}: it last looked in step {step.stale + 1}, {written}; {other}'s write is lost."
    return (
        f"{told}: it is based on the value that it read in step {step.stale + 1}, {written}; {other}'s update is lost."
    )


def _old_test(result: Result, index: int) -> str:
    """Say on which test a step of a check-then-act relies, if another thread has changed the value since."""
    act = result.witness[index]
    if result.pattern != "check-then-act" or act.kind not in {"write", "get", "put", "raise"}:
        return ""
    own = [at for at, one in enumerate(result.witness[:index]) if one.thread == act.thread and one.kind == "read"]
    tests = [at for at in own if in_test(result.sources, result.witness[at])]
    if not tests or (act.kind != "raise" and result.witness[tests[-1]].name != act.name):
        return ""
    name = result.witness[tests[-1]].name
    for at in reversed(range(tests[-1] + 1, index)):
        other = result.witness[at]
        if other.thread != act.thread and other.name == name and other.kind in {"write", "get", "put", "set", "clear"}:
            changed = deed(result, at).replace(" writes ", " wrote ", 1)
            return f": it looked in step {tests[-1] + 1}, before step {at + 1}, in which {changed}"
    return ""


def _shared(step: Step) -> Shared | None:
    return next((one for one in step.shared if one.name == step.name), None)


def _try(result: Result, index: int) -> str:
    step = result.witness[index]
    after = _shared(step)
    words = _fill(result, step, "{who} tries to acquire {name}")
    if after and after.owner == step.thread:
        return f"{words}, and gets it"
    if after and after.owner >= 0:
        return f"{words}, and does not get it: {letter(result, after.owner)} holds it"
    return f"{words}: {short(step.value)}" if step.value else words


def _wait(result: Result, index: int) -> str:
    step = result.witness[index]
    after = _shared(step)
    if after and step.thread in after.waiters:
        return _fill(result, step, "{who} waits on {name}, and sleeps until it is woken")
    return _fill(result, step, "{who} waits on {name}")


def _notify(result: Result, index: int) -> str:
    """Say who hears a notification; that nobody does only if nobody had begun to wait."""
    step = result.witness[index]
    asleep: dict[int, None] = {}
    for one in result.witness[:index]:
        asleep.pop(one.thread, None)
        if one.kind == "wait" and one.name == step.name:
            asleep[one.thread] = None
    who = _listed([letter(result, thread) for thread in asleep])
    heard = f": {who} may wake up" if who else ": nobody sleeps on it, so nobody hears it"
    return _fill(result, step, "{who} notifies {name}") + heard


def _release(result: Result, index: int) -> str:
    step = result.witness[index]
    after = _shared(step)
    who = _listed([letter(result, thread) for thread in after.waiters if thread != step.thread]) if after else ""
    return _fill(result, step, "{who} releases {name}") + (
        f": {who} can go on" if who and after and after.owner < 0 else ""
    )


def _listed(words: list[str]) -> str:
    return ", and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
