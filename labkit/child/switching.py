"""Two sides on one core, and what each step of theirs takes. Rule: each side reads the clocks of its own thread only.

CPU time and context switches are those of both sides together, so it does not matter whether the other side is a thread
or a process, nor what else runs on the machine.
"""

from __future__ import annotations

import io
import os
import resource
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from labkit.child.cores import on_one_core
from labkit.child.partner import beside
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from labkit.child.partner import Closes
    from labkit.model import Json

__all__ = ["Steps", "Used", "bounce", "metered", "one_core", "sides"]

_CALLS = "/proc/thread-self/io"


class Used(NamedTuple):
    """What a piece of work took.

    Attributes:
        cpu_s: CPU time.
        switches_count: Context switches.
        calls_count: System calls that read or write; 0 where the system does not count them.
        faults_count: Page faults: pages of memory that the kernel had to give or to copy first.
    """

    cpu_s: float
    switches_count: int
    calls_count: int
    faults_count: int


class Steps(NamedTuple):
    """What both sides do at the same time.

    Attributes:
        near: What this side does, so many times.
        far: What the other side does.
        mine: What closes this side's ends of what the steps go through; each may be called more than once.
        its: What closes those of the other side.
    """

    near: Callable[[int], None]
    far: Callable[[int], None]
    mine: Closes = ()
    its: Closes = ()


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this thread, and all that it starts meanwhile, on the last core that it may use.

    Raises:
        NotHere: If the system cannot do that.
    """
    with on_one_core() as kept:
        if not kept:
            raise NotHere("this system cannot keep two workers on one core, where each message makes them take turns")
        yield


def metered(work: Callable[[int], None], count: int) -> Used:
    """Do a piece of work so many times, and tell what that took of this thread."""
    calls, before, began_s = _calls(), _thread_usage(), time.thread_time()
    work(count)
    took_s = time.thread_time() - began_s
    after = _thread_usage()
    switches = after.ru_nvcsw + after.ru_nivcsw - before.ru_nvcsw - before.ru_nivcsw
    calls = max(0, _calls() - calls - 1)  # the first look was one call
    return Used(took_s, switches, calls, after.ru_minflt - before.ru_minflt)


@contextmanager
def sides(between: str, steps: Mapping[str, Steps]) -> Iterator[Callable[[str, int], Used]]:
    """Hold a partner for the far side of some steps; yields a function that takes one of them so many times.

    Args:
        between: ``"threads"`` or ``"processes"``.
        steps: What there is to do, by name. What the steps use must be there before, and until afterwards.

    Raises:
        NotHere: If this system cannot fork, and has to, or counts no switches of a thread.
    """

    def serve(order: Callable[[], Json], answer: Callable[[Json], None]) -> None:
        while what := order():
            answer(metered(steps[what[0]].far, what[1]))

    mine, its = ([close for one in steps.values() for close in getattr(one, side)] for side in ("mine", "its"))
    with beside(between, serve, mine=mine, its=its) as partner:

        def take(name: str, count: int) -> Used:
            partner.order([name, count])
            mine = metered(steps[name].near, count)
            return Used(*(own + other for own, other in zip(mine, partner.answer(), strict=True)))

        yield take


@contextmanager
def bounce(data: bytes) -> Iterator[Steps]:
    """Send a few bytes there and back through two pipes, in the tightest loop that Python has.

    A side that is gone is an end of file for the other, which then cannot write any more: a `BrokenPipeError`.

    Args:
        data: What goes over, from 1 to 512 bytes: it is never split.
    """
    with ExitStack() as held:
        (near_out, far_in), (far_out, near_in) = (
            [held.enter_context(io.FileIO(end, mode)) for end, mode in zip(os.pipe(), "rw", strict=True)]
            for _ in range(2)
        )

        def near(count: int) -> None:
            write, read, out, into, size = os.write, os.read, near_in.fileno(), near_out.fileno(), len(data)
            for _ in range(count):
                write(out, data)
                read(into, size)

        def far(count: int) -> None:
            write, read, out, into, size = os.write, os.read, far_in.fileno(), far_out.fileno(), len(data)
            for _ in range(count):
                read(into, size)
                write(out, data)

        yield Steps(near, far, [near_in.close, near_out.close], [far_in.close, far_out.close])


def _thread_usage() -> resource.struct_rusage:
    if not hasattr(resource, "RUSAGE_THREAD"):
        raise NotHere("this system does not count the context switches of a thread")
    return resource.getrusage(resource.RUSAGE_THREAD)


def _calls() -> int:
    """Count the system calls of this thread that read or wrote."""
    try:
        file = os.open(_CALLS, os.O_RDONLY)
    except OSError:
        return 0
    try:
        fields = dict(line.split(b": ") for line in os.read(file, 512).splitlines())
    finally:
        os.close(file)
    return int(fields[b"syscr"]) + int(fields[b"syscw"])
