"""aioftp's client on sockets of our own making, with what it leaves out or does in an order that servers do not take.

It is told that names are Latin-1, which keeps every byte: what they are in truth is for `session` to know.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import aioftp
from aioftp.client import DataConnectionThrottleStreamIO
from aioftp.common import SSLSessionBoundContext, ThrottleStreamIO, async_enterable

from adapters.http_dialling import Dialler
from adapters.http_network import TlsFiles, tls_reason
from pipe.contract import Timeout
from pipe.errors import TlsFailed, Unreachable

LIMIT = 1 << 19
"""bytes of a data connection that wait for us"""


class Wire(aioftp.Client):
    """One control connection and the data connections that belong to it."""

    def __init__(self, dialler: Dialler, timeout: Timeout) -> None:
        # Its own time-outs use asyncio.wait_for, which forgets on Python 3.11 that somebody was cancelled.
        super().__init__(socket_timeout=None, connection_timeout=None, encoding="latin-1")
        self._dialler, self._connect, self._silence = dialler, timeout.connect, timeout.read

    @property
    def secured(self) -> Any:
        """Asyncio's `ssl_object` of the control connection; None where it is plain."""
        return None if self._stream is None else self._stream.writer.get_extra_info("ssl_object")

    async def greet(self, sock: socket.socket, tls: TlsFiles | None = None) -> None:
        """Takes a connected socket, begins TLS at once where the way is implicit, and hears the greeting."""
        self.server_host, self.server_port = self._dialler.host, self._dialler.port
        sock.setblocking(False)
        self._peer = sock.getpeername()
        secured: dict[str, Any] = {}
        if tls is not None:
            secured = {"ssl": tls.context(), "server_hostname": tls.server_name or self._dialler.host}
            secured["ssl_handshake_timeout"] = self._connect
        try:
            reader, writer = await asyncio.open_connection(sock=sock, **secured)
        except BaseException as error:
            sock.close()
            raise self._tls_error(error) from error
        self._stream = ThrottleStreamIO(reader, writer, throttles={"_": self.throttle}, timeout=self.socket_timeout)
        await self.command(None, "220", "120")

    async def secure(self, tls: TlsFiles) -> None:
        """AUTH TLS, then the handshake, the certificate checked."""
        await self.command("AUTH TLS", "234")
        if self.stream.reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001  there is no public way to ask
            # What came before the handshake would count as said within it.
            raise TlsFailed(f"{self._dialler.where} says more before TLS than it was asked")
        try:
            async with asyncio.timeout(self._connect):
                await self.stream.start_tls(tls.context(), tls.server_name or self._dialler.host)
        except BaseException as error:
            raise self._tls_error(error) from error

    async def protect(self) -> None:
        """Data connections are secured too, from now on."""
        await self.command("PBSZ 0", "200")
        await self.command("PROT P", "200")

    def _tls_error(self, error: BaseException) -> BaseException:
        where = self._dialler.where
        if isinstance(error, (ssl.SSLEOFError, TimeoutError, ConnectionError)):
            return Unreachable(f"{where} ended the TLS handshake: {error or 'in time'}")
        if isinstance(error, (ssl.SSLError, ssl.CertificateError)):
            return TlsFailed(f"{where}: {tls_reason(error)}")
        return error

    async def _open_connection(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # Whatever address the server names: data goes where the control connection leads, which the allow-list holds.
        sock = socket.socket(socket.AF_INET6 if len(self._peer) == 4 else socket.AF_INET)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            place = (self._peer[0], port, *self._peer[2:])
            async with asyncio.timeout(self._connect):
                await asyncio.get_running_loop().sock_connect(sock, place)
            return await asyncio.open_connection(sock=sock, limit=LIMIT)
        except TimeoutError as error:
            sock.close()
            raise Unreachable(f"{self._dialler.host} does not take the data connection to port {port}") from error
        except BaseException:
            sock.close()
            raise

    @async_enterable
    async def get_stream(
        self,
        command: str | None = None,
        expected_codes: Any = (),
        wait_codes: Any = (),
        censor_after: int | None = None,
        conn_type: Any = "I",
        offset: int = 0,
    ) -> DataConnectionThrottleStreamIO:
        """Begins a transfer. TLS of the data connection begins after the command: many servers take no other order."""
        reader, writer = await self.get_passive_connection(conn_type)
        try:
            if offset:
                await self.command(f"REST {offset}", "350")
            await self.command(command, expected_codes, wait_codes, censor_after)
            if (control := self.secured) is not None:
                # The session of the control connection again: servers refuse data connections of strangers.
                context = SSLSessionBoundContext(
                    ssl.PROTOCOL_TLS_CLIENT, context=control.context, session=control.session
                )
                async with asyncio.timeout(self._connect):
                    await writer.start_tls(context, server_hostname=control.server_hostname)
        except BaseException:
            writer.transport.abort()
            raise
        return DataConnectionThrottleStreamIO(
            self, reader, writer, throttles={"_": self.throttle}, timeout=self.socket_timeout
        )

    async def command(self, *given: Any, **named: Any) -> Any:
        """One command and its answer, within the longest silence that is borne."""
        if given and given[0] and self.stream.reader._buffer:  # type: ignore[attr-defined]  # noqa: SLF001  as above
            # It would be taken for the answer to what is asked next: whoever says 226 twice has lost the thread.
            told = bytes(self.stream.reader._buffer[:80]).split(b"\r\n")[0].decode("latin-1")  # type: ignore[attr-defined]  # noqa: SLF001
            raise ConnectionResetError(f"it said {told!r}, which nobody asked for")
        async with asyncio.timeout(self._silence):
            return await super().command(*given, **named)

    def patient(self) -> asyncio.Timeout:
        """For one step of a transfer."""
        return asyncio.timeout(self._silence)

    def cut(self) -> None:
        """Ends the control connection at once. Safe twice."""
        if self._stream is not None:
            self._stream.writer.transport.abort()
