"""Token buckets: how long a send must wait so that a partner gets no more than it may."""

from __future__ import annotations

from collections import OrderedDict

from pipe.contract import Rate

MOST_KEYS = 10000


class Bucket:
    """Lets `rate.count` through every `rate.per` seconds, spread evenly; a burst of one second's worth is allowed."""

    def __init__(self, rate: Rate) -> None:
        self._interval = rate.per / rate.count
        self._burst = max(self._interval, min(rate.per, 1.0))
        self._free_at = float("-inf")

    def reserve(self, now: float) -> float:
        """Takes the next place; returns the seconds to wait for it."""
        self._free_at = max(self._free_at, now - self._burst + self._interval) + self._interval
        return max(0.0, self._free_at - self._interval - now)


class KeyedBuckets:
    """A bucket for each value of a key; the least used are forgotten."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def reserve(self, key: str, now: float) -> float:
        """As Bucket.reserve, for one key."""
        bucket = self._buckets.pop(key, None) or Bucket(self._rate)
        self._buckets[key] = bucket
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        return bucket.reserve(now)
