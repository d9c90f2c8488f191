"""Whatever an experiment does, `run` gives a verdict, the kernel lives on and nothing is left: the battery as tests."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import faults
import pytest
from battery import ROWS, World, run_row, run_rows

from labkit.child import processes
from labkit.errors import BadValue
from labkit.limits import Limits
from labkit.model import Ending, Trial
from labkit.runs import interpreters, keepers, supervise

pytestmark = pytest.mark.usefixtures("orphans_in_sight")  # also those that have no cookie
HERE = Path(__file__).resolve().parent
SPARED = (".git", "__pycache__", "screenshots")


def named(row):
    return row.name


def check(results):
    bad = [result for result in results if result["wrong"] or result["left"]]
    assert not bad, "\n".join(json.dumps(result, indent=1) for result in bad)


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_fault_is_a_verdict_and_leaves_nothing(row):
    check(run_rows([row]))


@pytest.mark.parametrize("row", ROWS, ids=named)
def test_a_fault_is_the_same_on_every_other_interpreter(row):
    others = [found.path for found in interpreters.find()[1:]]
    if not others:
        pytest.skip("not on this system: there is only one Python")
    check(run_rows([row], others, at_once=len(others)))


def test_each_fault_is_in_the_battery():
    in_rows = {row.workload.__name__ for row in ROWS}
    tools = {"fine", "where", "sleeps", "echo", "prints", "busy_family", "few_copies_of_much", "taken_name"}
    tools |= {"segment_names", "fills_the_disk", "two_line_exception"}
    functions = {name for name, value in vars(faults).items() if getattr(value, "__module__", "") == "faults"}
    assert len(in_rows) >= 40
    assert {name for name in functions if not name.startswith("_")} - tools == in_rows
    assert all(getattr(faults, name).__doc__ for name in in_rows | tools)


# ---------------------------------------------------------------------------------------------------- as another user
@pytest.fixture
def stranger():
    """Return a number that no user and no process has."""
    if os.name != "posix" or os.getuid() != 0:
        pytest.skip("not on this system: only root can become another user; the tests above ran as one")
    owners = {os.stat(f"/proc/{name}").st_uid for name in os.listdir("/proc") if name.isdigit()}
    owners |= {entry.pw_uid for entry in pwd.getpwall()}
    return next(number for number in range(65_000, 60_000, -1) if number not in owners)


@pytest.fixture
def home(stranger):
    """Return a folder of the stranger's own, with copies of what it may not read where it lies."""
    folder = Path(tempfile.mkdtemp(prefix="labtests-stranger-", dir=os.environ["PYTEST_DEBUG_TEMPROOT"]))
    ignore = shutil.ignore_patterns(*SPARED)
    for name in ("labkit", "tests"):
        shutil.copytree(HERE.parent / name, folder / name, ignore=ignore)
    (folder / "tmp").mkdir()
    for root, folders, files in os.walk(folder):
        for path in [root, *(os.path.join(root, name) for name in (*folders, *files))]:
            os.chown(path, stranger, stranger)
    yield folder
    shutil.rmtree(folder)


def python_for(user):
    """Find an interpreter that this user may execute and that can run a kernel."""
    for found in interpreters.find():
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            code = "import sys; sys.exit(sys.version_info < (3, 11))"
            subprocess.run([found.path, "-I", "-c", code], user=user, group=user, extra_groups=[], cwd="/", check=True)
            return found.path
    pytest.skip("not on this system: every Python of 3.11 or later here is hidden from other users")
    return ""


def test_the_battery_leaves_nothing_of_an_unprivileged_user(stranger, home):
    command = [python_for(stranger), str(home / "tests" / "battery.py"), "--json", "--at-once", "8"]
    environment = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        command,
        user=stranger,
        group=stranger,
        extra_groups=[],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.stderr == ""
    assert [row["fault"] for row in rows] == [row.name for row in ROWS]
    check(rows)
    alive = [process for process in processes.every().values() if process.state != "Z"]  # zombies: we adopted them
    owned = [f"{process.pid} {process.name}" for process in alive if owner(f"/proc/{process.pid}") == stranger]
    owned += [name for name in os.listdir("/dev/shm") if owner(f"/dev/shm/{name}") == stranger]
    assert owned + os.listdir(home / "tmp") == []


