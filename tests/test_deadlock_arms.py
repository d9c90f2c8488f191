"""The experiments of the lessons on lost updates and deadlock, really run: what is certain is asserted exactly."""

from __future__ import annotations

import json
import math

import pytest
from test_arms import OTHERS, PYTHONS, start

from labkit import ledger
from labkit.child import health
from labkit.child.circles import Board
from labkit.experiments import experiment
from labkit.intervals import wilson
from labkit.model import Ending, Run, Trial
from labkit.runs.plan import plan
from labkit.runs.supervise import begin
from labkit.tables import frame

DEADLOCK, FREEZE, ORDER, DINNER, PRINT = ALL = tuple(
    experiment(name) for name in ("deadlock", "freeze", "lock order", "philosophers", "printing")
)
LIGHT = {"iterations": 1, "hold_s": 0.0, "rounds": 5}
SMALL = {
    DEADLOCK.name: LIGHT,
    FREEZE.name: {"observe_s": 0.3},
    ORDER.name: {"threads": 2},
    DINNER.name: {"meals": 1, "hold_s": 0.0},
    PRINT.name: {"rounds": 5},
}
OPPOSITE = "opposite order"
MEET = "from labkit.experiments import deadlock as it; it._Round.work = lambda self: self.together.wait()"
FAIL = "from labkit.experiments import {} as it; it.{}.{} = lambda self, *_: 1 / 0"


def asked(tried, arm, **params):
    return (tried.name, arm, dict(tried.defaults) | SMALL[tried.name] | params)


def results(calls, python=PYTHONS[0], first=""):
    """Run arms in one bare interpreter; what they print comes before the line with the results."""
    done = start(calls, python, first)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


def until(hit, calls, rounds, most):
    """Repeat until something that is likely has been seen, or its share is below what is stated."""
    tries = 0
    while tries < most:
        (result,) = results(calls)
        tries += rounds
        if hit(result):
            return result
    pytest.fail(f"not seen in {tries} rounds: at most {wilson(0, tries).high:.1%} of rounds show it")


# --------------------------------------------------------------------------------------------------------- all arms
@pytest.mark.parametrize("python", PYTHONS)
def test_every_arm_returns_every_column_on_every_interpreter(python):
    # The explorer and the monitor take longer: one arm of each on the other interpreters.
    few = {ORDER.name: (OPPOSITE,), FREEZE.name: ("deadlock",)} if python in OTHERS else {}
    calls = [asked(tried, arm) for tried in ALL for arm in few.get(tried.name, tried.arms)]
    for (name, _, params), result in zip(calls, results(calls, python), strict=True):
        columns = experiment(name).columns
        assert list(result) == list(columns)
        for column, value in result.items():
            if column == "cpu_per_transfer_s" and value is None:
                continue  # no transfer was made
            assert isinstance(value, (int, float)), column
            assert math.isfinite(value), column
            assert value >= 0, column
            assert not column.endswith("_ratio") or value <= 1, column
        assert result.get("deadlocked_count", 0) <= params.get("rounds", params.get("dinners", 0))


@pytest.mark.parametrize("python", OTHERS or PYTHONS)
def test_a_run_that_leaves_frozen_threads_ends(python):
    heavy = {"hold_s": 0.001, "iterations": 10, "rounds": 5}
    trials = [
        *plan(DEADLOCK, repeats=1, seed=0, arms=[OPPOSITE], sweep=heavy),
        *plan(FREEZE, repeats=1, seed=0, arms=["deadlock"]),
        *plan(DINNER, repeats=1, seed=0, arms=["left fork first"], sweep={"seats": 8}),
    ]
    for trial in trials:
        run = begin(trial, python=python, limits=DEADLOCK.limits).wait()
        assert (run.ending, run.output, run.stacks, run.error) == (Ending.FINISHED, "", "", "")
        assert run.receipt.clean
        assert run.receipt.processes_removed == ()
        if trial.arm == OPPOSITE:
            told = [event.value for event in run.events if event.kind == "note"]
            assert len(told) == 5
            assert sum(text.startswith("deadlock") for text in told) == run.result["deadlocked_count"]


