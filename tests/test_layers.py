"""The house rules that a reader cannot see at a glance: who may import whom, what, and how long things may be."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import labkit

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "labkit"
FILES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("*.py"))
LEAST_FILES = 15  # a glob that finds nothing would pass everything below

ORDER = (
    *("errors", "units", "versions", "limits", "model", "intervals", "artists", "child", "interleave", "experiments"),
    *("runs", "tables", "ledger", "plots", "course", "show", "notebooks"),
)
# Third-party packages that each room may import; a room that is not named here imports none.
ALLOWED = {
    "runs": {"psutil"},
    "tables": {"pandas"},
    "ledger": {"pandas"},
    "plots": {"matplotlib", "pandas"},
    "show": {"ipywidgets", "IPython", "matplotlib", "pandas"},
}
EXEMPT = {"__init__", "__main__"}
# Of the standard library, but not of every version that these tests run under: since 3.14, since 3.13, and up to 3.12.
STANDARD = sys.stdlib_module_names | {"annotationlib", "_interpreters", "_xxsubinterpreters"}
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PUBLIC_NAMES = 400, 60, 20
MAX_TEST_LINES = 600  # a catalogue of 50 faults, each with its line of intent, reads best as one list
MAY_EXEC = {
    PACKAGE / "child" / "entry.py",  # runs the source text of a notebook's cell, in the child
    PACKAGE / "experiments" / "lost_updates.py",  # compiles its loop from constants of its own, in the child
}

MAY_PICKLE = {
    PACKAGE / "child" / "channels.py",  # measures what multiprocessing does; both ends are one run's own
}

# Loads every module of the child's side and prints what that brought along. -I -S: no site-packages are in reach.
LOAD_CHILD_SIDE = """
import importlib, json, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import labkit
for room in ("child", "interleave", "experiments"):
    package = importlib.import_module(f"labkit.{room}")
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
print(json.dumps(sorted(sys.modules)))
"""


def label(path):
    return str(path.relative_to(ROOT))


each_file = pytest.mark.parametrize("path", FILES, ids=label)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_type_checking(node):
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes_at_run_time(node):
    """Yield every node but those that only a type checker sees."""
    yield node
    children = node.orelse if is_type_checking(node) else ast.iter_child_nodes(node)
    for child in children:
        yield from nodes_at_run_time(child)


def imports(path, source=None):
    """Return the modules that a file imports when it runs, also inside functions, as full dotted names."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    found = set()
    for node in nodes_at_run_time(ast.parse(source if source is not None else path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parent = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parent, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            found |= {argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)}
    return found


def wrong_imports(path, source=None):
    """List the imports of a file that the order of rooms or the list of packages forbids."""
    room = room_of(path)
    if room not in ORDER:
        return [f"{room} has no place in the order of rooms"]
    wrong = []
    for name in imports(path, source):
        top, _, rest = name.partition(".")
        if top == "labkit":
            other = rest.partition(".")[0]
            if other == "__version__":
                continue
            if other not in ORDER:
                wrong.append(f"{name}: {other} is no room of the order; import from a room, not from labkit itself")
            elif ORDER.index(other) > ORDER.index(room):
                wrong.append(f"{name}: {other} comes after {room}")
            elif other == room == "experiments" and path.stem != "__init__" and rest.count(".") > 0:
                stem = rest.split(".")[1]
                if (PACKAGE / "experiments" / f"{stem}.py").exists() and stem != path.stem:
                    wrong.append(f"{name}: experiments never import each other")
        elif top not in STANDARD and top not in ALLOWED.get(room, set()):
            wrong.append(f"{name}: {room} may import {sorted(ALLOWED.get(room, set())) or 'the standard library only'}")
    return wrong


def test_the_files_are_found():
    assert len(FILES) >= LEAST_FILES
    rooms = {room_of(path) for path in FILES} - EXEMPT
    assert rooms <= set(ORDER), f"{rooms - set(ORDER)}: give a new room its place in the order"
    assert {"errors", "model", "child", "experiments", "runs", "show"} <= rooms


@pytest.mark.parametrize("path", [path for path in FILES if room_of(path) not in EXEMPT], ids=label)
def test_imports_go_one_way(path):
    assert wrong_imports(path) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("model.py", "from labkit.child.emit import emit"),
        ("model.py", "from .child import emit"),
        ("child/emit.py", "def late():\n    import labkit.runs.machine"),
        ("child/emit.py", "from labkit import run"),
        ("child/emit.py", "from ..runs import machine"),
        ("child/emit.py", "import psutil"),
        ("child/emit.py", "import importlib\nimportlib.import_module('labkit.tables')"),
        ("runs/plan.py", "import pandas as pd"),
        ("experiments/new.py", "from labkit.experiments import lost_updates"),
        ("experiments/new.py", "from labkit.experiments.lost_updates import EXPERIMENT"),
    ],
)
def test_the_import_check_finds(file, source):
    assert wrong_imports(PACKAGE / file, source)


@pytest.mark.parametrize(
    "source",
    [
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import pandas",
        "from labkit.model import Event\nfrom labkit import __version__, errors",
    ],
)
def test_the_import_check_allows(source):
    assert wrong_imports(PACKAGE / "child" / "emit.py", source) == []


def test_the_child_side_loads_the_standard_library_only():
    command = [sys.executable, "-I", "-S", "-c", LOAD_CHILD_SIDE, str(ROOT)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    loaded = json.loads(done.stdout)
    assert "labkit.child.emit" in loaded
    tops = {name.partition(".")[0] for name in loaded} - {"labkit", "__main__"}
    platform_data = {name for name in tops if name.startswith("_sysconfigdata")}  # its name is made on each platform
    assert tops - set(sys.stdlib_module_names) - platform_data == set()


def test_the_public_names():
    assert labkit.__all__ == sorted(labkit.__all__)
    assert len(labkit.__all__) <= MAX_PUBLIC_NAMES
    assert len(set(labkit.__all__)) == len(labkit.__all__)


@pytest.mark.parametrize("name", labkit.__all__)
def test_every_public_name_can_be_imported(name):
    assert getattr(labkit, name).__doc__


@pytest.mark.parametrize("path", [*FILES, *TESTS], ids=label)
def test_files_and_functions_stay_short(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= (MAX_TEST_LINES if path in TESTS else MAX_FILE_LINES)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < MAX_FUNCTION_LINES, node.name


@each_file
def test_no_pickle_and_no_text_run_as_code(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # multiprocessing pickles inside; what is forbidden is to hand a pickle on ourselves.
    pickles = {"pickle", "cPickle", "dill", "cloudpickle", "shelve"} - ({"pickle"} if path in MAY_PICKLE else set())
    assert not {name.partition(".")[0] for name in imports(path)} & pickles
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & ({"eval"} if path in MAY_EXEC else {"eval", "exec"})


@each_file
def test_servers_listen_on_this_machine_only(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert not texts & {"0.0.0.0", "::"}
    arguments = [argument for node in ast.walk(tree) if isinstance(node, ast.Call) for argument in node.args]
    for argument in arguments:  # ("", port) is every address of the machine
        if isinstance(argument, ast.Tuple) and len(argument.elts) == 2 and isinstance(argument.elts[0], ast.Constant):
            assert argument.elts[0].value != "", ast.unparse(argument)
