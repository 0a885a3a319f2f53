"""The way to a partner over TCP up to TLS, in steps that each fail by name. All of it blocks; call it in a thread.

For adapters whose library takes a socket that stands: what they connect to is then what the allow-list has checked.
"""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from adapters import http_network
from adapters.http_network import Permissions, TlsFiles, tls_reason
from pipe.errors import AddressForbidden, TlsFailed, Unreachable

Info = tuple[Any, ...]
"""an address as getaddrinfo tells it"""


class Dialler:
    """Makes connected sockets to one host and port."""

    def __init__(self, host: str, port: int, permissions: Permissions, tls: TlsFiles | None) -> None:
        """Without `tls` the way is plain, at least until somebody calls `secured`."""
        self.host, self.port, self.tls = host, port, tls
        self.where = f"{host}:{port}"
        self._permissions = permissions

    def dial(self, seconds: float) -> socket.socket:
        """A socket that stands, TLS included. Raises Unreachable, TlsFailed, AddressForbidden within `seconds`."""
        ends = time.monotonic() + seconds
        sock = self.connected(self.addresses(), ends)
        return sock if self.tls is None else self.secured(sock, ends, self.tls)

    def plain(self, seconds: float) -> socket.socket:
        """A socket that stands and on which nothing was said: TLS is the caller's. Raises Unreachable and the like."""
        ends = time.monotonic() + seconds
        return self.connected(self.addresses(), ends)

    def addresses(self) -> list[Info]:
        """The partner's addresses, all of them allowed. Raises Unreachable, AddressForbidden."""
        if not self._permissions.host(self.host):
            raise AddressForbidden(f"{self.host} is not listed in `allow: hosts`")
        try:
            found = http_network.lookup(self.host, self.port)
        except OSError as error:
            raise Unreachable(f"the name {self.host} cannot be resolved: {error.strerror or error}") from error
        except UnicodeError as error:
            raise Unreachable(f"{self.host[:80]!r} is no name that could be resolved: {error}") from error
        for *_, place in found:
            if not self._permissions.address(place[0]):
                raise AddressForbidden(f"{self.host} leads to {place[0]}, which `allow: networks` does not hold")
        return found

    def connected(self, addresses: list[Info], ends: float) -> socket.socket:
        """A TCP connection to the first address that takes it, before `ends` of the monotonic clock.

        Each has an equal part of what is left, so that one that swallows everything leaves time for the others.
        """
        last: OSError = TimeoutError("no time was left")
        for number, info in enumerate(addresses):
            try:
                sock = self._permissions.socket(info)
            except OSError as error:
                last = error
                continue
            try:
                sock.settimeout(max(0.001, (ends - time.monotonic()) / (len(addresses) - number)))
                sock.connect(info[4])
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as error:
                sock.close()
                last = error
        raise Unreachable(f"{self.where} does not take the connection: {last.strerror or last}") from last

    def secured(self, sock: socket.socket, ends: float, tls: TlsFiles) -> ssl.SSLSocket:
        """TLS over that connection, the certificate checked; on failure the socket is closed."""
        try:
            context, name = tls.context(), tls.server_name or self.host
            sock.settimeout(max(0.001, ends - time.monotonic()))
            secured = context.wrap_socket(sock, server_hostname=name)
            tls.saw(secured.getpeercert())
            return secured
        except TlsFailed:
            sock.close()
            raise
        except (ssl.SSLEOFError, TimeoutError, ConnectionError) as error:
            sock.close()
            raise Unreachable(f"{self.where} ended the TLS handshake: {error}") from error
        except (ssl.SSLError, ssl.CertificateError) as error:
            sock.close()
            raise TlsFailed(f"{self.where}: {tls_reason(error)}") from error
