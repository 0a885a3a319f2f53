"""The stand-in of the register of civil acts: a SOAP service that takes only what its WSDL says, action included."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiohttp import web
from lxml import etree

from partners.records import Rows

WSDL = Path(__file__).with_name("civil.wsdl")
SPACE, SOAP = "urn:example:civil", "http://schemas.xmlsoap.org/soap/envelope/"
_XS = "http://www.w3.org/2001/XMLSchema"


def civil(rows: Rows) -> Iterable[web.AbstractRouteDef]:
    """POST /civil: RecordAct, FindAct; GET /civil?wsdl."""
    wsdl: Any = etree.parse(WSDL).getroot()
    schema = etree.XMLSchema(etree.fromstring(etree.tostring(wsdl.find(f".//{{{_XS}}}schema"))))

    async def call(request: web.Request) -> web.Response:
        if request.content_type != "text/xml":
            return _fault("Client", f"send text/xml, not {request.content_type}")
        body = await request.read()
        try:
            root: Any = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError as error:
            return _fault("Client", str(error))
        if root.getroottree().docinfo.doctype:
            return _fault("Client", "a DOCTYPE is not allowed here")
        if root.tag != f"{{{SOAP}}}Envelope":
            return _fault("VersionMismatch", "SOAP 1.1 is spoken here")
        found = root.find(f"{{{SOAP}}}Body")
        asked = None if found is None or len(found) != 1 else found[0]
        if asked is None or not schema.validate(etree.fromstring(etree.tostring(asked, with_tail=False))):
            return _fault("Client", "; ".join(entry.message for entry in schema.error_log) or "the Body is not good")
        name = etree.QName(asked).localname
        if request.headers.get("SOAPAction") != f'"{SPACE}:{name}"':
            return _fault("Client", f"the SOAPAction of {name} is {SPACE}:{name}, in quotes")
        return _recorded(rows, asked, body) if name == "RecordAct" else _told(rows, asked)

    async def publish(_: web.Request) -> web.Response:
        return web.Response(body=WSDL.read_bytes(), content_type="text/xml")

    return [web.post("/civil", call), web.get("/civil", publish)]


def _recorded(rows: Rows, asked: Any, body: bytes) -> web.Response:
    """An act is recorded once, however often it comes: its id names it."""
    key = asked.findtext(f".//{{{SPACE}}}id")
    row = rows.of_key(key)
    if row is None:
        act = etree.tostring(asked[0], encoding="unicode", with_tail=False)
        row = rows.add(key, body, act=act)
    answer = etree.Element(f"{{{SPACE}}}RecordActResponse", nsmap={None: SPACE})
    etree.SubElement(answer, f"{{{SPACE}}}number").text = str(row["n"])
    return _answer(answer)


def _told(rows: Rows, asked: Any) -> web.Response:
    key = asked.findtext(f"{{{SPACE}}}id")
    row = rows.of_key(key)
    if row is None:
        detail = etree.Element(f"{{{SPACE}}}NoSuchAct", nsmap={None: SPACE})
        etree.SubElement(detail, f"{{{SPACE}}}id").text = key
        return _fault("Client", "no act has this id", detail)
    answer = etree.Element(f"{{{SPACE}}}FindActResponse", nsmap={None: SPACE})
    answer.append(etree.fromstring(row["act"]))
    return _answer(answer)


def _fault(code: str, text: str, detail: Any = None) -> web.Response:
    fault = etree.Element(f"{{{SOAP}}}Fault", nsmap={"s": SOAP})
    etree.SubElement(fault, "faultcode").text = f"s:{code}"
    etree.SubElement(fault, "faultstring").text = text
    if detail is not None:
        etree.SubElement(fault, "detail").append(detail)
    return _answer(fault, 500)


def _answer(element: Any, status: int = 200) -> web.Response:
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"s": SOAP})
    etree.SubElement(envelope, f"{{{SOAP}}}Body").append(element)
    raw = etree.tostring(envelope, encoding="utf-8", xml_declaration=True)
    return web.Response(body=raw, status=status, content_type="text/xml", charset="utf-8")
