"""Who waits for whom as a picture in SVG, with a table, and the CPU used beside it. Rule: text in, text out.

A thread waits for one thing and a thing has one holder, so from every node at most one arrow leads away: chains that
end somewhere, or lead into one circle. The circle is drawn as a ring, what leads to it in columns on its left.
"""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.child.waits import Edge, circle
from labkit.child.watch import EDGE, LOOK
from labkit.interleave.words import short
from labkit.show.lanes import INKS
from labkit.show.stepper_style import STYLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from labkit.model import Event

__all__ = ["Glance", "cpu_table", "framed", "glances", "graph", "in_words", "lines_printed", "step_line"]

_MAIN = "MainThread"
_ROW, _ARROW_WIDE, _HIGH, _EDGE_ROOM = 76.0, 60.0, 46.0, 16.0
_ARROWS_MOST = 24  # more are in words only
_LOOKS_MOST = 12  # rows of the table of CPU use
_LETTERS_MOST, _LETTER_WIDE = 18, 10.6
_SEGMENTS = 60  # of one arrow
_GRAPH_STYLE = """<style>
.lk-graph{margin:8px 0;display:flex;flex-wrap:wrap;gap:8px 32px;align-items:center}
.lk-graph svg,.lk-cpu svg{max-width:100%;height:auto;display:block}
.lk svg .lk-go{stroke:var(--lk-ink);stroke-width:3;fill:none}
.lk svg polygon.lk-go{fill:var(--lk-ink)}
.lk svg .lk-own{stroke-dasharray:8 6}
.lk svg polygon.lk-own{stroke-dasharray:none}
.lk svg .lk-closed{stroke:var(--lk-red);stroke-width:6}
.lk svg polygon.lk-closed{fill:var(--lk-red);stroke-width:3}
.lk svg .lk-thread{stroke:var(--lk-ink);stroke-width:2}
.lk svg .lk-main{fill:var(--lk-raised)}
.lk svg .lk-alarm{fill:var(--lk-red);font-size:19px;font-weight:700}
.lk svg .lk-name{font-size:17px;font-weight:700}
.lk p.lk-closes{color:var(--lk-red);font-size:22px;font-weight:700}
.lk-cpu{margin:8px 0}
.lk svg .lk-cpu-line{stroke:var(--lk-ink);stroke-width:3;fill:none}
.lk svg .lk-cpu-rule{stroke:var(--lk-line);stroke-width:1.5;stroke-dasharray:4 4}
</style>"""


class Glance(NamedTuple):
    """What the watch in a run saw at one moment.

    Attributes:
        t_s: Seconds since the workload began.
        cores: CPU time per wall time of the run's process since the glance before.
        edges: Which thread waits for what.
    """

    t_s: float
    cores: float
    edges: tuple[Edge, ...]


class _Node(NamedTuple):
    x: float
    y: float
    text: str
    more: str  # a second line: how the holder calls a thing
    ink: int  # number of the colour; -1 for a thing, -2 for the main thread
    reach: float


def glances(events: Iterable[Event]) -> list[Glance]:
    """Read what the watch has sent, except a last glance that is still on its way; all else is passed over."""
    found: list[Glance] = []
    due = 0  # edges that are still to come
    for event in events:
        if event.kind != "sample" or event.name not in (LOOK, EDGE):
            continue
        if event.name == LOOK and isinstance(event.value, dict):
            cores, count = event.value.get("cores"), event.value.get("edges_count")
            if isinstance(cores, (int, float)):
                edges = found[-1].edges if found and count is None else ()
                found.append(Glance(event.t_ns / 1e9, float(cores), edges))
                due = count if isinstance(count, int) else 0
        elif found and isinstance(event.value, list) and _is_edge(event.value):
            found[-1] = found[-1]._replace(edges=(*found[-1].edges, Edge(*event.value)))
            due -= 1
    return found if due <= 0 else found[:-1]


