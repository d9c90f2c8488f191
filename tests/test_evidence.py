"""Evidence: all of it is there, nothing private is, and a changed byte is found."""

from __future__ import annotations

import dataclasses
import json
import os
import re

import asking
import numpy as np
import pytest

from labkit.course import evidence as document
from labkit.course import lessons, progress, session
from labkit.course.gil import LESSON as GIL
from labkit.course.lesson import Measured
from labkit.course.standing import Standing
from labkit.errors import BadValue
from labkit.ledger import claims
from labkit.model import Ending, Verdict
from labkit.show.evidence import check, evidence
from labkit.show.predict import predict
from labkit.show.quiz import quiz

BAD = "<script>alert('x')</script>"
EFFECT = np.float64(0.5)  # judges work with pandas
VERDICT = Verdict(
    outcome="holds", sentence=f"Half is lost {BAD}.", effect=EFFECT, low=0.4, high=0.6, unit="share", runs_count=4
)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "kept" / "progress.jsonl"))
    monkeypatch.setattr(lessons, "lessons", lambda: {"made_up": asking.LESSON})
    monkeypatch.setattr(document, "standings", standings)
    monkeypatch.chdir(tmp_path)
    asking.forget()
    session.begin_lesson("made_up")
    yield
    asking.forget()


def standings(lesson):
    claim = next(iter(claims().values()))
    seen = Standing(claim, asking.ABOUT, VERDICT, 4, "")
    return [seen, seen._replace(verdict=None, runs_count=0)]


def worked():
    """Do what a student does in a lesson."""
    card = predict("made_up.arrives", asking.ASKED, asking.ANSWERS)
    predict("own", BAD, [BAD, "b"]).choose(1)
    card.choose(1)
    crashed = dataclasses.replace(asking.run(ending=Ending.KILLED), exit_code=-11)
    session.note(asking.ABOUT, [asking.run(), asking.run(lost=0.5), crashed, asking.run(lost=0, lock=True)])
    question, *_ = quiz("made_up")
    question.choose(1)
    question.choose(2)
    progress.note("exercise", "made_up.tweak", {"state": "wrong", "message": BAD, "tries": 1}, "made_up")
    progress.note(
        "exercise", "made_up.tweak", {"state": "proved", "message": "All 6 schedules.", "tries": 2}, "made_up"
    )
    progress.note("exercise", "other.tweak", {"state": "proved"}, "other")
    return evidence()


def read(card):
    return json.loads(card.json.read_text())


def test_all_of_it_is_there(tmp_path):
    card = worked()
    assert (card.json, card.page) == (
        tmp_path / "labkit-evidence-made_up.json",
        tmp_path / "labkit-evidence-made_up.html",
    )
    kept = read(card)
    (measured,) = kept["measured"]
    assert (measured["experiment"], measured["runs_count"], measured["listed_count"]) == (asking.ABOUT, 4, 4)
    unlocked, locked = measured["settings"]
    assert unlocked["endings"] == {"finished": 2, "was killed by a signal": 1}
    assert unlocked["medians"]["lost_ratio"] == 0.375
    assert (locked["params"]["lock"], locked["runs_count"]) == (True, 1)
    assert measured["runs"][2]["ending"] == "was killed by a signal"
    assert measured["runs"][0]["params"]["workers"] == 2
    assert kept["verdicts"][0]["verdict"]["outcome"] == "holds"
    assert kept["verdicts"][0]["verdict"]["effect"] == 0.5
    assert kept["verdicts"][1]["verdict"] is None
    own, made_up = sorted(kept["predictions"], key=lambda one: one["id"] != "own")
    assert own["choices"][0]["answer"] == BAD
    assert made_up["choices"][0] | {"at": ""} == {"at": "", "answer": "None of it", "after_run": False}
    assert (made_up["came"]["right"], made_up["came"]["sentence"]) == (False, "62 % arrived.")
    assert "otherwise than you said" in made_up["now"]
    (question,) = kept["quiz"]
    assert (question["tries_count"], question["right"], question["tries"][0]["right"]) == (2, True, False)
    assert question["question"] == "What does `x += 1` do?"
    (exercise,) = kept["exercises"]
    assert (exercise["id"], exercise["state"], exercise["checks_count"]) == ("made_up.tweak", "proved", 2)
    assert exercise["measured"] is False
    assert kept["hash"] == card.hash
    assert "no signature" in kept["about"]
    assert "4 runs, 1 verdict, 2 predictions, 1 question, 1 exercise" in repr(card)
    assert card.hash in card._repr_html_()


