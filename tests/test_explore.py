"""What `explore` must cover: each construct that a student may type, in a right and a wrong program."""

import collections
import dataclasses
import functools
import queue
import threading
import time
from threading import Lock as Mutex

from labkit.interleave.explore import explore

counter = 0
items = []
table = {}
lock = threading.Lock()
other_lock = threading.Lock()
recursive = threading.RLock()
condition = threading.Condition()
ready = threading.Event()
box = queue.Queue()


def texts(result):
    return sorted(outcome.text for outcome in result.outcomes)


def proved(functions, **how):
    result = explore(functions, **how)
    assert result.verdict == "proved", result.reason
    assert result.kind is None
    return result


def bug(functions, kind, **how):
    result = explore(functions, **how)
    assert (result.verdict, result.kind) == ("bug", kind), result.reason
    assert result.schedule or kind == "spins for ever"
    return result


def refused(functions, *words, **how):
    result = explore(functions, **how)
    assert result.verdict == "cannot check", (result.verdict, result.reason)
    for word in words:
        assert word in result.reason
    return result


def increment():
    global counter
    counter += 1


def locked_increment():
    global counter
    with lock:
        counter += 1


# ------------------------------------------------------------------------------------------------ the three styles
def test_functions_on_globals():
    result = bug([increment, increment], "wrong result", check=lambda: counter == 2)
    assert texts(result) == ["counter = 1", "counter = 2"]
    assert result.executions <= 4
    assert counter == 0  # the student's own stays as it was
    assert [outcome.allowed for outcome in result.outcomes] == [True, False]


def test_the_same_with_a_lock_is_proved():
    result = proved([locked_increment, locked_increment], check=lambda: counter == 2)
    assert texts(result) == ["counter = 2"]
    assert result.executions == 2
    assert not lock.locked()


class Account:
    def __init__(self):
        self.balance = 100
        self.lock = threading.Lock()

    def withdraw(self, amount):
        if self.balance >= amount:
            self.balance -= amount

    def safely(self, amount):
        with self.lock:
            self.withdraw(amount)


def withdraw(account):
    account.withdraw(80)


def withdraw_safely(account):
    account.safely(80)


def test_functions_that_take_the_state():
    result = bug([withdraw, withdraw], "wrong result", setup=Account_fresh, check=lambda account: account.balance >= 0)
    assert "balance = -60" in texts(result)
    proved([withdraw_safely, withdraw_safely], setup=Account_fresh, check=lambda account: account.balance == 20)


def Account_fresh():  # noqa: N802
    return Account()


@dataclasses.dataclass
class Stats:
    hits: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    def hit(self):
        with self.lock:
            self.hits += 1


def test_a_class_as_setup_also_a_dataclass_with_a_lock():
    proved([lambda stats: stats.hit()] * 2, setup=Stats, check=lambda stats: stats.hits == 2)
    bug([withdraw, withdraw], "wrong result", setup=Account, check=lambda account: account.balance >= 0)


def test_a_main_that_starts_its_own_threads():
    def main():
        total = 0

        def work():
            nonlocal total
            total += 1

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return total

    result = bug(main, "wrong result", check=lambda total: total == 2)
    assert any("returns 1" in text for text in texts(result))
    assert [lane.name for lane in result.threads] == ["main", "A", "B"]


# ------------------------------------------------------------------------------------------------ synchronization
def ab():
    with lock, other_lock:
        pass


def ba():
    with other_lock, lock:
        pass


def test_the_deadlock_of_two_locks():
    result = bug([ab, ba], "deadlock")
    assert "deadlock" in texts(result)
    assert len(result.blocked) == 2
    names = {row[1] for row in result.blocked}
    assert names == {"lock", "other_lock"}
    assert {row[2] for row in result.blocked} == {0, 1}
    proved([ab, ab])


def test_locks_from_a_factory_an_alias_a_dict_and_a_partial_are_models():
    makers = {"mutex": Mutex, "partial": functools.partial(threading.Lock), "direct": threading.Lock}

    def make(kind):
        return makers[kind]()

    for kind in makers:

        def setup(kind=kind):
            return [make(kind), make(kind)]

        def one(locks):
            with locks[0], locks[1]:
                pass

        def two(locks):
            with locks[1], locks[0]:
                pass

        bug([one, two], "deadlock", setup=setup)


