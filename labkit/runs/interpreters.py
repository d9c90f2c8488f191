"""The Python interpreters of this machine. Rule: each speaks for itself, in a child that is killed if it is silent.

A name says little: ``python3.13`` may be free-threaded, a shim, or broken. So every candidate is asked, once.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.errors import BadValue
from labkit.model import Interpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OLDEST", "find", "probe"]

OLDEST = (3, 10)
_TIMEOUT_S = 5.0
_ANSWER_BYTES_MOST = 64 * 1024
_AT_ONCE = 4
_ALLOWED = f"the path of a CPython of version {OLDEST[0]}.{OLDEST[1]} or later"
_ON_PATH = re.compile(r"python3(\.\d+)?t?")
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG")  # builds with a shared libpython may need the first two

# In the grammar that all versions share, so that an old one can say how old it is. `abiflags` has a t if free-threaded.
PROBE = """
import json, os, sys
try:
    from importlib.machinery import PathFinder, BuiltinImporter
    names = ("_interpreters", "_xxsubinterpreters")
    found = [n for n in names if BuiltinImporter.find_spec(n) or PathFinder.find_spec(n)]
except ImportError:
    found = []
print(json.dumps({
    "labkit": 1,
    "implementation": getattr(getattr(sys, "implementation", None), "name", ""),
    "version": list(sys.version_info[:3]),
    "free_threaded": "t" in getattr(sys, "abiflags", ""),
    "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
    "subinterpreters": found,
    "switch_interval_s": getattr(sys, "getswitchinterval", lambda: 0.005)(),
    "base": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
}))
"""


class _Answer(NamedTuple):
    """What a probe found: an interpreter with its base executable, or the reason why it is none."""

    interpreter: Interpreter | None
    base: str = ""
    problem: str = ""


_answers: dict[tuple[str, int, int], _Answer] = {}
_found: list[tuple[Interpreter, ...]] = []


def find(*, fresh: bool = False) -> tuple[Interpreter, ...]:
    """Find the interpreters that can run a workload.

    Looks at this kernel, PATH, pyenv, uv, conda, and the paths in the environment variable ``LABKIT_PYTHONS``.

    Args:
        fresh: Look again; else what was found before is returned.

    Returns:
        Each base installation once, this kernel's first. Broken ones and those before 3.10 are left out.
    """
    if fresh or not _found:
        candidates: dict[str, tuple[str, str]] = {}
        for path, where in _candidates():
            candidates.setdefault(os.path.realpath(path), (os.path.abspath(path), where))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            answers = list(pool.map(lambda item: _ask(item[0]), candidates.values()))
        unique: dict[str, Interpreter] = {}
        for (_, where), answer in zip(candidates.values(), answers, strict=True):
            if answer.interpreter is not None:
                unique.setdefault(answer.base, answer.interpreter._replace(found_in=where))
        _found[:] = [tuple(unique.values())]
    return _found[0]


def probe(path: str | os.PathLike[str]) -> Interpreter:
    """Ask one interpreter what it is.

    Args:
        path: Its executable, or a name on PATH; ``~`` stands for the home folder.

    Returns:
        Its answer. A file that has not changed since it was last asked is not asked again.

    Raises:
        BadValue: If there is no such file, it cannot be run, or it is no CPython of 3.10 or later.
    """
    name = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(name, str) or not name or "\0" in name:
        raise BadValue("python", path, _ALLOWED, "Leave it out for the Python of this notebook.")
    found = shutil.which(name) if os.sep not in name else None  # a bare name is looked up as a shell does
    answer = _ask(os.path.abspath(found or os.path.expanduser(name)))
    if answer.interpreter is None:
        raise BadValue("python", path, _ALLOWED, f"{answer.problem}. lab.machine().interpreters lists those here.")
    return answer.interpreter


def _candidates() -> Iterator[tuple[str, str]]:
    """Yield every path that may be an interpreter, with the place where it was found."""
    if sys.executable:
        yield sys.executable, "this kernel"
    home = os.path.expanduser("~")
    pyenv = os.environ.get("PYENV_ROOT") or os.path.join(home, ".pyenv")
    for folder in os.get_exec_path():
        if os.path.isabs(folder) and os.path.realpath(folder) != os.path.realpath(os.path.join(pyenv, "shims")):
            with contextlib.suppress(OSError):
                names = sorted(name for name in os.listdir(folder) if _ON_PATH.fullmatch(name))
                yield from ((os.path.join(folder, name), "PATH") for name in names)
    data = os.environ.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    uv = os.environ.get("UV_PYTHON_INSTALL_DIR") or os.path.join(data, "uv", "python")
    for where, root in (("pyenv", os.path.join(pyenv, "versions")), ("uv", uv)):
        yield from ((path, where) for path in sorted(glob.glob(os.path.join(glob.escape(root), "*", "bin", "python3"))))
    for prefix in _conda(home):
        yield os.path.join(prefix, "bin", "python"), "conda"
    for path in os.environ.get("LABKIT_PYTHONS", "").split(os.pathsep):
        if path:
            yield os.path.expanduser(path), "LABKIT_PYTHONS"


def _conda(home: str) -> list[str]:
    prefixes = [os.environ.get("CONDA_PREFIX", "")]
    with (
        contextlib.suppress(OSError, UnicodeDecodeError),
        open(os.path.join(home, ".conda", "environments.txt"), encoding="utf-8") as lines,
    ):
        prefixes += [line.strip() for line in lines]
    return [prefix for prefix in prefixes if os.path.isabs(prefix)]


def _ask(path: str) -> _Answer:
    """Ask one executable, or remember what it said."""
    try:
        status = os.stat(path)
    except OSError as error:
        return _Answer(None, problem=f"There is no such file ({error.strerror})")
    if not stat.S_ISREG(status.st_mode) or not os.access(path, os.X_OK):
        return _Answer(None, problem="That is not a file that can be executed")
    key = (path, status.st_mtime_ns, status.st_size)
    answer = _answers.get(key) or _understand(path, _output(path))
    if answer.interpreter is not None:  # one that was too slow may answer the next time
        _answers[key] = answer
    return answer


def _understand(path: str, output: bytes) -> _Answer:
    """Turn the output of a probe into an answer; whatever printed it may have been no Python at all."""
    try:
        said: Any = json.loads(output.decode())
        version = tuple(int(number) for number in said["version"])
        known = said["labkit"] == 1 and len(version) == len("123")
        words = ".".join(map(str, version)) + ("t" if said["free_threaded"] else "")
        interval_s = float(said["switch_interval_s"])
        interpreter = Interpreter(
            path, words, bool(said["gil"]), bool(said["subinterpreters"]), "given path", interval_s
        )
        implementation, base = str(said["implementation"]), str(said["base"])
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        return _Answer(None, problem=f"It did not answer as a Python (it had {_TIMEOUT_S:g} s)")
    if implementation not in {"cpython", ""}:
        return _Answer(None, problem=f"That is {implementation}, which has other threads than CPython")
    if version < OLDEST:
        return _Answer(None, problem=f"That is Python {words}, which is too old")
    return _Answer(interpreter, base)


def _output(path: str) -> bytes:
    """Run the probe; return what it printed. No reader of a pipe here waits for an end of file that may never come."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    try:
        process = subprocess.Popen(
            [path, "-I", "-S", "-c", PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except OSError:
        return b""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        return _read(process.stdout.fileno(), time.monotonic() + _TIMEOUT_S)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses a group of zombies
            os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number still means this group
        process.stdout.close()
        process.wait()


def _read(descriptor: int, until_s: float) -> bytes:
    """Read until the end, a limit, or a moment on the monotonic clock."""
    chunks = b""
    with selectors.DefaultSelector() as ready:
        ready.register(descriptor, selectors.EVENT_READ)
        while len(chunks) <= _ANSWER_BYTES_MOST and ready.select(max(0.0, until_s - time.monotonic())):
            chunk = os.read(descriptor, _ANSWER_BYTES_MOST)
            if not chunk:
                return chunks
            chunks += chunk
    return b""
