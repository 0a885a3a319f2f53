"""Who reads which field: the paths that a route's expressions read, each led back to the message or answer it is of.

Follows a route as `pipe.config.path_lint` does, by the trees of its expressions, through `map`, `set`, `enrich`,
`split`, `gather`, and into the routes that it leads to inside the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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
from pipe.config.path_lint import expressions_of, files_of, root_of, texts_of
from pipe.config.shapes import Shape, of_schema
from pipe.config.walk import expressions_in
from pipe.contract import Expression
from pipe.sampling import answer_in, message_of

MOST_ROUTES = 20
"""routes that one message is followed through"""
MOST_WAYS = 16
"""ways through `choose` that are told apart"""
BODY = "body"


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """Of what a field is: the messages of a route's source, or the answers to one of its questions."""

    connection: str
    sample: str
    """names it among the samples of its connection: see `pipe.sampling`"""
    options: Any = None
    """the adapter's own keys of the question"""


class Use(NamedTuple):
    """A place of a route that reads a field, or makes one that is sent."""

    route: str
    step: str
    """`routes.appeals.steps[2] map`"""
    place: str
    """file:line"""
    origin: Origin
    path: str
    """of the field, as it is called in the origin; empty for the target itself that sends"""
    makes: bool = False
    """whether it makes the request of the origin's question; else it reads"""


class Binding(NamedTuple):
    """What stands at a path now: a part of an origin, or nothing that came from outside."""

    at: str
    origin: Origin | None
    path: str


class Maker(NamedTuple):
    """A step that makes a field of what is sent."""

    route: str
    step: str
    place: Place
    at: str


class Way(NamedTuple):
    """What is known at one moment of one way through the route."""

    bindings: tuple[Binding, ...] = ()
    makers: tuple[Maker, ...] = ()


def uses_of(configuration: Configuration) -> list[Use]:
    """Every use of a field that comes from a partner or goes to one, each once."""
    found: dict[Any, Use] = {}
    for route in configuration.routes.values():
        walk = _Walk(configuration, route)
        if route.source.connection is not None:
            origin = Origin(route.source.connection, message_of(route.name), route.source.options)
            walk.message(Way((Binding(BODY, origin, BODY),)))
        elif route.source.kind != "internal":
            walk.message(Way())
        walk.reply()
        for use in walk.found:
            of = use.origin
            found.setdefault((*use._replace(origin=None), of.connection, of.sample), use)  # type: ignore[arg-type]
    return list(found.values())


