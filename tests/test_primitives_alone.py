"""One thread gets from each model what it gets from the real object: results, errors and their texts."""

# ruff: noqa: FBT003 - blocking is the first argument of the real acquire, too

from __future__ import annotations

import copy
import queue
import random
import threading
import time

import pytest
from by_hand import outcome, play

from labkit.interleave import locks, models, queues, threads, waits
from labkit.interleave.ops import CannotCheck


@pytest.fixture(autouse=True)
def _no_world():
    models.begin(None)
    yield
    models.begin(None)


# ------------------------------------------------------------------------------------------------ as the real ones
_LOCK = [
    *(lambda o: o.acquire(False), lambda o: o.acquire(blocking=False), lambda o: o.acquire(timeout=0)),
    *(lambda o: o.acquire(True, 0.0), lambda o: o.acquire(False, 5), lambda o: o.acquire(True, -2)),
    *(lambda o: o.acquire(True, "x"), lambda o: o.acquire(True, None), lambda o: o.acquire(timeout=1e300)),
    *(lambda o: o.release(), lambda o: o.release(), lambda o: o.release(1), lambda o: o.nothing),
]
_SEMAPHORE = [
    *(lambda o: o.acquire(False), lambda o: o.acquire(timeout=0), lambda o: o.acquire(False, 1)),
    *(lambda o: o.acquire(True, -1), lambda o: o.release(), lambda o: o.release(2), lambda o: o.release(0)),
    *(lambda o: o.release(-1), lambda o: o.release("x")),
]
_CONDITION = [
    *(lambda o: o.acquire(False), lambda o: o.acquire(timeout=0), lambda o: o.release(), lambda o: o.notify()),
    *(lambda o: o.notify(2), lambda o: o.notify_all(), lambda o: o.wait(0), lambda o: o.wait(-1)),
    *(lambda o: o.wait_for(lambda: True), lambda o: o.wait_for(lambda: 0, 0), lambda o: o.wait_for(lambda: 7, 0)),
]
_EVENT = [
    *(lambda o: o.is_set(), lambda o: o.set(), lambda o: o.clear(), lambda o: o.wait(0), lambda o: o.wait(timeout=-1)),
]
_BARRIER = [
    *(lambda o: o.wait(0), lambda o: o.wait(timeout=-1), lambda o: o.reset(), lambda o: o.abort(), lambda o: o.parties),
    *(lambda o: o.n_waiting, lambda o: o.broken),
]
_SIMPLE = [
    *(lambda o: o.put(5), lambda o: o.put(3), lambda o: o.put(4, False), lambda o: o.get_nowait()),
    *(lambda o: o.get(False), lambda o: o.get(True, 0), lambda o: o.get(timeout=-1), lambda o: o.empty()),
    *(lambda o: o.qsize(), lambda o: o.put(9, timeout=-1), lambda o: o.put_nowait(1)),
]
_QUEUE = [
    *_SIMPLE[2:],
    *(lambda o: o.put(6, timeout=0), lambda o: o.put_nowait(8), lambda o: o.full(), lambda o: o.task_done()),
    *(lambda o: o.maxsize, lambda o: o.put(2, False, -1)),
]
_PAIRS = {
    "Lock": (threading.Lock, locks.Lock, [*_LOCK, lambda o: o.locked()]),
    "RLock": (threading.RLock, locks.RLock, _LOCK),
    "Semaphore": (lambda: threading.Semaphore(1), lambda: locks.Semaphore(1), _SEMAPHORE),
    "BoundedSemaphore": (lambda: threading.BoundedSemaphore(2), lambda: locks.BoundedSemaphore(2), _SEMAPHORE),
    "Condition": (threading.Condition, waits.Condition, _CONDITION),
    "Condition of a Lock": (
        lambda: threading.Condition(threading.Lock()),
        lambda: waits.Condition(locks.Lock()),
        _CONDITION,
    ),
    "Event": (threading.Event, locks.Event, _EVENT),
    "Barrier of 1": (lambda: threading.Barrier(1), lambda: waits.Barrier(1), _BARRIER),
    "Barrier of 2": (lambda: threading.Barrier(2), lambda: waits.Barrier(2), _BARRIER),
    "Queue": (queue.Queue, queues.Queue, _QUEUE),
    "Queue of 2": (lambda: queue.Queue(2), lambda: queues.Queue(2), _QUEUE),
    "LifoQueue": (lambda: queue.LifoQueue(3), lambda: queues.LifoQueue(3), _QUEUE),
    "PriorityQueue": (lambda: queue.PriorityQueue(3), lambda: queues.PriorityQueue(3), _QUEUE),
    "SimpleQueue": (queue.SimpleQueue, queues.SimpleQueue, _SIMPLE),
}


