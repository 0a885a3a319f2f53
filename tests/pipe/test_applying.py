"""Promises of taking up a changed configuration: whole or not at all, recorded, and nothing lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, update

from adapters.http_client import HttpClient
from pipe.app import Gateway, Online
from pipe.config.findings import ConfigInvalid
from pipe.errors import ConfigError, RevisionUnknown, StoreUnavailable
from pipe.operations import Host
from pipe.operations.configuring import apply, plan
from pipe.store import revisions, schema
from tests.pipe.running import Partner, running

TEXT = """
version: 1
connections:
  partners: {{type: http_server, auth: none}}
  crm: {{type: http_client, url: "{url}", concurrency: {concurrency}}}
routes:
  orders:
    from: {{connection: partners, path: /orders}}
    retry: {{attempts: 100, first: 100ms, factor: 1}}
    steps: [{{decode: json}}, {{map: {{n: body.n, marked: "'{mark}'"}}}}]
    to: {{connection: crm, name: {target}, post: /orders, idempotent_by: body.n}}
tests:
  - route: orders
    send: {{body: {{n: 1}}}}
    expect: [{{connection: crm}}]
"""


def write(config: Path, url: str, *, concurrency: int = 8, mark: str = "a", target: str = "crm") -> None:
    """The configuration of these tests, with something changed."""
    config.write_text(TEXT.format(url=url, concurrency=concurrency, mark=mark, target=target), encoding="utf-8")


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    """The partner that the route delivers to."""
    async with Partner() as partner:
        yield partner


@pytest.fixture
async def gateway(partner: Partner, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A running gateway that delivers to `partner`."""
    write(tmp_path / "c.yaml", partner.url)
    async with running(tmp_path / "c.yaml") as gateway:
        yield gateway


async def send(gateway: Gateway, *numbers: int) -> list[int]:
    """The statuses of orders with these numbers."""
    async with aiohttp.ClientSession(gateway.addresses()["default"]) as client:
        return [(await client.post("/pipe/orders", json={"n": number})).status for number in numbers]


async def arrived(partner: Partner, count: int) -> None:
    """Returns once the partner has so many orders."""
    await partner.got(lambda bodies: len(bodies) >= count)


def host(gateway: Gateway) -> Host:
    """What operations are given."""
    return Host(gateway.store, gateway.clock, "anna", Online(gateway), gateway.engine)


async def rows(gateway: Gateway, table: Any) -> list[Any]:
    """All rows of a table."""
    return await gateway.store.read(lambda connection: list(connection.execute(select(table)).mappings()))


async def test_a_change_is_taken_up(gateway: Gateway, partner: Partner) -> None:
    """What arrives after `apply` goes the new way."""
    write(gateway.settings.config, partner.url, mark="b")
    await apply(host(gateway))
    assert await send(gateway, 1) == [202]
    await arrived(partner, 1)
    assert partner.bodies == [{"n": 1, "marked": "b"}]


async def test_a_change_is_recorded_with_its_files_and_its_author(gateway: Gateway, partner: Partner) -> None:
    """The revision and the audit row are there, with the text that was taken up."""
    write(gateway.settings.config, partner.url, mark="b")
    result = await apply(host(gateway))
    kept = {row["id"]: row for row in await rows(gateway, schema.revision)}
    assert kept[result["new_revision"]]["by"] == "anna"
    assert gateway.settings.config.read_text() in bytes(kept[result["new_revision"]]["files"]).decode().replace(
        "\\n", "\n"
    ).replace('\\"', '"')
    assert [(row["event"], row["actor"]) for row in await rows(gateway, schema.audit)][-1] == (
        "configuration.applied",
        "anna",
    )


async def test_mistakes_keep_the_old_configuration(gateway: Gateway, partner: Partner) -> None:
    """What lint refuses is not taken up, and the old route works on."""
    text = gateway.settings.config.read_text()
    gateway.settings.config.write_text(text.replace("post: /orders", "pst: /orders"))
    with pytest.raises(ConfigInvalid, match="pst"):
        await apply(host(gateway))
    assert await send(gateway, 1) == [202]
    await arrived(partner, 1)