# --------------------------------------------------------------------------------------------------------- circles
def board(*slots):
    """Make a board from (held, wanted) of each thread; None waits for nothing."""
    made = Board(len(slots))
    for thread, slot in enumerate(slots):
        if slot:
            made.waits(thread, *slot)
    return made


@pytest.mark.parametrize(
    ("slots", "circle"),
    [
        ((None, None), []),
        ((((0,), 1), None), []),
        ((((0,), 1), ((1,), 0)), [0, 1]),
        ((((0,), 1), ((), 0)), []),  # waits, but holds nothing
        ((((0,), 1), ((1,), 2), ((2,), 3)), []),  # a chain whose end nobody holds
        ((((0,), 1), ((1,), 2), ((2,), 0)), [0, 1, 2]),
        ((((), 1), ((1,), 2), ((2,), 1)), [1, 2]),  # one waits for a circle, and is no part of it
        ((((0,), 0),), [0]),  # a lock that cannot be taken twice
        ((((0, 5), 1), ((1,), 5)), [0, 1]),
    ],
)
def test_a_circle_is_found_among_those_that_wait(slots, circle):
    assert board(*slots).circle() == circle


def test_who_goes_on_breaks_the_circle():
    made = board(((0,), 1), ((1,), 0))
    made.goes_on(1)
    assert made.circle() == []


def test_a_slot_that_changes_between_two_reads_proves_nothing():
    made = board(((0,), 1), ((1,), 0))

    class Moving(list):
        """A thread waits for the same thing again after each look."""

        def __iter__(self):
            yield from [super().__getitem__(0), ((1,), 0 + len(self) - 2)]

    made._slots = Moving(made._slots)
    assert made.circle() == []


# -------------------------------------------------------------------------------------------------------- deadlock
def test_threads_that_meet_between_their_locks_deadlock_in_every_round():
    (result,) = results([asked(DEADLOCK, OPPOSITE, rounds=5)], first=MEET)
    assert (result["deadlocked_count"], result["deadlocked_ratio"], result["transfers_count"]) == (5, 1, 0)
    assert result["cpu_per_transfer_s"] is None


def test_the_other_ways_never_deadlock_and_make_every_transfer():
    arms = [arm for arm in DEADLOCK.arms if arm != OPPOSITE]
    load = {"iterations": 20, "hold_s": 0.001, "rounds": 5, "switch_interval_s": 0.0005}
    for result in results([asked(DEADLOCK, arm, **load) for arm in arms]):
        assert result["deadlocked_count"] == 0
        assert result["transfers_count"] == 2 * 20 * 5
        assert result["hold_total_s"] == pytest.approx(0.02)
        assert result["cpu_per_transfer_s"] > 0


def test_under_load_the_opposite_order_deadlocks():
    # 8 of 10 rounds and more on every build seen; 40 without one would put the share below 9 % (Wilson, 95 %).
    heavy = asked(DEADLOCK, OPPOSITE, iterations=10, hold_s=0.001, rounds=10)
    result = until(lambda found: found["deadlocked_count"], [heavy], 10, 40)
    assert result["transfers_count"] < 2 * 10 * 10
    assert result["retries_count"] == 0


@pytest.mark.parametrize(
    ("call_for", "where"),
    [
        (asked(DEADLOCK, OPPOSITE), ("deadlock", "_Round", "work")),
        (asked(DINNER, "waiter"), ("philosophers", "_Table", "eat")),
    ],
)
def test_a_thread_that_fails_is_an_exception_in_the_arm(call_for, where):
    done = start([call_for], first=FAIL.format(*where))
    assert done.returncode == 1
    assert "ZeroDivisionError: division by zero" in done.stderr


# ---------------------------------------------------------------------------------------------------------- freeze
def test_what_is_seen_of_each_program():
    healthy, frozen, live = results([asked(FREEZE, arm) for arm in FREEZE.arms])
    nothing = ("progress_per_s", "attempts_per_s", "log_lines_count", "exceptions_count")
    assert [frozen[name] for name in nothing] == [0] * 4
    assert (frozen["waiting_count"], frozen["cycle_count"], frozen["threads_alive_count"]) == (2, 1, 2)
    assert frozen["worker_cores"] < 0.05 < live["worker_cores"]
    assert healthy["worker_cores"] > 0.05
    assert healthy["progress_per_s"] > live["progress_per_s"]
    assert live["attempts_per_s"] > 0
    assert healthy["cycle_count"] == live["cycle_count"] == 0
    assert [result["health_ok_ratio"] for result in (healthy, frozen, live)] == [1, 1, 1]


