"""Appointments: a table of visits, a reminder the day before, and its withdrawal."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Connection, Float, MetaData, String, Table, insert, update

from pipe.contract import Flow, Message, Transaction, step
from pipe.errors import NotFound

DAY_S = 86400
metadata = MetaData()
visit = Table(
    "visits_visit",
    metadata,
    Column("id", String, primary_key=True),  # of the message that booked it
    Column("at", Float(53), nullable=False),
    Column("state", String, nullable=False),
)


def create(connection: Connection) -> None:
    """First migration: the visits."""
    metadata.create_all(connection)


@step("visits.book")
def book(message: Message, tx: Transaction) -> Iterable[Message]:
    """Books a visit at `body.at` (seconds since 1970), asks for a reminder a day before, and goes on with its id."""
    at = float(message.body["at"])
    tx.execute(insert(visit), {"id": message.id, "at": at, "state": "booked"})
    tx.emit(message, route="reminders", at=at - DAY_S, cancel=f"visit/{message.id}")
    yield message.but(body={**message.body, "visit": message.id})


@step("visits.cancel")
def cancel(message: Message, tx: Transaction) -> Iterable[Message]:
    """Cancels the visit `body.visit` and takes its reminder back. Raises NotFound where there is no such booking."""
    booked = (visit.c.id == message.body["visit"], visit.c.state == "booked")
    cancelled = update(visit).where(*booked).values(state="cancelled").returning(visit.c.id)
    if tx.execute(cancelled).first() is None:
        raise NotFound("no visit of this id is booked", visit=message.body["visit"])
    tx.cancel(f"visit/{message.body['visit']}")
    return []


FLOW = Flow(name="visits", steps=(book, cancel), migrations=(create,))
