"""The models of locks, conditions, events and barriers under schedules that are written by hand."""

from __future__ import annotations

import threading

import pytest
from by_hand import FakeWorld, kinds, play, returned, write

from labkit.interleave import locks, models, waits
from labkit.interleave.ops import READ, WRITE


@pytest.fixture(autouse=True)
def _no_world():
    models.begin(None)
    yield
    models.begin(None)


# ------------------------------------------------------------------------------------------------ locks
def test_a_held_lock_blocks_and_a_release_by_another_thread_is_allowed():
    lock = locks.Lock()
    run = play([0, 1, 0], lock.acquire, lock.release)
    assert run.ending == "done"
    lock = locks.Lock()
    run = play([0, 1], lambda: (lock.acquire(), lock.acquire()), lock.release)
    assert (run.ending, kinds(run)) == ("done", ["acquire", "release", "acquire"])
    assert run.script.enabled[1] == {1}
    lock = locks.Lock()
    assert play([0], lambda: (lock.acquire(), lock.acquire())).ending == "deadlock"


def test_a_try_that_fails_is_a_read_and_one_that_succeeds_a_write():
    lock = locks.Lock()
    run = play([0, 1, 2], lock.acquire, lambda: lock.acquire(blocking=False), lambda: lock.acquire(timeout=3))
    assert returned(run) == [True, False, False]
    assert [op.accesses for _, op in run.trace] == [((id(lock), WRITE),), ((id(lock), READ),), ((id(lock), READ),)]


def test_taking_an_rlock_again_is_no_operation():
    lock = locks.RLock()

    def twice():
        with lock, lock:
            pass

    run = play([0], twice, lock.release)
    assert kinds(run, 0) == ["acquire", "release"]
    assert run.script.enabled[1] == {0}
    assert str(run.threads[1].error) == "cannot release un-acquired lock"


def test_a_semaphore_lets_as_many_in_as_it_counts():
    semaphore = locks.Semaphore(2)
    run = play([0, 1], semaphore.acquire, semaphore.acquire, semaphore.acquire)
    assert (run.ending, list(run.pending)) == ("deadlock", [2])
    assert semaphore.state() == (0, 2)


# ------------------------------------------------------------------------------------------------ conditions
def test_notify_wakes_in_the_order_of_coming():
    for order in ([0, 0, 1, 1], [1, 1, 0, 0]):
        condition = waits.Condition()

        def waiter(condition=condition):
            with condition:
                return condition.wait()

        def notifier(condition=condition):
            with condition:
                condition.notify()

        run = play([*order, 2, 2, 2], waiter, waiter, notifier)
        assert run.ending == "deadlock"
        assert set(run.pending) == {order[-1]}
        wake = next(op for _, op in run.trace if op.kind == "wake")
        assert run.trace[wake.ticket.step][1].kind == "notify"


def test_a_wake_needs_the_notify_and_the_lock():
    condition = waits.Condition()

    def waiter():
        with condition, condition:
            condition.wait()
            return condition.m_lock.m_count

    def notifier():
        with condition:
            condition.notify_all()

    run = play([0, 0, 1, 1, 1, 0], waiter, notifier)
    assert [0 in enabled for enabled in run.script.enabled[:6]] == [True, True, False, False, False, True]
    assert run.threads[0].returned == 2
    assert run.ending == "done"
    assert condition.m_lock.m_owner is None


def test_a_notify_before_the_wait_is_lost():
    condition = waits.Condition()

    def waiter():
        with condition:
            condition.wait()

    def notifier():
        with condition:
            condition.notify()

    assert play([1, 1, 1, 0], waiter, notifier).ending == "deadlock"


def test_a_timed_wait_ends_both_ways():
    def waiter(condition):
        with condition:
            return condition.wait(timeout=1)

    def notifier(condition):
        with condition:
            condition.notify()

    for schedule, expected in (([0, 0, 0], False), ([0, 0, 1, 1, 1, 0], True), ([0, 0, 1, 1, 0, 1], True)):
        condition = waits.Condition()
        run = play(schedule, lambda c=condition: waiter(c), lambda c=condition: notifier(c))
        assert returned(run)[0] is expected
        assert run.ending == "done"
        assert condition.state()[1:] == ((),)


def test_a_notify_that_meets_a_late_waiter_is_lost_as_in_cpython():
    condition = waits.Condition()

    def late():
        with condition:
            return condition.wait(timeout=1)

    def patient():
        with condition:
            return condition.wait()

    def notifier():
        with condition:
            condition.notify()

    # the late one's time is over (its third step), and before it has the lock again, the notify meets it
    run = play([0, 0, 1, 1, 2, 0, 2, 2], late, patient, notifier)
    assert (run.ending, set(run.pending), returned(run)[0]) == ("deadlock", {1}, False)