def owner(path):
    try:
        return os.stat(path).st_uid
    except OSError:
        return None


# ---------------------------------------------------------------------------------------------------- no interpreter
WRONG = {
    "is no Python": ("#!/bin/sh\necho hello\n", "the interpreter exited with code 0: hello"),
    "exits at once": ("#!/bin/sh\nexit 3\n", "the interpreter exited with code 3: it said nothing"),
    "is killed at once": ("#!/bin/sh\nkill -9 $$\n", "SIGKILL"),
    "hangs": ("#!/bin/sh\nsleep 60\n", "the workload had not begun 1 s after its interpreter was started"),
    "cannot be executed": ("hello\n", "Exec format error"),
    "lacks its own interpreter": ("#!/no/such/file\n", "No such file or directory"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_interpreter_is_refused_before_anything_starts_and_named_if_it_breaks_later(
    kind, tmp_path, monkeypatch
):
    text, words = WRONG[kind]
    path = tmp_path / "python3"
    path.write_text(text)
    path.chmod(0o755)
    monkeypatch.setattr(keepers, "START_S", 1.0)
    monkeypatch.setattr(interpreters, "_TIMEOUT_S", 1.0)
    with pytest.raises(BadValue, match="python is"):
        supervise.run(faults.fine, python=str(path))
    before = World.now()
    run = supervise.begin(Trial(workload="faults:fine"), python=str(path), limits=Limits()).wait(10)
    assert words in f"{run.explain()} {run.reason}"
    assert run.ending in (Ending.NOT_STARTED, Ending.KILLED)
    assert run.receipt.clean
    assert before.left() == []


@pytest.mark.parametrize(
    ("workload", "words"), [("faults:no_such", "no attribute 'no_such'"), ("faults:LIFE_S", "int")]
)
def test_a_missing_function_is_named(workload, words):
    run = supervise.begin(Trial(workload=workload), limits=Limits()).wait(10)
    assert run.ending is Ending.RAISED
    assert words in run.error


# ---------------------------------------------------------------------------------------------------- the checks
def test_what_is_left_would_be_seen():
    before = World.now()
    segment = Path(f"/dev/shm/seen_{os.getpid()}")
    segment.touch()
    folder = tempfile.mkdtemp(prefix="labkit-")
    sleeper = subprocess.Popen(["sleep", "60"], env={processes.COOKIE: "abcdef"}, start_new_session=True)
    try:
        with open(os.devnull):
            left = before.left()
    finally:
        segment.unlink()
        os.rmdir(folder)
        sleeper.kill()
        sleeper.wait()
    assert [text.split()[0] for text in left] == ["process", "shared", "folder", "1"]
    assert before.left() == []


def test_a_held_up_kernel_would_be_seen(monkeypatch):
    def hold_up(*_, **__):
        until = time.monotonic() + 0.4
        sys.setswitchinterval(10)
        while time.monotonic() < until:
            pass
        sys.setswitchinterval(0.005)
        return real(faults.fine, times=2)

    real = supervise.run
    monkeypatch.setattr("battery.STALL_S", 0.2)
    monkeypatch.setattr("battery.supervise.run", hold_up)
    run, wrong = run_row(ROWS[5])
    assert wrong
    assert run.ending is Ending.FINISHED
    assert "held up" in str(run_rows([ROWS[5]]))


def test_a_wrong_ending_and_a_missing_word_would_be_seen():
    row = next(row for row in ROWS if row.name == "sys.exit")
    assert run_row(row)[1] == []
    assert len(run_row(row._replace(ending=Ending.FINISHED, words=("unheard of",)))[1]) == 2
    assert signal.SIGKILL.name not in str(run_row(row))
