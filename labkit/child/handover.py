"""Hand a list to a worker that waits, and get an answer back. Rule: no worker is given more than it needs.

A thread is given the list itself. A process, or a subinterpreter, has a memory of its own: the list is written as
bytes, goes through a pipe, and is built anew. The same bytes and the same kind of pipe serve both, so that a comparison
of them compares nothing else; the means of subinterpreters differ by version. The bytes are written by `marshal`, which
every Python has: labkit hands no pickle on, and a list of numbers needs none.
"""

from __future__ import annotations

import marshal
import os
import time
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from labkit.child.subinterpreters import find_labkit, interpreter
from labkit.errors import NotHere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # Takes a question and a list; returns the answer, and the CPU time so far, in s, of a worker that is a process.
    Ask = Callable[[str, list[float]], tuple[float, float]]

__all__ = ["ANSWERS", "serve", "to_fork", "to_interpreter", "to_thread"]

_PATIENCE_S = 8.0  # an answer that takes longer has failed
_HEAD_BYTES = 8
# "sum" needs every number; "last" takes no time, so that nothing is measured but the way there and back.
ANSWERS: dict[str, Callable[[list[float]], float]] = {"sum": sum, "last": lambda numbers: numbers[-1]}


@contextmanager
def to_thread() -> Iterator[Ask]:
    """Hold a thread that answers; yields the function that asks it."""
    import queue  # both not at the top: up to 3.12 a subinterpreter that has imported threading may never end
    import threading

    tasks: queue.SimpleQueue[tuple[str, list[float]] | None] = queue.SimpleQueue()
    answers: queue.SimpleQueue[float] = queue.SimpleQueue()

    def work() -> None:
        while task := tasks.get():
            answers.put(ANSWERS[task[0]](task[1]))

    def ask(question: str, numbers: list[float]) -> tuple[float, float]:
        tasks.put((question, numbers))
        return answers.get(timeout=_PATIENCE_S), 0.0

    unit = threading.Thread(target=work)
    unit.start()
    try:
        yield ask
    finally:
        tasks.put(None)
        unit.join()


@contextmanager
def to_fork() -> Iterator[Ask]:
    """Hold a forked process that answers; yields the function that asks it.

    Raises:
        NotHere: If this system cannot fork.
    """
    if not hasattr(os, "fork"):
        raise NotHere("this system cannot fork a process")
    tasks, answers = os.pipe(), os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(tasks[1])  # else it would not see the end of this pipe
            serve(tasks[0], answers[1])
        finally:
            os._exit(0)
    os.close(tasks[0])
    os.close(answers[1])
    try:
        with open(answers[0], "rb") as back, open(tasks[1], "wb") as there:
            yield partial(_ask, there, back)
    finally:
        os.waitpid(pid, 0)


@contextmanager
def to_interpreter() -> Iterator[Ask]:
    """Hold a subinterpreter that answers, in a thread of its own; yields the function that asks it.

    Raises:
        NotHere: If this Python cannot make subinterpreters.
    """
    from concurrent.futures import ThreadPoolExecutor

    def work(text: str) -> None:
        try:
            execute(text)
        finally:
            os.close(answers[1])  # whoever waits for an answer sees the end

    with ThreadPoolExecutor(1) as pool, interpreter() as execute:
        tasks, answers = os.pipe(), os.pipe()
        serving = f"from labkit.child import handover; handover.serve({tasks[0]}, {answers[1]})"
        unit = pool.submit(work, f"{find_labkit()}; {serving}")
        try:
            with open(answers[0], "rb") as back, open(tasks[1], "wb") as there:
                yield lambda question, numbers: (_ask(there, back, question, numbers)[0], 0.0)
        finally:
            try:
                unit.result()
            finally:
                os.close(tasks[0])


def serve(tasks: int, answers: int) -> None:
    """Answer what comes through one pipe by another, until that ends.

    Args:
        tasks: Descriptor to read from.
        answers: Descriptor to write to.
    """
    with open(tasks, "rb", closefd=False) as asked, open(answers, "wb", closefd=False) as told:
        while message := _receive(asked):
            question, numbers = marshal.loads(message)  # noqa: S302 - from this run's own process
            _send(told, (ANSWERS[question](numbers), time.process_time()))


def _ask(there: IO[bytes], back: IO[bytes], question: str, numbers: list[float]) -> tuple[float, float]:
    _send(there, (question, numbers))
    message = _receive(back)
    if not message:
        raise RuntimeError("a worker ended without an answer")
    answer: tuple[float, float] = marshal.loads(message)  # noqa: S302 - from this run's own worker
    return answer


def _send(file: IO[bytes], value: Any) -> None:
    message = marshal.dumps(value)
    file.write(len(message).to_bytes(_HEAD_BYTES, "little"))
    file.write(message)
    file.flush()


def _receive(file: IO[bytes]) -> bytes:
    """Read one message; nothing if the other side has gone."""
    head = file.read(_HEAD_BYTES)
    return file.read(int.from_bytes(head, "little")) if len(head) == _HEAD_BYTES else b""
