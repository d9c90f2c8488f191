"""Reorder the independent steps of an execution so that a person can follow it. Rule: same trace, fewer switches."""

from __future__ import annotations

from labkit.interleave.happens_before import HappensBefore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from labkit.interleave.execution import Execution

__all__ = ["calmest"]


def calmest(execution: Execution) -> list[int]:
    """Return an equivalent schedule that stays with each thread for as long as the order of steps allows.

    Returns:
        Thread numbers, one per step. Greedy: of the threads that can go on, the one with the longest run is next.
    """
    order = HappensBefore(execution.threads)
    for thread, op in execution.trace:
        order.add(thread, op, order.before(op, order.forced(thread, op)))
    needed = [mask & ~(1 << number) for number, mask in enumerate(order.past)]
    queues: dict[int, list[int]] = {}
    for number, (thread, _) in enumerate(execution.trace):
        queues.setdefault(thread, []).append(number)
    done, schedule = 0, []
    while any(queues.values()):
        runs = {thread: _run(steps, needed, done) for thread, steps in queues.items() if steps}
        thread = max(runs, key=lambda index: (runs[index], -index))
        for _ in range(runs[thread]):
            done |= 1 << queues[thread].pop(0)
            schedule.append(thread)
    return schedule


def _run(steps: list[int], needed: list[int], done: int) -> int:
    """Return how many of a thread's steps can follow each other now."""
    count = 0
    for step in steps:
        if needed[step] & ~done:
            break
        done |= 1 << step
        count += 1
    return count
