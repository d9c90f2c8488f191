"""The claims of the article: a strict file, a judge for each that is measured, and lessons that measure them."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import pytest

from labkit import ledger
from labkit.course.lesson import Prediction
from labkit.course.lessons import lessons
from labkit.errors import BadRecording, BadValue
from labkit.experiments import load_all
from labkit.ledger import NOT_BUILT
from labkit.model import Verdict
from labkit.tables import frame

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS_LEAST = 2
HEADER = "id,article_section,claim,lesson,measured_by,experiment,judge\n"
GOOD = 'a.b,Section,"A claim, with a comma",lesson,how,counting,_judge\n'


def test_the_ledger_of_the_project_is_read():
    claims = ledger.claims()
    assert len(claims) == 78
    assert all(name == claim.id for name, claim in claims.items())
    assert claims["memory.race"].claim == "Shared memory brings race conditions"
    assert claims["memory.race"].lesson == "lost_updates"
    assert (claims["memory.race"].experiment, claims["memory.race"].judge) == ("lost updates", "_judge_race")
    assert len({claim.claim for claim in claims.values()}) == 78


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "header"),
        ("id,claim\n" + GOOD, 1, "header"),
        (HEADER.replace(",experiment,judge", "") + GOOD, 1, "header"),
        (HEADER + "a.b,Section,Claim,lesson\n", 2, "has 4 cells, not 7"),
        (HEADER + GOOD + "\n", 3, "0 cells"),
        (HEADER + "a.b,Section,Claim,lesson,how\n", 2, "has 5 cells"),
        (HEADER + "a.b,Section, ,lesson,how,counting,_judge\n", 2, "empty claim"),
        (HEADER + "a.b,Section,Claim,lesson,how,,_judge\n", 2, "empty experiment"),
        (HEADER + "a.b,Section,Claim,lesson,how,counting, \n", 2, "empty judge"),
        (HEADER + f"a.b,Section,Claim,lesson,how,{NOT_BUILT},_judge\n", 2, "only one of experiment and judge"),
        (HEADER + f"a.b,Section,Claim,lesson,how,counting,{NOT_BUILT}\n", 2, "only one of experiment and judge"),
        (HEADER + GOOD + GOOD, 3, "a.b stands twice"),
        (HEADER + 'a.b,"Section" x,Claim,lesson,how,counting,_judge\n', 2, "expected after"),
        (HEADER + 'a.b,"Section,Claim,lesson,how,counting,_judge\n', 2, "unexpected end"),
    ],
)
def test_a_damaged_ledger_is_refused_with_its_line(text, line, problem, tmp_path, monkeypatch):
    file = tmp_path / "claims.csv"
    file.write_text(text)
    monkeypatch.setattr(ledger, "_FILE", file)
    with pytest.raises(BadRecording, match=problem) as caught:
        ledger.claims()
    assert (caught.value.path, caught.value.line) == (str(file), line)


def test_a_missing_ledger_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "_FILE", tmp_path / "none.csv")
    with pytest.raises(BadRecording, match=r"is missing\. Use labkit from a clone"):
        ledger.claims()


def test_every_judge_answers_on_an_empty_table():
    judged = {experiment.name: ledger.judge(experiment, frame([])) for experiment in load_all()}
    assert {name: set(verdicts) for name, verdicts in judged.items()} == {
        tried.name: set(tried.claims) for tried in load_all()
    }
    for verdict in (verdict for verdicts in judged.values() for verdict in verdicts.values()):
        assert isinstance(verdict, Verdict)
        assert verdict.outcome == "cannot be measured here"
        assert verdict.reason
        assert verdict.effect is None


@pytest.mark.parametrize("name", ["lost_updates", "06_lost_updates"])
def test_a_lesson_is_found_with_or_without_its_number(name):
    assert ledger.lesson_slug(name) == "lost_updates"


@pytest.mark.parametrize("name", ["", "lost updates", "lessons", None, 6, ["lost_updates"]])
def test_an_unknown_lesson_is_refused_with_those_that_there_are(name):
    with pytest.raises(BadValue, match="deadlock"):
        ledger.lesson_slug(name)


# ------------------------------------------------ ledger, experiments and lessons against each other, both ways


def test_ledger_experiments_and_lessons_agree():
    assert len(load_all()) >= 3
    assert len(lessons()) >= LESSONS_LEAST
    assert len(notebooks()) >= LESSONS_LEAST
    assert disagreements(ledger.claims(), load_all(), lessons(), notebooks()) == []


def notebooks():
    """Return the code cells of each numbered lesson's notebook, by its slug."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        if not path.name.startswith("00_"):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            found[path.stem[3:]] = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return found


