"""A gateway for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.web.pages.site import Pages, pages


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Pages]:
    """A gateway with nobody in it."""
    async with pages(tmp_path) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pages]:
    """One for all tests of a file that only ask; `nobody@ukc.gov.ua` may sign in and do nothing."""
    async with pages(tmp_path_factory.mktemp("shared")) as made:
        await made.person("nobody@ukc.gov.ua")
        yield made
