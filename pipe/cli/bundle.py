"""`pipe bundle`: what a helper needs, in one file."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, as_json
from pipe.cli.text import counted
from pipe.errors import BadRequest


def bundle(
    file: Annotated[Path, typer.Argument(help="The ZIP file to write; it must not be there yet.")],
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Packs what somebody needs who helps: state, books, configuration, alerts, events, the latest exchanges, versions.

    No bodies, no words of partners, no secrets. Look into it before you send it: the names of your partners are in it.
    """
    frame = Frame(config, data, json)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadRequest(f"{file} cannot be written: {error.strerror}") from error
    try:
        found: dict[str, Any] = frame.ask("bundle")
        with os.fdopen(descriptor, "wb") as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in found.items():
                archive.writestr(name, content if isinstance(content, str) else as_json(content))
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    told = {"file": str(file), "files": sorted(found), "bytes": file.stat().st_size}
    frame.show(told, lambda _: f"{counted(len(found), 'file')} packed into {file}.")
