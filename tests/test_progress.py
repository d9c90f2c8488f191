"""Progress: what is kept, who may damage it, and what happens where nothing can be kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from labkit.course import progress
from labkit.errors import BadValue

APPEND = """
import sys
from labkit.course import progress
for number in range(int(sys.argv[2])):
    progress.note("quiz", f"{sys.argv[1]}.{number}", {"option": number, "text": "x" * 300}, "made_up")
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    path = tmp_path / "kept" / "progress.jsonl"
    monkeypatch.setenv("LABKIT_PROGRESS", str(path))
    return path


def test_what_is_noted_is_read_back(place):
    progress.note("predict", "made_up.arrives", {"answer": None, "text": "ä <b> \u2028"}, "made_up")
    progress.note("verdict", "memory.race", "holds")
    first, second = progress.entries()
    assert first[1:] == ("made_up", "predict", "made_up.arrives", {"answer": None, "text": "ä <b> \u2028"})
    assert (second.lesson, second.value) == ("", "holds")
    assert first.at.endswith("Z")
    assert progress.latest("verdict", "memory.race") == second
    assert progress.latest("verdict", "none") is None
    assert progress.file() == place
    assert os.stat(place).st_mode & 0o777 == 0o600
    assert progress.problem() == ""


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("LABKIT_PROGRESS")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert progress.file() == tmp_path / "labkit" / "progress.jsonl"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")  # to be ignored, says the standard
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    assert progress.file() == tmp_path / ".local" / "share" / "labkit" / "progress.jsonl"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert progress.file() == tmp_path / "Library" / "Application Support" / "labkit" / "progress.jsonl"


@pytest.mark.parametrize(
    ("kind", "name", "value", "lesson"),
    [
        ("other", "a", 1, ""),
        (None, "a", 1, ""),
        ("quiz", "", 1, ""),
        ("quiz", "two\nlines", 1, ""),
        ("quiz", "x" * 201, 1, ""),
        ("quiz", 7, 1, ""),
        ("quiz", "a", 1, None),
        ("quiz", "a", float("nan"), ""),
        ("quiz", "a", {1, 2}, ""),
        ("quiz", "a", "\ud800", ""),
        ("quiz", "a", list(range(5000)), ""),
        ("quiz", "a", [[[[[[[[[1]]]]]]]]], ""),
    ],
)
def test_what_cannot_be_read_back_is_refused(place, kind, name, value, lesson):
    with pytest.raises(BadValue):
        progress.note(kind, name, value, lesson)
    assert not place.exists()


def test_a_value_that_contains_itself_is_refused(place):
    value = []
    value.append(value)
    with pytest.raises(BadValue):
        progress.note("quiz", "a", value)
    assert not place.exists()


def test_long_texts_are_cut_until_the_line_fits(place):
    progress.note("exercise", "a", {"state": "wrong", "message": "\u2603" * 9000, "more": ["y" * 9000]})
    assert len(place.read_bytes()) < 4096
    (entry,) = progress.entries()
    assert entry.value["state"] == "wrong"
    assert entry.value["message"].endswith("…")


DAMAGED = [
    b"garbage",
    b"{}",
    b"[]",
    b"\xff\xfe",
    b'{"at": "2026-01-01T00:00:00Z"',
    b"[" * 3000,
    b'{"at":"yesterday","lesson":"","kind":"quiz","id":"a","value":1}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"other","id":"a","value":1}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":["quiz"],"id":"a","value":1}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":{},"value":1}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a\\u0000","value":1}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a","value":NaN}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a","value":1e999}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a","value":"\\ud800"}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a","id":"b","value":1}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a","value":1,"more":2}',
    b'{"at":"2026-01-01T00:00:00Z","lesson":"","kind":"quiz","id":"a","value":[[[[[[[[[]]]]]]]]]}',
]


def test_damaged_lines_are_left_out_counted_and_kept(place):
    progress.note("quiz", "first", 1)
    with place.open("ab") as file:
        file.write(b"\n".join(DAMAGED))  # the last line is torn: it has no end
    progress.note("quiz", "second", 2)
    assert [entry.id for entry in progress.entries()] == ["first", "second"]
    assert progress.damaged_count() == len(DAMAGED)
    assert all(line in place.read_bytes().split(b"\n") for line in DAMAGED)


