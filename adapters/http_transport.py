"""One HTTP exchange on a kept connection: what was asked, what came back, and how far it got when it failed.

aiohttp resolves, connects and parses; the request itself is written here, because building aiohttp's own request and
response objects costs more than all the rest (benchmarks/http_client.py). Nothing is ever sent twice, no redirect is
followed, no cookie kept, no environment read.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from typing import Any, NamedTuple

import aiohttp
from aiohttp import ClientError, ServerDisconnectedError, StreamReader
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, TransferEncodingError
from multidict import CIMultiDictProxy
from yarl import URL

from adapters.http_line import Line, Talk, Watch
from adapters.http_lines import Lines, kept_for
from adapters.http_network import Permissions, Proxy, TlsFiles, tls_reason
from pipe import blocking
from pipe.contract import Blob, Certificate, Timeout
from pipe.errors import BadHeader, NoAnswer, PeerError, ReplyInvalid, TlsFailed

LARGE = 1 << 18
"""bytes of a body that is not copied to stand behind its head"""
RATIO, RATIO_FROM = 100, 1 << 20
"""a reply that unpacks to more than RATIO times what was sent is a bomb, from so many bytes on"""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BROKEN_OFF = (ContentLengthError, TransferEncodingError)
"""the parser's complaints about a body that ended too early"""
_CODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}


class Request(NamedTuple):
    """What is asked. `target` is the path with its query, ready to be sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | Blob = b""


class Reply(NamedTuple):
    """What came back, the body unpacked."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    cut: str | None = None
    """why the body was not read to its end: it is larger than it may be"""


