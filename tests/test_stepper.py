"""The views of a witness: the HTML stepper with and without scripts, the widgets, the figure, the card."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import lab_browser
import pytest
import witnesses
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from witnesses import ALL, WITH_WITNESS, WITHOUT_WITNESS

from labkit.interleave.patterns import mark_stale
from labkit.show import exploration_html, schedule_figure
from labkit.show.stepper import body, frame_at, scene, static_table, stepper_html
from labkit.show.stepper_widgets import stepper

each = pytest.mark.parametrize("name", WITH_WITNESS)
LIMIT_MS = 60_000
VOID = {"input", "img", "br", "rect", "line", "path", "polygon", "circle", "polyline"}
DRAWN = "document.querySelector('.lk').outerHTML"
RED = "getComputedStyle(document.querySelector('.lk-arrow path')).stroke"
# Contrast of the computed colours of each text with what lies behind it, as WCAG 2 defines it.
CONTRAST = """() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map(one => one / 255)
      .map(one => one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = part => {
    for (let at = part; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(color)) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const found = {};
  const texts = '.lk p, .lk td, .lk th, .lk caption, .lk-code, .lk-no, .lk-chip, .lk-head span, .lk-line [data-state], '
    + '.lk button:not([aria-disabled=true])';
  for (const part of document.querySelectorAll(texts)) {
    const [a, b] = [light(getComputedStyle(part).color), light(behind(part))].sort((x, y) => y - x);
    const name = part.className || part.tagName;
    found[name] = Math.min(found[name] ?? 99, (a + 0.05) / (b + 0.05));
  }
  return found;
}"""


class Balanced(HTMLParser):
    """Fails on tags that are not closed in order, and collects what there is."""

    def __init__(self):
        super().__init__()
        self.open, self.tags = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def parsed(html):
    reader = Balanced()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader.tags


def data_of(html):
    return json.loads(re.search(r"const data = (.*);\n", html)[1])


@each
def test_every_step_is_drawn_in_python_and_holds_no_text_as_markup(name):
    stage = scene(WITH_WITNESS[name])
    for position in range(len(stage.result.witness) + 1):
        tags = parsed(body(stage, position))
        assert not {"script", "img"} & {tag for tag, _ in tags}
        parts = [attributes["data-part"] for _, attributes in tags if "data-part" in attributes]
        assert len(parts) == len(set(parts))
        named = {key.partition("|")[0] for key in frame_at(stage, position)} - {"count"}
        assert named <= set(parts) | {"advice"}


@pytest.mark.parametrize("name", ALL)
def test_the_card_is_well_formed_and_nothing_of_a_student_becomes_markup(name):
    shown = exploration_html.card(ALL[name])
    tags = parsed(shown)
    scripts = [tag for tag, _ in tags if tag == "script"]
    assert len(scripts) == bool(ALL[name].witness)
    assert not [tag for tag, _ in tags if tag == "img"]
    assert ALL[name].verdict in shown


def test_the_data_in_the_script_cannot_end_it():
    shown = stepper_html(witnesses.HOSTILE)
    script = shown[shown.index("<script>") + 8 : shown.rindex("</script>")]
    assert "</script" not in script
    assert "<!--" not in script
    assert "\u2028" not in script
    assert "window.hacked" in data_of(shown)["html"]


def test_every_stepper_has_a_name_of_its_own():
    names = {re.search(r'data-lk-stepper="(\w+)"', stepper_html(witnesses.LOST_UPDATE))[1] for _ in range(20)}
    assert len(names) == 20


@each
def test_the_page_without_scripts_is_a_table_with_every_step(name):
    result = WITH_WITNESS[name]
    base = stepper_html(result).partition("<script>")[0]
    assert static_table(result) in base
    tags = parsed(base)
    assert not {"svg", "style", "script"} & {tag for tag, _ in tags}  # Lab takes these out of untrusted notebooks
    rows = [attributes for tag, attributes in tags if tag == "th" and attributes.get("scope") == "row"]
    assert len(rows) == len(result.witness) + bool(result.blocked)


def test_nothing_is_loaded_from_anywhere():
    shown = exploration_html.card(witnesses.LOST_UPDATE_3)
    assert not re.search(r"https?:|src=|url\(|@import|fetch\(|XMLHttp", shown)


def test_the_expression_of_the_step_is_lit_and_the_others_stand_before_their_next():
    stage = scene(witnesses.LOST_UPDATE)
    drawn = body(stage, 2)
    lit = re.findall(r'<span data-part="s(\d)[\d.]+" data-state="(now|next)">([^<]*)<', drawn)
    assert lit == [("0", "next", "counter"), ("1", "now", "counter")]
    blocked = body(scene(witnesses.AB_BA), 2)
    assert re.findall(r'data-state="stuck">([^<]*)<', blocked) == [
        "waits for lock_b, held by B",
        "with lock_b:",
        "waits for lock_a, held by A",
        "with lock_a:",
    ]


def test_the_arrow_and_the_circle_come_when_their_steps_have_been_made():
    stage = scene(witnesses.LOST_UPDATE)
    assert [frame_at(stage, n).get("arrow3|data-state") for n in range(5)] == [None, None, None, None, "on"]
    stage = scene(witnesses.DINNER_3)
    assert [frame_at(stage, n)["ring|data-state"] for n in range(4)] == ["off", "off", "off", "on"]
    assert body(stage, 3).count('class="lk-waits"') == 3 * 2 + 1  # lines and heads, and the legend


def test_values_are_shown_with_their_writers_and_locks_with_owner_and_waiters():
    frame = frame_at(scene(witnesses.AB_BA), 2)
    assert (frame["v0.owner|text"], frame["v0.waiters|text"]) == ("A", "B")
    frame = frame_at(scene(witnesses.LOST_UPDATE), 3)
    assert (frame["v0.value|text"], frame["v0.writer|text"]) == ("1", "A in step 3")


def test_a_witness_of_any_length_can_be_stepped_through():
    result = witnesses.long_witness(2000)
    shown = stepper_html(result)
    assert len(shown) < 900_000  # Jupyter's server holds back a cell that prints a megabyte a second
    assert "The first 1,700 of 2,000 steps are not on this page" in data_of(shown)["html"]
    stage = scene(result)
    for position in (0, 1, 1000, 2000):
        assert len(body(stage, position)) < 30_000
    text = [f"{'AB'[n % 2]} {kind} counter 0 @3 counter" for n in range(500) for kind in ("read", "write")]
    stale = witnesses.result_of(witnesses.INC, "\n".join(text), {"counter": "0"}, ["inc", "inc"])
    steps = mark_stale(sorted(stale.witness, key=lambda step: step.kind))  # all reads, then all writes
    assert len(stepper_html(dataclasses.replace(stale, witness=steps))) < 900_000
    widget = stepper(result)
    widget.slider.value = 7
    assert "Step 7 of 2000" in widget.count.value


def test_the_widgets_draw_what_the_page_draws():
    widget = stepper(witnesses.LOST_UPDATE)
    stage = scene(witnesses.LOST_UPDATE)
    assert widget.slider.value == 4
    assert body(stage, 4) in widget.picture.value
    buttons = {button.description.strip("◀▶ "): button for button in widget.children[0].children[:4]}
    assert buttons["Next"].disabled
    buttons["Previous"].click()
    assert widget.slider.value == 3
    assert body(stage, 3) in widget.picture.value
    buttons["First"].click()
    buttons["Previous"].click()
    assert widget.slider.value == 0
    buttons["Next"].click()
    assert body(stage, 1) in widget.picture.value
    buttons["Last"].click()
    assert widget.slider.value == 4


@pytest.mark.parametrize("name", WITHOUT_WITNESS)
def test_without_a_witness_every_view_says_so(name):
    result = WITHOUT_WITNESS[name]
    assert "no witness" in stepper(result).value
    assert "no witness" in stepper_html(result)
    assert "no witness" in schedule_figure.describe(result)
    assert "<script" not in exploration_html.card(result)
    assert schedule_figure.timeline(result)


def test_a_deadlock_before_the_first_step_is_a_table():
    shown = exploration_html.card(witnesses.STUCK_AT_ONCE)
    assert "✗ waits for ready" in shown
    parsed(shown)


@each
def test_the_figure_has_alt_text_and_a_table_beside_it(name):
    shown = schedule_figure.timeline(WITH_WITNESS[name])
    assert re.search(r'<img [^>]*alt="[^"]{60,}"', shown)
    assert "<table>" in shown
    png = base64.b64decode(re.search(r"base64,([^\"]+)", shown)[1])
    assert png.startswith(b"\x89PNG")
    assert "<script" not in shown


def test_the_figure_draws_on_axes_that_it_is_given():
    figure = Figure(figsize=(9, 4.5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    schedule_figure.draw(witnesses.DINNER_4, axes)
    words = [one.get_text() for one in axes.texts]
    assert words.count("✗ waits for") == 4
    assert {"A", "B", "C", "D", "holds fork 3"} <= set(words)
    schedule_figure.draw(witnesses.PROVED, figure.add_subplot())


@pytest.fixture(scope="module")
def browser(need):
    """Start one Chromium for all tests of this file."""
    with lab_browser.chromium(need("chromium")) as browser:
        yield browser


@pytest.fixture
def show(browser, tmp_path):
    """Return a function that opens HTML from a file; the page must log no error and load nothing else."""
    contexts, errors, loaded = [], [], []

    def open_page(html, *, width=1000, body="", **settings):
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(f"<!doctype html><html lang=en><meta charset=utf-8><title>x</title><body {body}>{html}")
        context = browser.new_context(viewport={"width": width, "height": 800}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("request", lambda request: loaded.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == []
    assert all(url.startswith("file:") for url in loaded)
    assert len(loaded) == len(contexts)


@pytest.mark.browser
def test_the_page_is_stepped_by_keyboard_and_by_buttons(show):
    page = show(exploration_html.card(witnesses.LOST_UPDATE))
    sentence, arrow = page.get_by_role("status"), page.locator(".lk-arrow")
    slider = page.get_by_role("slider", name="Step")
    assert "A's update is lost" in sentence.inner_text()
    assert arrow.is_visible()
    assert page.evaluate(RED) == "rgb(176, 0, 32)"
    slider.press("Home")
    assert sentence.inner_text().startswith("Nothing has happened yet")
    assert slider.get_attribute("aria-valuetext") == "Before the first step"
    for expected in ("A reads 0", "B reads 0", "A writes 1"):
        slider.press("ArrowRight")
        assert sentence.inner_text().startswith(expected)
        assert arrow.is_hidden()
    page.get_by_role("button", name="Next step").click()
    assert sentence.inner_text().startswith("B writes 1 to counter: it is based on the value")
    assert arrow.is_visible()
    page.get_by_role("button", name="Previous step").press("ArrowLeft")
    assert sentence.inner_text() == "A writes 1 to counter."
    page.get_by_role("button", name="First step").press("Enter")
    assert slider.input_value() == "0"
    page.get_by_role("button", name="Previous step").press("End")
    assert slider.input_value() == "4"
    page.get_by_role("button", name="First step").focus()
    for expected in ("Previous step", "Next step", "Last step", "Step"):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.ariaLabel") == expected


@pytest.mark.browser
@each
def test_script_and_python_draw_every_step_alike(show, name):
    result = WITH_WITNESS[name]
    stage, count = scene(result), len(result.witness)
    page = show(stepper_html(result))
    whole = stage.shape.columns(0).start, count
    drawn = "[...document.querySelectorAll('.lk > *')].slice(1).map(one => one.outerHTML).join('')"
    same = "html => { const box = document.createElement('div'); box.innerHTML = html; return box.innerHTML; }"
    for position in [*range(count, -1, -1), *range(count + 1)]:
        page.get_by_role("slider", name="Step").fill(str(position))
        assert page.evaluate(drawn) == page.evaluate(same, body(stage, position, range(*whole)))
    assert page.evaluate("window.hacked") is None


@pytest.mark.browser
def test_without_scripts_the_table_is_there(show):
    page = show(exploration_html.card(witnesses.CHECK_THEN_ACT), java_script_enabled=False)
    assert page.get_by_role("table", name="All steps of the witness").is_visible()
    assert page.get_by_text("writes -10 to account.balance").first.is_visible()
    assert page.locator("input").count() == 0


@pytest.mark.browser
def test_two_steppers_on_a_page_do_not_move_each_other(show):
    page = show(stepper_html(witnesses.LOST_UPDATE) + stepper_html(witnesses.AB_BA))
    page.get_by_role("slider", name="Step").first.press("Home")
    assert page.get_by_role("status").first.inner_text().startswith("Nothing")
    assert page.get_by_role("status").last.inner_text().startswith("B acquires lock_b")
    assert page.locator(".lk-ring").is_visible()


@pytest.mark.browser
@pytest.mark.parametrize("width", [1000, 1400])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_contrast_and_fits_in_both_themes(show, theme, width):
    for name in ("lost update", "three philosophers", "four philosophers"):
        page = show(stepper_html(WITH_WITNESS[name]), width=width, color_scheme=theme)
        contrasts = page.evaluate(CONTRAST)
        assert len(contrasts) > 6
        assert min(contrasts.values()) >= 4.5, contrasts
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.browser
def test_the_theme_of_jupyterlab_wins_over_that_of_the_system(show):
    dark = 'data-jp-theme-light="false" style="--jp-layout-color0:#111;--jp-content-font-color0:#fff"'
    page = show(stepper_html(witnesses.LOST_UPDATE), body=dark, color_scheme="light")
    assert page.evaluate(RED) == "rgb(255, 138, 128)"
    assert page.evaluate("getComputedStyle(document.querySelector('.lk')).backgroundColor") == "rgb(17, 17, 17)"
    light = 'data-jp-theme-light="true" style="--jp-layout-color0:#fff;--jp-content-font-color0:#000"'
    page = show(stepper_html(witnesses.LOST_UPDATE), body=light, color_scheme="dark")
    assert page.evaluate(RED) == "rgb(176, 0, 32)"


@pytest.mark.browser
def test_a_long_witness_is_seen_through_a_window_that_moves(show):
    page = show(stepper_html(witnesses.long_witness(120)))
    lanes = page.locator(".lk-lanes")
    end = lanes.get_attribute("viewBox")
    page.get_by_role("slider", name="Step").press("Home")
    assert lanes.get_attribute("viewBox").startswith("0 0 ")
    assert end != lanes.get_attribute("viewBox")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


CELLS = (
    "import witnesses\nfrom IPython.display import HTML, display",
    "from labkit.show import exploration_html, stepper_widgets",
    "display(HTML(exploration_html.card(witnesses.LOST_UPDATE_3)))",
    "panel = stepper_widgets.stepper(witnesses.DINNER_3)\npanel",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start one JupyterLab on a notebook that shows a card and the widgets."""
    folder = tmp_path_factory.mktemp("browser") / "notebooks"
    folder.mkdir()
    shutil.copy(Path(__file__).parent / "witnesses.py", folder)
    cells = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for n, source in enumerate(CELLS)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    stored = "".join(exploration_html.card(witnesses.LOST_UPDATE_3))
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/html": stored}}
    for name, outputs in (("fresh", []), ("untrusted", [output])):
        cells[2]["outputs"] = outputs
        notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook))
    with lab_browser.jupyterlab(folder) as lab:
        yield lab


