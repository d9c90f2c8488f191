"""The lessons as a student meets them: a real JupyterLab in a real browser, by keyboard, and once by mouse.

A sleep or the number of runs makes certain what a test waits for; nothing depends on luck. What they open is made in
lesson_books.py. To start a kernel takes longest, so each notebook serves much.
"""

from __future__ import annotations

import ast
import re
import time
from typing import TYPE_CHECKING, NamedTuple

import lab_browser
import pytest
from lesson_books import (
    BENCHES,
    BOOKS,
    CHECKOUT,
    NOWHERE,
    STEPPED,
    answered,
    cells_of,
    exchanged,
    first_exercise,
    notebooks,
    stepped,
    variable,
)

from labkit.course.lessons import lesson_of
from labkit.experiments import experiment
from labkit.show import html

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("orphans_in_sight")]

LIMIT_MS = 60_000
BUSY_CORES = 0.5  # a deadlock uses none; the watch that looks at it, a little
LIVE_RUNS, LIVE_WAYS = 12, 4
CARRIED_RUNS = 8  # of as many, if one mechanism of three cannot carry the payload
# Keep each picture that comes: how many runs the page says have ended, and the alt text of what it shows of them.
WATCH = """([total, number]) => {
  window.labkitSeen = [];
  const find = () => document.querySelector(`.jp-Notebook .jp-Cell[data-windowed-list-index='${number}']`);
  const look = () => {
    const cell = find(), said = cell?.innerText.match(new RegExp(`([0-9]+) of ${total} runs, .+`));
    const alt = cell?.querySelector('figure img')?.alt;
    if (said && alt && window.labkitSeen.at(-1)?.[0] !== said[0]) window.labkitSeen.push([said[0], alt]);
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


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


# ----------------------------------------------------------------------------------------------- what tests do often
def in_both_themes(desk, name, *places):
    """Keep what places of the page look like, in dark and light."""
    for theme in ("dark", "light"):
        desk.theme(theme)
        for number, place in enumerate(places, 1):
            desk.to_the_top(place)
            desk.screenshot(f"lesson-{name}-{number}-{theme}")


def plain(text):
    """Take the backticks away, as the page does around code."""
    return text.replace("`", "")


def status(cell, text):
    return cell.get_by_role("status").get_by_text(text)


def press(place, key):
    """Press a key on a part of the page, as soon as it is there under its name."""
    place.wait_for(timeout=LIMIT_MS)
    place.focus()
    place.press(key)


# ------------------------------------------------------------------------------------------------------ exercises
def test_each_lesson_that_shows_schedules_is_stepped_through():
    shows = {
        slug for slug in BOOKS for asked in lesson_of(slug).exercises if any(answer.shown for answer in asked.wrong)
    }
    assert set(STEPPED) == shows


def test_exercises_are_answered_wrongly_and_rightly(desk):
    desk.open_notebook("exercises.ipynb")
    desk.run_all()
    cells = {slug: desk.cell(number) for number, slug in enumerate(STEPPED, 1)}
    for number, (slug, cell) in enumerate(cells.items(), 1):
        asked = stepped(slug)
        status(cell, "Not yet").wait_for(timeout=LIMIT_MS)
        assert desk.ask_kernel(f"Out[{number + 1}].state") == "'not yet'"
        assert cell.get_by_text("One right answer").count() == 0
        answer_wrongly(desk, cell, number, asked)
    in_both_themes(desk, "exercise", *cells.values())
    for number, (slug, cell) in enumerate(cells.items(), 1):
        asked = stepped(slug)
        desk.type_cell(number, answered(asked, asked.solution))
        said = "Broken, and well done" if asked.kind == "break it" else "Right, and proved"
        status(cell, said).wait_for(timeout=LIMIT_MS)
        assert desk.ask_kernel("(Out[max(Out)].state, Out[max(Out)].tries)") == "('proved', 2)"
        assert desk.ask_kernel(f"progress.latest('exercise', '{asked.id}').value['state']") == "'proved'"
        desk.screenshot(f"lesson-solved-{number}")


def answer_wrongly(desk, cell, number, asked):
    """Type a known-wrong answer; read why it is wrong, step through the schedule, open a hint."""
    wrong = next(answer for answer in asked.wrong if answer.shown)
    desk.type_cell(number, answered(asked, wrong.source))
    status(cell, "Wrong").wait_for(timeout=LIMIT_MS)
    assert plain(wrong.message) in cell.get_by_role("status").first.inner_text()
    assert desk.ask_kernel("Out[max(Out)].state") == "'wrong'"
    step_both_ways(cell.get_by_role("group", name="Stepper"))
    unfold(cell, asked)


def unfold(cell, asked):
    """Open a hint and the solution: after a try they are there, and folded."""
    hint = cell.get_by_text(plain(asked.hints[0]))
    assert not hint.is_visible()
    press(cell.get_by_text("Hint 1 of 3"), "Enter")
    hint.wait_for(timeout=LIMIT_MS)
    assert not cell.get_by_text(plain(asked.hints[1])).is_visible()
    solution = cell.locator("details", has_text="One right answer").locator("pre")
    assert not solution.is_visible()
    press(cell.get_by_text("One right answer"), "Space")
    assert solution.inner_text().strip() == asked.solution.strip()


def step_both_ways(stepper):
    """Walk through a witness: back with the slider and a button, and forth again, all by keyboard."""
    picture, slider = stepper.get_by_role("img").first, stepper.get_by_role("slider", name="Step")
    last = int(slider.get_attribute("max"))
    looks = [picture.inner_html()]
    press(slider, "ArrowLeft")
    assert slider.input_value() == str(last - 1)
    looks.append(picture.inner_html())
    press(stepper.get_by_role("button", name="Previous step"), "Enter")
    assert slider.input_value() == str(last - 2)
    looks.append(picture.inner_html())
    assert len(set(looks)) == len(looks)
    press(slider, "ArrowRight")
    assert picture.inner_html() == looks[1]
    press(stepper.get_by_role("button", name="Next step"), "Space")
    assert (slider.input_value(), picture.inner_html()) == (str(last), looks[0])


# ------------------------------------------------------------------------------- an answer that a measurement checks
def test_a_predicted_curve_is_held_against_a_measurement(desk):
    desk.open_notebook("predicted.ipynb")
    desk.run_cell(0)
    desk.run_cell(1)
    asked, cell = first_exercise("gil"), desk.cell(1)
    status(cell, "Not yet").wait_for(timeout=LIMIT_MS)
    wrong = next(answer for answer in asked.wrong if answer.name == "half of what one would think")
    desk.type_cell(1, answered(asked, wrong.source))  # one worker is measured: nothing can come between
    status(cell, "Wrong").wait_for(timeout=LIMIT_MS)
    assert plain(wrong.message) in cell.get_by_role("status").first.inner_text()
    assert re.search(r"Python loop\t1\t0.5\t.*✘ no", compared(cell)[-1])
    assert cell.get_by_role("group", name="Stepper").count() == 0
    press(cell.get_by_text("One right answer"), "Enter")
    assert cell.locator("details[open] pre").inner_text().strip() == asked.solution.strip()
    in_both_themes(desk, "predicted-wrong", cell)
    predict_rightly(desk, cell, asked)
    rows = compared(cell)
    assert [row.split("\t")[:2] for row in rows[1:]] == [
        ["Python loop", "1"],
        ["Python loop", "4"],
        ["sort", "2"],
        ["sha256", "2"],
    ]
    assert all(row.endswith("✔ yes") for row in rows[1:])
    assert cell.get_by_role("group", name="Stepper").count() == 0
    in_both_themes(desk, "predicted-right", cell)


def predict_rightly(desk, cell, asked):
    """Give the right answer, up to four times: busy neighbours spoil fewer than one check in ten."""
    for tries in range(2, 6):
        desk.type_cell(1, answered(asked, f"{asked.solution}\n# {tries}"))
        desk.wait_for_kernel("Out[max(Out)].tries", str(tries), limit_s=60)
        if desk.ask_kernel("Out[max(Out)].state") == "'proved'":
            break
    status(cell, "Right, as measured here").wait_for(timeout=LIMIT_MS)


def compared(cell):
    """Return the rows of the table of predictions and measurements."""
    table = cell.get_by_role("table", name="Your prediction beside the measurement, in cores")
    return table.inner_text().splitlines()[1:]


def test_a_picture_fills_in_while_it_is_measured(desk):
    desk.open_notebook("predicted.ipynb")
    desk.run_cell(0)
    fills_in(desk, 2, left_out=0)
    in_both_themes(desk, "live", desk.cell(2))


def fills_in(desk, number, *, left_out):
    """Run a cell that measures, and see its picture grow: it holds the runs that have ended and are not left out."""
    desk.page.evaluate(WATCH, [LIVE_RUNS, number])
    desk.run_cell(number)
    cell = desk.cell(number)
    cell.get_by_text(f"{LIVE_RUNS} runs in ").wait_for(timeout=LIMIT_MS)
    seen = desk.page.evaluate("labkitSeen")
    said = [words for words, _ in seen]
    counts = [int(words.split()[0]) for words in said]
    assert counts == sorted(set(counts))
    assert len(counts) >= 3, said
    assert all(re.search("about [0-9]+ s left$", words) for words in said)
    drawn = [drawn_runs(alt) for _, alt in seen]
    assert drawn == sorted(drawn)
    assert all(count - left_out <= runs <= count for count, runs in zip(counts, drawn, strict=True))
    ways = [len(re.findall("in [0-9]+ run", alt)) for _, alt in seen]  # an arm with a setting each
    assert ways == sorted(ways)
    assert ways[0] < ways[-1] == LIVE_WAYS
    assert cell.get_by_role("progressbar").count() == 0
    assert drawn_runs(cell.get_by_role("img").last.get_attribute("alt")) == LIVE_RUNS - left_out


def drawn_runs(alt):
    return sum(map(int, re.findall("in ([0-9]+) run", alt)))


# ------------------------------------------------------------------------------- predictions, claims and questions
def test_what_is_asked_is_answered_in_place_and_kept_over_a_restart(desk):
    desk.open_notebook("asked.ipynb")
    for number in range(3):
        desk.run_cell(number)
    claims, asked = desk.cell(1), desk.cell(2)
    claims.get_by_text("0 of 2 claims measured").wait_for(timeout=LIMIT_MS)
    press(asked.get_by_role("button", name="Skip this prediction"), "Space")
    status(asked, "Skipped.").wait_for(timeout=LIMIT_MS)
    desk.wait_for_kernel("predictions.record(Out[3].asked).before.answer", "None")
    third = asked.get_by_role("button", name=re.compile("^Answer 3: "))
    press(third, "Enter")
    status(asked, "Recorded: answer 3.").wait_for(timeout=LIMIT_MS)
    desk.wait_for_kernel("predictions.record(Out[3].asked).before.answer", "2")

    desk.restart_kernel("asked.ipynb")
    for number in range(3):
        desk.run_cell(number)
    asked.get_by_role("button", name=re.compile("^Answer 3: .*, chosen$")).wait_for(timeout=LIMIT_MS)
    asked.get_by_text("You predicted: ").first.wait_for(timeout=LIMIT_MS)
    assert asked.get_by_text("It came out: ").count() == 0
    assert desk.ask_kernel("predictions.record(Out[3].asked).before.answer") == "2"

    desk.run_cell(3)
    asked.get_by_text("It came out: ").first.wait_for(timeout=LIMIT_MS)
    claims.get_by_text("1 of 2 claims measured").wait_for(timeout=LIMIT_MS)
    row = claims.get_by_role("row", name=re.compile("race conditions"))
    assert re.search("holds.* of 6 rounds lost additions", row.inner_text().replace("\n", " "))
    assert desk.ask_kernel("[one.verdict.outcome for one in standings('lost_updates') if one.verdict]") == "['holds']"
    answer_the_quiz(desk)
    in_both_themes(desk, "asked", claims, asked, desk.cell(4))


def answer_the_quiz(desk):
    """Choose a wrong option, then the right one."""
    desk.run_cell(4)
    question = lesson_of("deadlock").quiz[0]
    group = desk.cell(4).get_by_role("group", name=re.compile("^Question 1 of 3"))
    says = group.get_by_role("status")
    for right, key in ((False, "Enter"), (True, "Space")):
        number, option = next(pair for pair in enumerate(question.options, 1) if pair[1].right is right)
        press(group.get_by_role("button", name=re.compile(f"^Option {number}: ")), key)
        says.get_by_text("✔ Right" if right else "✘ Not right").wait_for(timeout=LIMIT_MS)
        assert plain(option.reason) in says.inner_text()
        desk.wait_for_kernel(f"progress.latest('quiz', '{question.id}').value['right']", str(right))
    desk.cell(4).get_by_text("Answered right at try 2.").wait_for(timeout=LIMIT_MS)


# --------------------------------------------------------------------------------------------------------- benches
def test_every_slider_is_moved_by_keyboard_and_dragged_by_mouse(desk):
    desk.open_notebook("benches.ipynb")
    desk.run_all()
    panels = [Panel(desk, name, desk.cell(number)) for number, name in enumerate(BENCHES, 1)]
    for panel in panels:
        status(panel.cell, "1 run in").wait_for(timeout=LIMIT_MS)
        sweep = experiment(panel.name).sweep
        for key, values in sweep.items():
            began = time.monotonic()
            press(panel.slider(key), "ArrowRight")
            assert panel.drawn_at(key, began) == values[1]
            began = panel.drag_to_the_left(key)
            assert panel.drawn_at(key, began) == values[0]
        assert panel.cell.get_by_role("slider").count() == len(sweep)
    in_both_themes(desk, "bench", *(panel.cell for panel in panels))


class Panel(NamedTuple):
    """A bench on the page; the kernel knows it as a variable of its name."""

    desk: lab_browser.Desk
    name: str
    cell: Locator

    def slider(self, key):
        return self.cell.get_by_role("slider", name=html.label(key), exact=True)

    def drawn_at(self, key, began):
        """Wait for the picture of the setting at which a slider stands; return its run's setting, and tell the time."""
        words = f"{html.label(key)} {self.slider(key).get_attribute('aria-valuetext')}"
        self.cell.get_by_text(re.compile(f"(^|; ){re.escape(words)}(;|$)")).wait_for(timeout=LIMIT_MS)
        status(self.cell, "1 run in").wait_for(timeout=LIMIT_MS)
        seconds = time.monotonic() - began
        assert "in 1 run" in self.cell.get_by_role("img").last.get_attribute("alt")
        run = f"{variable(self.name)}.latest[0]"
        asked = f"({run}.trial.params['{key}'], {run}.lifetime_s)"
        found, run_s = ast.literal_eval(self.desk.ask_kernel(asked))
        print(f"{self.name}, {words}: {seconds:.2f} s until the picture, {seconds - run_s:.2f} s more than the run")
        return found

    def drag_to_the_left(self, key):
        """Drag a slider to its left end with the mouse; return when it was let go."""
        slider = self.slider(key)
        slider.scroll_into_view_if_needed()
        track = slider.locator("xpath=ancestor::*[contains(@class, 'noUi-base')]")
        box, whole, mouse = slider.bounding_box(), track.bounding_box(), self.desk.page.mouse
        middle = box["y"] + box["height"] / 2
        mouse.move(box["x"] + box["width"] / 2, middle)
        mouse.down()
        mouse.move(whole["x"], middle, steps=4)
        mouse.up()
        return time.monotonic()


