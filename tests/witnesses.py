"""A catalogue of results as the explorer gives them, made by hand: what the views are tried on, without the engine.

Each script line is one step: thread, kind, name, value, line of the source, text of the expression. The state after
each step is worked out here from the kinds, as plainly as can be.
"""

from __future__ import annotations

from typing import NamedTuple

from labkit.interleave.patterns import mark_stale, pattern
from labkit.interleave.result import Lane, Outcome, Result, Shared, Step

CELL = "cell In[3]"


class Line(NamedTuple):
    """One line of a script."""

    thread: int
    kind: str
    name: str
    value: str
    line: int
    text: str


def script(text):
    """Read lines such as `A read counter 0 @3 counter`; `_` stands for no value, `~` for a blank."""
    found = []
    for row in text.strip().splitlines():
        before, _, after = row.strip().partition(" @")
        who, kind, name, value = before.split()
        number, _, expression = after.partition(" ")
        found.append(
            Line(
                ord(who) - 65,
                kind,
                name.replace("~", " "),
                "" if value == "_" else value.replace("~", " "),
                int(number),
                expression,
            )
        )
    return found


def span_of(source, first, line, expression):
    """Find an expression on a line; the last match, since a target stands left of what is read."""
    column = source.splitlines()[line - first].index(expression)
    return line, column, line, column + len(expression)


class World:
    """The shared values and locks while a script is read."""

    def __init__(self, shared):
        self.values, self.owners, self.writers = dict(shared), dict.fromkeys(shared, -1), dict.fromkeys(shared, -1)
        self.asleep = {}

    def step(self, index, line):
        """Work out what a line changes."""
        if line.kind in {"write", "put", "get", "set", "clear"}:
            self.values[line.name], self.writers[line.name] = line.value, index
        elif line.kind in {"acquire", "wake"} or (line.kind == "try" and line.value == "True"):
            self.owners[line.name] = line.thread
        elif line.kind == "release":
            self.owners[line.name] = -1
        elif line.kind == "wait":
            self.owners[line.name], self.asleep[line.thread] = -1, line.name
        elif line.kind == "notify":
            self.asleep = {one: where for one, where in self.asleep.items() if where != line.name}

    def waiting(self, ahead, blocked):
        """Return who waits for what, given the lines ahead."""
        found = dict(self.asleep)
        for other in range(8):
            rest = [one for one in ahead if one.thread == other]
            if not rest:
                mine = [row for row in blocked if row[0] == other and (row[2] < 0 or self.owners[row[1]] >= 0)]
                found.update({who: what for who, what, *_ in mine})
            elif rest[0].kind in {"acquire", "wake"} and self.owners.get(rest[0].name, -1) not in {-1, other}:
                found[other] = rest[0].name
        return found


def steps_of(source, lines, shared, *, first=1, blocked=()):
    """Make the steps of a script; `shared` maps names to first values, None for a lock."""
    world, made = World(shared), []
    for index, line in enumerate(lines):
        world.step(index, line)
        waiting = world.waiting(lines[index + 1 :], blocked)
        state = tuple(
            Shared(
                name,
                world.values[name] or "",
                world.writers[name],
                world.owners[name],
                tuple(sorted(thread for thread, what in waiting.items() if what == name)),
            )
            for name in shared
        )
        place = span_of(source, first, line.line, line.text)
        made.append(Step(line.thread, line.kind, line.name, line.value, CELL, place, line.text, state))
    return mark_stale(tuple(made))


def result_of(source, text, shared, functions, *, blocked=(), **fields):
    """Make a result whose witness is a script."""
    held = tuple((who, what, holder, CELL, line) for who, what, holder, line in blocked)
    steps = steps_of(source, script(text), shared, blocked=held)
    names = [chr(65 + number) for number in range(len(functions))]
    made = Result(
        **{
            "verdict": "bug",
            "kind": "deadlock" if blocked else "wrong result",
            "executions": 12,
            "traces": 4,
            "hunted": 3,
        }
        | {"seconds": 0.021, "where": "in the kernel", "token": "1:3f9a:ABAB"}
        | fields,
        threads=tuple(map(Lane, names, functions)),
        schedule=tuple(step.thread for step in steps),
        witness=steps,
        blocked=held,
        sources={CELL: (1, source)},
    )
    return Result(**{name: getattr(made, name) for name in Result.__dataclass_fields__} | {"pattern": pattern(made)})


