"""Cores demanded, however busy the machine is: by made-up shares, and by real workers that are pinned to one core."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest
import round_workers

import labkit
from labkit.child import busy, tasks
from labkit.child.busy import Share, busy_until
from labkit.runs.interpreters import find
from labkit.show import interpreters

ONE, TWO = (0.7, 1.3), (1.5, 2.01)  # cores: two workers that take turns, and that do not; quiet: 1.00 and 1.98

WINDOW_S, STOP_NS = 0.2, 200_000_000
LOOP = "Python loop"

pinned = pytest.mark.skipif(not busy.can_tell(), reason="not on this system: it does not count the sleeps of a thread")


def made(  # noqa: PLR0913 - a row of a table, by name
    cpu_s, *, delay_s=0.0, missing_s=0.0, gaps_s=0.0, gaps_count=0, late_s=0.0
):
    """Make up what a worker did in 0.2 s."""
    return Share(100, cpu_s, delay_s, missing_s, gaps_s, gaps_count, round(late_s * 1e9), STOP_NS, STOP_NS)


@pytest.mark.parametrize(
    ("shares", "one_gil", "used", "demanded"),
    [
        # Nobody slept: what is missing was spent in the queue, whatever the system counts.
        ([made(0.2), made(0.2)], False, 2.0, 2.0),
        ([made(0.1, delay_s=0.1, missing_s=0.1)] * 2, False, 1.0, 2.0),
        ([made(0.1, delay_s=0.02, missing_s=0.1)] * 2, True, 1.0, 2.0),
        # They take turns, 5 ms each: asleep for the GIL half of the time, and hardly in the queue.
        ([made(0.1, delay_s=0.01, gaps_s=0.1, gaps_count=20)] * 2, True, 1.0, 1.0),
        # The same beside a neighbour that takes 0.08 s: they wake to ask for the GIL, and count 0.1 s in the queue.
        ([made(0.06, delay_s=0.05, gaps_s=0.14, gaps_count=12)] * 2, True, 0.6, 1.0),
        ([made(0.06, delay_s=0.02, gaps_s=0.14, gaps_count=12)] * 2, True, 0.6, 0.8),
        # They sleep for a lock that is held for a moment, around C code without the GIL: all of the queue counts.
        ([made(0.1, delay_s=0.09, gaps_s=0.1, gaps_count=200)] * 2, True, 1.0, 1.9),
        ([made(0.1, delay_s=0.09, missing_s=0.03, gaps_s=0.07, gaps_count=200)] * 2, True, 1.0, 1.9),
        # One long sleep, when a neighbour stood in the way of who had the GIL for a moment, makes no turns.
        ([made(0.1, delay_s=0.09, missing_s=0.09, gaps_s=0.01, gaps_count=1), made(0.2)], True, 1.5, 1.95),
        # Without a GIL between them nobody takes turns, however long they slept.
        ([made(0.1, delay_s=0.05, gaps_s=0.1, gaps_count=20)] * 2, False, 1.0, 1.5),
        # One came to its first piece late: it waited for a core, or, under a GIL, for that.
        ([made(0.2), made(0.1, late_s=0.1)], False, 1.5, 2.0),
        ([made(0.2), made(0.1, late_s=0.1)], True, 1.5, 1.5),
        # More in the queue than was missing, by rounding: never more than is missing, and never more than a core each.
        ([made(0.1, delay_s=0.3, gaps_s=0.1, gaps_count=200)] * 2, True, 1.0, 2.0),
        ([made(0.1, missing_s=0.2)] * 2, False, 1.0, 2.0),
        # Less computing than turns: they cannot have waited for each other's turns.
        ([made(0.02, delay_s=0.05, gaps_s=0.18, gaps_count=20)] * 2, True, 0.2, 0.7),
        ([made(0.1, missing_s=0.1)], True, 0.5, 1.0),
    ],
)
def test_the_queue_counts_where_a_core_could_have_been_used(monkeypatch, shares, one_gil, used, demanded):
    monkeypatch.setattr(busy, "can_tell", lambda: True)
    monkeypatch.setattr(sys, "getswitchinterval", lambda: 0.005)
    assert busy.cores(shares, WINDOW_S, one_gil=one_gil) == pytest.approx((used, demanded))
    monkeypatch.setattr(busy, "can_tell", lambda: False)
    assert busy.cores(shares, WINDOW_S, one_gil=one_gil) == pytest.approx((used, used))


def test_who_ends_late_is_measured_by_its_own_time():
    shares = [made(0.2), made(0.1, missing_s=0.3)._replace(ended_ns=2 * STOP_NS)]
    assert busy.cores(shares, WINDOW_S, one_gil=False) == pytest.approx((1.25, 2.0 if busy.can_tell() else 1.25))


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_do_not_tell(monkeypatch, system):
    monkeypatch.setattr(sys, "platform", system)
    assert not busy.can_tell.__wrapped__()


def test_a_linux_that_counts_no_sleeps_does_not_tell(monkeypatch):
    monkeypatch.setattr(busy, "_counter", lambda: int)
    assert not busy.can_tell.__wrapped__()


def test_pieces_are_counted_until_the_time_has_come(monkeypatch):
    done, now_ns = [], iter(range(100, 200))
    clock = SimpleNamespace(monotonic_ns=lambda: next(now_ns), thread_time=time.thread_time)
    monkeypatch.setattr(busy, "time", clock)
    share = busy_until(105, lambda: done.append(1))
    assert (share.pieces_count, len(done), share.ended_ns) == (5, 5, 105)
    assert share.cpu_s >= 0
    assert busy_until(105, lambda: done.append(1)).pieces_count == 0  # it has passed


@pinned
def test_a_piece_that_sleeps_is_a_gap():
    share = busy_until(time.monotonic_ns() + 200_000_000, lambda: time.sleep(0.001))
    assert share.gaps_count == share.pieces_count > 0
    assert share.missing_s == 0.0
    assert share.gaps_s >= 0.001 * share.pieces_count - share.cpu_s


def cores(kind, works, python=None):
    """Return the cores that two workers demand, by the kind of work."""
    result = labkit.run(round_workers.cores, kind=kind, works=works, python=python, deadline_s=30).check().result
    return {work: demanded for work, (demanded, _) in result.items()}


@pinned
def test_two_threads_demand_two_cores_only_where_c_code_runs_without_the_gil():
    """On one core: whatever else runs there, what they demand is theirs."""
    gil = next(one.gil for one in find() if one.found_in == "this kernel")
    for work, demanded in cores("threads", list(tasks.TASKS)).items():
        low, high = ONE if gil and "without the GIL" not in tasks.TASKS[work][1] else TWO
        assert low <= demanded <= high, work


@pinned
def test_two_processes_and_two_free_threads_demand_two_cores(free_threaded):
    for demanded in (cores("processes", [LOOP]), cores("threads", [LOOP], free_threaded.path)):
        assert TWO[0] <= demanded[LOOP] <= TWO[1]


@pinned
def test_two_subinterpreters_demand_what_the_passport_says_of_their_gil():
    """Python 3.12.1 was killed at its end after the second kind of work."""
    told = {one: interpreters._subinterpreters(one) for one in find() if one.subinterpreters}
    assert told
    for one, words in told.items():
        demanded = cores("subinterpreters", [LOOP, "sha256"], one.path)
        low, high = ONE if "share one GIL" in words else TWO
        assert low <= demanded[LOOP] <= high, one
        assert TWO[0] <= demanded["sha256"] <= TWO[1], one


@pinned
def test_where_the_system_does_not_tell_cores_demanded_are_cores_used():
    result = labkit.run(round_workers.cores_untold, kind="processes", works=[LOOP]).check().result
    demanded, used = result[LOOP]
    assert demanded == used <= 1.1
    assert result["sleeps_count"] == 0


# ---------------------------------------------------------------------------------------------------- the pieces
def test_every_piece_of_work_is_right_on_every_interpreter_and_a_wrong_one_raises():
    for one in find():
        told = labkit.run(round_workers.right_answers, python=one.path).check().result
        assert set(told) == set(tasks.TASKS)
        for work, problems in told.items():
            assert problems == ["", "", "", f"a piece of work gave a wrong answer: {work}"]


def test_pieces_are_right_in_four_threads_at_once(free_threaded):
    for python in (None, free_threaded.path):
        assert labkit.run(round_workers.many_at_once, python=python).check().result == {"told": []}


def test_an_unknown_kind_of_work_is_refused():
    with pytest.raises(KeyError):
        tasks.ready("no such work")
