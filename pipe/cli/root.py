"""The tree of commands."""

from __future__ import annotations

import typer

from pipe.cli import configuration, run

app = typer.Typer(name="pipe", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help="PIPE: an integration gateway that loses nothing it accepted.")
app.callback()(lambda: None)
app.command("run")(run.run)
app.command("lint")(configuration.lint)
app.command("docs")(configuration.docs)
app.command("schema")(configuration.schema)
app.command("limits")(configuration.limits)
