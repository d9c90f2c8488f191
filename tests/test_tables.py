"""Tables of runs and of events."""

from __future__ import annotations

import pytest

from labkit.errors import BadValue
from labkit.model import Ending, Event, Run, Trial
from labkit.tables import frame, summary, timeline

FIXED = ["experiment", "arm", "block", "seed", "ending", "reason", "elapsed_s", "lifetime_s", "cpu_s", "python"]


def run_of(params=None, result=None, **fields):
    trial = Trial(workload="m:f", experiment="e", arm="a", block=2, seed=5, params=params or {})
    return Run(trial=trial, ending=fields.pop("ending", Ending.FINISHED), result=result or {}, **fields)


def test_no_runs_give_the_fixed_columns_and_no_rows():
    table = frame([])
    assert list(table.columns) == FIXED
    assert len(table) == 0
    assert list(table[table["ending"] == "finished"].columns) == FIXED


def test_a_run_becomes_one_row_with_the_columns_in_order():
    kept = run_of({"workers": 2}, {"lost_count": 7}, elapsed_s=0.5, lifetime_s=0.7, cpu_s=0.4, python="3.13.0t")
    table = frame([kept])
    assert list(table.columns) == [*FIXED[:4], "workers", *FIXED[4:], "lost_count"]
    assert table.iloc[0].to_list() == ["e", "a", 2, 5, 2, "finished", "", 0.5, 0.7, 0.4, "3.13.0t", 7]


def test_columns_stand_in_the_order_first_seen_and_gaps_are_nan():
    table = frame(iter([run_of({"b": 1}, {"y": 1}), run_of({"a": 2, "b": 3}, {"x": 4, "y": 5})]))
    assert list(table.columns) == [*FIXED[:4], "b", "a", *FIXED[4:], "y", "x"]
    assert table["a"].isna().to_list() == [True, False]
    assert table["x"].isna().to_list() == [True, False]


def test_a_run_that_did_not_finish_keeps_its_row():
    table = frame([run_of({"n": 1}, ending=Ending.UNAVAILABLE, reason="no fork"), run_of({"n": 1}, {"x": 1.5})])
    assert table["ending"].to_list() == ["cannot be run here", "finished"]
    assert table["reason"].to_list() == ["no fork", ""]
    assert table["x"].isna().to_list() == [True, False]
    assert table["elapsed_s"].isna().all()


def test_flags_and_lists_stay_what_they_are():
    table = frame([run_of({"lock": True, "sizes": [1, 2]}), run_of({"lock": False, "sizes": [3]})])
    assert table["lock"].dtype == bool
    assert table["sizes"].to_list() == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("params", "result", "name"),
    [
        ({"x": 1}, {"x": 2}, "x"),
        ({"seed": 1}, {}, "seed"),
        ({}, {"elapsed_s": 1}, "elapsed_s"),
        ({"arm": 1}, {}, "arm"),
    ],
)
def test_two_columns_of_one_name_are_refused_by_name(params, result, name):
    with pytest.raises(BadValue, match=f"'{name}'") as caught:
        frame([run_of(params, result)])
    assert caught.value.value == name


def test_a_timeline_is_ordered_by_time():
    events = (Event(30, 1, 11, "end", "w", 3), Event(10, 1, 11, "begin", "w"), Event(30, 1, 12, "note", "late"))
    table = timeline(run_of(events=events))
    assert list(table.columns) == ["t_ns", "pid", "tid", "kind", "name", "value"]
    assert table["t_ns"].to_list() == [10, 30, 30]
    assert table["kind"].to_list() == ["begin", "end", "note"]


def test_a_run_without_events_gives_an_empty_timeline():
    table = timeline(run_of())
    assert list(table.columns) == list(Event._fields)
    assert len(table) == 0


def test_a_summary_tells_interpreters_apart_where_there_are_several():
    runs = [run_of({"n": 1}, {"x": x}, python=python) for x, python in ((1, "3.11.7"), (3, "3.11.7"), (9, "3.14.0t"))]
    runs += [run_of({"n": 1}, ending=Ending.UNAVAILABLE)]  # it bears no version, and is no interpreter of its own
    varied, rows = summary(frame(runs), ["n"], ["x"])
    assert varied == ["python"]
    assert [(row["python"], row["runs_count"], row["x"]) for row in rows] == [("3.11.7", 2, 2.0), ("3.14.0t", 1, 9.0)]
    assert summary(frame([*runs[:2], runs[3]]), ["n"], ["x"])[0] == []
    assert summary(frame([]), ["n"], ["x"]) == ([], [])
