"""A run on its way, as the cell shows it that started it: the graph, the words, Stop, and the card that stays."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import nbformat
import pytest
import watched_programs as programs
from IPython.core.formatters import DisplayFormatter

import labkit as lab
from labkit.child.waits import circle
from labkit.model import Ending, Run
from labkit.show import live_run
from labkit.show.wait_graph import glances

FROZEN_CORES = 0.1
CELLS = [
    "import threading, time\nimport labkit as lab",
    """def bank():
    a, b = threading.Lock(), threading.Lock()
    both = threading.Barrier(2)

    def transfer(source, target):
        with source:
            both.wait()
            with target:
                pass

    left = threading.Thread(target=transfer, args=(a, b), name="left")
    right = threading.Thread(target=transfer, args=(b, a), name="right")
    left.start(), right.start()
    left.join(), right.join()
    print("done")""",
    "live = lab.start(bank, deadline_s=2, watch=True)\nlive",
    "live.wait().ending.name, live.wait().receipt.clean",
]


# nbclient leaves descriptors open, so it runs in a process of its own.
EXECUTE = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[1])
"""


def test_the_final_output_of_a_cell_holds_the_graph_and_both_lines(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    path = tmp_path / "bank.ipynb"
    nbformat.write(notebook, path)
    subprocess.run([sys.executable, "-c", EXECUTE, str(path)], check=True, timeout=120)
    notebook = nbformat.read(path, as_version=4)
    shown = [output for output in notebook.cells[2].outputs if "text/html" in output.get("data", {})]
    page = shown[-1]["data"]["text/html"]
    assert "The run of bank ran past its deadline of 2 s" in page
    assert "circle: nobody can go on" in page
    assert (
        'aria-label="Wait-for graph, circle: nobody can go on: left waits for the lock target, held by right;' in page
    )
    assert page.count("line 8 of cell In[2], in transfer") >= 4  # both threads, in the sentence and in the table
    assert float(re.search(r"CPU: <b>([0-9.]+) cores</b>", page)[1]) < FROZEN_CORES
    assert "0 lines printed" in page
    assert shown[-1]["data"]["text/plain"].startswith("<Run of bank: ran past its deadline")
    assert notebook.cells[3].outputs[0]["data"]["text/plain"] == "('TIMED_OUT', True)"


class Place:
    """What `display` returns: keeps what was shown."""

    def __init__(self):
        self.pages, self.when = [], []

    def __call__(self, shown, **_):
        if isinstance(shown, dict):
            self.update(shown)
        return self

    def update(self, bundle, **_):
        self.pages.append(bundle)
        self.when.append(time.monotonic())


@pytest.fixture
def place(monkeypatch):
    """Show into a list, as if a notebook's kernel were there."""
    found = Place()
    monkeypatch.setattr(live_run, "display", found)
    monkeypatch.setattr(live_run, "get_ipython", lambda: SimpleNamespace(kernel=True))
    return found


def pressed_when(view, ready):
    """Press Stop, in another thread as a front end does, as soon as something is true."""

    def press():
        while not ready():
            time.sleep(0.02)
        view.stop.click()

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_stop_ends_a_deadlock_and_keeps_what_was_seen(place):
    view = live_run.View(lab.start(programs.works_then_deadlocks, deadline_s=60, watch=True))
    thread = pressed_when(view, lambda: "circle" in view._words.value)
    view.follow()
    thread.join()
    run = view.live.wait()
    assert run.ending is Ending.STOPPED
    assert run.receipt.clean
    assert circle(glances(run.events)[-1].edges)
    assert view.stop.disabled
    assert "The run of works_then_deadlocks was stopped" in place.pages[-1]["text/html"]
    assert any("is running for" in page["text/html"] for page in place.pages)
    gaps = [later - sooner for sooner, later in zip(place.when[1:-1], place.when[2:-1])]  # noqa: B905 - shifted by one
    assert min(gaps) >= live_run._REDRAW_S * 0.99
    assert "ended" in view._words.value


def test_a_run_without_watch_shows_time_and_stop_but_no_graph(place):
    view = live_run.View(lab.start(programs.works_then_deadlocks, deadline_s=60))
    thread = pressed_when(view, lambda: any("is running for" in page["text/html"] for page in place.pages))
    view.follow()
    thread.join()
    assert view.live.wait().events == ()
    assert not any("<svg" in page["text/html"] for page in place.pages)


def test_an_interrupt_stops_the_run_and_shows_what_was_heard(place, monkeypatch):
    live = lab.start(programs.works_then_deadlocks, deadline_s=60, watch=True)
    joins = []

    def join(timeout_s, plain=live.join):
        joins.append(timeout_s)
        if len(joins) == 5:
            raise KeyboardInterrupt
        return plain(timeout_s)

    monkeypatch.setattr(live, "join", join)
    live_run.follow(live)
    assert live.wait().ending is Ending.STOPPED
    assert "was stopped" in place.pages[-1]["text/html"]


def test_a_picture_that_fails_ends_the_run_and_is_raised(place, monkeypatch):
    live = lab.start(programs.works_then_deadlocks, deadline_s=60)
    monkeypatch.setattr(live_run, "_state", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        live_run.follow(live)
    assert live.wait().ending is Ending.STOPPED


def test_a_run_that_has_ended_is_shown_as_its_card(place):
    live = lab.start(programs.prints_and_ends, deadline_s=10)
    run, shown = live.wait(), []
    place.__class__.__call__ = lambda _, value: shown.append(value)
    try:
        live_run.follow(live)
    finally:
        del place.__class__.__call__
    assert shown == [run]


def test_in_a_terminal_the_run_is_said_in_one_line(capsys):
    live_run.follow(lab.start(programs.prints_and_ends, deadline_s=10))
    assert capsys.readouterr().out.startswith("<Run of prints_and_ends: finished in")


def test_ipython_is_told_how_both_are_shown(monkeypatch):
    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    lab._show_runs_in_notebooks()
    formatters = shell.display_formatter
    assert ("labkit.runs.supervise", "LiveRun") in formatters.ipython_display_formatter.deferred_printers
    assert ("labkit.model", "Run") in formatters.formatters["text/html"].deferred_printers
    assert Run.__module__ == "labkit.model"


def test_the_words_of_a_run_that_says_nothing():
    live = lab.start(programs.works_then_deadlocks, deadline_s=60, watch=True)
    try:
        while not glances(list(live.heard.events)):
            time.sleep(0.02)
        live.heard.began_ns -= 5_000_000_000  # as if the last look had been long ago
        assert "something holds the interpreter" in live_run.picture(live)
    finally:
        live.stop()
        live.wait()


def test_the_lines_printed_so_far_are_counted_while_it_runs():
    live = lab.start(programs.prints_and_waits, deadline_s=60, lines_count=3)
    try:
        while live.heard.lines_count != 3 and not live.done:
            time.sleep(0.02)
        assert not live.done
        assert "3 lines printed" in live_run.picture(live)
    finally:
        live.stop()
        live.wait()
