"""Words for interpreters: what each means here, what is missing, and what a measurement and a bench make of it."""

from __future__ import annotations

import dataclasses
import re

import pytest

import labkit as lab
from labkit import experiments
from labkit.errors import BadValue
from labkit.limits import Limits
from labkit.model import Ending, Interpreter, Trial
from labkit.runs import interpreters, pythons, supervise
from labkit.runs.pythons import chosen_pythons, distinct, interpreter_of, missing, word_of
from labkit.show import bench as bench_room
from labkit.show import interpreters as shown
from labkit.show.passport import Passport

LOST = experiments.experiment("lost updates")
# What the bench and the measurement of an experiment on several interpreters do, whatever it measures.
MANY = dataclasses.replace(LOST, pythons=True)
HERE = "this kernel"


def made(version, *, gil=None, where="PATH", path=None):
    """Make an interpreter that was found; a version with a t runs without a GIL, unless told otherwise."""
    on = not version.endswith("t") if gil is None else gil
    return Interpreter(path or f"/p/{version}", version, on, subinterpreters=True, found_in=where)


OWN = made("3.11.7", where=HERE)
USUAL = (OWN, made("3.11.2"), made("3.9.1"), made("3.10.13"), made("3.13.0"), made("3.13.5t"), made("3.14.2t"))
FREE_KERNEL = (made("3.13.5t", where=HERE), made("3.12.1"), made("3.13.9"), made("3.14.0t"))


@pytest.fixture
def found(monkeypatch):
    """Return a function that says which interpreters this machine has."""

    def find(*those):
        for module in (pythons, shown, interpreters):
            monkeypatch.setattr(module, "find", lambda **_: those)

    return find


# ---------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, ["own"]),
        ("GIL", ["GIL"]),
        (["GIL", "free-threaded"], ["GIL", "free-threaded"]),
        (("3.13", "3.13t", "own", "3.13"), ["3.13", "3.13t", "own"]),
        (["3.10", "3.13.0", "3.14.12t"], ["3.10", "3.13.0", "3.14.12t"]),
    ],
)
def test_a_word_or_several_are_taken_in_their_order(given, words):
    assert chosen_pythons(given) == words


