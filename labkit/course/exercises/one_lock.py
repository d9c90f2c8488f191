"""Exercise: a deadlock with a single lock. Rule: stub, solution, wrong answers and check stand together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["EXERCISE"]

_GIVEN = """\
import queue
import threading


class Office:  # "only one lock, so nothing can deadlock"
    def __init__(self):
        self.lock = threading.Lock()
        self.tray = queue.Queue()  # get() waits until there is a letter
"""
_STUB = """\
def clerk(office):
    office.tray.put("letter")


def boss(office):
    office.tray.get()
"""
_SOLUTION = """\
def clerk(office):
    with office.lock:
        office.tray.put("letter")


def boss(office):
    with office.lock:
        office.tray.get()
"""
_IN_ORDER = """\
def clerk_then_boss(office):
    clerk(office)
    boss(office)
"""
_TWO = 2


def _in_order(result: Result) -> str:
    if result.kind is None:
        return ""
    if checks.endless(result):
        return "`clerk` first and `boss` after him does not end: a loop goes round for ever."
    if result.kind != "deadlock":
        return checks.said("`clerk` first and `boss` after him does not end well: `{error}`.", result)
    stops = "It stops even in order, `clerk` first and `boss` after him: "
    if _for_locks(result):
        return f"{stops}the lock was not given back, or is taken twice. That needs no second thread. Use `with`, once."
    if any(_is_empty(result, name) for _, name, *_ in result.blocked):
        return f"{stops}somebody waits for a letter that nobody has put there. In order all must end."
    return f"{stops}somebody waits for what only the other one brings, who comes later or never. In order all must end."


def _for_locks(result: Result) -> bool:
    """Whoever waits, waits for what is taken and given back: a lock, or a semaphore."""
    taken = {step.name for step in result.witness if step.kind in {"acquire", "try"}}
    last = {step.thread: step.kind for step in result.witness}  # after "wait" of a condition it is not for its lock
    return all(name in taken and last.get(thread) != "wait" for thread, name, *_ in result.blocked)


def _is_empty(result: Result, name: str) -> bool:
    """What somebody waits for is the tray, and every letter that was put there was taken out again."""
    kinds = [step.kind for step in result.witness if step.name == name]
    return name.endswith("tray") and kinds.count("put") <= kinds.count("get")


def _together(result: Result) -> str:
    if result.kind is None:
        return (
            "Not broken: no interleaving stops. Whoever waits for a letter holds nothing that the other one needs, and "
            "so the other one always gets on."
        )
    if checks.endless(result) or checks.livelock(result):
        return "That is no deadlock: a thread goes round a loop for ever, and uses the CPU. Let it wait: `get` waits."
    if result.kind != "deadlock":
        return checks.said(
            "That is no deadlock: a thread fails with `{error}`. `get` without waiting, or with a time-out, turns the "
            "stop into an error.",
            result,
        )
    return _stop(result)


def _stop(result: Result) -> str:
    """Say why a deadlock is not the one that is asked for; nothing if it is."""
    if len(result.blocked) < _TWO:
        return "Only one thread stops, the other one has ended. In a deadlock each waits for what the other one has."
    if checks.self_stop(result):
        return (
            "A thread waits for the lock that it holds itself: an `RLock` mends that. Find a stop in which each waits "
            "for the other one."
        )
    if _for_locks(result):
        return (
            "A deadlock, but with two locks: your colleague knows that one. Here there is only `office.lock`. "
            "What else in this office can a thread wait for?"
        )
    return ""


EXERCISE = Exercise(
    id="one-lock",
    title="Deadlock with a single lock",
    kind="break it",
    minutes=10,
    task=(
        "A colleague says: we have only one lock, so nothing can deadlock. Write `clerk(office)`, who puts a letter "
        "into the tray, and `boss(office)`, who gets it. `clerk` first and `boss` after him must end. As two "
        "threads, some interleaving must stop both for ever."
    ),
    given=_GIVEN,
    names=("clerk", "boss"),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "A circle needs two things that a thread can wait for. A lock is one. What is the other one here?",
        "Let `boss` wait for the letter while he holds what `clerk` needs in order to bring it.",
        "Put `with office.lock:` around `get`, and around `put` as well.",
    ),
    wrong=(
        WrongAnswer(
            "only the clerk takes the lock",
            """\
def clerk(office):
    with office.lock:
        office.tray.put("letter")


def boss(office):
    office.tray.get()
""",
            "no interleaving stops",
            shown=False,
        ),
        WrongAnswer(
            "one letter, got twice",
            """\
def clerk(office):
    office.tray.put("letter")


def boss(office):
    office.tray.get()
    office.tray.get()
""",
            "a letter that nobody has put there",
        ),
        WrongAnswer(
            "the lock is not given back",
            """\
def clerk(office):
    office.lock.acquire()
    office.tray.put("letter")


def boss(office):
    with office.lock:
        office.tray.get()
""",
            "the lock was not given back",
        ),
        WrongAnswer(
            "get does not wait",
            """\
def clerk(office):
    with office.lock:
        office.tray.put("letter")


def boss(office):
    with office.lock:
        office.tray.get(timeout=1)
""",
            "no deadlock: a thread fails",
        ),
        WrongAnswer(
            "two locks after all",
            """\
desk_lock = threading.Lock()


def clerk(office):
    with office.lock, desk_lock:
        office.tray.put("letter")


def boss(office):
    with desk_lock, office.lock:
        pass
    office.tray.get()
""",
            "with two locks",
        ),
    ),
    probes=(
        Probe(source=_IN_ORDER, workers=("clerk_then_boss",), setup="Office", judge=_in_order),
        Probe(source="", workers=("clerk", "boss"), setup="Office", judge=_together),
    ),
    moral="You broke it, and no second lock was needed: each of the two waits for what only the other one can bring.",
)