def test_a_lock_made_by_a_defaultdict_is_a_model():
    def setup():
        return collections.defaultdict(threading.Lock)

    def one(locks):
        with locks["a"], locks["b"]:
            pass

    def two(locks):
        with locks["b"], locks["a"]:
            pass

    bug([one, two], "deadlock", setup=setup)


def test_self_deadlock_and_the_recursive_lock():
    def twice():
        with lock, lock:
            pass

    def twice_recursive():
        with recursive, recursive:
            pass

    bug([twice], "deadlock")
    proved([twice_recursive, twice_recursive])


def test_a_condition_with_if_instead_of_while():
    def setup():
        return []

    def put(state):
        with condition:
            state.append(1)
            condition.notify()

    def take(state):
        with condition:
            if not state:
                condition.wait()
            state.pop()

    def take_in_a_loop(state):
        with condition:
            while not state:
                condition.wait()
            state.pop()

    bug([take, take, put, put], "exception", setup=setup)
    proved([take_in_a_loop, take_in_a_loop, put, put], setup=setup)


def test_wait_for_with_a_predicate():
    def setup():
        return []

    def put(state):
        with condition:
            state.append(1)
            condition.notify_all()

    def take(state):
        with condition:
            condition.wait_for(lambda: len(state) > 0)
            state.pop()

    proved([take, put], setup=setup)


def test_semaphores_events_and_barriers():
    gate = threading.Semaphore(0)
    meeting = threading.Barrier(2)
    order = []

    def first():
        order.append("first")
        gate.release()

    def second():
        gate.acquire()
        order.append("second")

    def signal():
        order.append("signal")
        ready.set()

    def wait():
        ready.wait()
        order.append("wait")

    def meet():
        order.append("before")
        meeting.wait()
        order.append("after")

    proved([first, second], check=lambda: order == ["first", "second"])
    proved([signal, wait], check=lambda: order == ["signal", "wait"])
    proved([meet, meet], check=lambda: order == ["before", "before", "after", "after"])


def test_queues():
    def produce():
        for number in range(2):
            box.put(number)

    def consume():
        items.append(box.get())
        items.append(box.get())

    def grab():
        if not box.empty():
            box.get_nowait()

    proved([produce, consume], check=lambda: items == [0, 1])
    bug([produce, grab, grab], "exception")


def test_try_lock_and_timeouts_may_go_either_way():
    def attempt():
        if lock.acquire(timeout=1):
            items.append("got it")
            time.sleep(0.1)
            lock.release()
        else:
            items.append("late")

    result = explore([attempt, attempt], outcome=lambda: sorted(items))
    assert texts(result) == ["['got it', 'got it']", "['got it', 'late']"]


def test_threads_started_and_joined_inside_a_worker():
    def work():
        helper = threading.Thread(target=increment)
        helper.start()
        increment()
        helper.join()

    def one_after_the_other():
        helper = threading.Thread(target=increment)
        helper.start()
        helper.join()
        increment()

    bug([work], "wrong result", check=lambda: counter == 2)
    proved([one_after_the_other], check=lambda: counter == 2)


# ------------------------------------------------------------------------------------------------ Python
def test_an_exception_in_a_thread_is_a_finding():
    def boom():
        if counter == 1:
            raise ValueError("one")

    result = bug([increment, boom], "exception")
    assert "ValueError: one" in result.error
    assert "ValueError in B" in "".join(texts(result))


def test_an_exception_that_keeps_a_lock():
    def careless():
        lock.acquire()
        table["missing"]
        lock.release()

    def next_one():
        with lock:
            pass

    bug([careless, next_one], "deadlock")


def test_attributes_properties_methods_and_getattr():
    class Box:
        def __init__(self):
            self._value = 0

        @property
        def value(self):
            return self._value

        @value.setter
        def value(self, new):
            self._value = new

        def bump(self):
            self.value += 1

        def bump_by_name(self):
            setattr(self, "_value", getattr(self, "_value") + 1)  # noqa: B009, B010

        def __iadd__(self, number):
            self._value = self._value + number
            return self

    def setup():
        return Box()

    def method(box):
        box.bump()

    def by_name(box):
        box.bump_by_name()

    def operator(box):
        box += 1

    for function in (method, by_name, operator):
        result = bug([function, function], "wrong result", setup=setup, check=lambda box: box.value == 2)
        assert texts(result) == ["_value = 1", "_value = 2"], function


