"""Rounds of a while loop that had no effect wait for a write, and no others do."""

from __future__ import annotations

import pytest
from by_hand import kinds, play, read, write

from labkit.interleave import locks, loops, models, threads
from labkit.interleave.ops import READ, Place

PLACE = Place("cell", 1, 0, 1, 4, "turn == 1")


@pytest.fixture(autouse=True)
def _no_world():
    models.begin(None)
    yield
    models.begin(None)


# ------------------------------------------------------------------------------------------------ awaits
def spinning(shared, until, *, entries=1):
    def spin():
        for _ in range(entries):
            loops.begin("loop")
            while loops.tick("loop", {}, PLACE) or not (read("turn") or shared["turn"] >= until):
                pass

    return spin


def setting(shared, value, location="turn"):
    def change():
        write(location)
        shared["turn"] = value

    return change


def test_a_round_that_only_read_waits_for_a_write():
    shared = {"turn": 0}
    run = play([0], spinning(shared, 1), setting(shared, 1))
    assert run.script.enabled[1] == {1}
    assert (run.ending, kinds(run)) == ("done", ["read", "write", "spin", "read"])
    spin = run.trace[2][1]
    assert (spin.since, spin.accesses, spin.pure) == ({"turn": 0}, (("turn", READ),), False)


def test_a_write_before_the_await_but_after_the_read_counts():
    shared = {"turn": 0}

    def spin():
        loops.begin("loop")
        while loops.tick("loop", {}, PLACE) or not (read("turn") or shared["turn"] or read("other")):
            pass

    run = play([0, 1, 0, 0], spin, setting(shared, 1))
    assert (run.ending, kinds(run)) == ("done", ["read", "write", "read", "spin", "read"])


def test_a_write_elsewhere_does_not_end_an_await_and_every_write_starts_a_new_one():
    shared = {"turn": 0}
    run = play([0, 1], spinning(shared, 1), setting(shared, 0, "else"))
    assert (run.ending, kinds(run)) == ("spins", ["read", "write"])
    shared = {"turn": 0}
    run = play([0, 1, 0, 0], spinning(shared, 2), setting(shared, 1), setting(shared, 2))
    assert run.script.enabled[4] == {2}
    assert (run.ending, kinds(run, 0)) == ("done", ["read", "spin", "read", "spin", "read"])


def test_a_loop_that_is_entered_twice_is_no_await():
    shared = {"turn": 1}
    assert kinds(play([], spinning(shared, 1, entries=3))) == ["read"] * 3


def test_a_loop_with_an_effect_or_a_changed_variable_goes_on():
    def counting():
        loops.begin("loop")
        count = 0
        while loops.tick("loop", {"count": count}, PLACE) or count < 5:
            read("x")
            count += 1

    def moving():
        loops.begin("loop")
        items = iter(range(4))
        while loops.tick("loop", {"items": items}, PLACE) or next(items) < 3:
            read("x")

    def noted():
        loops.begin("loop")
        count = 0
        while loops.tick("loop", {}, PLACE) or count < 5:
            read("x")
            count += 1
            loops.effect()

    for function in (counting, moving, noted):
        run = play([], function)
        assert run.ending == "done"
        assert "spin" not in kinds(run)


def test_a_loop_that_does_nothing_spins_for_ever():
    def idle():
        loops.begin("loop")
        while loops.tick("loop", {"x": 1.5, "y": (1, "a")}, PLACE) or True:
            pass

    run = play([], idle)
    assert (run.ending, run.pending[0].pure) == ("spins", True)

    def sleeping():
        loops.begin("loop")
        while loops.tick("loop", {}, PLACE) or True:
            threads.sleep(1)

    assert play([], sleeping).ending == "spins"


def test_a_busy_wait_with_try_lock_is_an_await():
    lock = locks.Lock()

    def taking():
        loops.begin("loop")
        while loops.tick("loop", {}, PLACE) or not lock.acquire(blocking=False):
            threads.sleep(0)

    def holding():
        lock.acquire()
        lock.release()

    run = play([1, 0, 0], taking, holding)
    assert run.script.enabled[3] == {1}
    assert run.ending == "done"


def test_the_same_loop_in_a_deeper_call_is_another_one():
    def nested(depth):
        loops.begin("loop")
        rounds = 0
        while loops.tick("loop", {}, PLACE) or (read("x") or rounds < 1):
            rounds += 1
            loops.effect()
            if depth:
                nested(depth - 1)

    assert play([], lambda: nested(2)).ending == "done"


def test_computing_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(loops, "_ROUNDS_MOST", 50)
    monkeypatch.setattr(loops, "_STEPS_MOST", 5 * loops.STRIDE)

    def rounds():
        loops.begin("loop")
        count = 0
        while loops.tick("loop", {"count": count}, PLACE) or True:
            count += 1

    def steps():
        while True:
            loops.local_step(PLACE)

    for function in (rounds, steps):
        run = play([], function)
        assert run.ending == "cannot check"
        assert "without touching anything shared" in run.problem.reason
