"""The worker's entry point: load one workload, run it, report. Rule: whatever the workload does, say what happened."""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import signal
import sys
import time
import traceback
from importlib.machinery import PathFinder
from types import ModuleType

from labkit.child import leftovers, waits
from labkit.child.emit import connect, send
from labkit.child.keeper import STACKS, TASK
from labkit.child.processes import COOKIE
from labkit.errors import NotHere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from typing import Any

__all__ = ["main"]

_EVENTS, _GO = 3, 4  # descriptors that the keeper hands over
_RESULT_BYTES = 1 << 20
_LESS = "at most 1 MiB as JSON; return a summary"
_ERROR_CHARACTERS, _ERROR_FRAMES = 8000, 30


def main(folder: str, preload: str) -> None:
    """Wait for the word to go, then run the task in ``folder``. ``preload`` names a module to import while waiting."""
    stacks = os.open(os.path.join(folder, STACKS), os.O_WRONLY | os.O_CREAT, 0o600)
    faulthandler.enable(stacks)
    faulthandler.register(signal.SIGUSR1, stacks, all_threads=True, chain=False)
    connect(_private_copy(_EVENTS))
    waits.install()
    sys.path.append(folder)  # it holds a link to labkit and no other module: for children that multiprocessing spawns
    sys.meta_path.insert(0, _TagSharedNames(os.environ[COOKIE], folder))
    if preload:
        importlib.import_module(preload)
    if os.read(_GO, 1) != b"g":
        os._exit(0)  # the keeper is gone
    os.close(_GO)
    with open(os.path.join(folder, TASK), "rb") as file:
        task = json.load(file)
    if task["folder"]:
        sys.path.append(task["folder"])  # at the end: a student's queue.py must not hide the standard library's
    sys.exit(0 if _report(task) else 1)


def _report(task: dict[str, Any]) -> bool:
    """Run the task and send how it went. Return True if it returned a result; SystemExit passes through."""
    worker = os.getpid()
    try:
        workload = _load(task["workload"], task["source"])
        if task.get("watch"):
            importlib.import_module("labkit.child.watch").begin()
        send(["begin", time.monotonic_ns(), _version()])
        began_ns = time.monotonic_ns()
        value = workload(**task["params"])
        elapsed_ns = time.monotonic_ns() - began_ns
        record = _result(elapsed_ns, value)
    except SystemExit:
        raise
    except NotHere as missing:
        record = ["unavailable", str(missing)]
    except BaseException as error:
        if os.getpid() != worker:
            raise
        record = ["error", _describe(error), _headline(error)]
    if os.getpid() == worker:  # a forked copy that came back from the workload ends as any program does: it has no say
        send(record)
    return record[0] == "result"


def _result(elapsed_ns: int, value: object) -> list[object]:
    """Make the record of what the workload returned, as plain data: nothing of the student's is looked at later."""
    result = value if isinstance(value, dict) else {} if value is None else {"value": value}
    try:
        text = json.dumps(result, allow_nan=False)
        json.dumps(result, ensure_ascii=False).encode()  # half a character, such as '\\ud800', cannot be shown
        _check_keys(result)
        if len(text) > _RESULT_BYTES:
            return ["error", f"ValueError: the workload returned {len(text)} bytes: {_LESS}"]
        return ["result", elapsed_ns, json.loads(text)]
    except Exception as error:  # noqa: BLE001 - an object of the student's may raise anything
        advice = "return numbers, text, or lists and dicts of them"
        kind = type(value).__name__
        return ["error", f"TypeError: the workload returned a {kind}, no plain data ({_headline(error)}): {advice}"]


def _check_keys(value: object) -> None:
    """Refuse keys that JSON would turn into text, and so perhaps into each other."""
    if isinstance(value, dict):
        odd = [key for key in value if not isinstance(key, str)]
        if odd:
            raise TypeError(f"the key {odd[0]!r} is no text")
    if isinstance(value, (dict, list, tuple)):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_keys(inner)


