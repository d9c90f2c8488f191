"""What holds for every test: nothing is left behind, and in CI nothing is skipped for want of a tool.

The repairs of nbval are in nbval_repairs.py: notebooks run in a pytest of their own, which loads them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from leftovers import BESIDE, Snapshot, adopt_orphans, end, left_since, say

OTHERS = Path(os.environ.pop(BESIDE)) if BESIDE in os.environ else None  # a pytest within a test takes no part
IN_CI = bool(os.environ.get("CI") or os.environ.get("LABKIT_CI"))
ALLOWED_SKIP = (
    "not on this system:"  # a skip that CI accepts begins with this: the system cannot do it, whatever is installed
)
FREE_THREADED = "a free-threaded Python"
INSTALL = {
    "chromium": "apt-get install chromium",
    "make": "apt-get install make",
    "git": "apt-get install git",
    FREE_THREADED: "uv python install 3.14t",
}


def pytest_configure(config):
    """Give this run a folder for temporary files of its own: another run beside it would look like a leak."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # tmp_path stays where pytest always has it
    os.environ.setdefault("LABKIT_QUICK", "1")
    folder = tempfile.mkdtemp(prefix="labtests-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    os.environ["LABKIT_PROGRESS"] = os.path.join(folder, "progress.jsonl")  # never the user's own
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@pytest.fixture(autouse=True)
def nothing_left():
    """Fail a test that leaves a process, shared memory, a folder, a thread or a descriptor.

    What a fixture of wider scope opened before the test began is not counted: it is there in both snapshots.
    """
    before = Snapshot.take()
    say(OTHERS, running=True)
    yield
    say(OTHERS, running=False)
    left = left_since(before, OTHERS)
    if left:
        end(before)
        pytest.fail("left behind:\n  " + "\n  ".join(left), pytrace=False)


@pytest.fixture
def orphans_in_sight():
    """Let `nothing_left` see what a process left that has ended itself, such as a kernel.

    Not for tests of labkit's own processes: they expect that init, and not pytest, buries orphans.
    """
    adopt_orphans(on=True)
    yield
    adopt_orphans(on=False)


@pytest.fixture(scope="session")
def need():
    """Return a function that finds a tool's path; without it the test is skipped, and in CI it fails."""

    def find(tool: str) -> str:
        path = shutil.which(tool)
        if path is None:
            skip_without(tool)
        return path

    return find


@pytest.fixture(scope="session")
def free_threaded():
    """Return the first free-threaded interpreter found; without one the test is skipped, and in CI it fails."""
    from labkit.runs import interpreters

    for found in interpreters.find():
        if found.version.endswith("t") and not found.gil:
            return found
    return skip_without(FREE_THREADED)


def skip_without(tool):
    """Skip this test, and say what would install the tool."""
    pytest.skip(f"{tool} is not installed: {INSTALL.get(tool, 'install it')}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    return fail_when_skipped_in_ci(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    return fail_when_skipped_in_ci(report)


def fail_when_skipped_in_ci(report, *, in_ci=IN_CI):
    """Turn a skip into a failure in CI, unless its reason says that this system cannot do it at all."""
    if not in_ci or not report.skipped or hasattr(report, "wasxfail"):
        return report
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not reason.removeprefix("Skipped: ").startswith(ALLOWED_SKIP):
        report.outcome = "failed"
        report.longrepr = f"{reason}\n(in CI a skip is a failure, unless its reason begins with {ALLOWED_SKIP!r})"
    return report
