"""Which answer of a prediction made-up runs speak for: every answer of every prediction, and silence before that."""

from __future__ import annotations

import pytest

from labkit import experiments
from labkit.course.lessons import lessons
from labkit.model import Ending, Run, Trial
from labkit.tables import frame

PREDICTIONS = {name: prediction for lesson in lessons().values() for name, prediction in lesson.predictions.items()}


def runs(about, arm, count=3, **values):
    """Make runs up: what is a parameter of the experiment goes there, the rest into its columns."""
    tried = experiments.experiment(about)
    params = {name: values.pop(name, tried.defaults[name]) for name in tried.sweep}
    result = {**dict.fromkeys(tried.columns, 0), **values}
    trial = Trial(workload="m:f", experiment=about, arm=arm, params=params)
    return [Run(trial=trial, ending=Ending.FINISHED, python="3.13.0", result=result)] * count


def plain(lost, **setting):
    values = {"body": "counter += 1", "added_count": 1000, "lost_count": lost, **setting}
    return runs("lost updates", "threads", **values)


def who(threads, isolated, sharing, count=3):
    arms = {"threads": threads, "isolated processes": isolated, "processes sharing memory": sharing}
    return [run for arm, lost in arms.items() for run in runs("lost updates", arm, count, lost_count=lost)]


def cost(ratio):
    free = runs("lost updates", "threads", cpu_per_addition_s=1e-7, body="counter += 1")
    return free + runs("lost updates", "threads", cpu_per_addition_s=ratio * 1e-7, body="counter += 1", lock=True)


def printing(without, inside, count=3):
    kinds = {"no print": without, "print inside the window": inside}
    return [run for arm, hits in kinds.items() for run in runs("printing", arm, count, rounds_with_loss_count=hits)]


def frozen(cores, healthy):
    return runs("freeze", "deadlock", worker_cores=cores, health_ok_ratio=healthy)


def refactored(stuck, proved):
    return runs("lock order", "after the refactor", 1, deadlocks_count=stuck, traces_count=3, proved_count=proved)


def loads(light, heavy, ratio=1000.0):
    few = runs("deadlock", "opposite order", rounds=10, deadlocked_count=light, hold_total_s=1e-4)
    return few + runs("deadlock", "opposite order", rounds=10, deadlocked_count=heavy, hold_total_s=1e-4 * ratio)


def tried(cores, progress, cycle=0):
    trying = runs("freeze", "try-lock livelock", worker_cores=cores, progress_per_s=progress, cycle_count=cycle)
    return trying + runs("freeze", "healthy", progress_per_s=1000.0)


@pytest.mark.parametrize(
    ("name", "made", "answer", "said"),
    [
        ("plain-addition", plain(0), 0, "0 of 3,000"),
        ("plain-addition", plain(50), 1, "150 of 3,000"),
        ("plain-addition", plain(500), 2, "1,500 of 3,000"),
        ("who-loses", who(9, 0, 0), 0, "threads 27; isolated processes 0"),
        ("who-loses", who(9, 0, 9), 1, "sharing memory 27"),
        ("who-loses", who(9, 9, 9), 2, "isolated processes 27"),
        ("who-loses", who(0, 0, 9), None, "threads 0"),
        ("print-it", printing(0, 0), 0, "0 of 30 rounds without"),
        ("print-it", printing(0, 9), 1, "27 of 30 rounds with one"),
        ("print-it", printing(9, 0), 2, "0 of 30 rounds with one"),
        ("lock-cost", cost(1.1), 0, "1.1 times"),
        ("lock-cost", cost(1.5), 1, "1.5 times"),
        ("lock-cost", cost(3), 2, "3 times"),
        ("lock-cost", cost(3) + plain(9, body="read, call, write"), 2, "3 times"),
        ("what-monitors-see", frozen(1.0, 0.0), 0, "1.00 cores"),
        ("what-monitors-see", frozen(0.001, 0.0), 1, "0 % of the health checks"),
        ("what-monitors-see", frozen(0.001, 1.0), 2, "100 % of the health checks"),
        ("what-monitors-see", frozen(1.0, 1.0), None, "1.00 cores"),
        ("refactor", refactored(0, 1), 0, "0 of 3"),
        ("refactor", refactored(0, 0), 1, "0 of 3"),
        ("refactor", refactored(1, 0), 2, "1 of 3"),
        ("load", loads(9, 10), 0, "90 %"),
        ("load", loads(4, 10), 1, "40 %"),
        ("load", loads(0, 2), 1, "20 % under the heaviest"),
        ("load", loads(0, 9), 2, "90 % under the heaviest"),
        ("try-lock", tried(1.0, 900.0), 0, "90 %"),
        ("try-lock", tried(1.0, 1.0), 1, "1.00 cores"),
        ("try-lock", tried(0.0, 0.0, cycle=1), 2, "0.00 cores"),
        ("try-lock", tried(0.1, 1.0), None, "0.10 cores"),
    ],
)
def test_runs_speak_for_an_answer(name, made, answer, said):
    came = PREDICTIONS[name].came(frame(made))
    assert came.answer == answer
    assert said in came.sentence


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("plain-addition", plain(9, count=2)),
        ("plain-addition", plain(9, lock=True)),
        ("plain-addition", plain(9, body="read, sleep(0), write")),
        ("who-loses", who(9, 0, 9, count=2)),
        ("who-loses", plain(9)),
        ("print-it", printing(0, 9, count=2)),
        ("lock-cost", plain(9)),
        ("lock-cost", cost(2) + plain(0, body="attribute += 1", lock=True)),
        ("what-monitors-see", runs("freeze", "healthy")),
        ("refactor", runs("lock order", "before the refactor")),
        ("load", runs("deadlock", "same order")),
        ("load", loads(0, 9, ratio=2)),
        ("try-lock", runs("freeze", "healthy")),
    ],
)
def test_too_little_says_nothing(name, made):
    assert PREDICTIONS[name].came(frame(made)) is None


@pytest.mark.parametrize("name", PREDICTIONS)
def test_nothing_and_unfinished_runs_say_nothing(name):
    prediction = PREDICTIONS[name]
    assert prediction.came(frame([])) is None
    arms = experiments.experiment(prediction.about).arms
    lost = [Run(trial=run.trial, ending=Ending.TIMED_OUT) for arm in arms for run in runs(prediction.about, arm)]
    assert prediction.came(frame(lost)) is None
