"""The quiz: reasons for every option, tries that are kept, and nothing given away at first sight."""

from __future__ import annotations

import asking
import pytest

from labkit.course import lessons, progress, session
from labkit.errors import BadValue
from labkit.show.quiz import quiz, tries


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.jsonl"))
    monkeypatch.setattr(lessons, "lessons", lambda: {"made_up": asking.LESSON})
    asking.forget()
    yield
    asking.forget()


@pytest.mark.parametrize("slug", [None, "other", 7, ""])
def test_a_lesson_that_is_none_is_refused(slug):
    with pytest.raises(BadValue, match="made_up"):
        quiz(slug)


def test_the_lesson_is_the_one_set_up_last_or_named():
    session.begin_lesson("made_up")
    assert len(list(quiz())) == 3
    asking.forget()
    assert [card.question for card in quiz("06_made_up")] == list(asking.LESSON.quiz)


def test_a_lesson_without_questions_says_so(monkeypatch):
    monkeypatch.setattr(lessons, "lessons", lambda: {"made_up": asking.LESSON._replace(quiz=())})
    assert repr(quiz("made_up")) == "This lesson has no questions."
    assert "no questions" in quiz("made_up")._repr_html_()


def test_every_reason_is_there_and_folded():
    page = quiz("made_up")._repr_html_()
    assert page.count('<details class="labkit-folded">') == 9
    assert page.count("Three steps, and a switch may come between.") == 3
    before_folds = page.split("<details", 1)[0]
    assert "Right" not in before_folds
    assert "✔" not in before_folds
    assert "right" not in repr(quiz("made_up")).lower()  # plain text cannot fold: it shows what was tried, no more
    assert "&lt;b&gt;locks&lt;/b&gt;" in page
    assert "<b>locks" not in page


def test_each_try_is_kept_with_its_reason():
    card, *others = quiz("made_up")
    assert card.choose(1) is False
    assert "✘ Not right: The language makes no such promise." in repr(card)
    assert "Three steps" not in repr(card)
    assert "Not right yet, after 1 try." in repr(card)
    assert "You may try again." in card._choices.said()
    assert card.choose(2) is True
    assert "✔ Right: Three steps" in repr(card)
    assert "Answered right at try 2." in card._repr_html_()
    card.choose(3)  # to see its reason
    assert "Answered right at try 2." in repr(card)
    kept = [entry for entry in progress.entries() if entry.kind == "quiz"]
    assert [(one.id, one.lesson, one.value["option"], one.value["right"]) for one in kept] == [
        ("made_up.q1", "made_up", 0, False),
        ("made_up.q1", "made_up", 1, True),
        ("made_up.q1", "made_up", 2, False),
    ]
    assert all("Not answered yet." in repr(one) for one in others)


def test_what_was_tried_is_there_after_a_restart():
    next(iter(quiz("made_up"))).choose(2)
    asking.forget()
    card = next(iter(quiz("made_up")))
    assert "Answered right at once." in repr(card)
    assert [button.description for button in card._choices.buttons] == ["1", "✔ 2", "3"]


@pytest.mark.parametrize("number", [0, 4, True, "1", None])
def test_an_option_that_is_none_is_refused(number):
    with pytest.raises(BadValue):
        next(iter(quiz("made_up"))).choose(number)


def test_buttons_choose_and_have_names():
    card = next(iter(quiz("made_up")))
    card._choices.buttons[0].click()
    names = card._choices._names.value
    assert "<span data-group>Question 1 of 3: What does x += 1 do?</span>" in names
    assert "<span data-name>Option 1: It adds in one step, not right</span>" in names
    assert "<span data-name>Option 2: It reads, adds and writes</span>" in names
    assert "<b>locks" not in names
    assert "✘ Not right. The language makes no such promise." in card._choices.said()


@pytest.mark.parametrize(
    "value", ["text", {}, {"option": 9, "text": "x"}, {"option": True, "text": "x"}, {"option": 0}]
)
def test_a_file_that_somebody_wrote_breaks_no_card(value):
    progress.note("quiz", "made_up.q1", value, "made_up")
    assert tries(asking.LESSON.quiz[0]) == []


def test_a_place_that_cannot_be_written_is_said_on_the_card(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "file" / "progress.jsonl"))
    card = next(iter(quiz("made_up")))
    card.choose(2)
    assert "Answered right" in repr(card)
    assert "Progress is not kept" in repr(card)
    assert "Progress is not kept" in card._repr_html_()
