"""The search: the counts that papers and tool suites publish, closed forms, and random programs.

Where a program is known from Abdulla, Aronis, Jonsson and Sagonas (POPL 2014), from Flanagan and Godefroid (POPL 2005)
or from Nidhugg's own tests, it is written anew here from its description, over the explorer's operations.
"""

from __future__ import annotations

import math
from contextlib import contextmanager

import pytest
from fuzz_part import compare_all
from interleave_programs import explore, program

from labkit.interleave.execution import Execution, current, stop
from labkit.interleave.happens_before import canonical
from labkit.interleave.locks import Lock
from labkit.interleave.ops import READ, WRITE, Op, Place
from labkit.interleave.pool import Pool
from labkit.interleave.search import RandomWalk, Replay, Search


class Memory:
    """Shared variables; each read and write is an operation."""

    def __init__(self, **values):
        self.__dict__["values"] = values

    def __getitem__(self, name):
        stop(Op("read", ((name, READ),), None, str(name)))
        return self.values.get(name, 0)

    def __setitem__(self, name, value):
        stop(Op("write", ((name, WRITE),), None, str(name)))
        self.values[name] = value

    def add(self, name):
        """Return the old value: an atomic fetch-and-add."""
        stop(Op("add", ((name, WRITE),), None, str(name)))
        old = self.values.get(name, 0)
        self.values[name] = old + 1
        return old

    def swap_zero(self, name, value):
        """Store a value if there is a zero: an atomic compare-and-swap, which only reads when it fails."""
        op = Op("swap", ((name, WRITE),), None, str(name))
        stop(op)
        if self.values.get(name, 0) == 0:
            self.values[name] = value
            return True
        op.accesses = ((name, READ),)
        return False


class Found:
    def __init__(self, search):
        self.search, self.traces, self.outcomes, self.executions = search, set(), {}, []

    @property
    def counts(self):
        return (self.search.executions, self.search.pruned, len(self.traces))


@contextmanager
def pooled():
    pool = Pool()
    try:
        yield pool
    finally:
        pool.close()


def run(functions, strategy, pool):
    execution = Execution(strategy, pool)
    execution.run([(f"T{number}", function) for number, function in enumerate(functions)])
    return execution


def walk(make, reduction="dpor", bound=None, *, keep=False):
    found = Found(Search(reduction, bound))
    with pooled() as pool:
        more = True
        while more:
            memory, functions = make()
            execution = run(functions, found.search, pool)
            if execution.ending != "pruned":
                found.traces.add(canonical(execution))
                outcome = (execution.ending, *sorted(memory.values.items(), key=str))
                found.outcomes[outcome] = found.outcomes.get(outcome, 0) + 1
            if keep:
                found.executions.append(execution)
            more = found.search.after(execution)
    assert found.search.done
    return found


# ---------------------------------------------------------------------------------------------------- programs
def last_zero(count):
    def make():
        memory = Memory()

        def reader():
            index = count
            while memory[index] != 0:
                index -= 1

        def writer(index):
            memory[index] = memory[index - 1] + 1

        return memory, [reader, *(lambda index=index: writer(index) for index in range(1, count + 1))]

    return make


def readers(count):
    def make():
        memory = Memory()
        return memory, [lambda: memory.__setitem__("x", 1), *[lambda: memory["x"]] * count]

    return make


def file_system(count, inodes=32, blocks=26):
    def make():
        memory = Memory()
        inode_locks, block_locks = [Lock() for _ in range(inodes)], [Lock() for _ in range(blocks)]

        def worker(number):
            inode = number % inodes
            with inode_locks[inode]:
                if memory["inode", inode] == 0:
                    block = inode * 2 % blocks
                    while True:
                        with block_locks[block]:
                            if not memory["busy", block]:
                                memory["busy", block] = 1
                                memory["inode", inode] = block + 1
                                break
                        block = (block + 1) % blocks

        return memory, [lambda number=number: worker(number) for number in range(count)]

    return make


