"""A witness to step through, forwards and backwards, in plain HTML that needs no kernel. Rule: all text is escaped.

The table of all steps is the base: it is what a page without scripts shows, such as an untrusted notebook. The script
puts the picture before it. What a step looks like is said once, in Python (`frame_at`): a dictionary from parts of the
page to their values, which `body` draws and the script puts in place.
"""

from __future__ import annotations

import json
import secrets
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from labkit.interleave.patterns import advice
from labkit.interleave.story import letter, shared_at, shared_names
from labkit.interleave.text import describe, steps_left_out
from labkit.interleave.words import deed, end, say, short, where_it_waits
from labkit.show import lanes, ring, source_columns
from labkit.show.geometry import Geometry
from labkit.show.stepper_style import SCRIPT, STYLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.interleave.result import Result, Shared

__all__ = ["Scene", "body", "frame_at", "scene", "static_table", "stepper_html"]

_MOST_STEPS = 300  # that the page can hold; of a longer witness it has the last ones
_MOST_ROWS = 200  # of the table
_VALUE = 60  # characters
_CELL = 'style="text-align:left;padding:2px 14px 2px 4px;vertical-align:top"'
_UNSAFE = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}  # they could end the script


class Scene(NamedTuple):
    """A result with all that is worked out once for its pictures."""

    result: Result
    shape: Geometry
    listing: list[source_columns.Column]
    names: tuple[tuple[str, int], ...]
    what: tuple[str, ...]  # columns of the table of shared values


def scene(result: Result) -> Scene:
    """Work out where everything stands."""
    shared = [one for step in result.witness for one in step.shared]
    values, locks = any(one.value for one in shared), any(one.owner >= 0 or one.waiters for one in shared)
    what = (*(("value", "writer") if values or not locks else ()), *(("owner", "waiters") if locks else ()))
    return Scene(result, Geometry(result), source_columns.columns_of(result), shared_names(result), what)


def frame_at(stage: Scene, position: int) -> dict[str, str]:
    """Return what the page shows after `position` steps, as ``"part|attribute"`` -> value; all others are empty."""
    result = stage.result
    last = position == len(result.witness)
    wrong = (last and result.verdict == "bug") or (position > 0 and result.witness[position - 1].stale >= 0)
    state = {
        "count|text": f"Step {position} of {len(result.witness)}" if position else "Before the first step",
        "say|text": _sentence(result, position),
        "say|data-state": "wrong" if wrong else "",
        "advice|text": advice(result.pattern) if last else "",
    }
    state |= _shared_frame(stage, position) | lanes.frame(result, stage.shape, position)
    return state | ring.frame(result, position) | source_columns.frame(result, stage.listing, position)


def body(stage: Scene, position: int, shown: range | None = None) -> str:
    """Draw one step as HTML: sentence, lanes, source columns, shared values.

    Args:
        stage: The result.
        position: How many steps have been made.
        shown: Steps to draw in the lanes; those around the position if left out.
    """
    state = frame_at(stage, position)
    result = stage.result
    picture = lanes.markup(result, stage.shape, state, shown or stage.shape.columns(position), describe(result))
    told = f'<p class="lk-advice" data-part="advice">{escape(state["advice|text"])}</p>' if result.pattern else ""
    return (
        f'<p class="lk-say" data-part="say" data-state="{state["say|data-state"]}" role="status" aria-live="polite">'
        f"{escape(state['say|text'])}</p>{told}{picture}{source_columns.markup(result, stage.listing, state)}"
        f'<div class="lk-below">{_shared_table(stage, state)}{ring.markup(result, state)}</div>'
    )


def stepper_html(result: Result) -> str:
    """Return a stepper as HTML that stands alone; a sentence if there is no witness to step through."""
    if not result.witness:
        return "<p>There is no witness to step through.</p>"
    stage, count = scene(result), len(result.witness)
    first = max(0, count - _MOST_STEPS)
    name = f"lk{secrets.token_hex(6)}"  # unique: one result may be shown twice on a page
    cut = f"<p>The first {first:,} of {count:,} steps are not on this page.</p>" if first else ""
    shown = range(stage.shape.columns(first).start, count)
    attributes = 'class="lk" role="group" aria-label="Stepper" data-lm-suppress-shortcuts="true"'  # Lab's own keys
    inner = f"{STYLE}<div {attributes}>{cut}{_controls(first, count)}{body(stage, count, shown)}</div>"
    frames = [frame_at(stage, position) for position in range(first, count + 1)]
    data = _safe_json({"html": inner, "first": first, "frames": frames})
    script = SCRIPT.replace("ID", name).replace("DATA", data)
    base = f'<div class="lk-static">{static_table(result)}</div>'
    return f'<div data-lk-stepper="{name}">{base}</div><script>{script}</script>'