def test_without_a_lesson_all_lessons_are_in_it():
    worked()
    session.begin_lesson("")
    card = evidence()
    assert card.json.name == "labkit-evidence-all.json"
    assert {one["id"] for one in read(card)["exercises"]} == {"made_up.tweak", "other.tweak"}


def test_a_lesson_in_which_nothing_was_done():
    card = evidence()
    kept = read(card)
    assert (kept["measured"], kept["predictions"], kept["quiz"], kept["exercises"]) == ([], [], [], [])
    assert check(card.json).unchanged


def test_a_lesson_without_claims(monkeypatch):
    def none(lesson):
        raise BadValue("lesson", lesson, "others", "Choose one.")

    monkeypatch.setattr(document, "standings", none)
    assert read(evidence())["verdicts"] == []


def test_a_question_that_was_not_answered_is_in_it():
    predict("made_up.arrives", asking.ASKED, asking.ANSWERS)
    session.note(asking.ABOUT, [asking.run()])
    (one,) = read(evidence())["predictions"]
    assert (one["choices"], one["came"]) == ([], None)
    assert one["now"].startswith("You made no prediction.")


def test_nothing_private_is_in_it(tmp_path):
    card = worked()
    for file in (card.json, card.page):
        text = file.read_text()
        assert str(tmp_path) not in text
        assert os.path.expanduser("~") not in text
        assert "interpreters" not in text


def test_the_page_stands_alone_and_escapes_all():
    page = worked().page.read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert re.findall(r"(?:src|href)=", page) == []
    assert "share: 0.5 (95 % interval 0.4 to 0.6)" in page
    for words in ("Machine", "What the article says", "Measured: lost updates", "Predictions", "Exercises", "proved"):
        assert words in page


def test_what_a_measurement_found_right_is_not_called_proved(monkeypatch):
    measured = next(one for one in GIL.exercises if any(isinstance(probe, Measured) for probe in one.probes))
    lesson = asking.LESSON._replace(exercises=(*asking.LESSON.exercises, measured))
    monkeypatch.setattr(lessons, "lessons", lambda: {"made_up": lesson})
    progress.note("exercise", measured.id, {"state": "wrong", "message": "Off by one."}, "made_up")
    assert ">wrong</td>" in evidence().page.read_text()
    progress.note("exercise", measured.id, {"state": "proved", "message": "All four."}, "made_up")
    card = evidence()
    assert ">right, as measured</td>" in card.page.read_text()
    assert ">proved</td>" not in card.page.read_text()
    assert [(one["state"], one["measured"]) for one in read(card)["exercises"]] == [("proved", True)]


def test_it_is_unchanged_until_it_is_changed():
    card = worked()
    found = check(card.json)
    assert found.unchanged
    assert repr(found) == "labkit-evidence-made_up.json and its page are unchanged since it was written."
    assert check(str(card.page)) == found  # the page's name will do
    assert check(evidence().json).unchanged  # written over its own


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        (b'"lost_ratio": 0.375', b'"lost_ratio": 0.376', "measured"),
        (b'"answer": "None of it"', b'"answer": "Some of it"', "predictions"),
        (b'"state": "proved"', b'"state": "proven"', "exercises"),
        (b'"outcome": "holds"', b'"outcome": "hold"', "verdicts"),
        (b'"right": false', b'"right": true', "quiz"),
        (b'"gil": true', b'"gil": false', "machine"),
        (b'"lesson": "made_up"', b'"lesson": "other"', "its head"),
    ],
)
def test_a_change_is_found_and_named(old, new, where):
    card = worked()
    before = card.json.read_bytes()
    if where == "quiz":  # the prediction comes earlier in the file
        at = before.index(b'"quiz": [')
        card.json.write_bytes(before[:at] + before[at:].replace(old, new, 1))
    else:
        card.json.write_bytes(before.replace(old, new, 1))
    assert card.json.read_bytes() != before
    found = check(card.json)
    assert not found.unchanged
    assert where in found.sentence
    assert "changed after it was written" in found.sentence


