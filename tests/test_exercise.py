"""`lab.exercise`: what keeps an answer from being checked, where it runs, what the card says and remembers."""

import re
import sys
import time

import pytest
from answers import explored_here, typed

from labkit.course import progress
from labkit.course.exercises import last_ticket, one_lock
from labkit.errors import BadValue
from labkit.runs import cells
from labkit.show import exercise as room
from labkit.show import explorer
from labkit.show.exercise import check, exercise

TICKET = last_ticket.EXERCISE
WRONG = TICKET.wrong[1]
RIGHT_WITH_BELONGINGS = """\
import operator

sales = threading.RLock()
none_left = 0


def take(shop):
    with sales:
        if operator.eq(shop.stock, none_left):
            return False
        shop.stock -= 1
        return True


def sell(shop, customer):
    if take(shop):
        bill(shop, customer)
"""
RIGHT_LINES = "".join(f"\n{line}" for line in TICKET.solution.splitlines()[1:])


@pytest.fixture(autouse=True)
def own_progress(tmp_path, monkeypatch):
    """Keep what is noted in a folder of the test."""
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.jsonl"))


@pytest.fixture
def here(monkeypatch):
    """Explore in this process."""
    monkeypatch.setattr(room, "explore_source", explored_here)


@pytest.fixture
def cell(monkeypatch, here):
    """Return a function that runs an answer as a cell of the notebook, and then the exercise."""
    numbers = iter(range(100))

    def run(source, name="last-ticket"):
        space = typed(source, next(numbers))
        for function in ("sell", "clerk", "boss"):
            monkeypatch.delattr(sys.modules["__main__"], function, raising=False)
            if function in space:
                monkeypatch.setattr(sys.modules["__main__"], function, space[function], raising=False)
        return exercise(name)

    return run


# ------------------------------------------------------------------------------------------ nothing to check yet
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("", r"There is no `sell`. Define `sell\(shop, customer\)` with `def`, in this cell."),
        ("sell = 3", r"`sell` is no function but of type `int`. Define `sell\(shop, customer\)`"),
        ("class sell:\n    pass", "`sell` is no function but of type `type`"),
        ("def sell(shop):\n    pass", r"`sell` takes other parameters. Define `sell\(shop, customer\)`"),
        ("def sell(shop, customer, n):\n    pass", "other parameters"),
        ("async def sell(shop, customer):\n    pass", "would run nothing: it is async"),
        ("def sell(shop, customer):\n    yield", "has a `yield`"),
        (TICKET.stub, "This is the stub"),
        ("# my try\n" + TICKET.stub.replace("    if", "    # is there one?\n    if"), "This is the stub"),
        (
            "def bill(shop, customer):\n    pass\ndef sell(shop, customer):\n    bill(shop, customer)",
            "`bill` is given by the exercise. Call yours by another name",
        ),
        (
            "seller_1 = 3\ndef sell(shop, customer):\n    bill(shop, seller_1)",
            "`seller_1` is a name that the check itself needs",
        ),
    ],
)
def test_not_yet(source, words, monkeypatch):
    monkeypatch.setattr(room, "explore_source", None)  # nothing is explored
    found = check(TICKET, typed(source))
    assert found.state == "not yet"
    assert re.search(words, found.message)


@pytest.mark.parametrize(
    "source",
    ["def sell(shop, customer=None, more=1):\n    bill(shop, customer)", "def sell(*all):\n    bill(*all)"],
)
def test_parameters_that_take_the_call_are_fine(source, here):
    assert check(TICKET, typed(source)).state == "wrong"


def test_a_lambda_is_a_function(here):
    found = check(TICKET, typed("sell = lambda shop, customer: bill(shop, customer)"))
    assert (found.state, found.explorations[-1].kind) == ("wrong", "wrong result")


# ----------------------------------------------------------------------------------------- what cannot be checked
@pytest.mark.parametrize(
    ("source", "state", "words"),
    [
        (
            "import os\ndef sell(shop, customer):\n    f.read()\nf = open(os.devnull)",
            "cannot check",
            "'f', an open file",
        ),
        ("import os\ndef sell(shop, customer):\n    os._exit(1)", "cannot check", "_exit, which the explorer does not"),
        ("def sell(shop, customer):\n    while True:\n        pass", "wrong", "goes round for ever"),
        ("def sell(shop, customer):\n    sel(shop)", "wrong", "NameError: name 'sel' is not defined"),
        ("def sell(shop, customer):\n    sell(shop, customer)", "wrong", "RecursionError"),
        (
            "def sell(shop, customer):\n    for i in range(60):\n        shop.stock += i\n        shop.stock -= i",
            "not finished",
            "Neither right nor wrong. Not finished: loops without an end. A loop goes on for too long",
        ),
    ],
)
def test_other_ends(source, state, words, here):
    space = typed(source)
    found = check(TICKET, space)
    assert (found.state, words in found.message) == (state, True), found.message
    if "f" in space:
        space["f"].close()


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ("def sell(shop, customer):\n    input()", "Do without it"),
        ("import random\ndef sell(shop, customer):\n    random.random()" + RIGHT_LINES, "Do without random numbers"),
    ],
)
def test_where_there_is_no_verdict_it_is_said_once_and_what_to_do(source, advice, here):
    found = check(TICKET, typed(source))
    assert advice in found.message
    assert "annot be checked" not in found.message  # the headline says so


