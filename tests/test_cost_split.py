"""The cost split: parts that add up, numbers that the kernel counted, and verdicts on made-up tables."""

from __future__ import annotations

import os

import pytest
from ipc_faults import side_is_killed
from test_arms import call, start
from test_experiments import drawn, made_up
from test_waiting import ONE_EACH

from labkit import ledger
from labkit.child import switching
from labkit.child.channels import pipe
from labkit.child.payloads import PAYLOADS
from labkit.child.split import PARTS, _Mean, _parts, _through
from labkit.errors import NotHere
from labkit.experiments import cost_split, experiment
from labkit.model import Ending, Run, Trial
from labkit.runs import supervise
from labkit.tables import frame

SPLIT = experiment("cost split")
MIB = 1 << 20
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not on this system: it keeps no core")


def asked(arm, **params):
    return ("cost split", arm, SPLIT.defaults | params)


def check(result):
    assert list(result) == list(SPLIT.columns)
    assert sum(result[part] for part in PARTS) == pytest.approx(result["total_s"], rel=1e-9)
    assert min(result[name] for name in ("total_s", "serialization_s", "transition_s", "switch_s")) > 0
    # A message is written and read, and the other side has to run in between.
    assert result["syscalls_count"] >= 2
    assert result["switches_count"] >= 0.9


@pytest.mark.parametrize("arm", SPLIT.arms)
def test_the_parts_of_every_message_add_up_to_it(arm):
    settings = [(kind, size) for kind in PAYLOADS for size in (8, 1 << 16)] + [("bytes", MIB)]
    results = call([asked(arm, payload=kind, size_bytes=size) for kind, size in settings])
    found = dict(zip(settings, results, strict=True))
    for result in results:
        check(result)
    small, large = found["bytes", 8], found["bytes", MIB]
    assert (small["message_bytes"], large["message_bytes"]) == (8, MIB)
    assert small["syscalls_count"] == pytest.approx(2, abs=0.2)
    assert small["switches_count"] == pytest.approx(1, abs=0.2)
    # A pipe holds 64 KiB: sixteen times that go over in as many pieces at least, and the sides take turns.
    assert large["syscalls_count"] >= 17
    assert large["switches_count"] >= 8
    # CPU times, ten and more times apart wherever this was tried.
    assert large["copy_s"] > 3 * abs(small["copy_s"])
    dicts, plain = found["list of dicts", 1 << 16], found["bytes", 1 << 16]
    assert dicts["serialization_s"] > 10 * plain["serialization_s"]
    assert dicts["serialization_s"] > dicts["total_s"] / 4


@pytest.mark.parametrize("found", ONE_EACH, ids=lambda found: found.version)
def test_it_runs_on_every_interpreter(found):
    for result in call([asked(arm, size_bytes=1024) for arm in SPLIT.arms], found.path):
        check(result)


def test_the_core_is_given_back():
    before = os.sched_getaffinity(0)
    within = []

    def fail():
        within.append(os.sched_getaffinity(0))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), switching.one_core():
        fail()
    assert within == [{max(before)}]
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("del os.sched_setaffinity", "cannot keep two workers on one core"),
        ("from labkit.child import switching; switching._CALLS = '/none'", "does not count system calls"),
        ("import resource; del resource.RUSAGE_THREAD", "does not count the context switches"),
    ],
)
def test_a_system_that_cannot_measure_the_parts_says_so(spoil, words):
    results = call([asked(arm, payload="bytes", size_bytes=8) for arm in SPLIT.arms], first=spoil)
    assert all(words in result for result in results), results


def test_a_partner_that_fails_is_an_exception_in_the_arm():
    fails = "from labkit.child import split\nsplit.packed = lambda value: value.lacking"
    done = start([asked("threads", payload="bytes", size_bytes=8)], first=fails)
    assert done.returncode == 1
    assert "lacking" in done.stderr


def test_a_side_that_is_killed_is_seen_at_once_and_not_at_the_deadline():
    kills, params = "labkit.child.switching:metered", SPLIT.defaults | {"payload": "bytes"}
    run = supervise.run(side_is_killed, name=SPLIT.name, kills=kills, params=params, deadline_s=30)
    assert run.ending is Ending.RAISED, run
    assert "the partner was killed by SIGKILL" in run.error
    assert run.receipt.clean


@pytest.mark.parametrize("count", [1, 7])
def test_system_calls_are_those_that_were_made(count):
    with pipe() as ends:
        used = switching.metered(lambda turns: _through(ends, [memoryview(b"x"), memoryview(b"yz")], turns), count)
    assert used.calls_count == 4 * count
    assert used.cpu_s > 0
    assert switching.metered(lambda _: None, count).calls_count == 0


def test_a_bounce_makes_one_switch_per_message():
    for between in ("threads", "processes"):
        with switching.one_core(), switching.bounce(b"x") as byte, switching.sides(between, {"byte": byte}) as take:
            assert take("byte", 500).switches_count == pytest.approx(1000, rel=0.1)


