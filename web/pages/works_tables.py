"""Where long work for people is kept: who wants what, how far it came, and what came of it; a restart forgets none."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

work = Table(
    "web_work",
    metadata,
    Column("id", String, primary_key=True),
    Column("verb", String, nullable=False),  # rehearse, replay, discard
    Column("actor", String, nullable=False),  # who began it
    Column("options", Text, nullable=False),  # JSON: the reason, and how it is to be done
    Column("began_at", Float(53), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),  # passed: each in the transaction that did it
    Column("gained", Text, nullable=False),  # JSON: what came of those that were passed
    Column("ended_at", Float(53), index=True),
    Column("stopped", Boolean, nullable=False),  # a person wants no more of it; what is done stays done
    Column("failed", Text, nullable=False),  # why it broke off
    Column("code", String, nullable=False),  # of that failure
    Column("resumed_at", Float(53)),
    Column("resumed_by", String),
)

part = Table(
    "web_work_part",
    metadata,
    Column("work", String, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("numbers", Text, nullable=False),  # JSON: deliveries that are done in one transaction
    Column("done_at", Float(53)),
    Column("passing", Text),  # JSON: of a rehearsal, those that would pass
)


def create(connection: Connection) -> None:
    """The tables."""
    metadata.create_all(connection)


MIGRATIONS = (create,)
