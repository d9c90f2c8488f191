"""The nets of conftest.py catch what they are there to catch: tests that leak or skip run in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
# What each leaking test does, and what is said of it.
LEAKS = {
    "process": ("KEEP.append(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']))", "process "),
    "orphan": ("subprocess.run(['sh', '-c', 'sleep 61 &'])", "sleeping: sleep 61"),
    "folder": ("KEEP.append(tempfile.mkdtemp(prefix='labkit-'))", "folder labkit-"),
    "thread": ("threading.Thread(target=time.sleep, args=(1,), name='stray').start()", "thread stray"),
    "descriptor": ("KEEP.append(os.pipe())", "descriptor "),
}
if os.path.isdir("/dev/shm"):
    LEAKS["shared_memory"] = (
        "open(f'/dev/shm/labkit-test-{os.getpid()}', 'w').close()",
        "shared memory /dev/shm/labkit-",
    )

LEAKING = "import os, subprocess, sys, tempfile, threading, time, leftovers\nleftovers.GRACE_S = 0.2\nKEEP = []\n"
# Another test process has a name in shared memory while its test runs, and one more that it never removes.
BESIDE = """
import threading, time
from pathlib import Path
import leftovers
leftovers.GRACE_S = 0.2
said, names = Path({folder!r}, "1"), [Path("/dev/shm/labkit-test-" + end) for end in ("brief", "for-good")]
def other():
    time.sleep(1)
    names[0].unlink()
    said.write_text("running 2")
def test_a():
    said.write_text("running 1")
    for name in names:
        name.touch()
    threading.Thread(target=other, daemon=True).start()
"""
SKIPPING = (
    "import pytest\ndef test_a(need): need('no-such-tool')\ndef test_b(): pytest.skip('not on this system: forks')\n"
)
FOUND = """
from labkit.model import Interpreter
from labkit.runs import interpreters
answers = [Interpreter(str(at), *answer, False, "PATH") for at, answer in enumerate({answers})]
interpreters.find = lambda: tuple(answers)
def test_a(free_threaded): assert free_threaded.path == "2"
"""


def run_pytest(folder: Path, source: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_inner.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name in ("conftest.py", "leftovers.py"):
        (folder / name).write_text((TESTS / name).read_text())
    inherited = {key: value for key, value in os.environ.items() if key not in ("CI", "LABKIT_CI", "PYTEST_ADDOPTS")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_each_leak_fails_its_own_test_and_no_other(tmp_path):
    tests = "".join(
        f"def test_{name}(orphans_in_sight):\n    {code}\ndef test_after_{name}(): pass\n"
        for name, (code, _) in LEAKS.items()
    )
    try:
        done = run_pytest(tmp_path, LEAKING + tests)
    finally:
        for path in Path("/dev/shm").glob("labkit-test-*"):
            path.unlink()
    assert f"{2 * len(LEAKS)} passed, {len(LEAKS)} error" in done.stdout, done.stdout + done.stderr
    for name, (_, said) in LEAKS.items():
        _, _, report = done.stdout.partition(f"ERROR at teardown of test_{name} ")
        assert said in report.partition("ERROR at teardown")[0], name


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="not on this system: /dev/shm")
def test_a_name_in_shared_memory_is_left_behind_if_it_outlives_the_tests_of_the_other_processes(tmp_path):
    others = tmp_path / "others"
    others.mkdir()
    try:
        done = run_pytest(tmp_path, BESIDE.format(folder=str(others)), LABKIT_TESTS_BESIDE=str(others))
    finally:
        for path in Path("/dev/shm").glob("labkit-test-*"):
            path.unlink()
    assert "1 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "shared memory /dev/shm/labkit-test-for-good" in done.stdout
    assert "labkit-test-brief" not in done.stdout.partition("short test summary")[2]
    assert [path.read_text() for path in others.iterdir() if path.name != "1"] == [""]


def test_a_missing_tool_is_skipped_here_and_fails_in_ci(tmp_path):
    assert "2 skipped" in run_pytest(tmp_path, SKIPPING).stdout
    in_ci = run_pytest(tmp_path, SKIPPING, CI="true").stdout
    assert "1 failed, 1 skipped" in in_ci
    assert "no-such-tool is not installed" in in_ci


def test_the_free_threaded_python_is_the_first_that_has_its_gil_off(tmp_path):
    found = [("3.14.0", True), ("3.14.0t", True), ("3.14.0t", False), ("3.13.5t", False)]
    assert "1 passed" in run_pytest(tmp_path, FOUND.format(answers=found), CI="true").stdout


@pytest.mark.parametrize("found", [[], [("3.14.0", True), ("3.14.0t", True)]])
def test_without_a_free_threaded_python_a_test_is_skipped_here_and_fails_in_ci(tmp_path, found):
    source = FOUND.format(answers=found)
    assert "1 skipped" in run_pytest(tmp_path, source).stdout
    in_ci = run_pytest(tmp_path, source, CI="true").stdout
    assert "1 error" in in_ci
    assert "a free-threaded Python is not installed: uv python install 3.14t" in in_ci


def test_a_skipped_file_fails_in_ci(tmp_path):
    source = "import pytest\npytest.importorskip('no_such_module')\n"
    assert run_pytest(tmp_path, source).returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    in_ci = run_pytest(tmp_path, source, LABKIT_CI="1")
    assert in_ci.returncode == pytest.ExitCode.INTERRUPTED
    assert "could not import 'no_such_module'" in in_ci.stdout


def test_an_expected_failure_is_no_skip(tmp_path):
    source = "import pytest\n@pytest.mark.xfail\ndef test_a(): assert 0\n"
    assert "1 xfailed" in run_pytest(tmp_path, source, CI="1").stdout
