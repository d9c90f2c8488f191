"""The three levels of a race: what is probed, what is counted in real runs, and what each row may claim."""

import sys

import explorer_programs as programs
import pytest
from test_explorer import engine  # noqa: F401 - a fixture

from labkit.child import gaps
from labkit.errors import BadWorkload
from labkit.interleave.in_child import real_runs
from labkit.model import Ending
from labkit.runs.supervise import run
from labkit.show import levels as room
from labkit.show.explorer import Exploration, explore
from labkit.show.levels import Gaps, Level, Levels, levels, probed


@pytest.fixture
def few(monkeypatch):
    """Make only a few real runs, and know the gaps without probing."""
    monkeypatch.setattr(room, "_RUNS_S", 0.2)
    lost = dict.fromkeys(gaps.KINDS, 0) | {"call": 7, "sleep": 2}
    monkeypatch.setattr(room, "probed", lambda _: Gaps("3.99.0", lost, dict.fromkeys(gaps.KINDS, 1000)))


def test_every_kind_of_gap_is_probed_in_a_bounded_time():
    done = run(gaps.probe, deadline_s=60, seconds_most=2.0).check()
    assert list(done.result) == list(gaps.KINDS)
    assert all(row["rounds"] >= row["lost"] >= 0 for row in done.result.values())
    assert sum(row["rounds"] for row in done.result.values()) > 0


def test_a_lost_addition_is_counted_as_a_switch():
    def loses(cell, rounds):
        cell.value += len(rounds) - 1

    assert gaps._lose(loses, 5.0)["lost"] > 0


def test_an_addition_that_is_not_lost_is_not_counted():
    def keeps(cell, rounds):
        with gaps._OTHER:
            cell.value += len(rounds)

    found = gaps._lose(keeps, 0.1)
    assert (found["lost"], found["rounds"] > 0) == (0, True)


def test_the_switch_interval_is_put_back():
    before = sys.getswitchinterval()
    gaps.probe(0.01)
    assert sys.getswitchinterval() == before


def test_an_interpreter_is_probed_once_in_a_session(monkeypatch):
    asked = []

    def counting(*args, **given):
        asked.append(given)
        return run(*args, **given, seconds_most=0.2)

    monkeypatch.setattr(room, "run", counting)
    monkeypatch.setattr(room, "_known", {})
    assert probed() is probed()
    assert len(asked) == 1


def test_a_probe_that_fails_is_not_remembered_and_says_why(monkeypatch):
    monkeypatch.setattr(room, "_known", {})
    monkeypatch.setattr(room, "_DEADLINE_S", 0.2)
    found = probed()
    assert found.reason.startswith("the probe ran past its deadline")
    assert room._known == {}


def test_gaps_become_switch_points_of_the_engine():
    none = dict.fromkeys(gaps.KINDS, 0)
    rounds = dict.fromkeys(gaps.KINDS, 5000)
    assert Gaps("x", none, rounds).points == frozenset()
    assert Gaps("x", none | {"for": 1, "call": 2}, rounds).points == {"loop", "call"}
    assert Gaps("x", none | {"attribute": 1}, rounds).points is None
    said = Gaps("x", none | {"print": 3}, rounds)
    assert said.said(possible=True) == "a print"
    assert "no code in between (not seen in 5,000 rounds)" in said.said(possible=False)
    assert "impossible" not in said.said(possible=False)


def test_three_rows_for_a_bug(engine, few):  # noqa: F811 - the fixture
    engine("if 'switch_points' in limits: return Result(verdict='proved')")
    rows = levels(explore([programs.inc, programs.inc], check=lambda: False, where="kernel"))
    assert [row.level for row in rows] == ["the language", "Python 3.99.0 here", "real runs"]
    assert rows[0].answer == "yes (wrong result)"
    assert rows[1].answer == "not at the gaps where switches were seen"
    assert "a call of a Python function, a sleep(0)" in rows[1].basis
    assert rows[2].answer == "not known"
    assert "process of their own" in rows[2].basis
    programs.counter = 0


def test_the_engine_gets_the_switch_points_that_were_seen(engine, few):  # noqa: F811 - the fixture
    check = "assert set(limits.get('switch_points', ['call', 'sleep'])) == {'call', 'sleep'}; "
    engine(check + "return Result(verdict='bug', kind='wrong result')")
    rows = levels(explore([programs.inc], where="kernel"))
    assert rows[1].answer == "yes (wrong result)"


@pytest.mark.parametrize(
    ("verdict", "first", "second"),
    [
        ("proved", "no: proved", "no: proved"),
        ("not finished", "not known: not finished", "not known"),
        ("cannot check", "not known: cannot check", "not known"),
    ],
)
def test_the_interpreter_is_not_asked_where_the_language_decides(engine, few, verdict, first, second):  # noqa: F811
    engine(f"return Result(verdict={verdict!r})")
    rows = levels(explore([programs.at_most_two], where="kernel"))
    assert (rows[0].answer, rows[1].answer) == (first, second)


@pytest.mark.parametrize(
    ("functions", "given", "wrong"),
    [
        ([programs.locked_inc] * 2, {"check": programs.both}, False),
        ([programs.inc] * 3, {"check": programs.both}, True),
        ([programs.deposit] * 2, {"setup": programs.Account, "check": programs.rich}, False),
        ([programs.crash_softly], {}, True),
    ],
)
def test_real_runs_start_afresh_and_count_what_is_wrong(engine, few, functions, given, wrong):  # noqa: F811
    engine("return Result(verdict='bug', kind='wrong result')")
    found = explore(functions, where="kernel", **given)
    row = levels(found)[2]
    words = row.answer.split()
    assert int(words[4]) > 1, row
    assert int(words[1]) == (int(words[4]) if wrong else 0), row
    assert "at a switch interval of 5 ms" in row.basis
    assert "95 % interval of the share" in row.basis


@pytest.mark.parametrize(("kind", "words"), [("deadlock", "seen 3 times in 3 runs"), ("wrong result", "seen 0 times")])
def test_real_runs_that_do_not_end_count_only_for_a_deadlock(engine, few, monkeypatch, kind, words):  # noqa: F811
    monkeypatch.setattr(room, "_RUNS_S", 8.0)
    engine(f"return Result(verdict='bug', kind={kind!r})")
    row = levels(explore([programs.stuck], where="kernel"))[2]
    assert row.answer.startswith(words)
    assert ("3 did not end in time and are not counted" in row.basis) is (kind != "deadlock")


def test_real_runs_that_crash_say_so(engine, few):  # noqa: F811 - the fixture
    engine("return Result(verdict='bug')")
    row = levels(explore([programs.crash], where="kernel"))[2]
    assert row.answer == "not known"
    assert "killed by SIGABRT" in row.basis


def test_real_runs_are_bounded_in_a_child():
    options = {"source": [["cell", 1, "def work():\n    pass\n"]], "seconds": 0.2, "folder": ""}
    done = run(real_runs, functions=["work"], roles={}, options=options)
    assert done.ending is Ending.FINISHED
    assert [row[1] for row in done.result["rows"]] == [0, 0]
    assert all(row[2] > 0 for row in done.result["rows"])


def test_levels_show_themselves_as_text_and_html():
    shown = Levels((Level("the language", "yes", "a < b"), Level("real runs", "seen 1 times in 2 runs", "x")))
    assert repr(shown).splitlines()[0] == "the language  yes"
    assert "a &lt; b" in shown._repr_html_()
    assert "<caption" in shown._repr_html_()


def test_levels_need_to_know_what_was_explored():
    with pytest.raises(BadWorkload, match="was not made here"):
        levels(Exploration(verdict="proved"))
