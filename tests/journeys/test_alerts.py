"""A partner dies, somebody hears of it; it is back, and they hear of that, whatever happened to the gateway between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.adapters.raw_server import RawServer, serving
from tests.journeys.conftest import has
from tests.journeys.gateway import Gateway

pytestmark = pytest.mark.journey

TEXT = """version: 1
connections:
  callers: {{type: http_server, auth: none}}
  partner:
    type: http_client
    url: "http://127.0.0.1:{partner}"
    reconnect: {{first: 200ms, max: 200ms}}
    probe: {{get: /ping, every: 200ms}}
  duty: {{type: http_client, url: "http://127.0.0.1:{duty}"}}
alerts: {{every: 200ms, group: 200ms, rules: {{connection_down: {{for: 1s}}}}}}
routes:
  appeals:
    from: {{connection: callers, path: /appeals}}
    to: {{connection: partner, post: /appeals, idempotent: true}}
  told:
    from: {{alerts: warning}}
    to: {{connection: duty, post: /duty, idempotent: true}}
"""


def told(duty: RawServer) -> list[dict[str, Any]]:
    """What the duty was told, in order; each once."""
    found: dict[str, dict[str, Any]] = {}
    for request in duty.requests:
        found.setdefault(request.headers["x-pipe-message-id"], json.loads(request.body))
    return list(found.values())


async def test_a_dead_partner_and_its_return_are_told_across_a_kill(tmp_path: Path) -> None:
    """The alert is told once though the gateway is killed while it fires; the all-clear comes from the next one."""
    config = tmp_path / "connections.yaml"
    async with serving(RawServer()) as duty, aiohttp.ClientSession() as client:
        partner = RawServer()
        async with serving(partner):
            config.write_text(TEXT.format(partner=partner.port, duty=duty.port), encoding="utf-8")
            gateway = Gateway(tmp_path / "data", config)
            await gateway.start()
            async with client.post(f"{gateway.address}/pipe/appeals", data=b"1") as answer:
                assert answer.status == 202
            await has(lambda: len(partner.requests) >= 1)
        async with client.post(f"{gateway.address}/pipe/appeals", data=b"2") as answer:
            assert answer.status == 202
        await has(lambda: len(told(duty)) == 1)
        await gateway.kill9()
        await gateway.start()
        async with serving(RawServer(), port=partner.port) as again:
            await has(lambda: len(told(duty)) == 2)
            await has(lambda: any(request.body == b"2" for request in again.requests))
        await gateway.stop()
    first, second = told(duty)
    assert (first["state"], first["alerts"][0]["connection"]) == ("firing", "partner")
    assert (second["state"], second["alerts"][0]["id"]) == ("over", first["alerts"][0]["id"])
