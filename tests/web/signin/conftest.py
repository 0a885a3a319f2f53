"""A gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.web.pages.site import Pages, pages


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Pages]:
    """A gateway with nobody in it."""
    async with pages(tmp_path) as made:
        yield made
