"""The register of numbers. It holds nobody's data: who appealed and what about stays in the messages."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    insert,
    select,
    update,
)

from flows.appeals.rules import Number, State
from pipe.contract import Transaction

metadata = MetaData()

appeal = Table(
    "appeals_appeal",
    metadata,
    Column("message", String, primary_key=True),  # id of the message that was accepted
    Column("year", Integer, nullable=False),
    Column("serial", BigInteger, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("registered_at", Float(53), nullable=False, index=True),
    Column("state", String, nullable=False),
    Column("changed_at", Float(53), nullable=False),
    UniqueConstraint("year", "serial"),
)


def create(connection: Connection) -> None:
    """First migration: the register."""
    metadata.create_all(connection)


def number_of(tx: Transaction, message: str) -> Number | None:
    """The number that this message was given."""
    row = tx.execute(select(appeal.c.year, appeal.c.serial).where(appeal.c.message == message)).first()
    return Number(row.year, row.serial) if row else None


def add(tx: Transaction, message: str, year: int, *, urgent: bool, registered_at: float) -> Number:
    """Gives the next number of the year to this message."""
    last = tx.execute(select(func.max(appeal.c.serial)).where(appeal.c.year == year)).scalar()
    number = Number(year, (last or 0) + 1)
    row = {
        "message": message,
        "year": number.year,
        "serial": number.serial,
        "urgent": urgent,
        "registered_at": registered_at,
        "state": State.REGISTERED.value,
        "changed_at": registered_at,
    }
    tx.execute(insert(appeal), row)
    return number


def state_of(tx: Transaction, number: Number) -> State | None:
    """Where the appeal of this number is; None where there is no such appeal."""
    found = tx.execute(select(appeal.c.state).where(appeal.c.year == number.year, appeal.c.serial == number.serial))
    text = found.scalar()
    return State(text) if text else None


def move(tx: Transaction, number: Number, state: State) -> None:
    """Puts the appeal into another state, now."""
    where = (appeal.c.year == number.year, appeal.c.serial == number.serial)
    tx.execute(update(appeal).where(*where).values(state=state.value, changed_at=tx.now))


def counted(tx: Transaction, since: float, until: float) -> list[dict[str, object]]:
    """How many appeals were registered from `since` and before `until`, by state and urgency."""
    query = (
        select(appeal.c.state, appeal.c.urgent, func.count().label("appeals"))
        .where(appeal.c.registered_at >= since, appeal.c.registered_at < until)
        .group_by(appeal.c.state, appeal.c.urgent)
        .order_by(appeal.c.state, appeal.c.urgent)
    )
    return [dict(row) for row in tx.execute(query).mappings()]
