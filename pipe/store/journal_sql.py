"""The journal's statements: what every message and every attempt costs, so they are written out."""

from __future__ import annotations

from pipe.errors import PeerError, Verdict
from pipe.store.batch import Batch, Rows
from pipe.store.statements import Statement

# --- a message comes in -------------------------------------------------------------------------------------------

MESSAGES = Rows(
    "message",
    "seq", "id", "route", "stage", "revision", "received_at", "kind", "body", "size", "envelope", "checksum",
    "order_key", "subject", "parent", "position", "gather", "cancel_key", "origin", "sealed",
)  # fmt: skip
DELIVERIES = Rows(
    "delivery",
    "id", "message", "route", "station", "state", "order_key", "next_at", "expires_at",
    "attempts", "spent", "crashes", "cursor", "size",
)  # fmt: skip

# --- one key's order ----------------------------------------------------------------------------------------------

BUSY_LANE = Statement("""
    SELECT 1 FROM delivery
    WHERE route = :route AND station = :station AND order_key = :order_key AND done_at IS NULL
    LIMIT 1
""")
NEXT_IN_LANE = Statement("""
    UPDATE delivery SET state = 'ready'
    WHERE state = 'held' AND id = (
        SELECT min(id) FROM delivery
        WHERE route = :route AND station = :station AND order_key = :order_key AND done_at IS NULL
    )
    RETURNING id
""")

# --- an attempt is over -------------------------------------------------------------------------------------------

END = Statement("""
    UPDATE delivery SET
        state = :state, done_at = :done_at, attempts = :attempts, spent = :spent,
        code = :code, status = :status, note = :note, ms = :ms, next_at = NULL, output = NULL
    WHERE id = :id AND done_at IS NULL
""")
ENDS = Batch(
    "UPDATE delivery SET state = v.column2, done_at = v.column3, attempts = v.column4, spent = v.column5,"
    " code = v.column6, status = v.column7, note = v.column8, ms = v.column9, next_at = NULL, output = NULL FROM (",
    9,
    ") AS v WHERE delivery.id = v.column1 AND delivery.done_at IS NULL",
    ("bigint", "text", "float8", "int", "float8", "text", "text", "text", "float8"),
)
PUT_OFF = Statement("""
    UPDATE delivery SET
        state = :state, next_at = :next_at, attempts = :attempts, spent = :spent,
        code = :code, status = :status, note = :note, ms = :ms, cursor = :cursor
    WHERE id = :id AND done_at IS NULL
""")
MAKE_READY = Statement("""
    UPDATE delivery SET state = 'ready', next_at = NULL, cursor = 0, note = :note
    WHERE id = :id AND done_at IS NULL
""")
ATTEMPT = Statement("""
    INSERT INTO attempt (delivery, n, at, ms, outcome, code, status, note, reply, revision)
    VALUES (
        :delivery, (SELECT coalesce(max(n), 0) + 1 FROM attempt WHERE delivery = :delivery),
        :at, :ms, :outcome, :code, :status, :note, :reply, :revision
    )
""")
_UNANSWERED = ", ".join(f"'{kind.code}'" for kind in PeerError.__subclasses__() if kind.verdict is Verdict.UNCERTAIN)
# A try without an answer, after which an idempotent target was simply tried again, or one that the process did not
# outlive: the partner may have done what the last try was refused for.
DEAD = Statement(f"""
    INSERT INTO dead_letter (
        delivery, class, code, note, hint, step, place, revision,
        body_kind, body, maybe_delivered, traceback
    ) VALUES (
        :delivery, :class, :code, :note, :hint, :step, :place, :revision,
        :body_kind, :body,
        CASE WHEN :maybe_delivered = 1 OR :crashes > 0 OR EXISTS (
            SELECT 1 FROM attempt WHERE delivery = :delivery AND outcome = 'retry' AND code IN ({_UNANSWERED})
        ) THEN 1 ELSE 0 END,
        :traceback
    )
    ON CONFLICT (delivery) DO UPDATE SET
        class = excluded.class, code = excluded.code, note = excluded.note, hint = excluded.hint,
        step = excluded.step, place = excluded.place, revision = excluded.revision,
        body_kind = excluded.body_kind, body = excluded.body,
        maybe_delivered = CASE WHEN dead_letter.maybe_delivered = 1 THEN 1 ELSE excluded.maybe_delivered END,
        traceback = excluded.traceback
""")  # noqa: S608 - codes of our own

# --- what the steps made ------------------------------------------------------------------------------------------

OUTPUT = Statement("UPDATE message SET output_kind = :kind, output = :data WHERE seq = :seq AND output IS NULL")
OWN_OUTPUT = Statement("UPDATE delivery SET output_kind = :kind, output = :data WHERE id = :id AND output IS NULL")
SIBLINGS = Statement("SELECT 1 FROM delivery WHERE message = :seq AND done_at IS NULL AND id <> :id LIMIT 1")
