"""The experiment on crashes, really run: who survives each fault is certain, so every number is asserted exactly."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import psutil
import pytest
from test_arms import BARE, OTHERS, ROOT, call, start

from labkit import ledger
from labkit.experiments import experiment
from labkit.limits import Limits
from labkit.model import Ending, Run, Trial
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.tables import frame

CRASH = experiment("crash")
MILD = ("exception", "sys.exit", "memory bomb")
NATIVE = ("os._exit", "segfault", "abort", "kill")
BUSY = "import time; end = time.monotonic() + 30\nwhile time.monotonic() < end: pass"

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system: fork")


def asked(arm, **params):
    return ("crash", arm, CRASH.defaults | params)


def check(call, result):
    _, arm, params = call
    others = params["workers"] - 1
    alive = others if arm == "processes" or params["fault"] in MILD else 0
    beats = result.pop("beats_after_count")
    assert result == {"survivors_count": alive, "others_count": others, "survivors_ratio": alive / others}, call
    assert (beats >= 20) == (alive > 0), call


def test_each_fault_is_known():
    assert CRASH.sweep["fault"] == MILD + NATIVE


@pytest.mark.parametrize("workers", CRASH.sweep["workers"])
@pytest.mark.parametrize("arm", CRASH.arms)
def test_the_survivors_of_each_fault(arm, workers):
    calls = [asked(arm, fault=fault, workers=workers) for fault in CRASH.sweep["fault"]]
    for asked_for, result in zip(calls, call(calls), strict=True):
        assert list(result) == list(CRASH.columns)
        check(asked_for, result)


@pytest.mark.parametrize("python", OTHERS)
def test_the_survivors_on_each_other_interpreter(python):
    calls = [asked(arm, fault=fault) for arm in CRASH.arms for fault in ("segfault", "exception", "memory bomb")]
    for asked_for, result in zip(calls, call(calls, python), strict=True):
        check(asked_for, result)


def test_the_survivors_beside_busy_processes():
    busy = [subprocess.Popen([sys.executable, "-I", "-S", "-c", BUSY]) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        calls = [asked(arm, fault=fault, workers=8) for arm in CRASH.arms for fault in ("exception", "abort")]
        for asked_for, result in zip(calls, call(calls), strict=True):
            check(asked_for, result)
    finally:
        for each in busy:
            each.kill()
            each.wait()


def events(tmp_path, arm, **params):
    """Run an arm whose events go to a file; return them as lists."""
    file = tmp_path / "events"
    opened = f"os.open({str(file)!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)"
    call([asked(arm, **params)], first=f"from labkit.child.emit import connect; connect({opened})")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("arm", CRASH.arms)
@pytest.mark.parametrize("fault", ["sys.exit", "kill"])
def test_the_events_tell_who_began_who_failed_and_who_went_on(tmp_path, arm, fault):
    found = events(tmp_path, arm, fault=fault, workers=4)
    names = {f"unit {number}" for number in range(1, 5)}
    assert {event[5] for event in found} == names
    assert max(Counter(event[5] for event in found).values()) <= 40
    assert [(event[5], event[6]) for event in found if event[4] == "note"] == [("unit 1", fault)]
    assert {event[5] for event in found if event[4] == "begin"} == names
    ends = {event[5] for event in found if event[4] == "end"}
    assert ends == (set() if (arm, fault) == ("threads", "kill") else names - {"unit 1"})
    assert len({event[2] for event in found}) == (1 if arm == "threads" else 4)
    assert len({event[3] for event in found}) == 4
    (failed,) = (event[1] for event in found if event[4] == "note")
    for name in names:  # everybody was alive before the fault
        assert sum(event[5] == name and event[4] == "sample" and event[1] < failed for event in found) >= 5


def test_a_unit_that_does_not_begin_is_an_exception_in_the_arm():
    first = "from labkit.child import heartbeats as it; it._PATIENCE_S = 0.3; it._BEAT_S = 10"
    done = start([asked("processes")], first=first)
    assert done.returncode == 1
    assert "RuntimeError: no fault came: heartbeats of units 1 to 4 are [0, 0, 0, 0]" in done.stderr


@pytest.mark.parametrize("arm", CRASH.arms)
def test_a_fault_that_does_nothing_kills_nobody(arm):
    first = "from labkit.experiments import crash as it; it._fail = lambda fault: None"
    assert call([asked(arm)], first=first)[0]["survivors_count"] == 3


STOP = """
from labkit.child import heartbeats; heartbeats._PATIENCE_S = 0.3
from labkit.experiments import crash
def stop(fault):
    os.system(f"(sleep 1; kill -CONT {os.getpid()}) >/dev/null 2>&1 </dev/null &")
    os.kill(os.getpid(), 19)
