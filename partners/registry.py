"""The stand-in of the register of appeals: takes XML that fits its schema, and answers questions about persons."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from aiohttp import web
from lxml import etree

from partners.records import Rows
from partners.stand_in import problem

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("appeal.xsd")))

PERSONS = {
    "1001": {"name": "Олена Коваленко", "district": "Шевченківський", "benefits": True},
    "1002": {"name": "Петро Мельник", "district": "Подільський", "benefits": False},
    "1003": {"name": "Марія О'Коннор <ініціатива>", "district": "Дарницький", "benefits": False},
}


def registry(rows: Rows) -> Iterable[web.AbstractRouteDef]:
    """POST /registry/appeals · GET /registry/appeals?id= · GET /registry/persons/{id}."""

    async def register(request: web.Request) -> web.Response:
        if request.content_type not in {"application/xml", "text/xml"}:
            return problem(415, "not_xml", f"send application/xml, not {request.content_type}")
        body = await request.read()
        key = request.headers.get("Idempotency-Key")
        if (known := rows.of_key(key)) is not None:
            return _registered(known, replayed=True)
        try:
            appeal = _parsed(body)
        except etree.XMLSyntaxError as error:
            return problem(400, "not_well_formed", str(error))
        if not SCHEMA.validate(appeal):
            return problem(422, "schema", "; ".join(entry.message for entry in SCHEMA.error_log))
        fields = {
            "id": appeal.findtext("Id"),
            "number": appeal.findtext("Number"),
            "phone": appeal.findtext(".//Phone"),
        }
        return _registered(rows.add(key, body, **fields))

    async def appeals(request: web.Request) -> web.Response:
        wanted = request.query.get("id")
        if not wanted:
            return problem(400, "no_id", "name the appeal: ?id=")
        row = rows.find("id", wanted)
        return web.json_response({"state": "ok", "found": row is not None, "record": row and row["n"]})

    async def person(request: web.Request) -> web.Response:
        wanted = request.match_info["id"]
        if wanted not in PERSONS:
            return problem(404, "no_person", f"no person has the id {wanted}")
        return web.json_response({"state": "ok", "id": wanted, **PERSONS[wanted]})

    return [
        web.post("/registry/appeals", register),
        web.get("/registry/appeals", appeals),
        web.get("/registry/persons/{id}", person),
    ]


def _parsed(body: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    root = etree.fromstring(body, parser)
    if root.getroottree().docinfo.doctype:
        raise etree.XMLSyntaxError("a DOCTYPE is not allowed here", 0, 1, 1)
    return root


def _registered(row: dict[str, object], *, replayed: bool = False) -> web.Response:
    """The same row is always told in the same words."""
    answer = etree.Element("Registered")
    etree.SubElement(answer, "Id").text = str(row["id"])
    etree.SubElement(answer, "Record").text = str(row["n"])
    headers = {"Idempotent-Replayed": "true"} if replayed else None
    body = etree.tostring(answer, encoding="utf-8", xml_declaration=True)
    return web.Response(body=body, status=201, content_type="application/xml", charset="utf-8", headers=headers)
