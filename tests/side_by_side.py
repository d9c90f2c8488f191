"""Run all tests in two processes at once, one per core: `make test`. Rule: every test file runs in exactly one of them.

The second process takes the files that start no notebook, no browser and nothing that kills or fills: the explorer's
engine, the cards, the ledger, the arms. Each process has a folder of its own for temporary files (conftest.py), and
looks for leftovers among its own descendants; in shared memory, which has no owner, it waits for the test of the other
process to end before it blames anybody (leftovers.py). With arguments there is one process, as for any pytest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from leftovers import BESIDE as SHARED_FOLDER

HERE = Path(__file__).parent
BESIDE = {
    *("anatomy", "answers", "arms", "awaits", "busy", "channels", "chatty", "claims", "classics", "convoy"),
    *("cores_while_waiting", "cost_split", "cpu_bound", "crash", "deadlock_arms", "event_pipe", "evidence"),
    *("execution", "exercise", "exercises", "experiments", "explore", "explore_hard", "explore_hidden"),
    *("explore_limits", "explorer", "explorer_cells", "intervals", "layers", "ledger", "lessons", "levels"),
    *("live_run", "machine", "measured", "message_cost", "oracle", "partner", "patterns", "pictures", "ping_pong"),
    *("plan", "predict", "present", "primitives", "primitives_alone", "primitives_threads", "progress", "pythons"),
    *("quiz", "record_command", "recording", "search", "shared_updates", "show", "source_fuzz", "stepper"),
    *("subinterpreters", "switch_points", "tables", "travel", "travel_cells", "travel_sync", "versions", "waiting"),
    *("waits", "watch", "where_threads_switch", "worker_cost"),
}
PYTEST = [sys.executable, "-m", "pytest"]


def main(arguments: list[str]) -> int:
    """Run pytest with the arguments; without any, run everything; return the exit status."""
    if arguments:
        return subprocess.run([*PYTEST, *arguments], check=False).returncode
    files = {path.stem.removeprefix("test_"): str(path) for path in sorted(HERE.glob("test_*.py"))}
    gone = BESIDE - files.keys()
    if gone:
        print(f"side_by_side.py names files that are not there: {', '.join(sorted(gone))}", file=sys.stderr)
        return 2
    here = [path for name, path in files.items() if name not in BESIDE]
    beside = [path for name, path in files.items() if name in BESIDE]
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory(prefix="labbeside-") as folder:
        os.environ[SHARED_FOLDER] = folder
        command = [*PYTEST, "-p", "no:cacheprovider", *beside]
        with subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL) as other:
            try:
                status = subprocess.run([*PYTEST, *here], check=False).returncode
                other_status = other.wait()
            except BaseException:
                other.terminate()
                raise
        log.seek(0)
        print(f"\nThe other process, beside this one ({len(beside)} files):\n{log.read()}", flush=True)
    return status or other_status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
