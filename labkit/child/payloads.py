"""What messages carry: values of a kind and a size. Rule: the same content in every run.

The size is that of the content as bytes: what goes over the wire is some bytes more.
"""

from __future__ import annotations

from array import array
from typing import Any

from labkit.errors import NotHere

__all__ = ["DICT_BYTES", "PAYLOADS", "payload"]

DICT_BYTES = 38  # of one pickled dict of the list, in the mean
_DICTS_MOST_BYTES = 8 << 20  # a list of dicts takes ten times its bytes as objects, on either side
_NUMBER_BYTES = 8

PAYLOADS = ("bytes", "int", "list of dicts", "array")


def payload(kind: str, size_bytes: int) -> Any:
    """Make a value.

    Args:
        kind: One of `PAYLOADS`.
        size_bytes: Size of its content, from 1.

    Raises:
        NotHere: If it would take more memory than a run may use.
    """
    if kind == "bytes":
        return bytes(range(256)) * (size_bytes // 256) + bytes(range(size_bytes % 256))
    if kind == "int":
        return (1 << (8 * size_bytes - 1)) - 1
    if kind not in PAYLOADS:
        raise KeyError(kind)
    if kind == "array":
        return array("d", range(max(1, size_bytes // _NUMBER_BYTES)))
    if size_bytes > _DICTS_MOST_BYTES:
        raise NotHere(
            f"a list of dicts of {size_bytes:,} bytes takes more memory than a run may use; the most is "
            f"{_DICTS_MOST_BYTES:,}"
        )
    return [
        {"id": number, "name": f"item {number:08}", "price": number / 7}
        for number in range(max(1, size_bytes // DICT_BYTES))
    ]