def test_every_changed_digit_of_the_hash_is_found():
    card = worked()
    kept = read(card)
    for place in range(0, 64, 9):
        digit = "0" if kept["hash"][place] != "0" else "1"
        changed = {**kept, "hash": kept["hash"][:place] + digit + kept["hash"][place + 1 :]}
        card.json.write_bytes(document.written(changed))
        assert not check(card.json).unchanged


def test_a_changed_or_missing_page_is_found():
    card = worked()
    page = card.page.read_bytes()
    card.page.write_bytes(page.replace(b"holds", b"fails", 1))
    assert "its page labkit-evidence-made_up.html was changed" in check(card.json).sentence
    card.page.unlink()
    assert "its page is missing" in check(card.json).sentence


HOSTILE = [
    b"",
    b"not JSON",
    b"[]",
    b"{}",
    b"\xff",
    b"[" * 100_000,
    b'{"labkit_evidence": 1}',
    b'{"labkit_evidence": true}',
    b'{"labkit_evidence": 2}',
    b'{"labkit_evidence": NaN}',
    b'{"labkit_evidence": 1, "labkit_evidence": 1}',
    b" " * (1 << 20) + b"{}",
]


@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: repr(data[:30]))
def test_a_hostile_file_is_refused_in_words(tmp_path, data):
    (tmp_path / "labkit-evidence-x.json").write_bytes(data)
    found = check(tmp_path / "labkit-evidence-x.json")
    assert not found.unchanged
    assert "no evidence that can be read" in found.sentence


@pytest.mark.parametrize("field", ["hash", "page_hash", "part_hashes", "machine", "about"])
@pytest.mark.parametrize("value", [None, 7, "x", {"a": 1}])
def test_any_field_may_be_hostile(field, value):
    card = evidence()
    card.json.write_bytes(document.written({**read(card), field: value}))
    assert not check(card.json).unchanged


def test_links_pipes_and_missing_files_are_refused(tmp_path):
    card = evidence()
    (tmp_path / "link.json").symlink_to(card.json)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    for name, why in (("link", "a link"), ("pipe", "not a regular"), ("folder", ""), ("none", "no such file")):
        found = check(tmp_path / f"{name}.json")
        assert not found.unchanged
        assert why in found.sentence
    assert "zero byte" in check("a\0b.json").sentence
    with pytest.raises(BadValue):
        check(7)


@pytest.mark.parametrize("name", ["labkit-evidence-made_up.json", "labkit-evidence-made_up.html"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path, name):
    (tmp_path / name).write_text("my notes")
    with pytest.raises(BadValue, match="Move that file"):
        evidence()
    assert [one.name for one in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "my notes"


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("my notes")
    (tmp_path / "labkit-evidence-made_up.json").symlink_to(tmp_path / "mine")
    with pytest.raises(BadValue):
        evidence()
    assert (tmp_path / "mine").read_text() == "my notes"


@pytest.mark.parametrize("folder", ["nowhere", 7, "a\0b", ["x"]])
def test_a_folder_that_is_none_is_refused(folder):
    with pytest.raises(BadValue):
        evidence(folder)


def test_a_disk_that_is_full_leaves_what_was_there(monkeypatch, tmp_path):
    card = worked()
    before = card.json.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("labkit.runs.files.os.fsync", full)
    with pytest.raises(BadValue, match="No space left"):
        evidence()
    assert card.json.read_bytes() == before
    assert check(card.json).unchanged
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".labkit")]


def test_many_runs_stay_within_the_size():
    result = {"text": "x" * 5000, "deep": [[[[1]]]], "number": float("inf")}
    session.note(asking.ABOUT, [dataclasses.replace(asking.run(), result=result) for _ in range(4000)])
    card = evidence()
    (measured,) = read(card)["measured"]
    assert card.json.stat().st_size <= 1 << 20
    assert measured["runs_count"] == 4000
    assert 0 < measured["listed_count"] < 4000
    assert f"{measured['listed_count']} of 4000 runs stand one by one" in card.page.read_text()
    assert check(card.json).unchanged


def test_entries_that_somebody_wrote_break_nothing():
    for kind in ("predict", "quiz", "exercise"):
        for value in ({}, "text", {"answer": [1], "came": {"x": [1]}}, {"state": {"a": 1}, "tries": [2], "text": 3}):
            progress.note(kind, "made_up.arrives", value, "made_up")
    predict("made_up.arrives", asking.ASKED, asking.ANSWERS)
    assert check(evidence().json).unchanged
