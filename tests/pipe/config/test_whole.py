"""The configuration as a whole: lint, promise, plan, scaffold and the editor's schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from pipe.config.difference import difference
from pipe.config.editor_schema import editor_schema
from pipe.config.lint import lint
from pipe.config.models import Configuration
from pipe.config.promise import promise_of
from pipe.config.scaffold import connection_text, route_text
from pipe.config.yaml_source import read_yaml
from pipe.errors import ConfigError
from tests.pipe.config.fakes import ADAPTERS, BASE, FLOWS, TRANSFORMERS, load_text
from tests.pipe.config.test_yaml_source import plain

GOOD = (
    BASE
    + """\
  a:
    from: {connection: site, path: "/a/{id}", methods: [POST], max_body: 1MiB}
    reply:
      mode: sync
      steps: [{map: {name: body.Name, was: request.body.x}}]
      faults: [{when: fault.NotFound, status: 404}]
    order_by: body.phone
    sensitive: [body.phone]
    retry: {attempts: 3}
    steps:
      - decode: json
      - check: s.json
      - choose: [{when: body.x, steps: [{set: {body.y: "'1'"}}]}, {otherwise: []}]
      - filter: body.y
      - enrich: {connection: crm, get: "/p/${params.id}", into: body.person}
      - map: {A: {id: message.id, phone: body.phone, who: body.person.name, kept: body.y}}
      - set: {body.extra: "'e'", headers.x: "'y'"}
      - filter: body.extra
    to:
      - connection: crm
        put: "/x/${body.A.id}"
        success: "status == `200`"
        on_uncertain: {confirm: {connection: crm, get: /q, success: body.ok}}
      - {connection: box, put: "${date}/${message.id}", when: body.A.phone}
      - {route: b, steps: [{map: {id: body.A.id}}], idempotent_by: body.id}
    promise: at-most-once
  b:
    from: internal
    steps: [{split: {items: body, steps: [{map: {ref: item.ref, of: parent.id}}]}}]
    to: {connection: crm, post: /b, idempotent_by: body.ref}
    gather: {within: 1h, steps: [{map: {count: length(body)}}], to: {connection: box, put: x}}
    promise: at-least-once