def test_interpreters_are_chosen_by_keyboard_and_a_missing_one_is_named(desk, free_threaded):
    desk.open_notebook("pythons.ipynb")
    desk.run_all()
    cell = desk.cell(1)
    status(cell, "1 run in").wait_for(timeout=LIMIT_MS)
    own = cell.get_by_role("checkbox", name=re.compile("this notebook"))
    free = cell.get_by_role("checkbox", name=f"Python {free_threaded.version} (free-threaded)", exact=True)
    assert (own.is_checked(), free.is_checked()) == (True, False)
    cell.get_by_text(f"Python {NOWHERE}: not installed").wait_for(timeout=LIMIT_MS)
    assert cell.get_by_role("code").filter(has_text=f"uv python install {NOWHERE}").is_visible()
    assert cell.get_by_role("checkbox", name=re.compile(re.escape(NOWHERE))).count() == 0
    own_version = ast.literal_eval(desk.ask_kernel("panel.latest[0].python"))
    assert on_the_page(desk, cell) == [own_version]

    press(free, "Space")
    status(cell, "2 runs in").wait_for(timeout=LIMIT_MS)
    assert on_the_page(desk, cell) == sorted([own_version, free_threaded.version])
    alt = cell.get_by_role("img").last.get_attribute("alt")
    assert f"python {own_version}" in alt
    assert f"python {free_threaded.version}" in alt
    in_both_themes(desk, "pythons", cell)

    press(own, "Space")
    status(cell, "1 run in").wait_for(timeout=LIMIT_MS)
    assert on_the_page(desk, cell) == [free_threaded.version]
    press(free, "Space")
    status(cell, "Failed: see below.").wait_for(timeout=LIMIT_MS)
    said = cell.get_by_role("alert").inner_text()
    assert "Tick at least one interpreter." in said
    assert "BadValue" not in said
    assert cell.get_by_role("img").count() == 0  # no picture of what is not chosen
    desk.screenshot("lesson-pythons-none")
    press(own, "Space")
    status(cell, "1 run in").wait_for(timeout=LIMIT_MS)
    assert on_the_page(desk, cell) == [own_version]
    assert cell.get_by_role("alert").count() == 0


