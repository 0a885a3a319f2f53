"""The SOAP client against partners that answer what a test wrote."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree
from pydantic import ValidationError

from adapters.soap.client import SoapClient, SoapTarget
from pipe.contract import Receipt
from pipe.errors import (
    NoAnswer,
    NotAuthorised,
    PeerBroke,
    PeerError,
    PeerFailed,
    Refused,
    ReplyInvalid,
    ReplyTooLarge,
    Unencodable,
    Unreachable,
)
from tests.adapters.soap_bench import APPEAL, T, called, calling, client_config, envelope, outgoing, partner

GOOD = envelope(f'<t:RegisterResponse xmlns:t="{T}"><t:number>7</t:number><t:state>ok</t:state></t:RegisterResponse>')


def soap_fault(code: str, text: str = "why", detail: str = "", version: str = "1.1", sub: str = "") -> bytes:
    """A fault as the standard writes it."""
    if version == "1.1":
        return envelope(
            f"<s:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring>"
            f"{f'<detail>{detail}</detail>' if detail else ''}</s:Fault>"
        )
    inner = f"<s:Subcode><s:Value>{sub}</s:Value></s:Subcode>" if sub else ""
    return envelope(
        f"<s:Fault><s:Code><s:Value>{code}</s:Value>{inner}</s:Code><s:Reason><s:Text xml:lang='en'>{text}</s:Text>"
        f"</s:Reason>{f'<s:Detail>{detail}</s:Detail>' if detail else ''}</s:Fault>",
        "1.2",
    )


@pytest.mark.key("to.soap_client.call", "soap_client.wsdl", "soap_client.url")
async def test_a_call_sends_what_the_standard_says() -> None:
    """SOAP 1.1: text/xml and a quoted SOAPAction; our id and the partner's key beside it."""
    async with partner(body=GOOD) as there, calling(there.address) as client:
        receipt = await client.send(outgoing("Register", {**APPEAL, "@header": {"session": "s"}}, key="k-1"))
    headers, raw = there.requests[0]
    body = etree.fromstring(raw)
    assert (headers["Content-Type"], headers["SOAPAction"]) == (
        "text/xml; charset=utf-8", '"urn:example:appeals:Register"',
    )  # fmt: skip
    assert (headers["X-Pipe-Message-Id"], headers["Idempotency-Key"]) == ("d-1", "k-1")
    assert [etree.QName(each).localname for each in body] == ["Header", "Body"]
    assert (receipt.status, receipt.body, receipt.fault) == (200, {"number": 7, "state": "ok"}, None)


