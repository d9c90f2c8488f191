"""What a machine says of itself: made-up /proc and cgroup trees, and this one."""

import multiprocessing
import os
import subprocess
import sys

import pytest

import labkit.runs.machine as room
from labkit.child import cores
from labkit.runs.machine import machine

MIB = 1 << 20
MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1024 kB\nMemAvailable:    8388608 kB\nHugePages_Total: 0\n"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "32 23 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
)


@pytest.fixture
def pretend(monkeypatch):
    """Return a function that makes `machine` see the files of a machine with 8 cores and 16 GiB."""

    def become(files, allowed=8):
        tree = {"/proc/meminfo": MEMINFO, **files}
        for module in (room, cores):
            monkeypatch.setattr(module, "read", lambda path: tree.get(path, ""))
        monkeypatch.setattr(os, "cpu_count", lambda: 8)
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(allowed)), raising=False)
        monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 0.0, 0.0))
        return machine()

    return become


def v2(path, **files):
    base = {"/proc/self/mountinfo": V2, "/proc/self/cgroup": f"0::{path}\n"}
    return base | {f"/sys/fs/cgroup{name}": text for name, text in files.items()}


def test_without_limits_all_cores_and_all_memory_count(pretend):
    seen = pretend({})
    assert (seen.cores_count, seen.cores_present_count, seen.cores_why) == (8.0, 8, "")
    assert (seen.memory_bytes, seen.memory_free_bytes) == (16384 * MIB, 8192 * MIB)
    assert seen.load_ratio == 3.0 / 8


def test_affinity_limits_the_cores_and_says_so(pretend):
    seen = pretend({}, allowed=2)
    assert (seen.cores_count, seen.cores_why) == (2.0, "affinity allows 2 of 8 cores")
    assert seen.load_ratio == 1.5


def test_a_quota_of_version_2_may_be_a_fraction(pretend):
    seen = pretend(v2("/box", **{"/box/cpu.max": "150000 100000\n", "/box/memory.max": f"{512 * MIB}\n"}))
    assert (seen.cores_count, seen.memory_bytes, seen.memory_free_bytes) == (1.5, 512 * MIB, 512 * MIB)
    assert seen.cores_why == "a quota of the control group allows the time of 1.5 cores"


def test_the_tightest_limit_on_the_way_up_counts(pretend):
    files = {
        "/a/b/c/cpu.max": "max 100000\n",
        "/a/b/cpu.max": "50000 100000\n",
        "/a/cpu.max": "400000 100000\n",
        "/a/b/c/memory.max": "max\n",
        "/a/memory.max": f"{64 * MIB}\n",
    }
    seen = pretend(v2("/a/b/c", **files))
    assert (seen.cores_count, seen.memory_bytes) == (0.5, 64 * MIB)


def test_limits_at_the_mount_itself_count_as_in_a_container(pretend):
    assert pretend(v2("/", **{"/cpu.max": "200000 100000\n"})).cores_count == 2.0
    assert pretend(v2("/../../elsewhere", **{"/cpu.max": "200000 100000\n"})).cores_count == 2.0


def test_affinity_and_quota_are_both_named_and_the_smaller_counts(pretend):
    seen = pretend(v2("/", **{"/cpu.max": "300000 100000\n"}), allowed=2)
    assert seen.cores_count == 2.0
    assert "affinity" in seen.cores_why
    assert "quota" in seen.cores_why


def test_a_quota_above_the_cores_changes_nothing(pretend):
    seen = pretend(v2("/", **{"/cpu.max": "6400000 100000\n"}))
    assert (seen.cores_count, seen.cores_why) == (8.0, "")


@pytest.mark.parametrize(("quota", "cores"), [("250000", 2.5), ("-1", 8.0), ("0", 8.0), ("", 8.0)])
def test_version_1_has_quota_and_period_in_two_files(pretend, quota, cores):
    files = {
        "/proc/self/mountinfo": V1,
        "/proc/self/cgroup": "4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/\n",
        "/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": f"{quota}\n",
        "/sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "/sys/fs/cgroup/memory/box/memory.limit_in_bytes": f"{256 * MIB}\n",
    }
    seen = pretend(files)
    assert (seen.cores_count, seen.memory_bytes) == (cores, 256 * MIB)


def test_no_limit_of_version_1_is_the_physical_memory(pretend):
    files = {
        "/proc/self/mountinfo": V1,
        "/proc/self/cgroup": "4:memory:/\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    assert pretend(files).memory_bytes == 16384 * MIB


def test_a_mount_that_shows_a_part_of_the_tree_is_found_by_its_root(pretend):
    files = {
        "/proc/self/mountinfo": "31 23 0:27 /docker/x /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
        "/proc/self/cgroup": "3:cpu:/docker/x/inner\n",
        "/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us": "100000\n",
        "/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us": "100000\n",
    }
    assert pretend(files).cores_count == 1.0


@pytest.mark.parametrize("text", ["\n", ":\n", "0::\n", "nonsense\n", "0::/a\0b\n", "1:cpu\n"])
def test_odd_lines_in_proc_are_passed_over(pretend, text):
    files = {"/proc/self/mountinfo": "x\n\n- -\n1 2 3 4 5 -\n" + V2, "/proc/self/cgroup": text}
    assert pretend(files).cores_count == 8.0


def test_without_proc_psutil_tells_the_memory(pretend):
    seen = pretend({"/proc/meminfo": ""})
    assert seen.memory_bytes > 16 * MIB
    assert 0 < seen.memory_free_bytes <= seen.memory_bytes


def test_without_proc_and_psutil_the_memory_is_unknown(pretend, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert pretend({"/proc/meminfo": ""}).memory_bytes == 0


def test_without_shared_memory_and_load_there_is_none(pretend, monkeypatch):
    def no_load():
        raise OSError

    monkeypatch.setattr(room, "_SHM", "/no/such/folder")
    assert pretend({}).shared_memory_bytes is None
    monkeypatch.setattr(os, "getloadavg", no_load)
    assert machine().load_ratio is None


def test_this_machine_is_plausible():
    seen = machine()
    assert 0 < seen.cores_count <= seen.cores_present_count
    assert MIB < seen.memory_free_bytes <= seen.memory_bytes
    assert seen.switch_interval_s == sys.getswitchinterval()
    assert seen.python.startswith("{}.{}.{}".format(*sys.version_info))
    assert seen.system.split()[0] in {"Linux", "Darwin"}
    assert bool(seen.cores_why) == (seen.cores_count < seen.cores_present_count)


def test_asking_for_the_start_method_does_not_fix_it():
    code = (
        "import multiprocessing, labkit.runs.machine as room\n"
        "print(room.machine().start_method)\n"
        "print(multiprocessing.get_start_method(allow_none=True))\n"
        "multiprocessing.set_start_method('spawn')\n"
        "print(room.machine().start_method)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [multiprocessing.get_all_start_methods()[0], "None", "spawn"]
