"""What one-time passwords keep: settings, chats, codes as hashes, and what a right one has opened.

No telephone number, chat or code stands here in clear: subjects and addresses are keyed hashes, chats are sealed.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

setting = Table(
    "otp_setting",
    metadata,
    Column("company", String, primary_key=True),  # `-`: staff of no company
    Column("enabled", Boolean, nullable=False),
    Column("bot", String, nullable=False),  # a connection of type telegram
    Column("numbers", Text, nullable=False),  # JSON of rules.Numbers, only what was set
    Column("texts", Text, nullable=False),  # JSON, only what was written anew
    Column("changed_at", Float(53), nullable=False),
)

citizen = Table(
    "otp_citizen",
    metadata,
    Column("subject", String, primary_key=True),  # keyed hash of the number, as of any subject: `pipe erase` finds it
    Column("connection", String, primary_key=True),  # the bot
    Column("chat", LargeBinary, nullable=False),  # sealed
    Column("chat_key", String, nullable=False),
    Column("language", String, nullable=False),
    Column("bound_at", Float(53), nullable=False),
    Column("risky_from", Float(53)),
    Column("blocked_at", Float(53)),
    Index("otp_citizen_chat", "connection", "chat_key"),
)

link = Table(
    "otp_link",
    metadata,
    Column("key", String, primary_key=True),  # keyed hash of what the link says
    Column("connection", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("company", String, nullable=False),
    Column("until", Float(53), nullable=False, index=True),
    Column("chat_key", String, index=True),  # of the chat that came with it and has to prove its number yet
)

challenge = Table(
    "otp_challenge",
    metadata,
    Column("id", String, primary_key=True),  # 128 bits of chance
    Column("company", String, nullable=False),
    Column("connection", String, nullable=False),  # the bot
    Column("subject", String, nullable=False),  # person/ID, or the keyed hash of a number
    Column("purpose", String, nullable=False),
    Column("session", String, nullable=False),  # keyed hash of the browser's or caller's own secret
    Column("address", String, nullable=False),  # keyed hash
    Column("language", String, nullable=False),
    Column("staff", Boolean, nullable=False),
    Column("state", String, nullable=False),
    Column("why", String, nullable=False),  # of failed: unbound, blocked, refused, late
    Column("hash", String),  # of the code; wiped when it ends
    Column("created_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Column("message", BigInteger),  # Telegram's number of the message with the code
    Column("ended_at", Float(53)),
    Index("otp_challenge_subject", "subject", "created_at"),
    Index("otp_challenge_address", "address", "created_at"),
    Index("otp_challenge_ended", "state", "ended_at"),
)

opened = Table(
    "otp_opened",
    metadata,
    Column("session", String, primary_key=True),  # keyed hash
    Column("company", String, primary_key=True),
    Column("subject", String, nullable=False, index=True),
    Column("at", Float(53), nullable=False),
    Column("until", Float(53), nullable=False, index=True),
)

lifted = Table(
    "otp_lifted",
    metadata,
    Column("subject", String, primary_key=True),
    Column("at", Float(53), nullable=False),  # what was before does not count any more
)

SUBJECTS = tuple((table.name, "subject") for table in (citizen, link, challenge, opened, lifted))
"""what is kept of somebody, for `pipe erase`"""


def create(connection: Connection) -> None:
    """First migration."""
    metadata.create_all(connection)
