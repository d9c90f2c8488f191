"""The triple test: the solution is proved, the stub is 'not yet', and each wrong answer is told what is wrong with it.

The answers are explored in this process: the engine is the same as in the child (see test_exercise.py for that one).
"""

import ast
from pathlib import Path

import pytest
from answers import (
    RIGHT,
    USUAL_COSTS,
    asked_here,
    choosing_here,
    costs_as,
    counted_here,
    explored_here,
    measured_as,
    typed,
    with_a_gil,
)
from odd_answers import ODD as EARLIER_ODD
from odd_answers_gil import ODD as GIL_ODD
from odd_answers_ipc import ODD as IPC_ODD

from labkit.course.lessons import lessons
from labkit.show import chosen, counted, measured
from labkit.show import exercise as room
from labkit.show.exercise import LIMITS, check, explore_probe, packed

ALL = {one.id: one for lesson in lessons().values() for one in lesson.exercises}
WRONG = [(one.id, number) for one in ALL.values() for number in range(len(one.wrong))]
ODD = {**EARLIER_ODD, **GIL_ODD, **IPC_ODD}
KINDS = (("tweak", 2), ("fix the bug", 8))  # and then one of these
LAST_KINDS = (("break it", 10), ("find it", 10))
LEAST_LESSONS, LEAST_WRONG, LINES_MOST, CELL_LINES_MOST, TASK_WORDS_MOST, MESSAGE_WORDS_MOST = 3, 4, 16, 12, 80, 70

