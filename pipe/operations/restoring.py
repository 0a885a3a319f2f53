"""A backup becomes a data folder again, and is read through without becoming one. No gateway takes part."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import inspect

from pipe.clock import SystemClock
from pipe.erasing import Erasing
from pipe.errors import BadRequest, ConfigError, SecretMissing
from pipe.operations.host import Host, Progress, World
from pipe.store import archive, database, erasures, restore, wiping
from pipe.store import backup as making
from pipe.store.erasures import Erasure
from pipe.store.store import Store
from pipe.store.vault import Vault


def verify(file: Path, keys: Path, progress: Progress) -> dict[str, Any]:
    """Reads a whole backup. Raises BackupDamaged where it is not what was written, SecretMissing without its key."""
    vault, size, done = _vault(file, keys), file.stat().st_size, 0

    def tick(n: int) -> None:
        nonlocal done
        done += n
        progress(done // making.MIB, size // making.MIB, "MiB read")

    manifest = making.verify(file, vault, tick)
    told = asdict(manifest)
    return {"file": str(file), "bytes": size, **told, "files": len(told["files"])}


async def restored(
    file: Path,
    keys: Path,
    data: Path,
    lists: Sequence[Path],
    actor: str,
    world: World,
    url: str | None,
    report: Progress,
) -> dict[str, Any]:
    """Makes the folder `data` of a backup: whole or not at all, paused, and without what was erased since.

    The list of erasures beside the backup is read too. Raises BadRequest where `data` holds something, and as `verify`.
    """
    vault = _vault(file, keys)
    restore.empty(data)
    erased = _erased([file.parent / erasures.NAME, *lists], lists, vault)
    try:
        staging, manifest = await asyncio.to_thread(restore.stage, file, keys, data, report)
        _check_store(manifest.store, url)
        store = Store(staging, url=url, clock=SystemClock())
        await store.open(world.migrations())
        try:
            store.start()
            await store.write(lambda tx: restore.mark(tx, manifest, file, erased, actor))
            applied = await _forget(Host(store, store.clock, actor, world))
            pending = await store.read(restore.would_send, 120.0)
            left = await store.read(lambda c: len(wiping.unfinished(c)))
        finally:
            await store.close()
        (staging / "lock").unlink(missing_ok=True)
        await asyncio.to_thread(restore.publish, staging, data)
    finally:
        await asyncio.to_thread(restore.discard, data)
    return {
        "data": str(data),
        "file": str(file),
        "made_at": manifest.made_at,
        "pending": pending,
        "erasures": len(erased),
        "wiped": applied,
        "erasures_left": left,
        "missing": manifest.missing,
    }


async def _forget(host: Host) -> int:
    """Erases again. Without a configuration it is left to the first start, which erases before anything is sent."""
    try:
        host.configuration()
    except ConfigError:
        return 0
    return await Erasing(host.store, host.outcomes, host.built.subjects()).go_on()


def _vault(file: Path, keys: Path) -> Vault:
    if not file.is_file():
        raise BadRequest(f"there is no file {file}")
    archive.header_of(file)
    if not keys.is_file():
        raise SecretMissing(
            f"there is no key file {keys}", hint="name the copy of the master key with --keys: it is in no backup"
        )
    return Vault(keys)


def _erased(files: Sequence[Path], named: Sequence[Path], vault: Vault) -> list[Erasure]:
    if lost := [str(file) for file in named if not file.is_file()]:
        raise BadRequest(f"there is no list of erasures {', '.join(lost)}")
    return sorted({each for file in files for each in erasures.read(file, vault)})


def _check_store(kind: str, url: str | None) -> None:
    if kind == "sqlite":
        if url is not None:
            raise BadRequest("the tables are in this backup: leave --store and PIPE_STORE out")
        return
    if url is None or database.is_sqlite(url):
        raise BadRequest(
            "the tables of this backup are in PostgreSQL: load the dump that was made with it, and name it with --store"
        )
    engine = database.open_reader(url)
    try:
        with engine.connect() as connection:
            loaded = inspect(connection).has_table("message")
    finally:
        engine.dispose()
    if not loaded:
        raise BadRequest(
            "the database is empty: load the dump first, `pg_restore --dbname URL FILE`",
            hint="a dump is made by `pg_dump --format=custom --dbname URL --file FILE`",
        )
