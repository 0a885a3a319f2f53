"""One HTTP exchange on a kept connection: what was asked, what came back, and how far it got when it failed.

aiohttp resolves, connects, pools and parses; the request itself is written here, because building aiohttp's own request
and response objects costs ten times the rest (see benchmarks/http_client.py). Nothing is ever sent twice, no redirect is
followed, no cookie kept, no environment read.
"""

from __future__ import annotations

import asyncio
import base64
import re
import select
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp import ClientError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, TransferEncodingError
from multidict import CIMultiDictProxy
from yarl import URL

from adapters.http_network import CheckedResolver, Forbidden, Permissions, Proxy, TlsFiles, tls_reason
from pipe import blocking
from pipe.contract import Blob, Timeout
from pipe.errors import (
    AddressForbidden,
    BadHeader,
    NoAnswer,
    NotAuthorised,
    PeerError,
    PipeError,
    ReplyInvalid,
    TlsFailed,
    Unreachable,
)

KEEP_ALIVE = 15.0
"""seconds that an idle connection is kept; most servers close theirs later than that"""
FILES_EVERY = 5.0
"""seconds between two looks at the TLS files"""
RATIO, RATIO_FROM = 100, 1 << 20
"""a reply that unpacks to more than RATIO times what was sent is a bomb, from so many bytes on"""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BROKEN_OFF = (ContentLengthError, TransferEncodingError)
"""the parser's complaints about a body that ended too early"""
_CODINGS = {"", "identity", "gzip", "x-gzip", "deflate"}


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `target` is the path with its query, ready to be sent."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes | Blob = b""


