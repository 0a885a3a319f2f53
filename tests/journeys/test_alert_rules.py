"""Each rule of alerts: the real fault, somebody hears of it, it is mended, and they hear of that. In one gateway."""

from __future__ import annotations

import json
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from pipe.app import Gateway, Settings
from pipe.clock import SystemClock
from pipe.config.alerts import RULES, RuleName
from pipe.operations import perform
from pipe.store import audit_guard
from tests.adapters.pki import Pki
from tests.adapters.raw_server import RawServer, hangs, reply, resets, says, serving
from tests.journeys.conftest import until
from tests.journeys.test_alerts import told

pytestmark = pytest.mark.journey
PATIENCE_S = 60.0
TEXT = """version: 1
connections:
  callers: {{type: http_server, auth: none}}
  duty: {{type: http_client, url: "http://127.0.0.1:{duty}"}}
  gone: {{type: http_client, url: "http://127.0.0.1:{gone}", {soon}}}
  comes: {{type: http_client, url: "http://127.0.0.1:{comes}", {soon}}}
  lapses: {{type: http_client, url: "https://127.0.0.1:{lapses}", tls: {{ca: "{ca}"}}, {soon}}}
  refuses: {{type: http_client, url: "http://127.0.0.1:{refuses}", breaker: false}}
  busy: {{type: http_client, url: "http://127.0.0.1:{busy}", breaker: false}}
  hangs: {{type: http_client, url: "http://127.0.0.1:{hangs}", breaker: false, timeout: {{read: 10m, total: 10m}}}}
  forgets: {{type: http_client, url: "http://127.0.0.1:{forgets}", breaker: false}}
  drifts:
    type: http_client
    url: "http://127.0.0.1:{drifts}"
    drift: {{every: 100ms, openapi: {{get: /openapi.json}}}}
defaults: {{retry: {{first: 200ms}}}}
limits: {{disk_floor: {floor}}}
alerts:
  every: 100ms
  group: 1ms
  clear: 1s
  rules:
    connection_down: {{for: 300ms}}
    connection_degraded: {{for: 300ms}}
    connection_flapping: {{over: 1, age: 20s}}
    queue_age: {{age: 1s}}
    uncertain: {{for: 100ms}}
    books: {{age: 500ms}}
    audit: {{age: 500ms}}
routes:
  refused: {{from: {{connection: callers, path: /refused}}, to: {{connection: refuses, post: /x}}}}
  awaited: {{from: {{connection: callers, path: /awaited}}, to: {{connection: busy, post: /x, idempotent: true}}}}
  hung: {{from: {{connection: callers, path: /hung}}, to: {{connection: hangs, post: /x, idempotent: true}}}}
  forgotten: {{from: {{connection: callers, path: /forgotten}}, to: {{connection: forgets, post: /x}}}}
  drifting:
    from: {{connection: callers, path: "/persons/{{id}}", methods: [GET]}}
    reply: {{mode: sync, steps: [{{map: {{name: body.name}}}}]}}
    to: {{connection: drifts, get: "/persons/${{params.id}}"}}
  told: {{from: {{alerts: info}}, to: {{connection: duty, post: /duty, idempotent: true}}}}
"""
SOON = "probe: {get: /ping, every: 100ms}, reconnect: {first: 100ms, max: 100ms}, timeout: {connect: 5s}"


class Time(SystemClock):
    """The machine's clock, whose wall may step, and which may be made to pass faster."""

    wall = passed = 0.0

    def now(self) -> float:
        """Wall clock."""
        return SystemClock.now() + self.wall + self.passed

    def monotonic(self) -> float:
        """Never steps."""
        return SystemClock.monotonic() + self.passed


