"""Run one classic with another explorer, and print what it answers as a line of JSON. Run by bench_explorer.py.

Usage: ``python compare_with.py frontrun "lost update, broken" 9``: tool, classic and form, seconds. It runs under the
interpreter that has the tools, and not under labkit's own.
"""

from __future__ import annotations

import copy
import json
import os
import queue
import signal
import sys
import threading
import time
import types

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from classics import FORMS  # noqa: E402 - found through the line above
from explorer_programs import RATES  # noqa: E402

from labkit.runs.sync_objects import recipe  # noqa: E402

LIBRARY = ("threading", "queue", "collections", "time", "random")
made = [0]  # executions that began
began = [0.0]


def main():
    tool, name, seconds = sys.argv[1:]
    form = RATES.get(name) or FORMS[name]
    signal.signal(signal.SIGALRM, lambda *_: finish(None))
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    began[0] = time.perf_counter()
    finish({"frontrun": with_frontrun, "interleave-test": with_interleave_test}[tool](form, float(seconds)))


def finish(answer):
    """Print the answer: True for 'nothing can go wrong', False for a bug, None for no answer in time."""
    print(json.dumps({"answer": answer, "executions": made[0], "seconds": time.perf_counter() - began[0]}), flush=True)
    os._exit(0)


def with_frontrun(form, seconds):
    import frontrun

    if callable(form.functions):
        return "it cannot: a main that starts threads"
    workers = [worker(function, form) for function in form.functions]
    state = starter(form)
    found = frontrun.explore(
        state,
        workers,
        lambda made_state: True if form.check is None else bool(called(form.check, made_state, form)),
        preemption_bound=None,  # with a bound it could not say that nothing can go wrong
        reproduce_on_failure=0,
        total_timeout=seconds,
    )
    return found.property_holds


def with_interleave_test(form, seconds):
    import interleave_test

    state = starter(form)

    def model():
        fresh = state()
        if callable(form.functions):
            called(form.functions, fresh, form)
        else:
            tasks = [interleave_test.spawn(worker(function, form), fresh) for function in form.functions]
            for task in tasks:
                task.join()
        assert form.check is None or called(form.check, fresh, form)

    found = interleave_test.explore(
        model, strategy="dfs", max_preemptions=2, iterations=10**7, timeout=seconds, raise_on_failure=False
    )
    return found.failure is None


def worker(function, form):
    return lambda state: called(function, state, form)


def called(function, state, form):
    return function(state) if form.setup else function()


def starter(form):
    """Return a function that makes the state anew: the globals that the program names, and what setup makes."""
    functions = [form.functions] if callable(form.functions) else list(form.functions)
    spaces = [function.__globals__ for function in functions if isinstance(function, types.FunctionType)]
    space = spaces[0] if spaces else {}
    named = names_of([*functions, form.setup, form.check], space)
    again = {name: how for name in named if (how := remade(space[name])) is not None}

    def state():
        made[0] += 1
        memory = {}
        for name, how in again.items():
            space[name] = how(memory)
        return form.setup() if form.setup else None

    return state


def names_of(things, space):
    """Return the global names that functions and classes use, and what these use in turn."""
    found, waiting, seen = [], [code for thing in things for code in codes(thing)], set()
    while waiting:
        code = waiting.pop()
        if code in seen:
            continue
        seen.add(code)
        waiting += [item for item in code.co_consts if isinstance(item, types.CodeType)]
        for name in code.co_names:
            if name in space and name not in found:
                found.append(name)
                waiting += codes(space[name])
    return found


def codes(thing):
    if isinstance(thing, types.FunctionType):
        cells = [cell.cell_contents for cell in thing.__closure__ or ()]
        return [thing.__code__, *(cell.__code__ for cell in cells if isinstance(cell, types.FunctionType))]
    if isinstance(thing, type) and thing.__module__ not in sys.stdlib_module_names:
        methods = [getattr(value, "fget", value) for base in thing.__mro__ for value in vars(base).values()]
        return [value.__code__ for value in methods if isinstance(value, types.FunctionType)]
    return []


def remade(value):
    """Return how to make a global anew, inside the explorer's own patches; None for what stays as it is."""
    if isinstance(value, (types.FunctionType, types.ModuleType)):
        return None
    if isinstance(value, type) or callable(value):
        module = sys.modules.get(getattr(value, "__module__", ""))
        name = getattr(value, "__name__", "")
        if value is threading.Lock:
            module, name = threading, "Lock"
        same = module is not None and module.__name__ in LIBRARY and getattr(module, name, None) is value
        return (lambda _: getattr(module, name)) if same else None
    return lambda memory: copy.deepcopy(value, memory)


def made_again(value, memory):
    """Make a synchronization object anew: the explorer's own, since the names of `threading` are patched by now."""
    how = recipe(value)
    module, name = how.call.split(".")
    new = getattr(sys.modules[module], name)(*copy.deepcopy(how.arguments, memory), **dict(how.keywords))
    for method, arguments in how.then:
        getattr(new, method)(*arguments)
    memory[id(value)] = new
    return new


KINDS = (
    *(type(threading.Lock()), type(threading.RLock()), threading.Condition, threading.Semaphore, threading.Event),
    *(threading.BoundedSemaphore, threading.Barrier, queue.Queue, queue.LifoQueue, queue.SimpleQueue),
)
copy._deepcopy_dispatch.update(dict.fromkeys(KINDS, made_again))


if __name__ == "__main__":
    main()
