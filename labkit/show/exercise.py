"""`labkit.exercise`: check what a student typed, by exploring its interleavings. Rule: it runs in a child, never here.

The functions are found by name in the notebook, and travel as source with all that they name. What the exercise gives
is put before them, what a probe needs after them; what the explorer finds is judged by the exercise. What an answer
predicts or chooses is measured instead, see `labkit.show.measured`, or what it does is counted.
"""

from __future__ import annotations

import ast
import inspect
import sys
import types
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from labkit.course import progress
from labkit.course.exercises.checks import GIVEN, PROBE
from labkit.course.lesson import Chosen, Counted, Measured, Probe
from labkit.course.lessons import lessons
from labkit.errors import BadValue, LabError
from labkit.interleave.result import Result
from labkit.interleave.text import table
from labkit.model import Part
from labkit.runs.cells import definition
from labkit.runs.travel import pack_all
from labkit.show import chosen, counted, html, measured
from labkit.show.explorer import explore_source
from labkit.show.stepper import static_table, stepper_html

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from labkit.course.lesson import Exercise
    from labkit.runs.travel import Bundle
    from labkit.show.explorer import Exploration

__all__ = ["LIMITS", "Checked", "ExerciseCard", "check", "exercise", "explore_probe", "packed"]

Comparison: TypeAlias = "measured.Comparison | counted.Tried"
State = Literal["not yet", "wrong", "proved", "not finished", "cannot check"]

