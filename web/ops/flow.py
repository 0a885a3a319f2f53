"""The picture of routes: where messages come from, through the journal, along routes, to partners. Pure geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

Calm = Literal["", "degraded", "down", "paused"]

SLOT, GAP = 27.0, 22.0
TARGET_PITCH, TARGET_BAR = 48.0, 34.0
TOP = 34.0
MOST = 14
"""routes that a picture shows; more would be a tangle"""
FEW = 4
"""routes that it shows also where they stand still"""
THIN, THICK = 2.5, 15.0
LONGEST_END, LONGEST_NODE = 17, 17
"""letters that fit"""


@dataclass(frozen=True, slots=True)
class Out:
    """A route's way to a target."""

    to: str
    kind: Literal["connection", "route"]
    done: int
    waiting: int
    state: Calm


@dataclass(frozen=True, slots=True)
class Way:
    """A route as the picture needs it."""

    route: str
    source: str
    kind: Literal["connection", "other"]
    came: int
    outs: tuple[Out, ...]


@dataclass(frozen=True, slots=True)
class Pipe:
    """A line with an arrow's tip."""

    path: str
    tip: str
    width: float
    state: Calm
    number: int
    waiting: int
    y: float


@dataclass(frozen=True, slots=True)
class End:
    """A source or a target."""

    name: str
    short: str
    kind: str
    y: float
    height: float
    number: int
    waiting: int = 0
    state: Calm = ""

    @property
    def middle(self) -> float:
        """Where its name stands."""
        return self.y + self.height / 2


@dataclass(frozen=True, slots=True)
class Node:
    """A route."""

    name: str
    short: str
    y: float
    height: float

    @property
    def middle(self) -> float:
        """Where its name stands."""
        return self.y + self.height / 2


@dataclass(slots=True)
class Flow:
    """The picture."""

    height: float = 0.0
    sources: list[End] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    targets: list[End] = field(default_factory=list)
    ins: list[Pipe] = field(default_factory=list)
    outs: list[Pipe] = field(default_factory=list)
    more: int = 0
    """routes that are not in it"""


def flow(ways: Sequence[Way]) -> Flow:
    """The picture of these routes: what is ill first, then what is busiest; those of one source beside one another.

    Where much is configured and little moves, what stands still is left to the table.
    """
    chosen = sorted(ways, key=lambda way: (not _ill(way), -_moved(way), way.route))
    moving = sum(_ill(way) or _moved(way) > 0 for way in ways)
    shown = chosen[: min(MOST, max(FEW, moving))] if moving else chosen[:MOST]
    drawn = Flow(more=len(ways) - len(shown))
    order = list(dict.fromkeys(way.source for way in sorted(shown, key=lambda way: way.source)))
    shown.sort(key=lambda way: (order.index(way.source), way.route))
    targets = list(dict.fromkeys((out.kind, out.to) for way in shown for out in way.outs))
    heights = [SLOT * max(1, len(way.outs)) for way in shown]
    middle_height = sum(heights) + GAP * max(0, len(shown) - 1)
    left_height = SLOT * len(shown) + (GAP + 6) * max(0, len(order) - 1)
    right_height = TARGET_PITCH * len(targets)
    tallest = max(middle_height, left_height, right_height)
    drawn.height = TOP + tallest + 16
    most = max((number for way in shown for number in (way.came, *(out.done for out in way.outs))), default=0)
    ys = _nodes(drawn, shown, heights, TOP + (tallest - middle_height) / 2)
    _sources(drawn, shown, order, TOP + (tallest - left_height) / 2, most)
    _targets(drawn, shown, targets, ys, TOP + (tallest - right_height) / 2, most)
    return drawn


def _moved(way: Way) -> int:
    return way.came + sum(out.done for out in way.outs)


def _ill(way: Way) -> bool:
    return any(out.state or out.waiting for out in way.outs)


def _nodes(drawn: Flow, shown: Sequence[Way], heights: Sequence[float], y: float) -> list[float]:
    ys = []
    for way, height in zip(shown, heights, strict=True):
        drawn.nodes.append(Node(way.route, _short(way.route, LONGEST_NODE), y, height))
        ys.append(y)
        y += height + GAP
    return ys


def _sources(drawn: Flow, shown: Sequence[Way], order: Sequence[str], y: float, most: int) -> None:
    for source in order:
        mine = [(way, drawn.nodes[at]) for at, way in enumerate(shown) if way.source == source]
        height = SLOT * len(mine) - 6
        kind, number = mine[0][0].kind, sum(way.came for way, _ in mine)
        drawn.sources.append(End(source, _short(source, LONGEST_END), kind, y, height, number))
        for slot, (way, node) in enumerate(mine):
            begins = y + SLOT * slot + SLOT / 2 - 3
            drawn.ins.append(_pipe(204, begins, 472, node.middle, _width(way.came, most), "", way.came, 0))
        y += SLOT * len(mine) + GAP + 6


def _targets(
    drawn: Flow, shown: Sequence[Way], targets: Sequence[tuple[str, str]], ys: Sequence[float], y: float, most: int
) -> None:
    reached: dict[tuple[str, str], list[Out]] = {target: [] for target in targets}
    middles = {target: y + TARGET_PITCH * at + TARGET_PITCH / 2 for at, target in enumerate(targets)}
    for at, way in enumerate(shown):
        for slot, out in enumerate(way.outs):
            target = (out.kind, out.to)
            begins = ys[at] + SLOT * slot + SLOT / 2
            reached[target].append(out)
            # Several ways that end at one target end one below the other.
            ends = middles[target] + 5 * (len(reached[target]) - 1)
            width = _width(out.done, most)
            drawn.outs.append(_pipe(622, begins, 826, ends, width, out.state, out.done, out.waiting))
    for (kind, name), outs in reached.items():
        state: Calm = next((each for each in ("down", "degraded", "paused") if each in {o.state for o in outs}), "")
        bar = middles[kind, name] - TARGET_BAR / 2
        done, waiting = sum(out.done for out in outs), sum(out.waiting for out in outs)
        drawn.targets.append(End(name, _short(name, LONGEST_END), kind, bar, TARGET_BAR, done, waiting, state))


def _pipe(x: float, y: float, to_x: float, to_y: float, width: float, state: Calm, number: int, waiting: int) -> Pipe:
    bend = (x + to_x) / 2
    path = f"M{x:g} {y:.1f}C{bend:g} {y:.1f} {bend:g} {to_y:.1f} {to_x:g} {to_y:.1f}"
    tip = f"M{to_x - 1:g} {to_y - 5:.1f}l8 5-8 5z"
    return Pipe(path, tip, 3.0 if state == "down" else width, state, number, waiting, y)


def _width(number: int, most: int) -> float:
    return round(THIN + (THICK - THIN) * sqrt(number / most), 1) if most else THIN


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
