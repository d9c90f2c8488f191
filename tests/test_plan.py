"""The plan: which trials, in which order. Nothing is run here."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import experiments
from labkit.errors import BadValue
from labkit.runs.plan import plan

LOST = experiments.experiment("lost updates")
MANY = dataclasses.replace(LOST, pythons=True)
some = {name: st.lists(st.sampled_from(list(values)), min_size=1, max_size=2) for name, values in LOST.sweep.items()}


@given(
    repeats=st.integers(1, 6),
    seed=st.integers(-(2**63), 2**63 - 1),
    arms=st.none() | st.lists(st.sampled_from(list(LOST.arms)), min_size=1),
    sweep=st.fixed_dictionaries({}, optional=some),
)
def test_every_block_holds_every_arm_and_setting_once(repeats, seed, arms, sweep):
    trials = plan(LOST, repeats=repeats, seed=seed, arms=arms, sweep=sweep)
    settings = itertools.product(*(dict.fromkeys(sweep.get(name, [LOST.defaults[name]])) for name in LOST.sweep))
    wanted = Counter(itertools.product(set(arms or LOST.arms), settings))
    for block in range(repeats):
        held = [(t.arm, tuple(t.params[name] for name in LOST.sweep)) for t in trials if t.block == block]
        assert Counter(held) == wanted
    assert [t.block for t in trials] == sorted(t.block for t in trials)
    assert {t.seed for t in trials} == {seed}
    assert plan(LOST, repeats=repeats, seed=seed, arms=arms, sweep=sweep) == trials


@given(words=st.lists(st.sampled_from(["own", "GIL", "free-threaded", "3.12", "3.14t"]), min_size=1))
def test_every_block_holds_every_arm_on_every_interpreter_once(words):
    trials = plan(MANY, repeats=2, seed=1, arms=["threads", "isolated processes"], pythons=words)
    wanted = Counter(itertools.product((0, 1), ("threads", "isolated processes"), set(words)))
    assert Counter((t.block, t.arm, t.python) for t in trials) == wanted


def test_a_plan_asks_no_interpreter(monkeypatch):
    monkeypatch.setattr("labkit.runs.pythons.find", lambda: pytest.fail("interpreters were looked for"))
    assert {t.python for t in plan(MANY, repeats=1, seed=0, pythons=["own", "GIL"])} == {"own", "GIL"}
    assert {t.python for t in plan(MANY, repeats=1, seed=0)} == {"own"}


def test_the_seed_decides_the_order_within_blocks():
    orders = {tuple(t.arm for t in plan(LOST, repeats=3, seed=seed)) for seed in range(20)}
    assert len(orders) > 1


def test_a_number_between_the_offered_ones_is_taken():
    assert {t.params["workers"] for t in plan(LOST, repeats=1, seed=0, sweep={"workers": [3, 5]})} == {3, 5}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"sweep": {"workers": []}}, "at least one value"),
        ({"sweep": {"workers": True}}, "a whole number from 1 to 8"),
        ({"sweep": {"workers": float("nan")}}, "a whole number from 1 to 8"),
        ({"sweep": {"switch_interval_s": float("nan")}}, "a number from"),
        ({"sweep": {"switch_interval_s": 1.0}}, "a number from"),
        ({"sweep": {"lock": "on"}}, "allowed: False, True"),
        ({"repeats": 1.5}, "a whole number from 1 to 1000"),
        ({"repeats": True}, "a whole number from 1 to 1000"),
        ({"repeats": 1001}, "a whole number from 1 to 1000"),
        ({"seed": "1"}, "a whole number"),
        ({"seed": 2**63}, "of 64 bits"),
        ({"pythons": ["GIL"]}, "allowed: nothing: 'lost updates' is measured on this notebook's Python only"),
        ({"repeats": 1000}, "the number of trials is 3000; allowed: at most 2000"),
    ],
)
def test_what_is_not_allowed_is_refused(asked, words):
    with pytest.raises(BadValue, match=words):
        plan(LOST, **{"repeats": 1, "seed": 0, **asked})


def test_several_interpreters_count_as_trials():
    with pytest.raises(BadValue, match="the number of trials is 2400; allowed: at most 2000"):
        plan(MANY, repeats=400, seed=0, pythons=["own", "GIL"])