LIMITS = {"executions_most": 3000, "seconds_most": 2.0, "steps_most": 400}  # of each probe
_MARKS = {"not yet": "○", "wrong": "✘", "proved": "✔", "not finished": "…", "cannot check": "?"}
_SAID = {
    "not yet": "Not yet",
    "wrong": "Wrong",
    "proved": "Right, and proved",
    "not finished": "Too big to finish",
    "cannot check": "Cannot be checked",
}
_ADVICE = {  # by words of the explorer's reason: the first that fit
    "cannot check": (
        (
            "executed again",
            "`hash`, `id` and `str` of an object differ from run to run: order by what stays, such as `number`.",
        ),
        ("child process", "Something in it computes or waits for too long, or takes too much memory: do less."),
        ("run its cell again", ""),
        ("", "Do without it: the task does not need it."),
    ),
    "not finished": (
        ("Interrupted", "Run the cell again."),
        ("random", "Do without random numbers."),
        (
            "loops",
            (
                "A loop goes on for too long to be followed. If only luck ends it, as where threads give way and try "
                "again, it cannot be proved: let each wait for its locks, all in one order."
            ),
        ),
        ("", "There is too much to explore: take fewer steps."),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the check of an answer found.

    Attributes:
        exercise: What was asked.
        state: 'not yet' (nothing was tried), 'wrong', 'proved', 'not finished' (too big), or 'cannot check'.
        message: What the student is told.
        explorations: Those that were made, in order; the last one decided.
        comparison: With what was measured or counted, where the answer is not explored; else None.
    """

    exercise: Exercise
    state: State
    message: str
    explorations: tuple[Exploration, ...] = ()
    comparison: Comparison | None = None

    @property
    def found(self) -> Exploration | None:
        """The exploration with a schedule to step through; None if there is none."""
        last = self.explorations[-1] if self.explorations else None
        return last if last is not None and (last.witness or last.blocked) else None

    def __bool__(self) -> bool:
        """Refuse to be a truth value, as a result of the explorer does."""
        raise TypeError(f"ask for .state, which is {self.state!r}")


def check(asked: Exercise, namespace: Mapping[str, object]) -> Checked:
    """Check an answer.

    Args:
        asked: The exercise.
        namespace: Where its functions are found by name: the globals of a notebook.

    Returns:
        What was found. Nothing of the student's has run in this process.
    """
    problem = _not_yet(asked, namespace)
    if problem:
        return Checked(exercise=asked, state="not yet", message=problem)
    try:
        source = packed(asked, namespace)
    except LabError as refusal:
        return Checked(exercise=asked, state="cannot check", message=str(refusal))
    clash = _clash(asked, source) or _replaced(asked, namespace)
    if clash:
        whose = (
            "is given by the exercise" if clash in _defined(asked.given) else "is a name that the check itself needs"
        )
        message = f"`{clash}` {whose}. Call yours by another name. If it is gone already, run `del {clash}` once."
        return Checked(exercise=asked, state="not yet", message=message)
    return _probed(asked, source)


def _probed(asked: Exercise, source: tuple[Part, ...]) -> Checked:
    """Go through the probes of an exercise; the first that has something against the answer decides."""
    made: list[Exploration] = []
    for probe in asked.probes:
        if not isinstance(probe, Probe):
            return _measured(asked, probe, source)
        try:
            made.append(explore_probe(asked, probe, source))
        except LabError as refusal:
            return Checked(exercise=asked, state="cannot check", message=str(refusal), explorations=tuple(made))
        decided = _decided(probe, made[-1])
        if decided:
            return Checked(exercise=asked, state=decided[0], message=decided[1], explorations=tuple(made))
    return Checked(exercise=asked, state="proved", message=_proved(asked, made), explorations=tuple(made))


def _measured(asked: Exercise, probe: Measured | Chosen | Counted, source: tuple[Part, ...]) -> Checked:
    """Check an answer by a measurement or a count, which is the last word."""
    whole = (Part(GIVEN, 1, asked.given), *source)
    came: Comparison
    if isinstance(probe, Measured):
        came = measured.compare(probe, whole)
    else:
        came = chosen.compare(probe, whole) if isinstance(probe, Chosen) else counted.compare(probe, whole)
    state: State = "proved" if came.state == "fits" else came.state
    message = f"{asked.moral} {came.said}" if state == "proved" else came.message
    return Checked(exercise=asked, state=state, message=message, comparison=came)


def explore_probe(asked: Exercise, probe: Probe, source: tuple[Part, ...], token: str = "") -> Exploration:
    """Explore one probe of an exercise on an answer that is packed; ``token`` replays one schedule."""
    whole = (Part(GIVEN, 1, asked.given), *source, Part(PROBE, 1, probe.source))
    named = {"setup": probe.setup, "check": probe.check, "outcome": probe.outcome}
    roles = {role: name for role, name in named.items() if name}
    limits: dict[str, Any] = {**LIMITS, **({"switch_points": list(probe.switch_points)} if probe.switch_points else {})}
    return explore_source(whole, probe.workers, roles, limits, token=token)


def packed(asked: Exercise, namespace: Mapping[str, object]) -> tuple[Part, ...]:
    """Make the functions of an answer ready to travel, each under the name that the exercise gives it.

    Raises:
        BadWorkload: If one of them names what cannot travel.
    """
    functions = {name: value for name in asked.names if callable(value := namespace[name])}
    bundle: Bundle = pack_all(functions)
    aliases = "".join(f"{name} = {known}\n" for name, known in bundle.names.items() if name != known)
    return (*bundle.source, *([Part("the names of the answer", 1, aliases)] if aliases else []))


def _not_yet(asked: Exercise, namespace: Mapping[str, object]) -> str:
    """Say what keeps the answer from being checked; empty if nothing does."""
    wanted = _parameters(asked.stub)
    for name in asked.names:
        call = f"{name}({', '.join(wanted[name])})"
        if name not in namespace:
            return f"There is no `{name}`. Define `{call}` with `def`, in this cell."
        value = namespace[name]
        if not isinstance(value, types.FunctionType):
            return f"`{name}` is no function but of type `{type(value).__name__}`. Define `{call}` with `def`."
        if _suspended(value):
            return f"Calling `{name}` would run nothing: it is async or has a `yield`. Define a plain `{call}`."
        if not _takes(value, len(wanted[name])):
            return f"`{name}` takes other parameters. Define `{call}`."
    return "This is the stub, as it was given. Change it, and run the cell again." if _same(asked, namespace) else ""


def _suspended(function: types.FunctionType) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    return any(is_one(function) for is_one in kinds)


def _parameters(stub: str) -> dict[str, list[str]]:
    found = [node for node in ast.parse(stub).body if isinstance(node, ast.FunctionDef)]
    return {node.name: [one.arg for one in node.args.args] for node in found}


def _takes(function: types.FunctionType, count: int) -> bool:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


def _same(asked: Exercise, namespace: Mapping[str, object]) -> bool:
    """Return True if every function still is what the stub made it."""
    given = {node.name: ast.dump(node) for node in ast.parse(asked.stub).body if isinstance(node, ast.FunctionDef)}
    for name in asked.names:
        function = namespace[name]
        found = definition(function) if isinstance(function, types.FunctionType) else None
        if found is None or [ast.dump(node) for node in ast.parse(found.part.text).body] != [given[name]]:
            return False
    return True


def _clash(asked: Exercise, source: Iterable[Part]) -> str:
    """Return a name that both the answer and the exercise define; empty if there is none."""
    own = {name for part in source for name in _defined(part.text)} - set(asked.names)
    sources = (probe.source for probe in asked.probes if isinstance(probe, (Probe, Counted)))
    theirs = _defined(asked.given).union(*map(_defined, sources))
    return min(own & theirs, default="")


def _replaced(asked: Exercise, namespace: Mapping[str, object]) -> str:
    """Return the name of a given class of which the answer's cell has another one: the check would not use it."""
    answers = [definition(value) for name in asked.names if isinstance(value := namespace[name], types.FunctionType)]
    cells = {answer.part.file for answer in answers if answer is not None}
    for node in ast.parse(asked.given).body:
        own = namespace.get(node.name) if isinstance(node, ast.ClassDef) else None
        found = definition(own) if isinstance(own, type) and own.__module__ == "__main__" else None
        if found is None or found.part.file not in cells:
            continue
        if ast.dump(ast.parse(found.part.text).body[0]) != ast.dump(node):
            return found.name
    return ""


def _defined(text: str) -> set[str]:
    body = ast.parse(text).body
    names = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}


def _decided(probe: Probe, found: Exploration) -> tuple[State, str] | None:
    """Say what one exploration means for the answer; None if it has nothing against it."""
    if found.verdict == "cannot check":
        return "cannot check", _advised(found)
    if found.verdict == "not finished":
        return "not finished", f"Neither right nor wrong. {_advised(found)}"
    message = probe.judge(found)
    return ("wrong", message) if message else None


def _advised(found: Exploration) -> str:
    """Say why there is no verdict, and what to do about it."""
    advice = next(words for part, words in _ADVICE[found.verdict] if part in found.reason)
    return f"{found.reason} {advice}".rstrip()


def _proved(asked: Exercise, made: list[Exploration]) -> str:
    if asked.kind == "break it":
        return f"{asked.moral} The schedule below shows it."
    count = sum(found.traces for found in made)
    return f"{asked.moral} All {count:,} interleavings that differ were walked, and none goes wrong."


class ExerciseCard:
    """An exercise with what the check said; shows itself.

    Attributes:
        checked: What the check found.
        tries: How many answers other than the stub were checked so far, in earlier sessions as well.
        solved_at: When it was solved first, in UTC; empty if it was not.
    """

    def __init__(self, checked: Checked, tries: int, solved_at: str) -> None:
        """Keep what to show."""
        self.checked, self.tries, self.solved_at = checked, tries, solved_at

    @property
    def state(self) -> State:
        """The state of the answer, as in `Checked`."""
        return self.checked.state

    def stepper(self) -> object:
        """Return widgets to step through the schedule, beside the stepper that the card shows."""
        from labkit.show.stepper_widgets import stepper

        found = self.checked.found
        return stepper(Result(verdict="not finished") if found is None else found)

    def __repr__(self) -> str:
        """Say task and state in plain text, with the schedule as a table."""
        asked, found = self.checked.exercise, self.checked.found
        lines = [_title(asked), asked.task, f"{self._headline()}. {self.checked.message}"]
        lines += [words for words in (self._solved(), progress.problem()) if words]
        lines += ["", self._compared.in_text()] if self._compared else []
        return "\n".join([*lines, *([] if found is None else ["", table(replace(found, token=""))])])

    def _repr_html_(self) -> str:
        asked, checked = self.checked.exercise, self.checked
        large = "margin:10px 0 4px;font-size:1.4em;font-weight:700"
        also = "".join(f"<p>{html.escape(words)}</p>" for words in (self._solved(), progress.problem()) if words)
        hints = "".join(
            f"<details><summary>Hint {number} of 3</summary><p>{html.inline(hint)}</p></details>"
            for number, hint in enumerate(asked.hints, 1)
        )
        solution = html.details("One right answer", asked.solution) if self.tries else ""
        framed = html.card(
            _title(asked),
            f'<p style="margin:6px 0;font-size:1.15em">{html.inline(asked.task)}</p>',
            self._given(),
            f'<div role="status"><p style="{large}">{_MARKS[checked.state]} {self._headline()}</p>'
            f'<p style="margin:4px 0;font-size:1.25em">{html.inline(checked.message)}</p></div>',
            self._compared.in_html() if self._compared else "",
            also,
            f'<div class="labkit-hints">{hints}{solution}</div>',
        )
        names = f'class="labkit-exercise" data-exercise="{asked.id}" data-state="{checked.state}"'
        return f"<div {names}>{framed}{self._schedule()}</div>"

    @property
    def _compared(self) -> Comparison | None:
        """What was compared, if anything was."""
        comparison = self.checked.comparison
        return comparison if comparison is not None and comparison.rows else None

    def _given(self) -> str:
        """Show the code that the answer may use: at once as long as nothing was tried, folded away after."""
        unfolded = " open" if self.state == "not yet" else ""
        code = f'<pre style="white-space:pre-wrap">{html.escape(self.checked.exercise.given)}</pre>'
        return f"<details{unfolded}><summary>What is given</summary>{code}</details>"

    def _schedule(self) -> str:
        found = self.checked.found
        if found is None:
            return ""
        return stepper_html(found) if found.witness else static_table(found)

    def _headline(self) -> str:
        if self.state == "proved" and self.checked.comparison is not None:
            return self.checked.comparison.headline
        broken = self.state == "proved" and self.checked.exercise.kind == "break it"
        return "Broken, and well done" if broken else _SAID[self.state]

    def _solved(self) -> str:
        return f"You solved this on {self.solved_at[:10]}." if self.solved_at and self.state != "proved" else ""


def exercise(id: str) -> ExerciseCard:  # noqa: A002 - an exercise's own word
    """Check the answer in this notebook to an exercise, and show what is asked, hints, and what the check found.

    Args:
        id: Of the exercise, such as ``"last-ticket"``.

    Returns:
        A card that shows itself. Running the cell again checks again.

    Raises:
        BadValue: If there is no such exercise.
    """
    known = {asked.id: (asked, lesson.slug) for lesson in lessons().values() for asked in lesson.exercises}
    if not isinstance(id, str) or id not in known:
        raise BadValue("id", id, ", ".join(known), "Give the id as it stands in the lesson.")
    asked, slug = known[id]
    checked = check(asked, vars(sys.modules["__main__"]))
    tried, solved_at = _before(id)
    if checked.state != "not yet":
        tried += 1
        progress.note("exercise", id, {"state": checked.state, "message": checked.message, "tries": tried}, slug)
    return ExerciseCard(checked, tried, solved_at)


def _before(id: str) -> tuple[int, str]:  # noqa: A002
    """Return how often an exercise was tried before, and when it was solved first."""
    told = [entry for entry in progress.entries() if (entry.kind, entry.id) == ("exercise", id)]
    values = [entry.value if isinstance(entry.value, dict) else {} for entry in told]
    solved = (entry.at for entry, value in zip(told, values, strict=True) if value.get("state") == "proved")
    tries = values[-1].get("tries", 0) if values else 0
    return (tries if type(tries) is int else 0), next(solved, "")


def _title(asked: Exercise) -> str:
    return f"{asked.title} ({asked.kind}, {asked.minutes} minutes)"
