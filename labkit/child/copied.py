"""Count the bytes that a function allocates while it reads shared memory. Rule: bytes are counted, never time.

`tracemalloc` tells the most that Python's memory held since it was asked last. It is asked at every line, so that a
copy which is given up at once counts as well, and so does each of many small ones. What a function takes past Python's
memory, as a mapping of its own, is not seen.
"""

from __future__ import annotations

import mmap
import sys
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Any

from labkit.child.predicted import said_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from labkit.model import Json

    Checksums = Callable[[Any, list[tuple[int, int]]], object]
    Parts = Sequence[tuple[int, int]]

__all__ = ["BLOCK_BYTES", "try_checksums"]

BLOCK_BYTES = 1 << 20
_WARM_BYTES = 1 << 12
_LEAST_BYTES = 1 << 8  # at one line: less is what numbers, views and the count itself need
_SHOWN_BYTES = 1 << 14  # of one line altogether: less is no copy of anything
_WARM: Parts = ((0, 10), (10, _WARM_BYTES))
_PARTS: Parts = ((0, 1 << 18), (1 << 18, 3 << 17), (77, 77), (7, 75_001), (BLOCK_BYTES - 1, BLOCK_BYTES))
_CRC_END = 1 << 32
_ASKED_MOST = 10_000


class _Block(mmap.mmap):
    """Memory that processes share, and that knows how many bytes were asked of itself."""

    asked_bytes = asked_count = 0

    def __getitem__(self, key: Any) -> Any:
        return self._asked(super().__getitem__(key))

    def read(self, *count: Any) -> bytes:
        data: bytes = self._asked(super().read(*count))
        return data

    def _asked(self, value: Any) -> Any:
        self.asked_bytes += len(value) if isinstance(value, bytes) else 1
        self.asked_count += 1
        if self.asked_count > _ASKED_MOST:  # watched, it would take too long
            raise RuntimeError(f"the block was asked for more than {_ASKED_MOST:,} pieces, and each is made an object")
        return value


def try_checksums(checksums: Checksums) -> dict[str, Json]:
    """Call a function that gives a checksum of each part of a block, three times, and count at the second.

    Args:
        checksums: Takes a block and a list of pairs, begin and end.

    Returns:
        ``tries``: what was given, expected, and harmed, at each call, with the ``lines`` that allocated, as line,
        times, bytes in all and most at once; ``rows`` of those for a table. A call after which the block is closed is
        the last one.
    """
    large = _made(BLOCK_BYTES)
    tries = [_tried(checksums, _made(_WARM_BYTES), _WARM)]  # imports and the like are over after it
    if not tries[-1]["closed"]:
        tries.append(_tried(checksums, large, _PARTS, counted=True))
        if not large.closed:
            large[0:4] = b"new!"
            tries.append(_tried(checksums, large, _PARTS))
    lines = [line for one in tries for line in one["lines"]]
    rows = [[line, times, f"{total:,}"] for line, times, total, _ in sorted(lines) if total >= _SHOWN_BYTES]
    return {"tries": tries, "rows": rows or [["none", 0, 0]]}


def _made(size_bytes: int) -> _Block:
    """Make a block in which no two parts are alike."""
    block = _Block(-1, size_bytes)
    pattern = bytes(number * number % 251 for number in range(1021))
    block.write((pattern * (size_bytes // len(pattern) + 1))[:size_bytes])
    block.seek(0)
    return block


def _tried(checksums: Checksums, block: _Block, parts: Parts, *, counted: bool = False) -> dict[str, Json]:
    """Call it once."""
    expected, slips, whole = _sums(block, parts), _slips(block, parts), _sums(block, [(0, len(block))])
    given, block.asked_bytes, block.asked_count = list(parts), 0, 0
    watch = _Watch(checksums)
    (kind, word), got = watch.call(block, given) if counted else _called(checksums, block, given)
    return {
        "kind": kind,
        "word": word,
        "got": got,
        "expected": expected,
        "slips": slips,
        "parts": list(parts),
        "closed": block.closed,
        "changed": not block.closed and _sums(block, [(0, len(block))]) != whole,
        "same_parts": given == list(parts),
        "asked_bytes": block.asked_bytes,
        "lines": [[line, *counts] for line, counts in watch.lines.items()],
        "held_bytes": watch.held_bytes,
        "stopped": watch.stopped,
    }


def _sums(block: _Block, parts: Parts) -> list[int]:
    with memoryview(block) as view:
        return [zlib.crc32(view[begin:end]) for begin, end in parts]


def _slips(block: _Block, parts: Parts) -> dict[str, list[int]]:
    """Return what comes of one sum that goes on, of the whole block each time, of an end that belongs to its part."""
    running = [0]
    with memoryview(block) as view:
        for begin, end in parts:
            running.append(zlib.crc32(view[begin:end], running[-1]))
    whole = _sums(block, [(0, len(block))] * len(parts))
    return {"running": running[1:], "whole": whole, "longer": _sums(block, [(begin, end + 1) for begin, end in parts])}


def _called(checksums: Checksums, block: _Block, parts: list[tuple[int, int]]) -> tuple[tuple[str, str], list[Json]]:
    """Return what a call gives as plain data, behind what else came of it."""
    try:
        got = checksums(block, parts)
    except Exception as error:  # noqa: BLE001 - the student's own
        return ("raised", said_of(error)), []
    if type(got) is not list:
        return ("type", type(got).__name__), []
    return ("", ""), [_plain(one) for one in got[: 2 * len(parts) + 2]]


def _plain(crc: object) -> Json:
    return crc if type(crc) is int and 0 <= crc < _CRC_END else f"a {type(crc).__name__}"


class _Watch:
    """Notes what each line of a call allocates."""

    def __init__(self, called: Checksums) -> None:
        self.lines: dict[int, tuple[int, int, int]] = {}
        self.held_bytes, self.stopped = 0, False
        self._called, self._file = called, called.__code__.co_filename
        self._line = self._now = self._began = 0

    def call(self, block: _Block, parts: list[tuple[int, int]]) -> tuple[tuple[str, str], list[Json]]:
        """Make the call, watched."""
        traced, held = sys.gettrace(), tracemalloc.is_tracing()
        if not held:
            tracemalloc.start()
        self._now = self._began = tracemalloc.get_traced_memory()[0]
        sys.settrace(self._trace)
        try:
            return _called(self._called, block, parts)
        finally:
            sys.settrace(traced)
            self.stopped = not tracemalloc.is_tracing()
            self._note()
            if not held:
                tracemalloc.stop()

    def _trace(self, frame: FrameType, _event: str, _value: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename == __file__:
            return None
        self._note()
        if frame.f_code.co_filename == self._file:
            self._line = frame.f_lineno
        return self._trace

    def _note(self) -> None:
        """Ascribe what was allocated since the last note to the line that began then."""
        peak = tracemalloc.get_traced_memory()[1]
        grown = peak - self._now
        self.held_bytes = max(self.held_bytes, peak - self._began)
        if self._line and grown >= _LEAST_BYTES:
            times, total, largest = self.lines.get(self._line, (0, 0, 0))
            self.lines[self._line] = times + 1, total + grown, max(largest, grown)
        tracemalloc.reset_peak()
        self._now = tracemalloc.get_traced_memory()[0]
