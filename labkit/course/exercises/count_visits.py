"""Exercise: one line stands outside the lock. Rule: stub, solution, wrong answers and check stand together."""

from __future__ import annotations

from labkit.course.exercises import checks
from labkit.course.lesson import Exercise, Probe, WrongAnswer

__all__ = ["EXERCISE"]

_GIVEN = """\
import threading


class Page:
    def __init__(self):
        self.hits = 0
        self.lock = threading.Lock()  # one page, one lock
"""
_STUB = """\
def visit(page):
    seen = page.hits
    with page.lock:
        page.hits = seen + 1
"""
_SOLUTION = """\
def visit(page):
    with page.lock:
        seen = page.hits
        page.hits = seen + 1
"""
_PROBE = """\
def visitor_1(page):
    visit(page)


def visitor_2(page):
    visit(page)


def busy_page():
    page = Page()
    page.hits = 7
    return page


def both_count(page):
    return page.hits == 9
"""
_JUDGE = checks.judge(
    (checks.in_turn, "Two visits one after the other must add 2 to `hits`, and do not: that needs no second thread."),
    (
        checks.slept,
        "A pause is no lock: `sleep` moves the moment at which the other thread comes, and keeps nobody out.",
    ),
    (
        checks.no_lock,
        "`visit` takes no lock. Even in one line, `+=` reads and then writes, and the other visitor came in between.",
    ),
    (
        checks.blind,
        "A visit was not counted: the lock was not free, at once or in time, and `visit` skipped its work.",
    ),
    (
        checks.own_locks,
        "Each call takes a lock of its own. A lock keeps out only those who take the same one: `page.lock`.",
    ),
    (
        checks.let_go,
        (
            "Read and write are both locked, but the lock is given back between them, and that is where the other "
            "one came."
        ),
    ),
    (
        checks.written_after,
        "Line {write} writes after the lock was given back: by then the other visitor had read the same old number.",
    ),
    (
        checks.read_before,
        "Line {read} reads before the lock is taken: the number is old by the time it is written back.",
    ),
    otherwise="A visit is not counted: see in the schedule below who overwrites whom, or leaves out its work.",
)

EXERCISE = Exercise(
    id="count-visits",
    title="Count every visit",
    kind="tweak",
    minutes=2,
    task=(
        "Two threads call `visit(page)` with the same page, and sometimes one visit is lost, although there is a "
        "lock. Move one line so that every visit counts."
    ),
    given=_GIVEN,
    names=("visit",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "Which two steps must not be parted? Find both of them in `visit`.",
        "What does a thread know that waits at `with page.lock:`? Is it still true when the lock lets it in?",
        "Put `seen = page.hits` inside the `with` block, as its first line.",
    ),
    wrong=(
        WrongAnswer(
            "a lock made inside the function",
            """\
def visit(page):
    lock = threading.Lock()
    with lock:
        seen = page.hits
        page.hits = seen + 1
""",
            "a lock of its own",
        ),
        WrongAnswer(
            "one line, no lock",
            """\
def visit(page):
    page.hits += 1
""",
            "takes no lock",
        ),
        WrongAnswer(
            "a lock for each line",
            """\
def visit(page):
    with page.lock:
        seen = page.hits
    with page.lock:
        page.hits = seen + 1
""",
            "given back between them",
        ),
        WrongAnswer(
            "only the read is locked",
            """\
def visit(page):
    with page.lock:
        seen = page.hits
    page.hits = seen + 1
""",
            "writes after the lock was given back",
        ),
        WrongAnswer(
            "a pause instead of a lock",
            """\
def visit(page):
    time.sleep(0.01)
    page.hits += 1
""",
            "A pause is no lock",
        ),
        WrongAnswer(
            "a try-lock that skips the work",
            """\
def visit(page):
    if page.lock.acquire(blocking=False):
        page.hits += 1
        page.lock.release()
""",
            "skipped its work",
        ),
        WrongAnswer(
            "another read, still too early",
            """\
def visit(page):
    hits = page.hits + 1
    with page.lock:
        page.hits = hits
""",
            "reads before the lock is taken",
        ),
    ),
    probes=(
        Probe(source=_PROBE, workers=("visitor_1", "visitor_2"), setup="busy_page", check="both_count", judge=_JUDGE),
    ),
    moral="No other visitor comes between read and write: that is what one lock around both is for.",
)
