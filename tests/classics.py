"""All classic programs, each broken and mended, each with its machine. Rule: a table, gathered from its files."""

from __future__ import annotations

import classics_data
import classics_locks
import classics_misuse
import classics_more
import classics_spins
import classics_waits
from oracle import Classic

__all__ = ["CLASSICS", "FORMS"]

CLASSICS = tuple(
    value
    for module in (classics_data, classics_more, classics_spins, classics_locks, classics_waits, classics_misuse)
    for value in vars(module).values()
    if isinstance(value, Classic)
)
FORMS = {
    f"{classic.name}, {word}": form
    for classic in CLASSICS
    for word, form in (("broken", classic.broken), ("mended", classic.mended))
}
