"""The oracle itself: against closed forms, against every schedule run one by one, and on what it must refuse."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from oracle import Machine, classic, solve


def machine(start, outcome="0", check="True", **threads):
    return Machine(start, threads, outcome, check)


@pytest.mark.parametrize(("first", "second", "third"), [(1, 1, 0), (3, 4, 0), (2, 2, 2), (5, 0, 3)])
def test_independent_threads_have_as_many_states_as_there_are_positions(first, second, third):
    threads = {name: "pass\n" * steps for name, steps in zip("ABC", (first, second, third), strict=True)}
    report = solve(machine("", **threads))
    assert report.states == (first + 1) * (second + 1) * (third + 1)
    assert (report.verdict, report.kinds, report.outcomes) == ("proved", frozenset(), {"0"})


@pytest.mark.parametrize("times", [1, 2, 3, 5])
def test_unlocked_increments_lose_all_but_two_at_worst(times):
    text = "h = hits\nhits = h + 1\n" * times
    report = solve(machine("hits = 0", "hits", f"hits == {2 * times}", A=text, B=text))
    assert report.outcomes == {str(hits) for hits in range(min(2, times), 2 * times + 1)}
    assert (report.verdict, report.kinds) == ("bug", {"wrong result"})


@pytest.mark.parametrize("count", [2, 3, 4])
def test_dining_philosophers_meet_in_every_order_and_may_starve(count):
    forks = "; ".join(f"fork{seat} = None" for seat in range(count))
    take = "fork{0} = me when fork{0} is None\n"
    texts = [
        take.format(seat)
        + take.format((seat + 1) % count)
        + f"meals += me\nfork{seat} = None\nfork{(seat + 1) % count} = None"
        for seat in range(count)
    ]
    report = solve(machine(f"{forks}; meals = ''", "meals", **dict(zip("ABCD", texts, strict=False))))
    assert report.outcomes == {"".join(order) for order in itertools.permutations("ABCD"[:count])} | {"deadlock"}
    assert report.kinds == {"deadlock"}


def test_locked_sections_end_in_every_order_of_the_sections():
    text = "lock = me when lock is None\nlog += me\nlock = None\n" * 3
    report = solve(machine("lock, log = None, ''", "log", A=text, B=text))
    assert len(report.outcomes) == math.comb(6, 3)
    assert report.verdict == "proved"


def test_a_wait_for_what_another_thread_does_is_no_livelock():
    report = solve(machine("flag = 0", "flag", A="spin: f = flag -> spin if not f", B="flag = 1"))
    assert (report.verdict, report.kinds, report.outcomes) == ("proved", frozenset(), {"1"})


def test_a_wait_for_what_nobody_does_spins_for_ever():
    report = solve(machine("flag = 0", A="spin: f = flag -> spin if not f", B="pass"))
    assert (report.verdict, report.kinds, report.outcomes) == ("bug", {"spins for ever"}, {"spins for ever"})


def test_a_deadlock_beside_a_thread_that_spins_is_spinning_for_ever():
    report = solve(machine("flag = 0", A="pass when flag", B="spin: pass -> spin if not flag"))
    assert report.outcomes == {"spins for ever"}


def test_a_cycle_in_which_every_thread_goes_round_is_a_livelock():
    text = "again: last = me\npass -> again if last != me"
    report = solve(machine("last = ''", "last", A=text, B=text))
    assert (report.verdict, report.kinds, report.outcomes) == ("proved", {"livelock"}, {"A", "B"})


def test_a_livelock_that_nobody_can_leave_spins_for_ever():
    text = "again: turn = 1 - turn -> again"
    assert solve(machine("turn = 0", A=text, B=text)).kinds == {"spins for ever"}


def test_a_thread_that_only_waits_its_turn_does_not_keep_the_others_from_a_livelock():
    go_round = "again: lock = 1 when not lock\nlock = 0 -> again if not flag"
    report = solve(machine("lock, flag = 0, 0", A=go_round, B="flag = 1 when not lock"))
    assert report.kinds == {"livelock"}  # weakly fair: B can go on only now and then


def test_alternatives_are_both_taken_and_a_guard_closes_one():
    text = "lock = me when lock is None\n| pass when lock is not None -> end\ndone += me\nlock = None"
    report = solve(machine("lock, done = None, ''", "done", A=text, B=text))
    assert report.outcomes == {"A", "B", "AB", "BA"}


def test_an_exception_ends_its_thread_and_stands_in_the_outcome():
    text = "n = count; count = 0 -> end if n else !IndexError"
    report = solve(machine("count = 1", "count", A=text, B=text))
    assert report.outcomes == {"0; IndexError in A", "0; IndexError in B"}
    assert report.kinds == {"exception"}


def test_an_outcome_that_is_a_text_is_shown_without_quotes():
    assert solve(machine("word = 'tea'", "word", A="")).outcomes == {"tea"}


def test_a_classic_whose_program_is_a_main_starts_and_joins_its_threads():
    made = classic(
        "one after the other",
        "log = ''",
        outcome=(None, "log"),
        broken=(print, ["log += me", "log += me"], "wrong result"),
        mended=([print], ["log += me"], None),
    )
    assert list(made.broken.machine.threads) == ["main", "A", "B"]
    assert solve(made.broken.machine).outcomes == {"AB", "BA"}
    assert solve(made.mended.machine).outcomes == {"A"}
    assert (made.broken.verdict, made.mended.verdict) == ("bug", "proved")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("-> nowhere", KeyError),
        ("again: pass\nagain: pass", AssertionError),
        ("conter = 1", AssertionError),
        ("x = conter", NameError),
        ("x = (", SyntaxError),
        ("x = []\npass", TypeError),
    ],
    ids=["no such label", "label twice", "write to no shared value", "read of no value", "no Python", "not hashable"],
)
def test_a_slip_of_the_pen_is_an_error_and_no_verdict(text, error):
    with pytest.raises(error):
        solve(machine("counter = 0", A=text))


@pytest.mark.parametrize("start", ["x = 0", "me = 0", "ended = ''"])
def test_shared_values_need_names_that_are_free(start):
    with pytest.raises(AssertionError, match="names of shared values"):
        solve(machine(start, A="pass"))


def by_hand(threads):
    """Return all outcomes of straight programs: each schedule is run from its start, with nothing remembered."""
    found = set()
    for schedule in set(itertools.permutations([name for name, steps in threads.items() for _ in steps])):
        shared, own, position = (
            {"left": 0, "right": 0, "lock": ""},
            dict.fromkeys(threads, 0),
            dict.fromkeys(threads, 0),
        )
        for name in schedule:
            kind, target = threads[name][position[name]]
            if kind == "take" and shared["lock"]:
                break  # another schedule takes it later, or it is a deadlock
            if kind == "read":
                own[name] = shared[target]
            elif kind == "write":
                shared[target] = own[name] * 2 + ord(name) - ord("A") + 1
            else:
                shared["lock"] = name if kind == "take" else ""
            position[name] += 1
        ended = all(position[name] == len(steps) for name, steps in threads.items())
        waits = all(
            position[name] == len(steps) or (steps[position[name]][0] == "take" and shared["lock"])
            for name, steps in threads.items()
        )
        if ended or waits:
            found.add(repr((shared["left"], shared["right"])) if ended else "deadlock")
    return found


def test_random_straight_programs_end_as_when_every_schedule_is_run():
    words = {
        "read": "v = {target}",
        "write": "{target} = v * 2 + ord(me) - 64",
        "take": "lock = me when not lock",
        "free": "lock = ''",
    }
    numbers = random.Random(4)
    deadlocks = 0
    for _ in range(150):
        threads = {}
        for name, most in (("A", 4), ("B", 4)) if numbers.random() < 0.7 else (("A", 3), ("B", 2), ("C", 2)):
            kinds = numbers.choices(list(words), k=numbers.randint(1, most))
            threads[name] = [(kind, numbers.choice(["left", "right"])) for kind in kinds]
        texts = {
            name: "local v = 0\n" + "\n".join(words[kind].format(target=target) for kind, target in steps)
            for name, steps in threads.items()
        }
        expected = by_hand(threads)
        assert solve(machine("left, right, lock = 0, 0, ''", "(left, right)", **texts)).outcomes == expected, texts
        deadlocks += "deadlock" in expected
    assert deadlocks > 20