@pytest.fixture
def desk(lab, browser):
    with lab_browser.desk(lab, browser, width=1400, height=1300) as desk:
        yield desk
        assert desk.errors == []


@pytest.mark.browser
@pytest.mark.usefixtures("orphans_in_sight")
def test_in_jupyterlab_the_page_and_the_widgets_are_stepped_by_keyboard(desk):
    desk.open_notebook("fresh.ipynb")
    desk.run_all()
    page = desk.page
    slider = page.get_by_role("slider", name="Step", exact=True)
    slider.press("Home")
    slider.press("ArrowUp")  # Lab would go to another cell, had the stepper not asked to be left alone
    assert page.get_by_role("status").filter(has_text="A reads 0 from counter.").is_visible()
    assert slider.evaluate("slider => slider === document.activeElement")
    slider.press("End")
    assert page.evaluate(RED) == "rgb(176, 0, 32)"
    desk.screenshot("stepper-light")
    handle = page.get_by_role("slider", name="step", exact=True)
    handle.wait_for(timeout=LIMIT_MS)
    handle.focus()
    handle.press("ArrowLeft")
    page.get_by_text("B acquires fork 1.").first.wait_for(timeout=LIMIT_MS)
    desk.wait_for_kernel("panel.slider.value", "2")
    handle.press("End")
    page.locator(".labkit-stepper .lk-ring[data-state=on]").wait_for(timeout=LIMIT_MS)
    page.get_by_role("button", name="Previous", exact=False).last.click()
    desk.wait_for_kernel("panel.slider.value", "2")
    handle.press("End")
    desk.theme("dark")
    assert page.evaluate(RED) == "rgb(255, 138, 128)"
    assert min(page.evaluate(CONTRAST).values()) >= 4.5
    desk.screenshot("stepper-dark")


@pytest.mark.browser
@pytest.mark.usefixtures("orphans_in_sight")
def test_a_notebook_that_is_not_trusted_shows_the_table(desk):
    desk.open_notebook("untrusted.ipynb")
    table = desk.page.get_by_role("table", name="All steps of the witness")
    table.wait_for(timeout=LIMIT_MS)
    assert table.get_by_text("✗ stale: step 5 is lost").is_visible()
    assert desk.page.locator(".lk").count() == 0
    assert "const data" not in desk.page.locator(".jp-Notebook").inner_text()
    desk.screenshot("stepper-untrusted")
