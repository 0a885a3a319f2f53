"""The rungs that every partner over TCP has: each fails by its own name, with its cause and what to do about it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest

from adapters import http_network
from adapters.http_dialling import Dialler
from adapters.http_network import Allow, Mtls, Permissions, Tls, TlsFiles
from adapters.http_rungs import Ladder
from pipe.contract import Certificate, Duration, Rung, Timeout
from tests.adapters.pki import Pki
from tests.adapters.raw_server import handshaking, listening

SHORT = Timeout(connect=Duration(0.5), read=Duration(1), total=Duration(2))


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """An authority with its files in a fresh folder."""
    return Pki(tmp_path)


def dialler(port: int, host: str = "127.0.0.1", tls: TlsFiles | None = None, allow: Allow | None = None) -> Dialler:
    """The way to a partner on this machine."""
    return Dialler(host, port, Permissions(allow, f"https://{host}:{port}"), tls)


def tls(pki: Pki, mtls: dict[str, str] | None = None, **keys: Any) -> TlsFiles:
    """TLS that trusts the authority."""
    checks = Tls.model_validate({"ca": Path(pki.ca_file), **keys})
    return TlsFiles(checks, Mtls.model_validate({k: Path(v) for k, v in mtls.items()}) if mtls else None)


async def climbed(to: Dialler) -> list[Rung]:
    """All rungs up to the first that fails; what fails says what to do."""
    async with Ladder(to, SHORT, "ladder") as ladder:
        found = [rung async for rung in ladder.climbed()]
        assert (ladder.sock is not None) == (found[-1].state != "fail")
    assert [rung for rung in found if rung.state != "ok" and not rung.hint] == []
    return found


def states(found: list[Rung]) -> list[tuple[str, str]]:
    """Names and states."""
    return [(rung.name, rung.state) for rung in found]


async def test_a_good_partner_holds_on_every_rung(pki: Pki) -> None:
    """Its addresses, its port, its certificate with the days that are left."""
    with handshaking(pki.server("127.0.0.1")) as port:
        found = await climbed(dialler(port, tls=tls(pki)))
    assert states(found) == [("name", "ok"), ("tcp", "ok"), ("tls", "ok")]
    assert found[0].text == "127.0.0.1 is an address"
    assert found[2].text.startswith("TLSv1.3, the chain is trusted; certificate for 127.0.0.1, issued by trustme v")
    assert found[2].text.endswith("days left")


async def test_a_plain_partner_has_no_tls_rung() -> None:
    """And nothing is said to it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert states(await climbed(dialler(listener.getsockname()[1]))) == [("name", "ok"), ("tcp", "ok")]
        said, _ = listener.accept()
        with said:
            assert said.recv(100) == b""


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server says no: the text names the host, the hint says how to ask."""

    def unknown(host: str, port: int) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(http_network, "lookup", unknown)
    (found,) = await climbed(dialler(1, host="no.such.example"))
    assert found[:3] == ("name", "fail", "the name no.such.example cannot be resolved: Name or service not known")
    assert "getent hosts no.such.example" in found.hint


async def test_an_address_outside_the_allow_list() -> None:
    """A name that leads inside is refused before anything is connected."""
    (found,) = await climbed(dialler(1, host="localhost"))
    assert (found.name, found.state, "`allow: networks`" in found.text) == ("name", "fail", True)
    assert "`allow:`" in found.hint


async def test_a_port_that_nobody_listens_on() -> None:
    """Told from a way that swallows everything: the cure is another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = await climbed(dialler(port))
    assert states(found) == [("name", "ok"), ("tcp", "fail")]
    assert "Connection refused" in found[1].text
    assert "nothing listens" in found[1].hint


def crowd(listener: socket.socket) -> list[socket.socket]:
    """Fills a backlog, so that whatever else comes is dropped without a word."""
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(listener.getsockname())
    return waiting


