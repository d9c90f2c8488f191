"""The commands that record and draw, and the picture of the README, which must come from its recording."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

import labkit as lab
from labkit.__main__ import main

ROOT = Path(__file__).parent.parent
RECORDINGS = sorted((ROOT / "data" / "recordings").glob("*.jsonl"))


def test_there_are_recordings():
    assert RECORDINGS


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_every_recording_can_be_read_and_shows_itself(path):
    shown = lab.load(path)
    assert len(shown) >= 9
    assert "Recorded, not measured here: " in shown._repr_html_()
    assert {run.ending.value for run in shown} <= {"finished", "cannot be run here"}


def test_every_picture_of_the_readme_is_there_and_has_an_alt_text():
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)]*)\)", (ROOT / "README.md").read_text())
    assert pictures
    for alt, target in pictures:
        assert len(alt) > 40
        assert size(ROOT / target) == (990, 495)


def test_the_picture_command_draws_a_recording(tmp_path, capsys):
    png = tmp_path / "drawn.png"
    assert main(["picture", str(RECORDINGS[0]), str(png)]) == 0
    assert size(png) == (990, 495)
    assert str(png) in capsys.readouterr().out


def test_a_wrong_name_is_told_without_a_traceback(capsys):
    assert main(["record", "gained updates"]) == 2
    assert "allowed" in capsys.readouterr().err


def size(png):
    data = png.read_bytes()
    assert data.startswith(b"\x89PNG")
    return struct.unpack(">II", data[16:24])
