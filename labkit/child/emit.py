"""Record events from inside a workload. Rule: one line, one write, no lock.

Each event is one JSON line, written by one ``os.write`` of less than PIPE_BUF bytes, which POSIX makes atomic. Threads
and forked processes share the pipe without a lock, so recording adds no synchronisation to the races it records.
"""

from __future__ import annotations

import json
import os
import threading
import time

from labkit.errors import BadValue
from labkit.model import KINDS

__all__ = ["EVENT_BYTES_MOST", "connect", "emit", "send"]

EVENT_BYTES_MOST = 512  # POSIX promises atomic pipe writes up to here on every system
_pipe: list[int] = []  # the event descriptor; empty outside a labkit child


def connect(descriptor: int) -> None:
    """Send all further events of this process, and of its forks, to a descriptor."""
    _pipe[:] = [descriptor]


def emit(kind: str, name: str, value: object = None) -> None:
    """Record one event from any thread or forked process of a workload.

    Outside a labkit child this checks its arguments and does nothing else, so workloads can be called directly.

    Args:
        kind: What was done: begin, end, read, write, wait, hold, free, sample or note.
        name: What it was done to, such as ``"lock A"``.
        value: What was seen or written: any short JSON value.

    Raises:
        BadValue: If the kind is unknown, the value is not JSON, or the event is longer than 512 bytes as JSON.
    """
    if kind not in KINDS:
        raise BadValue("kind", kind, ", ".join(KINDS), "Use 'note' for anything else.")
    record = ["event", time.monotonic_ns(), os.getpid(), threading.get_native_id(), kind, name, value]
    try:
        line = json.dumps(record, default=repr, allow_nan=False).encode() + b"\n"
    except ValueError:
        raise BadValue("value", value, "what JSON can hold, so no NaN and no infinity", "Emit its repr.") from None
    if len(line) > EVENT_BYTES_MOST:
        raise BadValue("value", value, f"an event of at most {EVENT_BYTES_MOST} bytes", "Emit a shorter summary.")
    if _pipe:
        os.write(_pipe[0], line)


def send(record: list[object]) -> None:
    """Write one record of any length: for the worker itself, before and after the workload runs.

    Raises:
        TypeError: If the record holds something that is not JSON.
        ValueError: If it holds a number that JSON lacks, such as NaN.
    """
    view = memoryview(json.dumps(record, allow_nan=False).encode() + b"\n")
    while view:
        view = view[os.write(_pipe[0], view) :]
