"""Recordings: exact round trips, and files written by strangers."""

import dataclasses
import json
import os
import re
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import labkit as lab
import labkit.runs.recording as room
from labkit.course import session
from labkit.errors import BadRecording, BadValue
from labkit.experiments import experiment
from labkit.model import KINDS, Ending, Event, Machine, Part, Receipt, Run, Trial
from labkit.runs import recorded
from labkit.runs.lines import LINE_BYTES_MOST, header, line_of
from labkit.runs.recording import Recording, load, save

HERE = Machine(
    system="Linux 6.1",
    processor="x86_64",
    cores_count=1.5,
    cores_present_count=8,
    cores_why="quota",
    memory_bytes=1 << 34,
    memory_free_bytes=1 << 33,
    shared_memory_bytes=None,
    python="3.13.0t",
    gil=False,
    switch_interval_s=0.005,
    start_method="fork",
    load_ratio=0.25,
)
ONE = Run(
    trial=Trial(workload="<cell>:f", params={"n": [1, "x"]}, source=(Part("cell In[1]", 2, "def f(): pass\n"),)),
    ending=Ending.KILLED,
    exit_code=-11,
    elapsed_s=0.1,
    result={"lost_ratio": 0.1 + 0.2, "nested": {"a": [[1.0], None]}},
    events=(Event(1, 2, 3, "write", "x", [1, {"y": True}]),),
    receipt=Receipt(processes_removed=("12 python",)),
)

words = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
atoms = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | floats | st.text(max_size=8)


def nested(depth):
    inner = atoms if depth == 0 else nested(depth - 1)
    return atoms | st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)


def columns(depth):
    return st.dictionaries(st.text(max_size=4), nested(depth - 1), max_size=2)


def some(strategy):
    return st.lists(strategy, max_size=2).map(tuple)


text = st.text(max_size=8)
trials = st.builds(
    Trial,
    workload=text,
    experiment=text,
    arm=text,
    params=columns(5),
    block=words,
    seed=words,
    source=some(st.builds(Part, text, words, text)),
    python=st.sampled_from(["own", "GIL", "free-threaded", "3.13", "3.14.0t"]),
)
receipts = st.builds(
    Receipt, words, some(text), some(text), some(text), names_left=some(text), files_removed_count=words
)
any_run = st.builds(
    Run,
    trial=trials,
    ending=st.sampled_from(Ending),
    exit_code=st.none() | words,
    elapsed_s=st.none() | floats,
    lifetime_s=floats,
    deadline_s=floats | st.integers(1, 600),
    cpu_s=st.none() | floats,
    python=text,
    result=columns(6),
    reason=text,
    error=text,
    stacks=text,
    output=text,
    events=some(st.builds(Event, words, words, words, st.sampled_from(KINDS), text, nested(4))),
    damaged_count=words,
    receipt=receipts,
)
on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)


def test_a_trial_on_the_notebooks_own_python_is_written_as_before_there_were_others(tmp_path):
    assert "python" not in json.loads(line_of(ONE))["trial"]
    other = dataclasses.replace(ONE, trial=dataclasses.replace(ONE.trial, python="3.14t"))
    assert json.loads(line_of(other))["trial"]["python"] == "3.14t"
    assert load(save([ONE, other], tmp_path / "runs", machine=HERE)).runs == (ONE, other)


@on_files
@given(st.lists(any_run, max_size=2))
def test_what_is_saved_comes_back_exactly(tmp_path, runs):
    again = load(save(runs, tmp_path / "runs.jsonl", machine=HERE))
    assert again == Recording(tuple(runs), HERE)
    assert repr([vars_of(run) for run in again.runs]) == repr([vars_of(run) for run in runs])  # 1 == 1.0 == True


def vars_of(run):
    return [(name, getattr(run, name)) for name in run.__slots__]


def test_a_recording_without_a_machine_gets_this_one_and_a_loaded_one_keeps_its_own(tmp_path):
    assert load(save([ONE], tmp_path / "a")).machine.python.startswith("3.")
    save([ONE], tmp_path / "a", machine=HERE)
    assert load(save(load(tmp_path / "a"), tmp_path / "b")) == Recording((ONE,), HERE)


