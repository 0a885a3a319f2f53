"""Writes test cases as YAML, with what happens today as what is expected."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pipe.config.models import Configuration, Place, RouteTest
from pipe.engine import Catalogue
from pipe.trials.matching import Dumper
from pipe.trials.trial import Tables, run_test

_PASSING = ("text", "place")
"""words and lines may change without a change of what happens"""
_WORD = re.compile(r"[^\W\d_][\w ./-]*")


async def recorded(
    route: str, cases: Iterable[Mapping[str, Any]], configuration: Configuration, catalogue: Catalogue, tables: Tables
) -> str:
    """A file with a test for each case; each passes with the configuration that it was recorded with."""
    tests: list[str] = []
    migrations = tuple(tables)
    for number, case in enumerate(cases, 1):
        written = {"name": f"{route} captured {number}", "route": route, "send": case["send"]}
        if case["replies"]:
            written["replies"] = case["replies"]
        test = RouteTest(written["name"], Place("captured", number), route, case["send"], (), case["replies"])
        result = await run_test(test, configuration, catalogue, migrations)
        written["expect"] = [{key: value for key, value in each.items() if key not in _PASSING} for each in result.got]
        remarks = [
            f"# What {name} answered was not kept: write it under `replies:`, then mend `expect:`."
            for name in case["unknown"]
        ]
        tests.append("\n".join(f"  {line}" for line in [*remarks, *_yaml([written]).splitlines()]))
    return "\n".join(["version: 1", "tests:", *tests, ""])


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=110)


class _Quoting(Dumper):
    """Puts every text in quotes that is no plain word: no reader of YAML can take it for something else."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _WORD.fullmatch(value) else "|" if "\n" in value else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Quoting.add_representer(str, _text)
