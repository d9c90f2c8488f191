"""Medians, shares and ratios with their intervals: published values, properties, and how often they cover the truth."""

from __future__ import annotations

import math
import random
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.intervals import median_interval, ratio_interval, wilson

NUMBERS = st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("hits", "tries", "low", "high"),
    [
        # Newcombe (1998), Statistics in Medicine 17, table I, method 3: Wilson score without continuity correction
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_limits(hits, tries, low, high):
    assert wilson(hits, tries) == pytest.approx((hits / tries, low, high), abs=5e-5)


def test_wilson_without_tries_knows_nothing():
    share = wilson(0, 0)
    assert math.isnan(share.middle)
    assert share[1:] == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "tries"), [(-1, 5), (6, 5), (1, 0)])
def test_wilson_refuses_impossible_counts(hits, tries):
    with pytest.raises(ValueError, match=f"got {hits} of {tries}"):
        wilson(hits, tries)


@given(st.integers(1, 10_000).flatmap(lambda tries: st.tuples(st.integers(0, tries), st.just(tries))))
def test_wilson_is_ordered_symmetric_and_narrows(counts):
    hits, tries = counts
    share, mirrored, more = wilson(hits, tries), wilson(tries - hits, tries), wilson(4 * hits, 4 * tries)
    assert 0 <= share.low <= share.middle <= share.high <= 1
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((share.low, share.high), abs=1e-9)
    assert more.high - more.low < share.high - share.low
    assert hits == 0 or share.low > 0


@given(NUMBERS)
def test_a_median_lies_within_its_interval_and_the_interval_within_the_data(values):
    middle, low, high = median_interval(values)
    assert middle == median(values)
    assert min(values) <= low <= middle <= high <= max(values)
    assert {low, high} <= set(values)


@given(NUMBERS)
def test_the_order_of_the_values_does_not_matter(values):
    assert median_interval(values) == median_interval(values[::-1]) == median_interval(sorted(values))


@given(NUMBERS, st.floats(min_value=0, max_value=1e6))
def test_outliers_never_narrow_an_interval(values, further):
    _, low, high = median_interval(values)
    _, wider_low, wider_high = median_interval([min(values) - further, *values, max(values) + further])
    assert wider_low <= low
    assert wider_high >= high


def test_few_values_give_the_whole_range():
    assert median_interval([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0)
    assert median_interval([7.0]) == (7.0, 7.0, 7.0)
    with pytest.raises(ValueError, match="at least one"):
        median_interval([])


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (8, 1), (9, 2), (10, 2), (15, 4), (20, 6), (25, 8)])
def test_the_ranks_are_those_of_the_sign_test_tables(count, rank):
    # Conover, Practical Nonparametric Statistics: the confidence interval for the median, 95 % or more
    assert median_interval([float(n) for n in range(1, count + 1)])[1:] == (rank, count + 1 - rank)


@pytest.mark.parametrize("count", [6, 10, 25])
def test_the_interval_of_a_median_covers_the_truth(count):
    draw, tries = random.Random(20240101), 4000
    covered = 0
    for _ in range(tries):
        _, low, high = median_interval([draw.expovariate(1.0) for _ in range(count)])
        covered += low <= math.log(2) <= high
    assert wilson(covered, tries).high > 0.95  # at least 95 %, up to the error of this simulation


def test_the_interval_of_a_ratio_covers_the_truth():
    draw, tries = random.Random(7), 150
    covered = 0
    for _ in range(tries):
        above = [4 * draw.lognormvariate(0, 0.3) for _ in range(12)]
        below = [draw.lognormvariate(0, 0.3) for _ in range(12)]
        ratio = ratio_interval(above, below)
        covered += ratio.low <= 4 <= ratio.high
    assert wilson(covered, tries).high > 0.95


def test_a_ratio_is_the_same_for_the_same_numbers():
    above, below = [4.0, 5.0, 6.0], [1.0, 2.0, 3.0]
    assert ratio_interval(above, below) == ratio_interval(above, below)
    assert ratio_interval(above, below).middle == 2.5


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=6), st.floats(0.5, 20))
def test_a_ratio_scales_with_what_is_divided(values, factor):
    plain, scaled = ratio_interval(values, values), ratio_interval([factor * value for value in values], values)
    assert scaled == pytest.approx([factor * end for end in plain])
    assert scaled.low <= scaled.high


@pytest.mark.parametrize(("above", "below"), [([], [1.0]), ([1.0], []), ([1.0], [0.0]), ([1.0], [2.0, -1.0])])
def test_a_ratio_refuses_what_cannot_be_divided(above, below):
    with pytest.raises(ValueError, match="divisors above 0"):
        ratio_interval(above, below)
