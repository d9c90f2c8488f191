"""Models of the queues of ``queue``. Rule: put and get are one operation each; their order is that of the real ones."""

from __future__ import annotations

import collections
import heapq
import queue
from typing import Any

from labkit.interleave import containers, primitives
from labkit.interleave.ops import ENGINE, READ, WRITE, CannotCheck, Op, Place
from labkit.interleave.primitives import Model, narrow, stop

__all__ = ["LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"]

_OVERRIDDEN = ("_init", "_put", "_get", "_qsize")


class _QueueOp(Op):
    """An operation on a queue; never possible while another thread compares the items of a priority queue."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if the queue is at rest."""
        return not self.target.m_busy


class Get(_QueueOp):
    """Taking an item: possible when there is one."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if there is an item."""
        return bool(self.target.m_can_get())


class Put(_QueueOp):
    """Putting an item: possible when there is room."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if there is room."""
        return bool(self.target.m_can_put())


class Done(_QueueOp):
    """Waiting until all items are done."""

    __slots__ = ()

    def enabled(self) -> bool:
        """Return True if nothing is left to do."""
        return bool(self.target.m_can_join())


class _Items(Model):
    """What all queues have in common: items, and in which order they leave."""

    word = "queue"
    maxsize = 0

    def __init__(self) -> None:
        super().__init__()
        self.m_items: Any = collections.deque()
        self.m_unfinished, self.m_joined, self.m_busy = 0, False, False

    # What follows is for the operations, and for `adopt`.
    def m_fill(self, items: Any) -> None:
        """Take over the items of a real queue."""
        self.m_items.extend(items)

    def m_push(self, item: Any) -> None:
        """Store an item."""
        self.m_items.append(item)

    def m_pop(self) -> Any:
        """Remove the item whose turn it is."""
        return self.m_items.popleft()

    def m_more(self, _item: Any = None) -> tuple[tuple[Any, int], ...]:
        """Return what else an operation touches."""
        return ()

    def m_can_get(self) -> bool:
        """Return True if there is an item."""
        return not self.m_busy and len(self.m_items) > 0

    def m_can_put(self) -> bool:
        """Return True if there is room."""
        return not self.m_busy and (self.maxsize <= 0 or len(self.m_items) < self.maxsize)

    def m_can_join(self) -> bool:
        """Return True if nothing is left to do."""
        return not self.m_busy and self.m_unfinished == 0

    def m_op(self, kind: type[Op], name: str, mode: int, place: Place | None, item: Any = None) -> Op:
        """Make an operation on this queue."""
        return kind(name, ((id(self), mode), *(self.m_more(item) if mode == WRITE else ())), self, self.name, place)

    def m_get(self, place: Place | None, *, waits: bool) -> Any:
        """Take an item; if it does not wait, queue.Empty is possible."""
        op = self.m_op(Get if waits else _QueueOp, "get", WRITE, place)
        stop(op)
        if not self.m_can_get():
            narrow(op)
            raise queue.Empty
        op.accesses = ((id(self), WRITE), *self.m_more())  # other items may have come meanwhile
        op.value = item = self.m_pop()
        return item

    def m_put(self, item: Any, place: Place | None, *, waits: bool) -> None:
        """Store an item; if it does not wait, queue.Full is possible."""
        op = self.m_op(Put if waits else _QueueOp, "put", WRITE, place, item)
        op.value = item
        stop(op)
        if not self.m_can_put():
            narrow(op)
            raise queue.Full
        op.accesses = ((id(self), WRITE), *self.m_more(item))
        self.m_push(item)
        self.m_unfinished += 1

    def m_test(self, value: Any) -> Any:
        """Look at the queue."""
        op = self.m_op(_QueueOp, "test", READ, primitives.place_of_call)
        stop(op)
        op.value = value()
        return op.value

    def qsize(self) -> int:
        """Return the number of items."""
        return int(self.m_test(lambda: len(self.m_items)))

    def empty(self) -> bool:
        """Return True if there is no item."""
        return bool(self.m_test(lambda: not self.m_items))

    def get_nowait(self) -> Any:
        """Take an item, or raise queue.Empty."""
        return self.m_get(primitives.place_of_call, waits=False)

    def state(self) -> tuple[Any, ...]:
        """Return all that decides what the object does next."""
        busy = (object(),) if self.m_busy else ()  # how far a comparison has come cannot be read off
        return (self.maxsize, list(self.m_items), self.m_unfinished, *busy)

    def free(self) -> bool | None:
        """Return whether a thread could pass that comes to get, put or join; None if some could and some not."""
        answers = {self.m_can_get()}
        if self.maxsize > 0:
            answers.add(self.m_can_put())
        if self.m_joined:
            answers.add(self.m_can_join())
        return answers.pop() if len(answers) == 1 and not self.m_busy else None


