"""`/metrics` for Prometheus: counts what the engine tells, and looks at what waits when it is asked.

Labels come from the configuration or from closed lists, never from messages, so the number of series is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import get_args

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from monitoring.alerts.book import Alert
from monitoring.alerts.looking import condition, held
from monitoring.counts import Count, Counts, Spread, Spreads
from monitoring.store_metrics import StoreWork
from pipe.config.alerts import RULES
from pipe.contract import State
from pipe.engine import Engine
from pipe.errors import Denied
from pipe.events import Arrived, Attempted, Event
from pipe.operations.ledger import counters_of, oldest_of, unknown_of
from pipe.store.schema import DEAD, DISCARDED, EXPIRED, RETRY, UNCERTAIN

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_OUTCOMES = {DEAD: "error", EXPIRED: "error", DISCARDED: "filtered", RETRY: "retry", UNCERTAIN: "uncertain"}
STATES: tuple[State, ...] = get_args(State)
_ARRIVALS = {"accepted": "ok", "replayed": "duplicate", "refused": "error"}


Admit = Callable[[web.Request], Awaitable[object]]


async def nobody(_: web.Request) -> None:
    """Raises Denied."""
    raise Denied("metrics are served on loopback, to callers with a certificate, or by key: `metrics: {api_keys: …}`")


class Metrics:
    """One gateway's numbers, in a registry of its own."""

    def __init__(
        self,
        engine: Engine,
        *,
        open_to_all: bool,
        admit: Admit = nobody,
        alerts: Callable[[], Iterable[Alert]] = tuple,
        drift: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        """`open_to_all`: whether only this machine, or callers with a certificate, reach the listener.

        Where others do, `admit` decides. `alerts` are those that are not over, `drift` the changes by connection.
        """
        self._engine = engine
        self._open, self._admit = open_to_all, admit
        self.registry = CollectorRegistry()
        self._arrivals: dict[tuple[str, str], tuple[Count, Spread]] = {}
        self._attempts: dict[tuple[str, str | None, str], tuple[tuple[Count, ...], tuple[Spread, ...]]] = {}
        self._counters()
        self._waiting = Waiting(engine, alerts, drift)
        self.registry.register(self._waiting)
        self.registry.register(StoreWork(engine.store))
        engine.events.subscribe(self.saw)

    def _counters(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counts:
            counts = Counts(name, text, labels)
            self.registry.register(counts)
            return counts

        def histogram(name: str, text: str, *labels: str) -> Spreads:
            spreads = Spreads(name, text, labels)
            self.registry.register(spreads)
            return spreads

        self._messages = counter(
            "gw_messages_total", "Messages by route and what came of them.", "pipe", "direction", "outcome"
        )
        self._retries = counter("gw_retries_total", "Attempts that are tried again, by error code.", "pipe", "reason")
        self._dead = counter("gw_dead_letters_total", "Dead letters, by error code.", "pipe", "reason")
        self._refused = counter("gw_refused_total", "Messages refused at the door, by error code.", "pipe", "reason")
        self._requests = counter("gw_external_requests_total", "Attempts at partners.", "connection", "outcome")
        self._turns = counter("gw_connection_events_total", "Changes of a connection's state.", "connection", "event")
        self._process = histogram("gw_process_duration_seconds", "Time of one stage.", "pipe", "stage")
        self._external = histogram("gw_external_request_seconds", "Time of one attempt.", "connection")

    async def serve(self, request: web.Request) -> web.Response:
        """All of it as text. Raises Denied or NoCredentials on a listener that others reach."""
        if not self._open:
            await self._admit(request)
        for connection in self._engine.connections:
            for state in STATES:  # what begins at one was never seen to grow
                self._turns.of(connection, state)
        await self._waiting.look()
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE})

    def saw(self, event: Event) -> None:
        """Takes one event up."""
        if isinstance(event, Attempted):
            self._attempted(event)
        elif isinstance(event, Arrived):
            self._arrived(event)
        else:
            self._turns.of(event.connection, event.state).value += 1

    def _arrived(self, event: Arrived) -> None:
        route, outcome, code, seconds = event[:4]
        series = self._arrivals.get((route, outcome))
        if series is None:
            messages = self._messages.of(route, "in", _ARRIVALS.get(outcome, "other"))
            series = self._arrivals[route, outcome] = (messages, self._process.of(route, "receive"))
        count, spread = series
        count.value += 1
        spread.add(seconds)
        if outcome == "refused":
            self._refused.of(route, code or "other").value += 1

    def _attempted(self, event: Attempted) -> None:
        at = (event.route, event.connection, event.outcome)
        series = self._attempts.get(at)
        if series is None:
            series = self._attempts[at] = self._of_attempts(*at)
        for count in series[0]:
            count.value += 1
        for spread in series[1]:
            spread.add(event.seconds)
        if event.outcome == RETRY:
            self._retries.of(event.route, event.code or "other").value += 1
        elif event.outcome == DEAD:
            self._dead.of(event.route, event.code or "other").value += 1

    def _of_attempts(
        self, route: str, connection: str | None, outcome: str
    ) -> tuple[tuple[Count, ...], tuple[Spread, ...]]:
        """The series that attempts of this kind count in. Kept: they are the same for nearly all messages."""
        label = _OUTCOMES.get(outcome, "ok")
        messages = self._messages.of(route, "out", label)
        if connection is None:
            return (messages,), (self._process.of(route, "flow"),)
        times = self._process.of(route, "send"), self._external.of(connection)
        return (messages, self._requests.of(connection, label)), times


