"""MTOM and SwA in both directions: binaries and parts beside the envelope."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from adapters.soap.mime import Attachment, packed, unpacked
from adapters.soap.names import SOAP11, SOAP12
from pipe.errors import BadHeader, Undecodable, Unencodable
from tests.adapters.soap_bench import APPEAL, Door, T, called, envelope, partner, serving

GOOD = {"number": 7, "state": "ok"}
DATA = bytes(range(256)) * 40 + b"\r\n--pipe\r\n\r\n"
BASE64 = base64.b64encode(DATA).decode()
ANSWER = envelope(f'<t:RegisterResponse xmlns:t="{T}"><t:number>7</t:number><t:state>ok</t:state></t:RegisterResponse>')
REGISTER = (
    f'<t:Register xmlns:t="{T}" xmlns:c="urn:example:common"><t:id>1</t:id><t:applicant><c:name>n</c:name>'
    "</t:applicant><t:phone>+380671234567</t:phone><t:due>2026-01-01</t:due>%s</t:Register>"
)
SCAN = '<t:scan><x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="%s"/></t:scan>'


def multipart(*parts: tuple[str, bytes], kind: str = "application/xop+xml") -> tuple[bytes, str]:
    """A message as the standards write it: (header fields, bytes) for each part."""
    pieces = [b"--b\r\n" + head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts]
    return b"".join(pieces) + b"--b--\r\n", f'multipart/related; type="{kind}"; boundary=b; start="<root@x>"'


ROOT = 'Content-Type: application/xop+xml; charset=utf-8; type="text/xml"\nContent-ID: <root@x>'


@pytest.mark.key("soap_client.mtom")
@pytest.mark.parametrize("port", ["Port11", "Port12"])
async def test_mtom_comes_and_goes(port: str) -> None:
    """A large binary leaves the XML, a small one stays; the route sees the same value either way."""
    door = Door("Register", GOOD)
    async with serving(door) as served:
        for mtom in (True, False):
            for scan in (BASE64, "aGk="):
                await called(served.address, "Register", {**APPEAL, "scan": scan}, mtom=mtom, port=port)
    assert [values["scan"] for values in door.values] == [BASE64, "aGk=", BASE64, "aGk="]


async def test_mtom_is_what_the_standard_says() -> None:
    """multipart/related, application/xop+xml, an Include by cid, the bytes as they are."""
    async with partner(body=ANSWER) as there:
        await called(there.address, "Register", {**APPEAL, "scan": BASE64}, mtom=True)
    headers, raw = there.requests[0]
    package = unpacked(raw, headers["Content-Type"])
    assert (package.mtom, [part.data for part in package.attachments]) == (True, [DATA])
    assert f'href="cid:{package.attachments[0].id}"'.encode() in package.envelope
    assert headers["SOAPAction"] == '"urn:example:appeals:Register"'


async def test_a_reply_is_mtom_where_the_call_was() -> None:
    """And its attachments are there for the next step."""
    picture = ("Content-ID: <scan@x>\nContent-Type: image/png", DATA)
    parts = [(ROOT, envelope(REGISTER % (SCAN % "cid:scan%40x"))), picture]
    door = Door("Register", GOOD)
    raw, kind = multipart(*parts)
    async with serving(door) as served:
        status, headers, answer = await served.post(raw, kind)
    assert (status, door.values[0]["scan"]) == (200, BASE64)
    assert unpacked(answer, headers["Content-Type"]).mtom


@pytest.mark.parametrize("href", ["file:///etc/passwd", "http://127.0.0.1:1/x", "cid:gone@x", "", "cid:root@x", "CID:"])
async def test_an_include_leads_to_an_attachment_or_nowhere(href: str) -> None:
    """A Client fault; nothing is read or fetched."""
    door = Door("Register", GOOD)
    raw, kind = multipart((ROOT, envelope(REGISTER % (SCAN % href))))
    async with serving(door) as served:
        status, _, answer = await served.post(raw, kind)
    assert (status, b"no attachment of this message" in answer, door.arrivals) == (500, True, [])


async def test_swa_attachments_are_values_beside_the_parameters() -> None:
    """`@attachments`, in both directions, with id, type, name and data."""
    attachments = [
        {"id": "photo@x", "content_type": "image/png", "data": BASE64, "name": "photo.png"},
        {"id": "note@x", "content_type": "text/plain; charset=utf-8", "data": base64.b64encode(b"hi").decode()},
    ]
    door = Door("Register", {**GOOD, "@attachments": [attachments[1]]})
    async with serving(door) as served:
        receipt = await called(served.address, "Register", {**APPEAL, "@attachments": attachments})
    assert door.values[0]["@attachments"] == attachments
    assert receipt.body == {**GOOD, "@attachments": [attachments[1]]}


@pytest.mark.parametrize(
    ("encoding", "data"),
    [("base64", base64.encodebytes(DATA)), ("binary", DATA), ("8bit", DATA), ("quoted-printable", b"=00=01")],
)
async def test_every_transfer_encoding_is_read(encoding: str, data: bytes) -> None:
    """As SwA of older stacks sends it, the envelope first and nothing said of `start`."""
    raw, _ = multipart(
        ("Content-Type: text/xml; charset=utf-8", envelope(REGISTER % "")),
        (f"Content-ID: <a@x>\nContent-Type: image/png\nContent-Transfer-Encoding: {encoding}", data),
    )
    door = Door("Register", GOOD)
    async with serving(door) as served:
        status, _, _ = await served.post(raw, "multipart/related; boundary=b; type=text/xml")
    expected = b"\x00\x01" if encoding == "quoted-printable" else DATA
    assert (status, base64.b64decode(door.values[0]["@attachments"][0]["data"])) == (200, expected)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"--b\r\n\r\n<a/>", 'multipart/related; boundary="b"'),
        (b"--b--\r\n", 'multipart/related; boundary="b"'),
        (b"<a/>", "multipart/related"),
        (b"--b\r\nContent-Type: text/xml\r\n--b--", 'multipart/related; boundary="b"'),
        (b"--bx\r\n\r\n<a/>\r\n--b--", 'multipart/related; boundary="b"'),
        (b"--b\r\n\r\n<a/>\r\n" * 200 + b"--b--", 'multipart/related; boundary="b"'),
        (b"--b\r\n" + b"X: " + b"y" * 20000 + b"\r\n\r\n<a/>\r\n--b--", 'multipart/related; boundary="b"'),
        (b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\n!!\r\n--b--", 'multipart/related; boundary="b"'),
        (b"--b\r\nContent-Transfer-Encoding: x-uu\r\n\r\n!!\r\n--b--", 'multipart/related; boundary="b"'),
    ],
)
def test_parts_that_are_not_well_made_are_refused(raw: bytes, kind: str) -> None:
    """No guessing."""
    with pytest.raises(Undecodable):
        unpacked(raw, kind)


@pytest.mark.parametrize(
    ("attachment", "kind"),
    [
        ({"data": "no base64!"}, Unencodable),
        ({"data": "aGk=", "colour": "red"}, Unencodable),
        ("text", Unencodable),
        ({"data": "aGk=", "id": "a\r\nX: y"}, BadHeader),
        ({"data": "aGk=", "content_type": "image/png\r\nX: y"}, BadHeader),
        ({"data": "aGk=", "name": 'a"\r\n'}, BadHeader),
    ],
)
async def test_an_attachment_cannot_write_headers(attachment: Any, kind: type) -> None:
    """Data stays data."""
    async with partner(body=ANSWER) as there:
        with pytest.raises(kind):
            await called(there.address, "Register", {**APPEAL, "@attachments": [attachment]})
    assert there.requests == []


@pytest.mark.parametrize("version", [SOAP11, SOAP12])
@pytest.mark.parametrize("mtom", [False, True])
def test_what_is_packed_unpacks_to_the_same(version: Any, mtom: bool) -> None:
    """Whatever bytes the parts hold."""
    parts = [Attachment("a@x", "image/png", DATA, "a.png"), Attachment("b@x", "text/plain", b"")]
    raw, kind = packed(b"<a/>", version, "urn:do", parts, mtom=mtom)
    package = unpacked(raw, kind)
    assert (package.envelope, package.media_type, list(package.attachments), package.mtom) == (
        b"<a/>", version.media_type, parts, mtom,
    )  # fmt: skip
    assert package.action == (None if version is SOAP11 else "urn:do")
