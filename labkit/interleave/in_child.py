"""The explorer's side of a child process: find the functions in the child's ``__main__``, explore, send the result.

Rule: what is returned is plain data of at most 1 MiB; what is longer is cut, and the result says so.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from labkit.child.emit import emit
from labkit.errors import LabError
from labkit.interleave.result import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from labkit.interleave.result import Result

__all__ = ["ENTRY", "PROGRESS", "as_data", "explore_here", "real_runs"]

ENTRY = "_labkit_entry"  # name in ``__main__`` by which the child's entry point finds one of the functions below
PROGRESS = "labkit executions"  # name of the events that say how far the search is
DATA_BYTES_MOST = 900_000  # the entry point allows 1 MiB
_PROGRESS_INTERVAL_S = 0.1
SMALLEST_INTERVAL_S = 1e-6
_END_S = 0.5  # a run that takes longer is given up
_UNENDED_MOST = 3  # their threads stay, and would disturb the others


def explore_here(
    functions: Sequence[str], roles: Mapping[str, str | None], options: Mapping[str, Any], *, alone: bool = False
) -> dict[str, Any]:
    """Explore functions of ``__main__``.

    Args:
        functions: Global names of the functions.
        roles: Global names of setup, check and outcome; None where there is none.
        options: Further arguments of `labkit.interleave.explore.explore`.
        alone: True for one function that starts its own threads.

    Returns:
        ``{"result": ...}`` as `labkit.interleave.result.to_json` gives it, or ``{"refused": [class, *arguments]}``.
    """
    from labkit.interleave.explore import explore

    space = vars(sys.modules["__main__"])
    space.pop(ENTRY, None)  # no part of the student's program
    chosen = {role: space[name] for role, name in roles.items() if name is not None}
    given = dict(options)
    if "switch_points" in given:
        given["switch_points"] = frozenset(given["switch_points"])
    workers: Any = space[functions[0]] if alone else [space[name] for name in functions]
    try:
        return {"result": as_data(explore(workers, **chosen, **given, progress=_teller()))}
    except LabError as refusal:
        return {"refused": [type(refusal).__name__, *(_shown(item) for item in refusal.args)]}


def _teller() -> Callable[..., None]:
    """Return a function that sends how far the search is, ten times a second at most."""
    last = [float("-inf")]

    def tell(executions: int, share: float = 0.0, _: float = 0.0, schedules: float = 0.0) -> None:
        if time.monotonic() >= last[0] + _PROGRESS_INTERVAL_S:
            last[0] = time.monotonic()
            emit("sample", PROGRESS, [executions, share, 0.0, schedules])

    return tell


def as_data(result: Result) -> dict[str, Any]:
    """Make plain data of a result: a witness or a list of outcomes that is too long is cut, with a note."""
    data: dict[str, Any] = _clean(to_json(result))
    notes = []
    for name, what in (("witness", "the witness is cut after {} of its {} steps"), ("outcomes", "{} of {} outcomes")):
        rows, count = data[name], len(data[name])
        while rows and len(json.dumps(data)) > DATA_BYTES_MOST:
            rows = data[name] = rows[: len(rows) // 2]
            if name == "witness":
                data["events"] = data["events"][: len(rows)]
        if len(rows) < count:
            notes.append(
                f"{what.format(len(rows), count)} are shown" if name == "outcomes" else what.format(len(rows), count)
            )
    if notes:
        data["reason"] = f"{data['reason']} (Too long to be sent whole: {'; '.join(notes)}.)"
    return data


def _clean(value: Any) -> Any:
    """Make text that can be shown, and lists and dicts of it."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value if isinstance(value, (int, float, type(None))) else _shown(value)


def _shown(value: object) -> str:
    try:
        return value if isinstance(value, str) else repr(value)
    except Exception:  # noqa: BLE001 - a student's own __repr__
        return f"a {type(value).__name__} that cannot be printed"


def real_runs(
    functions: Sequence[str],
    roles: Mapping[str, str | None],
    options: Mapping[str, Any],
    *,
    alone: bool = False,  # noqa: ARG001 - one function is one thread here, too
) -> dict[str, Any]:
    """Run the functions as real threads, again and again, each time from a fresh start.

    Args:
        functions: Global names of the functions.
        roles: Global names of setup and check, where there are.
        options: ``seconds`` for all runs together, half of them at the default switch interval, half at the smallest;
            ``source``, the pieces of source, which are run anew for every run; and ``folder``, whose modules are
            imported anew, too.
        alone: True for one function that starts its own threads.

    Returns:
        ``rows``: for each switch interval ``[interval_s, wrong, ended, unended]``.
    """
    usual = sys.getswitchinterval()
    rows = [[usual, 0, 0, 0], [SMALLEST_INTERVAL_S, 0, 0, 0]]
    until = time.monotonic() + options["seconds"]
    number = 0
    while time.monotonic() < until and sum(row[3] for row in rows) < _UNENDED_MOST:
        row = rows[number % 2]  # in turn, so that a busy moment of the machine meets both
        number += 1
        sys.setswitchinterval(row[0])
        for module in _of_folder(options["folder"]):
            del sys.modules[module]
        wrong = _run_once(functions, roles, options["source"])
        row[1] += wrong is True
        row[2] += wrong is not None
        row[3] += wrong is None
    sys.setswitchinterval(usual)
    return {"rows": rows}


def _run_once(
    functions: Sequence[str], roles: Mapping[str, str | None], source: Sequence[Sequence[Any]]
) -> bool | None:
    """Run the program once; return whether the end is wrong, or None if it did not come."""
    space = _fresh(functions[0], source)
    chosen = {role: space[name] for role, name in roles.items() if name is not None}
    state = [chosen["setup"]()] if "setup" in chosen else []
    together = threading.Barrier(len(functions))
    failed: list[str] = []

    def work(function: Callable[..., object]) -> None:
        together.wait()
        try:
            _call(function, state)
        except BaseException as error:  # noqa: BLE001 - what a thread dies of is what is counted
            failed.append(type(error).__name__)

    threads = [threading.Thread(target=work, args=(space[name],), daemon=True) for name in functions]
    for thread in threads:
        thread.start()
    limit = time.monotonic() + _END_S
    for thread in threads:
        thread.join(max(0.0, limit - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        return None
    return bool(failed) or ("check" in chosen and not _call(chosen["check"], state))


def _of_folder(folder: str) -> list[str]:
    """Return the names of the imported modules whose files are in a folder; none if there is no folder."""
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    return [name for name, file in files.items() if folder and file.startswith(folder + os.sep)]


def _fresh(name: str, source: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Run the source once more, in a new ``__main__``."""
    from labkit.child.entry import _load

    _load(f"<cell>:{name}", [(file, line, text) for file, line, text in source])
    return vars(sys.modules["__main__"])


def _call(function: Callable[..., object], state: list[object]) -> object:
    """Call a function with the state, or without it if it takes nothing."""
    takes = inspect.signature(function).parameters if state else {}
    return function(*state) if takes else function()
