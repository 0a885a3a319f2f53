"""One look at the gateway: what each rule finds."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from monitoring.alerts.book import Alert, Finding
from pipe import saying
from pipe.config.alerts import Alerts, RuleName
from pipe.connection import Connection as Connected
from pipe.contract import Health, Troubled
from pipe.engine import Engine
from pipe.events import Event, Turned
from pipe.operations import auditing, ledger
from pipe.operations.host import Host
from pipe.operations.ledger import counters_of, oldest_of, unknown_of
from pipe.redact import mask
from pipe.store.schema import DEAD, EXPIRED

GATEWAY = "gateway"
"""the subject of what concerns no connection and no route"""
_MOST_BREAKS = 100
"""moments that are remembered for a connection"""


class Looker:
    """Remembers between looks what a single one cannot see: how often a connection broke, and the last long checks."""

    def __init__(
        self, engine: Engine, host: Callable[[], Host], drift: Callable[[], Mapping[str, tuple[str, str]]] = dict
    ) -> None:
        """`host` makes what operations work on; `drift` says in both languages what has changed of a connection."""
        self._engine, self._host, self._drift = engine, host, drift
        self._breaks: dict[str, deque[float]] = {}
        self._began = engine.clock.now()
        self._checked: dict[str, tuple[float, Finding | None]] = {}
        engine.events.subscribe(self.saw)

    def saw(self, event: Event) -> None:
        """Notes when a connection breaks."""
        if isinstance(event, Turned) and event.state == "down":
            self._breaks.setdefault(event.connection, deque(maxlen=_MOST_BREAKS)).append(self._engine.clock.monotonic())

    async def look(self, rules: Alerts, open_: Mapping[tuple[str, str], Alert]) -> list[Finding]:
        """All that is not well; `open_` is what was not well before. Raises StoreError where the store is not read."""
        engine, now = self._engine, self._engine.clock.now()
        waiting = await engine.store.read(lambda connection: _waiting(connection, now))
        found = [*self._connections(rules, now, open_), *self._routes(rules, waiting), *self._gateway(rules)]
        found += [Finding("drift", name, text, text_uk) for name, (text, text_uk) in self._drift().items()]
        for name, check in (("books", self._books), ("audit", self._audit)):
            found += await self._long(name, check, rules, now)  # type: ignore[arg-type]
        return found

    def _connections(self, rules: Alerts, now: float, open_: Mapping[tuple[str, str], Alert]) -> Iterator[Finding]:
        at_present = self._engine.clock.monotonic()  # a wall clock that steps breaks no connection
        for name, connection in self._engine.connections.items():
            health = condition(connection)
            state, reason = health.state, mask(health.reason, ())
            because = saying.because(health.code, reason, "uk")
            before = open_.get(("connection_down", name))
            if connection.state == "unknown" and before is not None:  # after a restart nobody has tried it yet
                yield Finding("connection_down", name, before.text, before.text_uk)
            if state == "down":
                yield Finding("connection_down", name, f"{name} is down: {reason}", f"{name} не працює: {because}")
            elif state == "degraded":
                text = f"{name} works badly: {reason}"
                yield Finding("connection_degraded", name, text, f"{name} працює погано: {because}")
            flapping = rules.rule("connection_flapping")
            if flapping is not None:
                since = at_present - (flapping.age or 0)
                breaks = sum(at > since for at in self._breaks.get(name, ()))
                if breaks > (flapping.over or 0):
                    text = f"{name} broke {breaks} times within {_minutes(flapping.age)} min"
                    uk = f"{name}: зв’язок уривався {breaks} р. за {_minutes(flapping.age)} хв"
                    yield Finding("connection_flapping", name, text, uk)
            certificate, first = rules.rule("certificate"), next(iter(connection.certificates()), None)
            if certificate is not None and first is not None and first.ends - now < (certificate.age or 0):
                whose, whose_uk = ("its partner's", "партнера") if first.whose == "partner" else ("our", "наш")
                text = f"{name}: {whose} certificate for {first.name} ends in {first.days} days"
                uk = f"{name}: сертифікат ({whose_uk}) {first.name} чинний ще {first.days} дн."
                yield Finding("certificate", name, text, uk)

    def _routes(self, rules: Alerts, waiting: dict[str, dict[str, Any]]) -> Iterator[Finding]:
        for route, seen in waiting.items():
            dead, age, unknown = rules.rule("dead_letters"), rules.rule("queue_age"), rules.rule("uncertain")
            if dead is not None and seen["dead"] > (dead.over or 0):
                text = f"{route} has {seen['dead']} dead letters: `pipe dead list --route {route}`"
                yield Finding("dead_letters", route, text, f"{route}: мертвих листів {seen['dead']}")
            if age is not None and seen["oldest"] > (age.age or 0) and not held(self._engine, route):
                text = f"{route}: the oldest delivery has waited for {_minutes(seen['oldest'])} min"
                uk = f"{route}: найстарша доставка чекає {_minutes(seen['oldest'])} хв"
                yield Finding("queue_age", route, text, uk)
            if unknown is not None and seen["uncertain"] > (unknown.over or 0):
                text = f"{route}: of {seen['uncertain']} sent, nobody knows whether they arrived: `pipe resolve`"
                uk = f"{route}: про {seen['uncertain']} надісланих невідомо, чи дійшли"
                yield Finding("uncertain", route, text, uk)

    def _gateway(self, rules: Alerts) -> Iterator[Finding]:
        engine = self._engine
        if engine.room.disk_low is not None:
            free = engine.room.disk_low >> 20
            text = f"the disk has {free} MiB left: nothing is accepted, deliveries go on"
            yield Finding("disk", GATEWAY, text, f"на диску лишилося {free} МіБ: нове не приймається, доставка триває")
        if engine.clock.now() < engine.scheduler.suspended_until:
            text = "the wall clock stepped: nothing expires and nothing is pruned for ten minutes"
            uk = "годинник перескочив: десять хвилин ніщо не прострочується й не видаляється"
            yield Finding("clock_step", GATEWAY, text, uk)

    async def _long(
        self, name: RuleName, check: Callable[[], Awaitable[Finding | None]], rules: Alerts, now: float
    ) -> list[Finding]:
        """A check that passes all rows: made once in a while, its answer holds until the next."""
        rule = rules.rule(name)
        if rule is None:
            return []
        at, finding = self._checked.get(name, (self._began, None))
        if now - at >= (rule.age or 0):
            finding = await check()
            self._checked[name] = now, finding
        return [] if finding is None else [finding]

    async def _books(self) -> Finding | None:
        wrong = (await ledger.verify(self._host(), chain=False))["wrong"]  # the audit has its own rule
        if not wrong:
            return None
        uk = f"облік не сходиться: pipe ledger verify покаже, де ({wrong[0]})"
        return Finding("books", GATEWAY, f"the books are wrong: {wrong[0]}", uk)

    async def _audit(self) -> Finding | None:
        found = (await auditing.verify(self._host()))["findings"]
        if not found:
            return None
        text = found[0]["text"]
        uk = f"журнал дій змінено: pipe audit verify покаже, де ({text})"
        return Finding("audit", GATEWAY, f"the audit was altered: {text}", uk)


def condition(connection: Connected) -> Health:
    """A connection's state and why; troubles that its adapter knows of make an `up` degraded.

    A certificate that ends soon does not: it has a rule of its own, and weeks.
    """
    if connection.state == "up" and isinstance(connection.adapter, Troubled):
        troubles = connection.adapter.troubles()
        if troubles:
            return Health("degraded", "; ".join(troubles), "troubles")
    return Health(connection.state, connection.reason, connection.code or "")


def held(engine: Engine, route: str) -> bool:
    """Whether it is known why a route waits: a person paused it, or a connection is down, which is told itself."""
    made = engine.routes.get(route)
    if made is None or engine.is_paused(route):
        return True
    names = [target.config.connection for target in made.targets.values()]
    states = [engine.connections[name].state for name in names if name in engine.connections]
    return any(state in ("down", "paused") for state in states)


def _waiting(connection: Connection, now: float) -> dict[str, dict[str, Any]]:
    oldest, uncertain = oldest_of(connection, now), unknown_of(connection)
    return {
        route: {
            "dead": totals[DEAD] + totals[EXPIRED],
            "oldest": oldest.get(route, 0.0),
            "uncertain": uncertain.get(route, 0),
        }
        for route, totals in counters_of(connection).items()
    }


def _minutes(seconds: float | None) -> str:
    return f"{(seconds or 0) / 60:.0f}"
