"""All tables. A message is what was accepted; a delivery is that message on its way to one station.

Station = a target of the route, or the flow or split that ends a stage of it. A delivery's `state` is the whole truth
about it; what is final never changes again, but by a person's hand (replay, resolve, discard).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

READY, RETRY, HELD, TIMER, ANSWERING, UNCERTAIN = "ready", "retry", "held", "timer", "answering", "uncertain"
DELIVERED, CONSUMED, ANSWERED = "delivered", "consumed", "answered"
DEAD, EXPIRED, DISCARDED = "dead", "expired", "discarded"
PENDING = (READY, RETRY, HELD, TIMER, ANSWERING, UNCERTAIN)
FINAL = (DELIVERED, CONSUMED, ANSWERED, DEAD, EXPIRED, DISCARDED)

LATER_INDEXES = (
    "CREATE INDEX message_order ON message (order_key, seq) WHERE order_key IS NOT NULL",
    "CREATE INDEX delivery_code ON delivery (code, id) WHERE code IS NOT NULL",
)
"""that searches need, and that a store of the fourth version lacks; what has no key, or no error, is not in them"""

metadata = MetaData()
Big = BigInteger().with_variant(Integer, "sqlite")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


message = Table(
    "message",
    metadata,
    Column("seq", Big, primary_key=True, autoincrement=False),
    Column("id", String, nullable=False, unique=True),
    Column("route", String, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("revision", String, nullable=False),
    Column("received_at", Float(53), nullable=False),
    Column("kind", String, nullable=False),  # of the body: bytes, json, blob; sealed ones end in "+"
    Column("body", LargeBinary),
    Column("size", Big, nullable=False),
    Column("envelope", LargeBinary, nullable=False),  # JSON: headers, params, query, content type, caller …
    Column("checksum", Big, nullable=False),  # CRC-32 over id, body and envelope
    Column("output_kind", String),
    Column("output", LargeBinary),  # what the steps made of it, once there was a second attempt
    Column("order_key", String),  # keyed hashes: they find, and tell nothing
    Column("subject", String),
    Column("parent", String),
    Column("position", Integer),
    Column("gather", Big),
    Column("cancel_key", String),
    Column("origin", String),  # id of the message whose step emitted this one
    Column("sealed", LargeBinary),  # sensitive values, encrypted, for masking
    Index("message_subject", "subject", **_where("subject IS NOT NULL")),
    Index("message_parent", "parent", **_where("parent IS NOT NULL")),
    Index("message_origin", "origin", **_where("origin IS NOT NULL")),
    Index("message_cancel", "cancel_key", **_where("cancel_key IS NOT NULL")),
    Index("message_kept", "route", "received_at", **_where("kind <> 'gone'")),
    Index("message_gone_at", "route", "received_at", **_where("kind = 'gone'")),
    Index("message_blob", "seq", **_where("kind = 'blob'")),
)


delivery = Table(
    "delivery",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),
    Column("message", Big, nullable=False, index=True),
    Column("route", String, nullable=False),
    Column("station", String, nullable=False),
    Column("state", String, nullable=False),
    Column("order_key", String),
    Column("next_at", Float(53)),  # when a retry, timer or confirmation is due
    Column("expires_at", Float(53)),
    Column("attempts", Integer, nullable=False),
    Column(
        "spent", Float(53), nullable=False
    ),  # seconds of attempts and pauses; stands still while the connection is down
    Column("crashes", Integer, nullable=False),
    Column("cursor", Big, nullable=False),  # items that a split has handed on
    Column("size", Big, nullable=False),
    Column("output_kind", String),
    Column("output", LargeBinary),  # what the target's own steps made of it
    Column("done_at", Float(53)),
    Column("code", String),
    Column("status", String),
    Column("note", Text),
    Column("ms", Float(53)),
    Index("delivery_open", "route", "station", "state", "id", **_where("done_at IS NULL")),
    Index("delivery_due", "next_at", **_where("next_at IS NOT NULL")),
    Index("delivery_expiry", "expires_at", **_where("expires_at IS NOT NULL AND done_at IS NULL")),
    Index(
        "delivery_lane", "route", "station", "order_key", "id", **_where("order_key IS NOT NULL AND done_at IS NULL")
    ),
    Index("delivery_dead", "state", "route", "done_at", **_where("state IN ('dead', 'expired')")),
    Index("delivery_done", "done_at", **_where("done_at IS NOT NULL")),
)

attempt = Table(
    "attempt",
    metadata,
    Column("delivery", Big, primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("ms", Float(53), nullable=False),
    Column("outcome", String, nullable=False),
    Column("code", String),
    Column("status", String),
    Column("note", Text),
    Column("reply", LargeBinary),
    Column("revision", String),
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("delivery", Big, primary_key=True, autoincrement=False),
    Column("class", String, nullable=False),
    Column("code", String, nullable=False),
    Column("note", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("step", String),
    Column("place", String),  # file:line
    Column("revision", String, nullable=False),
    Column("body_kind", String),
    Column("body", LargeBinary),  # the body at the failing step
    Column("maybe_delivered", Integer, nullable=False),
    Column("traceback", Text),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("scope", String, primary_key=True),  # keyed hash of route, caller and key
    Column("message", Big, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("expires_at", Float(53), nullable=False, index=True),
    Column("reply", LargeBinary),
)

gather = Table(
    "gather",
    metadata,
    Column("id", Big, primary_key=True, autoincrement=False),  # seq of the message that was split
    Column("route", String, nullable=False),
    Column("total", Big),  # known when the split is through
    Column("done", Big, nullable=False),
    Column("due_at", Float(53)),
    Index("gather_due", "due_at", **_where("due_at IS NOT NULL")),
)

gather_item = Table(
    "gather_item",
    metadata,
    Column("gather", Big, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("open", Integer, nullable=False),
    Column("outcome", String),
    Column("reply", LargeBinary),
    Column("error", Text),
    Column("item", LargeBinary),
)

ledger = Table(
    "ledger",
    metadata,
    Column("route", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("n", Big, nullable=False),
)

feed = Table(
    "feed",
    metadata,
    Column("seq", Big, primary_key=True, autoincrement=False),
    Column("topic", String, nullable=False),
    Column("at", Float(53), nullable=False),
    Column("event", LargeBinary, nullable=False),
    Index("feed_topic", "topic", "seq"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Big, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
    Column("actor", String, nullable=False),
    Column("event", String, nullable=False, index=True),
    Column("target", String, nullable=False),
    Column("before", Text),
    Column("after", Text),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("audit_target", "target"),
)

secret = Table(
    "secret",
    metadata,
    Column("name", String, primary_key=True),
    Column(
        "version", Integer, primary_key=True
    ),  # two live values for rotation: the newest is used, the one before still accepted
    Column("value", LargeBinary, nullable=False),
    Column("at", Float(53), nullable=False),
    Column("by", String, nullable=False),
)

revision = Table(
    "revision",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float(53), nullable=False),
    Column("by", String, nullable=False),
    Column("files", LargeBinary, nullable=False),  # JSON: path → text
)

control = Table(
    "control",
    metadata,
    Column("kind", String, primary_key=True),  # connection, route, gateway
    Column("name", String, primary_key=True),
    Column("state", String, nullable=False),  # paused, draining
    Column("at", Float(53), nullable=False),
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
)

schedule = Table(
    "schedule",
    metadata,
    Column("route", String, primary_key=True),
    Column("rule", String, nullable=False),
    Column("due_at", Float(53), nullable=False),
)

identity = Table(
    "identity",
    metadata,
    Column("route", String, primary_key=True),
    Column("name", String, primary_key=True),  # hash of what the source calls the arrival
    Column("message", Big, nullable=False),
    Column("at", Float(53), nullable=False, index=True),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", String, primary_key=True),
    Column("subject", String, nullable=False),  # keyed hash: whose data goes
    Column("at", Float(53), nullable=False),  # what was accepted until then goes
    Column("by", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("lists", Text, nullable=False),  # JSON: files that a person named, where it is noted for restores
    Column("messages", Big, nullable=False),  # wiped so far
    Column("done_at", Float(53)),  # empty while something that holds the data among others' is still on its way
    Index("erasure_open", "done_at", **_where("done_at IS NULL")),
)

backup = Table(
    "backup",
    metadata,
    Column("id", String, primary_key=True),
    Column("at", Float(53), nullable=False),  # what was committed until then is in it
    Column("by", String, nullable=False),
    Column("path", String, nullable=False),
    Column("bytes", Big, nullable=False),
)

memo = Table(
    "memo",
    metadata,
    Column("connection", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),  # JSON
)

version = Table(
    "schema_version",
    metadata,
    Column("component", String, primary_key=True),
    Column("version", Integer, nullable=False),
)
