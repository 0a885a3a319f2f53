"""Loads a configuration: all files, all mistakes at once, one frozen result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipe.config.alerts import Alerts
from pipe.config.events import EventLog
from pipe.config.files import Files, is_pattern
from pipe.config.findings import ConfigInvalid, nearest
from pipe.config.models import (
    Configuration,
    ConnectionSpec,
    Defaults,
    Exchanges,
    Limits,
    Listener,
    MetricsAccess,
    Retention,
    RouteConfig,
    RouteTest,
)
from pipe.config.reading import Reading
from pipe.config.redirecting import Redirects, redirected
from pipe.config.references import SecretStore
from pipe.config.route_reader import read_route
from pipe.config.sign_in import SignIn
from pipe.config.target_reader import NAME, merged
from pipe.config.traces import Traces
from pipe.config.yaml_source import Node, read_yaml
from pipe.contract import Adapter, FlowStep, Strict, Transformer


class TopKeys(Strict):
    """The first file of a configuration."""

    version: Literal[1] = Field(description="Version of this language.")
    defaults: Defaults = Field(
        default=Defaults(), description="What connections and routes have where they say nothing."
    )
    limits: Limits = Field(default=Limits(), description="What the gateway as a whole may hold.")
    retention: Retention = Field(default=Retention(), description="How long what is finished is kept.")
    exchanges: Exchanges = Field(default=Exchanges(), description="The log of what was exchanged.")
    metrics: MetricsAccess = Field(default=MetricsAccess(), description="Who may read `/metrics`.")
    listeners: dict[str, Listener] = Field(default={}, description="Addresses that the gateway serves HTTP on.")
    sign_in: SignIn = Field(default=SignIn(), description="How staff come in.")
    alerts: Alerts = Field(default=Alerts(), description="What a person must hear of.")
    events: EventLog = Field(default=EventLog(), description="Which integration events are kept, and where they go.")
    traces: Traces | None = Field(
        default=None, description="Where the spans of distributed traces go; without it nowhere."
    )
    include: list[str] = Field(
        default=[], description="More files with connections, routes and tests; `*` stands for any name."
    )
    connections: dict[str, Any] = Field(default={}, description="Whom the gateway talks to, by name.")
    routes: dict[str, Any] = Field(default={}, description="What happens to messages, by name.")
    tests: list[Any] = Field(default=[], description="What `pipe test` sends and expects.")


class IncludedKeys(Strict):
    """A file that another one includes."""

    version: Literal[1] = Field(default=1, description="Version of this language.")
    connections: dict[str, Any] = Field(default={}, description="Whom the gateway talks to, by name.")
    routes: dict[str, Any] = Field(default={}, description="What happens to messages, by name.")
    tests: list[Any] = Field(default=[], description="What `pipe test` sends and expects.")


class TestKeys(Strict):
    """One test of a route: what is sent, and what its targets must get."""

    __test__ = False  # its name is no invitation to pytest

    name: str | None = Field(default=None, description="Names the test; by default its route and number.")
    route: str = Field(description="The route under test.")
    send: Any = Field(default=None, description="The message: `{body, headers, params, query}`.")
    expect: Any = Field(default=None, description="What each target must get, in any order.")
    replies: Any = Field(default=None, description="What stubbed partners answer, by connection.")


_NAMED = ("connections", "routes")


def load(
    path: Path,
    *,
    adapters: Mapping[str, type[Adapter]],
    transformers: Mapping[str, type[Transformer]],
    flows: Mapping[str, FlowStep],
    secrets: SecretStore | None = None,
    files: Mapping[str, str] | None = None,
    redirects: Redirects | None = None,
) -> Configuration:
    """The configuration that starts at `path`.

    `files` (texts by their path relative to the folder of `path`) stand for the disk where a stored revision is loaded
    again; `redirects` lead connections to stand-ins. Raises ConfigInvalid, and nothing else, with every mistake.
    """
    reading = Reading(adapters, transformers, flows, Files(path.parent, files), secrets)
    configuration = _Loader(reading, redirects or {}).configuration(path.name)
    if any(finding.severity == "error" for finding in reading.findings):
        raise ConfigInvalid(reading.findings)
    return configuration


class _Loader:
    """Reads top to bottom: files, names, connections, routes, tests."""

    def __init__(self, reading: Reading, redirects: Redirects) -> None:
        self.reading, self._redirects = reading, redirects
        self.tests: list[Node] = []
        self.connection_nodes: dict[str, Node] = {}
        self._defined: dict[str, Node] = {}

    def configuration(self, name: str) -> Configuration:
        top = self._top(name)
        reading = self.reading
        for connection, node in self.connection_nodes.items():
            written = node.items.get("type")
            reading.connection_types[connection] = (
                written.value
                if written is not None and isinstance(written.value, str) and written.value in reading.adapters
                else None
            )
        for connection, node in self.connection_nodes.items():
            spec = self._connection(connection, node)
            if spec is not None:
                reading.connections[connection] = spec
        routes: dict[str, RouteConfig] = {}
        for route, node in reading.routes.items():
            read = read_route(reading, route, node)
            if read is not None:
                routes[route] = read
        tests = [self._test(node, number) for number, node in enumerate(self.tests, 1)]
        return Configuration(
            connections=reading.connections,
            routes=routes,
            tests=tuple(test for test in tests if test is not None),
            defaults=reading.defaults,
            limits=top.limits,
            retention=reading.retention,
            exchanges=top.exchanges,
            metrics=top.metrics,
            sign_in=top.sign_in,
            alerts=top.alerts,
            events=self._events(top.events),
            traces=top.traces,
            listeners={name: self._located(listener) for name, listener in top.listeners.items()},
            files=reading.files.seen,
            revision=reading.files.revision(),
        )

    # --- files ----------------------------------------------------------------------------------------------------

    def _top(self, name: str) -> TopKeys:
        root = self._file(name, None)
        reading = self.reading
        if "version" not in root.items and root.items:
            reading.note(root, "missing-key", "`version: 1` is missing")
        keys = reading.validated(TopKeys, _shallow(root, version=True), references=True) if root.items else None
        keys = keys or TopKeys(version=1)
        reading.defaults, reading.retention = keys.defaults, keys.retention
        self._gather_names(root)
        for pattern in root.items.get("include", Node(name, 1, 1, [])).entries:
            self._include(pattern, name)
        return keys

    def _file(self, name: str, named_at: Node | None) -> Node:
        try:
            text = self.reading.files.read(name)
        except (ValueError, OSError) as error:
            place = named_at or Node(name, 1, 1, None)
            self.reading.note(place, "file-missing", str(error))
            return Node(name, 1, 1, {})
        root, findings = read_yaml(text, name)
        self.reading.findings += findings
        if not isinstance(root.value, dict):
            self.reading.note(
                root, "bad-value", f"a configuration is a map that begins with `version: 1`; it is {root.kind()}"
            )
            return Node(name, 1, 1, {})
        if not root.items and not findings:
            self.reading.note(root, "missing-key", "the file is empty: `version: 1` is missing")
        return root

    def _include(self, pattern: Node, first: str) -> None:
        if not isinstance(pattern.value, str):
            return
        files = self.reading.files
        try:
            names = files.matching("", pattern.value) if is_pattern(pattern.value) else [files.name("", pattern.value)]
        except (ValueError, OSError, re.error) as error:
            self.reading.note(pattern, "file-missing", f"`{pattern.value}` is no pattern of files: {error}")
            return
        for name in names:
            if name == first:
                continue
            root = self._file(name, pattern)
            self.reading.validated(IncludedKeys, _shallow(root))
            self._gather_names(root)

    def _gather_names(self, root: Node) -> None:
        for block in _NAMED:
            of_file = root.items.get(block, root.only())
            for name, node in of_file.items.items():
                self._define(block, name, node, of_file)
        self.tests += root.items.get("tests", Node(root.file, 1, 1, [])).entries

    def _define(self, block: str, name: str, node: Node, parent: Node) -> None:
        if not NAME.fullmatch(name):
            text = (
                f"`{name}` should have letters, digits, `_`, `-` and `.` only, 64 at most, the first a letter or digit"
            )
            self.reading.note(parent, "bad-name", text, name)
        if name in self._defined:
            other = self._defined[name].place
            text = f"`{name}` is taken already ({other}); routes and connections share their names"
            self.reading.note(parent, "duplicate-name", text, name)
            return
        # The place of a connection or route is its name's, not that of its first key a line below.
        line, column = parent.keys[name]
        placed = Node(node.file, line, column, node.value, node.keys, node.weight)
        self._defined[name] = placed
        (self.connection_nodes if block == "connections" else self.reading.routes)[name] = placed

    # --- parts ----------------------------------------------------------------------------------------------------

    def _connection(self, name: str, node: Node) -> ConnectionSpec | None:
        reading = self.reading
        if not isinstance(node.value, dict) or "type" not in node.items:
            code = "missing-key" if isinstance(node.value, dict) else "bad-value"
            known = ", ".join(sorted(reading.adapters))
            reading.note(node, code, f"`{name}`: a connection is a map with `type:`; known types: {known}")
            return None
        written = node.items["type"]
        if reading.connection_types[name] is None:
            word = str(written.value)
            reading.note(written, "unknown-type", f"unknown type `{word}`{nearest(word, reading.adapters)}")
            return None
        adapter = reading.adapters[str(written.value)]
        node = redirected(node, self._redirects.get(name, {}))
        config: Any = reading.validated(adapter.Config, node, name, references=True)
        if config is None:
            return None
        if config.timeout is not None:
            config = config.model_copy(update={"timeout": merged(reading.defaults.timeout, config.timeout)})
        return ConnectionSpec(name, str(written.value), config, node.place)

    def _located(self, listener: Listener) -> Listener:
        """The listener with its certificates found from the folder of the file that names them."""
        if listener.tls is None:
            return listener
        root = self.reading.files.root
        paths = {key: str(root / value) for key, value in listener.tls.model_dump(exclude_none=True).items()}
        return listener.model_copy(update={"tls": listener.tls.model_copy(update=paths)})

    def _events(self, events: EventLog) -> EventLog:
        """The log with its file found from the folder of the file that names it."""
        if events.file is None:
            return events
        return events.model_copy(update={"file": str(self.reading.files.root / events.file)})

    def _test(self, node: Node, number: int) -> RouteTest | None:
        keys = self.reading.validated(TestKeys, node, "test")
        if keys is None:
            return None
        if keys.route not in self.reading.routes:
            text = f"unknown route `{keys.route}`{nearest(keys.route, self.reading.routes)}"
            self.reading.note(node.items["route"], "unknown-route", text)
        expected = keys.expect if isinstance(keys.expect, list) else [] if keys.expect is None else [keys.expect]
        name = keys.name or f"{keys.route} #{number}"
        return RouteTest(name, node.place, keys.route, keys.send, tuple(expected), keys.replies)


def _shallow(root: Node, *, version: bool = False) -> Node:
    """The file's own keys, the insides of named blocks left for later; their kind is checked all the same."""
    inside: dict[str, Node] = {}
    for key, node in root.items.items():
        if key in (*_NAMED, "tests"):
            empty: Any = {} if isinstance(node.value, dict) else [] if isinstance(node.value, list) else node.value
            # `routes:` with nothing behind it says: none.
            inside[key] = Node(
                node.file, node.line, node.column, ([] if key == "tests" else {}) if empty is None else empty
            )
        else:
            inside[key] = node
    if version and "version" not in inside:
        inside["version"] = Node(root.file, root.line, root.column, 1)
    return Node(root.file, root.line, root.column, inside, root.keys, root.weight)
