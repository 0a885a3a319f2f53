"""Why a partner cannot be asked over HTTP, rung by rung: the way, our credentials, its probe. Sends nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from yarl import URL

from adapters.http_dialling import Dialler
from adapters.http_network import Permissions, TlsFiles
from adapters.http_oauth import Tokens
from adapters.http_rungs import Ladder, failed
from pipe.contract import Rung, Timeout
from pipe.errors import NoAnswer, PipeError

if TYPE_CHECKING:
    from adapters.http_client import HttpConfig
    from adapters.http_transport import HttpTransport, Reply

_NO_PROBE = "name a path that changes nothing there: `probe: {get: /ping}`"


def way(address: str, permissions: Permissions, tls: TlsFiles) -> Dialler:
    """The way to the host of an http:// or https:// address."""
    url = URL(address)
    return Dialler(url.host or "", url.port or 80, permissions, tls if url.scheme == "https" else None)


async def way_rungs(
    config: HttpConfig, address: str, permissions: Permissions, timeout: Timeout, pool: str
) -> AsyncIterator[Rung]:
    """The way to an address: name, tcp, tls; with a proxy, the way to that."""
    first = config.proxy.url if config.proxy is not None else address
    async with Ladder(way(first, permissions, TlsFiles(config.tls, config.mtls)), timeout, pool) as ladder:
        async for rung in ladder.climbed():
            yield rung._replace(name=f"proxy {rung.name}") if config.proxy is not None else rung


async def proxy_rung(transport: HttpTransport, timeout: Timeout) -> Rung:
    """Whether the proxy lets us through to the partner, TLS included."""
    try:
        await transport.reach(timeout)
    except PipeError as error:
        return failed("through the proxy", error)
    return Rung("through the proxy", "ok", f"{transport.where} is reached through the proxy")


async def token_rung(tokens: Tokens, timeout: Timeout) -> Rung:
    """Whether the authorisation server gives us a token."""
    try:
        await tokens.current(timeout)
    except PipeError as error:
        return failed("token", error)
    return Rung("token", "ok", "the authorisation server gave us a token")


async def probe_rung(config: HttpConfig, ask: Callable[[str], Awaitable[Reply]]) -> Rung:
    """What the partner answers to the probe, with our credentials."""
    if config.probe is None:
        if config.auth == "none":
            return Rung("probe", "ok", "none is configured: that the partner is there is all that can be said")
        text = "none is configured: only a message will show whether the partner accepts our credentials"
        return Rung("probe", "warn", text, _NO_PROBE)
    path = config.probe.get
    try:
        reply = await ask(path)
    except NoAnswer as error:
        return failed("probe", error, "ask the partner why the path is not answered, or raise `timeout:`")
    except PipeError as error:
        return failed("probe", error)
    if reply.status in {401, 403}:
        return Rung(
            "probe", "fail", f"{path} answers {reply.status}: our credentials are not accepted",
            "renew the secret that `auth:` names; a changed file is taken up without a restart",
        )  # fmt: skip
    if reply.status >= 500:
        return Rung("probe", "fail", f"{path} answers {reply.status}", "ask the partner: it fails by itself")
    if reply.status >= 300:
        text = f"{path} answers {reply.status}: the partner is there, but the path may be wrong"
        return Rung("probe", "warn", text, "correct `url:` or `probe: {get: …}`")
    return Rung("probe", "ok", f"{path} answers {reply.status}")
