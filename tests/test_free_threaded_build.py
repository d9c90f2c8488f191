"""What .ci/free_threaded takes and refuses, without a network and without a build; and that what it gives is real."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import labkit

CI = Path(__file__).parent.parent / ".ci"
RIGHT = "echo free-threaded"
WRONG = {
    "gil": "echo gil",
    "ordinary": f"exec '{sys.executable}' \"$@\"",
    "fails": "echo free-threaded; exit 1",
    "silent": "exit 0",
    "chatty": "echo I am free-threaded",
}
INSTALL_ONE = "uv python install 3.14t"
UNDER_CACHE = "the cache/free-threaded/bin/python3.13t"


def stub(path, text):
    """Make an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def run(folder, need, script, *, tools=(), **environment):
    """Run a script of CI, with no tools but the stubs in bin/ and those named, and a cache and a home of its own."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "temporary").mkdir()
    for tool in tools:
        (folder / "bin" / tool).symlink_to(need(tool))
    return subprocess.run(
        [need("bash"), script],
        cwd=folder,
        env={
            "PATH": f"{folder}/bin",
            "HOME": str(folder),
            "TMPDIR": f"{folder}/temporary",
            "LABKIT_CI_CACHE": f"{folder}/the cache",
            **environment,
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_what_was_built_before_is_used_as_it_is(tmp_path, need):
    kept = stub(tmp_path / UNDER_CACHE, f"echo noise >&2; {RIGHT}")
    done = run(tmp_path, need, CI / "free_threaded")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{kept}\n", "")


def test_without_a_cache_folder_of_its_own_it_is_in_the_users_cache(tmp_path, need):
    kept = stub(tmp_path / ".cache/labkit-ci/free-threaded/bin/python3.13t", RIGHT)
    done = run(tmp_path, need, CI / "free_threaded", LABKIT_CI_CACHE="")
    assert (done.returncode, done.stdout) == (0, f"{kept}\n")


PLACES = ["bin/python3.13t", ".local/share/uv/python/a b/bin/python3.14t", ".pyenv/versions/3.14t/bin/python3.14t"]


@pytest.mark.parametrize("place", PLACES)
def test_one_that_is_installed_is_preferred(tmp_path, need, place):
    stub(tmp_path / UNDER_CACHE, RIGHT)
    installed = stub(tmp_path / place, RIGHT)
    assert run(tmp_path, need, CI / "free_threaded").stdout == f"{installed}\n"


def test_one_that_is_named_comes_first(tmp_path, need):
    stub(tmp_path / "bin/python3.14t", RIGHT)
    stub(tmp_path / "ordinary", WRONG["gil"])
    named = stub(tmp_path / "my own", RIGHT)
    pythons = f"{tmp_path}/gone:{tmp_path}/ordinary:~/my own"
    assert run(tmp_path, need, CI / "free_threaded", LABKIT_PYTHONS=pythons).stdout == f"{named}\n"


@pytest.mark.skipif(not getattr(sys, "_is_gil_enabled", lambda: True)(), reason="not on this system: a GIL")
@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_not_used_and_the_message_says_what_to_install(tmp_path, need, answer):
    for place in [UNDER_CACHE, *PLACES]:
        stub(tmp_path / place, answer)
    done = run(tmp_path, need, CI / "free_threaded")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "without apt-get none can be built" in done.stderr
    assert INSTALL_ONE in done.stderr


def test_a_build_that_fails_shows_the_end_of_its_log_and_leaves_nothing(tmp_path, need):
    if shutil.which("flock") is None:
        pytest.skip("not on this system: flock")
    broken = stub(tmp_path / UNDER_CACHE, WRONG["fails"])
    stub(tmp_path / "bin/dpkg-query", "printf installed")
    stub(tmp_path / "bin/apt-get", "echo the mirror is away >&2; exit 100")
    done = run(tmp_path, need, CI / "free_threaded", tools=("awk", "flock", "mkdir", "mktemp", "rm", "tail"))
    assert done.returncode != 0
    assert done.stdout == ""
    assert "the mirror is away" in done.stderr
    assert INSTALL_ONE in done.stderr
    assert list((tmp_path / "temporary").iterdir()) == []
    assert {path.name for path in (tmp_path / "the cache").iterdir()} == {"free-threaded", "lock"}
    assert broken.exists()  # it is replaced by one that is whole, or not at all


@pytest.mark.parametrize("status", [0, 3])
def test_ci_tests_with_it_before_the_pythons_that_are_named(tmp_path, need, status):
    shutil.copy(CI / "run", stub(tmp_path / ".ci/run", ""))
    stub(tmp_path / ".ci/install", "exit 0")
    stub(tmp_path / ".ci/free_threaded", f"echo '/a b/python3.14t'; exit {status}")
    stub(tmp_path / "bin/make", 'echo "$1 in CI ($LABKIT_CI) with $LABKIT_PYTHONS"')
    done = run(tmp_path, need, tmp_path / ".ci/run", tools=("dirname",), LABKIT_PYTHONS="/mine")
    assert done.returncode == status
    assert ("test in CI (1) with /a b/python3.14t:/mine\n" in done.stdout) == (status == 0)


def test_the_free_threaded_python_runs_a_workload_without_a_gil(tmp_path, monkeypatch, free_threaded):
    (tmp_path / "asks_for_the_gil.py").write_text("import sys\ndef ask(): return {'gil': sys._is_gil_enabled()}\n")
    monkeypatch.syspath_prepend(tmp_path)
    done = labkit.run(importlib.import_module("asks_for_the_gil").ask, python=free_threaded.path)
    assert (done.python, done.result) == (free_threaded.version, {"gil": False})


def test_the_free_threaded_python_answers_the_script(tmp_path, need, free_threaded):
    done = run(tmp_path, need, CI / "free_threaded", LABKIT_PYTHONS=free_threaded.path)
    assert (done.returncode, done.stdout) == (0, f"{free_threaded.path}\n")
