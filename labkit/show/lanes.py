"""The witness as a picture in SVG: a lane per thread, lock bars, waits, stale reads, the circle of a deadlock.

Rule: text in, text out; everything that moves is a named part, so that a script can move it as Python does.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from labkit.interleave.story import Arrow, Bar, arrows, holds, letter, waits
from labkit.interleave.words import short
from labkit.show.geometry import MOST_WIDE, Geometry, arrow_points, box_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.interleave.result import Result, Step

__all__ = ["INKS", "chip", "frame", "markup"]


class Ink(NamedTuple):
    """The colour of a thread, and that of text on it (contrast 5 at least in each pair)."""

    fill: str
    text: str


# Okabe and Ito's colours that stand for no kind of worker in the other lessons, after the blue of threads.
INKS = (
    Ink("#0072B2", "#fff"),
    Ink("#E69F00", "#000"),
    Ink("#56B4E9", "#000"),
    Ink("#595959", "#fff"),
    Ink("#F0E442", "#000"),
)
_NEVER = "off"
_TINY_WIDE = 7.5  # of a letter of 13 pixels


def chip(result: Result, thread: int) -> str:
    """Show a thread's letter on its colour."""
    fill, text = INKS[thread % len(INKS)]
    name = escape(short(letter(result, thread), 12))
    return f'<span class="lk-chip" style="background:{fill};color:{text}">{name}</span>'


def frame(result: Result, shape: Geometry, position: int) -> dict[str, str]:
    """Return what moves in the picture at a position."""
    last = position == len(result.witness)
    x, left = shape.width if last else shape.x(position), shape.window(position)
    state = {
        "lanes|viewBox": f"{left:g} 0 {shape.visible:g} {shape.height:g}",
        "labels|transform": f"translate({left:g} 0)",
        "cover|x": f"{x:g}",
        "now|transform": f"translate({x:g} 0)",
        "now|data-state": _NEVER if last else "on",
        "box|data-state": "on" if position else _NEVER,
        "box|transform": "translate(0 0)",
    }
    if position:
        step = result.witness[position - 1]
        state["box|transform"] = f"translate({shape.x(position - 1):g} {shape.y(step.thread):g})"
    made = [arrow.write for arrow in arrows(result) if arrow.write < position]
    if made:  # the latest one alone: several would cover each other
        state |= {f"arrow{made[-1]}|data-state": "on", f"badges{made[-1]}|data-state": "on"}
    return state


def markup(result: Result, shape: Geometry, state: Mapping[str, str], shown: range, alt: str) -> str:
    """Draw the picture.

    Args:
        result: What was found.
        shape: Where everything stands.
        state: What `frame` returned.
        shown: The steps to draw.
        alt: What the picture shows, in words.
    """
    red = [arrow for arrow in arrows(result) if arrow.write in shown]
    drawn = [
        *(_number(shape, index) for index in shown),
        *(_hold(shape, bar, shown) for bar in holds(result)),
        *(_wait(shape, bar, shown) for bar in waits(result)),
        *(_arrow(result, shape, arrow, state) for arrow in red),
        *(_box(shape, index, result.witness[index]) for index in shown),
        *(_stuck(shape, thread, name) for thread, name, *_ in result.blocked),
    ]
    badges = "".join(_badges(result, shape, arrow, state) for arrow in red)
    cover = (
        f'<rect data-part="cover" class="lk-cover" x="{state["cover|x"]}" y="0" '
        f'width="{shape.width + MOST_WIDE:g}" height="{shape.height:g}"/>'
        f'<g data-part="now" data-state="{state["now|data-state"]}" transform="{state["now|transform"]}">'
        f'<line class="lk-now" y1="4" y2="{shape.height - 4:g}"/></g>'
        f'<g data-part="box" data-state="{state["box|data-state"]}" transform="{state["box|transform"]}">'
        f'<rect class="lk-current" x="1" y="-4" width="{shape.gap - 2:g}" height="{shape.box + 8:g}" rx="9"/></g>'
    )
    labels = "".join(_label(result, shape, thread) for thread in range(len(result.threads)))
    return (
        f'<svg class="lk-lanes" data-part="lanes" role="img" aria-label="{escape(alt, quote=True)}" '
        f'width="{shape.visible * shape.scale:g}" height="{shape.height * shape.scale:g}" '
        f'viewBox="{state["lanes|viewBox"]}">{_rules(result, shape)}{"".join(drawn)}{cover}{badges}'
        f'<g data-part="labels" transform="{state["labels|transform"]}">'
        f'<rect class="lk-paper" width="{shape.left - 6:g}" height="{shape.height:g}"/>{labels}</g></svg>'
    )


def _rules(result: Result, shape: Geometry) -> str:
    middles = [shape.y(thread) + shape.box / 2 for thread in range(len(result.threads))]
    return "".join(f'<line class="lk-rule" x1="0" x2="{shape.width:g}" y1="{y:g}" y2="{y:g}"/>' for y in middles)


def _label(result: Result, shape: Geometry, thread: int) -> str:
    fill, text = INKS[thread % len(INKS)]
    name, y = short(letter(result, thread), 5), shape.y(thread) + shape.box / 2
    return (
        f'<rect x="2" y="{y - 17:g}" width="{shape.left - 18:g}" height="34" rx="8" fill="{fill}"/>'
        f'<text class="lk-letter" x="{(shape.left - 14) / 2:g}" y="{y + 7:g}" text-anchor="middle" style="fill:{text}">'
        f"{escape(name)}</text>"
    )


