"""The promises of every source and caller, kept with a Telegram bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipe.testing.suites import CallerContract, SourceContract
from tests.adapters.telegram_bench import Bench, bench


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[Bench]:
    """A bot and its people."""
    async with bench(tmp_path) as made:
        yield made


class TestTelegramSource(SourceContract):
    """Updates, by long polling."""


class TestTelegramCaller(CallerContract):
    """Messages."""
