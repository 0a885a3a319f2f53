"""`pipe backup`, `restore`, `erase`: what outlives the gateway, and what must not."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipe.cli.frame import CONFIG, DATA, Config, Data, Frame, Json, LazyWorld, StoreUrl, leave
from pipe.cli.messages import Reason
from pipe.cli.text import Bar, counted, moment, size, table
from pipe.errors import BackupDamaged

Target = Annotated[Path, typer.Argument(help="The file to write; or a folder, then the name tells the time.")]
Source = Annotated[Path, typer.Argument(help="A file that `pipe backup` wrote.")]
Keys = Annotated[
    Path | None, typer.Option("--keys", help="The master key of that time; by default that of the data folder.")
]
CopyKeys = Annotated[
    Path | None,
    typer.Option("--keys", help="Where a copy of the master key goes; with --verify, the key file to read it with."),
]
Verify = Annotated[bool, typer.Option("--verify", help="Write nothing: read that backup through, and compare.")]
Erasures = Annotated[
    list[Path] | None,
    typer.Option("--erasures", help="A list of erasures, beside the one that lies with the backups; may be repeated."),
]
Subject = Annotated[str, typer.Argument(help="Whose data it is: the value of `subject:`, exactly.")]
Pending = Annotated[bool, typer.Option("--pending", help="Discard what is still on its way.")]


def backup(
    target: Target,
    verify: Verify = False,
    keys: CopyKeys = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Copies everything into one sealed file, while the gateway works. Exit code 1 where a body is missing."""
    frame = Frame(config, data, json)
    if verify:
        _verify(target, keys or _own_keys(data), frame)
        return
    found = frame.ask("backup", path=str(target.absolute()), keys=str(keys.absolute()) if keys is not None else None)
    frame.show(found, _backed_up)
    leave(wrong=bool(found["missing"] or found["lists_failed"]))


def restore(
    file: Source,
    keys: Keys = None,
    erasures: Erasures = None,
    config: Config = CONFIG,
    data: Data = DATA,
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Makes a new data folder of a backup. It starts paused and says what it would send again: `pipe resume`."""
    from pipe.control import user_name
    from pipe.operations.restoring import restored

    frame = Frame(config, data, json)
    actor = user_name(os.getuid())
    with Bar(sys.stderr) as bar:
        work = restored(
            file,
            keys or _own_keys(data),
            data,
            erasures or [],
            actor,
            LazyWorld(config),
            store,
            bar.show,
        )
        found = asyncio.run(work)
    frame.show(found, _restored)


def erase(
    subject: Subject,
    reason: Reason = "",
    pending: Pending = False,
    erasures: Erasures = None,
    config: Config = CONFIG,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Wipes a person's data: bodies, keys, outputs, answers, rows of flows. Exit code 1 where some of it waits."""
    frame = Frame(config, data, json)
    lists = [str(path.absolute()) for path in erasures or []]
    found = frame.ask("erase", subject=subject, reason=reason, pending=pending, lists=lists)
    frame.show(found, _erased)
    leave(wrong=bool(found["waiting"] or found["not_noted"]))


def _own_keys(data: Path) -> Path:
    return data / "keys" / "master.keys"


def _verify(file: Path, keys: Path, frame: Frame) -> None:
    from pipe.operations.restoring import verify

    try:
        with Bar(sys.stderr) as bar:
            found = verify(file, keys, bar.show)
    except BackupDamaged as error:
        frame.show({"good": False, "error": error.text}, lambda told: f"It is damaged: {told['error']}.")
        leave(wrong=True)
    frame.show({"good": True, **found}, _whole)


def _backed_up(found: dict[str, Any]) -> str:
    parts = [
        f"{found['file']} holds {counted(found['messages'], 'message')} and {_bodies(found['blobs'])}"
        f" as of {moment(found['made_at'])}, {size(found['bytes'])}; it was read back and is whole."
    ]
    if found["store"] == "postgresql":
        parts.append(
            "The tables are not in it: they are in PostgreSQL. Dump them BEFORE each backup:\n"
            "  pg_dump --format=custom --dbname URL --file FILE"
        )
    if found["keys"] is not None:
        parts.append(f"{found['keys']} is the master key: who has both reads everything, who has one reads nothing.")
    else:
        parts.append(f"Nobody opens it without the master key, {found['key_file']}: keep a copy of that elsewhere.")
    if found["missing"]:
        parts.append(f"MISSING: {_bodies(len(found['missing']))}: the disk has lost them.")
    parts += [
        f"The list of erasures {file} could not be written: {why}." for file, why in found["lists_failed"].items()
    ]
    return "\n".join(parts)


def _whole(found: dict[str, Any]) -> str:
    counts = found["counts"]
    missing = (
        f" {counted(len(found['missing']), 'large body was', 'large bodies were')} missing then."
        if found["missing"]
        else ""
    )
    return (
        f"{found['file']} is whole: {counted(counts['messages'], 'message')},"
        f" {counted(counts['pending'], 'delivery', 'deliveries')} pending, as of {moment(found['made_at'])}.{missing}"
    )


def _restored(found: dict[str, Any]) -> str:
    parts = [f"{found['data']} is restored as of {moment(found['made_at'])}. All of it is paused."]
    if found["erasures"]:
        later = "; the rest follows at the first start" if found["erasures_left"] else ""
        parts.append(f"{counted(found['erasures'], 'erasure')} of since then: {found['wiped']} messages wiped{later}.")
    if found["pending"]:
        columns = ("route", "station", "state", "deliveries", "oldest")
        rows = [[*(row[name] for name in columns[:-1]), moment(row["oldest"])] for row in found["pending"]]
        parts.append(
            "It would send again, though some of it may have arrived since then:\n\n" + table(columns, rows) + "\n"
        )
    else:
        parts.append("Nothing was pending then: it has nothing to send.")
    parts.append("Start it with `pipe run`, look at `pipe status`; `pipe resume` lets it go.")
    return "\n".join(parts)


def _erased(found: dict[str, Any]) -> str:
    parts = [f"{counted(found['messages'], 'message')} wiped; rows and totals stay."]
    if found["discarded"]:
        parts.append(f"{counted(found['discarded'], 'delivery', 'deliveries')} discarded.")
    if found["shared"]:
        parts.append(f"{counted(found['shared'], 'message')} among them held others' data too (files that were split).")
    if found["waiting"]:
        parts.append(
            f"{counted(found['waiting'], 'message')} that hold it among others' data are still on their way:"
            " they are wiped when they are done."
        )
    parts.append("Older backups still hold it; a restore forgets it again" + _where(found))
    return "\n".join(parts)


def _where(found: dict[str, Any]) -> str:
    noted = f": it is noted in {', '.join(found['noted'])}." if found["noted"] else ", if it is told: --erasures FILE."
    failed = "".join(f"\nNOT noted in {file}: {why}." for file, why in found["not_noted"].items())
    return noted + failed


def _bodies(n: int) -> str:
    return counted(n, "large body", "large bodies")