def indexer(count, size=128, most=4):
    def make():
        memory = Memory()

        def worker(number):
            for message in range(1, most + 1):
                word = message * 11 + number
                place = word * 7 % size
                while not memory.swap_zero(place, word):
                    place = (place + 1) % size

        return memory, [lambda number=number: worker(number) for number in range(count)]

    return make


def fib_bench(rounds):
    def make():
        memory = Memory(i=1, j=1)

        def worker(name):
            for _ in range(rounds):
                first, second = memory["i"], memory["j"]
                memory[name] = first + second

        def looks():
            return memory["i"], memory["j"]

        return memory, [lambda: worker("i"), lambda: worker("j"), looks]

    return make


def philosophers(count):
    def make():
        forks = [Lock() for _ in range(count)]

        def eats(number):
            with forks[number], forks[(number + 1) % count]:
                pass

        return Memory(), [lambda number=number: eats(number) for number in range(count)]

    return make


def counter(threads, rounds, *, locked):
    def make():
        memory, lock = Memory(x=0), Lock()

        def plain():
            memory["x"] += 1

        def worker():
            for _ in range(rounds):
                if locked:
                    with lock:
                        plain()
                else:
                    plain()

        return memory, [worker] * threads

    return make


def try_lock(*, narrows):
    def make():
        memory, lock = Memory(x=0), Lock()

        def tries():
            if lock.acquire(blocking=False):
                memory["x"] += 1
                lock.release()
            elif not narrows:
                current().log[-1].accesses = ((id(lock), WRITE),)

        return memory, [tries] * 3

    return make


def mutex_hard():
    memory, lock = Memory(x=0), Lock()

    def worker(number):
        lock.acquire()
        if memory.add("x") == number:
            lock.release()

    return memory, [lambda number=number: worker(number) for number in range(3)]


# ---------------------------------------------------------------------------------------------------- counts
@pytest.mark.parametrize(("count", "traces"), [(1, 2), (2, 5), (3, 12), (4, 28), (5, 64), (7, 320)])
def test_last_zero_has_the_published_number_of_traces(count, traces):
    assert len(walk(last_zero(count)).traces) == traces == (count + 3) * 2**count // 4


def test_last_zero_of_five_takes_no_more_executions_than_source_dpor():
    executions, pruned, traces = walk(last_zero(5)).counts
    assert traces == 64
    assert executions <= 79
    assert pruned <= 15


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_readers_have_two_to_the_n_traces_and_no_execution_is_wasted(count):
    assert walk(readers(count)).counts == (2**count, 0, 2**count)


@pytest.mark.parametrize(("count", "traces"), [(14, 2), (16, 8), (18, 32), (19, 64)])
def test_the_file_system_of_flanagan_and_godefroid(count, traces):
    assert walk(file_system(count)).counts == (traces, 0, traces)


@pytest.mark.parametrize(("count", "traces"), [(11, 1), (12, 8), (13, 64)])
def test_the_indexer_of_flanagan_and_godefroid(count, traces):
    assert walk(indexer(count)).counts == (traces, 0, traces)


def test_fib_bench():
    assert len(walk(fib_bench(1)).traces) == 11


def test_mutex_hard():
    found = walk(mutex_hard)
    assert len(found.traces) == 4
    assert {outcome[0] for outcome in found.outcomes} == {"done", "deadlock"}


def test_try_lock_and_unlock():
    # For Nidhugg, whose number is 24, two tries that fail conflict. Here they only read, so their order is no matter.
    assert len(walk(try_lock(narrows=False)).traces) == 24
    assert len(walk(try_lock(narrows=True)).traces) == 21


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_dining_philosophers(count):
    found = walk(philosophers(count))
    assert found.counts == (2**count - 1, 0, 2**count - 1)
    assert found.outcomes[("deadlock",)] == 1


@pytest.mark.parametrize(("threads", "rounds"), [(2, 1), (2, 3), (3, 1), (3, 2), (2, 5)])
def test_locked_sections_come_in_any_order_and_no_other_way(threads, rounds):
    orders = math.factorial(threads * rounds) // math.factorial(rounds) ** threads
    found = walk(counter(threads, rounds, locked=True))
    assert found.counts == (orders, 0, orders)
    assert found.outcomes == {("done", ("x", threads * rounds)): orders}


