"""What this machine can really do. Rule: only what the process may use counts, not what the hardware has."""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys

from labkit.child import gil
from labkit.child.cores import groups, read, usable
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
    cores, why = usable()
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
        gil=gil.enabled(),
        switch_interval_s=sys.getswitchinterval(),
        # get_start_method() alone would fix the method for the whole kernel; the first of all is the default
        start_method=multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0],
        load_ratio=_load(cores),
        interpreters=find(),
    )


def _memory() -> tuple[int, int]:
    """Return the memory that this process may use at most, and what is available now, in bytes."""
    lines = [line.split() for line in read("/proc/meminfo").splitlines()]
    sizes = {line[0]: int(line[1]) * _KIB for line in lines if len(line) > 1 and line[1].isdecimal()}
    physical, free = sizes.get("MemTotal:", 0), sizes.get("MemAvailable:", 0)
    if not physical:
        physical, free = _memory_without_proc()
    names = {1: "memory.limit_in_bytes", 2: "memory.max"}
    texts = [read(f"{group.folder}/{names[group.version]}").strip() for group in groups("memory")]
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
