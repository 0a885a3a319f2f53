"""What the tests of the HTTP client share: a client against a raw partner, in one line."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from adapters.http_client import HttpClient, HttpConfig, HttpTarget
from pipe.contract import Duration, Expression, Message, Outgoing, Receipt, Template, Timeout
from pipe.testing import FakeServices
from tests.adapters.raw_server import RawServer

QUICK = Timeout(connect=Duration(1), read=Duration(0.25), total=Duration(0.6))
PATIENT = Timeout(connect=Duration(5), read=Duration(5), total=Duration(10))


def target(**keys: Any) -> HttpTarget:
    """A target as the YAML would make it; `post: /` unless it says something else."""
    return HttpTarget.model_validate(keys or {"post": "/"})


def outgoing(body: Any = b"{}", to: HttpTarget | None = None, **more: Any) -> Outgoing:
    """One attempt with a body, and with fields of Outgoing or Message."""
    fields: dict[str, Any] = {"id": "d-1", "attempt": 1, "timeout": PATIENT}
    fields |= {name: more.pop(name) for name in ("key", "idempotent", "timeout", "id", "attempt") if name in more}
    message = Message(id="m-1", route="r", body=body, content_type=more.pop("content_type", "application/json"), **more)
    return Outgoing(message=message, target=to or target(), **fields)


def config(server: RawServer, scheme: str = "http", host: str = "127.0.0.1", **keys: Any) -> HttpConfig:
    """A connection to that partner."""
    url = keys.pop("url", f"{scheme}://{host}:{server.port}")
    return HttpConfig.model_validate({"type": "http_client", "url": url, **keys})


@contextlib.asynccontextmanager
async def client(server: RawServer, services: FakeServices | None = None, **keys: Any) -> AsyncIterator[HttpClient]:
    """An open client; closed at the end."""
    made = HttpClient("partner", config(server, **keys), services or FakeServices())
    await made.open()
    try:
        yield made
    finally:
        await made.close()


async def sent(server: RawServer, *, body: Any = b"{}", to: HttpTarget | None = None, **more: Any) -> Receipt:
    """What one attempt with a fresh plain client brings."""
    async with client(server) as made:
        return await made.send(outgoing(body, to, **more))


__all__ = ["PATIENT", "QUICK", "Expression", "Template", "client", "config", "outgoing", "sent", "target"]
