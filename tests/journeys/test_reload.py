"""The configuration of a running gateway: by command and by SIGHUP, whole or not at all."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.journeys.gateway import Gateway
from tests.pipe.running import Partner

pytestmark = pytest.mark.journey

TEXT = """version: 1
connections:
  partners: {{type: http_server, auth: none}}
  crm: {{type: http_client, url: "{url}"}}
routes:
  orders:
    from: {{connection: partners, path: {path}}}
    steps: [{{decode: json}}]
    to: {{connection: crm, post: /orders, idempotent: true}}
"""


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    """Takes the orders."""
    async with Partner() as partner:
        yield partner


@pytest.fixture
async def gateway(partner: Partner, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway as a process."""
    config = tmp_path / "c.yaml"
    config.write_text(TEXT.format(url=partner.url, path="/one"))
    gateway = Gateway(tmp_path / "data", config)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.kill9()


async def status(gateway: Gateway, path: str) -> int:
    """What the gateway says to an order at this path."""
    async with aiohttp.ClientSession() as client, client.post(f"{gateway.address}/pipe{path}", json={}) as response:
        return response.status


async def until(gateway: Gateway, path: str, wanted: int) -> None:
    """Returns once the gateway says so."""
    for _ in range(200):
        if await status(gateway, path) == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(gateway.last_words())


def hang_up(gateway: Gateway) -> None:
    """What `kill -HUP` does."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGHUP)


async def test_sighup_takes_up_what_is_on_disk(gateway: Gateway, partner: Partner) -> None:
    """The old path is gone, the new one serves, without a restart."""
    gateway.config.write_text(TEXT.format(url=partner.url, path="/two"))
    hang_up(gateway)
    await until(gateway, "/two", 202)
    assert await status(gateway, "/one") == 404


async def test_sighup_with_mistakes_changes_nothing(gateway: Gateway, partner: Partner) -> None:
    """The gateway says why in its log, and works on as before."""
    gateway.config.write_text(TEXT.format(url=partner.url, path="/two").replace("post:", "pst:"))
    hang_up(gateway)
    for _ in range(200):
        if "unknown key `pst`" in gateway.last_words():
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError(gateway.last_words())
    assert (await status(gateway, "/one"), await status(gateway, "/two")) == (202, 404)


async def test_plan_then_apply(gateway: Gateway, partner: Partner) -> None:
    """The commands reach the running gateway: first what would change, then the change."""
    gateway.config.write_text(TEXT.format(url=partner.url, path="/two"))
    planned = await gateway.pipe("plan", "--config", str(gateway.config))
    assert planned["routes"]["changed"] == {"orders": ["from.path"]}
    assert await status(gateway, "/one") == 202
    applied = await gateway.pipe("apply", "--config", str(gateway.config))
    assert planned["new_revision"] == applied["new_revision"]
    assert (await status(gateway, "/one"), await status(gateway, "/two")) == (404, 202)