def _is_edge(value: list[object]) -> bool:
    kinds: tuple[Any, ...] = (str, str, str, (str, type(None)), str, int, str, str, int, bool)
    return len(value) == len(kinds) and all(isinstance(one, kind) for one, kind in zip(value, kinds, strict=True))


def framed(*parts: str) -> str:
    """Put parts under the style that they need."""
    return f'{STYLE}{_GRAPH_STYLE}<div class="lk labkit-wait-graph">{"".join(parts)}</div>'


def in_words(edges: Sequence[Edge]) -> str:
    """Say in one sentence whether somebody waits, and whether that can end; plain text."""
    closed = circle(edges)
    if closed and any(edge.timed for edge in closed):
        return "circle: nobody can go on before a time limit"
    if closed:
        return "circle: nobody can go on"
    waiting = len({edge.thread for edge in edges})
    if not waiting:
        return "no thread waits for a lock"
    return f"{waiting} {'thread waits' if waiting == 1 else 'threads wait'}, no circle"


def graph(edges: Sequence[Edge], beside: str = "") -> str:
    """Draw the wait-for graph with something beside it, and its edges as a table; a sentence if nobody waits."""
    closed = circle(edges)
    words = in_words(edges)
    head = f'<p class="lk-closes">✗ {words}</p>' if closed else f"<p>{words}</p>"
    if not edges:
        return head + beside
    drawn = [*closed, *(edge for edge in edges if edge not in closed)][:_ARROWS_MOST]
    left = len(edges) - len(drawn)
    more = f"<p>{left} more threads wait; they are not drawn.</p>" if left else ""
    leads = _targets(drawn)
    ring = _ring_of(closed, leads)
    one_circle = [edge for edge in drawn if _steps_on(f"t{edge.thread}", leads, ring) is not None]
    more += "<p>The table holds a second circle.</p>" if len(one_circle) < len(drawn) else ""
    picture = _picture(one_circle, closed, words)
    return f'{head}<div class="lk-graph">{picture}<div>{beside}</div>{_table(drawn)}</div>{more}'


def _table(edges: Sequence[Edge]) -> str:
    rows, left = [], 'style="text-align:left"'
    for edge in edges:
        named = edge.name if edge.label == edge.name else f"{edge.name}, which is {edge.label}"
        named = _joined(edge) or named
        cells = (f"{edge.kind} {named}", _held_by(edge), edge.place)
        body = "".join(f"<td {left}>{escape(cell)}</td>" for cell in cells)
        rows.append(
            f'<tr><th scope="row" style="text-align:left;white-space:nowrap">{escape(edge.thread)}</th>{body}</tr>'
        )
    head = "".join(f'<th scope="col" {left}>{name}</th>' for name in ("thread", "waits for", "held by", "waits in"))
    title = "<caption>Who waits for whom</caption>"
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _held_by(edge: Edge) -> str:
    if edge.kind == "thread":
        return f"{_joined(edge) or edge.label}, until it ends"
    if edge.holder is None:
        return "nobody known"
    alias = f" as {edge.held_as}" if edge.held_as and edge.held_as != edge.label else ""
    return f"{edge.holder}{alias}, since line {edge.held_line}" if edge.held_line else edge.holder


def _in_a_phrase(edge: Edge) -> str:
    by = f", held by {edge.holder}" if edge.holder and edge.kind != "thread" else ""
    return f"{edge.thread} waits for the {edge.kind} {_joined(edge) or edge.label}{by}"


def _joined(edge: Edge) -> str:
    """Return the own name of a thread that is waited for, where `name` is only that of a variable; else empty."""
    return edge.holder or "" if edge.kind == "thread" else ""


