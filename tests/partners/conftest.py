"""Stand-ins on free ports, and a client that speaks to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from partners import PORTS, Partners, start
from partners.stand_in import TOKENS

Ask = Callable[..., Any]


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """The stand-ins' data folder."""
    return tmp_path / "data"


@pytest.fixture
async def partners(data: Path) -> AsyncIterator[Partners]:
    """All stand-ins, each on a free port."""
    async with await start(data, dict.fromkeys(PORTS, 0)) as running:
        yield running


@pytest.fixture
async def client(partners: Partners) -> AsyncIterator[aiohttp.ClientSession]:
    """A client without cookies, redirects or patience."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


@pytest.fixture
def ask(partners: Partners, client: aiohttp.ClientSession) -> Ask:
    """Asks a stand-in: name, method, path, what aiohttp takes; returns status, headers and body."""

    async def asked(name: str, method: str, path: str, **given: Any) -> tuple[int, Any, bytes]:
        given["headers"] = {"Authorization": f"Bearer {TOKENS[name]}", **given.get("headers", {})}
        async with client.request(method, partners.addresses[name] + path, **given) as response:
            return response.status, response.headers, await response.read()

    return asked


APPEAL = (
    "<Appeal><Id>01arz3ndektsv4rrffq69g5fav</Id><Number>УКЦ-2026-000001</Number><Urgent>false</Urgent>"
    "<Applicant><Name>Олена</Name><Phone>+380671234567</Phone></Applicant><Text>Немає води</Text></Appeal>"
)
XML = {"Content-Type": "application/xml", "X-Pipe-Message-Id": "m1"}
