"""Prepares a configuration for the stage: the same routes, but no clock of their own, no rates, no breakers."""

from __future__ import annotations

import dataclasses
from collections.abc import Container
from typing import Any

from pipe.config.models import Configuration, ConnectionSpec, FromConfig, Limits, RouteConfig, ToConfig
from pipe.contract import Size


def staged(configuration: Configuration, judged: Container[str]) -> Configuration:
    """The configuration to run tests with.

    The answers of connections in `judged` are given by the test, and `success:` and its fellows decide about them; the
    others simply take what they get.
    """
    return dataclasses.replace(
        configuration,
        connections={name: _connection(spec) for name, spec in configuration.connections.items()},
        routes={name: _route(route, judged) for name, route in configuration.routes.items()},
        limits=Limits(disk_floor=Size(0), hops=configuration.limits.hops),
        listeners={},
    )


def _connection(spec: ConnectionSpec) -> ConnectionSpec:
    config: Any = spec.config.model_copy(update={"rate": None, "breaker": False})
    return dataclasses.replace(spec, config=config)


def _route(route: RouteConfig, judged: Container[str]) -> RouteConfig:
    to = tuple(_target(target, judged) for target in route.to)
    gather = route.gather
    if gather is not None:
        gather = dataclasses.replace(gather, to=tuple(_target(target, judged) for target in gather.to))
    return dataclasses.replace(route, source=_source(route.source), to=to, gather=gather)


def _source(source: FromConfig) -> FromConfig:
    """Schedules would fire while the clock jumps, and nobody gives an alarm for what is only tried."""
    moved = ("schedule", "every", "alerts", "events")
    return dataclasses.replace(source, kind="internal") if source.kind in moved else source


def _target(target: ToConfig, judged: Container[str]) -> ToConfig:
    if target.connection is None or target.connection in judged:
        return target
    return dataclasses.replace(target, success=None, retry_when=None, dead_when=None)
