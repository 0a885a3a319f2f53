"""The three ways that a request is taken: plain ones by ourselves, others by our loop, unusual ones by aiohttp's."""

from __future__ import annotations

import pytest
from aiohttp.web_protocol import RequestHandler

from web.connection import Connection
from web.request_loop import RequestLoop


@pytest.fixture(autouse=True, params=["plain", "our loop", "aiohttp's loop"])
def request_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs each test of the module on all: no peer can tell which of them answers."""
    if request.param != "plain":
        monkeypatch.setattr(Connection, "_takes", lambda connection, data: False)
    if request.param == "aiohttp's loop":
        monkeypatch.setattr(RequestLoop, "start", RequestHandler.start)
