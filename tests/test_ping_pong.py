"""The ping-pong and its yardsticks: every arm really run, with programs made up where a machine may lack the real ones.

The made-up ``perf`` and ``cc`` stand first on PATH: a small Python program that hands bytes to and fro as perf does.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from shutil import which

import pytest
from ipc_faults import side_is_killed
from test_arms import call
from test_experiments import drawn, made_up

from labkit.child import switching, yardsticks
from labkit.child.yardsticks import in_c, perf
from labkit.errors import NotHere
from labkit.experiments import experiment
from labkit.experiments.ping_pong import _TRIPS
from labkit.model import Ending
from labkit.runs import supervise
from labkit.runs.plan import plan
from labkit.runs.supervise import begin

GAME = experiment("ping pong")
TRIPS = 8000  # so many that the start of a program, which varies, hardly counts beside them
pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="not on this system: it keeps no core")

# Takes the words of `perf bench sched pipe`, prints what that prints, and makes a context switch for each message.
# A line for both the shell and Python: what follows #! may hold no space, and the path of a checkout may.
EXEC = '#!/bin/sh\n"exec" "{python}" "-IS" "$0" "$@"\n'
PLAYER = (
    EXEC
    + """
import os, sys
loops = int(sys.argv[-1])
(a, b), (c, d) = os.pipe(), os.pipe()
child = os.fork()
for _ in range(loops):
    if child:
        os.write(b, b"ball"), os.read(c, 4)
    else:
        os.read(a, 4), os.write(d, b"ball")
if not child:
    os._exit(0)
