"""The life of a code: asked for, made, sent, tried, over. Functions of a transaction; each writes its audit row."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import func, insert, select, update

from flows.otp import bindings, settings, tables
from flows.otp.rules import (
    DECOYS,
    KEPT_S,
    LIVE,
    TRIABLE,
    Past,
    State,
    Wait,
    again_at,
    in_a_row,
    locked,
    next_state,
    wait,
)
from flows.otp.settings import Setting
from pipe.contract import Message, Transaction

SEND, CLEAN, NOTICE = "otp-send", "otp-clean", "otp-notice"
"""routes of `flows/otp/routes.yaml`"""
FEED = "otp"
c = tables.challenge.c


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a code, for what, and from where. The session is the secret of one browser or caller."""

    company: str
    subject: str
    purpose: str
    session: str
    address: str
    language: str = "uk"
    staff: bool = False


@dataclass(frozen=True, slots=True)
class Challenge:
    """One row."""

    id: str
    company: str
    connection: str
    subject: str
    purpose: str
    session: str
    language: str
    staff: bool
    state: State
    why: str
    created_at: float
    expires_at: float
    tries: int
    most: int
    message: int | None

    def live(self, now: float) -> bool:
        """Whether its code may still be right."""
        return self.state in LIVE and now < self.expires_at

    @property
    def left(self) -> int:
        """Tries that are left."""
        return max(0, self.most - self.tries)


_COLUMNS = [tables.challenge.c[name] for name in Challenge.__dataclass_fields__]
Result = Literal["right", "wrong", "burned", "over", "locked"]


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(tx: Transaction, asker: Asker) -> Challenge | Wait:
    """A new code in the place of any live one of the same person and purpose; or why there is none now, until when.

    The code is made by the route that sends it. Known and unknown subjects cost the same and get the same answer.
    Raises Conflict where the company uses no one-time passwords.
    """
    setting = settings.used(tx, asker.company)
    numbers, session = setting.numbers, tx.hash("otp-session", asker.session)
    address = tx.hash("otp-address", asker.address)
    found = wait(past(tx, asker.subject), tx.now, numbers) or _crowd(tx, setting, address)
    if found is not None:
        tx.audit("otp.refused", after=_told(asker) | {"why": found.why, "until": found.until}, target=asker.subject)
        return found
    _replace(tx, asker)
    lasts = numbers.staff_lasts if asker.staff else numbers.lasts
    row: dict[str, Any] = {
        "id": secrets.token_urlsafe(16),
        "company": asker.company,
        "connection": setting.bot,
        "subject": asker.subject,
        "purpose": asker.purpose,
        "session": session,
        "address": address,
        "language": asker.language,
        "staff": asker.staff,
        "state": State.WAITING.value,
        "why": "",
        "hash": None,
        "created_at": tx.now,
        "expires_at": tx.now + lasts,
        "tries": 0,
        "most": numbers.tries,
        "message": None,
        "ended_at": None,
    }
    tx.execute(insert(tables.challenge), row)
    body = {"challenge": row["id"]}
    tx.emit(Message("", SEND, body), route=SEND, deadline=row["expires_at"])
    tx.audit("otp.requested", after=_told(asker) | {"challenge": row["id"][:8]}, target=asker.subject)
    made = by_id(tx, row["id"])
    assert made is not None
    return made


def _crowd(tx: Transaction, setting: Setting, address: str) -> Wait | None:
    """What stands against it that is no fault of the person's: the address, or a storm of guesses."""
    numbers, now = setting.numbers, tx.now
    sends = _count(tx, c.address == address, c.created_at > now - 3600)
    if sends >= numbers.address_an_hour:
        return Wait("address", now + 600)
    tries = select(func.coalesce(func.sum(c.tries), 0)).where(c.address == address, c.created_at > now - 600)
    if int(tx.execute(tries).scalar_one()) >= numbers.address_checks:
        return Wait("address", now + 600)
    burned = _count(tx, c.state == State.BURNED.value, c.ended_at > now - 60)
    return Wait("crowd", now + 60) if burned > numbers.burned_a_minute else None


def _count(tx: Transaction, *where: Any) -> int:
    return int(tx.execute(select(func.count()).select_from(tables.challenge).where(*where)).scalar_one())


def _replace(tx: Transaction, asker: Asker) -> None:
    """A newer code makes the older ones of the same purpose void, whatever session they were for."""
    mine = (c.subject == asker.subject, c.purpose == asker.purpose, c.company == asker.company)
    for row in tx.execute(select(*_COLUMNS).where(*mine, c.state.in_([state.value for state in LIVE]))).mappings():
        found = _made(row)
        _end(tx, found, State.EXPIRED if tx.now >= found.expires_at else State.REPLACED)
        _clean(tx, found)


# --- sending --------------------------------------------------------------------------------------------------------


def make(tx: Transaction, challenge: Challenge) -> str | None:
    """Makes the code and keeps its hash; None where it is wanted no more. It exists only in what is sent."""
    if not challenge.live(tx.now) or next_state(challenge.state, "made") is None:
        return None
    numbers = settings.of(tx, challenge.company).numbers
    digits = numbers.staff_digits if challenge.staff else numbers.digits
    code = f"{secrets.randbelow(10**digits):0{digits}}"
    values = {"state": State.SENDING.value, "hash": _hash(tx, challenge, code)}
    tx.execute(update(tables.challenge).where(c.id == challenge.id).values(values))
    return code


