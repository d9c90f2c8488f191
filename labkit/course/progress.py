"""What the student did, also before the kernel was restarted. Rule: lines are added, never changed; none is fatal.

One JSON object a line, written by one call in append mode: several kernels may write at once (on a local disk) without
tearing a line. A file that is damaged or cannot be written must not break a lesson: `problem` says so on the cards.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.errors import BadValue
from labkit.runs import files
from labkit.runs.lines import Wrong, parse
from labkit.units import MIB

if TYPE_CHECKING:
    from labkit.model import Json

__all__ = ["KINDS", "Entry", "damaged_count", "entries", "erase", "file", "latest", "note", "problem"]

KINDS = ("predict", "quiz", "exercise", "verdict")
_LINE_BYTES_MOST = 4096  # one write of up to this size was never torn (FINDINGS: 0 of 2,400)
_FULL_BYTES, _READ_BYTES_MOST = 4 * MIB, 5 * MIB  # several kernels may pass the first at once, never the second
_NAME_MOST = 200
_UNWRITTEN_MOST = 1000
_CUTS = (1000, 200, 40)  # characters that a text keeps, tried in turn until the line fits
_HALF_OF_A_PAIR = re.compile(rb"\\u[dD][89a-fA-F]")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class Entry(NamedTuple):
    """One thing that the student did.

    Attributes:
        at: When, in UTC: ``"2026-01-31T18:05:00Z"``.
        lesson: Slug of the lesson; empty if it belongs to none.
        kind: One of `KINDS`.
        id: Of the prediction, question, exercise or claim.
        value: What was chosen or found; its shape depends on the kind.
    """

    at: str
    lesson: str
    kind: str
    id: str
    value: Json


class _Read(NamedTuple):
    """What the file held when it was read last, and by what one sees that it is still the same."""

    stamp: tuple[object, ...]
    entries: tuple[Entry, ...]
    damaged_count: int


_read_last = _Read((), (), 0)
_unwritten: list[tuple[Path, Entry]] = []  # kept for this session when the file cannot be written
_failed: dict[Path, str] = {}


def file() -> Path:
    """Return where progress is kept; LABKIT_PROGRESS names another place."""
    chosen = os.environ.get("LABKIT_PROGRESS")
    if chosen:
        return Path(os.path.expanduser(chosen)).absolute()  # noqa: PTH111 - pathlib's raises without a home
    shared = os.environ.get("XDG_DATA_HOME", "")
    place = "~/Library/Application Support" if sys.platform == "darwin" else "~/.local/share"
    folder = shared if os.path.isabs(shared) else os.path.expanduser(place)  # noqa: PTH111, PTH117
    return Path(folder, "labkit", "progress.jsonl")


def note(kind: str, id: str, value: Json, lesson: str = "") -> None:  # noqa: A002 - an entry's own word
    """Keep one thing that the student did. If the file cannot be written it is kept until the kernel ends.

    Args:
        kind: One of `KINDS`.
        id: Of the prediction, question, exercise or claim.
        value: JSON; long texts in it are cut so that the line stays under 4,096 bytes.
        lesson: Slug of the lesson.

    Raises:
        BadValue: If it could not be read back.
    """
    if kind not in KINDS:
        raise BadValue("kind", kind, ", ".join(KINDS), "Use one of these.")
    for name, text in (("id", id), ("lesson", lesson)):
        if not _is_name(text) or (name == "id" and not text):
            raise BadValue(name, text, f"printable text of at most {_NAME_MOST} characters", "Give a short name.")
    line = _line({"at": _now(), "lesson": lesson, "kind": kind, "id": id, "value": value})
    place = file()
    why = _append(place, line)
    if why:
        _failed[place] = why
        _unwritten.append((place, _entry(line)))
        del _unwritten[:-_UNWRITTEN_MOST]
    else:
        _failed.pop(place, None)


def entries() -> list[Entry]:
    """Return everything that was kept, oldest first; damaged lines are left out, and stay in the file."""
    place = file()
    return [*_read(place).entries, *(entry for where, entry in _unwritten if where == place)]


def latest(kind: str, id: str) -> Entry | None:  # noqa: A002 - an entry's own word
    """Return the newest entry of a kind and id; None if there is none."""
    return next((one for one in reversed(entries()) if (one.kind, one.id) == (kind, id)), None)


def damaged_count() -> int:
    """Return how many lines of the file cannot be read."""
    return _read(file()).damaged_count


def problem() -> str:
    """Say as a sentence why progress is not kept; empty if it is."""
    place = file()
    why = _failed.get(place) or _foreseen(place)
    if not why:
        return ""
    home = os.path.expanduser("~")  # noqa: PTH111
    shown = f"~{str(place)[len(home) :]}" if len(home) > 1 and str(place).startswith(home) else str(place)
    return f"Progress is not kept after this session: {shown}: {why}."


def erase() -> Path | None:
    """Begin anew: move the file aside, under a name that is free.

    Returns:
        Where it lies now; None if there was none.

    Raises:
        BadValue: If it cannot be moved.
    """
    place = file()
    _unwritten[:] = [(where, entry) for where, entry in _unwritten if where != place]
    aside, number = place.with_name(f"{place.name}.bak"), 1
    while os.path.lexists(aside):
        number += 1
        aside = place.with_name(f"{place.name}.bak{number}")
    try:
        place.rename(aside)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadValue("progress", str(place), "a file that can be moved", f"{error.strerror}.") from error
    return aside


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_name(text: object) -> bool:
    return isinstance(text, str) and len(text) <= _NAME_MOST and text.isprintable()


def _line(fields: dict[str, Json]) -> bytes:
    for most in _CUTS:
        try:
            cut = {**fields, "value": _cut(fields["value"], most)}
            line = json.dumps(cut, allow_nan=False, separators=(",", ":")).encode() + b"\n"
            _entry(line)  # what could not be read back would be lost
        except (TypeError, ValueError, RecursionError) as error:  # Wrong is a ValueError
            raise BadValue("value", fields["value"], "JSON of at most 7 levels", f"Leave it out: {error}.") from None
        if len(line) < _LINE_BYTES_MOST:  # one byte is left for a line end before it
            return line
    raise BadValue("value", fields["value"], "less than 4,096 bytes as JSON", "Keep less of it.")


def _cut(value: Json, most: int) -> Json:
    if isinstance(value, str):
        return value if len(value) <= most else f"{value[: most - 1]}…"
    if isinstance(value, dict):
        return {name: _cut(inner, most) for name, inner in value.items()}
    return [_cut(inner, most) for inner in value] if isinstance(value, (list, tuple)) else value


def _append(place: Path, line: bytes) -> str:
    """Add a line by one write; return why that was not possible."""
    if not place.is_absolute():
        return "there is no home folder"
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDWR | os.O_APPEND | os.O_CREAT | files.NO_FOLLOW, 0o600)
    except OSError as error:
        return "it is a link" if place.is_symlink() else _reason(error)
    try:
        status = os.fstat(descriptor)
        why = _unfit(status)
        if why:
            return why
        if status.st_size:
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b"\n":  # torn, or being written: do not let it swallow this one
                line = b"\n" + line
        return "" if os.write(descriptor, line) == len(line) else "the disk is full"
    except OSError as error:
        return _reason(error)
    finally:
        os.close(descriptor)


def _unfit(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_size >= _FULL_BYTES:
        return "it is full (4 MiB): labkit.course.progress.erase() moves it aside"
    return ""


def _foreseen(place: Path) -> str:
    """Say why a write will fail, without making a file before there is anything to keep."""
    if not place.is_absolute():
        return "there is no home folder"
    try:
        status = os.lstat(place)
    except OSError:
        around = next((folder for folder in place.parents if folder.exists()), place.parent)
        fit = around.is_dir() and os.access(around, os.W_OK | os.X_OK)
        return "" if fit else "its folder cannot be written"
    if stat.S_ISLNK(status.st_mode):
        return "it is a link"
    return _unfit(status) or ("" if os.access(place, os.W_OK | os.R_OK) else "it cannot be written")


def _reason(error: OSError) -> str:
    return f"it cannot be written ({error.strerror or error})"


def _read(place: Path) -> _Read:
    """Read the file if it has changed since it was read last."""
    global _read_last  # noqa: PLW0603 - one file, read by every card
    try:
        status = os.lstat(place)
    except OSError:
        return _Read((), (), 0)
    stamp = (place, status.st_ino, status.st_mtime_ns, status.st_size)
    if _read_last.stamp != stamp:
        _read_last = _parsed(stamp, place)
    return _read_last


def _parsed(stamp: tuple[object, ...], place: Path) -> _Read:
    try:
        data = files.read(place, _READ_BYTES_MOST) or b""
    except Wrong:
        return _Read(stamp, (), 0)  # `problem` says why
    found, damaged = [], 0
    for line in filter(bytes.strip, data.split(b"\n")):
        try:
            found.append(_entry(line))
        except Wrong:  # noqa: PERF203 - one damaged line must not cost the others
            damaged += 1
    return _Read(stamp, tuple(found), damaged)


def _entry(line: bytes) -> Entry:
    fields: Any = parse(line)
    if type(fields) is not dict or fields.keys() != set(Entry._fields):
        raise Wrong(f"it does not have exactly the fields {', '.join(Entry._fields)}")
    if type(fields["at"]) is not str or not _TIME.fullmatch(fields["at"]):
        raise Wrong("its time is none")
    if fields["kind"] not in KINDS or not _is_name(fields["id"]) or not _is_name(fields["lesson"]):
        raise Wrong("its kind, id or lesson is none")
    if _HALF_OF_A_PAIR.search(line):  # JSON lets half a surrogate pair pass, which no file or page can hold
        try:
            json.dumps(fields, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Wrong("a text in it is no Unicode text") from None
    return Entry(**fields)
