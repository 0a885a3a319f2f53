"""The doctor: each check finds what it is for, says what to do, and finds nothing where all is well."""

from __future__ import annotations

import os
import resource
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from pipe.config.models import Configuration
from pipe.operations.doctor import Patient, examine, folder, machine, told
from pipe.operations.doctor.tables import tables
from pipe.store import schema
from pipe.testing import FakeClock
from tests.pipe.house import House
from tests.pipe.operations.hosts import World, begin, do

ROUTE = """
connections:
  in: {type: memory_source}
  out: {type: memory_sink, breaker: false}
routes:
  r:
    from: {connection: in}
    to: {connection: out, put: x}
"""


def lying(times: list[float]) -> Callable[[int], None]:
    """A sync that takes so long."""

    def sync(file: int) -> None:
        end = time.perf_counter() + times[0]
        while time.perf_counter() < end:
            pass

    return sync


async def test_a_running_gateway_is_looked_at_as_it_is(house: House) -> None:
    """Every check is made, and in a house that is in order none fails."""
    await begin(house, ROUTE)
    found = await do(house, "doctor")
    names = [check["check"] for check in found["checks"]]
    both = ["versions", "configuration", "data folder", "master key", "secrets", "file system", "fsync", "free space"]
    both += ["clock", "time server", "open files"]
    own = ["integrity", "log"] if house.url is None else ["server"]
    assert names == [*both, *own, "tables", "backup"]
    failed = [check for check in found["checks"] if check["grade"] == "fail"]
    # The server of these tests does not sync, so that they are fast; the doctor must say so.
    unsafe = "PostgreSQL: fsync is off, full_page_writes is off"
    assert [check["text"] for check in failed] == ([] if house.url is None else [unsafe])
    assert found["running"]


async def test_a_folder_is_looked_at_without_being_touched(house: House) -> None:
    """Where no gateway runs nothing is written, migrated or locked."""
    await begin(house, ROUTE)
    await house.stop()
    before = {path.name: path.stat().st_mtime_ns for path in house.data.iterdir()}
    world: Any = World(house)
    found = examine(Patient(house.data, house.data / "keys" / "master.keys", house.url, world, Configuration()))
    assert {path.name: path.stat().st_mtime_ns for path in house.data.iterdir()} == before
    assert [finding.name for finding in found if finding.name == "tables"] == ["tables"]


def test_there_need_be_no_folder_yet(tmp_path: Path) -> None:
    """It is the first thing that one calls; what can be looked at is."""
    house: Any = House(tmp_path, lambda: None, FakeClock())
    world: Any = World(house)
    found = told(
        examine(Patient(tmp_path / "no", tmp_path / "no" / "k", None, world, None, "line 3 is wrong")), running=False
    )
    assert not found["well"]
    assert [check["check"] for check in found["checks"] if check["grade"] == "fail"] == ["configuration", "data folder"]


@pytest.mark.parametrize(("seconds", "grade"), [(0.0, "warn"), (0.0005, "ok"), (0.06, "warn")])
def test_a_disk_that_is_too_fast_or_too_slow_is_doubted(tmp_path: Path, seconds: float, grade: str) -> None:
    """Below 50 µs nothing can have been written; above 50 ms every commit waits."""
    assert machine.fsync(tmp_path, lying([seconds])).grade == grade


def test_a_disk_that_cannot_be_written_to_fails(tmp_path: Path) -> None:
    """A folder that is gone stands for a disk that is read-only."""
    assert machine.fsync(tmp_path / "gone").grade == "fail"


@pytest.mark.parametrize(
    ("kind", "grade"), [("ext4", "ok"), ("xfs", "ok"), ("tmpfs", "warn"), ("nfs4", "warn"), ("cifs", "warn")]
)
def test_file_systems_that_forget_or_do_not_lock_are_warned_of(tmp_path: Path, kind: str, grade: str) -> None:
    """The innermost mount counts, and of two on one place the later."""
    mounts = tmp_path / "mountinfo"
    lines = ["1 0 8:1 / / rw - ext4 /dev/a rw", f"2 1 8:2 / {tmp_path} rw - ext3 /dev/b rw"]
    lines += [f"3 1 8:2 / {tmp_path} rw - {kind} /dev/b rw", f"4 1 8:3 / {tmp_path}x rw - tmpfs none rw"]
    mounts.write_text("\n".join(lines))
    found = machine.file_system(tmp_path, mounts)
    assert (found.grade, kind in found.text) == (grade, True)


