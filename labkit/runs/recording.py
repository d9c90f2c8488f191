"""Keep runs in a file, and read them back. Rule: what is read was written by a stranger until every value was checked.

The format is JSON lines: a header with the format number and the machine, then one run a line.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, NoReturn

from labkit.errors import BadRecording, BadValue
from labkit.model import Machine, Run
from labkit.runs import files
from labkit.runs.lines import Wrong, header, line_of, machine_of, run_of
from labkit.runs.machine import machine as this_machine
from labkit.units import MIB

__all__ = ["FILE_BYTES_MOST", "Recording", "load", "save"]

FILE_BYTES_MOST = 64 * MIB
_ADVICE = "Ask for the file again, or record anew"


class Recording(NamedTuple):
    """What a file of runs holds.

    Attributes:
        runs: The runs, in the order in which they were saved.
        machine: The machine that measured them.
    """

    runs: tuple[Run, ...]
    machine: Machine


def save(runs: Iterable[Run] | Recording, path: str | os.PathLike[str], *, machine: Machine | None = None) -> Path:
    """Write runs to a file. A file that is already there is replaced in one step, or left as it was.

    Args:
        runs: The runs, or a `Recording` that was loaded (it keeps its machine).
        path: Where to; its folder must exist.
        machine: The machine that measured them; this one if left out.

    Returns:
        The file.

    Raises:
        BadValue: If something is no run, cannot be read back (more than 4 MiB or 8 levels deep as JSON), or the file
            cannot be written.
    """
    if isinstance(runs, Recording):
        machine = machine or runs.machine
        runs = runs.runs
    _check_collection(runs)
    lines = [header(machine or this_machine()), *map(line_of, runs)]
    if sum(map(len, lines)) > FILE_BYTES_MOST:
        raise BadValue("runs", f"{len(lines) - 1} runs", "at most 64 MiB as JSON", "Save them as several files.")
    target = _target(path)
    try:
        files.replace(target, b"".join(lines))
    except OSError as error:
        advice = f"{error.strerror or error}: choose another place."
        raise BadValue("path", str(target), "a file that can be written", advice) from error
    return target


def load(path: str | os.PathLike[str]) -> Recording:
    """Read runs from a file, whoever wrote it.

    Args:
        path: A regular file of at most 64 MiB that `save` wrote.

    Returns:
        The runs and the machine that measured them.

    Raises:
        BadRecording: If anything in the file is not as `save` writes it. It names the line and the problem.
    """
    name = _name(path)
    lines = _bytes(name).split(b"\n")
    if lines.pop() or not lines:
        _refuse(name, len(lines) + 1 if lines else 0, "the file is empty or its end is cut off", _ADVICE)
    runs: list[Run] = []
    number = 1
    try:
        machine = machine_of(lines[0])
        for number, line in enumerate(lines[1:], 2):  # noqa: B007 - told below if the line is wrong
            runs.append(run_of(line))
    except Wrong as problem:
        _refuse(name, number, str(problem), _ADVICE)
    return Recording(tuple(runs), machine)


def _name(path: object) -> str:
    try:
        name = os.fspath(path)  # type: ignore[call-overload]
    except TypeError:
        name = None
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadValue("path", path, "the path of a file", "Pass a string or a pathlib.Path.")
    return name


def _refuse(name: str, line: int, problem: str, advice: str) -> NoReturn:
    raise BadRecording(name, line, problem, f"{advice}.") from None


def _check_collection(runs: object) -> None:
    if isinstance(runs, Run) or not isinstance(runs, Iterable):
        raise BadValue("runs", runs, "a collection of runs", "Put the run into a list.")


def _target(path: object) -> Path:
    target = Path(_name(path))
    if not target.parent.is_dir():
        raise BadValue("path", str(target), "a file in a folder that exists", f"Make the folder {target.parent} first.")
    if target.is_dir():
        raise BadValue("path", str(target), "a file", "Add a file name.")
    return target


def _bytes(name: str) -> bytes:
    try:
        data = files.read(Path(name), FILE_BYTES_MOST)
    except files.Unreadable as problem:
        _refuse(name, 0, str(problem), problem.advice)
    if data is None:
        _refuse(name, 0, f"it cannot be opened ({os.strerror(errno.ENOENT)})", "Name the file itself")
    return data