class Queue(_Items):
    """Models ``queue.Queue``."""

    real: Any = queue.Queue

    def __init__(self, maxsize: Any = 0) -> None:
        super().__init__()
        self.maxsize = maxsize
        own = [kind for kind in type(self).__mro__ if not kind.__module__.startswith(ENGINE)]
        if any(name in vars(kind) for kind in own for name in _OVERRIDDEN):
            raise CannotCheck("makes a queue with a store of its own", primitives.place_of_call)

    def __getattr__(self, name: str) -> Any:
        """Refuse the inside of a real queue."""
        if name in {"mutex", "not_empty", "not_full", "all_tasks_done", "queue", "unfinished_tasks", "is_shutdown"}:
            raise CannotCheck(f"uses {name} of a Queue, which the explorer does not know", primitives.place_of_call)
        return super().__getattr__(name)

    def put(self, item: Any, block: Any = True, timeout: Any = None) -> None:  # noqa: FBT002 - as the real one
        """Store an item; a timed wait may be over at any time."""
        bounded = self.maxsize > 0
        if bounded and block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        self.m_put(item, primitives.place_of_call, waits=bool(bounded and block and timeout is None))

    def put_nowait(self, item: Any) -> None:
        """Store an item, or raise queue.Full."""
        self.m_put(item, primitives.place_of_call, waits=False)

    def get(self, block: Any = True, timeout: Any = None) -> Any:  # noqa: FBT002 - as the real one
        """Take an item; a timed wait may be over at any time."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return self.m_get(primitives.place_of_call, waits=bool(block and timeout is None))

    def full(self) -> bool:
        """Return True if there is no room."""
        return bool(self.m_test(lambda: 0 < self.maxsize <= len(self.m_items)))

    def task_done(self) -> None:
        """Count an item as done."""
        op = self.m_op(_QueueOp, "release", WRITE, primitives.place_of_call)
        stop(op)
        if self.m_unfinished <= 0:
            narrow(op)
            raise ValueError("task_done() called too many times")
        self.m_unfinished -= 1

    def join(self) -> None:
        """Wait until every item is done."""
        self.m_joined = True
        # not of kind 'join', which is the end of a thread
        stop(self.m_op(Done, "wait", READ, primitives.place_of_call))


class LifoQueue(Queue):
    """Models ``queue.LifoQueue``."""

    real: Any = queue.LifoQueue

    def m_pop(self) -> Any:
        """Remove the item that came last."""
        return self.m_items.pop()


class PriorityQueue(Queue):
    """Models ``queue.PriorityQueue``: comparing two items may run a student's code, and switch threads."""

    real: Any = queue.PriorityQueue

    def __init__(self, maxsize: Any = 0) -> None:
        super().__init__(maxsize)
        self.m_items: list[Any] = []

    def m_more(self, item: Any = None) -> tuple[tuple[Any, int], ...]:
        """Return a read of the containers among the items, which are compared."""
        return containers.collect((*self.m_items, item))

    def m_push(self, item: Any) -> None:
        """Store an item."""
        steps_count = primitives.own_steps()
        self.m_busy = True
        try:
            heapq.heappush(self.m_items, item)
            primitives.rest(self, steps_count)
        finally:
            self.m_busy = False

    def m_pop(self) -> Any:
        """Remove the least item."""
        steps_count = primitives.own_steps()
        self.m_busy = True
        try:
            item = heapq.heappop(self.m_items)
            primitives.rest(self, steps_count)
        finally:
            self.m_busy = False
        return item


class SimpleQueue(_Items):
    """Models ``queue.SimpleQueue``."""

    real = queue.SimpleQueue

    def put(self, item: Any, block: Any = True, timeout: Any = None) -> None:  # noqa: ARG002, FBT002 - as the real one
        """Store an item."""
        self.m_put(item, primitives.place_of_call, waits=False)

    def put_nowait(self, item: Any) -> None:
        """Store an item."""
        self.m_put(item, primitives.place_of_call, waits=False)

    def get(self, block: Any = True, timeout: Any = None) -> Any:  # noqa: FBT002 - as the real one
        """Take an item; a timed wait may be over at any time."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        return self.m_get(primitives.place_of_call, waits=bool(block and timeout is None))
