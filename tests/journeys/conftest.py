"""A gateway, its partners and a client, each with books of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from partners import PORTS, Partners, start, tell
from partners.stand_in import TOKENS
from tests.journeys.attacks import Kept, Partner, Siege
from tests.journeys.books import books, quiet
from tests.journeys.client import Client
from tests.journeys.gateway import ROOT, Gateway
from tests.journeys.ledger import Books

APPEALS = Path(__file__).with_name("appeals.yaml")


@dataclass
class World:
    """All parties of one story."""

    gateway: Gateway
    partners: Partners
    client: Client
    sent: Path
    house: Path
    """the folder of the partners"""
    replayed: set[str] = field(default_factory=set)
    """ids that the story replayed from the dead letters"""

    async def tell(self, verb: str, *arguments: str) -> None:
        """Tells the register what to do."""
        await self.partners.obey("registry", verb, list(arguments))

    async def settled(self, *, in_flight: int = 0, within: float = 60) -> Books:
        """The books, once nothing is pending. Raises AssertionError where that takes longer than `within` seconds."""
        try:
            await until(lambda: quiet(self.gateway), within)
        except AssertionError as error:
            stuck = await self.gateway.ask("search", state="pending")
            raise AssertionError(f"still pending: {stuck}\n{self.gateway.last_words()}") from error
        return await books(self.gateway, self.sent, in_flight=in_flight, replayed=self.replayed, partners=self.house)


async def until(happened: Callable[[], Awaitable[bool]], within: float = 60) -> None:
    """Waits for what another process does. Raises AssertionError where it does not happen within so many seconds."""
    end = time.monotonic() + within
    while not await happened():
        assert time.monotonic() < end, f"it did not happen within {within} s"
        await asyncio.sleep(0.05)


async def has(happened: Callable[[], bool]) -> None:
    """As `until`, for what is known here."""

    async def asked() -> bool:
        return happened()

    await until(asked)


@asynccontextmanager
async def a_world(
    folder: Path, config: Path = APPEALS, *, root: Path = ROOT, apart: bool = False, kind: type[Gateway] = Gateway
) -> AsyncIterator[World]:
    """A gateway that is not started yet, a well register that writes bodies down, and a client.

    `root` holds the gateway's code; `apart` gives the partners a folder of their own.
    """
    data, house = folder / "data", folder / ("house" if apart else "data")
    data.mkdir(mode=0o700)
    async with await start(house, dict.fromkeys(PORTS, 0)) as partners:
        await tell(house, "registry", "bodies", "on")
        environment = {**partners.environment, "PIPE_REGISTRY_TOKEN": TOKENS["registry"]}
        gateway = kind(data, config, environment, root=root)
        client = Client(folder / "sent.jsonl", lambda: gateway.address)
        try:
            yield World(gateway, partners, client, folder / "sent.jsonl", house)
        finally:
            await client.close()
            await gateway.close()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """The same, started with the journeys' configuration."""
    async with a_world(tmp_path) as made:
        await made.gateway.start()
        yield made


# --- for attacks from outside: one gateway for all tests of a file ------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    """A running gateway in front of a partner that answers as each test says."""
    data = tmp_path_factory.mktemp("siege") / "data"
    partner = await Partner().start()
    gateway = Gateway(data, Path(__file__).with_name("attacks.yaml"), {"PARTNER": partner.address})
    await gateway.start()
    yield Siege(gateway, partner, Kept(gateway))
    code = await gateway.stop()
    await partner.stop()
    assert code == 0, gateway.last_words()


@pytest_asyncio.fixture(loop_scope="module")
async def others_are_served(siege: Siege) -> AsyncIterator[None]:
    """After every attack somebody else is answered at once, and no defect was noted."""
    noted = siege.gateway.log.stat().st_size
    yield
    began = time.monotonic()
    well = await siege.ask("/pipe/well", b'{"a": 1}')
    assert (well.status, time.monotonic() - began < 15) == (202, True), well
    words = siege.gateway.log.read_bytes()[noted:].decode()
    assert "Traceback" not in words, words


@pytest_asyncio.fixture(loop_scope="module")
async def nothing_kept(siege: Siege) -> AsyncIterator[None]:
    """The attack left no message, no file and nothing for the partner."""
    before, seen = siege.kept.messages(but="well"), len(siege.partner.seen)
    yield
    assert siege.kept.messages(but="well") == before
    assert [row[1] for row in siege.partner.seen[seen:] if row[1] != "/well"] == []
    assert list((siege.gateway.data / "blobs").iterdir()) == []
