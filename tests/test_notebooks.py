"""Every notebook runs untouched from a fresh kernel, twice over, leaves nothing behind, and is built as LESSON.md says.

Two runners, because each passes what the other fails: nbval fails when an `interact` callback raises, nbclient
fails at a magic that does not exist. Both run as processes of their own, so that a kernel that hangs can be ended and
whatever it leaves is seen by the `nothing_left` fixture.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(path.name for path in FOLDER.glob("*.ipynb"))
EXPECTED_COUNT = 5  # raise it with every notebook: a glob that finds nothing would pass everything below
CELL_S = 120  # a cell that takes longer hangs
LESSON_S = 300  # and a lesson; its budget is 60 s on a quiet machine

TAGS = {"intro", "setup", "predict", "run", "explain", "change", "claims", "exercise", "check", "instructor", "wrap"}
SLIDES = {"slide", "fragment", "notes", "skip"}
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MACHINE_MADE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f-]+)?")
LINK = re.compile(r"""\]\(\s*<?([^)\s>]+)|\b(?:href|src)=["']([^"']+)["']""")
MAX_LINES, MAX_MEDIAN_LINES, MAX_CODE_CELLS, MAX_WORDS, MAX_TEXT_WORDS = 12, 3, 20, 1500, 120

# nbclient starts the kernel, runs every cell, stops at the first error, and gives what a reader without a kernel sees.
NBCLIENT = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
options = {"timeout": float(sys.argv[2]), "allow_errors": False, "kernel_name": "python3"}
NotebookClient(notebook, resources={"metadata": {"path": sys.argv[3]}}, **options).execute()
print("cells run:", sum(cell.cell_type == "code" and cell.execution_count is not None for cell in notebook.cells))
nbformat.write(notebook, sys.argv[4])
"""

pytestmark = pytest.mark.usefixtures("orphans_in_sight")
each_notebook = pytest.mark.parametrize("name", NOTEBOOKS)
last_first = pytest.mark.parametrize("name", NOTEBOOKS[::-1])  # no lesson needs another one


@pytest.fixture(scope="module")
def progress(tmp_path_factory):
    """Return the file in which all notebooks keep what the student did, as on a student's machine."""
    return tmp_path_factory.mktemp("progress") / "progress.jsonl"


@pytest.fixture
def environment(tmp_path, progress):
    """Return an environment in which no setting of this user can help or disturb a notebook."""
    folders = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR")
    return {
        **os.environ,
        **{name: str(tmp_path / name.lower()) for name in folders},
        "LABKIT_QUICK": "1",
        "LABKIT_PROGRESS": str(progress),
    }


def cells(name, kind=None):
    notebook = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return [
        {**cell, "source": "".join(cell["source"])} for cell in notebook["cells"] if kind in (None, cell["cell_type"])
    ]


def run(command, environment):
    """Run to the end or to LESSON_S, and return what was printed.

    The runner has a process group of its own and is asked to end before it is killed, so that it can end its kernel.
    """
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=LESSON_S)
        except subprocess.TimeoutExpired:
            process.terminate()
            try:
                output, _ = process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                output, _ = process.communicate()
            pytest.fail(f"not finished after {LESSON_S} s\n{output[-4000:]}", pytrace=False)
    return process.returncode, output


def nbval(path, environment):
    options = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_S}"]
    plugins = ["-p", "tests.nbval_repairs", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    # Warnings of nbval itself, written for an older pytest, are no errors; those of a cell go to the notebook.
    return run(["-m", "pytest", *plugins, *options, "-W", "default", "-q", "--color=no", str(path)], environment)


def nbclient(path, environment, executed):
    return run(["-c", NBCLIENT, str(path), str(CELL_S), str(path.parent), str(executed)], environment)


def unlabelled(html):
    """List the pictures in HTML that say nothing to somebody who cannot see them."""
    pictures = re.findall(r"<(?:img|svg)\b[^>]*>", html)
    return [
        tag[:200]
        for tag in pictures
        if not re.search(r"""(alt|aria-label|aria-labelledby)=["'][^"']{20,}|aria-hidden="true\"""", tag)
    ]


def write_notebook(path, *sources):
    code = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
        for n, source in enumerate(sources)
    ]
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": code}))
    return path


def test_the_notebooks_are_found():
    assert len(NOTEBOOKS) == EXPECTED_COUNT, NOTEBOOKS
    assert NOTEBOOKS[0] == "00_start_here.ipynb"