@pytest.mark.key("soap_client.port")
async def test_soap_12_names_the_action_in_the_content_type() -> None:
    """And has no SOAPAction header."""
    answer = GOOD.replace(b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope")
    async with partner(body=answer, kind="application/soap+xml; charset=utf-8") as there:
        receipt = await called(there.address, "Register", APPEAL, port="Port12")
    headers, raw = there.requests[0]
    assert headers["Content-Type"] == 'application/soap+xml; charset=utf-8; action="urn:example:appeals:Register"'
    assert ("SOAPAction" in headers, b"2003/05/soap-envelope" in raw) == (False, True)
    assert receipt.body == {"number": 7, "state": "ok"}


@pytest.mark.key("to.soap_client.header")
async def test_a_target_fills_header_blocks_from_the_message() -> None:
    """`header:` names blocks that the WSDL declares; null leaves one out."""
    async with partner(body=GOOD) as there, calling(there.address) as client:
        await client.send(outgoing("Register", APPEAL, target={"header": {"session": "message.id"}}))
        await client.send(outgoing("Register", APPEAL, target={"header": {"session": "headers.none"}}))
        with pytest.raises(Unencodable, match="declares no header block `sesion`"):
            await client.send(outgoing("Register", APPEAL, target={"header": {"sesion": "message.id"}}))
    sessions = [etree.fromstring(raw).findtext(f".//{{{T}}}session") for _, raw in there.requests]
    assert sessions == ["m-1", None]


@pytest.mark.parametrize(
    ("answer", "status", "kind", "code"),
    [
        (soap_fault("s:Client"), 500, Refused, "Client"),
        (soap_fault("s:Client.Data"), 500, Refused, "Client"),
        (soap_fault("s:Server"), 500, PeerFailed, "Server"),
        (soap_fault("s:Server"), 200, PeerFailed, "Server"),
        (soap_fault("s:MustUnderstand"), 500, Refused, "MustUnderstand"),
        (soap_fault("s:VersionMismatch"), 500, Refused, "VersionMismatch"),
        (soap_fault("NoMoney"), 500, Refused, "NoMoney"),
        (soap_fault("s:Sender", version="1.2"), 400, Refused, "Client"),
        (soap_fault("s:Receiver", version="1.2"), 500, PeerFailed, "Server"),
    ],
)
async def test_a_fault_is_an_outcome_with_a_verdict(answer: bytes, status: int, kind: type, code: str) -> None:
    """Client is dead, Server is tried again; the fault is there for `retry_when:` and `dead_when:`."""
    async with partner(body=answer, status=status) as there:
        with pytest.raises(PeerError) as caught:
            await called(there.address, "Register", APPEAL)
    assert type(caught.value) is kind
    assert isinstance(caught.value.reply, Receipt)
    assert (caught.value.reply.status, caught.value.reply.fault["code"]) == (status, code)
    assert caught.value.reply.fault["text"] == "why"


async def test_a_declared_detail_is_typed() -> None:
    """`fault.detail.NotFound.id`, as the WSDL says; a detail that nobody declared is told by its names."""
    detail = f'<t:NotFound xmlns:t="{T}"><t:id>1</t:id></t:NotFound><x:more xmlns:x="urn:x"><x:a>b</x:a></x:more>'
    for version, code in (("1.1", "s:Client"), ("1.2", "s:Sender")):
        async with partner(body=soap_fault(code, detail=detail, version=version), status=500) as there:
            with pytest.raises(Refused) as caught:
                await called(there.address, "Register", APPEAL)
        assert isinstance(caught.value.reply, Receipt)
        assert caught.value.reply.fault["detail"] == {"NotFound": {"id": "1"}, "more": {"a": "b"}}


@pytest.mark.parametrize(
    "answer",
    [
        soap_fault("w:FailedAuthentication").replace(
            b"<s:Fault>",
            b'<s:Fault xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd">',
        ),
        soap_fault("s:Sender", version="1.2", sub="w:InvalidSecurity"),
    ],
)
async def test_a_fault_about_credentials_closes_the_connection(answer: bytes) -> None:
    """Its messages wait and spend no attempts."""
    async with partner(body=answer, status=500) as there:
        with pytest.raises(NotAuthorised):
            await called(there.address, "Register", APPEAL)


@pytest.mark.parametrize(
    ("answer", "status", "kind"),
    [
        (b"<html>down</html>", 503, PeerFailed),
        (b"", 404, Refused),
        (b"oops", 500, PeerBroke),
        (b"", 401, NotAuthorised),
        (b"", 307, Refused),
        (b"<html>Welcome</html>", 200, ReplyInvalid),
        (b"", 200, ReplyInvalid),
        (GOOD.replace(b"7<", b"seven<"), 200, ReplyInvalid),
        (GOOD.replace(b"RegisterResponse", b"RemindResponse"), 200, ReplyInvalid),
        (GOOD.replace(b"?>", b"?><!DOCTYPE a>"), 200, ReplyInvalid),
        (GOOD[:-10], 200, ReplyInvalid),
        (envelope("", header='<a:b xmlns:a="urn:a" s:mustUnderstand="1"/>'), 200, ReplyInvalid),
    ],
)
async def test_an_answer_that_is_no_answer_has_its_name(answer: bytes, status: int, kind: type) -> None:
    """The statuses of HTTP mean what they mean over HTTP; what does not fit the WSDL is never taken for success."""
    async with partner(body=answer, status=status) as there:
        with pytest.raises(PeerError) as caught:
            await called(there.address, "Register", APPEAL)
    assert type(caught.value) is kind
    assert isinstance(caught.value.reply, Receipt)


async def test_a_one_way_call_needs_no_answer() -> None:
    """202 and nothing."""
    async with partner(status=202) as there:
        receipt = await called(there.address, "Remind", {"id": "1"})
    assert (receipt.status, receipt.body) == (202, None)


@pytest.mark.key("soap_client.max_reply")
async def test_an_answer_that_is_too_large_is_cut() -> None:
    """And said to be so: the call may have taken effect."""
    big = GOOD.replace(b"ok<", b"ok" + b" " * 5000 + b"<")
    async with partner(body=big) as there:
        with pytest.raises(ReplyTooLarge):
            await called(there.address, "Register", APPEAL, max_reply="4KiB")


async def test_a_large_call_and_answer_come_through() -> None:
    """In threads."""
    people = "".join(f"<t:person><c:name>{n}</c:name></t:person>" for n in range(5000))
    answer = envelope(f'<t:Found xmlns:t="{T}" xmlns:c="urn:example:common">{people}</t:Found>')
    async with partner(body=answer) as there, calling(there.address) as client:
        found = await client.send(outgoing("Find", {"@xsi:type": "ByName", "name": {"#text": "x" * 100_000}}))
    assert len(found.body["person"]) == 5000


@pytest.mark.parametrize("body", [b"<a/>", {"id": "1"}, [1], "text", None])
async def test_what_is_no_parameter_leaves_nothing(body: Any) -> None:
    """Unencodable before anything is sent."""
    async with partner(body=GOOD) as there:
        with pytest.raises(Unencodable):
            await called(there.address, "Register", body)
    assert there.requests == []


async def test_an_operation_that_is_not_there_is_told_by_lint() -> None:
    """With the nearest name."""
    async with calling("http://127.0.0.1:1/x") as client:
        config = client_config("http://127.0.0.1:1/x")
        assert client.review(config, SoapTarget(call="Register")) == []
        told = client.review(config, SoapTarget(call="Regster"))
        assert told == ["service `AppealsService` has no operation `Regster`. Did you mean `Register`?"]
        with pytest.raises(Unencodable, match="no operation `Regster`"):
            await client.send(outgoing("Regster", {}))


async def test_nobody_there_and_nobody_answering_differ() -> None:
    """Unreachable is sent again, NoAnswer is uncertain."""
    async with partner() as there:
        address = there.address
    with pytest.raises(Unreachable):
        await called(address, "Register", APPEAL)
    assert issubclass(NoAnswer, PeerError)


async def test_credentials_of_http_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auth: api_key` and its like."""
    monkeypatch.setenv("SECRET", "k")
    async with partner(body=GOOD) as there:
        await called(there.address, "Register", APPEAL, auth={"api_key": {"header": "X-Key", "value": "${env:SECRET}"}})
    assert there.requests[0][0]["X-Key"] == "k"


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"url": "ftp://127.0.0.1/x"}, "is no address"),
        ({"url": "http://registry.example/x", "allow": {"hosts": ["other.example"]}}, "does not list"),
        ({"auth": {}}, "takes at most one"),
        ({"auth": {"wsse": {}}}, "says nothing"),
        ({"auth": {"wsse": {"username": "u"}}}, "go together"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(keys: dict[str, Any], text: str) -> None:
    """When it is loaded."""
    keys = dict(keys)
    with pytest.raises(ValidationError, match=text):
        client_config(keys.pop("url", "http://127.0.0.1:1/x"), **keys)


def test_the_address_is_that_of_the_wsdl_where_none_is_written() -> None:
    """A literal address there is its own permission."""
    config = client_config("http://127.0.0.1:1/x").model_copy(update={"url": None})
    assert config.address == "http://127.0.0.1:1/appeals"


def test_a_test_may_answer_with_a_fault() -> None:
    """`replies: {registry: {fault: {code: Server}}}` of `pipe test` means what a partner's fault means."""
    assert isinstance(SoapClient.failure(Receipt(fault={"code": "Server"})), PeerFailed)
    assert isinstance(SoapClient.failure(Receipt(fault={"detail": {"NotFound": {}}})), Refused)
    assert SoapClient.failure(Receipt(200, body={})) is None