def on_the_page(desk, cell):
    """Return the interpreters of the runs that a bench shows, as kernel and table say; one alone is in no column."""
    found = sorted(ast.literal_eval(desk.ask_kernel("[run.python for run in panel.latest]")))
    rows = cell.get_by_role("table").inner_text().splitlines()[1:]
    if len(found) > 1:
        assert sorted(row.split("\t")[1] for row in rows[1:]) == found
    else:
        assert len(rows) == 2
    return found


# -------------------------------------------------------------------------------------------------- Stop in a deadlock
def test_stop_ends_a_deadlock_and_the_kernel_goes_on(desk):
    desk.open_notebook("stops.ipynb")
    for number in range(2):
        desk.run_cell(number)
    stop_the_incident(desk, desk.cell(2))
    stop_the_bench(desk, desk.cell(3))


def stop_the_incident(desk, cell):
    """Start the incident, wait until its circle has closed, and press Stop."""
    desk.run_cell(2, limit_s=0.1)
    status(cell, "circle: nobody can go on").wait_for(timeout=LIMIT_MS)
    circle = cell.get_by_role("img", name=re.compile("^Wait-for graph, circle")).get_attribute("aria-label")
    assert "to_bob waits for the lock bob, held by to_alice" in circle
    assert "to_alice waits for the lock alice, held by to_bob" in circle
    assert "MainThread waits for the thread to_bob" in circle
    cpu = cell.get_by_role("img", name=re.compile("^CPU used over ([2-9]|[1-9][0-9])[.]"))
    cpu.wait_for(timeout=LIMIT_MS)
    assert float(re.search("([0-9.]+) cores at the last look", cpu.get_attribute("aria-label"))[1]) < BUSY_CORES
    stop = cell.get_by_role("button", name="Stop")
    in_both_themes(desk, "incident-live", stop)
    press(stop, "Space")
    cell.get_by_text("The run of payments was stopped").wait_for(timeout=LIMIT_MS)
    table = cell.get_by_role("table").inner_text()
    for thread, id_, inner in (("to_bob", "incident-code", "bob"), ("to_alice", "incident-more", "alice")):
        line = 1 + cells_of("deadlock", id_)[0].splitlines().index(f"        with {inner}:")
        assert re.search(f"{thread}\t.*line {line} of cell", table)
    assert desk.ask_kernel("6 * 7") == "42"
    run = "Out[max(Out)].wait()"
    assert desk.ask_kernel(f"({run}.ending.name, {run}.receipt.processes_left)") == "('STOPPED', ())"
    desk.screenshot("lesson-incident-stopped")


