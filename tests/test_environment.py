"""The three lists of packages agree, and nothing in the repository says where its author's packages or folders lie."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import tomllib
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = {need.name: need.specifier for need in map(Requirement, PROJECT["dependencies"])}
CONDA_NAMES = {"matplotlib-base": "matplotlib"}  # conda-forge's matplotlib brings Qt, which nothing here needs
CONSTRAINT = re.compile(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.!+]*)")

# In pieces, so that this file is not found by its own search.
NOT_IN_A_FILE = (
    "/wo" + "rk/",
    "/ro" + "ot/",
    "py" + "pi.org",
    "files.python" + "hosted",
    "deb" + "ian.org",
    "registry.np" + "mjs",
)


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = {}
    for line in lines:
        match = CONSTRAINT.fullmatch(line)
        assert match, f"{line!r} is not name==version"
        assert normal(match[1]) not in found, f"{match[1]} stands there twice"
        found[normal(match[1])] = Version(match[2])
    return lines, found


def files():
    """Return what git would commit: tracked files, and new ones that are not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=30,
    )
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]  # one that was deleted and not yet committed is listed, too


def test_conda_and_pip_install_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert set(environment) == {"name", "channels", "dependencies"}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    *plain, pip = environment["dependencies"]
    assert pip == {"pip": ["-e ."]}
    named = {}
    for line in plain:
        name, bounds = re.fullmatch(r"([a-z0-9-]+)\s*(.*)", line).groups()
        named[CONDA_NAMES.get(name, name)] = bounds
    python = named.pop("python")
    assert python.removeprefix("=") in SpecifierSet(PROJECT["requires-python"])
    assert named.pop("pip") == ""
    assert {name: SpecifierSet(bounds) for name, bounds in named.items()} == REQUIRED


def test_the_constraints_are_sorted_versions():
    lines, _ = constraints()
    assert len(lines) > 50
    assert lines == sorted(lines, key=str.lower)


def test_the_constraints_satisfy_the_bounds():
    _, pinned = constraints()
    extras = PROJECT["optional-dependencies"]
    assert all("==" in line for line in extras["compare"])  # these are installed into a folder of their own
    optional = [Requirement(line) for name, lines in extras.items() if name != "compare" for line in lines]
    needed = REQUIRED | {need.name: need.specifier for need in optional}
    assert len(needed) >= 13
    for name, bounds in needed.items():
        assert normal(name) in pinned, f"{name} is not in constraints.txt"
        assert pinned[normal(name)] in bounds, f"{name} {pinned[normal(name)]} is not {bounds}"


def test_the_readme_names_both_commands():
    readme = ROOT / "README.md"
    assert PROJECT["readme"] == readme.name
    text = readme.read_text(encoding="utf-8")
    for command in ("make lab", "make test", "conda env create"):
        assert command in text


def test_every_command_that_make_offers_exists(need):
    offered = subprocess.run([need("make"), "-s"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=30)
    names = re.findall(r"^make (\w+)", offered.stdout, re.MULTILINE)
    assert {"lab", "test", "bench", "record", "picture", "clean"} <= set(names)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in names:
        assert re.search(rf"^([a-z]+ )*{name}( [a-z]+)*:", makefile, re.MULTILINE), name


def test_no_file_holds_an_address_or_a_path_of_one_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("not on this system: a checkout without git's folder")
    found = files()
    assert len(found) > 20
    for path in found:
        text = path.read_bytes().decode("utf-8", errors="ignore")
        for piece in NOT_IN_A_FILE:
            assert piece not in text, f"{path.relative_to(ROOT)} holds {piece}"
