"""A real JupyterLab in a real browser: what a student does with mouse and keyboard reaches the kernel."""

from __future__ import annotations

import json

import lab_browser
import pytest

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("orphans_in_sight")]

SLIDER = """
import ipywidgets
slider = ipywidgets.IntSlider(value=3, min=0, max=10, description="workers", continuous_update=False)
seen = []
slider.observe(lambda change: seen.append(change.new), "value")
slider
""".strip()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start one JupyterLab for all tests of this file, on a notebook with one slider."""
    folder = tmp_path_factory.mktemp("notebooks")
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "source": SLIDER, "outputs": [], "execution_count": None}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": [cell]}
    (folder / "slider.ipynb").write_text(json.dumps(notebook))
    with lab_browser.jupyterlab(folder) as lab:
        yield lab


@pytest.fixture(scope="module")
def browser(need):
    """Start one Chromium for all tests of this file (not longer: Playwright keeps an asyncio loop running)."""
    with lab_browser.chromium(need("chromium")) as browser:
        yield browser


@pytest.fixture
def desk(lab, browser):
    with lab_browser.desk(lab, browser) as desk:
        yield desk
        assert desk.errors == []


def test_a_slider_moved_by_keyboard_reaches_the_kernel(desk):
    desk.open_notebook("slider.ipynb")
    desk.run_all()
    handle = desk.page.get_by_role("slider")
    handle.wait_for()
    assert desk.ask_kernel("slider.value") == "3"
    handle.focus()
    handle.press("ArrowRight")
    desk.wait_for_kernel("slider.value, seen", "(4, [4])")
    desk.screenshot("slider-light")
    desk.theme("dark")
    desk.screenshot("slider-dark")
    assert desk.page.locator(".jp-toast, .Toastify__toast").count() == 0  # no news, no update offers
