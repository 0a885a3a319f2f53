"""Listeners with TLS: certificates that are renewed, old versions, callers who must show one."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
import trustme

from pipe.config.models import Listener, Tls
from pipe.errors import ConfigError
from tests.web.listening import GET, listening
from tests.web.loops import request_loop
from tests.web.raw_http import connected, read_reply
from web.limits import HttpLimits
from web.listener import Listeners

__all__ = ["request_loop"]


def write_certificate(ca: trustme.CA, folder: Path, name: str = "localhost") -> Tls:
    """A fresh certificate and its key, in the files that a listener reads."""
    certificate = ca.issue_cert(name)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    (folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    return Tls(cert=str(folder / "cert.pem"), key=str(folder / "key.pem"))


def trusting(ca: trustme.CA) -> ssl.SSLContext:
    """A client's side."""
    context = ssl.create_default_context()
    ca.configure_trust(context)
    return context


async def serial_of(address: tuple[str, int], context: ssl.SSLContext) -> str:
    """Which certificate the listener shows."""
    async with connected(address, context) as (_, writer):
        return str(writer.get_extra_info("peercert")["serialNumber"])


@pytest.mark.key("listeners.tls", "listeners.tls.cert", "listeners.tls.key")
async def test_renewed_certificate_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """New connections get the new certificate; one that stands goes on; a broken pair of files changes nothing."""
    ca = trustme.CA()
    tls = write_certificate(ca, tmp_path)
    async with listening(Listener(address="127.0.0.1:0", tls=tls), HttpLimits(tick=0.05)) as (_, address):
        before = await serial_of(address, trusting(ca))
        async with connected(address, trusting(ca)) as (reader, writer):
            (tmp_path / "key.pem").write_text("half a key")
            await asyncio.sleep(0.3)
            assert await serial_of(address, trusting(ca)) == before
            write_certificate(ca, tmp_path)
            await asyncio.sleep(0.5)
            assert await serial_of(address, trusting(ca)) != before
            writer.write(GET)
            assert (await read_reply(reader, 0.01)).status == 200


async def test_old_tls_is_refused(tmp_path: Path) -> None:
    """Nothing below TLS 1.2 gets through the handshake."""
    ca = trustme.CA()
    old = trusting(ca)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with listening(Listener(address="127.0.0.1:0", tls=write_certificate(ca, tmp_path))) as (_, address):
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await serial_of(address, old)
        assert await serial_of(address, trusting(ca))


@pytest.mark.key("listeners.tls.client_ca")
async def test_listener_with_client_ca_demands_a_certificate_of_it(tmp_path: Path) -> None:
    """Without one, or with one of somebody else, no request gets in."""
    ca, other = trustme.CA(), trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = write_certificate(ca, tmp_path).model_copy(update={"client_ca": str(tmp_path / "ca.pem")})
    async with listening(Listener(address="127.0.0.1:0", tls=tls)) as (_, (_, port)):
        url = f"https://localhost:{port}/echo"
        right, wrong = trusting(ca), trusting(ca)
        ca.issue_cert("partner.example").configure_cert(right)
        other.issue_cert("partner.example").configure_cert(wrong)
        async with aiohttp.ClientSession() as client:
            async with client.get(url, ssl=right) as reply:
                assert reply.status == 200
            for context in (wrong, trusting(ca)):
                with pytest.raises(aiohttp.ClientError):
                    await client.get(url, ssl=context)


async def test_missing_certificate_is_a_config_error(tmp_path: Path) -> None:
    """The gateway says which files it could not use."""
    tls = Tls(cert=str(tmp_path / "c"), key=str(tmp_path / "k"))
    listeners = Listeners({"a": Listener(address="127.0.0.1:0", tls=tls)})
    with pytest.raises(ConfigError, match="certificate files"):
        await listeners.start()
