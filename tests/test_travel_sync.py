"""How synchronization objects and instances of a notebook travel, and several functions together."""
# ruff: noqa: E501 - a cell of a notebook stands on one line

import json
import textwrap

import pytest
from test_travel_cells import CHILD, home, refusal, result, start  # noqa: F401 - home is a fixture

IMPORT = "import threading, queue, collections\nfrom collections import namedtuple\n"

# Types cells, and packs the functions that the global `together` names; prints the bundle, or what the refusal says.
TOGETHER = """
import json, os, sys
from IPython.core.interactiveshell import InteractiveShell
from labkit.runs.travel import pack_all
from labkit.errors import LabError
shell = InteractiveShell.instance()
sys.modules["__main__"] = shell.user_module
for cell in json.load(sys.stdin):
    shell.run_cell(cell, store_history=True).raise_error()
try:
    bundle = pack_all(shell.user_ns["together"], shell.user_ns.get("more", ()))
    print("\\nPARCEL" + json.dumps([dict(bundle.names), [list(part) for part in bundle.source], bundle.folder]))
except LabError as error:
    print("\\nPARCEL" + json.dumps({"error": type(error).__name__, "text": str(error)}))
"""


WORKS = {
    "a lock": ("lock = threading.Lock()", "with lock:\n        return lock.locked()", "True"),
    "a reentrant lock": ("lock = threading.RLock()", "with lock, lock:\n        return 1", "1"),
    "two names of a lock": ("a = b = threading.Lock()", "return a is b, a.locked()", "(True, False)"),
    "locks in a list, and one of them by name": (
        "locks = [threading.Lock(), threading.Lock()]\nfirst = locks[0]",
        "return locks[0] is first, locks[1] is first, len(locks)",
        "(True, False, 2)",
    ),
    "a lock in a list twice": ("locks = [threading.Lock()] * 2", "return locks[0] is locks[1]", "True"),
    "locks in a dict": ("locks = {'a': threading.Lock()}", "return locks['a'].acquire(False)", "True"),
    "a condition": ("ready = threading.Condition()", "with ready:\n        return ready.wait(0)", "False"),
    "a condition of a plain lock": (
        "ready = threading.Condition(threading.Lock())",
        "with ready:\n        return ready._lock.locked()",
        "True",
    ),
    "two conditions of one named lock": (
        "lock = threading.Lock()\nfull = threading.Condition(lock)\nempty = threading.Condition(lock)",
        "with full:\n        return lock.locked(), empty._lock is lock",
        "(True, True)",
    ),
    "two conditions of one lock without a name": (
        "full = threading.Condition()\nempty = threading.Condition(full._lock)",
        "return empty._lock is full._lock",
        "True",
    ),
    "a semaphore with its counter": (
        "s = threading.Semaphore(3)\ns.acquire()",
        "return [s.acquire(False) for _ in range(3)]",
        "[True, True, False]",
    ),
    "a bounded semaphore that is taken once": (
        "s = threading.BoundedSemaphore(2)\ns.acquire()",
        "s.release()\n    try:\n        s.release()\n    except ValueError:\n        return 'bounded'",
        "'bounded'",
    ),
    "bounded semaphores that are taken, in a list": (
        "xs = [threading.BoundedSemaphore(1)]\nxs[0].acquire()",
        "return xs[0].acquire(False)",
        "False",
    ),
    "events with their flags": (
        "on = threading.Event()\non.set()\noff = threading.Event()",
        "return on.is_set(), off.is_set()",
        "(True, False)",
    ),
    "a barrier": ("b = threading.Barrier(2, timeout=3)", "return b.parties, b.n_waiting, b._timeout", "(2, 0, 3)"),
    "a queue with items": (
        "q = queue.Queue(5)\nq.put(1)\nq.put('a')",
        "return q.get(), q.get(), q.maxsize, q.unfinished_tasks",
        "(1, 'a', 5, 2)",
    ),
    "a stack": ("q = queue.LifoQueue()\nq.put(1)\nq.put(2)", "return q.get(), q.get()", "(2, 1)"),
    "a priority queue": (
        "q = queue.PriorityQueue()\nfor n in (5, 3, 4, 1):\n    q.put((n, 'x'))",
        "return [q.get()[0] for _ in range(4)]",
        "[1, 3, 4, 5]",
    ),
    "a simple queue": ("q = queue.SimpleQueue()", "q.put(1)\n    return q.get()", "1"),
    "a deque with a limit": ("d = collections.deque([1, 2], 2)", "d.append(3)\n    return d", "deque([2, 3], maxlen=2)"),
    "a defaultdict": ("d = collections.defaultdict(list, a=[1])", "d['b'].append(2)\n    return d", "defaultdict(<class 'list'>, {'a': [1], 'b': [2]})"),
    "other containers": (
        "c = collections.Counter('aab')\no = collections.OrderedDict(z=1, a=2)\nf = frozenset({1, (2, 3)})\nb = bytearray(b'x')\nr = range(2, 9, 3)\nz = 1j",
        "return c, list(o), f == {1, (2, 3)}, b, r, z",
        "(Counter({'a': 2, 'b': 1}), ['z', 'a'], True, bytearray(b'x'), range(2, 9, 3), 1j)",
    ),
    "a list in a queue that has a name, too": (
        "items = []\nq = queue.Queue()\nq.put(items)",
        "q.get().append(1)\n    return items",
        "[1]",
    ),
    "names that the notebook uses for something else": (
        "T = threading\nlock = T.Lock()\nthreading = queue = collections = object = tuple = frozenset = None\nf = {1}",
        "return lock.locked(), threading",
        "(False, None)",
    ),
    "an instance": (
        "class Account:\n    def __init__(self, n):\n        self.n = n\n        self.lock = threading.Lock()\nlock = None\na = Account(5)",
        "with a.lock:\n        return a.n, a.lock.locked(), type(a) is Account, Account(6).n",
        "(5, True, True, 6)",
    ),
    "instances that share a lock and know each other": (
        "class Node:\n    pass\nshared = threading.Lock()\na, b = Node(), Node()\na.lock = b.lock = shared\na.next, b.next = b, a\nboth = [a, b, a]",
        "return a.next is b, b.next is a, a.lock is b.lock is shared, both[2] is both[0] is a, both[1] is b",
        "(True, True, True, True, True)",
    ),
    "a long chain of instances": (
        "class Node:\n    def __init__(self, next):\n        self.next = next\nhead = None\nfor _ in range(2000):\n    head = Node(head)",
        "n, node = 0, head\n    while node:\n        n, node = n + 1, node.next\n    return n",
        "2000",
    ),
    "a list that an instance in it holds": (
        "class A:\n    pass\na = A()\nxs = [a]\na.xs = xs",
        "return a.xs is xs, xs[0] is a",
        "(True, True)",
    ),
    "an instance of a subclass, with a base of another cell": (
        "class Base:\n    def get(self):\n        return self.n\nclass Sub(Base):\n    pass\nx = Sub()\nx.n = 3",
        "return x.get(), isinstance(x, Base)",
        "(3, True)",
    ),
    "an instance of a dataclass": (
        "from dataclasses import dataclass, field\n@dataclass\nclass P:\n    x: int\n    lock: object = field(default_factory=threading.Lock)\np = P(1)",
        "return p.x, p.lock.locked()",
        "(1, False)",
    ),
    "an instance that a method of its class names": (
        "class A:\n    def me(self):\n        return the_one\nthe_one = A()",
        "return the_one.me() is the_one",
        "True",
    ),
    "an instance in the default of a function": (
        "class A:\n    n = 4\na = A()\ndef get(x=a):\n    return x is a, x.n",
        "return get()",
        "(True, 4)",
    ),
    "a class whose attributes were set later": (
        "class A:\n    fee = 1\n    names = []\n    kept = len('abc')\n    def f(self):\n        return self.fee\nA.fee = 2\nA.lock = threading.Lock()\nA.names.append('x')\nsame = [A.names]\nA.more = same",
        "return A().f(), A.lock.locked(), A.names, same[0] is A.names, same is A.more, A.kept",
        "(2, False, ['x'], True, True, 3)",
    ),
    "a function with attributes": (
        "def f():\n    f.calls += 1\nf.calls = 3\nf.seen = [f.calls]",
        "f()\n    return f.calls, f.seen",
        "(4, [3])",
    ),
    "a namedtuple made by a call, and one of its tuples": (
        "P = namedtuple('P', 'x y')\np = P(1, [2])\nq = [p, p[1]]",
        "return p, P(3, 4).x, q[0][1] is q[1], type(p) is P",
        "(P(x=1, y=[2]), 3, True, True)",
    ),
    "a typed NamedTuple's tuple": (
        "from typing import NamedTuple\nclass T(NamedTuple):\n    a: int\n    b: int = 2\nt = T(1)",
        "return t",
        "T(a=1, b=2)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORKS)
def test_fresh_objects_are_made_again(home, name):  # noqa: F811 - the fixture
    cell, body, expected = WORKS[name]
    assert result(home, IMPORT + cell, f"def work():\n    {body}") == expected


def test_nothing_of_the_text_itself_stays_among_the_names(home):  # noqa: F811 - the fixture
    cell = "class A:\n    pass\na = [A()] * 2\nlocks = [threading.Lock()] * 2"
    work = "def work():\n    return a, locks, [name for name in globals() if 'labkit' in name]"
    assert result(home, IMPORT + cell, work).endswith(", [])")


REFUSED = {
    "a held lock": ("lock = threading.Lock()\nlock.acquire()", "lock", ["'lock'", "that is held", "Release it first"]),
    "a held reentrant lock": ("lock = threading.RLock()\nlock.acquire()", "lock", ["'lock'", "that is held"]),
    "a reentrant lock that another thread holds": (
        "lock = threading.RLock()\nt = threading.Thread(target=lock.acquire)\nt.start()\nt.join()",
        "lock",
        ["'lock'", "that is held"],
    ),
    "a held lock in a list": ("xs = [threading.Lock()]\nxs[0].acquire()", "xs", ["'xs'", "list that holds", "held"]),
    "a condition with a waiter": (
        "c = threading.Condition()\ndef wait():\n    with c:\n        c.wait(60)\nt = threading.Thread(target=wait, daemon=True)\nt.start()\nimport time\nwhile not c._waiters:\n    time.sleep(0.01)",
        "c",
        ["'c'", "in which a thread waits"],
    ),
    "a barrier with an action": ("b = threading.Barrier(2, print)", "b", ["'b'", "with an action", "Make a new one"]),
    "a broken barrier": ("b = threading.Barrier(2)\nb.abort()", "b", ["'b'", "broken"]),
    "a queue with a task under way": ("q = queue.Queue()\nq.put(1)\nq.get()", "q", ["'q'", "not done"]),
    "a simple queue with items": ("q = queue.SimpleQueue()\nq.put(1)", "q", ["'q'", "cannot be seen"]),
    "a queue whose lock has a name": ("q = queue.Queue()\nm = q.mutex", "q, m", ["'q'", "named as well"]),
    "a factory of the notebook": ("d = collections.defaultdict(lambda: 1)", "d", ["'d'", "no builtin"]),
    "a file in an instance": (
        "class A:\n    pass\na = A()\na.f = open('/dev/null')",
        "a",
        ["'a'", "A that holds a _io.TextIOWrapper"],
    ),
    "an instance with slots": ("class A:\n    __slots__ = 'n'\na = A()", "a", ["'a'", "__main__.A", "__slots__"]),
    "an instance that says how it is saved": (
        "class A:\n    def __reduce__(self):\n        return A, ()\na = A()",
        "a",
        ["'a'", "__reduce__"],
    ),
    "an instance of a class with a metaclass": (
        "import abc\nclass A(abc.ABC):\n    pass\na = A()",
        "a",
        ["'a'", "metaclass"],
    ),
    "an instance of a list": ("class A(list):\n    pass\na = A()", "a", ["'a'", "not of the notebook"]),
    "an instance of a class that is gone": ("class A:\n    pass\na = A()\nclass A:\n    pass", "a", ["'a'", "anew"]),
    "keys that are compared": (
        "class A:\n    def __hash__(self):\n        return hash(self.n)\na = A()\na.n = 1\nd = {a: 1}",
        "d",
        ["'d'", "__hash__"],
    ),
    "a method that was replaced": (
        "class A:\n    def f(self):\n        return 1\ndef g(self):\n    return 2\nA.f = g",
        "A",
        ["'A'", "attribute 'f' that was set after", "Write it into the definition"],
    ),
    "a file on a class": ("class A:\n    pass\nA.f = open('/dev/null')", "A", ["'A'", "attribute 'f'"]),
    "a thread": ("t = threading.Thread()", "t", ["'t'", "live object of type threading.Thread", "Create it inside"]),
    "a local": ("t = threading.local()", "t", ["'t'", "live object", "Create it inside"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_object_in_use_is_refused_by_name_with_advice(home, name):  # noqa: F811 - the fixture
    cell, names, words = REFUSED[name]
    text = refusal(home, IMPORT + cell, f"def work():\n    return {names}")
    assert [word for word in words if word not in text] == [], text
    assert text.endswith(".")


# ------------------------------------------------------------------------------------------- several functions
def bundle(home, *cells):  # noqa: F811 - no test
    out, err = start(TOGETHER, [textwrap.dedent(cell).strip("\n") for cell in cells], home)
    assert "\nPARCEL" in out, out + err
    return json.loads(out.rpartition("PARCEL")[2])


def results(home, *cells):  # noqa: F811 - no test
    """Run every function that was packed, in the order in which they were given; return the repr of the last result."""
    names, source, folder = bundle(home, *cells)
    calls = "; ".join(f"value = {name}()" for name in names.values())
    last = ["calls", 1, f"def in_turn():\n    {calls}\n    return value\n"]
    out, err = start(CHILD, ["<cell>:in_turn", [*source, last], folder], home, options=("-I", "-S"))
    assert "\nRESULT" in out, f"{err}\n{source}"
    return out.rpartition("RESULT")[2].strip()


COUNTER = "counter = 0\ndef inc():\n    global counter\n    counter += 1"
TOGETHER_WORKS = {
    "workers and a check share a counter": (
        [COUNTER, "together = {'a': inc, 'b': inc, 'check': lambda: counter}"],
        "2",
    ),
    "lambdas of one line": (
        ["xs = []", "together = {'a': lambda: xs.append(1), 'b': (lambda: xs.append(2)), 'c': lambda: xs}"],
        "[1, 2]",
    ),
    "a lambda inside a lambda": (["together = {'a': lambda: (lambda: 5)()}"], "5"),
    "a lambda over several lines": (["together = {'a': lambda: [\n    1,\n    2,\n]}"], "[1, 2]"),
    "a lambda after odd letters": (["together = {'é': 1}['é'] and {'a': lambda: 'ü', 'b': lambda: 'ö'}"], "'ö'"),
    "a lambda with a name": (["f = lambda: 7", "together = {'a': f}"], "7"),
    "a class as setup": (["class A:\n    def __repr__(self):\n        return 'A!'", "together = {'setup': A}"], "A!"),
    "a builtin as setup": (["together = {'setup': dict}"], "{}"),
    "a key that is taken": (["check = 5", "together = {'check': lambda: check}"], "5"),
    "a function of a module beside the notebook": (
        ["import beside\ndef both():\n    return beside.LIMIT", "together = {'a': both}"],
        "7",
    ),
    "methods of an object": (
        [
            "class A:\n    def __init__(self):\n        self.n = 0\n    def more(self):\n        self.n += 1\n        return self.n",
            "a = A()\ntogether = {'x': a.more, 'y': a.more, 'z': lambda: a.more()}",
        ],
        "3",
    ),
    "names besides": ([COUNTER, "hidden = 3\nmore = ['hidden']\ntogether = {'a': lambda: globals()['hidden']}"], "3"),
}


@pytest.mark.parametrize("name", TOGETHER_WORKS)
def test_functions_travel_together_in_one_namespace(home, name):  # noqa: F811 - the fixture
    cells, expected = TOGETHER_WORKS[name]
    assert results(home, *cells) == expected


def test_the_names_of_a_bundle_are_the_keys_of_lambdas_and_the_names_of_functions(home):  # noqa: F811 - the fixture
    names, source, _ = bundle(home, COUNTER, "together = {'A': inc, 'check': lambda: counter == 1}")
    assert names == {"A": "inc", "check": "check"}
    assert ["cell In[2], check", 1, "check = (lambda: counter == 1)\n"] in source


TOGETHER_REFUSED = {
    "a closure": (["def make(n):\n    def f():\n        return n\n    return f", "together = {'a': make(1)}"], "inside another"),
    "a lambda with a closure": (["def make(n):\n    return lambda: n", "together = {'a': make(1)}"], "inside another"),
    "a lambda with a default": (["together = {'a': lambda n=1: n}"], "with defaults"),
    "a method": (["class A:\n    def f(self):\n        pass", "together = {'a': A().f}"], "method"),
    "a partial": (["import functools", "together = {'a': functools.partial(print, 1)}"], "partial"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOGETHER_REFUSED)
def test_what_cannot_travel_with_others_is_refused(home, name):  # noqa: F811 - the fixture
    cells, words = TOGETHER_REFUSED[name]
    said = bundle(home, *cells)
    assert isinstance(said, dict), said
    assert words in said["text"]
