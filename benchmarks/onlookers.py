"""Pages that stay open: each follows its feed and asks for itself again after every event, as web/static/app.js does.

`python -m benchmarks.onlookers ADDRESS COOKIE PATH…` prints a line once all of them are open; on SIGTERM it prints how
often they asked again, how many bytes that brought, and the longest that a page took, as JSON, and ends.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import aiohttp
import orjson
import uvloop

from web.pages.refreshing import HEADER

_LIVE = re.compile(r'data-live="([^"]*)" data-after="([0-9]+)"')
_RIGHTS = re.compile(r'data-rights="([^"]*)"')
AGAIN = {HEADER: "parts"}
_PAUSE_S = 0.5
"""that app.js waits where an event came while it was asking"""


@dataclass(slots=True)
class Told:
    """What all of them saw."""

    asked: int = 0
    bytes: int = 0
    longest_s: float = 0.0


class Page:
    """One that is open."""

    def __init__(self, client: aiohttp.ClientSession, path: str, told: Told) -> None:
        self._client, self._path, self._told = client, path, told
        self._changed = asyncio.Event()
        self.open = asyncio.Event()

    async def stay(self) -> None:
        """Opens the page and follows its feed until it is cancelled."""
        first = await self._ask({})
        live, rights = _LIVE.search(first), _RIGHTS.search(first)
        assert rights is not None, f"{self._path} has no menu: {first[:500]}"
        ask = {"topics": live[1] if live else "", "rights": rights[1], "after": live[2] if live else ""}
        refreshing = asyncio.create_task(self._refresh())
        try:
            async with self._client.get(f"/feed?{urlencode({k: v for k, v in ask.items() if v})}") as stream:
                assert stream.status == 200, f"the feed of {self._path} answered {stream.status}"
                self.open.set()
                async for line in stream.content:
                    if line.startswith(b"event: "):
                        self._changed.set()
        finally:
            refreshing.cancel()

    async def _refresh(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._ask(AGAIN)
            self._told.asked += 1
            if self._changed.is_set():
                await asyncio.sleep(_PAUSE_S)

    async def _ask(self, headers: dict[str, str]) -> str:
        began = time.monotonic()
        async with self._client.get(self._path, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 200, f"{self._path} answered {answer.status}: {text[:500]}"
        self._told.bytes += len(text)
        self._told.longest_s = max(self._told.longest_s, time.monotonic() - began)
        return text


async def run(address: str, cookie: str, paths: Sequence[str]) -> Told:
    """Keeps one page open for each path until it is ended."""
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    told = Told()
    connector, patience = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None)
    headers = {"Accept": "text/html", "Cookie": cookie}
    async with aiohttp.ClientSession(address, connector=connector, headers=headers, timeout=patience) as client:
        pages = [Page(client, path, told) for path in paths]
        staying = [asyncio.create_task(page.stay()) for page in pages]
        opened = asyncio.create_task(_all_open(pages))
        await asyncio.wait([opened, *staying], return_when=asyncio.FIRST_COMPLETED)
        _raise_of(staying)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        told.asked, told.bytes, told.longest_s = 0, 0, 0.0
        ending = asyncio.create_task(over.wait())
        await asyncio.wait([ending, *staying], return_when=asyncio.FIRST_COMPLETED)
        _raise_of(staying)
        for each in (ending, *staying):
            each.cancel()
        await asyncio.gather(ending, *staying, return_exceptions=True)
    return told


async def _all_open(pages: Sequence[Page]) -> None:
    for page in pages:
        await page.open.wait()


def _raise_of(tasks: Sequence[asyncio.Task[None]]) -> None:
    """A page that broke spoils the measurement."""
    for task in tasks:
        if task.done():
            task.result()
            raise ConnectionError("the gateway closed a feed")


if __name__ == "__main__":
    _told = uvloop.run(run(sys.argv[1], sys.argv[2], sys.argv[3:]))
    sys.stdout.write(orjson.dumps({name: getattr(_told, name) for name in Told.__slots__}).decode() + "\n")