async def test_a_way_that_swallows_everything() -> None:
    """A full backlog drops what comes, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = crowd(listener)
        found = await climbed(dialler(listener.getsockname()[1]))
        for one in waiting:
            one.close()
    assert states(found) == [("name", "ok"), ("tcp", "fail")]
    assert "firewall" in found[1].hint


async def test_an_address_that_hangs_leaves_time_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partner whose first address is dead is reached by its second."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_server(("127.0.0.2", listener.getsockname()[1]), backlog=0) as dead,
    ):
        waiting = crowd(dead)
        both = [(socket.AF_INET, 1, 6, "", place.getsockname()) for place in (dead, listener)]
        monkeypatch.setattr(http_network, "lookup", lambda host, port: both)
        networks = Allow.model_validate({"networks": [ipaddress.ip_network("127.0.0.0/8")]})
        found = await climbed(dialler(listener.getsockname()[1], host="two.example", allow=networks))
        for one in waiting:
            one.close()
    assert states(found) == [("name", "ok"), ("tcp", "ok")]


@pytest.mark.parametrize(
    ("names", "issue", "keys", "words", "cure"),
    [
        (("127.0.0.1",), {}, {"ca": None}, "authority is not known here", "tls: {ca: FILE}"),
        (("other.example",), {}, {}, "for another address; it is for other.example, issued by trustme", "server_name"),
        (("127.0.0.1",), {"not_after": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)}, {}, "ended", "renew it"),
    ],
    ids=["authority", "name", "expired"],
)
async def test_a_certificate_that_fails_a_check(
    pki: Pki, names: tuple[str, ...], issue: dict[str, Any], keys: dict[str, Any], words: str, cure: str
) -> None:
    """Which check it is, what the certificate says, and what mends it; never that checks could be switched off."""
    if issue:
        issue = {**issue, "not_before": datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC)}
    with handshaking(pki.server(*names, **issue)) as port:
        found = await climbed(dialler(port, tls=tls(pki, **keys)))
    assert states(found) == [("name", "ok"), ("tcp", "ok"), ("tls", "fail")]
    assert words in found[2].text
    assert cure in found[2].hint


async def test_a_certificate_that_ends_soon_is_a_warning(pki: Pki) -> None:
    """While it still holds, there is time to ask."""
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5, hours=1)
    with handshaking(pki.server("127.0.0.1", not_after=soon)) as port:
        found = await climbed(dialler(port, tls=tls(pki)))
    assert states(found)[2] == ("tls", "warn")
    assert found[2].text.endswith("5 days left")


async def test_a_port_without_tls(pki: Pki) -> None:
    """The hint is about the port, not about certificates."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ready\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()

    async with listening(greet) as port:
        found = await climbed(dialler(port, tls=tls(pki)))
    assert states(found) == [("name", "ok"), ("tcp", "ok"), ("tls", "fail")]
    assert "port" in found[2].hint


async def test_our_own_certificate_is_shown(pki: Pki) -> None:
    """Its days count as much as the partner's, so they have a rung."""
    context = pki.server("127.0.0.1")
    pki.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3, hours=1)
    with handshaking(context) as port:
        found = await climbed(dialler(port, tls=tls(pki, pki.files("us.example", not_after=soon))))
    assert states(found) == [("name", "ok"), ("tcp", "ok"), ("our certificate", "warn"), ("tls", "ok")]
    assert found[2].text.startswith("for us.example, issued by trustme")


async def test_a_tls_file_that_is_gone(pki: Pki) -> None:
    """It is our own machine that is to be mended."""
    with handshaking(pki.server("127.0.0.1")) as port:
        found = await climbed(dialler(port, tls=tls(pki, ca=pki.folder / "gone.pem")))
    assert states(found)[2] == ("tls", "fail")
    assert "cannot be used" in found[2].text
    assert found[2].hint == "mend the named file of `tls:` or `mtls:`"


def test_days_in_words() -> None:
    """One day is one day; what has ended says since when."""

    def left(days: int) -> str:
        return Certificate("ours", "x", (), "y", time.time() + days * 86_400 + 60).left

    assert [left(61), left(1), left(0), left(-1), left(-30)] == [
        "61 days left", "1 day left", "0 days left", "ended 1 day ago", "ended 30 days ago",
    ]  # fmt: skip
