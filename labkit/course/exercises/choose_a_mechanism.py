"""Exercise: choose a mechanism for three jobs. Rule: nothing is right but what is cheap here, now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.lesson import Chosen, Exercise, WrongAnswer

if TYPE_CHECKING:
    from labkit.course.lesson import Weighed

__all__ = ["EXERCISE"]

_TINY, _LARGE, _DICTS = "tiny messages", "large blocks", "list of dicts"
_PIPE, _QUEUE, _MEMORY = "pipe", "Queue", "memory in place"
_JOBS = {
    _TINY: {"between": "processes", "payload": "bytes", "size_bytes": 8},
    _LARGE: {"between": "processes", "payload": "bytes", "size_bytes": 4 << 20},
    _DICTS: {"between": "threads", "payload": "list of dicts", "size_bytes": 100_000},
}
_GIVEN = """\
# job               between          a message is
# "tiny messages"   two processes    8 bytes
# "large blocks"    two processes    4 MiB of bytes, written once, then read where they lie or where they arrive
# "list of dicts"   two threads      one list of some thousand dicts
#
# "Queue" is `multiprocessing.Queue` between processes, and `queue.Queue` between threads.
MECHANISMS = ("pipe", "Queue", "memory in place")
"""
_STUB = """\
def choose(job):
    if job == "tiny messages":
        return "Queue"
    if job == "large blocks":
        return "Queue"
    return "Queue"  # list of dicts
"""
_SOLUTION = """\
def choose(job):
    if job == "tiny messages":
        return "pipe"
    if job == "large blocks":
        return "memory in place"
    return "Queue"
"""
_WHY = {  # only what holds whatever was measured: it is said where a choice costs too much
    (_TINY, _PIPE): "Something makes the bare call into the kernel dear here: look at the table.",
    (_TINY, _QUEUE): (
        "A `Queue` between processes pickles each message, hands it to a thread of its own and takes locks: that is "
        "most of a small message."
    ),
    (_TINY, _MEMORY): "Memory says nothing by itself: somebody has to tell the other side, and that is a message.",
    (_LARGE, _PIPE): "A pipe copies every byte into the kernel and out again, a small piece at a time.",
    (_LARGE, _QUEUE): "A `Queue` pickles the block and sends it through a pipe: every byte is copied more than once.",
    (_LARGE, _MEMORY): "Reading where it lies ought to copy nothing, and here it costs more all the same.",
    (_DICTS, _PIPE): (
        "A pipe carries bytes: the list is pickled on one side and made anew on the other. Threads have it already."
    ),
    (_DICTS, _QUEUE): "Between threads a `Queue` hands over a reference, and here even that costs more.",
    (_DICTS, _MEMORY): "A dict is an object, not a row of bytes: memory gives the bytes no structure.",
}


def _judge(row: Weighed) -> str:
    return _WHY[row.job, row.chosen]


def _answer(tiny: str, large: str, dicts: str) -> str:
    return (
        f'def choose(job):\n    if job == "tiny messages":\n        return "{tiny}"\n'
        f'    if job == "large blocks":\n        return "{large}"\n    return "{dicts}"\n'
    )


EXERCISE = Exercise(
    id="choose-a-mechanism",
    title="Choose a mechanism",
    kind="tweak",
    minutes=2,
    task="This team sends everything through a `Queue`. Which mechanism takes the least CPU time for a message of each "
    "job? Change what `choose(job)` returns: `pipe`, `Queue` or `memory in place`. Look at your own numbers above. The "
    "check measures all of them here, now: twice the cheapest is near enough.",
    given=_GIVEN,
    names=("choose",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "What does a message pay for, however small it is? What does it pay for every byte? Who pays least of each?",
        "Threads share their objects: is there anything to copy? And which of the three carries no bytes at all?",
        "Small between processes: the bare `pipe`. Large: where it lies. Objects between threads: a reference.",
    ),
    wrong=(
        WrongAnswer("a pipe for all", _answer(_PIPE, _PIPE, _PIPE), "into the kernel and out again", shown=False),
        WrongAnswer("a queue for what is small", _answer(_QUEUE, _MEMORY, _QUEUE), "most of a small", shown=False),
        WrongAnswer("a queue for what is large", _answer(_PIPE, _QUEUE, _QUEUE), "more than once", shown=False),
        WrongAnswer("a pipe between threads", _answer(_PIPE, _MEMORY, _PIPE), "made anew", shown=False),
        WrongAnswer("memory for all", _answer(_MEMORY, _MEMORY, _MEMORY), "no structure", shown=False),
        WrongAnswer("what is not offered", _answer("socket", _MEMORY, _QUEUE), "is not offered", shown=False),
        WrongAnswer(
            "a list of what would do",
            """\
def choose(job):
    if job == "large blocks":
        return ["memory in place"]
    return "pipe" if job == "tiny messages" else "Queue"
""",
            "which is no text",
            shown=False,
        ),
        WrongAnswer(
            "a table that lacks a row",
            """\
def choose(job):
    return {"tiny messages": "pipe", "large blocks": "memory in place"}[job]
""",
            "so nothing was measured",
            shown=False,
        ),
        WrongAnswer(
            "now this, now that",
            """\
answers = ["pipe", "Queue"]


def choose(job):
    answers.reverse()
    return answers[0]
""",
            "stays as it is",
            shown=False,
        ),
    ),
    probes=(Chosen(choose="choose", jobs=_JOBS, offered=(_PIPE, _QUEUE, _MEMORY), factor=2.0, judge=_judge),),
    moral="A small message costs what it takes to wake the other side, a large one what it takes to copy it, and "
    "threads hand over objects as they are.",
)