def static_table(result: Result) -> str:
    """Show all steps as a table that needs neither script nor style."""
    head = "".join(f'<th scope="col" {_CELL}>{escape(words)}</th>' for words in _heads(result))
    rows, left_out = [], steps_left_out(result, _MOST_ROWS)
    for index, step in enumerate(result.witness):
        if left_out and index == left_out.start:
            rows.append(f'<tr><td colspan="9">… {len(left_out):,} steps left out</td></tr>')
        if index not in left_out:
            who = letter(result, step.thread)
            cells = [
                deed(result, index).removeprefix(who + " ") if number == step.thread else ""
                for number in range(len(result.threads))
            ]
            mark = f" ✗ stale: step {step.overwritten + 1} is lost" if step.stale >= 0 else ""
            cells[step.thread] += mark
            rows.append(_plain_row(str(index + 1), [*cells, _values(result, index + 1)]))
    if result.blocked:
        stuck = {row[0]: where_it_waits(result, *row[:3]).partition(" ")[2] for row in result.blocked}
        cells = [f"✗ {stuck[number]}" if number in stuck else "" for number in range(len(result.threads))]
        rows.append(_plain_row("end", [*cells, ""]))
    said = say(result, len(result.witness) - 1) if result.witness else end(result)
    closing = escape(f"{said} {advice(result.pattern)}".strip())
    caption = '<caption style="text-align:left">All steps of the witness</caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table><p>{closing}</p>"


def _plain_row(head: str, cells: list[str]) -> str:
    return (
        f'<tr><th scope="row" {_CELL}>{head}</th>{"".join(f"<td {_CELL}>{escape(cell)}</td>" for cell in cells)}</tr>'
    )


def _heads(result: Result) -> list[str]:
    return ["step", *(f"{lane.name}: {lane.function}" for lane in result.threads), "shared values after it"]


def _values(result: Result, position: int) -> str:
    """Say all shared values and held locks in one line."""
    now = shared_at(result, position).values()
    values = [f"{one.name} = {short(one.value, _VALUE)}" for one in now if one.value]
    return ", ".join(values + [f"{one.name} held by {letter(result, one.owner)}" for one in now if one.owner >= 0])


def _sentence(result: Result, position: int) -> str:
    if not position:
        return "Nothing has happened yet. Every thread stands before its first step."
    last = position == len(result.witness)
    sentence = say(result, position - 1)
    if last and not end(result) and result.kind == "livelock":
        sentence += " From here it can begin again."
    return sentence


def _controls(first: int, last: int) -> str:
    def button(go: str, words: str, name: str) -> str:
        return f'<button type="button" data-go="{go}" aria-label="{name}">{words}</button>'

    return (
        f'<div class="lk-bar">{button("first", "First", "First step")}'
        f"{button('previous', '◀ Previous', 'Previous step')}"
        f"{button('next', 'Next ▶', 'Next step')}{button('last', 'Last', 'Last step')}"
        f'<label><span data-part="count">Step {last} of {last}</span>'
        f'<input type="range" min="{first}" max="{last}" value="{last}" step="1" aria-label="Step"></label></div>'
    )


def _shared_frame(stage: Scene, position: int) -> dict[str, str]:
    now = shared_at(stage.result, position)
    state: dict[str, str] = {}
    for number, key in enumerate(stage.names):
        one = now.get(key)
        if one is None:
            continue
        cells = {
            "value": short(one.value, _VALUE),
            "writer": _writer(stage.result, one),
            "owner": letter(stage.result, one.owner) if one.owner >= 0 else "",
            "waiters": ", ".join(letter(stage.result, thread) for thread in one.waiters),
        }
        state |= {f"v{number}.{what}|text": cells[what] for what in stage.what}
        if (
            position
            and one != shared_at(stage.result, position - 1).get(key)
            and (position > 1 or one.writer == 0 or one.owner >= 0)
        ):
            state[f"v{number}|data-state"] = "changed"
    return state


def _writer(result: Result, one: Shared) -> str:
    if not 0 <= one.writer < len(result.witness):
        return ""
    return f"{letter(result, result.witness[one.writer].thread)} in step {one.writer + 1}"


def _shared_table(stage: Scene, state: Mapping[str, str]) -> str:
    if not stage.names:
        return ""
    heads = {"value": "value", "writer": "last written by", "owner": "held by", "waiters": "waiting"}
    head = "".join(f'<th scope="col">{heads[one]}</th>' for one in stage.what)
    rows = []
    for number, (name, _) in enumerate(stage.names):
        keys = [f"v{number}.{one}" for one in stage.what]
        cells = "".join(f'<td data-part="{key}">{escape(state.get(f"{key}|text", ""))}</td>' for key in keys)
        look = state.get(f"v{number}|data-state", "")
        rows.append(
            f'<tr data-part="v{number}" data-state="{look}"><th scope="row">{escape(short(name, _VALUE))}</th>'
            f"{cells}</tr>"
        )
    return (
        f'<table><caption>Shared by the threads</caption><thead><tr><th scope="col">name</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _safe_json(data: object) -> str:
    """Write JSON that can stand inside a script: no text in it can end the script or begin a comment."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.translate(_UNSAFE)
