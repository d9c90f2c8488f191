"""What an experiment can do wrong: each function is one fault, run only under a keeper. Rule: every fault is bounded.

Nothing here outlives a minute by itself, makes more than 400 processes, or asks for more than 1 GiB of anything.
Runs on every Python from 3.10 on, with the standard library only.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import ctypes
import fcntl
import http.server
import io
import itertools
import mmap
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import resource_tracker, shared_memory

from labkit.child.emit import emit
from labkit.errors import NotHere

LIFE_S = 60  # the longest that anything made here lives
MIB = 1 << 20
SLEEPER = f"import time; time.sleep({LIFE_S})"


def fine(times=3):
    """Do nothing wrong."""
    for number in range(times):
        emit("note", "row", number)
    return {"times": times}


# ---------------------------------------------------------------------------------------------------- stuck
def deadlock():
    """Two threads take two locks in opposite order."""
    first, second, both_hold = threading.Lock(), threading.Lock(), threading.Barrier(2)

    def left():
        with first:
            both_hold.wait()
            second.acquire(timeout=LIFE_S)

    def right():
        with second:
            both_hold.wait()
            first.acquire(timeout=LIFE_S)

    threads = [threading.Thread(target=work, name=work.__name__) for work in (left, right)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def python_loop():
    """Spin in Python code."""
    signal.alarm(LIFE_S)
    while True:
        pass


def gil_held():
    """Hold the GIL in C calls of 0.3 s, one after another, while another thread wants to run."""
    signal.alarm(LIFE_S)
    threading.Thread(target=lambda: [time.sleep(0.01) for _ in range(1000)], daemon=True).start()
    keeps_the_gil = ctypes.PyDLL(None)
    while True:
        keeps_the_gil.usleep(300_000)


def c_call():
    """Make one C call that does not end, holds the GIL and looks at no signal."""
    signal.alarm(LIFE_S)
    collections.deque(itertools.repeat(None), maxlen=0)


def deaf():
    """Ignore every signal that can be ignored, and so does a child."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)  # a started program inherits this
    subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEPER])
    time.sleep(LIFE_S)


def stops_itself():
    """Send SIGSTOP to itself: no code of it runs any more."""
    signal.alarm(LIFE_S)
    os.kill(os.getpid(), signal.SIGSTOP)


def fork_with_a_held_lock():
    """Fork while another thread holds a lock: in the copy nobody will free it."""
    lock, held = threading.Lock(), threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(LIFE_S)

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    pid = os.fork()
    if pid == 0:
        signal.alarm(LIFE_S)
        lock.acquire()
    os.waitpid(pid, 0)


def hang_at_exit():
    """Return, and then sleep in an atexit function."""
    atexit.register(time.sleep, LIFE_S)
    return 1


def children_at_exit():
    """Return while children that are not daemons still run: the interpreter waits for them."""
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        context.Process(target=time.sleep, args=(LIFE_S,)).start()
    return 1


def forgotten_server():
    """Serve on a free local port until somebody ends it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.timeout = LIFE_S
    signal.alarm(LIFE_S)
    emit("note", "port", server.server_port)
    server.serve_forever()


# ---------------------------------------------------------------------------------------------------- ends badly
def segfault():
    """Read address 0."""
    emit("note", "before")
    ctypes.string_at(0)


def abort():
    """Call abort(3)."""
    os.abort()


def exit_at_once(code=42):
    """Leave without any clean-up."""
    os._exit(code)


def sys_exit(code=3):
    """Leave as a program does."""
    sys.exit(code)


def exit_with_zero():
    """Leave as a program does that went well, but return nothing."""
    os._exit(0)


def raises():
    """Raise an ordinary exception."""
    return 1 / 0


def not_here():
    """Find that this machine lacks something."""
    raise NotHere("this machine has no moon")


def hostile_exception():
    """Raise an exception that can be neither pickled nor printed."""

    class Hostile(Exception):  # noqa: N818
        def __reduce__(self):
            os._exit(9)

        def __str__(self):
            raise RuntimeError("not even this")

    raise Hostile(threading.Lock(), lambda: 1)


def two_line_exception():
    """Raise an exception with two lines of message and a note."""
    error = ValueError("first line\nsecond line")
    getattr(error, "add_note", print)("a note")  # 3.11 and later
    raise error


def no_plain_data(kind="lock"):
    """Return what is not JSON."""

    class Sly(dict):
        def items(self):
            raise KeyboardInterrupt if kind == "sly interrupt" else LookupError("sly")

    nested = []
    for _ in range(100_000):
        nested = [nested]
    return {
        "lock": threading.Lock(),
        "set": {1, 2},
        "bytes": b"\xff",
        "nan": float("nan"),
        "long": 10**5000,
        "nested": nested,
        "sly": Sly(a=1),
        "sly interrupt": Sly(a=1),
        "large": "x" * (2 * MIB),
        "surrogate": "\ud800",
        "keys": {"in": [{1: "a", "1": "b"}]},
    }[kind]


def recursion():
    """Recurse without an end and without Python's limit."""
    sys.setrecursionlimit(10**9)
    threading.stack_size(16 * MIB)

    def deeper(depth):
        return deeper(depth + 1) if depth < 50_000_000 else 0

    thread = threading.Thread(target=deeper, args=(0,))
    thread.start()
    thread.join()
    return deeper(0)


