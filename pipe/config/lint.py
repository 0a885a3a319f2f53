"""Rules about a configuration as a whole, after it was loaded: what each part allows may be wrong together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from pipe.config import hooks
from pipe.config.findings import Finding, Severity, nearest
from pipe.config.models import Configuration, ConnectionSpec, Listener, Place, RouteConfig, SplitConfig
from pipe.config.path_lint import paths_of
from pipe.config.promise import promise_of
from pipe.config.walk import bots_of, emissions, every_step, every_target, found_in, has_step, uses
from pipe.contract import Adapter, Duration, Secret
from pipe.errors import SecretMissing
from pipe.retry import longest_span

Adapters = Mapping[str, type[Adapter]]


def lint(configuration: Configuration, *, adapters: Adapters) -> list[Finding]:
    """Everything that is wrong or doubtful, errors and warnings, in the order of files and lines."""
    found: list[Finding] = []
    for rule in (_unused, _circles, _internal, _channels, _people, _listeners, _secrets):
        found += rule(configuration)
    for rule_of_adapters in (_entrances, _open_connections, _reviews):
        found += rule_of_adapters(configuration, adapters)
    for route in configuration.routes.values():
        found += _synchronous(route, configuration, adapters)
        found += _times(route)
        found += _gather(route)
        found += _promise(route, configuration, adapters)
        found += paths_of(route, configuration)
    return sorted(set(found))


def _finding(place: Place, code: str, text: str, severity: Severity = "error") -> Finding:
    return Finding(place.file, place.line, 1, code, text, severity)


# --- connections --------------------------------------------------------------------------------------------------


def _unused(configuration: Configuration) -> Iterator[Finding]:
    used = {use.connection for route in configuration.routes.values() for use in uses(route)}
    channels = {route.source.channel for route in configuration.routes.values()}
    for name, spec in configuration.connections.items():
        if name not in used and not {name, spec.type} & channels:
            yield _finding(spec.place, "unused-connection", f"no route uses `{name}`", "warning")


def _reviews(configuration: Configuration, adapters: Adapters) -> Iterator[Finding]:
    for route in configuration.routes.values():
        for use in uses(route):
            spec = configuration.connections[use.connection]
            for text in hooks.review(adapters[spec.type], spec.config, use.options):
                yield _finding(use.place, "adapter", f"`{use.connection}`: {text}")


def _secrets(configuration: Configuration) -> Iterator[Finding]:
    first = Place(next(iter(configuration.files), "connections.yaml"), 1)
    named: list[ConnectionSpec | RouteConfig] = [*configuration.connections.values(), *configuration.routes.values()]
    settings = (configuration.metrics, configuration.sign_in, configuration.traces)
    for holder, stands_at in [*((each, each.place) for each in named), *((each, first) for each in settings)]:
        for secret in found_in(holder, Secret):
            try:
                secret.reveal()
            except SecretMissing as error:
                file, _, line = secret.place.rpartition(":")
                place = Place(file, int(line)) if line.isdigit() else stands_at
                yield _finding(place, "secret-missing", error.text, "warning")


# --- listeners ----------------------------------------------------------------------------------------------------


def _listeners(configuration: Configuration) -> Iterator[Finding]:
    first = next(iter(configuration.files), "connections.yaml")
    for name, listener in configuration.listeners.items():
        if is_loopback(listener) or listener.tls is not None or listener.behind_proxy:
            continue
        text = f"listener `{name}` serves {listener.address} without `tls:`, and does not say `behind_proxy: true`"
        severity: Severity = "error" if name == "staff" else "warning"
        yield _finding(Place(first, _line_of(configuration, first, name)), "unprotected-listener", text, severity)


def _line_of(configuration: Configuration, file: str, name: str) -> int:
    lines = configuration.files.get(file, "").splitlines()
    inside = next((number for number, line in enumerate(lines, 1) if line.startswith("listeners:")), 1)
    return next((n for n, line in enumerate(lines, 1) if n >= inside and f"{name}:" in line), inside)


def _open_connections(configuration: Configuration, adapters: Adapters) -> Iterator[Finding]:
    for name, spec in configuration.connections.items():
        fields = type(spec.config).model_fields
        if hooks.subscription(adapters[spec.type]) is None or "listener" not in fields:
            continue
        yield from _listening(name, spec, configuration.listeners)


def _listening(name: str, spec: ConnectionSpec, listeners: Mapping[str, Listener]) -> Iterator[Finding]:
    wanted: str | None = spec.config.listener
    if wanted is not None and wanted not in listeners:
        yield _finding(spec.place, "unknown-listener", f"unknown listener `{wanted}`{nearest(wanted, listeners)}")
        return
    if "auth" not in type(spec.config).model_fields:
        return  # it makes sure of its callers by ways of its own, as webhooks do by their signature
    serving = [listeners[wanted]] if wanted is not None else list(listeners.values())
    if all(is_loopback(each) or (each.tls is not None and each.tls.client_ca is not None) for each in serving):
        return
    if spec.config.auth is None:
        text = f"`{name}` listens openly: give it `auth:`, or write `auth: none` if anyone may send"
        yield _finding(spec.place, "open-listener", text)
    elif spec.config.auth == "none":
        yield _finding(spec.place, "open-listener", f"anyone may send to `{name}`: it has `auth: none`", "warning")


def is_loopback(listener: Listener) -> bool:
    """Whether only this machine can reach it."""
    host = listener.address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- routes among each other --------------------------------------------------------------------------------------


def _channels(configuration: Configuration) -> Iterator[Finding]:
    """A route of a channel would never receive anything, and a target could not be reached."""
    text = "no channel of a company is served here: name the connection itself with `connection:`"
    for route in configuration.routes.values():
        if route.source.kind == "channel":
            yield _finding(route.source.place, "no-channel", text)
        for target in every_target(route):
            if target.kind == "channel":
                yield _finding(target.place, "no-channel", text)


def _people(configuration: Configuration) -> Iterator[Finding]:
    """Whoever subscribed by Telegram has a chat with a bot, which is found by the route's targets."""
    text = "`people: telegram` finds chats by the bot: none of the targets is a connection of `type: telegram`"
    for route in configuration.routes.values():
        if route.source.people == "telegram" and not bots_of(route, configuration):
            yield _finding(route.source.place, "no-bot", text)