class Waiting(Collector):
    """What is read when Prometheus asks: queues, connections, the store, the disk."""

    def __init__(
        self, engine: Engine, alerts: Callable[[], Iterable[Alert]], drift: Callable[[], Mapping[str, int]]
    ) -> None:
        self._engine, self._alerts, self._drift = engine, alerts, drift
        self._totals: dict[str, dict[str, int]] = {}
        self._oldest: dict[str, float] = {}
        self._unknown: dict[str, int] = {}

    async def look(self) -> None:
        """Reads what only the store knows."""
        now = self._engine.clock.now()
        self._totals, self._oldest, self._unknown = await self._engine.store.read(
            lambda c: (counters_of(c), oldest_of(c, now), unknown_of(c))
        )

    def collect(self) -> Iterator[Metric]:
        """The gauges of this moment."""
        engine, store = self._engine, self._engine.store
        yield _gauge("gw_build_info", "Version.", ("version",), [((_version(),), 1)])
        loads = [((route,), engine.room.load(route)) for route in sorted(engine.routes)]
        yield _gauge("gw_queue_depth", "Pending deliveries.", ("queue",), [(at, load.messages) for at, load in loads])
        yield _gauge("gw_queue_bytes", "Bytes of their bodies.", ("queue",), [(at, load.bytes) for at, load in loads])
        letters = {route: totals[DEAD] + totals[EXPIRED] for route, totals in self._totals.items()}
        dead = [((route,), letters.get(route, 0)) for route in sorted(engine.routes)]
        yield _gauge("gw_dead_letters", "Dead letters that wait for a person.", ("pipe",), dead)
        ages = [((route,), self._oldest.get(route, 0.0)) for route in sorted(engine.routes)]
        yield _gauge("gw_queue_oldest_age_seconds", "Age of the oldest pending delivery.", ("queue",), ages)
        unknown = [((route,), self._unknown.get(route, 0)) for route in sorted(engine.routes)]
        yield _gauge("gw_uncertain", "Sent, and nobody knows whether they arrived.", ("pipe",), unknown)
        known = [((route,), int(held(engine, route))) for route in sorted(engine.routes)]
        yield _gauge(
            "gw_queue_held", "1 where it is paused, or a connection of it is down or paused.", ("queue",), known
        )
        connections = [(name, engine.connections[name]) for name in sorted(engine.connections)]
        up = [((name, connection.config.type), int(connection.state == "up")) for name, connection in connections]
        yield _gauge("gw_connection_up", "1 where it works.", ("connection", "kind"), up)
        states = [
            ((name, connection.config.type, state), int(now == state))
            for name, connection in connections
            for now in (condition(connection).state,)
            for state in STATES
        ]
        yield _gauge("gw_connection_state", "1 for the state it is in.", ("connection", "kind", "state"), states)
        days = [
            ((name, certificate.whose), certificate.days)
            for name, connection in connections
            for certificate in {each.whose: each for each in reversed(connection.certificates())}.values()
        ]
        yield _gauge(
            "gw_certificate_days", "Days until the certificate ends that ends first.", ("connection", "whose"), days
        )
        changes = [((name,), n) for name, n in sorted(self._drift().items())]
        yield _gauge("gw_drift", "Changes of what a partner gives that may break a mapping.", ("connection",), changes)
        yield _gauge("gw_inflight", "Tasks that work now.", (), [((), engine.at_work)])
        yield _gauge("gw_disk_free_bytes", "Free where the data folder lies.", (), [((), store.free_bytes())])
        low = int(engine.room.disk_low is not None)
        yield _gauge("gw_disk_low", "1 where it is below its floor, and nothing is accepted.", (), [((), low)])
        stepped = int(engine.clock.now() < engine.scheduler.suspended_until)
        yield _gauge("gw_clock_stepped", "1 for ten minutes after the wall clock stepped.", (), [((), stepped)])
        firing = Counter(alert.rule for alert in self._alerts() if alert.state == "firing")
        rules = [((rule,), firing[rule]) for rule in RULES]
        yield _gauge("gw_alerts", "Alerts of the gateway's own that fire, by rule.", ("rule",), rules)


def _gauge(name: str, text: str, labels: tuple[str, ...], values: Sequence[tuple[tuple[str, ...], float]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for at, value in values:
        family.add_metric(at, value)
    return family


def _version() -> str:
    try:
        return version("pipe-gateway")
    except PackageNotFoundError:
        return "checkout"
