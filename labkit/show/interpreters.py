"""The interpreters of this machine, as a table and as choices of a bench. Rule: what is missing is named, not faked."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from labkit.child.gil import OWN_GIL
from labkit.runs.interpreters import find
from labkit.runs.pythons import FREE, OWN, interpreter_of, kind_of, missing, to_install, word_of
from labkit.show import html
from labkit.units import in_words
from labkit.versions import free_threaded, numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from labkit.model import Interpreter
    from labkit.runs.recorded import Recorded

__all__ = ["Offer", "offers", "table"]


class Offer(NamedTuple):
    """One interpreter that a bench offers, or names as missing.

    Attributes:
        word: What `labkit.runs.pythons` calls it.
        label: What stands beside the tick.
        ticked: True if it is chosen at first.
        missing: Why it cannot be chosen, with code between backticks; empty if it can.
    """

    word: str
    label: str
    ticked: bool
    missing: str = ""


def offers(words: Sequence[str], recorded: Recorded | None = None) -> list[Offer]:
    """List every interpreter that can be chosen, each once, and those among the words that are missing.

    Args:
        words: Those that are chosen at first; where two mean the same one here, the runs bear the first.
        recorded: A recording: then its interpreters are offered, and not those of this machine.
    """
    if recorded:
        return _recorded(words, recorded)
    chosen: dict[Interpreter | None, str] = {}
    for word in words:
        chosen.setdefault(interpreter_of(word), word)
    here = [(chosen.get(one) or word_of(one), one) for one in find()]
    found = [
        Offer(word, _named(one.version, gil=one.gil, own=interpreter_of(OWN) == one), one in chosen)
        for word, one in here
        if interpreter_of(word) == one  # else it is a second installation of the same version
    ]
    lacking = [word for word in dict.fromkeys((*words, FREE)) if interpreter_of(word) is None]
    return found + [_missing(word, f"not installed (`{to_install(word)}`)") for word in lacking]


def table(found: Sequence[Interpreter]) -> str:
    """Show each interpreter as its own probe answered, and what is missing with the commands that install it."""
    here = [
        (one.version, _gil(one), _subinterpreters(one), in_words("_s", one.switch_interval_s), one.found_in)
        for one in found
    ]
    header = ("Python", "GIL", "subinterpreters", "switch interval", "found in")
    sentences = [
        f"Not installed: {one.what}, which shows {one.why}. To install one: "
        f"{' or '.join(f'`{command}`' for command in one.commands)}; then restart the kernel."
        for one in missing()
    ]
    lacking = "".join(f"<p style='margin:4px 0'>{html.inline(sentence)}</p>" for sentence in sentences)
    rows = html.rows(header, here, "Each was asked in a child process of its own")
    return html.card("Interpreters on this machine", rows, lacking)


def _recorded(words: Sequence[str], recorded: Recorded) -> list[Offer]:
    """Offer each version of a recording once, under the word that is asked for if it was recorded under several."""
    versions: dict[str, str] = {}
    for run in recorded.runs:
        if run.python:
            versions.setdefault(run.trial.python, run.python)
    offered: dict[str, str] = {}
    for word in sorted(versions, key=lambda word: word not in words):
        offered.setdefault(versions[word], word)
    found = [
        Offer(word, _named(version, gil=not free_threaded(version), own=False), word in words)
        for version, word in offered.items()
    ]
    return found + [_missing(word, "not recorded") for word in words if word not in versions]


def _missing(word: str, why: str) -> Offer:
    return Offer(word, word, ticked=False, missing=f"{kind_of(word)}: {why}")


def _named(version: str, *, gil: bool, own: bool) -> str:
    return f"Python {version} ({'this notebook, ' if own else ''}{'GIL' if gil else 'free-threaded'})"


def _gil(one: Interpreter) -> str:
    """Say what it answered; the version tells the build, and a build without a GIL may have been given one."""
    if not one.gil:
        return "off (free-threaded)"
    return "on (a free-threaded build)" if free_threaded(one.version) else "on"


def _subinterpreters(one: Interpreter) -> str:
    if not one.subinterpreters:
        return "none"
    if not one.gil:
        return "yes, no GIL"
    return "yes, each with a GIL of its own" if numbers(one.version)[:2] >= OWN_GIL else "yes, all share one GIL"
