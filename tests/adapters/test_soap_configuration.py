"""SOAP in the configuration: what follows from the WSDL without being written, and what lint finds."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path

import orjson
import pytest

from pipe.app import catalogue, read_configuration
from pipe.config.findings import ConfigInvalid
from pipe.config.lint import lint
from tests.adapters.soap_bench import FOLDER
from tests.adapters.test_soap_pinning import publisher

KNOWN = catalogue()
YAML = """\
version: 1
connections:
  old: {type: soap_server, wsdl: wsdl/appeals.wsdl, auth: none}
  new: {type: soap_server, wsdl: wsdl/appeals.wsdl, auth: none}
  out: {type: http_client, url: "http://127.0.0.1:1"}
routes:
"""
TO = "to: {connection: out, post: /x, idempotent: true}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with WSDLs beside the configuration."""
    shutil.copytree(FOLDER, tmp_path / "wsdl")
    return tmp_path


def said(folder: Path, *routes: str) -> list[str]:
    """What loading and lint say of these routes, warnings left out."""
    path = folder / "connections.yaml"
    path.write_text(YAML + "".join(f"  {route}\n" for route in routes), encoding="utf-8")
    try:
        found = lint(read_configuration(path, KNOWN), adapters=KNOWN.adapters)
    except ConfigInvalid as error:
        found = error.findings
    return [str(each) for each in found if each.severity == "error"]


def test_a_two_way_operation_is_answered_and_a_one_way_is_not(folder: Path) -> None:
    """Without `reply:`; and the values are read before the first step, without `decode`."""
    one, two = "{connection: old, operation: Remind}", "{connection: old, operation: Register}"
    assert said(folder, f"a: {{from: {one}, {TO}}}", f"b: {{from: {two}, {TO}}}") == []
    configuration = read_configuration(folder / "connections.yaml", KNOWN)
    routes = configuration.routes
    assert {name: route.reply.mode for name, route in routes.items()} == {"a": "async", "b": "sync"}
    assert [step.name for step in routes["a"].steps] == ["decode"]
    assert {"wsdl/appeals.wsdl", "wsdl/common.xsd", "wsdl/names.xsd"} <= set(configuration.files)


def test_a_decode_of_ones_own_is_too_much(folder: Path) -> None:
    """The protocol has read the body already."""
    route = f"a: {{from: {{connection: old, operation: Remind}}, steps: [{{decode: xml}}], {TO}}}"
    assert said(folder, route) == [
        "connections.yaml:7: misplaced-step `decode` has nothing to read: `old` hands over values already"
    ]


def test_two_connections_may_serve_one_operation_and_two_routes_of_one_may_not(folder: Path) -> None:
    """Each connection has an address of its own."""
    old, new = (f"{{connection: {name}, operation: Remind}}" for name in ("old", "new"))
    assert said(folder, f"a: {{from: {old}, {TO}}}", f"b: {{from: {new}, {TO}}}") == []
    (found,) = said(folder, f"a: {{from: {old}, {TO}}}", f"b: {{from: {old}, {TO}}}")
    assert "same-entrance" in found


def test_a_changed_wsdl_is_a_changed_revision(folder: Path) -> None:
    """Also where only an import of an import has changed."""
    route = f"a: {{from: {{connection: old, operation: Remind}}, {TO}}}"
    assert said(folder, route) == []
    before = read_configuration(folder / "connections.yaml", KNOWN).revision
    names = folder / "wsdl" / "names.xsd"
    names.write_text(names.read_text(encoding="utf-8").replace("xs:language", "xs:token"), encoding="utf-8")
    assert read_configuration(folder / "connections.yaml", KNOWN).revision != before


async def test_the_command_pins_and_says_what_it_wrote(tmp_path: Path) -> None:
    """`pipe wsdl pin URL --to FILE`, for people and for programs."""
    async with publisher() as (address, _):
        command = (sys.executable, "-m", "pipe", "wsdl", "pin", f"{address}/appeals.wsdl", "--to", "wsdl/x.wsdl")
        answers = []
        for more in ((), ("--json",)):
            process = await asyncio.create_subprocess_exec(
                *command, *more, cwd=tmp_path, env={"PYTHONPATH": str(Path(__file__).parents[2])},
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            answers.append((await process.communicate())[0])
            assert process.returncode == 0
    assert answers[0].decode().splitlines()[0] == f"wsdl/x.wsdl  written  {address}/appeals.wsdl"
    assert [row["changed"] for row in orjson.loads(answers[1])] == [False] * 3
