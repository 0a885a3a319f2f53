"""The wire as the whole gateway lives with it: certificates are watched, and one silent partner stalls nobody else."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from pipe.cli.root import app
from pipe.testing import FaultProxy, faults
from tests.adapters import mqtt_bench, smtp_bench
from tests.adapters.pki import Pki
from tests.adapters.raw_server import RawServer, serving
from tests.pipe.running import running

SECRET = "a-secret-of-the-tests-own"


def context_of(pki: Pki, days: int) -> Any:
    """A server's certificate that has so many days left."""
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days, hours=1)
    return pki.server("127.0.0.1", not_before=now - datetime.timedelta(days=90), not_after=ends)


async def told(folder: Path, *command: str) -> Any:
    """What a command prints, as objects."""
    arguments = [*command, "--json", "--config", str(folder / "connections.yaml"), "--data", str(folder / "data")]
    return json.loads((await asyncio.to_thread(CliRunner().invoke, app, arguments)).stdout)


async def until(question: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Returns once it is true."""
    async with asyncio.timeout(seconds):
        while True:
            if await question():
                return
            await asyncio.sleep(0.05)


WATCHED = """
version: 1
listeners: {{public: {{address: "127.0.0.1:0", tls: {{cert: "{cert}", key: "{key}"}}}}}}
connections:
  callers: {{type: http_server, auth: none, warn_before: 30d}}
  crm: {{type: http_client, url: "https://127.0.0.1:{crm}", tls: {{ca: "{ca}"}}, probe: {{get: /, every: 100ms}}}}
  hook:
    type: webhook
    url: "https://127.0.0.1:{crm}"
    secret: "${{file:secret}}"
    tls: {{ca: "{ca}"}}
    warn_before: 1d
  mail: {{type: smtp, url: "smtp://127.0.0.1:{mail}", sender: a@gov.example, tls: {{ca: "{ca}"}}}}
  never: {{type: http_client, url: "https://127.0.0.1:1"}}
routes:
  all:
    from: {{connection: callers, path: /all}}
    to:
      - {{connection: crm, post: /}}
      - {{connection: hook}}
      - {{connection: mail, send: b@gov.example, subject: x, text: x}}
"""


@pytest.mark.key("connections.warn_before")
async def test_certificates_are_watched_on_both_sides(tmp_path: Path) -> None:
    """Days left for each connection; below `warn_before` it is degraded, says why, and needs a person in `status`."""
    pki = Pki(tmp_path)
    files = pki.files("127.0.0.1", not_after=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=25, hours=1))
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    mail = smtp_bench.MailServer(context=context_of(pki, 400))
    async with serving(RawServer(), context_of(pki, 5)) as crm, smtp_bench.serving(mail):
        text = WATCHED.format(**files, ca=pki.ca_file, crm=crm.port, mail=mail.port)
        (tmp_path / "connections.yaml").write_text(text, encoding="utf-8")
        async with running(tmp_path / "connections.yaml") as gateway, aiohttp.ClientSession() as client:
            async with client.post(f"{gateway.addresses()['public']}/pipe/all", data=b"{}", ssl=False) as answer:
                assert answer.status == 202

            async def seen() -> bool:
                rows = await told(tmp_path, "connections")
                return sum(bool(row["certificates"]) for row in rows) == 4

            await until(seen)
            rows = {row["connection"]: row for row in await told(tmp_path, "connections")}
            status = await told(tmp_path, "status")
    days = {name: [(each["whose"], each["days"]) for each in row["certificates"]] for name, row in rows.items()}
    assert days == {
        "callers": [("ours", 25)], "crm": [("partner", 5)], "hook": [("partner", 5)],
        "mail": [("partner", 400)], "never": [],
    }  # fmt: skip
    states = {name: row["state"] for name, row in rows.items()}
    assert states == {"callers": "degraded", "crm": "degraded", "hook": "up", "mail": "up", "never": "unknown"}
    assert rows["crm"]["reason"].startswith("the partner's certificate for ")
    assert rows["callers"]["reason"].endswith(": 25 days left")
    assert [text for text in status["troubles"] if "5 days left" in text and text.startswith("crm is degraded")]


HALF_OPEN = """
version: 1
connections:
  callers: {{type: http_server, auth: none}}
  silent: {silent}
  well: {well}
routes:
  to_silent:
    from: {{connection: callers, path: /silent}}
    to: {{connection: silent, {target}}}
  to_well:
    from: {{connection: callers, path: /well}}
    to: {{connection: well, {target}}}
"""
MANY = 40


@asynccontextmanager
async def partner(kind: str, folder: Path) -> AsyncIterator[tuple[int, str, str, Callable[[], int]]]:
    """Its port, its connection and target in YAML (`PORT` and `NAME` to be filled in), and how many it has taken."""
    secret = f"${{file:{folder / 'secret'}}}"
    if kind in {"http_client", "webhook"}:
        async with serving(RawServer()) as server:
            more = f', secret: "{secret}"' if kind == "webhook" else ""
            target = "idempotent: true" if kind == "webhook" else "post: /"
            yield (
                server.port,
                f'{{type: {kind}, url: "http://127.0.0.1:PORT"{more}}}',
                target,
                lambda: len(server.requests),
            )
    elif kind == "smtp":
        async with smtp_bench.serving() as mail:
            text = '{type: smtp, url: "smtp://127.0.0.1:PORT", starttls: false, sender: a@gov.example}'
            yield mail.port, text, "send: b@gov.example, subject: x, text: x", lambda: len(mail.envelopes)
    else:
        async with (
            mqtt_bench.running(mqtt_bench.Mosquitto(folder)) as broker,
            mqtt_bench.Onlooker(broker) as eye,
        ):
            await eye.listen("out/#")
            text = '{type: mqtt, url: "mqtt://127.0.0.1:PORT", client_id: NAME}'
            yield broker.port, text, 'publish: "out/${message.route}"', lambda: len(eye.messages)


@pytest.mark.parametrize("kind", ["http_client", "webhook", "smtp", pytest.param("mqtt", marks=pytest.mark.debian)])
async def test_a_half_open_partner_stalls_nobody_else(tmp_path: Path, kind: str) -> None:
    """While one of a kind takes connections and says nothing, another of that kind gets all that is meant for it."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    async with AsyncExitStack() as open_:
        folder = tmp_path / "partner"
        folder.mkdir()
        port, text, target, taken = await open_.enter_async_context(partner(kind, tmp_path))
        proxy = await open_.enter_async_context(FaultProxy(("127.0.0.1", port), faults.HalfOpen()))
        both = {
            name: text.replace("PORT", str(at)).replace("NAME", name)
            for name, at in (("silent", proxy.port), ("well", port))
        }
        (tmp_path / "connections.yaml").write_text(HALF_OPEN.format(**both, target=target), encoding="utf-8")
        gateway = await open_.enter_async_context(running(tmp_path / "connections.yaml"))
        client = await open_.enter_async_context(aiohttp.ClientSession())
        for number in range(MANY):
            for route in ("silent", "well"):
                async with client.post(f"{gateway.addresses()['default']}/pipe/{route}", json={"n": number}) as answer:
                    assert answer.status == 202
        await asyncio.wait_for(proxy.reached(1), 30)

        async def arrived() -> bool:
            waiting = {row["connection"]: row["waiting"] for row in await told(tmp_path, "connections")}
            return taken() >= MANY and (waiting["silent"], waiting["well"]) == (MANY, 0)

        await until(arrived, 20)  # shorter than the 30 s that each attempt at the silent one may take
        assert taken() == MANY
        await proxy.turn(faults.Refuse())  # resets what hangs, so that the gateway need not wait for it to stop


@pytest.mark.parametrize(
    "keys",
    [
        "type: http_client, url: 'https://gw:s3cret-word@x.example'",
        "type: http_client, url: 'https://x.example', proxy: {url: 'http://gw:s3cret-word@p.example'}",
        "type: mqtt, client_id: gw, url: 'mqtts://gw:s3cret-word@x.example'",
        "type: smtp, sender: a@x.example, url: 'smtps://gw:s3cret-word@x.example'",
        "type: webhook, secret: '${env:HOOK}', url: 'https://gw:s3cret-word@x.example'",
        "type: soap_client, wsdl: none.wsdl, url: 'https://gw:s3cret-word@x.example'",
    ],
)
async def test_credentials_in_an_address_are_found_and_not_repeated(tmp_path: Path, keys: str) -> None:
    """`pipe lint` names file and line, says where they belong, and does not show them to whoever looks on."""
    config = tmp_path / "connections.yaml"
    config.write_text(f"version: 1\nconnections:\n  c: {{{keys}}}\n", encoding="utf-8")
    found = await asyncio.to_thread(CliRunner().invoke, app, ["lint", "--config", str(config)])
    assert found.exit_code == 1
    (line,) = (line for line in found.stdout.splitlines() if "credentials do not belong into an address" in line)
    assert "connections.yaml:3: bad-value" in line
    assert "s3cret-word" not in found.stdout