class HttpTransport:
    """Exchanges with one origin (scheme, host, port) over a pool of kept connections."""

    def __init__(
        self,
        name: str,
        origin: str,
        *,
        permissions: Permissions,
        tls: TlsFiles,
        limit: int,
        max_reply: int,
        proxy: Proxy | None = None,
    ) -> None:
        """`name` is the connection's; `limit` bounds the connections, `max_reply` the bytes of an unpacked reply."""
        url = URL(origin)
        self._lines = Lines(name, url, permissions=permissions, tls=tls, limit=limit, proxy=proxy)
        self._watch, self._tls = Watch(), tls
        self._name, self._max_reply = name, max_reply
        self._by_proxy = str(url.origin()) if proxy is not None and url.scheme == "http" else None
        self._host = f" HTTP/1.1\r\nHost: {url.raw_authority}\r\n"
        self.where = self._lines.where

    async def open(self) -> None:
        """Makes the pool and reads the TLS files; asks nobody. Raises TlsFailed, AddressForbidden."""
        await self._lines.open()

    async def close(self) -> None:
        """Ends every connection. Safe before open, safe twice."""
        await self._lines.close()
        self._watch.close()
        blocking.close(f"blobs {self._name}")

    def certificates(self) -> list[Certificate]:
        """The partner's, as the last handshake showed it, and ours. Never raises."""
        return self._tls.certificates()

    async def reach(self, timeout: Timeout) -> None:
        """Only makes a connection, TLS included. Raises what `exchange` raises before it sends."""
        self._lines.keep(await self._lines.take(timeout))

    async def exchange(self, request: Request, timeout: Timeout) -> Reply:
        """Sends the request and reads the whole reply, whatever its status.

        Raises BadHeader before anything is sent; Unreachable, TlsFailed, AddressForbidden and NotAuthorised (the
        proxy's) when nothing was sent; NoAnswer and ReplyInvalid once the request began to leave.
        """
        head = self._head(request)
        began = asyncio.get_running_loop().time()
        line = await self._lines.take(timeout)
        talk, kept = line.talk, 0.0
        self._watch.begin(talk, began, timeout)
        try:
            reply = await self._converse(line, head, request.body)
            kept = kept_for(reply.headers.get("Keep-Alive"))
            return reply
        except (ClientError, HttpProcessingError, OSError) as error:
            raise self._meaning(error, talk, timeout) from error
        finally:
            self._watch.end(talk)
            self._lines.keep(line, kept)

    # --- writing

    def _head(self, request: Request) -> bytes:
        """The request line and the headers. Raises BadHeader where one of them holds a control character."""
        method, target, headers, body = request
        values = "".join([target, *headers.values()])
        if not values.isprintable() and _CONTROL.search(values):
            raise BadHeader(_culprit(request))
        if self._by_proxy is not None:
            target, headers = self._by_proxy + target, {**headers, **self._lines.proxy_pass()}
        size = body.size if isinstance(body, Blob) else len(body)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        length = f"Content-Length: {size}\r\n" if size or method not in {"GET", "DELETE"} else ""
        try:
            return f"{method} {target}{self._host}{lines}{length}\r\n".encode()
        except UnicodeEncodeError as error:
            raise BadHeader(f"a header or the address holds a lone surrogate at place {error.start}") from None

    async def _converse(self, line: Line, head: bytes, body: bytes | Blob) -> Reply:
        if isinstance(body, Blob):
            line.talk.ask(head, whole=False)
            return await self._answered_upload(line, body)
        if len(body) > LARGE:
            line.talk.ask(head, whole=False)
            line.transport.write(body)
            line.talk.start_timeout()
        else:
            line.talk.ask(head + body, whole=True)
        return await self._reply(line.talk)

    async def _answered_upload(self, line: Line, blob: Blob) -> Reply:
        """The partner may answer (413) and stop reading before it has everything: whoever is first ends it."""
        upload = asyncio.create_task(_upload(line, blob, f"blobs {self._name}"))
        try:
            return await self._reply(line.talk)
        finally:
            if not upload.done():
                line.talk.force_close()
                upload.cancel()
            await asyncio.wait([upload])

    # --- reading

    async def _reply(self, talk: Talk) -> Reply:
        message, stream = await talk.read()
        while 100 <= message.code < 200 and message.code != 101:
            message, stream = await talk.read()
        coding = message.headers.get("Content-Encoding")
        if message.code == 101 or (coding is not None and coding.strip().lower() not in _CODINGS):
            talk.force_close()
            raise ReplyInvalid(f"{self.where} answered {message.code} in a protocol or encoding that was not asked for")
        try:
            body, cut = await self._body(stream)
        except aiohttp.ClientPayloadError as error:
            for cause in (error.__cause__, talk.exception()):
                if isinstance(cause, HttpProcessingError) and not isinstance(cause, _BROKEN_OFF):
                    raise cause from None
            raise
        return Reply(message.code, message.headers, body, cut)

    async def _body(self, stream: StreamReader) -> tuple[bytes, str | None]:
        """The unpacked body, and why it was cut if it was."""
        if stream.is_eof():
            body = stream.read_nowait()
            if len(body) <= self._max_reply:
                return body, None
        else:
            body = await stream.readany()
        parts, size = [body], len(body)
        while True:
            if size > self._max_reply:
                return b"".join(parts)[: self._max_reply], f"it is larger than {self._max_reply}"
            if size > RATIO_FROM and size > RATIO * stream.total_raw_bytes:
                return b"".join(parts), f"it unpacks to more than {RATIO} times what was sent"
            part = await stream.readany()
            if not part:
                return b"".join(parts), None
            parts.append(part)
            size += len(part)

    # --- what went wrong

    def _meaning(self, error: BaseException, talk: Talk, timeout: Timeout) -> PeerError:
        """The error of an attempt of which at least a part has left."""
        refusal: Any = error.__cause__
        if isinstance(refusal, ssl.SSLError) and "ALERT" in str(refusal.reason):
            # TLS 1.3 refuses our certificate only after the handshake; the request was not looked at.
            return TlsFailed(f"{self.where}: {tls_reason(refusal)}")
        if talk.cut == "total":
            return NoAnswer(f"{self.where} did not answer in full within {timeout.total}")
        if talk.cut == "read":
            return NoAnswer(f"{self.where} was silent for {timeout.read} after the request was sent")
        if isinstance(error, HttpProcessingError):
            return ReplyInvalid(
                f"{self.where} answered something that is not HTTP: {error.message.partition(chr(10))[0]}"
            )
        if isinstance(error, ServerDisconnectedError) and not isinstance(error.message, str):
            return NoAnswer(f"{self.where} broke off in the head of its answer")
        return NoAnswer(f"{self.where} broke off after the request was sent: {str(error) or type(error).__name__}")


async def _upload(line: Line, blob: Blob, pool: str) -> None:
    """Writes a file piece by piece, no faster than the partner reads. Ends quietly where the partner is gone."""
    try:
        with blob.file() as file:  # it closes when a thread that still reads is done: a buffer has a lock
            while piece := await blocking.run(pool, file.read, LARGE):
                line.transport.write(piece)
                await line.talk._drain_helper()  # noqa: SLF001  the one way to wait that aiohttp's protocol has
        line.talk.start_timeout()
    except ConnectionError:
        pass  # the reader of the reply learns the same, and says what it means
    except OSError:
        line.transport.abort()  # our own file is gone: the partner must not wait for the rest


def _culprit(request: Request) -> str:
    """Names what holds a control character."""
    for name, value in request.headers.items():
        if _CONTROL.search(value):
            return f"the header {name!r} would hold a line break or another control character"
    return "the address would hold a line break or another control character"
