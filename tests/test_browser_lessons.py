"""The lessons as a student meets them: a real JupyterLab in a real browser, by keyboard, and once by mouse.

Cells, answers and questions are those of the lessons: nothing is written twice. A sleep or the number of runs makes
certain what a test waits for; nothing depends on luck.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import lab_browser
import pytest

from labkit.course.lessons import lesson_of
from labkit.experiments import experiment

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("orphans_in_sight")]

CHECKOUT = Path(__file__).parent.parent
BOOKS = {"lost_updates": "06_lost_updates.ipynb", "deadlock": "10_deadlock.ipynb"}
LIMIT_MS = 10_000
BUSY_CORES = 0.5  # a deadlock uses none; the watch that looks at it, a little
# One arm with little to do. Each slider begins at its left end, and ends there.
BENCHES = {"lost updates": "threads", "deadlock": "same order", "philosophers": "waiter"}


def cells_of(slug, *ids):
    """Return the sources of cells of a lesson, by their ids."""
    found = json.loads((CHECKOUT / "notebooks" / BOOKS[slug]).read_text(encoding="utf-8"))["cells"]
    sources = {cell["id"]: "".join(cell["source"]) for cell in found}
    return [sources[one] for one in ids]


def answered(asked, source):
    return f'{source}\n\nlab.exercise("{asked.id}")'


def bench_of(name):
    start = {key: values[0] for key, values in experiment(name).sweep.items()}
    return f'panel = lab.bench("{name}", arms=["{BENCHES[name]}"], repeats=1, **{start})\npanel'


def long_bench():
    """Return a bench of which one run takes seconds, in part of them deadlocked."""
    return 'panel = lab.bench("deadlock", arms=["opposite order", "same order"], iterations=1, hold_s=0.0)\npanel'


def notebooks():
    """Return the small notebooks of these tests: name -> sources, those of Markdown begin with '#' or '<'."""
    setup = "import labkit as lab\nfrom labkit.course import predictions, progress"
    measured = 'lab.measure("lost updates", arms=["threads"], body=["counter += 1", "read, sleep(0), write"], rounds=1)'
    asks = {slug: lesson_of(slug).exercises[0] for slug in BOOKS}
    incident = cells_of("deadlock", "incident-code", "incident-more", "incident-run")
    live = incident[-1].replace("deadline_s=3", "deadline_s=60")
    assert live != incident[-1]
    return {
        **{f"exercise_{slug}": [setup, answered(asked, asked.stub)] for slug, asked in asks.items()},
        "predict": [setup, *cells_of("lost_updates", "claims-table", "predict-plain"), measured],
        "quiz": [setup, *cells_of("deadlock", "setup", "quiz")],
        **{f"bench_{name.replace(' ', '_')}": [setup, bench_of(name)] for name in BENCHES},
        "incident": [*incident[:-1], live],
        "stopped": [setup, long_bench()],
        "room": [
            setup,
            *cells_of("deadlock", "incident-code", "incident-more", "incident-notes", "run-explore", "predict-load"),
            answered(asks["lost_updates"], asks["lost_updates"].wrong[0].source),
            *cells_of("deadlock", "quiz"),
            "lab.present()",
        ],
    }


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lessons") / "notebooks"
    folder.mkdir()
    for name, sources in notebooks().items():
        lab_browser.write_notebook(folder / f"{name}.ipynb", sources)
    with lab_browser.jupyterlab(folder, checkout=CHECKOUT) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser(need):
    with lab_browser.chromium(need("chromium")) as browser:
        yield browser


@pytest.fixture
def desk(lab, browser):
    with lab_browser.desk(lab, browser) as desk:
        yield desk
        assert desk.errors == []


def plain(text):
    """Take the backticks away, as the page does around code."""
    return text.replace("`", "")


def in_both_themes(desk, name, shown):
    """Keep what a place of the page looks like, in light and dark."""
    for theme in ("dark", "light"):
        desk.theme(theme)
        shown.scroll_into_view_if_needed()
        desk.screenshot(f"lesson-{name}-{theme}")


# ------------------------------------------------------------------------------------------------------ exercises
@pytest.mark.parametrize("slug", BOOKS)
def test_an_exercise_is_answered_wrongly_and_rightly(desk, slug):
    asked = lesson_of(slug).exercises[0]
    desk.open_notebook(f"exercise_{slug}.ipynb")
    desk.run_all()
    cell = desk.cell(1)
    cell.get_by_role("status").get_by_text("Not yet").wait_for(timeout=LIMIT_MS)
    assert cell.get_by_text("One right answer").count() == 0
    assert desk.ask_kernel("Out[max(Out)].state") == "'not yet'"

    wrong = next(answer for answer in asked.wrong if answer.shown)
    desk.type_cell(1, answered(asked, wrong.source))
    cell.get_by_role("status").get_by_text("Wrong").wait_for(timeout=LIMIT_MS)
    assert plain(wrong.message) in cell.get_by_role("status").first.inner_text()
    assert desk.ask_kernel("Out[max(Out)].state") == "'wrong'"
    step_both_ways(desk, cell)
    hint = cell.get_by_text("Hint 1 of 3")
    hint.focus()
    assert not cell.get_by_text(plain(asked.hints[0])).is_visible()
    hint.press("Enter")
    cell.get_by_text(plain(asked.hints[0])).wait_for(timeout=LIMIT_MS)
    cell.get_by_text("One right answer").wait_for()  # after a try, and folded
    assert not cell.get_by_text(asked.solution.splitlines()[0]).last.is_visible()
    in_both_themes(desk, f"exercise-{slug}", cell.get_by_role("status").first)

    desk.type_cell(1, answered(asked, asked.solution))
    cell.get_by_role("status").get_by_text("Right, and proved").wait_for(timeout=LIMIT_MS)
    assert desk.ask_kernel("(Out[max(Out)].state, Out[max(Out)].tries)") == "('proved', 2)"
    assert desk.ask_kernel(f"progress.latest('exercise', '{asked.id}').value['state']") == "'proved'"


def step_both_ways(desk, cell):
    """Walk through a witness: back with the slider and a button, and forth again, all by keyboard."""
    stepper = cell.get_by_role("group", name="Stepper")
    picture, slider = stepper.get_by_role("img").first, stepper.get_by_role("slider", name="Step")
    last = int(slider.get_attribute("max"))
    assert last > 2
    looks = {last: picture.inner_html()}
    slider.focus()
    slider.press("ArrowLeft")
    assert slider.input_value() == str(last - 1)
    looks[last - 1] = picture.inner_html()
    back = stepper.get_by_role("button", name="Previous step")
    back.focus()
    back.press("Enter")
    assert slider.get_attribute("aria-valuetext") == f"Step {last - 2} of {last}"
    looks[last - 2] = picture.inner_html()
    assert len(set(looks.values())) == len(looks)
    slider.focus()
    slider.press("ArrowRight")
    assert picture.inner_html() == looks[last - 1]
    forth = stepper.get_by_role("button", name="Next step")
    forth.focus()
    forth.press("Space")
    assert (slider.input_value(), picture.inner_html()) == (str(last), looks[last])


# ------------------------------------------------------------------------------- predictions, claims and questions
def test_a_prediction_and_the_claims_are_answered_in_place_by_a_measurement_below(desk):
    desk.open_notebook("predict.ipynb")
    for number in range(3):
        desk.run_cell(number)
    claims, cell = desk.cell(1), desk.cell(2)
    claims.get_by_text("not measured yet").first.wait_for(timeout=LIMIT_MS)
    assert press(cell.get_by_role("button", name="Skip this prediction"), "Space")
    cell.get_by_role("status").get_by_text("Skipped.").wait_for(timeout=LIMIT_MS)
    desk.wait_for_kernel("predictions.record(Out[3].asked).before.answer", "None")
    assert press(cell.get_by_role("button", name=re.compile("Answer 3: ")), "Enter")
    cell.get_by_role("button", name=re.compile("Answer 3: .*, chosen")).wait_for(timeout=LIMIT_MS)
    desk.wait_for_kernel("predictions.record(Out[3].asked).before.answer", "2")

    desk.restart_kernel("predict.ipynb")
    for number in range(3):
        desk.run_cell(number)
    cell.get_by_role("button", name=re.compile("Answer 3: .*, chosen")).wait_for(timeout=LIMIT_MS)
    cell.get_by_text("You predicted:").first.wait_for()
    assert cell.get_by_text("It came out:").count() == 0
    assert desk.ask_kernel("predictions.record(Out[3].asked).before.answer") == "2"

    desk.run_cell(3)
    cell.get_by_text("It came out:").first.wait_for(timeout=LIMIT_MS)
    claims.get_by_text(re.compile("^1 of |: 1 of |[.] 1 of ")).first.wait_for(timeout=LIMIT_MS)
    row = claims.get_by_role("row").filter(has=desk.page.get_by_role("cell", name=re.compile("holds")))
    assert re.search("[0-9]+ of [0-9]+ rounds lost", row.first.inner_text())
    in_both_themes(desk, "predict", cell)
    in_both_themes(desk, "claims", claims)


def press(button, key):
    """Press a button by keyboard, as soon as it has its name; return True if it had the focus."""
    button.wait_for(timeout=LIMIT_MS)
    button.focus()
    button.press(key)
    return True


def test_a_wrong_choice_in_the_quiz_says_why_and_a_right_one_is_confirmed(desk):
    desk.open_notebook("quiz.ipynb")
    desk.run_all()
    question = lesson_of("deadlock").quiz[0]
    right = next(number for number, option in enumerate(question.options) if option.right)
    wrong = next(number for number, option in enumerate(question.options) if not option.right)
    cell = desk.cell(2)
    group = cell.get_by_role("group", name=re.compile("^Question 1 of 3"))
    says = group.get_by_role("status")
    assert press(group.get_by_role("button", name=re.compile(f"^Option {wrong + 1}: ")), "Enter")
    says.get_by_text("Not right").wait_for(timeout=LIMIT_MS)
    assert plain(question.options[wrong].reason) in says.inner_text()
    desk.wait_for_kernel(f"progress.latest('quiz', '{question.id}').value['right']", "False")
    assert press(group.get_by_role("button", name=re.compile(f"^Option {right + 1}: ")), "Space")
    says.get_by_text("✔ Right").wait_for(timeout=LIMIT_MS)
    cell.get_by_text("Answered right at try 2.").wait_for(timeout=LIMIT_MS)
    desk.wait_for_kernel(f"progress.latest('quiz', '{question.id}').value['right']", "True")
    in_both_themes(desk, "quiz", cell)


# --------------------------------------------------------------------------------------------------------- benches
@pytest.mark.parametrize("name", BENCHES)
def test_every_slider_is_moved_by_keyboard_and_dragged_by_mouse(desk, name):
    desk.open_notebook(f"bench_{name.replace(' ', '_')}.ipynb")
    desk.run_all()
    cell, sweep = desk.cell(1), experiment(name).sweep
    status(cell, "1 runs in").wait_for(timeout=LIMIT_MS)
    labels = {words(key): key for key in sweep}
    named = {one.get_attribute("aria-label") for one in cell.get_by_role("slider").all()}
    assert named == set(labels)
    for label, key in labels.items():
        slider = cell.get_by_role("slider", name=label, exact=True)
        slider.focus()
        began = time.monotonic()
        slider.press("ArrowRight")
        assert new_picture(desk, cell, slider, key, began) == sweep[key][1]
        began = drag_to_the_left(desk, slider)
        assert new_picture(desk, cell, slider, key, began) == sweep[key][0]
    in_both_themes(desk, f"bench-{name.replace(' ', '-')}", cell.locator(".labkit-bench"))


def words(key):
    from labkit.show import html

    return html.label(key)


def status(cell, text):
    return cell.get_by_role("status").get_by_text(text)


def new_picture(desk, cell, slider, key, began):
    """Wait for the picture of the setting at which a slider stands; return that setting, and tell how long it took."""
    label, value = slider.get_attribute("aria-label"), slider.get_attribute("aria-valuetext")
    setting = re.compile(f"(^|; ){re.escape(label)} {re.escape(value)}(;|$)")
    cell.get_by_text(setting).wait_for(timeout=LIMIT_MS)
    status(cell, "1 runs in").wait_for(timeout=LIMIT_MS)
    seconds = time.monotonic() - began
    alt = cell.get_by_role("img").last.get_attribute("alt")
    assert "in 1 runs" in alt
    found, took = json.loads(desk.ask_kernel(f"[panel.latest[0].trial.params['{key}'], panel.latest[0].lifetime_s]")
        .replace("'", '"').replace("True", "true").replace("False", "false"))
    print(f"{label} {value}: {seconds:.2f} s from key to picture, {seconds - took:.2f} s more than the run")
    return found


def drag_to_the_left(desk, slider):
    """Drag a slider to its left end with the mouse; return when it was let go."""
    slider.scroll_into_view_if_needed()
    track = slider.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]")
    box, whole, mouse = slider.bounding_box(), track.bounding_box(), desk.page.mouse
    middle = box["y"] + box["height"] / 2
    mouse.move(box["x"] + box["width"] / 2, middle)
    mouse.down()
    mouse.move(whole["x"], middle, steps=4)
    mouse.up()
    return time.monotonic()


# -------------------------------------------------------------------------------------------------- Stop in a deadlock
def test_stop_ends_a_deadlock_that_is_watched_live(desk):
    desk.open_notebook("incident.ipynb")
    for number in range(2):
        desk.run_cell(number)
    cell = desk.cell(2)
    desk.run_cell(2, limit_s=0.1)
    status(cell, "circle: nobody can go on").wait_for(timeout=LIMIT_MS)
    graph = cell.get_by_role("img", name=re.compile("^Wait-for graph, circle"))
    said = graph.get_attribute("aria-label")
    assert "to_bob waits for the lock bob, held by to_alice" in said
    assert "to_alice waits for the lock alice, held by to_bob" in said
    cores = cell.get_by_role("img", name=re.compile("^CPU used over ([2-9]|1[0-9])[.]"))
    cores.wait_for(timeout=LIMIT_MS)
    assert float(re.search("([0-9.]+) cores at the last look", cores.get_attribute("aria-label"))[1]) < BUSY_CORES
    in_both_themes(desk, "incident-live", cell.get_by_role("button", name="Stop"))
    assert press(cell.get_by_role("button", name="Stop"), "Space")
    cell.get_by_text("The run of payments was stopped").wait_for(timeout=LIMIT_MS)
    lines = cell.get_by_role("table").inner_text()
    assert re.search("to_bob.*line 11", lines)
    assert re.search("to_alice.*line 4", lines)
    assert desk.ask_kernel("6 * 7") == "42"
    run = "Out[max(Out)].wait()"
    assert desk.ask_kernel(f"({run}.ending.name, {run}.receipt.processes_left)") == "('STOPPED', ())"
    in_both_themes(desk, "incident-stopped", cell.get_by_text("The run of payments was stopped"))


def test_stop_ends_a_bench_of_deadlocks_and_it_goes_on(desk):
    desk.open_notebook("stopped.ipynb")
    desk.run_all()
    cell = desk.cell(1)
    for label, key in (("hold", "End"), ("iterations", "End")):
        slider = cell.get_by_role("slider", name=label)
        slider.focus()
        slider.press(key)
    stop = cell.get_by_role("button", name="Stop")
    status(cell, "0 of 6 runs").wait_for(timeout=LIMIT_MS)
    assert press(stop, "Space")
    status(cell, "Stopped: ").wait_for(timeout=LIMIT_MS)
    assert desk.ask_kernel("6 * 7") == "42"
    for label in ("hold", "iterations"):
        slider = cell.get_by_role("slider", name=label)
        slider.focus()
        slider.press("Home")
    status(cell, "6 runs in").wait_for(timeout=LIMIT_MS)
    settings = "{(run.trial.params['iterations'], run.trial.params['hold_s']) for run in panel.latest}"
    assert desk.ask_kernel(settings) == "{(1, 0.0)}"
    assert desk.ask_kernel("[name for run in panel.runs for name in run.receipt.processes_left]") == "[]"


# ------------------------------------------------------------------------------------------------------ in a room
def test_a_lesson_is_shown_to_a_room(lab, browser):
    with lab_browser.desk(lab, browser, width=1920, height=1080) as desk:
        desk.open_notebook("room.ipynb")
        last = len(notebooks()["room"]) - 1
        for number in range(last):
            desk.run_cell(number)
        code, question = desk.cell(1).get_by_role("textbox"), desk.cell(7).get_by_text("Question 1 of 3")
        before = [size(question), height(code)]
        desk.cell(3).get_by_text("Instructor").first.wait_for()
        desk.run_cell(last)
        desk.present()
        code.evaluate("area => area.blur()")
        assert size(question) > 1.3 * before[0]
        assert height(code) < before[1] / 2
        assert not desk.cell(3).get_by_text("Instructor").first.is_visible()
        assert not desk.cell(3).get_by_text("Usual wrong answer").is_visible()
        for number in (4, 5, 6, 7):
            desk.cell(number).scroll_into_view_if_needed()
            desk.screenshot(f"lesson-room-{number}")
        assert desk.errors == []


def size(text):
    return float(text.evaluate("text => parseFloat(getComputedStyle(text).fontSize)"))


def height(place):
    return place.evaluate("place => place.closest('.jp-InputArea-editor').getBoundingClientRect().height")
