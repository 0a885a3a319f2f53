"""Makes a data folder of a backup. It appears whole or not at all, and begins paused.

What was pending when the backup was made may have been delivered since: nothing is sent before a person says so.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, select

from pipe.config.models import Configuration
from pipe.errors import BackupDamaged, BadRequest, StoreUnavailable
from pipe.store import archive, backup, snapshot
from pipe.store.backup import BLOBS, TABLES, Manifest, sync_folder
from pipe.store.erasures import Erasure
from pipe.store.schema import control, delivery, erasure, message
from pipe.store.transaction import Tx
from pipe.store.vault import Vault

STAGING = "restoring"
KIND, NAME = "gateway", "restored"
BY = "restore"
FRESH, HELD = "fresh", "held"
"""of the row that says so: before the first start of the copy, and after it"""


def empty(folder: Path) -> None:
    """Raises BadRequest where a folder is there and holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadRequest(f"{folder} is not empty: a backup is restored into a new folder only")
    if not folder.parent.is_dir():
        raise BadRequest(f"there is no folder {folder.parent}")


def stage(path: Path, keys: Path, folder: Path, progress: backup.Progress) -> tuple[Path, Manifest]:
    """Unpacks a backup beside `folder`, with its master key; returns where. Raises BackupDamaged, SecretMissing."""
    staging = folder.with_name(f".{folder.name}.{STAGING}")
    shutil.rmtree(staging, ignore_errors=True)
    (staging / "blobs").mkdir(parents=True, mode=0o700)
    staging.chmod(0o700)
    (staging / "keys").mkdir(mode=0o700)
    kept = staging / "keys" / "master.keys"
    kept.touch(0o600)
    kept.write_bytes(keys.read_bytes())
    total, done = path.stat().st_size, 0

    def tick(size: int) -> None:
        nonlocal done
        done += size
        progress(done // backup.MIB, total // backup.MIB, "MiB unpacked")

    def take(name: str, content: archive.Counting) -> None:
        target = staging / (TABLES if name == TABLES else f"blobs/{name[len(BLOBS) :]}")
        with target.open("xb") as file:
            os.fchmod(file.fileno(), 0o600)
            while piece := content.read(backup.MIB):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())

    manifest = backup.unpack(path, Vault(kept), take, tick)
    if manifest.store == "sqlite" and (wrong := snapshot.sound(staging / TABLES)):
        raise BackupDamaged(f"the tables in {path} are damaged: {wrong[0]}")
    sync_folder(staging / "blobs")
    return staging, manifest


def publish(staging: Path, folder: Path) -> None:
    """Gives the finished folder its name. Raises BadRequest where that is taken meanwhile."""
    for part in (staging / "keys", staging):
        sync_folder(part)
    try:
        staging.rename(folder)  # onto an empty folder, or none
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise StoreUnavailable(
            f"{folder} cannot be made: {error.strerror}",
            hint="name a new folder; a place where something is mounted cannot be replaced, a folder in it can",
        ) from error
    sync_folder(folder.parent)


def discard(folder: Path) -> None:
    """Removes what a restore that failed has unpacked."""
    shutil.rmtree(folder.with_name(f".{folder.name}.{STAGING}"), ignore_errors=True)


def mark(tx: Tx, manifest: Manifest, file: Path, erased: Iterable[Erasure], actor: str) -> None:
    """Notes in the copy what it is, and what it must forget; see `hold`."""
    known = {(row.at, row.subject) for row in tx.execute(select(erasure.c.at, erasure.c.subject))}
    for each in sorted(set(erased)):
        if (each.at, each.subject) not in known:
            reason = "it was erased after this backup was made"
            tx.insert(
                erasure, id=tx.new_id(), subject=each.subject, at=each.at, by=BY, reason=reason, lists="[]", messages=0
            )
    tx.execute(delete(control).where(control.c.kind == KIND, control.c.name == NAME))
    facts = {"file": file.name, "made_at": manifest.made_at, "backup": manifest.id}
    row = {"kind": KIND, "name": NAME, "state": FRESH, "at": tx.now, "by": actor}
    tx.insert(control, **row, reason=orjson.dumps(facts).decode())
    reason = f"restored from the backup {file.name}"
    for (route,) in tx.execute(select(delivery.c.route).where(delivery.c.done_at.is_(None)).distinct()).fetchall():
        _pause(tx, "route", route, reason)
    tx.audit("gateway.restored", after={**facts, **asdict(manifest)["counts"]}, target=manifest.id, actor=actor)


def hold(tx: Tx, configuration: Configuration) -> bool:
    """Pauses all that is configured, at the first start of a restored copy; whether this was it."""
    row = tx.execute(select(control).where(control.c.kind == KIND, control.c.name == NAME)).first()
    if row is None or row.state != FRESH:
        return False
    reason = f"restored from the backup {orjson.loads(row.reason)['file']}"
    for kind, names in (("route", configuration.routes), ("connection", configuration.connections)):
        for name in names:
            _pause(tx, kind, name, reason)
    tx.execute(control.update().where(control.c.kind == KIND, control.c.name == NAME).values(state=HELD))
    return True


def release(tx: Tx) -> list[tuple[str, str]]:
    """Takes back what the restore has paused; returns kinds and names."""
    c = control.c
    rows = tx.execute(select(c.kind, c.name).where(c.by == BY, c.state == "paused").order_by(c.kind, c.name)).fetchall()
    tx.execute(delete(control).where(c.by == BY, c.state == "paused"))
    tx.execute(delete(control).where(c.kind == KIND, c.name == NAME))
    return [(row.kind, row.name) for row in rows]


def forget_if_all_go(tx: Tx) -> None:
    """A copy of which nothing is held any more is like any other."""
    held = tx.execute(select(control.c.name).where(control.c.by == BY, control.c.state == "paused").limit(1)).first()
    if held is None:
        ours = (control.c.kind == KIND, control.c.name == NAME, control.c.state == HELD)
        tx.execute(delete(control).where(*ours))


def restored_from(connection: Connection) -> dict[str, Any] | None:
    """The backup that this copy came from, while it is held; else None."""
    c = control.c
    row = connection.execute(select(c.reason, c.at).where(c.kind == KIND, c.name == NAME)).first()
    return {**orjson.loads(row.reason), "restored_at": row.at} if row is not None else None


def would_send(connection: Connection) -> list[dict[str, Any]]:
    """What is pending, by route, station and state, with the time of the oldest."""
    d, m = delivery.c, message.c
    rows = connection.execute(
        select(d.route, d.station, d.state, func.count().label("deliveries"), func.min(m.received_at).label("oldest"))
        .join(message, m.seq == d.message)
        .where(d.done_at.is_(None))
        .group_by(d.route, d.station, d.state)
        .order_by(d.route, d.station, d.state)
    )
    return [dict(row) for row in rows.mappings()]


def _pause(tx: Tx, kind: str, name: str, reason: str) -> None:
    at = (control.c.kind == kind, control.c.name == name)
    before = tx.execute(select(control.c.state).where(*at)).scalar()
    if before == "paused":
        return  # by a person: it stays so when the rest goes on
    tx.execute(delete(control).where(*at))
    tx.insert(control, kind=kind, name=name, state="paused", at=tx.now, by=BY, reason=reason)
