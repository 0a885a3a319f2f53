"""Where integration events are kept."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, String, Table, Text

from pipe.store.schema import Big

metadata = MetaData()

event = Table(
    "monitoring_event",
    metadata,
    Column("seq", Big, primary_key=True),
    Column("at", Float(53), nullable=False, index=True),  # of the first of those that are told in one line
    Column("kind", String, nullable=False),
    Column("subject", String, nullable=False),  # a connection, a route, or the gateway
    Column("event", String, nullable=False),  # down, up, dead, applied …
    Column("code", String),
    Column("n", Integer, nullable=False),  # how many alike within a second
    Column("message", String),  # id of the first
    Column("text", Text),
    Index("monitoring_event_subject", "subject", "seq"),
)


def create(connection: Connection) -> None:
    """The table as it was first."""
    metadata.create_all(connection)
