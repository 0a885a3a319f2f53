"""The pages cannot go stale: links lead somewhere, configurations load, code is code, commands exist."""

from __future__ import annotations

import re
import shutil
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from pipe.app import catalogue
from pipe.cli.root import app
from pipe.config.checked import check
from pipe.config.loader import load
from pipe.engine import Catalogue
from pipe.testing import MemorySink, MemorySource
from pipe.trials import run_tests
from tests.docs import pages, visits
from tests.docs.pages import ROOT, Block
from tests.docs.tcp_frames import TcpFrames

HARMLESS = {"secret-missing", "unused-connection"}
"""what a page need not bring along: key files, and connections that it only shows"""
OUTSIDE: dict[str, tuple[type[Any], ...]] = {"tcp_frames": (TcpFrames,), "visits": (MemorySource, MemorySink)}


def ids(block: Block) -> str:
    """Where it stands."""
    return block.id


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Relative links name files, and headings, that are there."""
    lost = []
    for link in pages.links(page):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path.replace("\\", "")).resolve() if path else page
        if not target.exists() or (anchor and anchor not in pages.anchors(target)):
            lost.append(link)
    assert lost == []


def known(block: Block) -> Catalogue:
    """The gateway's catalogue, and what the page itself has explained how to add."""
    built_in = catalogue()
    outside = {
        kind.Config.model_fields["type"].default: kind for kind in OUTSIDE.get(block.word.removeprefix("with "), ())
    }
    steps = {step.name: step for step in visits.FLOW.steps} if block.word == "with visits" else {}
    return Catalogue(
        {**built_in.adapters, **outside}, built_in.transformers, {**built_in.flows, **steps}, built_in.as_bytes
    )


@pytest.mark.parametrize("block", pages.every("yaml"), ids=ids)
async def test_every_configuration_is_right_and_its_tests_pass(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that `pipe lint` would call a mistake; `tests:` hold."""
    for name in re.findall(r"\$\{env:(\w+)\}", block.text):
        monkeypatch.setenv(name, "whsec_" + "c2VjcmV0" * 5)
    path = tmp_path / "connections.yaml"
    path.write_text(block.text, encoding="utf-8")
    if "wsdl: wsdl/" in block.text:
        beside = block.page.parent / "wsdl"
        shutil.copytree(beside if beside.exists() else ROOT / "tests" / "adapters" / "wsdl", tmp_path / "wsdl")
    parts = known(block)
    checked = check(
        lambda: load(path, adapters=parts.adapters, transformers=parts.transformers, flows=parts.flows), parts.adapters
    )
    assert [str(found) for found in checked.findings if found.code not in HARMLESS and found.severity == "error"] == []
    assert checked.configuration is not None
    results = await run_tests(checked.configuration, parts, ())
    assert [str(problem) for result in results for problem in result.problems] == []


@pytest.mark.parametrize("block", pages.every("python"), ids=ids)
def test_every_python_block_is_python(block: Block) -> None:
    """It compiles."""
    compile(block.text, block.id, "exec")


@pytest.mark.parametrize("block", pages.every("toml"), ids=ids)
def test_every_toml_block_is_toml(block: Block) -> None:
    """It parses."""
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [block for block in pages.every("python", "yaml") if block.file], ids=ids)
def test_a_block_that_says_which_file_it_is_is_that_file(block: Block) -> None:
    """The file is tested, so the page is."""
    assert block.file is not None
    assert block.text == (ROOT / block.file).read_text(encoding="utf-8")


@cache
def pipe() -> Any:
    """The command with all that it knows; to make it takes a moment, and every page asks."""
    return typer.main.get_command(app)


def commands(block: Block) -> list[list[str]]:
    """The `./dev …` commands of a block, split into words."""
    text = block.text.replace("\\\n", " ")
    return [words.split() for words in re.findall(r"\./dev ([^|;)#\n]*)", text)]


@pytest.mark.parametrize("block", [block for block in pages.every("sh") if commands(block)], ids=ids)
def test_every_command_and_option_exists(block: Block) -> None:
    """`./dev` knows the first word; of `pipe` commands every option is known, too."""
    usage = (ROOT / "dev").read_text(encoding="utf-8")
    for words in commands(block):
        assert f"\n  {words[0]} " in usage
        if words[0] == "pipe":
            command = pipe()
            rest = words[1:]
            while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
                command = command.commands[rest.pop(0)]
            options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in rest if word.startswith("--")} <= options


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_text_exist(page: Path) -> None:
    """Every `pipe COMMAND` in backquotes names a command."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`(?:\./dev )?pipe ([a-z]+)(?: ([a-z][a-z-]*))?", text)
    groups = {name: getattr(each, "commands", {}) for name, each in pipe().commands.items()}
    assert [name for name, _ in named if name not in groups] == []
    assert [f"{name} {sub}" for name, sub in named if sub and groups[name] and sub not in groups[name]] == []
