"""What would happen if dead letters were sent again: today's steps run, partners are not called, nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Connection, Executable, Result

from pipe.config.models import Configuration
from pipe.contract import Message
from pipe.errors import ConnectionWaits, MappingFailed, PipeError
from pipe.operations.dead_letters import ALL
from pipe.operations.host import Host
from pipe.operations.messages import body_of
from pipe.operations.selection import SEARCH_LIMIT_S, D, Which
from pipe.operations.stubs import Offline
from pipe.redact import mask
from pipe.route import Route, Stage
from pipe.steps.pipeline import Run, StepStopped
from pipe.store.journal import Work
from pipe.store.loading import Loader
from pipe.store.transaction import Tx
from pipe.store.vault import Vault

LIMIT = 1000
SHOWN_DIFFERENCES = 20


@dataclass(slots=True)
class Rehearsed:
    """How far one delivery would come."""

    passes: bool | None
    """None: it cannot be told without calling a partner"""
    text: str
    outgoing: Any = None
    code: str | None = None
    step: str | None = None
    place: str | None = None


async def rehearse(host: Host, which: Which = ALL, limit: int = LIMIT) -> dict[str, Any]:
    """Runs dead letters through today's configuration with partners stubbed; nothing is sent and nothing is stored.

    Tells for each whether it would pass, at which step it would still fail and why, and what would go out now instead
    of what the configuration of its time made of it.
    """
    routes = Routes(host)
    numbers = (await host.store.read(which.numbers, SEARCH_LIMIT_S))[:limit]
    letters = []
    for done, number in enumerate(numbers, start=1):
        found = partial(_loaded, loader=host.store.loader, number=number)
        works, damaged = await host.store.read(found)
        letters += [await _one(host, routes, work) for work in works]
        letters += [_told(work, Rehearsed(False, error.text, code=error.code), None) for work, error in damaged]
        host.progress(done, len(numbers), "rehearsed")
    passes, fails = (sum(letter["passes"] is told for letter in letters) for told in (True, False))
    return {
        "rehearsed": len(letters),
        "passes": passes,
        "fails": fails,
        "unknown": len(letters) - passes - fails,
        "changed": sum(letter["changed"] is True for letter in letters),
        "letters": letters,
    }


class Routes:
    """Routes whose steps call nobody, by revision: today's, and those that the letters began on."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._made: dict[tuple[str, str], Route | None] = {}

    def today(self, name: str) -> Route | None:
        """Today's route; None where there is none of that name."""
        return self._route(self._host.configuration(), name)

    async def then(self, revision: str, name: str) -> Route | None:
        """The route as it was; None where that can no longer be known."""
        if (revision, name) not in self._made:
            configuration = await self._host.revision(revision)
            self._made[revision, name] = None if configuration is None else self._route(configuration, name)
        return self._made[revision, name]

    def _route(self, configuration: Configuration, name: str) -> Route | None:
        key = (configuration.revision, name)
        if key not in self._made:
            config = configuration.routes.get(name)
            self._made[key] = None if config is None else self._build(config, configuration.revision)
        return self._made[key]

    def _build(self, config: Any, revision: str) -> Route:
        host = self._host
        known = host.engine.catalogue if host.engine is not None else host.built.catalogue()
        return Route(config, revision, known.transformers, known.flows, Offline(), host.store.vault)


def _loaded(connection: Connection, *, loader: Loader, number: int) -> Any:
    return loader.works(connection, D.id == number)


async def _one(host: Host, routes: Routes, work: Work) -> dict[str, Any]:
    now = await way(host, routes.today(work.route), work)
    then = await routes.then(work.revision, work.route)
    before = await way(host, then, work) if then is not None and now.passes else None
    told: dict[str, Any] = mask(_told(work, now, before), work.sensitive)
    return {**told, "message_id": work.message.id}


def _told(work: Work, now: Rehearsed, before: Rehearsed | None) -> dict[str, Any]:
    changed = None if before is None or not before.passes else before.outgoing != now.outgoing
    if before is not None and not before.passes:
        changed = True
    text = now.text
    if now.passes and changed is False:
        text = f"{text}, exactly what was sent before: the partner may answer the same again"
    return {
        "message_id": work.message.id, "id": work.id, "route": work.route, "station": work.station,
        "passes": now.passes,
        "text": text, "code": now.code, "step": now.step, "place": now.place, "changed": changed,
        "before": before.outgoing if before is not None and changed else None, "after": now.outgoing,
    }  # fmt: skip


