"""The command that records what a lesson measures, and the recordings of the project: every lesson can be replayed."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections import Counter
from pathlib import Path

import pytest

import labkit as lab
from labkit import __main__ as commands
from labkit import experiments
from labkit.__main__ import main
from labkit.course import calls as room
from labkit.course import session
from labkit.course.calls import Call, calls_of, notebook_of, trials_of
from labkit.errors import BadValue, BadWorkload
from labkit.ledger import claims, judge
from labkit.model import Ending, Event, Run, Trial
from labkit.plots import picture
from labkit.runs import interpreters, recorded
from labkit.runs.machine import machine
from labkit.runs.plan import plan
from labkit.runs.recording import load, save
from labkit.tables import frame

ROOT = Path(__file__).parent.parent
LESSONS = [path.name for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")) if path.name[:2] != "00"]
RECORDINGS = sorted((ROOT / "data" / "recordings").glob("*.jsonl"))
LOST = experiments.experiment("lost updates")
TINY = dataclasses.replace(
    LOST,
    sweep={
        **{name: (LOST.defaults[name],) for name in LOST.sweep},
        "workers": (1, 2),
        "lock": (False, True),
        "rounds": (1,),
    },
    defaults={**LOST.defaults, "rounds": 1},
)
MANY = dataclasses.replace(TINY, pythons=True)
FILE_BYTES_MOST = 600_000  # they are kept in git; one experiment on seven interpreters is the largest


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Give a course of its own: one small experiment, empty folders of notebooks and recordings."""
    folders = tmp_path / "notebooks", tmp_path / "recordings"
    folders[0].mkdir()
    monkeypatch.setattr(room, "NOTEBOOKS", folders[0])
    monkeypatch.setattr(recorded, "RECORDINGS", folders[1])
    monkeypatch.setattr(commands, "RECORDINGS", folders[1])
    known = experiments.experiment
    monkeypatch.setattr(experiments, "experiment", lambda name: TINY if name == TINY.name else known(name))
    monkeypatch.setattr(session, "note", lambda *_: pytest.fail("the command notes no runs"))
    return tmp_path


@pytest.fixture
def no_process(monkeypatch):
    """Fail if a process is started."""
    monkeypatch.setattr("labkit.runs.keepers._spawn", lambda *_: pytest.fail("a process was started"))


def write_lesson(folder, name, *sources):
    cells = [{"cell_type": "markdown", "id": "text", "metadata": {}, "source": "lab.measure(this is text)"}]
    cells += [{"cell_type": "code", "id": f"cell-{n}", "source": [source]} for n, source in enumerate(sources)]
    path = folder / "notebooks" / name
    path.write_text(json.dumps({"nbformat": 4, "cells": cells}))
    return path


def counted(path):
    """Count the runs of each arm and setting of a recording, named by workers and lock."""
    return Counter((run.trial.arm, run.trial.params["workers"], run.trial.params["lock"]) for run in load(path).runs)


def test_a_lesson_is_recorded_with_every_setting_once_and_can_be_replayed(tiny, capsys):
    measure, bench = (
        'lab.measure("lost updates", arms=["threads"], workers=[1, 2])',
        'panel = lab.bench("lost updates", arms=["threads"])',
    )
    write_lesson(tiny, "77_tiny.ipynb", "import labkit as lab\nlab.setup('tiny')", measure, bench)
    assert main(["record", "tiny", "--machine", "attic", "--repeats", "2"]) == 0
    path = tiny / "recordings" / "lost_updates-attic.jsonl"
    assert counted(path) == {("threads", 2, False): 2, ("threads", 1, False): 2, ("threads", 2, True): 2}
    told = capsys.readouterr().out
    assert "lost updates: 6 of 6: <Run of threads: finished" in told
    assert str(path) in told
    assert [bool(run.events) for run in load(path).runs] == [run.trial.block == 0 for run in load(path).runs]
    shown = lab.measure("lost updates", arms=["threads"], workers=[1, 2], recorded="attic")
    assert len(shown) == 4
    assert len(lab.measure("lost updates", arms=["threads"], lock=True, recorded="attic")) == 2


