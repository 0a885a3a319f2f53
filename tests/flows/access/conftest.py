"""A real store with the tables of rights, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Select

from flows.access import FLOW
from flows.otp import FLOW as OTP
from pipe.store.schema import audit
from pipe.store.store import Store
from pipe.testing import FakeClock
from tests.pipe import postgres
from tests.pipe.conftest import clock, url

__all__ = ["clock", "url"]


@pytest.fixture
def postgres_url(postgres_folder: str) -> Callable[[], str]:
    """Makes the URL of a fresh PostgreSQL database."""
    return lambda: postgres.new_database(postgres_folder)


@pytest.fixture
async def store(tmp_path: Path, url: Callable[[], str | None], clock: FakeClock) -> AsyncIterator[Store]:
    """An empty store with the tables of rights, on either database."""
    made = Store(tmp_path / "data", url=url(), clock=clock)
    await made.open([(flow.name, flow.migrations) for flow in (FLOW, OTP)])
    made.start()
    yield made
    await made.close()


@pytest.fixture
async def small(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    """The same, on SQLite only: for what is not about SQL."""
    made = Store(tmp_path / "data", url=None, clock=clock)
    await made.open([(flow.name, flow.migrations) for flow in (FLOW, OTP)])
    made.start()
    yield made
    await made.close()


async def rows(store: Store, query: Select[Any]) -> list[dict[str, Any]]:
    """What a query finds."""

    def read(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(query).mappings()]

    return await store.read(read)


async def audited(store: Store, event: str) -> list[dict[str, Any]]:
    """The audit's rows of an event, in order."""
    return await rows(store, audit.select().where(audit.c.event == event).order_by(audit.c.seq))
