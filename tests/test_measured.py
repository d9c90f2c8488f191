"""Answers that are measured or counted: what decides, what is said, and real checks from the cell to the card."""

import sys
import threading
import time
import tracemalloc
from dataclasses import replace

import pytest
from answers import USUAL_COSTS, asked_here, choosing_here, costs_as, counted_here, measured_as, typed, with_a_gil

from labkit.child import batched, copied, predicted
from labkit.course.exercises import batch_the_client, choose_a_mechanism, find_the_hidden_copy, predict_the_curve
from labkit.course.lesson import Compared
from labkit.model import Ending, Part
from labkit.show import chosen, counted, measured
from labkit.show.exercise import ExerciseCard, check

CURVE, CHOICE = predict_the_curve.EXERCISE, choose_a_mechanism.EXERCISE
BATCH, COPY = batch_the_client.EXERCISE, find_the_hidden_copy.EXERCISE
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
    monkeypatch.setattr(measured, "ASKED", replace(measured.ASKED, deadline_s=0.5))
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


# --------------------------------------------------------------------------------------- choices, and what they cost
@pytest.fixture
def costing(monkeypatch):
    """Return a function that fixes what a tiny message costs with each mechanism, by the usual costs of the others."""
    monkeypatch.setattr(chosen, "ask", choosing_here)

    def fix(*tiny_s, **values):
        tiny = dict(zip(USUAL_COSTS[0], tiny_s, strict=True))
        monkeypatch.setattr(chosen, "measure", costs_as(tiny, *USUAL_COSTS[1:], **values))

    return fix


def tiny_by(mechanism):
    return typed(CHOICE.solution.replace('"pipe"', f'"{mechanism}"'))


@pytest.mark.parametrize(
    ("tiny_s", "mechanism", "state"),
    [
        ((1e-6, 2e-6, 9e-6), "Queue", "proved"),  # just within
        ((1e-6, 2.1e-6, 9e-6), "Queue", "wrong"),
        ((9e-6, 1e-6, 9e-6), "pipe", "wrong"),  # whoever is right elsewhere
        ((9e-6, 1e-6, 9e-6), "Queue", "proved"),
        (("lacks it", 1e-6, 9e-6), "pipe", "wrong"),
        (("lacks it", 5e-6, "lacks it"), "Queue", "proved"),
        (("lacks it", "lacks it", "lacks it"), "pipe", "cannot check"),
    ],
)
def test_what_is_cheap_here_is_right(tiny_s, mechanism, state, costing):
    costing(*tiny_s)
    assert check(CHOICE, tiny_by(mechanism)).state == state


@pytest.mark.parametrize("job", range(3))
@pytest.mark.parametrize("mechanism", CHOICE.probes[0].offered)
def test_there_is_a_reason_for_every_choice_that_costs_too_much(job, mechanism, monkeypatch):
    monkeypatch.setattr(chosen, "ask", choosing_here)
    dear = [dict.fromkeys(USUAL_COSTS[0], 1e-6) for _ in USUAL_COSTS]
    dear[job] = {name: 1e-3 if name == mechanism else 1e-6 for name in USUAL_COSTS[0]}
    monkeypatch.setattr(chosen, "measure", costs_as(*dear))
    found = check(CHOICE, typed(f"def choose(job):\n    return {mechanism!r}\n"))
    assert found.state == "wrong"
    assert "1 ms of CPU a message here, and 1 us would do. " in found.message
    assert [row[-2:] for row in found.comparison.rows[job:]] == [(mechanism, "✘ no")]


def test_without_costs_nothing_is_said_of_the_choice(costing):
    costing(1e-6, 1e-6, 1e-6, ending=Ending.TIMED_OUT)
    found = check(CHOICE, typed(CHOICE.solution))
    assert found.state == "cannot check"
    assert "Run the cell again" in found.message


