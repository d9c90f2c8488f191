"""Faults of experiments with several processes, for the tests: a side that is killed, a system that lacks something."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from functools import partial
from importlib import import_module

from channel_workers import fails, put

from labkit.experiments import experiment


def side_is_killed(name, kills, params, call=2):
    """Run the processes of an experiment, and let one side kill its own process in the middle.

    Args:
        name: Of the experiment.
        kills: ``module:function`` that a forked process calls, and which kills it.
        params: Of the arm.
        call: Which call it is that does so, from 1.
    """
    where, _, function = kills.partition(":")
    module, mine, calls = import_module(where), os.getpid(), [0]
    real = getattr(module, function)

    def deadly(*args):
        calls[0] += os.getpid() != mine
        if calls[0] >= call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    with put(module, function, deadly):
        return experiment(name).arms["processes"](**params)


def _no_semaphores():
    import _multiprocessing

    del _multiprocessing.sem_unlink
    sys.modules.pop("multiprocessing.synchronize", None)


def _nothing_can_be_written():
    tempfile.mkstemp = tempfile.mkdtemp = partial(fails, OSError(30, "Read-only file system"))


def _no_process_more():
    os.fork = partial(fails, BlockingIOError(11, "Resource temporarily unavailable"))


LACKS = {
    "semaphores": _no_semaphores,
    "a place to write": _nothing_can_be_written,
    "processes": _no_process_more,
}


def without(what, state):
    """Let processes update shared state where the system lacks something, for the rest of this process."""
    LACKS[what]()
    return experiment("shared updates").arms["processes"](state=state, workers=2)
