"""The three levels of a race: what the language allows, what this interpreter does, what is seen in real runs.

Rule: each level says what it is based on. Where nothing was seen that is said, and never that it cannot be.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.child import gaps
from labkit.errors import BadWorkload
from labkit.intervals import wilson
from labkit.limits import Limits
from labkit.model import Ending
from labkit.runs.interpreters import probe
from labkit.runs.supervise import run
from labkit.show import html
from labkit.show.explorer import explore_asked, pack, start_in_child
from labkit.units import in_words

if TYPE_CHECKING:
    from labkit.show.asked import Asked
    from labkit.show.explorer import Exploration

__all__ = ["Gaps", "Level", "Levels", "levels", "probed"]

_RUNS_S = 1.5
_DEADLINE_S = 10.0
_PROBE_LIMITS = Limits()
_STUCK = ("deadlock", "spins for ever")


class Gaps(NamedTuple):
    """Where an interpreter was seen to switch threads between a read and a write.

    Attributes:
        python: Version of the interpreter.
        lost: For each kind of gap that was probed, how many additions were lost in it.
        rounds: How many rounds were made with it.
        reason: Why nothing could be probed; empty if it could.
    """

    python: str
    lost: dict[str, int]
    rounds: dict[str, int]
    reason: str = ""

    @property
    def points(self) -> frozenset[str] | None:
        """Names of the gaps with a switch, as the engine calls them; None if it switches everywhere."""
        seen = frozenset(gaps.KINDS[name][0] for name, count in self.lost.items() if count)
        return None if "any" in seen else seen

    def said(self, *, possible: bool) -> str:
        """List the gaps in which a switch was seen, or was not."""
        names = [name for name, count in self.lost.items() if bool(count) is possible]
        if possible:
            return ", ".join(gaps.KINDS[name][1] for name in names) or "none"
        listed = [f"{gaps.KINDS[name][1]} (not seen in {self.rounds[name]:,} rounds)" for name in names]
        return ", ".join(listed) or "none"


class Level(NamedTuple):
    """One row: the level, its answer, and what that is based on."""

    level: str
    answer: str
    basis: str


class Levels(tuple[Level, ...]):
    """Three rows that show themselves."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Show the rows as text."""
        width = max(len(row.level) for row in self)
        return "\n".join(f"{row.level:<{width}}  {row.answer}\n{'':<{width}}  {row.basis}" for row in self)

    def _repr_html_(self) -> str:
        table = html.rows(["level", "can it go wrong?", "based on"], self, "Three levels of a race")
        return html.card("Allowed, possible here, seen", table)


def levels(exploration: Exploration) -> Levels:
    """Say whether the language allows the bug, whether this interpreter does, and how often it is seen.

    Args:
        exploration: A result of `labkit.explore`.

    Raises:
        BadWorkload: If it is not known what was explored.
    """
    what = exploration.asked
    if what is None:
        raise BadWorkload("The exploration", "was not made here", "Explore the functions again.")
    found = probed(what.python)
    return Levels((_language(exploration), _interpreter(what, exploration, found), _seen(what, exploration)))


_known: dict[tuple[str, str], Gaps] = {}


def probed(python: str | None = None) -> Gaps:
    """Probe an interpreter in a child of its own, once in this session.

    Args:
        python: The interpreter; this one if left out.
    """
    there = probe(sys.executable if python is None else python)
    key = there.path, there.version
    if key not in _known:
        done = run(gaps.probe, deadline_s=_DEADLINE_S, python=there.path, limits=_PROBE_LIMITS)
        if done.ending is not Ending.FINISHED:
            return Gaps(there.version, {}, {}, f"the probe {done.explain()}")
        rows: dict[str, Any] = dict(done.result)
        lost = {name: int(row["lost"]) for name, row in rows.items()}
        _known[key] = Gaps(there.version, lost, {name: int(row["rounds"]) for name, row in rows.items()})
    return _known[key]


def _language(exploration: Exploration) -> Level:
    basis = f"a switch at every visible operation: {exploration.executions:,} executions"
    return Level("the language", _answer(exploration), basis)


def _interpreter(what: Asked, exploration: Exploration, found: Gaps) -> Level:
    name = f"Python {found.python} here"
    if found.reason:
        return Level(name, "not known", found.reason)
    if exploration.verdict not in ("bug", "proved"):
        return Level(name, "not known", "the level above is not decided")
    if found.points is None or exploration.verdict == "proved":
        why = "it switches everywhere" if found.points is None else "what the language forbids happens nowhere"
        return Level(name, _answer(exploration), f"{why}; switches were seen at: {found.said(possible=True)}")
    narrower = explore_asked(what, switch_points=sorted(found.points))
    basis = f"switches were seen at: {found.said(possible=True)}; not at: {found.said(possible=False)}"
    answer = _answer(narrower) if narrower.verdict != "proved" else "not at the gaps where switches were seen"
    return Level(name, answer, basis)


def _answer(exploration: Exploration) -> str:
    kind = f" ({exploration.kind})" if exploration.kind else ""
    words = {"bug": f"yes{kind}", "proved": f"no: proved{kind}"}
    return words.get(exploration.verdict, f"not known: {exploration.verdict}")


def _seen(what: Asked, exploration: Exploration) -> Level:
    """Run the program with real threads, and count."""
    try:
        bundle = pack(what)
    except BadWorkload as refusal:  # real threads that may hang run nowhere else
        return Level("real runs", "not known", f"they need a process of their own, and {refusal}")
    options = {"source": [list(part) for part in bundle.source], "seconds": _RUNS_S, "folder": bundle.folder}
    live = start_in_child(what, bundle, "real_runs", {"options": options}, _RUNS_S + _DEADLINE_S)
    try:
        done = live.wait()
    finally:
        live.stop()
    if not done.result:
        return Level("real runs", "not known", f"the process of the real runs {done.explain()}")
    stuck = exploration.kind in _STUCK
    hits = tries = unended = 0
    parts = []
    for interval_s, wrong, ended, not_ended in done.result["rows"]:
        k, n = wrong + not_ended * stuck, ended + not_ended * stuck
        hits, tries, unended = hits + k, tries + n, unended + not_ended * (not stuck)
        parts.append(f"{k} of {n} at a switch interval of {in_words('interval_s', interval_s)}")
    share = wilson(hits, tries)
    middle = "no run ended" if math.isnan(share.middle) else f"{share.low:.2%} to {share.high:.2%}"
    basis = f"{'; '.join(parts)}; 95 % interval of the share {middle}"
    basis += f"; {unended} did not end in time and are not counted" if unended else ""
    return Level("real runs", f"seen {hits} times in {tries} runs", basis)
