"""What a notebook shows, without a browser: the bench, a measurement, cards, and what is said when something fails."""

from __future__ import annotations

import re
import sys
import threading
import time

import pytest

import labkit as lab
from labkit import experiments
from labkit.errors import BadValue
from labkit.limits import Limits
from labkit.model import Ending, Experiment, Receipt, Run, Trial, Verdict
from labkit.show import html, results
from labkit.show.bench import bench
from labkit.show.measure import Measurement, measure
from labkit.show.passport import setup

LOST = experiments.experiment("lost updates")
SHORT = {"lost updates": {"rounds": 1}, "deadlock": {"rounds": 5}}
BENCHES = [  # those of the lessons, each with one arm
    (LOST, "threads"),
    (experiments.experiment("deadlock"), "opposite order"),
    (experiments.experiment("philosophers"), "left fork first"),
]


@pytest.fixture
def short_bench():
    """Give a bench of one arm that answers soon, and take away what it keeps ready."""
    made = []

    def make(tried=LOST, arm="threads", repeats=3, **start):
        panel = bench(tried, repeats=repeats, arms=[arm], **{**SHORT.get(tried.name, {}), **start})
        made.append(panel)
        return panel

    yield make
    for panel in made:
        panel.close()


def test_showing_a_bench_measures_its_first_setting(short_bench):
    panel = short_bench()
    panel._ipython_display_()
    assert [run.ending for run in panel.runs] == [Ending.FINISHED] * 3
    assert {run.trial.params["workers"] for run in panel.runs} == {2}


def test_a_moved_slider_measures_the_new_setting_and_keeps_the_old_runs(short_bench):
    panel = short_bench()
    panel._ipython_display_()
    panel.controls._sliders["workers"].value = 4
    panel.wait()
    assert [run.trial.params["workers"] for run in panel.runs] == [2, 2, 2, 4, 4, 4]
    assert [run.trial.params["workers"] for run in panel.latest] == [4, 4, 4]


@pytest.mark.parametrize(("tried", "arm", "name"), [(*bench, name) for bench in BENCHES for name in bench[0].sweep])
def test_every_slider_works_at_its_ends_and_in_the_middle(short_bench, tried, arm, name):
    values = list(tried.sweep[name])
    panel = short_bench(tried, arm, repeats=1)
    for value in (values[0], values[len(values) // 2], values[-1]):
        panel.controls._sliders[name].value = value
        panel._ask()
        panel.wait()
        assert [run.trial.params[name] for run in panel.latest] == [value]
        assert [run.ending for run in panel.latest] == [Ending.FINISHED]
        assert results.report(tried, panel.latest).count("<img") == 1


def test_a_newer_request_ends_the_run_in_flight(short_bench):
    panel = short_bench()
    panel.experiment = hanging(60.0)
    panel._ask()
    until(lambda: panel._live is not None)
    panel.experiment = LOST
    asked = time.monotonic()
    panel._ask()
    panel.wait()
    assert time.monotonic() - asked < 30
    assert len(panel.latest) == 3


def test_stop_ends_a_hang_and_keeps_what_was_measured(short_bench):
    panel = short_bench()
    panel._ipython_display_()
    panel.experiment = hanging(60.0)
    panel._ask()
    until(lambda: panel._live is not None)
    panel.stop()
    panel.wait()
    assert panel.latest == []
    assert len(panel.runs) == 3


def test_a_failure_while_measuring_is_shown_and_raised(short_bench):
    panel = short_bench()

    def draw(table, axes):
        raise ZeroDivisionError("drawn wrong")

    shown = []
    panel._place.update = lambda make, **_: shown.append(make())
    panel.experiment = changed(LOST, draw=draw)
    panel._ask()
    with pytest.raises(ZeroDivisionError, match="drawn wrong"):
        panel.wait()
    assert 'role="alert"' in shown[-1]
    assert "ZeroDivisionError: drawn wrong" in shown[-1]


def test_a_failing_callback_is_shown_and_raised(short_bench):
    panel = short_bench()
    for tick in panel.controls._ticks.values():
        tick.unobserve_all()
        tick.value = False
    shown, update = [], panel._place.update
    panel._place.update = lambda make, **how: shown.append(make()) or update(make, **how)
    panel.controls._run.click()  # no arm is ticked: refused by the plan
    with pytest.raises(BadValue, match="Choose at least one"):
        panel.wait()
    assert 'role="alert"' in shown[-1]
    assert "Tick at least one arm." in shown[-1]
    assert "BadValue" not in shown[-1]
    panel.controls._ticks["threads"].value = True
    panel.controls._run.click()
    panel.wait()
    assert len(panel.latest) == 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"workers": 99}, "workers is 99; allowed: a whole number from 1 to 8"),
        ({"workers": 2.0}, "workers is 2.0; allowed: a whole number"),
        ({"lock": 1}, "lock is 1; allowed: False, True"),
        ({"body": "x"}, "body is 'x'; allowed: "),
        ({"colour": 1}, "parameter is 'colour'; allowed: 'body'"),
        ({"repeats": 0}, "repeats is 0; allowed: a whole number from 1 to 1000"),
        ({"arms": ["thread"]}, "arms is 'thread'; allowed: 'threads'"),
        ({"arms": []}, "Choose at least one"),
    ],
)
@pytest.mark.parametrize("ask", [bench, measure])
def test_what_is_not_allowed_is_refused_before_a_process_starts(monkeypatch, ask, wrong, words):
    monkeypatch.setattr("labkit.runs.keepers._spawn", lambda *_: pytest.fail("a process was started"))
    with pytest.raises(BadValue, match=re.escape(words)):
        ask("lost updates", **wrong)