INC = """\
def inc():
    global counter
    value = counter
    counter = value + 1
"""
LOST_UPDATE = result_of(
    INC,
    """
    A read counter 0 @3 counter
    B read counter 0 @3 counter
    A write counter 1 @4 counter
    B write counter 1 @4 counter
    """,
    {"counter": "0"},
    ["inc", "inc"],
    reason="An outcome is not allowed: counter = 1.",
    outcomes=(
        Outcome("counter = 1", 4, allowed=False, schedule=(0, 1, 0, 1)),
        Outcome("counter = 2", 2, allowed=True, schedule=(0, 0, 1, 1)),
    ),
)

LOST_UPDATE_3 = result_of(
    INC,
    """
    A read counter 0 @3 counter
    B read counter 0 @3 counter
    B write counter 1 @4 counter
    C read counter 1 @3 counter
    C write counter 2 @4 counter
    A write counter 1 @4 counter
    """,
    {"counter": "0"},
    ["inc", "inc", "inc"],
    reason="An outcome is not allowed: counter = 1.",
    outcomes=(
        Outcome("counter = 1", 24, allowed=False, schedule=(0, 1, 1, 2, 2, 0)),
        Outcome("counter = 2", 60, allowed=False, schedule=(0, 1, 1, 0, 2, 2)),
        Outcome("counter = 3", 6, allowed=True, schedule=(0, 0, 1, 1, 2, 2)),
    ),
)

TRANSFER = """\
def transfer():
    with lock_a:
        with lock_b:
            a.balance -= 10

def refund():
    with lock_b:
        with lock_a:
            a.balance += 10
"""
AB_BA = result_of(
    TRANSFER,
    """
    A acquire lock_a _ @2 lock_a
    B acquire lock_b _ @7 lock_b
    """,
    {"lock_a": None, "lock_b": None, "a.balance": "100"},
    ["transfer", "refund"],
    blocked=((0, "lock_b", 1, 3), (1, "lock_a", 0, 8)),
    reason="Nobody can go on: A waits for lock_b, which B holds; B waits for lock_a, which A holds.",
    outcomes=(
        Outcome("deadlock", 1, allowed=False, schedule=(0, 1)),
        Outcome("a.balance = 100", 2, allowed=True, schedule=(0,) * 6 + (1,) * 6),
    ),
)

DINE = """\
def dine(left, right):
    with left:
        with right:
            eat()
"""


def dinner(count):
    """Make the deadlock of dining philosophers."""
    letters = "ABCD"[:count]
    return result_of(
        DINE,
        "\n".join(f"{who} acquire fork~{n} _ @2 left" for n, who in enumerate(letters)),
        {f"fork {n}": None for n in range(count)},
        ["dine"] * count,
        blocked=tuple((n, f"fork {(n + 1) % count}", (n + 1) % count, 3) for n in range(count)),
        reason="Nobody can go on: every thread waits for a lock that the next one holds.",
        outcomes=(
            Outcome("deadlock", 1, allowed=False, schedule=tuple(range(count))),
            Outcome("all have eaten", 2**count - 2, allowed=True),
        ),
    )


DINNER_3, DINNER_4 = dinner(3), dinner(4)

WITHDRAW = """\
def withdraw():
    if account.balance >= 10:
        account.balance -= 10
"""
CHECK_THEN_ACT = result_of(
    WITHDRAW,
    """
    A read account.balance 10 @2 account.balance
    B read account.balance 10 @2 account.balance
    A read account.balance 10 @3 account.balance
    A write account.balance 0 @3 account.balance
    B read account.balance 0 @3 account.balance
    B write account.balance -10 @3 account.balance
    """,
    {"account.balance": "10"},
    ["withdraw", "withdraw"],
    reason="An outcome is not allowed: account.balance = -10.",
    outcomes=(
        Outcome("account.balance = -10", 4, allowed=False, schedule=(0, 1, 0, 0, 1, 1)),
        Outcome("account.balance = 0", 6, allowed=True),
    ),
)

LAZY = """\
def get():
    global instance
    if instance is None:
        instance = Config()
    return instance
"""
LAZY_SINGLETON = result_of(
    LAZY,
    """
    A read instance None @3 instance
    B read instance None @3 instance
    A write instance <Config~1> @4 instance
    A read instance <Config~1> @5 instance
    B write instance <Config~2> @4 instance
    B read instance <Config~2> @5 instance
    """,
    {"instance": "None"},
    ["get", "get"],
)

