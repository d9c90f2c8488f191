"""A notebook for a projector: what is switched on and off again, and pictures whose text stays inside."""

from __future__ import annotations

import itertools
import re
import struct
from types import SimpleNamespace

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from test_experiments import FOUND, made_up

import labkit as lab
from labkit import plots
from labkit.errors import BadValue
from labkit.model import LOOKS
from labkit.show import present as presenting
from labkit.show import results
from labkit.tables import frame


@pytest.fixture(autouse=True)
def as_usual_again():
    """Leave no test after this one with large pictures."""
    yield
    plots.larger(on=False)
    presenting._places.clear()


@pytest.fixture
def page(monkeypatch):
    """Stand in for a notebook's page: what each display holds now."""
    shown = []

    class Place:
        def __init__(self, content):
            shown.append(content.data)
            self.number = len(shown) - 1

        def update(self, content):
            shown[self.number] = content.data

    monkeypatch.setattr(presenting, "display", lambda content, **_: Place(content))
    monkeypatch.setattr(presenting, "get_ipython", lambda: SimpleNamespace(kernel=True))
    return shown


def test_the_style_is_on_the_page_once_and_off_leaves_nothing(page):
    lab.present()
    lab.present()
    assert sum(presenting.MARK in content for content in page) == 1
    lab.present(on=False)
    lab.present(on=False)
    assert not any("<style" in content or presenting.MARK in content for content in page)
    lab.present()
    assert sum(presenting.MARK in content for content in page) == 1


def test_every_rule_holds_for_this_notebook_alone():
    rules = re.search(r"<style>(.*)</style>", presenting.style(), re.DOTALL)[1]
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", rules)
    assert len(selectors) >= 15
    for selector in selectors:
        for one in re.split(r",(?![^(]*\))", selector):
            assert one.strip().startswith(f".jp-Notebook:has(.{presenting.MARK})"), one
    assert f".jp-MarkdownCell:has(.{presenting.NOTES})" in rules
    assert "SHOW" not in rules


def test_the_card_says_what_was_done_and_which_keys_help(page):
    on, off = lab.present(), lab.present(on=False)
    for text in (repr(on), on._repr_html_()):
        assert "Presentation Mode" in text
        assert "Ctrl+Shift+C" in text
        assert "lab.present(False)" in text
    assert "as usual again" in repr(off)
    assert "as usual again" in off._repr_html_()


def test_without_a_page_only_the_pictures_change(monkeypatch):
    monkeypatch.setattr(presenting, "display", lambda *_, **__: 1 / 0)
    assert lab.present().on
    assert plots._for_a_projector == [True]
    assert not lab.present(on=False).on
    assert plots._for_a_projector == [False]


@pytest.mark.parametrize("wrong", [1, None, "yes"])
def test_anything_but_a_switch_is_refused(wrong):
    with pytest.raises(BadValue, match="True or False"):
        lab.present(wrong)


def size(png):
    return struct.unpack(">II", png[16:24])


def test_a_picture_has_more_pixels_while_it_is_on_and_the_same_words():
    tried = FOUND[0]
    runs = made_up(tried)
    usual, words = plots.picture(tried.draw, frame(runs), tried.question), report_without_picture(tried, runs)
    lab.present()
    large = plots.picture(tried.draw, frame(runs), tried.question)
    assert (size(usual), size(large)) == ((990, 495), (1584, 792))
    assert report_without_picture(tried, runs) == words
    lab.present(on=False)
    assert plots.picture(tried.draw, frame(runs), tried.question) == usual


def report_without_picture(tried, runs):
    return re.sub(r"base64,[^\"]*", "", results.report(tried, runs))


@pytest.mark.parametrize("on", [True, False])
@pytest.mark.parametrize(
    ("tried", "name"),
    [(tried, name) for tried in FOUND for name in ("", *tried.sweep)],
    ids=lambda value: getattr(value, "name", value),
)
def test_no_text_of_a_picture_is_cut_off_or_written_over(tried, name, on):
    plots.larger(on=on)
    runs = made_up(tried, **{key: values for key, values in tried.sweep.items() if key == name})
    with mpl.rc_context(plots._STYLE):
        figure = plots.empty()
        canvas, ax = FigureCanvasAgg(figure), figure.add_subplot()
        tried.draw(frame(runs), ax)
        figure.suptitle(tried.question, x=0.01, horizontalalignment="left", fontsize=15, fontweight="bold")
        canvas.draw()
    width, height = canvas.get_width_height()
    low, high = ax.get_xlim()
    beyond = [label for label in ax.get_xticklabels() if not low <= label.get_position()[0] <= high]  # never drawn
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and text not in beyond:
            box = text.get_window_extent()
            assert -1 <= box.x0 <= box.x1 <= width + 1, text
            assert -1 <= box.y0 <= box.y1 <= height + 1, text
    colors = {look.color for look in LOOKS.values()}
    beside = [text for text in ax.texts if text.get_color() in colors and text.get_position()[0] > 1]
    boxes = [Text.get_window_extent(text).padded(-3) for text in beside]  # without the line that leads to it
    for one, other in itertools.combinations(boxes, 2):
        assert not one.overlaps(other)