@on_files
@given(st.binary(max_size=300))
@example(b"")
@example(b"\n")
@example(b"\n\n\n")
@example(b"\xff\n")
@example(b"[" * 100_000 + b"\n")
@example(b'{"labkit_recording": 1, "machine": {}}\n')
def test_random_bytes_are_refused(tmp_path, data):
    path = tmp_path / "noise"
    path.write_bytes(data)
    with pytest.raises(BadRecording):
        load(path)


@settings(on_files, max_examples=400)
@given(st.data())
def test_a_damaged_file_loads_or_is_refused_and_nothing_else(tmp_path, data):
    whole = header(HERE) + line_of(ONE) * 2
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    piece = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"[", b"}", b"NaN", b"1e999", b"true", b"null", b"-", b'"'])
    )
    path = tmp_path / "damaged"
    path.write_bytes(whole[:start] + piece + whole[end:])
    runs, refused = (), None
    try:
        runs = load(path).runs
    except BadRecording as error:
        refused = error
    assert all(isinstance(run, Run) for run in runs)
    assert refused is None or (str(path) in str(refused) and refused.problem)


def damage(change):
    value = json.loads(line_of(ONE))
    change(value)
    return json.dumps(value).encode()


WRONG_RUNS = {
    "a bool for a whole number": (damage(lambda run: run.update(exit_code=True)), "run.exit_code"),
    "a number for text": (damage(lambda run: run.update(reason=1)), "run.reason"),
    "text for a number": (damage(lambda run: run.update(elapsed_s="1")), "run.elapsed_s"),
    "a float for a whole number": (damage(lambda run: run.update(damaged_count=1.0)), "run.damaged_count"),
    "more than 64 bits": (damage(lambda run: run.update(damaged_count=2**63)), "64 bits"),
    "a missing field": (damage(lambda run: run.pop("stacks")), "exactly the fields"),
    "a further field": (damage(lambda run: run.update(more=1)), "exactly the fields"),
    "an unknown ending": (damage(lambda run: run.update(ending="vanished")), "run.ending"),
    "an ending by name": (damage(lambda run: run.update(ending="KILLED")), "run.ending"),
    "a list for an ending": (damage(lambda run: run.update(ending=[])), "run.ending"),
    "a short event": (damage(lambda run: run["events"][0].pop()), "list of 6"),
    "an unknown kind": (damage(lambda run: run["events"][0].__setitem__(3, "steal")), "run.events[0]"),
    "a list for the result": (damage(lambda run: run.update(result=[])), "run.result"),
    "a wrong receipt": (damage(lambda run: run["receipt"].update(folder_left=0)), "run.receipt.folder_left"),
    "a wrong part": (damage(lambda run: run["trial"].update(source=[["a", "b", "c"]])), "run.trial.source[0]"),
    "a word that means no interpreter": (damage(lambda run: run["trial"].update(python="perl")), "run.trial.python"),
    "a path of an interpreter": (damage(lambda run: run["trial"].update(python="/p/python3")), "run.trial.python"),
    "a number for an interpreter": (damage(lambda run: run["trial"].update(python=3.13)), "run.trial.python"),
    "null for an interpreter": (damage(lambda run: run["trial"].update(python=None)), "run.trial.python"),
    "a trial that is none": (damage(lambda run: run.update(trial=[])), "run.trial does not have"),
    "deep nesting": (damage(lambda run: run.update(result={"a": [[[[[[[1]]]]]]]})), "8 levels"),
    "NaN": (damage(lambda run: run.update(lifetime_s=float("nan"))), "NaN"),
    "infinity": (damage(lambda run: run.update(lifetime_s=float("-inf"))), "-Infinity"),
    "a float out of range": (line_of(ONE).replace(b'"elapsed_s":0.1', b'"elapsed_s":1e999'), "too large"),
    "too many digits": (line_of(ONE).replace(b'"elapsed_s":0.1', b'"elapsed_s":' + b"9" * 5000), "too many digits"),
    "a key twice": (line_of(ONE).replace(b"{", b'{"error":"x",', 1), "a key appears twice"),
    "no JSON": (b"runs", "not JSON"),
    "an empty line": (b"", "not JSON"),
    "no UTF-8": (b'"\xff"', "not UTF-8"),
    "a UTF-16 surrogate as UTF-8": (b'"\xed\xa0\x80"', "not UTF-8"),
    "a long line": (b'"' + b"x" * LINE_BYTES_MOST + b'"', "4 MiB"),
}


