"""What a derived stand-in answers and offers: the examples that the configuration's own `tests:` hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipe.config.models import (
    ChooseConfig,
    Configuration,
    EnrichConfig,
    RouteConfig,
    RouteTest,
    SplitConfig,
    StepConfig,
    ToConfig,
)
from pipe.contract import Expression, Options, Template
from pipe.trials.model import Reply, Send

_REPLIES: TypeAdapter[dict[str, Reply | list[Reply]]] = TypeAdapter(dict[str, Reply | list[Reply]])
_EQUALS = re.compile(r"\s*body\.([A-Za-z_][\w.]*)\s*==\s*(?:'([^']*)'|`(true|false|\d+)`)\s*")
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class Use:
    """One place of the configuration that asks a partner: a target, an `enrich`, a `confirm`."""

    route: str
    options: Options
    success: Expression | None = None


def uses(configuration: Configuration, connection: str) -> Iterator[Use]:
    """Every place that sends to this connection."""
    for route in configuration.routes.values():
        yield from _of_targets(route, _targets(route), connection)
        yield from _of_steps(route, route.steps, connection)
        yield from _of_steps(route, route.reply.steps, connection)


def _targets(route: RouteConfig) -> Iterator[ToConfig]:
    yield from route.to
    if route.gather is not None:
        yield from route.gather.to


def _of_targets(route: RouteConfig, targets: Iterable[ToConfig], connection: str) -> Iterator[Use]:
    for target in targets:
        if target.connection == connection and target.options is not None:
            yield Use(route.name, target.options, target.success)
        confirm = target.on_uncertain.confirm if target.on_uncertain else None
        if confirm is not None and confirm.connection == connection:
            yield Use(route.name, confirm.options, confirm.success)
        yield from _of_steps(route, target.steps, connection)


def _of_steps(route: RouteConfig, steps: Iterable[StepConfig], connection: str) -> Iterator[Use]:
    for step in steps:
        config = step.config
        if isinstance(config, EnrichConfig) and config.connection == connection:
            yield Use(route.name, config.options, config.success)
        elif isinstance(config, SplitConfig):
            yield from _of_steps(route, config.steps, connection)
        elif isinstance(config, ChooseConfig):
            for _, inner in config.branches:
                yield from _of_steps(route, inner, connection)


def reply_to(configuration: Configuration, connection: str, use: Use, key: str, word: str) -> Reply:
    """What the partner answers there.

    The reply of the first test that expects exactly this call (its `key` says `word`), else of the first test of the
    route, else the least that `success:` takes for a yes.
    """
    tests = [test for test in configuration.tests if test.route == use.route]
    for test in sorted(tests, key=lambda test: not _expects(test, connection, key, word)):
        for reply in _replies(test).get(connection, ()):
            if reply.error is None:
                return reply
    return Reply(body=least(use.success))


def _expects(test: RouteTest, connection: str, key: str, word: str) -> bool:
    calls = [each for each in test.expect if isinstance(each, dict) and each.get("connection") == connection]
    return any(str(call.get(key, "")) == word for call in calls)


def _replies(test: RouteTest) -> Mapping[str, list[Reply]]:
    try:
        read = _REPLIES.validate_python(test.replies or {})
    except ValidationError:
        return {}  # `pipe test` says what is wrong with it
    return {name: reply if isinstance(reply, list) else [reply] for name, reply in read.items()}


def least(success: Expression | None) -> Any:
    """A body for which `success:` is true, where it only compares fields with texts and numbers."""
    body: dict[str, Any] = {}
    for part in str(success.text if success is not None else "").split("&&"):
        if (found := _EQUALS.fullmatch(part)) is None:
            continue
        *way, last = found[1].split(".")
        inner = body
        for name in way:
            inner = inner.setdefault(name, {})
        inner[last] = found[2] if found[2] is not None else _WORDS.get(found[3], found[3].isdigit() and int(found[3]))
    return body


def sent_by(configuration: Configuration, route: str) -> Iterator[Send]:
    """The messages that tests send to a route, for partners that have them to offer."""
    for test in configuration.tests:
        if test.route == route:
            try:
                yield Send.model_validate(test.send or {})
            except ValidationError:
                continue


def shape_of(template: Template) -> re.Pattern[str]:
    """What a template with paths becomes, whatever its values: each stays within its segment."""
    text, parts = template.text, []
    for expression in template.expressions:
        before, _, text = text.partition(f"${{{expression.text}}}")
        parts += [re.escape(before.replace("$${", "${")), "[^/]+"]
    return re.compile("".join([*parts, re.escape(text.replace("$${", "${"))]))