CONSUMER = """\
def consume():
    with ready:
        if not items:
            ready.wait()
        taken = items.pop()

def produce():
    with ready:
        items.append(1)
        ready.notify()
"""
LOST_WAKE_UP = result_of(
    """\
def consume():
    if not items:
        with ready:
            ready.wait()
    items.pop()

def produce():
    items.append(1)
    with ready:
        ready.notify()
""",
    """
    A read items [] @2 items
    B write items [1] @8 items.append(1)
    B acquire ready _ @9 ready
    B notify ready _ @10 ready.notify()
    B release ready _ @9 ready
    A acquire ready _ @3 ready
    A wait ready _ @4 ready.wait()
    """,
    {"ready": None, "items": "[]"},
    ["consume", "produce"],
    blocked=((0, "ready", -1, 4),),
    reason="Nobody can go on: A waits for ready, and nobody is left to notify it.",
)

IF_FOR_WHILE = result_of(
    CONSUMER,
    """
    A acquire ready _ @2 ready
    A read items [] @3 items
    A wait ready _ @4 ready.wait()
    C acquire ready _ @8 ready
    C write items [1] @9 items.append(1)
    C notify ready _ @10 ready.notify()
    C release ready _ @8 ready
    B acquire ready _ @2 ready
    B read items [1] @3 items
    B write items [] @5 items.pop()
    B release ready _ @2 ready
    A wake ready _ @4 ready.wait()
    A raise IndexError pop~from~empty~list @5 items.pop()
    """,
    {"ready": None, "items": "[]"},
    ["consume", "consume", "produce"],
    kind="exception",
    reason="A fails with IndexError: pop from empty list.",
    error='Traceback (most recent call last):\n  File "cell In[3]", line 5, in consume\nIndexError: pop',
)

TORN_READ = result_of(
    """\
def move():
    point.x = 1
    point.y = 1

def look():
    seen.append((point.x, point.y))
""",
    """
    A write point.x 1 @2 point.x
    B read point.x 1 @6 point.x
    B read point.y 0 @6 point.y
    A write point.y 1 @3 point.y
    """,
    {"point.x": "0", "point.y": "0"},
    ["move", "look"],
    reason="An outcome is not allowed: seen = [(1, 0)].",
)

PUBLICATION = result_of(
    """\
def publish():
    global ready, data
    ready = True
    data = 42

def use():
    if ready:
        print(data)
""",
    """
    A write ready True @3 ready
    B read ready True @7 ready
    B read data None @8 data
    A write data 42 @4 data
    """,
    {"ready": "False", "data": "None"},
    ["publish", "use"],
)

EXCEPTION_KEEPS_LOCK = result_of(
    """\
def pay():
    lock.acquire()
    share = total / people
    lock.release()

def look():
    with lock:
        print(total)
""",
    """
    A acquire lock _ @2 lock.acquire()
    A read total 10 @3 total
    A read people 0 @3 people
    A raise ZeroDivisionError division~by~zero @3 total / people
    """,
    {"lock": None, "total": "10", "people": "0"},
    ["pay", "look"],
    blocked=((1, "lock", 0, 7),),
    reason="Nobody can go on: B waits for lock, which A still holds.",
    error="ZeroDivisionError: division by zero",
)

SELF_DEADLOCK = result_of(
    """\
def add():
    with lock:
        log()

def log():
    with lock:
        lines.append(1)
""",
    "A acquire lock _ @2 lock",
    {"lock": None},
    ["add"],
    blocked=((0, "lock", 0, 6),),
    reason="A waits for lock, which it holds itself.",
)

EXCEPTION = result_of(
    """\
def close():
    global book
    book = None

def write():
    book.append(1)
""",
    """
    A write book None @3 book
    B read book None @6 book
    B raise AttributeError 'NoneType'~object~has~no~attribute~'append' @6 book.append(1)
    """,
    {"book": "[]"},
    ["close", "write"],
    kind="exception",
    reason="B fails with AttributeError: 'NoneType' object has no attribute 'append'.",
    error="AttributeError: 'NoneType' object has no attribute 'append'",
)

