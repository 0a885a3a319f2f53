"""A partner's WSDL and the shape of its answers change: the duty hears which field, and which step reads it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pipe.app import Gateway, Settings
from tests.adapters.raw_server import RawServer, reply, says, serving
from tests.journeys.conftest import until
from tests.journeys.test_alerts import told

pytestmark = pytest.mark.journey
ROOT = Path(__file__).parents[2]
WSDL = ROOT / "docs" / "cookbook" / "wsdl" / "registry.wsdl"
AMOUNT = '<xs:element name="amount" type="xs:positiveInteger"/>'
TEXT = """version: 1
connections:
  callers: {{type: http_server, auth: none}}
  duty: {{type: http_client, url: "http://127.0.0.1:{duty}"}}
  registry: {{type: soap_client, wsdl: registry.wsdl, url: "http://127.0.0.1:{registry}/soap", drift: {{every: 200ms}}}}
  crm:
    type: http_client
    url: "http://127.0.0.1:{crm}"
    drift: {{samples: {{every: 1ms, learn: 4, sure: 3}}}}
alerts: {{every: 100ms, group: 1ms, clear: 500ms}}
routes:
  pay:
    from: {{connection: callers, path: /pay}}
    steps:
      - decode: json
      - map: {{ref: body.ref, iban: body.iban, amount: body.sum}}
    to: {{connection: registry, call: Pay, idempotent: true}}
  persons:
    from: {{connection: callers, path: "/persons/{{id}}", methods: [GET]}}
    reply: {{mode: sync, steps: [{{map: {{name: body.person.name}}}}]}}
    to: {{connection: crm, get: "/persons/${{params.id}}"}}
  told: {{from: {{alerts: info}}, to: {{connection: duty, post: /duty, idempotent: true}}}}
"""
SECRET = "Коваленко-Canary"


def drifts(duty: RawServer, connection: str, state: str) -> list[dict[str, Any]]:
    """What the duty heard of a connection's drift."""
    heard = [each for body in told(duty) for each in body["alerts"]]
    return [each for each in heard if (each["rule"], each["subject"], each["state"]) == ("drift", connection, state)]


async def sees(happened: Callable[[], bool]) -> None:
    """Waits for it."""

    async def asked() -> bool:
        return happened()

    await until(asked)


@pytest.mark.key("drift.every", "http_client.drift.every", "soap_client.drift.every")
async def test_the_duty_hears_which_field_has_changed_and_who_reads_it(tmp_path: Path) -> None:
    """Both are over again: the WSDL as the partner takes it back, the answers as a person accepts them."""
    (tmp_path / "registry.wsdl").write_bytes(WSDL.read_bytes())
    served = RawServer({"*": says(reply(200, WSDL.read_bytes(), Content_Type="text/xml"))})
    config = tmp_path / "c.yaml"
    async with serving(served) as registry, serving(RawServer()) as crm, serving(RawServer()) as duty:
        config.write_text(TEXT.format(duty=duty.port, registry=registry.port, crm=crm.port), encoding="utf-8")
        gateway = Gateway(Settings(config, tmp_path / "data", "127.0.0.1:0"))
        await gateway.start()
        try:
            await _wsdl(gateway, registry, duty)
            await _answers(gateway, crm, duty)
        finally:
            await gateway.stop()
    held = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("pipe.db*"))
    assert b"monitoring_drift" in held
    assert b"full_name" in held


async def _wsdl(gateway: Gateway, registry: RawServer, duty: RawServer) -> None:
    text = WSDL.read_text(encoding="utf-8")
    registry.answers(reply(200, text.replace("<types>", "<!-- said otherwise -->\n<types>").encode()))
    await registry.asked(len(registry.requests) + 3)
    assert not drifts(duty, "registry", "firing"), "another way to say the same is no drift"
    registry.answers(
        reply(200, text.replace(AMOUNT, f'{AMOUNT}<xs:element name="purpose" type="xs:string"/>').encode())
    )
    await sees(lambda: bool(drifts(duty, "registry", "firing")))
    alert = drifts(duty, "registry", "firing")[0]
    assert "Request of Pay: `body.purpose` is required now; sent by routes.pay.steps[1] map (c.yaml:" in alert["text"]
    assert "Запит Pay: поле body.purpose тепер обов’язкове; надсилають routes.pay.steps[1] map" in alert["text_uk"]
    registry.answers(reply(200, text.encode()))
    await sees(lambda: bool(drifts(duty, "registry", "over")))
    assert "?wsdl" in registry.requests[0].target


async def _answers(gateway: Gateway, crm: RawServer, duty: RawServer) -> None:
    async with aiohttp.ClientSession() as client:

        async def asks(person: dict[str, Any], many: int) -> None:
            crm.answers(reply(200, json.dumps({"person": person}).encode(), Content_Type="application/json"))
            for _ in range(many):
                before = learned(gateway)
                async with client.get(f"{gateway.addresses()['default']}/pipe/persons/7") as answer:
                    assert answer.status == 200
                await sees(lambda before=before: learned(gateway) > before)  # type: ignore[misc]

        await asks({"name": SECRET, "nick": "K", "+380671234567": {"at": "2026-01-01"}}, 2)
        await asks({"name": SECRET}, 8)
        assert not drifts(duty, "crm", "firing"), "a field that comes and goes is no drift"
        await asks({"full_name": SECRET}, 3)
    await sees(lambda: bool(drifts(duty, "crm", "firing")))
    await sees(lambda: "full_name" in drifts(duty, "crm", "firing")[-1]["text"])
    text = drifts(duty, "crm", "firing")[-1]["text"]
    assert "Answers to crm in persons: `body.person.name` is gone; read by routes.persons.reply.steps[0] map (c" in text
    assert "`body.person.full_name` is new (text)" in text
    code, told_of = await command(gateway, "crm", "--json")
    assert (code, json.loads(told_of)["state"]) == (1, "changed")
    for text in (told_of, (await command(gateway))[1]):
        assert "routes.persons.reply.steps[0] map" in text
        assert SECRET not in text
        assert "380671234567" not in text
    assert (await command(gateway, "accept", "crm"))[0] == 2
    assert (await command(gateway, "accept", "crm", "--reason", "they told us"))[0] == 0
    await sees(lambda: bool(drifts(duty, "crm", "over")))
    assert (await command(gateway, "crm"))[0] == 0


async def command(gateway: Gateway, *words: str) -> tuple[int, str]:
    """What `pipe drift` says, and its exit code."""
    options = ("--config", str(gateway.settings.config), "--data", str(gateway.settings.data))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipe", "drift", *words, *options, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


def learned(gateway: Gateway) -> int:
    """How many answers were learned from."""
    return sum(each.shape.n for each in gateway.drift.samples("crm"))
