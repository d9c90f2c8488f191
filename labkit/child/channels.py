"""Channels: two ends that hand values to each other, one per mechanism. Rule: threads and processes run the same code.

What is compared is the mechanism and who stands at its ends, so both kinds of partner get ends of the same make: the
same files, the same framing. Only where the two worlds have different classes under one name (`queue.Queue` and
`multiprocessing.Queue`) does each use its own, as users do.

Bytes go over as they are; all else is written by `pickle`, as `multiprocessing` does by itself.
"""

from __future__ import annotations

import os
import pickle
import socket
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BufferedReader, FileIO
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.child.segments import mapped, segment
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import BufferedWriter

__all__ = ["IN_PLACE", "MECHANISMS", "End", "connect", "packed", "pipe", "unpacked"]

_HEAD_BYTES = 8
_READ_BYTES = 1 << 16  # as much as a pipe holds: with a smaller buffer a message of that size takes more system calls
_PICKLE = 5
_GONE = "the other end of the channel has gone"


class End(NamedTuple):
    """One end of a channel.

    Attributes:
        send: Hands a value over; returns when the value may be used again.
        receive: Waits for the next value and returns it.
        paced: True if the channel has room for one value only: who sends must hear that it was received before it
            sends another.
        close: Closes this end in this process, as often as it is called. Who waits at the other end sees that it has
            gone, as an EOFError or an OSError, once no process holds it any more; queues between threads cannot tell.
    """

    send: Callable[[Any], None]
    receive: Callable[[], Any]
    paced: bool = False
    close: Callable[[], None] = lambda: None


if TYPE_CHECKING:
    _Ends = tuple[End, End]


@contextmanager
def connect(mechanism: str, *, between: str, room_bytes: int) -> Iterator[_Ends]:
    """Make a channel; everything of it is gone at the end.

    Args:
        mechanism: A key of `MECHANISMS`.
        between: ``"threads"``, or ``"processes"``: then fork afterwards, use one end in each, and close the other.
        room_bytes: The longest message, as `packed`; only memory that is shared needs to know.

    Yields:
        Both ends; each can send and receive.

    Raises:
        NotHere: If this system lacks the mechanism, or has no room for it.
    """
    if between == "processes" and not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    with ExitStack() as held:
        try:
            ends = MECHANISMS[mechanism](held, between, room_bytes)
        except (OSError, ImportError) as error:  # no semaphores, no descriptors, a read-only /dev/shm
            raise NotHere(f"this system gives no {mechanism} between {between}: {error}") from error
        yield ends


def packed(value: Any) -> bytes:
    """Write a value as bytes; bytes are returned as they are."""
    return value if isinstance(value, bytes) else pickle.dumps(value, _PICKLE)


