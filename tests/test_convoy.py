"""The experiment on the convoy, really run. Who waits for a GIL is asserted; how long he waits only from below.

A busy machine makes a sleep later, never earlier, and nobody waits for the GIL of another process.
"""

from __future__ import annotations

import sys

import pytest
from test_arms import call, start
from test_experiments import drawn

from labkit.child.busy import can_tell
from labkit.errors import BadValue
from labkit.experiments import experiment
from labkit.model import Ending, Run, Trial
from labkit.runs.interpreters import find
from labkit.runs.plan import plan
from labkit.versions import numbers

CONVOY = experiment("convoy")
ROUND_S = 0.15
MOST_S = ROUND_S + 0.02  # a sleep may begin that much before the round

pytestmark = pytest.mark.skipif(not can_tell(), reason="not on this system: it does not count the sleeps of a thread")


def asked(arm, **params):
    return ("convoy", arm, CONVOY.defaults | {"busy": 1} | params)


def check(result):
    assert list(result) == list(CONVOY.columns)
    assert 0 <= result["late_for_gil_s"] <= result["late_s"] <= MOST_S
    assert 0 < result["late_worst_s"] <= MOST_S
    assert 0 <= result["wakeups_count"] <= 160
    if result["wakeups_count"] == 0:
        assert result["late_s"] == pytest.approx(result["late_worst_s"]) or result["late_s"] > ROUND_S / 2


@pytest.mark.parametrize("one", [one for one in find() if one.gil], ids=lambda one: one.version)
def test_threads_wait_for_a_gil_and_processes_do_not(one):
    shared = numbers(one.version) < (3, 12)
    found = waiting(one.path, {"threads": True, "processes": False, "subinterpreters": shared})
    assert found["threads"]["late_for_gil_s"] > CONVOY.defaults["switch_interval_s"] / 2
    if shared:  # nobody asks the busy one to let go
        assert found["subinterpreters"]["late_s"] > ROUND_S / 3
        assert found["subinterpreters"]["wakeups_count"] <= 3


def waiting(python, expected, **params):
    """Run the arms until each waits for a GIL, or does not, as expected; return what they told.

    Five times at most: on a machine that stands still for a while the busy worker may not even begin to compute.
    """
    for _ in range(5):
        told = dict(zip(expected, call([asked(arm, **params) for arm in expected], python), strict=True))
        for result in told.values():
            check(result)
        waits = {arm: result["late_for_gil_s"] > result["late_s"] / 2 for arm, result in told.items()}
        if waits == expected:
            return told
    pytest.fail(f"expected {expected}, found {told}")


def test_without_a_gil_no_arm_waits_for_one(free_threaded):
    waiting(free_threaded.path, dict.fromkeys(CONVOY.arms, False), busy=2)


def test_the_switch_interval_decides_how_late_a_thread_is():
    found = waiting(sys.executable, {"threads": True}, switch_interval_s=0.02)["threads"]
    assert found["late_for_gil_s"] > 0.01
    tries = 0
    while tries < 20 and found["late_s"] > 0.01:  # a busy machine makes it late as well
        tries += 1
        (found,) = call([asked("threads", switch_interval_s=0.0005)])
    assert found["late_s"] < 0.01


def test_more_busy_threads_make_it_later():
    # A wait takes one interval, and others when a busy thread is served first: in the mean more than one.
    assert waiting(sys.executable, {"threads": True}, busy=4)["threads"]["late_for_gil_s"] > 0.005


@pytest.mark.parametrize("arm", CONVOY.arms)
def test_a_worker_that_fails_is_an_exception_in_the_arm(arm):
    # A subinterpreter imports the file anew, so what fails there is what it is given.
    params = {"switch_interval_s": -1.0} if arm == "subinterpreters" else {}
    done = start([asked(arm, **params)], first="from labkit.experiments import convoy as it; it._SPINS = 'many'")
    assert done.returncode == 1
    assert ("ValueError" if params else "TypeError") in done.stderr


