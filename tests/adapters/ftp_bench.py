"""What the tests of FTP share: a server for one test, an adapter that leads there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.files.keys import FileTarget
from tests.adapters.files_bench import (
    FilesPeer,
    open_folder,
)


@pytest.fixture
def shared() -> Any:
    """A folder that servers can enter who run as somebody else."""
    with open_folder() as folder:
        yield folder


@contextlib.asynccontextmanager
async def running(place: Any) -> AsyncIterator[FilesPeer]:
    """A server for one test."""
    await place.start()
    try:
        yield FilesPeer(place, "test")
    finally:
        await place.stop()


@contextlib.asynccontextmanager
async def opened(peer: FilesPeer, **keys: Any) -> AsyncIterator[Any]:
    """An adapter that leads there."""
    adapter = peer.make(**keys)
    await adapter.open()
    try:
        yield adapter
    finally:
        await adapter.close()


def target(put: str = "out/a") -> FileTarget:
    """Where a file goes."""
    return FileTarget.model_validate({"put": put})


async def climbed(adapter: Any, *uses: Any) -> list[tuple[str, str]]:
    """Names and states of the rungs; what is not well says what to do."""
    rungs = [rung async for rung in adapter.examine(uses)]
    assert [rung for rung in rungs if rung.state != "ok" and not rung.hint] == []
    return [(rung.name, rung.state) for rung in rungs]
