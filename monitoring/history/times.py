"""Times as counts of classes, each a fifth longer than the one before: small to keep, exact enough for percentiles."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import orjson

FIRST_S, FACTOR = 0.001, 1.2
_LOG = math.log(FACTOR)
_LAST = 70
"""the last class: longer than five minutes"""


def class_of(seconds: float) -> int:
    """The class of a time."""
    return 0 if seconds <= FIRST_S else min(_LAST, math.ceil(math.log(seconds / FIRST_S) / _LOG - 1e-9))


def longest(number: int) -> float:
    """The longest time of a class, in seconds."""
    return FIRST_S * FACTOR**number


def percentile(times: Counter[int], share: float) -> float | None:
    """The time in seconds, at most a fifth too long, that this share did not exceed; None where there is none."""
    left = times.total() * share
    for number in sorted(times):
        left -= times[number]
        if left <= 1e-9:
            return longest(number)
    return None


def packed(times: Counter[int]) -> str:
    """The same as text."""
    return orjson.dumps({str(number): times[number] for number in sorted(times)}).decode()


def unpacked(texts: Iterable[str]) -> Counter[int]:
    """The sum of several."""
    total: Counter[int] = Counter()
    for text in texts:
        if text != "{}":
            for number, count in orjson.loads(text).items():
                total[int(number)] += count
    return total
