"""A picture of parts of a whole: horizontal bars, as SVG written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, LEFT, ROW, TOP = 860, 110, 44, 56
LONGEST = 430
"""pixels of the largest bar"""
_STYLE = (
    "text{font-family:system-ui,sans-serif;font-size:14px;fill:#1c2733}"
    ".title{font-size:17px;font-weight:600}.small{font-size:12px;fill:#5a6875}.bar{fill:#2f6fb0}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One part."""

    name: str
    share: float
    """of the whole, 0 to 1"""
    details: list[str] = field(default_factory=list)


def picture(title: str, whole: float, bars: Sequence[Bar]) -> str:
    """The bars in their order, each with its share, its part of `whole` microseconds, and its details below it."""
    height = TOP + ROW * len(bars) + 12
    most = max((bar.share for bar in bars), default=1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        f' role="img" aria-label="{escape(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="16" y="32">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        y, length = TOP + ROW * number, round(LONGEST * bar.share / most)
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect class="bar" x="{LEFT}" y="{y}" width="{length}" height="20" rx="2"/>',
            f'<text x="{LEFT + length + 8}" y="{y + 15}">{whole * bar.share:.0f} µs · {bar.share:.0%}</text>',
            f'<text class="small" x="{LEFT}" y="{y + 34}">{escape(" · ".join(bar.details))}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
