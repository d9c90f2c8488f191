"""The pattern of a witness and its words: named when the steps show it, and only then; the text table."""

from __future__ import annotations

import dataclasses
import json

import pytest
import witnesses
from witnesses import ALL

from labkit.interleave import text
from labkit.interleave.patterns import PATTERNS, advice, mark_stale, pattern, say
from labkit.interleave.result import from_json, to_json
from labkit.interleave.story import arrows, cycle, holds, standing, waits
from labkit.interleave.syntax import columns, feeds, function_lines, in_test

NAMES = {
    "lost update": "lost update",
    "lost update, three threads": "lost update",
    "AB-BA deadlock": "AB-BA deadlock",
    "three philosophers": "circular wait",
    "four philosophers": "circular wait",
    "check-then-act": "check-then-act",
    "lazy singleton": "check-then-act",
    "lost wake-up": "lost wake-up",
    "if instead of while": "if instead of while",
    "torn read": "torn read",
    "unsafe publication": "unsafe publication",
    "lock kept after an exception": "lock kept after an exception",
    "self-deadlock": "self-deadlock",
    "exception": "",
    "livelock": "livelock",
    "stuck at once": "",
    "proved": "",
    "not finished": "",
    "cannot check": "",
}
each = pytest.mark.parametrize("name", ALL)
changed = dataclasses.replace


@pytest.mark.parametrize(("name", "expected"), NAMES.items())
def test_a_witness_is_named_after_what_its_steps_show(name, expected):
    assert pattern(ALL[name]) == expected
    assert bool(advice(expected)) == bool(expected)


def test_every_pattern_has_a_witness_in_the_catalogue():
    assert set(PATTERNS) <= set(NAMES.values())


@each
def test_words_and_tables_of_every_result_are_text(name):
    result = ALL[name]
    shown = text.table(result)
    assert max(map(text._width, shown.splitlines())) <= text.COLUMNS
    assert shown.splitlines()[0].startswith(result.verdict)
    assert "nan" not in shown
    for index in range(len(result.witness)):
        sentence = say(result, index)
        assert sentence.endswith(".")
        assert "{" not in sentence
    assert len(text.describe(result)) > 20


@each
def test_a_result_says_the_same_after_a_journey_as_json(name):
    again = from_json(json.loads(json.dumps(to_json(ALL[name]))))
    assert text.table(again) == text.table(ALL[name])
    assert text.describe(again) == text.describe(ALL[name])


def test_the_sentence_of_a_lost_update_says_which_step_it_had_missed():
    assert say(witnesses.LOST_UPDATE, 3).startswith(
        "B writes 1 to counter: it is based on the value that it read in step 2, before A wrote 1 in step 3; "
        "A's update is lost."
    )
    assert say(witnesses.LOST_UPDATE, 0) == "A reads 0 from counter."


def test_the_sentence_of_a_deadlock_closes_the_circle():
    assert say(witnesses.AB_BA, 1) == (
        "B acquires lock_b. Now A waits for lock_b, which B holds, and B waits for lock_a, which A holds: "
        "a circle that nobody can leave."
    )


def test_the_sentence_of_a_check_then_act_names_the_old_test():
    assert "it looked in step 2, before step 4, in which A wrote 0 to account.balance" in say(
        witnesses.CHECK_THEN_ACT, 5
    )
    assert "looked" not in say(witnesses.CHECK_THEN_ACT, 3)


def test_a_notification_that_nobody_hears_is_said_so():
    assert "nobody hears it" in say(witnesses.LOST_WAKE_UP, 3)
    assert say(witnesses.IF_FOR_WHILE, 5) == "C notifies ready: A may wake up."


def test_only_a_write_after_a_missed_write_is_stale():
    steps = witnesses.LOST_UPDATE.witness
    assert [(step.stale, step.overwritten) for step in steps] == [(-1, -1), (-1, -1), (-1, -1), (1, 2)]
    in_turn = [steps[0], steps[2], steps[1], steps[3]]
    assert all(step.stale == -1 for step in mark_stale(in_turn))
    assert mark_stale(steps) == steps
    assert mark_stale([]) == ()


