"""Programs on which the explorer was once wrong: each is small, and ordinary Python.

Each program is searched three times: by traces, by states, and without any reduction; all must find the same ends.
"""

import collections
import enum
import functools
import itertools
import operator
import threading
import types
import typing

import pytest

from labkit.interleave import job
from labkit.interleave.explore import explore
from labkit.interleave.search import Search

number = 0
other = 0
seen = None
items = []
more = []
table = {}
numbers = set()
lock = threading.Lock()
one_lock, two_lock = threading.Lock(), threading.Lock()
WALK = job.Job._walk


def by(patch, way, functions, **how):
    """Explore in one way only: 'dpor', 'states' or 'none' (no reduction); return verdict and texts of the ends."""

    def walk(self, search):
        if way == "states":
            self.loose = "loops"
        else:
            WALK(self, Search(way))

    with patch.context() as only:
        only.setattr(job.Job, "_hunt", lambda *_: False)
        only.setattr(job.Job, "_audit", lambda *_: None)
        only.setattr(job.Job, "_walk", walk)
        result = explore(functions, seconds_most=60.0, **how)
    return result, {outcome.text for outcome in result.outcomes}


@pytest.fixture
def same(monkeypatch):
    """Return a function that explores in all ways, and says of the ends what all say."""

    def ends(functions, **how):
        _, every = by(monkeypatch, "none", functions, **how)
        result, traces = by(monkeypatch, "dpor", functions, **how)
        _, states = by(monkeypatch, "states", functions, **how)
        assert traces == every
        assert states == every
        return result

    return ends


def starting(function):
    return lambda _: function()


def set_number():
    global number
    number = 1
    number = 0


# ------------------------------------------------------------------------------------------------ operands, contents
def test_both_operands_are_evaluated_before_either_is_looked_into(same):
    def add():
        global seen
        seen = items + [number]  # noqa: RUF005 - the operator is what is tested

    def compare():
        global seen
        seen = items == [number]

    def change():
        global number
        number = 1
        items.append(0)

    assert same([add, change], check=lambda: seen != [0, 0]).kind == "wrong result"
    assert same([compare, change], check=lambda: seen is not True).kind == "wrong result"


def test_what_comes_into_a_container_while_a_read_waits_is_read_too(same):
    inner = []

    def shown():
        global seen
        seen = f"{items}"

    def printed():
        global seen
        seen = str(items)

    def asked():
        global seen
        seen = [] in items

    def grow():
        items.append(inner)
        inner.append(1)

    for function in (shown, printed):
        assert same([function, grow], check=lambda: seen != "[[]]").kind == "wrong result"
    assert same([asked, grow], check=lambda: not seen).kind == "wrong result"


def test_storing_a_slice_and_adding_in_place_read_the_other_list(same):
    def store():
        items[:] = more

    def add():
        global items
        items += more

    def grow():
        more.append(1)
        more.append(2)

    for function in (store, add):
        assert same([function, grow], check=lambda: len(items) != 1).kind == "wrong result"


# ------------------------------------------------------------------------------------------------ called from C
def test_what_c_code_calls_is_seen(same):
    rows = [[], []]

    def appends():
        list(map(items.append, [len(items)]))

    def lengths():
        global seen
        seen = list(map(len, rows))

    def grow():
        rows[0].append(1)
        rows[1].append(1)

    def best():
        global seen
        seen = sorted(["x", "y"], key=table.get)

    def change():
        table["x"] = 1
        table["y"] = 2

    def setup():
        table.update(x=0, y=0)

    assert same([appends, appends], check=lambda: sorted(items) == [0, 1]).kind == "wrong result"
    assert same([lengths, grow], check=lambda: seen != [0, 1]).kind == "wrong result"
    found = same([starting(best), starting(change)], setup=setup, check=lambda _: seen == ["x", "y"])
    assert found.kind == "wrong result"


def test_what_is_unknown_is_refused_also_when_c_code_calls_it():
    def opens():
        list(map(open, ["nothing"]))

    assert explore([opens]).verdict == "cannot check"


def test_a_key_that_reads_an_attribute(same):
    class Point:
        def __init__(self, value):
            self.value = value

    small, great = Point(0), Point(1)

    def best():
        global seen
        seen = max([small, great], key=operator.attrgetter("value")) is great

    def change():
        small.value = 2
        great.value = 3

    assert same([best, change], check=lambda: seen).kind == "wrong result"


def test_a_factory_in_python_gives_others_time():
    made = collections.defaultdict(lambda: list(more))

    def append():
        made["key"].append(1)

    assert explore([append, append], check=lambda: len(made["key"]) == 2).kind == "wrong result"


