"""Answers that predict a measurement: what decides, what is said, and one real check from the cell to the card."""

import threading
import time
from dataclasses import replace

import pytest
from answers import asked_here, measured_as, typed, with_a_gil

from labkit.child import predicted
from labkit.course.exercises import predict_the_curve
from labkit.course.lesson import Compared
from labkit.model import Ending, Part
from labkit.show import measured
from labkit.show.exercise import ExerciseCard, check

CURVE = predict_the_curve.EXERCISE
(PROBE,) = CURVE.probes
ONE = replace(PROBE, settings=({"work": "sort", "workers": 2},))


def says(number):
    return (Part("a", 1, f"def cores(work, workers):\n    return {number}\n"),)


@pytest.fixture
def here(monkeypatch):
    """Ask in this process."""
    monkeypatch.setattr(measured, "ask", asked_here)


@pytest.fixture
def measuring(monkeypatch, here):
    """Return a function that fixes what one measurement after the other gives."""

    def fix(*cores):
        left = iter(cores)
        monkeypatch.setattr(measured, "measure", measured_as(lambda **_: next(left)))

    return fix


# ------------------------------------------------------------------------------------------------- what decides
@pytest.mark.parametrize(
    ("said", "cores", "state", "count"),
    [
        (2, (2.0,), "fits", 1),  # as high as can be: bad luck makes it no higher
        (2, (1.6,), "fits", 1),
        (2, (2.66,), "fits", 1),
        (2, (1.0, 2.0), "fits", 2),
        (2, (1.0, 1.59, 2.0), "fits", 3),
        (2, (1.0, 1.0, 1.59), "wrong", 3),
        (1.6, (1.6,), "fits", 1),
        (9, (2.0, 2.0, 2.0), "wrong", 3),
        (1, (1.0, 1.0), "fits", 2),  # it might fit by bad luck
        (1, (0.8, 1.33), "fits", 2),
        (1, (1.0, 2.0, 1.0), "fits", 3),
        (1, (1.0, 2.0, 2.0), "wrong", 3),
        (1, (2.0, 2.0), "wrong", 2),
        (1, (0.7, 1.4), "wrong", 2),
        (1, (0.0, 0.0), "wrong", 2),
    ],
)
def test_no_single_stroke_of_luck_decides(said, cores, state, count, measuring):
    measuring(*cores)
    came = measured.compare(ONE, says(said))
    assert (came.state, len(came.rows)) == (state, 1)
    assert came.rows[0].measured == cores[:count]
    assert ("✔ yes" in came.in_text()) == (state == "fits")


def test_the_first_setting_that_differs_ends_it(measuring):
    measuring(1.0, 1.0, 1.0, 1.0)
    came = measured.compare(PROBE, (Part("a", 1, "def cores(work, workers):\n    return workers\n"),))
    assert (came.state, [row.setting["workers"] for row in came.rows]) == ("wrong", [1, 4])
    assert came.message.startswith("`cores('Python loop', 4)` says 4, and 1.00 cores were measured. ")
    assert came.in_text().splitlines()[-1] == "Python loop | 4 | 4 | 1.00, 1.00, 1.00 | ✘ no"


@pytest.mark.parametrize("values", [{"ending": Ending.TIMED_OUT}, {"result": {}}, {"result": {"demanded_cores": None}}])
def test_without_a_measurement_nothing_is_said_of_the_answer(values, here, monkeypatch):
    monkeypatch.setattr(measured, "measure", measured_as(with_a_gil, **values))
    found = check(CURVE, typed(CURVE.solution))
    assert found.state == "cannot check"
    assert "Nothing is said of the answer" in found.message
    assert "Run the cell again" in found.message


def test_a_number_that_is_none_is_no_measurement(measuring):
    measuring(float("nan"))
    assert measured.compare(ONE, says(2)).state == "cannot check"


def test_an_interrupt_is_no_verdict(here, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measured, "measure", interrupted)
    found = check(CURVE, typed(CURVE.solution))
    assert (found.state, found.message) == ("not finished", "Interrupted. Run the cell again.")