def uses(sources):
    """Return what a notebook calls of labkit, with the first argument if it is text: ``("measure", "freeze")``."""
    calls = [node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    found = set()
    for call in calls:
        name = ast.unparse(call.func)
        if name.startswith("lab."):
            first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
            found.add((name.removeprefix("lab."), first))
    return found


def disagreements(claims, experiments, asked, cells):
    """Say in which ways ledger, experiments, lessons and notebooks differ; empty if they agree.

    Args:
        claims: The ledger, by id.
        experiments: All experiments.
        asked: The `Lesson` of each slug.
        cells: The code cells of each lesson's notebook, by slug.
    """
    used = {slug: uses(sources) for slug, sources in cells.items()}
    return [
        *_ledger_against_experiments(claims, {one.name: one for one in experiments}),
        *_lessons_against_ledger(claims, asked, used),
        *_lessons_against_experiments({one.name for one in experiments}, asked, used),
    ]


def _ledger_against_experiments(claims, experiments):
    wrong = []
    for name, one in experiments.items():
        for claim, judge in one.claims.items():
            row = claims.get(claim)
            if row is None:
                wrong.append(f"{name} judges {claim}, which the ledger does not have")
            elif (row.experiment, row.judge) != (name, judge.__name__):
                wrong.append(f"{claim} is judged by {judge.__name__} of {name}; the ledger says otherwise")
            if judge.__module__ != f"labkit.experiments.{name.replace(' ', '_')}" or not judge.__name__.isidentifier():
                wrong.append(f"{judge.__name__} of {name} is no function of its file")
    built = [row for row in claims.values() if row.experiment != NOT_BUILT]
    wrong += [f"{row.id}: no experiment {row.experiment}" for row in built if row.experiment not in experiments]
    there = [row for row in built if row.experiment in experiments]
    return wrong + [
        f"{row.id}: {row.experiment} does not judge it"
        for row in there
        if row.id not in experiments[row.experiment].claims
    ]


def _lessons_against_ledger(claims, asked, used):
    slugs = {row.lesson for row in claims.values()}
    wrong = [f"lesson {slug} has no claim in the ledger" for slug in {*asked, *used} - slugs]
    wrong += [f"{slug} has a notebook, and no file in labkit/course" for slug in used.keys() - asked]
    wrong += [f"{slug} has a file in labkit/course, and no notebook" for slug in asked.keys() - used]
    measured = {name for calls in used.values() for verb, name in calls if verb in ("measure", "bench")}
    for row in claims.values():
        if row.lesson in used and row.experiment == NOT_BUILT:
            wrong.append(f"{row.id}: its lesson {row.lesson} has a notebook, and nothing measures it")
        elif row.lesson in used and row.experiment not in measured:
            wrong.append(f"{row.id}: no notebook measures {row.experiment}")
    shown = {slug: calls & {("claims", slug), ("claims", None)} for slug, calls in used.items()}
    return wrong + [f"{slug}: its notebook does not show its table of claims" for slug in shown if not shown[slug]]


def _lessons_against_experiments(names, asked, used):
    about = {(slug, one.about) for slug, lesson in asked.items() for one in lesson.predictions.values()}
    wrong = [f"{slug} predicts {name}, which no experiment is" for slug, name in about if name not in names]
    runs = {(slug, name) for slug, calls in used.items() for verb, name in calls if verb in ("measure", "bench")}
    wrong += [f"{slug} measures {name}, which no experiment is" for slug, name in runs if name not in names]
    return wrong + [f"{slug} predicts {name}, and does not measure it" for slug, name in about - runs if slug in used]


def judge_it(table):
    """Stand in for a judge that lies in another file than its experiment's."""


def unanswered(table):
    """Stand in for the answer to a prediction."""


def damaged(**changes):
    """Return the arguments of `disagreements` as they are, but for what is changed in one row of the ledger."""
    claims = ledger.claims()
    claims["memory.race"] = claims["memory.race"]._replace(**changes)
    return claims, load_all(), lessons(), notebooks()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"experiment": "crash"}, "memory.race is judged by _judge_race of lost updates; the ledger says otherwise"),
        ({"experiment": "crash"}, "memory.race: crash does not judge it"),
        ({"experiment": "gained updates"}, "memory.race: no experiment gained updates"),
        ({"experiment": "gained updates"}, "memory.race: no notebook measures gained updates"),
        ({"judge": "_judge_rice"}, "memory.race is judged by _judge_race of lost updates; the ledger says otherwise"),
        ({"experiment": NOT_BUILT, "judge": NOT_BUILT}, "its lesson lost_updates has a notebook, and nothing measures"),
    ],
)
def test_a_wrong_row_of_the_ledger_is_found(changes, words):
    assert any(words in one for one in disagreements(*damaged(**changes)))