def unpacked(data: bytes, *, plain: bool) -> Any:
    """Build a value anew from what `packed` made of it; ``plain`` is True if that was the value itself."""
    return data if plain else pickle.loads(data)  # noqa: S301 - from this run's own worker


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe; both its descriptors are closed at the end."""
    ends = os.pipe()
    try:
        yield ends
    finally:  # the write end first: whoever still waits sees the end of the pipe
        os.close(ends[1])
        os.close(ends[0])


class _Files(NamedTuple):
    """The two files of one end."""

    read: BufferedReader
    write: BufferedWriter

    def close(self) -> None:
        """Close both below their buffers: whoever stands in one does not hold this up, and nothing is written late."""
        self.write.raw.close()
        self.read.raw.close()


def _files(held: ExitStack, reader: int, writer: int) -> _Files:
    files = _Files(BufferedReader(FileIO(reader), _READ_BYTES), os.fdopen(writer, "wb"))
    held.callback(files.close)
    return files


def _head(length: int, *, plain: bool) -> bytes:
    """Make the head of a message: how long it is, and whether it is bytes."""
    return ((length << 1) + plain).to_bytes(_HEAD_BYTES, "little")


def _tell(file: BufferedWriter, length: int, *, plain: bool) -> None:
    file.write(_head(length, plain=plain))


def _hear(file: BufferedReader) -> tuple[int, bool]:
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES:
        raise EOFError(_GONE)
    number = int.from_bytes(head, "little")
    return number >> 1, bool(number & 1)


def _streaming(files: _Files) -> End:
    """Send values through files, each behind its head, both in one system call.

    A file's own buffer would send the head of a long value by itself: a fifth of the bandwidth of a pipe at 64 KiB.
    """
    read, write = files.read, files.write

    def send(value: Any) -> None:
        data = packed(value)
        head = _head(len(data), plain=data is value)
        left = len(head) + len(data) - os.writev(write.fileno(), (head, data))  # asked each time: it may be closed
        while left:  # a signal came in between
            left -= os.write(write.fileno(), (head + data)[-left:])

    def receive() -> Any:
        length, plain = _hear(read)
        data = read.read(length)
        if len(data) < length:
            raise EOFError(_GONE)
        return unpacked(data, plain=plain)

    return End(send, receive, close=files.close)


def _pipe_files(held: ExitStack) -> tuple[_Files, _Files]:
    """One pipe in each direction."""
    (there_out, there_in), (back_out, back_in) = os.pipe(), os.pipe()
    return _files(held, back_out, there_in), _files(held, there_out, back_in)


def _pipes(held: ExitStack, _between: str, _room_bytes: int) -> _Ends:
    left, right = _pipe_files(held)
    return _streaming(left), _streaming(right)


def _unix_sockets(held: ExitStack, _between: str, _room_bytes: int) -> _Ends:
    if not hasattr(socket, "AF_UNIX"):
        raise NotHere("this system has no UNIX sockets")
    left, right = socket.socketpair(socket.AF_UNIX)
    return _sockets(held, left, right)


def _tcp(held: ExitStack, _between: str, _room_bytes: int) -> _Ends:
    """A connection on the loopback device, which sends small messages at once."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = held.enter_context(socket.create_connection(server.getsockname()))
        right, peer = server.accept()
        if peer != left.getsockname():
            right.close()
            raise NotHere(f"somebody else connected to this run's own port: {peer}")
    for end in (left, right):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _sockets(held, left, right)


def _sockets(held: ExitStack, left: socket.socket, right: socket.socket) -> _Ends:
    """Use sockets as files; a descriptor for each, so that each can be closed by itself."""
    one, other = (_streaming(_files(held, os.dup(end.fileno()), end.detach())) for end in (left, right))
    return one, other


def _connections(held: ExitStack, _between: str, _room_bytes: int) -> _Ends:
    from multiprocessing import Pipe

    left, right = (held.enter_context(end) for end in Pipe())
    return End(left.send, left.recv, close=left.close), End(right.send, right.recv, close=right.close)


def _queues(held: ExitStack, between: str, _room_bytes: int) -> _Ends:
    import queue
    from multiprocessing import get_context

    if between == "threads":
        there: queue.Queue[Any] = queue.Queue()
        back: queue.Queue[Any] = queue.Queue()
        return End(there.put, back.get), End(back.put, there.get)
    context = get_context("fork")
    forth, reply = context.Queue(), context.Queue()
    for one in (forth, reply):
        one._ignore_epipe = True  # type: ignore[attr-defined]  # noqa: SLF001 - as the standard library's pools do
        held.callback(_end_queue, one)
    return _queue_ends(forth, reply)


def _queue_ends(forth: Any, reply: Any) -> _Ends:
    """Make the ends of two queues between processes. No public way leads to the two ends of one (3.10 to 3.14)."""

    def close(out: Any, into: Any) -> None:
        into._reader.close()  # noqa: SLF001
        if getattr(out, "_thread", None) is None:  # else a thread may be sending: `_end_queue` waits for it
            out._writer.close()  # noqa: SLF001

    near = End(forth.put, reply.get, close=partial(close, forth, reply))
    return near, End(reply.put, forth.get, close=partial(close, reply, forth))


