"""Channels: no message is lost, doubled, reordered or changed, and nothing of a channel is left, whatever happens.

What forks runs in a bare interpreter of its own in which warnings are errors, or in a supervised run.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from itertools import product

import channel_workers as workers
import pytest

from labkit.child.channels import IN_PLACE, MECHANISMS, connect, pipe
from labkit.limits import Limits
from labkit.model import Ending
from labkit.runs import supervise
from labkit.runs.interpreters import find

BETWEEN = ("threads", "processes")
ALL = list(product(MECHANISMS, BETWEEN))
THREAD_QUEUES = [
    ("Queue", "threads"),
    ("SimpleQueue", "threads"),
]  # they hand a reference over, and have no end of file
MIB = 1 << 20
HERE = os.path.dirname(os.path.abspath(__file__))
BARE = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import channel_workers
name, args, params = json.loads(sys.argv[3])
print(json.dumps(channel_workers.told_and_left(name, *args, **params)))
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def bare(name, *args, **params):
    """Call a worker in a bare interpreter; return what it returned, and what was left there."""
    command = [sys.executable, "-I", "-W", "error", "-c", BARE]
    call = json.dumps([name, args, params])
    done = subprocess.run(
        [*command, os.path.dirname(HERE), HERE, call], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    return said["told"], said["left"]


def all_at_once(calls, deadline_s, **more):
    """Run workers in supervised runs, all at the same time; return the runs by the arguments."""
    live = {args: supervise.start(work, deadline_s=deadline_s, **params, **more) for args, work, params in calls}
    return {args: one.wait() for args, one in live.items()}


def clean(run):
    return run.receipt.clean and not run.receipt.names_left


# ---------------------------------------------------------------------------------------------------- messages
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_no_message_is_lost_doubled_reordered_or_changed(mechanism):
    found, left = bare("carry", mechanism)
    kinds = ("bytes", "array") if mechanism == IN_PLACE else workers.KINDS
    pairs = sum(size <= workers.MOST[kind] for kind in kinds for size in workers.SIZES)
    assert pairs >= (20 if mechanism == IN_PLACE else 30)
    said = "NotHere: memory in place carries only bytes and arrays, and this is a "
    refused = [said + name for name in ("int", "list") if mechanism == IN_PLACE]
    told = {"count": pairs * len(workers.ORDERS) * workers.ROW, "refused": refused}
    assert found == dict.fromkeys(BETWEEN, told)
    assert left == []


@pytest.mark.parametrize("between", BETWEEN)
def test_8_mib_go_over_each_mechanism(between):
    assert bare("once", list(MECHANISMS), between, 8 * MIB) == ([5] * 9, [])


def test_64_mib_go_over_some():
    assert bare("once", ["UNIX socket", "memory copied", IN_PLACE], "processes", 64 * MIB) == ([5] * 3, [])


@pytest.mark.parametrize("damage", [0, 3, 5, 8, 4095])
def test_the_checksum_sees_every_change(damage):
    data = bytearray(workers.sealed(4096, 3))
    workers.check("bytes", 4096, 3, data)
    data[damage] ^= 1
    with pytest.raises(AssertionError, match="changed on their way"):
        workers.check("bytes", 4096, 3, data)
    with pytest.raises(AssertionError, match="number 4 came, and 3 was due"):
        workers.check("bytes", 4096, 3, workers.sealed(4096, 4))


@pytest.mark.parametrize("written", [3, 8, 11, 4096])
def test_a_message_that_the_system_takes_in_pieces_comes_whole(written, monkeypatch):
    monkeypatch.setattr(os, "writev", lambda file, parts: os.write(file, b"".join(parts)[:written]))
    with connect("pipe", between="threads", room_bytes=0) as (near, far):
        near.send(workers.sealed(5000, 1))
        workers.check("bytes", 5000, 1, far.receive())


def test_a_message_that_is_cut_off_is_an_end_and_no_message(monkeypatch):
    monkeypatch.setattr(os, "writev", lambda file, parts: os.write(file, b"".join(parts)[:-1]) + 1)
    with connect("pipe", between="threads", room_bytes=0) as (near, far):
        near.send(workers.sealed(5000, 1))
        near.close()
        with pytest.raises(EOFError, match="the other end of the channel has gone"):
            far.receive()


# ---------------------------------------------------------------------------------------------------- both send
NEVER_WAIT = [*product(("Queue", "memory copied", "mmap copied"), BETWEEN), ("SimpleQueue", "threads")]
MAY_WAIT = [one for one in ALL if one not in NEVER_WAIT and one[0] != IN_PLACE]


def sending(those, size):
    return [(one, workers.both_send, {"mechanism": one[0], "between": one[1], "size": size}) for one in those]


def test_both_ends_may_send_at_once_where_sending_does_not_wait():
    for args, run in all_at_once(sending(NEVER_WAIT, MIB), 20).items():
        assert run.ending is Ending.FINISHED, (args, run)
        assert run.result == {"value": [2, 1]}
        assert clean(run)


def test_both_ends_that_send_before_they_receive_wait_for_ever_if_there_is_no_room():
    """How much room there is, the system says: a channel that takes all finishes, and one that does not never does."""
    runs, late = {}, MAY_WAIT
    for deadline_s in (1.5, 6.0, 20.0):  # more time for those only that a busy machine did not let come so far
        runs |= all_at_once(sending(late, MIB), deadline_s)
        late = [one for one in late if not told_enough(runs[one])]
        if not late:
            break
    for (mechanism, between), run in runs.items():
        assert run.ending in (Ending.FINISHED, Ending.TIMED_OUT), run
        if room_of(mechanism) < MIB // 2:  # TCP may find more on its way: clearly too little, or clearly enough
            assert run.ending is Ending.TIMED_OUT, (mechanism, between)
        if run.ending is Ending.TIMED_OUT:
            assert "in both_send" in run.stacks
            assert f"line {sending_line()} in both_send" in run.stacks
        else:
            assert run.result == {"value": [2, 1]}
        assert clean(run)
    assert runs["pipe", "processes"].ending is Ending.TIMED_OUT  # 64 KiB


def told_enough(run):
    """Return True if a run has finished, or began to send and did not come to an end of that."""
    said = {event.name for event in run.events}
    return run.ending is not Ending.TIMED_OUT or ("sends" in said and "has sent" not in said)


def sending_line():
    lines, first = workers.both_send.__code__, workers.both_send.__code__.co_firstlineno
    with open(lines.co_filename) as file:
        own = file.read().splitlines()[first - 1 :]
    return first + next(number for number, line in enumerate(own) if "near.send" in line)


def room_of(mechanism):
    """Count the bytes that a channel of files takes before who writes has to wait."""
    with contextlib.ExitStack() as held:
        if mechanism == "TCP":
            server = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            left = held.enter_context(socket.create_connection(server.getsockname()))
            held.enter_context(server.accept()[0])
            write = left.fileno()
        elif mechanism in ("UNIX socket", "Pipe"):
            _, write = (held.enter_context(end).fileno() for end in socket.socketpair())
        else:
            write = held.enter_context(pipe())[1]
        os.set_blocking(write, False)
        count = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                count += os.write(write, bytes(64 << 10))
        return count


def test_the_room_of_a_pipe_is_what_the_system_says():
    with pipe() as (_, write):
        assert room_of("pipe") == fcntl.fcntl(write, fcntl.F_GETPIPE_SZ)


# ---------------------------------------------------------------------------------------------------- faults
@pytest.mark.parametrize("between", BETWEEN)
def test_a_partner_that_fails_or_is_killed_is_seen_at_once_and_nothing_is_left(between):
    those = [mechanism for mechanism in MECHANISMS if (mechanism, between) not in THREAD_QUEUES]
    found, left = bare("broken", those, between)
    for told in found.values():
        assert told["raises"].startswith("RuntimeError: the partner failed:\n")
        assert told["raises"].endswith("ValueError: as it was told\n")
        if between == "processes":
            assert told["is killed"] == "RuntimeError: the partner was killed by SIGKILL"
        assert told["the block raises"] == ""
    assert list(found) == those
    assert left == []


@pytest.mark.parametrize(("mechanism", "between"), THREAD_QUEUES)
def test_a_thread_that_waits_for_a_queue_is_left_to_the_end_of_its_process(mechanism, between):
    told, left = bare("interrupted", mechanism, between, patience_s=0.1)
    assert told is None
    assert len(left) == 2
    assert all(line.startswith("thread ") for line in left)


@pytest.mark.parametrize("how", ["kill", "segfault"])
def test_nothing_is_left_of_a_worker_that_dies_in_the_middle_of_an_exchange(how):
    names = ("mechanism", "between")
    calls = [(one, workers.dies, {**dict(zip(names, one, strict=True)), "how": how}) for one in ALL]
    for args, run in all_at_once(calls, 20).items():
        assert run.ending is Ending.KILLED, (args, run)
        assert run.exit_code == (-9 if how == "kill" else -11)
        assert clean(run)


# ---------------------------------------------------------------------------------------------------- exchange
LYING = [
    (*one, lie)
    for one in [("pipe", "processes"), ("Queue", "threads"), ("SimpleQueue", "processes")]
    for lie in ("loses", "doubles", "doubles the first", "changes", "changes the first")
]
LYING += [
    (*one, lie)
    for one in product(("memory copied", IN_PLACE), ("processes",))
    for lie in ("loses", "doubles", "changes")
]


def test_a_channel_that_lies_is_found_out():
    calls = [(one, workers.lied_to, dict(zip(("mechanism", "between", "lie"), one, strict=True))) for one in LYING]
    honest = [one for one in calls if one[0][2] != "loses"]
    losing = [one for one in calls if one[0][2] == "loses"]
    for args, run in all_at_once(honest, 20).items():
        assert run.ending is Ending.RAISED, (args, run)
        assert "a message was changed on its way, or is not the one that was due" in run.error
        assert clean(run)
    for args, run in all_at_once(losing, 1.5).items():
        assert run.ending is Ending.TIMED_OUT, (args, run)
        assert "in _round_trips" in run.stacks
        assert clean(run)


@pytest.mark.parametrize("side", [0, 1])
def test_a_message_that_is_doubled_is_found_out_on_either_side(side):
    run = supervise.run(workers.lied_to, mechanism="pipe", between="processes", lie="doubles", side=side)
    assert run.ending is Ending.RAISED
    assert "is not the one that was due" in run.error


def test_a_thread_that_fails_behind_a_queue_is_ended_by_the_deadline():
    calls = [(one, workers.lied_to, {"mechanism": one[0], "between": one[1], "lie": "raises"}) for one in THREAD_QUEUES]
    for run in all_at_once(calls, 1.0).values():
        assert run.ending is Ending.TIMED_OUT
        assert clean(run)


@pytest.mark.parametrize("between", BETWEEN)
def test_the_messages_are_counted_exactly(between):
    told, left = bare("counted", between)
    assert list(told) == list(MECHANISMS)
    for found in told.values():
        sent, orders = found["sent"], found["orders"]
        assert sent[0] == sum(count for _, count in orders)
        if between == "threads":  # else the other side counts where nobody sees it
            assert sent[1] == sum(count for what, count in orders if what == "return")
        (back, trips), (there, pushed), last = orders[-3:]
        assert (back, there, last) == ("return", "take", ["return", 1])
        assert found["told"] == 2 * trips + pushed
    assert left == []


# ---------------------------------------------------------------------------------------------------- bad input
def test_what_cannot_be_had_is_said_and_nothing_is_left():
    told, left = bare("refusals")
    room = "NotHere: no room in /dev/shm: 2,097,152 bytes are needed and 409,600 are free; choose a smaller payload"
    for mechanism in ("memory copied", IN_PLACE):
        assert told.pop(f"{mechanism}, little room").startswith(room)
        assert told.pop(f"{mechanism}, threads") == ""
    assert told.pop("the second segment").startswith("NotHere: no room in /dev/shm: 1,048,576 bytes are needed and few")
    for what in ("pipe", "Queue", IN_PLACE, "a partner"):
        assert told.pop(f"{what}, no fork") == "NotHere: this system cannot fork a process"
    assert told.pop("threads, no fork") == ""
    assert told.pop("no UNIX sockets") == "NotHere: this system has no UNIX sockets"
    assert told.pop("no loopback").startswith("NotHere: this system gives no TCP between threads: [Errno 99]")
    assert told.pop("fork fails").startswith("BlockingIOError")
    assert told.pop("no pickle") == "TypeError: cannot pickle '_thread.lock' object"
    assert told.pop("long list").startswith("NotHere: a list of dicts of 8,388,609 bytes takes more memory than a run")
    for between in BETWEEN:
        said = "NotHere: memory in place carries only bytes and arrays, and this is a list"
        assert told.pop(f"a list in place, {between}") == said
        assert "does not fit into the" in told.pop(f"too long, {between}")
    assert told == {}
    assert left == []


# ---------------------------------------------------------------------------------------------------- interpreters
def test_every_mechanism_works_on_every_interpreter_and_leaves_nothing():
    params = {"mechanisms": list(MECHANISMS), "sizes": [8, 100_000]}
    found = {one.version: one.path for one in find()}
    assert found
    runs = {
        version: supervise.start(workers.everything, python=path, deadline_s=60, limits=Limits(), **params)
        for version, path in found.items()
    }
    for version, live in runs.items():
        run = live.wait()
        assert run.ending is Ending.FINISHED, (version, run.explain(), run.error)
        assert run.python == version
        assert list(run.result) == [" ".join(one) for one in ALL]
        assert all(min(counts) >= 3 for counts in run.result.values())
        assert run.output == ""
        assert clean(run)
        assert run.receipt.names_removed == ()
        assert len(run.receipt.processes_removed) <= 1  # a resource tracker that is ending just then has no name