class _Walk:
    def __init__(self, configuration: Configuration, route: RouteConfig, trail: tuple[str, ...] = ()) -> None:
        self.configuration, self.config, self.trail = configuration, route, (*trail, route.name)
        self.found: list[Use] = []

    # --- the way of a message

    def message(self, way: Way) -> None:
        """From the door through all steps to each target, then what is gathered."""
        config = self.config
        ways: tuple[Way, ...] = (way,)
        key = config.idempotency.key if config.idempotency else None
        named = {"order_by": config.order_by, "subject": config.subject, "idempotency": key}
        for name, expression in named.items():
            if expression is not None:
                self._reads([expression], ways, f"routes.{config.name} {name}", config.place)
        self._reads(config.sensitive, ways, f"routes.{config.name} sensitive", config.place)
        ways = self._steps(config.steps, ways)
        for target in config.to:
            self._target(target, ways)
        if config.gather is not None:
            gathered = self._steps(config.gather.steps, tuple(self._gathered(each) for each in ways))
            for target in config.gather.to:
                self._target(target, gathered)

    def _gathered(self, way: Way) -> Way:
        items = [Binding("body.item", each.origin, each.path) for each in way.bindings if each.at == "item"]
        asked = [origin for target in self.config.to if (origin := self._asked(target)) is not None]
        return Way((*items, *(Binding("body.reply", origin, BODY) for origin in asked)))

    def reply(self) -> None:
        """What the answer to the caller is made of."""
        config, first = self.config, next(iter(self.config.to), None)
        origin = None if first is None or config.reply.mode != "sync" else self._asked(first)
        if origin is None:
            return
        ways = (Way((Binding(BODY, origin, BODY),)),)
        for fault in config.reply.faults:
            self._reads(
                [fault.when, *_made_of(fault.map or {})], ways, f"routes.{config.name}.reply faults", config.place
            )
        self._steps(config.reply.steps, ways)

    def _target(self, target: ToConfig, ways: tuple[Way, ...]) -> None:
        label = f"routes.{self.config.name}.to {target.key}"
        self._reads([each for each in (target.when, target.channel) if each is not None], ways, label, target.place)
        ways = self._steps(target.steps, ways)
        out = [*([target.idempotent_by] if target.idempotent_by is not None else []), *expressions_in(target.options)]
        self._reads(out, ways, label, target.place)
        if target.route is not None:
            self._onward(target.route, ways)
        origin = self._asked(target)
        if origin is None:
            return
        self._sends(origin, ways, label, target.place)
        judging = [each for each in (target.success, target.retry_when, target.dead_when) if each is not None]
        self._reads(judging, (Way((Binding(BODY, origin, BODY),)),), label, target.place)
        if target.on_uncertain is not None:
            confirm = target.on_uncertain.confirm
            asked = Origin(confirm.connection, answer_in(self.config.name, f"confirm {target.key}"), confirm.options)
            answers = [confirm.success, *([confirm.failure] if confirm.failure is not None else [])]
            self._reads(answers, (Way((Binding(BODY, asked, BODY),)),), f"{label} on_uncertain", target.place)
            self._reads(expressions_in(confirm.options), ways, f"{label} on_uncertain", target.place)

    def _asked(self, target: ToConfig) -> Origin | None:
        if target.connection is None:
            return None
        return Origin(target.connection, answer_in(self.config.name, target.key), target.options)

    def _onward(self, name: str, ways: Iterable[Way]) -> None:
        route = self.configuration.routes.get(name)
        if route is None or name in self.trail or len(self.trail) >= MOST_ROUTES:
            return
        for way in ways:
            inside = _Walk(self.configuration, route, self.trail)
            inside.message(way._replace(bindings=tuple(each for each in way.bindings if _is_body(each.at))))
            self.found += inside.found

    # --- steps

    def _steps(self, steps: Iterable[StepConfig], ways: tuple[Way, ...]) -> tuple[Way, ...]:
        for step in steps:
            label = f"{step.path} {step.name}"
            if isinstance(step.config, ChooseConfig):
                ways = self._choose(step.config, label, step.place, ways)
            else:
                ways = tuple(self._step(step, label, way) for way in ways)
        return ways

    def _choose(self, config: ChooseConfig, label: str, place: Place, ways: tuple[Way, ...]) -> tuple[Way, ...]:
        ends: list[Way] = []
        for when, inner in config.branches:
            self._reads([when] if when is not None else [], ways, label, place)
            ends += self._steps(inner, ways)
        if config.branches and config.branches[-1][0] is not None:
            ends += ways
        return tuple(dict.fromkeys(ends))[:MOST_WAYS]

    def _step(self, step: StepConfig, label: str, way: Way) -> Way:
        config, ways = step.config, (way,)
        if isinstance(config, SplitConfig):
            self._reads([config.items], ways, label, step.place)
            items = _led(way, config.items.plain_path)
            bound = tuple(each._replace(at=at) for at in (BODY, "item") for each in items)
            # The ways of a split's own steps are as many as came in.
            return next(iter(self._steps(config.steps, (Way(bound, way.makers),))), Way())
        if isinstance(config, EnrichConfig):
            self._reads(expressions_in(config.options), ways, label, step.place)
            asked = Origin(config.connection, answer_in(self.config.name, f"enrich {config.into}"), config.options)
            self._sends(asked, ways, label, step.place)
            if config.success is not None:
                self._reads([config.success], (Way((Binding(BODY, asked, BODY),)),), label, step.place)
            return _bound(way, config.into, (Binding(config.into, asked, BODY),))
        if isinstance(config, TapConfig):
            self._onward(config.route, ways)
            return way
        return Way() if isinstance(config, FlowConfig) else self._transformed(step, label, way)

    def _transformed(self, step: StepConfig, label: str, way: Way) -> Way:
        if step.name == "check":
            for path in self._demanded(step):
                self._read(path, (way,), label, step.place)
            return way
        if step.name == "table":
            for column in texts_of(step.config):
                self._read(f"{BODY}.{column.lstrip('-')}", (way,), label, step.place)
            return Way()
        self._reads(expressions_of(step), (way,), label, step.place)
        tree = root_of(step.config)
        if step.name == "map":
            rest = tuple(each for each in way.bindings if not _is_body(each.at))
            makers = tuple(Maker(self.config.name, label, step.place, at) for at, _ in _leaves(tree, BODY))
            return Way((*rest, *_plain_parts(tree, BODY, way)), makers)
        if step.name == "set" and isinstance(tree, Mapping):
            before = way
            for at, value in tree.items():
                way = _bound(way, str(at), tuple(_plain_parts(value, str(at), before)))
                made = (Maker(self.config.name, label, step.place, at) for at, _ in _leaves(value, str(at)))
                way = way._replace(makers=(*way.makers, *made))
            return way
        return way if step.name in ("filter", "decode", "encode") else Way()

    def _demanded(self, step: StepConfig) -> Iterator[str]:
        """Paths that a schema beside the configuration knows."""
        for name in files_of(step):
            if name in self.configuration.files:
                yield from _paths(of_schema(self.configuration.files[name], name), BODY)

    # --- what was found

    def _reads(self, expressions: Iterable[Expression], ways: Iterable[Way], label: str, place: Place) -> None:
        ways = tuple(ways)
        for expression in expressions:
            for path in expression.paths():
                self._read(path, ways, label, place)

    def _read(self, path: str, ways: Iterable[Way], label: str, place: Place) -> None:
        for each in (each for way in ways for each in _led(way, path)):
            if each.origin is not None:
                self.found.append(Use(self.config.name, label, str(place), each.origin, each.path))

    def _sends(self, origin: Origin, ways: Iterable[Way], label: str, place: Place) -> None:
        for maker in (maker for way in ways for maker in way.makers):
            self.found.append(Use(maker.route, maker.step, str(maker.place), origin, maker.at, makes=True))
        self.found.append(Use(self.config.name, label, str(place), origin, "", makes=True))


