"""Write down what was measured, predicted and solved: one JSON file, and one page. Rule: all text in it is escaped."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.course import evidence as document
from labkit.course import progress, session
from labkit.course.evidence import check
from labkit.errors import BadValue
from labkit.runs import files
from labkit.runs.lines import Wrong
from labkit.show import html
from labkit.units import MIB, in_words

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from labkit.model import Json

__all__ = ["EvidenceCard", "check", "evidence"]

_OWN_PAGE = (
    b'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    b'<meta name="generator" content="labkit evidence">'
)
_PAGE_BYTES_MOST = 4 * MIB
_STYLE = """<style>
:root{color-scheme:light dark}
body{font:17px/1.5 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:.5em 0 1.5em;width:100%}
caption{text-align:left;font-weight:600;padding:.3em 0}
th,td{border-bottom:1px solid #888;padding:4px 12px 4px 0;text-align:left;vertical-align:top;overflow-wrap:break-word}
.wide{overflow-x:auto}
code{overflow-wrap:anywhere}
</style>"""


class EvidenceCard:
    """What `evidence` wrote; shows both files and the hash.

    Attributes:
        json: The document.
        page: The same for a reader.
        hash: SHA-256 of the document.
    """

    def __init__(self, json: Path, page: Path, digest: str, contents: str) -> None:
        """Keep where it was written; ``contents`` is one sentence about what is in it."""
        self.json, self.page, self.hash, self.contents = json, page, digest, contents

    def __repr__(self) -> str:
        """Say it in plain text."""
        return "\n".join(f"{name}: {value}" for name, value in self._facts())

    def _repr_html_(self) -> str:
        table = html.rows(("what", "here"), self._facts(), "Written into the folder of this notebook, or the one given")
        size = "<style>.labkit-evidence.labkit-evidence table{font-size:1em}</style>"
        return f'{size}<div class="labkit-evidence">{html.card("Evidence", table)}</div>'

    def _facts(self) -> list[tuple[str, str]]:
        damaged = progress.damaged_count()
        facts = [
            ("To hand in", self.json.name),
            ("To read", self.page.name),
            ("In it", self.contents),
            ("SHA-256", self.hash),
            ("Worth", "It shows accidental or careless changes. It is no signature."),
            ("To check it", f'from labkit.show.evidence import check; check("{self.json.name}")'),
        ]
        if damaged:
            facts.append(("Left out", f"{damaged} damaged lines of {progress.file().name}"))
        return facts + ([("⚠", progress.problem())] if progress.problem() else [])


def evidence(folder: str | os.PathLike[str] | None = None) -> EvidenceCard:
    """Write the evidence of the lesson that was set up last, or of the whole course if none was.

    It holds the machine, the runs of this session, the verdict of each claim, and every prediction, quiz answer and
    exercise that was kept. Files of an earlier call are replaced; any other file of that name is left alone.

    Args:
        folder: Where to; the notebook's folder if left out.

    Returns:
        A card with the names of both files and the hash.

    Raises:
        BadValue: If the folder is none or cannot be written, or a file of that name was not written by `evidence`.
    """
    place = _folder(folder)
    lesson = session.current_lesson()
    stem = f"labkit-evidence-{lesson or 'all'}"
    target, page = place / f"{stem}.json", place / f"{stem}.html"
    _check_own(target)
    _check_own(page)
    gathered = document.gather(lesson, datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
    shown = _page(gathered).encode("utf-8", "replace")
    gathered["page_hash"] = hashlib.sha256(shown).hexdigest()
    try:
        files.replace(page, shown)
        files.replace(target, document.written(gathered))
    except OSError as error:
        advice = f"{error.strerror or error}: name another one."
        raise BadValue("folder", str(place), "a folder that can be written", advice) from error
    return EvidenceCard(target, page, gathered["hash"], _contents(gathered))


def _folder(folder: object) -> Path:
    try:
        place = Path.cwd() if folder is None else Path(folder)  # type: ignore[arg-type]  # checked here
        if place.is_dir():
            return place
    except (TypeError, ValueError, OSError):
        pass
    raise BadValue("folder", folder, "a folder that exists", "Make it first, or leave it out for the notebook's.")


def _check_own(target: Path) -> None:
    """Refuse to write over a file that `evidence` did not write."""
    try:
        data = files.read(target, _PAGE_BYTES_MOST)
        own = data is None or data.startswith((_OWN_PAGE, b'{\n "labkit_evidence": '))
    except Wrong:
        own = False
    if not own:
        raise BadValue("file", target.name, "a name that is free, or evidence", "Move that file, or name a folder.")


def _contents(gathered: dict[str, Json]) -> str:
    counts = {
        "run": sum(one["runs_count"] for one in gathered["measured"]),
        "verdict": sum(one["verdict"] is not None for one in gathered["verdicts"]),
        "prediction": len(gathered["predictions"]),
        "question": len(gathered["quiz"]),
        "exercise": len(gathered["exercises"]),
    }
    return ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts.items())


def _page(gathered: dict[str, Json]) -> str:
    title = f"Evidence: {gathered['lesson'].replace('_', ' ')}"
    facts = [
        (html.label(n), html.setting_in_words(n, v)) for n, v in gathered["machine"].items() if v not in ("", None)
    ]
    sections = [
        _table("Machine", "Seen when this was written", ("what", "here"), facts),
        _table(
            "What the article says",
            "Judged from all runs of this session",
            ("claim", "verdict", "why", "runs"),
            map(_verdict, gathered["verdicts"]),
        ),
        *(_experiment(one) for one in gathered["measured"]),
        _table(
            "Predictions",
            "Times are UTC",
            ("question", "predicted", "came out"),
            map(_prediction, gathered["predictions"]),
        ),
        _table("Check yourself", "Every try", ("question", "answered right", "tries"), map(_quiz, gathered["quiz"])),
        _table(
            "Exercises",
            "The best that was reached",
            ("exercise", "state", "message", "checks"),
            map(_exercise, gathered["exercises"]),
        ),
    ]
    return (
        f"{_OWN_PAGE.decode()}\n<title>{html.escape(title)}</title>\n{_STYLE}\n</head>\n<body>\n<h1>{html.escape(title)}</h1>"
        f"<p>Written {html.escape(gathered['written_at'])} by labkit {html.escape(gathered['labkit'])}. "
        f"SHA-256 of the document: <code>{html.escape(gathered['hash'])}</code></p>"
        f"<p>{html.escape(gathered['about'])}</p>\n{''.join(sections)}\n</body>\n</html>\n"
    )


def _table(title: str, caption: str, header: Sequence[str], body: Iterable[Sequence[object]]) -> str:
    lines = list(body)
    shown = f'<div class="wide" tabindex="0">{html.rows(header, lines, caption)}</div>' if lines else "<p>None.</p>"
    return f"<h2>{html.escape(title)}</h2>{shown}"


def _experiment(measured: dict[str, Json]) -> str:
    columns = list(dict.fromkeys(name for one in measured["settings"] for name in one["medians"]))
    body = [
        [
            one["arm"],
            one["python"] or "-",
            "; ".join(f"{html.label(name)} {html.setting_in_words(name, v)}" for name, v in one["params"].items()),
            one["runs_count"],
            ", ".join(f"{count} {ending}" for ending, count in one["endings"].items()),
            *(in_words(name, one["medians"][name]) if name in one["medians"] else "-" for name in columns),
        ]
        for one in measured["settings"]
    ]
    left = measured["settings_count"] - len(body)
    more = f" {left} more settings are not shown." if left else ""
    header = ("arm", "Python", "setting", "runs", "endings", *map(html.heading, columns))
    return (
        _table(f"Measured: {measured['experiment']}", "Medians of the finished runs", header, body)
        + f"<p>{html.escape(measured['question'])} {measured['listed_count']} of "
        f"{measured['runs_count']} runs stand one by one in the JSON file.{more}</p>"
    )


def _verdict(one: dict[str, Json]) -> tuple[object, ...]:
    found: dict[str, Any] | None = one["verdict"]
    if found is None:
        return one["article"], "not measured", "", one["runs_count"]
    reason = f" ({found['reason']})" if found["reason"] else ""
    return one["article"], found["outcome"], found["sentence"] + reason + _interval(found), one["runs_count"]


def _interval(verdict: dict[str, Any]) -> str:
    effect, low, high = (verdict[name] for name in ("effect", "low", "high"))
    if not all(isinstance(number, (int, float)) for number in (effect, low, high)):
        return ""  # nothing was measured, or it is infinite, which JSON cannot say as a number
    return f" {verdict['unit']}: {effect:.3g} (95 % interval {low:.3g} to {high:.3g})."


def _prediction(one: dict[str, Json]) -> tuple[object, ...]:
    said = [
        f"{c['answer'] or 'skipped'}{' (after the run)' if c['after_run'] else ''}, {c['at']}" for c in one["choices"]
    ]
    came = one["now"] or (f"{one['came']['sentence']} ({one['came']['at']})" if one["came"] else "not compared")
    return one["question"] or one["id"], "; ".join(said) or "no prediction", came


def _quiz(one: dict[str, Json]) -> tuple[object, ...]:
    tried = "; ".join(f"{t['text']} ({'right' if t['right'] else 'not right'}, {t['at']})" for t in one["tries"])
    return one["question"] or one["id"], "yes" if one["right"] else "not yet", tried


def _exercise(one: dict[str, Json]) -> tuple[object, ...]:
    right = one["measured"] and one["state"] == "proved"
    state = "right, as measured" if right else one["state"] or "not known"
    return one["id"], state, one["message"] or "", f"{one['checks_count']}, {one['at']}"