def test_a_lost_update_takes_four_executions():
    found = walk(counter(2, 1, locked=False))
    assert found.counts == (4, 0, 4)
    assert found.outcomes == {("done", ("x", 1)): 2, ("done", ("x", 2)): 2}


@pytest.mark.parametrize("reduction", ["dpor", "sleep", "none"])
def test_lost_updates_end_with_two_to_six(reduction):
    found = walk(counter(2, 3, locked=False), reduction)
    assert set(found.outcomes) == {("done", ("x", value)) for value in (2, 3, 4, 5, 6)}
    assert len(found.traces) == 328


def test_two_times_six_steps_have_924_schedules():
    assert walk(counter(2, 3, locked=False), "none").search.executions == 924 == math.comb(12, 6)


# ---------------------------------------------------------------------------------------------------- other searches
def preemptions(execution):
    """Count the switches away from a thread that had more to do; all operations here are always possible."""
    order = [thread for thread, _ in execution.trace]
    switches = [number for number in range(1, len(order)) if order[number] != order[number - 1]]
    return sum(order[number - 1] in order[number:] for number in switches)


@pytest.mark.parametrize("bound", [0, 1, 2, 3])
def test_a_bounded_search_walks_the_schedules_with_at_most_so_many_preemptions(bound):
    make = counter(2, 3, locked=False)
    every = walk(make, "none", keep=True)
    bounded = walk(make, "none", bound, keep=True)
    schedules = [[thread for thread, _ in execution.trace] for execution in bounded.executions]
    expected = [execution for execution in every.executions if preemptions(execution) <= bound]
    assert sorted(schedules) == sorted([thread for thread, _ in execution.trace] for execution in expected)


def test_a_search_says_what_it_cannot_do():
    with pytest.raises(ValueError, match="reduction is"):
        Search("optimal")
    with pytest.raises(ValueError, match="without reduction"):
        Search("dpor", bound=2)


@pytest.mark.parametrize("reduction", ["dpor", "sleep", "none"])
def test_the_share_of_the_tree_grows_to_one(reduction):
    search = Search(reduction)
    shares = []
    with pooled() as pool:
        more = True
        while more:
            _, functions = counter(2, 2, locked=False)()
            more = search.after(run(functions, search, pool))
            shares.append(search.share)
    assert 0.0 <= shares[0] < 1.0
    assert shares[-1] == 1.0
    if reduction == "none":
        assert shares == sorted(shares)
        assert all(share < 1.0 for share in shares[:-1])


def test_a_replay_follows_its_schedule_and_then_goes_on():
    with pooled() as pool:
        memory, functions = counter(2, 1, locked=False)()
        execution = run(functions, Replay([0, 1, 1]), pool)
        assert [thread for thread, _ in execution.trace] == [0, 1, 1, 0]
        assert (execution.ending, memory.values) == ("done", {"x": 1})
        _, functions = counter(2, 1, locked=True)()
        execution = run(functions, Replay([0, 1]), pool)
        assert execution.ending == "nondeterministic"
        assert Replay([]).after(execution) is False


def test_random_walks_are_the_same_for_the_same_seed():
    def schedules(seed):
        walk_of = RandomWalk(seed)
        with pooled() as pool:
            return [
                [thread for thread, _ in run(counter(3, 2, locked=True)()[1], walk_of, pool).trace] for _ in range(20)
            ]

    assert schedules(1) == schedules(1)
    assert schedules(1) != schedules(2)


def drifting(change):
    """Return a program that changes from its second execution on."""
    runs = []

    def make():
        memory = Memory()
        runs.append(1)
        late = len(runs) > 1

        def worker():
            memory["a"] = 1
            if late and change == "ends":
                return
            if late and change == "kind":
                memory["b"]
            else:
                memory["b"] = 1
            memory["x"] = 1

        functions = [worker, lambda: memory.__setitem__("x", 2)]
        return memory, functions + [worker] * (late and change == "threads")

    return make