# ---------------------------------------------------------------------------------------------------- where nodes stand
def _targets(edges: Sequence[Edge]) -> dict[str, str]:
    """Return where the one arrow of each node leads. Keys: ``t`` and a thread's name, ``l`` and a thing's number."""
    leads = {}
    for edge in edges:
        if edge.kind == "thread" and edge.holder:
            leads[f"t{edge.thread}"] = f"t{edge.holder}"
            continue
        leads[f"t{edge.thread}"] = f"l{edge.thing}"
        if edge.holder:
            leads[f"l{edge.thing}"] = f"t{edge.holder}"
    return leads


def _ring_of(closed: Sequence[Edge], leads: dict[str, str]) -> list[str]:
    """Return the nodes of the circle in its order; first one that something outside leads to, if there is one."""
    ring = []
    key = f"t{closed[0].thread}" if closed else ""
    while key and key not in ring:
        ring.append(key)
        key = leads[key]
    entered = [one for one in ring if any(leads[other] == one for other in leads if other not in ring)]
    start = ring.index(entered[0]) if entered else 0
    return ring[start:] + ring[:start]


def _layout(edges: Sequence[Edge], closed: Sequence[Edge]) -> tuple[dict[str, _Node], float, float]:
    """Place every node. Return them with the width and height that they need."""
    leads = _targets(edges)
    ring = _ring_of(closed, leads)
    steps = {key: _steps_on(key, leads, ring) or 0 for key in [*leads, *leads.values()]}
    faces = _faces(steps, {f"l{edge.thing}": edge for edge in edges})
    rows: dict[str, float] = {}
    for root in [key for key in steps if steps[key] == 0]:
        _give_rows(root, leads, ring, rows)
    widest = max((faces[key].reach for key in ring), default=0.0)
    across, up = max(140.0, (2 * widest + 30) * len(ring) / (2 * math.pi)), max(92.0, 24.0 * len(ring))
    column = 2 * max((faces[key].reach for key in faces if key not in ring[1:]), default=0.0) + _ARROW_WIDE
    rows_count = max(rows.values(), default=0.0) + 1
    high = max(rows_count * _ROW, 2 * up + _HIGH if ring else 0.0) + 2 * _EDGE_ROOM
    first = (high - rows_count * _ROW) / 2 + _ROW / 2
    nodes = {}
    for key, face in faces.items():
        x, y = -steps[key] * column, first + rows.get(key, 0.0) * _ROW
        if key in ring:
            angle = 2 * math.pi * ring.index(key) / len(ring) + math.pi
            x, y = across + across * math.cos(angle), high / 2 + up * math.sin(angle)
        nodes[key] = face._replace(x=x, y=y)
    left = min(node.x - node.reach for node in nodes.values()) - _EDGE_ROOM
    nodes = {key: node._replace(x=node.x - left) for key, node in nodes.items()}
    return nodes, max(node.x + node.reach for node in nodes.values()) + _EDGE_ROOM, high


def _faces(keys: Iterable[str], things: dict[str, Edge]) -> dict[str, _Node]:
    """Say what stands on every node, in which colour, and how wide that is; they have no place yet."""
    threads = sorted(key for key in keys if key[0] == "t" and key[1:] != _MAIN)
    faces = {}
    for key in keys:
        text, more = _label(things[key]) if key[0] == "l" else (short(key[1:], _LETTERS_MOST), "")
        ink = -1 if key[0] == "l" else -2 if key[1:] == _MAIN else threads.index(key)
        reach = max(_HIGH / 2, 12 + _LETTER_WIDE * len(text) / 2, 8 + 0.42 * _LETTER_WIDE * len(more))
        faces[key] = _Node(0.0, 0.0, text, more, ink, reach)
    return faces


def _label(edge: Edge) -> tuple[str, str]:
    """Name a thing as the thread that waits does, and in a second line as its holder does, if they differ."""
    other = f"{edge.held_as} to {edge.holder}" if edge.held_as and edge.held_as != edge.label else ""
    return short(edge.label, _LETTERS_MOST), short(other, 24) if other else ""


