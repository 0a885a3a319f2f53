"""The SOAP server: envelopes written by hand from the standards, on a real listener."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lxml import etree

from adapters.soap.server import SoapServer, SoapServerConfig, SoapSubscription
from pipe.contract import Accepted, Receipt
from pipe.errors import ConfigError, PeerFailed, QueueFull, SchemaMismatch, StoreUnavailable
from pipe.testing import FakeServices
from pipe.testing.doors import FakeDoor, FakeDoors
from tests.adapters.soap_bench import ID, Door, T, envelope, serving, wsdl

NOT_FOUND = '<t:NotFound xmlns:t="urn:example:appeals:types"><t:id>1</t:id></t:NotFound>'
REMIND = f'<t:Remind xmlns:t="{T}"><t:id>7</t:id></t:Remind>'
REGISTER = (
    f'<t:Register xmlns:t="{T}" xmlns:c="urn:example:common"><t:id>1</t:id><t:applicant><c:name>Олена</c:name>'
    '</t:applicant><t:phone>+380671234567</t:phone><t:due xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
    'i:nil="true"/></t:Register>'
)
GOOD = {"number": 7, "state": "ok"}
SOAP12 = "application/soap+xml; charset=utf-8"
E11, E12 = "{http://schemas.xmlsoap.org/soap/envelope/}", "{http://www.w3.org/2003/05/soap-envelope}"


def fault(raw: bytes) -> tuple[str, str]:
    """Code and text of a fault, of either version."""
    root: Any = etree.fromstring(raw)
    if root.tag.startswith(E11):
        found = root.find(f"{E11}Body/{E11}Fault")
        return found.findtext("faultcode").partition(":")[2], found.findtext("faultstring")
    found = root.find(f"{E12}Body/{E12}Fault")
    return found.findtext(f"{E12}Code/{E12}Value").partition(":")[2], found.findtext(f"{E12}Reason/{E12}Text")


@pytest.mark.key("from.soap_server.operation", "soap_server.wsdl", "soap_server.auth")
@pytest.mark.parametrize(("version", "kind"), [("1.1", "text/xml; charset=utf-8"), ("1.2", SOAP12)])
async def test_a_call_is_answered_by_its_route(version: str, kind: str) -> None:
    """Values to the route, the operation's output back, in the version that was spoken."""
    door = Door("Register", GOOD)
    async with serving(door) as served:
        status, headers, raw = await served.post(envelope(REGISTER, version), kind)
    assert door.values == [
        {"id": "1", "applicant": {"name": {"#text": "Олена"}}, "phone": "+380671234567", "due": None}
    ]
    body = etree.fromstring(raw)[0]
    assert (status, headers["Content-Type"], headers["X-Pipe-Message"]) == (200, kind, ID)
    assert [child.text for child in body[0]] == ["7", "ok"]
    assert (door.arrivals[0].content_type, door.arrivals[0].fingerprint) == ("application/json", "SOAP Register")


async def test_a_one_way_call_is_answered_after_the_commit_and_not_before() -> None:
    """202 without a body, once `accept` has returned."""
    committed = asyncio.Event()

    async def slowly(arrival: object) -> Accepted:
        await committed.wait()
        return Accepted(ID)

    door = Door("Remind", slowly)
    door.answer = slowly
    async with serving(door) as served:
        call = asyncio.create_task(served.post(envelope(REMIND)))
        done, _ = await asyncio.wait([call], timeout=0.2)
        assert done == set()
        committed.set()
        status, _, raw = await call
    assert (status, raw, door.values) == (202, b"", [{"id": "7"}])


async def test_a_call_that_the_store_refuses_is_not_confirmed() -> None:
    """A Server fault with Retry-After: the caller sends it again."""
    async with serving(Door("Remind", StoreUnavailable(retry_after=3))) as served:
        status, headers, raw = await served.post(envelope(REMIND))
    assert (status, headers["Retry-After"], fault(raw)[0]) == (500, "3", "Server")


