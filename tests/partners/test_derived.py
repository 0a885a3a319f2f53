"""Stand-ins that are made of a configuration: strict about what it calls, and as its own tests say in their answers."""

from __future__ import annotations

import base64
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapters.http_client import HttpClient
from adapters.soap.client import SoapClient
from partners import Partners, start, tell
from partners.http_partner import HttpPartner
from partners.soap_partner import SoapPartner
from pipe.app import catalogue, read_configuration
from pipe.clock import SystemClock
from pipe.config.findings import ConfigInvalid
from pipe.config.models import Configuration
from pipe.contract import Duration, Outgoing, Receipt, Timeout
from pipe.errors import BadRequest, Busy, NoAnswer, NotAuthorised, PeerFailed, PipeError, Refused
from pipe.testing import FakeServices
from pipe.testing.suites import outgoing
from tests.docs.pages import ROOT

TEXT = """version: 1
connections:
  shops: {type: http_server, auth: none}
  crm:
    type: http_client
    url: https://crm.partner.example/v2
    auth: {bearer: "${env:CRM_TOKEN}"}
    tls: {min_version: "1.3"}
    probe: {get: /ping, every: 30s}
  keyed: {type: http_client, url: "https://keyed.example", auth: {api_key: {header: X-Key, value: "${env:KEYED}"}}}
  named: {type: http_client, url: "https://named.example", auth: {basic: {username: gw, password: "${env:NAMED}"}}}
  signed: {type: http_client, url: "https://signed.example", auth: {hmac: {secret: "${env:SIGNED}"}}}
  tokens:
    type: http_client
    url: https://tokens.example
    auth: {oauth2: {token_url: "https://login.example/token", client_id: gw, client_secret: "${env:OAUTH}"}}
    allow: {hosts: [tokens.example, login.example]}
  certified: {type: http_client, url: "https://certified.example", auth: {mtls: {cert: c.pem, key: k.pem}}}
  news: {type: http_client, url: "https://news.example", auth: none}
  civil:
    type: soap_client
    wsdl: civil.wsdl
    url: https://civil.example/civil
    auth: {wsse: {username: gw, password: "${env:CIVIL}", digest: true}}
  meters: {type: mqtt, url: "mqtts://broker.example", client_id: gw}
routes:
  orders:
    from: {connection: shops, path: "/orders/{id}"}
    steps: [{enrich: {connection: crm, get: "/people/${params.id}", into: body.person}}]
    to:
      - connection: crm
        post: "/orders/${params.id}/lines?kind=new"
        success: "body.state == 'ok'"
        idempotent_by: params.id
      - {connection: crm, put: "/orders/${params.id}"}
  others:
    from: {connection: shops, path: /others}
    to:
      - {connection: keyed, post: /x}
      - {connection: named, post: /x}
      - {connection: signed, post: /x}
      - {connection: tokens, post: /x}
      - {connection: certified, post: /x}
  acts:
    from: {connection: shops, path: /acts}
    to: {connection: civil, call: RecordAct}
  reads:
    from: {connection: news, get: "/news?since=0", every: 1m}
    to: {connection: meters, publish: news}
  asks:
    from: {connection: shops, path: "/acts/{id}", methods: [GET]}
    reply: sync
    steps: [{map: {id: params.id}}]
    to: {connection: civil, call: FindAct}
tests:
  - route: orders
    send: {params: {id: "7"}, body: {}}
    replies: {crm: [{body: {name: Olena}}, {status: 201, body: {state: ok, line: 1}}, {status: 204}]}
    expect: [{connection: crm, put: /orders/7}, {connection: crm}]
  - route: asks
    send: {params: {id: a-1}}
    replies: {civil: {body: {act: {id: a-1, kind: marriage, name: ["Olena"], day: "2025-01-15"}}}}
    expect: [{connection: civil, call: FindAct}]
  - {route: reads, send: {body: [{id: 1}]}, expect: [{connection: meters}]}
"""
QUICK = Timeout(connect=Duration(2), read=Duration(0.5), total=Duration(0.5))
Sent = Callable[..., Awaitable[Receipt]]


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Partners, Configuration]]:
    """All stand-ins, and the configuration as the gateway reads it to reach them."""
    for name in ("CRM_TOKEN", "KEYED", "NAMED", "SIGNED", "OAUTH", "CIVIL", "PIPE_ARCHIVE"):
        monkeypatch.setenv(name, "")  # taken back at the end, whatever the stand-ins set
        monkeypatch.delenv(name)
    path = tmp_path / "connections.yaml"
    path.write_text(TEXT, encoding="utf-8")
    shutil.copy(ROOT / "partners" / "civil.wsdl", tmp_path)
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).touch()
    known = catalogue()
    async with await start(tmp_path / "data", {}, read=lambda: read_configuration(path, known)) as partners:
        yield partners, read_configuration(path, known, redirects=partners.redirects)


