"""FTP over TLS: whose certificate is believed, and what is shown of it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL
from pydantic import ValidationError

from adapters.ftp.config import FtpConfig
from pipe.contract import Health
from pipe.errors import (
    TlsFailed,
    Unreachable,
)
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import (
    Pyftpd,
    PyftpdExplicit,
    PyftpdImplicit,
)
from tests.adapters.ftp_bench import opened, running, target

BOTH_LOOPS = True
"""the gateway runs on uvloop, whose TLS over a connection that stands is another one"""


@pytest.mark.key("ftp.tls", "ftp.tls.mode", "ftp.tls.ca", "ftp.url")
@pytest.mark.parametrize("kind", [PyftpdExplicit, PyftpdImplicit])
async def test_a_certificate_must_be_trusted(tmp_path: Path, kind: type[Pyftpd]) -> None:
    """With the authority's file it is; without it nothing is sent, the password neither."""
    place = kind(tmp_path)
    signed_in: list[str] = []
    checked = place.partner.handler.authorizer.validate_authentication

    def noting(name: str, password: str, handler: Any) -> None:
        signed_in.append(name)
        checked(name, password, handler)

    place.partner.handler.authorizer.validate_authentication = noting
    async with running(place) as peer:
        async with opened(peer, tls=kind.mode) as stranger:
            with pytest.raises(TlsFailed, match=r"authority|self-signed"):
                await stranger.send(outgoing(b"x", target()))
            assert (await stranger.check()).state == "down"
        assert signed_in == []
        async with opened(peer) as adapter:
            await adapter.send(outgoing(b"x", target()))
            assert await adapter.check() == Health("up")


@pytest.mark.key("ftp.tls.server_name")
async def test_the_certificate_may_have_another_name(tmp_path: Path) -> None:
    """Where the partner confirms it; the name is checked then."""
    async with running(PyftpdExplicit(tmp_path)) as peer:
        ca = peer.place.pki.ca_file  # type: ignore[attr-defined]
        async with opened(peer, tls={"mode": "explicit", "ca": ca, "server_name": "localhost"}) as adapter:
            await adapter.send(outgoing(b"x", target()))
        async with opened(peer, tls={"mode": "explicit", "ca": ca, "server_name": "ftp.example"}) as adapter:
            with pytest.raises(TlsFailed, match="another name"):
                await adapter.send(outgoing(b"x", target()))


@pytest.mark.key("ftp.tls.min_version")
async def test_an_old_version_of_tls_is_refused(tmp_path: Path) -> None:
    """What the server offers at best is what the configuration wants at least."""
    place = PyftpdExplicit(tmp_path)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(place.certificate))
    context.use_privatekey_file(str(place.certificate))
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    place.partner.handler.ssl_context = context
    async with running(place) as peer:
        ca = place.pki.ca_file
        async with opened(peer, tls={"mode": "explicit", "ca": ca, "min_version": "1.3"}) as adapter:
            with pytest.raises((TlsFailed, Unreachable)):
                await adapter.send(outgoing(b"x", target()))
        async with opened(peer) as adapter:
            await adapter.send(outgoing(b"x", target()))


@pytest.mark.key("ftp.mtls")
async def test_a_server_may_demand_our_certificate(tmp_path: Path) -> None:
    """With it the door opens, without it the handshake fails."""
    place = PyftpdExplicit(tmp_path)
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(str(place.certificate))
    context.use_privatekey_file(str(place.certificate))
    context.load_verify_locations(place.pki.ca_file)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *given: bool(given[-1]))
    context.set_session_id(b"files")
    place.partner.handler.ssl_context = context
    async with running(place) as peer:
        async with opened(peer, mtls=place.pki.files("gateway")) as adapter:
            await adapter.send(outgoing(b"x", target()))
        async with opened(peer) as adapter:
            with pytest.raises((TlsFailed, Unreachable)):
                await adapter.send(outgoing(b"x", target()))
    with pytest.raises(ValidationError, match="`mtls` needs TLS"):
        FtpConfig.model_validate({"type": "ftp", "url": "ftp://h", "tls": "none", "mtls": place.pki.files("gateway")})


async def test_the_days_of_a_certificate_are_watched(tmp_path: Path) -> None:
    """The connection knows the one that the server showed last."""
    place = PyftpdExplicit(tmp_path)
    ends = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3, hours=1)
    issued = place.pki.ca.issue_cert("127.0.0.1", not_after=ends)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    place.certificate.write_bytes(issued.private_key_pem.bytes() + chain)
    async with running(place) as peer, opened(peer) as adapter:
        await adapter.send(outgoing(b"x", target()))
        (seen,) = adapter.certificates()
    assert (seen.whose, seen.left) == ("partner", "3 days left")
