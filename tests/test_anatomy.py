"""Every lesson is built as LESSON.md says: parts in order, predictions before runs, exercises, notes, no results."""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from labkit.course.lessons import lessons
from labkit.experiments import experiment

FOLDER = Path(__file__).parent.parent / "notebooks"
FILES = sorted(path.name for path in FOLDER.glob("[0-9][0-9]_*.ipynb") if not path.name.startswith("00_"))
EXPECTED_COUNT = 4  # raise it with every lesson: a glob that finds nothing would pass everything below
OPENING = ["The incident", "You will be able to", "Setup"]
CLOSING = ["What the article says", "Exercises", "Check yourself", "In practice", "You can now"]
LOOP = ["predict", "run", "explain", "change"]
KINDS = [("tweak",), ("fix the bug",), ("break it", "find it")]
NOTES = ["Minute", "Say", "Ask", "Usual wrong answer", "Late?", "If this laptop does not show it"]
MAX_INCIDENT_WORDS = 80
# A number with a unit, a share, or a comparison is a result, and belongs into a verdict that was measured.
NUMBER = re.compile(
    r"\d\s*(%|percent\b|ms\b|µs|us\b|ns\b|s\b|seconds?\b|MiB|KiB|MB\b|GB\b|cores?\b|times\b|x\b)", re.IGNORECASE
)
SPELLED = re.compile(r"\b(twice|\w+ times|half|tenfold)\b as (fast|slow|much|many)|\btimes (faster|slower|more|less)\b")

each_lesson = pytest.mark.parametrize("name", FILES)


def slug_of(name):
    return name[3:].removesuffix(".ipynb")


def read(name):
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return [
        {**cell, "source": "".join(cell["source"]), "tag": cell["metadata"]["tags"][0]} for cell in notebook["cells"]
    ]


def parts(cells):
    """Split a lesson at its H2 headings: pairs of heading and cells, the title's part without a heading."""
    found = [("", [])]
    for cell in cells:
        heading = re.match(r"## (.+)", cell["source"]) if cell["cell_type"] == "markdown" else None
        if heading:
            found.append((heading[1], []))
        found[-1][1].append(cell)
    return found


def code(cells):
    return [cell for cell in cells if cell["cell_type"] == "code"]


def text(cells, *tags):
    chosen = [c for c in cells if c["cell_type"] == "markdown" and (not tags or c["tag"] in tags)]
    return "\n".join(cell["source"] for cell in chosen)


def calls(cells, function):
    """Find the calls of one of labkit's functions in code cells, each with its literal arguments."""
    nodes = (node for cell in code(cells) for node in ast.walk(ast.parse(cell["source"])))
    made = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == f"lab.{function}"]
    return [[ast.literal_eval(argument) for argument in node.args] for node in made]


def loops(cells):
    """Return the parts between the opening and the closing."""
    return parts(cells)[1 + len(OPENING) : -len(CLOSING)]


def numbers_in(prose):
    """Find results in prose; what stands between backticks is a setting."""
    plain = re.sub(r"`[^`]*`", "", prose)
    return [match.group() for pattern in (NUMBER, SPELLED) for match in pattern.finditer(plain)]


def test_the_lessons_are_found():
    assert len(FILES) == EXPECTED_COUNT, FILES
    assert sorted(map(slug_of, FILES)) == sorted(lessons())


@each_lesson
def test_the_parts_stand_in_order(name):
    headings = [heading for heading, _ in parts(read(name))]
    assert headings[: 1 + len(OPENING)] == ["", *OPENING]
    assert headings[-len(CLOSING) :] == CLOSING
    assert 2 <= len(loops(read(name))) <= 4


@each_lesson
def test_the_title_says_how_long_and_leads_on(name):
    (_, [title]), *_ = parts(read(name))
    assert len(re.findall(r"^# ", title["source"], re.MULTILINE)) == 1
    assert re.search(r"\d+ minutes", title["source"])
    assert "Back: [" in title["source"]
    assert "Next: [" in title["source"] or name == FILES[-1]


@each_lesson
def test_the_incident_is_short_and_runs_at_once(name):
    _, cells = parts(read(name))[1]
    assert len(text(cells, "intro").split()) - 3 <= MAX_INCIDENT_WORDS
    assert [cell["tag"] for cell in code(cells)].count("run") == len(code(cells)) > 0


@each_lesson
def test_the_objectives_are_met_at_the_end(name):
    found = dict(parts(read(name)))
    promised = re.findall(r"^- (.+)", text(found["You will be able to"]), re.MULTILINE)
    kept = re.findall(r"^- (.+)", text(found["You can now"]), re.MULTILINE)
    assert 2 <= len(promised) == len(kept) <= 4
    words = re.search(r"\*\*Words\*\*: (.+)", text(found["You can now"]))
    assert len(re.findall(r"\*[^*]+\*", words[1])) == 3
    assert re.search(r"\]\(\d\d_\w+\.ipynb\)", text(found["You can now"]))


