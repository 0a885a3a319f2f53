"""When a schedule is next due, in local time of Kyiv, once a local day even when the clocks change."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

KYIV = ZoneInfo("Europe/Kyiv")


def next_due(rule: str, now: float) -> float:
    """Seconds since 1970 of the next moment after `now`. `rule` is five cron fields, or `every SECONDS`."""
    if rule.startswith("every "):
        pause = float(rule.removeprefix("every "))
        return (now // pause + 1) * pause
    return float(next(CronSim(rule, datetime.fromtimestamp(now, KYIV))).timestamp())


def check(rule: str) -> str:
    """The rule, where it is one. Raises ValueError with the reason."""
    try:
        next(CronSim(rule, datetime.now(KYIV)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(
            f"`{rule}` is no schedule: {error or 'it is never due'}. Write five fields, for example `0 6 * * *`"
        ) from error
    return rule
