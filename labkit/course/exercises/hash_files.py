"""Exercise: C code that lets the GIL go, behind a lock that does not. Rule: stub, solution, wrong answers together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

if TYPE_CHECKING:
    from labkit.interleave.result import Result

__all__ = ["EXERCISE"]

_GIVEN = """\
import hashlib
import threading


class Job:
    def __init__(self, *files):
        self.files = list(files)  # still to hash
        self.report = ""  # a line for each file that was hashed
        self.lock = threading.Lock()  # one job, one lock


def sha256_of(file):
    # a large file: C code that gives the GIL away, and takes long
    return hashlib.sha256(file.encode()).hexdigest()
"""
_STUB = """\
def worker(job):
    while True:
        with job.lock:
            if not job.files:
                return
            file = job.files.pop()
            job.report += f"{file} {sha256_of(file)}\\n"
"""
_TAKE = """\
def worker(job):
    while True:
        with job.lock:
            if not job.files:
                return
            file = job.files.pop()
"""
_SOLUTION = (
    _TAKE
    + """\
        line = f"{file} {sha256_of(file)}\\n"
        with job.lock:
            job.report += line
"""
)
_WORKERS = """\
def worker_1(job):
    worker(job)


def worker_2(job):
    worker(job)


hashed = []
"""
_ALL_NOTED = f"""\
{_WORKERS}

def sha256_of(file):
    hashed.append(file)
    return file.upper()


def two_files():
    return Job("a", "b")


def both_are_noted(job):
    noted = sorted(job.report.splitlines()) == ["a A", "b B"]
    return noted and sorted(hashed) == ["a", "b"] and not job.files and not job.lock.locked()
"""
_ALONE = f"""\
{_ALL_NOTED}

def three_files():
    return Job("a", "b", "c")


def all_three_are_noted(job):
    noted = sorted(job.report.splitlines()) == ["a A", "b B", "c C"]
    return noted and sorted(hashed) == ["a", "b", "c"] and not job.files and not job.lock.locked()
"""
_MEETING = f"""\
{_WORKERS}

both_hash = threading.Barrier(2)


def sha256_of(file):
    # goes on when both workers are in here
    hashed.append(file)
    both_hash.wait()
    return file.upper()


def two_files():
    return Job("a", "b")
"""


def _hashes(result: Result) -> list[str]:
    """Return the files that were hashed, in order."""
    return [step.value for step in result.witness if step.kind == "write" and step.name.startswith("hashed")]


def _twice(result: Result) -> bool:
    """A file is hashed more than once."""
    hashed = _hashes(result)
    return len(hashed) > len(set(hashed))


def _unlocked_report(result: Result) -> bool:
    """A note is lost, and neither end of its window was locked, though there is a lock elsewhere."""
    read, write = checks.window(result)
    if read < 0 or not result.witness[read].name.endswith("report"):
        return False
    return not checks.held(result, read) and not checks.held(result, write)


def _apart(result: Result) -> bool:
    """The two ends of a note are locked, and so is the note that came between them, but by another lock."""
    read, write = checks.window(result)
    steps = result.witness
    between = [at for at in range(read + 1, write) if steps[at].name == steps[read].name and steps[at].kind == "write"]
    both = checks.held(result, read) & checks.held(result, write)
    others = [checks.held(result, at) for at in between if steps[at].thread != steps[read].thread]
    return bool(both) and any(other and not other & both for other in others)


def _stops(result: Result) -> bool:
    return result.kind == "deadlock"


def _takes_all(result: Result) -> bool:
    """One worker waits in `sha256_of`, and the other one has ended without a file."""
    return checks.overlocked(result) and len(result.blocked) == 1


_BY_ITSELF = checks.judge(
    otherwise=(
        "A worker that is alone must take every file, hash it once and add its line to the report, and this one does "
        "not. That needs no second thread: mend it first."
    ),
)
_NOTED = checks.judge(
    (
        checks.circle,
        "They stop for ever: each worker holds what the other one waits for. Take both in one order, or one only.",
    ),
    (_stops, "A worker waits for ever for what nobody brings. It has only to wait for the lock."),
    (
        checks.no_lock,
        (
            "Without the lock the work overlaps, and goes wrong: two workers come between each other's steps. C code "
            "that gives the GIL away makes it likelier, not rarer."
        ),
    ),
    (checks.blind, "A worker did not get the lock, at once or in time, and went on: a line is missing in the report."),
    (
        _apart,
        ("Each worker takes a lock of its own, so it keeps nobody out. Both must take the same one: `job.lock`."),
    ),
    (
        _unlocked_report,
        (
            "A line is lost: line {write} adds to the report without the lock. `+=` reads the report and writes it "
            "back, and the other worker wrote in between."
        ),
    ),
    (
        checks.let_go,
        (
            "A line is lost: the report is read and written under the lock, but that is given back in between, and the "
            "other worker wrote meanwhile."
        ),
    ),
    (
        checks.read_before,
        "A line is lost: line {read} reads the report before the lock is taken. What is written back is old.",
    ),
    (checks.written_after, "A line is lost: line {write} writes the report after the lock was given back."),
    (
        _twice,
        (
            "A file is hashed twice: looking at it and taking it off the list are parted, and the other worker looked "
            "in between. Take it under the lock, at once."
        ),
    ),
    otherwise="A file or its line is missing at the end: see in the schedule below who acts on what is old.",
)


def _overlap(result: Result) -> str:
    if result.kind is None:
        return ""
    if _takes_all(result):
        return (
            "Nothing is lost, but one worker takes all the files, and the other one finds nothing to do. Take one file "
            "at a time. In the schedule below `sha256_of` waits until both workers are in it, for ever."
        )
    if checks.overlocked(result):
        return (
            "Nothing is lost, but nothing overlaps: a worker is in `sha256_of` and still holds the lock. The GIL is "
            "given away, your lock is not. In the schedule below `sha256_of` waits until both workers are in it, for "
            "ever."
        )
    return (
        "In some interleavings both workers hash at once, in others they cannot: one of them waits for the other, or "
        "ends, while there is a file to hash."
    )


EXERCISE = Exercise(
    id="hash-files",
    title="Let two threads hash at once",
    kind="fix the bug",
    minutes=8,
    task="Two threads run `worker(job)`. `sha256_of` is C code that gives the GIL away, so both could hash at the "
    "same time, on two cores; but they never do. Mend `worker`: both must be able to be in `sha256_of` at once. "
    "Every file is hashed once, and every line gets into the report.",
    given=_GIVEN,
    names=("worker",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "While one worker is in `sha256_of`, where does the other one stand, and what is it waiting for?",
        "Taking a file and adding a line need the lock. What lies between them does not, if you keep it in a variable.",
        "Lock twice: once to test and `pop`; then hash, unlocked; then once more for `job.report += line`.",
    ),
    wrong=(
        WrongAnswer(
            "no lock at all",
            """\