WRONG = [
    "",
    "gil",
    "3",
    "3.9",
    "3.12t",
    "3.1",
    "3.133",
    "3.13T",
    "3.13tt",
    "3.13.",
    "3.13.01",
    "3.13\n",
    " 3.13",
    "4.0",
]
WRONG += ["2.7", "python3.13", "/usr/bin/python3", "3.१३", "free", 3.13, 3, True, None, b"GIL", ["GIL"], {"GIL": 1}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@pytest.mark.parametrize("ask", [chosen_pythons, lambda names: lab.measure(MANY, pythons=names)])
def test_what_is_no_word_is_refused_before_anything_is_looked_for(ask, wrong, monkeypatch):
    for name in ("labkit.runs.keepers._spawn", "labkit.runs.pythons.find"):
        monkeypatch.setattr(name, lambda *_: pytest.fail("a process was started"))
    with pytest.raises(
        BadValue, match=r"pythons is .*; allowed: 'own', 'GIL', 'free-threaded', or a version from 3\.10"
    ):
        ask(["own", wrong])
    if wrong not in (None, ["GIL"]):
        with pytest.raises(BadValue, match="pythons is "):
            ask(wrong)


@pytest.mark.parametrize("nothing", [[], ()])
def test_no_word_at_all_is_refused(nothing):
    with pytest.raises(BadValue, match="Choose at least one"):
        chosen_pythons(nothing)


def test_an_experiment_that_does_not_tell_interpreters_apart_takes_no_words():
    with pytest.raises(BadValue, match="'lost updates' is measured on this notebook's Python only"):
        lab.measure(LOST, pythons=["GIL"])


# ---------------------------------------------------------------------------------------------------- meaning
@pytest.mark.parametrize(
    ("there", "word", "version"),
    [
        (USUAL, "own", "3.11.7"),
        (USUAL, "GIL", "3.11.7"),  # the notebook's own has one
        (USUAL, "free-threaded", "3.14.2t"),  # the newest
        (USUAL, "3.11", "3.11.7"),
        (USUAL, "3.11.2", "3.11.2"),
        (USUAL, "3.13", "3.13.0"),  # never 3.13.5t
        (USUAL, "3.13t", "3.13.5t"),
        (USUAL, "3.13.5", None),
        (USUAL, "3.13.0t", None),
        (USUAL, "3.12", None),
        (USUAL, "3.14", None),
        ((OWN, made("3.13.10"), made("3.13.9")), "3.13", "3.13.10"),  # numbers, not text
        (FREE_KERNEL, "own", "3.13.5t"),
        (FREE_KERNEL, "GIL", "3.13.9"),
        (FREE_KERNEL, "free-threaded", "3.13.5t"),  # the notebook's own is one
        (FREE_KERNEL, "3.14t", "3.14.0t"),
        ((OWN,), "free-threaded", None),
        (FREE_KERNEL[:1], "GIL", None),
        ((OWN, made("3.14.0t", gil=True)), "free-threaded", None),  # it answered that its GIL is on
        ((made("3.13.1"), made("3.12.0")), "own", None),  # this kernel did not answer: no other one is taken for it
        ((), "GIL", None),
    ],
)
def test_a_word_means_the_notebooks_own_if_it_fits_else_the_newest(found, there, word, version):
    found(*there)
    meant = interpreter_of(word)
    assert (meant and meant.version) == version


def test_each_interpreter_has_a_word_that_means_it(found):
    for there in (USUAL, FREE_KERNEL):
        found(*there)
        for one in there:
            assert interpreter_of(word_of(one)) == one


@pytest.mark.parametrize(
    ("there", "words", "kept"),
    [
        (USUAL, ["own", "GIL", "3.11", "free-threaded", "3.14t"], ["own", "free-threaded"]),
        (USUAL, ["GIL", "own"], ["GIL"]),
        (FREE_KERNEL, ["own", "GIL", "free-threaded"], ["own", "GIL"]),
        ((OWN,), ["GIL", "free-threaded", "3.14t"], ["GIL", "free-threaded", "3.14t"]),  # each missing one is named
    ],
)
def test_words_that_mean_the_same_interpreter_are_measured_once(found, there, words, kept):
    found(*there)
    assert distinct(words) == kept


@pytest.mark.parametrize(
    ("there", "kinds"),
    [
        (USUAL, []),
        ((OWN,), ["a free-threaded build", "Python 3.14"]),
        ((OWN, made("3.13.5t")), ["Python 3.14"]),
        ((made("3.14.0t", where=HERE),), ["a build with a GIL"]),
        ((OWN, made("3.14.0t", gil=True)), ["a free-threaded build"]),
    ],
)
def test_what_a_lesson_would_like_to_show_is_named_with_the_commands_that_install_it(found, there, kinds):
    found(*there)
    lacking = missing()
    assert [one.what for one in lacking] == kinds
    for one in lacking:
        assert [command.split()[0] for command in one.commands] == ["uv", "conda"]


# ---------------------------------------------------------------------------------------------------- runs
def test_a_trial_on_a_missing_interpreter_ends_at_once_and_says_what_would_install_it(found, monkeypatch):
    monkeypatch.setattr("labkit.runs.keepers._spawn", lambda *_: pytest.fail("a process was started"))
    found(OWN)
    trial = Trial(workload="m:f", arm="threads", python="free-threaded")
    run = supervise.begin(trial, limits=Limits(deadline_s=3)).wait(5)
    assert (run.trial, run.ending, run.deadline_s, run.python) == (trial, Ending.UNAVAILABLE, 3, "")
    assert run.explain() == (
        "cannot be run here: no free-threaded Python is installed (uv python install 3.14t would install one; then "
        "restart the kernel)"
    )
    version = supervise.begin(dataclasses.replace(trial, python="3.12"), limits=Limits()).wait(5)
    assert "no Python 3.12 is installed (uv python install 3.12 would" in version.reason


@pytest.fixture
def other(free_threaded):
    """Return another interpreter than this kernel's, which the word free-threaded means."""
    assert interpreter_of("own") != free_threaded
    return interpreter_of("free-threaded")


def test_a_trial_runs_on_the_interpreter_that_its_word_means(other):
    measured = lab.measure(MANY, repeats=1, arms="threads", rounds=1, pythons=["free-threaded", "own"])
    versions = {run.trial.python: run.python for run in measured}
    assert versions == {"free-threaded": other.version, "own": lab.machine().python}


def test_a_measurement_draws_the_rest_and_names_what_is_missing(found):
    found(*(one for one in interpreters.find() if one.gil))
    measured = lab.measure(MANY, repeats=1, arms="threads", rounds=1, pythons=["own", "GIL", "free-threaded"])
    endings = {run.trial.python: run.ending for run in measured}
    assert endings == {"own": Ending.FINISHED, "free-threaded": Ending.UNAVAILABLE}  # own and GIL are one here
    page = measured._repr_html_()
    assert page.count("<img") == 1
    assert "threads cannot be run here: no free-threaded Python is installed (uv python install 3.14t would" in page


def test_the_table_tells_two_interpreters_apart(other):
    measured = lab.measure(MANY, repeats=1, arms="threads", rounds=1, pythons=["own", "free-threaded"])
    page = measured._repr_html_()
    for one in (interpreters.find()[0], other):
        assert f">{one.version}</td>" in page
        assert f"python {one.version}: " in re.findall(r'alt="([^"]*)"', page)[0]


# ---------------------------------------------------------------------------------------------------- the bench
@pytest.fixture
def panel_of():
    """Return a function that makes a bench of one arm on several interpreters; what it keeps ready is taken away."""
    panels = []

    def make(**asked):
        panels.append(lab.bench(MANY, repeats=1, arms=["threads"], rounds=1, **asked))
        return panels[-1]

    yield make
    for panel in panels:
        panel.close()


def ticks(panel):
    return {word: (tick.description, tick.value) for word, tick in panel.controls._pythons.items()}


def test_a_bench_offers_all_that_are_here_and_names_what_is_missing(found, panel_of):
    found(OWN, made("3.13.0"), made("3.13.0", path="/q/3.13.0"), made("3.12.1"))
    panel = panel_of(pythons=["GIL", "3.12", "3.14t", "own"])
    assert ticks(panel) == {
        "GIL": ("Python 3.11.7 (this notebook, GIL)", True),
        "3.13.0": ("Python 3.13.0 (GIL)", False),  # once: a word could not tell the two installations apart
        "3.12": ("Python 3.12.1 (GIL)", True),
    }
    row = panel.controls._panel.children[-2]
    assert row.children[0].value == "interpreters"
    assert [widget.value for widget in row.children[1].children[3:]] == [
        "Python 3.14t: not installed (<code>uv python install 3.14t</code>)",
        "free-threaded Python: not installed (<code>uv python install 3.14t</code>)",
    ]
    assert panel.controls.pythons() == ["GIL", "3.12"]


def test_a_bench_on_a_free_threaded_kernel(found, panel_of):
    found(*FREE_KERNEL)
    assert ticks(panel_of(pythons=["GIL", "free-threaded"])) == {
        "free-threaded": ("Python 3.13.5t (this notebook, free-threaded)", True),
        "3.12.1": ("Python 3.12.1 (GIL)", False),
        "GIL": ("Python 3.13.9 (GIL)", True),
        "3.14.0t": ("Python 3.14.0t (free-threaded)", False),
    }


def test_a_bench_without_words_offers_none_and_measures_here(panel_of):
    panel = panel_of()
    assert ticks(panel) == {}
    assert len(panel.controls._panel.children) == len(panel.controls._sliders) + 2
    panel._ask()
    panel.wait()
    assert [run.trial.python for run in panel.runs] == ["own"]


def test_a_tick_measures_another_interpreter_and_none_is_refused(panel_of, other):
    panel = panel_of(pythons=["GIL"])
    contents = []
    panel._place.update = lambda make, **_: contents.append(make())
    panel.controls._pythons["free-threaded"].value = True
    panel.wait()
    assert {run.python for run in panel.latest} == {interpreters.find()[0].version, other.version}
    for tick in panel.controls._pythons.values():
        tick.value = False
    with pytest.raises(BadValue, match=r"pythons is \[\]; allowed: .* Choose at least one"):
        panel.wait()
    assert 'role="alert"' in contents[-1]
    assert "Tick at least one interpreter." in contents[-1]
    assert "BadValue" not in contents[-1]


def test_a_worker_is_kept_ready_on_the_interpreter_that_comes_next(panel_of, other, monkeypatch):
    kept = []
    monkeypatch.setattr(bench_room, "prewarm", lambda _, **how: kept.append(how["python"]))
    panel = panel_of(pythons=["free-threaded"])
    panel._ask()
    panel.wait()
    panel._sleep_until_idle()
    assert kept == [other.path]


# ---------------------------------------------------------------------------------------------------- the passport
def test_the_passport_of_the_lesson_shows_what_each_interpreter_answered(found):
    there = (OWN, made("3.12.1")._replace(switch_interval_s=0.01), made("3.13.5t"), made("3.14.0t", gil=True))
    found(*there, made("3.10.1")._replace(subinterpreters=False))
    page = shown.table(pythons.find())
    lines = [re.sub(r"<[^>]+>", "|", line).split("|") for line in re.findall(r"<tr>(.*?)</tr>", page)]
    assert [[cell for cell in line if cell] for line in lines] == [
        ["Python", "GIL", "subinterpreters", "switch interval", "found in"],
        ["3.11.7", "on", "yes, all share one GIL", "5 ms", HERE],
        ["3.12.1", "on", "yes, each with a GIL of its own", "10 ms", "PATH"],
        ["3.13.5t", "off (free-threaded)", "yes, no GIL", "5 ms", "PATH"],
        ["3.14.0t", "on (a free-threaded build)", "yes, each with a GIL of its own", "5 ms", "PATH"],
        ["3.10.1", "on", "none", "5 ms", "PATH"],
    ]
    assert "Not installed" not in page


def test_the_passport_names_what_is_missing_with_each_command_by_itself(found):
    found(OWN)
    page = shown.table(pythons.find())
    assert "Not installed: a free-threaded build, which shows threads that compute on several cores" in page
    assert "<code>uv python install 3.14t</code> or <code>conda create -n free-threaded -c conda-forge" in page


def test_only_the_lesson_on_the_gil_shows_all_interpreters():
    here = lab.machine()
    assert "Interpreters on this machine" in Passport("gil", here, ())._repr_html_()
    assert "Interpreters on this machine" not in Passport("lost_updates", here, ())._repr_html_()
