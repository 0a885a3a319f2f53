"""Second factors behind one small interface. A factor is asked after the password was right, and says yes or no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from flows.signin import totp
from flows.signin.challenges import Challenge
from pipe.store.store import Store

State = Literal["ask", "sent", "late", "stopped"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the page asks for, and what it says about it. Texts are keys of the catalogue."""

    state: State
    """ask: the person has the code; sent: it is on its way; late: it is over; stopped: it could not be sent"""
    title: str
    lead: str
    values: dict[str, str]
    """fills the texts in"""
    digits: int = 6
    until: float | None = None
    """when the code ends"""
    lasts: float | None = None
    """seconds it was good for, for the bar"""
    again_at: float | None = None
    """from when on another code can be asked for; None: this factor sends none"""
    steps: tuple[str, ...] = ()
    """what the person has to do first, one text each"""
    link: str | None = None
    """where to do it"""
    link_text: str = ""
    left: int | None = None
    """tries of this very code; None: as the sign-in counts"""
    elsewhere: bool = False
    """the code may also be shown where it came; the page goes on by itself then"""


class Factor(Protocol):
    """One kind of second factor."""

    name: str
    """as sessions and the audit name it"""

    async def has(self, person: str) -> bool:
        """Whether this person can be asked for it."""

    async def begin(self, challenge: Challenge) -> Prompt:
        """Sends what is to be sent: once when the challenge is made, and for each further code that is asked for."""

    async def prompt(self, challenge: Challenge) -> Prompt:
        """What the page shows now. Sends nothing."""

    async def right(self, challenge: Challenge, code: str) -> bool:
        """Whether the code is right; it is spent with that. The try is counted already."""

    async def done(self, challenge: Challenge) -> bool:
        """Whether the person has shown it elsewhere, so that no code need be typed."""


class TotpFactor:
    """Codes of an authenticator app."""

    name = "totp"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def has(self, person: str) -> bool:
        """Whether the person has confirmed an app."""
        return await self._store.read(lambda connection: totp.has(connection, person))

    async def begin(self, challenge: Challenge) -> Prompt:
        """Nothing is sent: the person has the app."""
        return await self.prompt(challenge)

    async def prompt(self, challenge: Challenge) -> Prompt:
        """Asks for the six digits."""
        return Prompt("ask", "code.totp.title", "code.totp.lead", {}, totp.DIGITS, until=challenge.until)

    async def right(self, challenge: Challenge, code: str) -> bool:
        """Whether the app shows this code now, and has not been asked with it before."""
        return await self._store.write(lambda tx: totp.use(tx, self._store.vault, challenge.person, code))

    async def done(self, challenge: Challenge) -> bool:
        """An app shows nothing to anybody else."""
        return False