"""
)
SCHEMA = {
    "$defs": {"phone": {"type": "string"}},
    "allOf": [{"properties": {"x": {"type": "object"}}}],
    "properties": {"phone": {"$ref": "#/$defs/phone"}},
    "additionalProperties": False,
}


def good() -> Configuration:
    """A configuration that uses much and has no mistake."""
    return load_text(GOOD, {"s.json": json.dumps(SCHEMA), "keys": ""})


def promise(text: str, route: str = "a") -> str:
    """The computed promise of a route."""
    configuration = load_text(BASE + text)
    return str(promise_of(configuration.routes[route], configuration, ADAPTERS))


def test_a_good_configuration_has_no_findings() -> None:
    """No rule cries wolf; only the secret that this test does not set is told."""
    assert [finding.code for finding in lint(good(), adapters=ADAPTERS)] == ["secret-missing"]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("{connection: site, path: /a}", "{connection: crm, post: /a}", "at-least-once, duplicates possible"),
        ("{connection: site, path: /a}", "{connection: crm, post: /a, idempotent: true}", "at-least-once"),
        ("{connection: site, path: /a}", "{connection: crm, post: /a, idempotent_by: body.id}", "at-least-once"),
        ("{connection: site, path: /a}", "{connection: crm, put: /a}", "at-least-once"),
        (
            "{connection: site, path: /a}",
            "{connection: crm, put: /a, idempotent: false}",
            "at-least-once, duplicates possible",
        ),
        ("{connection: site, path: /a}", "{connection: crm, post: /a, retry: {attempts: 1}}", "at-most-once"),
        ("{connection: box, get: x}", "{connection: box, put: x}", "at-least-once"),
        ("{connection: box, get: x, qos: 0}", "{connection: box, put: x}", "at-most-once"),
        ("{every: 1m}", "{route: b}", "at-least-once"),
        ("{every: 1m}", "{channel: body.channel}", "at-least-once, duplicates possible"),
    ],
)
def test_the_promise_follows_from_the_parts(source: str, target: str, expected: str) -> None:
    """What each part can keep, the weakest decides."""
    text = f"  a: {{from: {source}, to: {target}}}\n  b: {{from: internal, to: {{connection: crm, post: /b}}}}\n"
    assert promise(text) == expected


def test_a_synchronous_target_is_tried_at_most_once_and_the_others_as_ever() -> None:
    """Only the first one answers."""
    targets = "[{connection: crm, post: /a}, {connection: crm, post: /b}]"
    assert (
        promise(f"  a: {{from: {{connection: site, path: /a}}, reply: sync, to: {targets}}}\n")
        == "at-most-once, duplicates possible"
    )


def test_the_promise_gives_its_reasons() -> None:
    """In words, one for each part."""
    configuration = good()
    made = promise_of(configuration.routes["b"], configuration, ADAPTERS)
    assert made.as_json() == {
        "level": "at-least-once",
        "duplicates": False,
        "reasons": ["crm: the partner de-duplicates by `body.ref`"],
    }


def test_the_same_configuration_has_no_difference_wherever_it_stands() -> None:
    """A comment above moves every line and changes nothing."""
    moved = load_text("# a comment\n" + GOOD, {"s.json": json.dumps(SCHEMA)})
    assert not difference(good(), moved, adapters=ADAPTERS)


def test_a_difference_names_what_was_added_removed_and_changed() -> None:
    """Down to the key, with promises, settings and the files beside."""
    new = GOOD.replace('put: "/x/', 'post: "/x/').replace("attempts: 3", "attempts: 4").replace("path: in", "path: out")
    new = new.replace("  crm:", "  erp: {type: web_client, url: x}\n  crm:").replace(
        "routes:", "limits: {hops: 3}\nroutes:"
    )
    new = new.replace("  b:\n", "  c:\n").replace("route: b", "route: c").replace("    promise: at-most-once\n", "")
    found = difference(good(), load_text(new, {"s.json": "{}"}), adapters=ADAPTERS).as_json()
    assert {key: found[key] for key in ("connections", "routes", "settings", "files", "promises")} == {
        "connections": {"added": ["erp"], "removed": [], "changed": {"box": ["path"]}},
        "routes": {
            "added": ["c"],
            "removed": ["b"],
            "changed": {"a": ["promise", "retry.attempts", "to[0].post", "to[0].put", "to[2].key", "to[2].route"]},
        },
        "settings": ["limits.hops"],
        "files": {"added": [], "removed": [], "changed": {"s.json": [""]}},
        "promises": {},
    }
    json.dumps(found)


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
def test_a_new_connection_lints_clean(kind: str) -> None:
    """Nothing to mend before the first try; only its secrets are to be set."""
    findings = lint(load_text(connection_text("new-one", kind, ADAPTERS)), adapters=ADAPTERS)
    assert {finding.code for finding in findings} <= {"unused-connection", "secret-missing"}


@pytest.mark.parametrize(("source", "target"), [("site", "crm"), ("box", "box"), ("site", "box")])
def test_a_new_route_lints_clean(source: str, target: str) -> None:
    """Between any two connections that can receive and send."""
    first = BASE.replace("routes:\n", "include: [new.yaml]\n")
    text = route_text("new", source=source, target=target, configuration=load_text(BASE), adapters=ADAPTERS)
    findings = lint(load_text(first, {"new.yaml": text}), adapters=ADAPTERS)
    assert {finding.code for finding in findings} <= {"unused-connection", "secret-missing"}


@pytest.mark.parametrize(
    ("source", "target", "text"),
    [("crm", "box", "cannot receive"), ("box", "site", "cannot send"), ("nobody", "box", "known: box")],
)
def test_a_new_route_needs_connections_that_fit(source: str, target: str, text: str) -> None:
    """The error says which cannot what."""
    with pytest.raises(ConfigError, match=text):
        route_text("new", source=source, target=target, configuration=load_text(BASE), adapters=ADAPTERS)


def schema() -> dict[str, Any]:
    """The editor's schema of the fakes."""
    return editor_schema(adapters=ADAPTERS, transformers=TRANSFORMERS, flows=FLOWS)


def test_the_editors_schema_is_a_schema() -> None:
    """Of the dialect that it names."""
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_editor_accepts_what_the_loader_accepts() -> None:
    """No red line under a good configuration."""
    errors = jsonschema.Draft202012Validator(schema()).iter_errors(plain(read_yaml(GOOD, "x.yaml")[0]))
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


@pytest.mark.parametrize(
    ("good_text", "bad_text"),
    [
        ("methods: [POST]", "methodss: [POST]"),
        ("type: web_client", "type: web_clnt"),
        ("url:", "ur:"),
        ("decode: json", "decode: jsn"),
        ("attempts: 3", "attempts: three"),
        ("within: 1h", "within: 1"),
        ("into: body.person", "in: body.person"),
        ("mode: sync", "mode: synch"),
        ("- filter: body.extra", "- fliter: body.extra"),
        ("version: 1", "version: 2"),
    ],
)
def test_the_editor_marks_what_the_loader_refuses(good_text: str, bad_text: str) -> None:
    """Keys, types, formats and units, while one types."""
    text = GOOD.replace(good_text, bad_text)
    assert not jsonschema.Draft202012Validator(schema()).is_valid(plain(read_yaml(text, "x.yaml")[0]))


def undescribed(value: Any, path: str = "") -> list[str]:
    """Keys of a schema that neither say what they are nor refer to what does."""
    if isinstance(value, list):
        return [key for number, inner in enumerate(value) for key in undescribed(inner, f"{path}[{number}]")]
    if not isinstance(value, dict):
        return []
    said = {"description", "$ref", "const", "enum"}
    own = [
        f"{path}.{name}"
        for name, inner in value.get("properties", {}).items()
        if isinstance(inner, dict) and not said & inner.keys()
    ]
    return own + [key for name, inner in value.items() for key in undescribed(inner, f"{path}.{name}")]


def test_every_key_that_the_editor_offers_is_described() -> None:
    """A list of bare words helps nobody."""
    assert undescribed(schema()) == []
