"""How an exploration is asked for, where it runs, and what becomes of a child that crashes, hangs or is interrupted.

What the engine finds is tested elsewhere; here a fake engine stands in its place, in the kernel and in the child.
"""

import dataclasses
import functools
import json
import signal
import sys
import threading
import types

import explorer_programs as programs
import pytest

from labkit.errors import BadValue, BadWorkload
from labkit.interleave.in_child import DATA_BYTES_MOST, as_data
from labkit.interleave.result import Lane, Outcome, Result, Step, from_json
from labkit.limits import Limits
from labkit.model import Event, Part
from labkit.runs.supervise import begin
from labkit.show import explorer
from labkit.show.explorer import Exploration, explore

FAKE = """
import sys, time, types
from labkit.errors import BadWorkload
from labkit.interleave.result import Result

def explore(functions, *, setup=None, check=None, outcome=None, progress=None, **limits):
    MODE
    workers = functions if isinstance(functions, list) else [functions]
    state = [setup()] if setup else []
    for function in workers:
        function(*state)
    text = f"{[f.__name__ for f in workers]}, outcome {outcome}, limits {sorted(limits.items())}"
    right = check is None or check(*state)
    ending = ("proved", None) if right else ("bug", "wrong result")
    return Result(verdict=ending[0], kind=ending[1], reason=text, executions=7)

module = types.ModuleType("labkit.interleave.explore")
module.explore = explore
sys.modules["labkit.interleave.explore"] = module
del explore, module
"""


@pytest.fixture
def engine(monkeypatch):
    """Put a fake engine into children and into this process; returns a function that says what it does first."""

    def fake(first="pass"):
        text = FAKE.replace("MODE", first)
        space = {}
        before = sys.modules.get("labkit.interleave.explore")
        exec(text, space)
        module = sys.modules["labkit.interleave.explore"]
        monkeypatch.setitem(module.__dict__, "__name__", "labkit.interleave.explore")
        if before is None:
            monkeypatch.delitem(sys.modules, "labkit.interleave.explore")
        monkeypatch.setitem(sys.modules, "labkit.interleave.explore", module)

        def begin_with_it(trial, **given):
            source = (Part("fake engine", 1, text), *trial.source)
            return begin(dataclasses.replace(trial, source=source), **given)

        monkeypatch.setattr(explorer, "begin", begin_with_it)

    fake()
    return fake


def generator():
    yield 1


async def coroutine():
    pass


def needs(n):
    return n


def needs_two(state, other):
    return state, other


def without_source():
    space = {}
    exec("def work():\n    pass", space)
    return types.FunctionType(space["work"].__code__.replace(co_filename="<nowhere>"), {"__name__": "x"}, "work")


# ---------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (
            [[3]],
            BadValue,
            "functions is 3; allowed: one function, or a list of 1 to 4 functions. Pass the function itself",
        ),
        ([None], BadValue, "functions is None"),
        ([[]], BadValue, "1 to 4 functions, one for each thread. Pass at least one"),
        ([[programs.inc] * 5], BadValue, "functions is 'a list of 5'; allowed: 1 to 4 .* 369,600"),
        ([programs.Account], BadValue, "one function"),
        ([[needs, programs.inc]], BadWorkload, "needs needs n, and is called without arguments. .*setup="),
        ([needs_two], BadWorkload, "needs state, other"),
        ([generator], BadWorkload, "generator is a generator: calling it would run nothing"),
        ([coroutine], BadWorkload, "coroutine is async"),
        ([without_source()], BadWorkload, "work has no source that can be found"),
    ],
)
def test_what_is_no_function_of_the_right_kind_is_refused(given, error, words):
    with pytest.raises(error, match=words):
        explore(*given)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"setup": 3}, BadValue, "setup is 3; allowed: a function"),
        ({"setup": needs}, BadWorkload, "needs needs n. As a part of lab.explore, setup takes no argument"),
        ({"setup": dict, "check": needs_two}, BadWorkload, "one argument at most, the state"),
        ({"check": True}, BadValue, "check is True; allowed: a function. Pass the function itself, or a lambda"),
        ({"check": needs}, BadWorkload, "is called without arguments"),
        ({"check": generator}, BadWorkload, "is a generator"),
        ({"outcome": "no name"}, BadValue, "outcome is 'no name'; allowed: a function, or the name of a global"),
        ({"outcome": ["a", 1]}, BadValue, "outcome is"),
        (
            {"executions_most": 0},
            BadValue,
            "executions_most is 0; allowed: a whole number above 0 and at most 10,000,000",
        ),
        ({"executions_most": 1.5}, BadValue, "executions_most"),
        ({"executions_most": True}, BadValue, "executions_most"),
        ({"seconds_most": -1}, BadValue, "seconds_most is -1; allowed: a number of seconds above 0 and at most 500"),
        ({"seconds_most": float("nan")}, BadValue, "seconds_most"),
        ({"seconds_most": "5"}, BadValue, "seconds_most"),
        ({"steps_most": 10**9}, BadValue, "steps_most"),
        ({"token": 5}, BadValue, "token is 5"),
        ({"where": "here"}, BadValue, "where is 'here'; allowed: 'auto', 'child', 'kernel'"),
        ({"where": []}, BadValue, "where"),
        ({"python": "/no/such/python"}, BadValue, "python is"),
        ({"python": "python3", "where": "kernel"}, BadValue, "python is"),
    ],
)
def test_other_values_that_are_not_allowed_are_refused(given, error, words):
    with pytest.raises(error, match=words):
        explore([programs.inc], **given)


