"""The explorer on classic programs: what it says is what an independent oracle says of a machine written by hand."""

from __future__ import annotations

import functools
import json
import os
import subprocess

import pytest
from classics import CLASSICS, FORMS
from classics_replay import replay, summary
from oracle import DEADLOCK, SPINS, solve

from labkit.interleave.explore import explore
from labkit.runs.interpreters import find

TESTS = os.path.dirname(os.path.abspath(__file__))
EXECUTIONS_MOST = 20_000
BROKEN = [name for name, form in FORMS.items() if form.kind]


@functools.cache
def explored(name):
    """Return what the explorer says of a form; it has all the time that it needs, for a slow machine is no mistake."""
    form = FORMS[name]
    return explore(
        form.functions,
        setup=form.setup,
        check=form.check,
        outcome=form.outcome,
        executions_most=EXECUTIONS_MOST,
        seconds_most=60.0,
    )


def test_there_are_enough_classics_and_each_has_a_name_of_its_own():
    assert len(CLASSICS) >= 40
    assert len(FORMS) == 2 * len(CLASSICS)
    assert all(classic.broken.kind and not classic.mended.kind for classic in CLASSICS)
    assert {form.kind for form in FORMS.values()} == {
        None,
        "wrong result",
        "deadlock",
        "exception",
        "livelock",
        "spins for ever",
    }


@pytest.mark.parametrize("name", FORMS)
def test_the_oracle_finds_what_was_expected_by_hand(name):
    form, report = FORMS[name], solve(FORMS[name].machine)
    assert report.verdict == form.verdict
    assert (form.kind in report.kinds) if form.kind else not report.kinds


@pytest.mark.parametrize("name", FORMS)
def test_the_explorer_says_what_the_oracle_says(name):
    form, report, result = FORMS[name], solve(FORMS[name].machine), explored(name)
    assert result.verdict == form.verdict, result.reason
    assert result.kind in (report.kinds - ({"livelock"} if form.verdict == "bug" else set()) or {None}), result.reason
    assert {outcome.text for outcome in result.outcomes} == report.outcomes
    assert result.executions < EXECUTIONS_MOST


@pytest.mark.parametrize("name", FORMS)
def test_an_outcome_that_is_not_allowed_is_one_that_the_check_refuses(name):
    form, result = FORMS[name], explored(name)
    refused = {outcome.text for outcome in result.outcomes if not outcome.allowed}
    assert bool(refused) == (form.verdict == "bug")
    stuck = {DEADLOCK, SPINS} & {outcome.text for outcome in result.outcomes}
    assert stuck <= refused


@pytest.mark.parametrize("name", BROKEN)
def test_a_witness_replays(name):
    result = explored(name)
    assert result.token
    again = replay(name, result.token)
    assert summary(again) == summary(result)
    assert again.verdict == ("bug" if result.verdict == "bug" else "not finished")  # one schedule proves nothing
    assert again.schedule == result.schedule
    assert {outcome.text for outcome in again.outcomes} <= {outcome.text for outcome in result.outcomes}


def test_every_witness_replays_on_every_other_interpreter(tmp_path):
    expected = {name: summary(explored(name)) for name in BROKEN}
    tokens = json.dumps({name: explored(name).token for name in BROKEN})
    path = os.pathsep.join([os.path.dirname(TESTS), TESTS])
    for python in find()[1:]:
        safe = [] if python.version.startswith("3.10.") else ["-P"]  # 3.10 has no -P; the folder is empty
        answer = subprocess.run(
            [python.path, *safe, "-m", "classics_replay"],
            input=tokens,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
            env={"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert answer.returncode == 0, (python, answer.stderr)
        found = json.loads(answer.stdout)
        assert found.keys() == expected.keys(), python
        assert [name for name in BROKEN if found[name] != expected[name]] == [], python
