"""What an OpenAPI document means: fields by their paths, which operation a target asks for, and how it is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.http_client import HttpClient, HttpSubscription
from adapters.http_openapi import operation_at, outline_of
from pipe.app import catalogue, read_configuration
from pipe.config.findings import ConfigInvalid
from pipe.errors import NotAuthorised, Refused, ReplyInvalid
from pipe.outline import Leaf
from pipe.testing import FakeServices
from tests.adapters.http_bench import client, target
from tests.adapters.raw_server import RawServer, reply, says, serving

DOCUMENT: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "CRM", "version": "1"},
    "paths": {
        "/persons/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
            "get": {"responses": {"200": {"$ref": "#/components/responses/Person"}, "404": {"description": "none"}}},
            "put": {
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}},
                },
                "responses": {"204": {"description": "done"}},
            },
        }
    },
    "components": {
        "responses": {
            "Person": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}}}
        },
        "schemas": {
            "Person": {
                "allOf": [{"$ref": "#/components/schemas/Named"}],
                "required": ["born"],
                "properties": {
                    "born": {"type": "string", "format": "date"},
                    "sex": {"type": "string", "enum": ["m", "f"], "nullable": True},
                    "lines": {"type": "array", "items": {"type": "object", "properties": {"sum": {"type": "number"}}}},
                    "parent": {"$ref": "#/components/schemas/Person"},
                },
            },
            "Named": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
    },
}  # fmt: skip
ANSWER = {
    "body": Leaf("object"),
    "body.name": Leaf("string"),
    "body.born": Leaf("string, format date"),
    "body.sex": Leaf("null or string, one of f|m", False),
    "body.lines": Leaf("object", False, many=True),
    "body.lines.sum": Leaf("number", False),
    "body.parent": Leaf("object", False),
}


@pytest.mark.parametrize("written", [json.dumps(DOCUMENT), yaml.safe_dump(DOCUMENT)], ids=["JSON", "YAML"])
def test_a_document_is_its_operations_and_their_fields(written: str) -> None:
    """References are followed, what is made of several is one, and what contains itself ends."""
    found = outline_of(written.encode(), "crm.json")
    assert found["GET /persons/{id} answer"] == ANSWER
    assert found["GET /persons/{id} request"] == {"(path id)": Leaf("string")}
    assert found["PUT /persons/{id} request"] == {"(path id)": Leaf("string"), **ANSWER}
    assert found["PUT /persons/{id} answer"] == {}


@pytest.mark.parametrize("text", [b"{}", b"[1]", b"\xff\xfe", b'{"openapi": "3.1.0"}', b"a: [", b'{"swagger": "2.0"}'])
def test_what_is_no_document_is_said_so(text: bytes) -> None:
    """Never an exception of a parser."""
    with pytest.raises(ReplyInvalid, match=r"crm\.json"):
        outline_of(text, "crm.json")


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("GET", "/persons/${params.id}", "GET /persons/{id}"),
        ("GET", "/persons/me", "GET /persons/me"),
        ("GET", "/v2/persons/${params.id}?full=1", "GET /persons/{id}"),
        ("PUT", "/persons/${params.id}", None),
        ("GET", "/bills/${params.id}/lines", "GET /api/bills/{number}/lines"),
        ("GET", "/${params.id}", None),
        ("GET", "/companies/${params.id}", None),
    ],
)
def test_a_target_asks_for_an_operation(method: str, path: str, operation: str | None) -> None:
    """Whatever stands before on either side; the more of it is said, the better it fits."""
    known = ["GET /persons/{id}", "GET /persons/me", "POST /persons", "GET /api/bills/{number}/lines"]
    assert operation_at(method, path, known) == operation


@pytest.mark.key("http_client.drift", "http_client.drift.openapi", "http_client.drift.openapi.get",
                 "http_client.drift.openapi.file")  # fmt: skip
async def test_the_document_is_fetched_as_the_connection_and_beside_our_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the path of `url`, with our credentials; the copy is part of the configuration."""
    monkeypatch.setenv("KEY", "k-1")
    (tmp_path / "crm.yaml").write_text(yaml.safe_dump(DOCUMENT), encoding="utf-8")
    async with serving(RawServer({"*": says(reply(200, json.dumps(DOCUMENT).encode()))})) as server:
        text = (
            f'version: 1\nconnections:\n  crm: {{type: http_client, url: "http://127.0.0.1:{server.port}/v2",'
            ' auth: {bearer: "${env:KEY}"}, drift: {openapi: {get: /openapi.json, file: crm.yaml}}}\n'
        )
        (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
        configuration = read_configuration(tmp_path / "c.yaml", catalogue())
        config = configuration.connections["crm"].config
        async with client(server) as plain:
            assert plain.described_at() is None
        made = HttpClient("crm", config, FakeServices())
        await made.open()
        try:
            assert made.described_at() == ("openapi", f"http://127.0.0.1:{server.port}/v2/openapi.json")
            found = await made.interface()
        finally:
            await made.close()
    assert server.requests[0].target == "/v2/openapi.json"
    assert server.requests[0].headers["authorization"] == "Bearer k-1"
    assert (found.served, found.strict) == (found.pinned, False)
    assert "crm.yaml" in configuration.files
    assert HttpClient.operation(target(get="/persons/7"), ["GET /persons/{id}"]) == "GET /persons/{id}"
    assert HttpClient.operation(HttpSubscription(get="/persons/7"), ["GET /persons/{id}"]) == "GET /persons/{id}"
    (tmp_path / "crm.yaml").write_text("openapi: 2", encoding="utf-8")
    with pytest.raises(ConfigInvalid) as caught:
        read_configuration(tmp_path / "c.yaml", catalogue())
    assert str(caught.value.findings[0]).startswith("c.yaml:3: bad-value `file`: `crm.yaml` is no OpenAPI 3 document")


@pytest.mark.parametrize(
    ("answer", "error"), [(reply(404), Refused), (reply(401), NotAuthorised), (reply(200, b"<html>"), ReplyInvalid)]
)
async def test_what_is_not_served_is_an_error_with_a_name(answer: bytes, error: type[Exception]) -> None:
    """And no change of the interface."""
    keys = {"openapi": {"get": "/openapi.json"}}
    async with serving(RawServer({"*": says(answer)})) as server, client(server, drift=keys) as made:
        with pytest.raises(error):
            await made.interface()
