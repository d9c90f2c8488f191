"""The models of queues and threads under schedules that are written by hand, and who stands for what."""

from __future__ import annotations

import queue
import random
import threading
import time

import pytest
from by_hand import FakeWorld, outcome, play, read, returned, write

from labkit.interleave import locks, models, primitives, queues, threads, waits
from labkit.interleave.ops import WRITE, CannotCheck


@pytest.fixture(autouse=True)
def _no_world():
    models.begin(None)
    yield
    models.begin(None)


# ------------------------------------------------------------------------------------------------ queues
@pytest.mark.parametrize(
    ("kind", "expected"),
    [(queues.Queue, [2, 1, 3]), (queues.LifoQueue, [3, 1, 2]), (queues.PriorityQueue, [1, 2, 3])],
)
def test_items_leave_in_the_order_of_the_kind(kind, expected):
    def main():
        shop = kind()
        for item in (2, 1, 3):
            shop.put(item)
        return [shop.get(), shop.get(), shop.get()]

    assert returned(play([], main)) == [expected]


def test_get_waits_for_an_item_put_for_room_and_join_for_the_last_done():
    shop = queues.Queue(1)
    run = play([0], lambda: (shop.put(1), shop.put(2), shop.join()), lambda: (shop.get(), shop.task_done()))
    assert run.script.enabled[1] == {1}
    assert (run.ending, [op.kind for op in run.pending.values()]) == ("deadlock", ["wait"])
    shop = queues.SimpleQueue()
    run = play([1, 0], shop.get, lambda: shop.put(7))
    assert returned(run)[0] == 7
    assert run.script.enabled[0] == {1}


def test_a_timed_get_may_be_over_at_any_time():
    for schedule, expected in (([0, 1], "Empty"), ([1, 0], None)):
        shop = queues.Queue()
        run = play(schedule, lambda shop=shop: shop.get(timeout=1), lambda shop=shop: shop.put(7))
        assert (type(run.threads[0].error).__name__ if run.threads[0].error else None) == expected


def test_nobody_uses_a_priority_queue_while_its_items_are_compared():
    class Item:
        def __lt__(self, other):
            read("order")
            return True

    shop = queues.PriorityQueue()
    run = play([0, 0], lambda: (shop.put(Item()), shop.put(Item())), shop.qsize, lambda: shop.get(False))
    assert run.script.enabled[2] == {0}
    assert run.ending == "done"


# ------------------------------------------------------------------------------------------------ threads
def test_start_lets_a_thread_run_to_its_first_operation_and_join_waits_for_its_end():
    seen = []

    class Worker(threads.Thread):
        def run(self):
            seen.append((threads.current_thread() is self, threads.get_ident() == self.ident))
            write("x")

    def main():
        worker = Worker()
        worker.start()
        alive = worker.is_alive()
        worker.join()
        return [alive, worker.is_alive(), threads.main_thread() is threads.current_thread()]

    run = play([], main)
    assert returned(run)[0] == [True, False, True]
    assert seen == [(True, True)]
    join = next(op for _, op in run.trace if op.kind == "join")
    assert join.target.controlled is run.threads[1]


def test_a_timed_join_may_be_over_before_the_end():
    def main():
        worker = threads.Thread(target=write, args=("x",))
        worker.start()
        worker.join(timeout=1)
        return worker.is_alive(), threads.active_count()

    assert returned(play([], main))[0] == (True, 2)
    assert returned(play([0, 1, 1], main))[0] == (False, 1)


def test_a_timer_fires_unless_it_was_cancelled_before():
    def main(fired):
        timer = threads.Timer(5, fired.append, [1])
        timer.start()
        timer.cancel()
        timer.join()

    cancelled, too_late = [], []
    assert play([0, 0], lambda: main(cancelled)).ending == "done"
    assert play([0, 1, 1, 1], lambda: main(too_late)).ending == "done"
    assert (cancelled, too_late) == ([], [1])


def test_each_thread_has_local_attributes_of_its_own():
    class Mine(threads.local):
        def __init__(self, first):
            self.value = first

    mine = Mine(5)

    def worker(value):
        before = mine.value
        mine.value = value
        write("x")
        return before, mine.value

    run = play([0, 1], lambda: worker(1), lambda: worker(2))
    assert returned(run) == [(5, 1), (5, 2)]
    assert mine.value == 5
    bare = threads.local()
    real = threading.local()
    assert outcome(lambda: bare.x) == ("AttributeError", "'local' object has no attribute 'x'")
    assert outcome(lambda: real.x)[0] == "AttributeError"
    with pytest.raises(TypeError, match="Initialization arguments are not supported"):
        threads.local(1)


