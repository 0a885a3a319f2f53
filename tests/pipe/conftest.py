"""The fixture `house`: every test that asks for it runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing

from pipe.clock import Clock, SystemClock
from pipe.testing import FakeClock
from tests.pipe import postgres
from tests.pipe.house import House, opened

# A runner makes the whole command for each call, which takes longer than most of what it is called for.
typer.testing._get_command = cache(typer.main.get_command)  # type: ignore[attr-defined]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> Callable[[], str | None]:
    """Makes the URL of a fresh database; None is the embedded one."""
    if request.param == "sqlite":
        return lambda: None
    folder = request.getfixturevalue("postgres_folder")
    return lambda: postgres.new_database(folder)


@pytest.fixture
def clock() -> FakeClock:
    """Time in the test's hands."""
    return FakeClock()


@pytest.fixture
async def house(tmp_path: Path, url: Callable[[], str | None], clock: FakeClock) -> AsyncIterator[House]:
    """A gateway's heart whose time stands still until the test moves it."""
    async with opened(House(tmp_path, url, clock)) as made:
        yield made


@pytest.fixture
async def living(tmp_path: Path, url: Callable[[], str | None]) -> AsyncIterator[House]:
    """The same on the machine's own clock, for what is about threads and traffic."""
    real: Clock = SystemClock()
    async with opened(House(tmp_path, url, real)) as made:
        yield made
