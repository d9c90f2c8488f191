"""The card at the top of a lesson: what this machine is, and which effects to expect on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit import experiments, ledger
from labkit.course import session
from labkit.errors import BadValue
from labkit.runs.machine import machine
from labkit.runs.plan import plan
from labkit.runs.pythons import FREE, GIL
from labkit.runs.recorded import pick_all, recorded_as
from labkit.show import html, interpreters, results
from labkit.units import in_words

if TYPE_CHECKING:
    from labkit.model import Machine

__all__ = ["Passport", "setup"]

_START = "start_here"
_RECORDED = "founders"
_INTERPRETERS = "gil"  # the lesson that compares them shows all that each of them said


class Passport:
    """What `setup` found; shows itself as a card."""

    def __init__(self, lesson: str, found: Machine, expected: tuple[str, ...]) -> None:
        """Keep what was found, and what to expect of it in this lesson."""
        self.lesson, self.machine, self.expected = lesson, found, expected

    def __repr__(self) -> str:
        """Say it in plain text."""
        lines = [f"{name}: {value}" for name, value in self._facts()]
        return "\n".join([*lines, *(f"Expect here: {sentence}" for sentence in self.expected)])

    def _repr_html_(self) -> str:
        expected = "".join(f"<li>{html.inline(sentence)}</li>" for sentence in self.expected)
        return html.card(
            "This machine",
            html.rows(("what", "here"), self._facts(), "Passport: every number of this lesson comes from this machine"),
            "<details><summary>What to expect here (predict first)</summary>"
            f"<ul style='margin:0'>{expected}</ul></details>"
            if expected
            else "",
        ) + (self._interpreters() if self.lesson == _INTERPRETERS else "")

    def _interpreters(self) -> str:
        """Show the interpreters; where there is no second core, a machine that has one as well."""
        table = interpreters.table(self.machine.interpreters)
        if self.machine.cores_count >= 2:  # noqa: PLR2004 - a second core
            return table
        subject = experiments.experiment("cpu bound")
        kept = recorded_as(subject, _RECORDED)
        trials = plan(subject, repeats=1, seed=0, sweep={"workers": [1, 4]}, pythons=[GIL, FREE])
        shown = results.report(subject, pick_all(kept, trials), note=kept.label, recorded=True)
        return f"{table}<details><summary>A machine with two cores (predict first)</summary>{shown}</details>"

    def _facts(self) -> list[tuple[str, str]]:
        here = self.machine
        cores = f"{here.cores_count:g} of {here.cores_present_count} can be used" + (
            f" ({here.cores_why})" if here.cores_why else ""
        )
        shared = "none" if here.shared_memory_bytes is None else in_words("_bytes", here.shared_memory_bytes)
        others = ", ".join(f"{one.version} ({one.found_in})" for one in here.interpreters[1:])
        return [
            ("System", f"{here.system}, {here.processor}"),
            ("Cores", cores),
            ("Load", "not known" if here.load_ratio is None else f"{here.load_ratio:.1f} runnable processes per core"),
            ("Memory", f"{in_words('_bytes', here.memory_free_bytes)} free of {in_words('_bytes', here.memory_bytes)}"),
            ("Shared memory", shared),
            ("Python", f"{here.python}, GIL {'on' if here.gil else 'off'}"),
            ("Switch interval", in_words("_s", here.switch_interval_s)),
            ("Processes start by", here.start_method),
            ("Other interpreters", others or "none found"),
        ]


def setup(slug: str) -> Passport:
    """Look at this machine, and say which effects of a lesson to expect on it.

    Args:
        slug: The lesson, such as ``"lost_updates"``; the number before it may be given too.

    Raises:
        BadValue: If there is no such lesson.
    """
    lesson = slug.lstrip("0123456789_") if isinstance(slug, str) else ""
    known = ledger.claims()
    lessons = list(dict.fromkeys([_START, *(claim.lesson for claim in known.values())]))
    if lesson not in lessons:
        raise BadValue("slug", slug, ", ".join(lessons), "Give the lesson's name, as in its file name.")
    session.begin_lesson(lesson)
    found = machine()
    expected: list[str] = []
    for experiment in experiments.load_all():
        if lesson == _START or any(known[name].lesson == lesson for name in experiment.claims):
            expected += experiment.expect(found)
    return Passport(lesson, found, tuple(expected))
