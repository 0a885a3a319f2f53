"""No key without a test of what it does, and none whose wrong value says nothing."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipe.app import catalogue, read_configuration, tables
from pipe.config.findings import ConfigInvalid, Finding
from pipe.config.lint import lint
from pipe.trials import run_tests
from tests.keys.catalogue import REFUSED, every_key
from tests.keys.wrong import PING, configuration
from tests.keys.wrong_values import FREE, WRONG, WRONG_IN_TESTS

ROOT = Path(__file__).parents[1]
KNOWN = catalogue()
KEYS = every_key()
TRIAL = """\
version: 1
connections:
  a: {type: http_server, auth: none}
  b: {type: http_client, url: "http://127.0.0.1:1"}
routes:
  r: {from: {connection: a, path: /x}, to: {connection: b, post: /x, idempotent: true}}
tests:
  - {route: r, %s}
"""


def claimed() -> Iterator[str]:
    """The keys in the `key` markers of all tests."""
    for path in ROOT.rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        if "mark.key(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.key":
                    yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def findings_of(text: str, folder: Path, files: dict[str, str]) -> list[Finding]:
    """What loading finds; where it finds nothing, what lint finds."""
    for name, content in {"connections.yaml": text, "ping.wsdl": PING, **files}.items():
        (folder / name).write_text(content, encoding="utf-8")
    try:
        return lint(read_configuration(folder / "connections.yaml", KNOWN), adapters=KNOWN.adapters)
    except ConfigInvalid as error:
        return error.findings


def test_every_key_has_a_test_that_shows_what_it_does() -> None:
    """Whoever adds a key to a model marks the test of its effect with `@pytest.mark.key("block.key")`."""
    assert sorted(KEYS - REFUSED - set(claimed())) == []


def test_no_test_claims_a_key_that_is_not_there() -> None:
    """A key that was renamed or removed takes its claims along."""
    assert sorted(set(claimed()) - KEYS) == []


def test_every_key_has_a_wrong_value() -> None:
    """Each key stands in one of the tables, and the tables name no other."""
    assert sorted(KEYS ^ (WRONG.keys() | WRONG_IN_TESTS.keys() | FREE)) == []


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_a_key_that_nothing_serves_is_refused(tmp_path: Path, key: str) -> None:
    """No route waits in silence for messages that cannot come."""
    written, line = configuration(key, {"channel": "telegram", "max_body": "1MiB"}[key.rpartition(".")[2]])
    said = [str(finding) for finding in findings_of(written, tmp_path, {})]
    assert [each for each in said if each.startswith(f"connections.yaml:{line - 1}: no-channel")], said


@pytest.mark.parametrize("key", sorted(WRONG))
def test_a_wrong_value_is_told_with_its_place(tmp_path: Path, key: str) -> None:
    """The finding names file and line of the value, has the code, and says what is wrong."""
    value, code, text = WRONG[key]
    if key.startswith("include."):
        name, line = "more.yaml", 1
        files = {name: f"{key.removeprefix('include.')}: {value}\n"}
        found = findings_of("version: 1\ninclude: [more.yaml]\n", tmp_path, files)
    else:
        name, files = "connections.yaml", {}
        written, line = configuration(key, value)
        found = findings_of(written, tmp_path, files)
    said = [str(finding) for finding in found]
    assert [each for each in said if each.startswith(f"{name}:{line}: {code}") and text in each], said


@pytest.mark.parametrize("key", sorted(WRONG_IN_TESTS))
def test_a_wrong_test_of_a_route_is_told_with_its_place(tmp_path: Path, key: str) -> None:
    """`pipe test` fails that test, names its line and says what is wrong with it."""
    value, text = WRONG_IN_TESTS[key]
    path = tmp_path / "connections.yaml"
    path.write_text(TRIAL % value, encoding="utf-8")
    (result,) = asyncio.run(run_tests(read_configuration(path, KNOWN), KNOWN, tables()))
    assert str(result.place) == "connections.yaml:8"
    assert [problem for problem in result.problems if text in str(problem)], result.problems