async def sent(configuration: Configuration, name: str, body: Any, target: dict[str, Any], **fields: Any) -> Receipt:
    """One attempt of the real adapter on its redirected connection."""
    adapter: Any = {"http_client": HttpClient, "soap_client": SoapClient}[configuration.connections[name].type]
    made = adapter(name, configuration.connections[name].config, FakeServices(SystemClock()))
    await made.open()
    try:
        one: Outgoing = outgoing(body, adapter.Target.model_validate(target), 1, **fields)._replace(timeout=QUICK)
        receipt: Receipt = await made.send(one)
        return receipt
    finally:
        await made.close()


async def test_every_partner_has_one_and_nothing_written_by_hand_is_left(
    bench: tuple[Partners, Configuration],
) -> None:
    """Nobody leads to those here."""
    partners, configuration = bench
    assert partners.covered == set(configuration.connections) - {"shops"}
    assert set(partners.addresses) == partners.covered
    assert partners.environment["CRM_TOKEN"] == "demo-value-of-CRM_TOKEN"


async def test_calls_of_the_configuration_are_answered_as_its_tests_say(bench: tuple[Partners, Configuration]) -> None:
    """Others are refused by name; a key makes one row."""
    partners, configuration = bench
    crm = partners.stand_ins["crm"]
    assert isinstance(crm, HttpPartner)
    first = await sent(configuration, "crm", b"{}", {"get": "/people/7"})
    assert first.body == {"name": "Olena"}
    crm.answer("POST", "/orders/7/lines", status=201, body={"state": "ok", "line": 1})
    for _ in range(2):
        receipt = await sent(configuration, "crm", b"{}", {"post": "/orders/7/lines?kind=new"})
    assert (receipt.status, receipt.body) == (201, {"state": "ok", "line": 1})
    with pytest.raises(Refused, match="404"):
        await sent(configuration, "crm", b"{}", {"post": "/orders/7"})
    with pytest.raises(BadRequest, match="makes no call DELETE /x"):
        crm.answer("DELETE", "/x")
    assert len(crm.rows) == 2
    health = HttpClient("crm", configuration.connections["crm"].config, FakeServices(SystemClock()))
    await health.open()
    assert (await health.check()).state == "up"
    await health.close()


@pytest.mark.parametrize("name", ["keyed", "named", "signed", "tokens", "certified"])
async def test_each_way_to_prove_oneself_is_checked(bench: tuple[Partners, Configuration], name: str) -> None:
    """The connection itself is let in; a request without its proof is not."""
    partners, configuration = bench
    assert (await sent(configuration, name, b"{}", {"post": "/x"})).status == 200
    async with aiohttp.ClientSession() as session, session.post(f"{partners.addresses[name]}/x") as answer:
        assert answer.status == (200 if name == "certified" else 401)


