"""What one run may use at most. Rule: every limit stands here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from labkit.errors import BadValue
from labkit.units import MIB, in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one run may use at most; the only place where these numbers stand.

    Attributes:
        deadline_s: Wall time after which the run is ended, in seconds.
        linger_s: Time that the process may take to end after its result, in seconds.
        memory_bytes: Memory of the whole process tree, with shared pages counted once (PSS).
        processes_count: Processes alive at the same time.
        output_bytes: Printed bytes after which the run is ended; the first and last 32 KiB are kept.
        events_bytes: Event bytes after which the run is ended.
        file_bytes: Size of any one file that it writes.
        open_files_count: Descriptors of any one process.
    """

    deadline_s: float = 10.0
    linger_s: float = 2.0
    memory_bytes: int = 512 * MIB
    processes_count: int = 64
    output_bytes: int = 256 * MIB
    events_bytes: int = 64 * MIB
    file_bytes: int = 512 * MIB
    open_files_count: int = 1024

    def __post_init__(self) -> None:
        """Refuse what would never end or never start."""
        for item in fields(self):
            value, most = getattr(self, item.name), _MOST[item.name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 < value <= most or (isinstance(most, int) and value != int(value)):
                raise BadValue(
                    item.name,
                    value,
                    f"more than 0 and at most {in_words(item.name, most)}",
                    "Leave it out for the default.",
                )


_MOST: Mapping[str, float] = {
    "deadline_s": 600.0,
    "linger_s": 60.0,
    "memory_bytes": 8192 * MIB,
    "processes_count": 1024,
    "output_bytes": 4096 * MIB,
    "events_bytes": 1024 * MIB,
    "file_bytes": 4096 * MIB,
    "open_files_count": 65536,
}