def test_serials_and_names_are_the_same_in_every_schedule():
    def make(found):
        def worker():
            write("x")
            found.append(locks.Lock())

        def main():
            started = [threads.Thread(target=worker) for _ in range(2)]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()

        return main

    orders = []
    for schedule in ([0, 0, 1, 2], [0, 0, 2, 1]):
        models.begin(None)
        found = []
        play(schedule, make(found))
        orders.append([(lock.serial, lock.name) for lock in found])
    assert orders[0] == orders[1][::-1]
    assert len(set(orders[0])) == 2


# ------------------------------------------------------------------------------------------------ what stands for what
def test_every_known_name_has_a_model_and_every_other_is_refused():
    assert models.stand_in(threading.Lock) is locks.Lock
    assert models.stand_in(time.sleep) is threads.sleep
    shim = models.stand_in(threading)
    assert isinstance(shim, type(threading))
    assert shim.BrokenBarrierError is threading.BrokenBarrierError
    assert models.stand_in(queue).Empty is queue.Empty
    assert shim.TIMEOUT_MAX == threading.TIMEOUT_MAX
    for use in (lambda: shim.settrace, lambda: models.stand_in(time).gmtime, lambda: models.stand_in(random).Random):
        with pytest.raises(CannotCheck, match="does not know"):
            use()
    with pytest.raises(AttributeError):
        shim.nothing  # noqa: B018
    for clock in (time.time, time.monotonic, time.perf_counter_ns, time.process_time):
        with pytest.raises(CannotCheck, match="reads the clock"):
            models.stand_in(clock)()
    thing = object()
    assert models.stand_in(thing) is thing


def test_random_numbers_are_each_threads_own_and_the_same_in_every_execution():
    draw = models.stand_in(random.random)
    world = FakeWorld()
    rounds = []
    for _ in range(2):
        models.begin(world)
        rounds.append(returned(play([], lambda: [draw(), draw()], lambda: [draw(), draw()])))
    assert rounds[0] == rounds[1]
    assert rounds[0][0] != rounds[0][1]
    assert world.chance
    items = [1, 2, 3]
    run = play([], lambda: models.stand_in(random.shuffle)(items))
    assert run.trace[0][1].accesses == ((id(items), WRITE),)


def fresh_objects():
    shop = queue.PriorityQueue(4)
    shop.put(3)
    shop.put(1)
    event = threading.Event()
    event.set()
    made = [threading.Lock(), threading.RLock(), threading.Condition(), event, threading.Semaphore(3)]
    made += [threading.BoundedSemaphore(2), threading.Barrier(3), queue.Queue(), queue.LifoQueue(), queue.SimpleQueue()]
    return [*made, shop, threading.local(), threading._RLock()]


def test_real_objects_are_recognised_and_adopted_while_they_are_as_new():
    for real in fresh_objects():
        assert models.is_real(real)
        model = models.adopt(real, {})
        assert not models.is_real(model)
        assert type(model).__module__.startswith("labkit.interleave.")
    for ordinary in (
        5,
        "x",
        [],
        {},
        object(),
        queue.Empty(),
        threading.BrokenBarrierError(),
        locks.Lock(),
        threads.Timer,
    ):
        assert not models.is_real(ordinary)
        assert models.adopt(ordinary, {}) is None
    shop = models.adopt(fresh_objects()[-3], {})
    assert [shop.get(), shop.get(), shop.maxsize, shop.m_unfinished] == [1, 3, 4, 2]
    assert models.adopt(fresh_objects()[3], {}).is_set()
    assert models.adopt(threading.Semaphore(3), {}).m_value == 3


def test_aliases_are_kept_and_a_lock_keeps_its_condition():
    lock, memo = threading.Lock(), {}
    condition = threading.Condition(lock)
    model = models.adopt(condition, memo)
    assert models.adopt(lock, memo) is model.m_lock
    assert models.adopt(condition, memo) is model


def test_objects_in_use_are_refused():
    held, again, waited = threading.Lock(), threading.RLock(), threading.Condition()
    held.acquire()
    again.acquire()
    waited.acquire()
    full = queue.SimpleQueue()
    full.put(1)
    broken = threading.Barrier(2)
    broken.abort()
    for real in (held, again, waited, full, broken, threading.Thread(), threading.Barrier(2, print)):
        with pytest.raises(CannotCheck):
            models.adopt(real, {})


def test_a_students_attributes_do_not_hide_a_models_state():
    class Buffer(waits.Condition):
        def __init__(self):
            super().__init__()
            self.state = "idle"
            self.free = 3

    buffer = Buffer()
    assert primitives.free_of(buffer) is True
    assert primitives.state_of(buffer)[-2:] == (("free", 3), ("state", "idle"))
    assert isinstance(primitives.state_of(buffer)[0], locks.RLock)
