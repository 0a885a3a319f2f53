"""The fixture `house` on the embedded store alone: both stores are held against each other in tests/pipe."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipe.testing import FakeClock
from tests.adapters.raw_server import RawServer, serving
from tests.pipe.house import House, opened


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A gateway's heart whose time stands still until the test moves it."""
    async with opened(House(tmp_path, lambda: None, FakeClock())) as made:
        yield made


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner over HTTP that answers 200 unless it is told otherwise."""
    async with serving(RawServer()) as made:
        yield made
