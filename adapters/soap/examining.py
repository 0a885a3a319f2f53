"""Why an operation cannot be called, or not be served, rung by rung. Nothing is called: a call might have effects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.http_certificates import of_file
from adapters.http_examining import proxy_rung, token_rung, way
from adapters.http_network import Permissions, TlsFiles
from adapters.http_rungs import Ladder, failed, ours
from adapters.soap.callers import CallerCheck
from adapters.soap.config import reviewed, service_at
from adapters.soap.security import Wsse
from pipe.contract import Rung, Timeout
from pipe.errors import PipeError

if TYPE_CHECKING:
    from adapters.http_oauth import Tokens
    from adapters.http_transport import HttpTransport
    from adapters.soap.client import SoapConfig
    from adapters.soap.files import Wsdl
    from adapters.soap.service import Service

_PIN = "`pipe lint` tells where it stands; `pipe wsdl pin` fetches the partner's WSDL again"
OURS = "our signature"
_THEIRS = "ask its owner for the next one, and put it into the same file: both are trusted"
_UNTRIED = "only a call will show whether the partner accepts them; there is none that SOAP calls harmless"


async def way_rungs(config: SoapConfig, permissions: Permissions, timeout: Timeout, pool: str) -> AsyncIterator[Rung]:
    """Name, tcp and tls of the partner; with a proxy, of that."""
    address = config.address if config.proxy is None else config.proxy.url
    tls = TlsFiles(config.tls, config.http.mtls if config.http else None)
    async with Ladder(way(address, permissions, tls), timeout, pool) as ladder:
        async for rung in ladder.climbed():
            yield rung if config.proxy is None else rung._replace(name=f"proxy {rung.name}")


async def partner_rungs(
    config: SoapConfig, transport: HttpTransport, tokens: Tokens | None, timeout: Timeout, uses: Sequence[Any]
) -> AsyncIterator[Rung]:
    """Above the way: the proxy's leave, the WSDL, each operation that a route calls, and what we prove us with."""
    if config.proxy is not None:
        yield (rung := await proxy_rung(transport, timeout))
        if rung.state == "fail":
            return
    yield (rung := await wsdl_rung(config.wsdl, config.service, config.port))
    if rung.state == "fail":
        return
    for use in uses:
        yield (rung := operation_rung(config, use))
        if rung.state == "fail":
            return
    if tokens is not None:
        yield (rung := await token_rung(tokens, timeout))
        if rung.state == "fail":
            return
    for rung in await asyncio.to_thread(list, _of_ours(config)):
        yield rung


async def wsdl_rung(wsdl: Wsdl, service: str | None, port: str | None) -> Rung:
    """Whether the WSDL can be read, and what it holds."""
    try:
        found: Service = await asyncio.to_thread(service_at, wsdl, service, port)
    except PipeError as error:
        return failed("wsdl", error, _PIN)
    ports = ", ".join(f"{each.name} (SOAP {each.version.name})" for each in found.ports)
    text = f"service {found.name}, port {ports}, {len(list(found.names))} operations, {len(wsdl.documents)} documents"
    return Rung("wsdl", "ok", text)


def operation_rung(config: SoapConfig, use: Any) -> Rung:
    """Whether the operation is there, with the header blocks that the route fills."""
    for problem in reviewed(config.wsdl, config.service, config.port, use.call):
        return Rung("operation", "fail", problem, _PIN)
    found = service_at(config.wsdl, config.service, config.port).operation(use.call)
    assert found is not None, "reviewed has found it"
    port, operation = found
    blocks = {each.key for each in operation.input.headers.values()}
    if missing := sorted(set(use.header) - blocks):
        known = ", ".join(sorted(blocks)) or "none"
        text = f"the WSDL declares no header block `{missing[0]}` for {use.call}; it declares {known}"
        return Rung("operation", "fail", text, "take it out of `header:`, or ask the partner for its newer WSDL")
    ways = "one-way" if operation.output is None else "answered"
    return Rung("operation", "ok", f"{use.call} in SOAP {port.version.name}, {ways}")


def _of_ours(config: SoapConfig) -> Iterator[Rung]:
    """What we prove us with, as far as it can be told without a call."""
    wsse = config.wsse
    if wsse is not None:
        yield from _of_wsse(wsse)
    if config.auth == "none":
        yield Rung("credentials", "ok", "there are none: no `auth:` is configured")
        return
    try:
        _revealed(config)
    except PipeError as error:
        yield failed("credentials", error)
        return
    yield Rung("credentials", "warn", "they can be read, and are untried", _UNTRIED)


def _of_wsse(wsse: Wsse) -> Iterator[Rung]:
    if wsse.sign is not None:
        yield _certificate(wsse.sign.cert, OURS)
    if wsse.verify is not None:
        yield _certificate(wsse.verify, "the partner's signature")


def _certificate(path: Path, name: str) -> Rung:
    try:
        rung = ours(of_file(path), name)
    except (OSError, ValueError) as error:
        return Rung(name, "fail", f"{path} cannot be read: {error}", "mend the file that `wsse:` names")
    return rung if name == OURS or rung.state == "ok" else rung._replace(hint=_THEIRS)


def _revealed(config: SoapConfig) -> None:
    """Reads every secret once. Raises SecretMissing, NotAuthorised."""
    wsse = config.wsse
    if wsse is not None and wsse.password is not None:
        wsse.password.reveal()
    if wsse is not None and wsse.sign is not None:
        wsse.sign.check()
    if config.http is not None and config.http.oauth2 is None:
        from adapters.http_outbound_auth import credentials

        credentials(config.http, "doctor", b"", 0.0)


# --- what we serve


async def served_rungs(wsdl: Wsdl, service: str | None, port: str | None, uses: Sequence[Any]) -> AsyncIterator[Rung]:
    """The WSDL, and which of its operations have a route."""
    yield (rung := await wsdl_rung(wsdl, service, port))
    if rung.state == "fail":
        return
    names = list(service_at(wsdl, service, port).names)
    served = {use.operation for use in uses}
    for name in sorted(served - set(names)):
        yield Rung("operations", "fail", f"the WSDL has no operation `{name}`; it has {', '.join(names)}", _PIN)
        return
    without = [name for name in names if name not in served]
    if without:
        text = f"no route takes {', '.join(without)}: callers of them get a fault"
        yield Rung("operations", "warn", text, "add a route for each, or tell the callers")
    else:
        yield Rung("operations", "ok", f"each has a route: {', '.join(names)}")


async def wsse_rungs(checks: Sequence[CallerCheck]) -> AsyncIterator[Rung]:
    """The files that know callers by WS-Security."""
    for check in checks:
        for rung in await asyncio.to_thread(list, _known(check)):
            yield rung


def _known(check: CallerCheck) -> Iterator[Rung]:
    try:
        check.prepare()
    except PipeError as error:
        yield failed("callers", error, "mend the file that `wsse:` names")
        return
    if names := check.names():
        yield Rung("callers", "ok", f"{len(names)} by name and password: {', '.join(names[:5])}")
    for path, name in check.certificates():
        yield _certificate(path, name)