def comes_back_twice():
    """Fork, and let both copies return: only one of them is the run."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return {"copy": pid == 0}


def raises_in_a_fork():
    """Fork, and let the copy raise out of the workload."""
    pid = os.fork()
    if pid == 0:
        raise ValueError("in the copy")
    os.waitpid(pid, 0)
    return 5


# ---------------------------------------------------------------------------------------------------- too much
def leak():
    """Keep 8 MiB more every 10 ms."""
    kept = []
    for _ in range(100):
        kept.append(bytearray(8 * MIB))
        kept[-1][::4096] = b"x" * len(kept[-1][::4096])
        time.sleep(0.01)
    time.sleep(LIFE_S)


def memory_error(limit_mib=200):
    """Run out of memory at a limit of its own, with nothing left for telling so."""
    pages = int(open("/proc/self/statm").read().split()[0])  # noqa: SIM115
    most = pages * resource.getpagesize() + limit_mib * MIB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    kept = []
    with contextlib.suppress(MemoryError):  # a free-threaded build has a GiB of addresses ready, in pieces of 32 MiB
        while True:
            kept.append(io.BufferedReader(io.BytesIO(), 31 * MIB))  # a buffer that nobody fills
    while True:
        kept.append([None] * 1000)


def fork_bomb(setsid=False, most=400, cap_s=8.0, ballast_mib=0):  # noqa: FBT002
    """Let every copy fork again, 400 in all: each takes a ticket first."""
    ballast = bytearray(ballast_mib * MIB)
    ballast[::4096] = b"x" * len(ballast[::4096])  # pages that all copies share
    tickets = os.open(os.path.join(os.environ["TMPDIR"], "tickets"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    until = time.monotonic() + cap_s
    while time.monotonic() < until:
        fcntl.flock(tickets, fcntl.LOCK_EX)
        os.write(tickets, b"x")
        taken = os.fstat(tickets).st_size
        fcntl.flock(tickets, fcntl.LOCK_UN)
        if taken > most:
            time.sleep(0.05)
            continue
        with contextlib.suppress(OSError):
            if os.fork() == 0 and setsid:
                os.setsid()
            tickets = os.open(os.path.join(os.environ["TMPDIR"], "tickets"), os.O_RDWR | os.O_APPEND)
    os._exit(0)


def few_copies_of_much(copies=8, ballast_mib=100):
    """Fork a few copies of a process with 100 MiB: by RSS they seem to use 900 MiB, and use 100."""
    ballast = bytearray(ballast_mib * MIB)
    ballast[::4096] = b"x" * len(ballast[::4096])
    pids = []
    for _ in range(copies):
        pid = os.fork()
        if pid == 0:
            time.sleep(0.6)
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    return copies


def flood(size_mib=1024):
    """Print 1 GiB."""
    block = b"y" * MIB
    for _ in range(size_mib):
        os.write(1, block)
    return size_mib


def event_flood(count=200_000):
    """Record far more events than emit() is meant for, and then return a result."""
    for number in range(count):
        emit("note", "n", number)
    return count


def many_threads(count=256):
    """Leave 256 threads waiting."""
    threading.stack_size(64 << 10)
    never = threading.Event()
    for _ in range(count):
        threading.Thread(target=never.wait, args=(LIFE_S,), daemon=True).start()
    time.sleep(LIFE_S)


def all_descriptors():
    """Open descriptors until the system refuses."""
    opened = []
    with contextlib.suppress(OSError):
        while True:
            opened += os.pipe()
    return len(opened)


def many_files(count=20_000, depth=2_000):
    """Leave 20,000 files, folders that nobody may enter, a link to elsewhere and a very deep folder."""
    for number in range(count):
        os.close(os.open(str(number), os.O_WRONLY | os.O_CREAT, 0o600))
    for number in range(3):
        os.mkdir(f"shut-{number}")
        open(f"shut-{number}/x", "w").close()
        os.mkdir(f"shut-{number}/inner")
        os.chmod(f"shut-{number}/inner", 0)
        os.chmod(f"shut-{number}", 0)
    os.symlink("/", "elsewhere")
    for _ in range(depth):
        os.mkdir("deeper")
        os.chdir("deeper")
    return count


def large_file(size_mib=64):
    """Write a file that is larger than allowed."""
    with open("large", "wb") as file:
        file.writelines(b"z" * MIB for _ in range(size_mib))


# ---------------------------------------------------------------------------------------------------- lies
def garbage():
    """Write noise, forged records, 3 MiB lines and deep JSON to every descriptor it has."""
    noise = random.Random(1)
    lines = [noise.randbytes(noise.randrange(1, 300)) for _ in range(200)]
    lines += [
        b'["begin", 1, "9.9.9"]',
        b'["event", 1, 2, 3, "note", "forged", 4]',
        b'["event", "x"]',
        b'["result"]',
        b"[]",
    ]
    lines += [
        b"[" * 100_000,
        b'{"ending": "FINISHED"}',
        b"{}",
        b"null",
        b'"x"',
        b"9" * 6000,
        b'["result", NaN, {}]',
        b"Z",
    ]
    lines += [b'["result", 1, ' + b'{"a":' * 100_000, b"x" * (3 * MIB), b'["event", ' + b"9" * 5000 + b"]", b"\xff\xfe"]
    for descriptor in range(1, 64):
        for line in lines:
            with contextlib.suppress(OSError):
                os.set_blocking(descriptor, True)
                os.write(descriptor, line + b"\n")
    return 1


def reads_stdin():
    """Ask a question that nobody answers."""
    return input("name? ")


def closes_stdout():
    """Close standard output and error, and then print."""
    os.close(1)
    os.close(2)
    print("nobody reads this", flush=True)


# ---------------------------------------------------------------------------------------------------- left behind
def daemon(keep_environment=True, then="return"):  # noqa: FBT002
    """Start a daemon by the book: fork, new session, fork, close everything."""
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork() == 0:
            os.chdir("/")
            os.closerange(0, 64)
            loader = {key: value for key, value in os.environ.items() if key == "LD_LIBRARY_PATH"}
            environment = dict(os.environ) if keep_environment else loader
            os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", SLEEPER], environment)
        os._exit(0)
    os.waitpid(middle, 0)
    time.sleep(0.2)
    if then == "hang":
        time.sleep(LIFE_S)
    return 1


def zombies(count=60):
    """Leave 60 dead children unburied."""
    for _ in range(count):
        if os.fork() == 0:
            os._exit(0)
    time.sleep(0.2)
    return count


def new_sessions():
    """Put children into groups and sessions of their own, and then crash."""
    for number in range(6):
        if os.fork() == 0:
            os.setpgid(0, 0) if number % 2 else os.setsid()
            time.sleep(LIFE_S)
            os._exit(0)
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGSEGV)


def segments(then="hang"):
    """Make shared segments and a named semaphore, and do not unlink them."""
    kept = [shared_memory.SharedMemory(create=True, size=4096) for _ in range(3)]
    kept.append(multiprocessing.get_context("spawn").Semaphore(1))
    if then == "own name":
        kept.append(shared_memory.SharedMemory(name=f"mine_{os.environ['LABKIT_RUN']}", create=True, size=4096))
    if then == "tracker killed":
        os.kill(resource_tracker._resource_tracker._pid, signal.SIGKILL)
        os._exit(7)
    if then == "hang":
        time.sleep(LIFE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def taken_name(name):
    """Ask for a segment whose name somebody else has."""
    try:
        shared_memory.SharedMemory(name=name, create=True, size=4096)
    except FileExistsError:
        return "taken"
    return "free"


def _make_a_segment(names):
    segment = shared_memory.SharedMemory(create=True, size=4096)
    names.put(segment.name)
    time.sleep(LIFE_S)


def segments_of_grandchildren(then="hang"):
    """Let spawned children make segments: what they call them is not ours to say."""
    context = multiprocessing.get_context("spawn")
    names = context.Queue()
    for _ in range(2):
        context.Process(target=_make_a_segment, args=(names,)).start()
    emit("note", "names", [names.get(timeout=LIFE_S) for _ in range(2)])
    if then == "hang":
        time.sleep(LIFE_S)
    time.sleep(0.3)  # for the keeper to pass on what was said, and to see who is alive
    os.kill(os.getppid() if then == "kill keeper" else os.getpid(), signal.SIGKILL)
    time.sleep(LIFE_S)


def segment_from_c(then="hang"):
    """Make a segment as a C library does: Python knows nothing of it."""
    library = ctypes.CDLL(None)
    name = f"/c_{os.environ['LABKIT_RUN']}".encode()
    descriptor = library.shm_open(name, os.O_CREAT | os.O_RDWR, 0o600)
    os.ftruncate(descriptor, 4096)
    mapped = mmap.mmap(descriptor, 4096)
    time.sleep(LIFE_S if then == "hang" else 0.4)
    os._exit(mapped[0])


# ---------------------------------------------------------------------------------------------------- its keeper
def signals_its_keeper(number=9, wiped=True):  # noqa: FBT002
    """Start three children, and then send the keeper a signal."""
    for _ in range(3):
        subprocess.Popen([sys.executable, "-I", "-S", "-c", SLEEPER], env={} if wiped else None)
    time.sleep(0.4)
    os.kill(os.getppid(), number)
    time.sleep(LIFE_S)


# ---------------------------------------------------------------------------------------------------- around the run
def busy_family(seconds=LIFE_S):
    """Fork and make segments for as long as it is let: at every moment there is something to remove."""
    kept = [shared_memory.SharedMemory(create=True, size=4096)]
    until = time.monotonic() + seconds
    if os.fork() == 0:
        os.setsid()
        time.sleep(seconds)
        os._exit(0)
    while time.monotonic() < until:
        pid = os.fork()
        if pid == 0:
            time.sleep(0.02)
            os._exit(0)
        kept.append(shared_memory.SharedMemory(create=True, size=4096))
        open(f"file-{len(kept)}", "w").close()
        os.waitpid(pid, 0)


def segment_names():
    """Say what multiprocessing calls the segments and semaphores of a run."""
    segment = shared_memory.SharedMemory(create=True, size=64)
    semaphore = multiprocessing.get_context("spawn").Semaphore(1)
    return {"tag": "lk" + os.environ["LABKIT_RUN"], "segment": segment.name, "semaphore": semaphore._semlock.name}


def fills_the_disk():
    """Write until its private folder is full."""
    with open("full", "wb", buffering=0) as file:
        file.writelines(b"z" * MIB for _ in range(256))


def where():
    """Say what a workload sees of its surroundings."""
    return {
        "folder": os.getcwd(),
        "tmp": os.environ.get("TMPDIR"),
        "environment": sorted(os.environ),
        "path": sys.path,
        "isolated": sys.flags.isolated,
        "version": list(sys.version_info[:3]),
        "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")) if os.path.exists("/proc") else [],
    }


def sleeps(seconds=LIFE_S):
    """Sleep."""
    emit("note", "asleep")
    time.sleep(seconds)
    return seconds


def echo(value=None):
    """Return what it was given."""
    return value


def prints():
    """Print on both streams, more than is kept."""
    for number in range(20_000):
        print(f"out {number}")
        if number % 10 == 0:
            print(f"err {number}", file=sys.stderr)
