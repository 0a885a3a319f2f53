"""Where alerts and silences are kept, over restarts."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Float, MetaData, String, Table, Text, inspect, text

metadata = MetaData()

alert = Table(
    "monitoring_alert",
    metadata,
    Column("id", String, primary_key=True),
    Column("rule", String, nullable=False),
    Column("subject", String, nullable=False),  # a connection, a route, or the gateway
    Column("severity", String, nullable=False),
    Column("text", Text, nullable=False),
    Column("text_uk", Text, nullable=False),
    Column("began_at", Float(53), nullable=False),
    Column("fired_at", Float(53)),  # it has lasted for as long as its rule says
    Column("ended_at", Float(53), index=True),
    Column("told_at", Float(53)),  # when a route last got it
    Column("cleared_at", Float(53)),  # when a route got the all-clear
    Column("acked_at", Float(53)),
    Column("acked_by", String),
    Column("note", Text),
    Column("heard", Text),  # JSON: who got it, by route: when last, and when the all-clear
)

silence = Table(
    "monitoring_silence",
    metadata,
    Column("id", String, primary_key=True),
    Column("rule", String),  # empty: all rules
    Column("subject", String),  # empty: all subjects
    Column("until", Float(53), nullable=False, index=True),
    Column("at", Float(53), nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
)


def create(connection: Connection) -> None:
    """The tables."""
    metadata.create_all(connection)


def who_heard(connection: Connection) -> None:
    """Each listener has heard its own: the column, where the tables were made before there was one."""
    if "heard" not in {column["name"] for column in inspect(connection).get_columns(alert.name)}:
        connection.execute(text(f"ALTER TABLE {alert.name} ADD COLUMN heard TEXT"))
