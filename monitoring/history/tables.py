"""Where the history lies. A moment in which nothing happened and nothing waited has no row."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Float, Index, Integer, MetaData, String, Table, Text, inspect, text

from pipe.store.schema import Big

MINUTE, QUARTER = 60, 900
"""seconds that one row stands for"""
KEPT: dict[int, float] = {MINUTE: 2 * 86400.0, QUARTER: 90 * 86400.0}
"""how long rows of each kind are kept, in seconds"""

metadata = MetaData()

sample = Table(
    "monitoring_sample",
    metadata,
    Column("grain", Integer, primary_key=True, autoincrement=False),  # MINUTE or QUARTER
    Column("at", Big, primary_key=True, autoincrement=False),  # when it begins
    Column("route", String, primary_key=True),
    Column("connection", String, primary_key=True),  # whom the attempts were for; empty: the route itself
    Column("came", Big, nullable=False),  # accepted at the door
    Column("refused", Big, nullable=False),
    Column("done", Big, nullable=False),  # attempts that ended well
    Column("failed", Big, nullable=False),  # that are tried again, or of which nobody knows
    Column("dead", Big, nullable=False),
    Column("waiting", Big, nullable=False),  # at the end of it
    Column("times", Text, nullable=False),  # JSON: how many attempts took how long, see `times.py`
    Index("monitoring_sample_route", "grain", "route", "at"),
    Index("monitoring_sample_connection", "grain", "connection", "at"),
)

turn = Table(
    "monitoring_turn",
    metadata,
    Column("connection", String, primary_key=True),
    Column("at", Float(53), primary_key=True),
    Column("state", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("code", String),  # see pipe.contract.Health
)


def create(connection: Connection) -> None:
    """The tables as they were first."""
    metadata.create_all(connection)


def codes(connection: Connection) -> None:
    """Why a connection turned, as a code: the column, where the tables were made before there was one."""
    if "code" not in {column["name"] for column in inspect(connection).get_columns(turn.name)}:
        connection.execute(text(f"ALTER TABLE {turn.name} ADD COLUMN code VARCHAR"))
