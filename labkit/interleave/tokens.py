"""A schedule as one word, to be replayed later or elsewhere. Rule: what was changed by hand is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from typing import NamedTuple

from labkit.errors import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Token", "digest", "read", "write"]

_VERSION = 1
_LETTERS_MOST = 100_000


class Token(NamedTuple):
    """What a token holds.

    Attributes:
        source: Digest of the source that the schedule belongs to.
        schedule: Thread numbers.
        names: Shared names that threads write; they decide what counts as a step.
        attributes: Likewise, of attributes.
        circle: 'livelock' or 'spins' if the schedule ends where a round of it began, else empty.
    """

    source: str
    schedule: tuple[int, ...]
    names: tuple[str, ...]
    attributes: tuple[str, ...]
    circle: str


def digest(sources: Mapping[str, tuple[int, str]]) -> str:
    """Return a digest of some source text; where it stands does not matter."""
    texts = sorted(text for _, text in sources.values())
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]


def write(
    source: str, schedule: Sequence[int], names: Iterable[str], attributes: Iterable[str], circle: str = ""
) -> str:
    """Return the token of a schedule."""
    row = [_VERSION, source, list(schedule), sorted(names), sorted(attributes), circle]
    data = json.dumps(row, separators=(",", ":"))
    packed = base64.urlsafe_b64encode(zlib.compress(data.encode(), 9)).decode().rstrip("=")
    return f"x{_VERSION}-{packed}-{zlib.crc32(packed.encode()):08x}"


def read(token: str) -> Token:
    """Return what a token holds.

    Raises:
        BadValue: If it is damaged, or of another version.
    """
    advice = "Copy the whole token of a result."
    try:
        head, rest = token.strip().split("-", 1)
        packed, check = rest.rsplit("-", 1)
        if head != f"x{_VERSION}" or f"{zlib.crc32(packed.encode()):08x}" != check or len(packed) > _LETTERS_MOST:
            packed = ""  # no data: refused below
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)), 1 << 20)
        _, source, schedule, names, attributes, circle = json.loads(text)
        steps = tuple(int(number) for number in schedule)
        return Token(str(source), steps, tuple(map(str, names)), tuple(map(str, attributes)), str(circle))
    except (ValueError, TypeError, AttributeError, zlib.error) as error:
        raise BadValue("token", token, "a token of a result of this version", advice) from error
