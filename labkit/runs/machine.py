"""What this machine can really do. Rule: only what the process may use counts, not what the hardware has.

A container hides its limits: ``os.cpu_count()`` says 64 where a quota allows one and a half.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
from typing import NamedTuple

from labkit.model import Machine
from labkit.runs.interpreters import find

__all__ = ["machine"]

_SHM = "/dev/shm"  # noqa: S108 - the system's shared memory, not a temporary file
_KIB = 1024


def machine() -> Machine:
    """Look at this machine, as this process may use it.

    Returns:
        Its cores, memory, interpreter and load at this moment. Nothing is kept: limits may change while a kernel runs.
    """
    present = os.cpu_count() or 1
    cores, why = _cores(present)
    memory, free = _memory()
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=platform.machine(),
        cores_count=cores,
        cores_present_count=present,
        cores_why=why,
        memory_bytes=memory,
        memory_free_bytes=free,
        shared_memory_bytes=_shared_memory(),
        python=platform.python_version() + ("t" if "t" in getattr(sys, "abiflags", "") else ""),
        gil=bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        switch_interval_s=sys.getswitchinterval(),
        # get_start_method() alone would fix the method for the whole kernel; the first of all is the default
        start_method=multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0],
        load_ratio=_load(cores),
        interpreters=find(),
    )


class _Group(NamedTuple):
    """A folder of limits: this process's control group, or one of those around it."""

    folder: str
    version: int


def _read(path: str) -> str:
    """Return the text of a file of the kernel; empty if there is none. Tests put made-up machines here."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _cores(present: int) -> tuple[float, str]:
    """Return the cores that may be used, and why they are fewer than there are."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quota = min((quota for group in _groups("cpu") if (quota := _quota(group)) is not None), default=float(present))
    reasons = []
    if allowed < present:
        reasons.append(f"affinity allows {allowed} of {present} cores")
    if quota < present:
        reasons.append(f"a quota of the control group allows the time of {quota:g} cores")
    return min(float(allowed), quota), " and ".join(reasons)


def _quota(group: _Group) -> float | None:
    """Return the cores' worth of time that a group may use; None if it sets no limit."""
    if group.version == 1:
        words = [_read(f"{group.folder}/cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    else:
        words = _read(f"{group.folder}/cpu.max").split()
    numbers = [
        int(word) for word in words if word.isdecimal()
    ]  # 'max' in version 2 and '-1' in version 1 are no limits
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else None  # noqa: PLR2004 - quota and period


def _memory() -> tuple[int, int]:
    """Return the memory that this process may use at most, and what is available now, in bytes."""
    lines = [line.split() for line in _read("/proc/meminfo").splitlines()]
    sizes = {line[0]: int(line[1]) * _KIB for line in lines if len(line) > 1 and line[1].isdecimal()}
    physical, free = sizes.get("MemTotal:", 0), sizes.get("MemAvailable:", 0)
    if not physical:
        physical, free = _memory_without_proc()
    names = {1: "memory.limit_in_bytes", 2: "memory.max"}
    texts = [_read(f"{group.folder}/{names[group.version]}").strip() for group in _groups("memory")]
    # version 1 says 'no limit' by a number near 2 ** 63
    most = min([physical, *(int(text) for text in texts if text.isdecimal())])
    return most, min(free, most)


def _memory_without_proc() -> tuple[int, int]:
    try:
        import psutil
    except ImportError:
        return 0, 0
    memory = psutil.virtual_memory()
    return int(memory.total), int(memory.available)


def _groups(controller: str) -> list[_Group]:
    """Find the folders that limit this process: its own control group and all around it, of both versions.

    Args:
        controller: The controller of version 1, ``cpu`` or ``memory``; version 2 has all in one tree.
    """
    found = []
    mounts = [line.split() for line in _read("/proc/self/mountinfo").splitlines()]
    for line in _read("/proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        unified = number == "0" and not controllers
        if unified or controller in controllers.split(","):
            for fields in mounts:
                end = fields.index("-") if "-" in fields else len(fields)
                kind = fields[end + 1 : end + 2]
                options = fields[-1].split(",") if fields else []
                if (unified and kind == ["cgroup2"]) or (kind == ["cgroup"] and controller in options and not unified):
                    found += [_Group(folder, 2 if unified else 1) for folder in _upwards(fields[4], fields[3], path)]
    return found


def _upwards(mount: str, root: str, path: str) -> list[str]:
    """List the folders from a group up to where its tree is mounted.

    In a container the mount may show only a part of the tree (``root``), and the path may start above it.
    """
    parts = [part for part in path.removeprefix(root.rstrip("/")).split("/") if part]
    if ".." in parts:
        parts = []
    return ["/".join([mount, *parts[:count]]) for count in range(len(parts), -1, -1)]


def _shared_memory() -> int | None:
    try:
        status = os.statvfs(_SHM)
    except OSError:
        return None
    return status.f_blocks * status.f_frsize or None


def _load(cores: float) -> float | None:
    try:
        return os.getloadavg()[0] / cores
    except OSError:
        return None
