"""What makes the database refuse to alter the audit. Who owns the database can take it away: see `checkpoints`."""

from __future__ import annotations

SQLITE = tuple(
    f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END"
    for verb in ("UPDATE", "DELETE")
)
POSTGRESQL = (
    "CREATE FUNCTION audit_only_added() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit is only added to'; END $$",
    "CREATE TRIGGER audit_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION audit_only_added()",
)


def statements(dialect: str) -> tuple[str, ...]:
    """What sets it up."""
    return SQLITE if dialect == "sqlite" else POSTGRESQL


def removal(dialect: str) -> tuple[str, ...]:
    """What takes it away: tests of the chain play who can."""
    if dialect == "sqlite":
        return ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete")
    return ("DROP TRIGGER audit_only_added ON audit",)