def worker(job):
    while job.files:
        file = job.files.pop()
        line = f"{file} {sha256_of(file)}\\n"
        job.report = job.report + line
""",
            "Without the lock the work overlaps",
        ),
        WrongAnswer(
            "a lock of its own",
            _TAKE
            + """\
        line = f"{file} {sha256_of(file)}\\n"
        with threading.Lock():
            job.report += line
""",
            "a lock of its own",
        ),
        WrongAnswer(
            "noted without the lock",
            _TAKE
            + """\
        job.report += f"{file} {sha256_of(file)}\\n"
""",
            "adds to the report without the lock",
        ),
        WrongAnswer(
            "hashed under the second lock",
            _TAKE
            + """\
        with job.lock:
            job.report += f"{file} {sha256_of(file)}\\n"
""",
            "your lock is not",
        ),
        WrongAnswer(
            "hashed twice",
            """\
def worker(job):
    while True:
        with job.lock:
            if not job.files:
                return
            file = job.files[-1]
        line = f"{file} {sha256_of(file)}\\n"
        with job.lock:
            if file in job.files:
                job.files.remove(file)
                job.report += line
""",
            "A file is hashed twice",
        ),
        WrongAnswer(
            "taken without the lock",
            """\
def worker(job):
    while job.files:
        file = job.files.pop()
        line = f"{file} {sha256_of(file)}\\n"
        with job.lock:
            job.report += line
""",
            "in some interleavings only",
        ),
        WrongAnswer(
            "the report is read before the lock",
            _TAKE
            + """\
        report = job.report + f"{file} {sha256_of(file)}\\n"
        with job.lock:
            job.report = report
""",
            "reads the report before the lock is taken",
        ),
        WrongAnswer(
            "the report is overwritten",
            _TAKE
            + """\
        line = f"{file} {sha256_of(file)}\\n"
        with job.lock:
            job.report = line
""",
            "A worker that is alone must",
        ),
        WrongAnswer(
            "one worker takes all",
            """\
def worker(job):
    with job.lock:
        files, job.files = job.files, []
    lines = [f"{file} {sha256_of(file)}\\n" for file in files]
    with job.lock:
        job.report += "".join(lines)
""",
            "one worker takes all the files",
        ),
        WrongAnswer(
            "a try-lock that leaves the line out",
            _TAKE
            + """\
        line = f"{file} {sha256_of(file)}\\n"
        if job.lock.acquire(blocking=False):
            job.report += line
            job.lock.release()
""",
            "a line is missing in the report",
        ),
        WrongAnswer(
            "returns with the lock",
            """\
def worker(job):
    while True:
        job.lock.acquire()
        if not job.files:
            return
        file = job.files.pop()
        job.lock.release()
        line = f"{file} {sha256_of(file)}\\n"
        with job.lock:
            job.report += line
""",
            "never given back",
        ),
    ),
    probes=(
        Probe(source=_ALONE, workers=("worker",), setup="three_files", check="all_three_are_noted", judge=_BY_ITSELF),
        Probe(
            source=_ALL_NOTED,
            workers=("worker_1", "worker_2"),
            setup="two_files",
            check="both_are_noted",
            judge=_NOTED,
        ),
        Probe(source=_MEETING, workers=("worker_1", "worker_2"), setup="two_files", judge=_overlap),
    ),
    moral="Two threads hash at once, and no line is lost: C code that gives the GIL away helps only if your own lock "
    "is given back as well.",
)
