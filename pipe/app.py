"""The composition root: the only module that imports adapters, flows, monitoring and web."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from aiohttp import web
from loguru import logger
from pydantic import TypeAdapter, ValidationError
from yarl import URL

import flows
from adapters import ADAPTERS, http_keys
from adapters.http_auth import Authenticator, Method
from adapters.http_network import Networks
from adapters.soap.fetching import Fetcher, Pinned, Way, pin, way_of
from adapters.telegram.config import TelegramConfig
from flows.access import companies, standard
from flows.otp import wiring
from monitoring import alerts, drift, events, history
from monitoring.alerts.prometheus import rule_file
from monitoring.health import Health
from monitoring.metrics import Metrics, nobody
from monitoring.pulse import Pulse
from monitoring.traces import Traces
from partners import tell as tell_partner
from partners.derived import without
from partners.running import run as run_stand_ins
from pipe import blocking
from pipe.applying import Applying, Orphans, Plan
from pipe.beside import StandIns
from pipe.checkpointing import Checkpointing
from pipe.clock import Clock, SystemClock
from pipe.config.checked import check
from pipe.config.findings import ConfigInvalid
from pipe.config.loader import load
from pipe.config.models import Configuration, MetricsAccess
from pipe.config.redirecting import Redirects
from pipe.contract import Adapter, Blob, Message, Services, Timeout
from pipe.control import ControlServer, is_running
from pipe.engine import Catalogue, Engine
from pipe.erasing import Erasing
from pipe.errors import ConfigError, PipeError, StoreLocked, StoreUnavailable
from pipe.indexing import Indexing
from pipe.lasting import ended, lasting
from pipe.memory import settle
from pipe.operations import Host, Progress
from pipe.store import restore, revisions
from pipe.store.migrations import Migration
from pipe.store.secret_store import SecretStore
from pipe.store.store import Store
from transformers import TRANSFORMERS, json_format
from web.lent import Lent
from web.listener import Listeners, is_loopback
from web.openapi import Api
from web.pages import works_tables
from web.pages.bots import Bot
from web.reading import only_read
from web.staff import Staff

__all__ = [
    "Gateway", "Offline", "Settings", "catalogue", "pin_wsdl", "read_configuration", "rule_file", "run_partners",
    "tables", "tell_partner",
]  # fmt: skip

ADDRESSES = "addresses.json"
LISTEN = "127.0.0.1:8080"
"""where the gateway listens unless it is told otherwise"""
FOLDER_PATIENCE_S = 10.0


def catalogue() -> Catalogue:
    """Everything that is built in, and what other packages add by the entry-point group `pipe.adapters`."""
    outside = tuple(point.load() for point in entry_points(group="pipe.adapters"))
    adapters: dict[str, type[Adapter]] = {
        kind.Config.model_fields["type"].default: kind for kind in (*ADAPTERS, *outside)
    }
    steps = {step.name: step for flow in flows.FLOWS for step in flow.steps}
    return Catalogue(adapters, {step.name: step for step in TRANSFORMERS}, steps, as_bytes)


def tables() -> tuple[tuple[str, Sequence[Migration]], ...]:
    """The migrations of what has tables of its own: monitoring, pages, and flows."""
    watching = (
        ("monitoring", alerts.MIGRATIONS), ("history", history.MIGRATIONS), ("events", events.MIGRATIONS),
        ("drift", drift.MIGRATIONS), ("web", works_tables.MIGRATIONS),
    )  # fmt: skip
    return *watching, *((flow.name, flow.migrations) for flow in flows.FLOWS)


def subjects() -> tuple[tuple[str, str], ...]:
    """The tables and columns of flows that name messages, for `pipe erase`."""
    return tuple(place for flow in flows.FLOWS for place in flow.subjects)


def read_configuration(
    path: Path,
    known: Catalogue,
    files: Mapping[str, str] | None = None,
    secrets: SecretStore | None = None,
    redirects: Redirects | None = None,
) -> Configuration:
    """The configuration at `path`, or as `files` keep it. Raises ConfigInvalid with every mistake."""
    return load(
        path,
        adapters=known.adapters,
        transformers=known.transformers,
        flows=known.flows,
        files=files,
        secrets=secrets.get if secrets is not None else None,
        redirects=redirects,
    )


async def run_partners(config: Path, data: Path, port_base: int, *, written: bool, with_parent: bool) -> None:
    """Stand-ins of the partners of a configuration, until Ctrl-C; where none is `written`, those made by hand.

    Raises ConfigInvalid, OSError where a port is taken.
    """
    known = catalogue()

    def read() -> Configuration | None:
        try:
            return read_configuration(config, known)
        except ConfigInvalid:
            if with_parent:
                return None  # the gateway that waits for them reads it too, and tells every mistake
            raise

    await run_stand_ins(data, port_base, with_parent=with_parent, read=read if written else None)


async def pin_wsdl(
    config: Path, url: str, file: Path, *, connection: str | None, allow: Sequence[str], networks: Sequence[str]
) -> list[Pinned]:
    """Fetches a WSDL with its imports and pins it: see `adapters.soap.fetching`.

    It goes where the connection may go, and as it; without one, to the host of `url` and to those of `allow`.
    """
    hosts = [*allow, *([] if connection else [URL(url).host or ""])]
    try:
        way = Way(hosts, TypeAdapter(list[Networks]).validate_python(list(networks)), home="" if connection else url)
    except ValidationError as error:
        raise ConfigError("`--network` is a network such as 10.20.0.0/16") from error
    if connection is not None:
        way = _way_of(read_configuration(config, catalogue()), connection, way)
    fetcher = Fetcher(way, SystemClock(), Timeout())
    try:
        return await pin(url, file, fetcher)
    finally:
        await fetcher.close()


def _way_of(configuration: Configuration, connection: str, more: Way) -> Way:
    spec = configuration.connections.get(connection)
    settings: Any = spec.config if spec is not None else None
    if spec is None or spec.type not in {"http_client", "soap_client"}:
        raise ConfigError(f"`{connection}` is no connection to an HTTP or SOAP partner")
    home = settings.address if spec.type == "soap_client" else settings.url
    way = way_of(settings, home, settings.auth if settings.auth != "none" else None)
    return replace(way, hosts=[*way.hosts, *more.hosts], networks=[*way.networks, *more.networks])


class Offline:
    """What commands find where no gateway runs: see `pipe.operations.host.World`."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.secrets = SecretStore()
        self.redirects: Redirects = {}
        self._catalogue: Catalogue | None = None

    def catalogue(self) -> Catalogue:
        """What is built in, put together when first asked for."""
        if self._catalogue is None:
            self._catalogue = catalogue()
        return self._catalogue

    def configuration(self) -> Configuration:
        """The configuration as it lies on disk."""
        return read_configuration(self.config, self.catalogue(), secrets=self.secrets, redirects=self.redirects)

    def revision(self, files: Mapping[str, str]) -> Configuration:
        """A configuration as it was stored."""
        # The first file is the one that `include:` starts from.
        first = self.config.parent / next(iter(files))
        return read_configuration(first, self.catalogue(), files, self.secrets, self.redirects)

    def subjects(self) -> Sequence[tuple[str, str]]:
        """What `pipe erase` deletes of flows: see `pipe.contract.Flow.subjects`."""
        return subjects()

    def migrations(self) -> Sequence[tuple[str, Sequence[Migration]]]:
        """The tables of flows."""
        return tables()

    def operations(self) -> Mapping[str, Callable[..., Awaitable[Any]]]:
        """What monitoring and flows can be asked."""
        return {
            **alerts.OPERATIONS,
            **drift.OPERATIONS,
            **events.OPERATIONS,
            **{name: each for flow in flows.FLOWS for name, each in flow.operations.items()},
        }

    async def secrets_changed(self) -> None:
        """Nobody uses them now."""

    def lent(self, configuration: Configuration, store: Store | None) -> Services:
        """What adapters may use that are made only to be asked: nothing listens."""
        address = os.environ.get("PIPE_LISTEN") or LISTEN
        listeners = Listeners(configuration.listeners, None if configuration.listeners else address)
        return Lent(SystemClock(), store, listeners, configuration.defaults.timeout)

    async def apply(self, configuration: Configuration, actor: str, orphans: Orphans = "refuse") -> Plan:
        """Raises ConfigError: there is nothing that could take it up."""
        raise ConfigError("no gateway runs on this folder: the next start takes up what is on disk")

    issue_key = staticmethod(http_keys.issue)
    revoke_key = staticmethod(http_keys.revoke)


