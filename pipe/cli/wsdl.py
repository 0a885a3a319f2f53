"""`pipe wsdl`: brings the WSDL of a partner into files, once, and pins it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, Config, Frame, Json

app = typer.Typer(no_args_is_help=True, help="WSDLs of SOAP partners: read from pinned local files only.")
app.callback()(lambda: None)

Url = Annotated[str, typer.Argument(help="Where the WSDL is, `https://host/path?wsdl`.")]
To = Annotated[Path, typer.Option("--to", help="The file to write; what it imports lies beside it.")]
Connection = Annotated[
    str | None, typer.Option("--connection", help="Goes where this connection may go, with its TLS and credentials.")
]
Allow = Annotated[list[str] | None, typer.Option("--allow", help="A further host that imports may come from.")]
Network = Annotated[
    list[str] | None, typer.Option("--network", help="A private or loopback network that names may lead to.")
]


@app.command("pin")
def pin(
    url: Url,
    to: To,
    connection: Connection = None,
    allow: Allow = None,
    network: Network = None,
    config: Config = CONFIG,
    json: Json = False,
) -> None:
    """Fetches a WSDL with all its imports, writes them to files, and pins each by its hash."""
    from pipe.app import pin_wsdl

    frame = Frame(config, json=json)
    done = asyncio.run(pin_wsdl(config, url, to, connection=connection, allow=allow or [], networks=network or []))
    rows = [{"file": str(to.parent / each.file), "url": each.url, "sha256": each.sha256, "changed": each.changed}
            for each in done]  # fmt: skip
    frame.show(rows, _told)


def _told(rows: list[dict[str, Any]]) -> str:
    return "\n".join(f"{row['file']}  {'written' if row['changed'] else 'unchanged'}  {row['url']}" for row in rows)
