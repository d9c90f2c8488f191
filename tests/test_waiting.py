"""The experiment on waiting: each arm run on each interpreter, its server, and its judges from made-up tables."""

from __future__ import annotations

import os
import signal
import time

import pytest
from test_arms import call, start
from test_experiments import drawn, made_up

from labkit import ledger
from labkit.child import echo, waiting
from labkit.experiments import experiment
from labkit.model import Ending, Run, Trial
from labkit.runs.interpreters import find
from labkit.tables import frame

WAITING = experiment("waiting")
# One interpreter of each series: 3.13 and 3.13t are two, 3.11.2 and 3.11.7 are one.
ONE_EACH = list({(one.version.rsplit(".", 1)[0], one.gil): one for one in find()}.values())
IO, MORE = "choice.io_bound", "faq.more_threads"
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def asked(arm, work, workers):
    return ("waiting", arm, {"work": work, "workers": workers})


@pytest.mark.parametrize("found", ONE_EACH, ids=lambda found: found.version)
def test_every_arm_does_every_task_on_every_interpreter(found):
    arms = [arm for arm in WAITING.arms if arm != "subinterpreters" or found.subinterpreters]
    calls = [asked(arm, work, 2) for arm in arms for work in WAITING.sweep["work"]]
    for (_, arm, params), result in zip(calls, call(calls, found.path), strict=True):
        assert list(result) == list(WAITING.columns)
        assert result["tasks_count"] >= 1
        assert 0 <= result["taken_ratio"] < 1, (arm, params)
        if params["work"] != "compute":  # a wait is never shorter than asked for, so no worker does more than this
            # A window of 0.15 s holds 30 waits; time in the run queue is given back, and is no time spent waiting.
            assert result["tasks_count"] <= 2 * (0.15 / waiting.TASK_S + 1) / (1 - result["taken_ratio"])
            assert result["task_s"] >= waiting.TASK_S * (1 - result["taken_ratio"]) * 0.99
            assert result["used_cores"] < 1


def test_eight_workers_wait_at_once_and_threads_with_a_gil_compute_in_turn():
    # On an idle machine 7.9, 7.9 and 1.0. A try that others disturbed is repeated; eight in a row are no luck.
    gil = next(one.path for one in find() if one.gil)
    calls = [asked("threads", work, n) for work in ("sleep", "socket echo", "compute") for n in (1, 8)]
    for _ in range(8):
        results = call(calls, gil)
        sleep, socket, compute = (results[n + 1]["tasks_per_s"] / results[n]["tasks_per_s"] for n in (0, 2, 4))
        if sleep > 4 and socket > 4 and compute < 2:
            return
    pytest.fail(f"8 threads: sleep {sleep:.2f}, socket {socket:.2f}, compute {compute:.2f} times one")


@pytest.mark.parametrize("arm", WAITING.arms)
def test_a_wrong_answer_of_the_server_is_an_exception_in_the_arm(arm):
    wrong = "from labkit.child import echo; echo._answer = lambda connection, _: connection.sendall(b'wrong!!!')"
    done = start([asked(arm, "socket echo", 2)], first=wrong)
    assert done.returncode == 1
    assert "the server gave a wrong answer to request 1" in done.stderr


def test_a_round_in_which_nobody_came_to_work_is_an_exception():
    late = "import time; from labkit.child import rounds; rounds.time = type('', (), {'monotonic_ns': lambda: 0})"
    done = start([asked("threads", "sleep", 1)], first=late)
    assert done.returncode == 1
    assert "no worker came to its first task" in done.stderr


def test_the_server_echoes_each_request_after_its_while_and_ends_with_the_block():
    with echo.server(0.02) as port, echo.asking(port) as one, echo.asking(port) as other:
        began = time.monotonic()
        one()
        other()
        assert time.monotonic() - began >= 0.04
    with pytest.raises(ConnectionRefusedError), echo.asking(port):
        pass


def test_the_server_ends_by_itself_if_everybody_forgets_it(monkeypatch):
    monkeypatch.setattr(echo, "_LIFE_S", 1)
    statuses = []
    monkeypatch.setattr(echo.os, "kill", lambda pid, _: statuses.append(os.waitpid(pid, 0)[1]))
    with pytest.raises(ChildProcessError), echo.server(0.001) as port, echo.asking(port) as ask:
        ask()
    assert statuses == [signal.SIGALRM]


@pytest.mark.parametrize(("name", "value"), [("work", "swim"), ("workers", 9), ("workers", 0), ("workers", "2")])
def test_what_is_not_offered_is_refused_before_anything_starts(name, value):
    from labkit.errors import BadValue
    from labkit.runs.plan import plan

    with pytest.raises(BadValue, match="allowed"):
        plan(WAITING, repeats=1, seed=0, sweep={name: value})