def fail(tx: Transaction, challenge: Challenge, why: str) -> None:
    """It could not be sent."""
    if next_state(challenge.state, "refused") is None:
        return
    _end(tx, challenge, State.FAILED, why=why)
    tx.audit("otp.send_failed", after={"challenge": challenge.id[:8], "why": why}, target=challenge.subject)


def delivered(tx: Transaction, challenge: Challenge, message: int | None) -> None:
    """Telegram has taken it."""
    state = next_state(challenge.state, "delivered")
    values: dict[str, Any] = {"message": message}
    if state is not None:
        values["state"] = state.value
        tx.publish(FEED, {"challenge": challenge.id, "state": state.value})
        tx.audit("otp.sent", after={"challenge": challenge.id[:8]}, target=challenge.subject)
    tx.execute(update(tables.challenge).where(c.id == challenge.id).values(values))
    if challenge.state not in LIVE:  # it was over before Telegram told us the number of the message
        fresh = by_id(tx, challenge.id)
        assert fresh is not None
        _clean(tx, fresh)


# --- trying ---------------------------------------------------------------------------------------------------------


def check(tx: Transaction, id: str, code: str, *, session: str, company: str, purpose: str) -> tuple[Result, int]:
    """Whether it is this challenge's code, and how many tries are left.

    The try is counted before the code is looked at. A challenge of another session, company or purpose is none, and
    costs as much as one.
    """
    mine = (c.session == tx.hash("otp-session", session), c.company == company, c.purpose == purpose)
    return _check(tx, code, c.id == id, *mine)


def check_in_chat(tx: Transaction, bot: str, subjects: list[str], code: str) -> tuple[Result, int, Challenge | None]:
    """The same for a code that came back in Telegram: for the newest live one of the chat's people."""
    live = (c.subject.in_(subjects), c.connection == bot, c.state.in_([state.value for state in TRIABLE]))
    newest = select(*_COLUMNS).where(*live, c.expires_at > tx.now).order_by(c.created_at.desc()).limit(1)
    row = tx.execute(newest).mappings().first()
    if row is None:
        return "over", 0, None
    result, left = _check(tx, code, c.id == row["id"])
    return result, left, by_id(tx, row["id"])


def _check(tx: Transaction, code: str, *where: Any) -> tuple[Result, int]:
    known = tx.execute(select(*_COLUMNS).where(*where)).mappings().first()
    found = _made(known) if known is not None else _NOBODY
    barred = known is not None and _locked(tx, found)
    decoy = c.state.in_([state.value for state in DECOYS]) & c.staff.is_(False)
    open_to = c.state.in_([state.value for state in TRIABLE]) | decoy
    triable = (open_to, c.expires_at > tx.now, c.created_at <= tx.now + 60)
    counted = update(tables.challenge).where(*where, *triable, c.tries < c.most).values(tries=c.tries + 1)
    row = tx.execute(counted.returning(*_COLUMNS, c.hash.label("hash"))).mappings().first()
    kept = row["hash"] if row is not None else None
    fits = hmac.compare_digest(kept or _NO_HASH, _hash(tx, found, code.replace(" ", "")))
    if row is None:
        return "over", 0
    if barred:
        return "locked", 0
    return _right(tx, _made(row)) if fits and kept is not None else _wrong(tx, _made(row))


def _locked(tx: Transaction, found: Challenge) -> bool:
    return locked(past(tx, found.subject), tx.now, settings.of(tx, found.company).numbers) is not None


def _right(tx: Transaction, found: Challenge) -> tuple[Result, int]:
    _end(tx, found, State.RIGHT)
    tx.audit("otp.verified", after={"challenge": found.id[:8], "purpose": found.purpose}, target=found.subject)
    open_for(tx, found)
    _clean(tx, found)
    return "right", found.left


def _wrong(tx: Transaction, found: Challenge) -> tuple[Result, int]:
    if found.left:
        tx.audit("otp.failed", after={"challenge": found.id[:8], "left": found.left}, target=found.subject)
        return "wrong", found.left
    _end(tx, found, State.BURNED)
    tx.audit("otp.burned", after={"challenge": found.id[:8]}, target=found.subject)
    _clean(tx, found)
    history, numbers = past(tx, found.subject), settings.of(tx, found.company).numbers
    binding = bindings.find(tx, found.subject, found.connection)
    if in_a_row(history) >= numbers.wrong_ever and bindings.unbind(tx, found.subject, found.connection):
        tx.audit("otp.unbound", after={"why": "too many wrong codes"}, target=found.subject)
    if (lock := locked(history, tx.now, numbers)) is not None:
        tx.audit("otp.locked", after={"why": lock.why, "until": lock.until}, target=found.subject)
        if binding is not None:
            say(tx, found.connection, binding.chat, "locked", found.language)
    return "burned", 0