async def test_an_adapter_that_breaks_while_it_is_made_keeps_the_old_configuration(
    gateway: Gateway, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect in a constructor, half-way through the change, leaves everything as it was."""

    class Breaking(HttpClient):
        def __init__(self, name: str, config: Any, services: Any) -> None:
            raise ZeroDivisionError

    before = gateway.engine.configuration
    known = {**gateway.catalogue.adapters, "http_client": Breaking}
    write(gateway.settings.config, partner.url, concurrency=3, mark="b")
    with monkeypatch.context() as patch:
        patch.setattr(gateway.engine, "catalogue", replace(gateway.engine.catalogue, adapters=known))
        with pytest.raises(ZeroDivisionError):
            await apply(host(gateway))
    assert before is gateway.engine.configuration
    assert await send(gateway, 1) == [202]
    await arrived(partner, 1)
    assert partner.bodies == [{"n": 1, "marked": "a"}]


async def test_a_change_that_cannot_be_recorded_is_not_made(
    gateway: Gateway, partner: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the store refuses the revision, the old configuration stays in use."""

    def refuse(*arguments: Any) -> bool:
        raise StoreUnavailable

    before = gateway.engine.configuration
    monkeypatch.setattr(revisions, "keep", refuse)
    write(gateway.settings.config, partner.url, concurrency=3)
    with pytest.raises(StoreUnavailable):
        await apply(host(gateway))
    assert before is gateway.engine.configuration


async def test_deliveries_without_a_station_refuse_the_change(gateway: Gateway, partner: Partner) -> None:
    """A target with pending deliveries is not removed by mistake; the plan shows them."""
    partner.status = 503
    await send(gateway, 1, 2)
    write(gateway.settings.config, partner.url, target="other")
    shown = (await plan(host(gateway)))["pending"]
    assert shown == [{"route": "orders", "station": "crm", "deliveries": 2, "orphaned": True}]
    with pytest.raises(ConfigError, match="--orphans"):
        await apply(host(gateway))


async def test_orphans_become_dead_letters_where_that_is_said(gateway: Gateway, partner: Partner) -> None:
    """`--orphans dead` ends what waits at a removed station, each with an outcome."""
    partner.status = 503
    await send(gateway, 1, 2)
    write(gateway.settings.config, partner.url, target="other")
    await apply(host(gateway), orphans="dead")
    ended = {(row["station"], row["state"], row["code"]) for row in await rows(gateway, schema.delivery)}
    assert {("crm", "dead", "PIPE-3015")} == ended


async def test_kept_orphans_go_on_when_their_station_is_back(gateway: Gateway, partner: Partner) -> None:
    """`--orphans keep` leaves them in the store; nothing is lost."""
    partner.status = 503
    await send(gateway, 1)
    write(gateway.settings.config, partner.url, target="other")
    await apply(host(gateway), orphans="keep")
    partner.status = 200
    write(gateway.settings.config, partner.url)
    await apply(host(gateway))
    await arrived(partner, 1)


async def test_the_plan_names_what_changes(gateway: Gateway, partner: Partner) -> None:
    """Connections that are established anew, keys of routes, and the tests that hold the change."""
    write(gateway.settings.config, partner.url, concurrency=3, mark="b")
    shown = await plan(host(gateway))
    assert shown["reconnects"] == ["crm"]
    assert shown["connections"]["changed"] == {"crm": ["concurrency"]}
    assert list(shown["routes"]["changed"]) == ["orders"]
    assert shown["tests"] == {"orders": ["orders #1"]}


async def test_a_plan_beside_a_stored_configuration_that_nobody_reads_any_more_says_so(gateway: Gateway) -> None:
    """Else its mistakes would be told as if they stood in the file on disk."""
    await gateway.store.write(
        lambda tx: tx.execute(update(schema.revision).values(files=b'{"c.yaml": "version: 1\\nnonsense: 1"}'))
    )
    offline = Host(gateway.store, gateway.clock, "anna", Online(gateway), None)
    with pytest.raises(RevisionUnknown, match="nonsense"):
        await plan(offline)


async def test_changed_listeners_ask_for_a_restart(gateway: Gateway) -> None:
    """A running gateway does not half-way take up what it cannot."""
    text = gateway.settings.config.read_text()
    gateway.settings.config.write_text(text + 'listeners: {other: {address: "127.0.0.1:1"}}\n')
    with pytest.raises(ConfigError, match="restart"):
        await apply(host(gateway))


async def test_twenty_reloads_under_traffic_lose_nothing(gateway: Gateway, partner: Partner) -> None:
    """Every order is accepted at once while connections and routes change twenty times, and every one arrives."""
    done = asyncio.Event()
    sent: list[int] = []

    async def hand_in(worker: int) -> None:
        async with aiohttp.ClientSession(gateway.addresses()["default"]) as client:
            while not done.is_set():
                number = len(sent)
                sent.append(number)
                async with client.post("/pipe/orders", json={"n": number}) as response:
                    assert response.status == 202, (worker, await response.text())

    workers = [asyncio.create_task(hand_in(worker)) for worker in range(4)]
    for reload in range(20):
        write(gateway.settings.config, partner.url, concurrency=2 + reload % 7, mark=f"m{reload}")
        await apply(host(gateway))
        await asyncio.sleep(0.02)
    done.set()
    await asyncio.gather(*workers)
    await partner.got(lambda bodies: len({body["n"] for body in bodies}) >= len(sent))
    assert set(sent) == {body["n"] for body in partner.bodies}
    assert {f"m{reload}" for reload in range(20)} >= {body["marked"] for body in partner.bodies} - {"a"}
