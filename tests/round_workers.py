"""Workers of rounds, for the tests. They run in every interpreter that is found: standard library only."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

from labkit.child import busy, rounds, tasks
from labkit.child.subinterpreters import interpreter

seen = []  # one for all threads; each subinterpreter has its own


def share(name, wait, *, fails=""):
    """Be one worker: say when to stop, and how many workers have been in this module."""
    seen.append(name)
    if fails == f"{name} before":
        raise ValueError(f"{name} failed before the barrier")
    stop_ns = wait()
    if fails == f"{name} after":
        raise ValueError(f"{name} failed after the barrier")
    while time.monotonic_ns() < stop_ns:
        pass
    return [name, stop_ns, len(seen)]


def play(kind, workers=2, **params):
    """Play one round of 20 ms; return what the workers returned, or what was raised."""
    seen.clear()
    try:
        return rounds.play(kind, share, params, workers=workers, duration_s=0.02)
    except Exception as error:  # noqa: BLE001 - it is what the test asks for
        return f"{type(error).__name__}: {error}"


def rounds_of(kinds, failures):
    """Play a round of each kind for each failure; return what came of them, and what is left of threads and so on."""
    rounds.in_threads(partial(share), workers=1, duration_s=0.0)  # what is opened once is open now
    before = left()
    told = {kind: [play(kind, fails=fails) for fails in failures] for kind in kinds}
    return {"told": told, "left": [before, left()]}


def left():
    """Count threads and descriptors."""
    return [threading.active_count(), len(os.listdir("/dev/fd"))]


def say(texts):
    """Run texts in one subinterpreter, one after another; return what each raised."""
    with interpreter() as execute:
        told = [problem_of(partial(execute, text)) for text in texts]
    return {"told": told}


def problem_of(action):
    """Return what an action raised; nothing if it raised nothing."""
    try:
        action()
    except RuntimeError as error:
        return str(error)
    return ""


def cores(kind, works):
    """Measure the cores that two workers demand, and use, for each kind of work; the quietest of up to four windows.

    They are pinned to one core: what they do not get of it they wait for, and beside a neighbour they get half of it.
    """
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return {work: _quietest(kind, work) for work in works}


def _quietest(kind, work):
    best = [0.0, 0.0]
    for _ in range(4):
        best = max(best, _cores(kind, work), key=lambda found: found[1])
        if best[1] > 0.8:
            break
    return best


def _cores(kind, work, window_s=0.25):
    told = rounds.play(kind, busy.share, {"work": work}, workers=2, duration_s=window_s)
    shares = [busy.Share(*one) for one in told]
    used, demanded = busy.cores(shares, window_s, one_gil=rounds.one_gil(kind))
    return [demanded, used]


def cores_untold(kind, works):
    """Measure as `cores` does, where the system does not tell sleeping from waiting."""
    busy.can_tell = bool
    return cores(kind, works) | {"sleeps_count": busy.sleeps()()}


def right_answers():
    """Do each kind of work several times, and then let its answer be wrong; return what it said."""
    told = {}
    for work in list(tasks.TASKS):
        once = tasks.ready(work)
        told[work] = [problem_of(once) for _ in range(3)]
        tasks.TASKS[work] = (lambda: lambda: False, "wrong")
        told[work].append(problem_of(tasks.ready(work)))
    return told


def many_at_once():
    """Let four threads do each kind of work at the same time; return what went wrong."""
    told = []

    def worker(name, wait):
        once = [tasks.ready(work) for work in tasks.TASKS]
        stop_ns = wait()
        while time.monotonic_ns() < stop_ns:
            told.extend(filter(None, map(problem_of, once)))

    rounds.in_threads(worker, workers=4, duration_s=0.1)
    return {"told": told}