# ------------------------------------------------------------------------------------------------ where it runs
def test_functions_of_a_module_are_explored_in_a_child(engine):
    found = explore([programs.inc, programs.inc], check=programs.both)
    assert (found.verdict, found.kind, found.executions) == ("proved", None, 7)
    assert found.where == "in a child process"
    assert found.run.receipt.clean
    assert programs.counter == 0


def test_arguments_reach_the_engine(engine):
    limits = {"executions_most": 5, "seconds_most": 2, "steps_most": 9}
    expected = str(sorted({**limits, "token": "abc"}.items()))
    for where in ("child", "kernel"):
        found = explore(
            [programs.deposit], setup=programs.Account, check=programs.rich, token="abc", where=where, **limits
        )
        assert (found.verdict, found.kind) == ("bug", "wrong result")
        assert found.reason == f"['deposit'], outcome None, limits {expected}"


def test_one_function_is_not_made_a_list(engine):
    engine("assert callable(functions), functions")
    for where in ("child", "kernel"):
        assert explore(programs.inc, where=where).verdict == "proved"
    programs.counter = 0


def test_names_as_the_outcome_reach_the_engine(engine):
    for names in ("counter", ["counter", "lock"]):
        expected = [names] if isinstance(names, str) else names
        assert f"outcome {expected}" in explore([programs.at_most_two], outcome=names, where="kernel").reason


def test_what_cannot_travel_is_explored_in_the_kernel_which_the_result_says(engine):
    seen = []

    def closure():
        seen.append(threading.current_thread())

    found = explore([closure])
    assert found.verdict == "proved"
    assert found.where.startswith("in the kernel: ")
    assert "closure" in found.where
    assert seen == [threading.main_thread()]
    with pytest.raises(BadWorkload, match="closure"):
        explore([closure], where="child")


@pytest.mark.parametrize("work", [[].append, functools.partial(programs.inc), programs.Account().__init__])
def test_methods_and_partials_are_explored_in_the_kernel(engine, work):
    engine("return Result(verdict='proved')")
    setup = list if getattr(work, "__name__", "") == "append" else None
    assert explore([work], setup=setup).where.startswith("in the kernel: ")


def test_as_asked_it_runs_in_the_kernel(engine):
    assert explore([programs.at_most_two], where="kernel").where == "in the kernel: as asked"


def test_a_refusal_of_the_engine_is_raised_in_the_kernel_too(engine):
    engine("raise BadWorkload('check', 'raises ValueError', 'Mend it.')")
    for where in ("child", "kernel"):
        with pytest.raises(BadWorkload, match=r"^check raises ValueError. Mend it.$"):
            explore([programs.inc], where=where)


# ------------------------------------------------------------------------------------------- children that fail
@pytest.mark.parametrize(
    ("work", "words"),
    [
        (programs.crash, "was killed by SIGABRT"),
        (programs.endless, "ran past its deadline"),
    ],
)
def test_a_child_that_fails_gives_cannot_check(engine, monkeypatch, work, words):
    monkeypatch.setattr(explorer, "_MARGIN_S", 0.5)
    found = explore([work], seconds_most=0.5)
    assert found.verdict == "cannot check"
    assert words in found.reason
    assert found.where == "in a child process"
    assert found.run.receipt.clean