def test_ordinary_tools_give_what_they_give():
    pairs = [("b", 2), ("a", 1)]

    def use():
        with lock:
            items.append(sorted(pairs, key=operator.itemgetter(1)))
            items.append(max(pairs, key=lambda pair: pair[1])[0])
            items.append(functools.reduce(lambda one, two: one + two, [1, 2, 3], 0))
            items.append(sorted([3, 1], key=functools.cmp_to_key(lambda one, two: one - two)))
            items.append([*reversed([1, 2]), *reversed(range(2)), *reversed("ab")])
            items.append([*map(int, ["1"]), *map(str.upper, ["a"]), *filter(None, [0, 1])])
            items.append([*itertools.accumulate([1, 2, 3], max), *itertools.starmap(pow, [(2, 3)])])
            items.append(next(iter([5])) + next(iter([]), 6))
            items.append(max([1], [2], [[3]][0], key=len))

    wanted = [[("a", 1), ("b", 2)], "b", 6, [1, 3], [2, 1, 1, 0, "b", "a"], [1, "A", 1], [1, 2, 3, 8], 11, [1]]
    result = explore([use], check=lambda: items == wanted)
    assert result.verdict == "proved", (result.reason, result.outcomes)


# ------------------------------------------------------------------------------------------------ iterators
def test_a_counter_of_itertools_gives_each_number_once(same):
    counter = itertools.count()

    def take():
        items.append(next(counter))

    result = same([take, take], check=lambda: sorted(items) == [0, 1])
    assert result.verdict == "proved", result.reason
    assert {outcome.text.partition(", counter")[0] for outcome in result.outcomes} == {
        "items = [0, 1]",
        "items = [1, 0]",
    }
    assert next(counter) == 0


def test_an_iterator_that_two_threads_step_through_is_refused():
    def numbers_up():
        yield 1
        yield 2

    def walk(iterator):
        for value in iterator:
            items.append(value)

    def step(iterator):
        items.append(next(iterator))

    outside = numbers_up()
    assert explore([walk, walk], setup=lambda: iter(numbers_up())).verdict == "cannot check"
    assert explore([step, step], setup=lambda: iter([1, 2])).verdict == "cannot check"
    assert explore([lambda: items.append(next(outside))]).verdict == "cannot check"
    assert next(outside) == 1


def test_a_loop_that_takes_from_an_iterator_does_not_spin():
    def take():
        counter = itertools.count()
        while next(counter) < 3:
            pass
        items.append(1)

    result = explore([take, take])
    assert result.verdict == "proved", result.reason


# ------------------------------------------------------------------------------------------------ states
def test_what_waits_on_the_value_stack_is_part_of_the_state(same):
    def get():
        return number

    def generate():
        for _ in range(3):
            yield number

    def listed():
        global seen
        seen = [get() for _ in range(3)]

    def summed():
        global seen
        seen = sum(generate())

    def shown():
        global seen
        seen = f"{items}{number}"

    def chosen():
        global seen
        seen = (1 if items else 2, number)

    def grow():
        global number
        items.append(1)
        number = 1

    assert same([listed, set_number], check=lambda: seen != [0, 1, 0]).kind == "wrong result"
    assert same([summed, set_number], check=lambda: seen != 1).kind == "wrong result"
    assert same([shown, grow], check=lambda: seen != "[1]1").kind == "wrong result"
    assert same([chosen, grow], check=lambda: seen != (2, 1)).kind == "wrong result"


def test_items_of_a_comprehension_that_are_done_are_part_of_the_state(same):
    def setup():
        items.extend([0, 0, 0])

    def copy():
        global seen
        seen = [item for item in items]  # noqa: C416 - the loop is what is tested

    def change():
        items[0] = 1
        items[1] = 1

    same([starting(copy), starting(change)], setup=setup)


def test_an_iterator_remembers_how_many_items_there_were(same):
    queue = collections.deque([1, 2])

    def walk():
        for key in table:
            items.append(key)

    def grow():
        table["new"] = 1

    def pass_by():
        for item in queue:
            items.append(item)

    def turn():
        queue.append(4)
        queue.pop()

    same([walk, grow])
    same([pass_by, turn])


class Things(list):
    def __init__(self, *given):
        super().__init__(*given)
        self.count_added = 0

    def append(self, item):
        self.count_added = self.count_added + 1
        super().append(item)


def make_counter():
    value = 0

    def bump():
        nonlocal value
        before = value
        value = before + 1

    def get():
        return value

    return bump, get


bump, get_count = make_counter()


def remember(value, *, log=[]):  # noqa: B006 - what is tested
    log.append(value)
    return list(log)


def test_hidden_parts_are_part_of_the_state_and_are_new_each_time(same):
    def closure():
        bump()
        items.append(1)
        items.append(1)

    def default():
        with lock:
            remember(1)
        items.append(1)

    def subclass(things):
        things.append(1)
        items.append(1)

    def drops(state):
        state["b"] = state["b"] + 1
        state = state["a"]
        state[0] = 1
        state[0] = 2

    assert same([closure, closure], check=lambda: get_count() == 2).kind == "wrong result"
    assert same([default, default], check=lambda: remember(3) == [1, 1, 3]).verdict == "proved"
    assert same([subclass, subclass], setup=Things, check=lambda t: t.count_added == 2).kind == "wrong result"
    assert same([drops, drops], setup=lambda: {"a": [0], "b": 0}, check=lambda s: s["b"] == 2).kind == "wrong result"