@pytest.mark.parametrize("name", _PAIRS)
@pytest.mark.parametrize("controlled", [False, True])
def test_one_thread_gets_the_same_results_and_errors_as_from_the_real_object(name, controlled):
    make_real, make_model, calls = _PAIRS[name]
    for seed in range(150):
        chosen = random.Random(seed).choices(calls, k=12)
        real = make_real()
        expected = [outcome(lambda call=call, real=real: call(real)) for call in chosen]

        def on_model(chosen=chosen):
            model = make_model()
            return [outcome(lambda call=call: call(model)) for call in chosen]

        if controlled:
            run = play([], on_model)
            assert run.ending == "done", run.problem
            found = run.threads[0].returned
        else:
            found = on_model()
        assert [_plain(answer) for answer in found] == [_plain(answer) for answer in expected], seed


def _plain(answer):
    """Forget the text of an error that Python itself words: a call of a function in C is refused in other words."""
    return answer[0] if isinstance(answer, tuple) and answer[0] in {"TypeError", "AttributeError"} else answer


@pytest.mark.parametrize(
    ("real", "model", "given"),
    [
        (threading.Semaphore, locks.Semaphore, (-1,)),
        (threading.BoundedSemaphore, locks.BoundedSemaphore, (-1,)),
        (threading.Barrier, waits.Barrier, ("x",)),
        (time.sleep, threads.sleep, (-1,)),
        (time.sleep, threads.sleep, ("x",)),
        (time.sleep, threads.sleep, (float("nan"),)),
        (time.sleep, threads.sleep, (float("inf"),)),
    ],
)
def test_arguments_are_refused_as_the_real_ones_refuse_them(real, model, given):
    assert outcome(lambda: model(*given)) == outcome(lambda: real(*given))


def test_a_thread_refuses_what_a_real_one_refuses():
    class Bare(threading.Thread):
        def __init__(self):
            pass

    class BareModel(threads.Thread):
        def __init__(self):
            pass

    def use(kind, bare):
        never, once = kind(target=int), kind(target=int)
        once.start()
        once.join()
        found = [outcome(call) for call in (never.join, once.start, bare().start, bare().join)]
        found += [outcome(lambda: kind(group=1)), once.is_alive(), never.is_alive(), never.ident]
        return [*found, once.daemon, kind(daemon=True).daemon, outcome(lambda: kind(nothing=1)), kind(name=5).name]

    run = play([], lambda: use(threads.Thread, BareModel))
    assert run.threads[0].returned == use(threading.Thread, Bare)


def test_a_thread_cannot_join_itself():
    def main():
        found = []
        thread = threads.Thread(target=lambda: found.append(outcome(lambda: threads.current_thread().join())))
        thread.start()
        thread.join()
        return found

    assert play([], main).threads[0].returned == [("RuntimeError", "cannot join current thread")]


def test_models_refuse_to_be_copied_and_to_show_their_inside():
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.copy(locks.Lock())
    for use in (lambda: locks.Semaphore()._value, lambda: queues.Queue().mutex, lambda: waits.Condition()._lock):
        with pytest.raises(CannotCheck):
            use()


def test_what_would_wait_in_setup_or_check_is_refused():
    lock, semaphore = locks.Lock(), locks.Semaphore(0)
    lock.acquire()
    waiting = [lock.acquire, semaphore.acquire, locks.Event().wait, queues.Queue().get, waits.Barrier(2).wait]
    condition = waits.Condition()
    condition.acquire()
    for call in (*waiting, condition.wait, threads.Thread(target=int).start):
        with pytest.raises(CannotCheck, match="setup or check"):
            call()