@pytest.mark.parametrize(("asked", "room", "function"), [(CHOICE, chosen, "measure"), (BATCH, counted, "count")])
def test_an_interrupt_is_no_verdict_there_either(asked, room, function, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(chosen, "ask", choosing_here)
    monkeypatch.setattr(room, function, interrupted)
    found = check(asked, typed(asked.solution))
    assert (found.state, found.message) == ("not finished", "Interrupted. Run the cell again.")


def test_a_right_choice_is_right_here_and_what_costs_many_times_as_much_is_not():
    found = check(CHOICE, typed(CHOICE.solution))
    assert found.state == "proved", found.message
    assert len(found.comparison.rows) == len(CHOICE.probes[0].jobs)
    dear = check(CHOICE, typed(CHOICE.wrong[0].source))
    assert (dear.state, CHOICE.wrong[0].message in dear.message) == ("wrong", True), dear.message


def test_a_reason_is_kept_where_nothing_can_be_had():
    jobs = {"dicts": {"between": "processes", "payload": "list of dicts", "size_bytes": 100}}
    run = chosen.measure(replace(CHOICE.probes[0], jobs=jobs, offered=("SimpleQueue", "memory in place")))
    (found,) = run.check().result["costs"]
    assert 0 < found["SimpleQueue"] < 1
    assert "only bytes and arrays" in found["memory in place"]


# ------------------------------------------------------------------------------------------------ what is counted
@pytest.mark.parametrize("asked", [BATCH, COPY], ids=lambda asked: asked.id)
def test_the_child_counts_what_is_counted_here(asked, monkeypatch):
    there = [check(asked, typed(source)) for source in (asked.solution, asked.wrong[1].source)]
    monkeypatch.setattr(counted, "count", counted_here)
    here = [check(asked, typed(source)) for source in (asked.solution, asked.wrong[1].source)]
    assert [found.state for found in there] == ["proved", "wrong"]
    assert [found.message for found in there] == [found.message for found in here]


@pytest.mark.parametrize(
    ("asked", "body", "words"),
    [
        (BATCH, "raise SystemExit", "exited without a result (exit code 0)"),
        (BATCH, "import os\n    os._exit(3)", "exited without a result (exit code 3)"),
        (COPY, "raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        (COPY, "while True:\n        pass", "ran past its deadline"),
    ],
)
def test_an_answer_that_does_not_return_ends_in_its_child(asked, body, words, monkeypatch):
    monkeypatch.setattr(counted, "COUNTED", replace(counted.COUNTED, deadline_s=1.0))
    head = asked.stub.splitlines()[0]
    found = check(asked, typed(f"{head}\n    {body}\n"))
    assert (found.state, words in found.message) == ("wrong", True), found.message
    assert "Nothing could be counted" in found.message
    assert found.comparison.rows == ()
    assert "<table" not in ExerciseCard(found, 1, "")._repr_html_()


def test_the_card_shows_what_was_counted(monkeypatch):
    monkeypatch.setattr(counted, "count", counted_here)
    card = ExerciseCard(check(BATCH, typed(BATCH.solution)), 1, "")
    assert "✔ Right, as counted" in card._repr_html_()
    assert "What was tried, and counted</caption>" in card._repr_html_()
    assert "items in the order | messages needed | messages sent" in repr(card)
    assert repr(card).endswith("1000 | 10 | 10")
    wrong = ExerciseCard(check(COPY, typed(COPY.wrong[1].source)), 1, "")
    assert "line | times it allocated | bytes in all\n4 | " in repr(wrong)
    assert "✘ Wrong" in wrong._repr_html_()


def test_a_name_of_the_check_is_not_to_be_taken():
    taken = BATCH.solution.replace("found = []", "found = count_messages()")
    found = check(BATCH, typed(f"def count_messages():\n    return []\n\n\n{taken}"))
    assert (found.state, "the check itself needs" in found.message) == ("not yet", True)


def test_every_order_and_every_part_is_tried():
    told = batched.try_client(lambda service, items: service.prices(items[:100]))
    assert {0, 1, 100, 101} <= {len(one["items"]) for one in told["orders"]}
    assert any(len(set(one["items"])) < len(one["items"]) for one in told["orders"])
    assert any(None in one["expected"] for one in told["orders"])
    assert len(set(copied.try_checksums(lambda _, parts: [0] * len(parts))["tries"][1]["expected"])) == 5


def test_who_traces_and_counts_memory_already_goes_on():
    before = sys.gettrace(), tracemalloc.is_tracing()
    copied.try_checksums(lambda _, parts: [0] * len(parts))
    assert (sys.gettrace(), tracemalloc.is_tracing()) == before
    tracemalloc.start()
    try:
        copied.try_checksums(lambda _, parts: [0] * len(parts))
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
