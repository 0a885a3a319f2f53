"""Who is who, who may do what, and how people prove who they are. Who changes these rows writes the audit too."""

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
    UniqueConstraint,
    insert,
)

metadata = MetaData()

# --- the organisation ---------------------------------------------------------------------------------------------

company = Table(
    "access_company",
    metadata,
    Column("id", String, primary_key=True),  # a short word in Latin letters, for addresses and commands
    Column("section", String, nullable=False),  # of the contract: 2.1.2.6
    Column("name_uk", String, nullable=False),
    Column("name_en", String, nullable=False),
    Column("state", String, nullable=False),  # active, closed
    Column("created_at", Float(53), nullable=False),
    Column("changed_at", Float(53), nullable=False),
)

unit = Table(
    "access_unit",
    metadata,
    Column("id", String, primary_key=True),
    Column("company", String, nullable=False, index=True),
    Column("parent", String),  # a unit of the same company; empty: directly under it
    Column("name_uk", String, nullable=False),
    Column("name_en", String, nullable=False),
)

position = Table(
    "access_position",
    metadata,
    Column("id", String, primary_key=True),
    Column("unit", String, nullable=False, index=True),
    Column("title", String, nullable=False, index=True),  # the same word for the same work anywhere: operator
    Column("name_uk", String, nullable=False),
    Column("name_en", String, nullable=False),
)

group = Table(
    "access_group",
    metadata,
    Column("id", String, primary_key=True),
    Column("company", String),  # empty: of no company in particular
    Column("name_uk", String, nullable=False),
    Column("name_en", String, nullable=False),
)

# --- people -------------------------------------------------------------------------------------------------------

person = Table(
    "access_person",
    metadata,
    Column("id", String, primary_key=True),
    Column("login", String, nullable=False, unique=True),
    Column("kind", String, nullable=False),  # person, service
    Column("name", String, nullable=False),
    Column("email", String),
    Column("phone", String),  # +380671234567
    Column("company", String, index=True),  # whose member the person is; empty: of none
    Column("level", Integer, nullable=False),  # the most confidential that the person is cleared for, 0 to 3
    Column("state", String, nullable=False),  # active, blocked, left
    Column("language", String, nullable=False),  # uk, en
    Column("valid_until", Float(53)),  # as good as blocked from then on
    Column("salt", String, nullable=False),  # of the digests that stand in the audit for name, mail and phone
    Column("created_at", Float(53), nullable=False),
    Column("changed_at", Float(53), nullable=False),
    Column("moved_at", Float(53)),  # when positions, units or groups changed last
    Column("signed_in_at", Float(53)),
)

membership = Table(
    "access_membership",
    metadata,
    Column("person", String, primary_key=True),
    Column("kind", String, primary_key=True),  # position, unit, group
    Column("of", String, primary_key=True),
    Column("valid_from", Float(53)),
    Column("valid_until", Float(53)),
    Column("source", String, nullable=False),  # manual, import, hr
    Index("access_membership_of", "kind", "of"),
)

# --- rights -------------------------------------------------------------------------------------------------------

role = Table(
    "access_role",
    metadata,
    Column("id", String, primary_key=True),
    Column("name_uk", String, nullable=False),
    Column("name_en", String, nullable=False),
    Column("about", Text, nullable=False),
    Column("emergency", Boolean, nullable=False),  # may be taken for an hour with a reason
    Column("created_at", Float(53), nullable=False),
    Column("changed_at", Float(53), nullable=False),
)

role_permission = Table(
    "access_role_permission",
    metadata,
    Column("role", String, primary_key=True),
    Column("permission", String, primary_key=True),  # area.verb
)

role_include = Table(
    "access_role_include",
    metadata,
    Column("role", String, primary_key=True),
    Column("included", String, primary_key=True),
)

grant = Table(
    "access_grant",
    metadata,
    Column("id", String, primary_key=True),
    Column("role", String, nullable=False, index=True),
    Column("to_kind", String, nullable=False),  # person; or position, title, unit, group: whoever is in it has it
    Column("to_id", String, nullable=False),
    Column("scope", String, nullable=False),  # all, company, unit, own
    Column("scope_id", String),  # empty: company or unit of the holder's own position, wherever that is today
    Column("level", Integer, nullable=False),  # up to which the objects are confidential, 0 to 3
    Column("tags", Text, nullable=False),  # `|a|b|`: only objects that carry one of them; empty: any
    Column("states", Text, nullable=False),  # `|a|b|`: only objects in one of these states; empty: any
    Column("valid_from", Float(53)),
    Column("valid_until", Float(53)),
    Column("reason", Text, nullable=False),
    Column("source", String, nullable=False),  # manual, import, emergency
    Column("granted_by", String, nullable=False),
    Column("granted_at", Float(53), nullable=False),
    Column("approved_by", String),  # the second person that level 3 needs
    Column("approved_at", Float(53)),
    Index("access_grant_to", "to_kind", "to_id"),
)

forbid = Table(
    "access_forbid",
    metadata,
    Column("id", String, primary_key=True),
    Column("permissions", Text, nullable=False),  # `|a.b|a.*|*|`
    Column("to_kind", String, nullable=False),  # everyone, person, position, title, unit, group, role
    Column("to_id", String),
    Column("scope", String, nullable=False),  # all, company, unit, own
    Column("scope_id", String),
    Column("level", Integer, nullable=False),  # from which on it holds
    Column("tags", Text, nullable=False),
    Column("states", Text, nullable=False),
    Column("factor_within", Float(53)),  # seconds: does not hold for who gave a second factor so recently
    Column("valid_from", Float(53)),
    Column("valid_until", Float(53)),
    Column("reason", Text, nullable=False),
    Column("made_by", String, nullable=False),
    Column("made_at", Float(53), nullable=False),
)

