"""Quantities in words. Rule: the unit is the suffix of the name; milliseconds and MiB only where a person reads."""

from __future__ import annotations

__all__ = ["MIB", "in_words"]

MIB = 1 << 20
_WHOLE = 1000  # from here on whole numbers: three digits of more would need an exponent
_SIZES = ((1 << 30, "GiB"), (MIB, "MiB"), (1 << 10, "KiB"), (1, "B"))
_TIMES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))


def in_words(name: str, value: object) -> str:
    """Say a quantity for a reader, by the unit that its name ends in.

    Args:
        name: A column or parameter, such as ``"elapsed_s"``.
        value: Its value in the base unit; what is no number is shown as it is.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if name.endswith("_per_s"):
        return _rate(value, bytes_=name.endswith("_bytes_per_s"))
    if name.endswith("_cores"):
        return f"{value:.2f} cores"
    if name.endswith("_ratio"):
        return f"{100 * value:.3g} %"
    if name.endswith(("_ns", "_s")):
        return _scaled(value / 1e9 if name.endswith("_ns") else value, _TIMES, "s")
    return _scaled(value, _SIZES, "B") if name.endswith("_bytes") else _plain(value)


def _rate(value: float, *, bytes_: bool) -> str:
    if bytes_:
        return f"{_scaled(value, _SIZES, 'B')} per s"
    return f"{value:,.0f} per s" if abs(value) >= _WHOLE else f"{value:.3g} per s"


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= _WHOLE else f"{value:.4g}"


def _scaled(value: float, units: tuple[tuple[float, str], ...], base: str) -> str:
    """Use the largest unit of which there is at least one; the smallest for anything less."""
    if value == 0:
        return f"0 {base}"
    size, unit = next(((size, unit) for size, unit in units if abs(value) >= size), units[-1])
    return f"{value / size:.3g} {unit}" if abs(value) < 1000 * size else f"{value / size:.0f} {unit}"
