"""One-time passwords for pages: what they show, without writing anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Executable, Result, select

from flows.otp import codes, tables
from flows.otp.rules import Wait, wait
from flows.otp.settings import Setting, of
from pipe.store.vault import Vault


@dataclass(frozen=True, slots=True)
class Reading:
    """A read-only connection as far as it can stand for a transaction."""

    connection: Connection
    vault: Vault
    now: float

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs a query."""
        return self.connection.execute(statement, parameters)

    def hash(self, *parts: str) -> str:
        """See Transaction."""
        return self.vault.hash(*parts)

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """See Transaction."""
        return self.vault.open(sealed, about)


@dataclass(frozen=True, slots=True)
class View:
    """How it stands with the code of one session."""

    setting: Setting
    challenge: codes.Challenge | None
    """the newest one; None: there was none, or none could be made"""
    wait: Wait | None
    """why there can be no other now, and until when"""


def view(reading: Any, company: str, subject: str, session: str) -> View:
    """The newest code that this session has asked for."""
    c = tables.challenge.c
    mine = select(c.id).where(c.session == reading.hash("otp-session", session)).order_by(c.created_at.desc()).limit(1)
    newest = reading.execute(mine).scalar()
    setting = of(reading, company)
    stands = wait(codes.past(reading, subject), reading.now, setting.numbers)
    return View(setting, codes.by_id(reading, newest) if newest is not None else None, stands)
