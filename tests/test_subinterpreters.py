"""Subinterpreters, and rounds of all three kinds of workers: right answers, failures that hang nobody, nothing left."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
import round_workers

import labkit
from labkit.child import rounds
from labkit.child.subinterpreters import interpreter
from labkit.errors import NotHere
from labkit.model import Ending
from labkit.runs.interpreters import find

KINDS = ["processes", "threads", "subinterpreters"]
FAILURES = ["", "worker 1 before", "worker 2 after"]
MODULES = ("_xxsubinterpreters", "_interpreters", "concurrent.interpreters")


def run_on(one, workload, **params):
    run = labkit.run(workload, python=one.path, **params).check()
    assert run.python == one.version
    assert run.receipt.clean
    assert run.receipt.processes_removed == ()
    return run


def test_every_interpreter_plays_rounds_that_fail_without_hanging_and_leave_nothing():
    for one in find():
        kinds = KINDS if one.subinterpreters else KINDS[:2]
        result = run_on(one, round_workers.rounds_of, kinds=kinds, failures=FAILURES).result
        assert result["left"][0] == result["left"][1]
        for kind in kinds:
            right, *wrong = result["told"][kind]
            names, stops, seen = zip(*right, strict=True)
            assert sorted(names) == ["worker 1", "worker 2"]
            assert len(set(stops)) == 1
            assert set(seen) == ({2} if kind == "threads" else {1})  # only threads share what a module holds
            for told, failure in zip(wrong, FAILURES[1:], strict=True):
                who, when = failure.rsplit(" ", 1)
                assert told.startswith("ValueError: " if kind == "threads" else "RuntimeError: ")
                assert f"{who} failed {when} the barrier" in told


def test_every_interpreter_says_what_the_code_raised_and_can_go_on():
    texts = ["x = 1", "1 +", "raise KeyError('gone')", "import sys; sys.exit(3)", "assert x == 1, 'forgotten'"]
    for one in find():
        if one.subinterpreters:
            told = run_on(one, round_workers.say, texts=texts).result["told"]
            assert [bool(text) for text in told] == [False, True, True, True, False]
            for text, words in zip(told[1:4], ["invalid syntax", "'gone'", "SystemExit"], strict=True):
                assert text.startswith("the code in a subinterpreter failed: ")
                assert words in text


def test_a_worker_that_cannot_even_begin_hangs_nobody(monkeypatch):
    text = rounds._text
    monkeypatch.setattr(rounds, "_text", lambda *given: "1 +" if given[2] == "worker 2" else text(*given))
    told = round_workers.play("subinterpreters")
    assert told.startswith("RuntimeError: the code in a subinterpreter failed: ")
    assert "invalid syntax" in told


@pytest.mark.parametrize("dies", [1, 2, 3])
def test_a_worker_process_that_is_killed_before_the_barrier_calls_the_round_off(dies):
    before = round_workers.left()
    with pytest.raises(RuntimeError, match=r"^a worker process died \(wait statuses \[") as raised:
        rounds.in_processes(partial(killed, dies=f"worker {dies}"), workers=3, duration_s=60)
    statuses = [signal.SIGKILL.value if n == dies else 0 for n in (1, 2, 3)]  # the others gave up by themselves
    assert str(raised.value) == f"a worker process died (wait statuses {statuses})"
    assert round_workers.left() == before
    with pytest.raises(ChildProcessError):  # not even one that is not reaped
        os.waitpid(-1, os.WNOHANG)


def killed(name, wait, *, dies):
    if name == dies:
        os.kill(os.getpid(), signal.SIGKILL)
    wait()


def test_workers_that_come_late_to_the_barrier_are_waited_for():
    assert sorted(rounds.in_processes(late, workers=2, duration_s=0.01)) == ["worker 1", "worker 2"]


def late(name, wait):
    time.sleep(0.25 if name == "worker 2" else 0)  # longer than two looks at who has died
    wait()
    return name


def test_a_function_that_is_not_there_is_named():
    with pytest.raises(RuntimeError, match="has no attribute 'nothing'"):
        rounds.in_subinterpreters("round_workers:nothing", {}, workers=2, duration_s=0.01)
    with pytest.raises(RuntimeError, match="No module named 'no_such_module'"):
        rounds.in_subinterpreters("no_such_module:share", {}, workers=2, duration_s=0.01)


def test_what_a_worker_returns_must_be_json():
    with pytest.raises(RuntimeError, match="not JSON serializable"):
        rounds.in_processes(lambda _, wait: {wait()}, workers=2, duration_s=0.01)


def test_a_python_without_subinterpreters_says_so(monkeypatch):
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotHere, match="this Python cannot make subinterpreters: it has no module "), interpreter():
        pytest.fail("there is one")
    run = labkit.run(without_subinterpreters)
    assert (run.ending, run.reason[:40]) == (Ending.UNAVAILABLE, "this Python cannot make subinterpreters:")


def test_from_3_14_on_the_public_module_makes_runs_and_closes_it(monkeypatch):
    done = []

    class Made:
        def __init__(self):
            done.append("create")

        def exec(self, text):
            done.append(text)
            if text == "wrong":
                raise ValueError("it was wrong")

        def close(self):
            done.append("close")

    monkeypatch.setitem(sys.modules, "concurrent.interpreters", SimpleNamespace(create=Made))
    monkeypatch.setattr(sys, "version_info", (3, 14, 0, "final", 0))
    with interpreter() as execute:
        execute("right")
        with pytest.raises(RuntimeError, match="the code in a subinterpreter failed: it was wrong"):
            execute("wrong")
        execute("right again")
    assert done == ["create", "right", "wrong", "right again", "close"]
    with pytest.raises(RuntimeError, match="it was wrong"), interpreter() as execute:
        execute("wrong")
    assert done[5:] == ["create", "wrong", "close"]


def without_subinterpreters():
    import sys

    sys.modules |= dict.fromkeys(["_xxsubinterpreters", "_interpreters", "concurrent.interpreters"])
    rounds.in_subinterpreters("round_workers:share", {}, workers=2, duration_s=0.01)
