"""CPU-bound work: each way really runs, the quiet gate is kept, and the judges say what the numbers say."""

import itertools
from dataclasses import replace

import pytest

from labkit import artists, ledger
from labkit.child import busy
from labkit.experiments import cpu_bound, experiment, waiting
from labkit.model import Ending, Run, Trial
from labkit.runs.interpreters import find
from labkit.runs.machine import machine
from labkit.runs.supervise import run
from labkit.show.passport import Passport
from labkit.tables import frame

CPU = experiment("cpu bound")
ONE, TWO = 1.1, 1.6  # cores: what the issue of this lesson asks for at two workers
PIECE_S = 0.0005


def made(  # noqa: PLR0913 - a row of a made-up table
    cores, *, arm="threads", python="3.11.7", taken=0.01, piece_s=PIECE_S, runs=3, **setting
):
    """Make runs up that demanded so many cores."""
    numbers = dict.fromkeys(CPU.columns, 1.0) | {"taken_ratio": taken, "cpu_per_piece_s": piece_s}
    trial = Trial(workload="m:f", experiment=CPU.name, arm=arm, params=CPU.defaults | setting)
    return [
        Run(trial=trial, ending=Ending.FINISHED, python=python, result=numbers | {"demanded_cores": cores + n / 1000})
        for n in range(runs)
    ]


def verdicts(*runs):
    return ledger.judge(CPU, frame(itertools.chain(*runs)))


@pytest.mark.parametrize(("arm", "least", "most"), [("threads", 0.9, ONE), ("processes", TWO, 2.1)])
def test_threads_share_one_core_under_a_gil_and_processes_do_not(arm, least, most):
    result = run(CPU.arms[arm], work="Python loop", workers=2, python=with_a_gil()).check().result
    assert least <= result["demanded_cores"] <= most
    assert result["pieces_count"] > 0
    assert result["used_cores"] <= result["demanded_cores"] + 1e-9
    assert 0 <= result["taken_ratio"] <= 1
    assert result.keys() == CPU.columns.keys()


@pytest.mark.parametrize("arm", CPU.arms)
def test_nobody_shares_a_core_without_a_gil(arm, free_threaded):
    result = run(CPU.arms[arm], work="Python loop", workers=2, python=free_threaded.path).check().result
    assert TWO <= result["demanded_cores"] <= 2.1


def test_subinterpreters_share_a_gil_before_each_had_its_own():
    for one in find():
        if one.gil and one.subinterpreters:
            result = run(CPU.arms["subinterpreters"], work="Python loop", workers=2, python=one.path).check().result
            own = tuple(map(int, one.version.split(".")[:2])) >= (3, 12)
            assert (result["demanded_cores"] >= TWO) == own, one
            assert (result["demanded_cores"] <= ONE) == (not own), one


def with_a_gil():
    return next(one.path for one in find() if one.gil)


def test_the_quietest_window_is_kept_and_a_quiet_one_ends_the_search(monkeypatch):
    told = iter([{"taken_ratio": 0.5, "n": 1}, {"taken_ratio": 0.1, "n": 2}, {"taken_ratio": 0.3, "n": 3}])
    monkeypatch.setattr(cpu_bound.rounds, "play", lambda *_, **_how: [])
    monkeypatch.setattr(cpu_bound, "_summed", lambda _, **_gil: next(told))
    assert cpu_bound._quietest("threads", "Python loop", 2) == {"taken_ratio": 0.1, "n": 2, "windows_count": 3}
    told = iter([{"taken_ratio": 0.5, "n": 1}, {"taken_ratio": 0.04, "n": 2}])
    assert cpu_bound._quietest("threads", "Python loop", 2) == {"taken_ratio": 0.04, "n": 2, "windows_count": 2}


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        ([made(1.0), made(1.99, arm="processes")], "holds", "on 3.11.7: Python loop 1.00 and 1.99."),
        (
            [made(1.99, python="3.13.5t"), made(1.98, arm="processes", python="3.13.5t")],
            "does not hold",
            "on 3.13.5t: Python loop 1.99 and 1.98.",
        ),
        ([made(1.7), made(1.9, arm="processes")], "too close to call", "1.70 and 1.90"),
        ([made(1.0), made(1.99, arm="processes", runs=2)], "cannot be measured here", "not measured yet"),
        ([made(1.0), made(1.99, arm="processes", taken=0.05)], "cannot be measured here", "not measured yet"),
        ([made(1.0, workers=1), made(1.0, arm="processes", workers=1)], "cannot be measured here", "not measured yet"),
        (
            [made(1.98, work="sha256"), made(1.97, arm="processes", work="sha256")],
            "does not hold",
            "sha256 1.98 and 1.97",
        ),
    ],
)
def test_processes_are_judged_by_quiet_runs_of_both(runs, outcome, words):
    verdict = verdicts(*runs)["choice.cpu_bound"]
    assert (verdict.outcome, words in verdict.sentence) == (outcome, True), verdict
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.runs_count == sum(map(len, runs))


def test_runs_of_other_workers_take_no_verdict_away():
    """As when a student moves a bench of threads alone, after both were measured with more workers."""
    both = [made(1.0, workers=4), made(3.99, arm="processes", workers=4)]
    verdict = verdicts(*both, made(1.0))["choice.cpu_bound"]
    assert (verdict.outcome, verdict.runs_count) == ("holds", 6)


