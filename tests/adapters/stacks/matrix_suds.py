"""Calls what it is told, a line of JSON each, with suds; prints what came of it, a line of JSON each."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import sys
from datetime import UTC, datetime
from typing import Any

import suds
from suds import WebFault
from suds.client import Client
from suds.sax.date import DateTime
from suds.sax.element import Element
from suds.wsse import Security, UsernameToken

clients: dict[str, Any] = {}


def client_of(told: dict[str, Any]) -> Any:
    """One for each WSDL."""
    key = told["url"]
    if key not in clients:
        clients[key] = Client(key, cache=None, timeout=10, unwrap=False)
    client = clients[key]
    client.set_options(port=told["port"], soapheaders=(), wsse=None)
    return client


def made(client: Any, value: Any, types: dict[str, str], key: str = "") -> Any:
    """The value as suds wants it: attributes begin with `_`, objects that have a type are of that type."""
    if isinstance(value, list) and value and isinstance(value[0], int):
        return " ".join(map(str, value))
    if isinstance(value, list):
        return [made(client, each, types, key) for each in value]
    if value is None:
        return suds.null()
    if not isinstance(value, dict):
        return value
    named = key in types
    result: Any = client.factory.create(types[key]) if named else {}
    for name, part in value.items():
        if name == "@xsi:type":
            continue
        plain = "value" if name == "#text" else name.replace("@", "_")
        inner = made(client, part, types, name)
        if isinstance(part, list) and name.startswith("@"):
            inner = " ".join(part)
        if named:
            setattr(result, plain, inner)
        else:
            result[plain] = inner
    return result


def plain(value: Any) -> Any:
    """What suds read, as plain values."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, suds.sudsobject.Object):
        return {name: plain(part) for name, part in value}
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)


def token(auth: dict[str, Any]) -> Any:
    """A Security header."""
    made_token = UsernameToken(auth["user"], auth["password"])
    if auth["digest"]:
        nonce, now = os.urandom(16), datetime.now(UTC)
        created = str(DateTime(now))
        made_token.setnonce(base64.b64encode(nonce).decode())
        made_token.setnonceencoding(True)
        made_token.setcreated(now)
        mixed = nonce + created.encode() + auth["password"].encode()
        made_token.setpassworddigest(base64.b64encode(hashlib.sha1(mixed).digest()).decode())  # noqa: S324  WS-Security
    security = Security()
    security.tokens.append(made_token)
    return security


def call(told: dict[str, Any]) -> Any:
    """What comes of one call."""
    try:
        return called(told)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def called(told: dict[str, Any]) -> Any:
    """The same, as suds raises it."""
    client = client_of(told)
    if told.get("auth"):
        client.set_options(wsse=token(told["auth"]))
    if told.get("headers"):
        blocks = []
        for name, space, value in told["headers"]:
            block = Element(name, ns=("h", space))
            if isinstance(value, dict):
                for inner, text in value.items():
                    if inner.startswith("@"):
                        block.set(f"i:{inner[1:]}", text)
                        block.addPrefix("i", told["inner"])
                    else:
                        block.append(Element(inner, ns=("i", told["inner"])).setText(text))
            else:
                block.setText(value)
            blocks.append(block)
        client.set_options(soapheaders=tuple(blocks))
    method = getattr(client.service, told["operation"])
    types = told["types"]
    try:
        if told["rpc"]:
            return {"reply": plain(method(*(made(client, part, types, name) for name, part in told["args"].items())))}
        return {"reply": plain(method(made(client, told["args"], types)))}
    except WebFault as fault:
        found = fault.fault
        if hasattr(found, "faultstring"):
            detail = getattr(getattr(found, "detail", None), "Refused", None)
            reason = None if detail is None else str(detail.reason)
            return {"fault": {"code": str(found.faultcode), "text": str(found.faultstring), "reason": reason}}
        return {"error": str(fault)}


for line in sys.stdin:
    sys.stdout.write(json.dumps(call(json.loads(line))) + "\n")
    sys.stdout.flush()
