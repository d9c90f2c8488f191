"""One execution: the threads end, memory is flat, and whatever a thread does, the others are not harmed."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from contextlib import contextmanager, suppress

import pytest

from labkit.interleave.execution import Execution, check, current, stop
from labkit.interleave.ops import WRITE, Abort, CannotCheck, Op
from labkit.interleave.pool import Pool
from labkit.interleave.search import RandomWalk, Replay, Search


@contextmanager
def pooled():
    pool = Pool()
    try:
        yield pool
    finally:
        pool.close()


def explored_threads():
    return [thread for thread in threading.enumerate() if thread.name == "explored"]


def write():
    stop(Op("write", (("x", WRITE),), None, "x"))


class Blocked(Op):
    __slots__ = ()

    def enabled(self):
        return False


def run(pool, *functions, strategy=None, **options):
    execution = Execution(strategy or Replay(()), pool, **options)
    execution.run([(f"T{number}", function) for number, function in enumerate(functions)])
    return execution


def test_no_thread_is_left_after_the_pool_is_closed():
    with pooled() as pool:
        search = Search("none")
        while search.after(run(pool, write, write, lambda: stop(Blocked("acquire")), strategy=search)):
            pass
        assert search.executions == 2
        assert len(explored_threads()) == 3
    assert explored_threads() == []


def test_memory_is_flat_over_ten_thousand_executions():
    def loop(pool, count):
        walk = RandomWalk(1)
        for _ in range(count):
            walk.after(run(pool, write, lambda: (write(), stop(Blocked("acquire"))), strategy=walk))

    with pooled() as pool:
        loop(pool, 200)
        gc.collect()
        before = len(gc.get_objects())
        loop(pool, 10_000)
        gc.collect()
        assert len(gc.get_objects()) - before < 500
        tracemalloc.start()
        try:
            loop(pool, 200)
            gc.collect()
            start = tracemalloc.get_traced_memory()[0]
            loop(pool, 1000)
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - start < 50_000
        finally:
            tracemalloc.stop()
        assert len(explored_threads()) == 2


def test_the_memory_of_a_search_is_bounded_by_its_path():
    def worker():
        for _ in range(4):
            write()

    with pooled() as pool:
        search = Search("none")
        counts = []
        while search.after(run(pool, worker, worker, strategy=search)):
            if search.executions % 20 == 0:
                gc.collect()
                counts.append(len(gc.get_objects()))
        assert search.executions == 70
        assert max(counts) - min(counts) < 1000


def test_a_bare_except_that_swallows_the_end_does_not_keep_the_thread():
    seen = []

    def swallows():
        for _ in range(20):
            try:
                stop(Blocked("acquire"))
            except:  # noqa: E722, PERF203 - as a student would write it
                seen.append("swallowed")
        seen.append("end")

    with pooled() as pool:
        execution = run(pool, write, swallows)
        assert execution.ending == "deadlock"
        assert seen == ["swallowed"] * 20 + ["end"]
        assert not execution.leaked
        assert run(pool, write).ending == "done"
    assert explored_threads() == []


def test_a_finally_that_stops_again_does_not_keep_the_thread():
    seen = []

    def cleans_up():
        try:
            stop(Blocked("acquire"))
        finally:
            seen.append("finally")
            write()
            seen.append("never")

    with pooled() as pool:
        execution = run(pool, cleans_up)
        assert (execution.ending, seen) == ("deadlock", ["finally"])
        assert len(execution.trace) == 0
        assert run(pool, write).ending == "done"
    assert explored_threads() == []


def test_a_thread_that_swallows_the_end_for_ever_is_parked():
    over = []

    def never_ends():
        while not over:
            with suppress(BaseException):
                stop(Blocked("acquire"))

    with pooled() as pool:
        execution = run(pool, never_ends, write, hang_s=0.2)
        assert execution.ending == "deadlock"
        assert [thread.index for thread in execution.leaked] == [0]
        assert run(pool, write, write).ending == "done"
        parked = [thread for thread in explored_threads() if thread.ident == execution.leaked[0].ident]
        over.append(True)
        execution.leaked[0].baton.release()
        parked[0].join()
    assert explored_threads() == []


def test_the_end_reaches_a_thread_through_check():
    seen = []

    def asks():
        try:
            stop(Blocked("acquire"))
        except BaseException:  # noqa: BLE001
            try:
                check()
            except Abort:
                seen.append("abort")

    with pooled() as pool:
        run(pool, asks)
    assert seen == ["abort"]


def test_a_call_into_c_is_stuck_with_its_line_and_disturbs_nobody_later():
    left = threading.Event()

    def sleeps():
        write()
        time.sleep(1.0)  # the line that is to be named
        write()
        left.set()

    with pooled() as pool:
        execution = run(pool, sleeps, write, hang_s=0.2)
        assert execution.ending == "stuck"
        assert execution.problem is not None
        place = execution.problem.place
        assert place.file == __file__
        assert place.line == sleeps.__code__.co_firstlineno + 2
        stuck = [thread for thread in explored_threads() if thread.ident == execution.leaked[0].ident]
        results = [run(pool, write, write, hang_s=5.0) for _ in range(50)]
        stuck[0].join()  # it wakes up, comes to its next operation, and ends there
        results += [run(pool, write, write, hang_s=5.0) for _ in range(50)]
        assert all(result.ending == "done" and len(result.trace) == 2 for result in results)
        assert len(execution.trace) == 1
    assert not left.is_set()
    assert explored_threads() == []


def test_a_call_that_hangs_before_the_first_operation_is_stuck_too():
    with pooled() as pool:
        execution = run(pool, lambda: time.sleep(0.6), write, hang_s=0.2)
        assert execution.ending == "stuck"
        ident = execution.leaked[0].ident
        for thread in explored_threads():
            if thread.ident == ident:
                thread.join()
        assert run(pool, write, write).ending == "done"
    assert explored_threads() == []


def test_an_exception_in_one_thread_lets_the_others_go_on():
    def fails():
        write()
        raise KeyError("gone")

    with pooled() as pool:
        execution = run(pool, fails, write, lambda: (write(), write()))
        assert execution.ending == "done"
        assert [thread for thread, _ in execution.trace] == [0, 1, 2, 2]
        assert isinstance(execution.threads[0].error, KeyError)
        assert [thread.error for thread in execution.threads[1:]] == [None, None]


def test_an_exception_before_the_first_operation_lets_the_others_go_on():
    with pooled() as pool:
        execution = run(pool, lambda: 1 // 0, write)
        assert execution.ending == "done"
        assert isinstance(execution.threads[0].error, ZeroDivisionError)


def test_system_exit_ends_a_thread_in_silence():
    def leaves():
        write()
        raise SystemExit

    with pooled() as pool:
        execution = run(pool, leaves, write)
        assert (execution.ending, execution.threads[0].error) == ("done", None)


@pytest.mark.parametrize("early", [True, False])
def test_what_cannot_be_checked_ends_the_execution(early):
    def refuses():
        if not early:
            write()
        raise CannotCheck("calls socket.recv")

    with pooled() as pool:
        execution = run(pool, refuses, write, write)
        assert execution.ending == "cannot check"
        assert execution.problem.reason == "calls socket.recv"
        assert len(execution.trace) == (0 if early else 1)
        assert run(pool, write).ending == "done"
    assert explored_threads() == []


def test_what_cannot_be_checked_in_a_thread_that_was_started_ends_the_execution():
    def refuses():
        raise CannotCheck("calls socket.recv")

    def starts():
        write()
        current().execution.spawn("child", refuses)
        write()

    with pooled() as pool:
        execution = run(pool, starts)
        assert (execution.ending, len(execution.trace)) == ("cannot check", 1)
    assert explored_threads() == []


def test_a_started_thread_runs_up_to_its_first_operation_and_is_numbered_in_order():
    seen = []

    def child():
        seen.append("child runs")
        write()
        seen.append("child goes on")

    def starts():
        stop(Op("start"))
        first = current().execution.spawn("first", child)
        seen.append("first has stopped")
        stop(Op("start"))
        second = current().execution.spawn("second", lambda: None)
        seen.append((first.index, second.index, first.started_by, second.started_by, second.done))

    with pooled() as pool:
        execution = run(pool, starts)
    assert seen == ["child runs", "first has stopped", (1, 2, 0, 1, True), "child goes on"]
    assert [thread for thread, _ in execution.trace] == [0, 0, 1]
    assert execution.ending == "done"


def test_an_execution_that_is_too_long_is_cut():
    def loops():
        while True:
            write()

    with pooled() as pool:
        execution = run(pool, loops, loops, steps_most=50)
        assert (execution.ending, len(execution.trace)) == ("too long", 50)
        assert set(execution.pending) == {0, 1}
    assert explored_threads() == []


def test_another_thread_can_interrupt_at_any_moment():
    begun = threading.Event()

    def loops():
        while True:
            write()
            begun.set()

    with pooled() as pool:
        execution = Execution(Replay(()), pool, steps_most=10**9)

        def interrupt():
            begun.wait()
            execution.interrupted = True

        thread = threading.Thread(target=interrupt)
        thread.start()
        execution.run([("A", loops), ("B", loops)])
        thread.join()
        assert execution.ending == "interrupted"
        assert Search().after(execution) is False
    assert explored_threads() == []


def test_an_error_in_a_strategy_leaves_no_thread_and_is_not_hidden():
    class Broken(Replay):
        def choose(self, *given):
            if given[1] == 1:
                raise LookupError("a bug of ours")
            return given[2][0]

    with pooled() as pool:
        with pytest.raises(LookupError):
            run(pool, write, lambda: (write(), write()), strategy=Broken(()))
        assert run(pool, write).ending == "done"
    assert explored_threads() == []


def test_an_error_in_a_model_leaves_no_thread_and_is_not_hidden():
    class Broken(Op):
        __slots__ = ()

        def enabled(self):
            raise LookupError("a bug of ours")

    with pooled() as pool:
        with pytest.raises(LookupError):
            run(pool, write, lambda: stop(Broken("acquire")))
        assert run(pool, write).ending == "done"
    assert explored_threads() == []


def test_nobody_is_controlled_outside_of_an_execution():
    assert current() is None
    stop(Op("read"))
    check()
