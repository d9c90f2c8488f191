"""A partner: one thread or one forked process that carries out orders. Rule: what is measured goes another way.

Orders and answers are lines of JSON on two pipes of their own, so that the channel under measurement carries nothing
but messages, and both sides may agree on what comes next.

Whoever leaves closes the ends that it held, and after a fork nobody holds an end of the other side: a side that is gone
is seen as an end of file by whoever waits for it, and not as a silence. Queues between threads cannot tell: there the
other side waits until the deadline of its run.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TextIO

from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from labkit.model import Json

    Work = Callable[[Callable[[], Json], Callable[[Json], None]], None]
    Closes = Sequence[Callable[[], None]]

__all__ = ["Partner", "beside"]

_PATIENCE_S = 0.5  # for a partner that sees the end of everything to end by itself
_LOOK_S = 0.002


class Partner(NamedTuple):
    """Whoever carries out orders.

    Attributes:
        order: Sends an order, a JSON value other than None.
        answer: Waits for the next answer and returns it; raises RuntimeError if the partner failed, and EOFError if it
            has ended.
    """

    order: Callable[[Json], None]
    answer: Callable[[], Json]


class _Lines(NamedTuple):
    """The two files of one side."""

    read: TextIO
    write: TextIO

    def close(self) -> None:
        for file in (self.write, self.read):
            with suppress(OSError):  # the other side has gone before it read the last line
                file.close()


@contextmanager
def beside(between: str, work: Work, *, mine: Closes = (), its: Closes = ()) -> Iterator[Partner]:
    """Hold a partner; at the end of the block there are no more orders, and it is waited for.

    If the block raises, what this side holds is closed, and the partner has a moment to see that. Then a process is
    killed; a thread that still waits for what never comes is left to the end of its process.

    Args:
        between: ``"threads"`` or ``"processes"``.
        work: Called by the partner with two functions: the first waits for the next order and returns it, or None when
            there are no more; the second sends an answer. It has to return when there are no more orders, and not
            before: a process takes along what a `multiprocessing.Queue` has not sent yet.
        mine: What closes this side's ends of the channels between the two; each may be called more than once.
        its: What closes the partner's ends.

    Raises:
        NotHere: If this system cannot fork.
        RuntimeError: If the partner failed, or was killed, and the block ended by that or without an error.
    """
    if between == "processes" and not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    with _lines() as (ours, theirs):
        end = (_fork if between == "processes" else _thread)(work, ours, theirs, mine, its)

        def order(value: Json) -> None:
            ours.write.write(json.dumps(value) + "\n")
            ours.write.flush()

        try:
            yield Partner(order, lambda: _answer(ours.read.readline()))
            ours.write.close()
        except BaseException as error:
            for close in (*mine, ours.write.close):
                with suppress(OSError):
                    close()
            how = end(_PATIENCE_S)
            if isinstance(error, (EOFError, OSError)):  # so it ends when the partner has gone: then this says why
                # An error that another one replaces here is garbage in a circle, with all that its frames hold. That
                # must not be the bytes that a Connection was sending: to collect those crashes Python 3.12.1.
                traceback.clear_frames(error.__traceback__)
                _see_off(how, ours.read)
            raise
        _see_off(end(None), ours.read)


@contextmanager
def _lines() -> Iterator[tuple[_Lines, _Lines]]:
    """Make the files for orders and answers, ours and theirs; all are closed at the end."""
    (orders_out, orders_in), (answers_out, answers_in) = os.pipe(), os.pipe()
    ours = _Lines(os.fdopen(answers_out), os.fdopen(orders_in, "w"))
    theirs = _Lines(os.fdopen(orders_out), os.fdopen(answers_in, "w"))
    try:
        yield ours, theirs
    finally:
        ours.close()  # first: it ends the orders of a thread that is still there
        theirs.close()


def _thread(work: Work, _ours: _Lines, theirs: _Lines, _mine: Closes, its: Closes) -> Callable[..., str | None]:
    unit = threading.Thread(target=_carry_out, args=(work, theirs, its), daemon=True)
    unit.start()

    def end(patience_s: float | None) -> str | None:
        unit.join(patience_s)
        return None if unit.is_alive() else ""

    return end


def _fork(work: Work, ours: _Lines, theirs: _Lines, mine: Closes, its: Closes) -> Callable[..., str | None]:
    pid = os.fork()
    if not pid:
        try:
            for close in (ours.close, *mine):
                close()
            _carry_out(work, theirs, its)
        finally:
            os._exit(0)
    for close in (theirs.close, *its):
        close()

    def end(patience_s: float | None) -> str | None:
        return _buried(pid, patience_s)

    return end


def _buried(pid: int, patience_s: float | None) -> str:
    """Wait for a process, and kill it after ``patience_s``; say what killed it, if that was somebody else."""
    until_s = time.monotonic() + (patience_s or 0.0)
    found, status = os.waitpid(pid, 0 if patience_s is None else os.WNOHANG)
    while not found and time.monotonic() < until_s:
        time.sleep(_LOOK_S)
        found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return ""
    return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else ""


def _carry_out(work: Work, lines: _Lines, its: Closes) -> None:
    def order() -> Json:
        line = lines.read.readline()
        return json.loads(line) if line else None

    def answer(value: Json) -> None:
        lines.write.write(json.dumps({"answer": value}) + "\n")
        lines.write.flush()

    try:
        work(order, answer)
    except BaseException:  # noqa: BLE001 - the other side raises it
        with suppress(OSError, ValueError):  # it has gone
            lines.write.write(json.dumps({"failed": traceback.format_exc()[-2000:]}) + "\n")
            lines.write.flush()
    finally:
        for close in (lines.close, *its):  # the answers first: whoever sees that a channel has ended finds out why
            close()


def _see_off(how: str | None, answers: TextIO) -> None:
    """Raise what the partner could not say any more: that it failed after its last answer, or was killed."""
    if how is None:
        return  # it is still there, and so are its files: nobody knows
    for line in answers:
        _answer(line)
    if how:
        raise RuntimeError(f"the partner {how}")


def _answer(line: str) -> Json:
    if not line:
        raise EOFError("the partner ended without an answer")
    told = json.loads(line)
    if "failed" in told:
        raise RuntimeError(f"the partner failed:\n{told['failed']}")
    return told["answer"]