def _entrances(configuration: Configuration, adapters: Adapters) -> Iterator[Finding]:
    groups: dict[Any, list[RouteConfig]] = {}
    for route in configuration.routes.values():
        if route.source.connection is None:
            continue
        spec = configuration.connections[route.source.connection]
        # Connections of one listener share its paths; other connections share nothing.
        own_paths = getattr(adapters[spec.type], "own_paths", False)
        has_paths = "listener" in type(spec.config).model_fields and not own_paths
        shared = (spec.type, spec.config.listener) if has_paths else (spec.type, spec.name)
        groups.setdefault(shared, []).append(route)
    for (kind, _), routes in groups.items():
        for number, route in enumerate(routes):
            for other in routes[:number]:
                if hooks.collides(adapters[kind], other.source.options, route.source.options):
                    text = f"`{route.name}` would take the messages of `{other.name}` ({other.source.place})"
                    yield _finding(route.source.place, "same-entrance", text)


def _internal(configuration: Configuration) -> Iterator[Finding]:
    routes = configuration.routes
    reached = set()
    for route in routes.values():
        for way in emissions(route):
            reached.add(way.route)
            if routes[way.route].source.kind != "internal":
                text = f"`{way.route}` has a source of its own; only a route of `from: internal` can be emitted to"
                yield _finding(way.place, "not-internal", text)
    if any(step.name == "flow" for route in routes.values() for step in every_step(route)):
        # A flow may emit to any route; what it does is not written here.
        return
    for route in routes.values():
        if route.source.kind == "internal" and route.name not in reached:
            yield _finding(route.place, "unreachable-route", f"nothing emits to `{route.name}`", "warning")


def _circles(configuration: Configuration) -> Iterator[Finding]:
    ways = {name: list(emissions(route)) for name, route in configuration.routes.items()}
    done: set[str] = set()
    for start, leaving in ways.items():
        stack = [(start, iter(leaving))]
        trail = {start: False}
        while stack and start not in done:
            name, left = stack[-1]
            way = next(left, None)
            if way is None:
                stack.pop()
                trail.pop(name, None)
                done.add(name)
            elif way.route in trail:
                circle = [*list(trail)[list(trail).index(way.route) :], way.route]
                conditional = way.conditional or any(trail[each] for each in circle[1:-1])
                text = f"routes lead in a circle: {' → '.join(circle)}"
                yield _finding(way.place, "circle", text, "warning" if conditional else "error")
            elif way.route not in done:
                trail[way.route] = way.conditional
                stack.append((way.route, iter(ways[way.route])))
    for route in configuration.routes.values():
        if route.name in route.source.of:
            yield _finding(route.source.place, "circle", f"`{route.name}` listens to its own outcomes")


# --- one route ----------------------------------------------------------------------------------------------------


def _synchronous(route: RouteConfig, configuration: Configuration, adapters: Adapters) -> Iterator[Finding]:
    if route.reply.mode != "sync":
        return
    if has_step(route, SplitConfig):
        yield _finding(route.place, "misplaced-step", f"`{route.name}` answers its caller, so it cannot `split`")
    if not route.to:
        return
    first = route.to[0]
    kind = configuration.connections[first.connection].type if first.connection else None
    if kind is None or not hooks.is_caller(adapters[kind]):
        text = f"`{first.key}` gives no reply, and the first target of `{route.name}` answers its caller"
        yield _finding(first.place, "not-a-caller", text)


def _times(route: RouteConfig) -> Iterator[Finding]:
    """Holding and expiring concern what leaves the gateway: handing over to a route needs no second try."""
    for target in route.to:
        if target.kind == "route":
            continue
        retry = target.retry or route.retry
        span = longest_span(retry)
        if route.deadline is not None:
            span = min(span, route.deadline)
            if retry.attempts > 1 and route.deadline <= retry.first and route.reply.mode == "async":
                text = f"`deadline:` is {Duration(route.deadline)}, and the second try comes after {retry.first}"
                yield _finding(target.place, "deadline-too-short", text, "warning")
        hold = route.on_stuck.hold
        if route.order_by is not None and hold != "forever" and hold < span:
            text = f"`on_stuck: hold` is {hold}, but the tries of `{target.key}` may last {Duration(round(span))}"
            yield _finding(target.place, "hold-too-short", text)


def _gather(route: RouteConfig) -> Iterator[Finding]:
    if route.gather is not None and not has_step(route, SplitConfig):
        yield _finding(route.gather.place, "gather-without-split", f"`{route.name}` has no `split` to gather")


def _promise(route: RouteConfig, configuration: Configuration, adapters: Adapters) -> Iterator[Finding]:
    promise = promise_of(route, configuration, adapters)
    if not promise.keeps(route.promise):
        text = (
            f"`promise: {route.promise}` is more than its parts keep, which is {promise}: {'; '.join(promise.reasons)}"
        )
        yield _finding(route.place, "promise-too-strong", text)
