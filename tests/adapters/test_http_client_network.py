"""Where the HTTP client may go, and how it makes sure of whom it talks to."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters import http_network
from adapters.http_client import HttpConfig
from adapters.http_network import Allow, Permissions, plain
from pipe.errors import AddressForbidden, NotAuthorised, SecretMissing, TlsFailed, Unreachable
from tests.adapters.http_bench import client, outgoing
from tests.adapters.pki import Pki
from tests.adapters.raw_server import RawServer, Received, handshaking, reply, says, serving

LOOPBACK = {"networks": ["127.0.0.0/8"]}


BOTH_LOOPS = True


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A partner that answers 200 to everything."""
    async with serving(RawServer()) as running:
        yield running


class Dns:
    """A name server of the test's own: the answers in their order, the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> list[tuple[Any, ...]]:
        """As `adapters.http_network.lookup`."""
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [(family, 1, 6, "", (address, port)) for family, address in zip(families, addresses, strict=True)]


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a name server of the test's own in place of the system's."""

    def use(*answers: list[str]) -> Dns:
        made = Dns(*answers)
        monkeypatch.setattr(http_network, "lookup", made)
        return made

    return use


# --- the allow-list on resolved addresses (I7)

FORBIDDEN = [
    "127.0.0.1", "127.255.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "::1", "::", "fe80::1", "fe80::1%1", "fc00::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
]  # fmt: skip


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_name_that_leads_inside_is_refused(server: RawServer, dns: Any, address: str) -> None:
    """Private, loopback, link-local and reserved addresses need their network in the configuration, in any guise."""
    dns([address])
    async with client(server, host="partner.example") as partner:
        with pytest.raises(AddressForbidden, match=r"partner\.example leads to"):
            await partner.send(outgoing())
    assert server.connections == 0


async def test_one_bad_address_among_good_ones_is_enough(server: RawServer, dns: Any) -> None:
    """Every address is checked, not the first one."""
    dns(["93.184.216.34", "127.0.0.1"])
    async with client(server, host="partner.example") as partner:
        with pytest.raises(AddressForbidden):
            await partner.send(outgoing())
    assert server.connections == 0


@pytest.mark.key("http_client.allow", "http_client.allow.networks")
async def test_a_network_may_be_named(server: RawServer, dns: Any) -> None:
    """`allow: networks` opens exactly that network."""
    dns(["127.0.0.1"])
    async with client(server, host="partner.example", allow=LOOPBACK) as partner:
        assert (await partner.send(outgoing())).status == 200
    assert server.requests[0].headers["host"] == f"partner.example:{server.port}"


async def test_the_checked_address_is_the_one_that_is_used(server: RawServer, dns: Any) -> None:
    """A name server that changes its answer between check and connection gains nothing: it is asked once."""
    rebinding = dns(["127.0.0.1"], ["169.254.169.254"])
    async with client(server, host="partner.example", allow=LOOPBACK) as partner:
        assert (await partner.send(outgoing())).status == 200
        assert rebinding.asked == 1


async def test_a_changed_answer_is_checked_again(server: RawServer, dns: Any) -> None:
    """What was allowed for one connection says nothing about the next."""
    dns(["127.0.0.1"], ["10.0.0.1"])
    server.on("*", says(reply(200, b"", Connection="close")))
    async with client(server, host="partner.example", allow=LOOPBACK) as partner:
        await partner.send(outgoing())
        with pytest.raises(AddressForbidden, match=r"10\.0\.0\.1"):
            await partner.send(outgoing())


