"""How sure a ratio is: an interval from paired measurements, by resampling the pairs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

RESAMPLES = 5000
SURE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """The geometric mean of the ratios of pairs, and the interval that holds it in 95 of 100 repetitions."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f}–{self.high:.2f})"


def ratio(pairs: Sequence[tuple[float, float]], resamples: int = RESAMPLES) -> Ratio:
    """Of the first to the second of each pair. Pairs were measured one after the other, so that both met the same."""
    logs = [math.log(one / other) for one, other in pairs]
    chance = random.Random(1)
    means = sorted(_mean(chance.choices(logs, k=len(logs))) for _ in range(resamples))
    outside = int(resamples * (1 - SURE) / 2)
    return Ratio(math.exp(_mean(logs)), math.exp(means[outside]), math.exp(means[-outside - 1]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
