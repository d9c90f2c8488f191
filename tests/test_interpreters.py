"""Interpreters: found where they hide, and asked in a child that cannot hang us."""

import os
import sys
import time

import pytest

import labkit.runs.interpreters as room
from labkit.errors import BadValue
from labkit.runs.interpreters import find, probe

VERSION = "{}.{}.{}".format(*sys.version_info)


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """Forget what was found, and hide this machine's interpreters; return a home folder to put others into."""
    monkeypatch.setattr(room, "_found", [])
    monkeypatch.setattr(room, "_answers", {})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("PYENV_ROOT", "UV_PYTHON_INSTALL_DIR", "XDG_DATA_HOME", "CONDA_PREFIX", "LABKIT_PYTHONS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def script(path, text):
    """Make an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def fake(path, version="3.14.0", *, base=None, **changes):
    """Make a script that answers a probe as an interpreter would."""
    fields = {
        "labkit": "1",
        "implementation": '"cpython"',
        "version": "[" + version.replace(".", ",") + "]",
        "free_threaded": "false",
        "gil": "true",
        "subinterpreters": "[]",
        "switch_interval_s": "0.005",
        "base": f'"{base or path}"',
    }
    text = ",".join(f'"{name}": {value}' for name, value in (fields | changes).items())
    return script(path, f"echo '{{{text}}}'")


def test_this_kernel_comes_first_and_speaks_for_itself(bare):
    first = find()[0]
    assert (first.path, first.version.rstrip("t"), first.found_in) == (sys.executable, VERSION, "this kernel")
    assert first.gil == getattr(sys, "_is_gil_enabled", lambda: True)()
    assert first.subinterpreters


def test_all_places_are_searched_and_named(bare, monkeypatch):
    fake(bare / "bin" / "python3.13")
    fake(bare / "bin" / "python3.14t", free_threaded="true", gil="false", subinterpreters='["_interpreters"]')
    fake(bare / "bin" / "python3-config")
    fake(bare / "bin" / "python2")
    fake(bare / ".pyenv" / "versions" / "a" / "bin" / "python3")
    fake(bare / ".local" / "share" / "uv" / "python" / "b" / "bin" / "python3")
    fake(bare / "conda" / "bin" / "python")
    fake(bare / "env" / "bin" / "python")
    fake(bare / "own python")
    (bare / ".conda").mkdir()
    (bare / ".conda" / "environments.txt").write_text(f"{bare}/conda\n\n{bare}/gone\nrelative\n")
    monkeypatch.setenv("CONDA_PREFIX", f"{bare}/env")
    monkeypatch.setenv("LABKIT_PYTHONS", f"{bare}/own python{os.pathsep}{os.pathsep}{bare}/gone")
    found = {item.path.removeprefix(f"{bare}/"): item for item in find()[1:]}
    assert {path: item.found_in for path, item in found.items()} == {
        "bin/python3.13": "PATH",
        "bin/python3.14t": "PATH",
        ".pyenv/versions/a/bin/python3": "pyenv",
        ".local/share/uv/python/b/bin/python3": "uv",
        "conda/bin/python": "conda",
        "env/bin/python": "conda",
        "own python": "LABKIT_PYTHONS",
    }
    threaded = found["bin/python3.14t"]
    assert (threaded.version, threaded.gil, threaded.subinterpreters) == ("3.14.0t", False, True)


def test_each_installation_counts_once(bare):
    fake(bare / "real" / "python3.13")
    (bare / "bin").mkdir()
    (bare / "bin" / "python3").symlink_to(bare / "real" / "python3.13")
    (bare / "bin" / "python3.13").symlink_to(bare / "real" / "python3.13")
    fake(bare / ".pyenv" / "versions" / "copy" / "bin" / "python3", base=bare / "real" / "python3.13")
    (bare / "bin" / "python3.11").symlink_to(os.path.realpath(sys.executable))
    assert [item.path for item in find()] == [sys.executable, f"{bare}/bin/python3"]


def test_old_broken_and_shimmed_ones_are_left_out(bare, monkeypatch):
    monkeypatch.setenv("PATH", f"{bare}/bin:{bare}/.pyenv/shims:relative")
    fake(bare / "bin" / "python3.9", "3.9.18")
    script(bare / "bin" / "python3.12", "exit 1")
    script(bare / "bin" / "python3.13", "echo hello")
    fake(bare / ".pyenv" / "shims" / "python3")
    assert len(find()) == 1


def test_what_was_found_is_remembered_until_it_is_asked_afresh(bare):
    before = find()
    fake(bare / "bin" / "python3.13")
    assert find() is before
    assert len(find(fresh=True)) == len(before) + 1


def test_a_probe_is_remembered_until_the_file_changes(bare):
    path = script(bare / "python", "exit 1")
    with pytest.raises(BadValue):
        probe(path)
    fake(bare / "python")
    assert probe(path).version == "3.14.0"
    room._output, kept = None, room._output  # a second question would fail
    try:
        assert probe(path).version == "3.14.0"
    finally:
        room._output = kept
    fake(bare / "python", "3.13.11")
    assert probe(path).version == "3.13.11"


def test_a_tilde_stands_for_the_home_folder(bare):
    path = fake(bare / "python")
    assert probe("~/python").path == path


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("exit 1", "did not answer"),
        ("echo 3.13", "did not answer"),
        ("echo '{}'", "did not answer"),
        ("echo '[1]'", "did not answer"),
        ('echo \'{"labkit": 1, "version": ["x"]}\'', "did not answer"),
        ("printf '\\377'", "did not answer"),
        ("exec cat /dev/zero", "did not answer"),
        ("kill -SEGV $$", "did not answer"),
    ],
)
def test_what_is_no_python_is_refused(bare, text, problem):
    path = script(bare / "python", text)
    with pytest.raises(BadValue, match=problem) as caught:
        probe(path)
    assert path in str(caught.value)
    assert "3.10 or later" in str(caught.value)


@pytest.mark.parametrize(
    ("version", "changes", "problem"),
    [
        ("3.9.25", {}, "That is Python 3.9.25, which is too old"),
        ("2.7.18", {}, "That is Python 2.7.18, which is too old"),
        ("3.11.0", {"implementation": '"pypy"'}, "That is pypy"),
    ],
)
def test_what_is_too_old_or_no_cpython_is_refused_with_what_it_is(bare, version, changes, problem):
    with pytest.raises(BadValue, match=problem):
        probe(fake(bare / "python", version, **changes))


def test_missing_and_unfit_files_are_refused(bare):
    (bare / "plain").write_text("")
    for path in ("", "a\0b", None, 3, str(bare / "gone"), str(bare), str(bare / "plain")):
        with pytest.raises(BadValue, match=r"3\.10 or later"):
            probe(path)


@pytest.mark.parametrize("text", ["sleep 60", "sleep 60 & exit 0", "setsid sleep 2 & exit 0"])
def test_a_silent_one_and_what_it_started_are_ended_in_time(bare, monkeypatch, text):
    monkeypatch.setattr(room, "_TIMEOUT_S", 0.3)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    path = script(bare / "python", f"PATH=/usr/bin:/bin; {text}")
    began = time.monotonic()
    with pytest.raises(BadValue, match=r"it had 0\.3 s"):
        probe(path)
    assert time.monotonic() - began < 2
    time.sleep(2 if "setsid" in text else 0)  # a session of its own is out of reach, but ends by itself


def test_the_student_s_environment_does_not_reach_a_probe(bare, monkeypatch):
    (bare / "json.py").write_text("raise SystemExit('not the real one')")
    monkeypatch.setenv("PYTHONPATH", str(bare))
    monkeypatch.setenv("PYTHONHOME", str(bare))
    monkeypatch.chdir(bare)
    assert probe(sys.executable).version.rstrip("t") == VERSION
