"""One-time passwords through Telegram as a second factor of staff."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from flows.access import people
from flows.otp import bindings, codes, settings
from flows.otp.reading import Reading, View, view
from flows.otp.rules import State as Code
from flows.otp.rules import Wait
from flows.signin.challenges import Challenge
from pipe.clock import Clock
from pipe.contract import Transaction
from pipe.errors import Conflict
from pipe.store import notes
from pipe.store.store import Store
from web.pages.bots import Act
from web.signin.factors import Prompt

PURPOSE = "sign-in"
SLOW_S = 15.0
"""after so long the page says that Telegram takes its time"""


class OtpFactor:
    """Codes that a Telegram bot sends to the private chat."""

    name = "otp"

    def __init__(self, store: Store, clock: Clock, act: Act) -> None:
        self._store, self._clock, self._act = store, clock, act

    async def has(self, person: str) -> bool:
        """Whether the person's company uses them, and the person has a chat with its bot."""

        def read(connection: Connection) -> bool:
            setting = settings.of(self._reading(connection), company_of(connection, person))
            return setting.enabled and bindings.has(connection, bindings.person(person), setting.bot)

        return await self._store.read(read)

    async def begin(self, challenge: Challenge) -> Prompt:
        """Asks for a code; the route sends it."""
        company, language = await self._store.read(lambda connection: _of(connection, challenge.person))
        subject = bindings.person(challenge.person)
        # The sign-in has counted the address already; here it is the person's own.
        asker = codes.Asker(company, subject, PURPOSE, _session(challenge), subject, language, staff=True)

        def ask(tx: Transaction) -> codes.Challenge | Wait | None:
            try:
                return codes.ask(tx, asker)
            except Conflict:
                return None  # switched off in this very moment: the page says that it cannot be sent

        await self._act(ask, "visitor")
        return await self.prompt(challenge)

    async def prompt(self, challenge: Challenge) -> Prompt:
        """What the page shows now."""

        def read(connection: Connection) -> tuple[View, dict[str, str]]:
            seen = self._view(self._reading(connection), challenge)
            return seen, notes.read(connection, seen.setting.bot, "bot") or {}

        seen, bot = await self._store.read(read)
        return shown(seen, bot, self._clock.now())

    async def right(self, challenge: Challenge, code: str) -> bool:
        """Whether it is the code that was sent last; it is spent with that."""

        def check(tx: Transaction) -> bool:
            found = self._view(tx, challenge).challenge
            if found is None:
                return False
            mine = {"session": _session(challenge), "company": found.company, "purpose": PURPOSE}
            return codes.check(tx, found.id, code, **mine)[0] == "right"

        return await self._act(check, "visitor")

    async def done(self, challenge: Challenge) -> bool:
        """Whether the code has come back in Telegram, and was right."""

        def read(connection: Connection) -> bool:
            found = self._view(self._reading(connection), challenge).challenge
            return found is not None and found.state is Code.RIGHT

        return await self._store.read(read)

    def _reading(self, connection: Connection) -> Any:
        return Reading(connection, self._store.vault, self._clock.now())

    def _view(self, reading: Any, challenge: Challenge) -> View:
        company, _ = _of(reading, challenge.person)
        return view(reading, company, bindings.person(challenge.person), _session(challenge))


def company_of(reader: Any, person: str) -> str:
    """Whose settings are a person's."""
    return _of(reader, person)[0]


def _of(reader: Any, person: str) -> tuple[str, str]:
    found = people.by_id(reader, person)
    return found.company or settings.STAFF, found.language


def _session(challenge: Challenge) -> str:
    """A code is good for this sign-in alone: its id is chance, and no page shows it."""
    return f"sign-in {challenge.id}"


def shown(seen: View, bot: dict[str, str], now: float) -> Prompt:
    """What the page says."""
    found, values = seen.challenge, {"bot": f"@{bot.get('username', seen.setting.bot)}"}
    again_at = seen.wait.until if seen.wait is not None else now
    digits = seen.setting.numbers.staff_digits
    if found is None:
        why = seen.wait.why if seen.wait is not None else "refused"
        key = "often" if why in ("again", "often", "address", "crowd") else "locked" if seen.wait else "refused"
        return Prompt("stopped", f"code.otp.{key}", f"code.otp.{key}_why", values, digits, again_at=again_at)
    if found.state is Code.FAILED:
        return _failed(found.why, values, digits, bot.get("link"), again_at)
    if found.state is Code.BURNED:
        return Prompt("late", "code.otp.burned", "code.otp.burned_why", values, digits, again_at=again_at)
    if found.state in (Code.EXPIRED, Code.REPLACED) or now >= found.expires_at:
        return Prompt("late", "code.otp.over", "code.otp.over_why", values, digits, again_at=again_at)
    slow = found.state is not Code.SENT and now - found.created_at > SLOW_S
    return Prompt(
        "ask" if found.state is Code.SENT else "sent", "code.otp.title", "code.otp.slow" if slow else "code.otp.lead",
        values, digits, until=found.expires_at, lasts=found.expires_at - found.created_at, again_at=again_at,
        left=found.left, elsewhere=True,
    )  # fmt: skip


def _failed(why: str, values: dict[str, str], digits: int, link: str | None, again_at: float) -> Prompt:
    """Why it could not be sent, and a way on."""
    if why not in ("blocked", "unbound"):
        key = "late" if why == "late" else "refused"
        return Prompt("stopped", f"code.otp.{key}", f"code.otp.{key}_why", values, digits, again_at=again_at)
    steps = ("code.otp.step_open", "code.otp.step_unblock", "code.otp.step_again")
    return Prompt(
        "stopped", "code.otp.blocked", "code.otp.blocked_why", values, digits, again_at=again_at,
        steps=steps, link=link, link_text="code.otp.open",
    )  # fmt: skip
