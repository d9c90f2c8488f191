"""Where the search for a GIL build may switch threads: what stands between a read and a write decides.

Each gap was tried with real threads on builds with a GIL (3.10 to 3.13), at the smallest switch interval. Where this
table says True, additions were lost on at least one of them; where it says False, on none.
"""

import linecache

import pytest

from labkit.interleave.explore import explore

ALL = frozenset({"call", "builtin", "loop", "with", "print", "sleep"})
PROGRAM = """\
import threading


class Cell:
    def __init__(self):
        self.value, self.lock, self.log = 0, threading.Lock(), []

    @property
    def one(self):
        return 1

    def __add__(self, other):
        return other


def add(cell):
    {body}


def add_1(cell):
    add(cell)


def add_2(cell):
    add(cell)


def both(cell):
    return cell.value == 2
"""


def explored(body, points):
    source = PROGRAM.format(body=body.replace("; ", "\n    "))
    file = f"gap-{abs(hash(source))}"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = {"__name__": "__main__"}
    exec(compile(source, file, "exec", dont_inherit=True), space)
    workers = [space["add_1"], space["add_2"]]
    return explore(workers, setup=space["Cell"], check=space["both"], switch_points=points)


@pytest.mark.parametrize(
    ("body", "switched"),
    [
        ("cell.value += 1", False),
        ("old = cell.value; f'{old}'; cell.value = old + 1", False),
        ("setattr(cell, 'value', cell.value + 1)", False),
        ("cell.value = getattr(cell, 'value') + 1", True),
        ("old = cell.value; abs(old); cell.value = old + 1", True),
        ("old = cell.value; cell.log.append(old); cell.value = old + 1", True),
        ("old = cell.value; cell.one; cell.value = old + 1", True),
        ("old = cell.value; cell + old; cell.value = old + 1", True),
        ("with cell.lock: old = cell.value; cell.value = old + 1", True),
        ("cell.lock.acquire(); old = cell.value; cell.lock.release(); cell.value = old + 1", True),
        ("with cell.lock: cell.value += 1", False),
    ],
)
def test_what_stands_in_the_gap_decides(body, switched):
    assert explored(body, ALL).verdict == ("bug" if switched else "proved")
    assert explored(body, frozenset()).verdict == "proved"


@pytest.mark.parametrize(
    ("body", "points", "verdict"),
    [
        ("old = cell.value; cell.one; cell.value = old + 1", {"builtin", "with"}, "proved"),
        ("old = cell.value; cell.one; cell.value = old + 1", {"call"}, "bug"),
        ("with cell.lock: old = cell.value; cell.value = old + 1", {"call", "builtin"}, "proved"),
        ("with cell.lock: old = cell.value; cell.value = old + 1", {"with"}, "bug"),
        ("old = cell.value; cell.log.append(old); cell.value = old + 1", {"call", "with"}, "proved"),
    ],
)
def test_only_the_given_points_count(body, points, verdict):
    assert explored(body, frozenset(points)).verdict == verdict
