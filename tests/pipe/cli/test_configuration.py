"""Promises of the commands about the configuration: what they print, and with which code they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipe.cli.root import app
from pipe.errors import ConfigError

GOOD = """version: 1
connections:
  a: {type: http_server, auth: none}
  b: {type: http_client, url: "http://127.0.0.1:1"}
routes:
  r:
    from: {connection: a, path: /x}
    steps: [{decode: json}]
    to: {connection: b, post: /y}
tests:
  - route: r
    send: {body: {id: 1}}
    expect: [{connection: b, body: {id: 1}}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A good configuration."""
    path = tmp_path / "c.yaml"
    path.write_text(GOOD)
    return path


def pipe(*arguments: str | Path) -> Result:
    """What the command line does with these arguments."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_lint_says_that_all_is_well(config: Path) -> None:
    """Nothing for programs on standard output, a word for people beside it, code 0."""
    result = pipe("lint", "--config", config)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{config}: no mistakes\n")


def test_lint_prints_one_finding_a_line(config: Path) -> None:
    """FILE:LINE: CODE text, all mistakes at once, code 1."""
    config.write_text(GOOD.replace("post:", "pst:").replace("path:", "pth:"))
    result = pipe("lint", "--config", config)
    assert result.exit_code == 1
    starts = [line.split(" ", 2)[:2] for line in result.output.splitlines()]
    assert ["c.yaml:7:", "unknown-key"] in starts
    assert ["c.yaml:9:", "unknown-key"] in starts


def test_warnings_fail_only_where_that_is_asked_for(config: Path) -> None:
    """An unused connection is no mistake, unless `--strict`."""
    config.write_text(GOOD.replace("routes:", '  c: {type: http_client, url: "http://127.0.0.1:1"}\nroutes:'))
    assert pipe("lint", "--config", config).exit_code == 0
    assert pipe("lint", "--config", config, "--strict").exit_code == 1


def test_lint_prints_what_routes_promise(config: Path) -> None:
    """With the reasons, for people and for programs."""
    assert "r: at-least-once, duplicates possible" in pipe("lint", "--config", config, "--promises").output
    (shown,) = json.loads(pipe("lint", "--config", config, "--promises", "--json").output)
    assert (shown["route"], shown["promise"]["duplicates"]) == ("r", True)


def test_a_configuration_that_is_not_there_could_not_be_run(tmp_path: Path) -> None:
    """That is no finding: code 2."""
    assert isinstance(pipe("lint", "--config", tmp_path / "none.yaml").exception, ConfigError)


def test_test_ends_well_where_all_pass(config: Path) -> None:
    """A line for each test, and a sum."""
    result = pipe("test", "--config", config)
    assert (result.exit_code, result.output.splitlines()) == (0, ["c.yaml:11: ok r #1", "1 passed, 0 failed"])


def test_test_shows_the_difference(config: Path) -> None:
    """Expected against got, with the place of the test, code 1."""
    config.write_text(GOOD.replace("body: {id: 1}}]", "body: {id: 2}}]"))
    result = pipe("test", "--config", config)
    assert (result.exit_code, result.output.splitlines()[0]) == (1, "c.yaml:11: FAILED r #1")
    assert {"  -  id: 2", "  +  id: 1"} <= set(result.output.splitlines())
    (shown,) = json.loads(pipe("test", "--config", config, "--json").output)
    assert (shown["passed"], shown["problems"][0]["kind"]) == (False, "missing")


@pytest.mark.parametrize("kind", ["http_client", "http_server", "file_folder"])
def test_a_new_connection_lints(tmp_path: Path, kind: str) -> None:
    """What `pipe new connection` prints is a file without mistakes."""
    config = tmp_path / "c.yaml"
    config.write_text(pipe("new", "connection", "fresh", "--type", kind).output)
    result = pipe("lint", "--config", config)
    assert result.exit_code == 0, result.output


def test_a_new_route_lints(config: Path) -> None:
    """What `pipe new route` prints can be included."""
    text = pipe("new", "route", "fresh", "--from", "a", "--to", "b", "--config", config).output
    (config.parent / "fresh.yaml").write_text(text)
    config.write_text(GOOD.replace("version: 1", "version: 1\ninclude: [fresh.yaml]"))
    result = pipe("lint", "--config", config)
    assert result.exit_code == 0, result.output


def test_schema_is_json() -> None:
    """For editors."""
    assert json.loads(pipe("schema").output)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_limits_are_those_in_force(config: Path) -> None:
    """What the configuration says, not only the defaults."""
    config.write_text(GOOD.replace("steps:", "queue: {messages: 7}\n    steps:"))
    shown = {
        limit["where"]: limit["value"] for limit in json.loads(pipe("limits", "--config", config, "--json").output)
    }
    assert (shown["routes.r.queue.messages"], shown["defaults.retry.attempts"]) == ("7", "30")


def test_docs_are_written_then_fresh(tmp_path: Path) -> None:
    """`--check` finds what is missing, and nothing after they were written."""
    before = pipe("docs", "--check", "--folder", tmp_path)
    assert (before.exit_code, "is stale" in before.output) == (1, True)
    assert pipe("docs", "--folder", tmp_path).exit_code == 0
    assert (pipe("docs", "--check", "--folder", tmp_path).exit_code, "") == (0, "")
