"""What doctor looks at once it has signed in: the folders of the routes. Nothing is written, renamed or left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from adapters.files.finding import fixed
from adapters.files.keys import FileSubscription, FileTarget
from adapters.files.remote import Missing, Remote, Segments, shown
from pipe.contract import Rung
from pipe.errors import PipeError

Asks = Callable[[Segments], Awaitable[Rung | None]]
"""what the protocol tells of our right to rename and write in a folder; None: it does not tell"""

_MAKE = "make the folder, or ask the partner to; check `folder:` of the connection and the path of the route"


async def rights(remote: Remote, uses: Sequence[Any], asks: Asks) -> AsyncIterator[Rung]:
    """A rung for each folder that is read from or written to; ends after one that fails."""
    done: set[tuple[str, Segments]] = set()
    for use in uses:
        name = "list" if isinstance(use, FileSubscription) else "put"
        at = fixed(use.pattern) if isinstance(use, FileSubscription) else _fixed(use)
        if (name, at) in done:
            continue
        done.add((name, at))
        failed = False
        async for rung in _folder(remote, name, at, use, asks):
            failed = failed or rung.state == "fail"
            yield rung
        if failed:
            return


async def _folder(remote: Remote, name: str, at: Segments, use: Any, asks: Asks) -> AsyncIterator[Rung]:
    where = shown(at) or "the folder"
    try:
        entries = await remote.entries(at)
    except Missing:
        if name == "list" or not at:
            yield Rung(name, "fail", f"{where} is not there, or may not be seen", _MAKE)
            return
        yield Rung(name, "ok", f"{where} is not there yet; it is made with the first file")
        at, where = await _above(remote, at)
    except PipeError as error:
        yield Rung(name, "fail", error.text, error.hint)
        return
    else:
        files = sum(entry.kind == "file" for entry in entries)
        yield Rung("list", "ok", f"{where} can be listed: {files} files, {len(entries) - files} folders")
    if isinstance(use, FileSubscription) and use.after == "keep":
        return
    try:
        told = await asks(at)
    except Missing as error:
        told = Rung("rename", "fail", f"{where}: {error}", "ask the partner to let this user rename there")
    except PipeError as error:
        told = Rung("rename", "fail", error.text, error.hint)
    yield told or Rung(
        "rename",
        "warn",
        f"whether files may be renamed in {where} is told only by renaming one",
        "send one file through a test route to be sure",
    )


async def _above(remote: Remote, at: Segments) -> tuple[Segments, str]:
    """The nearest folder above that is there: in it the missing ones are made."""
    while at and await remote.find(at) is None:
        at = at[:-1]
    return at, shown(at) or "the folder"


def _fixed(target: FileTarget) -> Segments:
    """The folder that a template names before anything in it comes from data."""
    at: list[str] = []
    for segment in target.put.text.split("/")[:-1]:
        if "${" in segment:
            break
        at.append(segment)
    return tuple(at)