def test_an_unknown_experiment_is_refused_with_the_names():
    with pytest.raises(BadValue, match="creation cost"):
        measure("gained updates")
    with pytest.raises(BadValue, match="an Experiment, or the name of one"):
        measure(3)


def test_a_measurement_holds_every_arm_once_per_block():
    measured = measure(LOST, repeats=2, seed=7, rounds=1)
    assert [(run.trial.block, run.trial.seed) for run in measured] == [
        (block, 7) for block in (0, 1) for _ in LOST.arms
    ]
    assert {run.trial.arm for run in measured[:3]} == set(LOST.arms)
    assert list(measured.table["arm"]) == [run.trial.arm for run in measured]
    assert "left 0" in repr(measured)


def test_interrupting_a_measurement_keeps_what_was_measured(monkeypatch):
    drawn = []

    def draw_then_interrupt(*args, **kwargs):
        drawn.append(1)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return ""

    monkeypatch.setattr("labkit.show.live._INTERVAL_S", 0.0)
    monkeypatch.setattr("labkit.show.results.report", draw_then_interrupt)
    measured = measure(LOST, repeats=3, arms=["threads"], rounds=1)
    assert len(measured) == 2
    assert measured.note == "Interrupted: 2 of 3 runs were measured, and are kept."


def test_quick_mode_repeats_less(monkeypatch):
    monkeypatch.setenv("LABKIT_QUICK", "1")
    assert bench(LOST).repeats == 3
    assert bench(LOST, quick=False).repeats == 7
    monkeypatch.setenv("LABKIT_QUICK", "0")
    assert bench(LOST).repeats == 7


def test_text_from_outside_cannot_become_markup():
    nasty = "<script>alert('x')</script>"
    run = Run(
        trial=Trial(workload="m:f", arm=nasty), ending=Ending.RAISED, error=nasty, output=nasty, result={nasty: nasty}
    )
    verdict = Verdict(outcome="holds", sentence=nasty, reason=nasty)
    shown = (
        html.run_card(run)
        + html.sentences([(nasty, verdict)])
        + html.alert(nasty, nasty)
        + html.rows([nasty], [[nasty]], nasty)
    )
    shown += html.figure(b"", nasty + '"')
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 10


def test_the_receipt_names_what_was_ended_and_what_is_left():
    receipt = Receipt(3, ("12 sleep",), ("13 stuck",), ("lk1_x",), (), 4, folder_left=False)
    line = html.receipt_line([receipt, Receipt(1)])
    assert line.startswith("Receipt: processes started 4, left 1; shared memory left 0")
    assert "12 sleep" in line
    assert "STILL THERE: 13 stuck" in line


