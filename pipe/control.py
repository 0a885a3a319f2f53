"""The way in for commands: JSON lines over `DATA/pipe.sock`, or the same operation in this process.

A request is `{operation, args}`; the answers are any number of `{progress: {done, total, text}}`, then one `{result}`
or one `{error: {code, text, hint, facts}}`. Who asks is the user at the other end, as the kernel tells.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from loguru import logger

from pipe.errors import BadRequest, GatewayDefect, PipeError, StoreLocked, StoreUnavailable, every_error
from pipe.unix_socket import reachable

if TYPE_CHECKING:
    # A command that speaks to a running gateway needs none of these, and starts in half the time without them.
    from pipe.operations import Host, Progress, World

SOCKET = "pipe.sock"
LARGEST_REQUEST = 64 << 20
LARGEST_ANSWER = 4 << 30
PATIENCE_S = 10.0
"""how long a command waits for a gateway that is starting or stopping"""


# --- the gateway's side -------------------------------------------------------------------------------------------


class ControlServer:
    """Answers commands as long as the gateway runs. `make_host` is called for each request."""

    def __init__(self, data: Path, make_host: Callable[[str, Progress], Host]) -> None:
        self._data, self._make_host = data, make_host
        self._server: asyncio.AbstractServer | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Listens; only the gateway's own user and root get through."""
        (self._data / SOCKET).unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            with reachable(self._data / SOCKET) as path:
                listening.bind(path)
        finally:
            os.umask(before)
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=LARGEST_REQUEST)

    async def stop(self) -> None:
        """Ends what is being done for commands, and listens no more. Safe twice."""
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._server = None
        (self._data / SOCKET).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            line = await reader.readline()
            if line:
                await self._one(line, reader, writer)
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            return  # who asked has left, or sent a line beyond all measure
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One operation; it is cancelled when the asker leaves, so that Ctrl-C ends a long replay."""

        def progress(done: int, total: int | None, text: str) -> None:
            writer.write(_line({"progress": {"done": done, "total": total, "text": text}}))

        actor = _peer(writer)
        work = asyncio.ensure_future(self._answer(line, self._make_host(actor, progress)))
        left = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                writer.write(_line(work.result()))
                await writer.drain()
        finally:
            for task in (work, left):
                task.cancel()
            await asyncio.gather(work, left, return_exceptions=True)

    async def _answer(self, line: bytes, host: Host) -> dict[str, Any]:
        from pipe.operations import perform

        try:
            request = orjson.loads(line)
            return {"result": await perform(host, request["operation"], request["args"])}
        except PipeError as error:
            return {"error": _told(error)}
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            logger.bind(action="control").opt(exception=error).debug(
                "a request on the control socket was not understood"
            )
            return {"error": _told(BadRequest(f"a request is {{operation, args}}: {error}"))}
        except Exception as error:  # boundary: a defect of one operation must not end the control socket
            logger.bind(action="control").opt(exception=error).error("an operation has a defect")
            return {"error": _told(GatewayDefect(f"{type(error).__name__}: {error}"))}


# --- the command's side -------------------------------------------------------------------------------------------


async def call(
    data: Path,
    operation: str,
    args: Mapping[str, Any] | None = None,
    on_progress: Progress | None = None,
    *,
    world: World | None = None,
    url: str | None = None,
) -> Any:
    """The result of an operation on a data folder, by its running gateway or else in this process.

    `world` is asked only where no gateway runs; `url` names a PostgreSQL store then. Raises what the operation raised.
    """
    progress = on_progress or (lambda done, total, text: None)
    if not data.is_dir():  # noqa: ASYNC240 — one look, before anything else runs
        raise StoreUnavailable(f"there is no data folder {data}: no gateway has ever run on it")
    until = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        connection = await _connected(data)
        if connection is not None:
            return await _asked(connection, operation, args or {}, progress)
        try:
            return await _here(data, operation, args or {}, progress, world, url)
        except StoreLocked:
            # A gateway holds its folder a moment before it listens, and a moment after.
            if asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(0.1)


async def is_running(data: Path) -> bool:
    """Whether a gateway answers on this folder."""
    connection = await _connected(data)
    if connection is not None:
        connection[1].close()
    return connection is not None


async def _connected(data: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    try:
        with reachable(data / SOCKET) as path:
            return await asyncio.open_unix_connection(path, limit=LARGEST_ANSWER)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        raise StoreUnavailable(f"the gateway of {data} belongs to another user: {error.strerror}") from error


async def _asked(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    operation: str,
    args: Mapping[str, Any],
    progress: Progress,
) -> Any:
    reader, writer = connection
    try:
        writer.write(_line({"operation": operation, "args": args}))
        while line := await reader.readline():
            answer = orjson.loads(line)
            if "progress" in answer:
                told = answer["progress"]
                progress(told["done"], told["total"], told["text"])
            elif "error" in answer:
                raise _raised(answer["error"])
            else:
                return answer["result"]
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    raise StoreUnavailable("the gateway ended before it answered; ask again to see what it has done")


async def _here(
    data: Path, operation: str, args: Mapping[str, Any], progress: Progress, world: World | None, url: str | None
) -> Any:
    from pipe.clock import SystemClock
    from pipe.operations import OPERATIONS, Host, perform
    from pipe.store.store import Store

    if url is None and not (data / "pipe.db").exists():
        raise StoreUnavailable(f"there is no store in {data}: no gateway has ever run on it")
    clock = SystemClock()
    store = Store(data, url=url, clock=clock)
    # What a flow is asked needs its tables, also in a folder that an older gateway has left.
    await store.open(world.migrations() if world is not None and operation not in OPERATIONS else ())
    try:
        store.start()
        host = Host(store, clock, user_name(os.getuid()), world, progress=progress)
        return orjson.loads(_line(await perform(host, operation, args)))
    finally:
        await store.close()


# --- both ---------------------------------------------------------------------------------------------------------


def user_name(uid: int) -> str:
    """The name of a user of this machine, or `uid N`."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _peer(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return user_name(uid)


def _line(value: Any) -> bytes:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n"


def _told(error: PipeError) -> dict[str, Any]:
    return {"code": error.code, "text": error.text, "hint": error.hint, "facts": error.facts}


def _raised(told: Mapping[str, Any]) -> PipeError:
    kind = next((kind for kind in every_error() if kind.code == told["code"]), GatewayDefect)
    return kind(
        told["text"],
        hint=told["hint"],
        **{
            str(name): value
            for name, value in told["facts"].items()
            if name not in ("text", "reply", "retry_after", "hint")
        },
    )