each_exercise = pytest.mark.parametrize("name", ALL)


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Explore in this process, and measure nothing: see test_measured.py for real measurements."""
    monkeypatch.setattr(room, "explore_source", explored_here)
    monkeypatch.setattr(measured, "ask", asked_here)
    monkeypatch.setattr(measured, "measure", measured_as(with_a_gil))
    monkeypatch.setattr(chosen, "ask", choosing_here)
    monkeypatch.setattr(chosen, "measure", costs_as(*USUAL_COSTS))
    monkeypatch.setattr(counted, "count", counted_here)


def test_the_exercises_are_found():
    assert len(lessons()) >= LEAST_LESSONS
    for lesson in lessons().values():
        *first, last = [(one.kind, one.minutes) for one in lesson.exercises]
        assert tuple(first) == KINDS, lesson.slug
        assert last in LAST_KINDS
    assert len(ALL) == sum(len(lesson.exercises) for lesson in lessons().values()), "an id is used twice"
    assert set(RIGHT) == set(ALL)


@each_exercise
def test_an_exercise_is_whole(name):
    one = ALL[name]
    body = ast.parse(one.stub).body
    assert tuple(node.name for node in body if isinstance(node, ast.FunctionDef)) == one.names
    assert len(body) == len(one.names), "a stub defines its functions, and nothing else"
    cell = f'{one.stub}\n\nlab.exercise("{one.id}")'
    assert len(cell.splitlines()) <= CELL_LINES_MOST
    assert len(one.solution.splitlines()) <= 3 * len(one.stub.splitlines())
    assert len(one.given.splitlines()) <= 2 * LINES_MOST
    assert len(set(one.hints)) == 3
    assert all(one.hints)
    assert one.moral.endswith(".")
    assert len(one.task.split()) <= TASK_WORDS_MOST
    assert len(one.wrong) >= LEAST_WRONG
    assert len({wrong.message for wrong in one.wrong}) == len(one.wrong)


@each_exercise
def test_the_solution_is_proved(name):
    found = check(ALL[name], typed(ALL[name].solution))
    assert found.state == "proved", found.message
    assert ALL[name].moral in found.message
    broken = ALL[name].kind == "break it"
    assert (found.found is not None) == broken  # how it breaks is shown, and that it cannot is not
    assert broken or (found.comparison.said if found.comparison else "interleavings") in found.message


@pytest.mark.parametrize("name", [name for name, one in ALL.items() if one.kind != "break it"])
def test_no_line_of_the_solution_can_be_left_out(name):
    lines = [line for line in ALL[name].solution.splitlines() if line]
    checked = 0
    for number in range(len(lines)):
        source = "\n".join(lines[:number] + lines[number + 1 :]) + "\n"
        try:
            space = typed(source)
        except SyntaxError:
            continue
        checked += 1
        assert check(ALL[name], space).state in {"wrong", "not yet"}, source
    assert checked


def test_both_accounts_stay_locked_until_the_end():
    source = "gate = threading.Lock()\ndef transfer(source, target, amount):\n    with gate:\n"
    source += "        source.lock.acquire()\n        target.lock.acquire()\n    source.balance -= amount\n"
    source += "    target.balance += amount\n    source.lock.release()\n    book(source, target)\n"
    source += "    target.lock.release()\n"
    assert "moves while `book` writes" in check(ALL["any-direction"], typed(source)).message


@pytest.mark.parametrize(("name", "source"), [(name, source) for name in RIGHT for source in RIGHT[name]])
def test_other_right_answers_are_proved(name, source):
    found = check(ALL[name], typed(source))
    assert found.state == "proved", found.message


@pytest.mark.parametrize(("name", "number"), [(name, number) for name in ODD for number in range(len(ODD[name]))])
def test_odd_answers_are_told_what_is_so(name, number):
    what, source, state, words = ODD[name][number]
    found = check(ALL[name], typed(source))
    assert (found.state, words in found.message) == (state, True), (what, found.state, found.message)
    assert len(found.message.split()) <= MESSAGE_WORDS_MOST
    assert "{" not in found.message


@each_exercise
def test_the_stub_is_not_yet(name):
    found = check(ALL[name], typed(ALL[name].stub))
    assert (found.state, found.explorations) == ("not yet", ())
    assert "stub" in found.message


@each_exercise
def test_the_stub_with_an_edit_that_changes_nothing_is_wrong(name):
    tree = ast.parse(ALL[name].stub)
    for node in tree.body:
        node.body.append(ast.parse("None").body[0])
    found = check(ALL[name], typed(ast.unparse(tree)))
    assert found.state == "wrong"
    assert found.message


@pytest.mark.parametrize(("name", "number"), WRONG, ids=str)
def test_a_wrong_answer_is_rejected_with_its_own_message(name, number):
    one, wrong = ALL[name], ALL[name].wrong[number]
    space = typed(wrong.source)
    checked = check(one, space)
    assert checked.state == "wrong", checked.message
    assert wrong.message in checked.message
    assert not [other.name for other in one.wrong if other is not wrong and other.message in checked.message]
    assert len(checked.message.split()) <= MESSAGE_WORDS_MOST
    assert "{" not in checked.message
    assert all(found.executions + found.hunted < LIMITS["executions_most"] for found in checked.explorations)
    assert (checked.found is not None) == wrong.shown
    if wrong.shown and checked.found.token:
        probe = one.probes[len(checked.explorations) - 1]
        again = explore_probe(one, probe, packed(one, space), checked.found.token)
        assert (again.kind, again.schedule) == (checked.found.kind, checked.found.schedule)


@pytest.mark.parametrize(("name", "number"), WRONG, ids=str)
def test_what_students_type_would_pass_a_plain_look(name, number):
    """A wrong answer is Python that defines what is asked: it is rejected for what it does, not for a slip."""
    one, wrong = ALL[name], ALL[name].wrong[number]
    defined = [node.name for node in ast.parse(wrong.source).body if isinstance(node, ast.FunctionDef)]
    assert set(one.names) <= set(defined)
    assert ast.dump(ast.parse(wrong.source)) != ast.dump(ast.parse(one.stub))


def test_the_same_answer_gets_the_same_words_and_schedule():
    one = ALL["same-order"]
    first, second = (check(one, typed(one.wrong[0].source, number)) for number in (1, 2))
    assert (first.message, first.found.schedule) == (second.message, second.found.schedule)


def test_two_bank_locks_around_everything_are_too_much_as_well():
    source = (
        "gate = threading.Lock()\ndef transfer(source, target, amount):\n    with gate, source.lock, target.lock:\n"
    )
    source += "        source.balance -= amount\n        target.balance += amount\n        book(source, target)\n"
    found = check(ALL["any-direction"], typed(source))
    assert found.state == "wrong"
    assert "too much is locked" in found.message


def test_a_lock_of_ones_own_around_everything_is_too_much_as_well():
    source = "sales = threading.Lock()\ndef sell(shop, customer):\n    with sales:\n        if shop.stock > 0:\n"
    source += "            shop.stock -= 1\n            bill(shop, customer)\n"
    found = check(ALL["last-ticket"], typed(source))
    assert found.state == "wrong"
    assert "too much is locked" in found.message
    assert {outcome.text for outcome in found.found.outcomes} == {"deadlock"}


def test_every_exercise_has_a_file_of_its_own():
    folder = Path(room.__file__).parent.parent / "course" / "exercises"
    for one in ALL.values():
        assert f'id="{one.id}"' in (folder / f"{one.id.replace('-', '_')}.py").read_text(encoding="utf-8")
