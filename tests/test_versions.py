"""Versions of Python are ordered by their numbers, and the free-threaded ones come last."""

from __future__ import annotations

import pytest

from labkit.child import rounds
from labkit.child.gil import OWN_GIL
from labkit.runs.interpreters import find
from labkit.versions import age, build, free_threaded, numbers

IN_ORDER = ["3.9.20", "3.10.4", "3.10.13", "3.13.0", "3.14.0rc1", "3.14.1", "3.13.5t", "3.14.0t"]


@pytest.mark.parametrize("mixed", [IN_ORDER[::-1], sorted(IN_ORDER)])
def test_age_sorts_by_numbers_and_the_free_threaded_come_last(mixed):
    assert sorted(mixed, key=age) == IN_ORDER


@pytest.mark.parametrize(
    ("version", "expected"),
    [("3.13.5t", (3, 13, 5)), ("3.13t", (3, 13)), ("3.9", (3, 9)), ("3.15.0a4", (3, 15)), ("with GIL", ())],
)
def test_the_numbers_of_a_version(version, expected):
    assert numbers(version) == expected


def test_all_versions_of_a_build_together_are_sorted_and_marked_as_it_is():
    builds = {build(version) for version in IN_ORDER}
    assert sorted(builds, key=age) == ["with GIL", "without GIL"]
    assert [free_threaded(one) for one in sorted(builds, key=age)] == [False, True]
    for version in IN_ORDER:
        assert free_threaded(version) == free_threaded(build(version)) == version.endswith("t")


def test_what_an_interpreter_says_of_its_gil_fits_its_version():
    for one in find():
        assert one.gil or free_threaded(one.version)  # a free-threaded build may have been given a GIL


@pytest.mark.parametrize(("version", "shared"), [((3, 11, 7), True), ((*OWN_GIL, 0), False), ((3, 14, 0), False)])
def test_who_needs_the_same_gil(monkeypatch, version, shared):
    monkeypatch.setattr(rounds.sys, "version_info", version)
    for enabled in (True, False):
        monkeypatch.setattr(rounds.gil, "enabled", lambda on=enabled: on)
        told = {way: rounds.one_gil(way) for way in ("threads", "processes", "subinterpreters")}
        assert told == {"threads": enabled, "processes": False, "subinterpreters": shared}


def test_a_way_that_there_is_not_is_no_round():
    with pytest.raises(KeyError, match="coroutines"):
        rounds.play("coroutines", test_who_needs_the_same_gil, {}, workers=1, duration_s=0.01)