def test_a_class_that_an_earlier_cell_has_left_is_no_concern(here, monkeypatch):
    space = typed(TICKET.solution)
    space["Shop"] = typed("class Shop:\n    def __init__(self):\n        pass", 2)["Shop"]
    counts = {space["Shop"].__init__.__code__.co_filename: 1, space["sell"].__code__.co_filename: 2}
    monkeypatch.setattr(cells, "_cells", lambda: counts)
    assert check(TICKET, space).state == "proved"
    monkeypatch.setattr(cells, "_cells", lambda: dict.fromkeys(counts, 2))  # one cell
    assert "run `del Shop` once" in check(TICKET, space).message


# ---------------------------------------------------------------------------------------------- in a child process
def test_an_answer_travels_with_all_that_it_names_and_runs_in_a_child():
    found = check(TICKET, typed(RIGHT_WITH_BELONGINGS))
    assert found.state == "proved", found.message
    assert {one.where for one in found.explorations} == {"in a child process"}
    assert len(found.explorations) == len(TICKET.probes)


def test_the_child_finds_what_is_found_here(monkeypatch):
    there = check(TICKET, typed(WRONG.source))
    monkeypatch.setattr(room, "explore_source", explored_here)
    found = check(TICKET, typed(WRONG.source))
    assert WRONG.message in there.message
    assert (there.message, there.found.schedule) == (found.message, found.found.schedule)


def test_a_call_that_never_comes_back_is_ended_and_said(monkeypatch):
    monkeypatch.setattr(room, "LIMITS", {**room.LIMITS, "seconds_most": 0.5})
    monkeypatch.setattr(explorer, "_SHORT_MARGIN_S", 1.0)
    before = time.process_time()
    found = check(TICKET, typed("def sell(shop, customer):\n    sum(range(10 ** 12))"))
    assert found.state == "cannot check"
    assert "ran past its deadline" in found.message
    assert found.message.endswith("do less.")
    assert time.process_time() - before < 1  # it did not run here


# --------------------------------------------------------------------------------------------------- what is shown
def test_a_stub_shows_what_is_given_and_no_solution(cell):
    card = cell(TICKET.stub)
    page = card._repr_html_()
    assert (card.state, card.tries) == ("not yet", 0)
    assert 'data-exercise="last-ticket" data-state="not yet"' in page
    assert "<details open><summary>What is given" in page
    assert page.count("<summary>Hint ") == 3
    assert "One right answer" not in page
    assert "data-lk-stepper" not in page
    assert progress.entries() == []


def test_a_wrong_answer_shows_its_schedule_and_then_the_solution(cell):
    card = cell(WRONG.source)
    page = card._repr_html_()
    assert (card.state, card.tries) == ("wrong", 1)
    assert "✘ Wrong" in page
    assert "line 2 tests the stock" in page
    assert "data-lk-stepper" in page  # steps through without a kernel
    assert "lk-static" in page  # and is a table without scripts
    assert "One right answer" in page
    assert "<details><summary>What is given" in page
    text = repr(card)
    assert "Wrong. Sold twice: line 2" in text
    assert "step │ A: seller_1" in text
    assert card.stepper().result is card.checked.found


def test_a_right_answer_is_said_to_be_proved(cell):
    card = cell(TICKET.solution)
    assert "✔ Right, and proved" in card._repr_html_()
    assert "data-lk-stepper" not in card._repr_html_()
    assert "walked, and none goes wrong" in repr(card)
    assert "no witness" in card.stepper().value


def test_what_is_broken_as_asked_is_shown(cell):
    card = cell(one_lock.EXERCISE.solution, "one-lock")
    assert card.state == "proved"
    assert "✔ Broken, and well done" in card._repr_html_()
    assert "data-lk-stepper" in card._repr_html_()


def test_what_a_student_typed_is_shown_as_text(cell):
    page = cell('def sell(shop, customer):\n    raise ValueError("<script>alert(1)</script>")')._repr_html_()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_a_check_is_no_truth_value(here):
    with pytest.raises(TypeError, match=r"ask for .state, which is 'not yet'"):
        bool(check(TICKET, {}))


@pytest.mark.parametrize("name", ["last ticket", "", None, 3, []])
def test_an_unknown_id_is_refused(name):
    with pytest.raises(BadValue, match=r"allowed: .*last-ticket.*one-lock.* Give the id"):
        exercise(name)


# ---------------------------------------------------------------------------------------------- what is remembered
def test_tries_and_the_day_it_was_solved_are_remembered(cell):
    assert "You solved" not in cell(WRONG.source)._repr_html_()
    assert cell(TICKET.solution).tries == 2
    told = progress.latest("exercise", "last-ticket")
    assert told.lesson == "lost_updates"
    assert told.value["state"] == "proved"
    assert told.value["tries"] == 2
    assert "all" in told.value["message"].lower()
    again = cell(TICKET.stub)  # as after a restart of the kernel: only the file is left
    assert again.tries == 2
    assert again.solved_at == told.at
    assert f"You solved this on {told.at[:10]}." in again._repr_html_()
    assert f"You solved this on {told.at[:10]}." in repr(again)
    assert "One right answer" in again._repr_html_()


def test_entries_that_are_no_tries_are_passed_over(cell):
    for value in (None, 3, {"state": "proved", "tries": "many"}):
        progress.note("exercise", "last-ticket", value)
    card = cell(TICKET.stub)
    assert card.tries == 0
    assert card.solved_at


def test_where_nothing_can_be_kept_the_card_says_so(cell, tmp_path, monkeypatch):
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("LABKIT_PROGRESS", str(blocked / "progress.jsonl"))
    card = cell(WRONG.source)
    assert card.state == "wrong"
    assert "Progress is not kept" in card._repr_html_()
    assert "Progress is not kept" in repr(card)