@pytest.mark.parametrize("name", WRONG_RUNS)
def test_a_wrong_run_is_refused_with_its_line_and_the_reason(tmp_path, name):
    line, reason = WRONG_RUNS[name]
    path = tmp_path / "wrong"
    path.write_bytes(header(HERE) + line_of(ONE) + line.rstrip(b"\n") + b"\n")
    with pytest.raises(BadRecording) as caught:
        load(path)
    assert caught.value.line == 3
    assert reason in caught.value.problem


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b'{"labkit_recording": 2, "machine": {}}', "its format is 2"),
        (b'{"labkit_recording": true, "machine": {}}', "its format is True"),
        (b'{"labkit_recording": "' + b"x" * 9999 + b'"}', "its format is 'xxx"),
        (b'{"labkit_recording": 1, "machine": {}}', "exactly the fields system"),
        (b'{"labkit_recording": 1}', "exactly the fields"),
        (b"[]", "not the header"),
        (b"{}", "not the header"),
    ],
)
def test_an_unknown_header_is_refused_with_what_it_says(tmp_path, first, reason):
    path = tmp_path / "header"
    path.write_bytes(first + b"\n" + line_of(ONE))
    with pytest.raises(BadRecording) as caught:
        load(path)
    assert caught.value.line == 1
    assert reason in caught.value.problem
    assert len(str(caught.value)) < 1000


def test_a_file_that_is_cut_off_is_refused_at_its_last_line(tmp_path):
    path = save([ONE, ONE], tmp_path / "cut", machine=HERE)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BadRecording, match="line 3: the file is empty or its end is cut off"):
        load(path)


def test_links_pipes_folders_and_missing_files_are_refused_at_once(tmp_path):
    save([], tmp_path / "file")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for name, problem in (
        ("link", "a link"),
        ("pipe", "not a regular"),
        (".", "cannot|not a regular"),
        ("no", "No such"),
    ):
        with pytest.raises(BadRecording, match=problem):
            load(tmp_path / name)


def test_a_path_that_is_none_is_refused(tmp_path):
    for path in (None, "", "a\0b", 3, b"runs"):
        with pytest.raises(BadValue):
            load(path)
        with pytest.raises(BadValue):
            save([], path)


def test_a_file_of_more_than_64_mib_is_refused(tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate(room.FILE_BYTES_MOST + 1)
    with pytest.raises(BadRecording, match="64 MiB"):
        load(tmp_path / "large")


@pytest.mark.parametrize(
    "line",
    [b'"' + b'\\"' * 2_000_000, b"[]" * 2_000_000, b"[" * 4_000_000, b'"' * 4_000_000, b"\\" * 4_000_000, b'"\\'],
    ids=["escaped quotes", "pairs", "open", "quotes", "backslashes", "open escape"],
)
def test_hostile_lines_take_linear_time(tmp_path, line):
    (tmp_path / "hostile").write_bytes(line + b"\n")
    began = time.process_time()
    with pytest.raises(BadRecording):
        load(tmp_path / "hostile")
    assert time.process_time() - began < 5  # a quadratic reader needs hours


def test_brackets_in_strings_do_not_count_as_nesting(tmp_path):
    run = Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, output='["\\' * 50, error="\\" * 3 + '"[[[[[[[[[[')
    assert load(save([run], tmp_path / "strings")).runs == (run,)


@pytest.mark.parametrize(
    "run",
    [
        "no run",
        Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={"x": float("nan")}),
        Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={"x": (1, 2)}),
        Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={"x": object()}),
        Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={1: 2}),
        Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, result={"x": [[[[[[[1]]]]]]]}),
        Run(trial=Trial(workload="m:f"), ending=Ending.FINISHED, output="x" * LINE_BYTES_MOST),
    ],
    ids=["no run", "nan", "tuple", "object", "int key", "deep", "large"],
)
def test_what_could_not_be_read_back_is_not_written_and_the_old_file_stays(tmp_path, run):
    path = save([ONE], tmp_path / "runs", machine=HERE)
    with pytest.raises(BadValue):
        save([ONE, run], path, machine=HERE)
    assert load(path) == Recording((ONE,), HERE)
    assert [item.name for item in tmp_path.iterdir()] == ["runs"]


