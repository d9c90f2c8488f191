"""What every experiment file promises: names, units, parameters, claims, and pictures of any table."""

from __future__ import annotations

import ast
import inspect
import itertools
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from labkit import experiments, ledger
from labkit.errors import BadValue
from labkit.experiments import experiment, load_all
from labkit.model import LOOKS, Ending, Experiment, Machine, Run, Trial
from labkit.tables import frame

FOLDER = os.path.dirname(experiments.__file__)
FOUND = load_all()
UNITS = ("_s", "_ns", "_bytes", "_count", "_ratio", "_per_s", "_cores")
MACHINE = Machine(
    system="Linux 6.1",
    processor="x86_64",
    cores_count=2.0,
    cores_present_count=2,
    cores_why="",
    memory_bytes=1 << 33,
    memory_free_bytes=1 << 32,
    shared_memory_bytes=1 << 26,
    python="3.13.0",
    gil=True,
    switch_interval_s=0.005,
    start_method="fork",
    load_ratio=0.1,
)
# Lessons that an experiment decides claims of, beside the lesson of its own name.
SERVES = {
    "cpu bound": {"gil"},
    "waiting": {"gil"},
    "crash": {"failure_modes", "processes"},
    "freeze": {"deadlock"},
    "lock order": {"deadlock"},
    "printing": {"lost_updates"},
    **{name: {"ipc"} for name in ("chatty", "cores while waiting", "cost split", "message cost", "shared updates")},
}
# The article does not speak of them; they let a student try what the lesson says.
WITHOUT_CLAIMS = {"convoy", "philosophers", "ping pong", "switch points", "worker cost"}
each = pytest.mark.parametrize("tried", FOUND, ids=lambda tried: tried.name)


def made_up(tried, repeats=4, **sweep):
    """Make runs up, with numbers that differ by arm, setting and repeat."""
    settings = [sweep.get(name, (tried.defaults[name],)) for name in tried.sweep]
    runs = []
    for block, values in itertools.product(range(repeats), itertools.product(*settings)):
        for place, arm in enumerate(tried.arms):
            params = dict(zip(tried.sweep, values, strict=True))
            numbers = dict.fromkeys(tried.columns, (1 + place) * (1 + block / 10) / 100)
            trial = Trial(workload="m:f", experiment=tried.name, arm=arm, params=params, block=block)
            runs.append(Run(trial=trial, ending=Ending.FINISHED, elapsed_s=0.1, python="3.13.0", result=numbers))
    return runs


def drawn(tried, runs):
    """Draw a table at the size of a lesson, and return the Axes with the texts on it that can be seen."""
    figure = Figure(figsize=(9, 4.5), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    ax = figure.subplots()
    tried.draw(frame(runs), ax)
    canvas.draw()
    texts = [text for text in ax.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return ax, texts


def test_the_experiments_are_found():
    files = sorted(name[:-3] for name in os.listdir(FOLDER) if name.endswith(".py") and name != "__init__.py")
    assert files == [
        *("chatty", "convoy", "cores_while_waiting", "cost_split", "cpu_bound", "crash", "creation_cost", "deadlock"),
        *("freeze", "lock_order", "lost_updates", "message_cost", "philosophers", "ping_pong", "printing"),
        *("shared_updates", "switch_points", "waiting", "worker_cost"),
    ]
    assert [tried.name.replace(" ", "_") for tried in FOUND] == files


@each
def test_it_is_found_by_both_its_names(tried):
    assert experiment(tried.name) is experiment(tried.name.replace(" ", "_")) is tried


@pytest.mark.parametrize("name", ["lost", "", "__init__", "os", None, 3, "../lost_updates"])
def test_an_unknown_name_is_refused_with_the_names_there_are(name):
    with pytest.raises(BadValue, match="lock order, lost updates"):
        experiment(name)


def test_an_error_in_an_experiment_file_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "broken_one.py").write_text("1 / 0\n")
    monkeypatch.setattr(experiments, "__path__", [str(tmp_path)])
    with pytest.raises(ZeroDivisionError):
        load_all()


@each
def test_the_file_explains_itself_and_names_its_source(tried):
    assert isinstance(tried, Experiment)
    module = sys.modules[f"labkit.experiments.{tried.name.replace(' ', '_')}"]
    assert ast.get_docstring(ast.parse(inspect.getsource(module)))
    assert tried.source
    assert tried.question.endswith("?")
    assert all(arm.__doc__ for arm in tried.arms.values())


@each
def test_every_column_ends_in_its_unit_and_is_explained(tried):
    assert tried.columns
    for name, meaning in tried.columns.items():
        assert name.endswith(UNITS), name
        assert meaning
    assert not set(tried.columns) & set(tried.sweep)


@each
def test_arms_take_exactly_the_swept_parameters_by_keyword(tried):
    assert set(tried.units) == set(tried.arms)
    assert set(tried.units.values()) <= set(LOOKS)
    for arm in tried.arms.values():
        takes = inspect.signature(arm).parameters
        assert list(takes) == list(tried.sweep)
        assert all(item.kind is item.KEYWORD_ONLY and item.default is item.empty for item in takes.values())


@each
def test_defaults_are_among_the_values_offered(tried):
    assert list(tried.defaults) == list(tried.sweep)
    for name, values in tried.sweep.items():
        assert tried.defaults[name] in values
        assert len(set(values)) == len(values) > 1


@each
def test_every_claim_is_in_the_ledger_and_belongs_to_the_lesson(tried):
    assert bool(tried.claims) == (tried.name not in WITHOUT_CLAIMS)
    for name in tried.claims:
        assert ledger.claims()[name].lesson in {tried.name.replace(" ", "_"), *SERVES.get(tried.name, ())}


@each
@pytest.mark.parametrize("machine", [MACHINE, replace(MACHINE, gil=False, cores_count=0.5, system="Darwin 24")])
def test_it_says_what_to_expect(tried, machine):
    told = tried.expect(machine)
    assert len(told) >= 3
    assert all(sentence.endswith(".") and sentence[0] != " " for sentence in told)
    assert told != tried.expect(MACHINE) or machine is MACHINE


@each
def test_an_empty_table_says_so(tried):
    ax, texts = drawn(tried, [])
    assert "nothing measured yet" in {text.get_text() for text in texts}
    assert ax.get_xlabel()
    assert ax.get_ylabel()


@pytest.mark.parametrize(
    ("tried", "name"),
    [(tried, name) for tried in FOUND for name in ("", "one row", "unfinished", *tried.sweep)],
    ids=lambda value: getattr(value, "name", value),
)
def test_any_table_gives_a_picture_for_the_last_row(tried, name):
    runs = made_up(tried, **{key: values for key, values in tried.sweep.items() if key == name})
    runs = runs[:1] if name == "one row" else runs
    if name == "unfinished":
        runs.append(replace(runs[0], ending=Ending.TIMED_OUT, elapsed_s=None, result={}))
    ax, texts = drawn(tried, runs)
    words = " ".join(text.get_text() for text in texts)
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert ("unfinished runs left out: 1" in words) == (name == "unfinished")
    assert min(text.get_fontsize() for text in texts) >= 12
    assert len(texts) <= 32
    width, height = ax.figure.canvas.get_width_height()
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= -1, text
        assert box.x1 <= width + 1, text
        assert box.y0 >= -1, text
        assert box.y1 <= height + 1, text


@each
def test_only_unfinished_runs_draw_like_nothing(tried):
    runs = [replace(made_up(tried)[0], ending=Ending.UNAVAILABLE, elapsed_s=None, result={})]
    _, texts = drawn(tried, runs)
    assert {"nothing measured yet", "unfinished runs left out: 1"} <= {text.get_text() for text in texts}
    outcomes = [verdict.outcome for verdict in ledger.judge(tried, frame(runs)).values()]
    assert outcomes == ["cannot be measured here"] * len(tried.claims)


def test_the_number_stands_beside_its_mark():
    lost, cost = experiment("lost updates"), experiment("creation cost")
    assert "1 % lost" in {text.get_text() for text in drawn(lost, made_up(lost, 3))[1]}
    assert {"x 1", "x 6"} <= {text.get_text() for text in drawn(cost, made_up(cost))[1]}


def test_pictures_need_no_pyplot_and_a_child_no_heavy_import():
    code = """
import sys
from labkit.experiments import load_all
heavy = {"pandas", "matplotlib", "numpy", "ipywidgets", "statistics", "random", "multiprocessing"} & set(sys.modules)
assert not heavy, heavy
found = load_all()
heavy = {"pandas", "matplotlib", "numpy", "ipywidgets", "statistics", "random", "multiprocessing"} & set(sys.modules)
assert not heavy, heavy
from matplotlib.figure import Figure
from labkit.tables import frame
for tried in found:
    tried.draw(frame([]), Figure().subplots())
assert "matplotlib.pyplot" not in sys.modules
"""
    root = os.path.dirname(os.path.dirname(FOLDER))
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=root)