@each_lesson
def test_setup_is_two_lines(name):
    [cell] = code(dict(parts(read(name)))["Setup"])
    lines = [line for line in cell["source"].splitlines() if line]
    assert lines == ["import labkit as lab", f'lab.setup("{slug_of(name)}")']


@each_lesson
def test_each_loop_predicts_runs_explains_and_changes(name):
    for heading, cells in loops(read(name)):
        order = [cell["tag"] for cell in cells]
        assert [order.index(tag) for tag in LOOP] == sorted(order.index(tag) for tag in LOOP), heading
        assert set(order) <= {*LOOP, "instructor"}, heading
        assert calls([cell for cell in cells if cell["tag"] == "predict"], "predict"), heading
        assert any(cell["tag"] == "run" for cell in code(cells)), heading
        assert re.search(r"^1\. .+\?", text(cells, "change"), re.MULTILINE), f"{heading}: no numbered question"
    assert calls(read(name), "bench")


@each_lesson
def test_every_prediction_can_be_compared(name):
    asked = {arguments[0]: arguments for arguments in calls(read(name), "predict")}
    predictions = lessons()[slug_of(name)].predictions
    assert asked.keys() == predictions.keys()
    measured = {arguments[0] for function in ("measure", "bench") for arguments in calls(read(name), function)}
    for one, prediction in predictions.items():
        assert len(asked[one][2]) == prediction.answers_count, one
        assert prediction.about in measured, one


@each_lesson
def test_the_exercises_stand_in_the_notebook_as_in_the_course(name):
    cells = [cell for cell in code(dict(parts(read(name)))["Exercises"]) if cell["tag"] == "exercise"]
    exercises = lessons()[slug_of(name)].exercises
    assert len(cells) == len(exercises) == len(KINDS)
    assert all(exercise.kind in kinds for exercise, kinds in zip(exercises, KINDS, strict=True))
    for cell, exercise in zip(cells, exercises, strict=True):
        assert cell["source"] == f'{exercise.stub.strip()}\n\n\nlab.exercise("{exercise.id}")'


@each_lesson
def test_claims_quiz_and_evidence_are_asked_for(name):
    found, slug = dict(parts(read(name))), slug_of(name)
    assert calls(found["What the article says"], "claims") == [[slug]]
    assert calls(found["Check yourself"], "quiz") == [[slug]]
    assert "`lab.evidence()`" in text(found["You can now"])  # no cell: Run All is not to write files
    assert len(lessons()[slug].quiz) == 3
    for question in lessons()[slug].quiz:
        assert sum(option.right for option in question.options) == 1
        assert all(option.reason for option in question.options)


@each_lesson
def test_instructors_find_notes_in_each_loop(name):
    for heading, cells in [*loops(read(name)), parts(read(name))[1]]:
        notes = [cell for cell in cells if cell["tag"] == "instructor"]
        assert notes, heading
        for cell in notes:
            assert cell["metadata"]["slideshow"]["slide_type"] == "notes"
            assert re.match(r"<details[^>]*><summary>Instructor", cell["source"]), cell["id"]
            assert [word for word in NOTES if f"**{word}**" not in cell["source"]] == [], cell["id"]


@each_lesson
def test_no_result_stands_in_the_prose(name):
    for cell in read(name):
        if cell["cell_type"] == "markdown" and cell["tag"] != "instructor" and cell["id"] != "title":
            assert numbers_in(cell["source"]) == [], cell["id"]


@each_lesson
def test_code_in_the_prose_is_the_code_of_the_experiments(name):
    measured = {arguments[0] for arguments in calls(read(name), "measure")}
    modules = [sys.modules[next(iter(experiment(one).arms.values())).__module__] for one in measured]
    shown = [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", text(read(name)), re.DOTALL)]
    for function in (node for block in shown for node in block.body):
        sources = [
            inspect.getsource(getattr(module, function.name)) for module in modules if hasattr(module, function.name)
        ]
        assert [plain(ast.parse(source).body[0]) for source in sources] == [plain(function)]


def plain(function):
    """Return a function's statements without its docstring and annotations."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return [[argument.arg for argument in function.args.args], *map(ast.dump, body)]


@pytest.mark.parametrize(
    "prose",
    ["It lost 50 % of them", "A lock costs 3 times as much", "it waits 5 ms", "twice as fast", "ten times slower"],
)
def test_the_search_for_results_finds(prose):
    assert numbers_in(prose)


@pytest.mark.parametrize("prose", ["Two threads, 4 accounts, Python 3.11", "Set `hold` to `1 ms`", "at two times"])
def test_the_search_for_results_allows(prose):
    assert numbers_in(prose) == []


@each_lesson
def test_a_def_stands_only_where_it_is_the_lesson(name):
    for cell in code(read(name)):
        assert "print(" not in cell["source"], cell["id"]
        if re.search(r"^\s*(def|class) ", cell["source"], re.MULTILINE):
            assert cell["tag"] in {"run", "exercise"}, cell["id"]
