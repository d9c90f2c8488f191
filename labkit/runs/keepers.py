"""Start keepers and let go of them; keep one worker ready. Rule: a living keeper is a `Link`, and nothing else is."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import threading
import weakref
from typing import TYPE_CHECKING, NamedTuple

from labkit.child import leftovers
from labkit.child.launch import BOOT, ROOT
from labkit.runs import folders

if TYPE_CHECKING:
    from labkit.limits import Limits
    from labkit.model import Trial

__all__ = ["SILENCE_S", "START_S", "Link", "close", "discard_spare", "link_for", "prewarm"]

SILENCE_S = 12.0  # a keeper sends a heartbeat every 0.1 s, and needs at most 10 s to end a run
START_S = 20.0  # for an interpreter to start and to import the workload
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


class Link(NamedTuple):
    """A living keeper, with the socket to it."""

    run_id: str
    folder: str
    sock: socket.socket
    process: subprocess.Popen[bytes]


def link_for(trial: Trial, *, python: str, limits: Limits) -> Link:
    """Return a keeper whose worker waits for its task: the one that was kept ready if it fits, else a new one.

    It fits only if it has imported just what this trial's own worker would: what a child imports is controlled.
    """
    return _take_spare(_fits(trial, python, limits)) or _spawn(python, limits, _preload(trial))


def _spawn(python: str, limits: Limits, preload: str) -> Link:
    """Start a keeper, which starts a worker, which waits for its task."""
    run_id, folder = folders.name_one()
    environment = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith("LC_")}
    setup = {"run_id": run_id, "folder": folder, "python": python, "preload": preload, "start_s": START_S}
    setup |= {"limits": dataclasses.asdict(limits), "environment": environment}
    ours, theirs = socket.socketpair()
    try:
        ours.settimeout(SILENCE_S)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BOOT.format(root=ROOT, module="keeper", args="")],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=environment,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    _sockets.add(ours)
    link = Link(run_id, folder, ours, process)
    tell(link, setup)
    return link


def tell(link: Link, message: object) -> None:
    """Send a keeper a line. One that has ended has said why: its last words can still be read."""
    with contextlib.suppress(ConnectionError):
        link.sock.sendall(json.dumps(message).encode() + b"\n")


def close(link: Link, *, lost: bool) -> tuple[list[str], list[str]] | None:
    """Let go of a keeper. If it was lost do its work from here: end its processes, remove its names and files."""
    try:
        if not lost:
            with contextlib.suppress(subprocess.TimeoutExpired):
                link.process.wait(SILENCE_S)
        link.process.kill()
        link.process.wait(SILENCE_S)
        return leftovers.sweep(link.run_id, link.folder) if lost else None
    finally:
        link.sock.close()


_spare: list[tuple[tuple[object, ...], Link]] = []
_spare_lock = threading.Lock()


def prewarm(trial: Trial, *, python: str = sys.executable, limits: Limits) -> None:
    """Keep a worker ready that has imported what the trial needs. Never call this while something is measured."""
    discard_spare()
    link = _spawn(python, limits, _preload(trial))
    with _spare_lock:
        _spare.append((_fits(trial, python, limits), link))


def discard_spare() -> None:
    """End the worker that was kept ready, if there is one."""
    with _spare_lock:
        links = [link for _, link in _spare]
        _spare.clear()
    for link in links:
        link.sock.shutdown(socket.SHUT_RDWR)  # its keeper sees that, and ends it
        close(link, lost=False)


def _take_spare(wanted: tuple[object, ...]) -> Link | None:
    with _spare_lock:
        if not _spare or _spare[0][0] != wanted:
            return None
        _, link = _spare.pop()
    if link.process.poll() is not None:  # it waited an hour, or its worker was killed
        close(link, lost=True)
        return None
    return link


def _fits(trial: Trial, python: str, limits: Limits) -> tuple[object, ...]:
    """What is fixed when a worker starts, and cannot be changed by its task."""
    return python, limits.file_bytes, limits.open_files_count, _preload(trial)


def _preload(trial: Trial) -> str:
    module = trial.workload.partition(":")[0]
    return module if module.startswith("labkit.") and not trial.source else ""


def _forget() -> None:
    """In a forked copy of the kernel: let go of the runs, which belong to the original."""
    _spare.clear()
    for sock in list(_sockets):
        sock.close()


os.register_at_fork(after_in_child=_forget)