def test_an_experiment_is_recorded_with_its_defaults(tiny):
    assert main(["record", "lost updates", "--repeats", "1"]) == 0
    path = tiny / "recordings" / "lost_updates-unnamed.jsonl"
    assert counted(path) == {(arm, 2, False): 1 for arm in LOST.arms}
    assert [run.ending for run in load(path).runs] == [Ending.FINISHED] * 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["soup"], "lesson or experiment is 'soup'; allowed: "),
        (["silent"], "a lesson whose notebook measures something"),
        (["tiny", "--machine", "../attic"], "machine is '../attic'; allowed: 1 to 40 letters"),
        (["tiny", "--machine", ""], "machine is ''; allowed: 1 to 40 letters"),
        (["tiny", "--repeats", "0"], "repeats is 0; allowed: a whole number from 1 to 1000"),
        (["variable"], "cell cell-0: lab.measure('lost updates', workers=n) cannot be read without running it"),
        (["unknown"], "experiment is 'gained updates'; allowed: "),
        (["beyond"], "workers is 99; allowed: a whole number from 1 to 2"),
        (["wrong_word"], "pythons is 3.13; allowed: 'own', 'GIL', 'free-threaded', or a version"),
        (["tiny", "--pythons", "3.13"], "pythons is '3.13'; allowed: nothing: lost updates run on this Python only"),
        (["tiny", "--pythons", "GIL,soup"], "pythons is 'soup'; allowed: 'own', 'GIL', 'free-threaded', or a version"),
        (["tiny", "--pythons", " , "], "pythons is []; allowed: 'own', 'GIL', 'free-threaded', or a version"),
    ],
)
def test_what_cannot_be_recorded_is_told_before_anything_is_measured(tiny, no_process, capsys, arguments, words):
    write_lesson(tiny, "77_tiny.ipynb", 'lab.measure("lost updates")')
    write_lesson(tiny, "78_silent.ipynb", "lab.setup('silent')")
    write_lesson(tiny, "79_variable.ipynb", 'lab.measure("lost updates", workers=n)')
    write_lesson(tiny, "80_unknown.ipynb", 'lab.measure("gained updates")')
    write_lesson(tiny, "81_beyond.ipynb", 'lab.measure("lost updates")\nlab.bench("lost updates", workers=99)')
    write_lesson(tiny, "82_wrong_word.ipynb", 'lab.measure("lost updates", pythons=3.13)')
    assert main(["record", *arguments]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert not (tiny / "recordings").exists()


def test_nothing_is_added_to_the_recording_of_another_machine(tiny, no_process, capsys):
    (tiny / "recordings").mkdir()
    other = dataclasses.replace(machine(), python="3.14.1t")
    path = save([made_up()], tiny / "recordings" / "lost_updates-attic.jsonl", machine=other)
    before = path.read_bytes()
    assert main(["record", "lost updates", "--machine", "attic"]) == 2
    assert "machine is 'attic'; allowed: a name under which python is" in capsys.readouterr().err
    path.write_bytes(before[:-5])
    assert main(["record", "lost updates", "--machine", "attic"]) == 2
    assert "its end is cut off" in capsys.readouterr().err
    assert path.read_bytes() == before[:-5]


@pytest.fixture
def only_here(monkeypatch):
    """Let this machine have no interpreter but this one; the tiny experiment tells interpreters apart."""
    monkeypatch.setattr(commands.experiments, "experiment", lambda _: MANY)
    here = [one for one in interpreters.find() if one.found_in == "this kernel"]
    monkeypatch.setattr("labkit.runs.pythons.find", lambda: tuple(here))


def test_what_is_recorded_on_several_interpreters_is_replayed_by_their_words(tiny, free_threaded, monkeypatch):
    monkeypatch.setattr(experiments, "experiment", lambda _: MANY)
    calls = 'lab.measure("lost updates", arms="threads", pythons=["GIL"])\nlab.bench("lost updates", arms="threads")'
    write_lesson(tiny, "77_tiny.ipynb", calls)
    words = f"free-threaded, {free_threaded.version}"
    assert main(["record", "tiny", "--machine", "attic", "--repeats", "1", "--pythons", words]) == 0
    path = tiny / "recordings" / "lost_updates-attic.jsonl"
    by_word = Counter(run.trial.python for run in load(path).runs)
    assert by_word == {"GIL": 1, "free-threaded": 1, free_threaded.version: 1, "own": 3}  # a bench: its own only
    monkeypatch.setattr("labkit.runs.keepers._spawn", lambda *_: pytest.fail("a process was started"))
    monkeypatch.setattr("labkit.runs.pythons.find", tuple)  # a machine that has none of them
    shown = lab.measure(MANY, arms="threads", pythons=["GIL", "free-threaded"], recorded="attic")
    assert sorted(run.trial.python for run in shown) == ["GIL", "free-threaded"]
    assert {run.ending for run in shown} == {Ending.FINISHED}
    with pytest.raises(BadValue, match=r"setting is 'threads with python 3\.12'"):
        lab.measure(MANY, arms="threads", pythons=["3.12"], recorded="attic")


def test_an_interpreter_that_is_missing_is_left_out_and_named(tiny, only_here, capsys):
    write_lesson(tiny, "77_tiny.ipynb", 'lab.measure("lost updates", arms="threads", pythons=["own", "3.14t"])')
    assert main(["record", "tiny", "--machine", "attic", "--repeats", "2"]) == 0
    runs = load(tiny / "recordings" / "lost_updates-attic.jsonl").runs
    assert [(run.trial.python, run.ending) for run in runs] == [("own", Ending.FINISHED)] * 2
    told = capsys.readouterr().out
    assert "left out: no Python 3.14t is installed (uv python install 3.14t would install one; then" in told
    assert "lost updates: 2 of 2" in told


def test_nothing_is_written_if_every_interpreter_is_missing(tiny, only_here, no_process, capsys):
    write_lesson(tiny, "77_tiny.ipynb", 'lab.measure("lost updates", pythons="free-threaded")')
    assert main(["record", "tiny"]) == 0
    assert "left out: no free-threaded Python is installed" in capsys.readouterr().out
    assert not list((tiny / "recordings").iterdir())


# ---------------------------------------------------------------------------------------- adding to a recording


def made_up(workers=2, block=0, lost=1):
    trial = Trial(
        workload="m:f", experiment=LOST.name, arm="threads", params={**LOST.defaults, "workers": workers}, block=block
    )
    result = dict.fromkeys(LOST.columns, 0.5) | {"lost_count": lost}
    event = Event(1, 2, 3, "note", "x")
    return Run(
        trial=trial, ending=Ending.FINISHED, elapsed_s=0.1, result=result, events=(event,), output="o", stacks="s"
    )


def test_what_is_recorded_again_is_replaced_and_the_rest_stays(tmp_path):
    path, here = tmp_path / "lost_updates-attic.jsonl", machine()
    recorded.add([made_up(2), made_up(2, 1), made_up(4)], path, here)
    recorded.add([made_up(4, lost=9), made_up(8)], path, dataclasses.replace(here, load_ratio=1.0, memory_free_bytes=1))
    kept = [(run.trial.params["workers"], run.result["lost_count"]) for run in load(path).runs]
    assert kept == [(2, 1), (2, 1), (4, 9), (8, 1)]
    assert load(path).machine.load_ratio == 1.0  # that of the day when runs were added last


def test_only_the_first_block_keeps_its_events_and_none_if_the_file_is_large(tmp_path, monkeypatch):
    path = tmp_path / "lost_updates-attic.jsonl"
    recorded.add([made_up(), made_up(block=1)], path, machine())
    assert [(len(run.events), run.output, run.stacks) for run in load(path).runs] == [(1, "o", "s"), (0, "", "")]
    monkeypatch.setattr(recorded, "_FULL_BYTES_MOST", 100)
    recorded.add([made_up(4)], path, machine())
    assert [(len(run.events), run.output, run.stacks) for run in load(path).runs] == [(0, "", "")] * 3


# ---------------------------------------------------------------------------------- what a notebook measures


def test_every_way_to_call_is_found_in_order(tmp_path):
    (tmp_path / "notebooks").mkdir()
    source = (
        "first = lab.measure('lost updates', repeats=3, seed=1, quick=True, recorded='attic')\n"
        "labkit.bench('lost updates', arms='threads', workers=4); bench(experiment='crash')\n"
        "lab.frame(lab.measure('lost_updates', body=['counter += 1'], lock=(False, True)))\n"
        "lab.measure('cpu bound', pythons=['GIL', '3.13t'], workers=2); lab.bench('cpu bound', pythons='GIL')\n"
        "other.measure(3)\nlab.measurement"
    )
    path = write_lesson(tmp_path, "01_all.ipynb", "x = 1", source)
    assert calls_of(path) == [
        Call("cell-1", "measure", "lost updates", None, {}),
        Call("cell-1", "bench", "lost updates", ("threads",), {"workers": 4}),
        Call("cell-1", "bench", "crash", None, {}),
        Call("cell-1", "measure", "lost updates", None, {"body": ["counter += 1"], "lock": (False, True)}),
        Call("cell-1", "measure", "cpu bound", None, {"workers": 2}, ("GIL", "3.13t")),
        Call("cell-1", "bench", "cpu bound", None, {}, ("GIL",)),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "measure(name)",
        "lab.measure()",
        "lab.measure('crash', **more)",
        "lab.bench('crash', 'threads')",
        "lab.measure(*n)",
    ],
)
def test_a_call_that_cannot_be_read_is_refused_with_its_cell(tmp_path, source):
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(BadWorkload, match=r"cell cell-0: .* cannot be read without running it"):
        calls_of(write_lesson(tmp_path, "01_wrong.ipynb", source))