os.wait()
print("# Running 'sched/pipe' benchmark:")
open({seen!r}, "a").write(" ".join(sys.argv[1:]) + chr(10))
"""
)
COMPILER = """#!/bin/sh
while [ "$1" != -o ]; do shift; done
cp {player} "$2"
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """Yield a function that puts a program on PATH, which is empty otherwise."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def put(name, text):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return put


def player(tmp_path):
    return PLAYER.format(python=sys.executable, seen=str(tmp_path / "seen"))


@pytest.mark.parametrize("placement", GAME.sweep["placement"])
def test_python_makes_one_switch_per_message(placement):
    asked = [("ping pong", arm, {"placement": placement}) for arm in ("threads", "processes")]
    for result in call(asked):
        assert list(result) == list(GAME.columns)
        assert result["messages_count"] == 2 * _TRIPS[placement]
        assert result["cpu_per_switch_s"] > 0
        if placement == "one core":  # on two cores a side may see the answer before it has to sleep
            assert result["switches_per_message_count"] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("between", "flag"), [("threads", "-T "), ("processes", "")])
def test_perf_is_asked_for_the_same_and_its_start_is_not_counted(between, flag, tools, tmp_path):
    tools("perf", player(tmp_path))
    with switching.one_core():
        used = perf(between, TRIPS)
    assert used.switches_count == pytest.approx(2 * TRIPS, rel=0.1)
    assert used.cpu_s > 0
    asked = (tmp_path / "seen").read_text().splitlines()
    assert asked == [f"bench sched pipe {flag}-l 1", f"bench sched pipe {flag}-l {TRIPS + 1}"]


def test_the_program_in_c_is_compiled_run_and_removed(tools, tmp_path):
    real = os.environ["PATH"]
    tools("cc", COMPILER.format(player=tools("player", player(tmp_path))))
    os.environ["PATH"] = f"{real}:/bin:/usr/bin"  # the made-up compiler needs cp; monkeypatch puts PATH back
    before = sorted(os.listdir(tempfile.gettempdir()))
    with switching.one_core():
        used = in_c("processes", TRIPS)
    assert used.switches_count == pytest.approx(2 * TRIPS, rel=0.1)
    assert (tmp_path / "seen").read_text().splitlines() == ["processes 1", f"processes {TRIPS + 1}"]
    assert sorted(os.listdir(tempfile.gettempdir())) == before


@pytest.mark.parametrize(("tool", "play"), [("cc", in_c), ("perf", perf)])
@pytest.mark.parametrize("between", ["threads", "processes"])
def test_the_real_tools_make_one_switch_per_message_where_they_are(tool, play, between):
    assert os.path.getsize(yardsticks._PROGRAM) > 0
    if which(tool) is None or subprocess.run([tool, "--version"], check=False, capture_output=True).returncode:
        with pytest.raises(NotHere, match=r"is not installed|does not work here"):
            play(between, TRIPS)
        return
    with switching.one_core():
        assert play(between, TRIPS).switches_count == pytest.approx(2 * TRIPS, rel=0.1)


@pytest.mark.parametrize("play", [perf, in_c])
def test_a_tool_that_is_not_installed_is_said_to_be_missing(play, tools):
    del tools
    with pytest.raises(NotHere, match=r"is not installed .*: there is no such yardstick here"):
        play("threads", TRIPS)


@pytest.mark.parametrize(("tool", "play"), [("perf", perf), ("cc", in_c)])
def test_a_tool_that_fails_is_quoted(tool, play, tools):
    tools(tool, "#!/bin/sh\necho 'not for this kernel' >&2\nexit 2\n")
    with pytest.raises(NotHere, match=rf"{tool} does not work here \(exit status 2\): not for this kernel"):
        play("processes", TRIPS)


def test_a_tool_that_only_prints_is_no_yardstick(tools):
    tools("perf", "#!/bin/sh\necho '5.7 usecs/op'\n")
    with pytest.raises(NotHere, match=r"perf is no yardstick here: -?\d+ context switches and .* for 8000 round trips"):
        perf("threads", TRIPS)


def test_a_tool_that_hangs_ends_the_run_and_leaves_nothing(tools, monkeypatch):
    tools("perf", EXEC.format(python=sys.executable) + "import time\ntime.sleep(60)\n")
    monkeypatch.setattr(yardsticks, "_PATIENCE_S", 0.2)
    with pytest.raises(NotHere, match=r"perf takes longer than 0\.2 s"):
        perf("threads", TRIPS)


def test_an_arm_without_its_tool_is_a_run_that_says_so(tools):
    del tools
    for trial in plan(GAME, repeats=1, seed=0, arms=["perf threads", "C processes", "processes"]):
        run = begin(trial, limits=GAME.limits).wait()
        if trial.arm == "processes":
            assert run.check().receipt.clean
            continue
        assert run.ending is Ending.UNAVAILABLE
        assert "is not installed" in run.reason
        assert run.receipt.clean


def test_a_yardstick_in_a_run_of_its_own_leaves_nothing(tools, tmp_path):
    tools("perf", player(tmp_path))
    [trial] = plan(GAME, repeats=1, seed=0, arms=["perf processes"])
    run = begin(trial, limits=GAME.limits).wait().check()
    assert run.result["switches_per_message_count"] == pytest.approx(1, abs=0.1)
    assert run.receipt.clean
    assert run.receipt.processes_removed == ()


def test_a_partner_that_fails_is_an_error():
    def fails(_count):
        raise ValueError("dropped the ball")

    steps = {"drop": switching.Steps(lambda _: None, fails)}
    for between in ("threads", "processes"):
        with pytest.raises(RuntimeError, match="dropped the ball"), switching.sides(between, steps) as take:
            take("drop", 1)


@pytest.mark.parametrize("placement", GAME.sweep["placement"])
def test_a_side_that_is_killed_is_seen_at_once_and_not_at_the_deadline(placement):
    kills, params = "labkit.child.switching:metered", {"placement": placement}
    run = supervise.run(side_is_killed, name=GAME.name, kills=kills, params=params, deadline_s=30)
    assert run.ending is Ending.RAISED, run
    assert "the partner was killed by SIGKILL" in run.error
    assert run.receipt.clean


def shown(runs):
    return {text.get_text() for text in drawn(GAME, runs)[1]}


def test_the_picture_tells_how_many_times_the_yardsticks_ours_is():
    # Made-up numbers: each arm takes its place among the arms, times the same.
    words = shown(made_up(GAME, 3))
    assert "11 ms\n0.20 x perf, 0.33 x C" in words
    assert "22 ms\n0.33 x perf, 0.50 x C" in words
    assert "CPU time per context switch, on one core (us)" in words


def test_without_any_yardstick_the_picture_says_that_there_is_none():
    runs = [
        run if run.trial.arm in ("threads", "processes") else replace(run, ending=Ending.UNAVAILABLE, result={})
        for run in made_up(GAME, 3)
    ]
    words = shown(runs)
    assert {"11 ms\nno yardstick", "22 ms\nno yardstick"} <= words
    assert not any("unfinished" in word for word in words)


def test_both_placements_stand_beside_each_other():
    words = shown(made_up(GAME, 3, placement=GAME.sweep["placement"]))
    assert {"one core: 11 ms, 0.20 x perf", "any core: 11 ms, 0.20 x perf", "any core: 66 ms"} <= words
