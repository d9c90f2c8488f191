"""Random programs, as students type them: the explorer says exactly what a plain walk through all states says."""

import pytest
from fuzz_part import compare_all
from source_machine import TooLarge
from source_programs import SEEDS, Source, alone, compare, cut_off, differences, judged, program

BUNDLE = 30


def test_explorer_and_machine_agree_about_random_programs():
    found = compare_all("source_programs", SEEDS.stop)
    assert not found, "\n\n".join(found)


def test_most_programs_are_explored_to_the_end():
    cut_off.clear()
    assert not any(compare(seed) for seed in range(BUNDLE))
    assert len(cut_off) <= BUNDLE // 10


def test_a_seed_gives_the_same_program_each_time():
    for seed in SEEDS[:20]:
        assert program.__wrapped__(seed) == program(seed)


def test_the_programs_end_in_all_ways():
    kinds = [program(seed)[1].kinds for seed in SEEDS]
    for kind in ("deadlock", "exception", "wrong result", "livelock", "spins for ever"):
        assert any(kind in each for each in kinds), kind
    assert any(not each for each in kinds)


# ------------------------------------------------------------------------------------------------ what it has found
# Programs that the explorer once got wrong: values at the start, statements of the threads, what counts.
FOUND = {
    "a key that came meanwhile is popped": (
        "n, table = 1, {'a': 0}",
        ["n = table.get('b', n)\nn = table.pop('b', n)\nif 'b' in table:\n    n = 5", "table.setdefault('b', 1)"],
        "[n, table]",
    ),
    "an old value waits while := gives the name a new one": (
        "a, b, c, d, e, r, go = 0, 0, 0, 0, 0, 0, 0",
        [
            "while e == 0:\n    go = 1 - go",
            "x = a\nz = b\nr = max(x, (x := c), d)",
            "a = 1\na = 0\nb = 0\nc = 0\nd = 0\ne = 1",
        ],
        "r",
    ),
    ":= in the test of an if, then a loop": (
        "n, m = 0, 1",
        ["if (w := n) > 0:\n    while n == 1:\n        m = 1 - m", "n += 1"],
        "m",
    ),
    "spinning beside a wrong result": (
        "n, m = 1, 0",
        ["n += 1\nm += 1", "while n != 1:\n    m = 1 - m\nn += 1\nm += 1"],
        "[n, m]",
    ),
    "timed waits of two threads in loops": (
        "n, ready = 1, threading.Condition()",
        ["with ready:\n    while n == 1:\n        ready.wait(timeout=1)"] * 2,
        "n",
    ),
    "sorting looks into the items": (
        "x, grid = 0, [[1], [2]]",
        ["grid.sort()", "new = [0]\ngrid[0] = new\nnew[0] = 3\ngrid[1][0] = 9"],
        "grid",
    ),
    "removing looks into the items": (
        "x, grid = 0, [[1], [2]]",
        ["grid.remove([2])", "new = [0]\ngrid[0] = new\nnew[0] = 3\ngrid[1][0] = 9"],
        "grid",
    ),
    "what is nested changes before it is looked into": (
        "x, grid = 0, [[1], [2]]",
        ["x = sorted(grid)[0] == [3]", "new = [0]\ngrid[0] = new\nnew[0] = 3"],
        "[x, grid]",
    ),
    "an operand changes while the other one is computed": (
        "x, g, items = 0, 0, [1]",
        ["x = items + [g]", "g = 1\nitems.append(5)"],
        "x",
    ),
    "the last item is another one by now": (
        "x, items = 0, [1]",
        ["x = items[-1]", "items.append(5)\nitems[1] = 7"],
        "x",
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_the_fuzz_has_found_stays_mended(name):
    start, threads, outcome = FOUND[name]
    names = start.partition(" = ")[0]
    text = ["import threading", start]
    for number, body in enumerate(threads):
        text += [f"def work{number}():", f"    global {names}", *(f"    {line}" for line in body.split("\n"))]
    text += ["def outcome():", f"    return {outcome}", "def check():", f"    return {outcome} != 3", ""]
    source = Source("\n".join(text), [f"work{number}" for number in range(len(threads))], "")
    report = judged(source)
    assert differences(source, report, name) == []
    with alone():
        assert differences(source, report, name) == []


# ------------------------------------------------------------------------------------------------ the machine itself
def answer(text, count=2):
    return judged(Source(text, [f"work{number}" for number in range(count)], ""), 10_000)


LOST = """
n = 0
def work0():
    global n
    n += 1
def work1():
    global n
    n += 1
def outcome():
    return n
def check():
    return n == 2
"""


def test_the_machine_loses_an_update():
    found = answer(LOST)
    assert found.outcomes == {"1", "2"}
    assert found.wrong == {"1"}
    assert found.kinds == {"wrong result"}


def test_the_machine_evaluates_from_left_to_right():
    text = """
n = 0
x = 0
def work0():
    global x
    x = [n, n + 10 * n, n]
def work1():
    global n
    n = 1
def outcome():
    return x
def check():
    return True
"""
    assert answer(text).outcomes == {"[0, 0, 0]", "[0, 0, 1]", "[0, 10, 1]", "[0, 11, 1]", "[1, 11, 1]"}


def test_the_machine_runs_finally_and_releases_on_every_way_out():
    text = """
import threading
lock = threading.Lock()
seen = []
def work0():
    for i in range(3):
        with lock:
            try:
                if i == 1:
                    continue
                seen.append(i)
                if i == 2:
                    return
            finally:
                seen.append(-i)
def work1():
    try:
        with lock:
            raise ValueError
    except KeyError:
        seen.append(8)
    finally:
        seen.append(lock.locked())
def outcome():
    return sorted(v for v in [len(seen)])
def check():
    return not lock.locked()
"""
    text = text.replace("sorted(v for v in [len(seen)])", "[seen[0], len(seen)]").replace("lock.locked())", "9)")
    assert answer(text).outcomes == {"[0, 6]; ValueError in B", "[9, 6]; ValueError in B"}


def test_the_machine_finds_deadlock_and_spinning():
    text = """
import threading
one = threading.Lock()
two = threading.Lock()
n = 0
def work0():
    with one, two:
        pass
def work1():
    with two, one:
        pass
def work2():
    global n
    while n == 0:
        pass
def outcome():
    return n
def check():
    return True
"""
    assert answer(text).kinds == {"deadlock"}
    assert answer(text, 3).kinds == {"spins for ever"}


def test_the_machine_refuses_what_is_too_large():
    with pytest.raises(TooLarge):
        judged(Source(LOST, ["work0", "work1"], ""), 5)
