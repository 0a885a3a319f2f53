"""Who reads which field is told by the expressions' own trees, through every step that moves a value elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipe.app import catalogue, read_configuration
from pipe.config.lint import lint
from pipe.config.readers import Use, uses_of
from pipe.outline import overlap

KNOWN = catalogue()
HEAD = """\
version: 1
connections:
  web: {type: http_server, auth: none}
  crm: {type: http_client, url: "http://127.0.0.1:1"}
  box: {type: file_folder, path: box}
routes:
"""
SCHEMA = '{"type": "object", "properties": {"sum": {"type": "number"}}, "additionalProperties": false}'


def used(folder: Path, routes: str) -> list[Use]:
    """The uses of a configuration with these routes."""
    (folder / "c.yaml").write_text(HEAD + routes, encoding="utf-8")
    (folder / "s.json").write_text(SCHEMA, encoding="utf-8")
    return uses_of(read_configuration(folder / "c.yaml", KNOWN))


def steps(uses: list[Use], connection: str, path: str) -> set[str]:
    """The steps that read a field of a connection's messages or answers."""
    mine = [use for use in uses if use.origin.connection == connection and not use.makes]
    return {use.step for use in mine if overlap(use.path, path)}


@pytest.mark.parametrize(
    ("of_route", "connection", "path", "readers"),
    [
        ("order_by: body.x.y", "web", "body.x", {"routes.r order_by"}),
        ("sensitive: [body.x]", "web", "body.x.y", {"routes.r sensitive"}),
        ('steps: [{filter: "body.x == `1`"}]', "web", "body.x", {"routes.r.steps[0] filter"}),
        ("steps: [{map: {a: body.x}}]", "web", "body.z", set()),
        ("steps: [{map: {a: 'body.list[?k == `1`].x'}}]", "web", "body.list.x", {"routes.r.steps[0] map"}),
        ("steps: [{map: {a: body.x}}, {map: {b: body.a}}]", "web", "body.x",
         {"routes.r.steps[0] map", "routes.r.steps[1] map"}),
        ("steps: [{map: {a: body.x}}, {map: {b: body.x}}]", "web", "body.x", {"routes.r.steps[0] map"}),
        ("steps: [{set: {body.x: \"'1'\"}}, {map: {b: body.x}}]", "web", "body.x", set()),
        ("steps: [{check: s.json}]", "web", "body.sum", {"routes.r.steps[0] check"}),
        ("steps: [{check: s.json}]", "web", "body.other", set()),
        ("steps: [{table: {group: region, sum: [amount]}}]", "web", "body.amount", {"routes.r.steps[0] table"}),
        ('steps: [{enrich: {connection: crm, get: "/${body.x}", into: body.p}}, {map: {n: body.p.name}}]', "crm",
         "body.name", {"routes.r.steps[1] map"}),
        ('steps: [{enrich: {connection: crm, get: "/${body.x}", into: body.p}}, {map: {n: body.p.name}}]', "web",
         "body.p", set()),
        ("steps: [{split: {items: body.rows, steps: [{map: {s: item.sum, t: body.tax}}]}}]", "web", "body.rows.tax",
         {"routes.r.steps[0].split.steps[0] map", "routes.r.steps[0] split"}),
        ("steps: [{choose: [{when: body.k, steps: [{map: {a: body.x}}]}, {otherwise: [{map: {a: body.y}}]}]}]", "web",
         "body.y", {"routes.r.steps[0].choose[1].otherwise[0] map"}),
    ],
)  # fmt: skip
def test_each_way_to_read_a_field_is_found(
    tmp_path: Path, of_route: str, connection: str, path: str, readers: set[str]
) -> None:
    """And nothing that reads another."""
    text = f"""  r:
    from: {{connection: web, path: /x}}
    {of_route}
    to: {{connection: box, put: out}}
"""
    found = steps(used(tmp_path, text), connection, path)
    assert found == readers


def test_targets_answers_and_other_routes_are_followed(tmp_path: Path) -> None:
    """A template, `success:`, the reply, the faults, and the routes inside that a message goes on to."""
    text = """  sync:
    from: {connection: web, path: "/x"}
    reply: {mode: sync, steps: [{map: {n: body.name}}], faults: [{when: body.code, status: 404}]}
    to: {connection: crm, get: "/p/${body.id}", success: "body.state == 'ok'"}
    steps: [{tap: {route: inside}}]
  inside:
    from: internal
    steps: [{map: {phone: body.phone}}]
    to: {connection: crm, post: /inside}
"""
    found = used(tmp_path, text)
    assert steps(found, "web", "body.id") == {"routes.sync.to crm"}
    assert steps(found, "web", "body.phone") == {"routes.inside.steps[0] map"}
    assert steps(found, "crm", "body.name") == {"routes.sync.reply.steps[0] map"}
    assert steps(found, "crm", "body.code") == {"routes.sync.reply faults"}
    assert steps(found, "crm", "body.state") == {"routes.sync.to crm"}
    made = {(use.step, use.path) for use in found if use.makes}
    assert made == {
        ("routes.sync.to crm", ""),
        ("routes.inside.to crm", ""),
        ("routes.inside.steps[0] map", "body.phone"),
    }
    assert {use.place for use in found if use.path == "body.phone"} == {"c.yaml:14"}


def test_lint_holds_paths_against_the_schema_of_the_real_step(tmp_path: Path) -> None:
    """What the schema does not have is told with the line."""
    text = """  r:
    from: {connection: web, path: /x}
    steps: [{decode: json}, {check: s.json}, {map: {a: body.sun}}]
    to: {connection: crm, post: /x}
"""
    used(tmp_path, text)
    found = lint(read_configuration(tmp_path / "c.yaml", KNOWN), adapters=KNOWN.adapters)
    [wrong] = [str(each) for each in found if each.code == "unknown-path"]
    assert wrong.startswith("c.yaml:9: unknown-path `body.sun` asks for `body.sun`, which `s.json` does not have.")