def test_a_bench_moves_one_slider_at_a_time_and_nothing_is_planned_twice():
    calls = [
        Call("a", "bench", TINY.name, ("threads",), {"lock": True}),
        Call("b", "measure", TINY.name, ("threads",), {}),
    ]
    trials = trials_of(TINY, calls, repeats=3, seed=5)
    settings = Counter((trial.params["workers"], trial.params["lock"]) for trial in trials)
    assert settings == {(2, True): 3, (1, True): 3, (2, False): 3}
    assert [trial.block for trial in trials] == [0] * 3 + [1] * 3 + [2] * 3
    assert trials == trials_of(TINY, calls, repeats=3, seed=5)


def test_a_lesson_is_found_by_its_slug_only():
    assert notebook_of("lost_updates").name == "06_lost_updates.ipynb"
    assert notebook_of("06_lost_updates") is None
    assert notebook_of("*") is None


# --------------------------------------------------------------------------- the recordings of the project


def test_the_lessons_are_found():
    assert len(LESSONS) >= 2


@pytest.mark.parametrize("name", LESSONS)
def test_every_measurement_of_a_lesson_can_be_replayed(name, no_process):
    """If this fails: `make record ARGS="SLUG --machine founders"`, on the machine that data/README.md describes."""
    calls = calls_of(ROOT / "notebooks" / name)
    assert calls
    for call in calls:
        shown = lab.measure(call.experiment, arms=call.arms, recorded="founders", pythons=call.pythons, **call.settings)
        assert len(shown) >= 3
        assert "Recorded, not measured here: founders" in repr(shown)


