"""The values that flow through labkit. Rule: frozen, standard library only, no behaviour beyond text."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from labkit.errors import RunFailed
from labkit.limits import Limits
from labkit.units import in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = [
    "LOOKS",
    "Claim",
    "Ending",
    "Event",
    "Experiment",
    "Interpreter",
    "Json",
    "Kind",
    "Look",
    "Machine",
    "Part",
    "Receipt",
    "Run",
    "Trial",
    "Verdict",
]

Json: TypeAlias = Any  # None, bool, int, float, str, and lists and dicts of them
Kind: TypeAlias = Literal["begin", "end", "read", "write", "wait", "hold", "free", "sample", "note"]
KINDS: tuple[str, ...] = ("begin", "end", "read", "write", "wait", "hold", "free", "sample", "note")


class Look(NamedTuple):
    """How one kind of worker is drawn, in every picture of every lesson (Okabe and Ito's palette)."""

    color: str
    marker: str
    dash: str


LOOKS: Mapping[str, Look] = {
    "thread": Look("#0072B2", "o", "-"),
    "process": Look("#D55E00", "s", "--"),
    "subinterpreter": Look("#009E73", "^", "-."),
    "shared memory": Look("#CC79A7", "D", ":"),
}


class Ending(enum.Enum):
    """How a workload's process ended; each value completes the sentence 'The run ...'."""

    FINISHED = "finished"
    RAISED = "raised an exception"
    EXITED = "exited without a result"
    KILLED = "was killed by a signal"
    TIMED_OUT = "ran past its deadline"
    LINGERED = "returned its result, but its process did not end"
    STOPPED = "was stopped"
    OVER_MEMORY = "used more memory than allowed"
    OVER_PROCESSES = "started more processes than allowed"
    OVER_OUTPUT = "wrote more than allowed"
    UNAVAILABLE = "cannot be run here"
    LOST = "lost its keeper"
    NOT_STARTED = "could not be started"


class Event(NamedTuple):
    """One thing that one thread did at one moment: one row of a timeline.

    Attributes:
        t_ns: Nanoseconds since the workload began, on the monotonic clock that all processes share.
        pid: Process that did it.
        tid: Thread that did it, as the operating system numbers it.
        kind: What was done, one of `KINDS`.
        name: What it was done to, such as ``"lock A"``.
        value: What was seen or written, if anything.
    """

    t_ns: int
    pid: int
    tid: int
    kind: str
    name: str
    value: Json = None


class Part(NamedTuple):
    """A piece of a notebook cell that travels to the child as text.

    Attributes:
        file: The cell's label, such as ``"cell In[3]"``; tracebacks and stacks name it.
        line: Line of the cell on which the piece begins, from 1.
        text: Python source.
    """

    file: str
    line: int
    text: str


class Receipt(NamedTuple):
    """What a run started, and what its keeper found and removed when it ended.

    Attributes:
        processes_started_count: Processes seen alive in the run's tree, the worker included (short ones may be missed).
        processes_removed: ``"pid name"`` of each that was still alive at the end, and was killed.
        processes_left: ``"pid name"`` of each that could not be killed; empty unless something is badly wrong.
        names_removed: Shared-memory segments and semaphores that were unlinked for the run.
        names_left: Those that could not be unlinked.
        files_removed_count: Files in the run's private folder that were deleted.
        folder_left: True if the private folder could not be removed.
    """

    processes_started_count: int = 0
    processes_removed: tuple[str, ...] = ()
    processes_left: tuple[str, ...] = ()
    names_removed: tuple[str, ...] = ()
    names_left: tuple[str, ...] = ()
    files_removed_count: int = 0
    folder_left: bool = False

    @property
    def clean(self) -> bool:
        """True if nothing of the run is left."""
        return not (self.processes_left or self.names_left or self.folder_left)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One workload with one setting of its parameters, not yet run.

    Attributes:
        experiment: Name of the experiment; empty for a function run by itself.
        arm: The treatment.
        workload: ``module:name``, or ``<cell>:name`` for a function that travels as source.
        params: Keyword arguments, JSON values only.
        block: Number of the shuffled block that the trial belongs to, from 0.
        seed: Seed that shuffled the blocks.
        source: Pieces of source of a function typed in a notebook and of all that it names, in order; else empty.
        python: The word for the interpreter to run on: ``"own"`` is the notebook's, see `labkit.runs.pythons`.
    """

    workload: str
    experiment: str = ""
    arm: str = ""
    params: Mapping[str, Json] = field(default_factory=dict)
    block: int = 0
    seed: int = 0
    source: tuple[Part, ...] = ()
    python: str = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that one trial left behind. A crash or a hang is a value here, never an exception.

    Attributes:
        trial: What was asked for.
        ending: How the process ended.
        exit_code: As the operating system reports it, ``-11`` means signal 11; None if there was no process.
        elapsed_s: Wall time of the workload alone; None if it did not return.
        lifetime_s: Wall time from the request until nothing was left.
        deadline_s: The deadline that it ran under.
        cpu_s: CPU time of the worker process and the children that it waited for; None if not known.
        python: Version of the interpreter that ran it, with a ``t`` for a free-threaded build.
        result: What the workload returned, one value per column; ``{"value": v}`` if it was not a dict.
        reason: Why it could not run or start, which limit it passed, what it raised, where it crashed, or what its
            threads waited for.
        error: Traceback, if the workload raised.
        stacks: Stacks of all threads, if the process crashed or ran past its deadline.
        output: What it printed: first and last 32 KiB.
        events: The timeline, ordered by time.
        damaged_count: Records on the event pipe that could not be read.
        receipt: What was started and what was removed.
    """

    trial: Trial
    ending: Ending
    exit_code: int | None = None
    elapsed_s: float | None = None
    lifetime_s: float = 0.0
    deadline_s: float = 10.0
    cpu_s: float | None = None
    python: str = ""
    result: Mapping[str, Json] = field(default_factory=dict)
    reason: str = ""
    error: str = ""
    stacks: str = ""
    output: str = ""
    events: tuple[Event, ...] = ()
    damaged_count: int = 0
    receipt: Receipt = field(default_factory=Receipt)

    def explain(self) -> str:
        """Say in one phrase how the run ended, to stand after 'The run'."""
        if self.ending is Ending.KILLED and self.exit_code is not None:
            return f"was killed by {_signal_name(-self.exit_code)} {self.reason}".rstrip()
        if self.ending is Ending.TIMED_OUT:
            why = f": {self.reason}" if self.reason else ""
            return f"ran past its deadline of {in_words('deadline_s', self.deadline_s)} and was ended{why}"
        if self.ending is Ending.RAISED and self.error:
            return f"raised {self.reason or self.error.strip().splitlines()[-1]}"
        if self.ending is Ending.EXITED:
            return f"exited without a result (exit code {self.exit_code})"
        if self.ending is Ending.FINISHED and self.elapsed_s is not None:
            return f"finished in {in_words('elapsed_s', self.elapsed_s)}"
        return f"{self.ending.value}: {self.reason}" if self.reason else self.ending.value

    def check(self) -> Run:
        """Return this run if it finished.

        Raises:
            RunFailed: If it ended in any other way.
        """
        if self.ending is not Ending.FINISHED:
            raise RunFailed(self)
        return self

    def __repr__(self) -> str:
        """Show one line, for a notebook without a front end."""
        name = self.trial.arm or self.trial.workload
        shown = f" -> {dict(self.result)}" if self.result else ""
        return f"<Run of {name}: {self.explain()}{shown}>"


class Interpreter(NamedTuple):
    """One Python found on this machine, as its own probe answered.

    Attributes:
        path: The executable.
        version: ``"3.13.0"``, with a ``t`` for a free-threaded build.
        gil: True if its GIL is on.
        subinterpreters: True if it can make subinterpreters.
        found_in: Where it was found: this kernel, PATH, pyenv, uv or conda.
        switch_interval_s: How long a thread waits there before it asks for the GIL, unless told otherwise.
    """

    path: str
    version: str
    gil: bool
    subinterpreters: bool
    found_in: str
    switch_interval_s: float = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine that measures, as far as it decides what a lesson can show.

    Attributes:
        system: Operating system and release.
        processor: Processor type, such as ``x86_64``.
        cores_count: Cores that this process may use: affinity and cgroup quota, possibly a fraction.
        cores_present_count: Cores that the machine reports.
        cores_why: Why the two differ; empty if they do not.
        memory_bytes: Memory that this process may use at most (cgroup limit or physical).
        memory_free_bytes: Memory that is available now.
        shared_memory_bytes: Room in ``/dev/shm``; None where there is none.
        python: Version of this interpreter, with a ``t`` for a free-threaded build.
        gil: True if its GIL is on.
        switch_interval_s: How long a waiting thread waits before it asks for the GIL.
        start_method: How ``multiprocessing`` starts processes by default.
        load_ratio: Runnable processes per usable core over the last minute; None where it is not known.
        interpreters: Those found here, this one first; a recording leaves them out, since their paths are private.
    """

    system: str
    processor: str
    cores_count: float
    cores_present_count: int
    cores_why: str
    memory_bytes: int
    memory_free_bytes: int
    shared_memory_bytes: int | None
    python: str
    gil: bool
    switch_interval_s: float
    start_method: str
    load_ratio: float | None
    interpreters: tuple[Interpreter, ...] = field(default=(), compare=False)


class Claim(NamedTuple):
    """One sentence of the article, from ``data/claims.csv``.

    Attributes:
        id: Unique, such as ``"memory.race"``.
        article_section: Heading under which the article says it.
        claim: What it says, as one sentence.
        lesson: Slug of the lesson that takes it up.
        measured_by: What has to be measured to judge it.
        experiment: Name of the experiment that measures it, or ``"not built yet"``.
        judge: Name of the function in the experiment's file that judges it, or ``"not built yet"``.
    """

    id: str
    article_section: str
    claim: str
    lesson: str
    measured_by: str
    experiment: str
    judge: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the measurements say of a claim.

    Attributes:
        outcome: One of the four words.
        sentence: One sentence with the number, for a student.
        effect: The number; None if it cannot be measured here.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
        unit: What the number counts, such as ``"share of additions lost"``.
        runs_count: Runs behind it.
        reason: Why it cannot be measured here, or why it is too close; else empty.
        unasked: True if it only lacks runs that nobody has asked for yet.
    """

    outcome: Literal["holds", "does not hold", "too close to call", "cannot be measured here"]
    sentence: str
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    runs_count: int = 0
    reason: str = ""
    unasked: bool = False

    @property
    def word(self) -> str:
        """The outcome as it is shown: what was not asked for is not measured yet, and no fault of the machine."""
        return "not measured yet" if self.unasked else self.outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """A question with the workloads that answer it: one per file in ``labkit/experiments``.

    Attributes:
        name: Short and unique; with underscores it is the file's name.
        question: What the student wants to know, as a sentence.
        source: Heading of the article that the question comes from.
        arms: The treatments that are compared. Each takes every swept parameter by keyword and returns every column.
        units: What each arm's workers are, a key of `LOOKS`: it fixes colour and marker.
        sweep: The values that each parameter may take; the sliders offer these.
        defaults: The value that a parameter has when nobody chose one.
        columns: Every column that the arms return, with its meaning. The unit is the suffix.
        headline: The column that the picture shows.
        draw: Draws a table of runs on one Axes. Never measures.
        expect: Says which effects to expect on a machine.
        claims: The judge of each claim of ``data/claims.csv`` that this experiment decides: table in, verdict out.
        limits: What one run may use at most.
        pythons: True if picture and verdicts tell interpreters apart, so that it may be measured on several.
    """

    name: str
    question: str
    source: str
    arms: Mapping[str, Callable[..., Mapping[str, Json]]]
    units: Mapping[str, str]
    sweep: Mapping[str, Sequence[Json]]
    defaults: Mapping[str, Json]
    columns: Mapping[str, str]
    headline: str
    draw: Callable[[DataFrame, Axes], None]
    expect: Callable[[Machine], Sequence[str]]
    claims: Mapping[str, Callable[[DataFrame], Verdict]]
    limits: Limits = field(default_factory=Limits)
    pythons: bool = False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
