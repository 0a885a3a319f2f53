"""The words of command to running stand-ins: JSON lines over `DATA/partners.sock`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from pipe.errors import BadRequest, PipeError, Unreachable
from pipe.unix_socket import reachable

SOCKET = "partners.sock"

LONGEST = 1 << 30
"""bytes of a command: a file that is offered travels within it"""
Obey = Callable[[str, str, list[str]], Awaitable[dict[str, Any]]]


async def tell(data: Path, name: str, verb: str, *arguments: str) -> dict[str, Any]:
    """Tells the stand-in `name` of a data folder what to do, and returns how it is then.

    Verbs: status, stop, start, `bodies on|off`, and those of `partners.manners`, e.g.
    `await tell(data, "registry", "fail", "503", "retry_after=2", "for=3")`.
    Raises Unreachable where no stand-ins run, BadRequest where they do not understand.
    """
    try:
        with reachable(data / SOCKET) as path:
            reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise Unreachable(
            f"no stand-ins run on the folder {data}",
            hint="start them with `pipe run --partners`, or alone with `pipe partners`",
        ) from error
    try:
        writer.write(orjson.dumps({"name": name, "verb": verb, "arguments": arguments}) + b"\n")
        line = await reader.readline()
    finally:
        writer.close()
        await writer.wait_closed()
    if not line:
        raise Unreachable(f"the stand-ins at {data} ended before they answered")
    answer: dict[str, Any] = orjson.loads(line)
    if "error" in answer:
        raise BadRequest(answer["error"])
    return answer


@asynccontextmanager
async def listening(data: Path, obey: Obey) -> AsyncIterator[None]:
    """Takes commands as long as the block lasts; only the user who runs the stand-ins may give them."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(orjson.dumps(await _obeyed(line, obey)) + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # who asked has left; the command is done all the same
        finally:
            writer.close()

    (data / SOCKET).unlink(missing_ok=True)
    old = os.umask(0o177)
    try:
        with reachable(data / SOCKET) as path:
            server = await asyncio.start_unix_server(serve, path, limit=LONGEST)
    finally:
        os.umask(old)
    try:
        yield
    finally:
        server.close()
        (data / SOCKET).unlink(missing_ok=True)


async def _obeyed(line: bytes, obey: Obey) -> dict[str, Any]:
    try:
        match orjson.loads(line):
            case {"name": str(name), "verb": str(verb), "arguments": list(arguments)}:
                return await obey(name, verb, [str(argument) for argument in arguments])
        return {"error": "a command is {name, verb, arguments}"}
    except orjson.JSONDecodeError as error:
        return {"error": f"not JSON: {error}"}
    except PipeError as error:
        return {"error": error.text}