def test_an_engine_that_fails_gives_cannot_check(engine):
    engine("1 / 0")
    for where in ("child", "kernel"):
        found = explore([programs.inc], where=where)
        assert found.verdict == "cannot check"
        assert "ZeroDivisionError" in found.reason
        assert "in explore" in (found.run.error if found.run else found.error)


def test_too_much_memory_gives_cannot_check(engine, monkeypatch):
    monkeypatch.setattr(explorer, "_MEMORY_BYTES", 64 << 20)
    engine("hog = bytearray(400 << 20); time.sleep(20)")
    found = explore([programs.inc])
    assert (found.verdict, "memory" in found.reason) == ("cannot check", True)


TELLS = "[(progress(n, n / 50, 0.1), time.sleep(0.15)) for n in (3, 5, 8)]"


@pytest.mark.parametrize("where", ["child", "kernel"])
def test_an_interrupt_ends_the_search_and_says_what_is_known(engine, where):
    engine(f"{TELLS}; time.sleep(30)")
    threading.Timer(2.0, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
    found = explore([programs.inc], where=where, seconds_most=60)
    assert found.verdict == "not finished"
    assert found.reason.startswith("Interrupted after ")
    assert found.executions in {0, 3, 5, 8}
    assert found.seconds < 25


def test_progress_is_shown_after_a_moment(engine, monkeypatch):
    shown = []

    class Page:
        def open(self):
            shown.append("opened")

        def update(self, make, **_):
            shown.append(make())

    monkeypatch.setattr(explorer, "LivePlace", Page)
    monkeypatch.setattr(explorer, "in_notebook", lambda: True)
    monkeypatch.setattr(explorer, "_QUIET_S", 0.0)
    engine(TELLS)
    for where in ("child", "kernel"):
        shown.clear()
        explore([programs.at_most_two], where=where)
        assert shown[0] == "opened"
        assert "3 executions so far, about 50 in all" in shown[1]
        assert shown[-1].startswith("<p>Explored 8 executions in ")


def test_nothing_is_shown_where_there_is_no_page(engine, capsys):
    engine(TELLS)
    explore([programs.at_most_two], where="kernel")
    assert capsys.readouterr().out == ""


# ------------------------------------------------------------------------------------------------- what it sends
def long_result(steps):
    step = Step(0, "write", "x", "v" * 1000, "cell", (1, 0, 1, 5), "x = 1")
    events = tuple(Event(n, 0, 0, "write", "x", "v") for n in range(steps))
    values = {"threads": (Lane("A", "f"),), "witness": (step,) * steps, "events": events, "schedule": (0,) * steps}
    return Result(
        verdict="bug", reason="It is wrong.", outcomes=(Outcome("\ud800", 1, allowed=False, schedule=(0, 1)),), **values
    )


def test_a_result_comes_back_as_it_was():
    found = dataclasses.replace(long_result(3), outcomes=(Outcome("x = 1", 1, allowed=False, schedule=(0, 1)),))
    assert from_json(json.loads(json.dumps(as_data(found)))) == found


def test_a_long_witness_is_cut_with_a_note():
    data = as_data(long_result(5000))
    kept = len(data["witness"])
    assert 100 < kept < 5000
    assert len(json.dumps(data)) <= DATA_BYTES_MOST
    assert len(data["events"]) == kept
    assert len(data["schedule"]) == 5000
    assert (
        data["reason"]
        == f"It is wrong. (Too long to be sent whole: the witness is cut after {kept} of its 5000 steps.)"
    )
    assert data["outcomes"][0][0] == "\\ud800"


def test_replay_needs_a_witness():
    with pytest.raises(BadWorkload, match="no witness to replay"):
        Exploration(verdict="proved").replay()


def test_replay_hands_the_token_on(engine):
    engine("return Result(verdict='bug', token='T' + limits['token'])")
    found = explore([programs.inc])
    assert found.token == "T"
    assert found.replay().token == "TT"


def test_the_limits_of_the_child_are_allowed():
    assert Limits(deadline_s=500 + explorer._MARGIN_S, memory_bytes=explorer._MEMORY_BYTES)


def test_an_exploration_is_neither_true_nor_false():
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(Exploration(verdict="proved"))
