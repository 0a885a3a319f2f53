"""What all commands share: their options, how they ask the gateway, how they show what it said."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer

from pipe.cli.text import Bar

Config = Annotated[Path, typer.Option("--config", envvar="PIPE_CONFIG", help="The configuration.", show_default=True)]
Data = Annotated[Path, typer.Option("--data", envvar="PIPE_DATA", help="The data folder.", show_default=True)]
Json = Annotated[bool, typer.Option("--json", help="Objects for programs instead of text for people.")]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", envvar="PIPE_STORE", help="URL of a PostgreSQL store instead of the embedded one."),
]
CONFIG, DATA = Path("connections.yaml"), Path("data")
GOOD, WRONG = 0, 1


@dataclass(frozen=True, slots=True)
class Frame:
    """The common options of one command."""

    config: Path = CONFIG
    data: Path = DATA
    json: bool = False

    def ask(self, operation: str, **args: Any) -> Any:
        """The result of an operation; its progress goes to standard error. Raises PipeError."""
        from pipe.control import call

        url = os.environ.get("PIPE_STORE") or None
        with Bar(sys.stderr) as bar:
            return asyncio.run(call(self.data, operation, args, bar.show, world=LazyWorld(self.config), url=url))

    def show(self, result: Any, words: Callable[[Any], str]) -> None:
        """Prints a result: as JSON where that was asked for, else in `words` for people."""
        if self.json:
            say_json(result)
        elif text := words(result):
            typer.echo(text)


class LazyWorld:
    """Reads catalogue and configuration only when an operation asks: most commands on a folder never do."""

    def __init__(self, config: Path) -> None:
        self._config = config
        self._world: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._world is None:
            from pipe.app import Offline

            self._world = Offline(self._config)
        return getattr(self._world, name)


def as_json(value: Any) -> str:
    """Plain values as indented JSON."""
    return orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode()


def say_json(value: Any) -> None:
    """Prints plain values for programs."""
    typer.echo(as_json(value))


def leave(*, wrong: bool) -> NoReturn:
    """Ends with 1 where something wrong was found, else with 0."""
    sys.exit(WRONG if wrong else GOOD)
