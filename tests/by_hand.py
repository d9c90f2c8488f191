"""Executions under schedules that are written by hand, for the tests of the models."""

from __future__ import annotations

from labkit.interleave import execution
from labkit.interleave.execution import Execution
from labkit.interleave.ops import READ, WRITE, Op
from labkit.interleave.pool import Pool


class Script:
    """Follows a schedule, then lets the thread that runs go on, else the first that can."""

    def __init__(self, schedule):
        self.schedule, self.enabled = list(schedule), []

    def choose(self, _run, depth, enabled, pending, current):
        self.enabled.append(set(enabled))
        if depth < len(self.schedule):
            assert self.schedule[depth] in enabled, f"step {depth}: {self.schedule[depth]} of {enabled}, {pending}"
            return self.schedule[depth]
        return current if current in enabled else enabled[0]

    def after(self, _run):
        return False


class FakeWorld:
    """What the models ask of a world."""

    def __init__(self):
        self.hot = type("Hot", (), {"names": set()})()
        self.chance = False

    def is_ours(self, _function):
        return True


def play(schedule, *functions):
    """Run functions under a schedule; the execution gets the attribute `script`."""
    script, pool = Script(schedule), Pool()
    run = Execution(script, pool)
    run.run([(chr(65 + number), function) for number, function in enumerate(functions)])
    pool.close()
    assert not run.leaked
    run.script = script
    return run


def kinds(run, thread=None):
    return [op.kind for index, op in run.trace if thread in {None, index}]


def returned(run):
    return [thread.returned for thread in run.threads]


def write(location):
    execution.stop(Op("write", ((location, WRITE),)))


def read(location):
    execution.stop(Op("read", ((location, READ),)))


def outcome(call):
    """Return a plain result, or the type and text of what was raised."""
    try:
        value = call()
    except Exception as error:  # noqa: BLE001 - whatever it is, both sides must raise it
        return type(error).__name__, str(error)
    return value if isinstance(value, (bool, int, str, type(None))) else type(value).__name__
