"""Who waits for what when a run has passed its deadline, read from stacks and source alone."""

from __future__ import annotations

import ast
import multiprocessing
import queue
import socket
import threading
import time

import pytest

from labkit.child import waits as looking
from labkit.child.waits import waits

first, second = threading.Lock(), threading.Lock()


class Account:
    def __init__(self):
        self.lock = threading.RLock()


accounts = [Account(), Account()]


def until(said, limit_s=10.0):
    """Look again until a sentence holds all of these words; then the threads stand where they will stay."""
    end = time.monotonic() + limit_s
    while True:
        sentences = waits()
        if all(any(words in sentence for sentence in sentences) for words in said):
            return sentences
        assert time.monotonic() < end, sentences
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def every_sentence(monkeypatch):
    """Threads of other tests may wait as well; none of this test's sentences may be cut off for theirs."""
    monkeypatch.setattr(looking, "_SENTENCES_MOST", 1000)


@pytest.fixture
def started():
    """Give a function that starts named daemon threads; they are let go by the test's own release."""
    threads = []

    def start(**functions):
        for name, function in functions.items():
            threads.append(threading.Thread(target=function, name=name, daemon=True))
            threads[-1].start()

    yield start
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_thread_that_waits_for_a_lock_names_the_holder(started):
    go = threading.Event()

    def holder():
        with first:
            go.wait()

    def waiter():
        with first:
            pass

    started(holder=holder)
    until(["thread holder waits for the event go"])
    started(waiter=waiter)
    (sentence,) = [s for s in until(["thread waiter waits"]) if "waiter waits" in s]
    assert "the lock first that thread holder holds" in sentence
    assert "of test_waits.py, in waiter" in sentence
    go.set()


def test_two_locks_in_one_with_statement_are_told_apart(started):
    go = threading.Event()

    def holder():
        with second:
            go.wait()

    def waiter():
        with first, second:
            pass

    started(holder=holder)
    until(["thread holder waits for the event go"])
    started(waiter=waiter)
    sentences = until(["thread waiter waits for the lock second that thread holder holds"])
    assert not any("lock first" in sentence for sentence in sentences)
    go.set()


def test_locks_in_attributes_entries_and_calls_are_found(started):
    both, seen = threading.Barrier(2), threading.Event()

    def transfer(here, there):
        with accounts[here].lock:
            both.wait()
            while not seen.is_set():
                if accounts[there].lock.acquire(timeout=0.2):
                    accounts[there].lock.release()
                    return

    started(left=lambda: transfer(0, 1), right=lambda: transfer(1, 0))
    until(
        [
            "thread left waits for the lock accounts[there].lock that thread right holds",
            "thread right waits for the lock accounts[there].lock that thread left holds",
        ]
    )
    seen.set()


def test_a_thread_that_waits_for_itself_is_told_so(started):
    seen = threading.Event()

    def again():
        with first:
            while not seen.is_set():
                first.acquire(timeout=0.2)

    started(again=again)
    until(["thread again waits for the lock first that it itself holds"])
    seen.set()


def test_queues_threads_and_conditions_are_named(started):
    work, changed = queue.Queue(), threading.Condition()

    def taker():
        work.get()

    def sleeper():
        with changed:
            changed.wait()

    started(taker=taker, sleeper=sleeper)
    until(["thread taker waits for the queue work, ", "thread sleeper waits for the condition changed"])
    work.put(1)
    with changed:
        changed.notify()


def test_connections_sockets_and_queues_of_processes_are_named(started):
    ours, theirs = multiprocessing.Pipe()
    near, far = socket.socketpair()
    work = multiprocessing.get_context("fork").SimpleQueue()
    report = bytes(1 << 24)  # no buffer holds it

    def reader():
        ours.recv()

    def writer():
        near.sendall(report)

    def taker():
        work.get()

    with ours, theirs, near, far:
        started(reader=reader, writer=writer, taker=taker)
        until(
            [
                "thread reader waits for the connection ours, line ",
                "thread writer waits for the socket near, line ",
                "thread taker waits for the queue work, line ",
            ]
        )
        theirs.send(1)
        work.put(1)
        missing = len(report)
        while missing := missing - len(far.recv(missing)):
            pass
    work.close()


def test_a_thread_that_works_is_not_mentioned(started):
    stop = []

    def busy():
        while not stop:
            pass

    started(busy=busy)
    assert not any("thread busy" in sentence for sentence in waits())
    stop.append(1)


# ---------------------------------------------------------------------------------------------------- edges and circles
@pytest.mark.parametrize(
    ("call", "patience"),
    [
        ("x.acquire()", "for ever"),
        ("x.acquire(True)", "for ever"),
        ("x.acquire(timeout=-1)", "for ever"),
        ("x.acquire(True, 2)", "for a limited time"),
        ("x.acquire(timeout=limit)", "for a limited time"),
        ("x.acquire(False)", "not at all"),
        ("x.acquire(blocking=False)", "not at all"),
        ("x.get()", "for ever"),
        ("x.get(block=False)", "not at all"),
        ("x.put(1)", "for ever"),
        ("x.put(0)", "for ever"),
        ("x.put(1, False)", "not at all"),
        ("x.put(1, timeout=2)", "for a limited time"),
        ("x.join()", "for ever"),
        ("x.join(None)", "for ever"),
        ("x.join(3)", "for a limited time"),
        ("x.wait(timeout=0)", "not at all"),
        ("x.wait_for(ready)", "for ever"),
        ("x.wait_for(ready, 1)", "for a limited time"),
    ],
)
def test_how_long_a_call_may_wait_is_read_from_its_arguments(call, patience):
    assert looking._patience(ast.parse(call, mode="eval").body) == patience


def edge(thread, thing, holder, kind="lock"):
    return looking.Edge(thread, kind, thing, holder, "line 1", thing, thing, thing, 1, timed=False)


@pytest.mark.parametrize(
    ("edges", "threads"),
    [
        ([], []),
        ([edge("a", "x", "b")], []),
        ([edge("a", "x", None)], []),
        ([edge("a", "x", "a")], ["a"]),
        ([edge("b", "y", "a"), edge("a", "x", "b")], ["a", "b"]),
        ([edge("a", "x", "b"), edge("b", "y", "c"), edge("c", "z", "b")], ["b", "c"]),
        ([edge("a", "x", "b", "thread"), edge("b", "y", "a")], ["a", "b"]),
        ([edge("a", "x", "b", "semaphore"), edge("b", "y", "a")], []),
    ],
)
def test_a_circle_is_found_wherever_it_begins(edges, threads):
    assert [one.thread for one in looking.circle(edges)] == threads


def test_whoever_waits_for_a_condition_holds_its_lock_no_more(started):
    lock = threading.Lock()
    full, empty = threading.Condition(lock), threading.Condition(lock)
    go = threading.Event()

    def sleeper():
        with full:
            full.wait()

    def holder():
        with empty:
            go.wait()

    def waiter():
        with lock:
            pass

    started(sleeper=sleeper)
    until(["thread sleeper waits for the condition full, "])
    started(holder=holder)
    until(["thread holder waits for the event go"])
    started(waiter=waiter)
    until(["thread waiter waits for the lock lock that thread holder holds"])
    assert not any("sleeper holds" in sentence for sentence in waits())
    go.set()
    with lock:
        full.notify_all()