def test_equal_sets_may_have_another_order(same):
    def first():
        numbers.add(0)
        items.append(1)

    def second():
        numbers.add(8)
        items.append(1)

    assert same([first, second], check=lambda: list(numbers) == [0, 8]).kind == "wrong result"


def polite(mine, theirs):
    while True:
        with mine:
            if theirs.acquire(blocking=False):
                theirs.release()
                return 0


def test_a_bug_behind_a_livelock_is_found():
    def on_the_stack():
        items.append(number + polite(one_lock, two_lock))

    def fail():
        raise ValueError(number)

    def in_an_exception():
        try:
            fail()
        except ValueError as error:
            polite(one_lock, two_lock)
            items.append(error.args[0])

    def in_a_generator():
        items.append(sum(value + polite(one_lock, two_lock) for value in [number]))

    def set_it():
        global number
        number = 1
        polite(two_lock, one_lock)

    for function in (on_the_stack, in_an_exception, in_a_generator):
        assert explore([function, set_it], check=lambda: items != [1]).kind == "wrong result"


# ------------------------------------------------------------------------------------------------ checks, classes
class Tally:
    total = 0
    entries: typing.ClassVar[list] = []
    guard = threading.Lock()

    def __init__(self):
        Tally.total += 1

    @classmethod
    def note(cls):
        with cls.guard:
            cls.entries.append(1)


def test_a_check_may_look_at_what_no_text_shows():
    def make():
        Tally()

    result = explore([make, make], check=lambda: Tally.total == 2)
    assert result.kind == "wrong result"
    assert [outcome.allowed for outcome in result.outcomes] == [True, False]


def test_lists_and_locks_of_a_class_are_new_in_each_execution():
    def note():
        Tally.note()

    assert explore([note, note], check=lambda: Tally.entries == [1, 1]).verdict == "proved"
    assert Tally.entries == []


class Single(type):
    made: typing.ClassVar[dict] = {}

    def __call__(cls):
        if cls not in cls.made:
            cls.made[cls] = super().__call__()
        return cls.made[cls]


class Settings(metaclass=Single):
    pass


class Colour(enum.Enum):
    RED = 1

    @property
    def next_number(self):
        global number
        number = number + 1
        return number


class Vector(typing.NamedTuple):
    x: int
    parts: list

    def __add__(self, other_one):
        global number
        number = number + 1
        return Vector(self.x + other_one.x, self.parts)


class TooMuchError(Exception):
    def __init__(self, text, amount):
        super().__init__(text)
        self.amount = amount


class Lazy:
    @functools.cached_property
    def value(self):
        items.append(1)
        return 1


vector = Vector(1, [])
space = types.SimpleNamespace(count=0)
views = table.keys()


def test_code_of_the_student_that_python_itself_calls_never_runs_as_it_is():
    def single():
        items.append(Settings())

    def of_enum():
        items.append(Colour.RED.next_number)

    def of_tuple():
        (vector + vector).parts.append(1)

    def of_space():
        space.count += 1

    lazy = Lazy()
    assert explore([single, single], check=lambda: items[0] is items[1]).kind == "wrong result"
    assert explore([of_enum, of_enum]).verdict == "cannot check"
    assert explore([of_tuple, of_tuple], check=lambda: number == 2).kind == "wrong result"
    assert explore([of_space, of_space], check=lambda: space.count == 2).kind == "wrong result"
    assert explore([lambda: lazy.value]).verdict == "cannot check"
    assert explore([lambda: items.extend(views)]).verdict == "cannot check"
    assert (number, items, vector.parts, space.count, Single.made) == (0, [], [], 0, {})


def test_an_exception_of_ones_own_may_have_attributes():
    def fails():
        raise TooMuchError("no", 3)

    def catch():
        try:
            fails()
        except TooMuchError as error:
            with lock:
                items.append((str(error), error.amount))

    assert explore([catch, catch], check=lambda: items == [("no", 3)] * 2).verdict == "proved"


def locked(function):
    @functools.wraps(function)
    def inner(*given, **named):
        with lock:
            return function(*given, **named)

    return inner


@locked
def safely():
    global number
    number += 1


def test_a_decorated_function_is_found_in_its_source():
    assert explore([safely, safely], check=lambda: number == 2).verdict == "proved"


def test_variables_of_calls_that_are_over_are_not_mixed_up():
    def work():
        total = 0
        for value in range(2):
            total += sum(map(lambda given: given * value, [1]))  # noqa: C417 - what is tested
        with lock:
            items.append(total)

    assert explore([work, work], check=lambda: items == [1, 1]).verdict == "proved"


def test_a_method_of_a_class_in_c_is_seen_also_if_it_is_called_unbound(same):
    def append():
        list.append(items, len(items))

    assert same([append, append], check=lambda: sorted(items) == [0, 1]).kind == "wrong result"