@pytest.mark.parametrize("name", LESSONS)
def test_every_slider_of_a_lesson_can_be_replayed(name):
    """The same for each slider of each bench, moved alone. To mend it, see the test above."""
    for call in [call for call in calls_of(ROOT / "notebooks" / name) if call.verb == "bench"]:
        subject = experiments.experiment(call.experiment)
        kept = recorded.recorded_as(subject, "founders")
        _, missing = recorded.pick(kept, trials_of(subject, [call], repeats=1, seed=0))
        assert missing == "", f"{call.cell}: {missing}"


@pytest.mark.parametrize("name", LESSONS)
def test_what_a_lesson_measures_gives_a_verdict_on_each_of_its_claims(name):
    """A lesson that leaves out an arm which its judge needs would show 'cannot be measured here' on every machine."""
    calls = calls_of(ROOT / "notebooks" / name)
    owed = {one.id: one.experiment for one in claims().values() if one.lesson == name[3:].removesuffix(".ipynb")}
    assert owed
    for subject in map(experiments.experiment, dict.fromkeys(owed.values())):
        kept = recorded.recorded_as(subject, "founders")
        asked = [call._replace(verb="measure") for call in calls if call.experiment == subject.name]
        runs = recorded.pick_all(kept, trials_of(subject, asked, repeats=1, seed=0))
        for claim, verdict in judge(subject, frame(runs)).items():
            assert claim not in owed or verdict.outcome != "cannot be measured here", f"{claim}: {verdict.reason}"


