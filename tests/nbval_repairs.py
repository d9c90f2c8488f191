"""Three repairs that make nbval 0.11 run a notebook as JupyterLab does. Loaded with `pytest -p tests.nbval_repairs`.

Each replaces one function of `nbval.kernel`; `repair` says loudly when a new nbval no longer has it.
"""

from __future__ import annotations

import os
import time
from queue import Empty
from typing import Any

import nbval.kernel
from nbval.kernel import RunningKernel

POLL_S = 0.5  # how soon a dead kernel is noticed; nbval alone waits until the cell's time-out
start_new_kernel = nbval.kernel.start_new_kernel


def start_as_jupyter_does(*args: Any, **options: Any) -> Any:
    """Start a kernel that does not know that it is under pytest.

    ipykernel leaves file descriptors 1 and 2 alone when it finds PYTEST_CURRENT_TEST: what child processes print,
    and JupyterLab shows, would go nowhere here.
    """
    environment = {**os.environ, **options.pop("env", {})}
    environment.pop("PYTEST_CURRENT_TEST", None)
    return start_new_kernel(*args, env=environment, **options)


def execute_with_history(self: RunningKernel, cell_input: str, allow_stdin: bool | None = None) -> str:  # noqa: FBT001 - nbval's signature
    """Send a cell with store_history: without it IPython does not see the `;` that silences a cell's value."""
    message_id: str = self.kc.execute(cell_input, store_history=True, allow_stdin=allow_stdin, stop_on_error=False)
    return message_id


def await_reply_of_the_living(self: RunningKernel, msg_id: str, timeout: float | None = None) -> None:
    """Wait for the reply to a cell, and stop waiting when the kernel is dead.

    Raises:
        Empty: After `timeout` seconds; nbval then interrupts the kernel.
        RuntimeError: The kernel died or gave the cell up.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left_s = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
        if left_s <= 0:
            raise Empty
        try:
            message = self.get_message(stream="shell", timeout=left_s)
        except Empty:
            if not self.is_alive():
                raise RuntimeError("the kernel died while it ran this cell") from None
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            if message["content"]["status"] == "aborted":
                raise RuntimeError("the kernel aborted this cell")
            return


def repair(owner: Any, name: str, replacement: Any) -> None:
    if not callable(getattr(owner, name, None)):
        raise NotImplementedError(f"nbval has no {name} any more: see whether this repair is still needed")
    setattr(owner, name, replacement)


repair(nbval.kernel, "start_new_kernel", start_as_jupyter_does)
repair(RunningKernel, "execute_cell_input", execute_with_history)
repair(RunningKernel, "await_reply", await_reply_of_the_living)
