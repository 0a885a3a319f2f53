"""The rungs of what the gateway serves itself: its listener, its own certificate, the files that know its callers."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Literal

from adapters import http_basic, http_keys
from adapters.http_auth import Method
from adapters.http_certificates import of_file
from adapters.http_jwt import JwtVerifier
from adapters.http_rungs import failed, ours
from adapters.http_signature import secrets_of
from pipe.contract import Certificate, Listening, Rung, Services
from pipe.errors import ConfigError, PipeError

PATIENCE = 2.0
"""seconds that a listener on this very machine may take"""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 — what such a listener is reached by from here


def served_certificates(services: Services, listener: str | None) -> list[Certificate]:
    """The certificate of that listener, where it has one. Never raises."""
    try:
        path = services.listening(listener).certificate
        return [of_file(path)] if path is not None else []
    except (ConfigError, OSError, ValueError):
        return []  # the listener itself tells why it cannot serve


async def listener_rungs(services: Services, listener: str | None) -> AsyncIterator[Rung]:
    """Whether the listener stands, or could; ends after one that fails."""
    try:
        place = services.listening(listener)
    except ConfigError as error:
        yield failed("listener", error, "name one of `listeners:`, or none")
        return
    rung = await (_reached(place) if place.bound else asyncio.to_thread(_free, place))
    yield rung
    if place.certificate is not None and rung.state != "fail":
        yield await asyncio.to_thread(_certified, place)


async def _reached(place: Listening) -> Rung:
    where = _said(place)
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await asyncio.open_connection(_EVERYWHERE.get(place.host, place.host), place.port)
    except OSError as error:
        hint = "look for what keeps connections away from it: a full backlog, a packet filter of this machine"
        return Rung("listener", "fail", f"{where} does not take connections: {error.strerror or error}", hint)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return Rung("listener", "ok", f"{where} takes connections")


def _free(place: Listening) -> Rung:
    """No gateway runs: whether one could listen there."""
    where = _said(place)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as error:
        hint = _CURES.get(error.errno or 0, "correct the address in `listeners:` or `--listen`")
        return Rung("listener", "fail", f"nobody could listen on {where}: {error.strerror or error}", hint)
    return Rung("listener", "ok", f"{where} is free: no gateway runs")


_CURES = {
    errno.EADDRINUSE: "something else listens there: stop it, or choose another address",
    errno.EACCES: "ports below 1024 need a right of their own: choose another, or allow it to the service",
    errno.EADDRNOTAVAIL: "this machine has no such address: correct it",
}


def _certified(place: Listening) -> Rung:
    assert place.certificate is not None
    try:
        return ours(of_file(place.certificate))
    except (OSError, ValueError) as error:
        text = f"{place.certificate} cannot be read: {error}"
        return Rung("our certificate", "fail", text, "mend the file that the listener's `tls: {cert: …}` names")


def _said(place: Listening) -> str:
    host = f"[{place.host}]" if ":" in place.host else place.host
    return f"{host}:{place.port}"


async def caller_rungs(auth: Literal["none"] | Method | list[Method] | None, services: Services) -> AsyncIterator[Rung]:
    """What the files say of who may call; every way is looked at, also after one that fails."""
    if auth is None or auth == "none":
        yield Rung("callers", "ok", "anybody may call: there is no `auth:`")
        return
    for method in auth if isinstance(auth, list) else [auth]:
        for name, look in _ways(method, services.clock.now()):
            try:
                yield await asyncio.to_thread(look)
            except PipeError as error:
                yield failed(name, error, "mend the file, or its reference in `auth:`")


def _ways(method: Method, now: float) -> Iterable[tuple[str, Callable[[], Rung]]]:
    if (keys := method.api_keys) is not None:
        yield "api keys", lambda: _keys(keys.reveal(), now)
    if (basic := method.basic) is not None:
        yield "users", lambda: _counted("users", sorted(http_basic.parsed(basic.users.reveal())), "user")
    if (tokens := method.jwt) is not None:
        yield (
            "tokens",
            lambda: Rung(
                "tokens", "ok", f"of {tokens.issuer}, checked with {len(JwtVerifier(tokens).keys().keys)} of its keys"
            ),
        )
    if (signed := method.hmac) is not None:
        yield (
            "signatures",
            lambda: Rung(
                "signatures", "ok", f"by any of {len(secrets_of(signed.secret.reveal()))} secrets (Standard Webhooks)"
            ),
        )
    if (mutual := method.mtls) is not None:
        yield "certificates", lambda: Rung("certificates", "ok", f"of callers called {', '.join(mutual.names[:5])}")


def _keys(text: str, now: float) -> Rung:
    lines = http_keys.parse(text)
    dead = sorted({line.name for line in lines if not http_keys.lives(line, now)})
    live = sorted({line.name for line in lines if http_keys.lives(line, now)})
    rung = _counted("api keys", live, "caller")
    if dead and rung.state == "ok":
        text = f"{rung.text}; past their last day: {_listed(dead)}"
        return Rung("api keys", "warn", text, "take those lines out, or `pipe keys issue` new ones")
    return rung


def _counted(name: str, found: Sequence[str], what: str) -> Rung:
    if not found:
        return Rung(name, "warn", f"there is no {what} in the file: nobody can call", "add a line")
    return Rung(name, "ok", f"{len(found)} {what}{'s' if len(found) > 1 else ''}: {_listed(found)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
