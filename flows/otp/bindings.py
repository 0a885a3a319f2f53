"""Which chat is whose: staff by a link from their own account, citizens by the number that Telegram vouches for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from flows.access.changes import Unit
from flows.access.tables import telegram
from flows.otp.rules import LINK_S, RISKY_S
from flows.otp.tables import citizen, link
from pipe.contract import Transaction

PERSON = "person/"


@dataclass(frozen=True, slots=True)
class Binding:
    """A chat that codes for somebody go to."""

    subject: str
    connection: str
    chat: int
    bound_at: float
    risky_from: float | None
    blocked_at: float | None


def person(id: str) -> str:
    """The subject that somebody of the staff is."""
    return f"{PERSON}{id}"


def phone(tx: Transaction, number: str) -> str:
    """The subject that a telephone number is, as `pipe erase` finds it; the number itself is kept nowhere."""
    return tx.hash("subject", number)


def _table(subject: str) -> tuple[Table, Any, str]:
    """Where a subject's chats are kept, by which column, and as what."""
    if subject.startswith(PERSON):
        return telegram, telegram.c.person, subject.removeprefix(PERSON)
    return citizen, citizen.c.subject, subject


def find(tx: Transaction, subject: str, bot: str) -> Binding | None:
    """The chat of a subject with a bot."""
    table, column, key = _table(subject)
    row = tx.execute(select(table).where(column == key, table.c.connection == bot)).first()
    if row is None:
        return None
    chat = int(tx.unseal(bytes(row.chat), _about(subject, bot)))
    return Binding(subject, bot, chat, row.bound_at, row.risky_from, row.blocked_at)


def has(connection: Connection, subject: str, bot: str) -> bool:
    """Whether there is one; for those who may only read."""
    table, column, key = _table(subject)
    return connection.execute(select(column).where(column == key, table.c.connection == bot)).first() is not None


def of_chat(tx: Transaction, bot: str, chat: int) -> list[str]:
    """The subjects whose codes go to this chat."""
    key = chat_key(tx, bot, chat)
    staff = tx.execute(select(telegram.c.person).where(telegram.c.connection == bot, telegram.c.chat_key == key))
    found = [person(row.person) for row in staff]
    others = tx.execute(select(citizen.c.subject).where(citizen.c.connection == bot, citizen.c.chat_key == key))
    return [*found, *(row.subject for row in others)]


def bind(tx: Transaction, subject: str, bot: str, chat: int, language: str) -> int | None:
    """From now on codes for the subject go to this chat; returns the chat before, where it was another one."""
    before = find(tx, subject, bot)
    moved = before is not None and before.chat != chat
    unbind(tx, subject, bot)
    table, column, key = _table(subject)
    row: dict[str, Any] = {
        column.name: key,
        "connection": bot,
        "chat": tx.seal(str(chat).encode(), _about(subject, bot)),
        "chat_key": chat_key(tx, bot, chat),
        "bound_at": tx.now,
        "risky_from": tx.now + RISKY_S if moved else before.risky_from if before else None,
        "blocked_at": None,
    }
    tx.execute(insert(table), row | ({"language": language} if table is citizen else {}))
    tx.audit("otp.bound", after={"bot": bot, "moved": moved}, target=subject)
    return before.chat if before is not None and moved else None


def unbind(tx: Transaction, subject: str, bot: str) -> bool:
    """Codes for the subject go nowhere; whether they went somewhere. The caller writes the audit."""
    table, column, key = _table(subject)
    gone = delete(table).where(column == key, table.c.connection == bot).returning(column)
    return tx.execute(gone).first() is not None


def forget(tx: Transaction | Unit, subject: str) -> int:
    """Codes for the subject go nowhere any more, through whatever bot; links that would bind a chat end too.

    Returns how many chats there were. The caller writes the audit.
    """
    table, column, key = _table(subject)
    tx.execute(delete(link).where(link.c.subject == subject))
    return len(tx.execute(delete(table).where(column == key).returning(column)).all())


def turn(tx: Transaction, bot: str, chat: int, *, blocked: bool) -> None:
    """The person has blocked the bot, or let it in again."""
    key = chat_key(tx, bot, chat)
    for table in (telegram, citizen):
        mine = (table.c.connection == bot, table.c.chat_key == key)
        tx.execute(update(table).where(*mine).values(blocked_at=tx.now if blocked else None))


def chat_key(tx: Transaction, bot: str, chat: int) -> str:
    """Finds the subjects of a chat."""
    return tx.hash("otp-chat", bot, str(chat))


def _about(subject: str, bot: str) -> str:
    return f"otp:{subject}:{bot}"


# --- links ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """What somebody who came by a link may bind."""

    key: str
    subject: str
    company: str


def offer(tx: Transaction, bot: str, subject: str, company: str) -> str:
    """A word for a link, good once and for ten minutes; the one before is good no more. Kept as a hash."""
    word = secrets.token_urlsafe(24)
    tx.execute(
        delete(link).where((link.c.until <= tx.now) | ((link.c.subject == subject) & (link.c.connection == bot)))
    )
    row = {"key": hashed(word), "connection": bot, "subject": subject, "company": company}
    tx.execute(insert(link), row | {"until": tx.now + LINK_S, "chat_key": None})
    return word


def taken(tx: Transaction, bot: str, word: str) -> Link | None:
    """What a link's word stands for; it is spent with that."""
    gone = delete(link).where(link.c.key == hashed(word), link.c.connection == bot, link.c.until > tx.now)
    return _link(tx.execute(gone.returning(link)).mappings().first())


def await_number(tx: Transaction, bot: str, found: Link, chat: int) -> None:
    """The chat that came with a link has to prove its number; the word itself is spent."""
    row = {"key": f"chat {found.key}", "connection": bot, "subject": found.subject, "company": found.company}
    tx.execute(insert(link), row | {"until": tx.now + LINK_S, "chat_key": chat_key(tx, bot, chat)})


def awaited(tx: Transaction, bot: str, chat: int) -> Link | None:
    """The link with which this chat came last, now that it shows its number."""
    gone = delete(link).where(link.c.chat_key == chat_key(tx, bot, chat), link.c.until > tx.now).returning(link)
    rows = sorted(tx.execute(gone).mappings(), key=lambda row: float(row["until"]))
    return _link(rows[-1] if rows else None)


def _link(row: Mapping[Any, Any] | None) -> Link | None:
    return Link(row["key"], row["subject"], row["company"]) if row is not None else None


def hashed(word: str) -> str:
    """What is kept of a link's word: chance enough to need no key."""
    return hashlib.sha256(word.encode()).hexdigest()
