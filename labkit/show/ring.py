"""The circle of a deadlock as a closed graph in SVG: threads and locks in turn. Rule: text in, text out."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from labkit.interleave.story import cycle, letter
from labkit.interleave.words import short, where_it_waits
from labkit.show.lanes import INKS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from labkit.interleave.result import Result

__all__ = ["HIGH", "WIDE", "Node", "arc", "frame", "markup", "nodes_of"]

WIDE, HIGH = 400.0, 300.0
_X, _Y = 200.0, 135.0
_ACROSS, _UP = 130.0, 104.0  # half the axes of the ellipse on which the nodes stand
_SEGMENTS = 40  # of one arc


class Node(NamedTuple):
    """A thread or a lock of the circle: its middle, its text, number of the thread (-1 for a lock), half its width."""

    x: float
    y: float
    text: str
    thread: int
    reach: float


def frame(result: Result, position: int) -> dict[str, str]:
    """Return whether the circle is there: only when the last step has closed it."""
    if not cycle(result):
        return {}
    return {"ring|data-state": "on" if position == len(result.witness) else "off"}


def markup(result: Result, state: Mapping[str, str]) -> str:
    """Draw the circle; empty if there is none."""
    circle = cycle(result)
    if not circle:
        return ""
    nodes = nodes_of(result)
    edges = "".join(_edge(nodes, number) for number in range(len(nodes)))
    drawn = "".join(_node(node) for node in nodes)
    holders = [*(thread for thread, _ in circle[1:]), circle[0][0]]
    alt = "; ".join(
        where_it_waits(result, thread, name, holder) for (thread, name), holder in zip(circle, holders, strict=True)
    )
    return (
        f'<figure class="lk-ring" data-part="ring" data-state="{state["ring|data-state"]}">'
        f'<svg role="img" width="{WIDE:g}" height="{HIGH:g}" viewBox="0 0 {WIDE:g} {HIGH:g}" '
        f'aria-label="Circle: {escape(alt, quote=True)}">{edges}{drawn}'
        f'<line class="lk-waits" x1="60" x2="96" y1="287" y2="287"/><text x="102" y="292">waits for</text>'
        f'<line class="lk-held" x1="216" x2="252" y1="287" y2="287"/><text x="258" y="292">is held by</text>'
        "</svg></figure>"
    )


def _place(turn: float) -> tuple[float, float]:
    angle = 2 * math.pi * turn - math.pi / 2
    return _X + _ACROSS * math.cos(angle), _Y + _UP * math.sin(angle)


def nodes_of(result: Result) -> list[Node]:
    """Return threads and locks in turn, in the order of the circle; empty if there is none."""
    nodes, circle = [], cycle(result)
    for number, (thread, name) in enumerate(circle):
        lock = short(name, 14)
        nodes.append(Node(*_place(number / len(circle)), short(letter(result, thread), 4), thread, 22))
        nodes.append(Node(*_place((number + 0.5) / len(circle)), lock, -1, 10 + 4.4 * len(lock)))
    return nodes


def _node(node: Node) -> str:
    if node.thread < 0:
        return (
            f'<rect class="lk-lock" x="{node.x - node.reach:g}" y="{node.y - 15:g}" width="{2 * node.reach:g}" '
            'height="30" rx="5"/>'
            f'<text x="{node.x:g}" y="{node.y + 5:g}" text-anchor="middle">{escape(node.text)}</text>'
        )
    fill, ink = INKS[node.thread % len(INKS)]
    return (
        f'<circle cx="{node.x:g}" cy="{node.y:g}" r="22" fill="{fill}"/>'
        f'<text class="lk-letter" x="{node.x:g}" y="{node.y + 7:g}" text-anchor="middle" '
        f'style="fill:{ink}">{escape(node.text)}</text>'
    )


def arc(nodes: list[Node], number: int) -> list[tuple[float, float]]:
    """Return the points of the line from one node to the next, from edge to edge; empty if there is no room."""
    start, end = nodes[number], nodes[(number + 1) % len(nodes)]
    turns = [(number + part / _SEGMENTS) / len(nodes) for part in range(_SEGMENTS + 1)]
    points = [point for point in map(_place, turns) if _outside(point, start, 3) and _outside(point, end, 5)]
    return points if len(points) > 1 else []


def _edge(nodes: list[Node], number: int) -> str:
    points = arc(nodes, number)
    if not points:
        return ""
    look = "lk-waits" if nodes[number].thread >= 0 else "lk-held"
    (x0, y0), (x1, y1) = points[-2], points[-1]
    angle = math.atan2(y1 - y0, x1 - x0)
    corners = [(x1, y1)] + [
        (x1 - 13 * math.cos(angle + side), y1 - 13 * math.sin(angle + side)) for side in (0.45, -0.45)
    ]
    head = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points[:-1])
    return f'<polyline class="{look}" points="{line}"/><polygon class="{look}" points="{head}"/>'


def _outside(point: tuple[float, float], node: Node, margin: float) -> bool:
    x, y = abs(point[0] - node.x), abs(point[1] - node.y)
    if node.thread >= 0:
        return math.hypot(x, y) > node.reach + margin
    return x > node.reach + margin or y > 15 + margin