def test_a_measurement_shows_picture_alt_text_table_verdict_and_receipt():
    made = [row(arm, block, lost) for block, lost in enumerate((10, 12, 14)) for arm in LOST.arms]
    shown = Measurement(LOST, made)._repr_html_()
    assert re.search(r'<img [^>]*alt="[^"]{40,}"', shown)
    assert "<table>" in shown
    assert "The article:" in shown
    assert "Receipt: processes started" in shown


def test_runs_that_did_not_finish_are_named():
    failed = Run(
        trial=Trial(workload="m:f", arm="threads", experiment=LOST.name), ending=Ending.TIMED_OUT, deadline_s=2.0
    )
    assert "threads ran past its deadline of 2 s" in results.report(LOST, [failed])


def test_the_passport_says_what_to_expect_in_the_lesson():
    card = setup("06_lost_updates")
    assert card.expected
    assert "This machine" in card._repr_html_()
    assert "Python: " in repr(card)
    assert len(setup("start_here").expected) > len(card.expected)


@pytest.mark.parametrize("slug", ["nowhere", "", 3])
def test_an_unknown_lesson_is_refused(slug):
    with pytest.raises(BadValue, match="lost_updates"):
        setup(slug)


def row(arm, block, lost):
    result = dict.fromkeys(LOST.columns, 1.0) | {
        "lost_count": lost,
        "lost_ratio": lost / 100,
        "rounds_with_loss_count": 5,
    }
    params = dict(LOST.defaults)
    trial = Trial(workload="m:f", arm=arm, experiment=LOST.name, params=params, block=block)
    return Run(trial=trial, ending=Ending.FINISHED, elapsed_s=0.1, python="3.11.7", result=result, receipt=Receipt(1))


def hanging(deadline_s):
    """Make the experiment's threads arm a function that never returns."""
    return changed(LOST, arms={**LOST.arms, "threads": wait_for_ever}, limits=Limits(deadline_s=deadline_s))


def wait_for_ever(**parameters):
    threading.Event().wait()


def changed(experiment: Experiment, **fields):
    import dataclasses

    return dataclasses.replace(experiment, **fields)


def until(ready, limit_s=20.0):
    end = time.monotonic() + limit_s
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_a_picture_that_fails_costs_none_of_the_runs():
    def draw(table, axes):
        raise ZeroDivisionError("drawn wrong")

    measured = measure(changed(LOST, draw=draw), repeats=2, arms=["threads"], rounds=1)
    assert [run.ending for run in measured] == [Ending.FINISHED] * 2
    with pytest.raises(ZeroDivisionError):
        measured._repr_html_()


def test_recorded_runs_show_themselves_and_are_labelled(tmp_path):
    made = [row(arm, block, 10) for block in range(3) for arm in LOST.arms]
    path = lab.save(made, tmp_path / "runs.jsonl")
    shown = lab.load(path)
    assert tuple(shown) == tuple(made)
    assert "Recorded, not measured here: " in shown._repr_html_()
    assert "Recorded, not measured here: " in repr(shown)
    assert "interpreters" not in path.read_text()


def test_settings_are_said_in_words_also_from_a_table():
    measured = Measurement(LOST, [row("threads", 0, 10)])
    shown = measured._repr_html_()
    assert "lock off; workers 2; rounds 5; switch interval 5 ms" in shown


def test_runs_of_no_experiment_come_back_plain(tmp_path):
    run = Run(trial=Trial(workload="m:f"), ending=Ending.EXITED, exit_code=3)
    assert lab.load(lab.save([run], tmp_path / "runs.jsonl")).runs == (run,)


def test_the_alt_text_says_the_numbers_of_the_picture():
    made = [row(arm, block, lost) for block, lost in enumerate((10, 12, 14)) for arm in LOST.arms]
    (alt,) = re.findall(r'alt="([^"]*)"', results.report(LOST, made))
    assert "threads: 12 % in 3 runs" in alt
    assert "isolated processes: 12 % in 3 runs" in alt


def test_the_machine_lists_its_interpreters_this_one_first():
    here = lab.machine()
    assert here.interpreters[0].version == here.python
    assert here.interpreters[0].path == sys.executable
