"""The rules of one-time passwords, without storage: states, limits, locks. Times are seconds since 1970."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import Field

from pipe.contract import Strict

QUARTER_S, HOUR_S, DAY_S, MINUTE_S = 900.0, 3600.0, 86400.0, 60.0
KEPT_S = 8 * DAY_S
"""how long the story of a code is kept; all limits look back less far"""
RISKY_S = 24 * HOUR_S
"""after a new binding in the place of another one nothing of high risk"""
LINK_S = 600.0
LINK = re.compile(r"[A-Za-z0-9_-]{22,64}", re.ASCII)
DIGITS = re.compile(r"[0-9 ]{6,14}", re.ASCII)


class Numbers(Strict):
    """What a company may set. The bounds are those of NIST SP 800-63B and OWASP ASVS."""

    digits: int = Field(default=6, ge=6, le=10, description="Digits of a code for citizens.")
    staff_digits: int = Field(default=8, ge=6, le=10, description="Digits of a code for staff.")
    lasts: int = Field(default=300, ge=30, le=600, description="Seconds that a code for citizens is good.")
    staff_lasts: int = Field(default=180, ge=30, le=600, description="Seconds that a code for staff is good.")
    tries: int = Field(default=3, ge=1, le=5, description="Tries of one code; then it is burned.")
    wait: int = Field(default=60, ge=10, le=3600, description="Seconds before a second code can be asked for.")
    wait_second: int = Field(default=120, ge=10, le=3600, description="Seconds before a third one.")
    wait_more: int = Field(default=300, ge=10, le=3600, description="Seconds before each further one.")
    a_quarter: int = Field(default=3, ge=1, le=20, description="Codes that one person gets in 15 minutes.")
    an_hour: int = Field(default=5, ge=1, le=50, description="Codes that one person gets in an hour.")
    a_day: int = Field(default=10, ge=1, le=100, description="Codes that one person gets in a day.")
    burned_in_a_row: int = Field(default=3, ge=1, le=10, description="Burned codes in a row that lock.")
    burned_lock: int = Field(default=3600, ge=60, le=86400, description="Seconds of that lock.")
    wrong_a_day: int = Field(default=10, ge=3, le=100, description="Wrong codes in a day that lock.")
    wrong_lock: int = Field(default=86400, ge=3600, le=7 * 86400, description="Seconds of that lock.")
    wrong_ever: int = Field(default=100, ge=10, le=100, description="Wrong codes in a row after which it is unbound.")
    address_an_hour: int = Field(default=10, ge=1, le=10000, description="Codes asked for from one address in an hour.")
    address_checks: int = Field(default=30, ge=3, le=100000, description="Tries from one address in ten minutes.")
    burned_a_minute: int = Field(default=50, ge=1, le=10000, description="Burned codes of all that slow everybody.")
    opens: int = Field(default=3600, ge=60, le=12 * 3600, description="Seconds that a right code opens the company.")


class State(StrEnum):
    """Where a code is."""

    WAITING = "waiting"
    """asked for, not made yet"""
    SENDING = "sending"
    """made, and on its way to Telegram"""
    SENT = "sent"
    RIGHT = "right"
    BURNED = "burned"
    """too many tries"""
    EXPIRED = "expired"
    FAILED = "failed"
    """it could not be sent"""
    REPLACED = "replaced"
    """a newer one was asked for"""


Event = Literal["made", "delivered", "right", "wrong", "last_wrong", "over", "refused", "again"]
LIVE = (State.WAITING, State.SENDING, State.SENT)
TRIABLE = (State.SENDING, State.SENT)
"""Telegram may show a code before it tells us that it took it"""
DECOYS = (State.WAITING, State.FAILED)
"""of citizens these are tried like the others, and never right: else a wrong code would tell who has a chat"""

_NEXT: dict[tuple[State, Event], State] = {
    (State.WAITING, "made"): State.SENDING,
    (State.WAITING, "refused"): State.FAILED,
    (State.SENDING, "refused"): State.FAILED,
    (State.SENDING, "delivered"): State.SENT,
    **{(state, "over"): State.EXPIRED for state in LIVE},
    **{(state, "again"): State.REPLACED for state in LIVE},
    **{(state, "right"): State.RIGHT for state in TRIABLE},
    **{(state, "wrong"): state for state in TRIABLE},
    **{(state, "last_wrong"): State.BURNED for state in TRIABLE},
}


def next_state(state: State, event: Event) -> State | None:
    """The state after the event; None where it changes nothing: what is final stays so, repetitions are harmless."""
    return _NEXT.get((state, event))


@dataclass(frozen=True, slots=True)
class Past:
    """One code of the same person, as limits look at it."""

    at: float
    state: State
    wrong: int
    ended_at: float | None
    free: bool = False
    """nobody got it, and nobody but the person knows that: another one may follow at once"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why no code is made now, and until when."""

    why: Literal["again", "often", "burned", "wrong", "address", "crowd"]
    until: float


