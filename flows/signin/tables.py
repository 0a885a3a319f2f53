"""What sign-in keeps beside the tables of `access`: half-done sign-ins, and the password of the very first one."""

from __future__ import annotations

from sqlalchemy import Column, Connection, Float, Integer, MetaData, String, Table, Text

metadata = MetaData()

challenge = Table(
    "signin_challenge",
    metadata,
    Column("token", String, primary_key=True),  # SHA-256 of what the cookie holds
    Column("id", String, nullable=False, unique=True),
    Column("person", String, nullable=False, index=True),
    Column("factor", String, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("until", Float(53), nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("means", String, nullable=False),
    Column("goal", Text, nullable=False),  # the page that was asked for
)

first = Table(
    "signin_first",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # there is one at most
    Column("hash", String, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("until", Float(53), nullable=False),
)


def create(connection: Connection) -> None:
    """First migration."""
    metadata.create_all(connection)