def test_the_exceptions_are_told():
    c_code = made(1.98, work="sha256")
    verdict = verdicts(made(1.0), made(1.99, arm="processes"), c_code)["choice.cpu_bound"]
    assert "But threads demand several cores as well on 3.11.7: sha256 1.98." in verdict.sentence
    assert verdict.runs_count == 6


def test_the_oldest_interpreter_with_a_gil_decides_and_the_others_are_told():
    other = [made(1.99, python="3.13.5t"), made(1.98, arm="processes", python="3.13.5t")]
    verdict = verdicts(*other, made(1.0), made(1.99, arm="processes"), made(1.0, python="3.9.1", arm="processes"))
    assert verdict["choice.cpu_bound"].outcome == "holds"
    assert "on 3.11.7: Python loop 1.00 and 1.99; on 3.13.5t" in verdict["choice.cpu_bound"].sentence


def test_runs_that_were_not_quiet_are_counted_in_the_reason():
    verdict = verdicts(made(1.0, taken=0.2), made(1.9, arm="processes", taken=0.2))["choice.cpu_bound"]
    assert "in 6 of 6 runs others took more than 4 % of the cores" in verdict.reason
    assert not verdict.unasked


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        ([made(1.0)], "does not hold", "on 3.11.7: Python loop 1.00."),
        ([made(1.0), made(1.97, work="sha256")], "holds", "It is the GIL that decides"),
        ([made(1.0), made(1.97, python="3.13.5t")], "holds", "on 3.13.5t: Python loop 1.97"),
        ([made(1.97, python="3.13.5t")], "holds", "Python loop 1.97."),
        ([made(1.1985)], "too close to call", "1.20"),
        ([made(1.97, arm="processes")], "cannot be measured here", "not measured yet"),
    ],
)
def test_threads_can_use_several_cores_if_they_do_somewhere(runs, outcome, words):
    verdict = verdicts(*runs)["faq.os_schedules_threads"]
    assert (verdict.outcome, words in verdict.sentence) == (outcome, True), verdict


def test_threads_in_each_others_way_are_told():
    python, work = "3.13.5t", "shared dict"
    alone = made(1.0, workers=1, python=python, work=work)
    dear = made(1.9, workers=2, python=python, work=work, piece_s=2 * PIECE_S)
    said = verdicts(alone, dear)["faq.os_schedules_threads"].sentence
    assert "shared dict on 3.13.5t takes 2.0 times the CPU time in 2 threads" in said
    same = made(1.9, workers=2, python=python, work=work, piece_s=1.1 * PIECE_S)
    assert "way" not in verdicts(alone, same)["faq.os_schedules_threads"].sentence


@pytest.mark.parametrize(
    ("system", "words"), [("Linux 6.1", "A recorded run"), ("Darwin 24", "cores demanded are cores")]
)
def test_what_is_missing_here_is_said(system, words):
    alone = replace(machine(), interpreters=(), cores_count=1.0, system=system)
    told = " ".join(CPU.expect(alone))
    assert words in told
    assert "With less than two cores to use" in told
    assert "No free-threaded build is installed here" in told


def test_without_a_second_core_the_lesson_shows_a_recorded_run():
    alone = Passport("gil", replace(machine(), cores_count=1.0), ())._repr_html_()
    assert "A machine with two cores" in alone
    assert "Recorded, not measured here: founders" in alone
    assert "Recorded" not in Passport("gil", replace(machine(), cores_count=2.0), ())._repr_html_()


def test_a_quota_is_no_neighbour(monkeypatch):
    """Two workers with the time of one core: they demand two, use all that there is, and nobody took anything."""
    monkeypatch.setattr(busy, "usable", lambda: (1.0, "a quota"))
    monkeypatch.setattr(busy, "can_tell", lambda: True)
    stop_ns = round(cpu_bound._WINDOW_S * 1e9)
    half_s = cpu_bound._WINDOW_S / 2
    shares = [busy.Share(10, half_s, 0.0, half_s, 0.0, 0, 0, stop_ns, stop_ns)] * 2
    found = cpu_bound._summed(shares, one_gil=False)
    assert (found["demanded_cores"], found["taken_ratio"]) == (pytest.approx(2.0), pytest.approx(0.0))
    window_ns = round(waiting._WINDOW_S * 1e9)
    half_s = waiting._WINDOW_S / 2
    shares = [busy.Share(10, half_s, 0.0, half_s, 0.0, 0, 0, window_ns, window_ns)] * 2
    assert waiting._given(shares, one_gil=False) == pytest.approx(1.0)


def test_an_interpreter_that_is_missing_is_no_unfinished_run():
    missing = [replace(one, ending=Ending.UNAVAILABLE, python="", result={}) for one in made(1.0)]
    failed = [replace(made(1.0)[0], ending=Ending.TIMED_OUT, result={})]
    assert artists.unfinished(frame([*made(1.0), *missing])) == 0
    assert artists.unfinished(frame([*made(1.0), *missing, *failed])) == 1
    assert artists.unfinished(frame(missing)) == 3