@dataclass(frozen=True, slots=True)
class Reply:
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
        self._name, self._url, self._proxy, self._tls = name, URL(origin), proxy, tls
        self._permissions, self._limit, self._max_reply = permissions, limit, max_reply
        self._resolver = CheckedResolver(permissions, f"dns {name}")
        self._connector: TCPConnector | None = None
        self._template: ClientRequest | None = None
        self._made_of: tuple[Any, ...] = ()
        self._looked = -FILES_EVERY
        self._context: ssl.SSLContext | None = None
        self._good_until: WeakKeyDictionary[ResponseHandler, float] = WeakKeyDictionary()
        self.where = f"{self._url.host}:{self._url.port}"
        self._authority = self._url.raw_authority
        self._lines = f" HTTP/1.1\r\nHost: {self._authority}\r\n"

    async def open(self) -> None:
        """Makes the pool and reads the TLS files. Raises TlsFailed, AddressForbidden, SecretMissing."""
        if not self._permissions.host(self._url.host or ""):
            raise AddressForbidden(f"{self._url.host} is not listed in `allow: hosts`", connection=self._name)
        await self._refresh()
        self._connector = TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            socket_factory=self._permissions.socket,
            keepalive_timeout=KEEP_ALIVE,
            limit=self._limit,
        )

    async def close(self) -> None:
        """Closes every connection. Safe before open, safe twice."""
        if self._connector is not None:
            await self._connector.close()
            await self._resolver.close()
        self._connector = None

    async def exchange(self, request: Request, timeout: Timeout) -> Reply:
        """Sends the request and reads the whole reply, whatever its status.

        Raises BadHeader before anything is sent; Unreachable, TlsFailed, AddressForbidden and NotAuthorised (the proxy's)
        when nothing was sent; NoAnswer and ReplyInvalid once the request began to leave.
        """
        head = self._head(request)
        connection: Connection | None = None
        try:
            async with asyncio.timeout(timeout.total):
                connection = await self._connected(timeout)
                reply = await self._converse(connection, head, request.body, timeout)
            connection.release()
            return reply
        except PipeError:
            raise
        except (ClientError, HttpProcessingError, OSError) as error:  # every TimeoutError is an OSError
            raise (self._unsent(error, timeout) if connection is None else self._sent(error, timeout)) from error
        finally:
            if connection is not None:
                connection.close()

    async def reach(self, timeout: Timeout) -> None:
        """Only makes a connection, TLS included, and gives it back. Raises what `exchange` raises before it sends."""
        try:
            async with asyncio.timeout(timeout.connect):
                (await self._connected(timeout)).release()
        except (ClientError, OSError) as error:
            raise self._unsent(error, timeout) from error

    # --- connecting

    async def _connected(self, timeout: Timeout) -> Connection:
        """A connection that the partner has not closed as far as anyone can know here."""
        connector = self._connector
        if connector is None:
            raise Unreachable(f"the connection {self._name} is closed")
        if self._url.scheme == "https" and monotonic() - self._looked >= FILES_EVERY:
            await self._refresh()
        template = self._today()
        while True:
            connection = await connector.connect(template, [], ClientTimeout(connect=timeout.connect))
            protocol = connection.protocol
            if protocol is not None and not self._is_stale(protocol):
                return connection
            connection.close()

    def _is_stale(self, protocol: ResponseHandler) -> bool:
        """Whether a kept connection is too old, or says something without being asked: that is its farewell.

        The farewell may lie in the socket before the event loop has read it; looking there makes a lost race provable.
        """
        good_until = self._good_until.get(protocol)
        if good_until is None:
            return False
        transport = protocol.transport
        sock = transport.get_extra_info("socket") if transport is not None else None
        if sock is None or monotonic() >= good_until:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _refresh(self) -> None:
        if self._url.scheme == "https":
            self._context = await blocking.run(f"tls {self._name}", self._tls.context)
        self._looked = monotonic()

    def _today(self) -> ClientRequest:
        """What aiohttp's connector wants to know of a request: its place, TLS and proxy, as they are today."""
        made_of = (self._context, self._proxy_pass())
        if self._template is None or self._made_of != made_of:
            self._made_of = made_of
            self._template = ClientRequest(
                "GET",
                self._url,
                loop=asyncio.get_running_loop(),
                ssl=self._context or True,
                server_hostname=self._tls.server_name,
                proxy=URL(self._proxy.url) if self._proxy else None,
                proxy_headers={"Host": self._authority, **made_of[1]} if self._proxy else None,
            )
        return self._template

    def _proxy_pass(self) -> dict[str, str]:
        """The header that the proxy knows us by; empty where it asks for none."""
        if self._proxy is None or not self._proxy.username:
            return {}
        password = self._proxy.password.reveal() if self._proxy.password else ""
        pair = base64.b64encode(f"{self._proxy.username}:{password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {pair}"}

    # --- writing

    def _head(self, request: Request) -> bytes:
        """The request line and the headers. Raises BadHeader where one of them holds a control character."""
        size = request.body.size if isinstance(request.body, Blob) else len(request.body)
        target, ours = request.target, request.headers
        if self._proxy is not None and self._url.scheme == "http":
            target, ours = f"{self._url.origin()}{target}", {**self._proxy_pass(), **ours}
        lines = "".join([f"{name}: {value}\r\n" for name, value in ours.items()])
        if _CONTROL.search("\t".join([request.target, *request.headers.values()])):
            raise BadHeader(_culprit(request))
        length = f"Content-Length: {size}\r\n" if size or request.method not in ("GET", "DELETE") else ""
        try:
            return f"{request.method} {target}{self._lines}{lines}{length}\r\n".encode()
        except UnicodeEncodeError as error:
            raise BadHeader(f"a header or the address holds a lone surrogate at place {error.start}") from None

    async def _converse(self, connection: Connection, head: bytes, body: bytes | Blob, timeout: Timeout) -> Reply:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise ConnectionResetError("the partner closed the connection")
        protocol.set_response_params(read_until_eof=True, read_timeout=timeout.read)
        if isinstance(body, Blob):
            transport.write(head)
            return await self._answered_upload(protocol, transport, body)
        transport.write(head + body)
        protocol.start_timeout()
        return await self._reply(protocol)

    async def _answered_upload(self, protocol: ResponseHandler, transport: asyncio.Transport, blob: Blob) -> Reply:
        """The partner may answer (413) and stop reading before it has everything: whoever is first ends it."""
        upload = asyncio.create_task(_upload(protocol, transport, blob, self._name))
        try:
            return await self._reply(protocol)
        finally:
            if not upload.done():
                protocol.force_close()
                upload.cancel()
            await asyncio.wait([upload])

    # --- reading

    async def _reply(self, protocol: ResponseHandler) -> Reply:
        message, stream = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:
            protocol.start_timeout()
            message, stream = await protocol.read()
        if message.code == 101 or message.headers.get("Content-Encoding", "").strip().lower() not in _CODINGS:
            protocol.force_close()
            raise ReplyInvalid(f"{self.where} answered {message.code} in a protocol or encoding that was not asked for")
        parts: list[bytes] = []
        size, cut = 0, None
        try:
            while cut is None and (part := await stream.readany()):
                size += len(part)
                parts.append(part)
                if size > self._max_reply:
                    cut = f"it is larger than {self._max_reply}"
                elif size > RATIO_FROM and size > RATIO * stream.total_raw_bytes:
                    cut = f"it unpacks to more than {RATIO} times what was sent"
        except aiohttp.ClientPayloadError as error:
            for cause in (error.__cause__, protocol.exception()):
                if isinstance(cause, HttpProcessingError) and not isinstance(cause, _BROKEN_OFF):
                    raise cause from None
            raise
        self._keep(protocol, message.headers)
        return Reply(message.code, message.headers, b"".join(parts)[: self._max_reply], cut)

    def _keep(self, protocol: ResponseHandler, headers: CIMultiDictProxy[str]) -> None:
        """Remembers how long the partner keeps this connection; we give it up a second earlier."""
        asked = re.search(r"timeout=(\d{1,6})", headers.get("Keep-Alive", ""))
        kept = min(KEEP_ALIVE, int(asked[1]) - 1) if asked else KEEP_ALIVE
        self._good_until[protocol] = monotonic() + kept

    # --- what went wrong

    def _unsent(self, error: BaseException, timeout: Timeout) -> PeerError:
        """The error of an attempt of which nothing has left."""
        cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
        if isinstance(cause, Forbidden) or isinstance(error, aiohttp.InvalidURL):
            return AddressForbidden(str(cause), connection=self._name)
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return Unreachable(f"the name {self._url.host} cannot be resolved: {cause}")
        if isinstance(cause, TimeoutError):
            return Unreachable(f"{self.where} did not take the connection within {timeout.connect}")
        if isinstance(cause, (ssl.SSLError, ssl.CertificateError)) and not isinstance(cause, ssl.SSLEOFError):
            return TlsFailed(f"{self.where}: {tls_reason(cause)}")
        if isinstance(error, aiohttp.ClientHttpProxyError):
            kind = NotAuthorised if error.status == 407 else Unreachable
            return kind(f"the proxy answered {error.status} when asked for {self.where}")
        if isinstance(error, aiohttp.ClientProxyConnectionError):
            return Unreachable(f"the proxy does not take the connection: {cause}")
        return Unreachable(f"{self.where} does not take the connection: {cause}")

    def _sent(self, error: BaseException, timeout: Timeout) -> PeerError:
        """The error of an attempt of which at least a part has left."""
        refusal = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else None
        if refusal is not None and "ALERT" in str(refusal.reason):
            # TLS 1.3 refuses our certificate only after the handshake; the request was not looked at.
            return TlsFailed(f"{self.where}: {tls_reason(refusal)}")
        if isinstance(error, aiohttp.SocketTimeoutError):
            return NoAnswer(f"{self.where} was silent for {timeout.read} after the request was sent")
        if isinstance(error, TimeoutError):
            return NoAnswer(f"{self.where} did not answer in full within {timeout.total}")
        if isinstance(error, HttpProcessingError):
            return ReplyInvalid(f"{self.where} answered something that is not HTTP: {error.message.partition(chr(10))[0]}")
        return NoAnswer(f"{self.where} broke off after the request was sent: {str(error) or type(error).__name__}")


async def _upload(protocol: ResponseHandler, transport: asyncio.Transport, blob: Blob, name: str) -> None:
    """Writes a file piece by piece, no faster than the partner reads. Ends quietly where the partner is gone."""
    pieces: Iterator[bytes] = blob.open()
    try:
        while piece := await blocking.run(f"blobs {name}", next, pieces, b""):
            transport.write(piece)
            await protocol._drain_helper()  # noqa: SLF001  the one way to wait that aiohttp's protocol has
        protocol.start_timeout()
    except ConnectionError:
        pass  # the reader of the reply learns the same, and says what it means
    except OSError:
        transport.abort()  # our own file is gone: the partner must not wait for the rest


def _culprit(request: Request) -> str:
    """Names what holds a control character."""
    for name, value in request.headers.items():
        if _CONTROL.search(name + value):
            return f"the header {name!r} would hold a line break or another control character"
    return "the address would hold a line break or another control character"