def test_an_exception_would_be_seen():
    (result,) = results([asked(FREEZE, "healthy")], first=FAIL.format("freeze", "_Program", "work"))
    assert (result["exceptions_count"], result["threads_alive_count"], result["progress_per_s"]) == (2, 0, 0)


def test_a_health_check_without_an_answer_is_not_ok():
    with health.server() as port:
        assert health.answers(port, 2) == 2
    assert health.answers(port, 2) == 0


# ------------------------------------------------------------------------------------------------------ lock order
def test_the_counts_of_all_interleavings():
    # traces, of these deadlocks, proved, livelock; by hand for two threads: A first, B first, or both have one lock
    two = {
        OPPOSITE: (3, 1, 0, 0),
        "same order": (2, 0, 1, 0),
        "gate lock": (2, 0, 1, 0),
        "before the refactor": (3, 0, 1, 0),
        "after the refactor": (3, 1, 0, 0),
    }
    three = {OPPOSITE: (7, 1, 0, 0), "same order": (6, 0, 1, 0), "after the refactor": (10, 4, 0, 0)}
    calls = [asked(ORDER, arm, threads=n) for n, arms in ((2, two), (3, three)) for arm in arms]
    names = ("traces_count", "deadlocks_count", "proved_count", "livelock_count")
    found = [tuple(result[name] for name in names) for result in results(calls)]
    assert found == [*two.values(), *three.values()]


def test_backing_off_is_free_of_deadlock_but_may_spin():
    (result,) = results([asked(ORDER, "try-lock, back off")])
    assert (result["deadlocks_count"], result["proved_count"], result["livelock_count"]) == (0, 1, 1)


# ---------------------------------------------------------------------------------------------------- philosophers
def test_two_ways_let_every_philosopher_eat():
    arms, seats = ("one takes the right first", "waiter"), DINNER.sweep["seats"]
    calls = [asked(DINNER, arm, seats=n, meals=10, hold_s=1e-4) for arm in arms for n in seats]
    for (_, _, params), result in zip(calls, results(calls), strict=True):
        assert (result["deadlocked_count"], result["deadlocked_ratio"]) == (0, 0)
        assert result["meals_count"] == 5 * 10 * params["seats"]


@pytest.mark.parametrize("seats", [2, 5])
def test_under_load_a_table_stops(seats):
    heavy = asked(DINNER, "left fork first", seats=seats, meals=10, hold_s=0.001)
    result = until(lambda found: found["deadlocked_count"], [heavy], 5, 40)
    assert result["meals_count"] < 5 * 10 * seats


# -------------------------------------------------------------------------------------------------------- printing
def test_every_addition_prints_once_or_never():
    calls = [asked(PRINT, arm, body=body) for arm in PRINT.arms for body in PRINT.sweep["body"]]
    found = results(calls)
    assert [result["printed_count"] for result in found] == [0, 0, 500, 500, 500, 500]
    for result in found:
        assert result["added_count"] == 500
        assert (result["lost_count"] > 0) == (result["rounds_with_loss_count"] > 0)
        assert result["lost_ratio"] == result["lost_count"] / 500
        assert result["rounds_with_loss_ratio"] == result["rounds_with_loss_count"] / 5


@pytest.mark.parametrize(
    ("arm", "body"), [("print inside the window", "read, write"), ("no print", "read, work, write")]
)
def test_the_loss_that_a_print_brings_or_hides(arm, body):
    until(lambda found: found["lost_count"], [asked(PRINT, arm, body=body)], 5, 50)


