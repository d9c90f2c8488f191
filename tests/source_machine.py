"""Every interleaving of a small Python program with threads. Rule: shares nothing with labkit.interleave.

A state is the pickle of everything, so that equal pickles are equal states. source_steps.py takes the steps; here is
what they do to objects, locks and threads, and the walk through all states.
"""

from __future__ import annotations

import pickle
import queue
from collections import defaultdict
from typing import NamedTuple

from oracle import DEADLOCK, SPINS, _components, _fair, _reach
from source_compiler import Program
from source_steps import (
    BARRIER,
    BEGIN,
    BOUND,
    CALL,
    CLASS,
    CODE,
    CONDITION,
    DROP,
    END,
    ENDED,
    ERROR,
    ERRORS,
    EVENT,
    FRAMES,
    FUNCTION,
    INIT,
    LATE,
    LATE_EVENT,
    LEAVE,
    LOCK,
    OBJECT,
    OUTER,
    PHASE,
    QUEUE,
    RETAKE,
    RETURNED,
    ROLE,
    RUNS,
    SEMAPHORE,
    STACK,
    STATUS,
    THREAD,
    TICKET,
    VALUES,
    WAIT_EVENT,
    WAKE,
    Steps,
    Thing,
    TooLarge,
    fail,
    frame_of,
    full,
    native,
    thread_of,
)

__all__ = ["Answer", "TooLarge", "solve"]


REENTRANT, NOT_YET = True, False


class Answer(NamedTuple):
    """All that can happen: outcome texts, those that are not allowed, kinds of trouble, the number of states."""

    outcomes: frozenset[str]
    wrong: frozenset[str]
    kinds: frozenset[str]
    states: int