def _number(shape: Geometry, index: int) -> str:
    return (
        f'<text class="lk-small" x="{shape.x(index) + shape.gap / 2:g}" y="17" text-anchor="middle">{index + 1}</text>'
    )


def _box(shape: Geometry, index: int, step: Step) -> str:
    fill, text = INKS[step.thread % len(INKS)]
    changes = step.kind not in {"read", "try", "sleep", "spin", "join"}
    paint = f'style="fill:{fill};stroke:{fill}"' if changes else f'style="fill:var(--lk-bg);stroke:{fill}"'
    ink = f' style="fill:{text}"' if changes else ""
    x, y, middle = shape.x(index) + 5, shape.y(step.thread), shape.x(index) + shape.gap / 2
    first, second = box_words(step, shape.letters)
    return (
        f'<rect {paint} stroke-width="3" x="{x:g}" y="{y:g}" width="{shape.gap - 10:g}" height="{shape.box:g}" rx="6"/>'
        f'<text class="lk-deed" x="{middle:g}" y="{y + 19:g}" text-anchor="middle"{ink}>{escape(first)}</text>'
        f'<text x="{middle:g}" y="{y + 38:g}" text-anchor="middle"{ink}>{escape(second)}</text>'
    )


def _stuck(shape: Geometry, thread: int, name: str) -> str:
    x, y = shape.x(shape.steps) + 5, shape.y(thread)
    middle = x + shape.gap / 2
    return (
        f'<rect class="lk-stuck" x="{x:g}" y="{y:g}" width="{shape.gap:g}" height="{shape.box:g}" rx="6"/>'
        f'<text class="lk-deed lk-wrong" x="{middle:g}" y="{y + 19:g}" text-anchor="middle">✗ waits for</text>'
        f'<text x="{middle:g}" y="{y + 38:g}" text-anchor="middle">{escape(short(name, shape.letters))}</text>'
    )


def _hold(shape: Geometry, bar: Bar, shown: range) -> str:
    """Draw who holds a lock, under the boxes of its lane."""
    first, last = max(bar.first - 1, shown.start), min(bar.last - 1, shown.stop)
    if last < first:
        return ""
    x, y = shape.x(first) + 5, shape.hold_y(bar)
    wide = max(shape.x(last) - x - 2 + (shape.gap - 8 if bar.last <= shape.steps else 0), shape.gap - 10)
    fill, _ = INKS[bar.thread % len(INKS)]
    words = short(f"holds {bar.name}", max(3, int(wide / _TINY_WIDE)))
    return (
        f'<rect class="lk-hold" style="stroke:{fill}" x="{x:g}" y="{y:g}" width="{wide:g}" height="18" rx="4"/>'
        f'<text class="lk-tiny" x="{x + 6:g}" y="{y + 14:g}">{escape(words)}</text>'
    )


def _wait(shape: Geometry, bar: Bar, shown: range) -> str:
    """Draw a hatched stretch in which a thread waits."""
    first = max(bar.first, shown.start)
    x, end = shape.x(first) + 5, shape.x(min(bar.last - 1, shown.stop)) - 5
    if end - x < shape.gap / 2:
        return ""
    y = shape.y(bar.thread) + shape.box / 2
    words = f"waits for {bar.name}" if (end - x) / _TINY_WIDE > len(bar.name) + 10 else "waits"
    return (
        f'<g class="lk-wait"><rect x="{x:g}" y="{y - 13:g}" width="{end - x:g}" height="26" rx="4"/>'
        f'<line x1="{x:g}" x2="{end:g}" y1="{y:g}" y2="{y:g}"/>'
        f'<text class="lk-tiny" x="{(x + end) / 2:g}" y="{y + 5:g}" text-anchor="middle">{escape(words)}</text></g>'
    )


def _arrow(result: Result, shape: Geometry, arrow: Arrow, state: Mapping[str, str]) -> str:
    """Draw the arrow from a stale read to the write that is overwritten unseen."""
    steps = result.witness
    start = shape.port(arrow.read), shape.y(steps[arrow.read].thread)
    end = shape.port(arrow.overwritten), shape.y(steps[arrow.overwritten].thread)
    curve, head = arrow_points(start, end, shape.box)
    path = "M {} C {} {} {}".format(*(f"{x:g} {y:g}" for x, y in curve))
    corners = " ".join(f"{x:g},{y:g}" for x, y in head)
    look = state.get(f"arrow{arrow.write}|data-state", "")
    drawn = f'<path d="{path}"/><polygon points="{corners}"/>'
    return f'<g class="lk-arrow" data-part="arrow{arrow.write}" data-state="{look}">{drawn}</g>'


def _badges(result: Result, shape: Geometry, arrow: Arrow, state: Mapping[str, str]) -> str:
    """Mark the write that is lost, and the one that was based on the stale read."""
    steps = result.witness
    marks = _badge(shape, arrow.overwritten, steps[arrow.overwritten].thread, "lost")
    marks += _badge(shape, arrow.write, steps[arrow.write].thread, "stale")
    look = state.get(f"badges{arrow.write}|data-state", "")
    return f'<g class="lk-badges" data-part="badges{arrow.write}" data-state="{look}">{marks}</g>'


def _badge(shape: Geometry, index: int, thread: int, words: str) -> str:
    x, y = shape.x(index) + shape.gap - 48, shape.y(thread) - 16
    return (
        f'<rect class="lk-badge" x="{x:g}" y="{y:g}" width="46" height="19" rx="9"/>'
        f'<text class="lk-tiny lk-onred" x="{x + 23:g}" y="{y + 14:g}" text-anchor="middle">{words}</text>'
    )
