"""Commands about the configuration: is it right, what would change, take it up, and what it may say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from pipe.cli.run import Config

Json = Annotated[bool, typer.Option("--json", help="Objects for programs instead of text for people.")]
CONFIG = Path("connections.yaml")
GOOD, WRONG = 0, 1


def lint(
    config: Config = CONFIG,
    promises: Annotated[bool, typer.Option("--promises", help="Also print what each route promises, and why.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as mistakes.")] = False,
    json: Json = False,
) -> None:
    """Finds every mistake in the configuration, one a line: FILE:LINE: CODE text."""
    from pipe.app import catalogue, read_configuration
    from pipe.config.checked import check
    from pipe.config.promise import promise_of

    known = catalogue()
    checked = check(lambda: read_configuration(config, known), known.adapters)
    shown = {}
    if promises and checked.configuration is not None:
        routes = checked.configuration.routes
        shown = {name: promise_of(route, checked.configuration, known.adapters) for name, route in routes.items()}
    if json:
        found = [finding.as_json() for finding in checked.findings]
        say_json(found + [{"route": name, "promise": promise.as_json()} for name, promise in shown.items()])
    else:
        for finding in checked.findings:
            typer.echo(finding)
        for name, promise in shown.items():
            typer.echo("\n  ".join([f"{name}: {promise}", *promise.reasons]))
    leave(wrong=bool(checked.findings if strict else checked.errors))


def say_json(value: Any) -> None:
    """Prints plain values for programs."""
    typer.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def leave(*, wrong: bool) -> None:
    """Ends with 1 where something wrong was found, else with 0."""
    sys.exit(WRONG if wrong else GOOD)


def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; name the pages that are stale.")] = False,
    folder: Annotated[Path, typer.Option("--folder", help="Where the pages are.")] = Path("docs"),
) -> None:
    """Writes the reference pages from the code."""
    from pipe.app import catalogue
    from pipe.cli.root import app
    from pipe.reference import reference, silent, stale

    known = catalogue()
    root = Path(__file__).resolve().parents[2]
    files = reference(known.adapters, known.transformers, known.flows, typer.main.get_command(app), root)
    outdated, wordless = stale(files, folder), silent(known.adapters, known.transformers)
    for name in outdated:
        typer.echo(f"{folder / name}: {'is stale; run `pipe docs`' if check else 'written' if name in files else 'removed'}")
        if not check:
            _bring_up(folder / name, files.get(name))
    for name in wordless:
        typer.echo(f"{name} has no description")
    leave(wrong=bool(wordless or (check and outdated)))


def _bring_up(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def schema() -> None:
    """Prints the JSON Schema of the configuration, for editors."""
    from pipe.app import catalogue
    from pipe.config.editor_schema import editor_schema

    known = catalogue()
    say_json(editor_schema(adapters=known.adapters, transformers=known.transformers, flows=known.flows))


def limits(config: Config = CONFIG, json: Json = False) -> None:
    """Prints every number that bounds something with this configuration, and the key that changes it."""
    from pipe.app import catalogue, read_configuration
    from pipe.reference.limits import in_force

    found = in_force(read_configuration(config, catalogue()))
    if json:
        say_json([limit.as_json() for limit in found])
        return
    width = max((len(limit.where) for limit in found), default=0)
    for limit in found:
        typer.echo(f"{limit.where:<{width}}  {limit.value:>10}  {limit.meaning}")
