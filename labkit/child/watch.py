"""Look on from inside a run, ten times a second, and tell the kernel what is seen. Rule: reads only, asked for only.

One daemon thread: it costs the run about a thousandth of a core, which is not counted, and it is one thread more than
the student started. It needs the interpreter as they do: while C code holds the GIL, there is no look.
"""

from __future__ import annotations

import sys
import threading
import time

from labkit.child import gil
from labkit.child.emit import emit
from labkit.child.waits import Edge, asked, edges
from labkit.errors import BadValue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EDGE", "LOOK", "NAME", "begin"]

NAME = "labkit-watch"  # of the thread
LOOK, EDGE = "labkit look", "labkit edge"  # names of the events: one look, and after it each of its edges
_LOOK_S, _TELL_S = 0.1, 0.25
_EDGES_MOST = 32
_TEXTS = (60, 20, 4)  # characters of each text of an edge: the first that fits into one event


def begin() -> None:
    """Start to look on."""
    threading.Thread(target=_look_on, daemon=True, name=NAME).start()


def _look_on() -> None:
    """Look and tell for as long as somebody listens. An edge counts when two looks in a row saw it."""
    seen: list[Edge] = []
    told: list[Edge] | None = None
    stood: dict[int, tuple[int, int]] = {}
    clocks = _clocks()
    while True:
        time.sleep(_LOOK_S)
        try:
            stands = _stands()
            now_seen = edges(without=_not_to_read(stood, stands))
            if asked:
                return  # the last look is the one before the deadline
            steady = [edge for edge in now_seen if edge in seen][:_EDGES_MOST]
            seen, stood, now = now_seen, stands, _clocks()
            if steady != told or now[0] - clocks[0] >= _TELL_S:
                _tell((now[1] - clocks[1]) / (now[0] - clocks[0]), None if steady == told else steady)
                told, clocks = steady, now
        except OSError:
            return  # the keeper listens no more
        except Exception:  # noqa: BLE001, S112 - a thread changed what was read: look again, and never disturb the run
            continue


def _clocks() -> tuple[float, float]:
    """Return wall time, and CPU time of this process without that of this thread, in seconds."""
    return time.monotonic(), time.process_time() - time.thread_time()


def _stands() -> dict[int, tuple[int, int]]:
    """Return at which instruction of which frame each thread stands."""
    return {ident: (id(frame), frame.f_lasti) for ident, frame in sys._current_frames().items()}  # noqa: SLF001


def _not_to_read(before: dict[int, tuple[int, int]], now: dict[int, tuple[int, int]]) -> tuple[int, ...]:
    """Name the threads whose variables are not read: this one, and without a GIL those that move.

    A free-threaded interpreter may crash when one thread reads the variables of another that runs; of one that stands
    at the same instruction as a moment ago it is safe.
    """
    moving = [] if gil.enabled() else [ident for ident, place in now.items() if before.get(ident) != place]
    return threading.get_ident(), *moving


def _tell(cores: float, steady: Sequence[Edge] | None) -> None:
    """Send one look, and its edges if they are others than before."""
    look = {"cores": round(max(cores, 0.0), 3)}
    if steady is None:
        emit("sample", LOOK, look)
        return
    emit("sample", LOOK, {**look, "edges_count": len(steady)})
    numbers = {thing: number for number, thing in enumerate(sorted({edge.thing for edge in steady}))}
    for edge in steady:
        for most in _TEXTS:
            try:
                emit("sample", EDGE, _short(edge, most, numbers))
                break
            except BadValue:
                continue


def _short(edge: Edge, most: int, numbers: dict[int, int]) -> list[object]:
    """Return an edge as plain values, its texts cut, and its thing as a small number."""
    values = edge._replace(thing=numbers[edge.thing])
    return [value if not isinstance(value, str) or len(value) <= most else value[: most - 1] + "…" for value in values]