def _is_body(path: str) -> bool:
    return path == BODY or path.startswith(f"{BODY}.")


def _bound(way: Way, at: str, new: tuple[Binding, ...]) -> Way:
    """After something else was put at a path; what holds it stays, but for that part."""
    kept = tuple(each for each in way.bindings if each.at != at and not each.at.startswith(f"{at}."))
    return way._replace(bindings=(*kept, *(new or (Binding(at, None, ""),))))


def _led(way: Way, path: str | None) -> list[Binding]:
    """The parts of origins that a path leads to: the nearest binding above it, and those within it."""
    if path is None:
        return []
    above = [each for each in way.bindings if path == each.at or path.startswith(f"{each.at}.")]
    nearest = max((len(each.at) for each in above), default=0)
    found = [Binding(path, each.origin, each.path + path[len(each.at) :]) for each in above if len(each.at) == nearest]
    return found + [each for each in way.bindings if each.at.startswith(f"{path}.")]


def _leaves(tree: Any, at: str) -> Iterator[tuple[str, Any]]:
    """What a `map` makes, field by field."""
    if isinstance(tree, Mapping):
        for name, inner in tree.items():
            yield from _leaves(inner, f"{at}.{name}")
    else:
        yield at, tree


def _plain_parts(tree: Any, at: str, way: Way) -> Iterator[Binding]:
    """What is put somewhere else as it is: where the expression of a field is a plain path."""
    for to, leaf in _leaves(tree, at):
        for expression in _made_of(leaf) if not isinstance(leaf, list) else ():
            yield from (each._replace(at=to) for each in _led(way, expression.plain_path))


def _made_of(value: Any) -> list[Expression]:
    """The expressions of a tree, also where they are texts still."""
    if isinstance(value, Expression):
        return [value]
    made = []
    for text in texts_of(value):
        try:
            made.append(Expression(text))
        except ValueError:
            continue  # lint has said so
    return made


def _paths(shape: Shape | None, at: str) -> Iterator[str]:
    for name, inner in (shape.parts if shape is not None else {}).items():
        yield f"{at}.{name}"
        yield from _paths(inner, f"{at}.{name}")