@pytest.mark.parametrize("reduction", ["dpor", "sleep", "none"])
@pytest.mark.parametrize("change", ["kind", "threads", "ends"])
def test_a_program_that_does_something_else_on_a_replay_is_found_out(change, reduction):
    make, search = drifting(change), Search(reduction)
    with pooled() as pool:
        execution, more = None, True
        while more:
            execution = run(make()[1], search, pool)
            more = search.after(execution)
    assert execution.ending == "nondeterministic"
    assert not search.done


def test_another_place_of_the_same_kind_is_something_else_too():
    places, search = [Place("cell", line, 0, line, 1, "x") for line in (1, 2)], Search()
    with pooled() as pool:
        for number in (0, 1):

            def worker(place=places[number]):
                stop(Op("write", (("x", WRITE),)))
                stop(Op("write", (("x", WRITE),), None, "x", place))

            execution = run([worker, worker], search, pool)
            search.after(execution)
    assert execution.ending == "nondeterministic"


# ---------------------------------------------------------------------------------------------------- traces
def test_equivalent_schedules_have_one_name_and_others_another():
    def make():
        memory = Memory()
        return [lambda: (memory["x"], memory.__setitem__("y", 1)), lambda: (memory["x"], memory["y"])]

    with pooled() as pool:
        names = {
            order: canonical(run(make(), Replay(order), pool)) for order in [(0, 0, 1, 1), (0, 1, 0, 1), (1, 0, 0, 1)]
        }
        assert len(set(names.values())) == 1
        assert canonical(run(make(), Replay((0, 1, 1, 0)), pool)) not in names.values()


def test_the_name_of_a_trace_does_not_depend_on_the_numbers_of_started_threads():
    def make():
        memory = Memory()

        def starts(name):
            stop(Op("start"))
            current().execution.spawn(f"child of {name}", lambda: memory.__setitem__(name, 1))

        return [lambda: starts("a"), lambda: starts("b")]

    with pooled() as pool:
        first, second = run(make(), Replay((0, 1, 2, 3)), pool), run(make(), Replay((1, 0, 3, 2)), pool)
    assert [thread.name for thread in first.threads] != [thread.name for thread in second.threads]
    assert canonical(first) == canonical(second)


# ---------------------------------------------------------------------------------------------------- fuzz
@pytest.mark.parametrize(
    ("statements", "traces"),
    [
        ([["peek A"], ["write x", "write y"], ["take A"]], 7),  # waits for one object, writes another one too
        ([["await x"], ["write x"], ["zero x"]], None),  # two writers after the reads of a round
        ([["write y"], ["zero x"], ["await x y x"]], 11),  # a write between two reads of one round
        ([["dict set"], ["dict other"], ["dict del"]], 5),  # accesses that differ from those that were announced
        ([["dict set"], ["dict set", "dict del"], ["dict del"]], 9),
        ([["launch"], ["meet"]], None),  # a join that comes before the start
        ([["timedwait"], ["timedwait"], ["section"]], 80),
        ([["put", "get"], ["put now", "get now"]], None),
    ],
)
def test_programs_that_a_wrong_search_has_failed_on(statements, traces):
    with pooled() as pool:
        found = {name: explore(statements, Search(name), pool, 5000) for name in ("dpor", "sleep", "none")}
    assert all(item.search.done and not item.trouble for item in found.values())
    assert found["dpor"].outcomes == found["sleep"].outcomes == found["none"].outcomes
    assert traces in {None, len(found["dpor"].outcomes)}


def test_the_random_programs_are_made_of_many_statements():
    words = {statement for seed in range(1000) for statements in program(seed) for statement in statements}
    assert len(words) > 50


def test_a_thousand_random_programs_have_the_traces_and_outcomes_of_the_exhaustive_search():
    wrong = compare_all("interleave_programs", 1000)
    assert not wrong, "\n".join(wrong[:5])
