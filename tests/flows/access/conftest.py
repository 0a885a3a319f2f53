"""A real store with the tables of rights, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
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


@pytest.fixture(scope="session")
def postgres_folder() -> Iterator[str]:
    """One PostgreSQL server for all."""
    with postgres.server() as folder:
        yield folder


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> Callable[[], str | None]:
    """Makes the URL of a fresh database; None is the embedded one."""
    if request.param == "sqlite":
        return lambda: None
    folder = request.getfixturevalue("postgres_folder")
    return lambda: postgres.new_database(folder)


@pytest.fixture
def postgres_url(postgres_folder: str) -> Callable[[], str]:
    """Makes the URL of a fresh PostgreSQL database."""
    return lambda: postgres.new_database(postgres_folder)


@pytest.fixture
def clock() -> FakeClock:
    """Time in the test's hands."""
    return FakeClock()


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
