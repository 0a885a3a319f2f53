"""The promises of every source and sink of files, kept against each server that there is."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from pipe.testing.suites import FileSinkContract, SourceContract
from tests.adapters.files_bench import PLACES, FilesPeer, Place, open_folder

_folders = (f"test-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[type[Place]], Place]]:
    """The place of each kind, made once."""
    made: dict[type[Place], Place] = {}
    with open_folder() as folder:
        yield lambda kind: made.get(kind) or made.setdefault(kind, kind(folder / str(len(made))))
        for place in made.values():
            asyncio.run(place.stop())


@pytest.fixture(params=PLACES, ids=lambda place: str(place.name))
async def peer(request: pytest.FixtureRequest, places: Callable[[type[Place]], Place]) -> AsyncIterator[FilesPeer]:
    """A fresh folder at a server that goes on running, where its nature lets it."""
    place = places(request.param)
    await place.start()
    try:
        yield FilesPeer(place, next(_folders))
    finally:
        if not place.keeps:
            await place.stop()


class TestPutting(FileSinkContract):
    """A file is there whole, under the name that was meant."""


class TestTaking(SourceContract):
    """A file is gone only when its message is safe."""
