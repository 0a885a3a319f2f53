"""Why a partner cannot be reached, rung by rung: its name, the connection, TLS. Every `examine` over TCP begins so.

    async with Ladder(dialler, timeout, pool) as ladder:
        async for rung in ladder.climbed():
            yield rung
        if ladder.sock is not None:  # all of them hold: go on with sign-in, and the right to do the operation
            ...

What fails is yielded as a Rung and ends the climb; nothing is raised, and nothing was said to the partner.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Self

from adapters.http_certificates import SOON, of_file, of_peer, shown
from adapters.http_dialling import Dialler, Info
from adapters.http_network import TlsFiles
from pipe import blocking
from pipe.contract import Certificate, Rung, Timeout
from pipe.errors import AddressForbidden, PipeError, TlsFailed

GRACE = 0.5
"""seconds beyond a time-out that a thread may take to keep it itself"""
_FIREWALL = "ask for the way from this machine to that port to be opened: a firewall drops what is sent there"
_CLOSED = "check the port, and ask the partner whether the service runs: the machine is there, nothing listens"
_ROUTE = "check this machine's routes and the VPN: there is no way to that network"
_NAME = "check the spelling of the host, then this machine's name server: `getent hosts {}`"


class Ladder:
    """The rungs up to TLS. What stands at the top is `sock`; it is closed with the ladder unless it is taken."""

    def __init__(self, dialler: Dialler, timeout: Timeout, pool: str, *, tls: bool = True) -> None:
        """`pool` names the threads; `tls=False` leaves TLS to a later `secured` (STARTTLS, AUTH TLS)."""
        self.dialler = dialler
        self.sock: socket.socket | None = None
        self._open: socket.socket | None = None
        self._limit = float(min(timeout.connect, timeout.total))
        self._pool, self._tls = pool, dialler.tls if tls else None
        self._found: list[Info] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *why: object) -> None:
        if self._open is not None:
            self._open.close()
        self._open = self.sock = None
        blocking.close(self._pool)

    def take(self) -> socket.socket:
        """The socket, which is the taker's to close from now on."""
        assert self.sock is not None, "it stands only where no rung has failed"
        sock, self._open, self.sock = self.sock, None, None
        return sock

    async def climbed(self) -> AsyncIterator[Rung]:
        """Name, tcp, and tls where the way has it; ends after one that fails."""
        name = "name"
        try:
            self._found = await self._in_time(self.dialler.addresses)
            places = sorted({info[4][0] for info in self._found})
            literal = places == [self.dialler.host]
            yield Rung("name", "ok", f"{self.dialler.host} is {'an address' if literal else ', '.join(places)}")
            name = "tcp"
            sock = self._open = await self._in_time(self.dialler.connected, self._found, time.monotonic() + self._limit)
            yield Rung("tcp", "ok", f"{self.dialler.where} takes connections")
            if self._tls is not None:
                name = "tls"
                if (own := await self._own(self._tls)) is not None:
                    yield ours(own)
                sock = self._open = await self.secured(sock, self._tls)
                yield certified(sock)
            self.sock = sock
        except PipeError as error:
            yield await self.explained(name, error)
        except TimeoutError:
            yield Rung(name, "fail", f"no answer within {self._limit:g} s", _NAME.format(self.dialler.host))

    async def secured(self, sock: socket.socket, tls: TlsFiles) -> ssl.SSLSocket:
        """TLS over a connection that stands. Raises TlsFailed, Unreachable."""
        secured: ssl.SSLSocket = await self._in_time(self.dialler.secured, sock, time.monotonic() + self._limit, tls)
        return secured

    async def _in_time(self, function: Callable[..., Any], *arguments: Any) -> Any:
        # A resolver knows no time-out of ours; the rest keeps its own.
        return await blocking.run(self._pool, function, *arguments, timeout=self._limit + GRACE)

    async def _own(self, tls: TlsFiles) -> Certificate | None:
        """Our own certificate; a file that cannot be read fails the handshake, and is named there."""
        with suppress(OSError, ValueError):
            return await self._in_time(of_file, tls.own) if tls.own is not None else None
        return None

    async def explained(self, name: str, error: PipeError) -> Rung:
        """The rung that failed, with what to do about it."""
        if isinstance(error, TlsFailed):
            return Rung(name, "fail", await self._with_certificate(error), _cure(error))
        return failed(name, error, self._hint(name, error))

    async def _with_certificate(self, error: TlsFailed) -> str:
        """Says what the partner's certificate holds, where a check of it failed: the check itself does not tell."""
        certificate: Certificate | None = None
        if isinstance(error.__cause__, ssl.SSLCertVerificationError) and self._tls is not None:
            with suppress(PipeError, TimeoutError):
                again = await self._in_time(self.dialler.connected, self._found, time.monotonic() + self._limit)
                certificate = await self._in_time(shown, again, self._tls.server_name or self.dialler.host)
        return error.text if certificate is None else f"{error.text}; it is {certificate.said}"

    def _hint(self, name: str, error: PipeError) -> str | None:
        cause = error.__cause__
        if isinstance(error, AddressForbidden):
            return None
        if name == "name":
            return _NAME.format(self.dialler.host)
        if name == "tcp":
            if isinstance(cause, ConnectionRefusedError):
                return _CLOSED
            return _FIREWALL if isinstance(cause, TimeoutError) else _ROUTE
        return "check the port: what answers there may not speak TLS, or want a certificate of ours"


