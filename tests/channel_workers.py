"""Workers of channels and partners, for the tests. They run in every interpreter found: standard library only."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import pickle
import signal
import socket
import threading
import time
import warnings
import zlib
from array import array
from functools import lru_cache, partial

from labkit.child import channels
from labkit.child import exchange as exchanges
from labkit.child.channels import IN_PLACE, MECHANISMS, connect
from labkit.child.emit import emit
from labkit.child.exchange import exchange
from labkit.child.partner import beside
from labkit.child.payloads import payload

KIB, MIB = 1 << 10, 1 << 20
SIZES = (0, 1, 8, *(at + d for at in (4 * KIB, 64 * KIB) for d in (-1, 0, 1)), MIB)
KINDS = ("bytes", "int", "list of dicts", "array")
MOST = {"bytes": MIB, "array": MIB, "int": 65 * KIB, "list of dicts": 5 * KIB}  # the others are slow to make and check
ROW = 3  # messages one after another
HEAD_BYTES = 8
OWN = f"c{os.getpid():x}-"  # how this process calls its segments: others come and go beside it
ORDERS = ("echo", "take", "give", "answer differently")


# ---------------------------------------------------------------------------------------------------- messages
@lru_cache(maxsize=1)
def filling(size):
    """Return bytes in which no part is like another one."""
    return array("Q", range(0x0101010101, 0x0101010101 + size // 8 + 1)).tobytes()[:size]


def sealed(size, number):
    """Make bytes that carry a number and a checksum; in less than 8 there is room for the number, or for nothing."""
    if size < HEAD_BYTES:
        return bytes((number + n) % 256 for n in range(size))
    body, cut = filling(size - HEAD_BYTES), number % (size - HEAD_BYTES + 1)
    content = number.to_bytes(4, "little") + body[cut:] + body[:cut]
    return content[:4] + zlib.crc32(content).to_bytes(4, "little") + content[4:]


def number_in(data):
    """Return the number that `sealed` bytes carry, after a look at their checksum."""
    if len(data) < HEAD_BYTES:
        return None
    content = data[:4] + data[8:]
    assert zlib.crc32(content) == int.from_bytes(data[4:8], "little"), f"{len(data)} bytes were changed on their way"
    return int.from_bytes(data[:4], "little")


def message(kind, size, number):
    """Make a value of a kind that carries a number and a checksum."""
    if kind == "list of dicts":
        rows = payload(kind, max(1, size))
        return [{"number": number, "checksum": zlib.crc32(pickle.dumps((number, rows)))}, *rows]
    data = sealed(size // 8 * 8 if kind == "array" else size, number)
    if kind == "int":
        return int.from_bytes(data + b"\1", "little")
    return array("d", data) if kind == "array" else data


def check(kind, size, number, value):
    """Refuse a value that is not the one that is due."""
    if kind == "list of dicts":
        first, *rows = value
        assert first == {"number": number, "checksum": zlib.crc32(pickle.dumps((number, rows)))}, number
        return
    if kind == "int":
        value = value.to_bytes(size + 1, "little")[:-1]
    elif isinstance(value, array):
        value = value.tobytes()
    data = bytes(value)
    size = size // 8 * 8 if kind == "array" else size
    if size < HEAD_BYTES:
        assert data == sealed(size, number)
    assert len(data) == size
    assert number_in(data) in (None, number), f"number {number_in(data)} came, and {number} was due"


def ready(mechanism, kind, value):
    """Give a value as the mechanism takes it."""
    if mechanism == IN_PLACE and kind == "array":
        return memoryview(value).cast("B") if value else b""
    return value


# ---------------------------------------------------------------------------------------------------- carrying
class Side:
    """One side of a channel, with a word in each direction for channels that have room for one value only."""

    def __init__(self, end, words, mechanism):
        self.end, self.mechanism = end, mechanism
        self.word, self.say = words

    def send(self, kind, size, number):
        self.end.send(ready(self.mechanism, kind, message(kind, size, number)))

    def receive(self, kind, size, number):
        value = self.end.receive()
        check(kind, size, number, value)
        return value

    def row(self, act, kind, size, *, sends):
        for number in range(1, ROW + 1):
            act(kind, size, number)
            if self.end.paced:
                assert (os.read(self.word, 1) if sends else os.write(self.say, b"+")) in (b"+", 1)


def sides(mechanism, near, far, there, back):
    """Make both sides; ``there`` and ``back`` are pipes for words."""
    return Side(near, (back[0], there[1]), mechanism), Side(far, (there[0], back[1]), mechanism)


def echo(side, kind, size, *, near):
    """Send what comes back as it is; in place it is never written again."""
    for number in range(1, ROW + 1):
        if near:
            side.send(kind, size, number)
            side.receive(kind, size, number)
        else:
            side.end.send(side.receive(kind, size, number))


def take(side, kind, size, *, near):
    side.row(side.send if near else side.receive, kind, size, sends=near)


def give(side, kind, size, *, near):
    side.row(side.receive if near else side.send, kind, size, sends=not near)


def answer_differently(side, kind, size, *, near):
    """Send the same object again and again, while the other side answers with others: each must be the one sent."""
    mine, its = (ready(side.mechanism, kind, message(kind, size, number)) for number in (7, 9))
    for _ in range(2):
        for value in (mine, its):
            if near:
                side.end.send(mine)
                check(kind, size, 9 if value is its else 7, side.end.receive())
            else:
                check(kind, size, 7, side.end.receive())
                side.end.send(value)


ACTS = dict(zip(ORDERS, (echo, take, give, answer_differently), strict=True))


def serve(side, order, answer):
    while what := order():
        name, kind, size = what
        ACTS[name](side, kind, size, near=False)
        answer(ROW)


def carry(mechanism):
    """Carry messages of all kinds and sizes in both directions; return how many, and what was refused."""
    return {between: _carry(mechanism, between) for between in ("threads", "processes")}


def _carry(mechanism, between):
    count, refused = 0, set()
    with (
        connect(mechanism, between=between, room_bytes=max(SIZES) + KIB) as (near, far),
        channels.pipe() as there,
        channels.pipe() as back,
    ):
        mine, its = sides(mechanism, near, far, there, back)
        with beside(between, partial(serve, its), mine=[near.close], its=[far.close]) as partner:
            for kind in KINDS:
                for size in [size for size in SIZES if size <= MOST[kind]]:
                    if mechanism == IN_PLACE and kind in ("int", "list of dicts"):
                        refused.add(problem_of(lambda: near.send(message(kind, size, 1))))  # noqa: B023 - called at once
                        continue
                    for name in ORDERS:
                        partner.order([name, kind, size])
                        ACTS[name](mine, kind, size, near=True)
                        count += partner.answer()
    return {"count": count, "refused": sorted(refused)}


def once(mechanisms, between, size):
    """Carry one message over each mechanism; return the numbers that were found in it behind its checksum."""
    told = []
    value = sealed(size, 5)
    for mechanism in mechanisms:
        with connect(mechanism, between=between, room_bytes=size) as (near, far):

            def work(order, answer, far=far):
                order()
                answer(number_in(bytes(far.receive())))

            with beside(between, work, mine=[near.close], its=[far.close]) as partner:
                partner.order("go")
                near.send(value)
                told.append(partner.answer())
    return told


def both_send(mechanism, between, size):
    """Let both ends send at once before they receive; in place only one may, and the word to send goes on."""
    with connect(mechanism, between=between, room_bytes=size + KIB) as (near, far):

        def work(order, answer):
            order()
            answer("ready")
            far.send(sealed(size, 2))
            answer(number_in(bytes(far.receive())))
            order()  # there is none: a process that ended before all was received would take the rest along

        with beside(between, work, mine=[near.close], its=[far.close]) as partner:
            partner.order("go")
            partner.answer()
            value = sealed(size, 1)
            emit("note", "sends")
            near.send(value)
            emit("note", "has sent")
            return [number_in(bytes(near.receive())), partner.answer()]


# ---------------------------------------------------------------------------------------------------- faults
def change_end(mechanism, side, change):
    """Let one side (0 near, 1 far) of a mechanism have another end than it should; return what undoes it."""
    real = MECHANISMS[mechanism]

    def make(held, between, room_bytes):
        ends = list(real(held, between, room_bytes))
        ends[side] = change(ends[side])
        return tuple(ends)

    MECHANISMS[mechanism] = make
    return lambda: MECHANISMS.__setitem__(mechanism, real)


def after(count, act, end):
    """Let an end do something else in its receive number ``count``."""
    left = [count]

    def receive():
        left[0] -= 1
        return act(end) if left[0] == 0 else end.receive()

    return end._replace(receive=receive)


def die(_end):
    os.kill(os.getpid(), signal.SIGKILL)


def fail(_end):
    raise ValueError("as it was told")


def lose(end):
    end.receive()
    return end.receive()


def changed(end):
    value = bytes(end.receive())
    return bytes([value[0] ^ 1]) + value[1:]


def doubled(count, end):
    """Let an end receive message number ``count`` twice."""
    told, again = [0], []

    def receive():
        told[0] += 1
        if again:
            return again.pop()
        value = end.receive()
        if told[0] == count:
            again.append(value)
        return value

    return end._replace(receive=receive)


def always(act, end):
    return end._replace(receive=lambda: act(end))


LIES = {
    "loses": partial(after, 5, lose),
    "doubles": partial(doubled, 5),
    "doubles the first": partial(doubled, 1),
    "changes": partial(always, changed),
    "changes the first": partial(after, 1, changed),
    "raises": partial(after, 5, fail),
    "is killed": partial(after, 5, die),
}


def lied_to(mechanism, between, lie, side=1):
    """Exchange messages over a channel that lies."""
    change_end(mechanism, side, LIES[lie])
    return exchange(mechanism, between, sealed(4 * KIB, 1), window_s=0.005)


def dies(mechanism, between, how):
    """Let the worker itself die in the middle of an exchange."""
    change_end(mechanism, 0, partial(after, 3, die if how == "kill" else lambda _: faulthandler._sigsegv()))
    return exchange(mechanism, between, sealed(64 * KIB, 1), window_s=0.05)


def everything(mechanisms, sizes=(8,), window_s=0.002):
    """Exchange messages over each mechanism, between threads and between processes; warnings are errors."""
    warnings.simplefilter("error")
    return {
        f"{mechanism} {between}": [
            exchange(mechanism, between, payload("bytes", size), window_s=window_s)["messages_count"] for size in sizes
        ]
        for mechanism in mechanisms
        for between in ("threads", "processes")
    }


def broken(mechanisms, between):
    """Break exchanges over each mechanism in several ways, one after another; return what each raised."""
    return {mechanism: _broken(mechanism, between) for mechanism in mechanisms}


def _broken(mechanism, between):
    told = {}
    for lie in ("raises", "is killed") if between == "processes" else ("raises",):
        undo = change_end(mechanism, 1, LIES[lie])
        told[lie] = problem_of(partial(exchange, mechanism, between, sealed(4 * KIB, 1), window_s=0.005))
        undo()
    told["the block raises"] = problem_of(partial(interrupted, mechanism, between))
    return told


def interrupted(mechanism, between):
    """Raise while the partner sends what nobody receives, or waits for what nobody sends."""
    for size in (0, 4 * MIB):
        with contextlib.suppress(KeyError), connect(mechanism, between=between, room_bytes=size + KIB) as (near, far):

            def work(order, _answer, far=far, size=size):
                order()
                if size:
                    far.send(sealed(size, 1))
                far.receive()

            with beside(between, work, mine=[near.close], its=[far.close]) as partner:
                partner.order("go")
                raise KeyError("in the block")


def counted(between):
    """Count the messages that go over each mechanism; return them, what was ordered, and what was told."""
    return {mechanism: _counted(mechanism, between) for mechanism in list(MECHANISMS)}


def _counted(mechanism, between):
    sent, orders = [0, 0], []

    def counting(side, end):
        def send(value):
            sent[side] += 1
            end.send(value)

        return end._replace(send=send)

    def order(partner, what, count):
        orders.append([what, count])
        real(partner, what, count)

    change_end(mechanism, 0, partial(counting, 0))
    change_end(mechanism, 1, partial(counting, 1))
    real = exchanges._order
    with put(exchanges, "_order", order):
        told = exchange(mechanism, between, sealed(8, 1), window_s=0.002)
    return {"sent": sent, "orders": orders, "told": told["messages_count"]}


# ---------------------------------------------------------------------------------------------------- bad input
def refusals():
    """Ask for what cannot be had; return what was said."""
    told = {}
    no_room = os.statvfs_result((4096, 4096, 1000, 100, 100, 0, 0, 0, 0, 255))
    with put(os, "statvfs", lambda _: no_room):
        for mechanism in ("memory copied", IN_PLACE):
            told[f"{mechanism}, little room"] = problem_of(partial(held, mechanism, "processes", MIB))
            told[f"{mechanism}, threads"] = problem_of(partial(held, mechanism, "threads", MIB))
    with put(os, "posix_fallocate", partial(full_after, [1])):
        told["the second segment"] = problem_of(partial(held, "memory copied", "processes", MIB))
    with put(os, "fork", None):
        for mechanism in ("pipe", "Queue", IN_PLACE):
            told[f"{mechanism}, no fork"] = problem_of(partial(held, mechanism, "processes", 8))
        told["a partner, no fork"] = problem_of(partial(alone, "processes"))
        told["threads, no fork"] = problem_of(partial(alone, "threads"))
    with put(socket, "AF_UNIX", None):
        told["no UNIX sockets"] = problem_of(partial(held, "UNIX socket", "threads", 8))
    with put(socket, "create_server", partial(fails, OSError(99, "Cannot assign requested address"))):
        told["no loopback"] = problem_of(partial(held, "TCP", "threads", 8))
    with put(os, "fork", partial(fails, BlockingIOError(11, "Resource temporarily unavailable"))):
        told["fork fails"] = problem_of(partial(alone, "processes"))
    told["no pickle"] = problem_of(partial(exchange, "Queue", "processes", threading.Lock(), window_s=0.0))
    told["long list"] = problem_of(partial(payload, "list of dicts", 8 * MIB + 1))
    for between in ("threads", "processes"):
        told[f"a list in place, {between}"] = problem_of(partial(exchange, IN_PLACE, between, [1], window_s=0.0))
        told[f"too long, {between}"] = problem_of(partial(too_long, between))
    return told


@contextlib.contextmanager
def put(module, name, value):
    """Replace something for a while, or remove it if the value is None."""
    real = getattr(module, name)
    delattr(module, name) if value is None else setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, real)


def fails(error, *_args, **_more):
    raise error


def full_after(left, *_args):
    left[0] -= 1
    if left[0] < 0:
        raise OSError(28, "No space left on device")


def held(mechanism, between, room_bytes):
    with connect(mechanism, between=between, room_bytes=room_bytes):
        pass


def alone(between):
    with beside(between, lambda order, answer: answer(order())) as partner:
        partner.order(1)
        partner.answer()


def too_long(between):
    with connect("memory copied", between=between, room_bytes=100) as (near, _far):
        near.send(bytes(5 * KIB))


def problem_of(action):
    """Return what an action raised, with the class; nothing if it raised nothing."""
    try:
        action()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is what the test asks for
        return f"{type(error).__name__}: {error}"
    return ""


# ---------------------------------------------------------------------------------------------------- leftovers
def told_and_left(name, *args, patience_s=2.0, **params):
    """Call a function of this module; return what it returned, and what is there afterwards that was not before.

    What goes by itself has ``patience_s`` to do so.
    """
    from multiprocessing import resource_tracker, shared_memory

    shared_memory._SHM_NAME_PREFIX = f"/{OWN}"
    resource_tracker.ensure_running()  # a process and a descriptor that stay, whoever needs them first
    before = there()
    value = globals()[name](*args, **params)
    gc.collect()  # what is in a circle says now what is wrong with it
    until = time.monotonic() + patience_s
    while (now := there()) != before and time.monotonic() < until:
        time.sleep(0.01)
    return {"told": value, "left": sorted(now - before)}


def there():
    """List threads, descriptors, segments, and children that nobody has waited for."""
    found = {f"thread {thread.name}" for thread in threading.enumerate()}
    found |= {f"descriptor {name}" for name in os.listdir("/dev/fd")}
    with contextlib.suppress(OSError):
        found |= {f"segment {name}" for name in os.listdir("/dev/shm") if name.startswith(OWN)}
    with contextlib.suppress(ChildProcessError):
        if dead := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            found.add(f"zombie {dead.si_pid}")
    return found


# ---------------------------------------------------------------------------------------------------- partners
def problem_or(action):
    try:
        return action()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is what the test asks for
        return [type(error).__name__, str(error), type(error.__context__).__name__]


def obedient(between):
    """Give orders of all kinds of JSON, and of more bytes than a pipe holds."""
    values = [1, "zwei", [3, {"four": None}], False, 0, "", "x" * 300_000]

    def work(order, answer):
        while (what := order()) is not None:
            answer(what)

    told = []
    with beside(between, work) as partner:
        for value in values:
            partner.order(value)
            told.append(partner.answer())
    return told == values


def raising(when, between):
    def work(order, answer):
        if when == "at once":
            raise ValueError("at once")
        answer(order())
        if when == "at the end":
            order()
        raise SystemExit(when)

    with beside(between, work) as partner:
        partner.order(1)
        partner.answer()
        if when != "at the end":
            partner.answer()


def dying(when, between):
    def work(order, answer):
        answer(order())
        if when == "at the end":
            order()
        os.kill(os.getpid(), signal.SIGKILL)

    with beside(between, work) as partner:
        partner.order(1)
        partner.answer()
        if when == "ordered":
            while True:  # until the pipe is seen to be broken
                partner.order("x" * 10_000)
        if when != "at the end":
            partner.answer()


def silent(between):
    with beside(between, lambda *_: None) as partner:
        partner.answer()


def leaving(error, between):
    """Leave the block by an error while the partner is busy with something that has no end."""
    busy = threading.Event()

    def work(order, answer):
        answer("busy")
        busy.wait()

    try:
        with beside(between, work) as partner:
            partner.answer()
            raise error
    finally:
        busy.set()


def unread(between):
    """Leave answers where they are."""

    def work(order, answer):
        while order():
            answer("x" * 1000)

    with beside(between, work) as partner:
        for _ in range(10):
            partner.order(1)
    return "done"


PARTNERS = {
    "obedient": obedient,
    "silent": silent,
    "unread": unread,
    **{f"raises {when}": partial(raising, when) for when in ("at once", "then", "at the end")},
    **{f"dies {when}": partial(dying, when) for when in ("then", "ordered", "at the end")},
    **{f"left by {type(e).__name__}": partial(leaving, e) for e in (KeyError("k"), OSError("o"), KeyboardInterrupt())},
}


def partners(between, names):
    """Hold partners, one after another; return what each told, or what was raised, and why."""
    return {name: problem_or(partial(PARTNERS[name], between)) for name in names}