def _end_queue(one: Any) -> None:
    """Close a queue, and wait for its thread: nobody reads here any more, so it can only end."""
    one._reader.close()  # noqa: SLF001 - else the thread might wait for ever for this process to read
    one.close()
    one.join_thread()
    one._writer.close()  # noqa: SLF001 - now nobody else closes it at the same time


def _simple_queues(held: ExitStack, between: str, _room_bytes: int) -> _Ends:
    import queue
    from multiprocessing import get_context

    if between == "threads":
        there: queue.SimpleQueue[Any] = queue.SimpleQueue()
        back: queue.SimpleQueue[Any] = queue.SimpleQueue()
        return End(there.put, back.get), End(back.put, there.get)
    context = get_context("fork")
    forth, reply = context.SimpleQueue(), context.SimpleQueue()
    for one in (forth, reply):
        held.callback(one.close)
    return _queue_ends(forth, reply)


def _copied(make: Callable[[ExitStack, str, int], memoryview], held: ExitStack, between: str, room: int) -> _Ends:
    """Two pieces of shared memory, one in each direction, and a pipe each that says that something lies there."""
    there, back = make(held, between, room), make(held, between, room)
    left, right = _pipe_files(held)
    return _copying(left, there, back), _copying(right, back, there)


def _copying(signal: _Files, out: memoryview, into: memoryview) -> End:
    def send(value: Any) -> None:
        data = packed(value)
        _put(out, data)
        _tell(signal.write, len(data), plain=data is value)
        signal.write.flush()

    def receive() -> Any:
        length, plain = _hear(signal.read)
        return unpacked(bytes(into[:length]), plain=plain)

    return End(send, receive, paced=True, close=signal.close)


def _put(memory: memoryview, data: bytes | memoryview) -> None:
    """Copy a message to the beginning of shared memory."""
    if len(data) > len(memory):
        raise ValueError(f"a message of {len(data):,} bytes does not fit into the {len(memory):,} bytes of the channel")
    memory[: len(data)] = data


def _in_place(held: ExitStack, between: str, room_bytes: int) -> _Ends:
    """One piece of shared memory: who receives reads it where it lies."""
    memory = segment(held, between, room_bytes)
    left, right = _pipe_files(held)
    return _pointing(held, left, memory), _pointing(held, right, memory)


def _pointing(held: ExitStack, signal: _Files, memory: memoryview) -> End:
    """Write a value there once, and then only say that it is there; a message tells whether it is a new one.

    There is one piece for both directions: only who has received may send. A value must stay as it is: a changed one
    has to be another object.
    """
    known: list[Any] = [None, None]  # what this side wrote last, unless the other side wrote since, and received last
    views: dict[int, memoryview] = {}  # by length

    def send(value: Any) -> None:
        old = value is known[0] or value is known[1]
        if not old:
            if not isinstance(value, (bytes, memoryview)):
                raise NotHere(f"memory in place carries only bytes and arrays, and this is a {type(value).__name__}")
            _put(memory, value)
            known[0] = value
        _tell(signal.write, len(value), plain=old)
        signal.write.flush()

    def receive() -> memoryview:
        length, old = _hear(signal.read)
        if not old:
            known[0] = None
        if length not in views:
            views[length] = memory[:length]
        known[1] = views[length]
        return views[length]

    held.callback(_release, views)
    return End(send, receive, paced=True, close=signal.close)


def _release(views: dict[int, memoryview]) -> None:
    """Look away from shared memory: it cannot be closed before."""
    for view in views.values():
        view.release()


IN_PLACE = "memory in place"
MECHANISMS: dict[str, Callable[[ExitStack, str, int], _Ends]] = {
    "pipe": _pipes,
    "UNIX socket": _unix_sockets,
    "TCP": _tcp,
    "Pipe": _connections,
    "Queue": _queues,
    "SimpleQueue": _simple_queues,
    "memory copied": partial(_copied, segment),
    "mmap copied": partial(_copied, mapped),
    IN_PLACE: _in_place,
}