def test_the_parts_are_put_together_as_the_text_says():

    found = {
        "message": _Mean(40e-6, 4, 8, 6),  # there and back: 20 us, 2 switches, 4 calls and 3 faults for one
        "byte": _Mean(8e-6, 2, 4, 0),
        "serialize": _Mean(3e-6, 0, 0, 0),
        "call": _Mean(1e-6, 0, 2, 0),  # so a call takes 0.5 us, and a switch (8 - 4 x 0.5) / 2 = 3 us
        "copy": _Mean(9e-6, 0, 4, 0),
    }
    parts = _parts(found, chunks=2, message_bytes=100_000)
    assert parts.total_s == pytest.approx(20e-6)
    assert parts.copy_s == pytest.approx(7e-6)
    assert parts.transition_s == pytest.approx(2e-6)
    assert parts.switch_s == pytest.approx(6e-6)
    assert parts.left_over_s == pytest.approx(2e-6)
    assert parts[6:] == (4, 2, 3, 100_000)
    for lacking in ("message", "byte"):
        with pytest.raises(NotHere, match="does not count"):
            _parts(found | {lacking: _Mean(1e-6, 0, 0, 0)}, chunks=2, message_bytes=1)


def made(shares, *, runs=3, arm="processes", total_s=1e-3, spread=0.0, **params):
    """Make runs up with these shares of serialization, copy, transition and switch, in percent."""
    trial = Trial(workload="m:f", experiment=SPLIT.name, arm=arm, params=SPLIT.defaults | params)
    found = []
    for n in range(runs):
        parts = [(share + spread * (n - 1)) / 100 * total_s for share in shares]
        parts.append(total_s - sum(parts))
        result = dict(zip(PARTS, parts, strict=True)) | {
            "total_s": total_s,
            "message_bytes": trial.params["size_bytes"],
        }
        result |= dict.fromkeys(("syscalls_count", "switches_count", "faults_count"), 2)
        found.append(Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result))
    return found


SMALL = made((20, 0, 20, 40), size_bytes=8)


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (made((80, 10, 2, 2)), "holds", "serialization 80 %, copy 10 %, kernel transition 2 %"),
        (made((80, 10, 2, 1), payload="bytes"), "cannot be measured here", "not measured yet."),
        (made((80, 10, 2, 1), arm="threads"), "cannot be measured here", "not measured yet."),
        (made((80, 10, 2, 1), runs=2), "cannot be measured here", "not measured yet."),
        (made((80, 10, 2, 1.5), spread=1), "too close to call", "context switch 1.5 %"),
        (made((80, 10, 2, 1)), "too close to call", "context switch 1 %"),
        (made((80, 0, 2, 2)), "does not hold", "Less than 1 % of any for copy."),
        (made((80, 0.9, 2, -1)), "does not hold", "Less than 1 % of any for copy and context switch."),
        # Of each part the message counts in which it is largest: a small one has nothing to copy.
        (
            SMALL + made((80, 10, 2, 0.1)),
            "holds",
            "copy 10 % of 1 ms with a list of dicts of 64 KiB; kernel transition 20 %",
        ),
        (
            SMALL + made((80, 10, 2, 0.1)),
            "holds",
            "context switch 40 %, left over 20 % of 1 ms with a list of dicts of 8 B",
        ),
        (SMALL + made((80, 10, 2, 1), runs=1), "does not hold", "Less than 1 % of any for copy."),
        (SMALL + made((0, 50, 2, 1), payload="bytes"), "holds", "copy 50 %, left over 47 % of 1 ms with bytes"),
        (SMALL + made((20, 1.5, 20, 40), spread=1), "too close to call", "copy 1.5 %"),
        (made((30, 30, 5, 15), payload="array") + made((1, 1, 1, 1), payload="int"), "holds", "an array of 64 KiB"),
    ],
)
def test_the_verdict_needs_every_part_of_some_message(runs, outcome, words):
    verdict = ledger.judge(SPLIT, frame(runs))["ipc.components"]
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.low <= verdict.effect <= verdict.high
        assert verdict.unit.startswith("% of the message in which")


def test_the_picture_shows_one_run_whose_parts_add_up():
    runs = [one for share in (10, 50, 30) for one in made((share, 10, 2, 1), runs=1, total_s=share * 1e-6)]
    ax, texts = drawn(SPLIT, runs)
    assert "30 us: 57 % left over\n(2 page faults)" in {text.get_text() for text in texts}
    assert ax.get_xlim() == (0, 100)


def test_parts_that_overlap_are_said_to():
    ax, texts = drawn(SPLIT, made((80, 20, 6, 4)))
    assert "1 ms: 80 % serialization\n(parts overlap)" in {text.get_text() for text in texts}
    assert ax.get_xlim() == (0, pytest.approx(110))
    _, texts = drawn(SPLIT, made((75, 20, 2, 4)))
    assert not any("overlap" in text.get_text() for text in texts)


def test_two_sliders_at_once_show_what_there_is_room_for():
    runs = made_up(SPLIT, 3, **SPLIT.sweep)
    _, texts = drawn(SPLIT, runs)
    words = {text.get_text() for text in texts}
    assert "between processes only, smallest and largest" in words
    assert {"bytes, 8 B, processes", "array, 1 MiB, processes"} <= words
    assert len(texts) <= 32
    some = [run for run in runs if run.trial.arm == "threads"]
    _, texts = drawn(SPLIT, some)
    assert "array, 1 MiB, threads" in {text.get_text() for text in texts}


def test_a_payload_that_needs_too_much_memory_is_refused():
    with pytest.raises(NotHere, match="takes more memory"):
        cost_split.threads(payload="list of dicts", size_bytes=64 * MIB)