def test_the_notebooks_measure_nothing_that_the_reader_overlooks():
    """Whatever looks like a call of measure or bench was read as one."""
    for name in LESSONS:
        cells = json.loads((ROOT / "notebooks" / name).read_text())["cells"]
        trees = [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
        names = [node.func for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
        likely = [one for one in names if ast.unparse(one).rpartition(".")[2] in ("measure", "bench")]
        assert len(likely) == len(calls_of(ROOT / "notebooks" / name))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_is_small_and_bears_the_name_of_its_experiment(path):
    assert path.stat().st_size < FILE_BYTES_MOST
    name = path.stem.partition("-")[0].replace("_", " ")
    assert {run.trial.experiment for run in load(path).runs} == {name}
    assert {run.trial.block for run in load(path).runs} == set(range(7))


def test_the_picture_shows_the_default_setting_only(tmp_path):
    runs = [made_up(block=block) for block in range(3)]
    other = [made_up(8, block, lost=100) for block in range(3)]
    path = save([*other, *runs], tmp_path / "lost_updates-attic.jsonl")
    assert main(["picture", str(path), str(tmp_path / "drawn.png")]) == 0
    assert (tmp_path / "drawn.png").read_bytes() == picture(LOST.draw, frame(runs), LOST.question)


def test_a_recording_without_the_default_setting_gives_no_picture(tmp_path, capsys):
    path = save([made_up(8)], tmp_path / "lost_updates-attic.jsonl")
    assert main(["picture", str(path), str(tmp_path / "drawn.png")]) == 2
    assert "default" in capsys.readouterr().err
    assert not (tmp_path / "drawn.png").exists()
    empty = save([], tmp_path / "empty.jsonl")
    assert main(["picture", str(empty), str(tmp_path / "drawn.png")]) == 2


def test_plans_of_the_command_are_those_of_a_live_measurement():
    live = plan(TINY, repeats=1, seed=0, sweep={"workers": [1, 2]})
    told = trials_of(TINY, [Call("", "measure", TINY.name, None, {"workers": [1, 2]})], repeats=1, seed=0)
    assert sorted(map(repr, live)) == sorted(map(repr, told))
    with pytest.raises(BadValue):
        trials_of(TINY, [Call("", "measure", TINY.name, None, {"workers": 3})], repeats=1, seed=0)
