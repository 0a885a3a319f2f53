"""A PostgreSQL store behind a bad network: nothing is accepted that was not committed, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from pipe.testing import FaultProxy, faults
from tests.journeys.conftest import until
from tests.journeys.ledger import Sent
from tests.pipe import postgres
from tests.torture.bridge import bridge
from tests.torture.strait import Plan, Strait, a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.postgres, pytest.mark.timeout(300)]

SILENCE_S = 2
"""how long a database that does not answer is looked at"""


@dataclass
class Remote:
    """A gateway, the way to its database, and how to look past it."""

    strait: Strait
    line: FaultProxy
    direct: str

    def ids(self) -> set[str]:
        """The messages that are really there."""
        with psycopg.connect(self.direct) as connection:
            return {str(row[0]) for row in connection.execute("SELECT id FROM message").fetchall()}

    def states(self) -> set[str]:
        """What became of them."""
        with psycopg.connect(self.direct) as connection:
            return {state for (state,) in connection.execute("SELECT state FROM delivery").fetchall()}

    def accepted(self) -> set[str | None]:
        """What the caller was told."""
        return {row.id for row in self.strait.callers["well"].rows if row.outcome == "accepted"}

    async def attempt(self, n: int) -> str:
        """What comes of handing in one appeal, once."""
        order = phone(n)
        body = f'{{"applicant": {{"name": "x", "phone": "{order}"}}, "text": "t"}}'.encode()
        return (await self.strait.callers["well"].attempt(Sent(f"{order}-0", "unknown", None, "", order), body)).outcome

    async def settled(self) -> None:
        """Waits until everything is delivered."""

        async def all_delivered() -> bool:
            return self.states() == {"delivered"}

        await until(all_delivered, 30)


@asynccontextmanager
async def remote(folder: Path, postgres_folder: str) -> AsyncIterator[Remote]:
    """A gateway whose store is reached over TCP through a fault proxy."""
    direct = postgres.new_database(postgres_folder)
    user = direct.removeprefix("postgresql://").partition("@")[0]
    socket_file = f"{postgres_folder}/.s.PGSQL.5432"
    async with (
        bridge(lambda: asyncio.open_unix_connection(socket_file)) as port,
        FaultProxy(("127.0.0.1", port)) as line,
    ):
        store = f"postgresql://{user}@127.0.0.1:{line.port}/postgres?sslmode=disable"
        async with a_strait(folder, ["well"], Plan(environment={"PIPE_STORE": store})) as strait:
            yield Remote(strait, line, direct)


@pytest.fixture
async def far(tmp_path: Path, postgres_folder: str) -> AsyncIterator[Remote]:
    """A running one."""
    async with remote(tmp_path, postgres_folder) as made:
        yield made


async def test_a_database_whose_line_breaks_ends_the_gateway_and_loses_nothing(far: Remote) -> None:
    """Reset amid traffic: nothing more is accepted, the process ends with an error; started again it delivers all."""
    gateway = far.strait.world.gateway
    assert [await far.attempt(n) for n in range(10)] == ["accepted"] * 10
    traffic = [asyncio.create_task(far.attempt(n)) for n in range(10, 20)]
    far.line.drop()
    await far.line.turn(faults.Refuse())
    await asyncio.gather(*traffic)
    assert "accepted" not in [await far.attempt(n) for n in range(20, 22)]
    assert gateway.process is not None
    assert await asyncio.wait_for(gateway.process.wait(), 40) != 0
    assert far.accepted() <= far.ids()
    await far.line.heal()
    await gateway.start()
    far.strait.lead()
    assert {await far.attempt(n) for n in range(22)} == {"accepted"}
    await far.settled()
    assert (far.accepted(), far.strait.rows) == (far.ids(), 22)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(faults.Swallow(), id="swallow"),
        pytest.param(faults.HalfOpen(), id="half-open", marks=pytest.mark.deep),
    ],
)
async def test_a_database_that_is_silent_accepts_nothing(far: Remote, fault: faults.Fault) -> None:
    """While it is, nobody is told that anything is safe; not ready is said, and everything goes on afterwards."""
    assert await far.attempt(0) == "accepted"
    await far.line.turn(fault)
    traffic = [asyncio.create_task(far.attempt(n)) for n in range(1, 5)]
    await asyncio.sleep(SILENCE_S)
    told = far.accepted()
    await far.line.heal()
    far.line.drop()
    await asyncio.gather(*traffic)
    gateway = far.strait.world.gateway
    assert gateway.process is not None
    await asyncio.wait_for(gateway.process.wait(), 40)
    await gateway.start()
    far.strait.lead()
    assert {await far.attempt(n) for n in range(5)} == {"accepted"}
    await far.settled()
    assert (len(told), far.accepted(), far.strait.rows) == (1, far.ids(), 5)


@pytest.mark.deep
async def test_a_database_that_stays_silent_is_given_up(far: Remote) -> None:
    """No I/O without a time limit: nobody is told that anything is safe, and the process ends with an error."""
    gateway = far.strait.world.gateway
    await far.line.turn(faults.Swallow())
    told = [await far.attempt(0)]
    assert gateway.process is not None
    assert await asyncio.wait_for(gateway.process.wait(), 200) == 2
    assert "accepted" not in told
    assert "store_silent" in gateway.last_words()


@pytest.mark.deep
async def test_a_slow_database_is_slow_and_nothing_else(far: Remote) -> None:
    """A tenth of a second for each answer."""
    await far.line.turn(faults.Delay(0.1, towards="client"))
    assert [await far.attempt(n) for n in range(3)] == ["accepted"] * 3
    await far.line.heal()
    await far.settled()
    assert far.strait.rows == 3
