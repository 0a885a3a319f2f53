"""Token buckets: each caller may send so many requests in so much time, in bursts of as many."""

from __future__ import annotations

from collections import OrderedDict

from pipe.contract import Clock, Rate
from pipe.errors import RateLimited


class CallerRates:
    """One bucket a caller; the ten thousand that came last are remembered."""

    def __init__(self, rate: Rate, clock: Clock, remembered: int = 10_000) -> None:
        self._rate = rate
        self._clock = clock
        self._remembered = remembered
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, caller: str) -> None:
        """Takes one token of the caller. Raises RateLimited that says when there will be one."""
        count, per = self._rate.count, self._rate.per
        now = self._clock.monotonic()
        tokens, since = self._buckets.pop(caller, (float(count), now))
        tokens = min(count, tokens + (now - since) * count / per)
        self._buckets[caller] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)
        if tokens < 1:
            raise RateLimited(f"more than {self._rate}", retry_after=(1 - tokens) * per / count)
