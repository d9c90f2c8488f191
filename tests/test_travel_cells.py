"""How workloads travel: cells typed into a real IPython, packed there, and run again in a fresh namespace."""
# ruff: noqa: E501 - a cell of a notebook stands on one line

import json
import os
import subprocess
import sys
import textwrap

import pytest

# Types cells, packs `work` and prints the parcel, or what the refusal says. Then the parts are run as the child does it.
NOTEBOOK = """
import json, os, sys
from IPython.core.interactiveshell import InteractiveShell
from labkit.runs.travel import pack
from labkit.errors import LabError
shell = InteractiveShell.instance()
sys.modules["__main__"] = shell.user_module
for cell in json.load(sys.stdin):
    shell.run_cell(cell, store_history=True).raise_error()
try:
    parcel = pack(shell.user_ns["work"], {})
    print("\\nPARCEL" + json.dumps([parcel.workload, [list(part) for part in parcel.source], parcel.folder]))
except LabError as error:
    print("\\nPARCEL" + json.dumps({"error": type(error).__name__, "text": str(error)}))
"""
CHILD = """
import json, sys
name, source, folder = json.load(sys.stdin)
if folder:
    sys.path.append(folder)
import types
module = sys.modules["__main__"] = types.ModuleType("__main__")
for file, line, text in source:
    exec(compile("\\n" * (line - 1) + text, file, "exec", dont_inherit=True), vars(module))
print("\\nRESULT" + repr(getattr(module, name.removeprefix("<cell>:"))()))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "beside.py").write_text("LIMIT = 7\ndef double(x):\n    return 2 * x\n")
    return folder


def start(script, value, home, *, python=sys.executable, options=()):
    env = os.environ | {"IPYTHONDIR": str(home), "PYTHONWARNINGS": "error"}
    done = subprocess.run(  # noqa: PLW1510 - a failure is what some tests look for
        [python, *options, "-c", script],
        input=json.dumps(value),
        capture_output=True,
        text=True,
        env=env,
        cwd=home,
        timeout=60,
    )
    return done.stdout, done.stderr


def typed(home, *cells):
    """Pack `work` of a notebook with these cells; return the parcel, or the refusal."""
    out, err = start(NOTEBOOK, [textwrap.dedent(cell).strip("\n") for cell in cells], home)
    assert "\nPARCEL" in out, out + err
    return json.loads(out.rpartition("PARCEL")[2])


def result(home, *cells):
    """Pack `work`, run it in a fresh process that has the standard library only, and return the repr of its result."""
    parcel = typed(home, *cells)
    assert isinstance(parcel, list), parcel
    out, err = start(CHILD, parcel, home, options=("-I", "-S"))
    assert "\nRESULT" in out, f"{err}\n{parcel}"
    return out.rpartition("RESULT")[2].strip()


def refusal(home, *cells):
    said = typed(home, *cells)
    assert isinstance(said, dict), said
    assert said["error"] == "BadWorkload"
    return said["text"]


WORKS = {
    "a function alone": (["def work():\n    return 1"], "1"),
    "a value of another cell": (["n = 3", "def work():\n    return n"], "3"),
    "the value that it has now": (["n = 3", "def work():\n    return n", "n = 4"], "4"),
    "a global that is only added to": (["n = 3", "def work():\n    global n\n    n += 1\n    return n"], "4"),
    "a module": (["import math", "def work():\n    return math.floor(2.5)"], "2"),
    "a module under another name": (["import os.path as p", "def work():\n    return p.basename('a/b')"], "'b'"),
    "a submodule by attribute": (
        ["import concurrent.futures", "def work():\n    return concurrent.futures.ThreadPoolExecutor.__name__"],
        "'ThreadPoolExecutor'",
    ),
    "a submodule behind an alias": (
        ["import xml as x, xml.dom", "def work():\n    return x.dom.Node.TEXT_NODE"],
        "3",
    ),
    "names of modules": (
        [
            (
                "from time import sleep as nap\nfrom random import randint\nfrom os import environ, path\n"
                "from signal import SIGTERM\nfrom threading import Lock as L, RLock, Thread, get_ident\n"
                "from typing import Any, Callable\nfrom multiprocessing import Process, Queue\nfrom pathlib import Path\n"
            ),
            (
                "def work(x: Any = None, f: Callable = nap):\n"
                "    lock = L(), RLock(), Thread, get_ident, Process, Queue, Path, environ, path\n"
                "    return nap.__name__, randint(1, 1), int(SIGTERM)"
            ),
        ],
        "('sleep', 1, 15)",
    ),
    "a module beside the notebook": (
        ["import beside\nfrom beside import double", "def work():\n    return double(beside.LIMIT)"],
        "14",
    ),
    "a module that is imported inside": (["def work():\n    import beside\n    return beside.LIMIT"], "7"),
    "functions of functions": (
        ["def work():\n    return a(2)", "def a(n):\n    return b(n) + 1", "def b(n):\n    return n * 10"],
        "21",
    ),
    "functions that call each other": (
        [
            "def even(n):\n    return n == 0 or odd(n - 1)\ndef odd(n):\n    return n != 0 and even(n - 1)",
            "def work():\n    return even(10)",
        ],
        "True",
    ),
    "a decorator of another cell": (
        [
            (
                "import functools\ndef twice(f):\n    @functools.wraps(f)\n    def inner():\n        return f() * factor()\n"
                "    return inner\ndef factor():\n    return 2"
            ),
            "@twice\ndef work():\n    return 4",
        ],
        "8",
    ),
    "a decorator that calls at once, and names what it decorates": (
        [
            (
                "def now(f):\n    f.seen = helper()\n    return f\ndef helper():\n    return known\nknown = 5\n"
                "def unused():\n    return work\n"
            ),
            "@now\ndef work():\n    return work.seen",
        ],
        "5",
    ),
    "a helper that names the decorated": (
        [
            "def mark(f):\n    if 0:\n        work()\n    return f\n",
            "@mark\ndef work():\n    return mark.__name__",
        ],
        "'mark'",
    ),
    "lru_cache": (
        [
            "from functools import lru_cache\n@lru_cache(None)\ndef fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
            "def work():\n    return fib(30)",
        ],
        "832040",
    ),
    "a default that calls": (
        ["def first():\n    return base + 1\nbase = 1", "def work(n=first()):\n    return n"],
        "2",
    ),
    "a class with methods": (
        [
            "class Account:\n    limit = top\n    def __init__(self):\n        self.n = zero\n".replace("top", "5"),
            "zero = 0",
            "def work():\n    a = Account()\n    return a.n, a.limit",
        ],
        "(0, 5)",
    ),
    "a class with a base and a body that calls": (
        [
            "def size():\n    return [n * SCALE for n in range(3)]\nSCALE = 2",
            "class Base:\n    pass\nclass Top(Base):\n    sizes = size()\n    more = [SCALE for _ in sizes]\n",
            "def work():\n    return Top.sizes, Top.more, Top.__mro__[1] is Base",
        ],
        "([0, 2, 4], [2, 2, 2], True)",
    ),
    "a dataclass, an enum, a NamedTuple": (
        [
            (
                "from dataclasses import dataclass\nfrom enum import Enum\nfrom typing import NamedTuple\n"
                "@dataclass(slots=True)\nclass P:\n    x: int\n    y: 'int' = 2\n"
                "class Color(Enum):\n    RED = 1\nclass T(NamedTuple):\n    a: Color\n    b: P = P(0)"
            ),
            "def work():\n    return P(1), Color.RED.name, T(Color.RED).b.y",
        ],
        "(P(x=1, y=2), 'RED', 2)",
    ),
    "the newest class without methods": (
        ["class C:\n    n = 1", "class C:\n    n = 2", "def work():\n    return C.n"],
        "2",
    ),
    "a class whose cell is run again": (
        ["class C:\n    n = 1", "class C:\n    n = 2", "class C:\n    n = 1", "def work():\n    return C.n"],
        "1",
    ),
    "a class and its method that name each other": (
        [
            "class Node:\n    def grow(self):\n        return Leaf()\nclass Leaf(Node):\n    pass",
            "def work():\n    return type(Node().grow()).__name__",
        ],
        "'Leaf'",
    ),
    "super and a property": (
        [
            (
                "class A:\n    @property\n    def v(self):\n        return 1\n    @v.setter\n    def v(self, x):\n        pass\n"
                "class B(A):\n    @property\n    def v(self):\n        return super().v + 1"
            ),
            "v = open('/dev/null')",
            "def work():\n    return B().v",
        ],
        "2",
    ),
    "aliases stay one object": (
        ["a = [1]\nb = a\nc = (a, {'k': b})", "def work():\n    a.append(2)\n    return b, c[0] is b, c[1]['k'] is a"],
        "([1, 2], True, True)",
    ),
    "a shared value without a name": (
        ["c = [[]] * 2\nd = c[0:1]", "def work():\n    c[0].append(1)\n    return c, d"],
        "([[1], [1]], [[1]])",
    ),
    "two names of a function": (
        ["def f():\n    return 1\ng = f", "def work():\n    return g() + f(), g is f"],
        "(2, True)",
    ),
    "a lambda with a name": (["square = lambda x: x * x", "def work():\n    return square(3)"], "9"),
    "odd values": (
        [
            "v = [float('inf'), -float('inf'), 1e300, -0.0, b'\\x00', set(), {1, 'a'}, (1,), (), None, True, 2 ** 20000, '\\ud800\\n']",
            "def work():\n    return v[:4], v[4:6], len(v[6]), v[7:11], v[11] == 2 ** 20000, v[12]",
        ],
        "([inf, -inf, 1e+300, -0.0], [b'\\x00', set()], 2, [(1,), (), None, True], True, '\\ud800\\n')",
    ),
    "names in nested functions, comprehensions and annotations": (
        [
            "a = 1\nb = 2\nc = 3\nd = 4\nclass Kind:\n    pass",
            (
                "def work(x: Kind = None) -> 'Kind':\n    def inner(y: Kind = None):\n        z: NoSuchName = d\n"
                "        return (lambda: b)() + z\n"
                "    class In:\n        e = c\n    return [a for _ in range(2)], inner(), In.e"
            ),
        ],
        "([1, 1], 6, 3)",
    ),
    "annotations that stay text": (
        ["from __future__ import annotations", "\n\ndef work(x: NoSuchName = 1) -> Nor[This]:\n    return x"],
        "1",
    ),
    "shadowed builtins": (["len = 3", "def work():\n    return len"], "3"),
    "a magic line in the cell": (["%config\nn = 1\n!true\ndef work():\n    return n"], "1"),
    "a def inside an if": (["if True:\n    def work():\n        return 1"], "1"),
    "text at the left margin in a string": (["def work():\n    return '''\nleft'''"], "'\\nleft'"),
    "a local name as a live global": (["f = open('/dev/null')", "def work():\n    f = 1\n    return f"], "1"),
    "labkit": (
        ["import labkit as lab\nfrom labkit import emit", "def work():\n    return lab.__name__, emit.__name__"],
        "",
    ),
}


@pytest.mark.parametrize("name", [name for name in WORKS if WORKS[name][1]])
def test_a_function_of_a_notebook_works_in_a_fresh_process(home, name):
    cells, expected = WORKS[name]
    assert result(home, *cells) == expected


def test_labkit_is_imported_by_name_and_needs_no_folder(home):
    name, source, folder = typed(home, *WORKS["labkit"][0])
    assert (name, folder) == ("<cell>:work", "")
    assert source[0][2] == "from labkit.child.emit import emit as emit\nimport labkit as lab\n"


def test_a_name_that_is_nowhere_stays_a_name_error(home):
    parcel = typed(home, "def work():\n    return nowhere")
    out, err = start(CHILD, parcel, home, options=("-I", "-S"))
    assert "RESULT" not in out
    assert "NameError: name 'nowhere' is not defined" in err


def test_parts_keep_the_number_of_their_cell_and_of_their_line(home):
    _, source, _ = typed(
        home, "x = 1", "\n# a remark\n\ndef helper():\n    return 1 / 0\n", "def work():\n    return helper()"
    )
    assert [part[:2] for part in source] == [["cell In[2]", 3], ["cell In[3]", 1]]
    _, err = start(CHILD, ["<cell>:work", source, ""], home, options=("-I", "-S"))
    assert 'File "cell In[2]", line 4, in helper' in err


def test_imports_and_values_come_before_definitions(home):
    _, source, _ = typed(home, "import os\nn = 1\ndef g():\n    return n, os\ndef work():\n    return g()")
    assert [part[0] for part in source] == [
        "imports of the notebook",
        "values of the notebook",
        "cell In[1]",
        "cell In[1]",
    ]
    assert source[2][2].startswith("def g")


REFUSED = {
    "an open file": (["log = open('/dev/null')", "def work():\n    log.read()"], ["'log'", "open file", "Open it inside"]),
    "a generator": (["g = (x for x in 'ab')", "def work():\n    return g"], ["'g'", "a generator"]),
    "a list of objects": (["xs = [1, object()]", "def work():\n    return xs"], ["'xs'", "list that holds", "object"]),
    "a list in itself": (["xs = []\nxs.append(xs)", "def work():\n    return xs"], ["'xs'", "holds itself"]),
    "a deep list": (["xs = []\nfor _ in range(500):\n    xs = [xs]", "def work():\n    return xs"], ["'xs'", "nests too deep"]),
    "a large value": (["xs = 'x' * 1_100_000", "def work():\n    return xs"], ["'xs'", "1 MiB"]),
    "a value whose text is large": (["xs = '\\0' * 500_000", "def work():\n    return xs"], ["'xs'", "1 MiB"]),
    "a partial": (["import functools\nf = functools.partial(int, '1')", "def work():\n    return f()"], ["'f'", "partial"]),
    "a made-up module": (["import types\nm = types.ModuleType('m')", "def work():\n    return m"], ["'m'", "module"]),
    "main itself": (["import __main__", "def work():\n    return __main__"], ["'__main__'", "module"]),
    "a helper's file": (["log = open('/dev/null')\ndef note():\n    log.read()", "def work():\n    note()"],
                        ["work", "uses 'note'", "'log'"]),
    "an inner function": (["def make():\n    def inner():\n        pass\n    return inner\nf = make()", "def work():\n    f()"],
                          ["'f'", "made inside another function"]),
    "no source": (["exec('def f(): pass')", "def work():\n    f()"], ["'f'", "without source", "cell of its own"]),
    "a class without source": (["C = type('C', (), {})", "def work():\n    C()"], ["'C'", "without source"]),
    "a nameless lambda": (["fs = {}\nf = fs['a'] = lambda: 1", "def work():\n    f()"], ["'f'", "without source"]),
    "a redefined one": (["def f():\n    pass\ng = f\ndef f():\n    return 2", "def work():\n    g()"], ["'g'", "something else"]),
    "wrapped later": ([("import functools\ndef d(f):\n    @functools.wraps(f)\n    def i():\n        pass\n    return i\n"
                       "def f():\n    pass\nf = d(f)"), "def work():\n    f()"], ["'f'", "wrapped after"]),
    "get_ipython": (["def work():\n    get_ipython()"], ["'get_ipython'"]),
    "a workload by exec": (["exec('def work(): pass')"], ["work", "without source"]),
    "a workload inside": (["def make():\n    def work():\n        pass\n    return work\nwork = make()"],
                          ["made in a function", "left margin"]),
    "a workload with a closure": (["def make(n):\n    def work():\n        return n\n    return work\nwork = make(1)"],
                                  ["made in a function"]),
    "a lambda workload": (["work = lambda: 1"], ["lambda", "def"]),
    "a class workload": (["class work:\n    pass"], ["work is a class"]),
    "a method": (["class A:\n    def m(self):\n        pass\nwork = A.m"], ["A.m", "is a method"]),
    "a bound method": (["class A:\n    def m(self):\n        pass\nwork = A().m"], ["A.m", "bound"]),
    "a generator workload": (["def work():\n    yield 1"], ["generator"]),
    "a coroutine workload": (["async def work():\n    pass"], ["async"]),
    "a parameter without a value": (["def work(n):\n    pass"], ["needs a value for its parameter 'n'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_travel_is_refused_by_name_with_advice(home, name):
    cells, words = REFUSED[name]
    text = refusal(home, *cells)
    assert [word for word in words if word not in text] == [], text
    assert text.endswith(".")


def test_an_object_with_traps_is_refused_without_running_its_code(home):
    trap = """
        class Trap:
            def __getattr__(self, name):
                print("TRAPPED", name)
                raise RuntimeError
            __repr__ = __eq__ = __hash__ = __len__ = __bool__ = __iter__ = __getattr__
            @property
            def __class__(self):
                print("TRAPPED class")
        trap = Trap()
    """
    cells = [textwrap.dedent(trap).strip(), "def work():\n    return trap"]
    out, _ = start(NOTEBOOK, cells, home)
    assert "TRAPPED" not in out
    assert "names 'trap'" in out


def test_a_script_that_is_run_works_as_a_notebook_does(home):
    script = home / "script.py"
    script.write_text(
        "import json\nfrom labkit.runs.travel import pack\nclass Box:\n    n = 2\n\ndef work():\n    return Box.n\n"
        "p = pack(work, {})\nprint(json.dumps([p.workload, p.source, p.folder]))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60, cwd=home)
    parcel = json.loads(done.stdout)
    assert [part[:2] for part in parcel[1]] == [["script.py", 3], ["script.py", 6]]
    assert "RESULT2" in start(CHILD, parcel, home, options=("-I", "-S"))[0]