def stop_the_bench(desk, cell):
    """Stop a bench amid deadlocks, and measure another setting with it."""
    desk.run_cell(3)
    slider = cell.get_by_role("slider", name="iterations")
    press(slider, "End")
    status(cell, "0 of 6 runs").wait_for(timeout=LIMIT_MS)
    press(cell.get_by_role("button", name="Stop"), "Space")
    status(cell, "Stopped: ").wait_for(timeout=LIMIT_MS)
    assert desk.ask_kernel("6 * 7") == "42"
    press(slider, "Home")
    status(cell, "6 runs in").wait_for(timeout=LIMIT_MS)
    assert desk.ask_kernel("{run.trial.params['iterations'] for run in panel.latest}") == "{1}"
    assert desk.ask_kernel("[name for run in panel.runs for name in run.receipt.processes_left]") == "[]"


# ---------------------------------------------------------------------------------------- what is sent and counted
def test_messages_block_each_other_are_counted_and_cannot_carry_all(desk):
    desk.open_notebook("messages.ipynb")
    exercises, last = lesson_of("ipc").exercises, len(notebooks()["messages"]) - 1
    for number in range(last):  # the first goes on while the others run
        desk.run_cell(number)
    ended_at_its_deadline(desk, desk.cell(0))
    for number, asked in enumerate(exercises, 1):
        counted_wrongly_and_rightly(desk, number, asked)
    fills_in(desk, last, left_out=LIVE_RUNS - CARRIED_RUNS)
    for arm in ("threads", "processes"):
        cell_says = desk.cell(last).get_by_text(re.compile(f"^{arm} cannot be run here: .*only bytes and arrays"))
        assert cell_says.count() == 1
    in_both_themes(desk, "messages", *map(desk.cell, range(last + 1)))


