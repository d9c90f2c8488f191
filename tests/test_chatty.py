"""The experiment on asking one by one: each arm really run on each interpreter, and every price checked."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

import pytest
from test_arms import call, start
from test_experiments import drawn, made_up
from test_waiting import ONE_EACH

from labkit import ledger
from labkit.child import service
from labkit.child.partner import Partner
from labkit.experiments import experiment
from labkit.model import Ending, Run, Trial
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.tables import frame

CHATTY = experiment("chatty")
ONE_BY_ONE, ADDS_UP = "ipc.chatty", "ipc.amplification"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def asked(arm, messages, batch):
    return ("chatty", arm, {"messages": messages, "batch": batch})


@pytest.mark.parametrize("found", ONE_EACH, ids=lambda found: found.version)
def test_every_arm_handles_whole_requests_on_every_interpreter(found):
    calls = [asked(arm, *setting) for setting in ((1, 1), (100, 100)) for arm in CHATTY.arms]
    results = call(calls, found.path)
    for (_, _, params), result in zip(calls, results, strict=True):
        assert list(result) == list(CHATTY.columns)
        assert result["requests_count"] >= 1
        assert result["asked_count"] == result["requests_count"] * params["messages"]
        assert result["request_s"] == pytest.approx(result["message_s"] * params["messages"])
        assert result["message_s"] == pytest.approx(result["item_s"] * params["batch"])
        assert result["used_cores"] > 0
    # CPU times, and ratios of 20 and more wherever this was tried: other load hardly matters.
    for n, arm in enumerate(CHATTY.arms):
        if arm != "direct call":
            assert results[n]["cpu_per_item_s"] > 3 * results[0]["cpu_per_item_s"], arm
            assert results[n]["cpu_per_item_s"] > 5 * results[3 + n]["cpu_per_item_s"], arm


def test_the_largest_request_is_handled_once_and_ends_in_time():
    for result in call([asked(arm, 1000, 4000) for arm in CHATTY.arms]):
        assert result["requests_count"] == 1
        assert result["asked_count"] == 1000


def test_every_setting_that_is_offered_has_a_price_for_each_item():
    most = max(CHATTY.sweep["batch"])
    assert most <= service.ITEMS_MOST
    assert len(set(service.prices(range(most)))) == most


@pytest.mark.parametrize("arm", CHATTY.arms)
@pytest.mark.parametrize("answer", [3, 500])  # while all gets warm, and later
def test_one_wrong_price_is_an_exception_in_the_arm(arm, answer):
    lies = (
        "import itertools; from labkit.child import service\n"
        "count, true = itertools.count(), service.prices\n"
        f"service.prices = lambda items: [0] if next(count) == {answer} else true(items)\n"
        "service._WARM_S = 0"
    )
    done = start([asked(arm, 1000, 1)], first=lies)
    assert done.returncode == 1
    assert "do not add up" in done.stderr


def test_what_did_not_come_is_an_exception():
    answers = iter(["ready", 4])
    partner = Partner(lambda _: None, lambda: next(answers))
    with pytest.raises(RuntimeError, match="5 messages were sent, and 4 came"), service._serving(partner, 5):
        pass


def test_without_fork_processes_say_so():
    told = call([asked("processes", 1, 1)], first="del os.fork")
    assert told == ["this system cannot fork a process"]


def test_a_supervised_run_leaves_nothing_to_remove():
    for trial in plan(CHATTY, repeats=1, seed=0, arms=["threads", "processes"]):
        run = begin(trial, limits=CHATTY.limits).wait().check()
        assert run.receipt.clean
        assert not run.receipt.processes_removed
        assert not run.receipt.names_removed


@pytest.mark.parametrize(("name", "value"), [("messages", 0), ("messages", 1001), ("batch", 4001), ("batch", "1")])
def test_what_is_not_offered_is_refused_before_anything_starts(name, value):
    from labkit.errors import BadValue

    with pytest.raises(BadValue, match="allowed"):
        plan(CHATTY, repeats=1, seed=0, sweep={name: value})


CALL = {1: 0.25e-6, 10: 0.5e-6, 100: 3e-6, 1000: 30e-6, 4000: 130e-6}  # what a call takes, by its items


def runs(arm, batch=1, messages=100, *, extra_s=0.0, repeats=3):
    """Make runs up: a message takes as long as a call and something more, each run a little different."""
    made = []
    for n in range(repeats):
        message_s = (CALL[batch] + extra_s) * (1 + n / 100)
        result = dict.fromkeys(CHATTY.columns, 1) | {"message_s": message_s, "item_s": message_s / batch}
        result |= {"request_s": message_s * messages, "cpu_per_item_s": message_s / batch}
        trial = Trial(workload="m:f", experiment="chatty", arm=arm, params={"messages": messages, "batch": batch})
        made.append(Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result))
    return made


def pair(batch=1, messages=100, *, extra_s=25e-6, repeats=3):
    both = runs("processes", batch, messages, extra_s=extra_s, repeats=repeats)
    return both + runs("direct call", batch, messages, repeats=repeats)


def late(made):
    """Let processes take a second for each item by the clock, beside a busy neighbour: no verdict may go by that."""
    slow = dict.fromkeys(("item_s", "message_s", "request_s"), 1.0)
    return [replace(run, result=run.result | slow) if run.trial.arm == "processes" else run for run in made]


UNFINISHED = [replace(run, ending=Ending.TIMED_OUT, result={}) for run in pair(4000)]


@pytest.mark.parametrize(
    ("made", "claim", "outcome", "words"),
    [
        (pair() + pair(4000), ONE_BY_ONE, "holds", "Asked for 1 item in a message, a process takes 101 times"),
        (pair() + pair(100) + pair(4000), ONE_BY_ONE, "holds", "asked for 4,000 items, 1.19 times."),
        (pair() + pair(4000) + pair(messages=1), ONE_BY_ONE, "holds", "101 times"),
        (pair() + pair(4000) + runs("threads", extra_s=30e-6), ONE_BY_ONE, "holds", "121 times: messages cost, with"),
        (pair() + pair(4000) + runs("threads"), ONE_BY_ONE, "holds", "take 1 times: the border between processes cost"),
        (pair() + pair(4000) + runs("threads", extra_s=2.25e-6), ONE_BY_ONE, "holds", "of 1 item take 10 times."),
        (pair() + pair(4000) + runs("threads", repeats=2), ONE_BY_ONE, "holds", "asked for 4,000 items, 1.19 times."),
        (pair(extra_s=1e-6) + pair(4000), ONE_BY_ONE, "does not hold", "takes 5 times"),
        (pair() + pair(4000, extra_s=1.0), ONE_BY_ONE, "does not hold", "101 times"),
        (pair(extra_s=2.25e-6) + pair(4000), ONE_BY_ONE, "too close to call", "takes 10 times"),
        (pair(), ONE_BY_ONE, "cannot be measured here", "not measured yet"),
        (pair(1000) + pair(4000), ONE_BY_ONE, "cannot be measured here", "not measured yet"),
        (pair() + pair(4000, 1), ONE_BY_ONE, "cannot be measured here", "not measured yet"),
        (pair() + pair(4000, repeats=2), ONE_BY_ONE, "cannot be measured here", "not measured yet"),
        (pair() + UNFINISHED, ONE_BY_ONE, "cannot be measured here", "not measured yet"),
        (pair() + runs("processes", 4000), ONE_BY_ONE, "cannot be measured here", "not measured yet"),
        (pair(messages=1) + pair(messages=1000), ADDS_UP, "holds", "a million take 25.2 s more"),
        (pair(messages=1) + pair(messages=1000), ADDS_UP, "holds", "1,000 times the messages took 1,000 times"),
        (pair(messages=1) + pair(messages=100) + pair(4000, 10), ADDS_UP, "holds", "100 times the messages took 100"),
        (late(pair(extra_s=1e-6)) + pair(4000), ONE_BY_ONE, "does not hold", "takes 5 times"),
        (late(pair(messages=1)) + pair(messages=1000), ADDS_UP, "holds", "took 1,000 times the CPU time"),
        (pair(messages=1, extra_s=2e-6) + pair(messages=100, extra_s=2e-6), ADDS_UP, "holds", "a million take 2.02 s"),
        (pair(messages=1, extra_s=5e-7) + pair(messages=100, extra_s=5e-7), ADDS_UP, "does not hold", "505 ms more"),
        (
            pair(messages=1, extra_s=1e-6) + pair(messages=100, extra_s=1e-6),
            ADDS_UP,
            "too close to call",
            "1.01 s more",
        ),
        (pair(messages=1, extra_s=30e-6) + pair(messages=1000, extra_s=18e-6), ADDS_UP, "holds", "took 603 times"),
        (
            pair(messages=1, extra_s=30e-6) + pair(messages=1000, extra_s=12e-6),
            ADDS_UP,
            "does not hold",
            "took 405 times",
        ),
        (pair(messages=1, extra_s=12e-6) + pair(messages=1000, extra_s=30e-6), ADDS_UP, "does not hold", "took 2,469 "),
        (
            pair(messages=1, extra_s=30e-6) + pair(messages=1000, extra_s=14.9e-6),
            ADDS_UP,
            "too close to call",
            "took 501 times",
        ),
        (pair(messages=1) + pair(messages=10), ADDS_UP, "cannot be measured here", "not measured yet"),
        (pair(messages=1) + pair(10, messages=1000), ADDS_UP, "cannot be measured here", "not measured yet"),
        (pair(messages=1) + pair(messages=1000, repeats=2), ADDS_UP, "cannot be measured here", "not measured yet"),
    ],
)
def test_the_claims_are_judged_by_a_process_beside_calls_of_the_same_setting(made, claim, outcome, words):
    verdict = ledger.judge(CHATTY, frame(made))[claim]
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.low <= verdict.effect <= verdict.high
        assert verdict.runs_count == 12
        assert verdict.unit


def test_a_run_whose_cpu_clock_stood_still_does_not_count():
    made = [*pair(), *pair(4000)]
    still = [replace(made[3], result=made[3].result | {"cpu_per_item_s": 0.0})]
    verdict = ledger.judge(CHATTY, frame(made + still))[ONE_BY_ONE]
    assert (verdict.outcome, verdict.runs_count) == ("holds", 12)
    verdict = ledger.judge(CHATTY, frame(made[:3] + made[4:] + still))[ONE_BY_ONE]
    assert verdict.outcome == "cannot be measured here"


def test_calls_and_messages_share_one_core(monkeypatch):
    before, within = os.sched_getaffinity(0), set()
    true = service.prices

    def told(items):
        within.add(frozenset(os.sched_getaffinity(0)))
        return true(items)

    monkeypatch.setattr(service, "prices", told)
    service.by_calls(1, 1, window_s=0.0)
    service.by_messages("threads", 1, 1, window_s=0.0)
    assert within == {frozenset({max(before)})}
    assert os.sched_getaffinity(0) == before


def test_an_empty_table_gives_no_verdict():
    verdicts = ledger.judge(CHATTY, frame([]))
    assert {verdict.outcome for verdict in verdicts.values()} == {"cannot be measured here"}


def words_of(made):
    return {text.get_text() for text in drawn(CHATTY, made)[1]}


def test_the_picture_marks_from_which_batch_on_a_process_is_not_slow():
    made = list(itertools.chain.from_iterable(pair(batch) for batch in CHATTY.sweep["batch"]))
    assert "from 100 items on: a process\ntakes less than 10 x a call" in words_of(made)
    assert not any("items on" in word for word in words_of(pair() + pair(10)))  # always slow
    assert not any("items on" in word for word in words_of(pair(1000) + pair(4000)))  # never slow


def test_the_picture_names_the_cost_of_a_message_at_the_end_of_each_line():
    words = words_of(pair(messages=1) + pair(messages=1000) + runs("threads", messages=1000, extra_s=9e-6))
    assert {
        "processes\n25.5 us each message",
        "direct call\n252 ns each call",
        "threads\n9.34 us each message",
    } <= words


def test_messages_are_pooled_where_the_batch_varies_as_well():
    made = made_up(CHATTY, 3, **CHATTY.sweep)
    assert "pooled over messages per request" in words_of(made)