@dataclass
class Ward:
    """A gateway, its partners, and what the duty was told."""

    gateway: Gateway
    clock: Time
    pki: Pki
    config: Path
    ports: dict[str, int]
    duty: RawServer
    partners: dict[str, RawServer]
    open: dict[str, AsyncExitStack] = field(default_factory=dict)

    async def begins(self, name: str, tls: ssl.SSLContext | None = None) -> None:
        """A partner is there, on its port."""
        stack = self.open[name] = AsyncExitStack()
        server = self.partners.setdefault(name, RawServer())
        await stack.enter_async_context(serving(server, tls, self.ports.get(name, 0)))
        self.ports[name] = server.port

    async def ends(self, name: str) -> None:
        """It is no longer there."""
        await self.open.pop(name).aclose()

    async def turns(self, name: str, state: str) -> None:
        """The gateway has seen it."""
        await self.sees(lambda: self.gateway.engine.connections[name].state == state)

    async def sees(self, happened: Callable[[], bool]) -> None:
        """Waits for it."""

        async def asked() -> bool:
            return happened()

        await until(asked, PATIENCE_S)

    async def hand_in(self, path: str) -> str:
        """A message of somebody."""
        address = self.gateway.addresses()["default"]
        async with aiohttp.ClientSession() as client, client.post(f"{address}/pipe{path}", data=b"x") as answer:
            return str((await answer.json())["id"])

    async def do(self, operation: str, **arguments: object) -> None:
        """A person's act."""
        await perform(self.gateway._host("olena", lambda done, all_, word: None), operation, arguments)

    async def configured(self, floor: str) -> None:
        """Another configuration is in force."""
        write(self, floor)
        await self.gateway.apply(self.gateway.read_configuration(), "olena")

    def sql(self, *statements: str) -> None:
        """Somebody has the database file in his hands."""
        with closing(sqlite3.connect(self.gateway.store.data / "pipe.db", timeout=30, isolation_level=None)) as raw:
            for statement in statements:
                raw.execute(statement)

    def heard(self, rule: RuleName, state: str) -> bool:
        """Whether the duty heard of a rule that fires, or is over."""
        return any(
            each["rule"] == rule and each["state"] == state for body in told(self.duty) for each in body["alerts"]
        )


def write(ward: Ward, floor: str) -> None:
    """The configuration as a file."""
    text = TEXT.format(**ward.ports, ca=ward.pki.ca_file, floor=floor, soon=SOON)
    ward.config.write_text(text, encoding="utf-8")


Act = Callable[[Ward], Awaitable[None]]
ALTERED = "UPDATE audit SET actor = actor || '?' WHERE seq = 1"
RESTORED = "UPDATE audit SET actor = rtrim(actor, '?') WHERE seq = 1"


async def breaks_twice(ward: Ward) -> None:
    """Twice within a moment."""
    for _ in range(2):
        await ward.ends("comes")
        await ward.turns("comes", "down")
        await ward.begins("comes")
        await ward.turns("comes", "up")


async def twenty_seconds_pass(ward: Ward) -> None:
    """Without a break."""
    ward.clock.passed += 30


