"""Make a `Run` of what was heard from a worker and its keeper. Rule: trust nothing that the worker wrote."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from labkit.model import KINDS, Ending, Event, Receipt, Run
from labkit.runs.stacks import crash_site

if TYPE_CHECKING:
    from labkit.limits import Limits
    from labkit.model import Trial

__all__ = ["Heard"]

_WATCH = os.path.join("labkit", "child", "watch.py")


class Heard:
    """What has been received of one run so far."""

    def __init__(self, trial: Trial, limits: Limits) -> None:
        """Begin with nothing heard."""
        self.trial, self.limits = trial, limits
        self.events: list[Event] = []
        self.processes_most_count = 0  # alive at once, by the heartbeats
        self.lines_count: int | None = None  # printed so far, by the heartbeats; None if they do not say
        self.began_ns: int | None = None
        self.python = ""
        self.result: dict[str, Any] | None = None
        self.elapsed_s: float | None = None
        self.error = self.headline = self.unavailable = self.waits = ""
        self.damaged_count = 0

    def take(self, kind: str, payload: bytes) -> None:
        """Take one frame: ``H`` comes from the keeper, ``E`` is whatever the worker wrote."""
        if kind == "H":
            beat = json.loads(payload)
            self.processes_most_count = max(self.processes_most_count, beat["processes_count"])
            self.lines_count = beat.get("lines_count", self.lines_count)
            return
        try:
            tag, *rest = json.loads(payload, parse_constant=_refuse)
            if b"\\u" in payload or b"\xed" in payload:  # half a character cannot be shown: UnicodeError
                json.dumps(rest, ensure_ascii=False).encode()
            understood = self._record(tag, rest)
        except (ValueError, TypeError, LookupError, RecursionError):
            understood = False
        self.damaged_count += not understood

    def _record(self, tag: object, rest: list[Any]) -> bool:
        """Note one record; False if it is not one that a worker sends, or comes at the wrong time."""
        if tag == "event" and len(rest) == 6 and self.began_ns is not None:  # noqa: PLR2004 - fields of an event
            t_ns, pid, tid, kind, name, value = rest
            if not (_whole(t_ns) and _whole(pid) and _whole(tid) and kind in KINDS and isinstance(name, str)):
                return False
            self.events.append(Event(t_ns - self.began_ns, pid, tid, kind, name, value))
        elif tag == "waits" and all(isinstance(sentence, str) for sentence in rest[0]):
            self.waits = "; ".join(rest[0])[:2000]
        elif tag == "begin" and self.began_ns is None and _whole(rest[0]) and isinstance(rest[1], str):
            self.began_ns, self.python = rest[0], rest[1][:20]
        elif self.result is not None or self.error or self.unavailable:
            return False
        elif tag == "result" and _whole(rest[0]) and isinstance(rest[1], dict):
            self.elapsed_s, self.result = rest[0] / 1e9, rest[1]
        elif tag == "error" and isinstance(rest[0], str):
            self.error = rest[0] or "an exception without a text"
            self.headline = str(rest[1]) if len(rest) > 1 else self.error.strip().splitlines()[-1]
        elif tag == "unavailable" and isinstance(rest[0], str):
            self.unavailable = rest[0] or "no reason given"
        else:
            return False
        return True

    def as_run(
        self,
        report: dict[str, Any] | None,
        *,
        problem: str,
        swept: tuple[list[str], list[str]] | None,
        lifetime_s: float,
    ) -> Run:
        """Put it all together.

        Args:
            report: The keeper's last frame; None if the keeper was lost or never started.
            problem: What went wrong on the kernel's side, if anything.
            swept: Processes and names that the kernel removed in the keeper's place.
            lifetime_s: Wall time from the request until nothing was left.
        """
        if report is None:
            processes, names = swept or ([], [])
            report = {
                "ending": "LOST" if swept else "NOT_STARTED",
                "reason": problem or "the keeper ended without a report; what it kept was ended and removed",
                "receipt": [self.processes_most_count, processes, [], names, [], 0, False],
            }
        ending, reason = self._ending(report)
        finished = ending in (Ending.FINISHED, Ending.LINGERED)
        started, removed, left, names, names_left, files, folder_left = report.get(
            "receipt", [0, [], [], [], [], 0, False]
        )
        receipt = Receipt(started, tuple(removed), tuple(left), tuple(names), tuple(names_left), files, folder_left)
        code = report.get("exit_code")
        return Run(
            trial=self.trial,
            ending=ending,
            exit_code=code,
            elapsed_s=self.elapsed_s if finished else None,
            lifetime_s=lifetime_s,
            deadline_s=self.limits.deadline_s,
            cpu_s=report.get("cpu_s"),
            python=self.python,
            result=self.result or {},
            reason=reason,
            error=self.error,
            stacks=_without_watch(report.get("stacks", "")),
            output=report.get("output", ""),
            events=tuple(sorted(self.events, key=lambda event: event.t_ns)),
            damaged_count=self.damaged_count + report.get("dropped_count", 0),
            receipt=receipt,
        )

    def _ending(self, report: dict[str, Any]) -> tuple[Ending, str]:
        """Decide between what the keeper saw and what the worker said."""
        ending, reason = Ending[report["ending"]], report.get("reason", "")
        if ending is Ending.EXITED:
            return self._exit(report, reason)
        if ending is Ending.LINGERED and self.error:
            return Ending.RAISED, f"{self.headline}; other threads or processes of it did not end"
        return ending, reason or self.waits

    def _exit(self, report: dict[str, Any], reason: str) -> tuple[Ending, str]:
        """Tell apart the ways in which a process ends by itself."""
        code = report["exit_code"]
        if code < 0:
            return Ending.KILLED, crash_site(report.get("stacks", ""))
        if self.unavailable or self.error:
            return (Ending.UNAVAILABLE, self.unavailable) if self.unavailable else (Ending.RAISED, self.headline)
        if self.result is not None and code == 0:
            return Ending.FINISHED, reason
        if self.began_ns is None:
            last = report["output"].strip().splitlines()[-1:]
            return Ending.NOT_STARTED, f"the interpreter exited with code {code}: {''.join(last) or 'it said nothing'}"
        return Ending.EXITED, reason


def _without_watch(stacks: str) -> str:
    """Leave out the thread that labkit itself adds to a run that is watched."""
    return "\n\n".join(stack for stack in stacks.split("\n\n") if _WATCH not in stack)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
