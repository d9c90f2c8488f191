"""One run as one line of JSON, and back. Rule: a line was written by a stranger until every value in it was checked.

JSON alone takes deep nesting, NaN, 1e999 and keys that appear twice; the tables below say what a run and a machine are.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from labkit.errors import BadValue
from labkit.model import KINDS, Ending, Event, Machine, Part, Receipt, Run, Trial
from labkit.runs.pythons import OWN, is_word
from labkit.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORMAT", "LINE_BYTES_MOST", "Wrong", "header", "line_of", "machine_of", "parse", "run_of"]

FORMAT = 1
LINE_BYTES_MOST = 4 * MIB
_DEPTH_MOST = 8
_DIGITS_MOST = 4300  # Python's own limit, which an environment variable may have lifted
_WORD = 1 << 63


class Wrong(ValueError):  # noqa: N818 - as in labkit.errors; becomes a BadRecording or BadValue
    """A line is not what it should be; the message completes 'line 3: ...'."""


def header(machine: Machine) -> bytes:
    """Write the first line of a recording.

    Raises:
        BadValue: If it is no machine, or one that could not be read back.
    """
    if not isinstance(machine, Machine):
        raise BadValue("machine", machine, "a Machine", "Leave it out for this one.")
    line = _encoded({"labkit_recording": FORMAT, "machine": _public(machine)}, "machine")
    _same(machine_of, line, machine, "machine")
    return line


def line_of(run: Run) -> bytes:
    """Write one run.

    Raises:
        BadValue: If it is no run, or one that could not be read back: over 4 MiB or 8 levels, or not JSON.
    """
    if not isinstance(run, Run):
        raise BadValue("runs", run, "a collection of runs", "Pass what lab.run or lab.measure returned.")
    trial = {item.name: getattr(run.trial, item.name) for item in dataclasses.fields(Trial)}
    trial["params"] = dict(run.trial.params)
    if trial["python"] == OWN:
        del trial["python"]  # as before there were others
    fields = {item.name: getattr(run, item.name) for item in dataclasses.fields(Run)}
    plain = {"trial": trial, "ending": run.ending.value, "result": dict(run.result), "receipt": run.receipt._asdict()}
    line = _encoded(fields | plain, "runs")
    _same(run_of, line, run, "runs")
    return line


def _public(machine: Machine) -> dict[str, object]:
    """Give what a recording says of a machine: all but the paths on it."""
    return {name: value for name, value in dataclasses.asdict(machine).items() if name != "interpreters"}


def machine_of(line: bytes) -> Machine:
    """Read the first line of a recording.

    Raises:
        Wrong: If it is not what `header` writes.
    """
    value = parse(line)
    if type(value) is not dict or "labkit_recording" not in value:
        raise Wrong("it is not the header that lab.save writes")
    number = value["labkit_recording"]
    if type(number) is not int or number != FORMAT:
        raise Wrong(f"its format is {repr(number)[:40]}; this labkit reads format {FORMAT}")
    machine: Machine = _HEADER("the header", value)
    return machine


def run_of(line: bytes) -> Run:
    """Read one run.

    Raises:
        Wrong: If it is not what `line_of` writes.
    """
    run: Run = _RUN("run", parse(line))
    return run


def _encoded(value: object, name: str) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(name, value, "JSON values", f"Leave it out: {error}.") from None


def _same(read: Callable[[bytes], object], line: bytes, value: object, name: str) -> None:
    """Refuse to write what could not be read back: a recording that is lost later is lost for good."""
    try:
        same = read(line[:-1]) == value
    except Wrong as problem:
        raise BadValue(name, value, "what can be read back", f"Leave it out: {problem}.") from None
    if not same:
        raise BadValue(name, value, "JSON values", "Leave it out: it would come back changed.")


def parse(line: bytes) -> Any:
    """Parse one line, strictly: JSON alone would take deep nesting, NaN, 1e999 and keys that appear twice."""
    if len(line) > LINE_BYTES_MOST:
        raise Wrong("it is longer than 4 MiB")
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Wrong("it is not UTF-8") from None
    if _deep(text):
        raise Wrong(f"it nests more than {_DEPTH_MOST} levels, or its brackets do not match")
    try:
        return json.loads(
            text, object_pairs_hook=_unique, parse_constant=_constant, parse_int=_integer, parse_float=_finite
        )
    except json.JSONDecodeError as error:
        raise Wrong(f"it is not JSON ({error.msg}, column {error.colno})") from None


def _deep(text: str) -> bool:
    """Return True if brackets outside strings nest too deep or do not match. All steps are linear, and run in C."""
    outside = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    brackets = re.sub(r"[^\[\]{}]+", "", outside).replace("{", "[").replace("}", "]")
    for _ in range(_DEPTH_MOST):
        brackets = brackets.replace("[]", "")
    return bool(brackets)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Wrong("a key appears twice")
    return found


def _constant(word: str) -> NoReturn:
    raise Wrong(f"{word} is not allowed")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_MOST:
        raise Wrong("a number has too many digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits) if len(digits) <= _DIGITS_MOST else math.inf
    if not math.isfinite(value):
        raise Wrong("a number is too large")
    return value


# Each check takes where a value stands and the value itself, and returns what the value means.


def _of(kinds: tuple[type, ...], word: str) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        if type(value) not in kinds:  # the very type: True is an int to isinstance
            raise Wrong(f"{where} is not {word}")
        if type(value) is int and not -_WORD <= value < _WORD:
            raise Wrong(f"{where} has more than 64 bits")
        return value

    return check


def _list(item: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        if type(value) is not list:
            raise Wrong(f"{where} is not a list")
        return tuple(item(f"{where}[{index}]", inner) for index, inner in enumerate(value))

    return check


def _row(make: Callable[..., Any], *columns: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        if type(value) is not list or len(value) != len(columns):
            raise Wrong(f"{where} is not a list of {len(columns)}")
        return make(*(column(where, inner) for column, inner in zip(columns, value, strict=True)))

    return check


def _record(make: Callable[..., Any], **fields: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        if type(value) is not dict or value.keys() != fields.keys():
            raise Wrong(f"{where} does not have exactly the fields {', '.join(fields)}")
        return make(**{name: field(f"{where}.{name}", value[name]) for name, field in fields.items()})

    return check


def _json(where: str, value: Any) -> Any:  # noqa: ARG001 - a check like the others
    return value


def _one_of(words: tuple[str, ...]) -> Callable[[str, Any], Any]:
    def check(where: str, value: Any) -> Any:
        if type(value) is not str or value not in words:
            raise Wrong(f"{where} is not one of {', '.join(words)}")
        return value

    return check


def _ending(where: str, value: Any) -> Ending:
    return Ending(_one_of(tuple(ending.value for ending in Ending))(where, value))


def _word(where: str, value: Any) -> str:
    if type(value) is not str or not is_word(value):
        raise Wrong(f"{where} is no word for an interpreter")
    return value


def _trial(where: str, value: Any) -> Any:
    """Check a trial; one on the notebook's own Python need not name it."""
    return _TRIAL(where, {"python": OWN, **value} if type(value) is dict else value)