def test_a_write_that_fails_halfway_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = save([ONE], tmp_path / "runs", machine=HERE)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadValue, match="No space left"):
        save([ONE, ONE], path, machine=HERE)
    assert load(path) == Recording((ONE,), HERE)
    assert [item.name for item in tmp_path.iterdir()] == ["runs"]


def test_a_missing_folder_and_a_folder_as_file_are_refused(tmp_path):
    with pytest.raises(BadValue, match="Make the folder"):
        save([ONE], tmp_path / "no" / "runs")
    with pytest.raises(BadValue, match="Add a file name"):
        save([ONE], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("runs", [ONE, 3, None])
def test_one_run_by_itself_is_refused_with_advice(tmp_path, runs):
    with pytest.raises(BadValue, match="into a list"):
        save(runs, tmp_path / "runs")


# ------------------------------------------------------------------------------- replayed in place of a live run

LOST = experiment("lost updates")


def lost(arm="threads", block=0, **params):
    """Return a finished run of the lost updates, as if it had been recorded."""
    trial = Trial(workload="m:f", experiment=LOST.name, arm=arm, params={**LOST.defaults, **params}, block=block)
    result = dict.fromkeys(LOST.columns, 0.5) | {"lost_count": 1, "rounds_with_loss_count": 1}
    return Run(trial=trial, ending=Ending.FINISHED, elapsed_s=0.1, python="3.13.0t", result=result)


@pytest.fixture
def recordings(tmp_path, monkeypatch):
    """Give a folder of recordings that holds one: of two arms, with 2 workers, and threads with 4 and with a lock."""
    monkeypatch.setattr(recorded, "RECORDINGS", tmp_path)
    monkeypatch.setattr("labkit.runs.keepers._spawn", lambda *_: pytest.fail("a process was started"))
    monkeypatch.setattr(session, "note", lambda *_: pytest.fail("recorded runs were noted as the student's"))
    runs = [lost(arm, block) for block in range(3) for arm in ("threads", "isolated processes")]
    runs += [lost(block=block, workers=4) for block in range(3)]
    runs += [lost(block=0, lock=True), ONE]
    save(runs, tmp_path / "lost_updates-attic.jsonl", machine=HERE)
    return tmp_path


def test_a_measurement_can_be_replayed_by_the_name_of_the_machine(recordings):
    both = ["threads", "isolated processes"]
    shown = lab.measure("lost updates", arms=both, recorded="attic")
    assert {run.trial.arm for run in shown} == set(both)
    assert len(shown) == 6
    label = "Recorded, not measured here: attic (Linux 6.1, 1.5 cores, Python 3.13.0t)."
    assert label in shown._repr_html_()
    assert label in repr(shown)


def test_a_replay_shows_the_runs_that_were_asked_for_and_no_others(recordings):
    assert [run.trial.params["workers"] for run in lab.measure(LOST, arms="threads", workers=4, recorded="attic")] == [
        4
    ] * 3
    swept = lab.measure(LOST, arms=["threads"], workers=[2, 4], recorded="attic")
    assert [run.trial.params["workers"] for run in swept] == [2] * 3 + [4] * 3
    assert [run.trial.params["lock"] for run in lab.measure(LOST, arms="threads", lock=True, recorded="attic")] == [
        True
    ]
    assert len(lab.measure(LOST, arms="threads", repeats=1, recorded="attic")) == 3  # no recorded run is left out


@pytest.mark.parametrize("made", [str, lambda path: path], ids=["text", "path"])
def test_a_recording_can_be_named_by_its_path(recordings, made):
    path = made(recordings / "lost_updates-attic.jsonl")
    shown = lab.measure(LOST, arms=["threads"], recorded=path)
    assert len(shown) == 3
    assert "Recorded, not measured here: lost_updates-attic.jsonl (" in shown.note


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"workers": 8},
            "setting is 'threads with workers=8'; allowed: what was recorded as attic: the defaults (only ",
        ),
        ({"workers": [2, 8]}, "setting is 'threads with workers=8'"),
        ({"workers": 4, "lock": True}, "setting is 'threads with lock=True, workers=4'"),
        ({"workers": 8}, "workers=4 (only threads); lock=True (only threads)"),
        ({"arms": None}, "setting is 'processes sharing memory with the defaults'"),
        ({"workers": 99}, "workers is 99; allowed: a whole number from 1 to 8"),
        ({"workers": True}, "workers is True; allowed: a whole number"),
        ({"lock": 1}, "lock is 1; allowed: False, True"),
        ({"arms": ["thread"]}, "arms is 'thread'; allowed: 'threads'"),
        ({"colour": 1}, "parameter is 'colour'; allowed: 'body'"),
        ({"repeats": 0}, "repeats is 0; allowed: a whole number from 1 to 1000"),
        (
            {"recorded": "cellar"},
            "recorded is 'cellar'; allowed: a machine that recorded 'lost updates' (attic), or a ",
        ),
        ({"recorded": ""}, "recorded is ''; allowed: the name of a machine, or a path"),
        ({"recorded": 3}, "recorded is 3; allowed: the name of a machine, or a path"),
        ({"recorded": b"attic"}, "recorded is b'attic'; allowed: the name"),
        ({"recorded": "a\0b"}, "allowed: the name of a machine, or a path"),
        ({"recorded": True}, "recorded is True; allowed: the name"),
    ],
)
def test_what_was_not_recorded_or_is_not_allowed_is_refused(recordings, asked, words):
    with pytest.raises(BadValue, match=re.escape(words)):
        lab.measure(LOST, **{"arms": ["threads"], "recorded": "attic", **asked})


