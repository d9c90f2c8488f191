"""Exercise: copies where none was meant. Rule: bytes that Python allocates are counted, not time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit.child.copied import BLOCK_BYTES
from labkit.course.lesson import Counted, Exercise, WrongAnswer
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.model import Json

__all__ = ["EXERCISE"]

_ALLOWED_BYTES = 1 << 16  # in all, for the numbers and views that every answer needs
_PIECE_RATIO = 0.5  # of the largest part: what is allocated at once and is less is a piece of it
_GRAIN_BYTES = 1 << 12  # what is beside a copy differs from call to call: the same answer is told the same
_MORE_RATIO = 1.25  # of the block: more than a copy and what is small beside it
_GIVEN = """\
import mmap
import zlib

# `block` is an `mmap.mmap`: memory that several processes share, here 1 MiB.
# `parts` is a list of pairs: where a part begins, and where it ends.
# `zlib.crc32(data)` reads the data where they lie, whatever they are: bytes, an array, a view.
"""
_STUB = """\
def checksums(block, parts):
    data = bytes(block)
    found = []
    for begin, end in parts:
        found.append(zlib.crc32(data[begin:end]))
    return found
"""
_SOLUTION = """\
def checksums(block, parts):
    view = memoryview(block)
    found = []
    for begin, end in parts:
        found.append(zlib.crc32(view[begin:end]))
    return found
"""
_COUNT = """\
def count_bytes():
    from labkit.child.copied import try_checksums

    return try_checksums(checksums)
"""


class _Try(NamedTuple):
    """What came of one call; the fields as `labkit.child.copied` tells them."""

    kind: str
    word: str
    got: list[Json]
    expected: list[int]
    slips: dict[str, list[int]]
    parts: list[list[int]]
    closed: bool
    changed: bool
    same_parts: bool
    asked_bytes: int
    lines: list[list[int]]
    held_bytes: int
    stopped: bool


def _judge(told: Mapping[str, Json]) -> str:
    """Say what is wrong with the first call that is not as it should be; empty if all are."""
    tries = [_Try(**one) for one in told["tries"]]
    stale = [[], [], *(one.got for one in tries[1:])]
    faults = (_broken(one) or _wrong(one, before) for one, before in zip(tries, stale, strict=False))
    return next((fault for fault in faults if fault), "") or _copied(tries[1])


def _first(*rules: tuple[bool, str]) -> str:
    return next((words for holds, words in rules if holds), "")


def _broken(one: _Try) -> str:
    """Say why there is no list of checksums, or what else was harmed; empty if nothing was."""
    return _first(
        (one.kind == "raised", f"`checksums` fails with `{one.word}`."),
        (one.closed, "The block is closed afterwards. It is shared: whoever needs it next finds nothing."),
        (one.changed, "The block is not what it was: something was written into it, and every process sees that."),
        (not one.same_parts, "The list of parts is another one afterwards. It is the caller's: leave it as it is."),
        (one.word == "NoneType", "`checksums` gives `None`. Return the list that it makes."),
        (
            one.kind == "type",
            f"`checksums` gives a value of type `{one.word}`. Return a list, with the checksum of each part.",
        ),
        (one.stopped, "The answer ended the counting of memory, so nothing is known of its copies. Leave it on."),
    )


def _wrong(one: _Try, before: list[Json]) -> str:
    """Say what is wrong with a list of checksums; empty if it is right."""
    got, expected = one.got, one.expected
    if got == expected:
        return ""
    filled = [crc for (begin, end), crc in zip(one.parts, expected, strict=True) if end > begin]
    return _first(
        (
            bool(before) and got == before,
            "The block was written to between two calls, and the second gives the checksums of the first. Keep none.",
        ),
        (
            got == one.slips["running"],
            "Each checksum goes on from the one before. Every part has one of its own, from its own bytes.",
        ),
        (
            got == one.slips["whole"],
            "These are checksums of the whole block, and each part was asked for: from `begin` to `end`.",
        ),
        (got == one.slips["longer"], "Each part has a byte too many: `end` is where it ends, and is no part of it."),
        (got == filled, "A part without bytes gets no checksum. It has one as well, and the others lose their places."),
        (
            len(got) != len(expected),
            f"There are {len(expected)} parts, and {len(got)} checksums. Each part has one, in their order.",
        ),
        (True, "A checksum is not that of its part. That is no question of copies yet: mend it first."),
    )


def _copied(one: _Try) -> str:
    """Say what was copied, by how much was allocated at once; empty if nothing was."""
    if sum(total for _, _, total, _ in one.lines) <= _ALLOWED_BYTES:
        return ""
    line, times, _, most = max(one.lines, key=lambda row: row[-1])
    sizes = [end - begin for begin, end in one.parts]
    about_bytes = most - most % _GRAIN_BYTES if most > _GRAIN_BYTES else most
    said = f"Right, but not without a copy: line {line} allocates {in_words('about_bytes', about_bytes)}"
    return _first(
        (
            most >= _MORE_RATIO * BLOCK_BYTES,
            f"{said}, more than the block has. That makes an object, or a number, of every byte.",
        ),
        (
            most >= BLOCK_BYTES <= one.asked_bytes,
            f"{said}: who asks the block for a slice, or for all, gets new bytes. Here that is all of them.",
        ),
        (
            most >= BLOCK_BYTES,
            f"{said}, as much as the whole block. `bytes(...)` and the like copy all that they are given.",
        ),
        (
            most < _PIECE_RATIO * max(sizes),
            f"{said} at once, {times} times: less memory, and still each byte is copied before it is read.",
        ),
        (
            one.held_bytes >= sum(sizes),
            f"{said}, and what it makes is kept: at the end all parts lie there a second time, side by side.",
        ),
        (
            one.asked_bytes >= max(sizes),
            f"{said}. A slice of an `mmap`, as one of `bytes`, is a copy of that part. What can be cut without one?",
        ),
        (True, f"{said}: there is a view of the part, and its bytes are taken out of it. `crc32` can read the view."),
    )


EXERCISE = Exercise(
    id="find-the-hidden-copy",
    title="Find the hidden copy",
    kind="find it",
    minutes=10,
    task="`checksums(block, parts)` reads memory that processes share, and was meant to read it where it lies. It "
    "copies, in more than one place, and not every copy looks like one. Find them: the same checksums, and no copy of "
    "the block or of a part. The check counts the bytes that Python allocates while it runs.",
    given=_GIVEN,
    names=("checksums",),
    stub=_STUB,
    solution=_SOLUTION,
    hints=(
        "`bytes(block)` is easy to see. Without it, `block[begin:end]` is cut from an `mmap`: what does that give?",
        "A slice of `bytes`, of a `bytearray` and of an `mmap` is a copy. A slice of one other thing is not.",
        "`view = memoryview(block)`, then `zlib.crc32(view[begin:end])`: a view of a part, without bytes of its own.",
    ),
    wrong=(
        WrongAnswer(
            "a view of a copy",
            """\