STUCK_AT_ONCE = Result(
    verdict="bug",
    kind="deadlock",
    reason="The threads wait for each other for ever.",
    outcomes=(Outcome("deadlock", 1, allowed=False),),
    executions=1,
    threads=(Lane("A", "idle"),),
    blocked=((0, "ready", -1, CELL, 2),),
    sources={CELL: (1, "def idle():\n    ready.wait()\n")},
)
PROVED = Result(
    verdict="proved",
    reason="Every interleaving ends as it should.",
    outcomes=(Outcome("counter = 2", 2, allowed=True, schedule=(0, 0, 0, 0, 1, 1, 1, 1)),),
    executions=2,
    audited=50,
    traces=2,
    seconds=0.004,
    threads=(Lane("A", "inc"), Lane("B", "inc")),
    where="in a child process",
)
NOT_FINISHED = Result(
    verdict="not finished",
    reason="The limit of 20,000 executions was reached; no outcome so far is wrong.",
    outcomes=(Outcome("total = 8", 5012, allowed=True),),
    executions=20_000,
    traces=5012,
    seconds=4.8,
    threads=(Lane("A", "work"), Lane("B", "work"), Lane("C", "work")),
    where="in the kernel: a lock of another cell cannot travel",
)
CANNOT_CHECK = Result(
    verdict="cannot check",
    reason="cell In[3], line 4: calls socket.recv, which the explorer does not know.",
    threads=(Lane("A", "fetch"), Lane("B", "fetch")),
    where="in the kernel",
)
LIVELOCK = result_of(
    """\
def polite(mine, other):
    while True:
        mine.wants = True
        if not other.wants:
            break
        mine.wants = False
""",
    """
    A write a.wants True @3 mine.wants
    B write b.wants True @3 mine.wants
    A read b.wants True @4 other.wants
    B read a.wants True @4 other.wants
    A write a.wants False @6 mine.wants
    B write b.wants False @6 mine.wants
    """,
    {"a.wants": "False", "b.wants": "False"},
    ["polite", "polite"],
    verdict="proved",
    kind="livelock",
    reason="Every execution may end, but the threads can give way to each other for ever.",
)

NASTY = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=2'>\"'&\u2028<!--"
HOSTILE = result_of(
    f"def f():\n    x = y  # {NASTY}\n".replace("\u2028", ""),
    """
    A read x _ @2 y
    B read x _ @2 y
    A write x _ @2 x
    B write x _ @2 x
    """,
    {"x": NASTY},
    [NASTY, NASTY],
    reason=NASTY,
    error=NASTY,
    output=NASTY,
    token=NASTY,
    where=NASTY,
    outcomes=(Outcome(NASTY, 1, allowed=False, schedule=(0, 1, 0, 1)),),
)
HOSTILE = Result(
    **{name: getattr(HOSTILE, name) for name in Result.__dataclass_fields__}
    | {
        "witness": tuple(
            step._replace(
                name=NASTY,
                value=NASTY,
                text=NASTY,
                shared=tuple(one._replace(name=NASTY, value=NASTY) for one in step.shared),
            )
            for step in HOSTILE.witness
        )
    }
    | {"threads": (Lane(NASTY, NASTY), Lane("B", NASTY))}
)


def long_witness(steps_count):
    """Make a result whose witness has many steps, of three threads in turn."""
    text = "\n".join(
        f"{'ABC'[n // 2 % 3]} {'write' if n % 2 else 'read'} counter {n // 2 + n % 2} @{3 + n % 2} counter"
        for n in range(steps_count)
    )
    return result_of(INC, text, {"counter": "0"}, ["inc", "inc", "inc"])


WITH_WITNESS = {
    "lost update": LOST_UPDATE,
    "lost update, three threads": LOST_UPDATE_3,
    "AB-BA deadlock": AB_BA,
    "three philosophers": DINNER_3,
    "four philosophers": DINNER_4,
    "check-then-act": CHECK_THEN_ACT,
    "lazy singleton": LAZY_SINGLETON,
    "lost wake-up": LOST_WAKE_UP,
    "if instead of while": IF_FOR_WHILE,
    "torn read": TORN_READ,
    "unsafe publication": PUBLICATION,
    "lock kept after an exception": EXCEPTION_KEEPS_LOCK,
    "self-deadlock": SELF_DEADLOCK,
    "exception": EXCEPTION,
    "livelock": LIVELOCK,
    "hostile": HOSTILE,
}
WITHOUT_WITNESS = {
    "stuck at once": STUCK_AT_ONCE,
    "proved": PROVED,
    "not finished": NOT_FINISHED,
    "cannot check": CANNOT_CHECK,
}
ALL = WITH_WITNESS | WITHOUT_WITNESS
