"""Start keepers and let go of them; keep one worker ready. Rule: a living keeper is a `Link`, and nothing else is."""

from __future__ import annotations

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
    from labkit.model import Limits, Trial

__all__ = ["SILENCE_S", "Link", "close", "discard_spare", "link_for", "prewarm"]

SILENCE_S = 12.0  # a keeper sends a heartbeat every 0.1 s, and needs at most 7 s to end a run
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


class Link(NamedTuple):
    """A living keeper, with the socket to it."""

    run_id: str
    folder: str
    sock: socket.socket
    process: subprocess.Popen[bytes]


def link_for(trial: Trial, *, python: str, limits: Limits) -> Link:
    """Return a keeper whose worker waits for its task: the one that was kept ready if it fits, else a new one."""
    return _take_spare(python, limits) or _spawn(python, limits, _preload(trial))


def _spawn(python: str, limits: Limits, preload: str) -> Link:
    """Start a keeper, which starts a worker, which waits for its task."""
    run_id, folder, lock = folders.make()
    ours, theirs = socket.socketpair()
    _sockets.add(ours)
    environment = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith("LC_")}
    try:
        code = BOOT.format(root=ROOT, module="keeper", args=f"{theirs.fileno()}, {lock}")
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), lock),
            start_new_session=True,
            cwd="/",
            env=environment,
        )
        setup = {"run_id": run_id, "folder": folder, "python": python, "preload": preload}
        setup_line = json.dumps({**setup, "limits": dataclasses.asdict(limits), "environment": environment})
        ours.sendall(setup_line.encode() + b"\n")
    except BaseException:
        ours.close()
        leftovers.remove_folder(folder)
        raise
    finally:
        theirs.close()
        os.close(lock)
    return Link(run_id, folder, ours, process)


def close(link: Link, known: dict[int, int] | None) -> tuple[list[str], list[str]] | None:
    """Let go of a keeper. With ``known`` (it was lost) do its work from here: end its processes, remove its names."""
    try:
        if known is None:
            link.process.wait(SILENCE_S)
            return None
        link.process.kill()
        link.process.wait(SILENCE_S)
        return leftovers.sweep(link.run_id, link.folder, list(known.items()))
    finally:
        link.sock.close()


_spare: list[tuple[tuple[str, int, int], Link]] = []
_spare_lock = threading.Lock()


def prewarm(trial: Trial, *, python: str = sys.executable, limits: Limits) -> None:
    """Keep a worker ready that has imported what the trial needs. Never call this while something is measured."""
    discard_spare()
    link = _spawn(python, limits, _preload(trial))
    with _spare_lock:
        _spare.append((_fits(python, limits), link))


def discard_spare() -> None:
    """End the worker that was kept ready, if there is one."""
    with _spare_lock:
        links = [link for _, link in _spare]
        _spare.clear()
    for link in links:
        link.sock.close()  # its keeper sees that, and ends it
        link.process.wait(SILENCE_S)


def _take_spare(python: str, limits: Limits) -> Link | None:
    with _spare_lock:
        if not _spare or _spare[0][0] != _fits(python, limits):
            return None
        _, link = _spare.pop()
    if link.process.poll() is not None:
        link.sock.close()
        return None
    return link


def _fits(python: str, limits: Limits) -> tuple[str, int, int]:
    """What is fixed when a worker starts, and cannot be changed by its task."""
    return python, limits.file_bytes, limits.open_files_count


def _preload(trial: Trial) -> str:
    module = trial.workload.partition(":")[0]
    return module if module.startswith("labkit.") and not trial.source else ""


def _forget() -> None:
    """In a forked copy of the kernel: let go of the runs, which belong to the original."""
    _spare.clear()
    for sock in list(_sockets):
        sock.close()


os.register_at_fork(after_in_child=_forget)
