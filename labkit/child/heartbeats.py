"""Heartbeats: units beat, one of them fails on word, and an observer counts who beats on. Rule: nothing is assumed.

Every unit beats every 10 ms through one pipe to the observer. When all have beaten five times the observer gives
unit 1 the word; unit 1 says so on the same pipe, and fails. Another unit has survived when 20 heartbeats of it follow:
one that dies and one that hangs both fall short.

Units are threads of forked processes, whatever they are compared for: several of one process (beside its main thread,
which only waits), or one as the main thread of its own. A leash, a pipe that ends with the observer, ends them all.
"""

from __future__ import annotations

import faulthandler
import os
import select
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.emit import emit
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from io import FileIO

__all__ = ["ENOUGH", "beats_after"]

ENOUGH = 20  # heartbeats after the fault that show a survivor
_BEFORE = 5  # heartbeats of every unit that come before it
_BEAT_S = 0.01
_SHOWN = 36  # heartbeats of one unit that become events
_PATIENCE_S = 3.0  # for all units to begin, and for the survivors to show: long, as only what never comes waits for it
_FAULT = 0  # on the pipe of heartbeats, where every other byte is the number of the unit that beats


class _Wires(NamedTuple):
    """Three pipes, each as its two ends: heartbeats to the observer, the word to fail, and the leash."""

    beats: tuple[FileIO, FileIO]
    word: tuple[FileIO, FileIO]
    leash: tuple[FileIO, FileIO]


def beats_after(groups: Sequence[Sequence[int]], fault: str, fail: Callable[[], object]) -> list[int]:
    """Let unit 1 fail, and count the heartbeats of the others after it.

    Args:
        groups: Numbers of the units of each process, from 1: a group of one is the main thread of its process.
        fault: Its name, for the event.
        fail: What unit 1 does when it has the word. If it returns, unit 1 beats on.

    Returns:
        Heartbeats after the fault, of units 2 and on; the observer leaves when each has `ENOUGH`.

    Raises:
        NotHere: If this system cannot fork.
        RuntimeError: If a unit did not begin, so that no fault came.
    """
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    pids: list[int] = []
    with ExitStack() as held:
        wires = _Wires(_pipe(held), _pipe(held), _pipe(held))
        try:
            for units in groups:
                pid = os.fork()
                if not pid:
                    _live(units, fault, fail, wires)
                pids.append(pid)
            wires.beats[1].close()  # the end of this pipe tells that nobody is left
            return _watch(wires, sum(map(len, groups)))
        finally:
            wires.leash[1].close()
            for pid in pids:
                os.waitpid(pid, 0)


def _pipe(held: ExitStack) -> tuple[FileIO, FileIO]:
    reader, writer = os.pipe()
    return held.enter_context(open(reader, "rb", 0)), held.enter_context(open(writer, "wb", 0))


def _watch(wires: _Wires, units: int) -> list[int]:
    """Give the word when every unit has shown that it lives; return the heartbeats of the others after the fault."""
    beats, told = [0] * (units + 1), False
    until = time.monotonic() + _PATIENCE_S
    while select.select([wires.beats[0]], [], [], max(0.0, until - time.monotonic()))[0]:
        read = wires.beats[0].read(4096)
        if not read:
            break
        for number in read:  # in the order in which they were written
            if number == _FAULT:
                beats = [0] * len(beats)
            beats[number] += 1
        if not told and min(beats[1:]) >= _BEFORE:
            told, until = True, time.monotonic() + _PATIENCE_S
            wires.word[1].write(b"!")
        if beats[_FAULT] and min(beats[2:]) >= ENOUGH:
            break
    if not beats[_FAULT]:
        raise RuntimeError(f"no fault came: heartbeats of units 1 to {units} are {beats[1:]}")
    return beats[2:]


def _live(units: Sequence[int], fault: str, fail: Callable[[], object], wires: _Wires) -> None:
    """Be the process of these units, in silence: the events tell what fails. Never return into the parent's code."""
    import resource  # not on Windows, which has no fork either

    status = 1
    try:
        wires.leash[1].close()  # else the leash would not end with the observer
        faulthandler.disable()  # the worker's own would write stacks of a run that goes on
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        if len(units) == 1:
            _unit(units[0], fault, fail, wires)
        else:
            threading.excepthook = lambda _: None
            started = [threading.Thread(target=_unit, args=(number, fault, fail, wires)) for number in units]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()
        status = 0
    finally:
        os._exit(status)


def _unit(number: int, fault: str, fail: Callable[[], object], wires: _Wires) -> None:
    """Beat until the leash ends; unit 1 fails when it is told to."""
    name, beats, leash, word = f"unit {number}", 0, wires.leash[0], wires.word[0]
    emit("begin", name)
    while True:
        heard, _, _ = select.select([leash, word] if number == 1 else [leash], [], [], _BEAT_S)
        if leash in heard:
            break
        if word in heard and word.read(1):
            emit("note", name, fault)
            wires.beats[1].write(bytes([_FAULT]))
            fail()
        beats += 1
        if beats <= _SHOWN:
            emit("sample", name, beats)
        wires.beats[1].write(bytes([number]))
    emit("end", name, beats)
