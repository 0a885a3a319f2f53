"""What the stand-in of the register of civil acts takes and refuses."""

from __future__ import annotations

import pytest

from partners import Partners
from tests.partners.conftest import Ask

ACT = "<id>a-1</id><kind>birth</kind><name>Олена</name><day>2026-01-15</day>"
RECORD = f'<c:RecordAct xmlns:c="urn:example:civil"><c:act xmlns="urn:example:civil">{ACT}</c:act></c:RecordAct>'
FIND = '<FindAct xmlns="urn:example:civil"><id>%s</id></FindAct>'
HEADERS = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '"urn:example:civil:RecordAct"'}


def envelope(body: str) -> bytes:
    """SOAP 1.1."""
    return (
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>{body}</s:Body></s:Envelope>'.encode()
    )


async def test_an_act_is_recorded_once_and_told_again(ask: Ask, partners: Partners) -> None:
    """Its id names it."""
    for _ in range(2):
        status, _, raw = await ask("civil", "POST", "/civil", data=envelope(RECORD), headers=HEADERS)
        assert (status, b"<number>1</number>" in raw) == (200, True)
    find = {**HEADERS, "SOAPAction": '"urn:example:civil:FindAct"'}
    _, _, told = await ask("civil", "POST", "/civil", data=envelope(FIND % "a-1"), headers=find)
    status, _, fault = await ask("civil", "POST", "/civil", data=envelope(FIND % "a-2"), headers=find)
    assert ("Олена".encode() in told, status, b"NoSuchAct" in fault) == (True, 500, True)
    assert len(partners.stand_ins["civil"].rows) == 1


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (envelope(RECORD), {"Content-Type": "application/json"}, b"send text/xml"),
        (envelope(RECORD)[:-3], {}, b"faultstring"),
        (b"<!DOCTYPE a>" + envelope(RECORD), {}, b"DOCTYPE"),
        (b"<a/>", {}, b"VersionMismatch"),
        (envelope(""), {}, b"not good"),
        (envelope(RECORD.replace("birth", "death")), {}, b"death"),
        (envelope(RECORD), {"SOAPAction": '"urn:other"'}, b"the SOAPAction of RecordAct"),
    ],
)
async def test_what_does_not_fit_is_a_fault(
    ask: Ask, partners: Partners, body: bytes, headers: dict[str, str], text: bytes
) -> None:
    """500 and a SOAP Fault; nothing is recorded."""
    status, _, raw = await ask("civil", "POST", "/civil", data=body, headers={**HEADERS, **headers})
    assert (status, b"Fault" in raw, text in raw, len(partners.stand_ins["civil"].rows)) == (500, True, True, 0)


async def test_its_wsdl_is_there(ask: Ask) -> None:
    """For `pipe wsdl pin`."""
    assert b"CivilService" in (await ask("civil", "GET", "/civil?wsdl"))[2]
