"""A model checker for hand-written state machines: small, plain, complete. Rule: shares nothing with labkit.interleave.

A machine is the text of each thread, one atomic step per line, and one statement with the shared values at the start:

    label: effect when guard -> goal if test else other

Every part may be left out. The effect is Python statements; the step can be taken only while the guard is true; then
the thread goes to the goal, to the other one if the test (on the state after the effect) is false, or to the next line.
``| effect ...`` is an alternative to the line above. Goal ``end`` ends the thread, ``!KeyError`` ends it with that
exception, and so does its last line. ``local i = 0`` gives a start value.
Names of one letter are the thread's own; longer ones are shared and must be in the start. ``me`` is the thread's name,
``ended`` the names of the threads that have ended. Values must be hashable.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from types import CodeType

__all__ = ["DEADLOCK", "SPINS", "Classic", "Form", "Machine", "Report", "classic", "solve"]

DEADLOCK, SPINS = "deadlock", "spins for ever"
END = "end"

_LINE = re.compile(
    r"(?:(?P<label>\w+):(?:\s+|$))?(?P<more>\|\s*)?(?P<effect>.*?)(?:\s*\bwhen\s+(?P<guard>.*?))?"
    r"(?:\s*->\s*(?P<goal>!?\w+)(?:\s+if\s+(?P<test>.+?)(?:\s+else\s+(?P<other>!?\w+))?)?)?"
)


class Machine(NamedTuple):
    """Start of the shared values, text of each thread, and what counts as outcome and as right (expressions)."""

    start: str
    threads: dict[str, str]
    outcome: str
    check: str


class Report(NamedTuple):
    """Everything that can happen: all outcomes, all kinds of trouble (none: empty), the number of states."""

    verdict: str
    kinds: frozenset[str]
    outcomes: frozenset[str]
    states: int


class Form(NamedTuple):
    """A program as a student types it, its machine, and what is expected of both, written by hand."""

    functions: Any
    machine: Machine
    verdict: str
    kind: str | None
    setup: Callable[[], Any] | None = None
    check: Callable[..., Any] | None = None
    outcome: Callable[..., Any] | None = None


class Classic(NamedTuple):
    """A textbook program with its mistake and without."""

    name: str
    broken: Form
    mended: Form


class Step(NamedTuple):
    """One atomic step; goals are indices of alternatives, or the end of the thread as text."""

    effect: CodeType
    guard: CodeType
    test: CodeType
    goal: int | str
    other: int | str


class State(NamedTuple):
    """Shared values, and of each thread its position and its own values (as a tuple of pairs, sorted)."""

    shared: tuple[Hashable, ...]
    threads: tuple[tuple[int | str, tuple[tuple[str, Hashable], ...]], ...]


def classic(  # noqa: PLR0913 - a table row, written by name
    name: str,
    start: str | tuple[str, str],
    *,
    outcome: tuple[Any, str],
    check: tuple[Any, str] = (None, "True"),
    setup: Any = None,
    broken: tuple[Any, list[str] | dict[str, str], str],
    mended: tuple[Any, list[str] | dict[str, str], str | None],
) -> Classic:
    """Put a classic together from what its two forms share.

    Args:
        name: What textbooks call it.
        start: The machine's shared values at the start; one for both forms, or a pair.
        outcome: The program's function, and the machine's expression that says the same.
        check: The same for what is right.
        setup: Likewise.
        broken: The functions (or one main that starts the others and then joins them), the machine's text for each of
            the threads A, B, C (a dict: of those and of main), and the kind of trouble that is to be found.
        mended: Likewise; its kind is None.
    """
    setups = setup if isinstance(setup, tuple) else (setup, setup)
    forms = []
    starts = start if isinstance(start, tuple) else (start, start)
    for (functions, texts, kind), prepare, values in zip((broken, mended), setups, starts, strict=True):
        threads = texts if isinstance(texts, dict) else dict(zip("ABC", texts, strict=False))
        if callable(functions) and threads is not texts:
            main = "\n".join(
                [f"started += {one!r}" for one in threads] + [f"pass when {one!r} in ended" for one in threads]
            )
            threads = {"main": main} | {letter: f"pass when me in started\n{text}" for letter, text in threads.items()}
        begin = f"{values}; started = ''"
        verdict = "proved" if kind in {None, "livelock"} else "bug"
        machine = Machine(begin, threads, outcome[1], check[1])
        forms.append(Form(functions, machine, verdict, kind, prepare, check[0], outcome[0]))
    return Classic(name, *forms)


def solve(of: Machine) -> Report:
    """Visit every state of a machine, breadth first, and say all that can happen."""
    values: dict[str, Any] = {}
    exec(of.start, {}, values)
    bad = sorted(name for name in values if len(name) == 1 or name in {"me", "ended"})
    assert not bad, f"names of shared values: {bad}"
    names = tuple(values)
    programs = [_parse(text) for text in of.threads.values()]
    letters = tuple(of.threads)
    first = State(tuple(values.values()), tuple((0, own) if steps else (END, ()) for steps, own in programs))
    edges: dict[State, list[tuple[int, State]]] = {first: []}
    queue = [first]
    for state in queue:  # grows while it is walked
        for number, (steps, _) in enumerate(programs):
            for after in _successors(state, number, steps, names, letters):
                if after not in edges:
                    edges[after] = []
                    queue.append(after)
                edges[state].append((number, after))
    return _report(of, names, letters, edges)


def _parse(text: str) -> tuple[list[list[Step]], tuple[tuple[str, Hashable], ...]]:
    """Return the steps of a thread, as a list of alternatives per position, and its own start values."""
    own: dict[str, Any] = {}
    rows: list[list[dict[str, str | None]]] = []
    labels: dict[str, int | str] = {END: END}
    for line in (line.strip() for line in text.splitlines()):
        if line.startswith("local "):
            exec(line.removeprefix("local "), {}, own)
        elif line:
            match = _LINE.fullmatch(line)
            assert match, line
            part = match.groupdict()
            if part["more"]:
                rows[-1].append(part)
                continue
            if part["label"]:
                assert part["label"] not in labels, f"label {part['label']} stands twice"
                labels[part["label"]] = len(rows)
            rows.append([part])
    steps: list[list[Step]] = []
    for index, row in enumerate(rows):
        following: int | str = index + 1 if index + 1 < len(rows) else END
        steps.append([_step(part, following, labels) for part in row])
    return steps, tuple(sorted(own.items()))


def _step(part: dict[str, str | None], following: int | str, labels: dict[str, int | str]) -> Step:
    def goal(label: str | None) -> int | str:
        if label is None:
            return following
        return label if label.startswith("!") else labels[label]

    return Step(
        compile(part["effect"] or "pass", "<effect>", "exec"),
        compile(part["guard"] or "True", "<guard>", "eval"),
        compile(part["test"] or "True", "<test>", "eval"),
        goal(part["goal"]),
        goal(part["other"]),
    )


def _successors(
    state: State, number: int, steps: list[list[Step]], names: tuple[str, ...], letters: tuple[str, ...]
) -> Iterable[State]:
    """Yield each state that one thread can make of a state with its next step."""
    position, own = state.threads[number]
    if isinstance(position, str):
        return
    ended = "".join(letter for letter, (at, _) in zip(letters, state.threads, strict=True) if isinstance(at, str))
    for step in steps[position]:
        space = dict(zip(names, state.shared, strict=True)) | dict(own) | {"me": letters[number], "ended": ended}
        if not eval(step.guard, space):
            continue
        exec(step.effect, space)
        goal = step.goal if eval(step.test, space) else step.other
        kept = {name: value for name, value in space.items() if name not in {*names, "me", "ended", "__builtins__"}}
        assert all(len(name) == 1 for name in kept), f"not in the start: {sorted(kept)}"
        threads = list(state.threads)
        threads[number] = (goal, () if isinstance(goal, str) else tuple(sorted(kept.items())))
        yield State(tuple(space[name] for name in names), tuple(threads))


def _report(
    of: Machine, names: tuple[str, ...], letters: tuple[str, ...], edges: dict[State, list[tuple[int, State]]]
) -> Report:
    """Sort the states into those that end, those that are stuck, and those that go round."""
    outcomes, kinds = set(), set()
    dead = [state for state, after in edges.items() if not after]
    for state in dead:
        raised = [(at[1:], who) for who, (at, _) in zip(letters, state.threads, strict=True) if str(at).startswith("!")]
        if any(isinstance(at, int) for at, _ in state.threads):
            outcomes.add(DEADLOCK)
            kinds.add(DEADLOCK)
            continue
        space = dict(zip(names, state.shared, strict=True))
        value = eval(of.outcome, dict(space))
        text = value if isinstance(value, str) else repr(value)
        outcomes.add("; ".join([text, *(f"{error} in {who}" for error, who in raised)]))
        kinds |= {"exception"} if raised else set()
        kinds |= set() if eval(of.check, dict(space)) else {"wrong result"}
    backward: dict[State, list[State]] = defaultdict(list)
    for state, after in edges.items():
        for _, successor in after:
            backward[successor].append(state)
    can_end = _reach(dead, lambda state: backward[state])
    if len(can_end) < len(edges):
        outcomes.add(SPINS)
        kinds.add(SPINS)
    if any(_fair(component, edges, len(letters)) for component in _components(can_end, edges, backward)):
        kinds.add("livelock")
    return Report("bug" if kinds - {"livelock"} else "proved", frozenset(kinds), frozenset(outcomes), len(edges))


def _reach(roots: Iterable[State], onward: Callable[[State], Iterable[State]]) -> set[State]:
    found = set(roots)
    queue = list(found)
    for state in queue:
        new = [after for after in onward(state) if after not in found]
        found.update(new)
        queue.extend(dict.fromkeys(new))
    return found


def _components(
    inside: set[State], edges: dict[State, list[tuple[int, State]]], backward: dict[State, list[State]]
) -> Iterable[set[State]]:
    """Yield the strongly connected components of some states (Kosaraju)."""
    order: list[State] = []
    seen: set[State] = set()
    for root in list(edges):
        stack = [(root, iter(edges[root]))] if root in inside and root not in seen else []
        seen.add(root)
        while stack:
            state, rest = stack[-1]
            _, after = next(rest, (0, None))
            if after is None:
                order.append(state)
                stack.pop()
            elif after in inside and after not in seen:
                seen.add(after)
                stack.append((after, iter(edges[after])))
    left = set(order)
    for root in reversed(order):
        if root in left:
            found = _reach([root], lambda state, left=left: left.intersection(backward[state]))
            left -= found
            yield found


def _fair(component: set[State], edges: dict[State, list[tuple[int, State]]], threads_count: int) -> bool:
    """Return True if one can go round in a component for ever without passing over a thread that could always go on."""
    moving: set[int] = set()
    waiting: set[int] = set()
    for state in component:
        moving.update(number for number, after in edges[state] if after in component)
        waiting.update(set(range(threads_count)).difference(number for number, _ in edges[state]))
    return bool(moving) and len(moving | waiting) == threads_count
