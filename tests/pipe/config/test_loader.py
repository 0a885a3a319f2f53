"""What a whole configuration becomes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.config.difference import difference
from pipe.config.findings import ConfigInvalid
from pipe.config.lint import lint
from pipe.config.models import ChooseConfig, EnrichConfig, FlowConfig, SplitConfig, TapConfig
from pipe.contract import Duration
from tests.pipe.config.fakes import ADAPTERS, BASE, load_file, load_text

TO = "    to: {connection: crm, post: /a}\n"
ROUTE = BASE + "  a:\n    from: {connection: site, path: /a}\n"


@pytest.mark.key(
    "top.defaults",
    "top.defaults.retry",
    "top.defaults.timeout",
    "connections.timeout",
    "routes.retry",
    "to.retry",
)
def test_defaults_fill_what_a_connection_and_a_route_leave_out() -> None:
    """Key by key: what is written wins, the rest comes from the block above."""
    configuration = load_text("""\
version: 1
defaults: {timeout: {connect: 1s, read: 2s}, retry: {attempts: 7, first: 2s}}
connections:
  crm: {type: web_client, url: a, timeout: {read: 9s}}
  box: {type: folder, path: in}
routes:
  a:
    from: {every: 5m}
    retry: {first: 3s}
    to:
      - {connection: crm, post: /a, retry: {factor: 2}}
      - {connection: box, put: x}
""")
    timeout, route = configuration.connections["crm"].config.timeout, configuration.routes["a"]
    assert [float(pause) for pause in (timeout.connect, timeout.read, timeout.total)] == [1, 9, 30]
    assert (route.retry.attempts, float(route.retry.first), route.retry.factor) == (7, 3, 3)
    assert route.to[0].retry == route.retry.model_copy(update={"factor": 2.0})
    assert route.to[1].retry is None


@pytest.mark.key("to.name")
def test_targets_are_keyed_by_connection_by_number_and_by_name() -> None:
    """The keys stay the same as long as the order of equal ones does."""
    text = "    to: [{connection: crm}, {connection: box, put: x}, {connection: crm}, {connection: crm, name: late}]\n"
    assert [target.key for target in load_text(ROUTE + text).routes["a"].to] == ["crm", "box", "crm#2", "late"]


def test_the_engines_own_steps_become_their_classes() -> None:
    """Each with its path in the YAML."""
    steps = (
        load_text(
            ROUTE
            + """\
    steps:
      - choose: [{when: body.x, steps: [{decode: json}]}, {otherwise: [{decode: xml}]}]
      - enrich: {connection: crm, get: "/p/${body.id}", into: body.person, success: body.ok}
      - tap: {route: b}
      - split: {items: body, steps: [{map: {a: item.b}}]}
      - flow: chat.receive
  b: {from: internal, to: {connection: crm, post: /b}}
"""
        )
        .routes["a"]
        .steps
    )
    kinds = [ChooseConfig, EnrichConfig, TapConfig, SplitConfig, FlowConfig]
    assert [type(step.config) for step in steps] == kinds
    assert [step.path for step in steps] == [f"routes.a.steps[{number}]" for number in range(5)]
    assert steps[0].config.branches[1][1][0].path == "routes.a.steps[0].choose[1].otherwise[0]"


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("{connection: site, path: /x}", "connection"),
        ("{schedule: '0 6 * * *'}", "schedule"),
        ("{every: 5m}", "every"),
        ("internal", "internal"),
        ("{outcome: [dead, expired], of: [a]}", "outcome"),
        ("{channel: telegram}", "channel"),
    ],
)
def test_every_kind_of_source_is_read(written: str, kind: str) -> None:
    """The word and the keys of the design."""
    configuration = load_text(ROUTE + TO + f"  b:\n    from: {written}\n" + TO)
    assert configuration.routes["b"].source.kind == kind


@pytest.mark.key("reply.mode")
@pytest.mark.parametrize(
    ("connection", "reply", "mode"),
    [("site", "", "async"), ("site", "reply: sync", "sync"), ("two", "", "sync"), ("two", "reply: async", "async")],
)
def test_what_is_not_written_about_the_reply_follows_the_adapter(connection: str, reply: str, mode: str) -> None:
    """Async, but where the adapter's callers await an answer; what is written always wins."""
    base = BASE.replace("  site:", "  two: {type: two_way}\n  site:")
    text = f"  a:\n    from: {{connection: {connection}, path: /a}}\n    {reply}\n" + TO
    assert load_text(base + text).routes["a"].reply.mode == mode


def test_a_route_may_end_in_a_flow() -> None:
    """Then it needs no target."""
    assert load_text(ROUTE + "    steps: [{flow: chat.receive}]\n").routes["a"].to == ()


@pytest.mark.key("top.version")
def test_routes_may_be_absent_or_empty() -> None:
    """A gateway without routes is a beginning."""
    assert [load_text(text).routes for text in ("version: 1\n", "version: 1\nroutes:\n")] == [{}, {}]