crash._fail = stop
"""


@pytest.mark.parametrize("arm", CRASH.arms)
def test_a_process_that_hangs_has_no_survivors(arm):
    (result,) = call([asked(arm)], first=STOP.replace("19", str(int(signal.SIGSTOP))))
    check(asked(arm), result)


@pytest.mark.parametrize("arm", CRASH.arms)
def test_no_unit_outlives_its_observer(arm):
    first = "from labkit.child import heartbeats as it; it._BEFORE = 10**9; it._PATIENCE_S = 60"
    command = [sys.executable, "-I", "-c", BARE, ROOT, json.dumps([asked(arm)]), first]
    observer = subprocess.Popen(command, start_new_session=True)
    until = time.monotonic() + 20
    while time.monotonic() < until and len(group(observer.pid)) < (2 if arm == "threads" else 5):
        time.sleep(0.02)
    assert len(group(observer.pid)) >= 2
    observer.send_signal(signal.SIGKILL)
    observer.wait()
    while time.monotonic() < until and group(observer.pid):
        time.sleep(0.02)
    assert group(observer.pid) == []


def group(number):
    """List the live processes of a process group."""
    found = []
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(process.pid) == number and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def test_without_fork_the_arms_say_so():
    assert call([asked(arm) for arm in CRASH.arms], first="del os.fork") == ["this system cannot fork a process"] * 2


@pytest.mark.parametrize("fault", ["segfault", "memory bomb", "exception"])
def test_a_supervised_run_finishes_in_silence(fault):
    for trial in plan(CRASH, repeats=1, seed=0, sweep={"fault": (fault,)}):
        run = begin(trial, limits=CRASH.limits).wait()
        assert (run.ending, run.output, run.stacks, run.error) == (Ending.FINISHED, "", "", "")
        assert run.receipt.clean
        assert run.receipt.processes_removed == ()
        assert run.elapsed_s < 10
        assert {event.name for event in run.events} == {f"unit {number}" for number in range(1, 5)}


def test_the_memory_bomb_stays_small():
    (trial, _) = plan(CRASH, repeats=1, seed=0, sweep={"fault": ("memory bomb",)})
    assert begin(trial, limits=Limits(memory_bytes=256 << 20)).wait().ending is Ending.FINISHED


# ---------------------------------------------------------------------------------------------------- verdicts
def made(fault, dead="threads", repeats=3):
    """Make runs up: all others of one arm die."""
    runs = []
    for arm in CRASH.arms:
        alive = 0 if arm == dead else 3
        result = {"survivors_count": alive, "others_count": 3, "survivors_ratio": alive / 3, "beats_after_count": 20}
        trial = Trial(workload="m:f", experiment="crash", arm=arm, params={"fault": fault, "workers": 4})
        runs += [Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result)] * repeats
    return runs


@pytest.mark.parametrize(
    ("runs", "crash", "words", "isolation"),
    [
        (made("segfault"), "holds", "With segfault, all threads died in 3 of 3 runs and all other processes", "holds"),
        (made("exception", ""), "does not hold", "With exception, all threads died in 0 of 3 runs", "holds"),
        (made("abort", "processes"), "does not hold", "all other processes survived in 0 of 3 runs", "does not hold"),
        (made("kill", repeats=2), "cannot be measured here", "not measured yet.", "cannot be measured here"),
        (made("kill", repeats=2) + made("abort"), "holds", "With abort, all threads", "holds"),
        (made("kill") + made("kill", "")[:3], "too close to call", "all threads died in 3 of 6 runs", "holds"),
        (
            made("segfault") + made("kill") + made("sys.exit", "") + made("exception", ""),
            "does not hold",
            "died in 6 of 6 runs and all other processes survived in 6 of 6 runs; with exception and sys.exit, all",
            "holds",
        ),
        (made("segfault")[:3], "cannot be measured here", "not measured yet.", "cannot be measured here"),
        (made("segfault")[3:], "cannot be measured here", "not measured yet.", "holds"),
    ],
)
def test_a_crash_is_judged_fault_by_fault(runs, crash, words, isolation):
    verdicts = ledger.judge(CRASH, frame(runs))
    assert verdicts["failure.crash"].outcome == crash
    assert words in verdicts["failure.crash"].sentence
    assert verdicts["process.isolation_crash"].outcome == isolation
    for verdict in verdicts.values():
        assert bool(verdict.reason) == (verdict.outcome in ("cannot be measured here", "too close to call"))
        if verdict.effect is not None:
            assert 0 <= verdict.low <= verdict.effect <= verdict.high <= 1
            assert verdict.runs_count >= 3
            assert verdict.unit
