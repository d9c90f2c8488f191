"""A run that is watched from inside: who waits for whom, and the CPU used, on every Python found."""

from __future__ import annotations

import itertools
import json
import re
import sys
import threading

import pytest
import watched_programs as programs

import labkit as lab
from labkit.child import watch
from labkit.child.emit import EVENT_BYTES_MOST
from labkit.child.waits import circle
from labkit.errors import BadValue, BadWorkload
from labkit.model import Ending, Event
from labkit.runs import interpreters
from labkit.show import wait_graph
from labkit.show.wait_graph import glances

PYTHONS = interpreters.find()
FROZEN_CORES, BUSY_CORES = 0.1, 0.2  # the machine may be busy with other things: then a spinning thread gets less

each_python = pytest.mark.parametrize("found", PYTHONS, ids=lambda found: found.version)


def watched(workload, reached, python=None):
    """Run a program that never ends until the watch has seen what it comes to, then stop it."""
    live = lab.start(workload, deadline_s=10.0, python=python, watch=True)
    for _ in live.events():
        seen = glances(list(live.heard.events))
        if seen and reached(seen):
            live.stop()
    return live.wait()


def frozen(seen):
    return bool(circle(seen[-1].edges)) and seen[-1].cores < FROZEN_CORES


@each_python
def test_a_deadlock_is_seen_to_close_while_the_cpu_falls_to_nothing(found):
    run = watched(programs.works_then_deadlocks, frozen, found.path)
    seen = glances(run.events)
    assert run.ending is Ending.STOPPED
    assert max(glance.cores for glance in seen) > BUSY_CORES
    assert seen[-1].cores < FROZEN_CORES
    closed = circle(seen[-1].edges)
    assert [(edge.thread, edge.name, edge.holder, edge.held_as) for edge in closed] == [
        ("left", "target.lock", "right", "source.lock"),
        ("right", "target.lock", "left", "source.lock"),
    ]
    assert len({edge.thing for edge in closed}) == 2  # one name, two locks
    assert all(edge.place.endswith("of watched_programs.py, in transfer") for edge in closed)
    assert circle(seen[0].edges) == []
    assert run.damaged_count == 0
    assert run.receipt.clean


def test_at_the_deadline_the_watch_is_in_no_stack_and_in_no_sentence():
    for _ in range(5):  # where others have the cores, a worker may not find the time to answer at its deadline
        run = lab.run(programs.dines, deadline_s=1.5, watch=True)
        assert run.ending is Ending.TIMED_OUT
        if run.reason:
            break
    assert [edge.thread for edge in glances(run.events)[-1].edges] == ["MainThread", "p0", "p1", "p2"]
    assert "in dine" in run.stacks
    assert "watch.py" not in run.stacks
    assert "thread p0 waits for the lock forks[(me + 1) % seats] that thread p1 holds" in run.reason
    assert watch.NAME not in run.reason


@each_python
def test_a_livelock_uses_the_cpu_and_nobody_waits(found):
    run = watched(programs.gives_way, lambda seen: len(seen) >= 4, found.path)
    seen = glances(run.events)
    assert seen
    assert max(glance.cores for glance in seen) > BUSY_CORES
    assert [edge for glance in seen for edge in glance.edges] == []


def test_a_circle_of_philosophers_names_each_fork():
    run = watched(programs.dines, frozen)
    closed = circle(glances(run.events)[-1].edges)
    assert [(edge.thread, edge.label, edge.holder) for edge in closed] == [
        ("p0", "forks[1]", "p1"),
        ("p1", "forks[2]", "p2"),
        ("p2", "forks[0]", "p0"),
    ]


def test_every_kind_of_thing_that_a_thread_waits_for_is_named():
    run = watched(programs.waits_for_everything, lambda seen: len(seen[-1].edges) == 6)
    found = {edge.thread: (edge.kind, edge.label, edge.holder) for edge in glances(run.events)[-1].edges}
    assert found == {
        "MainThread": ("thread", "held", "holder"),
        "at_again": ("lock", "again", "holder"),
        "at_condition": ("condition", "changed", None),
        "at_lock": ("lock", "lock", "holder"),
        "at_queue": ("queue", "work", None),
        "holder": ("event", "forever", None),
    }


def test_a_healthy_program_makes_progress_and_ends():
    run = lab.run(programs.prints_and_ends, watch=True)
    assert run.check().result == {"value": 2}
    assert run.output.count("\n") == 2
    assert max(glance.cores for glance in glances(run.events)) > BUSY_CORES
    assert run.receipt.clean


def test_without_watch_there_is_no_thread_and_no_event():
    run = lab.run(counts_threads, deadline_s=10.0)
    assert run.result == {"value": [1, 1]}
    assert run.events == ()


def test_the_watch_is_one_daemon_thread_that_says_what_it_is():
    run = lab.run(names_threads, deadline_s=10.0, watch=True)
    assert run.result == {"value": [["MainThread", False], [watch.NAME, True]]}


def counts_threads():
    """Count the threads that Python knows, and those that run Python code."""
    return [threading.active_count(), len(sys._current_frames())]


def names_threads():
    """Name every thread, and say whether it is a daemon."""
    return [[thread.name, thread.daemon] for thread in threading.enumerate()]


def test_a_parameter_of_that_name_is_refused_and_so_is_a_wrong_value():
    with pytest.raises(BadWorkload, match="watch"):
        lab.run(own_watch)
    with pytest.raises(BadValue, match="True or False"):
        lab.start(counts_threads, watch="yes")


def own_watch(watch=1):
    """Take a parameter that `lab.run` takes for itself."""
    return watch