# ---------------------------------------------------------------------------------- whatever the interpreter is
def test_without_a_gil_the_measurement_decides_as_well(monkeypatch):
    monkeypatch.setattr(measured, "ask", lambda probe, source: asked_here(probe, source, gil=False))
    monkeypatch.setattr(measured, "measure", measured_as(lambda work, workers: 0.97 * workers))  # noqa: ARG005
    assert check(CURVE, typed(CURVE.solution)).state == "proved"
    assert check(CURVE, typed("def cores(work, workers):\n    return float(workers)\n")).state == "proved"
    for wrong in CURVE.wrong[1:]:
        found = check(CURVE, typed(wrong.source))
        assert found.state == "wrong", wrong.name
        assert "needs the GIL" not in found.message
        assert "waits for the GIL" not in found.message


@pytest.mark.parametrize(
    ("off", "words"),
    [
        (Compared({"work": "Python loop", "workers": 2}, 2, (1.0,), gil=False), "something makes the threads wait"),
        (Compared({"work": "sha256", "workers": 2}, 2, (1.0,), gil=True), "no second core is to be had here"),
        (Compared({"work": "sha256", "workers": 2}, 2, (1.5,), gil=True), "not as much as you say"),
        (Compared({"work": "Python loop", "workers": 2}, 1, (1.9,), gil=True), "gives the GIL away"),
        (Compared({"work": "sort", "workers": 2}, 0.5, (1.0,), gil=True), "take turns do not rest"),
    ],
)
def test_what_is_said_fits_what_was_measured(off, words):
    assert words in PROBE.judge(off)


# --------------------------------------------------------------------------------------------- what is predicted
def test_what_merely_looks_different_has_not_changed():
    (told,) = predicted.told_of(lambda *_: object(), [{"n": 1}])
    assert told[0] == "no number"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import os\ndef cores(work, workers):\n    os._exit(3)\n", "exited without a result (exit code 3)"),
        ("def cores(work, workers):\n    raise KeyboardInterrupt\n", "raised KeyboardInterrupt"),
        ("def cores(work, workers):\n    return workers.cores\n", "fails with `AttributeError: 'int' object has no"),
    ],
)
def test_an_answer_that_gives_none_ends_in_its_child(source, words, monkeypatch):
    monkeypatch.setattr(measured, "measure", None)  # nothing is measured
    found = check(CURVE, typed(source))
    assert (found.state, words in found.message) == ("wrong", True), found.message
    assert found.comparison.rows == ()


def test_an_endless_answer_ends_soon(monkeypatch):
    monkeypatch.setattr(measured, "_ASKED", replace(measured._ASKED, deadline_s=0.5))
    found = check(CURVE, typed("def cores(work, workers):\n    while True:\n        pass\n"))
    assert (found.state, "ran past its deadline" in found.message) == ("wrong", True)


# --------------------------------------------------------------------------------------------------- as a whole
def test_a_right_prediction_is_right_here_and_beside_a_busy_neighbour():
    """The solution asks the interpreter, so it is right on each; the neighbour takes one core of this machine."""
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            sum(range(1000))

    neighbour = threading.Thread(target=compute)
    neighbour.start()
    try:
        found = check(CURVE, typed(CURVE.solution))
    finally:
        stop.set()
        neighbour.join()
    assert found.state == "proved", found.message
    assert len(found.comparison.rows) == len(PROBE.settings)


def test_a_prediction_that_is_wrong_on_every_interpreter_is_found_out_here():
    half = next(one for one in CURVE.wrong if one.name.startswith("half"))
    found = check(CURVE, typed(half.source))
    assert (found.state, half.message in found.message) == ("wrong", True), found.message


def test_the_card_shows_both_numbers(here, monkeypatch):
    monkeypatch.setattr(measured, "measure", measured_as(with_a_gil))
    card = ExerciseCard(check(CURVE, typed(CURVE.solution)), 1, "")
    page = card._repr_html_()
    assert "✔ Right, as measured here" in page
    assert "<caption" in page
    assert "Your prediction beside the measurement, in cores" in page
    assert "within 25 % of it?" in page
    assert page.count("✔ yes") == len(PROBE.settings)
    assert f"All {len(PROBE.settings)} predictions lie within 25 % of the measurement" in repr(card)
    assert "sha256 | 2 | 2 | 1.88 | ✔ yes" in repr(card)
    assert "<table" not in ExerciseCard(check(CURVE, typed(CURVE.wrong[-1].source)), 1, "")._repr_html_()


def test_a_stub_measures_nothing(monkeypatch):
    monkeypatch.setattr(measured, "ask", None)
    before = time.process_time()
    assert check(CURVE, typed(CURVE.stub)).state == "not yet"
    assert time.process_time() - before < 1