class Online(Offline):
    """What commands find in a running gateway."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway.settings.config)
        self._gateway = gateway
        self._catalogue, self.secrets, self.redirects = gateway.catalogue, gateway.secrets, gateway.redirects

    def lent(self, configuration: Configuration, store: Store | None) -> Services:
        """What the gateway lends to all its adapters."""
        return self._gateway.lent

    async def secrets_changed(self) -> None:
        await self.secrets.load(self._gateway.store)

    async def apply(self, configuration: Configuration, actor: str, orphans: Orphans = "refuse") -> Plan:
        return await self._gateway.apply(configuration, actor, orphans)


def as_bytes(message: Message) -> Message:
    """Plain values become JSON, text becomes UTF-8; bytes stay as they are."""
    body = message.body
    if isinstance(body, (bytes, Blob)):
        return message
    if isinstance(body, str):
        return message.but(body=body.encode(), content_type=message.content_type or "text/plain; charset=utf-8")
    return message.but(body=json_format.encode(body), content_type=json_format.MEDIA_TYPE)


def _refuse_open(*addresses: str) -> None:
    """Stand-ins take keys that are published: nobody but this machine may reach a gateway that believes them."""
    for address in addresses:
        if not is_loopback(address):
            raise ConfigError(f"--partners is for loopback only, and the gateway listens on {address}")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `pipe run` was told."""

    config: Path
    data: Path
    listen: str = LISTEN
    store: str | None = None
    partners: bool = False
    """stand-ins of the partners beside it"""
    audit_copy: Path | None = None
    """a second file for the signed checkpoints of the audit"""


