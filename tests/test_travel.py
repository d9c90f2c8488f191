"""How functions of modules travel: by name, with the one folder that the child needs; and which parameters may."""

import json
import math
import os
import sys
import textwrap
import threading
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.child.emit import emit
from labkit.errors import BadValue, BadWorkload
from labkit.model import Part
from labkit.runs.literals import Literals
from labkit.runs.travel import PARAMS_BYTES_MOST, Parcel, folder_of, pack


def takes(n, m=1, *, flag=False):
    return n, m, flag


def takes_any(**params):
    return params


def by_position(n, /):
    return n


def generator():
    yield 1


def other_name():
    return 1


renamed = other_name
other_name = None
THIS = "test_travel"


class Thing:
    @staticmethod
    def work():
        return 1


def test_a_function_of_a_module_travels_as_its_name():
    folder = os.path.dirname(os.path.abspath(__file__))
    assert pack(takes, {"n": 1}) == Parcel(f"{THIS}:takes", (), folder)
    assert pack(Thing.work, {}).workload == f"{THIS}:Thing.work"
    assert folder_of(f"{THIS}:takes") == folder


def test_the_standard_library_labkit_and_installed_packages_need_no_folder():
    assert pack(textwrap.dedent, {"text": ""}) == Parcel("textwrap:dedent", (), "")
    assert pack(emit, {"kind": "note", "name": "x"}) == Parcel("labkit.child.emit:emit", (), "")
    assert folder_of("pytest:main") == folder_of("sys:x") == folder_of("no_such_module_anywhere:x") == ""


def test_a_module_that_hides_the_standard_library_is_refused(tmp_path, monkeypatch):
    (tmp_path / "this.py").write_text("def work():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    import this

    monkeypatch.delitem(sys.modules, "this")
    monkeypatch.setitem(sys.modules, "this", this)
    with pytest.raises(BadWorkload, match="hides the standard library"):
        pack(this.work, {})


def test_modules_of_two_folders_are_refused(tmp_path, monkeypatch):
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"labkit_test_{name}.py").write_text("")
        monkeypatch.syspath_prepend(tmp_path / name)
    part = Part("cell", 1, "import labkit_test_left, labkit_test_right\n")
    with pytest.raises(BadWorkload, match="several folders"):
        folder_of("<cell>:f", (part,))


@pytest.mark.parametrize(
    ("workload", "words"),
    [
        (Thing, "is a class"),
        (partial(takes, 1), "partial of takes"),
        (len, "is built in"),
        ([].append, "is built in"),
        (Thing().__init__, "no function"),
        (threading.Thread().start, "bound"),
        (generator, "is a generator"),
        (lambda: 1, "has no name"),
        (renamed, "is not what"),
        (Thing(), "no function but an object of type Thing"),
        (3, "no function"),
        (None, "no function"),
    ],
)
def test_what_is_no_plain_function_is_refused(workload, words):
    with pytest.raises(BadWorkload, match=words):
        pack(workload, {})


def test_a_nested_function_of_a_module_is_refused():
    def inner():
        return 1

    with pytest.raises(BadWorkload, match="left margin"):
        pack(inner, {})


@pytest.mark.parametrize(
    ("function", "params", "words"),
    [
        (takes, {"n": 1, "k": 1}, r"has no parameter 'k'\. It has n, m, flag\."),
        (takes, {}, "needs a value for its parameter 'n'"),
        (by_position, {"n": 1}, "takes 'n' by position only"),
        (by_position, {}, "takes 'n' by position only"),
        (other_name or renamed, {"x": 1}, r"has no parameter 'x'\. It has none\."),
    ],
)
def test_parameters_that_do_not_fit_are_refused(function, params, words):
    with pytest.raises(BadWorkload, match=words):
        pack(function, params)


class Word(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1},
        range(3),
        b"x",
        math.nan,
        math.inf,
        object(),
        Word("x"),
        {1: 2},
        {Word("x"): 2},
        {"a": [(1,)]},
        [[[[[[1]]]]]],
        1 << 20_000,
        "\ud83d\ude00",
        takes,
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_json_would_lose_are_refused_with_the_parameter(value):
    with pytest.raises(BadValue) as caught:
        pack(takes_any, {"fine": 1, "odd": value})
    assert caught.value.name == "odd"
    assert "allowed: None, bool, int" in str(caught.value)


def test_a_tuple_is_refused_with_the_advice_to_use_a_list():
    with pytest.raises(BadValue, match="Use a list"):
        pack(takes, {"n": (1, 2)})


def test_parameters_of_more_than_1_mib_are_refused_by_the_largest():
    with pytest.raises(BadValue, match="at most 1 MiB") as caught:
        pack(takes_any, {"small": 1, "large": "x" * PARAMS_BYTES_MOST})
    assert caught.value.name == "large"


fine = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()


@given(st.dictionaries(st.text(min_size=1), fine | st.lists(fine) | st.dictionaries(st.text(), st.lists(fine))))
def test_every_json_value_is_taken(params):
    assert pack(takes_any, params).workload == f"{THIS}:takes_any"
    assert json.loads(json.dumps(params)) == params


hashable = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)
plain = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(hashable, inner, max_size=3) | st.sets(hashable, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abcd"), plain))
def test_literals_come_back_as_they_were(values):
    space = {}
    exec(Literals(values).text(), space)
    assert shown({name: space[name] for name in values}) == shown(values)


def shown(value):
    """Tell 1 from 1.0 and True, take NaN as itself, and sets in any order."""
    if isinstance(value, set):
        return sorted(map(shown, value), key=repr)
    if isinstance(value, dict):
        return [(shown(key), shown(item)) for key, item in value.items()]
    return [type(value).__name__, *map(shown, value)] if isinstance(value, (list, tuple)) else repr(value)