def ended_at_its_deadline(desk, cell):
    """Read where both ends send and nobody reads, after the run was ended."""
    line = 1 + exchanged().splitlines().index("    ours.send(bytes(1_000_000))")
    stood = f"thread MainThread waits for the connection ours, line {line} of cell"
    cell.get_by_text(f"The run of reports ran past its deadline of 5 s and was ended: {stood}").wait_for(
        timeout=LIMIT_MS
    )
    cpu = cell.get_by_role("img", name=re.compile("^CPU used over ")).get_attribute("aria-label")
    assert float(re.search("([0-9.]+) cores at the last look", cpu)[1]) < BUSY_CORES
    assert "connection ours" in cell.get_by_role("table").first.inner_text()
    run = "Out[1].wait()"
    found = desk.ask_kernel(f"({run}.ending.name, {run}.receipt.clean, {run}.receipt.processes_left)")
    assert found == "('TIMED_OUT', True, ())"


def counted_wrongly_and_rightly(desk, number, asked):
    """Type a known-wrong answer, and then the right one; each with a table of what was measured, or counted."""
    cell, (wrong, *_) = desk.cell(number), asked.wrong
    status(cell, "Not yet").wait_for(timeout=LIMIT_MS)
    desk.type_cell(number, answered(asked, wrong.source))
    status(cell, "Wrong").wait_for(timeout=LIMIT_MS)
    assert plain(wrong.message) in cell.get_by_role("status").first.inner_text()
    assert cell.get_by_role("group", name="Stepper").count() == 0
    looks = [cell.get_by_role("table").inner_text()]
    unfold(cell, asked)
    desk.type_cell(number, answered(asked, asked.solution))
    status(cell, f"Right, as {'measured here' if number == 1 else 'counted'}").wait_for(timeout=LIMIT_MS)
    looks.append(cell.get_by_role("table").inner_text())
    assert looks[0] != looks[1]
    assert [look.count("✘ no") for look in looks] == ([1, 0] if number == 1 else [0, 0])
    assert desk.ask_kernel("(Out[max(Out)].state, Out[max(Out)].tries)") == "('proved', 2)"