class Run(Steps):
    """One state, in which steps can be taken, with all that a program can call."""

    # -------------------------------------------------------------------------------- functions and objects
    def i_function(self, stack, number):
        outer = [self.frame[VALUES], *self.frame[OUTER]] if self.frame[CODE] else []
        stack.append(Thing(FUNCTION, number, outer))

    def i_class(self, stack, number):
        stack.append(Thing(CLASS, number))

    def i_call(self, stack, count, named):
        count += len(named)
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        called = stack.pop()
        self.call(called, given, CALL, named)

    def call(self, called, given, role, named=()):
        frames = self.threads[self.number][FRAMES]
        if called.kind == BOUND:
            called, given = called.data[0], [called.data[1], *given]
        if called.kind == CLASS:
            made = Thing(OBJECT, called.data[0], {})
            code = self.program.classes[called.data[0]][0].get("__init__")
            if code is None:
                self.frame[STACK].append(made)
                return
            called, given, role = Thing(FUNCTION, code, []), [made, *given], INIT
        frames.append(frame_of(self.program, called, given, role, named))

    def i_return(self, stack):
        value = stack.pop()
        thread = self.threads[self.number]
        gone = thread[FRAMES].pop()
        if not thread[FRAMES]:
            self.end(thread, None, value)
            return
        if gone[ROLE] != DROP:
            thread[FRAMES][-1][STACK].append(gone[VALUES][0] if gone[ROLE] == INIT else value)

    def i_attr(self, stack, name, _):
        owner = stack.pop()
        methods, properties, _ = self.program.classes[owner.data[0]]
        if name in properties:
            self.call(Thing(FUNCTION, properties[name], []), [owner], CALL)
        elif name in methods:
            stack.append(Thing(BOUND, Thing(FUNCTION, methods[name], []), owner))
        else:
            stack.append(owner.data[1][self.program.slot(name)])

    def i_store_attr(self, stack, name, _):
        owner, value = stack.pop(), stack.pop()
        _, properties, setters = self.program.classes[owner.data[0]]
        if name in properties:
            self.call(Thing(FUNCTION, setters[name], []), [owner, value], DROP)
        else:
            owner.data[1][self.program.slot(name)] = value

    def i_make(self, stack, name, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        lock = Thing(LOCK, None, 0, REENTRANT)
        makers = {
            "Lock": lambda: Thing(LOCK, None, 0, not REENTRANT),
            "RLock": lambda: lock,
            "Condition": lambda of=lock: Thing(CONDITION, of, []),
            "Semaphore": lambda value=1: Thing(SEMAPHORE, value, None),
            "BoundedSemaphore": lambda value=1: Thing(SEMAPHORE, value, value),
            "Event": lambda: Thing(EVENT, NOT_YET, []),
            "Queue": lambda most=0: Thing(QUEUE, [], most, 0),
            "LifoQueue": lambda most=0: Thing(QUEUE, [], most, -1),
            "Barrier": lambda parties: Thing(BARRIER, parties, 0, []),
            "Thread": lambda function, arguments: Thing(THREAD, -1, function, arguments),
            "sleep": lambda _: None,
        }
        stack.append(makers[name](*given))

    # -------------------------------------------------------------------------------- methods
    def i_method(self, stack, name, count):
        given = stack[len(stack) - count :]
        del stack[len(stack) - count :]
        owner = stack.pop()
        if not isinstance(owner, Thing):
            value = native(getattr(owner, name), *given)
            stack.append(list(value) if name in {"values", "keys", "items"} else value)
        elif owner.kind == OBJECT:
            self.call(Thing(FUNCTION, self.program.classes[owner.data[0]][0][name], []), [owner, *given], CALL)
        else:
            kind = ["lock", "condition", "semaphore", "event", "queue", "barrier", "thread"][owner.kind]
            value = getattr(self, f"{kind}_{name.replace(' ', '_')}")(owner, *given)
            if not self.threads[self.number][PHASE] or value is not None:
                stack.append(value)

    def i_enter(self, stack):
        owner = stack[-1]
        if owner.kind == SEMAPHORE:
            self.semaphore_acquire(owner)
        else:
            self.lock_acquire(owner.data[0] if owner.kind == CONDITION else owner)

    def i_exit(self, stack):
        owner = stack.pop(-2)
        if owner.kind == SEMAPHORE:
            self.semaphore_release(owner)
        else:
            self.lock_release(owner.data[0] if owner.kind == CONDITION else owner)

    def lock_acquire(self, lock):
        lock.data[0] = self.number
        lock.data[1] += 1
        return True

    def lock_acquire_or_not(self, lock):
        return self.can_take(lock) and self.lock_acquire(lock)

    def lock_release(self, lock):
        if lock.data[0] is None or (lock.data[2] and lock.data[0] != self.number):
            fail(RuntimeError)
        lock.data[1] -= 1
        if lock.data[1] == 0:
            lock.data[0] = None

    def lock_locked(self, lock):
        return lock.data[0] is not None

    def condition_acquire(self, condition):
        return self.lock_acquire(condition.data[0])

    def condition_release(self, condition):
        self.lock_release(condition.data[0])

    def held(self, condition):
        owner, _, reentrant = condition.data[0].data
        if not (owner == self.number if reentrant else owner is not None):
            fail(RuntimeError)

    def condition_wait(self, condition, kind=WAKE):
        self.held(condition)
        ticket = Thing(TICKET, NOT_YET)
        lock = condition.data[0]
        condition.data[1].append(ticket)
        self.threads[self.number][PHASE] = [kind, condition, ticket, lock.data[1]]
        lock.data[:2] = None, 0

    def condition_wait_or_not(self, condition):
        self.condition_wait(condition, LATE)

    def condition_notify(self, condition, count=1):
        self.held(condition)
        for ticket in condition.data[1][:count]:
            ticket.data[0] = True
        del condition.data[1][:count]

    def condition_notify_all(self, condition):
        self.condition_notify(condition, len(condition.data[1]))

    def semaphore_acquire(self, semaphore):
        semaphore.data[0] -= 1
        return True

    def semaphore_acquire_or_not(self, semaphore):
        return semaphore.data[0] > 0 and self.semaphore_acquire(semaphore)

    def semaphore_release(self, semaphore):
        if semaphore.data[0] == semaphore.data[1]:
            fail(ValueError)
        semaphore.data[0] += 1

    def event_is_set(self, event):
        return event.data[0]

    def event_set(self, event):
        event.data[0] = True
        for ticket in event.data[1]:
            ticket.data[0] = True

    def event_clear(self, event):
        event.data[0] = False

    def event_wait(self, event, kind=WAIT_EVENT):
        if event.data[0]:
            return True
        event.data[1].append(Thing(TICKET, NOT_YET))
        self.threads[self.number][PHASE] = [kind, event.data[1][-1], event]
        return None

    def event_wait_or_not(self, event):
        return self.event_wait(event, LATE_EVENT)

    def queue_put(self, items, item):
        items.data[0].append(item)

    def queue_put_nowait(self, items, item):
        if full(items):
            fail(queue.Full)
        items.data[0].append(item)

    queue_put_or_not = queue_put_nowait

    def queue_get(self, items):
        return items.data[0].pop(items.data[2])

    def queue_get_nowait(self, items):
        if not items.data[0]:
            fail(queue.Empty)
        return self.queue_get(items)

    queue_get_or_not = queue_get_nowait

    def queue_empty(self, items):
        return not items.data[0]

    def queue_qsize(self, items):
        return len(items.data[0])

    def barrier_wait(self, barrier):
        parties, index, tickets = barrier.data
        if index + 1 == parties:
            for ticket in tickets:
                ticket.data[0] = True
            barrier.data[1:] = 0, []
            return index
        tickets.append(Thing(TICKET, NOT_YET))
        barrier.data[1] += 1
        self.threads[self.number][PHASE] = [LEAVE, tickets[-1], index]
        return None

    def thread_start(self, thread):
        if thread.data[0] >= 0:
            fail(RuntimeError)
        thread.data[0] = len(self.threads)
        new = thread_of(self.program, thread.data[1], thread.data[2])
        self.threads.append(new)
        if self.program.finally_ends:
            new[PHASE] = [BEGIN]
            return
        number, frame = self.number, self.frame
        self.advance(thread.data[0])
        self.number, self.frame = number, frame

    def thread_join(self, thread):
        if thread.data[0] < 0:
            fail(RuntimeError)

    def thread_is_alive(self, thread):
        return thread.data[0] >= 0 and self.threads[thread.data[0]][STATUS] == RUNS

    def go_on(self, thread):
        """Take the second step of an operation."""
        kind, *given = thread[PHASE]
        thread[PHASE] = None
        stack = self.frame[STACK] if self.frame is not None else []
        if kind == END:
            thread[STATUS] = ENDED
        elif kind in {WAKE, RETAKE}:
            condition, ticket, count, notified = (*given, True)[:4]
            condition.data[0].data[:2] = self.number, count
            if ticket in condition.data[1]:
                condition.data[1].remove(ticket)
            stack.append(notified)
        elif kind == LATE:
            thread[PHASE] = [RETAKE, *given, given[1].data[0]]
        elif kind in {WAIT_EVENT, LATE_EVENT}:
            given[1].data[1].remove(given[0])
            stack.append(given[0].data[0])
        elif kind == LEAVE:
            stack.append(given[1])


def solve(source, workers, states_most, *, setup="", check="", outcome=""):  # noqa: PLR0913 - written by name
    """Try every interleaving of a program.

    Args:
        source: The module.
        workers: Names of the functions that the threads run; a text, and no list, for a main that starts them.
        states_most: States from which on it is too large.
        setup: Name of the function that makes the state.
        check: Name of the function that says what is right.
        outcome: Name of the function that says what counts.

    Raises:
        TooLarge: There are more states.
    """
    program = Program(source)
    run = Run(program, ([None] * 200, []))
    run.alone(Thing(FUNCTION, 0, []))
    functions = [run.globals[program.slots[name]] for name in ([workers] if isinstance(workers, str) else workers)]
    given = (run.alone(run.globals[program.slots[setup]]),) if setup else ()
    del run.globals[len(program.slots) :]
    run.threads = [thread_of(program, function, given) for function in functions]
    for number in range(len(functions)):
        run.advance(number)
    kept = (given, check, outcome, isinstance(workers, str))
    return _explored(program, kept, pickle.dumps((run.globals, run.threads, given), 5), states_most)


def _explored(program, kept, first, states_most):
    numbers, waiting, edges, ends, threads_most = {first: 0}, [first], {}, {}, 0
    for key in waiting:  # grows while it is walked
        own = numbers[key]
        state = pickle.loads(key)
        run = Run(program, state[:2])
        able = [number for number in range(len(run.threads)) if run.enabled(number)]
        edges[own] = []
        threads_most = max(threads_most, len(run.threads))
        for number in able:
            if state is None:
                state = pickle.loads(key)
                run = Run(program, state[:2])
            run.step(number)
            after = pickle.dumps((run.globals, run.threads, state[2]), 5)
            state = None
            if after not in numbers:
                numbers[after] = len(numbers)
                waiting.append(after)
                if len(numbers) > states_most:
                    raise TooLarge
            edges[own].append((number, numbers[after]))
        if not able:
            ends[own] = _end(run, kept, state[2])
    return _report(edges, ends, threads_most)


def _end(run, kept, given):
    """Return text and kind of an end."""
    _, check, outcome, single = kept
    if any(thread[STATUS] == RUNS for thread in run.threads):
        return DEADLOCK, DEADLOCK
    space = run.globals
    slots = run.program.slots
    threads = run.threads
    given = (threads[0][RETURNED],) if single else given
    errors = [
        f"{ERRORS[thread[ERROR]].__name__} in {'main' if single and not number else 'ABCDE'[number - single]}"
        for number, thread in enumerate(threads)
        if thread[ERROR] is not None
    ]
    text = "; ".join([repr(run.alone(space[slots[outcome]], *given)), *errors])
    if errors:
        return text, "exception"
    return text, None if run.alone(space[slots[check]], *given) else "wrong result"


def _report(edges, ends, threads_count):
    outcomes = {text for text, _ in ends.values()}
    wrong = {text for text, kind in ends.values() if kind}
    kinds = {kind for _, kind in ends.values() if kind}
    backward = defaultdict(list)
    for state, after in edges.items():
        for _, successor in after:
            backward[successor].append(state)
    can_end = _reach(ends, lambda state: backward[state])
    if len(can_end) < len(edges):
        outcomes.add(SPINS)
        wrong.add(SPINS)
        kinds.add(SPINS)
    if any(_fair(component, edges, threads_count) for component in _components(can_end, edges, backward)):
        kinds.add("livelock")
    return Answer(frozenset(outcomes), frozenset(wrong), frozenset(kinds), len(edges))
