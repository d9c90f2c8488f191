"""A run in the ordinary case: its events, its result, its output, its surroundings; and what is refused before it."""

import os
import subprocess
import sys
import threading
import time

import faults
import pytest
from battery import World

import labkit
from labkit.errors import BadValue, BadWorkload, LabError, RunFailed
from labkit.limits import Limits
from labkit.model import Ending, Event, Trial
from labkit.runs import interpreters, keepers, supervise
from labkit.runs.interpreters import probe

CELL = """
import labkit

SCALE = 3

def helper(x):
    return SCALE * x

def typed_in_a_cell(x):
    labkit.emit("note", "x", x)
    return {"scaled": helper(x)}
"""


# ---------------------------------------------------------------------------------------------------- events
def test_events_come_typed_and_in_order():
    run = supervise.run(faults.fine, times=5).check()
    assert [type(event) for event in run.events] == [Event] * 5
    assert [(event.kind, event.name, event.value) for event in run.events] == [("note", "row", n) for n in range(5)]
    times = [event.t_ns for event in run.events]
    assert times == sorted(times)
    assert times[0] >= 0
    assert len({(event.pid, event.tid) for event in run.events}) == 1
    assert run.damaged_count == 0


def test_events_can_be_read_while_the_run_goes_on():
    live = supervise.start(faults.sleeps, deadline_s=20)
    assert next(live.events()).name == "asleep"
    assert not live.done
    live.stop()
    assert [event.name for event in live.events()] == ["asleep"]
    assert live.done


def test_two_readers_see_every_event():
    live = supervise.start(faults.fine, times=50)
    seen = []
    readers = [threading.Thread(target=lambda: seen.append(len(list(live.events())))) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert seen == [50, 50]


# ---------------------------------------------------------------------------------------------------- stop and wait
def test_stop_ends_a_run_at_once_and_again_does_nothing():
    live = supervise.start(faults.sleeps, deadline_s=60)
    next(live.events())
    began = time.monotonic()
    live.stop()
    run = live.wait(5)
    live.stop()
    assert time.monotonic() - began < 15  # not the 60 s of its deadline
    assert run.ending is Ending.STOPPED
    assert run.explain() == "was stopped"
    assert run.result == {}
    assert run.receipt.clean


def test_a_run_that_was_stopped_before_it_began_starts_nothing(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    live = supervise._prepare(faults.fine, 1.0, None, None, {})
    live.stop()
    live._launch()
    assert live.wait(5).ending is Ending.STOPPED


def test_waiting_gives_up_after_its_time_and_the_run_goes_on():
    live = supervise.start(faults.sleeps, seconds=0.6)
    with pytest.raises(TimeoutError, match=r"has not ended after 0\.1 s"):
        live.wait(0.1)
    assert live.join(0.05) is False
    assert "running" in repr(live)
    waiting = [threading.Thread(target=live.wait, args=(10,)) for _ in range(3)]
    for thread in waiting:
        thread.start()
    assert live.wait(10).result == {"value": 0.6}
    for thread in waiting:
        thread.join()
    assert repr(live) == repr(live.wait())


# ---------------------------------------------------------------------------------------------------- results
@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"a_s": 1.5, "b": [1, {"c": None}]}, {"a_s": 1.5, "b": [1, {"c": None}]}),
        (7, {"value": 7}),
        ("Zürich \U0001f40d", {"value": "Zürich \U0001f40d"}),
        ([1, 2], {"value": [1, 2]}),
        (False, {"value": False}),
        ({}, {}),
        (None, {}),
    ],
)
def test_a_result_is_a_dict_of_columns(value, result):
    run = supervise.run(faults.echo, value=value)
    assert run.ending is Ending.FINISHED
    assert run.result == result
    assert run.check() is run


