"""A folder of the version before: its queue is full, and none of it is lost on the way into this version."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, update

from pipe.errors import SchemaTooNew
from pipe.store import migrations, schema
from tests.pipe.house import House, Partner
from tests.pipe.store.test_store import ROUTE

WAITING = 1200
"""more than a station keeps in memory"""


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes this process the gateway before the last migration; call what it gives to be this one again."""
    monkeypatch.setattr(migrations, "STORE", migrations.STORE[:-1])
    return monkeypatch.undo


async def versions(house: House) -> dict[str, int]:
    """The versions that the store says."""
    return {row["component"]: row["version"] for row in await house.rows(select(schema.version))}


async def test_a_full_queue_of_the_version_before_is_upgraded_and_delivered(
    house: House, before: Callable[[], None]
) -> None:
    """Upgrade: the tables are brought up to date at the start, and every pending delivery arrives once."""
    await house.start(ROUTE)
    house.engine.switches.routes.add("r")
    sent = await asyncio.gather(*(house.put(f"{n}") for n in range(WAITING)))
    old = await versions(house)
    await house.crash()
    before()
    house.partners["out"] = Partner()
    await house.start(ROUTE)
    rows = await house.done(WAITING)
    assert {row["state"] for row in rows} == {"delivered"}
    assert sorted(house.partner("out").ids) == sorted(accepted.id for accepted in sent)
    assert (await versions(house))["store"] == old["store"] + 1 == len(migrations.STORE)


async def test_the_version_before_lacked_what_this_one_adds(house: House, before: Callable[[], None]) -> None:
    """The old folder of these tests is an old one indeed: searches by key and code had to pass all rows."""
    added = {"message_order", "delivery_code"}

    async def indexes() -> set[str]:
        found = await house.store.read(
            lambda c: [each["name"] for table in ("message", "delivery") for each in inspect(c).get_indexes(table)]
        )
        return {str(name) for name in found}

    await house.open()
    assert added & await indexes() == set()
    await house.store.close()
    before()
    await house.open()
    assert added <= await indexes()


async def test_an_upgrade_that_was_cut_off_is_made_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """K6: tables and number change together, so that a crash in between leaves the version before."""
    last = migrations.STORE[-1]

    def dies(connection: object) -> None:
        last(connection)  # type: ignore[arg-type]
        raise ZeroDivisionError

    with monkeypatch.context() as old:
        old.setattr(migrations, "STORE", migrations.STORE[:-1])
        await house.open()
        await house.store.close()
    with monkeypatch.context() as broken:
        broken.setattr(migrations, "STORE", (*migrations.STORE[:-1], dies))
        with pytest.raises(ZeroDivisionError):
            await house.open()
    await house.open()
    assert (await versions(house))["store"] == len(migrations.STORE)


async def test_a_store_of_a_newer_gateway_is_refused_and_left_as_it_is(house: House) -> None:
    """The error names both versions; what the newer one wrote stays."""
    store = await house.open()
    newer = len(migrations.STORE) + 1
    await store.write(lambda tx: tx.execute(update(schema.version).values(version=newer)) and None)
    await store.close()
    with pytest.raises(SchemaTooNew, match=f"version {newer}; this gateway knows {newer - 1}"):
        await house.open()
    assert Path(house.data / "keys" / "master.keys").exists()