def checksums(block, parts):
    view = memoryview(bytes(block))
    found = []
    for begin, end in parts:
        found.append(zlib.crc32(view[begin:end]))
    return found
""",
            "copy all that they are given",
            shown=False,
        ),
        WrongAnswer(
            "only the obvious copy is gone",
            """\
def checksums(block, parts):
    found = []
    for begin, end in parts:
        found.append(zlib.crc32(block[begin:end]))
    return found
""",
            "is a copy of that part",
            shown=False,
        ),
        WrongAnswer(
            "a slice of all",
            """\
def checksums(block, parts):
    view = memoryview(block[:])
    return [zlib.crc32(view[begin:end]) for begin, end in parts]
""",
            "Here that is all of them",
            shown=False,
        ),
        WrongAnswer(
            "bytes out of the view",
            """\
def checksums(block, parts):
    view = memoryview(block)
    found = []
    for begin, end in parts:
        found.append(zlib.crc32(view[begin:end].tobytes()))
    return found
""",
            "taken out of it",
            shown=False,
        ),
        WrongAnswer(
            "in small pieces",
            """\
def checksums(block, parts):
    found = []
    for begin, end in parts:
        total = 0
        for first in range(begin, end, 16384):
            total = zlib.crc32(block[first : min(first + 16384, end)], total)
        found.append(total)
    return found
""",
            "still each byte is copied",
            shown=False,
        ),
        WrongAnswer(
            "all parts are cut first",
            """\
def checksums(block, parts):
    cut = [block[begin:end] for begin, end in parts]
    return [zlib.crc32(part) for part in cut]
""",
            "all parts lie there a second time",
            shown=False,
        ),
        WrongAnswer(
            "a list of numbers",
            """\
def checksums(block, parts):
    view = memoryview(block)
    found = []
    for begin, end in parts:
        found.append(zlib.crc32(bytes(list(view[begin:end]))))
    return found
""",
            "more than the block has",
            shown=False,
        ),
        WrongAnswer(
            "one checksum that goes on",
            """\
def checksums(block, parts):
    view, total, found = memoryview(block), 0, []
    for begin, end in parts:
        total = zlib.crc32(view[begin:end], total)
        found.append(total)
    return found
""",
            "goes on from the one before",
            shown=False,
        ),
        WrongAnswer(
            "parts without bytes are left out",
            """\
def checksums(block, parts):
    view = memoryview(block)
    return [zlib.crc32(view[begin:end]) for begin, end in parts if begin < end]
""",
            "A part without bytes",
            shown=False,
        ),
        WrongAnswer(
            "kept for the next call",
            """\
known = {}


def checksums(block, parts):
    view = memoryview(block)
    key = (len(block), tuple(map(tuple, parts)))
    if key not in known:
        known[key] = [zlib.crc32(view[begin:end]) for begin, end in parts]
    return known[key]
""",
            "Keep none",
            shown=False,
        ),
        WrongAnswer(
            "closes what is shared",
            """\
def checksums(block, parts):
    with block, memoryview(block) as view:
        return [zlib.crc32(view[begin:end]) for begin, end in parts]
""",
            "closed afterwards",
            shown=False,
        ),
    ),
    probes=(
        Counted(
            source=_COUNT,
            count="count_bytes",
            columns=("line", "times it allocated", "bytes in all"),
            said="Three calls were tried, and the one on 1 MiB made no copy in Python's memory, at any line.",
            judge=_judge,
        ),
    ),
    moral="Nothing was copied: a slice of a view is a view, and it reads shared memory where it lies.",
)
