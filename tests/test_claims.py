"""Where claims stand, the live table of a lesson, and the command that lists them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import labkit as lab
from labkit import ledger
from labkit.__main__ import main
from labkit.course import progress, session
from labkit.course.standing import note_verdict, standings
from labkit.errors import BadValue
from labkit.experiments import experiment
from labkit.ledger import NOT_BUILT
from labkit.model import Claim, Ending, Receipt, Run, Trial, Verdict
from labkit.show import claims as room

ROOT = Path(__file__).parent.parent
LOST = experiment("lost updates")
MARKED_UP = "<script>alert('x')</script> \"&"


@pytest.fixture(autouse=True)
def new_kernel(tmp_path, monkeypatch):
    """Begin with no runs, no lesson and no progress, and leave none."""
    monkeypatch.setenv("LABKIT_PROGRESS", str(tmp_path / "progress.jsonl"))
    session.forget()
    room._live.clear()
    yield
    session.forget()
    room._live.clear()


class Place:
    """Stand in for the place that IPython gives a display: keeps what was shown there."""

    def __init__(self, shown):
        self.shown = [shown]

    def update(self, shown, *, raw):
        assert raw
        self.shown.append(shown)


@pytest.fixture
def places(monkeypatch):
    """Collect the places that displays take."""
    taken = []

    def display(shown, *, raw, display_id):
        assert raw
        assert display_id
        taken.append(Place(shown))
        return taken[-1]

    monkeypatch.setattr(room, "display", display)
    return taken


def made_up(count=3, *, lost=50, lock=False):
    """Return runs of threads that lost additions, as if they had been measured."""
    result = dict.fromkeys(LOST.columns, 1.0) | {
        "added_count": 100,
        "lost_count": lost,
        "lost_ratio": lost / 100,
        "rounds_with_loss_count": 5 if lost else 0,
    }
    params = {**LOST.defaults, "lock": lock}
    return [
        Run(
            trial=Trial(workload="m:f", arm="threads", experiment=LOST.name, params=params, block=block),
            ending=Ending.FINISHED,
            elapsed_s=0.1,
            python="3.11.7",
            result=result,
            receipt=Receipt(1),
        )
        for block in range(count)
    ]


def race(found):
    return next(one for one in found if one.claim.id == "memory.race")


# ------------------------------------------------------------------------------------------------ standings


def test_nothing_measured_means_no_verdict():
    found = standings("lost_updates")
    assert [one.claim.id for one in found] == [c.id for c in ledger.claims().values() if c.lesson == "lost_updates"]
    assert race(found) == (race(found).claim, "lost updates", None, 0, "")
    assert [one.claim.id for one in standings()] == list(ledger.claims())


def test_all_runs_of_the_session_are_judged():
    session.note(LOST.name, made_up(2))
    assert race(standings("lost_updates")).verdict.outcome == "cannot be measured here"
    session.note(LOST.name, made_up(1))
    session.note(LOST.name, made_up(4, lost=0, lock=True))
    found = race(standings("lost_updates"))
    assert (found.verdict.outcome, found.verdict.runs_count, found.runs_count) == ("holds", 3, 7)
    assert found.earlier == ""


def test_a_claim_that_nothing_measures_is_not_built_yet():
    unbuilt = [one for one in standings() if one.claim.experiment == NOT_BUILT]
    assert unbuilt
    assert {(one.experiment, one.verdict, one.runs_count, one.earlier) for one in unbuilt} == {("", None, 0, "")}


def test_an_earlier_verdict_is_told_until_there_is_a_new_one(monkeypatch):
    session.note(LOST.name, made_up())
    monkeypatch.setattr(progress, "_now", lambda: "2026-11-23T14:05:59Z")
    note_verdict(race(standings("lost_updates")))
    session.forget()
    assert race(standings("lost_updates")).earlier == "holds, measured 2026-11-23 14:05 UTC before this kernel started"
    session.note(LOST.name, made_up(lost=0))
    found = race(standings("lost_updates"))
    assert found.earlier == ""
    assert found.verdict.outcome == "does not hold"


@pytest.mark.parametrize("value", ["<b>holds</b>", "", None, 3, ["holds"], {"outcome": "holds"}])
def test_an_earlier_verdict_that_is_none_of_the_four_is_not_told(value):
    progress.note("verdict", "memory.race", value, "lost_updates")
    assert race(standings("lost_updates")).earlier == ""


@pytest.mark.parametrize("slug", ["soup", "start_here", 3, "lost updates"])
def test_an_unknown_lesson_is_refused(slug):
    with pytest.raises(BadValue, match="deadlock"):
        standings(slug)
    with pytest.raises(BadValue, match="deadlock"):
        lab.claims(slug)


# ------------------------------------------------------------------------------------------------ the table


def test_a_lesson_must_be_named_or_set_up():
    with pytest.raises(BadValue, match=r"run the cell with lab\.setup first"):
        lab.claims()
    session.begin_lesson("deadlock")
    assert lab.claims().lesson == "deadlock"
    assert lab.claims("06_lost_updates").lesson == "lost_updates"
    session.begin_lesson("start_here")  # a lesson without claims
    with pytest.raises(BadValue, match="start_here"):
        lab.claims()


def test_in_plain_text_it_says_what_to_run_and_then_what_was_measured():
    before = repr(lab.claims("lost_updates"))
    assert 'Run lab.measure("lost updates")' in before
    assert "not measured yet" in before
    session.note(LOST.name, made_up(3))
    session.note(LOST.name, made_up(1, lost=0, lock=True))
    after = repr(lab.claims("lost_updates"))
    assert "✔ holds; share of rounds that lost additions: 1 (95 % interval 0.796 to 1)" in after
    assert "15 of 15 rounds lost additions" in after
    assert "Measured by: lost updates, 3 of 4 runs count here" in after


def test_a_claim_that_nothing_measures_says_so():
    shown = repr(lab.claims("visibility"))
    assert "not built yet" in shown
    assert "No experiment of this course measures it yet." in shown
    assert "lab.measure" not in shown


class Table(HTMLParser):
    """Collect a table's cells by row, with their scopes, and its caption."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.scopes, self.caption, self.open, self.tables = [], [], "", [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.open.append(tag) if tag != "col" else None
        self.tables += tag == "table"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.scopes.append(dict(attributes).get("scope", tag))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "caption" in self.open:
            self.caption += data
        elif self.rows:
            self.rows[-1][-1] += data


