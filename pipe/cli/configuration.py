"""Commands about the configuration: is it right, what would change, take it up, and what it may say."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from textwrap import indent
from typing import Annotated

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, leave, say_json


class Orphans(StrEnum):
    """What becomes of deliveries that wait at a station which the new configuration does not have."""

    refuse = "refuse"
    keep = "keep"
    dead = "dead"


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
    from pipe.errors import ConfigError

    if not config.is_file():
        raise ConfigError(f"there is no configuration {config}", hint="name the file with `--config FILE`")
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
        if not checked.findings:
            typer.echo(f"{config}: no mistakes", err=True)
    leave(wrong=bool(checked.findings if strict else checked.errors))


def run_tests_of(
    config: Config = CONFIG,
    route: Annotated[str | None, typer.Option("--route", help="Only the tests of this route.")] = None,
    json: Json = False,
) -> None:
    """Runs the tests of the configuration; partners are stubs, nothing leaves this process."""
    from pipe.app import catalogue, read_configuration, tables
    from pipe.trials import run_tests

    known = catalogue()
    with _quiet():
        results = asyncio.run(run_tests(read_configuration(config, known), known, tables(), route=route))
    if json:
        say_json([result.as_json() for result in results])
    else:
        for result in results:
            typer.echo(f"{result.place}: {'ok' if result.passed else 'FAILED'} {result.name}")
            for problem in result.problems:
                typer.echo(indent(str(problem), "  "))
        bad = sum(not result.passed for result in results)
        typer.echo(f"{len(results) - bad} passed, {bad} failed")
    leave(wrong=not all(result.passed for result in results))


@contextmanager
def _quiet() -> Iterator[None]:
    """The engine's log is of no interest where it runs on a stage."""
    from loguru import logger

    logger.disable("pipe")
    try:
        yield
    finally:
        logger.enable("pipe")


def plan(config: Config = CONFIG, data: Data = DATA, json: Json = False) -> None:
    """Shows what the configuration on disk would change; changes nothing."""
    from pipe.cli.plan_text import plan_text

    frame = Frame(config, data, json)
    found = frame.ask("plan")
    frame.show(found, plan_text)
    leave(wrong=not found["valid"])


def apply(
    config: Config = CONFIG,
    data: Data = DATA,
    orphans: Annotated[
        Orphans, typer.Option("--orphans", help="What becomes of deliveries whose target is removed.")
    ] = Orphans.refuse,
    json: Json = False,
) -> None:
    """Takes up the configuration on disk in the running gateway, whole or not at all."""
    from pipe.cli.plan_text import plan_text

    frame = Frame(config, data, json)
    frame.show(frame.ask("apply", orphans=orphans.value), lambda done: f"{plan_text(done)}\nThis is in force now.")


def capture(
    route: Annotated[str, typer.Argument(help="The route whose messages become tests.")],
    count: Annotated[int, typer.Option("-n", min=1, max=1000, help="So many of the last messages.")] = 20,
    mask: Annotated[bool, typer.Option("--mask/--no-mask", help="Fakes in place of sensitive values.")] = True,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Prints tests made of stored messages, with what the partners answered and what happens today."""
    from pipe.app import catalogue, read_configuration, tables
    from pipe.trials.recording import recorded

    frame = Frame(config, data, json)
    cases = frame.ask("capture", route=route, count=count, masked=mask)
    if json:
        say_json(cases)
        leave(wrong=not cases)
    known = catalogue()
    with _quiet():
        text = asyncio.run(recorded(route, cases, read_configuration(config, known), known, tables()))
    typer.echo(text, nl=False)
    leave(wrong=not cases)


class New(StrEnum):
    """What `pipe new` begins."""

    connection = "connection"
    route = "route"


def new(
    what: Annotated[New, typer.Argument(help="What to begin.")],
    name: Annotated[str, typer.Argument(help="How it is called.")],
    kind: Annotated[str | None, typer.Option("--type", help="Of a connection: which adapter.")] = None,
    source: Annotated[str | None, typer.Option("--from", help="Of a route: the connection it receives from.")] = None,
    target: Annotated[str | None, typer.Option("--to", help="Of a route: the connection it sends to.")] = None,
    config: Config = CONFIG,
) -> None:
    """Prints the beginning of a connection or a route, to be put into a file of its own that `include:` names."""
    from pipe.app import catalogue, read_configuration
    from pipe.config.scaffold import connection_text, route_text
    from pipe.errors import ConfigError

    known = catalogue()
    if what is New.connection:
        if kind is None or kind not in known.adapters:
            raise ConfigError(
                f"a connection needs a type; there are: {', '.join(sorted(known.adapters))}",
                hint=f"pipe new connection {name} --type TYPE",
            )
        typer.echo(connection_text(name, kind, known.adapters), nl=False)
        return
    configuration = read_configuration(config, known)
    if source is None or target is None:
        raise ConfigError(
            f"a route needs a source and a target; connections: {', '.join(sorted(configuration.connections))}",
            hint=f"pipe new route {name} --from CONNECTION --to CONNECTION",
        )
    text = route_text(name, source=source, target=target, configuration=configuration, adapters=known.adapters)
    typer.echo(text, nl=False)


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
        typer.echo(
            f"{folder / name}: {'is stale; run `pipe docs`' if check else 'written' if name in files else 'removed'}"
        )
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
