"""Around a run: a kernel that is killed, interrupted, restarted, or short of what it needs; and bugs that we had."""

import contextlib
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import around
import faults
import pytest
from battery import ROWS, World, run_row
from jupyter_client.manager import KernelManager
from jupyter_core.utils import ensure_event_loop

import labkit
from labkit.child import launch, leftovers, processes
from labkit.limits import Limits
from labkit.model import Ending, Trial
from labkit.runs import folders, keepers, supervise

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("orphans_in_sight")  # also those that have no cookie
HERE = Path(__file__).resolve().parent
PACKAGE = Path(labkit.__file__).parent
TRIES = 20  # in `make soak` ten times as many, and every bytecode
STEP = 4
BATTERY = {row.name: row for row in ROWS}


def odd_kernel(name):
    command = [sys.executable, str(HERE / "around.py"), name]

    def allow_many():
        resource.setrlimit(resource.RLIMIT_NOFILE, (2048, 2048))

    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60, preexec_fn=allow_many)
    return json.loads(done.stdout)


def a_seed():
    seed = random.randrange(10**6)
    print("seed", seed)  # shown if the test fails
    return seed


# ---------------------------------------------------------------------------------------------------- killed
def test_a_kernel_killed_at_a_random_moment_leaves_nothing():
    assert around.kill_at_random(TRIES, a_seed()) == (TRIES, TRIES, [])


def noted_daemon():
    """Find the daemon of `faults.daemon` as soon as a keeper has written it down; it looks every 0.1 s."""
    for path in Path(tempfile.gettempdir()).glob("labkit-*/processes"):
        for line in path.read_text().splitlines()[1:]:
            process = processes.read(int(line.split()[0]))
            with contextlib.suppress(OSError):
                if process and faults.SLEEPER.encode() in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                    return process
    return None


def lives(process):
    now = processes.read(process.pid)
    return bool(now and now.start == process.start and now.state != "Z")


@pytest.mark.parametrize("keep_environment", [True, False], ids=["environment kept", "environment wiped"])
def test_what_a_killed_kernel_and_its_killed_keeper_leave_goes_at_the_next_start(keep_environment):
    before = World.now()
    kernel = around.kernel("runs_a_daemon", keep_environment)
    until = time.monotonic() + 10
    while not (daemon := noted_daemon()) and time.monotonic() < until:  # what is younger, with no cookie: not covered
        time.sleep(0.02)
    pids = [kernel.pid, *(process.pid for process in around.keepers_of(kernel.pid))]
    assert len(pids) == 2
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, number)
    around.end(kernel)
    time.sleep(0.2)
    assert lives(daemon)
    assert [text.split()[0] for text in before._new() if text.startswith("folder")] == ["folder"]
    assert len(folders.clean_up()) == 1
    assert before.left() == []
    assert not lives(daemon)


def test_a_spare_ends_with_its_kernel():
    before = World.now()
    kernel = around.kernel("keeps_a_spare")
    assert len([text for text in before._new() if text.startswith("process")]) == 3
    around.end(kernel)
    assert before.left() == []


# ---------------------------------------------------------------------------------------------------- interrupted
def test_an_interrupt_at_a_random_moment_and_a_second_one_leave_nothing():
    assert around.in_a_kernel("interrupts", TRIES, a_seed()) == (TRIES, TRIES, [])


def test_an_interrupt_at_any_bytecode_leaves_nothing():
    tries, survived, left = around.in_a_kernel("at_every_bytecode", STEP, a_seed())
    assert tries >= 100 // STEP
    assert (survived, left) == (tries, [])


def test_a_second_interrupt_before_the_first_has_stopped_the_run_does_not_let_it_go_on(monkeypatch):
    lives, real = [], supervise.LiveRun.stop

    def interrupted(*_):
        raise KeyboardInterrupt

    def interrupted_once(live):
        lives.append(live)
        interrupted() if len(lives) == 1 else real(live)

    with monkeypatch.context() as patch:
        patch.setattr(supervise.LiveRun, "wait", interrupted)
        patch.setattr(supervise.LiveRun, "stop", interrupted_once)
        with pytest.raises(KeyboardInterrupt):
            supervise.run(faults.sleeps, deadline_s=60)
        assert lives[0].join(5)
    assert lives[0].wait().ending is Ending.STOPPED