def test_the_table_has_a_caption_headings_and_words_in_every_cell():
    session.note(LOST.name, made_up())
    table = Table(lab.claims("lost_updates")._repr_html_())
    assert table.open == []
    assert "lost updates" in table.caption
    assert "1 of 2 claims measured" in table.caption
    assert [len(row) for row in table.rows] == [5] * 3
    assert table.scopes == ["col"] * 5 + ["row", "td", "td", "td", "td"] * 2
    assert all(re.search(r"[A-Za-z]", cell) for row in table.rows for cell in row), table.rows
    told = next(row for row in table.rows if row[0] == "Shared memory brings race conditions")
    assert told[1] == "195 % interval 0.796 to 1share of rounds that lost additions"
    assert told[2] == "✔ holds"


def test_what_comes_from_outside_cannot_become_markup(monkeypatch):
    claim = Claim("a.b", "Section", MARKED_UP, "soup", MARKED_UP, LOST.name, "_judge")
    unbuilt = Claim("a.c", "Section", "Claim", "soup", MARKED_UP, NOT_BUILT, NOT_BUILT)
    monkeypatch.setattr(ledger, "claims", lambda: {"a.b": claim, "a.c": unbuilt})
    verdict = Verdict(outcome="holds", sentence=MARKED_UP, effect=1, low=0, high=2, unit=MARKED_UP, reason=MARKED_UP)
    monkeypatch.setattr(ledger, "judge", lambda *_: {"a.b": verdict})
    session.note(LOST.name, made_up())
    shown = lab.claims("soup")._repr_html_()
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 5


def test_a_claim_without_a_number_does_not_count_as_measured():
    session.note(LOST.name, made_up(2))
    shown = repr(lab.claims("lost_updates"))
    assert "0 of 2 claims measured" in shown
    assert "○ not measured yet" in shown
    assert "Reason: it takes 3 finished runs of 2 or more workers that share memory, and there are 2." in shown


def test_runs_that_could_not_finish_here_are_no_question_of_asking():
    session.note(LOST.name, [replace(run, ending=Ending.UNAVAILABLE, result={}) for run in made_up(3)])
    assert "? cannot be measured here" in repr(lab.claims("lost_updates"))


def test_no_verdict_is_told_by_colour_alone():
    shown = lab.claims("lost_updates")._repr_html_()
    assert "color" not in shown.replace("--jp-border-color2,#e0e0e0", "")


# ------------------------------------------------------------------------------------------------ it is live


def test_new_runs_are_shown_at_once_from_any_thread(places):
    lab.claims("lost_updates")._ipython_display_()
    (place,) = places
    assert "not measured yet" in place.shown[0]["text/plain"]
    session.note(LOST.name, made_up())
    assert "holds" in place.shown[1]["text/plain"]
    assert "holds" in place.shown[1]["text/html"]
    other = threading.Thread(target=session.note, args=[LOST.name, made_up(9, lost=0)])
    other.start()
    other.join()
    assert "15 of 60 rounds lost additions" in place.shown[2]["text/html"]
    assert len(place.shown) == 3


