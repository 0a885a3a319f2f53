"""Expressions that grow out of hand, patterns that take for ever, and YAML that means something else than it says."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

import orjson
import pytest

from pipe.app import catalogue, read_configuration
from pipe.errors import ConfigError
from tests.journeys.attacks import MIB, Siege, forget_peak, memory, most_memory
from tests.journeys.gateway import ROOT

MAPPING_FAILED = (422, "PIPE-3005", "caller.mapping_failed")

# --- I14, I15: what data can make of an expression ----------------------------------------------------------------

under_siege = [
    pytest.mark.journey,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.usefixtures("others_are_served"),
]
MANY = [0] * 50

EXPLOSIONS = [
    pytest.param("doubles", [1], id="eight to the tenth from one line"),
    pytest.param("nests", {"a": [{"b": [{"c": [MANY] * 40}] * 40}] * 40}, id="lists in lists in lists"),
    pytest.param("copies", {"text": "x" * 5_000_000}, id="a long text four thousand times"),
    pytest.param("joins", {"glue": "x" * 100_000, "parts": ["y"] * 1000}, id="a glue of a hundred kilobytes"),
    pytest.param("repeats", {"text": "a" * 100_000, "by": "b" * 100_000}, id="ten gigabytes by replacing"),
    pytest.param(
        "patterns", {"text": "a", "pattern": "((a{1,900}){1,900}){1,900}"}, id="a pattern of 729 million states"
    ),
    pytest.param("patterns", {"text": "a", "pattern": "(" * 500 + "a" + ")" * 500}, id="a pattern of 500 levels"),
    pytest.param("patterns", {"text": "a", "pattern": "(a)(?=b)"}, id="a pattern that looks ahead"),
    pytest.param("patterns", {"text": "a", "pattern": "a" * 2000}, id="a pattern of two thousand signs"),
]


class TestUnderSiege:
    """With the gateway of this file."""

    pytestmark = under_siege

    @pytest.mark.parametrize(("route", "body"), EXPLOSIONS)
    async def test_an_expression_is_bounded(self, siege: Siege, route: str, body: object) -> None:
        """It ends, takes little memory, and says which expression it was."""
        before = memory(siege.pid)
        forget_peak(siege.pid)
        began = time.monotonic()
        told = await siege.ask(f"/pipe/{route}", orjson.dumps(body))
        assert told.verdict == MAPPING_FAILED, told
        assert time.monotonic() - began < 30
        assert most_memory(siege.pid) - before < 100 * MIB

    @pytest.mark.parametrize(
        ("route", "body"),
        [
            ("matches", {"text": "a" * 1_000_000 + "!"}),
            ("patterns", {"text": "a" * 1_000_000 + "!", "pattern": "^(a|aa)+$"}),
            ("patterns", {"text": "a" * 1_000_000 + "!", "pattern": "^(a|a?)+$"}),
            ("patterns", {"text": "x" * 1_000_000, "pattern": "(x+x+)+y"}),
            ("patterns", {"text": "a" * 1_000_000, "pattern": ".*.*.*=.*"}),
        ],
    )
    async def test_no_pattern_takes_for_ever(self, siege: Siege, route: str, body: object) -> None:
        """A million signs against what ruins other engines: an answer within a second."""
        began = time.monotonic()
        told = await siege.ask(f"/pipe/{route}", orjson.dumps(body))
        assert (told.status, orjson.loads(told.body)) == (200, {"out": False})
        assert time.monotonic() - began < 15


# --- I13: YAML ----------------------------------------------------------------------------------------------------

GOOD = """\
version: 1
connections:
  callers: {type: http_server, auth: none}
routes:
  a: {from: {connection: callers, path: /a}, steps: [{decode: json}], to: {route: b}}
  b: {from: internal, steps: [{flow: appeals.digest}]}
"""
LAUGHS = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 10))

YAML = {
    "python object": (GOOD + "x: !!python/object/apply:os.system ['touch TOUCHED']\n", "x: |tag|!!python"),
    "python name": (GOOD + "x: !!python/name:os.system\n", "tag|!!python"),
    "own tag": (GOOD + "x: !thing 1\n", "tag|!thing"),
    "billion laughs": (GOOD + "l0: &l0 ha\n" + LAUGHS + "\n", "alias|anchor"),
    "merge key": (GOOD.replace("version: 1", "base: &b {version: 1}\n<<: *b"), "<<|merge|alias|anchor"),
    "a key twice": (GOOD + "routes: {}\n", "twice|duplicate"),
    "a key twice, inside": (GOOD.replace("path: /a}", "path: /a, path: /b}"), "twice|duplicate"),
    "no is not false": (GOOD.replace("auth: none", "auth: none, breaker: no"), "breaker"),
    "a number for a duration": (GOOD + "defaults: {timeout: {read: 20}}\n", "unit"),
    "octal": (GOOD.replace("version: 1", "version: 01"), "version"),
    "sexagesimal": (GOOD.replace("path: /a}", "path: /a, max_body: 22:30}"), "max_body|size|unit"),
    "two documents": (GOOD + "---\nversion: 1\n", "document"),
    "deep": (GOOD + "x: " + "[" * 5000 + "]" * 5000 + "\n", "deep|nested|levels"),
    "two megabytes": (GOOD + "#" * (2 << 20) + "\n", "large|larger|bytes|MiB"),
    "a tab": (GOOD + "\tx: 1\n", "cannot start any token"),
    "NUL": (GOOD + "x: \x00\n", "character|sign|allowed"),
    "UTF-16": (GOOD.encode("utf-16").decode("latin-1"), "UTF-8|character|utf|encod"),
    "a list on top": ("- version: 1\n", "map|object|keys"),
    "nothing": ("", "empty|version|nothing"),
    "a date": (GOOD.replace("path: /a}", "path: 2026-11-23}"), "path"),
}


def mistakes(file: Path) -> str:
    """What loading a configuration says; nothing where it is good."""
    try:
        read_configuration(file, catalogue())
    except ConfigError as error:
        return "\n".join([str(error), *map(str, getattr(error, "findings", ()))])
    return ""


def test_the_configuration_that_the_traps_are_made_of_is_good(tmp_path: Path) -> None:
    """Each trap below differs from it by one thing."""
    (tmp_path / "good.yaml").write_text(GOOD)
    assert mistakes(tmp_path / "good.yaml") == ""


@pytest.mark.parametrize("name", YAML)
def test_a_trap_of_yaml_is_named(tmp_path: Path, name: str) -> None:
    """It is refused with its file and a word that tells what is wrong; nothing of it is run, and it takes no time."""
    text, word = YAML[name]
    file, began = tmp_path / "trap.yaml", time.monotonic()
    text = text.replace("TOUCHED", str(tmp_path / "touched"))
    file.write_text(text, encoding="latin-1" if name == "UTF-16" else "utf-8")
    words = mistakes(file)
    assert re.search(word, words, re.IGNORECASE), words
    assert "trap.yaml" in words
    assert time.monotonic() - began < 20
    assert not (tmp_path / "touched").exists()


@pytest.mark.journey
async def test_lint_tells_of_a_trap_in_one_line(tmp_path: Path) -> None:
    """The command says FILE:LINE, the code and what is wrong, and ends with 1."""
    text, _ = YAML["billion laughs"]
    (tmp_path / "trap.yaml").write_text(text)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pipe", "lint", "--config", str(tmp_path / "trap.yaml"), cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    words, _ = await process.communicate()
    assert process.returncode == 1, words
    assert re.match(r"\S*trap\.yaml:\d+: ", words.decode()), words
