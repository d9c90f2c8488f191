"""Read faulthandler's dump: in which thread and on which line a process crashed. Rule: text in, a phrase out."""

from __future__ import annotations

import os
import re

__all__ = ["crash_site"]

_FRAME = re.compile(r'  File "(.*)", line (\d+) in (.+)')
_ENTRY = os.path.join("labkit", "child", "entry.py")  # only the main thread's stack holds it
_LIBRARY = re.compile(r"[/\\]lib(64)?[/\\]python\d|[/\\]site-packages[/\\]|^<")


def crash_site(stacks: str) -> str:
    """Say in which thread, function and line a process crashed; empty if the dump does not tell.

    Args:
        stacks: What faulthandler wrote on a fatal signal.
    """
    if "Fatal Python error" not in stacks or "Current thread" not in stacks:
        return ""
    lines = stacks.partition("Current thread")[2].splitlines()[1:]
    frames = []
    for line in lines:
        match = _FRAME.fullmatch(line)
        if not match:
            break
        frames.append((match[1], match[2], match[3]))
    if not frames:
        return ""
    own = [frame for frame in frames if not _LIBRARY.search(frame[0]) and not frame[0].endswith(_ENTRY)]
    file, line, function = own[0] if own else frames[0]
    is_main = any(frame[0].endswith(_ENTRY) for frame in frames)
    thread = "the main thread" if is_main else f"a thread that ran {(own or frames)[-1][2]}"
    return f"in {thread}: {function}, line {line} of {os.path.basename(file)}"
