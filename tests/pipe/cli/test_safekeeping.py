"""`pipe backup`, `restore`, `erase`, `resume` and `doctor` as people and programs meet them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
from typer.testing import CliRunner

from pipe.cli.root import app
from pipe.errors import PeerFailed
from tests.pipe.cli.test_commands import gateway, pipe, url
from tests.pipe.house import House

__all__ = ["gateway", "url"]


async def backed_up(house: House) -> Path:
    """A backup of the running gateway, with one delivery that waits."""
    house.partner("out").script = [PeerFailed("out of paper")]
    await house.put('{"k": 1}')
    await house.reaches("retry")
    safe = house.folder / "safe"
    safe.mkdir()
    made = await pipe(house, "backup", str(safe / "1.backup"), "--keys", str(house.folder))
    assert made.exit_code == 0
    assert "holds 1 message and 0 large bodies" in made.stdout
    assert "who has both reads everything" in made.stdout
    return safe / "1.backup"


async def test_a_backup_is_verified_by_its_exit_code(gateway: House) -> None:
    """0 and what is in it; 1 where a byte is wrong; 2 where there is none."""
    file = await backed_up(gateway)
    good = await pipe(gateway, "backup", "--verify", str(file))
    assert (good.exit_code, "is whole: 1 message, 1 delivery pending" in good.stdout) == (0, True)
    data = bytearray(file.read_bytes())
    data[-5000] ^= 1
    file.write_bytes(data)
    bad = await pipe(gateway, "backup", "--verify", "--json", str(file))
    assert (bad.exit_code, orjson.loads(bad.stdout)["good"]) == (1, False)


async def test_a_restore_says_what_it_would_send(gateway: House) -> None:
    """Route, target, state, how many and how old; then status tells that the copy waits, and resume lets it go."""
    file = await backed_up(gateway)
    copy = gateway.folder / "copy"
    arguments = ["restore", str(file), "--keys", str(gateway.folder / "master.keys"), "--data", str(copy)]
    told = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert told.exit_code == 0
    assert "All of it is paused." in told.stdout
    assert ["r", "out", "retry", "1"] in [line.split()[:4] for line in told.stdout.splitlines()]


async def test_erasing_says_what_went_and_where_it_is_noted(gateway: House) -> None:
    """Exit code 0 where all of it is gone; 1 where a list could not be written."""
    file = await backed_up(gateway)
    done = await pipe(gateway, "erase", "somebody", "--reason", "asked")
    assert (done.exit_code, str(file.parent / "erasures.jsonl") in done.stdout) == (0, True)
    file.parent.rename(gateway.folder / "away")
    lost = await pipe(gateway, "erase", "somebody", "--reason", "asked")
    assert (lost.exit_code, f"NOT noted in {file.parent / 'erasures.jsonl'}" in lost.stdout) == (1, True)


async def test_the_doctor_ends_with_one_where_a_check_fails(gateway: House) -> None:
    """For people a line a check and what to do; for programs objects."""
    well = await pipe(gateway, "doctor", "--json")
    found = orjson.loads(well.stdout)
    assert (well.exit_code, found["well"], found["running"]) == (0, True, True)
    assert {check["grade"] for check in found["checks"]} <= {"ok", "warn", "fail"}
    (gateway.data / "keys" / "master.keys").chmod(0o644)
    ill = await pipe(gateway, "doctor")
    assert ill.exit_code == 1
    assert "FAIL  master key" in ill.stdout
    assert f"→ chmod 600 {gateway.data / 'keys' / 'master.keys'}" in ill.stdout