def failed(name: str, error: PipeError, hint: str | None = None) -> Rung:
    """A rung that does not hold because of this error."""
    return Rung(name, "fail", error.text, hint or error.hint)


def certified(sock: Any, name: str = "tls") -> Rung:
    """The rung of a TLS connection that stands: its version, and how long the partner's certificate holds.

    `sock` is whatever has `getpeercert` and `version`: an SSLSocket, or asyncio's `ssl_object`.
    """
    return held(of_peer(sock.getpeercert()), sock.version() or "TLS", name)


def held(certificate: Certificate | None, version: str, name: str = "tls") -> Rung:
    """The same, from what was seen of it."""
    if certificate is None:
        return Rung(name, "ok", version)
    text = f"{version}, the chain is trusted; certificate {certificate.said}"
    if certificate.days < SOON:
        return Rung(name, "warn", text, "ask the partner to renew it: from that day on nothing is sent or received")
    return Rung(name, "ok", text)


def ours(certificate: Certificate, name: str = "our certificate") -> Rung:
    """The rung of a certificate of our own. It warns even where it has ended: it is the partner's to refuse it."""
    if certificate.days < SOON:
        return Rung(name, "warn", certificate.said, "renew it; a new file is taken up without a restart")
    return Rung(name, "ok", certificate.said)


def _cure(error: TlsFailed) -> str:
    """What to do about each check of TLS; never to switch it off."""
    for words, cure in _CURES.items():
        if words in error.text:
            return cure
    return error.hint


_CURES = {
    "has expired": "ask the partner to renew it",
    "not valid yet": "check this machine's clock: `pipe doctor` does",
    "self-signed": "get the partner's certificate by a way that you trust and name its file: `tls: {ca: FILE}`",
    "is not trusted": "get the authority's certificate by a way that you trust and name its file: `tls: {ca: FILE}`",
    "is not known here": "get the authority's certificate by a way that you trust and name its file: `tls: {ca: FILE}`",
    "for another name": "use the name that is in it, or say `tls: {server_name: NAME}` if the partner confirms it",
    "for another address": "use a name that is in it, or say `tls: {server_name: NAME}` if the partner confirms it",
    "does not speak TLS": "check the port, and whether the address should begin without the `s` of TLS",
    "too old": "ask the partner for TLS 1.2 or newer",
    "certificate of ours": "give the connection a certificate of our own with `mtls:`",
    "does not accept our certificate": "ask the partner which certificate of ours it knows, and renew it under `mtls:`",
    "cannot be used": "mend the named file of `tls:` or `mtls:`",
}