def test_runs_of_another_lesson_change_nothing(places):
    lab.claims("lost_updates")._ipython_display_()
    session.note("creation cost", [])
    assert len(places[0].shown) == 1


def test_a_table_that_is_shown_twice_follows_in_both_places(places):
    table = lab.claims("lost_updates")
    table._ipython_display_()
    table._ipython_display_()
    session.note(LOST.name, made_up())
    assert [len(place.shown) for place in places] == [2, 2]


def test_a_cell_that_is_run_again_and_again_leaves_few_tables_that_follow(places):
    for _ in range(50):
        lab.claims("lost_updates")._ipython_display_()
    session.note(LOST.name, made_up())
    followed = [len(place.shown) for place in places]
    assert followed == [1] * 42 + [2] * 8


def test_a_judge_that_fails_is_shown_and_costs_no_measurement(places, monkeypatch):
    lab.claims("lost_updates")._ipython_display_()

    def judge(*_):
        raise ZeroDivisionError(MARKED_UP)

    monkeypatch.setattr(ledger, "judge", judge)
    session.note(LOST.name, made_up())
    assert 'role="alert"' in places[0].shown[-1]["text/html"]
    assert "<script" not in places[0].shown[-1]["text/html"]
    assert "ZeroDivisionError" in places[0].shown[-1]["text/plain"]
    assert len(session.runs_of(LOST.name)) == 3


def test_a_verdict_is_kept_when_it_is_shown_and_when_it_changes(places):
    lab.claims("lost_updates")._ipython_display_()
    assert progress.entries() == []
    session.note(LOST.name, made_up())
    session.note(LOST.name, made_up())
    assert [(one.id, one.value) for one in progress.entries()] == [("memory.race", "holds")]
    session.forget()
    session.note(LOST.name, made_up(lost=0))
    lab.claims("lost_updates")._ipython_display_()
    assert [one.value for one in progress.entries()] == ["holds", "does not hold"]


# Runs two cells as a notebook, without a front end, and prints what the first one shows in the end.
TWO_CELLS = """
import sys, nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(source) for source in sys.argv[1:]]
notebook = nbformat.v4.new_notebook(cells=cells)
NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
(output,) = notebook.cells[0].outputs
print(output.data["text/plain"], "caption" in output.data["text/html"])
"""


def test_in_a_notebook_the_table_above_follows_the_cell_below(orphans_in_sight):
    show = 'import labkit as lab\nlab.claims("lost_updates")'
    measure = 'lab.measure("lost updates", arms=["threads"], rounds=1, repeats=3);'
    command = [sys.executable, "-W", "ignore", "-c", TWO_CELLS, show, measure]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "3 of 3 rounds lost additions" in done.stdout
    assert "Measured by: lost updates, 3 runs" in done.stdout
    assert done.stdout.strip().endswith("True")


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_says_where_each_claim_stands(capsys):
    progress.note("verdict", "memory.race", "holds", "lost_updates")
    assert main(["claims"]) == 0
    header, *lines, last = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["claim", "lesson", "experiment", "judge"]
    assert [line.split()[0] for line in lines] == list(ledger.claims())
    told = next(line for line in lines if line.startswith("memory.race "))
    assert re.fullmatch(
        r"memory\.race +lost_updates +lost updates +\w+ +holds, measured \d{4}-\d\d-\d\d \d\d:\d\d UTC", told
    )
    built = sum(claim.experiment != NOT_BUILT for claim in ledger.claims().values())
    assert last == f"{built} of 78 measured by an experiment"
    assert sum(NOT_BUILT in line for line in lines) == 78 - built


def test_the_command_takes_one_lesson(capsys):
    assert main(["claims", "06_lost_updates"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[1:-1]} == {"memory.race", "thread.hard_to_debug"}
    assert lines[-1].endswith("of 2 measured by an experiment")


def test_the_command_refuses_an_unknown_lesson(capsys):
    assert main(["claims", "soup"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "lesson is 'soup'; allowed: processes, creation_cost" in told.err
    assert "Traceback" not in told.err


def test_the_command_can_be_cut_off_by_its_reader():
    """A reader that closes the pipe at once is no error: nothing is complained of."""
    with subprocess.Popen(
        [sys.executable, "-m", "labkit", "claims"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        complaint = process.stderr.read()
        process.wait(timeout=60)
    assert (process.returncode, complaint) == (0, "")
