"""The lessons as values: every quiz question has one right option and a reason for each, and no id is used twice."""

import pytest

from labkit.course.lessons import lesson_of, lessons
from labkit.errors import BadValue

QUESTIONS = [question for lesson in lessons().values() for question in lesson.quiz]
REASON_WORDS_MOST, OPTIONS_LEAST, OPTIONS_MOST, QUIZ = 30, 3, 4, 3

each_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)


def test_the_lessons_are_found():
    assert {"gil", "lost_updates", "deadlock"} <= set(lessons())
    assert all(slug == lesson.slug == lesson_of(slug).slug for slug, lesson in lessons().items())


@pytest.mark.parametrize("slug", ["", "06_lost_updates", None, 3])
def test_an_unknown_lesson_is_refused(slug):
    with pytest.raises(BadValue, match="deadlock, gil, ipc, lost_updates"):
        lesson_of(slug)


def test_every_lesson_has_three_questions():
    assert all(len(lesson.quiz) == QUIZ for lesson in lessons().values())
    assert len({question.id for question in QUESTIONS}) == len(QUESTIONS)


def test_the_right_option_is_not_always_at_the_same_place():
    for lesson in lessons().values():
        places = [[option.right for option in question.options].index(True) for question in lesson.quiz]
        assert len(set(places)) > 1, lesson.slug


@each_question
def test_a_question_has_one_right_option(question):
    assert [option.right for option in question.options].count(True) == 1
    assert OPTIONS_LEAST <= len(question.options) <= OPTIONS_MOST
    assert len({option.text for option in question.options}) == len(question.options)
    assert question.text.endswith("?")


@each_question
def test_every_option_has_a_short_reason_of_its_own(question):
    reasons = [option.reason for option in question.options]
    assert len(set(reasons)) == len(reasons)
    assert all(0 < len(reason.split()) <= REASON_WORDS_MOST for reason in reasons)
    assert all(reason.endswith(".") for reason in reasons)


@each_question
def test_length_does_not_give_the_right_option_away(question):
    right = next(option.text for option in question.options if option.right)
    others = [option.text for option in question.options if not option.right]
    assert len(right) <= 2 * max(map(len, others))
