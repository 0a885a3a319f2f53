"""Where outgoing HTTP may go: the allow-list on resolved addresses, TLS, the proxy."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from aiohttp.abc import AbstractResolver, ResolveResult
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from yarl import URL

from adapters.http_certificates import of_file, of_peer
from pipe import blocking
from pipe.contract import Certificate, Secret, Strict, path_beside
from pipe.errors import TlsFailed

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Subnet = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _located(value: Any, info: ValidationInfo) -> Any:
    return path_beside(info, value) if isinstance(value, str) else value


def _web_address(text: str) -> str:
    """Refuses what an address of a partner must not hold."""
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or len(text.split()) != 1:
        raise ValueError(f"`{url.with_user(None) if url.host else text}` is no address: write `https://host/path`")
    if url.raw_user is not None or url.raw_password is not None:
        raise ValueError("credentials do not belong into an address: write them under `auth:`")
    if url.raw_query_string or url.raw_fragment:
        raise ValueError("an address ends with its path: write the query under `query:` of the target")
    return text


LocalPath = Annotated[Path, BeforeValidator(_located)]
"""a file on this machine; relative paths start at the folder of the YAML file"""
WebAddress = Annotated[str, AfterValidator(_web_address)]
"""`https://host[:port][/path]` without credentials, query and fragment"""
Networks = Annotated[
    Subnet, BeforeValidator(lambda value: ipaddress.ip_network(value) if isinstance(value, str) else value)
]


class Allow(Strict):
    """Which addresses a connection may reach."""

    hosts: list[str] = Field(
        default=[],
        description="Instead of only the host of `url`: names that may be asked.",
        examples=[["sms.partner.example"]],
    )
    networks: list[Networks] = Field(
        default=[],
        description="Private, loopback and link-local networks that names may lead to.",
        examples=[["10.20.0.0/16"]],
    )


class Tls(Strict):
    """How the partner's certificate is checked. It always is."""

    ca: LocalPath | None = Field(
        default=None, description="PEM file of the authorities to trust instead of the system's."
    )
    min_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(str)] = Field(
        default="1.2", description="Oldest TLS version."
    )
    server_name: str | None = Field(
        default=None, description="Name in the partner's certificate, where it is not the host of `url`."
    )


class Proxy(Strict):
    """A forward proxy. The environment's proxy variables are never read.

    The proxy resolves the partner's name, so only its own address is checked here; `allow: hosts` still binds.
    """

    url: WebAddress = Field(
        description="Address of the proxy; it is spoken to in plain HTTP.", examples=["http://proxy.local:3128"]
    )
    username: str | None = Field(default=None, description="Where the proxy asks who we are.")
    password: Secret | None = Field(default=None, description="The password that goes with it.")


class Mtls(Strict):
    """A certificate of our own that the partner demands. Renewed files are taken up within five seconds."""

    cert: LocalPath = Field(description="PEM file with our certificate and its chain.")
    key: LocalPath = Field(description="PEM file with its private key.")
    password: Secret | None = Field(default=None, description="Passphrase of the key.")


class Forbidden(PermissionError):
    """An address that the allow-list does not hold. An OSError, because that is what passes through aiohttp."""

    def __init__(self, address: str, host: str) -> None:
        super().__init__(errno.EACCES, f"{host} leads to {address}, which `allow: networks` does not hold")


class Permissions:
    """The allow-list of one connection, made of `allow:` and of the addresses that its configuration itself names."""

    def __init__(self, allow: Allow | None, *addresses: str) -> None:
        """`addresses` are the URLs of the configuration, the connection's own first."""
        self._networks = tuple(allow.networks) if allow else ()
        hosts = [URL(address).host or "" for address in addresses]
        self._literals = {plain(literal) for host in hosts if (literal := _literal(host)) is not None}
        listed = allow.hosts if allow and allow.hosts else hosts[:1]
        self._hosts = {host.lower().rstrip(".") for host in listed}

    def host(self, host: str) -> bool:
        """Whether this name may be asked at all. A literal address is its own permission where it is written."""
        literal = _literal(host)
        return plain(literal) in self._literals if literal is not None else host.lower().rstrip(".") in self._hosts

    def address(self, text: str) -> bool:
        """Whether this address may be connected to."""
        literal = _literal(text)
        if literal is None:
            return False
        address = plain(literal)
        if address in self._literals or any(address in network for network in self._networks):
            return True
        return address.is_global and not address.is_multicast and not address.is_reserved

    def socket(self, info: Any) -> socket.socket:
        """A socket for one address of getaddrinfo's form. Raises Forbidden: nothing is connected past this point."""
        family, kind, protocol, _, place = info
        if not self.address(place[0]):
            raise Forbidden(place[0], place[0])
        return socket.socket(family, kind, protocol)


