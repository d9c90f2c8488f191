"""Gather what was done and measured into one JSON document, and check one. Rule: a document is a stranger's until read.

The hash is no signature: whoever changes the file on purpose can compute it anew. It shows what was changed by accident
or without care.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit import __version__, experiments
from labkit.course import lessons, predictions, progress, session
from labkit.course.lesson import Probe
from labkit.course.standing import standings
from labkit.errors import BadValue
from labkit.model import Ending
from labkit.runs import files
from labkit.runs.lines import Wrong, parse
from labkit.runs.machine import machine
from labkit.units import MIB

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from labkit.model import Json, Run

__all__ = ["FILE_BYTES_MOST", "FORMAT", "Checked", "check", "gather", "sealed", "written"]

FORMAT = 1
FILE_BYTES_MOST = MIB
_RUNS_MOST = (2000, 500, 100, 0)  # listed in all, tried in turn until the file is small enough
_SETTINGS_MOST = 300  # of one experiment
_TEXT_MOST = 300
_IDS_MOST, _TRIES_MOST = 200, 10  # the newest; the course asks about 50 of each kind
_NUMBER_MOST = 1e300
_PARTS = ("machine", "measured", "verdicts", "predictions", "quiz", "exercises")
_FIELDS = {"labkit_evidence", "labkit", "lesson", "written_at", "about", *_PARTS, "part_hashes", "hash", "page_hash"}
_HASH = re.compile(r"[0-9a-f]{64}")
_ABOUT = (
    "Written by labkit from what one student's kernel measured and kept. The hash is the SHA-256 of this document "
    "(canonical JSON, without 'hash' and 'page_hash'). It shows accidental or careless changes. It is no signature: it "
    "does not prove who wrote this, or that nobody wrote it by hand."
)


class Checked(NamedTuple):
    """What a check of an evidence file found.

    Attributes:
        unchanged: True if file and page are as they were written.
        sentence: The same in words, with what differs.
    """

    unchanged: bool
    sentence: str

    def __repr__(self) -> str:
        """Say it as a notebook shows it."""
        return self.sentence


def gather(lesson: str, at: str) -> dict[str, Json]:
    """Collect everything of a lesson, or of the whole course, into one JSON document with its hashes.

    Args:
        lesson: Slug; empty for the whole course.
        at: When, in UTC.
    """
    for most in _RUNS_MOST:
        document = sealed(_document(lesson, at, most))
        if len(written(document)) <= FILE_BYTES_MOST - 200:  # the page's hash comes with it
            return document
    advice = "Restart the kernel, and measure again; or begin anew with labkit.course.progress.erase()."
    raise BadValue("evidence", f"{len(written(document))} bytes", "at most 1 MiB as JSON", advice)


def sealed(document: dict[str, Json]) -> dict[str, Json]:
    """Return a document with the hash of each part and of the whole."""
    parts = {name: _hash(document[name]) for name in _PARTS}
    whole = {**document, "part_hashes": parts}
    return {**whole, "hash": _hash(whole)}


def written(document: dict[str, Json]) -> bytes:
    """Return a document as its file holds it."""
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def check(path: str | os.PathLike[str]) -> Checked:
    """Say whether an evidence file, and the page beside it, are as they were written.

    Args:
        path: The JSON file, whoever wrote it, or the page beside it.

    Returns:
        'unchanged since it was written', or what differs; also for a file that is none at all.

    Raises:
        BadValue: If it is no path.
    """
    try:
        place = Path(path).with_suffix(".json")
    except (TypeError, ValueError):
        advice = "Name the JSON file that lab.evidence wrote."
        raise BadValue("path", path, "the path of a file", advice) from None
    try:
        document = _checked_fields(files.read(place, FILE_BYTES_MOST))
        page = files.read(place.with_suffix(".html"), 4 * FILE_BYTES_MOST)
    except Wrong as problem:
        return Checked(unchanged=False, sentence=f"{place.name} is no evidence that can be read: {problem}.")
    found = _changes(document)
    if found:
        return Checked(unchanged=False, sentence=f"{place.name} was changed after it was written: {', '.join(found)}.")
    if page is None:
        return Checked(unchanged=True, sentence=f"{place.name} is unchanged since it was written; its page is missing.")
    if hashlib.sha256(page).hexdigest() != document["page_hash"]:
        sentence = f"{place.name} is unchanged since it was written, but its page {place.stem}.html was changed."
        return Checked(unchanged=False, sentence=sentence)
    return Checked(unchanged=True, sentence=f"{place.name} and its page are unchanged since it was written.")


def _document(lesson: str, at: str, runs_most: int) -> dict[str, Json]:
    here = asdict(machine())
    del here["interpreters"]  # their paths are private, as in a recording
    return {
        "labkit_evidence": FORMAT,
        "labkit": __version__,
        "lesson": lesson or "all",
        "written_at": at,
        "about": _ABOUT,
        "machine": here,
        "measured": _measured(runs_most),
        "verdicts": _verdicts(lesson),
        "predictions": _predictions(lesson),
        "quiz": _quizzes(lesson),
        "exercises": _exercises(lesson),
    }


def _measured(runs_most: int) -> list[Json]:
    found = []
    left = runs_most
    for experiment in experiments.load_all():
        runs = session.runs_of(experiment.name)
        if not runs:
            continue
        listed = runs[-left:] if left else ()
        left -= len(listed)
        groups: dict[str, list[Run]] = {}
        for run in runs:
            key = json.dumps([run.trial.arm, run.python, dict(run.trial.params)], sort_keys=True)
            groups.setdefault(key, []).append(run)
        found.append(
            {
                "experiment": experiment.name,
                "question": experiment.question,
                "runs_count": len(runs),
                "settings_count": len(groups),
                "settings": [
                    _setting(group, experiment.columns) for _, group in sorted(groups.items())[:_SETTINGS_MOST]
                ],
                "listed_count": len(listed),
                "runs": [_run(run) for run in listed],
            }
        )
    return found


def _setting(runs: Sequence[Run], columns: Any) -> dict[str, Json]:
    finished = [run.result for run in runs if run.ending is Ending.FINISHED]
    medians = {}
    for name in columns:
        numbers = [one[name] for one in finished if _is_plain(one.get(name)) and type(one[name]) is not bool]
        if numbers:
            medians[name] = median(numbers)
    return {
        "arm": runs[0].trial.arm,
        "python": runs[0].python,
        "params": _plain(runs[0].trial.params),
        "runs_count": len(runs),
        "endings": dict(Counter(run.ending.value for run in runs)),
        "medians": medians,
    }


def _run(run: Run) -> dict[str, Json]:
    trial = run.trial
    return {
        "arm": trial.arm,
        "block": trial.block,
        "seed": trial.seed,
        "params": _plain(trial.params),
        "ending": run.ending.value,
        "python": run.python,
        "result": _plain(run.result),
    }


def _plain(values: Any) -> dict[str, Json]:
    """Keep numbers and short texts; say anything larger as text, cut."""
    found = {}
    for name, value in values.items():
        plain = value.item() if hasattr(value, "item") else value  # numpy's own numbers are no JSON
        found[str(name)] = plain if _is_plain(plain) else _text(plain)
    return found


def _is_plain(value: Json) -> bool:
    return type(value) in (int, float, bool) and abs(value) < _NUMBER_MOST  # no NaN, no infinity: JSON has neither


def _text(value: Json) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value)
    whole = text.encode(errors="replace").decode()
    return whole if len(whole) <= _TEXT_MOST else f"{whole[: _TEXT_MOST - 1]}…"


def _verdicts(lesson: str) -> list[Json]:
    try:
        found = standings(lesson)
    except BadValue:  # a lesson without claims
        return []
    return [
        {
            "claim": one.claim.id,
            "article": one.claim.claim,
            "experiment": one.experiment,
            "runs_count": one.runs_count,
            "verdict": None if one.verdict is None else _plain(asdict(one.verdict)),
        }
        for one in found
    ]


def _predictions(lesson: str) -> list[Json]:
    """Say per question what was chosen, when, and what came out: now, or when it was compared first."""
    now = {one.id: predictions.comparison(one) for one in predictions.asked()}
    asked = {one.id: one.question for one in predictions.asked() if one.lesson == lesson or not lesson}
    found = _by_id(lesson, "predict", _prediction)
    found += [
        {"id": name, "question": question, "choices": [], "came": None}
        for name, question in asked.items()
        if name not in {one["id"] for one in found}
    ]
    for one in found:
        compared = now.get(one["id"])
        one["now"] = compared.sentence() if compared else None
    return found


def _by_id(lesson: str, kind: str, tell: Any) -> list[Any]:
    """Group what was kept of a kind by its id, and say each group with a function."""
    groups: dict[str, list[progress.Entry]] = {}
    for entry in progress.entries():
        if entry.kind == kind and (entry.lesson == lesson or not lesson) and type(entry.value) is dict:
            groups.setdefault(entry.id, []).append(entry)
    return [{"id": name, **tell(group)} for name, group in list(groups.items())[-_IDS_MOST:]]


def _prediction(group: list[progress.Entry]) -> dict[str, Json]:
    choices: list[Json] = []
    came = None
    for entry in group:
        compared = entry.value.get("came")
        if type(compared) is dict:
            sentence, right = _text(compared.get("sentence")), compared.get("right")
            came = came or {"at": entry.at, "sentence": sentence, "right": right if type(right) is bool else None}
        else:
            answer = None if entry.value.get("answer") is None else _text(entry.value.get("text"))
            choices.append({"at": entry.at, "answer": answer, "after_run": entry.value.get("after_run") is True})
    return {"question": _text(group[-1].value.get("question")), "choices": choices[-_TRIES_MOST:], "came": came}


def _quizzes(lesson: str) -> list[Json]:
    texts = {question.id: question.text for one in lessons.lessons().values() for question in one.quiz}
    return [{**one, "question": texts.get(one["id"])} for one in _by_id(lesson, "quiz", _quiz)]


def _quiz(group: list[progress.Entry]) -> dict[str, Json]:
    tries = [
        {"at": one.at, "text": _text(one.value.get("text")), "right": one.value.get("right") is True} for one in group
    ]
    return {"tries_count": len(tries), "right": any(one["right"] for one in tries), "tries": tries[-_TRIES_MOST:]}


def _exercises(lesson: str) -> list[Json]:
    """Say what was reached, and whether a measurement said so: that proves nothing for another machine."""
    asked = [exercise for one in lessons.lessons().values() for exercise in one.exercises]
    measured = {one.id for one in asked if any(not isinstance(probe, Probe) for probe in one.probes)}
    return [{**one, "measured": one["id"] in measured} for one in _by_id(lesson, "exercise", _exercise)]


def _exercise(group: list[progress.Entry]) -> dict[str, Json]:
    last = group[-1]
    best = next((one for one in reversed(group) if one.value.get("state") == "proved"), last)
    return {
        "state": _text(best.value.get("state")),
        "message": _text(best.value.get("message")),
        "at": best.at,
        "tries": _text(last.value.get("tries")),
        "checks_count": len(group),
    }


def _hash(value: Json) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _checked_fields(data: bytes | None) -> dict[str, Json]:
    if data is None:
        raise Wrong("there is no such file")
    document: Any = parse(data)
    if type(document) is not dict or "labkit_evidence" not in document:
        raise Wrong("it was not written by lab.evidence")
    if document["labkit_evidence"] != FORMAT or type(document["labkit_evidence"]) is not int:
        raise Wrong(f"this labkit reads format {FORMAT}")
    if document.keys() != _FIELDS:
        odd = sorted(document.keys() ^ _FIELDS)
        raise Wrong(f"a field is missing or too many: {', '.join(odd)[:80]}")
    hashes = document["part_hashes"]
    if type(hashes) is not dict or hashes.keys() != set(_PARTS):
        raise Wrong("the hashes of its parts are not all there")
    for one in (*hashes.values(), document["hash"], document["page_hash"]):
        if type(one) is not str or not _HASH.fullmatch(one):
            raise Wrong("a hash in it is none")
    return document


def _changes(document: dict[str, Json]) -> list[str]:
    """Name what differs from what was hashed; empty if nothing does."""
    parts = [name for name in _PARTS if _hash(document[name]) != document["part_hashes"][name]]
    whole = {name: value for name, value in document.items() if name not in {"hash", "page_hash"}}
    if _hash(whole) == document["hash"]:
        return parts  # the hash of a part may have been made anew, carelessly
    return parts or ["its head, or a hash"]