@last_first
def test_it_runs_in_both_runners_and_every_picture_has_its_words(name, environment, tmp_path):
    with ThreadPoolExecutor(2) as pool:  # at the same time: each takes one core at most
        by_nbclient = pool.submit(nbclient, FOLDER / name, environment, tmp_path / name)
        code, output = nbval(FOLDER / name, environment)
        client_code, client_output = by_nbclient.result()
    assert code == 0, output
    assert f"{len(cells(name, 'code'))} passed" in output  # none skipped by a comment in a cell
    assert client_code == 0, client_output
    ran = sum(bool(cell["source"].strip()) for cell in cells(name, "code"))
    assert f"cells run: {ran}" in client_output
    outputs = [one for cell in json.loads((tmp_path / name).read_text())["cells"] for one in cell.get("outputs", ())]
    shown = ["".join(one["data"]["text/html"]) for one in outputs if "text/html" in one.get("data", {})]
    pictured = [html for html in shown if re.search("<(img|svg)", html)]
    assert pictured or name == NOTEBOOKS[0]
    for html in pictured:
        assert unlabelled(html) == []
        assert "<table" in html  # the same in words, for whoever cannot see it or wants the numbers


def test_a_broken_notebook_fails_in_both_runners(tmp_path, environment):
    broken = write_notebook(tmp_path / "broken.ipynb", "x = 1", "raise ValueError(x)")
    code, output = nbval(broken, environment)
    assert code == 1
    assert "1 failed, 1 passed" in output
    code, output = nbclient(broken, environment, tmp_path / "executed.ipynb")
    assert code != 0
    assert "ValueError" in output


def test_the_repairs_of_nbval_are_active(tmp_path, environment):
    """A cell does not know of pytest, a `;` silences a value, and a kernel that dies is noticed at once."""
    source = "import os\nassert 'PYTEST_CURRENT_TEST' not in os.environ\n0"
    silent = "class Loud:\n    def __repr__(self): raise KeyError('shown')\nLoud();"
    dying = "import os\nos._exit(3)"
    code, output = nbval(write_notebook(tmp_path / "repairs.ipynb", source, silent, dying), environment)
    assert code == 1, output
    assert "1 failed, 2 passed" in output
    assert "the kernel died while it ran this cell" in output


@each_notebook
def test_it_is_committed_without_outputs(name):
    assert not [cell["id"] for cell in cells(name, "code") if cell["outputs"] or cell["execution_count"] is not None]
    metadata = json.loads((FOLDER / name).read_text(encoding="utf-8"))["metadata"]
    assert metadata["kernelspec"]["name"] == "python3"
    assert "widgets" not in metadata  # the saved state of widgets is output, too


@each_notebook
def test_every_cell_has_a_slug_one_tag_and_a_slide(name):
    found = cells(name)
    ids = [cell["id"] for cell in found]
    assert len(set(ids)) == len(ids)
    for cell in found:
        assert SLUG.fullmatch(cell["id"]), cell["id"]
        assert not MACHINE_MADE_ID.fullmatch(cell["id"]), f"{cell['id']}: give the cell a name"
        tags = cell["metadata"].get("tags", [])
        assert len(tags) == 1, (cell["id"], tags)
        assert tags[0] in TAGS, (cell["id"], tags)
        assert cell["metadata"].get("slideshow", {}).get("slide_type") in SLIDES, cell["id"]


@each_notebook
def test_code_cells_are_short_plain_python(name):
    found = cells(name, "code")
    assert 0 < len(found) <= MAX_CODE_CELLS
    lengths = [len(cell["source"].strip().splitlines()) for cell in found]
    assert median(lengths) <= MAX_MEDIAN_LINES
    for cell, length in zip(found, lengths, strict=True):
        assert 0 < length <= MAX_LINES, cell["id"]
        ast.parse(cell["source"], filename=f"{name}: {cell['id']}")  # a magic, `!` or `?` is no Python
        assert "get_ipython" not in cell["source"], cell["id"]
        assert not re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)", cell["source"]), f"{cell['id']}: no markers for a runner"


@each_notebook
def test_text_stays_within_its_budget(name):
    words = {cell["id"]: len(cell["source"].split()) for cell in cells(name, "markdown")}
    notes = {cell["id"] for cell in cells(name, "markdown") if cell["metadata"]["tags"] == ["instructor"]}
    assert max(words.values()) <= MAX_TEXT_WORDS, words
    assert sum(count for cell, count in words.items() if cell not in notes) <= MAX_WORDS


@each_notebook
def test_relative_links_lead_somewhere(name):
    for cell in cells(name, "markdown"):
        for groups in LINK.findall(cell["source"]):
            target = next(filter(None, groups))
            if re.match(r"[a-z]+:|#", target):
                continue
            file = (FOLDER / target.partition("#")[0]).resolve()
            assert file.is_relative_to(ROOT), f"{cell['id']}: {target} leads out of the repository"
            assert file.exists(), f"{cell['id']}: {target}"
