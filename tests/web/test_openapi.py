"""Promises of the OpenAPI document: it is one, it tells the truth, and the gateway keeps to it under odd requests."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.definitions import OPENAPI_31

from pipe.app import Gateway, catalogue, read_configuration
from tests.pipe.running import Partner, running
from web.openapi import document

KEY = "a-key-that-opens-nothing-but-this-test"
SCHEMA = """
{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
 "properties": {"id": {"type": "integer", "minimum": 0, "maximum": 1000}, "who": {"$ref": "parts.json#/$defs/name"}},
 "required": ["id"], "additionalProperties": false}
"""
PARTS = '{"$defs": {"name": {"type": "string", "maxLength": 20}}}'
TEXT = """
version: 1
connections:
  open: {{type: http_server, auth: none}}
  closed: {{type: http_server, auth: {{api_keys: "${{file:keys}}"}}}}
  crm: {{type: http_client, url: "{url}"}}
routes:
  orders:
    from: {{connection: open, path: "/orders/{{place}}", methods: [POST, PUT]}}
    steps: [{{decode: json}}, {{check: schemas/order.json}}]
    to: {{connection: crm, post: /orders, idempotent: true}}
  once:
    from: {{connection: closed, path: /once}}
    idempotency: {{key: "header('Idempotency-Key')", required: true}}
    steps: [{{decode: xml}}]
    to: {{connection: crm, post: /once, idempotent: true}}
  keyed:
    from: {{connection: closed, path: /keyed}}
    steps: [{{decode: json}}, {{check: schemas/order.json}}]
    to: {{connection: crm, post: /keyed, idempotent: true}}
  persons:
    from: {{connection: open, path: "/persons/{{id}}", methods: [GET]}}
    reply: {{mode: sync, steps: [{{map: {{state: body.state}}}}], faults: [{{when: "status == `404`", status: 404}}]}}
    to: {{connection: crm, get: "/persons/${{params.id}}"}}
"""


def write(folder: Path, url: str) -> Path:
    """The configuration of these tests."""
    (folder / "schemas").mkdir()
    (folder / "schemas" / "order.json").write_text(SCHEMA)
    (folder / "schemas" / "parts.json").write_text(PARTS)
    (folder / "keys").write_text(f"test:{hashlib.sha256(KEY.encode()).hexdigest()}\n")
    config = folder / "c.yaml"
    config.write_text(TEXT.format(url=url), encoding="utf-8")
    return config


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    """The document of the configuration."""
    return document(read_configuration(write(tmp_path, "http://127.0.0.1:1"), catalogue()))


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A running gateway with a partner that takes everything."""
    async with Partner() as partner, running(write(tmp_path, partner.url)) as gateway:
        yield gateway


def test_it_is_openapi(made: dict[str, Any]) -> None:
    """The specification's own schema finds nothing wrong."""
    assert [error.message for error in Draft202012Validator(OPENAPI_31).iter_errors(made)] == []


def test_every_route_over_http_is_there(made: dict[str, Any]) -> None:
    """With its methods, below `/pipe`, beside what the gateway itself serves."""
    methods = {path: sorted(entry) for path, entry in made["paths"].items()}
    assert methods == {
        "/pipe/orders/{place}": ["post", "put"],
        "/pipe/once": ["post"],
        "/pipe/keyed": ["post"],
        "/pipe/persons/{id}": ["get"],
        "/pipe/messages/{id}": ["get"],
        "/live": ["get"],
        "/ready": ["get"],
        "/metrics": ["get"],
        "/api/openapi.json": ["get"],
    }


def test_a_checked_body_has_its_schema(made: dict[str, Any]) -> None:
    """The JSON Schema of `check:` is in the document, and its references lead to where they are now."""
    body = made["paths"]["/pipe/orders/{place}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/schemas_order.json"}
    schemas = made["components"]["schemas"]
    who = schemas["schemas_order.json"]["properties"]["who"]["$ref"]
    assert who == "#/components/schemas/schemas_parts.json/$defs/name"
    assert schemas["schemas_parts.json"]["$defs"]["name"] == {"type": "string", "maxLength": 20}


def test_credentials_and_keys_are_told(made: dict[str, Any]) -> None:
    """Who may call, and which header names a message."""
    once = made["paths"]["/pipe/once"]["post"]
    assert once["security"] == [{"api_keys": []}]
    assert [(each["name"], each["required"]) for each in once["parameters"]] == [("Idempotency-Key", True)]
    assert list(once["requestBody"]["content"]) == ["application/xml"]


async def test_the_document_follows_the_configuration(gateway: Gateway) -> None:
    """After a change it is another one."""
    async with aiohttp.ClientSession(gateway.addresses()["default"]) as client:
        before = await (await client.get("/api/openapi.json")).json()
        config = gateway.settings.config
        config.write_text(config.read_text().replace("path: /keyed", "path: /renamed"))
        await gateway.apply(gateway.read_configuration(), "anna")
        after = await (await client.get("/api/openapi.json")).json()
    assert ("/pipe/keyed" in before["paths"], "/pipe/renamed" in before["paths"]) == (True, False)
    assert ("/pipe/keyed" in after["paths"], "/pipe/renamed" in after["paths"]) == (False, True)


@pytest.mark.parametrize("path", ["/live", "/ready", "/metrics", "/api/openapi.json"])
async def test_what_is_only_read_takes_nothing_else(gateway: Gateway, path: str) -> None:
    """Another method is told which it may be; nothing is served below."""
    async with aiohttp.ClientSession(gateway.addresses()["default"]) as client:
        refused = await client.post(path)
        below = await client.get(f"{path}/x")
    assert (refused.status, refused.headers["Allow"], below.status) == (405, "GET, HEAD", 404)


@pytest.mark.timeout(60)
async def test_the_gateway_keeps_to_its_document(gateway: Gateway) -> None:
    """Hundreds of fitting and unfitting requests get only what the document says; none breaks the gateway."""
    command = (
        str(Path(sys.executable).parent / "schemathesis"), "run", f"{gateway.addresses()['default']}/api/openapi.json",
        "--max-examples", "10", "--seed", "1", "--exclude-path", "/pipe/once",
        "--exclude-path-regex", "^/api/v1", "--no-color",
        "-H", f"Authorization: Bearer {KEY}",
    )  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, cwd=gateway.settings.data, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 40)
    assert process.returncode == 0, output.decode()[-6000:]