def test_a_write_without_a_read_of_its_own_is_not_stale():
    blind = witnesses.LOST_UPDATE.witness[2:]
    assert all(step.stale == -1 for step in mark_stale(blind))


def test_an_exception_that_is_no_step_is_said_at_the_end():
    kept = witnesses.EXCEPTION_KEEPS_LOCK
    result = changed(kept, witness=kept.witness[:3], schedule=kept.schedule[:3])
    assert pattern(result) == "lock kept after an exception"
    assert "A thread fails with ZeroDivisionError: division by zero. Now B waits for lock" in say(result, 2)
    assert pattern(changed(result, error="")) == ""


def test_a_method_call_changes_a_container_and_overwrites_nothing():
    result = witnesses.IF_FOR_WHILE
    assert say(result, 4) == "C changes items by items.append(1)."
    steps = [
        step._replace(kind="write", text="items.pop()") if step.kind == "raise" else step for step in result.witness
    ]
    steps[-1] = steps[-1]._replace(name="items", value="None")
    assert all(step.stale == -1 for step in mark_stale(steps))
    woken = [step._replace(name="condition 1") if step.kind == "wake" else step for step in steps]
    assert pattern(changed(result, witness=tuple(woken))) == "if instead of while"


def test_a_proved_program_has_no_pattern_whatever_its_steps():
    assert pattern(changed(witnesses.LOST_UPDATE, verdict="proved", kind=None)) == ""


def test_an_unlocked_read_in_a_loop_condition_is_no_torn_read():
    """Peterson's threads read flag and turn in a row too, but in the test of a loop."""
    result = witnesses.result_of(
        "def enter():\n    flag = 1\n    turn = 1\n\ndef look():\n    while flag and turn:\n        pass\n",
        """
        A write flag 1 @2 flag
        B read flag 1 @6 flag
        B read turn 0 @6 turn
        A write turn 1 @3 turn
        """,
        {"flag": "0", "turn": "0"},
        ["enter", "look"],
    )
    assert result.pattern == ""


def test_a_write_that_does_not_use_what_was_read_is_no_lost_update():
    result = witnesses.result_of(
        "def f():\n    seen = state\n    print(seen)\n    state = 7\n",
        """
        A read state 0 @2 state
        B read state 0 @2 state
        A write state 7 @4 state
        B write state 7 @4 state
        """,
        {"state": "0"},
        ["f", "f"],
    )
    assert result.pattern == ""
    assert "A's write is lost" in say(result, 3)
    assert "based on" not in say(result, 3)


def test_a_loop_that_looks_again_is_not_called_if_instead_of_while():
    steps = list(witnesses.IF_FOR_WHILE.witness)
    steps.insert(12, steps[1]._replace(shared=steps[11].shared))
    again = changed(witnesses.IF_FOR_WHILE, witness=tuple(steps))
    assert pattern(again) != "if instead of while"


def test_a_notification_that_woke_somebody_is_not_lost():
    result = witnesses.result_of(
        witnesses.CONSUMER,
        """
        A acquire ready _ @2 ready
        A wait ready _ @4 ready.wait()
        C acquire ready _ @8 ready
        C notify ready _ @10 ready.notify()
        C release ready _ @8 ready
        A wake ready _ @4 ready.wait()
        A wait ready _ @4 ready.wait()
        """,
        {"ready": None},
        ["consume", "consume", "produce"],
        blocked=((0, "ready", -1, 4),),
    )
    assert result.pattern == ""