def test_a_recording_of_something_else_or_of_an_older_experiment_is_refused(recordings):
    with pytest.raises(BadValue, match="a machine that recorded 'crash' \\(none yet\\)"):
        lab.measure("crash", recorded="attic")
    with pytest.raises(BadValue, match="with runs of 'crash' as it is today; this one holds none"):
        lab.measure("crash", recorded=recordings / "lost_updates-attic.jsonl")
    older = dataclasses.replace(lost(), result={"lost_ratio": 0.5})
    save([older], recordings / "lost_updates-old.jsonl", machine=HERE)
    with pytest.raises(BadValue, match="this one holds runs without numbers for added_count, lost_count, rounds_"):
        lab.measure(LOST, recorded="old")


@pytest.mark.parametrize("value", ["0.5", [0.5], {"value": 0.5}, "<script>"])
def test_a_recorded_column_that_holds_no_number_is_refused(recordings, value):
    wrong = dataclasses.replace(lost(), result={**lost().result, "lost_ratio": value})
    save([lost(), wrong], recordings / "lost_updates-odd.jsonl", machine=HERE)
    with pytest.raises(BadValue, match="this one holds runs without numbers for lost_ratio"):
        lab.measure(LOST, arms="threads", recorded="odd")


def test_parameters_that_no_experiment_has_are_never_asked_for(recordings):
    odd = [lost(workers=[2]), lost(workers={"a": 2}), lost(workers=2.0), lost(workers=True), lost(more=1)]
    save(odd, recordings / "lost_updates-odd.jsonl", machine=HERE)
    with pytest.raises(
        BadValue, match=re.escape("recorded as odd: workers=[2] (only threads); workers={'a': 2} (only ")
    ):
        lab.measure(LOST, arms="threads", recorded="odd")


@pytest.mark.parametrize("ask", [lab.measure, lab.bench])
def test_a_damaged_recording_is_refused_with_its_line(recordings, ask):
    path = recordings / "lost_updates-attic.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ending":"finished"', b'"ending":"vanished"', 1))
    with pytest.raises(BadRecording, match=r"line 2: run\.ending is not one of"):
        ask(LOST, recorded="attic")
    with pytest.raises(BadRecording, match="cannot be opened"):
        ask(LOST, recorded="./none")


def shown_by(panel):
    """Show a bench without a front end, and return what its place holds."""
    contents = []
    panel._place.update = lambda make, **_: contents.append(make())
    panel._ask()
    panel.wait()
    return contents


