"""The rules of appeals, without storage: numbers, states, and when to remind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo

KYIV = ZoneInfo("Europe/Kyiv")
EARLIEST, LATEST = 9, 20
"""hours of Kyiv between which people are reminded of what is not urgent"""
PATIENCE, URGENT_PATIENCE = timedelta(hours=24), timedelta(hours=1)
"""how long a confirmation is awaited"""


class State(StrEnum):
    """Where an appeal is."""

    REGISTERED = "registered"
    REMINDED = "reminded"
    CONFIRMED = "confirmed"


Event = Literal["remind", "confirm"]

_NEXT: dict[tuple[State, Event], State] = {
    (State.REGISTERED, "remind"): State.REMINDED,
    (State.REGISTERED, "confirm"): State.CONFIRMED,
    (State.REMINDED, "confirm"): State.CONFIRMED,
}


def next_state(state: State, event: Event) -> State | None:
    """The state after the event; None where it changes nothing, so that a repetition is harmless."""
    return _NEXT.get((state, event))


@dataclass(frozen=True, slots=True, order=True)
class Number:
    """A registration number: `УКЦ-2026-000001`. Serials start from 1 in each year of Kyiv."""

    year: int
    serial: int

    def __str__(self) -> str:
        return f"УКЦ-{self.year:04}-{self.serial:06}"

    @classmethod
    def parse(cls, text: str) -> Number | None:
        """The number that the text is; None where it is none."""
        found = re.fullmatch(r"УКЦ-([0-9]{4})-(0[0-9]{5}|[0-9]{6}|[1-9][0-9]{6,17})", text, re.ASCII)
        return cls(int(found[1]), int(found[2])) if found and int(found[2]) else None


def year_of(moment: float) -> int:
    """The year in Kyiv."""
    return datetime.fromtimestamp(moment, KYIV).year


def remind_at(registered_at: float, *, urgent: bool) -> float:
    """When to remind of an appeal: after an hour if it is urgent, else after a day and never at night."""
    # Waiting is counted in seconds that pass, not in hours of the clock: once a year a day has 23 of them, once 25.
    due = registered_at + (URGENT_PATIENCE if urgent else PATIENCE).total_seconds()
    if urgent:
        return due
    local = datetime.fromtimestamp(due, KYIV)
    morning = local.replace(hour=EARLIEST, minute=0, second=0, microsecond=0, fold=0)
    if local.hour < EARLIEST:
        return morning.timestamp()
    if local.hour >= LATEST:
        return (morning + timedelta(days=1)).timestamp()
    return due


def day_before(moment: float) -> tuple[date, float, float]:
    """The day before this moment in Kyiv: its date, its first moment, and the first moment after it."""
    today = datetime.fromtimestamp(moment, KYIV).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    yesterday = today - timedelta(days=1)
    return yesterday.date(), yesterday.timestamp(), today.timestamp()