async def test_a_wrong_secret_is_refused(
    bench: tuple[Partners, Configuration], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the partner would."""
    partners, configuration = bench
    config = configuration.connections["crm"].config
    other = config.auth.model_copy(update={"bearer": type(config.auth.bearer)("${env:WRONG}")})
    monkeypatch.setenv("WRONG", "wrong")
    changed = config.model_copy(update={"auth": other})
    made = HttpClient("crm", changed, FakeServices(SystemClock()))
    await made.open()
    target = HttpClient.Target.model_validate({"get": "/people/7"})
    with pytest.raises(NotAuthorised):
        await made.send(outgoing(b"", target, 1))
    await made.close()
    assert partners.stand_ins["crm"].recorder.count == 1


async def test_what_is_polled_is_offered(bench: tuple[Partners, Configuration]) -> None:
    """First what a test of the route sends, then what it is told to offer."""
    partners, _ = bench
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{partners.addresses['news']}/news?since=0") as answer:
            assert await answer.json() == [{"id": 1}]
        data = partners.archive.parent
        await tell(data, "news", "offer", "/news", base64.b64encode(b"[]").decode())
        async with session.get(f"{partners.addresses['news']}/news") as answer:
            assert await answer.json() == []
        with pytest.raises(BadRequest, match="asks news for /news, not for /x"):
            await tell(data, "news", "offer", "/x", "")


async def test_soap_is_answered_by_the_test_or_by_an_example(bench: tuple[Partners, Configuration]) -> None:
    """Held against the WSDL either way, with WS-Security as the connection says."""
    partners, configuration = bench
    civil = partners.stand_ins["civil"]
    assert isinstance(civil, SoapPartner)
    act = {"act": {"id": "a-1", "kind": "birth", "name": ["Olena"], "day": "2026-01-15"}}
    told = await sent(configuration, "civil", {"id": "a-1"}, {"call": "FindAct"})
    assert told.body["act"]["kind"] == "marriage"
    recorded = await sent(configuration, "civil", act, {"call": "RecordAct"})
    assert recorded.body == {"number": 1}
    civil.answer("FindAct", fault={"code": "Client", "text": "no", "detail": {"NoSuchAct": {"id": "a-1"}}})
    with pytest.raises(Refused):
        await sent(configuration, "civil", {"id": "a-1"}, {"call": "FindAct"})
    async with aiohttp.ClientSession() as session:
        headers = {"Content-Type": "text/xml", "SOAPAction": '"urn:example:civil:FindAct"'}
        envelope = (
            '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
            '<FindAct xmlns="urn:example:civil"><id>a</id></FindAct></s:Body></s:Envelope>'
        )
        address = f"{partners.addresses['civil']}/civil"
        async with session.post(address, data=envelope, headers=headers) as answer:
            assert (answer.status, "FailedAuthentication" in await answer.text()) == (500, True)
    assert [row["operation"] for row in civil.rows.all] == ["FindAct", "RecordAct", "FindAct"]


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["slow", "3"], NoAnswer),
        (["half-open"], NoAnswer),
        (["refuse"], Refused),
        (["fail"], (Busy, PeerFailed)),
        (["200-with-error"], PipeError),
        (["reset-after-send"], NoAnswer),
        (["truncate"], PipeError),
        (["garbage"], PipeError),
    ],
)
@pytest.mark.parametrize("name", ["crm", "civil"])
async def test_each_manner_has_its_error(
    bench: tuple[Partners, Configuration], name: str, words: list[str], error: type[PipeError]
) -> None:
    """And for HTTP, what hides in a 200 is for `success:` to find."""
    partners, configuration = bench
    body, target = (b"{}", {"put": "/orders/7"}) if name == "crm" else ({"id": "a-1"}, {"call": "FindAct"})
    await tell(partners.archive.parent, name, *words)
    if name == "crm" and words[0] in {"200-with-error", "garbage"}:
        assert (await sent(configuration, name, body, target)).body != {"state": "ok"}
        return
    with pytest.raises(error):
        await sent(configuration, name, body, target)
    assert (await tell(partners.archive.parent, name, "well"))["manner"] == "well"
    await sent(configuration, name, body, target)


async def test_a_wrong_configuration_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every mistake is told; no port stays taken."""
    monkeypatch.setenv("PIPE_ARCHIVE", "")
    path = tmp_path / "connections.yaml"
    path.write_text("version: 1\nconnections: {crm: {type: htp_client}}\n", encoding="utf-8")
    known = catalogue()
    with pytest.raises(ConfigInvalid):
        await start(tmp_path / "data", {}, read=lambda: read_configuration(path, known))
    assert not (tmp_path / "data" / "partners.json").exists()


async def test_those_written_by_hand_win_where_a_connection_leads_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the shipped configuration gets ones made for it."""
    for name in ("REGISTRY", "SMS", "PAYMENTS", "CIVIL"):
        monkeypatch.setenv(f"PIPE_PARTNER_{name}", "")
    monkeypatch.setenv("PIPE_ARCHIVE", "")
    known = catalogue()
    ports = dict.fromkeys(("registry", "sms", "payments", "civil"), 0)
    async with await start(tmp_path, ports, read=lambda: read_configuration(ROOT / "connections.yaml", known)) as house:
        assert set(house.addresses) == {*ports, "otp-bot"}
        assert set(house.redirects) == {"otp-bot"}
        assert house.covered == {"registry", "sms", "treasury", "civil", "otp-bot"}
