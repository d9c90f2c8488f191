"""Every arm really run, as the worker runs it: in a bare interpreter, started with -I -c, that leaves nothing."""

from __future__ import annotations

import glob
import json
import math
import os
import subprocess
import sys

import pytest

from labkit.experiments import experiment
from labkit.intervals import wilson

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OTHERS = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.1[0-9]*/bin/python")))
PYTHONS = [sys.executable, *OTHERS]
LOST, COST = experiment("lost updates"), experiment("creation cost")

# Warnings are errors: a fork in a process with threads, or a pipe left open, would be seen.
BARE = """
import json, os, sys, warnings
warnings.simplefilter("error")
sys.path.insert(0, sys.argv[1])
import labkit
del sys.path[0]
from labkit.errors import NotHere
from labkit.experiments import experiment
exec(sys.argv[3])
results = []
before = sorted(os.listdir("/proc/self/fd")), sys.getswitchinterval()
for name, arm, params in json.loads(sys.argv[2]):
    try:
        results.append(experiment(name).arms[arm](**params))
    except NotHere as error:
        results.append(str(error))
assert before == (sorted(os.listdir("/proc/self/fd")), sys.getswitchinterval()), "a descriptor or setting is left"
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    print(json.dumps(results, allow_nan=False))
else:
    raise SystemExit("a child process is left")
"""


def start(calls, python=sys.executable, first=""):
    """Run arms one after another in one bare interpreter, after a line of Python, and wait for its end."""
    command = [python, "-I", "-c", BARE, ROOT, json.dumps(calls), first]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, start_new_session=True)


def call(calls, python=sys.executable, first=""):
    """Run arms as `start` does, and return what they returned."""
    done = start(calls, python, first)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def lost(arm, **params):
    return ("lost updates", arm, LOST.defaults | {"rounds": 1} | params)


def check(tried, result):
    assert list(result) == list(tried.columns)
    for name, value in result.items():
        assert isinstance(value, (int, float)), name
        assert math.isfinite(value), name
        assert name != "started_count" or value == 5
        assert value >= 0, name


@pytest.mark.parametrize("python", PYTHONS)
def test_every_arm_returns_every_column_on_every_interpreter(python):
    race = [lost(arm, body=body) for arm in LOST.arms for body in LOST.sweep["body"][:3]]
    cost = [("creation cost", arm, {"parent_bytes": 1 << 20, "starts": 5}) for arm in COST.arms]
    results = call([*race, *cost], python)
    for result in results[: len(race)]:
        check(LOST, result)
        assert result["added_count"] > 0
    for (_, arm, _), result in zip(cost, results[len(race) :], strict=True):
        if arm == "subinterpreter" and isinstance(result, str):
            assert "no module" in result
            continue
        check(COST, result)


@pytest.mark.parametrize("arm", LOST.arms)
def test_with_the_lock_nothing_is_lost_whatever_the_body(arm):
    settings = [{"body": body, "switch_interval_s": 1e-6} for body in LOST.sweep["body"]]
    results = call([lost(arm, lock=True, workers=4, **setting) for setting in settings])
    assert [result["lost_count"] for result in results] == [0] * len(settings)


@pytest.mark.parametrize("workers", [2, 8])
def test_isolated_processes_lose_nothing_whatever_the_body(workers):
    results = call([lost("isolated processes", body=body, workers=workers) for body in LOST.sweep["body"]])
    assert [(r["lost_count"], r["lost_ratio"], r["rounds_with_loss_count"]) for r in results] == [(0, 0, 0)] * 5


@pytest.mark.parametrize("arm", LOST.arms)
def test_one_worker_alone_loses_nothing(arm):
    results = call([lost(arm, body=body, workers=1) for body in LOST.sweep["body"]])
    assert [result["lost_count"] for result in results] == [0] * 5


@pytest.mark.parametrize("arm", ["threads", "processes sharing memory"])
def test_without_a_lock_the_race_shows(arm):
    # A round without a loss has been rare on every build; 50 in a row would put its share above 92 % (Wilson, 95 %).
    rounds = hits = 0
    while not hits and rounds < 50:
        (result,) = call([lost(arm, rounds=5)])
        rounds, hits = rounds + 5, hits + result["rounds_with_loss_count"]
    assert hits, f"no loss in {rounds} rounds: at most {wilson(0, rounds).high:.1%} of rounds lose any"
    assert 0 < result["lost_count"] < result["added_count"]
    assert result["lost_ratio"] == pytest.approx(result["lost_count"] / result["added_count"])


def test_a_lock_is_seen_in_the_cost():
    # 64 bare additions cost some 50 ns each, with a lock between threads four times as much: no tie, even under load.
    bare, locked = call([lost("threads", body="counter += 1", workers=1, lock=lock) for lock in (False, True)])
    assert locked["cpu_per_addition_s"] > bare["cpu_per_addition_s"]


def test_cores_demanded_never_pass_the_workers():
    (result,) = call([lost("isolated processes", body="counter += 1", rounds=5)])
    assert 0 < result["demanded_cores"] <= 2.05


def with_body(text):
    """Return a line of Python that gives the plain body of the race another text."""
    return f"from labkit.experiments import lost_updates as it; it._BODIES['counter += 1'] = {text!r}"


@pytest.mark.parametrize("arm", LOST.arms)
def test_a_worker_that_fails_is_an_exception_in_the_arm(arm):
    done = start([lost(arm, body="counter += 1", workers=4)], first=with_body("1 / 0"))
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr


def test_a_worker_process_that_dies_is_an_exception_in_the_arm():
    calls = [lost("processes sharing memory", body="counter += 1")]
    done = start(calls, first=with_body("import os; os._exit(3)"))
    assert done.returncode == 1
    assert "RuntimeError: a worker process died (wait statuses [768, 768])" in done.stderr


def test_costs_order_as_the_lesson_says():
    # Ratios of 5 and more on every machine seen; CPU time, so other load on the machine hardly matters.
    arms = ("thread", "fork", "spawn")
    small, large = ({"parent_bytes": size, "starts": 5} for size in (0, 128 << 20))
    results = call([("creation cost", arm, params) for params in (small, large) for arm in arms])
    thread, fork, spawn, _, large_fork, _ = (result["cpu_per_start_s"] for result in results)
    assert thread < fork < spawn
    assert large_fork > fork
    sizes = [result["uss_per_unit_bytes"] for result in results[:3]]
    assert sizes == sorted(sizes)
    assert sizes[0] < 1 << 20 < sizes[2]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")
def test_without_fork_the_arms_say_so():
    calls = [lost("processes sharing memory"), lost("isolated processes", lock=True)]
    calls += [("creation cost", "fork", COST.defaults)]
    assert call(calls, first="del os.fork") == ["this system cannot fork a process"] * 3
