"""How many cores this process may use. Rule: only what the system allows counts, not what the hardware has.

A container hides its limits: ``os.cpu_count()`` says 64 where a quota allows one and a half.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["groups", "on_one_core", "read", "usable"]


class Group(NamedTuple):
    """A folder of limits: this process's control group, or one of those around it."""

    folder: str
    version: int


def read(path: str) -> str:
    """Return the text of a file of the kernel; empty if there is none. Tests put made-up machines here."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


@contextmanager
def on_one_core() -> Iterator[bool]:
    """Keep to one core this thread, and all threads and processes that it starts meanwhile.

    Yields:
        False where the system cannot do that.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield False
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield True
    finally:
        os.sched_setaffinity(0, before)


def usable() -> tuple[float, str]:
    """Return the cores that this process may use, possibly a fraction, and why they are fewer than there are."""
    present = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    quota = min((quota for group in groups("cpu") if (quota := _quota(group)) is not None), default=float(present))
    reasons = []
    if allowed < present:
        reasons.append(f"affinity allows {allowed} of {present} cores")
    if quota < present:
        reasons.append(f"a quota of the control group allows the time of {quota:g} cores")
    return min(float(allowed), quota), " and ".join(reasons)


def _quota(group: Group) -> float | None:
    """Return the cores' worth of time that a group may use; None if it sets no limit."""
    if group.version == 1:
        words = [read(f"{group.folder}/cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    else:
        words = read(f"{group.folder}/cpu.max").split()
    numbers = [
        int(word) for word in words if word.isdecimal()
    ]  # 'max' in version 2 and '-1' in version 1 are no limits
    return numbers[0] / numbers[1] if len(numbers) == 2 and all(numbers) else None  # noqa: PLR2004 - quota and period


def groups(controller: str) -> list[Group]:
    """Find the folders that limit this process: its own control group and all around it, of both versions.

    Args:
        controller: The controller of version 1, ``cpu`` or ``memory``; version 2 has all in one tree.
    """
    found = []
    mounts = [line.split() for line in read("/proc/self/mountinfo").splitlines()]
    for line in read("/proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        unified = number == "0" and not controllers
        if unified or controller in controllers.split(","):
            for fields in mounts:
                end = fields.index("-") if "-" in fields else len(fields)
                kind = fields[end + 1 : end + 2]
                options = fields[-1].split(",") if fields else []
                if (unified and kind == ["cgroup2"]) or (kind == ["cgroup"] and controller in options and not unified):
                    found += [Group(folder, 2 if unified else 1) for folder in _upwards(fields[4], fields[3], path)]
    return found


def _upwards(mount: str, root: str, path: str) -> list[str]:
    """List the folders from a group up to where its tree is mounted.

    In a container the mount may show only a part of the tree (``root``), and the path may start above it.
    """
    parts = [part for part in path.removeprefix(root.rstrip("/")).split("/") if part]
    if ".." in parts:
        parts = []
    return ["/".join([mount, *parts[:count]]) for count in range(len(parts), -1, -1)]