@pytest.mark.parametrize(
    ("raw", "kind", "action", "code", "text"),
    [
        (envelope(REMIND.replace("t:id>", "t:ix>")), "text/xml", None, "Client", "does not fit the WSDL"),
        (envelope(REMIND)[:-5], "text/xml", None, "Client", "not XML"),
        (b"<!DOCTYPE a>" + envelope(REMIND)[38:], "text/xml", None, "Client", "DOCTYPE"),
        (envelope(REMIND).replace(b"envelope/", b"envelope9/"), "text/xml", None, "VersionMismatch", "no SOAP 1.1"),
        (b"<a/>", "text/xml", None, "VersionMismatch", "no SOAP 1.1"),
        (envelope(REMIND), "application/json", None, "Client", "text/xml"),
        (envelope("<a/>"), "text/xml", None, "Client", "no operation begins with a"),
        (envelope(""), "text/xml", None, "Client", "an empty Body"),
        (envelope(REMIND), "text/xml", "urn:example:appeals:Register", "Client", "the action is"),
        (envelope(REMIND + REMIND), "text/xml", None, "Client", "does not hold the elements"),
        (envelope(REGISTER), "text/xml", None, "Client", "not served here"),
        (envelope(REMIND, header='<a:b xmlns:a="urn:a" s:mustUnderstand="1"/>'), "text/xml", None, "MustUnderstand",
         "{urn:a}b is not understood"),
        (envelope(REMIND, header='<t:session xmlns:t="urn:example:appeals:types" s:mustUnderstand="1">x</t:session>'),
         "text/xml", None, "MustUnderstand", "session is not understood"),
    ],
)  # fmt: skip
async def test_a_bad_call_is_a_fault_with_the_right_code(
    raw: bytes, kind: str, action: str | None, code: str, text: str
) -> None:
    """Nothing is accepted; SOAP 1.1 faults are HTTP 500."""
    door = Door("Remind")
    async with serving(door) as served:
        status, headers, answer = await served.post(raw, kind, action)
    assert (status, fault(answer)[0], door.arrivals) == (500, code, [])
    assert text in fault(answer)[1]
    assert headers["X-Pipe-Error"].startswith("caller.")


async def test_soap_12_says_sender_with_400_and_receiver_with_500() -> None:
    """Its own codes, in its own envelope."""
    async with serving(Door("Remind", PeerFailed("secret host"))) as served:
        bad = await served.post(envelope("<a/>", "1.2"), SOAP12)
        failed = await served.post(envelope(REMIND, "1.2"), SOAP12)
    assert (bad[0], fault(bad[2])[0]) == (400, "Sender")
    assert (failed[0], fault(failed[2])) == (500, ("Receiver", "The partner failed for the moment."))


@pytest.mark.parametrize(
    "header",
    [
        '<a:b xmlns:a="urn:a"/>',
        '<a:b xmlns:a="urn:a" s:mustUnderstand="0"/>',
        '<a:b xmlns:a="urn:a" s:mustUnderstand="1" s:actor="urn:somebody-else"/>',
    ],
)
async def test_header_blocks_for_others_are_passed_over(header: str) -> None:
    """They are not part of the values, so a repetition with another one is the same message."""
    door = Door("Remind")
    async with serving(door) as served:
        status, _, _ = await served.post(envelope(REMIND, header=header))
    assert (status, door.values) == (202, [{"id": "7"}])


async def test_declared_header_blocks_are_values() -> None:
    """`@header` holds them; being declared, they are understood."""
    door = Door("Register", GOOD)
    header = f'<t:session xmlns:t="{T}" s:mustUnderstand="1">abc</t:session>'
    async with serving(door) as served:
        status, _, _ = await served.post(envelope(REGISTER, header=header))
    assert (status, door.values[0]["@header"]) == (200, {"session": "abc"})


async def test_a_route_answers_with_a_fault_of_the_wsdl() -> None:
    """What `faults:` maps: code, text and a detail that the WSDL declares."""
    told = b'{"text": "no such person", "detail": {"NotFound": {"id": "1"}}}'
    async with serving(Door("Register", Receipt(404, body=told))) as served:
        status, _, raw = await served.post(envelope(REGISTER))
    assert (status, fault(raw)) == (500, ("Client", "no such person"))
    detail: Any = etree.fromstring(raw).find(f"{E11}Body/{E11}Fault/detail")
    assert etree.tostring(detail[0], method="c14n", exclusive=True).decode() == NOT_FOUND.replace("t:", "ns0:").replace(
        "xmlns:t", "xmlns:ns0"
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"number": "seven", "state": "ok"},
        {"nummer": 7},
        Receipt(200, body=b"<xml/>"),
        Receipt(404, body=b'{"detail": {"Nobody": {}}}'),
        Receipt(404, body=b'{"code": "no_person"}'),
        Receipt(404, body=b'{"detail": {"NotFound": {"ix": "1"}}}'),
    ],
)
async def test_a_reply_that_does_not_fit_is_our_fault(answer: object) -> None:
    """The caller gets a Server fault, never XML that his own schema would refuse."""
    async with serving(Door("Register", answer)) as served:
        status, headers, raw = await served.post(envelope(REGISTER))
    assert (status, fault(raw)[0], headers["X-Pipe-Error"]) == (500, "Server", "target.reply_invalid")