def test_key_order_has_no_meaning() -> None:
    """Routes before connections, includes last: the same configuration."""
    connections = "connections: {crm: {type: web_client, url: a}}"
    lines = ["version: 1", connections, "routes: {a: {from: {every: 1h}, to: {connection: crm}}}"]
    one, other = load_text("\n".join(lines)), load_text("\n".join(reversed(lines)))
    assert not difference(one, other, adapters=ADAPTERS)


@pytest.mark.key(
    "top.include",
    "top.connections",
    "top.routes",
    "top.tests",
    "include.connections",
    "include.routes",
    "include.tests",
)
def test_includes_bring_connections_routes_and_tests(tmp_path: Path) -> None:
    """Globs start at the first file; names of files are relative to it, and so are paths within an included file."""
    (tmp_path / "flows" / "chat").mkdir(parents=True)
    (tmp_path / "connections.yaml").write_text("version: 1\ninclude: [flows/*/routes.yaml]\n", encoding="utf-8")
    (tmp_path / "flows" / "chat" / "schema.json").write_text("{}", encoding="utf-8")
    (tmp_path / "flows" / "chat" / "routes.yaml").write_text(
        "connections: {crm: {type: web_client, url: a}}\n"
        "routes:\n  a: {from: {every: 1h}, steps: [{check: schema.json}], to: {connection: crm}}\n"
        "tests:\n  - {route: a, send: {}, expect: {connection: crm}}\n",
        encoding="utf-8",
    )
    configuration = load_file(tmp_path / "connections.yaml")
    assert (list(configuration.connections), str(configuration.routes["a"].place)) == (
        ["crm"],
        "flows/chat/routes.yaml:3",
    )
    assert sorted(configuration.files) == ["connections.yaml", "flows/chat/routes.yaml", "flows/chat/schema.json"]
    assert [(test.name, test.expect) for test in configuration.tests] == [("a #1", ({"connection": "crm"},))]


def test_a_stored_revision_loads_without_the_disk() -> None:
    """All that was read is enough to read it again: the same revision, the same routes."""
    files = {
        "flows/a/routes.yaml": "routes: {a: {from: {every: 1h}, steps: [{check: s.json}], to: {connection: crm}}}\n",
        "flows/a/s.json": "{}",
        "flows/a/b/routes.yaml": "version: 9\n",
    }
    first = "version: 1\ninclude: [flows/*/routes.yaml]\nconnections: {crm: {type: web_client, url: a}}\n"
    once = load_text(first, files)
    again = load_text(once.files["connections.yaml"], once.files)
    assert (again.revision, again.routes, "flows/a/b/routes.yaml" in once.files) == (once.revision, once.routes, False)


def test_the_revision_changes_with_every_file_that_was_read() -> None:
    """A schema is part of it, a file that nobody reads is not."""
    text = ROUTE + "    steps: [{check: s.json}]\n" + TO
    revisions = [
        load_text(text, {"s.json": content, "other": other}).revision
        for content, other in (("{}", ""), ("{ }", ""), ("{}", "x"))
    ]
    assert (revisions[0] != revisions[1], revisions[0] == revisions[2], len(revisions[0])) == (True, True, 12)


def test_an_included_file_may_only_add(tmp_path: Path) -> None:
    """Limits and listeners stand in the first file, where one looks for them."""
    with pytest.raises(ConfigInvalid, match="unknown key `limits`"):
        load_text("version: 1\ninclude: [more.yaml]\n", {"more.yaml": "limits: {hops: 3}\n"})


def test_a_name_in_two_files_names_both_places() -> None:
    """The reader sees where the other one stands."""
    more = "connections: {crm: {type: web_client, url: a}}\n"
    with pytest.raises(ConfigInvalid) as caught:
        load_text("version: 1\ninclude: [more.yaml]\n" + more, {"more.yaml": more})
    (finding,) = caught.value.findings
    assert (finding.file, finding.line, finding.code) == ("more.yaml", 1, "duplicate-name")
    assert finding.text.startswith("`crm` is taken already (connections.yaml:3)")


@pytest.mark.key("top.listeners")
def test_certificates_are_found_from_the_file_that_names_them(tmp_path: Path) -> None:
    """Wherever the gateway was started."""
    path = tmp_path / "connections.yaml"
    text = "version: 1\nlisteners: {public: {address: '0.0.0.0:1', tls: {cert: tls/c.pem, key: /k.pem}}}\n"
    path.write_text(text, encoding="utf-8")
    tls = load_file(path).listeners["public"].tls
    assert tls is not None
    assert (tls.cert, tls.key, tls.client_ca) == (str(tmp_path / "tls/c.pem"), "/k.pem", None)


def test_a_missing_first_file_is_a_finding(tmp_path: Path) -> None:
    """Not a traceback."""
    with pytest.raises(ConfigInvalid, match=r"`nowhere\.yaml` cannot be read"):
        load_file(tmp_path / "nowhere.yaml")