def execute(client, code, timeout_s=30):
    """Run a cell, and return (status, printed text)."""
    printed = []
    reply = client.execute_interactive(
        code, timeout=timeout_s, output_hook=lambda message: printed.append(message["content"].get("text", ""))
    )
    return reply["content"].get("ename", reply["content"]["status"]), "".join(printed)


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    """Return a real kernel of Jupyter's with a client, in which a run has been tried."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    manager = KernelManager()
    manager.start_kernel(cwd=str(tmp_path), stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    prepare(client)
    yield manager, client
    client.stop_channels()
    if manager.is_alive():
        manager.shutdown_kernel(now=True)
    manager.cleanup_resources()
    ensure_event_loop().close()  # jupyter_core keeps it for the next who calls


def prepare(client):
    code = f"import sys; sys.path.append({str(HERE)!r}); import faults, labkit; print(labkit.run(faults.fine).result)"
    assert execute(client, code) == ("ok", "{'times': 3}\n")


def busy_cell(client):
    """Start a cell with a run, and wait until it has processes."""
    before = World.now()
    client.execute("labkit.run(faults.busy_family, deadline_s=60.0)")
    until = time.monotonic() + 10
    while len([text for text in before._new() if text.startswith("process")]) < 4 and time.monotonic() < until:
        time.sleep(0.02)


def test_interrupt_restart_and_shutdown_of_a_notebook_leave_nothing(notebook):
    manager, client = notebook
    for _ in range(2):
        before = World.now()
        busy_cell(client)
        manager.interrupt_kernel()
        assert client.get_shell_msg(timeout=20)["content"]["ename"] == "KeyboardInterrupt"
        assert before.left() == []
        assert execute(client, "print(labkit.run(faults.fine).ending.name)")[1] == "FINISHED\n"
    before = World.now()
    busy_cell(client)
    began = time.monotonic()
    manager.restart_kernel()
    client.wait_for_ready(timeout=60)
    assert time.monotonic() - began < 15
    assert [text for text in before.left() if "python" not in text] == []
    prepare(client)
    before_cell = World.now()
    busy_cell(client)
    manager.shutdown_kernel()
    assert [text for text in before_cell.left() if text.startswith(("process", "shared", "folder"))] == []


def test_a_notebook_kernel_that_is_killed_leaves_nothing(notebook):
    manager, client = notebook
    before = World.now()
    busy_cell(client)
    os.kill(manager.provisioner.pid, signal.SIGKILL)
    assert [text for text in before.left() if text.startswith(("process", "shared", "folder"))] == []


# ---------------------------------------------------------------------------------------------------- many; too little
def test_sixteen_runs_at_once_end_each_with_its_own_result():
    before = World.now()
    with ThreadPoolExecutor(16) as pool:
        hung = [pool.submit(run_row, BATTERY["AB/BA deadlock"]) for _ in range(3)]
        dead = [pool.submit(run_row, BATTERY["segments and SIGKILL"]) for _ in range(3)]
        fine = [pool.submit(supervise.run, faults.echo, value=number) for number in range(10)]
        assert [future.result().result for future in fine] == [{"value": number} for number in range(10)]
        assert [future.result()[1] for future in (*hung, *dead)] == [[]] * 6
    assert before.left() == []


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Make a disk of 64 KiB the place for temporary files, and return it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = os.getuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "labkit", folder], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("not on this system: only root can mount a small disk, and not in every container")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_gives_a_reason_and_not_a_lost_keeper(small_disk):
    supervise.run(faults.fine)
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "full").write_bytes(b"x" * MIB)
    before = World.now()
    run = supervise.run(faults.fine)
    assert run.ending is Ending.NOT_STARTED
    assert "No space left on device" in run.explain()
    assert before.left() == []
    (small_disk / "full").unlink()
    assert supervise.run(faults.fine).ending is Ending.FINISHED


def test_a_disk_that_a_run_fills_is_its_own_exception(small_disk):
    run = supervise.run(faults.fills_the_disk)
    assert run.ending is Ending.RAISED
    assert "No space left on device" in run.explain()
    assert os.listdir(small_disk) == []


def test_a_temporary_folder_that_is_gone_gives_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    run = supervise.run(faults.fine)
    assert run.ending is Ending.NOT_STARTED
    assert "No such file or directory" in run.explain()


def test_without_descriptors_there_is_a_reason_and_with_them_a_result():
    assert odd_kernel("has_no_descriptors") == ["NOT_STARTED", "OSError: [Errno 24] Too many open files", True]


def test_descriptors_beyond_what_select_takes_do_no_harm():
    opened, right, seen = odd_kernel("has_many_descriptors")
    assert opened == 1500
    assert right
    assert max(seen) < 10  # and the worker got none of them


def out_of_threads(*_, **__):
    raise RuntimeError("can't start new thread")


def test_a_kernel_out_of_threads_gives_a_reason_and_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(supervise, "_starters", [])
    monkeypatch.setattr(supervise._thread, "start_new_thread", out_of_threads)
    began = time.monotonic()
    run = supervise.run(faults.fine)
    assert run.ending is Ending.NOT_STARTED
    assert "can't start new thread" in run.explain()
    assert time.monotonic() - began < 15


def test_a_kernel_that_gets_no_more_threads_lets_its_runs_wait_for_each_other(monkeypatch):
    supervise.run(faults.fine)
    monkeypatch.setattr(threading.Thread, "start", out_of_threads)
    lives = [supervise.start(faults.echo, value=number) for number in range(3)]
    assert [live.wait(20).result for live in lives] == [{"value": number} for number in range(3)]


def test_the_wall_clock_is_used_nowhere_and_may_jump():
    assert around.clocks_used(PACKAGE / "child") + around.clocks_used(PACKAGE / "runs") == []
    assert around.clocks_used(HERE) != []  # the search finds what there is to find
    ending, lifetime_s, right = odd_kernel("has_a_wandering_clock")
    assert (ending, right) == ("TIMED_OUT", True)
    assert 0.5 < lifetime_s < 20


# ---------------------------------------------------------------------------------------------------- bugs that we had
@pytest.mark.parametrize("together", ["task and stop", "setup, task and stop"])
def test_bug_a_stop_in_the_same_packet_as_the_request_was_never_heard(together, monkeypatch):
    lines = []

    def tell(link, message):
        lines.append(json.dumps(message).encode() + b"\n")
        if "workload" in message:
            link.sock.sendall(b"".join([*lines, b"stop\n"]))
        elif together == "task and stop":
            link.sock.sendall(lines.pop())

    monkeypatch.setattr(keepers, "tell", tell)
    run = supervise.run(faults.sleeps, deadline_s=30)
    assert run.ending is Ending.STOPPED
    assert run.lifetime_s < 15


@pytest.mark.parametrize("name", ["segments of grandchildren", "the same and SIGKILL", "segment from C and a hang"])
def test_bug_segments_of_spawned_grandchildren_and_of_c_code_were_left(name):
    before = set(os.listdir("/dev/shm"))
    run, wrong = run_row(BATTERY[name])
    assert wrong == []
    assert set(os.listdir("/dev/shm")) - before == set()
    assert "C" not in name or run.receipt.names_removed


def test_bug_a_fork_bomb_was_counted_as_a_memory_leak():
    run = supervise.run(faults.few_copies_of_much, limits=Limits(memory_bytes=400 * MIB))  # RSS: 9 times 100 MiB
    assert run.ending is Ending.FINISHED
    allowed = Limits(memory_bytes=400 * MIB, processes_count=32)
    run = supervise.run(faults.fork_bomb, ballast_mib=60, most=200, limits=allowed)
    assert run.ending is Ending.OVER_PROCESSES


def test_bug_segment_names_were_cut_at_14_characters():
    names = supervise.run(faults.segment_names).check().result
    assert names["segment"].startswith(names["tag"])
    assert len(names["segment"]) <= 14
    assert names["semaphore"].startswith(f"/{names['tag']}-")
    assert len(leftovers.tag("ffffff")) == 8


def test_bug_the_janitor_took_a_folder_that_was_being_made():
    stop = threading.Event()

    def sweep():
        while not stop.is_set():
            folders.clean_up()

    janitor = threading.Thread(target=sweep)
    janitor.start()
    try:
        for _ in range(300):
            folder = folders.name_one()[1]
            lock = launch.make_folder(folder)
            assert os.listdir(folder) == []
            os.close(lock)
            leftovers.remove_folder(folder)
    finally:
        stop.set()
        janitor.join()


def test_a_folder_that_was_taken_away_while_it_was_made_is_made_again(monkeypatch):
    folder, real, taken = folders.name_one()[1], launch.take_lock, []

    def take_lock(path):
        if not taken:
            taken.append(folders.clean_up())
        return real(path)

    monkeypatch.setattr(launch, "take_lock", take_lock)
    lock = launch.make_folder(folder)
    assert taken == [[folder[-6:]]]
    assert folders.clean_up() == []  # it is held
    os.close(lock)
    assert folders.clean_up() == [folder[-6:]]
    assert not os.path.exists(folder)


# ---------------------------------------------------------------------------------------------------- bugs found since
def test_bug_a_segment_that_somebody_else_had_was_removed_with_the_run():
    name = f"theirs_{os.getpid()}"
    theirs = Path("/dev/shm") / name
    theirs.write_bytes(b"\0" * 4096)
    try:
        assert supervise.run(faults.taken_name, name=name).result == {"value": "taken"}
        assert theirs.exists()
    finally:
        theirs.unlink()


def test_bug_a_spare_that_lost_its_worker_was_used():
    trial = Trial(workload="faults:fine")
    allowed = Limits(deadline_s=10.0)
    keepers.prewarm(trial, limits=allowed)
    spare = keepers._spare[0][1].process.pid
    until = time.monotonic() + 5
    while not (workers := around.keepers_of(spare)) and time.monotonic() < until:
        time.sleep(0.01)
    processes.kill(workers)
    until = time.monotonic() + 5
    while processes.read(spare).state != "Z" and time.monotonic() < until:
        time.sleep(0.01)
    assert supervise.run(faults.fine).ending is Ending.FINISHED
    assert keepers._spare == []


def test_bug_few_allowed_descriptors_were_no_start():
    run = supervise.run(faults.fine, limits=Limits(open_files_count=24))
    assert run.ending is Ending.FINISHED


def test_a_keeper_that_is_asked_for_nothing_leaves_nothing():
    before = World.now()
    ours, theirs = socket.socketpair()
    code = launch.BOOT.format(root=launch.ROOT, module="keeper", args="")
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", code], stdin=theirs) as keeper:
        theirs.close()
        ours.close()
        assert keeper.wait(10) == 0
    assert before.left() == []


def test_a_forked_copy_of_the_kernel_ends_no_run():
    live = supervise.start(faults.sleeps, seconds=0.6)
    time.sleep(0.3)
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            os._exit(0)
    os.waitpid(pid, 0)
    assert live.wait(10).ending is Ending.FINISHED