def runs(arm="threads", work="sleep", *, rates, python="3.13.0", repeats=3):
    """Make runs up: rates by workers, each run a little different."""
    made = []
    for workers, rate in rates.items():
        for n in range(repeats):
            tasks = rate * (1 + n / 100)
            result = {"tasks_per_s": tasks, "task_s": workers / tasks, "used_cores": 0.1, "taken_ratio": 0.0}
            trial = Trial(workload="m:f", experiment="waiting", arm=arm, params={"work": work, "workers": workers})
            result["tasks_count"] = 30
            made.append(Run(trial=trial, ending=Ending.FINISHED, python=python, result=result))
    return made


GROWS, FLAT = {1: 195, 2: 390, 8: 1550}, {1: 200, 2: 200, 8: 190}
COMPUTES = runs(work="compute", rates=FLAT)
FREE = runs(work="compute", rates={1: 200, 8: 390}, python="3.13.5t")


@pytest.mark.parametrize(
    ("made", "claim", "outcome", "words"),
    [
        (runs(rates=GROWS), IO, "holds", "sleep on 3.13.0, 8 workers: threads 7.95, ideal 8."),
        (runs(rates=GROWS) + runs("processes", rates=GROWS), IO, "holds", "threads 7.95, processes 7.95, ideal 8"),
        (runs(rates=GROWS) + runs(rates=FLAT, work="socket echo"), IO, "does not hold", "socket echo on 3.13.0"),
        (runs(rates=FLAT), IO, "does not hold", "threads 0.95"),
        (runs(rates={1: 200, 2: 298}), IO, "too close to call", "2 workers: threads 1.49"),
        (runs(rates=GROWS, repeats=2), IO, "cannot be measured here", "not measured yet"),
        (runs(rates={8: 1550}), IO, "cannot be measured here", "not measured yet"),
        (runs("processes", rates=GROWS), IO, "cannot be measured here", "not measured yet"),
        (COMPUTES, IO, "cannot be measured here", "not measured yet"),
        (runs(rates=GROWS) + runs(rates=GROWS, python="3.13.5t"), IO, "holds", "sleep on 3.13.5t, 8 workers"),
        (runs(rates={1: 195}) + runs(rates={8: 1550}, python="3.12.1"), IO, "cannot be measured here", "not measured"),
        (runs(rates=GROWS) + COMPUTES, MORE, "holds", "8 threads do 0.95 times what one does, and a task takes 8.4"),
        (runs(rates=GROWS) + COMPUTES + FREE, MORE, "holds", "compute on 3.13.5t: 8 threads do 1.9 times what one"),
        (runs(rates=GROWS) + FREE, MORE, "does not hold", "compute on 3.13.5t: 8 threads do 1.9 times what one"),
        (runs(rates=FLAT) + COMPUTES, MORE, "does not hold", "sleep on 3.13.0: 8 threads do 0.95 times"),
        (runs(rates={1: 200, 2: 298}) + COMPUTES, MORE, "too close to call", "2 threads do 1.5 times what one does"),
        (runs(rates=GROWS), MORE, "cannot be measured here", "not measured yet"),
        (COMPUTES, MORE, "cannot be measured here", "not measured yet"),
    ],
)
def test_the_claims_are_judged_by_the_throughput_beside_one_thread(made, claim, outcome, words):
    verdict = ledger.judge(WAITING, frame(made))[claim]
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.low <= verdict.effect <= verdict.high
        assert verdict.runs_count >= 6
        assert verdict.unit


def test_the_reason_names_what_is_lacking():
    assert "of threads that compute," in ledger.judge(WAITING, frame(runs(rates=GROWS)))[MORE].reason
    assert "of threads that wait," in ledger.judge(WAITING, frame(COMPUTES))[MORE].reason
    assert "that wait and of threads that compute" in ledger.judge(WAITING, frame([]))[MORE].reason


def test_the_picture_tells_work_and_interpreters_apart_and_draws_the_ideal_line():
    ax, texts = drawn(WAITING, runs(rates=GROWS) + COMPUTES + FREE)
    words = {text.get_text() for text in texts}
    labels = {"threads 3.13.0 sleep", "threads 3.13.0 compute", "threads 3.13.5t compute", "ideal: n times one"}
    assert labels <= words
    faces = [line.get_markerfacecolor() for line in ax.lines]
    assert faces.count("white") == 1
    assert list(ax.lines[-1].get_ydata()) == pytest.approx([1.01 * 195, 8 * 1.01 * 195])


@pytest.mark.parametrize("sweep", [{}, {"workers": (1, 2, 4, 8)}, {"work": WAITING.sweep["work"]}])
def test_many_interpreters_are_taken_together_and_said_so(sweep):
    from dataclasses import replace

    versions = ("3.10.13", "3.11.7", "3.12.1", "3.13.0", "3.14.0", "3.13.5t")
    made = [replace(run, python=python) for python in versions for run in made_up(WAITING, 3, **sweep)]
    _, texts = drawn(WAITING, made)
    assert "pooled over versions of Python" in " ".join(text.get_text() for text in texts)
    assert len(texts) <= 32
    assert min(text.get_fontsize() for text in texts) >= 12
