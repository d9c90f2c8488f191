"""Predictions: recorded, skippable, compared with what came out; and never worth more than they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import asking
import pytest

import labkit.show.choices as row
from labkit import experiments
from labkit.course import lessons, progress, session
from labkit.errors import BadValue
from labkit.show.measure import Measurement
from labkit.show.predict import compared, predict

NAME = "made_up.arrives"
# What a kernel does after a restart: another process, which knows only the file.
AFTER_RESTART = """
import asking
from labkit.course import lessons
lessons.lessons = lambda: {"made_up": asking.LESSON}
from labkit.show.predict import predict
print(predict("made_up.arrives", asking.ASKED, asking.ANSWERS))
"""


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.jsonl"))
    monkeypatch.setattr(lessons, "lessons", lambda: {"made_up": asking.LESSON})
    asking.forget()
    yield
    asking.forget()


def ask():
    return predict(NAME, asking.ASKED, asking.ANSWERS)


def measured(*runs):
    """Note runs as `measure` does, and return what it returns."""
    session.note(asking.ABOUT, runs)
    return Measurement(experiments.experiment(asking.ABOUT), runs)


def values():
    return [entry.value for entry in progress.entries() if entry.kind == "predict"]


@pytest.mark.parametrize(
    ("name", "question", "answers"),
    [
        ("", "Why?", ["a", "b"]),
        (7, "Why?", ["a", "b"]),
        ("x" * 81, "Why?", ["a", "b"]),
        ("own", "", ["a", "b"]),
        ("own", "two\nlines", ["a", "b"]),
        ("own", None, ["a", "b"]),
        ("own", "Why?", "ab"),
        ("own", "Why?", None),
        ("own", "Why?", ["a"]),
        ("own", "Why?", list("abcdefg")),
        ("own", "Why?", ["a", "a "]),
        ("own", "Why?", ["a", ""]),
        ("own", "Why?", ["a", 2]),
        ("own", "Why?", ["a", "x" * 201]),
        (NAME, asking.ASKED, asking.ANSWERS[:2]),  # the lesson compares three
    ],
)
def test_bad_input_is_refused(name, question, answers):
    with pytest.raises(BadValue):
        predict(name, question, answers)
    assert values() == []


@pytest.mark.parametrize("number", [0, 4, -1, True, "1", 1.0])
def test_an_answer_that_is_none_is_refused(number):
    with pytest.raises(BadValue):
        ask().choose(number)


def test_nothing_is_kept_before_a_choice():
    card = ask()
    assert "No prediction is made yet" in repr(card)
    assert "No prediction is made yet" in card._repr_html_()
    assert not progress.file().exists()


def test_a_choice_is_kept_marked_and_may_be_changed():
    card = ask()
    card.choose(1)
    card.choose(3)
    assert [(one["answer"], one["text"], one["after_run"]) for one in values()] == [
        (0, "None of it", False),
        (2, "All of it", False),
    ]
    assert progress.entries()[0].lesson == "made_up"
    assert "You predicted: All of it." in repr(card)
    assert card._repr_html_().count("← your prediction") == 1
    assert [button.description for button in card._choices.buttons] == ["1", "2", "✔ 3", "Skip"]
    card.choose(None)
    assert values()[-1]["answer"] is None
    assert "Skipped." in repr(card)


def test_buttons_choose_and_have_names():
    card = ask()
    names = card._choices._names.value
    for name in ("Answer 1: None of it", "Answer 3: All of it", "Skip this prediction"):
        assert f"<span data-name>{name}</span>" in names
    assert f"Your prediction: {asking.ASKED}" in names
    card._choices.buttons[1].click()
    assert values()[-1]["answer"] == 1
    assert "Answer 2: Some of it, chosen</span>" in card._choices._names.value
    assert "Recorded: answer 2." in card._choices.said()
    card._choices.buttons[3].click()
    assert values()[-1]["answer"] is None
    assert "Skip this prediction, chosen" in card._choices._names.value
    for words in ("aria-label", "'role', 'status'", "'role', 'group'"):
        assert words in row.NAME_BUTTONS


def test_a_choice_survives_a_restart():
    ask().choose(2)
    tests, checkout = Path(__file__).parent, Path(__file__).parent.parent
    path = os.pathsep.join([str(tests), str(checkout)])
    command = [sys.executable, "-W", "error", "-c", AFTER_RESTART]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    assert "2. Some of it  ← your prediction" in done.stdout
    assert "You predicted: Some of it." in done.stdout


def test_a_choice_of_answers_that_were_rewritten_counts_no_more():
    ask().choose(2)
    card = predict(NAME, asking.ASKED, ["All of it", "Nothing", "Half of it"])
    assert "No prediction is made yet" in repr(card)


def test_the_card_and_the_measurement_compare():
    card = ask()
    card.choose(2)
    found = measured(asking.run(lost=0.25))
    said = "You predicted: Some of it. It came out: Some of it, as you said. 75 % arrived."
    assert said in repr(card)
    assert said in repr(found)
    assert said in found._repr_html_()
    assert "✔ as predicted" in found._repr_html_()
    assert "← your prediction, it came out so" in card._repr_html_()
    assert values()[-1]["came"] == {"answer": 1, "sentence": "75 % arrived.", "right": True}


def test_it_may_come_out_otherwise():
    card = ask()
    card.choose(1)
    found = measured(asking.run(lost=0))
    said = "You predicted: None of it. It came out: All of it, otherwise than you said. 100 % arrived."
    assert said in repr(found)
    assert "≠ otherwise" in found._repr_html_()
    assert "3. All of it  ← it came out so" in repr(card)


def test_without_an_answer_it_says_so():
    assert "predict" not in repr(measured(asking.run())).lower()  # nothing was asked
    card = ask()
    assert "You made no prediction. It came out: Some of it. 75 % arrived." in repr(measured(asking.run()))
    asking.forget()
    card = ask()
    card.choose(None)
    assert "You made no prediction. It came out" in repr(measured(asking.run()))


def test_runs_that_cannot_tell_compare_nothing():
    card = ask()
    card.choose(2)
    found = measured(asking.run(lock=True))
    assert "came out" not in repr(found) + repr(card)
    assert compared("creation cost", found.runs) == ""
    card.choose(1)
    assert values()[-1]["after_run"] is False


def test_what_is_chosen_after_the_run_is_called_so():
    card = ask()
    measured(asking.run())
    card.choose(2)
    assert values()[-1]["after_run"] is True
    said = "You made no prediction. After the run you chose: Some of it. It came out: Some of it."
    assert said in repr(card)
    assert "as you said" not in repr(card)
    assert "your choice after the run" in card._repr_html_()


def test_a_question_asked_after_the_run_is_late_as_well():
    measured(asking.run())
    card = ask()
    card.choose(2)
    assert values() == [{"question": asking.ASKED, "answer": 1, "text": "Some of it", "after_run": True}]


def test_the_first_choice_stays_the_record_also_after_a_restart():
    card = ask()
    card.choose(1)
    measured(asking.run())
    card.choose(2)
    said = "You predicted: None of it. After the run you chose: Some of it. It came out: Some of it, otherwise"
    assert said in repr(card)
    asking.forget()
    again = ask()
    again.choose(3)  # it was compared in the session before
    assert values()[-1]["after_run"] is True
    assert said.replace("chose: Some", "chose: All") in repr(measured(asking.run())) + repr(again)
    assert [one["answer"] for one in values()] == [0, 0, 1, 2]


def test_runs_that_were_only_shown_count_as_seen():
    """A recording, say: none of its runs is noted, but the student has seen what came out."""
    card = ask()
    shown = Measurement(experiments.experiment(asking.ABOUT), [asking.run()], note="Recorded elsewhere.")
    own = shown._repr_html_().split("labkit-compared", 1)[1]
    assert "You made no prediction." in own
    assert "Recorded elsewhere." in own
    card.choose(2)
    assert values()[-1]["after_run"] is True


def test_a_question_of_ones_own_is_kept_and_not_compared():
    session.begin_lesson("deadlock")
    card = predict("my own", "Why?", ["a", "b"])
    card.choose(1)
    measured(asking.run())
    assert "You predicted: a." in repr(card)
    assert progress.entries()[-1].lesson == "deadlock"


def test_asking_again_leaves_one_card_that_follows():
    old, new = ask(), ask()
    drawn = []
    old._draw, new._draw = (lambda: drawn.append("old")), (lambda: drawn.append("new"))
    session.note(asking.ABOUT, [asking.run()])
    session.note("creation cost", [])
    assert drawn == ["new"]


def test_a_comparison_that_fails_is_shown_and_costs_no_run(monkeypatch):
    def fails(table):
        raise ZeroDivisionError(table)

    broken = asking.LESSON.predictions[NAME]._replace(came=fails)
    monkeypatch.setattr(lessons, "lessons", lambda: {"made_up": asking.LESSON._replace(predictions={NAME: broken})})
    card = ask()
    updates = []
    card._place.update = lambda *given: updates.append(given)
    session.note(asking.ABOUT, [asking.run()])
    assert "The comparison failed: ZeroDivisionError" in updates[-1][0]
    card._choices.buttons[0].click()
    assert "⚠ Not recorded. ZeroDivisionError" in card._choices.said()


def test_runs_may_be_noted_by_another_thread():
    card = ask()
    card.choose(2)
    thread = threading.Thread(target=session.note, args=(asking.ABOUT, [asking.run()]))
    thread.start()
    thread.join(10)
    assert "It came out" in card._choices.said()


def test_no_text_of_a_student_becomes_html():
    bad = "<script>alert(1)</script>"
    card = predict("own", bad, [bad, "`<i>`"])
    card.choose(1)
    page = card._repr_html_() + card._choices._names.value + card._choices.said()
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;script&gt;" in page


def test_a_place_that_cannot_be_written_is_said_on_the_card(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "file" / "progress.jsonl"))
    card = ask()
    assert "Progress is not kept after this session" in card._repr_html_()
    card._choices.buttons[1].click()
    assert "You predicted: Some of it" in repr(card)
    assert "Progress is not kept" in card._choices.said()


@pytest.mark.parametrize(
    "value",
    [
        "text",
        [],
        {},
        {"answer": 7, "text": "x"},
        {"answer": True, "text": "Some of it"},
        {"answer": 1, "text": ["Some of it"]},
        {"answer": "1", "text": "Some of it"},
        {"answer": None, "text": "", "after_run": "no", "came": []},
    ],
)
def test_a_file_that_somebody_wrote_breaks_no_card(value):
    progress.note("predict", NAME, value, "made_up")
    assert "← your prediction" not in repr(ask())
    assert "came out" not in repr(ask())