def _steps_on(key: str, leads: dict[str, str], ring: Sequence[str]) -> int | None:
    """Count the arrows from a node to where its chain ends: without an arrow, or in the ring; None if it never does."""
    count, passed = 0, {key}
    while key not in ring and key in leads:
        key = leads[key]
        count += 1
        if key in passed:  # a second circle
            return None
        passed.add(key)
    return count


def _give_rows(key: str, leads: dict[str, str], ring: Sequence[str], rows: dict[str, float]) -> None:
    """Give every node that leads to this one a row, and this one the middle of theirs; one of the circle has none."""
    before = [other for other in leads if leads[other] == key and other not in ring]
    for other in before:
        _give_rows(other, leads, ring, rows)
    if key not in ring:
        own = [rows[other] for other in before]
        rows[key] = sum(own) / len(own) if own else math.floor(max(rows.values(), default=-1.0)) + 1.0


# ---------------------------------------------------------------------------------------------------- drawing
def _picture(edges: Sequence[Edge], closed: Sequence[Edge], words: str) -> str:
    nodes, wide, high = _layout(edges, closed)
    leads = _targets(edges)
    ring = _ring_of(closed, leads)
    arrows = "".join(_arrow(nodes, start, end, in_ring=start in ring) for start, end in leads.items())
    drawn = "".join(_node(node) for node in nodes.values())
    middle = sum(nodes[key].x for key in ring) / len(ring) if ring else 0.0
    alarm = "".join(
        f'<text class="lk-alarm" x="{middle:g}" y="{high / 2 + dy:g}" text-anchor="middle">{line}</text>'
        for line, dy in (("circle: nobody", -5), ("can go on", 19))
        if len(ring) > 2  # noqa: PLR2004 - between two there is no room
    )
    wide, key_y = max(wide, 400.0), high + 14
    alt = f"Wait-for graph, {words}: " + "; ".join(_in_a_phrase(edge) for edge in edges)
    return (
        f'<svg role="img" width="{wide:g}" height="{high + 30:g}" viewBox="0 0 {wide:g} {high + 30:g}" '
        f'aria-label="{escape(alt, quote=True)}">{arrows}{drawn}{alarm}'
        f'<line class="lk-go" x1="20" x2="60" y1="{key_y:g}" y2="{key_y:g}"/><text x="68" y="{key_y + 5:g}">waits for'
        f'</text><line class="lk-go lk-own" x1="180" x2="220" y1="{key_y:g}" y2="{key_y:g}"/>'
        f'<text x="228" y="{key_y + 5:g}">is held by</text></svg>'
    )


def _node(node: _Node) -> str:
    """Draw a thread round and a thing square; a thread with a long name is as long as its name."""
    box = f'x="{node.x - node.reach:g}" y="{node.y - _HIGH / 2:g}" width="{2 * node.reach:g}" height="{_HIGH:g}"'
    label = f'x="{node.x:g}" y="{node.y + (-1 if node.more else 6):g}" text-anchor="middle"'
    if node.ink < 0:
        shape = '<rect class="lk-lock" rx="3"' if node.ink == -1 else '<rect class="lk-thread lk-main" rx="23"'
        second = (
            f'<text class="lk-tiny" x="{node.x:g}" y="{node.y + 16:g}" text-anchor="middle">{escape(node.more)}</text>'
        )
        below = second if node.more else ""
        return f'{shape} {box}/><text class="lk-name" {label}>{escape(node.text)}</text>{below}'
    fill, ink = INKS[node.ink % len(INKS)]
    return (
        f'<rect class="lk-thread" rx="{_HIGH / 2:g}" style="fill:{fill}" {box}/>'
        f'<text class="lk-name" {label} style="fill:{ink}">{escape(node.text)}</text>'
    )


