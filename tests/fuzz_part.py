"""Compare random programs in processes of their own, on both cores: `fuzz_part.py MODULE FIRST STOP STEP`."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CORES = 2


def compare_all(module: str, count: int) -> list[str]:
    """Return the differences that `MODULE.compare` finds for the seeds below a count, in two processes at once."""
    parts = [
        subprocess.Popen(
            [sys.executable, str(HERE / "fuzz_part.py"), module, str(first), str(count), str(CORES)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in range(CORES)
    ]
    answers = [part.communicate(timeout=600)[0] for part in parts]
    assert [part.returncode for part in parts] == [0] * CORES
    compared = [json.loads(answer) for answer in answers]
    assert sum(one["count"] for one in compared) == count
    return [text for one in compared for text in one["differences"]]


def main(module: str, first: str, stop: str, step: str) -> None:
    sys.path[:0] = [str(HERE), str(HERE.parent)]
    compare = importlib.import_module(module).compare
    seeds = range(int(first), int(stop), int(step))
    texts = [compare(seed) for seed in seeds]
    json.dump({"count": len(texts), "differences": [text for text in texts if text]}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
