"""The event pipe, from emit to Event: whatever bytes a worker writes, however they are cut, nothing breaks."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.child import emit as emitting
from labkit.child.emit import EVENT_BYTES_MOST, emit
from labkit.child.keeper import HEADER, Keeper
from labkit.errors import BadValue
from labkit.limits import Limits
from labkit.model import KINDS, Ending, Run, Trial
from labkit.runs.endings import Heard

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
good = st.tuples(st.sampled_from(KINDS), st.text(max_size=20), st.integers(0, 10**9))
tagged = st.lists(
    st.sampled_from(["event", "begin", "result", "error", "unavailable", "waits"]), min_size=1, max_size=1
)
forged = st.builds(lambda tag, rest: json.dumps(tag + rest).encode(), tagged, st.lists(json_values, max_size=7))


@given(st.lists(good, max_size=30), st.lists(st.integers(1, 60), min_size=1))
def test_events_arrive_whole_and_in_order_however_the_pipe_is_cut(events, cuts):
    lines = [json.dumps(["event", t, 1, 2, kind, name, None]).encode() for kind, name, t in events]
    sent = b"".join(line + b"\n" for line in lines)
    pieces, at = [], 0
    while at < len(sent):
        size = cuts[len(pieces) % len(cuts)]
        pieces.append(sent[at : at + size])
        at += size
    assert through_a_keeper(pieces) == lines


def test_a_line_that_is_too_long_is_dropped_and_the_next_one_arrives():
    long = b"x" * (1 << 20)
    assert through_a_keeper([long] * 5 + [b"\n", b'["event"]\n']) == [b'["event"]']


@given(st.lists(st.binary(max_size=200) | forged, max_size=30))
def test_whatever_a_worker_writes_a_run_comes_of_it(lines):
    heard = Heard(Trial(workload="m:f"), Limits())
    for line in lines:
        heard.take("E", line)
    report = {"ending": "EXITED", "exit_code": 0, "output": "", "receipt": [1, [], [], [], [], 0, False]}
    run = heard.as_run(report, problem="", swept=None, lifetime_s=0.1)
    assert isinstance(run, Run)
    assert run.ending in (Ending.FINISHED, Ending.RAISED, Ending.EXITED, Ending.UNAVAILABLE, Ending.NOT_STARTED)
    assert all(event.kind in KINDS for event in run.events)
    assert isinstance(run.explain(), str)


@given(st.sampled_from(KINDS), st.text(max_size=40), json_values)
def test_what_is_emitted_is_what_arrives(kind, name, value):
    reading, writing = os.pipe()
    before = list(emitting._pipe)
    try:
        emitting.connect(writing)
        try:
            emit(kind, name, value)
        except BadValue:
            return  # too long, and said so before anything was written
        line = os.read(reading, 1 << 16)
    finally:
        emitting._pipe[:] = before
        os.close(reading)
        os.close(writing)
    assert len(line) <= EVENT_BYTES_MOST
    heard = Heard(Trial(workload="m:f"), Limits())
    heard.take("E", b'["begin", 0, "3.11.7"]')
    heard.take("E", line.rstrip(b"\n"))
    (event,) = heard.events
    assert (event.kind, event.name, event.value) == (kind, name, value)
    assert (event.pid, event.tid) == (os.getpid(), threading.get_native_id())


@pytest.mark.parametrize("wrong", [("explode", "x"), ("note", "x", "y" * 600), ("note", "y" * 600)])
def test_an_event_that_cannot_be_sent_whole_is_refused(wrong):
    with pytest.raises(BadValue, match="allowed"):
        emit(*wrong)


def test_outside_a_run_emit_checks_and_does_nothing_else():
    assert emitting._pipe == []
    emit("note", "nobody listens")


def through_a_keeper(pieces):
    """Give bytes to a keeper as its pipe does, and return the event lines that it passes on."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        keeper = Keeper(theirs)
        for piece in pieces:
            keeper._take_events(piece)
    frames, data = [], bytes(keeper.outbox)
    while data:
        length, kind = HEADER.unpack_from(data)
        frames.append((kind, data[HEADER.size : HEADER.size + length]))
        data = data[HEADER.size + length :]
    return [payload for kind, payload in frames if kind == ord("E")]
