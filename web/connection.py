"""One HTTP connection that a slow, greedy or garbled peer cannot hold for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from loguru import logger

from pipe.errors import BadRequest, Crowded, HeadersTooLarge, PipeError, TooSlow, UrlTooLong, defect
from web import plain
from web.problem import problem_bytes, problem_response
from web.request_loop import RequestLoop

if TYPE_CHECKING:
    import asyncio

    from aiohttp.streams import StreamReader

    from web.limits import HttpLimits
    from web.server import Server


HOLD_S = 0.5
"""how long the rest of a plain request's body is awaited here, before aiohttp takes what has come"""


class Connection(RequestLoop):
    """aiohttp's protocol, watched: `look` is called every second and ends what is too slow."""

    __slots__ = (
        "_body", "_fresh", "_header_bytes", "_header_since", "_held", "_limits", "_most", "_received", "_stuck",
        "_window", "address",
    )  # fmt: skip

    def __init__(self, server: Server, limits: HttpLimits, **options: Any) -> None:
        super().__init__(server, **options)
        self._limits = limits
        self.address = ""
        self._received = 0
        self._header_bytes = 0
        self._most = 0
        self._header_since: float | None = self._loop.time()
        self._body: StreamReader | None = None
        self._window = (0.0, 0)
        self._stuck: tuple[float, int] | None = None
        """since when so many bytes wait for a peer that does not read"""
        self._fresh = True
        """whether aiohttp's parser is between two requests, so that the next one may be read without it"""
        self._held = b""
        """a plain request whose body is still on its way"""

    @property
    def resting(self) -> bool:
        """Whether no request is in progress, so that closing costs the peer nothing."""
        return self._current_request is None and not self._messages and not self._held

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Starts the connection, or refuses it where there are too many."""
        super().connection_made(transport)
        peer = self.peername
        self.address = str(peer[0]) if isinstance(peer, (tuple, list)) else str(peer or "")
        server: Any = self._manager
        if not server.admit(self):
            self._refuse(Crowded())

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forgets the connection."""
        server: Any = self._manager
        if server is not None:
            server.forget(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes a plain request itself; anything else is aiohttp's to parse."""
        if self._held:
            data, self._held = self._held + data, b""
        if not self._fresh or not self._takes(data):
            self._parse(data)

    def _takes(self, data: bytes) -> bool:
        """Whether the bytes are a plain request that somebody answers, or will be when the rest of its body is here."""
        if self._messages or self._current_request is not None or self._force_close or self._close:
            return False
        request = plain.read(data)
        if request is None:
            return False
        if request == plain.MORE:
            self._held, self._header_since = data, None
            self._window = (self._loop.time(), self._received)
            return True
        server: Any = self._manager
        work = server.plain(request)
        if work is None:
            return False
        request.peer, request.work = self, work
        self._header_since = None
        self._request_count += 1
        self._messages.append((cast("Any", request), EMPTY_PAYLOAD))
        if self._waiter is not None:
            self._waiter.set_result(None)
        return True

    def _parse(self, data: bytes) -> None:
        """Counts the bytes that belong to a header still in progress, then lets aiohttp parse."""
        before = self._request_count
        self._received += len(data)
        super().data_received(data)
        self._fresh = self._fresh and self._request_count == before + 1 and self._is_bare_header(data)
        if self._request_count != before:
            self._most = max(self._most, self._header_bytes + len(data))
            self._header_since, self._header_bytes = None, 0
        elif not self._messages and (self._waiter is not None or not before) and data and self._payload_parser is None:
            self._wait_for_header(len(data))

    def _is_bare_header(self, data: bytes) -> bool:
        """Whether the request just parsed, the only one in these bytes, was a header and nothing else."""
        message, payload = self._messages[-1]
        whole = isinstance(message, RawRequestMessage) and payload is EMPTY_PAYLOAD and not self._upgraded
        return whole and data.endswith(b"\r\n\r\n")

    def told_address(self, headers: Any) -> str:
        """The address of the client, as trusted proxies tell it."""
        server: Any = self._manager
        return self.address if server is None else str(server.told(self.address, headers).get("remote", self.address))

    def _wait_for_header(self, arrived: int) -> None:
        self._header_bytes += arrived
        if self._header_since is None:
            self._header_since = self._loop.time()
        if self._header_bytes > self._limits.header_bytes:
            self._refuse(HeadersTooLarge(f"the header is longer than {self._limits.header_bytes} bytes"))

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Goes on reading where it was paused; aiohttp asks for it after every read, paused or not."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def began(self, message: Any, payload: StreamReader) -> PipeError | None:
        """Notes that a request's header is complete; returns what is wrong with it."""
        if not payload.is_eof():
            self._body, self._window = payload, (self._loop.time(), self._received)
        limits = self._limits
        if len(message.path) > limits.url_signs:
            return UrlTooLong(f"the address has {len(message.path)} signs, the limit is {limits.url_signs}")
        if self._most > limits.header_bytes:
            size = sum(len(name) + len(value) + 4 for name, value in message.raw_headers)
            if size > limits.header_bytes:
                return HeadersTooLarge(f"the header has {size} bytes, the limit is {limits.header_bytes}")
        if message.chunked and message.headers["Transfer-Encoding"].strip().lower() != "chunked":
            return BadRequest("Transfer-Encoding may only be `chunked`")
        return None

    def look(self, now: float) -> None:
        """Ends the connection whose header is late, and fails the body that comes too slowly."""
        limits = self._limits
        if self._paused:
            self._look_at_reader(now)
        elif self._held:
            if now - self._window[0] > HOLD_S:
                held, self._held = self._held, b""
                self._parse(held)
        elif self._header_since is not None and self._waiter is not None:
            if now - self._header_since > limits.header_seconds:
                self._refuse(TooSlow(f"the header was not complete within {limits.header_seconds:g} s"))
        elif self._body is not None:
            self._look_at_body(self._body, now)

    def _look_at_reader(self, now: float) -> None:
        """Gives up a peer that does not read its answer: nothing left our buffer for the time of a body's window."""
        waiting = self.transport.get_write_buffer_size() if self.transport is not None else 0
        since, before = self._stuck or (now, waiting)
        if waiting < before or self._stuck is None:
            self._stuck = (now, waiting)
        elif now - since > self._limits.body_window and self.transport is not None:
            self.transport.abort()

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._stuck = None
        super().resume_writing()

    def _look_at_body(self, body: StreamReader, now: float) -> None:
        since, received = self._window
        if body.is_eof() or body.exception() is not None:
            self._body = None
        elif self._reading_paused:  # it is we who are slow
            self._window = (now, self._received)
        elif now - since >= self._limits.body_window:
            if self._received - received < self._limits.body_rate * (now - since):
                self._body = None
                self._lingering_time = 0.0
                body.set_exception(TooSlow(f"the body came slower than {self._limits.body_rate} bytes a second"))
            self._window = (now, self._received)

    def handle_error(
        self, request: Any, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The problem that stands for a request that cannot be parsed, or for a defect of ours; closes afterwards."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun already")
        response = problem_response(self._as_error(status, exc, message))
        response.force_close()
        return response

    def _as_error(self, status: int, exc: BaseException | None, message: str | None) -> PipeError:
        if isinstance(exc, PipeError):
            return exc
        if status >= 500:
            logger.opt(exception=exc).error("A handler of HTTP requests broke", action="http")
            return defect(exc)
        if isinstance(exc, LineTooLong):
            return UrlTooLong() if exc.args[1] == self.max_line_size else HeadersTooLarge()
        if "Too many headers" in (message or ""):
            return HeadersTooLarge(f"the header has more than {self.max_headers} fields")
        return BadRequest("this is not a well-made HTTP request")

    def _refuse(self, error: PipeError) -> None:
        """Answers without a request, where there never was a whole one, and closes."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(problem_bytes(error, "Connection: close"))
        self.force_close()