# -------------------------------------------------------------------------------------------------------- verdicts
def made(tried, arm, repeats=3, **values):
    """Make runs up; a value is a parameter or a column, and the other columns are 0."""
    params = dict(tried.defaults) | {name: value for name, value in values.items() if name in tried.sweep}
    result = dict.fromkeys(tried.columns, 0) | {name: value for name, value in values.items() if name in tried.columns}
    trial = Trial(workload="m:f", experiment=tried.name, arm=arm, params=params)
    return [Run(trial=trial, ending=Ending.FINISHED, elapsed_s=0.1, python="3.13.0", result=result)] * repeats


def verdict(tried, runs, name):
    """Judge, and hold what every verdict promises."""
    found = ledger.judge(tried, frame(runs))[name]
    assert bool(found.reason) == (found.outcome in ("cannot be measured here", "too close to call"))
    assert found.sentence.endswith(".")
    if found.effect is not None:
        assert found.low <= found.effect <= found.high
        assert found.runs_count >= 2
        assert found.unit
    return found


def rounds(stopped, load=0.01, *, arm=OPPOSITE, repeats=3, **setting):
    return made(DEADLOCK, arm, repeats, deadlocked_count=stopped, hold_total_s=load, **setting)


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (rounds(8), "holds", "24 of 30 rounds with two locks in opposite order stopped for ever."),
        (rounds(8) + rounds(0, arm="gate lock"), "holds", "taken in another way, 0 of 30 rounds did."),
        (rounds(0), "does not hold", "None of 30 rounds stopped; at most 11 % of such rounds do."),
        (rounds(0, rounds=1), "too close to call", "None of 3 rounds stopped"),
        (rounds(8, repeats=2), "cannot be measured here", "is not measured yet."),
        (rounds(0, arm="same order"), "cannot be measured here", "is not measured yet."),
    ],
)
def test_the_deadlock_is_judged_by_all_rounds(runs, outcome, words):
    found = verdict(DEADLOCK, runs, "memory.deadlock")
    assert found.outcome == outcome
    assert words in found.sentence


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (rounds(0, 0.0) + rounds(9), "holds", "0 of 30 rounds with 0 s of work under the first lock stopped for ever"),
        (rounds(0, 1e-4) + rounds(1, 1e-3) + rounds(9), "holds", "27 of 30 rounds with 10 ms of work"),
        (rounds(8, 1e-4) + rounds(9), "does not hold", "A test with little work sees it, too."),
        (rounds(4, 1e-4) + rounds(0), "does not hold", "0 of 30 rounds with 10 ms"),
        (rounds(0, 1e-4) + rounds(1, repeats=1), "too close to call", "1 of 10 rounds"),
        (rounds(0, 1e-4) + rounds(0), "cannot be measured here", "is not measured yet."),
        (rounds(0, 2e-3) + rounds(9), "cannot be measured here", "is not measured yet."),
        (rounds(9), "cannot be measured here", "is not measured yet."),
        (
            rounds(0, 1e-4, switch_interval_s=0.05, repeats=2) + rounds(9),
            "cannot be measured here",
            "is not measured yet.",
        ),
    ],
)
def test_a_light_load_is_compared_with_a_heavy_one(runs, outcome, words):
    found = verdict(DEADLOCK, runs, "deadlock.load_only")
    assert found.outcome == outcome
    assert words in found.sentence


WORKS = made(FREEZE, "healthy", worker_cores=1.0, log_lines_count=5)


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (made(FREEZE, "deadlock", worker_cores=1e-4) + WORKS, "holds", "used 0.0001 cores (at work 1.00)"),
        (made(FREEZE, "deadlock", log_lines_count=1) + WORKS, "does not hold", "3 log lines (at work 15)"),
        (made(FREEZE, "deadlock", exceptions_count=1) + WORKS, "does not hold", "3 exceptions"),
        (made(FREEZE, "deadlock", progress_per_s=1) + WORKS, "does not hold", "0 log lines"),
        (made(FREEZE, "deadlock", worker_cores=0.3) + WORKS, "too close to call", "used 0.3000 cores"),
        (made(FREEZE, "deadlock") + made(FREEZE, "healthy", worker_cores=0.01), "too close to call", "at work 0.01"),
        (made(FREEZE, "deadlock"), "cannot be measured here", "is not measured yet."),
        (made(FREEZE, "deadlock", 2) + WORKS, "cannot be measured here", "is not measured yet."),
    ],
)
def test_silence_is_judged_beside_a_program_at_work(runs, outcome, words):
    found = verdict(FREEZE, runs, "deadlock.silent")
    assert found.outcome == outcome
    assert words in found.sentence


