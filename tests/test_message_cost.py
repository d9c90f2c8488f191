"""Message cost: every arm really runs, the judges say what the numbers say, and bad input is refused before."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from labkit import ledger
from labkit.child import channels, segments
from labkit.course.ipc_predictions import PREDICTIONS
from labkit.errors import BadValue, NotHere
from labkit.experiments import experiment, message_cost
from labkit.model import Ending, Run, Trial
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.tables import frame

COST = experiment("message cost")
MIB = 1 << 20


def made(cost_s, *, arm="threads", runs=3, ending=Ending.FINISHED, spread=0.01, **setting):
    """Make runs up in which one message took so long, and as much CPU time."""
    trial = Trial(workload="m:f", experiment=COST.name, arm=arm, params=COST.defaults | setting)
    numbers = dict.fromkeys(COST.columns, 1.0)
    return [
        Run(
            trial=trial,
            ending=ending,
            python="3.11.7",
            result=numbers | dict.fromkeys(("latency_s", "cpu_per_message_s"), cost_s * (1 + spread * n)),
        )
        for n in range(runs)
    ]


def both(threads_s, processes_s, **setting):
    return made(threads_s, **setting) + made(processes_s, arm="processes", **setting)


def verdict(claim, *runs):
    return ledger.judge(COST, frame(list(itertools.chain(*runs))))[claim]


def trial(arm, **setting):
    (found,) = plan(COST, repeats=1, seed=0, arms=[arm], sweep=setting)
    return found


pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="not on this system: two sides cannot be kept on one core"
)


def run(wanted):
    return begin(wanted, limits=COST.limits).wait()


@pytest.mark.parametrize("arm", COST.arms)
@pytest.mark.parametrize("setting", [{}, {"mechanism": "Queue", "payload": "array", "size_bytes": 4096}], ids=str)
def test_every_arm_measures_what_it_says(arm, setting):
    done = run(trial(arm, **setting))
    assert done.ending is Ending.FINISHED, done.explain()
    assert list(done.result) == list(COST.columns)
    assert done.receipt.clean
    assert not done.receipt.names_removed
    assert len(done.receipt.processes_removed) <= 1  # a resource tracker that is just ending may be counted
    assert 0 < done.result["latency_s"] < 1
    assert (done.result["switches_count"] == 0) == (arm == "direct call")
    if arm != "direct call":
        assert done.result["message_bytes"] >= setting.get("size_bytes", 8)


def test_on_one_core_a_message_takes_one_switch_and_no_more_cpu_time_than_time():
    result = run(trial("processes")).check().result
    assert result["switches_count"] == pytest.approx(1.0, abs=0.3)
    assert result["cpu_per_message_s"] < 1.2 * result["latency_s"]  # on two cores it may be up to twice as much


def test_what_is_in_place_does_not_grow_and_what_is_copied_does():
    small, large = (
        {
            mechanism: run(trial("processes", mechanism=mechanism, size_bytes=size)).check().result["cpu_per_message_s"]
            for mechanism in ("pipe", "memory in place")
        }
        for size in (8, 8 * MIB)
    )
    assert large["memory in place"] < 5 * small["memory in place"]
    assert large["pipe"] > 50 * small["pipe"]


@pytest.mark.parametrize("size", [64 * MIB + 1, 7, 0, -8, "8", 8.0, True, 1e12])
def test_a_size_that_is_not_allowed_is_refused_with_what_is(size):
    with pytest.raises(BadValue, match="size_bytes") as raised:
        plan(COST, repeats=1, seed=0, sweep={"size_bytes": size})
    assert "from 8 to 67108864" in str(raised.value)


@pytest.mark.parametrize("name", ["mechanism", "payload", "placement"])
def test_an_unknown_word_is_refused_with_those_there_are(name):
    with pytest.raises(BadValue) as raised:
        plan(COST, repeats=1, seed=0, sweep={name: "carrier pigeon"})
    assert "carrier pigeon" in str(raised.value)
    assert COST.defaults[name] in str(raised.value)


@pytest.mark.parametrize("payload", ["int", "list of dicts"])
def test_what_cannot_lie_in_memory_in_place_is_a_run_that_says_so(payload):
    done = run(trial("processes", mechanism="memory in place", payload=payload))
    assert done.ending is Ending.UNAVAILABLE
    assert "memory in place carries only bytes and arrays" in done.reason
    assert done.receipt.clean


def test_a_list_that_would_not_fit_into_memory_is_a_run_that_says_so():
    done = run(trial("processes", payload="list of dicts", size_bytes=64 * MIB))
    assert done.ending is Ending.UNAVAILABLE
    assert "the most is 8,388,608" in done.reason


def test_no_room_in_shared_memory_is_said_before_anything_is_made(monkeypatch):
    made_up = os.statvfs_result((4096, 4096, 256, 256, 256, 0, 0, 0, 0, 255))
    monkeypatch.setattr(segments.os, "statvfs", lambda _: made_up)
    with pytest.raises(NotHere, match=r"no room in /dev/shm: .* are needed and 1,048,576 are free"):
        message_cost.processes(mechanism="memory in place", payload="bytes", size_bytes=MIB, placement="one core")


def test_queues_decide_whether_processes_pay_for_what_threads_get_by_reference():
    large = both(1e-5, 1e-2, mechanism="Queue", size_bytes=8 * MIB)
    found = verdict("table.communication", large, both(5e-6, 5e-6), both(1e-5, 1e-5, mechanism="Queue"))
    assert (found.outcome, found.runs_count) == ("holds", 6)
    assert found.effect == pytest.approx(1000, rel=0.05)
    assert "8 MiB" in found.sentence
    same = verdict("table.communication", both(1e-5, 1e-5, mechanism="SimpleQueue", size_bytes=MIB))
    assert same.outcome == "does not hold"
    wide = made(1e-5, mechanism="Queue", spread=1.0) + made(1.5e-5, arm="processes", mechanism="Queue", spread=1.0)
    assert verdict("table.communication", wide).outcome == "too close to call"


def objects(threads_s, processes_s, size_bytes, **setting):
    return both(threads_s, processes_s, mechanism="Queue", payload="array", size_bytes=size_bytes, **setting)


@pytest.mark.parametrize(
    ("large", "outcome"),
    [
        ((1.1e-5, 1e-2), "holds"),
        ((1e-3, 1e-2), "does not hold"),  # a reference that takes longer the more it leads to
        ((1.1e-5, 2.1e-5), "does not hold"),  # pickling that takes no longer
    ],
)
def test_an_object_is_there_at_once_if_only_pickling_takes_longer_for_a_large_one(large, outcome):
    plain = both(1e-5, 1e-1, mechanism="Queue", size_bytes=8 * MIB)
    found = verdict("memory.immediate", objects(1e-5, 2e-5, 8), objects(*large, MIB), plain)
    assert (found.outcome, found.runs_count) == (outcome, 12)
    assert found.effect == pytest.approx(large[0] / 1e-5, rel=0.05)
    assert "8 B and 1 MiB (array) by Queue" in found.sentence


def test_what_is_no_object_or_hardly_larger_does_not_tell_whether_objects_are_there_at_once():
    plain = [both(1e-5, 1e-5, mechanism="Queue", size_bytes=size) for size in (8, MIB)]
    assert verdict("memory.immediate", *plain).outcome == "cannot be measured here"
    found = verdict("memory.immediate", objects(1e-5, 1e-5, 8), objects(1e-5, 1e-3, 4096))
    assert "1,000 times the other" in found.reason


def choice(*threads_and_processes_s, **setting):
    """Make up the same cost for three mechanisms, but for the last, which is dearer."""
    first, last = both(*threads_and_processes_s, **setting), both(1.0, 1.0, **setting, mechanism="mmap copied")
    return first + both(*threads_and_processes_s, **setting, mechanism="Queue") + last


@pytest.mark.parametrize(
    ("small", "large", "outcome"),
    [
        ((1e-6, 5e-6), (1e-5, 1e-2), "holds"),
        ((5e-6, 5e-6), (1e-5, 1e-2), "does not hold"),
        ((1e-6, 5e-6), (1e-2, 1e-5), "does not hold"),
    ],
)
def test_threads_are_cheap_if_their_best_way_beats_that_of_processes_at_both_ends(small, large, outcome):
    middle = choice(1e-6, 1e-6, size_bytes=1024)  # neither the smallest nor the largest
    found = verdict("tradeoff.threads_speed", choice(*small), middle, choice(*large, size_bytes=MIB))
    assert (found.outcome, found.runs_count) == (outcome, 12)
    assert "1 MiB (bytes) through Queue and Queue" in found.sentence


def test_one_mechanism_is_no_best_way():
    assert verdict("tradeoff.threads_speed", both(1e-6, 5e-6)).outcome == "cannot be measured here"


def test_runs_from_which_others_took_the_core_do_not_count():
    loud = [replace(run, result={**run.result, "latency_s": 2 * run.result["latency_s"]}) for run in choice(1e-6, 5e-6)]
    found = verdict("tradeoff.threads_speed", loud)
    assert found.outcome == "cannot be measured here"
    assert "18 of 18 runs do not count" in found.reason


def test_mechanisms_differ_if_the_dearest_costs_clearly_more_at_every_size():
    three = [both(1e-6, 1e-6 * n, mechanism=name) for n, name in ((1, "pipe"), (2, "TCP"), (4, "Queue"))]
    found = verdict("ipc.mechanisms", *three)
    assert found.outcome == "holds"
    assert found.effect == pytest.approx(4, rel=0.05)
    assert "through pipe and Queue" in found.sentence
    assert verdict("ipc.mechanisms", *three[:2]).outcome == "cannot be measured here"
    alike = [both(1e-6, 1e-6, mechanism=name, size_bytes=1024) for name in ("pipe", "TCP", "Queue")]
    assert verdict("ipc.mechanisms", *three, *alike).outcome == "does not hold"


@pytest.mark.parametrize(
    "runs",
    [
        made(1e-5, mechanism="Queue"),
        both(1e-5, 1e-3, mechanism="Queue", runs=2),
        both(1e-5, 1e-3, mechanism="Queue", placement="any core"),
        both(1e-5, 1e-3, mechanism="Queue", ending=Ending.TIMED_OUT),
    ],
    ids=["one arm", "two runs", "any core", "unfinished"],
)
def test_what_is_too_little_decides_nothing(runs):
    assert {found.outcome for found in ledger.judge(COST, frame(runs)).values()} == {"cannot be measured here"}


def drawn(*runs):
    """Draw a table; return the texts on it, and where a vertical line stands."""
    figure = Figure(figsize=(9, 4.5), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    ax = figure.subplots()
    COST.draw(frame(list(itertools.chain(*runs))), ax)
    canvas.draw()
    texts = [text.get_text() for text in ax.findobj(Text) if text.get_visible()]
    return texts, [
        line.get_xdata()[0] for line in ax.lines if len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2
    ]


def test_the_size_from_which_threads_win_is_marked():
    flat = [both(1e-5, 1.0, mechanism="Queue", size_bytes=size) for size in (8, 1024, MIB)]
    grows = [both(2e-6 * (1 + size / 512), 2e-6 * (1 + size / 512), size_bytes=size) for size in (8, 1024, MIB)]
    texts, places = drawn(*flat, *grows)
    assert "from 1 MiB on Queue of threads beats pipe of processes" in texts
    assert MIB in places
    assert not [text for text in drawn(*flat)[0] if text.startswith("from ")]
    slow = [both(1.0, 1.0, size_bytes=size) for size in (8, MIB)]
    assert not [text for text in drawn(*flat, *slow)[0] if text.startswith("from ")]


def test_threads_and_processes_share_the_marker_of_their_mechanism_and_no_other():
    groups = message_cost._split(frame([*both(1.0, 1.0), *both(1.0, 1.0, mechanism="Queue")]))
    marks = {(one.mechanism, one.arm): one.look.marker for one in groups}
    assert marks["pipe", "threads"] == marks["pipe", "processes"] != marks["Queue", "threads"]
    assert len(set(message_cost._MARKS.values())) == len(message_cost._MARKS)
    colors = {one.arm: one.look.color for one in groups}
    assert len(set(colors.values())) == 2


def test_many_mechanisms_at_many_sizes_say_which_are_shown():
    runs = [both(1e-6, 1e-6, mechanism=name, size_bytes=size) for name in channels.MECHANISMS for size in (8, MIB)]
    texts, _ = drawn(*runs)
    assert "shown: pipe, UNIX socket, TCP, Pipe; the table holds all 9 mechanisms" in texts


@pytest.mark.parametrize(
    ("name", "runs", "answer"),
    [
        ("small-message", made(1e-6, mechanism="Queue") + made(5e-6, arm="processes"), 0),
        ("small-message", made(9e-6, mechanism="Queue") + made(5e-6, arm="processes"), 1),
        ("small-message", made(5e-6, mechanism="Queue") + made(5e-6, arm="processes"), 2),
        ("small-message", made(5e-6, mechanism="Queue") + made(5e-6, arm="processes", placement="any core"), None),
        ("large-message", objects(1e-5, 1e-5, MIB), 0),
        ("large-message", objects(1e-5, 1e-4, MIB), 1),
        ("large-message", objects(1e-5, 1e-2, MIB), 2),
        ("large-message", objects(1e-5, 1e-2, 8 * MIB), None),
    ],
)
def test_a_prediction_is_compared_with_what_came_out(name, runs, answer):
    came = PREDICTIONS[name].came(frame(runs))
    assert (came.answer if came else None) == answer