@pytest.mark.parametrize("host", ["0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "localhost"])
async def test_other_spellings_of_loopback_are_names(server: RawServer, host: str) -> None:
    """Hexadecimal, decimal and octal forms are no literal addresses: what the system makes of them is checked."""
    async with client(server, host=host) as partner:
        with pytest.raises(AddressForbidden):
            await partner.send(outgoing())
    assert server.connections == 0


async def test_a_literal_address_is_its_own_permission(server: RawServer) -> None:
    """Whoever writes an address means it."""
    async with client(server, host="127.0.0.1") as partner:
        assert (await partner.send(outgoing())).status == 200


def test_a_literal_address_permits_no_neighbour() -> None:
    """Only itself."""
    permissions = Permissions(None, "http://127.0.0.1:1/")
    assert permissions.address("127.0.0.1")
    assert permissions.address("::ffff:127.0.0.1")
    assert not permissions.address("127.0.0.2")


@pytest.mark.parametrize("address", FORBIDDEN)
def test_no_socket_is_made_for_what_is_not_allowed(address: str) -> None:
    """The last gate: whatever comes to be connected to, by whatever way, is looked at here."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(PermissionError):
        Permissions(None, "https://partner.example").socket((family, socket.SOCK_STREAM, 0, "", (address, 443)))


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8"])
def test_public_addresses_need_no_network(text: str) -> None:
    """The name is what the allow-list says about them."""
    assert Permissions(None, "https://partner.example").address(text)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_an_address_inside_another_is_judged_as_itself(address: ipaddress.IPv4Address, form: str) -> None:
    """Wrapping changes no verdict."""
    permissions = Permissions(Allow.model_validate({"networks": ["10.0.0.0/8"]}), "https://partner.example")
    wrapped = ipaddress.IPv6Address(form.format(address))
    assert plain(wrapped) == address
    assert permissions.address(str(wrapped)) == permissions.address(str(address))


@pytest.mark.parametrize(
    "keys",
    [
        {"auth": {"oauth2": {"token_url": "https://login.example/t", "client_id": "a", "client_secret": "${env:X}"}}},
        {"proxy": {"url": "http://proxy.example:3128"}},
        {"allow": {"hosts": ["other.example"]}},
    ],
)
def test_a_host_that_is_not_listed_is_a_mistake_of_the_configuration(keys: dict[str, Any]) -> None:
    """Lint names it; nobody has to wait for the first message."""
    with pytest.raises(ValidationError, match="`allow: hosts` does not list"):
        HttpConfig.model_validate({"type": "http_client", "url": "https://partner.example", **keys})


@pytest.mark.key("http_client.allow.hosts")
def test_listed_hosts_may_be_used() -> None:
    """With `hosts` given, all of them are to be named, the one of `url` too."""
    HttpConfig.model_validate(
        {
            "type": "http_client",
            "url": "https://partner.example",
            "proxy": {"url": "http://Proxy.example:3128"},
            "allow": {"hosts": ["partner.example", "proxy.example"]},
        }
    )


async def test_the_environments_proxy_is_not_used(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the configuration says decides the way."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with client(server) as partner:
        assert (await partner.send(outgoing())).status == 200


# --- TLS


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """An authority with its files in a fresh folder."""
    return Pki(tmp_path)


@pytest.mark.key("http_client.tls", "http_client.tls.ca")
async def test_a_good_certificate_is_good(pki: Pki) -> None:
    """HTTPS with an authority of one's own."""
    async with (
        serving(RawServer(), pki.server("127.0.0.1")) as server,
        client(server, scheme="https", tls={"ca": pki.ca_file}) as partner,
    ):
        assert (await partner.send(outgoing())).status == 200
        assert (await partner.check()).state == "up"


async def test_an_unknown_authority_is_named(pki: Pki) -> None:
    """The system's authorities do not know ours."""
    async with serving(RawServer(), pki.server("127.0.0.1")) as server, client(server, scheme="https") as partner:
        with pytest.raises(TlsFailed, match="authority"):
            await partner.send(outgoing())
        health = await partner.check()
    assert (health.state, "authority" in health.reason, server.requests) == ("down", True, [])


async def test_a_certificate_for_another_name_is_named(pki: Pki) -> None:
    """Also where the authority is trusted."""
    async with (
        serving(RawServer(), pki.server("other.example")) as server,
        client(server, scheme="https", tls={"ca": pki.ca_file}) as partner,
    ):
        with pytest.raises(TlsFailed, match="for another"):
            await partner.send(outgoing())


@pytest.mark.key("http_client.tls.server_name")
async def test_the_name_in_the_certificate_may_be_configured(pki: Pki) -> None:
    """For partners that are reached by an address."""
    async with serving(RawServer(), pki.server("other.example")) as server:
        tls = {"ca": pki.ca_file, "server_name": "other.example"}
        async with client(server, scheme="https", tls=tls) as partner:
            assert (await partner.send(outgoing())).status == 200


async def test_an_expired_certificate_is_named(pki: Pki) -> None:
    """The commonest reason of all deserves its own words."""
    import datetime

    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    async with (
        serving(RawServer(), pki.server("127.0.0.1", not_after=past)) as server,
        client(server, scheme="https", tls={"ca": pki.ca_file}) as partner,
    ):
        with pytest.raises(TlsFailed, match="it has expired"):
            await partner.send(outgoing())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_tls_is_refused(pki: Pki, version: ssl.TLSVersion) -> None:
    """TLS 1.2 is the oldest."""
    context = pki.server("127.0.0.1")
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    with handshaking(context) as port:
        async with client(RawServer(port=port), scheme="https", tls={"ca": pki.ca_file}) as partner:
            with pytest.raises(TlsFailed, match="too old"):
                await partner.send(outgoing())


@pytest.mark.key("http_client.tls.min_version")
async def test_tls_1_3_may_be_demanded(pki: Pki) -> None:
    """`min_version: 1.3`, also as YAML's number."""
    context = pki.server("127.0.0.1")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with handshaking(context) as port:
        async with client(RawServer(port=port), scheme="https", tls={"ca": pki.ca_file, "min_version": 1.3}) as partner:
            with pytest.raises(TlsFailed, match="too old"):
                await partner.send(outgoing())


@pytest.mark.key("http_client.auth.mtls", "http_client.auth.mtls.cert", "http_client.auth.mtls.key")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_our_certificate_is_shown(pki: Pki, version: ssl.TLSVersion) -> None:
    """mTLS: the partner sees who we are."""
    context = pki.server("127.0.0.1")
    pki.ca.configure_trust(context)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    seen: list[Any] = []

    async def look(request: Received, writer: Any) -> None:
        seen.append(request.peer_cert)
        writer.write(reply(200))

    async with serving(RawServer({"*": look}), context) as server:
        keys: dict[str, Any] = {"tls": {"ca": pki.ca_file}, "auth": {"mtls": pki.files("us.example")}}
        async with client(server, scheme="https", **keys) as partner:
            await partner.send(outgoing())
    assert seen[0]["subjectAltName"] == (("DNS", "us.example"),)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("ours", ["none", "foreign"])
async def test_a_certificate_that_the_partner_refuses_is_named(pki: Pki, ours: str, version: ssl.TLSVersion) -> None:
    """TLS 1.3 says so only after the request was written, but has not looked at it: the connection is at fault."""
    context = pki.server("127.0.0.1")
    pki.ca.configure_trust(context)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    keys: dict[str, Any] = {"tls": {"ca": pki.ca_file}}
    if ours == "foreign":
        keys["auth"] = {"mtls": pki.files("us.example", trustme.CA())}
    with handshaking(context) as port:
        async with client(RawServer(port=port), scheme="https", **keys) as partner:
            with pytest.raises(TlsFailed, match=r"our certificate|a certificate of ours"):
                await partner.send(outgoing())


async def test_a_renewed_certificate_is_taken_up(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are looked at again; no restart is needed."""
    monkeypatch.setattr("adapters.http_lines.FILES_EVERY", 0.0)
    context = pki.server("127.0.0.1")
    pki.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    seen: list[Any] = []

    async def look(request: Received, writer: Any) -> None:
        seen.append(request.peer_cert["subjectAltName"][0][1])
        writer.write(reply(200))

    async with serving(RawServer({"*": look}), context) as server:
        keys: dict[str, Any] = {"tls": {"ca": pki.ca_file}, "auth": {"mtls": pki.files("old.example")}}
        async with client(server, scheme="https", **keys) as partner:
            await partner.send(outgoing())
            pki.files("new.example")
            await partner.send(outgoing())
    assert seen == ["old.example", "new.example"]


async def test_a_missing_certificate_file_keeps_the_connection_down(tmp_path: Path) -> None:
    """`open` says which file, before any message is tried."""
    mtls = {"cert": str(tmp_path / "none.pem"), "key": str(tmp_path / "none.key")}
    with pytest.raises(TlsFailed, match=r"none\.pem"):
        async with client(RawServer(port=1), scheme="https", auth={"mtls": mtls}):
            pass


# --- proxies


async def tunnel(request: Received, writer: Any) -> None:
    """CONNECT: passes bytes between both sides, as a forward proxy does."""
    host, _, port = request.target.rpartition(":")
    reader, onward = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()

    try:
        await asyncio.gather(pump(reader, writer), pump(request.reader, onward))
    finally:
        onward.close()


def basic(proxy: RawServer, **keys: Any) -> dict[str, Any]:
    """That proxy in the configuration, and the hosts that it needs."""
    return {
        "proxy": {"url": f"http://127.0.0.1:{proxy.port}", **keys},
        "allow": {"hosts": ["127.0.0.1", "partner.example"]},
    }


@pytest.mark.key("http_client.proxy", "http_client.proxy.url")
async def test_plain_http_goes_through_the_proxy(server: RawServer) -> None:
    """The whole address in the request line; the proxy looks the name up."""
    async with client(RawServer(port=80), url="http://partner.example/v2", **basic(server)) as partner:
        await partner.send(outgoing())
    assert server.requests[0].target == "http://partner.example/v2/"
    assert server.requests[0].headers["host"] == "partner.example"


async def test_https_goes_through_a_tunnel(server: RawServer, pki: Pki) -> None:
    """The proxy sees CONNECT and nothing of the message."""
    server.on("*", tunnel)
    async with (
        serving(RawServer(), pki.server("127.0.0.1")) as real,
        client(real, scheme="https", tls={"ca": pki.ca_file}, **basic(server)) as partner,
    ):
        assert (await partner.send(outgoing(b"secret"))).status == 200
    assert [request.method for request in server.requests] == ["CONNECT"]
    assert real.requests[0].body == b"secret"


@pytest.mark.key("http_client.proxy.username", "http_client.proxy.password")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_proxy_gets_its_password(server: RawServer, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """And the password of today."""
    monkeypatch.setenv("PROXY_PASSWORD", "one")
    server.on("*", says(reply(407, b"", Connection="close")))
    keys = basic(server, username="us", password="${env:PROXY_PASSWORD}")
    async with client(RawServer(), url=f"{scheme}://partner.example", **keys) as partner:
        for password in ("one", "two"):
            monkeypatch.setenv("PROXY_PASSWORD", password)
            with pytest.raises((NotAuthorised, Unreachable)):
                await partner.send(outgoing())
    assert [request.headers["proxy-authorization"] for request in server.requests] == [
        "Basic dXM6b25l",
        "Basic dXM6dHdv",
    ]


async def test_a_proxy_that_refuses_us_is_named(server: RawServer) -> None:
    """407 is about our credentials there, 502 about the way: nothing was sent to the partner."""
    server.on("*", says(reply(407, b"", Connection="close")), says(reply(502, b"", Connection="close")))
    async with client(RawServer(), url="https://partner.example", **basic(server)) as partner:
        with pytest.raises(NotAuthorised, match="the proxy answered 407"):
            await partner.send(outgoing())
        with pytest.raises(Unreachable, match="the proxy answered 502"):
            await partner.send(outgoing())


async def test_a_proxy_that_is_gone_is_unreachable() -> None:
    """Nothing was sent."""
    async with serving(RawServer()) as gone:
        pass
    async with client(RawServer(), url="https://partner.example", **basic(gone)) as partner:
        with pytest.raises(Unreachable, match="the proxy does not take the connection"):
            await partner.send(outgoing())


async def test_a_proxys_name_is_checked_like_any_other(server: RawServer, dns: Any) -> None:
    """A proxy's name that leads inside needs its network."""
    dns(["127.0.0.1"])
    keys: dict[str, Any] = {
        "proxy": {"url": f"http://proxy.example:{server.port}"},
        "allow": {"hosts": ["partner.example", "proxy.example"]},
    }
    async with client(RawServer(), url="https://partner.example", **keys) as partner:
        with pytest.raises(AddressForbidden, match=r"proxy\.example leads to"):
            await partner.send(outgoing())
    assert server.connections == 0


async def test_a_missing_secret_of_the_proxy_is_named(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its reference, when it is used."""
    monkeypatch.delenv("PROXY_PASSWORD", raising=False)
    keys = basic(server, username="us", password="${env:PROXY_PASSWORD}")
    async with client(RawServer(), url="https://partner.example", **keys) as partner:
        with pytest.raises(SecretMissing, match="PROXY_PASSWORD"):
            await partner.send(outgoing())