# ---------------------------------------------------------------------------------------------------- what is sent
def test_an_edge_always_fits_into_one_event(monkeypatch):
    lines = []
    monkeypatch.setattr("labkit.child.emit._pipe", [1])
    monkeypatch.setattr("labkit.child.emit.os.write", lambda _, line: lines.append(line))
    long = "\U0001d538\x01" * 300
    edge = watch.Edge(long, "lock", long, long, long, 1 << 60, long, long, 10**9, timed=True)
    watch._tell(1.0, [edge] * 3)
    assert [json.loads(line)[5] for line in lines] == [watch.LOOK, watch.EDGE, watch.EDGE, watch.EDGE]
    assert max(map(len, lines)) <= EVENT_BYTES_MOST


def test_a_glance_still_on_its_way_is_not_shown_and_forged_ones_are_no_glance():
    edge = ["a", "lock", "x", "b", "line 1", 0, "x", "y", 2, False]
    sent = [(watch.LOOK, {"cores": 1.0, "edges_count": 1}), (watch.EDGE, edge), (watch.LOOK, {"cores": 0.5})]
    whole = [event(name, value) for name, value in sent]
    assert [(glance.cores, len(glance.edges)) for glance in glances(whole)] == [(1.0, 1), (0.5, 1)]
    begun = [*whole, event(watch.LOOK, {"cores": 0.1, "edges_count": 2}), event(watch.EDGE, edge)]
    assert glances(begun) == glances(whole)
    forged = [event(watch.LOOK, value) for value in (None, {}, {"cores": "x"}, [1])]
    forged += [event(watch.EDGE, value) for value in (None, edge[:-1], [1, *edge[1:]], {"a": 1})]
    assert glances([*forged, *whole, *forged]) == glances(whole)


def event(name, value):
    return Event(1_000_000_000, 1, 1, "sample", name, value)


# ---------------------------------------------------------------------------------------------------- pictures
def edge_of(thread, thing, holder, kind="lock"):
    number = sum(map(ord, thing))
    return watch.Edge(thread, kind, thing, holder, "line 7 of cell In[1], in f", number, thing, thing, 5, timed=False)


def ring_of(count):
    return [edge_of(f"worker {n}", f"lock {n}", f"worker {(n + 1) % count}") for n in range(count)]


SHAPES = {
    "nobody": [],
    "one": [edge_of("a", "x", None, "event")],
    "itself": ring_of(1),
    "two": ring_of(2),
    "nine": ring_of(9),
    "two circles": [*ring_of(2), edge_of("c", "y", "d"), edge_of("d", "z", "c")],
    "a tail": [*ring_of(2), edge_of("q", "lock 0", "worker 1"), edge_of("MainThread", "t", "q", "thread")],
    "long names": [
        *[
            edge_of(
                f"a thread of a long name {n}", f"a lock of a long name {n}", f"a thread of a long name {(n + 1) % 6}"
            )
            for n in range(6)
        ],
        edge_of("another long name", "a lock of a long name 3", "a thread of a long name 4"),
    ],
    "a crowd": [edge_of(f"thread {n}", "x", "holder") for n in range(60)],
    "odd names": [edge_of('<b>"&', "locks['<i>']", '<b>"& 2'), edge_of('<b>"& 2', "y", '<b>"&')],
}


@pytest.mark.parametrize("edges", SHAPES.values(), ids=list(SHAPES))
def test_every_graph_is_drawn_inside_its_picture_and_told_in_words(edges):
    drawn = wait_graph.graph(edges)
    assert "<b>" not in drawn
    assert "<i>" not in drawn
    assert ("circle: nobody can go on" in drawn) == bool(circle(edges))
    if not edges:
        assert drawn == "<p>no thread waits for a lock</p>"
        return
    wide, high = (float(number) for number in re.search(r'viewBox="0 0 (\S+) (\S+)"', drawn).groups())
    found = re.findall(r'<rect [^>]*x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', drawn)
    boxes = [tuple(map(float, box)) for box in found]
    for x, y, w, h in boxes:
        assert 0 <= x <= x + w <= wide
        assert 0 <= y <= y + h <= high
    for one, other in itertools.combinations(boxes, 2):
        apart = abs(one[0] + one[2] / 2 - other[0] - other[2] / 2) >= (one[2] + other[2]) / 2
        assert apart or abs(one[1] - other[1]) >= one[3], (one, other)
    for points in re.findall(r'points="([^"]*)"', drawn):
        assert all(0 <= float(x) <= wide and 0 <= float(y) <= high for x, y in (p.split(",") for p in points.split()))
    assert drawn.count("<tr>") == 1 + min(len(edges), 24)
    assert '<svg role="img"' in drawn
    assert 'aria-label="Wait-for graph, ' in drawn


def test_a_circle_with_a_time_limit_is_not_called_for_ever():
    edges = [edge._replace(timed=True) for edge in ring_of(2)]
    assert wait_graph.in_words(edges) == "circle: nobody can go on before a time limit"


def test_things_that_nobody_in_particular_holds_close_no_circle():
    edges = [edge_of("a", "x", "b", "semaphore"), edge_of("b", "y", "a", "semaphore")]
    assert circle(edges) == []


@pytest.mark.parametrize("count", [1, 2, 12, 13, 95])
def test_the_cpu_used_is_told_as_a_short_table_that_ends_with_the_last_look(count):
    seen = [wait_graph.Glance(n / 10, n / 100, ()) for n in range(count)]
    rows = re.findall(r"<tr><td>([0-9.]+) s</td><td>([0-9.]+) cores</td></tr>", wait_graph.cpu_table(seen))
    assert 1 <= len(rows) <= 24
    assert rows[0] == ("0.0", "0.00")
    assert rows[-1] == (f"{seen[-1].t_s:.1f}", f"{seen[-1].cores:.2f}")
    assert len(set(rows)) == len(rows)
