"""Where shapes are kept, over restarts."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Float, MetaData, String, Table, Text

metadata = MetaData()

drift = Table(
    "monitoring_drift",
    metadata,
    Column("connection", String, primary_key=True),
    Column("what", String, primary_key=True),  # wsdl, openapi, sample
    Column("part", String, primary_key=True),  # of samples: see pipe.sampling; empty for a description
    Column("data", Text, nullable=False),  # JSON: names and kinds, never a value
    Column("looked_at", Float(53), nullable=False),
    Column("changed_at", Float(53)),  # since when something differs
    Column("trouble", Text),  # why the last look failed
    Column("accepted_at", Float(53)),
    Column("accepted_by", String),
    Column("reason", Text),
)


def create(connection: Connection) -> None:
    """The table."""
    metadata.create_all(connection)