def is_loopback(host: str) -> bool:
    """Whether a host as it is written is this machine itself."""
    literal = _literal(host)
    return host.lower() == "localhost" or (literal is not None and plain(literal).is_loopback)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0].strip("[]"))
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The address that is really meant: IPv4 inside IPv6 (mapped, 6to4, Teredo, NAT64) is taken out."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if inner is None and address in _NAT64:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def unlisted(allow: Allow | None, url: str, others: Iterable[tuple[str, str]] = ()) -> str | None:
    """What is wrong with the addresses of a configuration under its own `allow:`; None if nothing is."""
    pairs = [("url", url), *others]
    permissions = Permissions(allow, *(address for _, address in pairs))
    for key, address in pairs:
        host = URL(address).host or ""
        if not permissions.host(host):
            return f"`{key}` leads to `{host}`, which `allow: hosts` does not list"
    return None


def lookup(host: str, port: int) -> list[tuple[Any, ...]]:
    """All addresses of a name, as the system knows them. Blocks."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class CheckedResolver(AbstractResolver):
    """Resolves a name once and gives out only what may be connected to; aiohttp connects to exactly these addresses."""

    def __init__(self, permissions: Permissions, pool: str) -> None:
        """`pool` names the threads that look names up: one partner's slow DNS holds up nobody else."""
        self._permissions, self._pool = permissions, pool

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError where there is no such name, Forbidden where one of its addresses is not allowed."""
        found = await blocking.run(self._pool, lookup, host, port)
        results: list[ResolveResult] = []
        for kind, _, protocol, _, place in found:
            if not self._permissions.address(place[0]):
                raise Forbidden(place[0], host)
            results.append(
                {"hostname": host, "host": place[0], "port": port, "family": kind, "proto": protocol, "flags": 0}
            )
        if not results:
            raise OSError(errno.ENOENT, f"{host} has no address")
        return results

    async def close(self) -> None:
        """Gives its threads back."""
        blocking.close(self._pool)


class TlsFiles:
    """Makes the TLS context of a connection, and makes it anew when one of its files has changed."""

    def __init__(self, tls: Tls, mtls: Mtls | None, *, speaks: str | None = "http/1.1") -> None:
        """`speaks` is the protocol that is named to the partner in the handshake (ALPN); None names none."""
        self._tls, self._mtls, self._speaks = tls, mtls, speaks
        self._versions: tuple[Any, ...] = ()
        self.seen: Certificate | None = None
        """the partner's certificate, as the last handshake showed it"""
        self._context: ssl.SSLContext | None = None

    @property
    def server_name(self) -> str | None:
        """The name that the partner's certificate must have, where it is not the host."""
        return self._tls.server_name

    @property
    def own(self) -> Path | None:
        """The file of our own certificate, where we have one."""
        return self._mtls.cert if self._mtls else None

    def certificates(self) -> list[Certificate]:
        """The partner's, where one was seen, and ours. Never raises."""
        found = [self.seen] if self.seen is not None else []
        if self.own is not None:
            with suppress(OSError, ValueError):  # a file that cannot be read is told by the next handshake
                found.append(of_file(self.own))
        return found

    def saw(self, told: Any) -> None:
        """Keeps what `getpeercert()` of a checked connection told."""
        self.seen = of_peer(told) or self.seen

    def context(self) -> ssl.SSLContext:
        """Today's context; blocks some milliseconds when made. Raises TlsFailed for a file that is not usable."""
        paths = [self._tls.ca, *((self._mtls.cert, self._mtls.key) if self._mtls else ())]
        try:
            versions = tuple((path, path.stat().st_mtime_ns) for path in paths if path is not None)
            if self._context is None or versions != self._versions:
                self._context, self._versions = self._made(), versions
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; a passphrase that does not fit is one too
            raise TlsFailed(f"the TLS files of this connection cannot be used: {error}") from error
        return self._context

    def _made(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._tls.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3 if self._tls.min_version == "1.3" else ssl.TLSVersion.TLSv1_2
        if self._speaks is not None:
            context.set_alpn_protocols([self._speaks])
        if self._mtls is not None:
            password = self._mtls.password
            # Without a callback OpenSSL would ask at the terminal for the passphrase of an encrypted key.
            context.load_cert_chain(self._mtls.cert, self._mtls.key, password.reveal if password else lambda: "")
        return context


_CHECKS = {
    10: "it has expired",
    9: "it is not valid yet",
    18: "it is self-signed and not trusted",
    19: "its chain ends in an authority that is not trusted",
    20: "its authority is not known here",
    62: "it is for another name",
    64: "it is for another address",
}


def tls_reason(error: BaseException) -> str:
    """Which check of TLS failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the partner's certificate is not good: {_CHECKS.get(error.verify_code, error.verify_message)}"
    reason = str(getattr(error, "reason", None) or error)
    if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER_FAILURE" in reason or "HTTP_REQUEST" in reason:
        return "the partner does not speak TLS on this port"
    if "HANDSHAKE_FAILURE" in reason:
        return f"the partner refused the TLS handshake: it may want a certificate of ours, or other ciphers ({reason})"
    if "VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return f"the partner's TLS version is too old ({reason})"
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason:
        return f"the partner does not accept our certificate ({reason})"
    return f"the TLS handshake failed ({reason})"
