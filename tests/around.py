"""What happens around a run: kernels that are killed or interrupted at any moment. Used by test_around.py and soak.py.

Each function does one thing many times in kernels of its own, and returns (tries, survived, left): how often, after how
many of them the next run was right, and what was left, in words. `python around.py NAME COUNT` is such a kernel.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
if __name__ == "__main__":
    sys.path[:0] = [str(HERE), str(HERE.parent)]

import faults  # noqa: E402
from battery import World  # noqa: E402

from labkit.child import processes  # noqa: E402
from labkit.limits import Limits  # noqa: E402
from labkit.model import Trial  # noqa: E402
from labkit.runs import keepers, supervise  # noqa: E402

LATEST_S = 0.5  # a run of `busy_family` has all its parts by then
AT_ONCE = 5
PATIENCE_S = 120.0
TRY_S = 5.0


# ---------------------------------------------------------------------------------------------------- kernels to kill
def kernel(name, *arguments, **more):
    """Start a kernel of its own that does what the function of this name says, and wait until it says so."""
    command = [sys.executable, str(Path(__file__).resolve()), name, *map(str, arguments)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **more)
    line = started.stdout.readline()
    if line != "ready\n":
        end(started)
        raise AssertionError(f"{name} said {line!r}")
    return started


def end(started):
    started.kill()
    started.wait()
    started.stdout.close()


def kill_at_random(count, seed):
    """SIGKILL kernels at random moments of a run that forks and makes segments."""
    moments = random.Random(seed)
    left = []
    for begin in range(0, count, AT_ONCE):
        before = World.now()
        threads = [
            threading.Thread(target=_kill_one, args=(moments.uniform(0, LATEST_S),))
            for _ in range(min(AT_ONCE, count - begin))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        left += before.left()
    return count, count if _next_is_right() else 0, left


def _kill_one(after_s):
    started = kernel("runs_busy_family")
    time.sleep(after_s)
    end(started)


def runs_busy_family():
    say_ready()
    supervise.run(faults.busy_family, deadline_s=60.0)


def runs_a_daemon(keep_environment):
    say_ready()
    supervise.run(faults.daemon, deadline_s=60.0, keep_environment=keep_environment == "True", then="hang")


def keeps_a_spare():
    keepers.prewarm(Trial(workload="labkit.child.clocks:none"), limits=Limits())
    time.sleep(0.1)
    say_ready()
    time.sleep(faults.LIFE_S)


def keepers_of(pid):
    return [process for process in processes.every().values() if process.parent == pid]


# ---------------------------------------------------------------------------------------------------- interrupted
def in_a_kernel(name, count, seed):
    """Let a kernel do something to itself many times, and read what it counted."""
    command = [sys.executable, str(Path(__file__).resolve()), name, str(count), str(seed)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE_S + TRY_S * max(count, 200)
    )
    said = json.loads(done.stdout.splitlines()[-1])
    return said["tries"], said["survived"], said["left"]


def interrupts(count, seed):
    """Send this kernel SIGINT at random moments of a run, and a second one right after."""
    moments = random.Random(seed)
    tally = Tally()
    for number in range(count):
        first, second = moments.uniform(0, 0.35), moments.choice((0, 1e-5, 1e-4, 1e-3, 0.02))
        with tally.one_try(f"SIGINT after {first:.4f} s and {second} s, try {number}"):
            sender = threading.Thread(target=_send_two, args=(first, second))
            with contextlib.suppress(KeyboardInterrupt):  # for a second one that comes late
                _interrupted(sender)
            sender.join()
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    tally.say()


def _interrupted(sender):
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sender.start()
        supervise.run(faults.busy_family, deadline_s=20.0, seconds=0.3)
        time.sleep(0.4)
    except KeyboardInterrupt:
        time.sleep(0.05)


def _send_two(first, second):
    time.sleep(first)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(second)
    os.kill(os.getpid(), signal.SIGINT)


def at_every_bytecode(step, seed):
    """Raise KeyboardInterrupt at each ``step``-th bytecode that the main thread executes in a run."""
    tally = Tally()
    number = 1 + seed % step
    bomb = Bomb(number)
    while True:
        with tally.one_try(f"KeyboardInterrupt at bytecode {number}"):
            bomb = Bomb(number)
            bomb.run()
        if not bomb.went_off:
            break
        number += step
    tally.say()


class Bomb:
    """Raises KeyboardInterrupt at the n-th bytecode of what `supervise.run` does in this thread once it has begun."""

    def __init__(self, at):
        self.at, self.count, self.went_off, self.live = at, 0, False, None

    def run(self):
        real = supervise._see_through

        def see_through(live):
            self.live = live
            sys.settrace(self.trace)
            try:
                return real(live)
            finally:
                sys.settrace(None)

        over = threading.Event()
        helper = threading.Thread(target=self.end_the_wait, args=(over,))
        helper.start()
        supervise._see_through = see_through
        try:
            supervise.run(faults.sleeps, deadline_s=30.0)
        except KeyboardInterrupt:
            pass
        finally:
            supervise._see_through = real
            over.set()
            helper.join()

    def end_the_wait(self, over):
        """Stop the run from elsewhere if the main thread waits: there are bytecodes after the wait too."""
        if not over.wait(0.25) and not self.went_off and self.live:
            self.live.stop()

    def trace(self, frame, event, _):
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.count += 1
            if self.count == self.at:
                self.went_off = True
                raise KeyboardInterrupt
        return self.trace


class Tally:
    """Counts tries; after each it looks what is left, and whether the next run is right."""

    def __init__(self):
        self.tries, self.survived, self.left = 0, 0, []
        supervise.run(faults.fine)

    @contextlib.contextmanager
    def one_try(self, what):
        before, began = World.now(), time.monotonic()
        yield
        right, took_s = _next_is_right(), time.monotonic() - began
        self.tries += 1
        self.survived += right and took_s < TRY_S
        self.left += [f"{what}: {text}" for text in before.left()]

    def say(self):
        print(json.dumps({"tries": self.tries, "survived": self.survived, "left": self.left[:20]}), flush=True)


def _next_is_right():
    return dict(supervise.run(faults.fine, times=2).result) == {"times": 2}


# ---------------------------------------------------------------------------------------------------- odd kernels
def has_no_descriptors():
    """Run with none free, and then with few: the first is an answer, the second is right."""
    supervise.run(faults.fine)
    kept = []
    with contextlib.suppress(OSError):
        while True:
            kept.append(os.dup(0))
    none_free = supervise.run(faults.fine)
    for descriptor in kept:
        os.close(descriptor)
    print(json.dumps([none_free.ending.name, none_free.reason, _next_is_right()]))


def has_many_descriptors():
    """Run with so many open that the numbers of new ones are beyond what select() takes."""
    kept = [os.dup(0) for _ in range(1500)]
    print(json.dumps([len(kept), _next_is_right(), supervise.run(faults.where).result["descriptors"]]))


def has_a_wandering_clock():
    """Run while the wall clock jumps by an hour with every look at it."""
    now, jumps = [time.time()], (3600.0, -7200.0)

    def jump():
        now[0] += jumps[int(now[0]) % 2]
        return now[0]

    time.time = jump
    late = supervise.run(faults.sleeps, deadline_s=0.5)
    print(json.dumps([late.ending.name, late.lifetime_s, _next_is_right()]))


def clocks_used(folder):
    """Find the calls of the wall clock in the Python files of a folder."""
    found = []
    for path in sorted(Path(folder).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            named = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time"
            if named and node.attr in ("time", "time_ns", "localtime", "gmtime"):
                found.append(f"{path.name}:{node.lineno} time.{node.attr}")
            elif isinstance(node, ast.ImportFrom) and node.module == "time":
                found += [f"{path.name}:{node.lineno} {alias.name}" for alias in node.names if alias.name == "time"]
            elif isinstance(node, ast.Name) and node.id == "datetime":
                found.append(f"{path.name}:{node.lineno} datetime")
    return found


def say_ready():
    print("ready", flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*(int(text) if text.isdigit() else text for text in sys.argv[2:]))
