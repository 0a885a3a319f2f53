"""A gateway between two bad networks: one proxy in front of it, and one before each of its partners."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from pipe.testing import FaultProxy
from tests.journeys.attacks import Kept, soon
from tests.journeys.books import books, final, sent
from tests.journeys.client import Client
from tests.journeys.conftest import World, a_world
from tests.journeys.ledger import check

MANY = 10_000
"""repetitions that a bad network excuses: a lost answer is an attempt that was confirmed and has to be made again"""
HEAD = """version: 1
limits: {disk_floor: 1MiB}
defaults:
  timeout: {connect: 400ms, read: 400ms, total: 800ms}
  retry: {attempts: 1000, first: 50ms, factor: 1.5, max: 300ms, within: 1h}
connections:
  partners: {type: http_server, auth: none}
"""
ROUTE = """
    idempotency: {key: "header('Idempotency-Key')", required: true}
    order_by: body.applicant.phone
    steps:
      - decode: json
      - map:
          Appeal:
            Id: message.id
            Urgent: false
            Applicant: {Name: body.applicant.name, Phone: body.applicant.phone}
            Text: body.text
"""


def phone(number: int) -> str:
    """Whose appeals are kept in order."""
    return f"+38067{number:07}"


@dataclass(frozen=True)
class Plan:
    """What the configuration of a story says beside the usual."""

    scheme: str = "http"
    hosts: Mapping[str, str] = field(default_factory=dict)
    """of partners that are not at 127.0.0.1"""
    connection: str = "breaker: false"
    """further keys of each connection, as YAML"""
    route: str = ""
    """further keys of each route, as lines of YAML"""
    environment: Mapping[str, str] = field(default_factory=dict)
    """of the gateway's process"""


def config(names: Iterable[str], plan: Plan) -> str:
    """A route and a connection for each name."""
    connections, routes = [], []
    for name in names:
        host = plan.hosts.get(name, "127.0.0.1")
        url = f"url: '{plan.scheme}://{host}:${{env:PORT_{name.upper()}}}/registry'"
        keys = "auth: {bearer: '${env:PIPE_REGISTRY_TOKEN}'}, reconnect: {first: 50ms, max: 300ms}"
        connections.append(f"  {name}: {{type: http_client, {url}, {keys}, {plan.connection}}}")
        source = f"    from: {{connection: partners, path: /{name}}}"
        target = f"    to: {{connection: {name}, post: /appeals, idempotent_by: message.id, steps: [{{encode: xml}}],"
        success = '      success: "status == `201`"}'
        routes += [f"  {name}_in:", source, *([plan.route] if plan.route else []), ROUTE.strip("\n"), target, success]
    return "\n".join([HEAD.rstrip(), *connections, "routes:", *routes, ""])


@dataclass
class Strait:
    """All parties of one story."""

    world: World
    front: FaultProxy
    """between the callers and the gateway"""
    back: Mapping[str, FaultProxy]
    """between the gateway and its register, by the connection's name"""
    callers: Mapping[str, Client]
    kept: Kept

    @property
    def rows(self) -> int:
        """How many appeals the register has, repetitions not counted."""
        return len(self.world.partners.stand_ins["registry"].rows)

    def codes(self, name: str) -> set[str]:
        """The codes of the attempts that failed at a connection."""
        query = "SELECT DISTINCT a.code FROM attempt a JOIN delivery d ON a.delivery = d.id WHERE d.station = ?"
        return {code for (code,) in self.kept.rows(query, name) if code is not None}

    def notes(self, name: str) -> set[str]:
        """What is written of the attempts that failed at a connection."""
        query = "SELECT DISTINCT a.note FROM attempt a JOIN delivery d ON a.delivery = d.id WHERE d.station = ?"
        return {note for (note,) in self.kept.rows(query, name) if note is not None}

    async def reason(self, name: str) -> str:
        """Why a connection is as it is; empty where it is well."""
        rows = await self.world.gateway.ask("connections")
        reason: str = next(row["reason"] for row in rows if row["connection"] == name)
        return reason

    async def delivered(self, *names: str, within: float = 30) -> None:
        """Waits until everything on the routes of these names is."""
        await soon(lambda: {state for name in names for state in self.states(name)} <= {"delivered"}, within)

    def states(self, name: str) -> list[str]:
        """The states of a route's deliveries, in their order."""
        return [state for state, _ in self.kept.deliveries(f"{name}_in")]

    async def restart(self) -> None:
        """Ends the gateway without warning, and starts it again."""
        await self.world.gateway.restart()
        self.lead()

    def lead(self) -> None:
        """The front leads to where the gateway listens now."""
        url = urlsplit(self.world.gateway.address)
        assert url.port is not None
        self.front.server = ("127.0.0.1", url.port)

    async def wrong(self) -> list[str]:
        """What the books say that is wrong; the register saw the appeals of all routes."""
        all_of = [await books(self.world.gateway, self.world.sent, route=f"{name}_in") for name in self.callers]
        found = await self.world.gateway.ask("search", limit=1_000_000)
        ends = [
            dataclasses.replace(end, target="registry")
            for name in self.back
            for end in final(found, f"{name}_in", name)
        ]
        one = dataclasses.replace(all_of[0], sent=sent(self.world.sent), final=ends, duplicates=MANY, route="")
        return check(one)


@asynccontextmanager
async def a_strait(folder: Path, names: Iterable[str], plan: Plan | None = None) -> AsyncIterator[Strait]:
    """A running gateway with a route, a connection and a proxy for each name."""
    names, plan = list(names), plan or Plan()
    file = folder / "strait.yaml"
    file.write_text(config(names, plan))
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(a_world(folder, file))
        port = world.partners.stand_ins["registry"].port
        back = {name: await stack.enter_async_context(FaultProxy(("127.0.0.1", port))) for name in names}
        ports = {f"PORT_{name.upper()}": str(proxy.port) for name, proxy in back.items()}
        world.gateway.environment |= {**ports, **plan.environment}
        front = await stack.enter_async_context(FaultProxy(("127.0.0.1", 9)))
        callers = {name: Client(world.sent, lambda: f"http://{front.address}", path=f"/pipe/{name}") for name in names}
        for caller in callers.values():
            stack.push_async_callback(caller.close)
        made = Strait(world, front, back, callers, Kept(world.gateway))
        await world.gateway.start()
        made.lead()
        yield made
