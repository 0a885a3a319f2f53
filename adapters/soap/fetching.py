"""Fetches a WSDL with all that it imports, once, and pins it: files beside one another and a file of their hashes."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from lxml import etree
from yarl import URL

from adapters.http_network import Allow, Permissions, Proxy, Tls, TlsFiles
from adapters.http_outbound_auth import Auth, credentials
from adapters.http_transport import HttpTransport, Request
from adapters.soap.config import service_at
from adapters.soap.files import KNOWN, MAX_FILES, PINS, Wsdl, links, pins_line, read_wsdl
from adapters.soap.names import WSDL
from adapters.soap.xml import parsed
from pipe.contract import Clock, Timeout
from pipe.errors import AddressForbidden, PayloadError, Refused, ReplyInvalid

MAX_BYTES = 10 << 20
_ENCODING = re.compile(rb"^\s*<\?xml[^>]*encoding=[\"']([A-Za-z0-9._-]+)[\"']")


@dataclass(frozen=True, slots=True)
class Way:
    """How documents are fetched: where they may come from, and as whom."""

    hosts: Sequence[str]
    networks: Sequence[Any] = ()
    tls: Tls = field(default_factory=Tls)
    proxy: Proxy | None = None
    auth: Auth | None = None
    home: str = ""
    """the address of the connection; only its host ever sees the credentials"""


def way_of(settings: Any, home: str, auth: Auth | None) -> Way:
    """Where a connection's settings let it go, and as whom."""
    allow = settings.allow
    hosts = allow.hosts if allow and allow.hosts else [URL(home).host or ""]
    return Way(hosts, allow.networks if allow else (), settings.tls, settings.proxy, auth, home)


@dataclass(frozen=True, slots=True)
class Pinned:
    """One document that was written."""

    file: str
    url: str
    sha256: str
    changed: bool
    """whether it was something else before, or was not there"""