def _load(workload: str, source: Sequence[tuple[str, int, str]]) -> Callable[..., object]:
    """Find a function by its address, or make it from source in a fresh ``__main__``."""
    module_name, _, name = workload.partition(":")
    if not source:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
        return found  # type: ignore[no-any-return]
    import linecache

    module = sys.modules["__main__"] = ModuleType("__main__")
    lines: dict[str, list[str]] = {}
    for file, line, text in source:
        known = lines.setdefault(file, [])
        own = text.splitlines(keepends=True)
        known += ["\n"] * (line - 1 + len(own) - len(known))
        known[line - 1 : line - 1 + len(own)] = own
        linecache.cache[file] = (0, None, known, file)  # so that tracebacks show the student's lines
        exec(compile("\n" * (line - 1) + text, file, "exec", dont_inherit=True), vars(module))  # noqa: S102 - the student's own code
    return vars(module)[name]  # type: ignore[no-any-return]


def _describe(error: BaseException) -> str:
    """Give the traceback without labkit's own frames, of any exception, printable or not."""
    try:
        frames = error.__traceback__.tb_next if error.__traceback__ else None
        lines = traceback.format_exception(type(error), error, frames, limit=-_ERROR_FRAMES)
        return _showable("".join(lines)[-_ERROR_CHARACTERS:])
    except BaseException as second:  # noqa: BLE001 - its __str__ may raise anything
        return f"{type(error).__name__}: <cannot be printed: {type(second).__name__}>"


def _headline(error: BaseException) -> str:
    """Give type and message in one line, without notes, groups and further lines."""
    try:
        message = _showable(str(error)).strip().splitlines()
    except BaseException as second:  # noqa: BLE001 - its __str__ may raise anything
        message = [f"<cannot be printed: {type(second).__name__}>"]
    return f"{type(error).__name__}: {message[0][:300]}" if message else type(error).__name__


def _showable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _private_copy(descriptor: int) -> int:
    """Move a descriptor to where no started program inherits it."""
    copy = os.dup(descriptor)
    os.close(descriptor)
    return copy


def _version() -> str:
    numbers = ".".join(map(str, sys.version_info[:3]))
    return numbers + ("t" if "t" in getattr(sys, "abiflags", "") else "")


class _TagSharedNames:
    """Give every shared name of this run the run's prefix, when multiprocessing is imported and not before.

    A finder of ``sys.meta_path``: importing multiprocessing for this alone would add a third to a child's start-up.
    """

    def __init__(self, run_id: str, folder: str) -> None:
        self.prefix, self.ledger = f"/{leftovers.tag(run_id)}", os.path.join(folder, leftovers.LEDGER)
        self.actions = {
            "multiprocessing.process": self._tag_semaphores,
            "multiprocessing.shared_memory": self._tag_segments,
        }

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in self.actions:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            action, execute = self.actions.pop(name), spec.loader.exec_module

            def execute_and_tag(module: ModuleType) -> None:
                execute(module)
                action(module)

            spec.loader.exec_module = execute_and_tag  # type: ignore[method-assign]
        return spec

    def _tag_semaphores(self, module: Any) -> None:
        module.current_process()._config["semprefix"] = self.prefix  # noqa: SLF001 - no public way, 3.10 to 3.14

    def _tag_segments(self, module: Any) -> None:
        if not hasattr(module, "_posixshmem"):
            return
        ledger, real = self.ledger, module._posixshmem  # noqa: SLF001
        module._SHM_NAME_PREFIX = self.prefix  # noqa: SLF001

        def note(sign: str, path: str) -> None:
            if sign:
                with open(ledger, "a") as file:
                    file.write(f"{sign}{path}\n")

        class Noted:
            shm_unlink = staticmethod(real.shm_unlink)

            @staticmethod
            def shm_open(path: str, flags: int, mode: int = 0o777) -> int:
                note("+" if flags & os.O_CREAT else "", path)  # before it exists: a crash in between loses nothing
                try:
                    return real.shm_open(path, flags, mode=mode)  # type: ignore[no-any-return]
                except FileExistsError:
                    note("-", path)  # somebody else's: it must outlive this run
                    raise

        module._posixshmem = Noted  # noqa: SLF001