# ------------------------------------------------------------------------------------------------------ in a room
def test_a_lesson_is_shown_to_a_room(lab, browser):
    with lab_browser.desk(lab, browser, width=1920, height=1080) as desk:
        desk.open_notebook("room.ipynb")
        last = len(notebooks()["room"]) - 1
        for number in range(last):
            desk.run_cell(number)
        code, notes = desk.cell(1).get_by_role("textbox"), desk.cell(3)
        question = desk.cell(7).get_by_text("Question 1 of 3", exact=True)
        before, unfolded = size(question), height(code)
        notes.get_by_text("Instructor", exact=True).wait_for(timeout=LIMIT_MS)
        desk.run_cell(last)
        desk.present()
        assert desk.ask_kernel(f"Out[{last}].on") == "True"
        assert size(question) > 1.3 * before
        assert height(code) < unfolded / 2
        for words in ("Instructor", "Usual wrong answer"):
            assert not notes.get_by_text(words, exact=True).first.is_visible()
        for number in range(4, last):
            desk.to_the_top(desk.cell(number))
            desk.screenshot(f"lesson-room-{number}")
        code.focus()  # whoever edits sees all of it
        assert height(code) > unfolded
        assert desk.errors == []


def size(text):
    return float(text.evaluate("text => parseFloat(getComputedStyle(text).fontSize)"))


def height(code):
    return code.evaluate("code => code.closest('.jp-InputArea-editor').getBoundingClientRect().height")
