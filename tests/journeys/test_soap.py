"""SOAP through the whole gateway: in from an old caller and out to HTTP, in over HTTP and out to an old register."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from lxml import etree
from zeep.wsse import UsernameToken

from partners.stand_in import TOKENS
from tests.journeys.conftest import World, a_world, until
from tests.journeys.gateway import Gateway

pytestmark = pytest.mark.journey

T = "urn:example:appeals:types"
ENVELOPE = '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{}</s:Body></s:Envelope>'
REMIND = ENVELOPE.format(f'<t:Remind xmlns:t="{T}"><t:id>{{}}</t:id></t:Remind>')
REGISTER = ENVELOPE.format(
    f'<t:Register xmlns:t="{T}" xmlns:c="urn:example:common"><t:id>{{}}</t:id><t:applicant><c:name>n</c:name>'
    "</t:applicant><t:phone>+380671234567</t:phone><t:due>2026-01-15</t:due></t:Register>"
)


@pytest.fixture
async def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A gateway that speaks SOAP, and its partners."""
    for name in ("sms", "civil"):
        monkeypatch.setenv(f"PIPE_{name.upper()}_TOKEN", TOKENS[name])
    monkeypatch.setenv("PIPE_GUARDED_USERS", "olena:s3cret")
    async with a_world(tmp_path, Path(__file__).with_name("soap.yaml")) as made:
        await made.gateway.start()
        yield made


async def call(gateway: Gateway, envelope: str, connection: str = "legacy") -> tuple[int, bytes]:
    """Status and body of a SOAP call."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as client,
        client.post(
            f"{gateway.address}/soap/{connection}", data=envelope.encode(), headers={"Content-Type": "text/xml"}
        ) as answer,
    ):
        return answer.status, await answer.read()


async def test_what_was_accepted_over_soap_outlives_a_kill(town: World) -> None:
    """The partner is down, one-way calls are confirmed, the gateway is killed; both come back, each arrives once."""
    await town.partners.obey("sms", "stop", [])
    answers = await asyncio.gather(*(call(town.gateway, REMIND.format(f"r-{n}")) for n in range(20)))
    again = await call(town.gateway, REMIND.format("r-0"))
    await town.gateway.kill9()
    await town.partners.obey("sms", "start", [])
    await town.gateway.start()
    sms = town.partners.stand_ins["sms"]

    async def arrived() -> bool:
        return len(sms.rows) >= 20

    await until(arrived)
    assert ([status for status, _ in answers], again[0], len(sms.rows)) == ([202] * 20, 202, 20)


async def test_a_nonce_is_known_after_a_kill_and_a_dead_letter_shows_what_came(town: World) -> None:
    """A message that is sent again after a restart is refused; its letter has the envelope without secrets in it."""
    made = etree.fromstring(REMIND.format("n-1"))
    made, _ = UsernameToken("olena", "s3cret", use_digest=True).apply(made, {})
    sent = etree.tostring(made).decode()
    await town.partners.obey("sms", "fail", ["422"])
    first = await call(town.gateway, sent, "guarded")
    await town.gateway.restart()
    again = await call(town.gateway, sent, "guarded")

    async def dead() -> bool:
        return len(await town.gateway.ask("dead.list")) == 1

    await until(dead)
    [row] = await town.gateway.ask("dead.list")
    [letter] = await town.gateway.ask("dead.show", id=row["message_id"])
    assert (first[0], again[0], b"FailedAuthentication" in again[1]) == (202, 500, True)
    assert ("<wsse:Username>***</wsse:Username>" in letter["wire"]["body"], "n-1" in str(letter)) == (True, False)


async def test_a_call_is_answered_by_a_rest_partner(town: World) -> None:
    """A SOAP façade over REST: its answer in the operation's output, its 404 as the WSDL's own fault."""
    status, raw = await call(town.gateway, REGISTER.format("1001"))
    gone, fault = await call(town.gateway, REGISTER.format("9"))
    bad, refused = await call(town.gateway, REGISTER.format("1").replace("+380", "0"))
    assert (status, etree.fromstring(raw).findtext(f".//{{{T}}}number")) == (200, "1001")
    assert (gone, etree.fromstring(fault).findtext(f".//{{{T}}}NotFound/{{{T}}}id")) == (500, "9")
    assert (bad, b"Register/phone" in refused) == (500, True)


async def test_a_soap_partner_that_misbehaves_gets_everything_in_the_end(town: World) -> None:
    """Refused connections, 503, half answers: each act is recorded once."""
    civil = town.partners.stand_ins["civil"]
    for verb, *arguments in (("fail", "503", "for=3"), ("truncate", "for=2"), ("reset", "for=2")):
        await town.partners.obey("civil", verb, list(arguments))
        wanted = len(civil.rows) + 5
        async with aiohttp.ClientSession() as client:
            for n in range(5):
                act = {"id": f"{verb}-{n}", "name": "Олена"}
                async with client.post(f"{town.gateway.address}/pipe/acts", json=act) as answer:
                    assert answer.status == 202

        async def recorded(wanted: int = wanted) -> bool:
            return len(civil.rows) >= wanted

        await until(recorded, 40)
    assert len(civil.rows) == 15