def test_a_bench_replays_the_setting_of_its_sliders(recordings):
    panel = lab.bench(LOST, arms=["threads", "isolated processes"], recorded="attic")
    contents = shown_by(panel)
    assert "Recorded, not measured here: attic" in contents[-1]
    assert "Not recorded" not in contents[-1]
    assert contents[-1].count("<img") == 1
    assert len(panel.latest) == 6
    assert "6 runs recorded as attic." in panel.controls._words.value


def test_a_bench_says_what_was_not_recorded(recordings):
    panel = lab.bench(LOST, arms=["threads", "isolated processes"], recorded="attic")
    shown_by(panel)
    contents = []
    panel._place.update = lambda make, **_: contents.append(make())
    panel.controls._sliders["workers"].value = 4
    panel.wait()
    assert "Not recorded at this setting: isolated processes with workers=4." in contents[-1]
    assert len(panel.latest) == 3
    panel.controls._sliders["workers"].value = 8
    panel.wait()
    assert "<img" not in contents[-1]
    assert "Not recorded at this setting: threads, isolated processes with workers=8." in contents[-1]
    assert "Recorded are: the defaults (only threads, isolated processes); workers=4 (only threads)" in contents[-1]
    assert panel.latest == []
    assert "Not recorded at this setting." in panel.controls._words.value
    panel.controls._sliders["workers"].value = 2
    panel.wait()
    assert len(panel.latest) == 6
    assert len(panel.runs) == 9  # each recorded run once


@pytest.mark.parametrize("asked", [{"recorded": "cellar"}, {"recorded": 3}, {"workers": 99}, {"arms": ["thread"]}])
def test_a_bench_refuses_at_once_what_is_not_allowed(recordings, asked):
    with pytest.raises(BadValue, match="; allowed: "):
        lab.bench(LOST, **{"recorded": "attic", **asked})


# ------------------------------------------------------------------------------- recorded on several interpreters

MANY = dataclasses.replace(LOST, pythons=True)


@pytest.fixture
def several(recordings):
    """Add a recording of threads on four words for three interpreters; this machine has none of them."""
    there = {"own": "3.11.7", "GIL": "3.11.7", "free-threaded": "3.14.0t", "3.12": "3.12.1"}
    runs = [
        dataclasses.replace(
            lost(block=block), trial=dataclasses.replace(lost(block=block).trial, python=word), python=at
        )
        for block in range(3)
        for word, at in there.items()
    ]
    save(runs, recordings / "lost_updates-many.jsonl", machine=HERE)


@pytest.mark.parametrize("words", [["GIL", "free-threaded"], ["own"], ["3.12"]])
def test_a_replay_goes_by_the_words_and_not_by_what_is_here(several, words):
    shown = lab.measure(MANY, arms="threads", pythons=words, recorded="many")
    assert {run.trial.python for run in shown} == set(words)
    assert len(shown) == 3 * len(words)


def test_a_replay_without_words_shows_what_ran_on_the_machines_own_python(several):
    assert {run.trial.python for run in lab.measure(MANY, arms="threads", recorded="many")} == {"own"}


def test_a_word_that_was_not_recorded_is_named(several):
    with pytest.raises(BadValue, match=re.escape("setting is 'threads with python 3.14t'; allowed: what was recorded")):
        lab.measure(MANY, arms="threads", pythons=["GIL", "3.14t"], recorded="many")


def test_a_bench_offers_the_interpreters_of_the_recording(several):
    panel = lab.bench(MANY, arms=["threads"], pythons=["GIL", "free-threaded", "3.13"], recorded="many")
    ticks = panel.controls._pythons
    assert {word: (tick.description, tick.value) for word, tick in ticks.items()} == {
        "GIL": ("Python 3.11.7 (GIL)", True),  # not once more as own
        "free-threaded": ("Python 3.14.0t (free-threaded)", True),
        "3.12": ("Python 3.12.1 (GIL)", False),
    }
    assert panel.controls._panel.children[-2].children[1].children[-1].value == "Python 3.13: not recorded"
    shown_by(panel)
    assert {run.trial.python for run in panel.latest} == {"GIL", "free-threaded"}
    ticks["3.12"].value = True
    panel.wait()
    assert len(panel.latest) == 9
    for tick in ticks.values():
        tick.value = False
    with pytest.raises(BadValue, match="Choose at least one"):
        panel.wait()
