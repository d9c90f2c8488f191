"""A health check as operations use it: a thread that answers OK. Rule: this machine only, and nothing is left open."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["answers", "server"]

_PATIENCE_S = 2.0  # a check that takes longer has failed
_ASK, _END, _OK = b"health?\n", b"end\n", b"OK\n"


@contextmanager
def server() -> Iterator[int]:
    """Answer health checks from a thread of this process; yields the port, on 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(listener,), name="health", daemon=True)
        thread.start()
        try:
            yield port
        finally:
            _say(port, _END)
            thread.join()


def answers(port: int, requests: int) -> int:
    """Ask several times, and count how often the answer is OK within two seconds.

    Args:
        port: As `server` gave it.
        requests: How often to ask, one after another.
    """
    return sum(_say(port, _ASK) == _OK for _ in range(requests))


def _serve(listener: socket.socket) -> None:
    said = b""
    while said != _END:
        connection, _ = listener.accept()
        with connection:
            said = connection.recv(len(_ASK))
            connection.sendall(_OK)


def _say(port: int, text: bytes) -> bytes:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as connection:
            connection.sendall(text)
            return connection.recv(len(_OK))
    except OSError:  # no answer in time, or none at all
        return b""