def test_who_never_came_from_the_barrier_was_late_all_the_time():
    first = "from labkit.experiments import convoy as it; it._SETTLE_S = -0.2"
    (result,) = call([asked("processes")], first=first)
    check(result)
    assert (result["late_s"], result["late_for_gil_s"], result["wakeups_count"]) == (ROUND_S, 0, 0)


@pytest.mark.parametrize("setting", [{"busy": 0}, {"busy": 5}, {"switch_interval_s": 0.0}, {"busy": 1.5}])
def test_a_setting_that_is_not_offered_is_refused(setting):
    with pytest.raises(BadValue, match="from"):
        plan(CONVOY, repeats=1, seed=0, sweep=setting)


def made_up(arms=tuple(CONVOY.arms), pythons=("3.13.0",), repeats=3, wakeups=10, **settings):
    """Make runs up: threads under a GIL are late by the product, all others by 0.1 ms."""
    busies, intervals = settings.get("busy", (2,)), settings.get("switch_interval_s", (0.005,))
    runs = []
    for arm, python, busy, interval_s in (
        (arm, python, busy, interval_s)
        for arm in arms
        for python in pythons
        for busy in busies
        for interval_s in intervals
    ):
        late_s = busy * interval_s if arm == "threads" and not python.endswith("t") else 0.0001
        result = {"late_s": late_s, "late_for_gil_s": 0.0, "late_worst_s": late_s, "wakeups_count": wakeups}
        trial = Trial(
            workload="m:f", experiment="convoy", arm=arm, params={"busy": busy, "switch_interval_s": interval_s}
        )
        runs += [Run(trial=trial, ending=Ending.FINISHED, python=python, result=result)] * repeats
    return runs


def words(**what):
    ax, texts = drawn(CONVOY, made_up(**what))
    return ax, [text.get_text() for text in texts]


def test_the_picture_of_one_setting_tells_the_interpreters_apart():
    ax, said = words(pythons=("3.13.0", "3.13.5t"))
    assert {"10 ms  3.13.0", "0.1 ms  3.13.5t", "2 busy x 5 ms"} <= set(said)
    assert len(said) <= 32
    faces = [line.get_markerfacecolor() for line in ax.lines if line.get_marker() == "o" and line.get_alpha() is None]
    assert "white" in faces
    assert len(set(faces)) == 2


def test_the_picture_of_one_interpreter_does_not_name_it():
    assert "10 ms" in words()[1]
    assert not any("3.13" in text for text in words()[1])


def test_a_sleep_that_did_not_end_was_late_by_at_least_that():
    assert "at least 10 ms" in words(wakeups=0)[1]
    assert "no wake-up at all" in words(wakeups=0, busy=(1, 2))[1]
    assert "no wake-up at all" not in words(busy=(1, 2))[1]


@pytest.mark.parametrize(
    ("settings", "label", "ticks"),
    [
        ({"busy": (1, 2, 4)}, "busy workers", ["1", "2", "4"]),
        ({"switch_interval_s": (0.0005, 0.02)}, "switch interval (ms)", ["0.5", "20"]),
        (
            {"busy": (1, 2), "switch_interval_s": (0.0005, 0.001)},
            "busy workers x switch interval (ms)",
            ["0.5", "1", "2"],
        ),
    ],
)
def test_lines_stand_against_what_varies(settings, label, ticks):
    ax, said = words(pythons=("3.12.0", "3.13.0", "3.13.5t"), **settings)
    assert ax.get_xlabel() == label
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ticks
    assert {"threads 3.12.0", "threads 3.13.5t", "processes 3.13.0", "dotted: busy x interval"} <= set(said)
    assert len(said) <= 32
    (dotted,) = (line for line in ax.lines if line.get_linestyle() == ":" and line.get_marker() == "None")
    threads = next(line for line in ax.lines if line.get_marker() == "o")
    assert list(threads.get_ydata()) == pytest.approx(list(dotted.get_ydata()))
