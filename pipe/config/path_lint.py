"""Finds expressions that ask for what the message cannot have: after a `map` removed it, or against the schema."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pipe.config.findings import Finding, nearest
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
from pipe.config.shapes import Shape, missing, of_map, of_schema
from pipe.config.walk import expressions_in
from pipe.contract import Expression

_MESSAGE = ("id", "route", "received_at", "caller", "hops", "content_type")
_SCOPE = ("message", "headers", "params", "query", "body", "company", "now", "date", "item", "parent")
_REPLY_SCOPE = ("status", "fault", "request")
_KEEPS_BODY = ("filter", "tap", "decode", "check", "choose", "set", "map", "enrich")
_WRITES_EXPRESSIONS = ("map", "set", "filter")


def paths_of(route: RouteConfig, configuration: Configuration) -> list[Finding]:
    """The mistakes in the paths of one route."""
    return list(_Paths(route, configuration).findings())


class _Paths:
    """Follows a route, knowing at each step what the body can have."""

    def __init__(self, route: RouteConfig, configuration: Configuration) -> None:
        self.route, self.configuration = route, configuration
        self.message = Shape(dict.fromkeys(_MESSAGE), "a message")
        self.params = self._params()

    def findings(self) -> Iterator[Finding]:
        """In the order of the route."""
        route = self.route
        body: Shape | None = None
        at_door, rest = _door(route.steps)
        for step in at_door:
            body = self._after(step, body)
        door = [route.order_by, route.subject, route.idempotency.key if route.idempotency else None]
        yield from self._check([*(each for each in door if each is not None), *route.sensitive], body, route.place)
        for step in rest:
            yield from self._step(step, body)
            body = self._after(step, body)
        for target in route.to:
            yield from self._target(target, body)
        if route.gather:
            gathered = None
            for step in route.gather.steps:
                yield from self._step(step, gathered)
                gathered = self._after(step, gathered)
            for target in route.gather.to:
                yield from self._target(target, gathered)
        yield from self._reply()

    def _reply(self) -> Iterator[Finding]:
        body: Shape | None = None
        for step in self.route.reply.steps:
            yield from self._step(step, body, _REPLY_SCOPE)
            body = self._after(step, body)
        whens = [fault.when for fault in self.route.reply.faults]
        yield from self._check(whens, None, self.route.place, _REPLY_SCOPE)

    def _target(self, target: ToConfig, body: Shape | None) -> Iterator[Finding]:
        before = [each for each in (target.when, target.channel) if each is not None]
        yield from self._check(before, body, target.place)
        for step in target.steps:
            yield from self._step(step, body)
            body = self._after(step, body)
        out = [target.idempotent_by] if target.idempotent_by is not None else []
        yield from self._check([*out, *expressions_in(target.options)], body, target.place)
        judging = [each for each in (target.success, target.retry_when, target.dead_when) if each is not None]
        yield from self._check(judging, None, target.place, _REPLY_SCOPE)

    def _step(self, step: StepConfig, body: Shape | None, extra: tuple[str, ...] = ()) -> Iterator[Finding]:
        config = step.config
        if isinstance(config, ChooseConfig):
            for when, steps in config.branches:
                yield from self._check([when] if when is not None else [], body, step.place, extra)
                inside = body
                for inner in steps:
                    yield from self._step(inner, inside, extra)
                    inside = self._after(inner, inside)
        elif isinstance(config, SplitConfig):
            yield from self._check([config.items], body, step.place, extra)
            inside = None
            for inner in config.steps:
                yield from self._step(inner, inside, extra)
                inside = self._after(inner, inside)
        elif isinstance(config, EnrichConfig):
            yield from self._check(expressions_in(config.options), body, step.place, extra)
        elif not isinstance(config, (TapConfig, FlowConfig)):
            yield from self._check(expressions_of(step), body, step.place, extra)

    def _after(self, step: StepConfig, body: Shape | None) -> Shape | None:
        """What the body can have after a step; None where nobody can tell."""
        config = step.config
        if step.name == "map":
            return of_map(root_of(config), f"the `map` on line {step.place.line}")
        if step.name == "check":
            return self._schema(step) or body
        if isinstance(config, EnrichConfig):
            return _with(body, config.into)
        if step.name == "set":
            written = root_of(config)
            for path in written if isinstance(written, dict) else ("body",):
                body = _with(body, str(path))
            return body
        if isinstance(config, ChooseConfig):
            return self._after_choice(config, body)
        if isinstance(config, SplitConfig):
            inside: Shape | None = None
            for inner in config.steps:
                inside = self._after(inner, inside)
            return inside
        return body if step.name in _KEEPS_BODY else None

    def _after_choice(self, config: ChooseConfig, body: Shape | None) -> Shape | None:
        """All that any branch leaves; unknown as soon as one of them is."""
        ends: list[Shape | None] = [body]
        for _, steps in config.branches:
            end = body
            for inner in steps:
                end = self._after(inner, end)
            ends.append(end)
        known = [end for end in ends if end is not None]
        if len(known) < len(ends):
            return None
        parts: dict[str, Shape | None] = {}
        for end in known:
            parts |= {name: None if parts.get(name, shape) != shape else shape for name, shape in end.parts.items()}
        return Shape(parts, known[0].origin, certain=all(end.certain for end in known))

    def _schema(self, step: StepConfig) -> Shape | None:
        for name in files_of(step):
            if name in self.configuration.files:
                return of_schema(self.configuration.files[name], f"`{name}`")
        return None

    def _params(self) -> Shape | None:
        path = getattr(self.route.source.options, "path", None)
        if not isinstance(path, str) or self.route.source.kind != "connection":
            return None
        return Shape(dict.fromkeys(re.findall(r"\{([A-Za-z_][A-Za-z0-9_]*)", path)), f"the path `{path}`")

    def _check(
        self, expressions: Iterable[Expression], body: Shape | None, place: Place, extra: tuple[str, ...] = ()
    ) -> Iterator[Finding]:
        is_reply = bool(extra)
        scope = Shape(
            {
                **dict.fromkeys((*_SCOPE, *extra)),
                "message": self.message,
                "params": None if is_reply else self.params,
                "body": body,
            },
            "the scope of expressions",
        )
        for expression in expressions:
            for path in sorted(expression.paths()):
                wrong = missing(scope, path)
                if wrong is not None:
                    text = f"`{expression}` asks for `{wrong.path}`, which {wrong.origin} does not have"
                    severity = "error" if wrong.certain else "warning"
                    yield _finding(place, "unknown-path", text + nearest(wrong.path, wrong.known), severity)


def _door(steps: tuple[StepConfig, ...]) -> tuple[tuple[StepConfig, ...], tuple[StepConfig, ...]]:
    count = 0
    while count < len(steps) and steps[count].name in ("decode", "check"):
        count += 1
    return steps[:count], steps[count:]


def expressions_of(step: StepConfig) -> list[Expression]:
    """Those of a transformer, also where its Config keeps them as texts until it is built."""
    found = expressions_in(step.config)
    if found or step.name not in _WRITES_EXPRESSIONS:
        return found
    made = []
    for text in texts_of(step.config):
        try:
            made.append(Expression(text))
        except ValueError:
            # The transformer itself says what is wrong with it.
            continue
    return made


def texts_of(value: Any) -> Iterator[str]:
    """Every text behind a step's key."""
    value = root_of(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts_of(inner)


def files_of(step: StepConfig) -> Iterator[str]:
    """The files that a step names, as they are called among those of the configuration."""
    path = getattr(root_of(step.config), "path", None)
    for text in [path] if isinstance(path, str) else texts_of(step.config):
        yield posixpath.normpath(posixpath.join(posixpath.dirname(step.place.file), text))


def root_of(config: Any) -> Any:
    """What stands behind a step's key, as it was written."""
    if hasattr(config, "root"):
        return config.root
    return dict(config.__dict__) if hasattr(config, "model_fields_set") else config


def _with(body: Shape | None, path: str) -> Shape | None:
    first, *rest = path.split(".")
    if first != "body" or body is None:
        return body
    return body.with_part(rest) if rest else None


def _finding(place: Place, code: str, text: str, severity: str = "error") -> Finding:
    return Finding(place.file, place.line, 1, code, text, "warning" if severity == "warning" else "error")