class Fetcher:
    """Fetches single documents, within the allow-list."""

    def __init__(
        self, way: Way, clock: Clock, timeout: Timeout, token: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """`token` gives one of OAuth, where our way to prove who we are needs it."""
        self._way, self._clock, self._timeout, self._token = way, clock, timeout, token
        self._transports: dict[str, HttpTransport] = {}

    async def fetch(self, url: str) -> bytes:
        """The document at an address. Raises AddressForbidden, Refused, and what HttpTransport raises."""
        address = URL(url)
        if address.scheme not in {"http", "https"} or not address.host:
            raise AddressForbidden(f"`{url[:200]}` is no address on the web")
        origin = str(address.origin())
        transport = self._transports.get(origin)
        if transport is None:
            transport = self._transports[origin] = self._to(origin)
            await transport.open()
        request = Request("GET", address.raw_path_qs, {"Accept": "*/*", "User-Agent": "pipe-gateway"})
        if self._way.auth is not None and self._way.home and URL(self._way.home).origin() == address.origin():
            request.headers.update(credentials(self._way.auth, "pin", b"", self._clock.now()))
            if self._token is not None:
                request.headers["Authorization"] = f"Bearer {await self._token()}"
        reply = await transport.exchange(request, self._timeout)
        if reply.status != 200 or reply.cut is not None:
            moved = reply.headers.get("Location")
            hint = f": it redirects to {moved[:200]}; name that address" if moved else ""
            raise Refused(f"{url} answered {reply.status}{hint}" if reply.cut is None else f"{url}: {reply.cut}")
        return reply.body

    def _to(self, origin: str) -> HttpTransport:
        way = self._way
        allow = Allow(hosts=list(way.hosts), networks=list(way.networks))
        # A literal address in the command or the connection is its own permission; one in a document is not.
        literal = [address for address in (way.home,) if address]
        mtls = None if way.auth is None else way.auth.mtls
        return HttpTransport(
            "wsdl",
            origin,
            permissions=Permissions(allow, *literal),
            tls=TlsFiles(way.tls, mtls),
            limit=1,
            max_reply=MAX_BYTES,
            proxy=way.proxy,
        )

    async def close(self) -> None:
        """Ends every connection."""
        for transport in self._transports.values():
            await transport.close()


async def pin(url: str, file: Path, fetcher: Fetcher) -> list[Pinned]:
    """Fetches the WSDL at `url` with its imports, writes it to `file` and beside it, and pins all of it.

    Nothing is written before everything was fetched and can be read. Raises the PipeError that stood in the way.
    """
    texts = await _all(url, fetcher)
    names = {each: _name(number, file, text) for number, (each, text) in enumerate(texts.items())}
    lines = [pins_line(text, names[each], each) for each, text in texts.items()]
    head = f"# Written by `pipe wsdl pin {url}`: sha256, file, address.\n"
    files = {names[each]: text for each, text in texts.items()} | {file.name + PINS: head + "\n".join(lines) + "\n"}
    _check(file.name, files)
    file.parent.mkdir(parents=True, exist_ok=True)
    done = []
    for each, text in texts.items():
        place = file.parent / names[each]
        before = place.read_bytes() if place.is_file() else None
        raw = text.encode()
        done.append(Pinned(names[each], each, hashlib.sha256(raw).hexdigest(), before != raw))
    for name, text in files.items():
        fresh = file.parent / f"{name}.new"
        fresh.write_bytes(text.encode())
        fresh.replace(file.parent / name)
    return done


async def fetched(url: str, fetcher: Fetcher) -> Wsdl:
    """The WSDL at `url` with its imports, in memory only. Raises the PipeError that stood in the way."""
    texts = await _all(url, fetcher)
    main = Path("served.wsdl")
    names = {each: _name(number, main, text) for number, (each, text) in enumerate(texts.items())}
    lines = [pins_line(text, names[each], each) for each, text in texts.items()]
    return _read({names[each]: text for each, text in texts.items()} | {main.name + PINS: "\n".join(lines)}, main.name)


async def _all(url: str, fetcher: Fetcher) -> dict[str, str]:
    texts: dict[str, str] = {}
    waiting = [url]
    while waiting:
        each = waiting.pop(0)
        if each in texts:
            continue
        if len(texts) >= MAX_FILES:
            raise ReplyInvalid(f"{url} is made of more than {MAX_FILES} documents")
        raw = await fetcher.fetch(each)
        try:
            root = parsed(raw, each)
        except PayloadError as error:
            raise ReplyInvalid(error.text) from error
        texts[each] = _as_text(raw, root)
        waiting += _imports(root, each)
    return texts


def _imports(root: Any, base: str) -> Iterable[str]:
    for link, attribute in links(root):
        location = link.get(attribute)
        if location is not None and link.get("namespace") not in KNOWN:
            yield urljoin(base, location)


def _as_text(raw: bytes, root: Any) -> str:
    """As it was sent; anything but UTF-8 is written anew, because files of a configuration are UTF-8."""
    declared = _ENCODING.match(raw)
    if declared is None or declared[1].lower() in {b"utf-8", b"us-ascii"}:
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            pass
    return etree.tostring(root, encoding="unicode")


def _name(number: int, file: Path, text: str) -> str:
    if number == 0:
        return file.name
    return f"{file.stem}.{number}.{'wsdl' if f'{{{WSDL}}}definitions' == parsed(text.encode()).tag else 'xsd'}"


def _check(main: str, files: dict[str, str]) -> None:
    """Raises ReplyInvalid where what was fetched is no WSDL that the gateway can use."""
    wsdl = _read(files, main)
    for service in wsdl.services:
        service_at(wsdl, service, None)


def _read(files: dict[str, str], main: str) -> Wsdl:
    def read(path: str) -> str:
        name = posixpath.basename(path)
        if name not in files:
            raise ValueError(f"`{path}` was not fetched")
        return files[name]

    try:
        return read_wsdl(main, read)
    except ValueError as error:
        raise ReplyInvalid(str(error)) from error