def test_a_claim_that_one_side_lacks_is_found():
    claims, experiments, asked, cells = damaged()
    del claims["memory.race"]
    wrong = disagreements(claims, experiments, asked, cells)
    assert "lost updates judges memory.race, which the ledger does not have" in wrong
    claims, experiments, asked, cells = damaged()
    silent = [replace(one, claims={}) if one.name == "lost updates" else one for one in experiments]
    assert "memory.race: lost updates does not judge it" in disagreements(claims, silent, asked, cells)
    elsewhere = [
        replace(one, claims={"memory.race": judge_it}) if one.name == "lost updates" else one for one in experiments
    ]
    assert "judge_it of lost updates is no function of its file" in disagreements(claims, elsewhere, asked, cells)


def test_a_lesson_that_one_side_lacks_is_found():
    claims, experiments, asked, cells = damaged()
    more = disagreements(claims, experiments, asked, {**cells, "cooking": ["lab.measure('soup')"]})
    assert "lesson cooking has no claim in the ledger" in more
    assert "cooking has a notebook, and no file in labkit/course" in more
    assert "cooking measures soup, which no experiment is" in more
    assert "cooking: its notebook does not show its table of claims" in more
    fewer = {slug: sources for slug, sources in cells.items() if slug != "lost_updates"}
    assert "lost_updates has a file in labkit/course, and no notebook" in disagreements(
        claims, experiments, asked, fewer
    )
    silent = {**cells, "lost_updates": ["lab.claims('deadlock')"]}
    wrong = disagreements(claims, experiments, asked, silent)
    assert "memory.race: no notebook measures lost updates" in wrong
    assert "lost_updates: its notebook does not show its table of claims" in wrong


def test_a_prediction_about_nothing_that_is_measured_is_found():
    claims, experiments, asked, cells = damaged()
    lesson = asked["lost_updates"]
    for name, words in (("soup", "predicts soup, which no experiment is"), ("crash", "predicts crash, and does not")):
        wrong = {**asked, "lost_updates": lesson._replace(predictions={"a": Prediction(name, 2, unanswered)})}
        assert any(words in one for one in disagreements(claims, experiments, wrong, cells))
