"""Lines as SVG paths: the plot is stretched to its place, texts beside it are not. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 100.0
"""of a plot's own coordinates; its width is the number of points"""


@dataclass(frozen=True, slots=True)
class Chart:
    """Some lines over the same moments, from zero to `top`."""

    top: float
    width: int
    paths: tuple[str, ...]
    lasts: tuple[float, ...]
    """height of the last known value of each line, as a share of the plot from above"""


def chart(series: Sequence[Sequence[float | None]], least: float = 1.0) -> Chart:
    """The lines of these series, all of the same length; where nothing is known a line has a gap."""
    top = round_up(max((value for line in series for value in line if value is not None), default=0.0), least)
    width = max(len(series[0]) - 1, 1) if series else 1
    paths = tuple(path(line, top) for line in series)
    lasts = tuple(1 - next((value for value in reversed(line) if value is not None), 0.0) / top for line in series)
    return Chart(top, width, paths, lasts)


def path(values: Sequence[float | None], top: float, height: float = HEIGHT) -> str:
    """The `d` of one line. A single point between gaps is a short stroke, so that it is seen."""
    parts: list[str] = []
    pen = False
    for x, value in enumerate(values):
        if value is None:
            pen = False
            continue
        y = height - value / top * height if top else height
        parts.append(f"{'L' if pen else 'M'}{x} {y:.1f}" if pen or x == 0 else f"M{x} {y:.1f}h.01")
        pen = True
    return "".join(parts)


def round_up(value: float, least: float = 1.0) -> float:
    """The next of 1, 2, 5, 10, 20 … that is not below it, nor below `least`."""
    step = least
    factors = (2.0, 2.5, 2.0)
    number = 0
    while step < value:
        step *= factors[number % 3]
        number += 1
    return step


def spark(values: Sequence[float], height: float = 20.0) -> str:
    """A small line without a scale; the least value is not at the bottom where it is not nought."""
    top = max(values, default=0.0)
    return path([value if top else 0.0 for value in values], top * 1.05 or 1.0, height)
