"""The experiment on pairs that talk: each arm really run on each interpreter, and every price checked."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from ipc_faults import side_is_killed
from test_arms import call, start
from test_experiments import MACHINE, drawn
from test_waiting import ONE_EACH

from labkit import ledger
from labkit.child import talk
from labkit.child.cores import usable
from labkit.experiments import experiment
from labkit.model import Ending, Run, Trial
from labkit.runs import supervise
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.tables import frame

CORES = experiment("cores while waiting")
CLAIM = "ipc.low_cpu_slow"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def asked(arm, mechanism="pipe", pairs=1):
    return ("cores while waiting", arm, {"mechanism": mechanism, "pairs": pairs})


@pytest.mark.parametrize("found", ONE_EACH, ids=lambda found: found.version)
def test_every_arm_talks_on_every_interpreter(found):
    calls = [asked("direct call"), *(asked(arm, "Queue", 2) for arm in ("threads", "processes"))]
    results = call(calls, found.path)
    for result in results:
        assert list(result) == list(CORES.columns)
        assert result["items_count"] > 0
        assert result["items_count"] % 8 == 0
        assert result["usable_cores"] == usable()[0]
        assert result["used_ratio"] == pytest.approx(result["used_cores"] / usable()[0])
        assert result["demanded_ratio"] >= result["used_ratio"]
    # Ratios of CPU times, 40 and more wherever this was tried.
    assert min(one["cpu_per_item_s"] for one in results[1:]) > 3 * results[0]["cpu_per_item_s"]
    assert results[0]["used_cores"] < 1.05


@pytest.mark.parametrize("mechanism", CORES.sweep["mechanism"])
def test_all_pairs_talk_and_end_by_each_mechanism(mechanism):
    for result in call([asked(arm, mechanism, 4) for arm in ("threads", "processes")]):
        assert result["items_count"] >= 4 * 8


@pytest.mark.parametrize("between", ["threads", "processes"])
def test_one_side_of_each_pair_asks_and_both_are_measured(between):
    sides = talk.talk(between, "pipe", 2, window_s=0.02)
    assert sorted(side.items_count > 0 for side in sides) == [False, False, True, True]
    for side in sides:
        assert side.cpu_s > 0
        assert side.delay_s >= 0
        assert side.lasted_s > 0


def test_the_most_processes_stay_within_the_bound():
    assert 2 * talk.PAIRS_MOST == 2 * max(CORES.sweep["pairs"]) == 8


@pytest.mark.parametrize("arm", CORES.arms)
def test_a_wrong_price_is_an_exception_in_the_arm_and_does_not_hang(arm):
    lies = (
        "import itertools; from labkit.child import talk\n"
        "count, true = itertools.count(), talk.prices\n"
        "talk.prices = lambda items: [0] if next(count) == 3 else true(items)"
    )
    done = start([asked(arm)], first=lies)
    assert done.returncode == 1
    assert "do not add up" in done.stderr


KILLS = {"who asks": ("_ask_until", 1), "who tells": ("prices", 2)}  # each after the round has begun


def test_a_side_that_is_killed_is_seen_at_once_and_not_at_the_deadline():
    ways = [(who, mechanism, pairs) for who in KILLS for mechanism, pairs in (("pipe", 2), ("TCP", 1), ("Queue", 2))]
    live = {}
    for who, mechanism, pairs in ways:
        params = {"mechanism": mechanism, "pairs": pairs}
        function, call_number = KILLS[who]
        params = {"kills": f"labkit.child.talk:{function}", "call": call_number, "params": params}
        live[who, mechanism, pairs] = supervise.start(side_is_killed, name=CORES.name, deadline_s=30, **params)
    for way, one in live.items():
        run = one.wait()
        assert run.ending is Ending.RAISED, (way, run)
        seen = ("was killed by SIGKILL", "EOFError", "ConnectionResetError", "BrokenPipeError")
        assert any(word in run.error for word in seen), (way, run.error)
        assert run.receipt.clean


def test_without_fork_processes_say_so():
    told = call([asked("processes")], first="del os.fork")
    assert told == ["this system cannot fork a process"]


def test_a_supervised_run_leaves_nothing_to_remove():
    for trial in plan(CORES, repeats=1, seed=0, arms=["processes"], sweep={"mechanism": ["Queue", "TCP"]}):
        run = begin(trial, limits=CORES.limits).wait().check()
        assert run.receipt.clean
        assert not run.receipt.processes_removed
        assert not run.receipt.names_removed


@pytest.mark.parametrize(("name", "value"), [("mechanism", "memory"), ("pairs", 8), ("pairs", 0)])
def test_what_is_not_offered_is_refused_before_anything_starts(name, value):
    from labkit.errors import BadValue

    with pytest.raises(BadValue, match="allowed"):
        plan(CORES, repeats=1, seed=0, sweep={name: value})


def runs(arm, used=0.8, *, waited=0.0, item_s=20e-6, repeats=3, **setting):
    """Make runs up, each a little different."""
    made, cores, pairs = [], setting.pop("cores", 2.0), setting.get("pairs", 1)
    for n in range(repeats):
        used_cores = used * (1 + n / 100)
        result = dict.fromkeys(CORES.columns, 1) | {"used_cores": used_cores, "usable_cores": cores}
        result |= {"used_ratio": used_cores / cores, "demanded_ratio": (used_cores + waited) / cores}
        result |= {"item_s": item_s * (1 + n / 100), "items_per_s": pairs / item_s}
        params = {"mechanism": "pipe", "pairs": 1} | setting
        trial = Trial(workload="m:f", experiment="cores while waiting", arm=arm, params=params)
        made.append(Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result))
    return made


CALLS = runs("direct call", 1.0, item_s=0.2e-6)
FAST = runs("direct call", 1.0, item_s=15e-6)
UNFINISHED = [replace(run, ending=Ending.TIMED_OUT, result={}) for run in runs("processes")]


@pytest.mark.parametrize(
    ("made", "outcome", "words"),
    [
        (runs("processes") + CALLS, "holds", "of 2 cores: pipe 0.81 cores (40 %), and an item takes 100 times as long"),
        (runs("processes", 1.0, cores=8.0) + CALLS, "holds", "of 8 cores: pipe 1.01 cores (13 %)"),
        (
            runs("processes", 1.0, cores=8.0) + CALLS,
            "holds",
            "100 times as long as by a call. The direct call used 1.01",
        ),
        (
            runs("processes", 1.0, cores=8.0) + CALLS,
            "holds",
            "is low because this machine has 8 cores; of the one core",
        ),
        (runs("processes", 1.0, cores=8.0) + CALLS, "holds", "as its sides take turns, it used 101 % by pipe."),
        (runs("processes") + CALLS, "holds", "That is low because this machine has 2 cores; of the one core that"),
        (
            runs("processes", 0.3, cores=8.0) + CALLS,
            "holds",
            "That is low on any machine: of the one core that the pair",
        ),
        (
            runs("processes", 0.2, cores=0.5) + CALLS,
            "holds",
            "on any machine: of the 0.5 cores that the pair could use",
        ),
        (runs("processes", 1.0) + CALLS, "too close to call", "1.01 cores. Of the one core that the pair could use at"),
        (runs("processes", 1.0, waited=0.6, cores=8.0) + CALLS, "holds", "(13 %)"),
        (runs("processes") + CALLS + runs("processes", 3.9, pairs=4), "holds", "pipe 0.81 cores"),
        (runs("processes") + CALLS + runs("threads", 1.9), "holds", "pipe 0.81 cores"),
        (runs("processes", 1.3) + runs("processes", mechanism="TCP") + CALLS, "holds", "TCP 0.81 cores (40 %)"),
        (runs("processes", 1.3) + CALLS, "does not hold", "pipe 1.31 cores (66 %)"),
        (runs("processes", 0.8, cores=1.0) + CALLS, "does not hold", "of 1 core: pipe 0.81 cores (81 %)"),
        (runs("processes") + runs("direct call", 1.0, item_s=20e-6), "does not hold", "takes 1 times as long"),
        (runs("processes", 0.8, waited=0.6) + CALLS, "too close to call", "pipe 0.81 cores (40 %)"),
        (runs("processes", 1.0) + CALLS, "too close to call", "pipe 1.01 cores (50 %)"),
        (runs("processes") + runs("direct call", 1.0, item_s=4e-6), "too close to call", "takes 5 times as long"),
        (runs("processes", repeats=2) + CALLS, "cannot be measured here", "not measured yet"),
        (runs("processes", pairs=2) + CALLS, "cannot be measured here", "not measured yet"),
        (runs("threads") + CALLS, "cannot be measured here", "not measured yet"),
        (runs("processes"), "cannot be measured here", "not measured yet"),
        (UNFINISHED + CALLS, "cannot be measured here", "not measured yet"),
        ([], "cannot be measured here", "not measured yet"),
    ],
)
def test_one_pair_of_processes_decides(made, outcome, words):
    verdict = ledger.judge(CORES, frame(made))[CLAIM]
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.low <= verdict.effect <= verdict.high
        assert verdict.runs_count == 6
        assert verdict.unit


def test_the_reason_says_why_two_cores_are_too_few_to_tell():
    reason = ledger.judge(CORES, frame(runs("processes", 1.0) + CALLS))[CLAIM].reason
    assert "used or waited for 50 to 51 % of the 2 cores" in reason
    assert "little of one with many cores" in reason
    slow = ledger.judge(CORES, frame(runs("processes") + runs("direct call", item_s=4e-6)))[CLAIM].reason
    assert slow == "the pair is not clearly 5 times as slow as calls"


def words_of(made):
    return [text.get_text() for text in drawn(CORES, made)[1]]


def test_the_picture_shows_the_usable_cores_or_one_core_where_they_are_many():
    assert "2 usable cores" in words_of(runs("processes") + CALLS)
    assert "1 usable core" in words_of(runs("processes", cores=1.0))
    assert "one core, of 64 usable" in words_of(runs("processes", cores=64.0) + CALLS)


def test_the_picture_tells_items_per_second_beside_the_cores():
    assert "0.81 cores\n50,000 items/s" in words_of(runs("processes") + CALLS)
    lines = words_of(runs("processes") + runs("processes", 1.6, pairs=4) + CALLS)
    assert "processes, 200,000/s" in lines
    mixed = words_of(runs("processes") + runs("processes", mechanism="TCP") + CALLS)
    assert mixed.count("0.81 cores  50,000/s  processes") == 2


def test_what_to_expect_depends_on_the_cores():
    told = [" ".join(CORES.expect(replace(MACHINE, cores_count=cores))) for cores in (2.0, 8.0, 0.5)]
    assert "about 50 % or less" in told[0]
    assert "about 12 % or less" in told[1]
    assert "about 100 % or less" in told[2]