class Gateway:
    """One running gateway."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.settings, self.clock = settings, clock or SystemClock()
        self.catalogue = catalogue()
        self.store = Store(settings.data, url=settings.store, clock=self.clock)
        self.lent = Lent(self.clock, self.store)
        self.secrets = SecretStore()
        self.control = ControlServer(settings.data, self._host)
        self.engine: Engine
        self.staff: Staff
        self.pages_served = False
        self.applying: Applying
        self._reloading: asyncio.Task[None] | None = None
        self._beside: list[asyncio.Task[None]] = []
        """what goes on beside the traffic as long as the gateway runs"""
        self._metrics_keys: tuple[MetricsAccess, Authenticator] | None = None
        self.stand_ins = StandIns(settings.config, settings.data) if settings.partners else None
        self._checkpointing: asyncio.Task[None] | None = None
        self.checkpointing: Checkpointing | None = None
        self.alarms: alerts.Alarms | None = None
        self.event_log: events.EventLog
        self.drift: drift.Drift
        self._watchers: tuple[history.Recorder, Pulse, Traces, events.EventLog, drift.Drift] | tuple[()] = ()
        self.started_at = 0.0
        self._stopping = asyncio.Event()
        self._exit = 0

    def read_configuration(self) -> Configuration:
        """The configuration as it lies on disk. Raises ConfigInvalid with every mistake."""
        found = read_configuration(self.settings.config, self.catalogue, secrets=self.secrets, redirects=self.redirects)
        if self.stand_ins is not None and (real := without(found, self.stand_ins.covered)):
            logger.bind(action="partners", connections=real).warning("no stand-in is there for: {}", ", ".join(real))
        return found

    @property
    def redirects(self) -> Redirects:
        """Where connections lead instead, while stand-ins take the places of their partners."""
        return self.stand_ins.redirects if self.stand_ins is not None else {}

    async def start(self) -> None:
        """Everything up, in order: configuration, store, listeners, engine. Raises a PipeError saying what is wrong."""
        if self.stand_ins is not None:
            _refuse_open(self.settings.listen)
            # Stand-ins of a second gateway would take the socket of the first one's before the store refuses it.
            if await is_running(self.settings.data):
                raise StoreLocked(f"a gateway runs on the data folder {self.settings.data}")
            await self.stand_ins.start()
        configuration = check(self.read_configuration, self.catalogue.adapters).good()
        if self.stand_ins is not None:
            _refuse_open(*(listener.address for listener in configuration.listeners.values()))
        await self._open_store()
        self.store.start()
        await self.secrets.load(self.store)
        await self.store.write(lambda tx: revisions.keep(tx, configuration, "gateway"))
        if await self.store.write(lambda tx: restore.hold(tx, configuration)):
            logger.bind(action="restored").warning(
                "this is a restored copy: nothing is received or sent before `pipe resume`"
            )
        self.checkpointing = Checkpointing(self.store, self.clock, self.settings.audit_copy)
        await self.checkpointing.start()
        self._checkpointing = asyncio.create_task(
            lasting("checkpointing", self.checkpointing.run, self.clock), name="checkpointing"
        )
        await companies.seed(self.store, self.settings.config.parent / companies.FILE)
        await standard.seed(self.store)
        self.store.writer.on_failure = self._store_failed
        self.lent.default_timeout = configuration.defaults.timeout
        self.lent.listeners = Listeners(
            configuration.listeners, None if configuration.listeners else self.settings.listen
        )
        self.engine = Engine(self.store, self.clock, self.catalogue, self.lent)
        self.applying = Applying(self.engine)
        self.staff = Staff(
            self.store, self.clock, self.settings.data, lambda: self.engine.configuration.sign_in,
            act=self.engine.act, bots=self._bots, host=self._host, events=self.engine.events,
        )  # fmt: skip
        self.pages_served = self.staff.serve(self.lent.listeners, configuration.listeners, self.settings.listen)
        await self.staff.start(served=self.pages_served)
        self.drift = drift.Drift(self.engine)
        self._watch(self.lent.listeners)
        self.event_log = events.EventLog(self.engine)
        watchers = history.Recorder(self.engine), Pulse(self.engine), Traces(self.engine)
        self._watchers = *watchers, self.event_log, self.drift
        await self.engine.start(configuration)
        for watcher in self._watchers:
            await watcher.start()
        erasing = Erasing(self.store, lambda: self.engine.outcomes, subjects())
        await erasing.go_on()
        self._beside = [
            asyncio.create_task(lasting("erasing", erasing.run, self.clock), name="erasing"),
            asyncio.create_task(lasting("indexing", Indexing(self.engine).run, self.clock), name="indexing"),
        ]
        await self.lent.listeners.start()
        self.started_at = self.clock.now()
        host = partial(self._host, "alerts", lambda done, all_, word: None)
        self.alarms = alerts.Alarms(self.engine, host, self.event_log.alert, self.drift.texts, self.staff.site.duty)
        await self.alarms.start()
        await self.control.start()
        self._write_addresses()

    async def _open_store(self) -> None:
        """Opens it; a command that works on the folder just now is waited for, another gateway is not."""
        until = asyncio.get_running_loop().time() + FOLDER_PATIENCE_S
        while True:
            try:
                await self.store.open(tables())
                return
            except StoreLocked:
                if asyncio.get_running_loop().time() > until or await is_running(self.settings.data):
                    raise
                await asyncio.sleep(0.05)

    async def apply(self, configuration: Configuration, actor: str, orphans: Orphans = "refuse") -> Plan:
        """Takes up a configuration while running, whole or not at all: see `pipe.applying`."""
        before, self.lent.default_timeout = self.lent.default_timeout, configuration.defaults.timeout
        try:
            plan = await self.applying.apply(configuration, actor, orphans)
            self.event_log.note("configuration", configuration.revision, "applied", text=f"by {actor}")
            return plan
        except BaseException:
            self.lent.default_timeout = before
            raise

    def reload(self) -> None:
        """On SIGHUP: takes up what is on disk; where that cannot be, says why and goes on as before."""
        self._reloading = asyncio.create_task(self._reload(self._reloading), name="reload")

    async def _reload(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        try:
            await self.apply(self.read_configuration(), "SIGHUP")
        except Exception as error:  # boundary: whatever a new configuration does wrong, the old one works on
            found = getattr(error, "findings", ())
            logger.bind(action="configuration", findings=[str(finding) for finding in found]).error(
                "the configuration on disk was not taken up, the one before works on: {}", error
            )

    def _host(self, actor: str, progress: Progress) -> Host:
        facts = {"pid": os.getpid(), "started_at": self.started_at, "addresses": self.addresses()}
        return Host(self.store, self.clock, actor, Online(self), self.engine, progress, facts)

    def _bots(self) -> Sequence[Bot]:
        """The Telegram bots of the configuration in force, for the pages."""
        found = []
        for name, connection in self.engine.connections.items():
            if isinstance(config := connection.config, TelegramConfig):
                health, served = connection.health, wiring.serves(self.engine.configuration, name)
                told = (config.token.reference, health.state, health.reason, config.receives, served)
                found.append(Bot(name, config.api, *told))
        return found

    def _watch(self, listeners: Listeners) -> None:
        health = Health(self.engine, self.store)
        metrics = Metrics(
            self.engine,
            open_to_all=listeners.secured(None),
            admit=self._admit_to_metrics,
            alerts=lambda: self.alarms.open if self.alarms is not None else (),
            drift=self.drift.count,
        )
        operations = self.staff.site.router.operations if self.pages_served else ()
        api = Api(lambda: self.engine.configuration, operations, open_to_all=listeners.secured(None))
        pages = {
            "/live": health.live,
            "/ready": health.ready,
            "/metrics": metrics.serve,
            "/api/openapi.json": api.serve,
        }
        for path, handler in pages.items():
            listeners.mount(None, path, only_read(path, handler))

    async def _admit_to_metrics(self, request: web.Request) -> None:
        """By today's keys, where there are any. Raises NoCredentials, Denied."""
        access = self.engine.configuration.metrics
        if access.api_keys is None:
            await nobody(request)
        if self._metrics_keys is None or self._metrics_keys[0] is not access:
            ways = Method(api_keys=access.api_keys)
            self._metrics_keys = access, Authenticator("metrics", ways, self.clock)
        await self._metrics_keys[1].identify(request)

    async def stop(self) -> None:
        """Everything down, in reverse; what was accepted and is not done stays in the store."""
        self.engine.draining = True
        await self.control.stop()
        if self.alarms is not None:
            await self.alarms.stop()
        await self.staff.stop()
        for task in self._beside:
            await ended(task)
        if self.lent.listeners is not None:
            await self.lent.listeners.stop(grace=5)
        await self.engine.stop()
        for watcher in self._watchers:
            await watcher.stop()
        await self._sign_off()
        await self.store.close()
        blocking.close_all()
        if self.stand_ins is not None:
            await self.stand_ins.stop()
        (self.settings.data / ADDRESSES).unlink(missing_ok=True)

    async def _sign_off(self) -> None:
        """The last checkpoint of the audit, so that nothing can be cut off while no gateway runs."""
        await ended(self._checkpointing)
        if self.checkpointing is not None:
            with suppress(PipeError):  # it was said when it was tried; the store is closed all the same
                await self.checkpointing.once()

    async def run(self, on_ready: Callable[[Gateway], None] | None = None) -> int:
        """Until SIGTERM or SIGINT; returns the exit code. `on_ready` is called once everything is up."""
        try:
            await self.start()
        except BaseException:
            await self._abandon()
            raise
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stopping.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        settle()
        logger.bind(action="started", **self.addresses()).info("the gateway is ready")
        if on_ready is not None:
            on_ready(self)
        else:
            self.staff.keep_password()
        await self._stopping.wait()
        logger.bind(action="stopping").info("the gateway stops")
        await self.stop()
        return self._exit

    async def _abandon(self) -> None:
        """A start that failed leaves nothing behind but its error."""
        if self.lent.listeners is not None:
            await self.lent.listeners.stop(grace=0)
        if self.stand_ins is not None:
            await self.stand_ins.stop()
        await ended(self._checkpointing)
        await self.store.close()

    def addresses(self) -> dict[str, str]:
        """The URL of each listener, as bound."""
        assert self.lent.listeners is not None
        configs = self.engine.configuration.listeners
        secure = {name for name, listener in configs.items() if listener.tls is not None}
        bound = self.lent.listeners.addresses().items()
        return {name: f"http{'s' if name in secure else ''}://{host}:{port}" for name, (host, port) in bound}

    def endpoints(self) -> list[tuple[str, str, str]]:
        """Method, path and meaning of what is served over HTTP."""
        routes = [
            (
                ", ".join(getattr(source.options, "methods", ())) or "any",
                f"/pipe{getattr(source.options, 'path', '')}",
                f"route {name}",
            )
            for name, route in self.engine.configuration.routes.items()
            if (source := route.source).options is not None and hasattr(source.options, "methods")
        ]
        own = [
            ("/ready", "takes messages?"),
            ("/live", "alive?"),
            ("/metrics", "numbers for Prometheus"),
            ("/api/openapi.json", "the routes as OpenAPI"),
        ]
        if self.pages_served:
            own = [("/admin", "administration, for people"), *own]
        return routes + [("GET", path, what) for path, what in own]

    def _write_addresses(self) -> None:
        path = self.settings.data / ADDRESSES
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({**self.addresses(), "pid": os.getpid()}))
        temporary.replace(path)

    def _store_failed(self, error: StoreUnavailable) -> None:
        # What the disk holds is no longer known: a new process must look at it afresh.
        logger.bind(action="store_failed", error=error.text).critical("the gateway stops because its store failed")
        if self.alarms is not None:
            self.alarms.store_failed(error)
        self._exit = 2
        self._stopping.set()
