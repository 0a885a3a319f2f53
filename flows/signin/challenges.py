"""The moment between the right password and the right code: short, bound to one browser, and counted."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from flows.access.changes import Unit
from flows.signin.sessions import hashed, new_token
from flows.signin.tables import challenge

PATIENCE_S = 10 * 60.0
MOST_TRIES = 5


@dataclass(frozen=True, slots=True)
class Challenge:
    """One that is open."""

    id: str
    person: str
    factor: str
    created_at: float
    until: float
    tries: int
    means: str
    goal: str

    @property
    def left(self) -> int:
        """Tries that are left."""
        return MOST_TRIES - self.tries


def begin(tx: Unit, person: str, factor: str, *, means: str, goal: str) -> tuple[str, Challenge]:
    """Starts one in the place of any that the person has; returns the cookie's token, which is kept nowhere."""
    token = new_token()
    tx.execute(delete(challenge).where((challenge.c.person == person) | (challenge.c.until <= tx.now)))
    made = Challenge(tx.new_id(), person, factor, tx.now, tx.now + PATIENCE_S, 0, means, goal)
    values = {name: getattr(made, name) for name in Challenge.__slots__}
    tx.execute(insert(challenge), {"token": hashed(token), **values})
    return token, made


def find(connection: Connection, token: str, now: float) -> Challenge | None:
    """The open challenge of a cookie."""
    row = connection.execute(select(challenge).where(challenge.c.token == hashed(token))).first()
    if row is None or not row.created_at - 1 <= now < row.until or row.tries >= MOST_TRIES:
        return None
    return Challenge(*(getattr(row, name) for name in Challenge.__slots__))


def count(tx: Unit, id: str) -> bool:
    """Counts a try before it is looked at; False where there are none left, or it is over."""
    one_more = update(challenge).where(challenge.c.id == id, challenge.c.tries < MOST_TRIES, challenge.c.until > tx.now)
    one_more = one_more.values(tries=challenge.c.tries + 1).returning(challenge.c.id)
    return tx.execute(one_more).first() is not None


def turn(tx: Unit, id: str, factor: str) -> bool:
    """Asks for another factor from now on; what was tried stays counted. Whether it was still there."""
    turned = update(challenge).where(challenge.c.id == id).values(factor=factor).returning(challenge.c.id)
    return tx.execute(turned).first() is not None


def drop_all_of(tx: Unit, person: str) -> None:
    """Ends what a person has half done: a password that it began with is no longer theirs."""
    tx.execute(delete(challenge).where(challenge.c.person == person))


def close(tx: Unit, id: str) -> bool:
    """Ends it; whether it was still there: of two that come at once only one goes on."""
    return tx.execute(delete(challenge).where(challenge.c.id == id).returning(challenge.c.id)).first() is not None