async def way(host: Host, route: Route | None, work: Work) -> Rehearsed:
    """How far a delivery would come on a route."""
    stage = route.by_station.get(work.station) if route is not None else None
    if route is None or stage is None:
        return Rehearsed(False, f"the route {work.route} has no {work.station} now", code="PIPE-3015")
    try:
        run = Run(work.message)
        if stage.index == 0:
            run = await route.door.run(work.message)
        await stage.pipeline.continue_(run)
        if run.message is None:
            return Rehearsed(True, "a filter of the route would drop it")
        return await _end(host, route, stage, work, run.message)
    except StepStopped as stop:
        known = None if isinstance(stop.error, ConnectionWaits) else False
        return Rehearsed(known, stop.error.text, code=stop.error.code, step=stop.step.path, place=str(stop.step.place))
    except PipeError as error:
        return Rehearsed(False, error.text, code=error.code, place=error.facts.get("place"))


async def _end(host: Host, route: Route, stage: Stage, work: Work, message: Message) -> Rehearsed:
    if stage.flow is not None:
        return await _flow(host, stage, message)
    if stage.split is not None:
        items = stage.split.items(message)
        if not isinstance(items, list):
            raise MappingFailed(f"`items: {stage.split.items}` is no list", path=str(stage.split.items))
        return Rehearsed(True, f"would be split into {len(items)}")
    target = route.targets.get(work.station)
    if target is None:
        return Rehearsed(True, "would end here")
    if target.config.when is not None and not target.config.when.is_true(message):
        return Rehearsed(True, f"`when: {target.config.when}` is not true: {work.station} would not get it")
    outgoing = (await target.pipeline.run(message)).message
    if outgoing is None:
        return Rehearsed(True, f"a filter would keep it from {work.station}")
    return Rehearsed(True, f"would be sent to {work.station}", body_of(outgoing.body))


# --- flows --------------------------------------------------------------------------------------------------------


class _Undone(Exception):
    """Carries a flow's emissions out of the unit that is taken back."""

    def __init__(self, emitted: list[Any]) -> None:
        super().__init__("taken back")
        self.emitted = emitted


async def _flow(host: Host, stage: Stage, message: Message) -> Rehearsed:
    assert stage.end is not None

    def unit(tx: Tx) -> None:
        assert stage.flow is not None
        seen = Taken(tx, host.store.vault)
        yielded = list(stage.flow(message, seen) or ())
        raise _Undone([*seen.emitted, *(body_of(each.body) for each in yielded)])

    try:
        await host.store.write(unit)
    except _Undone as undone:
        name = stage.end.config.name
        return Rehearsed(True, f"flow {name} would take it and emit {len(undone.emitted)}", undone.emitted)
    except PipeError as error:
        return Rehearsed(False, error.text, code=error.code, step=stage.end.path, place=str(stage.end.place))
    except Exception as error:  # boundary: a flow's defect is what the rehearsal is to find
        text = f"`{stage.end.config.name}` broke: {type(error).__name__}: {error}"
        return Rehearsed(False, text, code="PIPE-3016", step=stage.end.path, place=str(stage.end.place))
    raise AssertionError("the unit ends by raising")


@dataclass(slots=True)
class Taken:
    """A flow's transaction that is taken back: it reads and writes, and what it emits is only looked at."""

    tx: Tx
    vault: Vault
    emitted: list[Any] = field(default_factory=list)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return self.tx.now

    def new_id(self) -> str:
        """A fresh id."""
        return self.tx.new_id()

    def execute(self, statement: Executable, parameters: Any = None) -> Result[Any]:
        """Runs it; it is taken back with everything else."""
        return self.tx.execute(statement, parameters)

    def hash(self, *parts: str) -> str:
        """A keyed hash."""
        return self.vault.hash(*parts)

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypts."""
        return self.vault.seal(plain, about)

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """Decrypts."""
        return self.vault.open(sealed, about)

    def emit(
        self,
        message: Message,
        *,
        route: str | None = None,
        at: float | None = None,
        cancel: str | None = None,
        deadline: float | None = None,
    ) -> str:
        """Looks at what would go on its way."""
        self.emitted.append(body_of(message.body))
        return self.tx.new_id()

    def cancel(self, key: str) -> int:
        """Takes nothing back."""
        return 0

    def publish(self, topic: str, event: Mapping[str, Any]) -> int:
        """Tells nobody."""
        return 0

    def audit(self, event: str, *, before: Any = None, after: Any = None, target: str = "") -> None:
        """Nothing happened that would have to be told."""
