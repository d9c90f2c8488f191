"""Small pieces of work that keep a processor busy. Rule: standard library only, about half a millisecond each, checked.

``TASKS`` says of each what it is; a piece raises if its answer is wrong, so that no worker gets faster by failing.
"""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TASKS", "ready"]

_NUMBERS = 8_000
_DOCUMENTS = 150
_BLOCK_BYTES = 1 << 20
_TEXT_LINES = 4_000
_SORTED = 14_000
_ADDITIONS = 6_000
_SHARED: dict[int, int] = {}  # one for all threads of an interpreter; a fork has a copy, a subinterpreter its own


def _python() -> Callable[[], bool]:
    expected = sum(number * number for number in range(_NUMBERS))

    def once() -> bool:
        total = 0
        for number in range(_NUMBERS):
            total += number * number
        return total == expected

    return once


def _json() -> Callable[[], bool]:
    import json

    document = [{"id": n, "name": f"customer {n}", "orders": list(range(20)), "paid": True} for n in range(_DOCUMENTS)]
    return lambda: json.loads(json.dumps(document)) == document


def _sha256() -> Callable[[], bool]:
    import hashlib

    block = bytes(_BLOCK_BYTES)
    expected = hashlib.sha256(block).digest()
    return lambda: hashlib.sha256(block).digest() == expected


def _zlib() -> Callable[[], bool]:
    import zlib

    text = b"".join(b"line %d of a log, as there are many\n" % number for number in range(_TEXT_LINES))
    expected = zlib.compress(text)
    return lambda: zlib.compress(text) == expected


def _sort() -> Callable[[], bool]:
    shuffled = [number * 7919 % 104_729 / 3 for number in range(_SORTED)]
    expected = sorted(shuffled)
    return lambda: sorted(shuffled) == expected


def _shared() -> Callable[[], bool]:
    mine = threading.get_ident()  # a key of its own: no addition may get lost, and the dict is shared all the same
    before = _SHARED.setdefault(mine, 0)

    def once() -> bool:
        nonlocal before
        for _ in range(_ADDITIONS):
            _SHARED[mine] += 1
        before += _ADDITIONS
        return _SHARED[mine] == before

    return once


# What stands on the slider -> (how to get ready for it, what it is).
TASKS: dict[str, tuple[Callable[[], Callable[[], bool]], str]] = {
    "Python loop": (_python, "a loop in Python that adds squares"),
    "json": (_json, "a list of dicts written as JSON and read again"),
    "sha256": (_sha256, "the SHA-256 of 1 MiB, in C without the GIL"),
    "zlib": (_zlib, "150 KiB compressed, in C without the GIL"),
    "sort": (_sort, "a list of numbers sorted, in C with the GIL"),
    "shared dict": (_shared, "one dict in which every thread counts up a number of its own"),
}


def ready(work: str) -> Callable[[], None]:
    """Get ready for a kind of work, and return the function that does one piece of it.

    Args:
        work: A key of `TASKS`.

    Raises:
        RuntimeError: By the function, if its answer is wrong.
    """
    once = TASKS[work][0]()

    def checked() -> None:
        if not once():
            raise RuntimeError(f"a piece of work gave a wrong answer: {work}")

    return checked
