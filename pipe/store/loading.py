"""Reads deliveries with their messages back into memory; damaged rows are told apart, never handed on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, bindparam, select

from pipe.contract import Message
from pipe.errors import PipeError
from pipe.store import codec, journal
from pipe.store.journal import Work
from pipe.store.schema import delivery, message
from pipe.store.vault import Vault


class Loader:
    """Makes Work of rows; needs the vault for what is sealed and the folder of the blobs."""

    def __init__(self, vault: Vault, blobs: Path) -> None:
        self.vault, self.blobs = vault, blobs

    def works(
        self, connection: Connection, *conditions: ColumnElement[bool], limit: int | None = None, after: int = 0
    ) -> tuple[list[Work], list[tuple[Work, PipeError]]]:
        """Deliveries in order of acceptance: the good ones, and the damaged ones with the reason."""
        statement = _WORKS.where(delivery.c.id > after, *conditions).order_by(delivery.c.id).limit(limit)
        return self._told(connection.execute(statement).mappings())

    def open_works(self, connection: Connection, numbers: list[int]) -> tuple[list[Work], list[tuple[Work, PipeError]]]:
        """The same of these deliveries, without those that are done."""
        return self._told(connection.execute(_OPEN_WORKS, {"numbers": numbers}).mappings())

    def _told(self, rows: Iterable[Any]) -> tuple[list[Work], list[tuple[Work, PipeError]]]:
        good: list[Work] = []
        damaged: list[tuple[Work, PipeError]] = []
        for row in rows:
            try:
                good.append(self.work(row))
            except PipeError as error:
                damaged.append((_shell(row), error))
        return good, damaged

    def work(self, row: Any) -> Work:
        """One row of the join. Raises RowDamaged."""
        original = self.message(row)
        work = _shell(row)
        work.message = original
        work.sensitive, work.secret = self.sensitive(row), row["sealed"] is not None
        if row["output"] is not None:
            work.output = journal.unpack_message(
                row["output_kind"], bytes(row["output"]), original, self.blobs, self.vault
            )
        if row["own_output"] is not None:
            work.own_output = journal.unpack_message(
                row["own_output_kind"], bytes(row["own_output"]), original, self.blobs, self.vault
            )
        return work

    def message(self, row: Any) -> Message:
        """The accepted message of a row. Raises RowDamaged where it is not what was written."""
        body, envelope = bytes(row["body"]), bytes(row["envelope"])
        codec.verify(row["message_id"], body, envelope, row["checksum"])
        fields = codec.read_envelope(envelope, self.vault, row["message_id"])
        return Message(
            row["message_id"],
            row["route"],
            codec.unpack(row["kind"], body, self.blobs, self.vault, row["message_id"]),
            received_at=row["received_at"],
            **fields,
        )

    def sensitive(self, row: Any) -> tuple[str, ...]:
        """The values to mask wherever this message turns up."""
        sealed = row["sealed"]
        return (
            tuple(codec.load(self.vault.open(bytes(sealed), f"{row['message_id']} sensitive")))
            if sealed is not None
            else ()
        )


def _joined() -> Select[Any]:
    d, m = delivery.c, message.c
    return select(
        d.id, d.message, d.route, d.station, d.state, d.order_key, d.expires_at,
        d.attempts, d.spent, d.crashes, d.cursor, d.size,
        d.output_kind.label("own_output_kind"), d.output.label("own_output"),
        m.id.label("message_id"), m.revision, m.stage, m.received_at, m.kind, m.body, m.envelope, m.checksum,
        m.output_kind, m.output, m.sealed, m.gather, m.position,
    ).join(message, m.seq == d.message)  # fmt: skip


_WORKS = _joined()
_OPEN_WORKS = _WORKS.where(
    delivery.c.id.in_(bindparam("numbers", expanding=True)), delivery.c.done_at.is_(None)
).order_by(delivery.c.id)


def _shell(row: Any) -> Work:
    return Work(
        row["id"], row["message"], row["route"], row["station"],
        Message(row["message_id"], row["route"], b""), row["revision"], row["stage"],
        row["order_key"], row["expires_at"], row["attempts"], row["spent"], row["crashes"], row["cursor"],
        row["size"], row["state"], gather=row["gather"], position=row["position"],
    )  # fmt: skip