def test_bytes_that_are_no_text_are_a_finding(tmp_path: Path) -> None:
    """Windows-1251 in a comment is told with its place."""
    path = tmp_path / "connections.yaml"
    path.write_bytes("version: 1 # привіт".encode("cp1251"))
    with pytest.raises(ConfigInvalid, match="is not UTF-8 text: byte 13"):
        load_file(path)


def test_every_place_is_the_line_of_its_name() -> None:
    """Errors and `explain` point at what a reader looks for."""
    configuration = load_text(ROUTE + "    to:\n      - connection: crm\n        retry: {first: 1s}\n")
    route = configuration.routes["a"]
    assert (
        configuration.connections["crm"].place.line,
        route.place.line,
        route.source.place.line,
        route.to[0].place.line,
    ) == (4, 7, 8, 10)


def test_max_body_is_the_engines_and_ten_mebibytes_by_default() -> None:
    """Adapters never see it."""
    default = load_text(ROUTE + TO).routes["a"].source
    small = load_text(ROUTE.replace("path: /a", "path: /a, max_body: 1MiB") + TO).routes["a"].source
    assert (default.max_body, small.max_body, hasattr(small.options, "max_body")) == (10 << 20, 1 << 20, False)


def test_forever_is_a_hold_too() -> None:
    """A word beside the durations."""
    route = load_text(ROUTE + "    on_stuck: {hold: forever}\n" + TO).routes["a"]
    other = load_text(ROUTE + "    on_stuck: {hold: 2h}\n" + TO).routes["a"]
    assert (route.on_stuck.hold, other.on_stuck.hold) == ("forever", Duration(7200))


_WORDS = st.sampled_from(
    [
        *("version", "connections", "routes", "tests", "include", "defaults", "listeners", "limits", "retention"),
        *(
            "type",
            "web_server",
            "web_client",
            "folder",
            "url",
            "auth",
            "bearer",
            "timeout",
            "read",
            "5s",
            "1",
            "true",
            "~",
        ),
        *(
            "from",
            "to",
            "connection",
            "site",
            "crm",
            "steps",
            "choose",
            "when",
            "otherwise",
            "split",
            "items",
            "flow",
            "tap",
        ),
        *(
            "enrich",
            "into",
            "confirm",
            "on_uncertain",
            "gather",
            "within",
            "reply",
            "sync",
            "every",
            "schedule",
            "route",
        ),
        *(
            "internal",
            "outcome",
            "of",
            "map",
            "set",
            "filter",
            "check",
            "decode",
            "json",
            "body.x",
            "${env:X}",
            "${file:x}",
        ),
        *("a ++", "'x'", "order_by", "idempotency", "key", "*", "**", "../*", "/", "[", "key: x", "&a b", "*a", "!t x"),
    ]
)


def _yaml_of(value: object, depth: int = 0) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_yaml_of(inner)}" for key, inner in value.items()) + "}"
    return "[" + ", ".join(_yaml_of(inner) for inner in value) + "]" if isinstance(value, list) else str(value)


_TREES = st.recursive(
    _WORDS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_WORDS, inner, max_size=5)),
    max_leaves=25,
)


def _loads_or_says_why(text: str) -> None:
    try:
        lint(load_text(text), adapters=ADAPTERS)
    except ConfigInvalid as error:
        assert any(finding.severity == "error" for finding in error.findings)  # noqa: PT017 - loading well is right too


@given(st.text(max_size=200))
def test_no_text_makes_loading_fail_otherwise_than_by_findings(text: str) -> None:
    """Arbitrary bytes of a text editor."""
    _loads_or_says_why(text)


@given(st.dictionaries(_WORDS, _TREES, max_size=6))
def test_no_tree_makes_loading_fail_otherwise_than_by_findings(tree: dict[str, object]) -> None:
    """The right words in the wrong places."""
    _loads_or_says_why(_yaml_of({"version": 1, **tree}))


@given(_TREES, _TREES)
def test_no_route_makes_loading_fail_otherwise_than_by_findings(connection: object, route: object) -> None:
    """The right words in the wrong places of one connection and one route."""
    _loads_or_says_why(f"version: 1\nconnections: {{site: {_yaml_of(connection)}}}\nroutes: {{a: {_yaml_of(route)}}}\n")


def test_three_hundred_routes_load_in_less_than_two_seconds() -> None:
    """A reload is no pause: a quarter of a second was measured."""
    one = """\
  r{n}:
    from: {{connection: site, path: /a{n}, methods: [POST], max_body: 1MiB}}
    order_by: body.x.y
    steps:
      - decode: json
      - map: {{a: body.x, b: body.y, c: "join('', [body.z, 'a'])"}}
      - choose: [{{when: body.x, steps: [{{set: {{body.y: "'1'"}}}}]}}, {{otherwise: []}}]
    to:
      - {{connection: crm, post: /x, success: "status == `200`"}}
      - {{connection: box, put: "a/${{message.id}}"}}
"""
    text = BASE + "".join(one.format(n=number) for number in range(300))
    started = time.process_time()
    configuration = load_text(text)
    assert (len(configuration.routes), time.process_time() - started < 2) == (300, True)