def test_a_test_is_found_in_source_that_is_indented_or_does_not_begin_at_line_one():
    for before, first in (("", 1), ("    ", 7)):
        source = "".join(before + line + "\n" for line in witnesses.WITHDRAW.splitlines())
        column = len(before) + 7
        step = witnesses.CHECK_THEN_ACT.witness[0]._replace(span=(first + 1, column, first + 1, column + 15))
        sources = {witnesses.CELL: (first, source)}
        assert in_test(sources, step)
        assert not in_test(sources, step._replace(span=(first + 2, column, first + 2, column + 15)))
        assert function_lines(sources, step) == (first, first + 2)


def test_a_function_is_found_in_a_cut_that_is_no_python_as_a_whole():
    for indent in ("", "    "):
        lines = [indent + line for line in witnesses.WITHDRAW.splitlines()]
        source = "\n".join([*lines, "", indent + '"check": lambda: explore([withdraw],'])
        column = len(indent) + 7
        step = witnesses.CHECK_THEN_ACT.witness[0]._replace(span=(2, column, 2, column + 15))
        sources = {witnesses.CELL: (1, source)}
        assert in_test(sources, step)
        assert function_lines(sources, step) == (1, 3)
        act = step._replace(span=(3, len(indent) + 8, 3, len(indent) + 23))
        assert not in_test(sources, act)
        assert feeds(sources, act, act)


def test_source_that_is_missing_or_no_python_is_no_failure():
    step = witnesses.LOST_UPDATE.witness[0]
    for sources in ({}, {witnesses.CELL: (1, "def (")}, {witnesses.CELL: (1, "")}):
        assert not in_test(sources, step)
        assert function_lines(sources, step) is None
        assert feeds(sources, step, step)
        result = changed(witnesses.LOST_UPDATE, sources=sources)
        assert pattern(result) == "lost update"
        assert text.table(result)


def test_columns_of_bytes_become_columns_of_characters():
    line = "größe = größe + 1"
    assert columns(line, 10, 17, "größe") == (8, 13)  # the byte columns of ast
    assert columns(line, 8, 13, "größe") == (8, 13)  # already characters
    assert columns("x = y", 4, 5, "y") == (4, 5)


def test_the_story_tells_who_holds_waits_and_stands_where():
    result = witnesses.AB_BA
    assert cycle(result) == ((0, "lock_b"), (1, "lock_a"))
    assert [(bar.thread, bar.name, bar.first, bar.last) for bar in holds(result)] == [
        (0, "lock_a", 1, 3),
        (1, "lock_b", 2, 3),
    ]
    assert [(bar.thread, bar.name) for bar in waits(result)] == [(0, "lock_b"), (1, "lock_a")]
    assert standing(result, 0, 0) == ("ready", "")
    assert standing(result, 0, 1) == ("runs", "")
    assert standing(result, 0, 2) == ("stuck", "lock_b, held by B")
    assert arrows(result) == []
    assert cycle(witnesses.LOST_WAKE_UP) == ()
    assert cycle(witnesses.SELF_DEADLOCK) == ((0, "lock"),)
    assert standing(witnesses.EXCEPTION_KEEPS_LOCK, 0, 4)[0] == "failed"
    assert standing(witnesses.EXCEPTION, 0, 3) == ("ended", "")


def test_a_deadlock_before_the_first_step_is_shown():
    shown = text.table(witnesses.STUCK_AT_ONCE)
    assert "end  │ ✗ waits for" in shown
    assert "Now A waits for ready: nobody is left who could end this." in shown


def test_a_long_witness_is_cut_in_the_middle():
    shown = text.table(witnesses.long_witness(500))
    assert "440 steps left out" in shown
    assert len(shown.splitlines()) < 120


def test_the_table_of_a_lost_update_reads_as_a_story():
    lines = text.table(witnesses.LOST_UPDATE).splitlines()
    assert lines[0] == "bug: wrong result (lost update)"
    assert "counter = 1         4  NO       A B A B" in lines
    assert any(line.startswith("   4 │ ") and "writes 1 to counter ✗ step 3" in line for line in lines)