def race(lost, rounds=5, *, repeats=3, arm="threads", **setting):
    tried = experiment("lost updates")
    result = dict.fromkeys(tried.columns, 1) | {"rounds_with_loss_count": lost, "lost_count": 3 * lost}
    result["lost_ratio"] = 0.4 if lost else 0.0
    params = tried.defaults | {"rounds": rounds} | setting
    trial = Trial(workload="m:f", experiment=tried.name, arm=arm, params=params)
    return [Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result)] * repeats


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (race(5), "holds", "15 of 15 rounds lost additions, 40 % of them in the median run"),
        (race(0), "does not hold", "0 of 15 rounds lost an addition; at most 20 % of such rounds do"),
        (race(0, 1), "too close to call", "0 of 3 rounds"),
        (race(5, repeats=2), "cannot be measured here", "not measured yet."),
        (race(0, lock=True), "cannot be measured here", "3 runs with the lock lost 0 additions"),
        (race(0, workers=1), "cannot be measured here", "not measured yet."),
        (race(5) + race(0, lock=True), "holds", "15 of 15 rounds"),
        (race(0, repeats=2) + race(5, repeats=1, arm="processes sharing memory"), "holds", "5 of 15 rounds"),
        (race(5, arm="isolated processes"), "cannot be measured here", "not measured yet."),
    ],
)
def test_the_race_is_judged_by_the_rounds_that_lost(runs, outcome, words):
    verdict = ledger.judge(experiment("lost updates"), frame(runs))["memory.race"]
    assert verdict.outcome == outcome
    assert words in verdict.sentence
    assert bool(verdict.reason) == (outcome in ("cannot be measured here", "too close to call"))
    if verdict.effect is not None:
        assert verdict.low <= verdict.effect <= verdict.high
        assert verdict.runs_count == 3
        assert verdict.unit


def test_costs_are_judged_by_the_cheapest_process_beside_a_thread():
    tried = experiment("creation cost")
    verdicts = ledger.judge(tried, frame(made_up(tried, parent_bytes=(0, 64 << 20))))
    assert {verdict.outcome for verdict in verdicts.values()} == {"holds"}
    assert verdicts["table.creation_cost"].effect == pytest.approx(2)
    assert verdicts["table.creation_cost"].runs_count == 8
    assert "takes 2 times the CPU time of a thread (fork: 23 ms against 11.5 ms)" in (
        verdicts["table.creation_cost"].sentence
    )
    assert "with 64 MiB of extra memory" in verdicts["process.creation_expensive"].sentence