def wait(past: Sequence[Past], now: float, numbers: Numbers) -> Wait | None:
    """What stands against a new code for somebody with this past; the longest of it. None: nothing."""
    found = [each for each in (*_locks(past, numbers), *_often(past, now, numbers)) if each.until > now]
    return max(found, key=lambda each: each.until, default=None)


def locked(past: Sequence[Past], now: float, numbers: Numbers) -> Wait | None:
    """The lock alone, which also stands against trying a code."""
    return max((e for e in _locks(past, numbers) if e.until > now), key=lambda each: each.until, default=None)


def again_at(past: Sequence[Past], now: float, numbers: Numbers) -> float:
    """From when on a new code can be asked for."""
    found = wait(past, now, numbers)
    return found.until if found is not None else now


def _often(past: Sequence[Past], now: float, numbers: Numbers) -> list[Wait]:
    sent = sorted(each.at for each in past)
    found = []
    recent = [each.at for each in sorted(past, key=lambda each: each.at) if each.at > now - QUARTER_S and not each.free]
    if recent:
        pauses = (numbers.wait, numbers.wait_second, numbers.wait_more)
        found.append(Wait("again", recent[-1] + pauses[min(len(recent), 3) - 1]))
    for span, most in ((QUARTER_S, numbers.a_quarter), (HOUR_S, numbers.an_hour), (DAY_S, numbers.a_day)):
        within = [at for at in sent if at > now - span]
        if len(within) >= most:
            found.append(Wait("often", within[-most] + span))
    return found


def _locks(past: Sequence[Past], numbers: Numbers) -> list[Wait]:
    found = []
    # What was replaced or never reached anybody says nothing about who types codes.
    tried = [each for each in sorted(past, key=lambda each: each.at) if each.state in (State.BURNED, State.RIGHT)]
    tail = tried[-numbers.burned_in_a_row :]
    if len(tail) == numbers.burned_in_a_row and all(each.state is State.BURNED for each in tail):
        found.append(Wait("burned", (tail[-1].ended_at or tail[-1].at) + numbers.burned_lock))
    # A lock counts the wrong ones of the day that ended with the last of them, or it would lift itself.
    wrong = [(each.ended_at or each.at, each.wrong) for each in past if each.wrong]
    for end, _ in wrong:
        day = sum(n for at, n in wrong if end - DAY_S < at <= end)
        if day >= numbers.wrong_a_day:
            found.append(Wait("wrong", end + numbers.wrong_lock))
    return found


def in_a_row(past: Sequence[Past]) -> int:
    """Wrong tries since the last right one."""
    count = 0
    for each in sorted(past, key=lambda each: each.at, reverse=True):
        if each.state is State.RIGHT:
            break
        count += each.wrong
    return count


def phone_of(text: str) -> str | None:
    """The number in E.164, as Telegram and people write it; None where it is none. `067…` is Ukraine's."""
    digits = re.sub(r"[\s().-]", "", text)
    if re.fullmatch(r"0[0-9]{9}", digits, re.ASCII):
        digits = f"+38{digits}"
    digits = digits if digits.startswith("+") else f"+{digits}"
    return digits if re.fullmatch(r"\+[1-9][0-9]{7,14}", digits, re.ASCII) else None