def test_wait_for_asks_again_and_gives_up_when_its_time_is_over():
    box = []

    def waiter(condition, timeout):
        with condition:
            return condition.wait_for(lambda: len(box) > 1, timeout)

    def notifier(condition):
        with condition:
            box.append(1)
            condition.notify()

    condition = waits.Condition()
    run = play([0, 0], lambda: waiter(condition, None), *[lambda: notifier(condition)] * 2)
    assert returned(run)[0] is True
    box.clear()
    condition = waits.Condition()
    assert returned(play([0, 0, 0], lambda: waiter(condition, 1)))[0] is False


def test_a_condition_of_a_plain_lock_takes_any_holder_for_the_caller():
    condition = waits.Condition(locks.Lock())
    run = play([0, 1], condition.acquire, condition.notify)
    assert run.threads[1].error is None
    condition = waits.Condition(locks.Lock())
    run = play([1, 0], condition.acquire, condition.notify)
    assert str(run.threads[1].error) == "cannot notify on un-acquired lock"


# ------------------------------------------------------------------------------------------------ events
def test_who_waits_for_an_event_goes_on_after_set_even_if_it_is_cleared():
    event = locks.Event()
    run = play([0, 1, 1, 0], event.wait, lambda: (event.set(), event.clear()))
    assert (run.ending, returned(run)[0]) == ("done", True)
    event = locks.Event()
    run = play([1, 1, 0], event.wait, lambda: (event.set(), event.clear()))
    assert run.ending == "deadlock"


def test_a_timed_wait_for_an_event_ends_both_ways():
    event = locks.Event()
    run = play([0, 0, 1], lambda: event.wait(1), event.set)
    assert returned(run)[0] is False
    event = locks.Event()
    assert returned(play([0, 1, 0], lambda: event.wait(1), event.set))[0] is True
    event = locks.Event()
    assert returned(play([1, 0], lambda: event.wait(1), event.set))[0] is True


def test_only_a_program_that_clears_events_gets_two_operations_per_wait():
    world = FakeWorld()
    models.begin(world)
    event = locks.Event()
    run = play([], event.wait, event.set)
    assert kinds(run) == ["set", "wait"]
    run = play([], event.clear)
    assert (run.ending, type(run.problem).__name__) == ("cannot check", "Restart")
    models.begin(world)
    event = locks.Event()
    run = play([0, 1], event.wait, lambda: (event.set(), event.clear()))
    assert kinds(run, 0) == ["wait", "wake"]


# ------------------------------------------------------------------------------------------------ barriers
@pytest.mark.parametrize("fine", [False, True])
def test_a_barrier_is_used_twice(fine):
    if not fine:
        models.begin(FakeWorld())
    barrier = waits.Barrier(2)
    run = play([0, 1, 1, 0], *[lambda: [barrier.wait(), barrier.wait()]] * 2) if not fine else None
    if fine:
        run = play([0, 1, 0, 1], *[lambda: [barrier.wait(), barrier.wait()]] * 2)
        assert kinds(run)[:4] == ["arrive", "arrive", "leave", "arrive"]
        assert run.script.enabled[2] == {0}  # the next round begins when the last one has left
    assert run.ending == "done"
    assert [sorted(pair) for pair in zip(*returned(run), strict=True)] == [[0, 1], [0, 1]]
    assert barrier.m_count == 0
    assert barrier.m_tickets == []


def test_an_abort_breaks_even_a_full_round_that_has_not_left():
    barrier = waits.Barrier(2)
    run = play([0, 1, 2], barrier.wait, barrier.wait, barrier.abort)
    assert isinstance(run.threads[0].error, threading.BrokenBarrierError)
    assert run.threads[1].returned == 1


def test_a_reset_and_a_timeout_break_the_round_that_waits():
    barrier = waits.Barrier(3)
    run = play([0, 1], barrier.wait, barrier.reset)
    assert isinstance(run.threads[0].error, threading.BrokenBarrierError)
    assert barrier.broken is False
    barrier = waits.Barrier(3)
    run = play([0, 0], lambda: barrier.wait(1), barrier.wait)
    assert [type(thread.error) for thread in run.threads] == [threading.BrokenBarrierError] * 2
    assert barrier.broken is True


def test_the_last_one_runs_the_action_while_the_others_wait():
    models.begin(FakeWorld())
    barrier = waits.Barrier(2, lambda: (write("x"), write("x")))
    run = play([0, 1, 1], barrier.wait, barrier.wait, barrier.wait)
    assert run.script.enabled[3] == {1}  # neither may the first leave nor the third come
    assert (run.ending, set(run.pending)) == ("deadlock", {2})