def _arrow(nodes: dict[str, _Node], start: str, end: str, *, in_ring: bool) -> str:
    """Draw one arrow from edge to edge; those of the circle bend outwards, so that two nodes make a circle too."""
    one, other = nodes[start], nodes[end]
    bend = 0.22 if in_ring else 0.0
    dx, dy = other.x - one.x, other.y - one.y
    control = (one.x + dx / 2 + bend * dy, one.y + dy / 2 - bend * dx)
    turns = [part / _SEGMENTS for part in range(_SEGMENTS + 1)]
    curve = [_between((one.x, one.y), control, (other.x, other.y), turn) for turn in turns]
    points = [point for point in curve if _outside(point, one, 3) and _outside(point, other, 7)]
    if len(points) < 3:  # noqa: PLR2004 - there is no room
        return ""
    (x0, y0), (x1, y1) = points[-3], points[-1]
    angle, size = math.atan2(y1 - y0, x1 - x0), 16 if in_ring else 13
    sides = [(x1 - size * math.cos(angle + s), y1 - size * math.sin(angle + s)) for s in (0.45, -0.45)]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x1, y1), *sides])
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points[:-2])
    look = "lk-go" + (" lk-own" if start[0] == "l" else "") + (" lk-closed" if in_ring else "")
    return f'<polyline class="{look}" points="{line}"/><polygon class="{look}" points="{head}"/>'


def _between(
    start: tuple[float, float], control: tuple[float, float], end: tuple[float, float], turn: float
) -> tuple[float, float]:
    a, b, c = (1 - turn) ** 2, 2 * turn * (1 - turn), turn**2
    return a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]


def _outside(point: tuple[float, float], node: _Node, margin: float) -> bool:
    return abs(point[0] - node.x) > node.reach + margin or abs(point[1] - node.y) > _HIGH / 2 + margin


def step_line(seen: Sequence[Glance]) -> str:
    """Draw the CPU used over time as steps, with the last value in words; nothing if there was no glance."""
    if not seen:
        return ""
    last, most = seen[-1], max(glance.cores for glance in seen)
    wide, high, top = 230.0, 64.0, max(1.0, math.ceil(most - 0.1))
    x = [10 + wide * glance.t_s / max(last.t_s, 1.0) for glance in seen]
    y = [10 + high * (1 - min(glance.cores, top) / top) for glance in seen]
    path = f"M 10 {y[0]:.1f} H {x[0]:.1f}" + "".join(f" V {b:.1f} H {a:.1f}" for a, b in zip(x[1:], y[1:], strict=True))
    words = f"{last.cores:.2f} cores"
    alt = f"CPU used over {last.t_s:.1f} s: {words} at the last look, at most {most:.2f} cores"
    rules = "".join(
        f'<line class="lk-cpu-rule" x1="10" x2="240" y1="{at:g}" y2="{at:g}"/>'
        f'<text x="248" y="{at + 5:g}">{text}</text>'
        for at, text in ((10.0, f"{top:g}"), (10 + high, "0"))
    )
    return (
        f'<div class="lk-cpu"><p>CPU: <b>{words}</b><br>at the last look; {most:.2f} at most</p>'
        f'<svg role="img" width="270" height="86" viewBox="0 0 270 86" aria-label="{alt}">{rules}'
        f'<path class="lk-cpu-line" d="{path}"/></svg></div>'
    )


def cpu_table(seen: Sequence[Glance]) -> str:
    """Say the CPU used over time as a table, folded away, of a dozen looks at most and the last one."""
    shown = [*seen[: -1 : max(1, len(seen) // _LOOKS_MOST)], *seen[-1:]]
    rows = "".join(f"<tr><td>{one.t_s:.1f} s</td><td>{one.cores:.2f} cores</td></tr>" for one in shown)
    head = '<thead><tr><th scope="col">after</th><th scope="col">CPU used</th></tr></thead>'
    return f"<details><summary>CPU as a table</summary><table>{head}<tbody>{rows}</tbody></table></details>"


def lines_printed(count: int) -> str:
    """Say how much was printed."""
    return f"<p>Output: <b>{count} {'line' if count == 1 else 'lines'} printed</b></p>"