_TEXT = _of((str,), "text")
_WHOLE = _of((int,), "a whole number")
_NUMBER = _of((int, float), "a number")
_YES = _of((bool,), "true or false")
_DICT = _of((dict,), "an object")
_MAYBE_WHOLE = _of((int, type(None)), "a whole number or null")
_MAYBE_NUMBER = _of((int, float, type(None)), "a number or null")

_MACHINE = _record(
    Machine,
    system=_TEXT,
    processor=_TEXT,
    cores_count=_NUMBER,
    cores_present_count=_WHOLE,
    cores_why=_TEXT,
    memory_bytes=_WHOLE,
    memory_free_bytes=_WHOLE,
    shared_memory_bytes=_MAYBE_WHOLE,
    python=_TEXT,
    gil=_YES,
    switch_interval_s=_NUMBER,
    start_method=_TEXT,
    load_ratio=_MAYBE_NUMBER,
)
_HEADER = _record(lambda labkit_recording, machine: machine, labkit_recording=_WHOLE, machine=_MACHINE)  # noqa: ARG005
_TRIAL = _record(
    Trial,
    workload=_TEXT,
    experiment=_TEXT,
    arm=_TEXT,
    params=_DICT,
    block=_WHOLE,
    seed=_WHOLE,
    source=_list(_row(Part, _TEXT, _WHOLE, _TEXT)),
    python=_word,
)
_RECEIPT = _record(
    Receipt,
    processes_started_count=_WHOLE,
    processes_removed=_list(_TEXT),
    processes_left=_list(_TEXT),
    names_removed=_list(_TEXT),
    names_left=_list(_TEXT),
    files_removed_count=_WHOLE,
    folder_left=_YES,
)
_RUN = _record(
    Run,
    trial=_trial,
    ending=_ending,
    exit_code=_MAYBE_WHOLE,
    elapsed_s=_MAYBE_NUMBER,
    lifetime_s=_NUMBER,
    deadline_s=_NUMBER,
    cpu_s=_MAYBE_NUMBER,
    python=_TEXT,
    result=_DICT,
    reason=_TEXT,
    error=_TEXT,
    stacks=_TEXT,
    output=_TEXT,
    events=_list(_row(Event, _WHOLE, _WHOLE, _WHOLE, _one_of(KINDS), _TEXT, _json)),
    damaged_count=_WHOLE,
    receipt=_RECEIPT,
)
