"""No test: the notebooks that the tests of lessons open in a browser.

Cells, answers and questions are those of the lessons: nothing is written twice.
"""

from __future__ import annotations

import json
from pathlib import Path

from labkit.course.lessons import lesson_of
from labkit.experiments import experiment

CHECKOUT = Path(__file__).parent.parent
BOOKS = {
    "lost_updates": "06_lost_updates.ipynb",
    "deadlock": "10_deadlock.ipynb",
    "gil": "05_gil.ipynb",
    "ipc": "11_ipc.ipynb",
}
STEPPED = {"lost_updates": 0, "deadlock": 0, "gil": 2}  # an exercise whose wrong answers show a schedule, if there is
SETUP = """
import labkit as lab
from labkit.course import predictions, progress
from labkit.course.standing import standings
""".strip()
# One arm with little to do. Each slider begins at its left end, and ends there.
BENCHES = {
    "lost updates": "threads",
    "deadlock": "same order",
    "philosophers": "waiter",
    "cpu bound": "threads",
    "waiting": "threads",
    "worker cost": "thread",
    "convoy": "threads",
    "message cost": "processes",
    "cost split": "processes",
    "chatty": "processes",
}
NOWHERE = "3.99"  # a version that is installed nowhere


def cells_of(slug, *ids):
    """Return the sources of cells of a lesson, by their ids."""
    found = json.loads((CHECKOUT / "notebooks" / BOOKS[slug]).read_text(encoding="utf-8"))["cells"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in found}
    return [sources[one] for one in ids]


def first_exercise(slug):
    return lesson_of(slug).exercises[0]


def stepped(slug):
    return lesson_of(slug).exercises[STEPPED[slug]]


def answered(asked, source):
    return f'{source}\n\nlab.exercise("{asked.id}")'


def variable(name):
    return name.replace(" ", "_")


def bench_of(name):
    start = {key: values[0] for key, values in experiment(name).sweep.items()}
    return f'{variable(name)} = lab.bench("{name}", arms=["{BENCHES[name]}"], repeats=1, **{start})\n{variable(name)}'


def long_bench():
    """Return a bench that begins with little to do; with more iterations it holds locks for six seconds at least."""
    arms = 'arms=["opposite order", "same order"]'
    return f'panel = lab.bench("deadlock", {arms}, iterations=1, hold_s=0.001, repeats=3)\npanel'


def bench_of_pythons():
    """Return a bench that begins on this notebook's interpreter, and asks for one that is nowhere."""
    options = f'pythons=["own", "{NOWHERE}"], arms=["threads"], repeats=1, workers=1'
    return f'panel = lab.bench("cpu bound", {options})\npanel'


def live():
    """Return a measurement of some seconds: each run computes for a while, and that cannot be hurried."""
    return 'lab.measure("cpu bound", arms=["threads", "processes"], workers=[1, 2], repeats=3)'


def incident():
    """Return the cells of the incident, with a deadline that is not waited for."""
    *before, start = cells_of("deadlock", "incident-code", "incident-more", "incident-run")
    longer = start.replace("deadline_s=3", "deadline_s=60")
    assert longer != start
    return [*before, longer]


def carried():
    """Return a measurement with a mechanism that cannot carry the payload: objects do not lie in memory as they are."""
    return (
        'lab.measure("message cost", arms=["threads", "processes"], payload="list of dicts", repeats=2,\n'
        '    mechanism=["pipe", "Queue", "memory in place"])'
    )


def exchanged():
    """Return the cell of the incident of the lesson on messages, with time to look before its deadline."""
    (source,) = cells_of("ipc", "incident-run")
    longer = source.replace("deadline_s=2", "deadline_s=5")
    assert longer != source
    return longer


def measured():
    """Return a measurement that answers a prediction, and a claim: `sleep(0)` in the window loses on every build."""
    return 'lab.measure("lost updates", arms=["threads"], body=["counter += 1", "read, sleep(0), write"], rounds=1)'


def notebooks():
    wrong = answered(first_exercise("lost_updates"), first_exercise("lost_updates").wrong[0].source)
    room = ("incident-code", "incident-more", "incident-notes", "run-explore", "predict-load")
    return {
        "exercises": [SETUP, *(answered(asked, asked.stub) for asked in map(stepped, STEPPED))],
        "predicted": [SETUP, answered(first_exercise("gil"), first_exercise("gil").stub), live()],
        "asked": [
            SETUP,
            *cells_of("lost_updates", "claims-table", "predict-plain"),
            measured(),
            *cells_of("deadlock", "quiz"),
        ],
        "benches": [SETUP, *map(bench_of, BENCHES)],
        "pythons": [SETUP, bench_of_pythons()],
        "stops": [*incident(), long_bench()],
        "messages": [exchanged(), *cells_of("ipc", *(asked.id for asked in lesson_of("ipc").exercises)), carried()],
        "room": [SETUP, *cells_of("deadlock", *room), wrong, *cells_of("deadlock", "quiz"), "lab.present()"],
    }
