"""`pipe companies`: the list, and the file that would seed it. They are changed by `pipe access found`, `alter`."""

from __future__ import annotations

import sys
from typing import Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json
from pipe.cli.text import rows_of, table

app = typer.Typer(no_args_is_help=True, help="The companies: seeded once from companies.yaml, then kept in the store.")


@app.command("list")
def list_(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """All of them, in the order of their sections."""
    frame = Frame(config, data, json)
    frame.show(frame.ask("companies"), _listed)


@app.command("export")
def export(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """companies.yaml, as it would seed what there is now."""
    frame = Frame(config, data, json)
    found = frame.ask("companies.export")
    if json:
        frame.show(found, str)
    else:
        sys.stdout.write(found["yaml"])


def _listed(found: list[dict[str, Any]]) -> str:
    rows = rows_of(found, "section", "id", "name_uk", "state")
    return table(("section", "company", "name", "state"), rows) or "There are no companies."
