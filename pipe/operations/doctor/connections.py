"""Will a connection work? Its adapter climbs rung by rung and says where it ends, why, and what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from pipe.config.models import Configuration, ConnectionSpec
from pipe.config.walk import found_in, uses
from pipe.contract import Examinable, Rung, Secret
from pipe.errors import NotFound, PipeError, SecretMissing
from pipe.operations.doctor.finding import Finding
from pipe.operations.host import Host
from pipe.redact import mask

if TYPE_CHECKING:
    from pipe.engine import Engine
    from pipe.operations.host import World
    from pipe.store.store import Store

PATIENCE_S = 90.0
"""what all rungs of one connection may take; each has its own, shorter time-outs"""
AT_ONCE = 16
"""connections that are looked at at the same time"""


@dataclass(frozen=True, slots=True)
class Ward:
    """Whose connections are looked at."""

    world: World
    configuration: Configuration
    store: Store | None = None
    engine: Engine | None = None
    """where a gateway runs"""


async def doctor_connections(host: Host, names: list[str] | None = None) -> list[dict[str, Any]]:
    """The findings of each of these connections, or of all. Raises NotFound, ConfigError."""
    configuration = host.configuration()
    if host.engine is None:
        await host.built.secrets.load(host.store)
    return await examined(Ward(host.built, configuration, host.store, host.engine), names)


async def examined(ward: Ward, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The same without a store, for a configuration that has never run."""
    known = ward.configuration.connections
    for name in names or ():
        if name not in known:
            raise NotFound(
                f"there is no connection `{name}`; there are: {', '.join(sorted(known)) or 'none'}",
                hint="`pipe connections` lists them",
            )
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(spec: ConnectionSpec) -> dict[str, Any]:
        async with turn:
            return _told(ward, spec, [finding async for finding in _climb(ward, spec)])

    return await asyncio.gather(*(one(known[name]) for name in names or sorted(known)))


async def _climb(ward: Ward, spec: ConnectionSpec) -> AsyncIterator[Finding]:
    """Each rung as a finding, secrets masked; a defect of the adapter is a finding too."""
    secrets = _secrets(spec)
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for rung in _rungs(ward, spec):
                yield Finding(rung.name, rung.state, mask(rung.text, secrets), mask(rung.hint, secrets))
    except TimeoutError:
        yield Finding("examination", "fail", f"it did not end within {PATIENCE_S:g} s", "lower `timeout:`")
    except PipeError as error:
        yield Finding("examination", "fail", mask(error.text, secrets), error.hint)
    except Exception as error:  # boundary: a defect of one adapter must not hide what the others say
        logger.bind(action="doctor", connection=spec.name).opt(exception=error).error("an examination has a defect")
        text = mask(f"{type(error).__name__}: {error}", secrets)
        yield Finding("examination", "fail", f"a defect of the adapter: {text}", "report it with the log's traceback")


async def _rungs(ward: Ward, spec: ConnectionSpec) -> AsyncIterator[Rung]:
    if (state := _state(ward, spec.name)) is not None:
        yield state
    kind: Any = ward.world.catalogue().adapters[spec.type]
    adapter = kind(spec.name, spec.config, ward.world.lent(ward.configuration, ward.store))
    try:
        if isinstance(adapter, Examinable):
            async for rung in adapter.examine(_uses(ward.configuration, spec.name)):
                yield rung
        else:
            async for rung in _asked(adapter):
                yield rung
    finally:
        await adapter.close()


async def _asked(adapter: Any) -> AsyncIterator[Rung]:
    """What can be said of an adapter that cannot be examined: whether it opens, and what it answers."""
    try:
        await adapter.open()
    except PipeError as error:
        yield Rung("open", "fail", error.text, error.hint)
        return
    health = await adapter.check()
    if health.state in {"up", "unknown"}:
        yield Rung("check", "ok", health.reason or f"it says that it is {health.state}")
    else:
        hint = "`pipe connections` says how it does at work"
        yield Rung("check", "fail" if health.state == "down" else "warn", health.reason or health.state, hint)


def _state(ward: Ward, name: str) -> Rung | None:
    """How the working connection of that name does, where a gateway runs."""
    live = ward.engine.connections.get(name) if ward.engine is not None else None
    if live is None:
        return None
    if live.paused:
        return Rung("at work", "warn", "it is paused by a person", f"go on with `pipe resume {name}`")
    health = live.health
    text = f"{health.state}{f': {health.reason}' if health.reason else ''}"
    if health.state in {"down", "degraded"}:
        return Rung("at work", "warn", text, "the rungs below say whether that still holds")
    return Rung("at work", "ok", "nothing was asked of it yet" if health.state == "unknown" else text)


def _uses(configuration: Configuration, name: str) -> list[Any]:
    """The options of every route that uses the connection, each once."""
    found: list[Any] = []
    for route in configuration.routes.values():
        for use in uses(route):
            if use.connection == name and use.options is not None and use.options not in found:
                found.append(use.options)
    return found


def _secrets(spec: ConnectionSpec) -> list[str]:
    values = []
    for secret in found_in(spec.config, Secret):
        with suppress(SecretMissing):
            values.append(secret.reveal())
    return values


def _told(ward: Ward, spec: ConnectionSpec, findings: Sequence[Finding]) -> dict[str, Any]:
    grades = [finding.grade for finding in findings]
    first = next((finding.name for finding in findings if finding.grade == "fail"), None)
    return {
        "connection": spec.name,
        "type": spec.type,
        "well": first is None,
        "fails_at": first,
        "running": ward.engine is not None,
        "failed": grades.count("fail"),
        "warned": grades.count("warn"),
        "checks": [finding.as_json() for finding in findings],
    }