@pytest.mark.parametrize("kind", ["nan", "lock", "set", "bytes"])
def test_a_result_that_is_no_data_is_an_exception_with_advice(kind):
    run = supervise.run(faults.no_plain_data, kind=kind)
    assert run.ending is Ending.RAISED
    assert run.result == {}
    assert "return numbers, text, or lists and dicts of them" in run.explain()
    with pytest.raises(RunFailed, match="faults:no_plain_data raised"):
        run.check()


# ---------------------------------------------------------------------------------------------------- output
def test_the_beginning_and_the_end_of_the_output_are_kept():
    lines = supervise.run(faults.prints).check().output.splitlines()
    assert lines[:2] == ["out 0", "err 0"]
    assert lines[-1] == "out 19999"
    (middle,) = (line for line in lines if "left out" in line)
    assert 100_000 < int(middle.split()[1]) < 400_000
    assert 60_000 < len("\n".join(lines)) < 66_000


def test_both_streams_are_mixed_as_they_were_written():
    lines = supervise.run(faults.prints).output.splitlines()[:200]
    for number in range(0, 100, 10):
        assert lines.index(f"err {number}") == lines.index(f"out {number}") + 1


# ---------------------------------------------------------------------------------------------------- deadline
def test_the_deadline_counts_from_the_start_of_the_workload(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "import time\ntime.sleep(4)\n\ndef work():\n    time.sleep(0.2)\n    return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import slow_to_import

    run = supervise.run(slow_to_import.work, deadline_s=3.5)
    assert run.ending is Ending.FINISHED
    assert 0.2 <= run.elapsed_s < 3.5
    assert run.lifetime_s > 4.0


def test_a_run_past_its_deadline_ends_soon_after_it():
    run = supervise.run(faults.sleeps, deadline_s=0.5)
    assert run.ending is Ending.TIMED_OUT
    assert 0.5 < run.lifetime_s < 15
    assert run.elapsed_s is None
    assert run.explain() == "ran past its deadline of 500 ms and was ended"
    assert "in sleeps" in run.stacks
    assert [event.name for event in run.events] == ["asleep"]


# ---------------------------------------------------------------------------------------------------- surroundings
def test_a_workload_sees_its_own_folder_and_nothing_of_the_kernel(monkeypatch, tmp_path):
    secret = "JUPYTERHUB_API_TOKEN"
    monkeypatch.setenv(secret, "hush")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("LC_NUMERIC", "C")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    seen = supervise.run(faults.where).check().result
    assert seen["folder"] == seen["tmp"]
    assert os.path.dirname(os.path.dirname(seen["folder"])) == os.environ["TMPDIR"]
    assert not os.path.exists(seen["folder"])
    assert secret not in seen["environment"]
    assert "PYTHONPATH" not in seen["environment"]
    assert {"PATH", "HOME", "LC_NUMERIC", "TMPDIR", "LABKIT_RUN"} <= set(seen["environment"])
    assert len(seen["environment"]) < 15
    assert seen["isolated"] == 1
    kernels = {"", str(tmp_path), os.path.dirname(os.path.dirname(labkit.__file__))}
    assert not kernels & set(seen["path"])
    assert seen["path"][-1] == os.path.dirname(faults.__file__)


def test_two_runs_share_no_folder():
    folders = {supervise.run(faults.where).result["folder"] for _ in range(3)}
    assert len(folders) == 3


# ---------------------------------------------------------------------------------------------------- a spare
def spare(**allowed):
    keepers.prewarm(Trial(workload="faults:fine"), limits=Limits(**allowed))
    return keepers._spare[0][1].process.pid


def test_a_spare_is_used_once():
    pid = spare()
    link = keepers.link_for(Trial(workload="faults:fine"), python=sys.executable, limits=Limits(deadline_s=3.0))
    assert link.process.pid == pid
    assert keepers._spare == []
    link.sock.close()
    keepers.close(link, lost=True)
    spare()
    assert supervise.run(faults.fine).ending is Ending.FINISHED
    assert keepers._spare == []
    assert supervise.run(faults.fine).ending is Ending.FINISHED


def test_a_spare_is_used_only_if_it_fits_and_goes_when_it_is_discarded():
    before = World.now()
    pid = spare(open_files_count=99)
    assert supervise.run(faults.fine).ending is Ending.FINISHED
    assert keepers._spare[0][1].process.pid == pid
    spare(open_files_count=98)  # the older one goes
    keepers.discard_spare()
    keepers.discard_spare()
    assert keepers._spare == []
    assert before.left() == []


def test_a_spare_obeys_the_limits_of_its_task():
    spare(deadline_s=10.0)
    run = supervise.run(faults.sleeps, deadline_s=0.3)
    assert run.ending is Ending.TIMED_OUT
    assert run.lifetime_s < 9.5  # not the 10 s of the spare


# ---------------------------------------------------------------------------------------------------- what is run
def test_every_interpreter_gives_the_same_result():
    found = interpreters.find()
    runs = [supervise.run(faults.fine, python=one.path, times=4) for one in found]
    assert [run.result for run in runs] == [{"times": 4}] * len(found)
    assert [run.python for run in runs] == [one.version for one in found]
    assert len({one.version for one in found}) >= 1


def test_a_function_typed_in_a_cell_runs(monkeypatch):
    import linecache
    import types

    main = types.ModuleType("__main__")
    file = "/tmp/ipykernel_1/1.py"
    linecache.cache[file] = (len(CELL), None, CELL.splitlines(keepends=True), file)
    exec(compile(CELL, file, "exec"), vars(main))
    monkeypatch.setitem(sys.modules, "__main__", main)
    try:
        run = labkit.run(main.typed_in_a_cell, x=5).check()
    finally:
        del linecache.cache[file]
    assert run.result == {"scaled": 15}
    assert [event.value for event in run.events] == [5]


# ---------------------------------------------------------------------------------------------------- refused
@pytest.mark.parametrize(
    ("workload", "arguments", "error"),
    [
        (faults.fine, {"deadline_s": 0}, BadValue),
        (faults.fine, {"deadline_s": float("nan")}, BadValue),
        (faults.fine, {"deadline_s": 1e9}, BadValue),
        (faults.fine, {"no_such": 1}, BadWorkload),
        (faults.echo, {"value": {1, 2}}, BadValue),
        (faults.echo, {"value": float("inf")}, BadValue),
        (lambda: 1, {}, BadWorkload),
        (print, {}, BadWorkload),
        (3, {}, BadWorkload),
    ],
)
def test_what_cannot_be_run_is_refused_before_any_process_starts(workload, arguments, error, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(error) as caught:
        supervise.run(workload, **arguments)
    assert isinstance(caught.value, LabError)


def test_a_wrong_path_of_an_interpreter_is_refused_before_any_run(monkeypatch):
    monkeypatch.setattr(keepers, "_spawn", None)
    for path in ("/no/such/python", "", "/etc/passwd"):
        with pytest.raises(BadValue, match="python is"):
            supervise.run(faults.fine, python=path)
    assert probe(sys.executable).path


# ---------------------------------------------------------------------------------------------------- odd results
def test_what_cannot_be_shown_or_told_apart_is_refused_with_the_reason():
    for kind, words in (("surrogate", "surrogates not allowed"), ("keys", "the key 1 is no text")):
        run = supervise.run(faults.no_plain_data, kind=kind)
        assert run.ending is Ending.RAISED
        assert words in run.explain()


def test_an_exception_is_told_by_its_type_and_the_first_line_of_its_message():
    assert supervise.run(faults.two_line_exception).explain() == "raised ValueError: first line"


def test_a_parameter_that_lab_run_takes_for_itself_is_refused():
    def deadline(deadline_s):
        return deadline_s

    with pytest.raises(BadWorkload, match=r"has a parameter 'deadline_s', which lab.run takes for itself"):
        supervise.run(deadline)
    with pytest.raises(BadValue, match="limits is 3"):
        supervise.run(faults.fine, limits=3)
