"""The promises of every source and sink of files, kept against each server that there is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from pipe.testing.suites import FileSinkContract, SourceContract
from tests.adapters.files_bench import PLACES, FilesPeer, Place, standing, visited


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[type[Place]], Place]]:
    """The place of each kind, made once."""
    with standing() as made:
        yield made


@pytest.fixture(params=PLACES, ids=lambda place: str(place.name))
async def peer(request: pytest.FixtureRequest, places: Callable[[type[Place]], Place]) -> AsyncIterator[FilesPeer]:
    """A fresh folder at each of them."""
    async with visited(places(request.param)) as there:
        yield there


class TestPutting(FileSinkContract):
    """A file is there whole, under the name that was meant."""


class TestTaking(SourceContract):
    """A file is gone only when its message is safe."""
