"""Medians and shares with 95 % intervals. Rule: pure functions of numbers, standard library only."""

from __future__ import annotations

import math
import random
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Interval", "difference", "median_interval", "ratio_interval", "wilson"]

_Z = 1.959964  # two-sided 95 % of the normal distribution
_RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its 95 % interval, all in the unit of what was given."""

    middle: float
    low: float
    high: float

    def percent(self) -> Interval:
        """Give a share in percent."""
        return Interval(*(100 * end for end in self))


def wilson(hits: int, tries: int) -> Interval:
    """Estimate a share from counts (Wilson, 1927); with no tries it can be anything from 0 to 1.

    Raises:
        ValueError: If the counts are negative, or there are more hits than tries.
    """
    if not 0 <= hits <= tries:
        message = f"hits must be from 0 to tries, got {hits} of {tries}"
        raise ValueError(message)
    if tries == 0:
        return Interval(math.nan, 0.0, 1.0)
    share, z2 = hits / tries, _Z * _Z
    centre = (share + z2 / (2 * tries)) / (1 + z2 / tries)
    half = _Z * math.sqrt(share * (1 - share) / tries + z2 / (4 * tries * tries)) / (1 + z2 / tries)
    return Interval(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def difference(after: Interval, before: Interval) -> Interval:
    """Subtract two shares, with the interval of Newcombe (1998) from the Wilson intervals of both."""
    middle = after.middle - before.middle
    low = middle - math.hypot(after.middle - after.low, before.high - before.middle)
    return Interval(middle, low, middle + math.hypot(after.high - after.middle, before.middle - before.low))


def median_interval(values: Sequence[float]) -> Interval:
    """Give the median with the order statistics around it (no assumption on the distribution).

    With fewer than six values no pair of order statistics covers 95 %: then the interval is the whole range.

    Raises:
        ValueError: If there is no value.
    """
    if not values:
        message = "a median needs at least one value"
        raise ValueError(message)
    ordered, count = sorted(values), len(values)
    below, tail = 0, 0.0
    while True:  # the largest rank whose binomial tail stays under 2.5 % on each side
        tail += math.comb(count, below) * 0.5**count
        if tail > 0.025 or below >= (count - 1) // 2:  # noqa: PLR2004 - half of 5 %
            break
        below += 1
    rank = max(0, below - 1)
    return Interval(median(ordered), ordered[rank], ordered[count - 1 - rank])


def ratio_interval(above: Sequence[float], below: Sequence[float], *, seed: int = 0) -> Interval:
    """Give the ratio of two medians with its bootstrap interval.

    Args:
        above: Values whose median is divided.
        below: Values by whose median it is divided; none may be 0 or negative.
        seed: Fixes the resampling: equal input gives equal output.

    Raises:
        ValueError: If either is empty, or a divisor is not positive.
    """
    if not above or not below or min(below) <= 0:
        message = "a ratio needs values on both sides, and divisors above 0"
        raise ValueError(message)
    draw = random.Random(seed)  # noqa: S311 - resampling, not secrets
    ratios = sorted(
        median(draw.choices(above, k=len(above))) / median(draw.choices(below, k=len(below))) for _ in range(_RESAMPLES)
    )
    cut = _RESAMPLES // 40
    return Interval(median(above) / median(below), ratios[cut], ratios[-1 - cut])