async def new_certificate(ward: Ward) -> None:
    """The partner has one that is good for a year."""
    await ward.ends("lapses")
    await ward.begins("lapses", tls=ward.pki.server("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=365)))


async def nothing(ward: Ward) -> None:
    """It is so already."""


async def discards(ward: Ward) -> None:
    """Somebody looked at the dead letter."""
    await ward.do("dead.discard", which={"route": "refused"}, reason="sent by hand")


async def answers(ward: Ward) -> None:
    """The partner has woken up, for this attempt and for all others."""
    ward.partners["hangs"].behaviours["*"] = says(reply(200))
    await ward.ends("hangs")
    await ward.begins("hangs")


async def recovers(ward: Ward) -> None:
    """The partner does what it is asked."""
    ward.partners["busy"].behaviours["*"] = says(reply(200))


async def is_resolved(ward: Ward) -> None:
    """Somebody asked the partner."""
    [row] = await perform(ward.gateway._host("o", lambda *_: None), "search", {"state": "uncertain"})
    await ward.do("resolve", id=row["id"], decision="delivered", reason="the partner has it")


def described(*fields: str) -> bytes:
    """An answer with an OpenAPI document; a person has these fields."""
    person = {"type": "object", "required": [*fields], "properties": {name: {"type": "string"} for name in fields}}
    answer = {"200": {"content": {"application/json": {"schema": person}}}}
    document = {"openapi": "3.1.0", "paths": {"/persons/{id}": {"get": {"responses": answer}}}}
    return reply(200, json.dumps(document).encode(), Content_Type="application/json")


async def changes_its_document(ward: Ward) -> None:
    """A field that a mapping reads is called otherwise."""
    await ward.sees(lambda: len(ward.partners["drifts"].requests) > 0)  # what it was is known
    ward.partners["drifts"].behaviours["*"] = says(described("full_name"))


async def is_as_it_was(ward: Ward) -> None:
    """The partner took it back, once the duty was told which step reads the field, in both languages."""
    texts = [each for body in told(ward.duty) for each in body["alerts"] if each["rule"] == "drift"]
    assert all("`body.name` is gone" in each["text"] for each in texts)
    assert all("routes.drifting.reply.steps[0] map (c.yaml:" in each["text_uk"] for each in texts)
    ward.partners["drifts"].behaviours["*"] = says(described("name"))


async def altered_audit(ward: Ward) -> None:
    """By somebody who owns the database, and knows how to remove what refuses that."""
    ward.sql(*audit_guard.removal("sqlite"), ALTERED)


async def ten_minutes_pass(ward: Ward) -> None:
    """Without another step."""
    ward.clock.passed += 700


def step_clock(ward: Ward) -> None:
    """By an hour; the next deadline makes the gateway look."""
    ward.clock.wall += 3600


def of(*acts: Callable[[Ward], object]) -> Act:
    """Several things after another."""

    async def act(ward: Ward) -> None:
        for each in acts:
            done = each(ward)
            if isinstance(done, Awaitable):
                await done

    return act


FAULTS: dict[RuleName, tuple[Act, Act]] = {
    "connection_down": (of(lambda ward: ward.ends("gone")), of(lambda ward: ward.begins("gone"))),
    "connection_degraded": (of(lambda ward: ward.hand_in("/awaited")), recovers),
    "certificate": (nothing, new_certificate),
    "drift": (changes_its_document, is_as_it_was),
    "connection_flapping": (breaks_twice, twenty_seconds_pass),
    "dead_letters": (of(lambda ward: ward.hand_in("/refused")), discards),
    "queue_age": (of(lambda ward: ward.hand_in("/hung")), answers),
    "uncertain": (of(lambda ward: ward.hand_in("/forgotten")), is_resolved),
    "books": (
        of(lambda ward: ward.sql("UPDATE ledger SET n = n + 1 WHERE name = 'accepted' AND route = 'refused'")),
        of(lambda ward: ward.sql("UPDATE ledger SET n = n - 1 WHERE name = 'accepted' AND route = 'refused'")),
    ),
    "audit": (
        altered_audit,
        of(lambda ward: ward.sql(RESTORED, *audit_guard.statements("sqlite"))),
    ),
    "disk": (of(lambda ward: ward.configured("900TiB")), of(lambda ward: ward.configured("1B"))),
    "clock_step": (of(step_clock), ten_minutes_pass),
}
"""how each fault is made, and mended"""


def test_no_rule_is_without_a_fault() -> None:
    """Whoever adds a rule shows what it hears, and that it is over again."""
    assert FAULTS.keys() == RULES.keys()


@asynccontextmanager
async def a_ward(folder: Path) -> AsyncIterator[Ward]:
    """All is well, but for a certificate that ends in five days."""
    clock = Time()
    async with serving(RawServer()) as duty:
        gateway = Gateway(Settings(folder / "c.yaml", folder / "data", "127.0.0.1:0"), clock)
        ward = Ward(gateway, clock, Pki(folder), folder / "c.yaml", {"duty": duty.port}, duty, {})
        soon = ward.pki.server("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=5))
        behaviours = {
            "refuses": says(reply(400)),
            "busy": says(reply(429, Retry_After="2")),
            "hangs": hangs,
            "forgets": resets(),
            "drifts": says(described("name")),
        }
        for name in ("gone", "comes", "lapses", "refuses", "busy", "hangs", "forgets", "drifts"):
            ward.partners[name] = RawServer({"*": behaviours.get(name, says(reply(200)))})
            await ward.begins(name, tls=soon if name == "lapses" else None)
        write(ward, "1B")
        await gateway.start()
        try:
            yield ward
        finally:
            await gateway.stop()
            for open_ in ward.open.values():
                await open_.aclose()


async def test_every_rule_hears_its_fault_and_its_end(tmp_path: Path) -> None:
    """Somebody is told of each, and of the all-clear of each."""
    async with a_ward(tmp_path) as ward:
        for name in ("gone", "comes"):
            await ward.turns(name, "up")
        for make, _ in FAULTS.values():
            await make(ward)
        await _all(ward, "firing")
        for rule, (_, mend) in FAULTS.items():
            assert not ward.heard(rule, "over"), f"{rule} was over before it was mended"
            await mend(ward)
        await _all(ward, "over")


async def _all(ward: Ward, state: str) -> None:
    """Waits until each rule was heard so; says which were not."""
    try:
        await ward.sees(lambda: all(ward.heard(rule, state) for rule in FAULTS))
    except AssertionError:
        missing = [rule for rule in FAULTS if not ward.heard(rule, state)]
        raise AssertionError(f"nobody heard that these are {state}: {missing}") from None
