"""The experiment on switch points, really run. That nothing is lost is asserted where bytecode leaves no gap.

That something is lost is chance: so it is tried again and again, and a failure says in how many additions.
"""

from __future__ import annotations

import itertools
import sys
import threading

import pytest
from test_arms import call
from test_experiments import drawn

from labkit.child import gaps
from labkit.experiments import experiment, switch_points
from labkit.model import Ending, Run, Trial
from labkit.runs.interpreters import find

POINTS = experiment("switch points")
CLOSED = ("nothing", "attribute read")  # in these no interpreter with a GIL looks for other threads, since 3.10
OPEN = tuple(arm for arm in POINTS.arms if arm not in CLOSED)


def asked(arm, **params):
    return ("switch points", arm, POINTS.defaults | params)


def check(result):
    assert list(result) == list(POINTS.columns)
    assert 0 <= result["lost_count"] < result["added_count"]
    assert result["added_count"] >= 2 * 200
    assert result["lost_ratio"] == result["lost_count"] / result["added_count"]
    assert 0 < result["used_cores"] < 2.2


@pytest.mark.parametrize("one", [one for one in find() if one.gil], ids=lambda one: one.version)
def test_with_a_gil_nothing_is_lost_where_no_thread_is_changed(one):
    results = call([asked(arm) for arm in POINTS.arms], one.path)
    for arm, result in zip(POINTS.arms, results, strict=True):
        check(result)
        assert arm not in CLOSED or result["lost_count"] == 0


@pytest.mark.parametrize("interval_s", POINTS.sweep["switch_interval_s"])
def test_with_a_gil_every_other_gap_loses_sooner_or_later(interval_s):
    assert not silent(OPEN, sys.executable, switch_interval_s=interval_s)


def test_without_a_gil_every_gap_loses_sooner_or_later(free_threaded):
    assert not silent(tuple(POINTS.arms), free_threaded.path)


def silent(arms, python, **params):
    """Run arms until each has lost an addition; return how many additions those made that never did."""
    made = dict.fromkeys(arms, 0)
    for _ in range(20):  # one run of 0.05 s has been enough nearly always
        if not made:
            break
        results = call([asked(arm, **params) for arm in made], python)
        for arm, result in zip(tuple(made), results, strict=True):
            check(result)
            made[arm] += result["added_count"]
            if result["lost_count"]:
                del made[arm]
    return made


def test_each_arm_is_a_gap_that_the_explorer_knows():
    counted = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gaps, "count", lambda gap, **given: counted.append((gap, given)) or (10, 4))
        for arm in POINTS.arms.values():
            result = arm(switch_interval_s=0.005, observe_s=0.1)
            assert (result["lost_ratio"], result["lost_count"], result["added_count"]) == (0.4, 4, 10)
    assert {gap for gap, _ in counted} == set(gaps.KINDS) - {"while"}
    assert len(counted) == len(POINTS.arms)
    assert all(given == {"seconds": 0.1, "switch_interval_s": 0.005} for _, given in counted)


def with_rounds(monkeypatch, rounds):
    monkeypatch.setitem(gaps.KINDS, "made up", ("any", "made up", rounds))
    return gaps.count("made up", seconds=0.02, switch_interval_s=0.001)


def test_what_is_lost_is_counted_and_the_switch_interval_put_back(monkeypatch):
    lock, before = threading.Lock(), sys.getswitchinterval()

    def loses_one(cell, rounds):
        with lock:
            cell.value += len(rounds) - 1
        assert sys.getswitchinterval() == pytest.approx(0.001)

    added, lost = with_rounds(monkeypatch, loses_one)
    assert added >= 2 * 200
    assert lost == added // 200
    assert sys.getswitchinterval() == before


def test_what_is_not_lost_is_not_counted(monkeypatch):
    lock = threading.Lock()

    def keeps(cell, rounds):
        with lock:
            cell.value += len(rounds)

    added, lost = with_rounds(monkeypatch, keeps)
    assert added >= 2 * 200
    assert lost == 0


def made_up(lost=0.4, pythons=("3.13.0",), intervals=(1e-6,), **numbers):
    """Make three runs up of each arm; with a GIL nothing is lost where no thread is changed."""
    runs = []
    numbers = {"added_count": 2000, "used_cores": 1.0} | numbers
    for arm, python, interval_s in itertools.product(POINTS.arms, pythons, intervals):
        ratio = 0.0 if arm in CLOSED and not python.endswith("t") else lost
        result = {"lost_ratio": ratio, "lost_count": ratio * numbers["added_count"], **numbers}
        params = {"switch_interval_s": interval_s, "observe_s": 0.05}
        trial = Trial(workload="m:f", experiment="switch points", arm=arm, params=params)
        runs += [Run(trial=trial, ending=Ending.FINISHED, python=python, result=result)] * 3
    return runs


def words(**what):
    ax, texts = drawn(POINTS, made_up(**what))
    return ax, [text.get_text() for text in texts]


def test_the_picture_says_in_how_many_additions_none_was_lost_and_marks_nothing():
    ax, said = words()
    assert said.count("none in 6,000") == 2
    assert said.count("40 %") == 6
    assert "impossible" not in " ".join(said)
    assert len([line for line in ax.lines if line.get_markersize() == 11]) == 6
    assert "none in 7.5 million" in words(added_count=2_500_000)[1]


def test_each_interpreter_and_interval_has_a_column_and_free_threaded_marks_are_hollow():
    ax, said = words(pythons=("3.13.0", "3.13.5t"))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["Python 3.13.0", "Python 3.13.5t"]
    assert len(said) <= 32
    hollow = [line for line in ax.lines if line.get_markersize() == 11 and line.get_markerfacecolor() == "white"]
    assert len(hollow) == 8
    assert {float(line.get_xdata()[0]) for line in hollow} == {switch_points._COLUMN + 40.0}
    ax, said = words(pythons=("3.13.0", "3.13.5t"), intervals=(1e-6, 0.005))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [
        f"{python}\n{interval}" for python in ("3.13.0", "3.13.5t") for interval in ("1 us", "5 ms")
    ]


def test_threads_that_had_one_core_only_are_told_from_those_that_lost_nothing():
    free = ("3.13.5t",)
    assert "none in 6,000, on one core" in words(pythons=free, lost=0.0)[1]
    assert "none in 6,000" in words(pythons=free, lost=0.0, used_cores=1.9)[1]


def test_only_the_arms_that_were_run_have_a_row():
    ax, texts = drawn(POINTS, [run for run in made_up() if run.trial.arm in ("print", "nothing")])
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["nothing", "print"]
    assert "40 %" in {text.get_text() for text in texts}
