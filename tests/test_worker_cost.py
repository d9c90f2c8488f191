"""The experiment on the cost of a worker: each arm really run on each interpreter, and every answer checked."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
from test_arms import call, start
from test_experiments import drawn, made_up
from test_waiting import ONE_EACH

from labkit.child import handover, memory, starts
from labkit.experiments import experiment

COST = experiment("worker cost")
WAYS = {"thread": handover.to_thread, "process": handover.to_fork, "subinterpreter": handover.to_interpreter}
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def asked(arm, argument_bytes):
    return ("worker cost", arm, {"argument_bytes": argument_bytes})


@pytest.mark.parametrize("found", ONE_EACH, ids=lambda found: found.version)
def test_every_arm_hands_over_on_every_interpreter(found):
    arms = [arm for arm in COST.arms if arm != "subinterpreter" or found.subinterpreters]
    calls = [asked(arm, size) for arm in arms for size in (8, 1 << 20)]
    results = call(calls, found.path)
    for result in results:
        assert list(result) == list(COST.columns)
        memory = "uss_per_worker_bytes"  # a difference of two readings: what else is given back may be more
        assert result[memory] > -(1 << 20)
        assert all(value >= 0 for name, value in result.items() if name != memory), result
        assert 3 <= result["handed_count"] <= 200
    costs = {arm: [one["handover_cpu_s"] for one in results[2 * n : 2 * n + 2]] for n, arm in enumerate(arms)}
    # CPU times, and ratios of 100 and more wherever this was tried: other load hardly matters.
    for arm in arms[1:]:
        assert costs[arm][1] > 5 * costs[arm][0]
        assert costs[arm][1] > 5 * costs["thread"][1]
    held = {arm: results[2 * n]["uss_per_worker_bytes"] for n, arm in enumerate(arms)}
    assert held["thread"] < min(held[arm] for arm in arms[1:])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("numbers", [[0.5], [n + 0.5 for n in range(100_000)]], ids=len)
def test_the_answer_is_that_of_the_whole_list(way, numbers):
    with WAYS[way]() as ask:
        assert [ask(question, numbers)[0] for question in ("sum", "last", "sum")] == [
            sum(numbers),
            numbers[-1],
            sum(numbers),
        ]


def test_the_cpu_time_of_a_worker_process_is_told_and_of_others_is_in_that_of_this_one():
    numbers = [n + 0.5 for n in range(100_000)]
    for way, worker in WAYS.items():
        with worker() as ask:
            first, second = (ask("sum", numbers)[1] for _ in range(2))
        assert (0 < first < second) if way == "process" else first == second == 0, way


def test_a_worker_that_ends_without_an_answer_is_an_exception_in_the_arm():
    text = "def dies(tasks, answers):\n    pass"
    done = start([asked("process", 8)], first=f"from labkit.child import handover\n{text}\nhandover.serve = dies")
    assert done.returncode == 1
    assert "a worker ended without an answer" in done.stderr or "BrokenPipeError" in done.stderr


def test_a_subinterpreter_that_fails_is_an_exception_in_the_arm():
    wrong = "type('', (str,), {'__repr__': lambda _: '1 / 0'})()"
    fails = f"from labkit.child import subinterpreters; subinterpreters.ROOT = {wrong}"
    done = start([asked("subinterpreter", 8)], first=fails)
    assert done.returncode == 1
    assert "the code in a subinterpreter failed" in done.stderr
    assert "division by zero" in done.stderr


@pytest.mark.parametrize("arm", COST.arms)
@pytest.mark.parametrize(
    ("answer", "words"),
    [("0.25, 0.0", "did not get the numbers"), ("sum(numbers) if question == 'sum' else 0.25, 0.0", "a wrong answer")],
)
def test_a_wrong_answer_is_an_exception_in_the_arm(arm, answer, words):
    way = {"thread": "to_thread", "process": "to_fork", "subinterpreter": "to_interpreter"}[arm]
    lies = (
        "from contextlib import contextmanager\nfrom labkit.child import handover\n"
        f"@contextmanager\ndef lies():\n    yield lambda question, numbers: ({answer})\n"
        f"handover.{way} = lies"
    )
    done = start([asked(arm, 8)], first=lies)
    assert done.returncode == 1
    assert words in done.stderr


def test_what_several_units_take_is_shared_out():
    grown = memory.growth_bytes(starts.held_thread, 4)
    alone = memory.private_bytes(starts.held_fork)
    if not os.path.exists("/proc/self/smaps_rollup"):
        assert grown is alone is None
        return
    assert 0 <= grown < alone


def test_the_picture_tells_start_and_memory_beside_each_worker():
    _, texts = drawn(COST, made_up(COST, 3, argument_bytes=(8, 8 << 20)))
    words = {text.get_text() for text in texts}
    assert any(word.startswith("thread\nstart 11 ms") for word in words)
    assert {"8 B", "8 MiB", "size of the argument"} <= words


def test_a_system_that_tells_no_memory_is_drawn_too():
    made = [replace(run, result={**run.result, "uss_per_worker_bytes": None}) for run in made_up(COST, 3)]
    words = {text.get_text() for text in drawn(COST, made)[1]}
    assert "11 ms\nstart 11 ms" in words


@pytest.mark.parametrize("sizes", [(1 << 20,), (8, 8 << 20)])
def test_many_interpreters_are_taken_together_and_said_so(sizes):
    versions = ("3.10.13", "3.11.7", "3.12.1", "3.13.0", "3.14.0", "3.13.5t")
    runs = [replace(run, python=python) for python in versions for run in made_up(COST, 3, argument_bytes=sizes)]
    ax, texts = drawn(COST, runs)
    assert "pooled over versions of Python" in " ".join(text.get_text() for text in texts)
    assert len(texts) <= 32
    assert sum(line.get_markerfacecolor() == "white" for line in ax.lines) == 3