def test_a_file_that_is_full_takes_no_more_and_loses_nothing(place):
    progress.note("quiz", "first", 1)
    with place.open("ab") as file:
        file.write(b"x" * (4 << 20) + b"\n")
    size = place.stat().st_size
    progress.note("quiz", "second", 2)
    assert place.stat().st_size == size
    assert "full" in progress.problem()
    assert [entry.id for entry in progress.entries()] == ["first", "second"]  # the second until the kernel ends
    aside = progress.erase()
    assert aside.stat().st_size == size
    progress.note("quiz", "third", 3)
    assert [entry.id for entry in progress.entries()] == ["third"]
    assert progress.problem() == ""


def test_a_file_that_is_too_large_to_read_is_named(place):
    place.parent.mkdir()
    place.write_bytes(b"x" * (6 << 20))
    assert progress.entries() == []
    assert "full" in progress.problem()


def test_erase_moves_aside_and_never_over_an_older_one(place):
    assert progress.erase() is None
    for number in range(3):
        progress.note("quiz", f"n{number}", number)
        progress.erase()
        assert progress.entries() == []
    kept = sorted(one.name for one in place.parent.iterdir())
    assert kept == ["progress.jsonl.bak", "progress.jsonl.bak2", "progress.jsonl.bak3"]


def under_a_file(folder):
    (folder / "file").write_text("")
    return folder / "file" / "labkit" / "progress.jsonl"


def a_link(folder):
    (folder / "elsewhere").write_text("mine")
    (folder / "link").symlink_to(folder / "elsewhere")
    return folder / "link"


def a_pipe(folder):
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def a_folder(folder):
    return folder


@pytest.mark.parametrize("make", [under_a_file, a_link, a_pipe, a_folder])
def test_a_place_that_cannot_be_written_breaks_nothing(tmp_path, monkeypatch, make):
    place = make(tmp_path)
    monkeypatch.setenv("LABKIT_PROGRESS", str(place))
    assert progress.problem()  # known before anything is to be kept
    progress.note("quiz", "first", 1)
    assert [entry.id for entry in progress.entries()] == ["first"]
    assert place.name in progress.problem()
    if make is a_link:
        assert (tmp_path / "elsewhere").read_text() == "mine"


def test_a_read_only_home_is_said_without_its_name(place, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))

    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(progress.os, "open", refuse)  # tests run as root, whom a mode of a folder does not stop
    progress.note("quiz", "first", 1)
    monkeypatch.undo()
    monkeypatch.setenv("LABKIT_PROGRESS", str(place))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert progress.problem() == (
        "Progress is not kept after this session: ~/kept/progress.jsonl: it cannot be written (Read-only file system)."
    )
    assert progress.latest("quiz", "first").value == 1


def test_without_a_home_nothing_is_written(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABKIT_PROGRESS")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(progress.os.path, "expanduser", lambda text: text)  # as where the user is not known
    progress.note("quiz", "first", 1)
    assert "no home folder" in progress.problem()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read_again_only_when_it_changed(place, monkeypatch):
    progress.note("quiz", "first", 1)
    progress.entries()
    reads = []
    read = progress.files.read
    monkeypatch.setattr(progress.files, "read", lambda *given: reads.append(1) or read(*given))
    for _ in range(5):
        progress.entries()
    assert reads == []
    progress.note("quiz", "second", 2)
    assert len(progress.entries()) == 2
    assert reads == [1]


def test_kernels_that_write_at_once_lose_and_tear_nothing(place):
    kernels = [subprocess.Popen([sys.executable, "-c", APPEND, str(name), "200"]) for name in range(4)]
    assert [kernel.wait(60) for kernel in kernels] == [0] * 4
    found = progress.entries()
    assert len(found) == 800
    assert progress.damaged_count() == 0
    for name in range(4):
        own = [entry.value["option"] for entry in found if entry.id.startswith(f"{name}.")]
        assert own == list(range(200))
    # an empty line is a kernel that saw another one in the middle of its write, and kept clear of it
    assert all(json.loads(line) for line in place.read_text().splitlines() if line)
