"""The gateway's own log is no part of what is tested here, and costs more than the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from loguru import logger

from tests.simulator import world


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """No log but what the simulator listens to."""
    logger.remove()
    world._listen.cache_clear()
    yield
    logger.remove()
    world._listen.cache_clear()
    logger.add(sys.stderr)
