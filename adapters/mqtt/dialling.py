"""The way to a broker up to TLS, in steps that each fail by name. All of it blocks; call it in a thread."""

from __future__ import annotations

import socket
import ssl
import time
from typing import Any

from adapters import http_network
from adapters.http_network import Permissions, TlsFiles, tls_reason
from adapters.mqtt.config import MqttConfig
from pipe.errors import AddressForbidden, TlsFailed, Unreachable


class Dialler:
    """Makes connected sockets to one broker."""

    def __init__(self, config: MqttConfig) -> None:
        self.host, self.port = config.place
        self.where = f"{self.host}:{self.port}"
        self._permissions = Permissions(config.allow, config.url)
        self.tls = TlsFiles(config.tls, config.mtls, speaks=None) if config.secure else None

    def dial(self, seconds: float) -> socket.socket:
        """A socket that stands, TLS included. Raises Unreachable, TlsFailed, AddressForbidden within `seconds`."""
        ends = time.monotonic() + seconds
        sock = self.connected(self.addresses(), ends)
        return sock if self.tls is None else self.secured(sock, ends)

    def addresses(self) -> list[tuple[Any, ...]]:
        """The broker's addresses, all of them allowed."""
        try:
            found = http_network.lookup(self.host, self.port)
        except OSError as error:
            raise Unreachable(f"the name {self.host} cannot be resolved: {error.strerror or error}") from error
        for *_, place in found:
            if not self._permissions.address(place[0]):
                raise AddressForbidden(f"{self.host} leads to {place[0]}, which `allow: networks` does not hold")
        return found

    def connected(self, addresses: list[tuple[Any, ...]], ends: float) -> socket.socket:
        """A TCP connection to the first address that takes it, before `ends` of the monotonic clock."""
        last: OSError = TimeoutError("no time was left")
        for info in addresses:
            try:
                sock = self._permissions.socket(info)
            except OSError as error:
                last = error
                continue
            try:
                sock.settimeout(max(0.001, ends - time.monotonic()))
                sock.connect(info[4])
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as error:
                sock.close()
                last = error
        raise Unreachable(f"{self.where} does not take the connection: {last.strerror or last}") from last

    def secured(self, sock: socket.socket, ends: float) -> ssl.SSLSocket:
        """TLS over that connection, the certificate checked."""
        assert self.tls is not None
        try:
            context, name = self.tls.context(), self.tls.server_name or self.host
            sock.settimeout(max(0.001, ends - time.monotonic()))
            return context.wrap_socket(sock, server_hostname=name)
        except TlsFailed:
            sock.close()
            raise
        except (ssl.SSLEOFError, TimeoutError, ConnectionError) as error:
            sock.close()
            raise Unreachable(f"{self.where} ended the TLS handshake: {error}") from error
        except (ssl.SSLError, ssl.CertificateError) as error:
            sock.close()
            raise TlsFailed(f"{self.where}: {tls_reason(error)}") from error
