"""The explorer as a student meets it: cells typed into a real IPython, explored by the real engine in a child."""
# ruff: noqa: E501 - a cell of a notebook stands on one line

import json
import os
import subprocess
import sys
import textwrap

import pytest

NOTEBOOK = """
import json, sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
sys.modules["__main__"] = shell.user_module
shell.run_cell("from labkit.show.explorer import explore", store_history=True).raise_error()
for cell in json.load(sys.stdin):
    shell.run_cell(cell, store_history=True).raise_error()
r = shell.user_ns["r"]
again = r.replay() if r.token else r
print("\\nFOUND" + json.dumps([r.verdict, r.kind, r.where, sorted(o.text for o in r.outcomes), r.reason,
                              again.schedule == r.schedule and again.kind == r.kind]))
"""
COUNTER = "import threading\ncounter = 0\nlock = threading.Lock()\n"
INC = "def inc():\n    global counter\n    counter += 1"
LOCKED = "def inc():\n    global counter\n    with lock:\n        counter += 1"
ACCOUNT = """
class Account:
    def __init__(self, balance=100):
        self.balance, self.lock = balance, threading.Lock()
    def withdraw(self):
        if self.balance >= 70:
            self.balance -= 70
    def safe_withdraw(self):
        with self.lock:
            self.withdraw()
"""
CHILD = "in a child process"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("notebook")


def explored(home, *cells):
    """Run cells, the last of which makes `r`; return verdict, kind, where, outcomes, reason, and if it was replayed."""
    env = os.environ | {"IPYTHONDIR": str(home)}
    text = json.dumps([textwrap.dedent(cell).strip("\n") for cell in cells])
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK],
        input=text,
        capture_output=True,
        text=True,
        env=env,
        cwd=home,
        timeout=100,
        check=False,
    )
    assert "\nFOUND" in done.stdout, done.stdout + done.stderr
    return json.loads(done.stdout.rpartition("FOUND")[2])


CELLS = {
    "a counter": ([COUNTER, INC, "r = explore([inc, inc], check=lambda: counter == 2)"], "bug", "wrong result"),
    "a counter with a lock": ([COUNTER, LOCKED, "r = explore([inc, inc], check=lambda: counter == 2)"], "proved", None),
    "a lock made by an alias": (
        ["import threading\nL = threading.Lock\nlock = L()\ncounter = 0", LOCKED, "r = explore([inc, inc], check=lambda: counter == 2)"],
        "proved",
        None,
    ),
    "lambdas": (
        ["xs = [0]", "r = explore([lambda: xs.append(1), lambda: xs.append(2)], check=lambda: len(xs) == 3)"],
        "proved",
        None,
    ),
    "a function as setup": (
        [COUNTER, ACCOUNT, "def make():\n    return Account()\ndef work(a):\n    a.withdraw()\nr = explore([work, work], setup=make, check=lambda a: a.balance == 30)"],
        "bug",
        "wrong result",
    ),
    "a class as setup": (
        [COUNTER, ACCOUNT, "def work(a):\n    a.safe_withdraw()\nr = explore([work, work], setup=Account, check=lambda a: a.balance == 30)"],
        "proved",
        None,
    ),
    "methods of a global object": (
        [COUNTER, ACCOUNT, "a = Account(80)\nr = explore([a.safe_withdraw, a.safe_withdraw], check=lambda: a.balance == 10)"],
        "proved",
        None,
    ),
    "functions on a global object": (
        [COUNTER, ACCOUNT, "a = Account(80)\ndef work():\n    a.withdraw()\nr = explore([work, work], check=lambda: a.balance == 10)"],
        "bug",
        "wrong result",
    ),
    "a main": (
        [COUNTER, INC, "def main():\n    ts = [threading.Thread(target=inc) for _ in range(2)]\n    for t in ts:\n        t.start()\n    for t in ts:\n        t.join()\nr = explore(main, check=lambda: counter == 2)"],
        "bug",
        "wrong result",
    ),
    "locks in a list": (
        ["import threading\nlocks = [threading.Lock(), threading.Lock()]", "def ab():\n    with locks[0]:\n        with locks[1]:\n            pass\ndef ba():\n    with locks[1]:\n        with locks[0]:\n            pass\nr = explore([ab, ba])"],
        "bug",
        "deadlock",
    ),
    "one lock with two names": (
        ["import threading\na = b = threading.Lock()", "def ab():\n    with a:\n        with b:\n            pass\nr = explore([ab])"],
        "bug",
        "deadlock",
    ),
    "two conditions of one lock": (
        ["import threading\nlock = threading.Lock()\nready = threading.Condition(lock)\ndone = []", "def wait():\n    with ready:\n        while not done:\n            ready.wait()\ndef tell():\n    with lock:\n        done.append(1)\n        ready.notify()\nr = explore([wait, tell])"],
        "proved",
        None,
    ),
    "a queue": (
        ["import queue\nq = queue.Queue()\ngot = []", "def put():\n    q.put(1)\ndef get():\n    got.append(q.get())\nr = explore([put, get], check=lambda: got == [1])"],
        "proved",
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_what_is_typed_in_cells_is_explored_in_a_child(home, name):
    cells, verdict, kind = CELLS[name]
    found = explored(home, *cells)
    assert [*found[:3], found[5]] == [verdict, kind, CHILD, True], found


def test_what_cannot_travel_is_explored_in_the_kernel(home):
    closure = "def make():\n    n = [0]\n    def add():\n        n[0] += 1\n    return add\nadd = make()\nr = explore([add, add])"
    verdict, _, where, *_ = explored(home, closure)
    assert verdict == "proved"
    assert where.startswith("in the kernel: ")


def test_a_held_lock_keeps_the_exploration_in_the_kernel_and_the_result_names_it(home):
    found = explored(home, COUNTER + "lock.acquire()", LOCKED, "r = explore([inc])")
    assert found[2].startswith("in the kernel: ")
    assert "'lock'" in found[2]
