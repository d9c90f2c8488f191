"""The experiment on shared state: each arm really run on each interpreter, and no update lost."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from ipc_faults import without
from test_arms import call, start
from test_experiments import drawn
from test_waiting import ONE_EACH

from labkit import ledger
from labkit.child import updates
from labkit.experiments import experiment
from labkit.model import Ending, Run, Trial
from labkit.runs import supervise
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.tables import frame

UPDATES = experiment("shared updates")
CLAIM = "choice.shared_state"
# multiprocessing keeps the memory of a Value, and its descriptor, for the next one: open it before they are counted.
KEPT = "from multiprocessing import get_context; get_context('fork').Value('q', 0)"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def asked(arm, state, workers=2):
    return ("shared updates", arm, {"state": state, "workers": workers})


@pytest.mark.parametrize("found", ONE_EACH, ids=lambda found: found.version)
def test_every_arm_updates_every_state_on_every_interpreter(found):
    calls = [asked(arm, state) for arm in UPDATES.arms for state in updates.STATES]
    results = call(calls, found.path, KEPT)
    for result in results:
        assert list(result) == list(UPDATES.columns)
        assert result["updates_count"] >= 2 * 9
        assert result["used_cores"] > 0
        assert result["cpu_per_update_s"] > 0
    # A dictionary in a server: CPU time 400 times that of threads wherever this was tried.
    assert results[3]["cpu_per_update_s"] > 20 * results[1]["cpu_per_update_s"]
    assert results[3]["cpu_per_update_s"] > 10 * results[2]["cpu_per_update_s"]


@pytest.mark.parametrize("workers", UPDATES.sweep["workers"])
def test_every_worker_makes_whole_rounds_of_updates_and_one_to_warm_up(workers):
    for result in call([asked(arm, state, workers) for arm in UPDATES.arms for state in updates.STATES], first=KEPT):
        assert result["updates_count"] % 8 == workers % 8


def test_the_process_that_serves_tells_its_cpu_time_since_the_first_word():
    with updates._shared("processes", "dictionary") as (_, _, server):
        assert server.spent_s() == 0
        told = []
        for _ in range(3):
            server.begin()
            told.append(server.spent_s())
        assert 0 < told[0] < told[1] < told[2]


def test_the_process_that_serves_is_in_the_cpu_time(monkeypatch):
    # It says an hour; 2 workers of 50 ms cannot have used that.
    monkeypatch.setattr(updates._Clock, "spent_s", lambda _: 3600.0)
    served = updates.measure("processes", "dictionary", 2, window_s=0.01)
    assert served["cpu_per_update_s"] * served["updates_count"] > 3600
    assert served["used_cores"] > 100


@pytest.mark.parametrize("arm", UPDATES.arms)
@pytest.mark.parametrize("state", updates.STATES)
def test_a_lost_update_is_an_exception_in_the_arm(arm, state):
    loses = (
        "from labkit.child import updates\n"
        f"true = updates._ADD['{state}']\n"
        f"updates._ADD['{state}'] = lambda state, lock, times: true(state, lock, times - (times > 1))"
    )
    done = start([asked(arm, state)], first=loses)
    assert done.returncode == 1
    assert "updates were made under the lock, and" in done.stderr


def test_without_fork_processes_say_so():
    told = call([asked("processes", state) for state in updates.STATES], first="del os.fork")
    assert told == ["this system cannot fork a process"] * 2


@pytest.mark.parametrize(
    ("what", "state", "words"),
    [
        ("semaphores", "number", "lets processes share no number: This platform lacks a functioning sem_open"),
        ("a place to write", "number", "lets processes share no number: [Errno 30] Read-only file system"),
        ("a place to write", "dictionary", "in a process of its own: the process ended before it listened"),
        ("processes", "dictionary", "in a process of its own: [Errno 11] Resource temporarily unavailable"),
    ],
)
def test_a_system_without_what_processes_share_says_so(what, state, words):
    run = supervise.run(without, what=what, state=state)
    assert run.ending is Ending.UNAVAILABLE, run
    assert words in run.reason
    assert run.receipt.clean


def test_a_supervised_run_leaves_nothing_to_remove():
    for trial in plan(UPDATES, repeats=1, seed=0, arms=["processes"], sweep={"state": list(updates.STATES)}):
        run = begin(trial, limits=UPDATES.limits).wait().check()
        assert run.receipt.clean
        assert len(run.receipt.processes_removed) <= 1  # the server, or a resource tracker, that is ending just then
        assert not run.receipt.names_removed


@pytest.mark.parametrize(("name", "value"), [("state", "list"), ("workers", 8), ("workers", 0), ("workers", True)])
def test_what_is_not_offered_is_refused_before_anything_starts(name, value):
    from labkit.errors import BadValue

    with pytest.raises(BadValue, match="allowed"):
        plan(UPDATES, repeats=1, seed=0, sweep={name: value})


def runs(arm, cpu_s, state="number", workers=2, *, repeats=3):
    """Make runs up, each a little different."""
    made = []
    for n in range(repeats):
        result = dict.fromkeys(UPDATES.columns, 1) | {"cpu_per_update_s": cpu_s * (1 + n / 100)}
        params = {"state": state, "workers": workers}
        trial = Trial(workload="m:f", experiment="shared updates", arm=arm, params=params)
        made.append(Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result))
    return made


def both(ratio, state="number", workers=2, *, repeats=3):
    slow = runs("processes", ratio * 3e-7, state, workers, repeats=repeats)
    return runs("threads", 3e-7, state, workers, repeats=repeats) + slow


UNFINISHED = [replace(run, ending=Ending.TIMED_OUT, result={}) for run in both(5)]


@pytest.mark.parametrize(
    ("made", "outcome", "words"),
    [
        (both(5), "holds", "of a number by 2 workers 5 times (303 ns and 1.52 us) the CPU time"),
        (both(5) + both(500, "dictionary"), "holds", "of a dictionary by 2 workers 500 times (303 ns and 152 us)"),
        (both(5, workers=4), "holds", "of a number by 4 workers 5 times"),
        (both(5) + both(1, workers=4) + both(1, workers=1), "holds", "of a number by 2 workers 5 times"),
        (both(5) + runs("processes", 1e-9, workers=4), "holds", "by 2 workers 5 times"),
        (both(5, workers=4) + both(1, repeats=2), "holds", "by 4 workers 5 times"),
        (both(5) + UNFINISHED, "holds", "by 2 workers 5 times"),
        (both(1), "does not hold", "of a number by 2 workers 1 times"),
        (both(0.5) + both(1.1, "dictionary"), "does not hold", "0.5 times"),
        (both(5) + both(1, "dictionary"), "too close to call", "of a dictionary by 2 workers 1 times"),
        (both(1.25), "too close to call", "of a number by 2 workers 1.25 times"),
        (both(5, workers=1), "cannot be measured here", "not measured yet"),
        (both(5, repeats=2), "cannot be measured here", "not measured yet"),
        (runs("threads", 1e-7) + runs("processes", 1e-6, workers=4), "cannot be measured here", "not measured yet"),
        (runs("threads", 1e-7) + runs("processes", 1e-4, "dictionary"), "cannot be measured here", "not measured yet"),
        (UNFINISHED, "cannot be measured here", "not measured yet"),
        ([], "cannot be measured here", "not measured yet"),
    ],
)
def test_every_state_that_was_measured_decides(made, outcome, words):
    verdict = ledger.judge(UPDATES, frame(made))[CLAIM]
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.low <= verdict.effect <= verdict.high
        assert verdict.runs_count in (6, 12)
        assert verdict.unit


def words_of(made):
    return {text.get_text() for text in drawn(UPDATES, made)[1]}


def test_the_picture_tells_states_and_arms_apart():
    assert {"303 ns  threads", "1.52 us  processes", "number"} <= words_of(both(5))
    assert {"152 us  processes", "dictionary"} <= words_of(both(5) + both(500, "dictionary"))
    lines = words_of(both(5) + both(6, workers=4) + both(500, "dictionary", 4))
    assert {"threads, number", "processes, dictionary"} <= lines
    assert {"threads\nnumber", "processes\nnumber"} <= words_of(both(5) + both(6, workers=4))