# --- what a right one opens -----------------------------------------------------------------------------------------


def open_for(tx: Transaction, found: Challenge) -> None:
    """The company's functions, for the session that asked."""
    seconds = settings.of(tx, found.company).numbers.opens
    o = tables.opened
    mine = (o.c.session == found.session) & (o.c.company == found.company)
    tx.execute(o.delete().where((o.c.until <= tx.now) | mine))
    row = {"session": found.session, "company": found.company, "subject": found.subject}
    tx.execute(insert(o), row | {"at": tx.now, "until": tx.now + seconds})


def open_until(tx: Transaction, session: str, company: str) -> float | None:
    """Until when a right code has opened this company's functions for this session; None where none has."""
    o = tables.opened.c
    mine = (o.session == tx.hash("otp-session", session), o.company == company, o.until > tx.now)
    row = tx.execute(select(o.until).where(*mine)).first()
    return float(row.until) if row is not None else None


# --- looking --------------------------------------------------------------------------------------------------------


def by_id(tx: Transaction, id: str, session: str | None = None) -> Challenge | None:
    """The challenge; with a session only where it is that session's."""
    where = [c.id == id] + ([c.session == tx.hash("otp-session", session)] if session is not None else [])
    row = tx.execute(select(*_COLUMNS).where(*where)).mappings().first()
    return _made(row) if row is not None else None


def past(tx: Transaction, subject: str) -> list[Past]:
    """The person's codes that limits look at."""
    since = tx.execute(select(tables.lifted.c.at).where(tables.lifted.c.subject == subject)).scalar()
    rows = tx.execute(
        select(c.created_at, c.state, c.tries, c.ended_at).where(
            c.subject == subject, c.created_at > max(tx.now - KEPT_S, since or 0.0)
        )
    )
    # Told of citizens it would say who has a chat with the bot: whoever has none could ask again sooner.
    staff = subject.startswith(bindings.PERSON)
    return [_past(row, staff=staff) for row in rows]


def _past(row: Any, *, staff: bool) -> Past:
    state = State(row.state)
    return Past(
        row.created_at, state, row.tries - (state is State.RIGHT), row.ended_at, staff and state is State.FAILED
    )


def lift(tx: Transaction, subject: str) -> None:
    """What was so far counts no more: a person took the lock away."""
    tx.execute(tables.lifted.delete().where(tables.lifted.c.subject == subject))
    tx.execute(insert(tables.lifted), {"subject": subject, "at": tx.now})
    tx.audit("otp.unlocked", target=subject)


def free_at(tx: Transaction, found: Challenge) -> float:
    """From when on the person can have another code."""
    return again_at(past(tx, found.subject), tx.now, settings.of(tx, found.company).numbers)


def sweep(tx: Transaction) -> int:
    """Ends what is over, and forgets what no limit looks at any more."""
    over = (c.state.in_([state.value for state in LIVE]), c.expires_at <= tx.now)
    rows = tx.execute(select(*_COLUMNS).where(*over)).mappings().all()
    for row in rows:
        found = _made(row)
        _end(tx, found, State.EXPIRED)
        tx.audit("otp.expired", after={"challenge": found.id[:8]}, target=found.subject)
        _clean(tx, found)
    tx.execute(tables.challenge.delete().where(c.created_at < tx.now - KEPT_S))
    return len(rows)


# --- small ones -----------------------------------------------------------------------------------------------------


def say(tx: Transaction, bot: str, chat: int, what: str, language: str, **values: object) -> None:
    """A word of the bot's own, beside any conversation."""
    body = {"chat_id": chat, "say": what, "language": language, "values": values}
    tx.emit(Message("", NOTICE, body, headers={"bot": bot}), route=NOTICE)


def _end(tx: Transaction, found: Challenge, state: State, why: str = "") -> None:
    values = {"state": state.value, "why": why, "hash": None, "ended_at": tx.now}
    tx.execute(update(tables.challenge).where(c.id == found.id).values(values))
    tx.publish(FEED, {"challenge": found.id, "state": state.value})


def _clean(tx: Transaction, found: Challenge) -> None:
    """The message with the code vanishes from the chat, where we know its number."""
    binding = bindings.find(tx, found.subject, found.connection)
    if found.message is not None and binding is not None:
        body = {"chat_id": binding.chat, "message_id": found.message}
        tx.emit(Message("", CLEAN, body, headers={"bot": found.connection}), route=CLEAN)


def _hash(tx: Transaction, found: Challenge, code: str) -> str:
    bound = (found.purpose, found.id, found.subject, found.company, found.session)
    return tx.hash("otp1", *bound, code)


def _told(asker: Asker) -> dict[str, Any]:
    return {"company": asker.company, "purpose": asker.purpose, "address": asker.address}


def _made(row: Mapping[Any, Any]) -> Challenge:
    values = {name: row[name] for name in Challenge.__dataclass_fields__}
    return Challenge(**{**values, "state": State(row["state"]), "staff": bool(row["staff"])})


_NOBODY = Challenge("", "", "", "", "", "", "uk", False, State.EXPIRED, "", 0.0, 0.0, 0, 0, None)
_NO_HASH = "0" * 32
