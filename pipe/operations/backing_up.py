"""A backup while the gateway works, or of its folder while it does not."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipe.erasing import Erasing
from pipe.errors import BadRequest
from pipe.operations.host import Host
from pipe.store import backup as making
from pipe.store import schema
from pipe.store.backup import Copying

NAME = "pipe-%Y%m%dT%H%M%SZ.backup"


async def backup(host: Host, path: str, keys: str | None = None) -> dict[str, Any]:
    """Copies tables and bodies into one sealed file, and brings the list of erasures beside it up to date.

    `path` is the file, or the folder that it gets a name in. `keys` is where a copy of the master key goes, which must
    be another folder: without the key nobody reads the backup, and with it everybody does.
    """
    store, now = host.store, host.clock.now()
    file = making.place_for(absolute(path), datetime.fromtimestamp(now, UTC).strftime(NAME))
    key_copy = _key_place(keys, file) if keys is not None else None
    if store.files.locked():
        host.progress(0, None, "waits for another backup or erasure")
    async with store.files:
        copying = _copying(host, now)
        manifest, size = await _in_thread(copying, file)
        row = {"id": copying.id, "at": now, "by": host.actor, "path": str(file), "bytes": size}
        facts = {"file": str(file), "bytes": size, "pending": manifest.counts["pending"]}

        def unit(tx: Any) -> None:
            tx.insert(schema.backup, **row)
            tx.audit("backup.made", after=facts, target=copying.id, actor=host.actor)

        await store.write(unit)
    # The log could not shrink while the copy was being read.
    await store.give_back()
    if key_copy is not None:
        await asyncio.to_thread(_copy_key, host, key_copy)
        await store.write(
            lambda tx: tx.audit("keys.copied", after={"file": str(key_copy)}, target=copying.id, actor=host.actor)
        )
    noted = await Erasing(store, host.outcomes, ()).note()
    return {
        **facts,
        "id": copying.id,
        "made_at": now,
        "store": manifest.store,
        "blobs": len(manifest.files) - (manifest.store == "sqlite"),
        "missing": manifest.missing,
        "messages": manifest.counts["messages"],
        "keys": str(key_copy) if key_copy is not None else None,
        "key_file": str(store.key_file),
        "lists_failed": noted.failed,
    }


def absolute(path: str) -> Path:
    """A path that means the same to who asks and to the gateway. Raises BadRequest."""
    if not os.path.isabs(path):  # noqa: PTH117 — before it becomes a path, which would be of the gateway's folder
        raise BadRequest(f"`{path}` is no absolute path")
    return Path(path)


def _copying(host: Host, now: float) -> Copying:
    loop, store = asyncio.get_running_loop(), host.store
    floor = int(host.engine.room.limits.disk_floor) if host.engine is not None else 0

    def progress(done: int, total: int | None, text: str) -> None:
        loop.call_soon_threadsafe(host.progress, done, total, text)

    return Copying(store.data, store.url, store.vault, store.new_id(), now, host.actor, store.scratch, floor, progress)


async def _in_thread(copying: Copying, file: Path) -> Any:
    """Its own thread; whoever asked may leave, then it ends and leaves nothing."""
    work = asyncio.ensure_future(asyncio.to_thread(copying.make, file))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        copying.stopped.set()
        with suppress(Exception):
            await work
        raise
    except OSError as error:
        raise BadRequest(f"{file} cannot be written: {error.strerror or error}") from error


def _key_place(keys: str, file: Path) -> Path:
    place = making.place_for(absolute(keys), "master.keys")
    if place.parent.resolve() == file.parent.resolve():
        raise BadRequest(
            f"the master key must not lie beside the backup that it opens: {place.parent}",
            hint="give --keys a folder that other people or other disks keep",
        )
    return place


def _copy_key(host: Host, place: Path) -> None:
    data = host.store.key_file.read_bytes()
    part = place.with_name(f".{place.name}.part")
    part.unlink(missing_ok=True)
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    try:
        making.publish(part, place)
    finally:
        part.unlink(missing_ok=True)
