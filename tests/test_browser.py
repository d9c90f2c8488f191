"""The bench as a student meets it: a real JupyterLab in a real browser, with keyboard, mouse, Stop and both themes."""

from __future__ import annotations

import shutil
from pathlib import Path

import lab_browser
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("orphans_in_sight")]

CHECKOUT = Path(__file__).parent.parent
LIMIT_MS = 60_000
# An experiment whose arm hangs for ever when the slider stands at 2.
STUCK = """
import dataclasses, threading
from labkit import experiments
lost = experiments.experiment("lost updates")

def stuck(*, workers, **others):
    if workers == 2:
        threading.Event().wait()
    return dict.fromkeys(lost.columns, workers)

EXPERIMENT = dataclasses.replace(lost, arms={"threads": stuck}, units={"threads": "thread"})
"""
# What a student types, cell by cell.
EXPLORED = [
    "import threading, labkit as lab",
    "a, b = threading.Lock(), threading.Lock()\nendless = 0",
    "def left():\n    with a, b:\n        pass\n\ndef right():\n    with b, a:\n        pass",
    "r = lab.explore([left, right])",
    "r",
    "steps = r.stepper()\nsteps",
    "import re\ndef stuck():\n    re.match('(a+)+$', 'a' * 60 + 'b')",
    "s = lab.explore([stuck, left], seconds_most=1)",
    "s",
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start one JupyterLab on the notebooks, and on one with an experiment that hangs."""
    folder = tmp_path_factory.mktemp("browser") / "notebooks"
    shutil.copytree(CHECKOUT / "notebooks", folder)
    (folder / "stuck.py").write_text(STUCK)
    sources = [
        "import labkit as lab, stuck",
        "panel = lab.bench(stuck.EXPERIMENT, workers=1)",
        "panel",
        "after = 6 * 7",
    ]
    lab_browser.write_notebook(folder / "stuck.ipynb", sources)
    lab_browser.write_notebook(folder / "explored.ipynb", EXPLORED)
    with lab_browser.jupyterlab(folder, checkout=CHECKOUT) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser(need):
    """Start one Chromium for all tests of this file (not longer: Playwright keeps an asyncio loop running)."""
    with lab_browser.chromium(need("chromium")) as browser:
        yield browser


@pytest.fixture
def desk(lab, browser):
    with lab_browser.desk(lab, browser, height=1000) as desk:
        yield desk
        assert desk.errors == []


def test_stop_ends_a_hang_and_the_bench_goes_on(desk):
    desk.open_notebook("stuck.ipynb")
    desk.run_all()
    panel = Panel(desk)
    panel.wait_for_status("3 runs in")
    before = panel.picture()
    workers = desk.page.get_by_role("slider", name="workers")
    workers.focus()
    workers.press("ArrowRight")  # to 2: hangs for ever
    stop = desk.page.get_by_role("button", name="Stop")
    desk.page.wait_for_function("() => !document.querySelector('.labkit-bench button:nth-of-type(2)').disabled")
    panel.wait_for_status("0 of 3 runs")
    assert desk.ask_kernel("after + 1") == "43"  # the kernel answers while the run hangs
    panel.screenshot("bench-hang")
    stop.click()
    panel.wait_for_status("Stopped: 0 of 3 runs were measured")
    workers.focus()
    workers.press("ArrowRight")  # to 4: answers
    panel.wait_for_status("3 runs in")
    panel.picture_after(before, "workers 4")
    desk.wait_for_kernel("[run.trial.params['workers'] for run in panel.runs]", "[1, 1, 1, 4, 4, 4]")
    assert desk.ask_kernel("sum(len(run.receipt.processes_left) for run in panel.runs)") == "0"


def test_the_first_notebook_survives_its_segfault_and_its_hang(desk):
    desk.open_notebook("00_start_here.ipynb")
    desk.run_all()
    desk.page.get_by_text("The run of write_to_address_zero was killed by SIGSEGV in the main thread").wait_for(
        timeout=LIMIT_MS
    )
    desk.page.get_by_text("ran past its deadline of 1 s and was ended").wait_for(timeout=LIMIT_MS)
    assert desk.ask_kernel("run.ending.name, run.exit_code") == "('KILLED', -11)"
    assert desk.page.locator(".jp-toast, .Toastify__toast").count() == 0  # no news, no update offers
    desk.screenshot("start-light")


def test_an_exploration_shows_its_deadlock_and_is_stepped_through_by_keyboard(desk):
    desk.open_notebook("explored.ipynb")
    desk.run_all()
    assert desk.ask_kernel("(r.verdict, r.kind, r.where)") == "('bug', 'deadlock', 'in a child process')"
    desk.page.get_by_text("AB-BA deadlock").first.wait_for(timeout=LIMIT_MS)
    slider = desk.page.get_by_role("slider", name="step").last
    slider.scroll_into_view_if_needed()
    desk.screenshot("explored-light")
    slider.focus()
    slider.press("ArrowLeft")
    desk.wait_for_kernel("steps.slider.value", "1")
    desk.page.locator(".labkit-stepper").get_by_text("A acquires a").first.wait_for(timeout=LIMIT_MS)
    slider.press("ArrowRight")
    desk.wait_for_kernel("steps.slider.value", "2")
    desk.page.get_by_text("a circle that nobody can leave").first.wait_for(timeout=LIMIT_MS)
    desk.theme("dark")
    desk.screenshot("explored-dark")
    # a pattern that never ends in C: the kernel answers, and nothing is called proved
    assert desk.ask_kernel("(s.verdict, 're.match' in s.reason)") == "('cannot check', True)"


class Panel:
    """The bench on the page, and the picture below it."""

    def __init__(self, desk):
        self.desk, self.page = desk, desk.page
        self.page.locator(".labkit-bench").wait_for(timeout=LIMIT_MS)
        self.page.locator(".labkit-slider .noUi-handle[data-labkit]").last.wait_for(timeout=LIMIT_MS)

    def card(self):
        """Find the card that follows the panel in its cell's output."""
        return self.page.locator(".jp-OutputArea:has(.labkit-bench) section").last

    def picture(self):
        image = self.card().locator("img")
        image.wait_for(timeout=LIMIT_MS)
        assert len(image.get_attribute("alt")) > 40
        return image.get_attribute("src")

    def picture_after(self, before, setting):
        """Wait until all runs of a new setting are drawn and judged, and return that picture."""
        self.card().filter(has_text=setting).filter(has_text="The article:").wait_for(timeout=LIMIT_MS)
        after = self.picture()
        assert after != before
        return after

    def wait_for_status(self, words):
        self.page.locator(".labkit-bench [role=status]", has_text=words).wait_for(timeout=LIMIT_MS)

    def screenshot(self, name):
        self.page.locator(".labkit-bench").scroll_into_view_if_needed()
        self.desk.screenshot(name)
