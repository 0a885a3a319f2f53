"""A client that keeps books: it notes what came of every try, and tries again until it knows."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.journeys.ledger import Sent

WHO_KNOWS = frozenset({"PIPE-4001"})
"""the disk failed while it was written: what a restart will find there nobody can tell"""


class Client:
    """Hands in appeals; every try becomes a line of `sent.jsonl`, on disk before the next one."""

    def __init__(self, file: Path, address: Callable[[], str], *, path: str = "/pipe/appeals") -> None:
        self._file = file.open("ab")
        self._address = address
        self._path = path
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))
        self.rows: list[Sent] = []

    async def close(self) -> None:
        """Ends its connections."""
        await self._session.close()
        self._file.close()

    async def hand_in(self, order: str, n: int, **fields: Any) -> Sent:
        """One appeal of the phone `order`, repeated with the same key until it is accepted."""
        key, text = f"{order}-{n}", f"Звернення {n} від {order}"
        body = {"applicant": {"name": f"Заявник {order}", "phone": order}, "text": text, **fields}
        meant = Sent(key, "unknown", None, f"{order}|{text}", order, n)
        while True:
            row = await self.attempt(meant, orjson.dumps(body))
            if row.outcome == "accepted":
                return row
            await asyncio.sleep(random.uniform(0.01, 0.1))

    async def attempt(self, meant: Sent, body: bytes) -> Sent:
        """One try, noted with what came of it."""
        row = await self._tried(meant, body)
        self._note(row)
        return row

    async def _tried(self, meant: Sent, body: bytes) -> Sent:
        headers = {"Idempotency-Key": meant.key, "Content-Type": "application/json"}
        try:
            async with self._session.post(
                self._address() + self._path, data=io.BytesIO(body), headers=headers
            ) as response:
                answer = await response.json(content_type=None)
        except aiohttp.ClientConnectorError:
            return dataclasses.replace(meant, outcome="refused")
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return meant
        assert response.status in {202, 503}, f"{response.status}: {answer}"
        if response.status == 202:
            return dataclasses.replace(meant, outcome="accepted", id=answer["id"])
        if answer["code"] in WHO_KNOWS:
            return meant
        return dataclasses.replace(meant, outcome="refused")

    def _note(self, row: Sent) -> None:
        self.rows.append(row)
        self._file.write(orjson.dumps(dataclasses.asdict(row)) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
