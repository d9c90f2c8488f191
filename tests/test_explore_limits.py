"""What `explore` refuses, where it stops, and what it hands back: limits, bad input, tokens, the witness."""

import functools
import gc
import json
import os
import subprocess
import sys
import threading
import time

import pytest

from labkit.errors import BadValue, BadWorkload
from labkit.interleave.explore import explore

counter = 0


def refused(functions, *words, **how):
    result = explore(functions, **how)
    assert result.verdict == "cannot check", (result.verdict, result.reason)
    for word in words:
        assert word in result.reason
    return result


lock = threading.Lock()


def increment():
    global counter
    counter += 1


def locked_increment():
    global counter
    with lock:
        counter += 1


class Account:
    def __init__(self):
        self.balance = 100


def withdraw(account):
    account.balance -= 80


# ------------------------------------------------------------------------------------------------ never a false proved
def test_what_is_not_known_is_refused_with_its_line(tmp_path):
    def opens():
        with open(tmp_path / "x", "w"):
            pass

    def socket():
        import socket

        socket.socket()

    def clock():
        if time.monotonic() > 5:
            increment()

    def generated():
        exec("global counter\ncounter += 1")

    def world():
        globals()["counter"] = 1

    for function in (opens, socket, clock, generated, world):
        result = refused([function, increment])
        assert "test_explore_limits.py, line " in result.reason, function


def test_a_change_that_stops_half_way_is_refused():
    rows, weights = [3, 1, 2], {1: 1, 2: 2, 3: 3}

    def by_weight():
        rows.sort(key=lambda row: weights[row])

    def from_a_generator():
        rows.extend(weights[row] for row in (1, 2))

    def change():
        weights[1] = 9

    refused([by_weight, change], "stops inside sort")
    refused([from_a_generator, change], "stops inside extend")


def test_a_call_that_blocks_in_c_is_named():
    real_sleep = functools.partial(threading.Event.wait, threading.Event(), 0.1)

    def blocks():
        real_sleep()

    refused([blocks])


def test_a_real_lock_is_never_passed_over():
    hidden = [threading.Lock()]
    hidden[0].acquire()

    def use():
        with hidden[0]:
            pass

    refused([use], "held")


def test_random_numbers_are_no_proof():
    import random

    def chance():
        if random.random() < 0.5:
            increment()

    result = explore([chance])
    assert result.verdict == "not finished"
    assert "seed 0" in result.reason


# ------------------------------------------------------------------------------------------------ limits, bad input
def test_limits_end_the_search_without_a_verdict():
    def busy():
        for _ in range(6):
            increment()

    result = explore([busy, busy, busy], executions_most=50)
    assert result.verdict == "not finished"
    assert "50" in result.reason
    assert result.executions <= 50


def test_progress_begins_with_an_estimate():
    said = []

    def busy():
        for _ in range(3):
            increment()

    explore([busy, busy], progress=lambda *numbers: said.append(numbers))
    executions, share, seconds, schedules = said[0]
    assert (executions, share) == (0, 0.0)
    assert seconds >= 0
    assert 100 < schedules < 10_000  # there are 924


def generator():
    yield 1


async def coroutine():
    pass


@pytest.mark.parametrize(
    ("functions", "word"),
    [
        (3, "no function"),
        ([len], "no function"),
        ([generator], "generator"),
        ([coroutine], "async"),
        ([withdraw], "takes"),
        ([Account], "no function"),
    ],
)
def test_what_is_no_function_is_refused(functions, word):
    with pytest.raises(BadWorkload, match=word):
        explore(functions)


def test_wrong_numbers_and_names_are_refused():
    with pytest.raises(BadValue, match="at most 4 threads"):
        explore([increment] * 5)
    with pytest.raises(BadValue, match="1 to 4"):
        explore([])
    with pytest.raises(BadValue, match="executions_most is 0"):
        explore([increment], executions_most=0)
    with pytest.raises(BadValue, match="outcome"):
        explore([increment], outcome=3)
    with pytest.raises(BadValue, match="token"):
        explore([increment], token="nonsense")


def test_a_check_that_raises_or_answers_nothing_is_an_error():
    with pytest.raises(BadWorkload, match="ZeroDivisionError"):
        explore([increment], check=lambda: 1 / 0)
    with pytest.raises(BadWorkload, match="returns None"):
        explore([increment], check=lambda: None)


def test_a_setup_by_chance_is_refused():
    import random

    def setup():
        return [random.random()]

    with pytest.raises(BadWorkload, match=r"chance|another"):
        explore([lambda state: state.append(1)], setup=setup)


def test_no_source_is_refused():
    made = {}
    exec("def f(): pass", made)
    refused([made["f"]], "source")


# ------------------------------------------------------------------------------------------------ replay
def test_a_token_replays_the_witness():
    result = explore([increment, increment], check=lambda: counter == 2)
    again = explore([increment, increment], check=lambda: counter == 2, token=result.token)
    assert again.schedule == result.schedule
    assert again.witness == result.witness
    assert again.verdict == "bug"
    with pytest.raises(BadValue, match="another program"):
        explore([locked_increment, increment], token=result.token)


def test_the_witness_tells_the_story():
    result = explore([increment, increment], check=lambda: counter == 2)
    assert [(step.kind, step.name) for step in result.witness] == [
        ("read", "counter"),
        ("read", "counter"),
        ("write", "counter"),
        ("write", "counter"),
    ]
    last = result.witness[-1]
    assert last.shared[0].value == "1"
    assert last.stale >= 0
    assert result.pattern == "lost update"


# ------------------------------------------------------------------------------------------------ interrupts
def long_work():
    for _ in range(8):
        increment()


def names_of_threads():
    return {thread.name for thread in threading.enumerate()}


def test_an_interrupt_at_any_moment_gives_what_is_known_and_leaves_no_thread():
    script = os.path.join(os.path.dirname(__file__), "interrupted.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["left"] == []
    assert seen["counter"] == 0
    assert set(seen["reasons"]) <= {"Interrupted", "raised"}
    assert seen["reasons"]["Interrupted"] == 12


def test_memory_is_flat_and_no_thread_is_left_after_10_000_executions():
    before = names_of_threads()
    explore([long_work, long_work], executions_most=1000, seconds_most=60)
    gc.collect()
    objects_count = len(gc.get_objects())
    result = explore([long_work, long_work], executions_most=10_000, seconds_most=100)
    assert result.executions == 10_000
    del result
    gc.collect()
    assert len(gc.get_objects()) < objects_count + 3000
    assert names_of_threads() == before


def test_code_that_runs_as_it_was_typed_is_noticed(monkeypatch):
    # the last line of defence: what no hook has seen, because C called a function that no copy stands for
    from labkit.interleave import copies

    kept = copies.Copies._function
    monkeypatch.setattr(copies.Copies, "_function", lambda world, f: f if f.__name__ == "unseen" else kept(world, f))
    monkeypatch.setattr(
        copies.Copies, "is_ours", lambda world, f: f.__name__ == "unseen" or id(f.__globals__) in world._ours
    )
    refused([calls_unseen], "where the explorer cannot look")


def unseen():
    return counter


def calls_unseen():
    unseen()
