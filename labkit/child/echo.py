"""A server that answers each request after a while. Rule: a process of its own, this machine only, ended with the run.

It stands for a database or a web service: whoever asks can do nothing but wait. Threads of the process that asks would
compete with it for the GIL, so it is forked, and serves each connection by a thread of its own, most of them asleep.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["asking", "server"]

_REQUEST_BYTES = 8
_PATIENCE_S = 5.0  # an answer that takes longer has failed
_LIFE_S = 60  # the system ends the server then, whoever has forgotten it
_BACKLOG = 64


@contextmanager
def server(delay_s: float) -> Iterator[int]:
    """Serve from a forked process until the end of the block; yields the port, on 127.0.0.1.

    Begin it before any thread: a fork copies none of them, but their locks.

    Args:
        delay_s: How long each answer takes, in seconds.

    Raises:
        NotHere: If this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    with socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG) as listener:
        pid = os.fork()
        if not pid:
            _serve(listener, delay_s)
        try:
            yield int(listener.getsockname()[1])
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextmanager
def asking(port: int) -> Iterator[Callable[[], None]]:
    """Connect to a server; yields a function that sends one request, and waits for the answer.

    The function raises RuntimeError if the answer is not an echo of the request, and TimeoutError after 5 s.

    Args:
        port: As `server` gave it.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as connection:
        number = 0

        def ask() -> None:
            nonlocal number
            number += 1
            request = number.to_bytes(_REQUEST_BYTES, "big")
            connection.sendall(request)
            if _read(connection) != request:
                raise RuntimeError(f"the server gave a wrong answer to request {number}")

        yield ask


def _serve(listener: socket.socket, delay_s: float) -> None:
    """Be the server, until killed; never return into the code of the process that was forked."""
    try:
        import threading  # not in those who ask: up to 3.12 a subinterpreter that has imported it may never end

        signal.alarm(_LIFE_S)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, delay_s), daemon=True).start()
    finally:
        os._exit(1)


def _answer(connection: socket.socket, delay_s: float) -> None:
    with connection:
        while request := _read(connection):
            time.sleep(delay_s)
            connection.sendall(request)


def _read(connection: socket.socket) -> bytes:
    """Read one message; what is there of it if the other side has closed the connection."""
    message = b""
    while len(message) < _REQUEST_BYTES and (part := connection.recv(_REQUEST_BYTES - len(message))):
        message += part
    return message