async def test_failures_say_whose_they_are_and_carry_code_and_hint() -> None:
    """In the header and in the fault's detail."""
    async with serving(Door("Remind", QueueFull(retry_after=2))) as served:
        _, headers, raw = await served.post(envelope(REMIND))
        _, _, of_route = await served.post(envelope(REMIND))
    problem: Any = etree.fromstring(raw).find(".//{urn:pipe:problem}code")
    assert (headers["X-Pipe-Error"], problem.text, headers["Retry-After"]) == ("gateway.queue_full", "PIPE-4003", "2")
    assert fault(of_route)[0] == "Server"


async def test_a_refusal_of_the_routes_own_checks_is_a_client_fault() -> None:
    """`check:` at the door."""
    async with serving(Door("Remind", SchemaMismatch("body.id: it is too short"))) as served:
        status, _, raw = await served.post(envelope(REMIND))
    assert (status, fault(raw)) == (500, ("Client", "body.id: it is too short"))


async def test_the_wsdl_is_served_with_the_address_under_which_it_was_asked_for() -> None:
    """Addresses and imports lead to the gateway; each document is there."""
    async with serving(Door("Remind")) as served:
        status, raw = await served.get("?WSDL")
        root = etree.fromstring(raw)
        places = {each.get("location") for each in root.iter("{*}address")}
        imports = [str(each.get("schemaLocation")) for each in root.iter("{*}import")]
        first = await served.client.get(imports[0])
        inner = etree.fromstring(await first.read())
        missing = [(await served.get(query))[0] for query in ("?wsdl=9", "?wsdl=../x", "?wsdl=-1")]
    assert (status, places, imports) == (200, {served.address}, [f"{served.address}?wsdl=1"])
    assert inner.get("targetNamespace") == "urn:example:common"
    assert missing == [404, 404, 404]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_other_methods_are_refused(method: str) -> None:
    """With `Allow`."""
    async with serving(Door("Remind")) as served, served.client.request(method, served.address) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, POST")


async def test_a_large_call_is_worked_on_in_a_thread_and_kept_on_disk() -> None:
    """Half a megabyte of text comes through whole."""
    door = Door("Register", GOOD)
    text = "ї" * 300_000
    async with serving(door) as served:
        body = REGISTER.replace("<t:due", f"<t:text>{text}</t:text><t:due")
        status, _, _ = await served.post(envelope(body))
    assert (status, door.values[0]["text"]) == (200, text)


async def test_a_call_larger_than_the_route_takes_is_refused() -> None:
    """`max_body` counts the envelope."""
    door = Door("Remind", max_body=400)
    async with serving(door) as served:
        status, headers, raw = await served.post(envelope(REMIND.replace("7", "7" * 400)))
    assert (status, fault(raw)[0], headers["X-Pipe-Error"]) == (500, "Client", "caller.too_large")


async def test_an_operation_with_an_output_needs_a_route_that_answers() -> None:
    """Nothing is accepted whose caller could not be answered."""
    server = SoapServer("legacy", SoapServerConfig(auth="none", wsdl=wsdl("appeals.wsdl")), FakeServices())
    await server.open()
    with pytest.raises(ConfigError, match="must be `reply: sync`"):
        await server.run(FakeDoors(FakeDoor(SoapSubscription(operation="Register"))))
    await server.close()


async def test_nobody_listens_openly_without_saying_so() -> None:
    """`auth: none` must be written out where the listener is open."""
    server = SoapServer("legacy", SoapServerConfig(wsdl=wsdl("appeals.wsdl")), FakeServices(secured=False))
    with pytest.raises(ConfigError, match="auth: none"):
        await server.open()
