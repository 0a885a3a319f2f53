"""Finds what a configuration holds inside: expressions, secrets, the connections that a route touches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

from pipe.config.models import (
    ChooseConfig,
    Configuration,
    EnrichConfig,
    FlowConfig,
    Place,
    RouteConfig,
    SplitConfig,
    StepConfig,
    TapConfig,
    ToConfig,
)
from pipe.contract import Expression, Options, Template

Found = TypeVar("Found")


def found_in(value: Any, kind: type[Found]) -> Iterator[Found]:
    """Every object of that kind inside of models, dataclasses, maps and lists."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, BaseModel):
        yield from found_in(value.__dict__, kind)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from found_in(getattr(value, field.name), kind)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from found_in(inner, kind)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from found_in(inner, kind)


def expressions_in(value: Any) -> list[Expression]:
    """Every expression inside, those of templates too."""
    inside = [each for template in found_in(value, Template) for each in template.expressions]
    return [*found_in(value, Expression), *inside]


def nested(steps: Iterable[StepConfig]) -> Iterator[StepConfig]:
    """The steps and those inside of them."""
    for step in steps:
        yield step
        if isinstance(step.config, ChooseConfig):
            for _, inner in step.config.branches:
                yield from nested(inner)
        elif isinstance(step.config, SplitConfig):
            yield from nested(step.config.steps)


def every_target(route: RouteConfig) -> tuple[ToConfig, ...]:
    """The route's targets, those of `gather` too."""
    return (*route.to, *(route.gather.to if route.gather else ()))


def every_step(route: RouteConfig) -> Iterator[StepConfig]:
    """All steps of a route, wherever they stand."""
    yield from nested(route.steps)
    yield from nested(route.reply.steps)
    yield from nested(route.gather.steps if route.gather else ())
    for target in every_target(route):
        yield from nested(target.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """A place where a route uses a connection."""

    connection: str
    options: Options | None
    place: Place


def uses(route: RouteConfig) -> Iterator[Use]:
    """Every use of a connection: as source, as target, in `enrich` and in `confirm`."""
    if route.source.connection:
        yield Use(route.source.connection, route.source.options, route.source.place)
    for target in every_target(route):
        if target.connection:
            yield Use(target.connection, target.options, target.place)
        if target.on_uncertain:
            confirm = target.on_uncertain.confirm
            yield Use(confirm.connection, confirm.options, target.place)
    for step in every_step(route):
        if isinstance(step.config, EnrichConfig):
            yield Use(step.config.connection, step.config.options, step.place)


def has_step(route: RouteConfig, kind: type[SplitConfig | FlowConfig]) -> bool:
    """Whether one of its own steps is of that kind."""
    return any(isinstance(step.config, kind) for step in route.steps)


@dataclasses.dataclass(frozen=True, slots=True)
class Emission:
    """A way from one route to another."""

    route: str
    place: Place
    conditional: bool
    """whether some messages do not go this way"""


def emissions(route: RouteConfig) -> Iterator[Emission]:
    """The routes that a route leads to by `to:` and `tap:`; what its flows emit is not known here."""
    dropping = any(step.name in ("filter", "choose", "flow") for step in route.steps)
    for target in every_target(route):
        if target.route:
            yield Emission(target.route, target.place, dropping or target.when is not None or bool(target.steps))
    own = {id(step) for step in route.steps}
    for step in every_step(route):
        if isinstance(step.config, TapConfig):
            yield Emission(step.config.route, step.place, dropping or id(step) not in own)


def bots_of(route: RouteConfig, configuration: Configuration) -> list[str]:
    """The Telegram bots that a route sends through, in its order."""
    names = [target.connection for target in every_target(route) if target.connection is not None]
    return [name for name in names if configuration.connections[name].type == "telegram"]