separation = Table(
    "access_separation",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # static: nobody holds both; same_object: nobody does both to one object
    Column("first", String, nullable=False),
    Column("second", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_by", String, nullable=False),
    Column("made_at", Float(53), nullable=False),
)

field = Table(
    "access_field",
    metadata,
    Column("kind", String, primary_key=True),  # of the object: message, person
    Column("name", String, primary_key=True),  # of its field
    Column("level", Integer, nullable=False),  # from which on it is shown as it is
    Column("below", String, nullable=False),  # mask, hide
    Column("made_by", String, nullable=False),
    Column("made_at", Float(53), nullable=False),
)

use = Table(
    "access_use",
    metadata,
    Column("person", String, primary_key=True),
    Column("permission", String, primary_key=True),
    Column("at", Float(53), nullable=False),  # when it was used last, to some minutes
)

revision = Table(
    "access_revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),  # one row: 1
    Column("n", BigInteger, nullable=False),  # grows with every change of who may do what
)

# --- how people prove who they are --------------------------------------------------------------------------------

password = Table(
    "access_password",
    metadata,
    Column("person", String, primary_key=True),
    Column("hash", Text, nullable=False),  # argon2id, with its parameters
    Column("at", Float(53), nullable=False),
    Column("must_change", Boolean, nullable=False),
    Column("expires_at", Float(53)),  # of one-time passwords
)

totp = Table(
    "access_totp",
    metadata,
    Column("person", String, primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # sealed with the master key
    Column("at", Float(53), nullable=False),
    Column("confirmed_at", Float(53)),  # empty until its first code was right
    Column("last_step", BigInteger, nullable=False),  # a code is good once
)

telegram = Table(
    "access_telegram",
    metadata,
    Column("person", String, primary_key=True),
    Column("connection", String, primary_key=True),  # the bot
    Column("chat", LargeBinary, nullable=False),  # sealed
    Column("chat_key", String, nullable=False),  # keyed hash: finds the person of a chat
    Column("bound_at", Float(53), nullable=False),
    Column("risky_from", Float(53)),  # after a new binding nothing of high risk before this
    Column("blocked_at", Float(53)),  # since when the person has the bot blocked
    Index("access_telegram_chat", "connection", "chat_key"),
)

subscription = Table(
    "access_subscription",
    metadata,
    Column("id", String, primary_key=True),
    Column("person", String, nullable=False, index=True),
    Column("way", String, nullable=False),  # mail, telegram: to the address, or the chat, that the person has then
    Column("language", String, nullable=False),  # uk, en
    Column("severity", String, nullable=False),  # the least
    Column("rules", Text, nullable=False),  # `|a|b|`; empty: all
    Column("about", Text, nullable=False),  # JSON: names of connections and routes; empty: all
    Column("hours", String),  # 08:00-20:00; empty: always
    Column("made_at", Float(53), nullable=False),
    Column("changed_at", Float(53), nullable=False),
    Column("told_at", Float(53)),
    Column("told", String),  # the message that told it last
)

external = Table(
    "access_external",
    metadata,
    Column("issuer", String, primary_key=True),  # of OpenID Connect
    Column("subject", String, primary_key=True),
    Column("person", String, nullable=False, index=True),
    Column("at", Float(53), nullable=False),
)

session = Table(
    "access_session",
    metadata,
    Column("id", String, primary_key=True),  # SHA-256 of the cookie's token
    Column("person", String, nullable=False, index=True),
    Column("created_at", Float(53), nullable=False),
    Column("seen_at", Float(53), nullable=False),
    Column("expires_at", Float(53), nullable=False, index=True),
    Column("factors", String, nullable=False),  # `|password|totp|`
    Column("factor_at", Float(53)),  # of the last second factor
    Column("address", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("ended_at", Float(53)),
    Column("ended_by", String),
)

key = Table(
    "access_key",
    metadata,
    Column("id", String, primary_key=True),  # the visible beginning of the key
    Column("person", String, nullable=False, index=True),  # a service account, or a person for himself
    Column("name", String, nullable=False),
    Column("hash", String, nullable=False),  # SHA-256 of the whole key, which is shown once
    Column("permissions", Text, nullable=False),  # `|a.b|a.*|`: at most these of the holder's; empty: all of them
    Column("created_at", Float(53), nullable=False),
    Column("created_by", String, nullable=False),
    Column("expires_at", Float(53), nullable=False),
    Column("used_at", Float(53)),
    Column("revoked_at", Float(53)),
    Column("revoked_by", String),
    UniqueConstraint("hash"),
)

failure = Table(
    "access_failure",
    metadata,
    Column("source", String, primary_key=True),  # keyed hash of a login or of an address
    Column("failures", Integer, nullable=False),  # in a row
    Column("at", Float(53), nullable=False, index=True),
    Column("next_at", Float(53), nullable=False),  # no sooner is the next try looked at
)


def create(connection: Connection) -> None:
    """First migration: all of it."""
    metadata.create_all(connection)
    connection.execute(insert(revision), {"id": 1, "n": 0})


def subscriptions(connection: Connection) -> None:
    """Second: what people subscribed to, where the tables were made before there was that."""
    subscription.create(connection, checkfirst=True)