def checked(ok, repeats=3, **values):
    return made(FREEZE, "deadlock", repeats, health_ok_ratio=ok, cycle_count=1, **values)


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (checked(1), "holds", "In 3 of 3 deadlocked runs every health check said OK while nothing moved; the wait-for"),
        (checked(1), "holds", "the circle in 3 of 3."),
        (checked(0.5), "does not hold", "In 0 of 3"),
        (checked(1, progress_per_s=2), "does not hold", "In 0 of 3"),
        (checked(1) + checked(0), "too close to call", "In 3 of 6"),
        (checked(1, 2), "cannot be measured here", "is not measured yet."),
    ],
)
def test_a_health_check_is_judged_by_what_it_says_while_nothing_moves(runs, outcome, words):
    found = verdict(FREEZE, runs, "deadlock.tools_blind")
    assert found.outcome == outcome
    assert words in found.sentence


def walked(arm, deadlocks, *, proved=0, threads=2, repeats=1):
    values = {"traces_count": 3, "deadlocks_count": deadlocks, "deadlocked_ratio": deadlocks / 3}
    return made(ORDER, arm, repeats, proved_count=proved, threads=threads, **values)


@pytest.mark.parametrize(
    ("claim", "bad", "good"),
    [
        ("deadlock.ab_ba", OPPOSITE, "same order"),
        ("deadlock.refactor", "after the refactor", "before the refactor"),
    ],
)
def test_one_walk_through_all_interleavings_is_enough(claim, bad, good):
    found = verdict(ORDER, walked(bad, 1) + walked(good, 0, proved=1), claim)
    assert found.outcome == "holds"
    assert f"{bad.capitalize()}: deadlock in 1 of 3 interleavings; {good if 'ref' in claim else 'the ' + good}: " in (
        found.sentence
    )
    assert found.low == found.effect == found.high == pytest.approx(1 / 3)
    for runs, outcome in (
        (walked(bad, 0, proved=1) + walked(good, 0, proved=1), "does not hold"),
        (walked(bad, 1) + walked(good, 1), "does not hold"),
        (walked(bad, 1) + walked(good, 0), "too close to call"),  # the search was not finished
        (walked(bad, 0) + walked(good, 0, proved=1), "too close to call"),
        (walked(bad, 1), "cannot be measured here"),
        (walked(good, 0, proved=1), "cannot be measured here"),
    ):
        assert verdict(ORDER, runs, claim).outcome == outcome


def wrong(arm, count, *, repeats=3, **setting):
    return made(PRINT, arm, repeats, rounds_with_loss_count=count, **setting)


INSIDE, AFTER = "print inside the window", "print after the write"


@pytest.mark.parametrize(
    ("runs", "outcome", "words"),
    [
        (wrong("no print", 0) + wrong(INSIDE, 9), "holds", "0 of 30 without a print, 27 of 30 with a print inside the"),
        (wrong("no print", 9) + wrong(AFTER, 0), "holds", "as a proxy for 'hard to debug'"),
        (wrong("no print", 0) + wrong(INSIDE, 0) + wrong(AFTER, 0), "does not hold", "0 of 30 with a print after"),
        (wrong("no print", 4) + wrong(INSIDE, 5), "too close to call", "12 of 30 without a print"),
        (wrong("no print", 0, rounds=1) + wrong(INSIDE, 0, rounds=1), "too close to call", "0 of 3"),
        (wrong("no print", 0), "cannot be measured here", "is not measured yet."),
        (wrong("no print", 0) + wrong(INSIDE, 9, repeats=2), "cannot be measured here", "is not measured yet."),
        (wrong("no print", 0) + wrong(INSIDE, 9, body="read, work, write"), "cannot be measured here", "yet."),
    ],
)
def test_a_print_is_judged_by_how_often_the_bug_shows(runs, outcome, words):
    found = verdict(PRINT, runs, "thread.hard_to_debug")
    assert found.outcome == outcome
    assert words in found.sentence
