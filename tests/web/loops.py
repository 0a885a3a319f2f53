"""The two loops over a connection's requests: ours, and aiohttp's, to which ours hands over what is unusual."""

from __future__ import annotations

import pytest
from aiohttp.web_protocol import RequestHandler

from web.request_loop import RequestLoop


@pytest.fixture(autouse=True, params=["our loop", "aiohttp's loop"])
def request_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs each test of the module on both: no peer can tell which of them answers."""
    if request.param != "our loop":
        monkeypatch.setattr(RequestLoop, "start", RequestHandler.start)
