"""The page that shows with which other SOAP stacks the gateway was seen working, from the table that the tests keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipe.reference.page import code, page

TABLE = "tests/adapters/soap_matrix/matrix.json"
_WIRE = "../../tests/adapters/soap_matrix/wire"
_WSDL = "../../tests/adapters/wsdl"


def soap_page(root: Path) -> str | None:
    """The page; None where the tests are not beside the packages."""
    file = root / TABLE
    if not file.exists():
        return None
    table = orjson.loads(file.read_bytes())
    return page("SOAP: which stacks, which styles, what was seen on the wire", *_parts(table))


def _parts(table: Mapping[str, Any]) -> Iterator[str]:
    rows: Sequence[Mapping[str, Any]] = table["rows"]
    done = sum(isinstance(cell, str) for row in rows for cell in row["cells"].values())
    every = sum(len(row["cells"]) for row in rows)
    wsdls = len({row["wsdl"] for row in rows})
    yield (
        f"Every combination of {wsdls} WSDLs, the versions that they speak, and other people's stacks: {done} of"
        f" {every} are tested, byte for byte; the rest a stack itself cannot do, and a number says why. A mark leads to"
        " the bytes that went over the wire, both ways; their first line names the test that compares them with each"
        " run of the suite. `python -m tests.adapters.soap_matrix` writes them again."
    )
    yield "How to connect SOAP partners: [howto](../howto/soap.md)."
    for wsdl in dict.fromkeys(row["wsdl"] for row in rows):
        of_wsdl = [row for row in rows if row["wsdl"] == wsdl]
        if len({row["feature"] for row in of_wsdl}) > 1:
            yield f"## {of_wsdl[0]['style'].capitalize()}: every feature"
            yield f"WSDL: [{wsdl}]({_WSDL}/{wsdl})."
            yield _table(table, of_wsdl, lambda row: f"{row['version']} | {table['features'][row['feature']]}")
    traits = [row for row in rows if sum(other["wsdl"] == row["wsdl"] for other in rows) <= 2]
    yield "## What schemas do"
    yield "A request and its answer over each:"
    yield _table(
        table, traits, lambda row: f"{row['version']} | [{row['about']}]({_WSDL}/{row['wsdl']}) ({row['style']})"
    )
    yield "## Why not"
    lines = [
        f"{number}. {each['stack']}: {each['text']} ({code(each['test'].rpartition('::')[2])})"
        for number, each in enumerate(table["reasons"], 1)
    ]
    yield "\n".join(lines)


def _table(table: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], named: Callable[[Any], str]) -> str:
    stacks: Mapping[str, Any] = table["stacks"]
    heads = [f"{label} {'calls us' if calls else 'is called'}" for label, calls in stacks.values()]
    lines = ["| SOAP | what | " + " | ".join(heads) + " |", "|---|---|" + "---|" * len(heads)]
    for row in rows:
        cells = [
            f"[✓]({_WIRE}/{cell})" if isinstance(cell, str) else f"[{cell}](#why-not)" for cell in row["cells"].values()
        ]
        lines.append(f"| {named(row)} | {' | '.join(cells)} |")
    return "\n".join(lines)
