"""Ping-pong of other programs: `perf bench sched pipe`, and one in C. Rule: what is not here is said, never replaced.

Each program is run twice, for one round trip and for many. The difference is what the round trips took: the start of
the program is in both.
"""

from __future__ import annotations

import os
import resource
import subprocess
from shutil import which

from labkit.child.switching import Used
from labkit.errors import NotHere

__all__ = ["in_c", "perf"]

_PROGRAM = os.path.join(os.path.dirname(__file__), "ping_pong.c")
_PATIENCE_S = 4.0  # for one program
_WORD_CHARACTERS = 120  # of what a program says before it fails


def perf(between: str, trips: int) -> Used:
    """Let ``perf bench sched pipe`` make round trips between two threads or two processes.

    Args:
        between: ``"threads"`` or ``"processes"``.
        trips: Round trips, two messages each.

    Raises:
        NotHere: If perf is not installed, or cannot do it here.
    """
    command = [_found("perf", "it is part of the Linux tools"), "bench", "sched", "pipe"]
    return _between_lengths([*command, *(["-T"] if between == "threads" else []), "-l"], trips)


def in_c(between: str, trips: int) -> Used:
    """Let a program in C make them; it is compiled first, into the run's own folder.

    Args:
        between: ``"threads"`` or ``"processes"``.
        trips: Round trips, two messages each.

    Raises:
        NotHere: If there is no C compiler, or none that works.
    """
    compiler = _found("cc", "it is a C compiler")
    import tempfile  # brings `random` along, which no child needs that runs nothing of this

    with tempfile.TemporaryDirectory() as folder:
        program = os.path.join(folder, "ping_pong")
        _run([compiler, "-O2", "-pthread", "-o", program, _PROGRAM])
        return _between_lengths([program, between], trips)


def _found(tool: str, what: str) -> str:
    path = which(tool)
    if path is None:
        raise NotHere(f"{tool} is not installed ({what}): there is no such yardstick here")
    return path


def _between_lengths(command: list[str], trips: int) -> Used:
    """Run a program for one round trip more than asked, and for one; return what it took beyond that."""
    once, often = (_run([*command, str(count)]) for count in (1, 1 + trips))
    used = Used(often.cpu_s - once.cpu_s, often.switches_count - once.switches_count, 0, 0)
    if used.switches_count < trips or used.cpu_s <= 0:  # half of what it takes, as each trip is two messages
        told = f"{used.switches_count} context switches and {used.cpu_s:.6f} s of CPU for {trips} round trips"
        raise NotHere(f"{os.path.basename(command[0])} is no yardstick here: {told}")
    return used


def _run(command: list[str]) -> Used:
    """Run a program, and return what it and its children used: nothing else of this process ends meanwhile."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    name = os.path.basename(command[0])
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, errors="replace", timeout=_PATIENCE_S
        )
    except subprocess.TimeoutExpired:
        raise NotHere(f"{name} takes longer than {_PATIENCE_S} s here: it is no yardstick") from None
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split())[:_WORD_CHARACTERS]
        raise NotHere(f"{name} does not work here (exit status {done.returncode}): {words}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
    return Used(cpu_s, switches, 0, 0)