def test_aliased_containers_are_one_container():
    shared = [0]
    alias = {"same": shared}

    def one():
        shared[0] += 1

    def two():
        alias["same"][0] += 1

    result = bug([one, two], "wrong result", check=lambda: shared[0] == 2)
    assert len(result.outcomes) == 2
    assert shared == [0]


def test_items_of_a_dict_and_whole_containers():
    def count(key):
        table[key] = table.get(key, 0) + 1

    def here():
        count("a")

    def there():
        count("b")

    def total():
        items.append(sum(table.values()))

    bug([here, here], "wrong result", check=lambda: table["a"] == 2)
    proved([here, there], check=lambda: len(table) == 2)
    result = explore([here, there, total], outcome=lambda: items)
    assert texts(result) == ["[0]", "[1]", "[2]"]


def test_a_dict_that_changes_while_it_is_iterated():
    def walk():
        for key in table:
            items.append(key)

    def grow():
        table["new"] = 1

    def setup():
        table["old"] = 0

    def walk_copy():
        for key in list(table):
            items.append(key)

    def starting(function):
        return lambda _: function()

    result = bug([starting(walk), starting(grow)], "exception", setup=setup)
    assert "RuntimeError" in result.error
    proved([starting(walk_copy), starting(grow)], setup=setup)


def test_comprehensions_over_shared_containers():
    def collect():
        items.extend([value for value in table.values() if value])

    def grow():
        table["x"] = 1

    result = explore([collect, grow], outcome=lambda: list(items))
    assert texts(result) == ["[1]", "[]", "[]; RuntimeError in A"]


def test_lambdas_closures_and_stored_methods():
    push = items.append
    add = lambda: push(len(items))  # noqa: E731

    result = explore([add, add], outcome=lambda: sorted(items))
    assert texts(result) == ["[0, 0]", "[0, 1]"]


def test_a_variable_of_a_loop_that_a_lambda_captures():
    def main():
        threads = [threading.Thread(target=lambda: items.append(number)) for number in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(items)

    def late():
        threads = []
        for number in range(2):
            threads.append(threading.Thread(target=lambda: items.append(number)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        return sorted(items)

    assert explore(main).outcomes[0].text.endswith("returns [1, 1]")
    assert {outcome.text.rpartition("returns ")[2] for outcome in explore(late).outcomes} == {"[0, 1]", "[1, 1]"}


def test_bare_except_does_not_swallow_the_end():
    def stubborn():
        while True:
            try:
                with lock:
                    items.append(1)
                    return
            except:  # noqa: E722
                continue

    proved([stubborn, stubborn])


def test_nothing_but_threads_of_others_is_left():
    before = {thread.name for thread in threading.enumerate()}
    explore([ab, ba])
    assert {thread.name for thread in threading.enumerate()} == before


# ------------------------------------------------------------------------------------------------ loops
def test_busy_waiting_is_an_await():
    def wait():
        while counter == 0:
            pass
        items.append("seen")

    result = proved([wait, increment], check=lambda: items == ["seen"])
    assert result.executions <= 4
    bug([wait], "spins for ever")


def test_peterson_is_proved():
    def setup():
        return {"flag": [False, False], "turn": 0, "inside": 0, "most": 0}

    def enter(state, me):
        state["flag"][me] = True
        state["turn"] = 1 - me
        while state["flag"][1 - me] and state["turn"] == 1 - me:
            pass
        items.append(me)
        items.append(me)
        state["flag"][me] = False

    def zero(state):
        enter(state, 0)

    def one(state):
        enter(state, 1)

    result = proved([zero, one], setup=setup, check=lambda _: items in ([0, 0, 1, 1], [1, 1, 0, 0]))
    assert result.executions <= 40


def polite(mine, theirs):
    while True:
        mine.acquire()
        if theirs.acquire(blocking=False):
            theirs.release()
            mine.release()
            return
        mine.release()


def test_a_polite_livelock():
    def one():
        polite(lock, other_lock)

    def two():
        polite(other_lock, lock)

    result = explore([one, two])
    assert (result.verdict, result.kind) == ("proved", "livelock"), result.reason
    assert result.schedule


def test_an_endless_local_loop():
    def endless():
        while True:
            pass

    bug([endless], "spins for ever")

    def long():
        number = 0
        while True:
            number += 1

    refused([long], "rounds")
