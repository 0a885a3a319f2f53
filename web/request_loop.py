"""The requests of one connection, one after the other, in one task.

aiohttp starts a task for each request, so that what a handler puts into context variables stays with it. Ours put
nothing there, and a task costs as much as parsing the request. What is unusual goes aiohttp's own way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.web_protocol import PayloadAccessError, RequestHandler
from loguru import logger

from web.plain import Plain

if TYPE_CHECKING:
    from aiohttp.streams import StreamReader

_ANSWERED = PayloadAccessError()


class RequestLoop(RequestHandler):
    """aiohttp's protocol with a loop of ours; which requests it takes and how it ends are the same."""

    __slots__ = ()

    async def start(self) -> None:
        """Answers until the connection ends; from the first garbled or upgrading request on as aiohttp does."""
        while not self._force_close:
            if not self._messages:
                self._waiter = self._loop.create_future()
                try:
                    await self._waiter
                finally:
                    self._waiter = None
            first: Any = self._messages[0][0]
            if isinstance(first, Plain):
                self._messages.popleft()
                if not await self._answered(first):
                    break
            elif self._upgraded or not isinstance(first, RawRequestMessage):
                await super().start()
                return
            elif not await self._served(*self._messages.popleft()):
                break
            self._stay()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _answered(self, request: Plain) -> bool:
        """Answers a plain request; whether another may follow."""
        server, current = self._manager, cast("Any", request)
        assert server is not None
        server.requests_count += 1
        self._request_in_progress, self._current_request = True, current
        try:
            answer = await request.work()
            if self.transport is not None:
                self.transport.write(answer)
                if self._paused:
                    await self._drain_helper()
        except ConnectionError:
            return False
        except asyncio.CancelledError:
            self.force_close()
            raise
        finally:
            self._request_in_progress, self._current_request = False, None
            if self._handler_waiter is not None:
                self._handler_waiter.set_result(None)
        return not self._close and not self._force_close

    async def _served(self, message: Any, payload: StreamReader) -> bool:
        """Answers one request; whether another may follow."""
        self._make_room()
        server, make, handler = self._manager, self._request_factory, self._request_handler
        assert server is not None
        assert make is not None
        assert handler is not None
        server.requests_count += 1
        task: Any = self._task_handler or asyncio.current_task()
        request = make(message, payload, self, StreamWriter(self, self._loop), task)
        try:
            response, broken = await self._handle_request(request, None, handler)
            if broken:
                return False
            self._keepalive = bool(response.keep_alive)
            if not payload.is_eof():
                await self._linger(payload)
            payload.set_exception(_ANSWERED)
        except ConnectionError:
            return False
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception as error:  # boundary: a defect ends this connection and no other
            logger.opt(exception=error).error("A connection broke", action="http")
            self.force_close()
        finally:
            made: Any = request
            made._task = None  # noqa: SLF001  as aiohttp does: a cycle would keep both alive
        return self._keepalive and not self._close and not self._force_close

    def _make_room(self) -> None:
        """Goes on parsing where too many requests had come at once."""
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()

    async def _linger(self, payload: StreamReader) -> None:
        """Reads what is left of a body that nobody wanted, for a while, so that the peer sees the answer."""
        if not self._force_close and self._lingering_time:
            try:
                async with asyncio.timeout(self._lingering_time):
                    while not payload.is_eof():
                        await payload.readany()
            except TimeoutError:
                pass
        if not payload.is_eof() and not self._force_close:
            self.close()

    def _stay(self) -> None:
        """Begins the rest between two requests."""
        self._next_keepalive_close_time = closes = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(closes, self._process_keepalive)