def test_the_machines_own_file_system_is_known() -> None:
    """The parser fits what this system says."""
    assert machine.kind_of(Path("/proc"), Path("/proc/self/mountinfo")) == "proc"


def test_a_clock_that_is_set_while_it_is_watched_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wall clock and monotonic clock must run alike."""
    walls = iter([1000.0, 1003.0])
    monkeypatch.setattr("pipe.operations.doctor.machine.time.time", lambda: next(walls))
    assert machine.clock(0.01)[0].grade == "warn"


def test_a_clock_that_follows_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Followed, not followed, not known."""
    grades = []
    for answer in (True, False, None):
        monkeypatch.setattr(machine, "_follows", lambda answer=answer: answer)
        grades.append(machine.clock(0.01)[1].grade)
    assert grades == ["ok", "warn", "warn"]


def test_too_few_files_are_told_with_a_number() -> None:
    """Far too few fails, a few too few and nearly all in use are doubtful."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = [machine.files(needed, used) for needed, used in ((soft, 1), (soft + 1, 1), (soft * 3, 1), (1, soft - 1))]
    assert [each.grade for each in found] == ["ok", "warn", "fail", "warn"]
    assert f"`ulimit -n {soft * 6}`" in found[2].hint


def test_a_folder_that_others_can_enter_is_doubtful(tmp_path: Path) -> None:
    """It holds what people sent."""
    tmp_path.chmod(0o700)
    assert folder.rights(tmp_path).grade == "ok"
    tmp_path.chmod(0o750)
    assert (folder.rights(tmp_path).grade, folder.rights(tmp_path).hint) == ("warn", f"chmod 700 {tmp_path}")


def test_a_master_key_that_others_can_read_or_that_is_none_fails(tmp_path: Path) -> None:
    """It opens everything; where it is missing the first start may still make it."""
    path = tmp_path / "master.keys"
    assert folder.master_key(path).grade == "warn"
    path.write_text(f"k1:{'11' * 32}\n")
    path.chmod(0o600)
    assert folder.master_key(path).grade == "ok"
    path.chmod(0o640)
    assert folder.master_key(path).grade == "fail"
    path.chmod(0o600)
    path.write_text("k1:not hex\n")
    assert folder.master_key(path).grade == "fail"


def test_secrets_must_be_there_and_should_be_their_owners_only(tmp_path: Path) -> None:
    """Which one, and the command that mends it."""
    path = tmp_path / "token"
    assert folder.secrets([path]).grade == "fail"
    path.write_text("x")
    path.chmod(0o644)
    assert folder.secrets([path]).hint == f"chmod 600 {path}"
    path.chmod(0o400)
    assert folder.secrets([path]).grade == "ok"


def test_free_space_is_held_against_the_floor(tmp_path: Path) -> None:
    """Below it fails, near it is doubtful."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    grades = [folder.space(tmp_path, floor).grade for floor in (free * 2, int(free * 0.8), free // 10)]
    assert grades == ["fail", "warn", "ok"]


async def test_a_damaged_store_fails(tmp_path: Path, clock: FakeClock) -> None:
    """A page that is not what it should be is found, and the hint says what comes first."""
    house = House(tmp_path, lambda: None, clock)
    await house.open()
    await house.store.close()
    path = house.data / "pipe.db"
    with sqlite3.connect(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'message'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * 64)
    [found] = [each for each in tables(house.data, None, ()) if each.name == "integrity"]
    assert (found.grade, "restore the last good backup" in found.hint) == ("fail", True)


async def test_a_store_of_a_newer_gateway_fails(house: House) -> None:
    """It would be refused at the start; here it is told before."""
    store = await house.open()
    await store.write(lambda tx: tx.execute(update(schema.version).values(version=999)) and None)
    await store.close()
    [found] = [each for each in tables(house.data, house.url, ()) if each.name == "tables"]
    assert (found.grade, "store 999" in found.text) == ("fail", True)


async def test_the_age_of_the_last_backup_is_told(house: House) -> None:
    """None, one of today, one of last month."""
    store = await house.open()
    grades = []
    for days in (None, 0.1, 30):
        if days is not None:
            at = time.time() - days * 86400

            def unit(tx: Any, at: float = at, days: float = days) -> None:
                tx.execute(schema.backup.delete())
                tx.insert(schema.backup, id=str(days), at=at, by="olena", path="/x", bytes=1)

            await store.write(unit)
        [found] = [each for each in tables(house.data, house.url, ()) if each.name == "backup"]
        grades.append(found.grade)
    assert grades == ["warn", "ok", "warn"]
