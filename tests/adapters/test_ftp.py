"""FTP: what of it is not like other places of files: passive connections, words of servers, bytes of names."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adapters.files.keys import FileSubscription
from adapters.ftp import Ftp
from adapters.ftp.config import FtpConfig
from pipe.errors import (
    AddressForbidden,
    BadHeader,
    Busy,
    NotAuthorised,
    PeerFailed,
    PipeError,
    Refused,
    Unreachable,
    Verdict,
)
from pipe.testing import FakeDoor, FakeDoors, FakeServices
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import (
    FilesPeer,
    Proftpd,
    Pyftpd,
    PyftpdExplicit,
    Vsftpd,
    VsftpdExplicit,
)
from tests.adapters.ftp_bench import climbed, opened, running, shared, target

__all__ = ["shared"]

BOTH_LOOPS = True
"""the gateway runs on uvloop, whose TLS over a connection that stands is another one"""


# --- signing in


@pytest.mark.key("ftp.password", "ftp.user")
async def test_a_new_password_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """The file is read at each sign-in: refused with the old one, let in with the new one."""
    place, secret = Pyftpd(tmp_path), tmp_path / "password"
    place.partner.users["operator"] = "new-one"
    secret.write_text("old-one\n", encoding="utf-8")
    async with running(place) as peer, opened(peer, user="operator", password=f"${{file:{secret}}}") as adapter:
        with pytest.raises(NotAuthorised) as caught:
            await adapter.send(outgoing(b"x", target()))
        assert (caught.value.verdict, "530" in caught.value.text) == (Verdict.STOP, True)
        assert "old-one" not in str(caught.value)
        assert (await adapter.check()).state == "down"
        secret.write_text("new-one\n", encoding="utf-8")
        await adapter.send(outgoing(b"x", target()))
        assert await peer.files() == {"out/a": b"x"}


async def test_a_folder_that_cannot_be_entered_is_told(tmp_path: Path) -> None:
    """By its name, with the server's words."""
    async with running(Pyftpd(tmp_path)) as peer:
        shutil.rmtree(peer.disk)
        peer.folder = "nowhere"
        adapter = peer.make()
        await adapter.open()
        with pytest.raises(Unreachable, match="the folder /nowhere cannot be entered: 550"):
            await adapter.send(outgoing(b"x", target()))
        await adapter.close()


async def test_a_server_with_too_many_guests_is_busy(tmp_path: Path) -> None:
    """421 is no defect of ours and none of the message."""
    place = Pyftpd(tmp_path, max_login_attempts=3)
    async with running(place) as peer:
        place.partner._server.max_cons = 1
        holder = socket.create_connection(("127.0.0.1", place.port))
        holder.recv(100)
        try:
            async with opened(peer) as adapter:
                with pytest.raises(Busy, match="421"):
                    await adapter.send(outgoing(b"x", target()))
        finally:
            holder.close()


async def test_a_server_that_says_nothing_is_given_up() -> None:
    """No wait is without a limit: neither for the greeting nor for an answer."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        limits = {"connect": "300ms", "read": "300ms", "total": "2s"}
        config = {"type": "ftp", "url": f"ftp://127.0.0.1:{silent.getsockname()[1]}", "tls": "none", "timeout": limits}
        adapter = Ftp("files", FtpConfig.model_validate(config), FakeServices())
        await adapter.open()
        with pytest.raises(Unreachable, match=r"said nothing|did not let us in"):
            await adapter.send(outgoing(b"x", target()))
        assert (await adapter.check()).state == "down"
        await adapter.close()


async def test_what_is_no_ftp_is_a_named_error() -> None:
    """A web server on that port, for example."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = {"type": "ftp", "url": f"ftp://127.0.0.1:{port}", "tls": "none"}
    adapter = Ftp("files", FtpConfig.model_validate(config), FakeServices())
    try:
        await adapter.open()
        with pytest.raises(PipeError) as caught:
            await adapter.send(outgoing(b"x", target()))
        assert caught.value.verdict in {Verdict.RETRY, Verdict.DEAD, Verdict.UNCERTAIN}
    finally:
        await adapter.close()
        server.close()
        await server.wait_closed()


# --- where data goes


@pytest.mark.key("ftp.allow", "ftp.allow")
async def test_an_address_that_is_not_allowed_is_not_connected_to(tmp_path: Path) -> None:
    """A name that leads to loopback needs its network."""
    async with running(Pyftpd(tmp_path)) as peer:
        url = f"ftp://localhost:{peer.place.port}"  # type: ignore[attr-defined]
        async with opened(peer, url=url) as adapter:
            with pytest.raises(AddressForbidden, match="allow: networks"):
                await adapter.send(outgoing(b"x", target()))
        async with opened(peer, url=url, allow={"networks": ["127.0.0.0/8", "::1/128"]}) as adapter:
            await adapter.send(outgoing(b"x", target()))


async def test_the_address_of_pasv_is_never_believed(tmp_path: Path) -> None:
    """A server that names another one for the data gets the connection itself: nobody is attacked through us."""
    place = Pyftpd(tmp_path)
    handler = place.partner.handler
    handler.masquerade_address = "192.0.2.77"
    handler.proto_cmds = {name: kind for name, kind in handler.proto_cmds.items() if name != "EPSV"}
    async with running(place) as peer, opened(peer) as adapter:
        await adapter.send(outgoing(b"x", target()))
        assert await peer.files() == {"out/a": b"x"}


# --- what servers say


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("452 Insufficient storage space.", PeerFailed),
        ("552 Quota exceeded.", PeerFailed),
        ("451 Local error.", PeerFailed),
        ("550 Permission denied.", NotAuthorised),
        ("553 Forbidden file name.", Refused),
        ("421 Going down.", Busy),
    ],
)
async def test_a_refused_upload_has_the_verdict_that_fits(tmp_path: Path, answer: str, error: type[PipeError]) -> None:
    """A full disk is waited for, a missing right stops the connection, a forbidden name is the message's fault."""

    def refuse(self: Any, path: str, mode: str = "w") -> None:
        self.respond(answer)

    place = Pyftpd(tmp_path, ftp_STOR=refuse)
    async with running(place) as peer, opened(peer) as adapter:
        with pytest.raises(error, match=answer[:3]):
            await adapter.send(outgoing(b"x", target("a")))
        assert await peer.files() == {}


@pytest.mark.debian
@pytest.mark.parametrize("kind", [Vsftpd, VsftpdExplicit, Proftpd])
async def test_a_disk_that_fills_up_is_waited_for(shared: Path, kind: type[Vsftpd]) -> None:
    """In the middle of a file: a retry, and no half file is left; once there is space it goes through."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    place = kind(shared / "place")
    peer = FilesPeer(place, "test")
    body = bytes(3_000_000)
    part = f".delivery-1.{hashlib.sha256(body).hexdigest()[:12]}.part"
    command = place.command
    full = ["strace", "-I", "1", "-f", "-qq", "-o", "/dev/null", "-P", str(peer.disk / part)]
    place.command = lambda: [*full, "-e", "inject=write:error=ENOSPC:when=4+", *command()]  # type: ignore[method-assign]
    async with running(place), opened(peer) as adapter:
        with pytest.raises(PeerFailed) as caught:
            await adapter.send(outgoing(body, target("a")))
        assert caught.value.verdict is Verdict.RETRY
        assert await peer.files() == {}
        await adapter.send(outgoing(b"small", target("b"), 2))
    assert await peer.files() == {"b": b"small"}


# --- names


@pytest.mark.debian
@pytest.mark.key("ftp.charset")
@pytest.mark.parametrize("kind", [Vsftpd, Proftpd])
async def test_names_may_be_in_windows_1251(shared: Path, kind: type[Vsftpd]) -> None:
    """In listings and in commands; the letter я is the byte that Telnet takes for a command."""
    place = kind(shared / "place")
    names = ["звіт №1.csv", "заявя.csv", "я.csv"]
    async with running(place) as peer:
        for name in names:
            peer.write(b"in/" + name.encode("windows-1251"), name.encode())
        door = FakeDoor(FileSubscription.model_validate({"get": "in/*.csv", "every": "1s"}))
        async with opened(peer, charset="windows-1251") as adapter:
            source = asyncio.create_task(adapter.run(FakeDoors(door)))
            async with asyncio.timeout(20):
                while len(door.arrivals) < len(names):
                    await peer.tick()
                    await asyncio.sleep(0.01)
            source.cancel()
            await asyncio.wait([source])
            assert sorted(arrival.headers["file_name"] for arrival in door.arrivals) == sorted(names)
            assert sorted(door.bodies) == sorted(name.encode() for name in names)
            sent = outgoing(b"x", target("out/${params.name}"), params={"name": "звітя.txt"})
            await adapter.send(sent)
            (there,) = (peer.disk / "out").iterdir()
            assert os.fsencode(there.name) == "звітя.txt".encode("windows-1251")
            with pytest.raises(BadHeader, match="windows-1251"):
                await adapter.send(outgoing(b"x", target("out/${params.name}"), 2, params={"name": "日本.txt"}))


@pytest.mark.debian
async def test_a_name_that_is_no_text_still_arrives(shared: Path) -> None:
    """It is taken under its bytes, and shown with a sign for what cannot be shown."""
    place = Vsftpd(shared / "place")
    async with running(place) as peer:
        peer.write(b"in/\xfe\xfa.msg", b"x")
        door = FakeDoor(peer.options)
        async with opened(peer) as adapter:
            source = asyncio.create_task(adapter.run(FakeDoors(door)))
            async with asyncio.timeout(20):
                while not door.arrivals:
                    await peer.tick()
                    await asyncio.sleep(0.01)
            source.cancel()
            await asyncio.wait([source])
    assert door.arrivals[0].headers["file_name"] == "\ufffd\ufffd.msg"


@pytest.mark.parametrize("name", ["../../up.msg", "/etc/passwd.msg", "a\\..\\b.msg", "..", "a/b.msg", "x\x07.msg"])
async def test_names_in_listings_that_are_ways_are_left_alone(tmp_path: Path, name: str) -> None:
    """A hostile server cannot make us ask for, move or delete anything elsewhere; the health says that it tries."""

    def lie(self: Any, path: str) -> str:
        line = f"type=file;size=1;modify=20260101000000; {name}\r\n"
        self.push_dtp_data(line.encode(), isproducer=False, cmd="MLSD")
        return path

    place = Pyftpd(tmp_path, ftp_MLSD=lie)
    async with running(place) as peer:
        door = FakeDoor(peer.options)
        async with opened(peer) as adapter:
            source = asyncio.create_task(adapter.run(FakeDoors(door)))
            for _ in range(3):
                await peer.clock.sleeping()
                await peer.tick()
            health = await adapter.check()
            source.cancel()
            await asyncio.wait([source])
        assert await peer.files() == {}
    assert door.asked == 0
    if name != "..":
        assert (health.state, "are no names" in health.reason) == ("degraded", True)


# --- doctor


async def test_doctor_climbs_all_rungs_and_leaves_nothing(tmp_path: Path) -> None:
    """Name, TCP, TLS, sign-in, the folders and the rights."""
    async with running(PyftpdExplicit(tmp_path)) as peer, opened(peer) as adapter:
        found = await climbed(adapter, peer.options, target("out/${message.id}"))
        assert await peer.files() == {}
    names = ["name", "tcp", "tls", "sign-in", "list", "rename", "put", "rename"]
    assert found == [(name, "ok") for name in names]


@pytest.mark.debian
async def test_doctor_asks_vsftpd_without_mlst(shared: Path) -> None:
    """RNFR without RNTO tells whether renaming is allowed, and changes nothing."""
    async with running(VsftpdExplicit(shared / "place")) as peer, opened(peer) as adapter:
        assert (await climbed(adapter, peer.options))[-2:] == [("list", "ok"), ("rename", "ok")]
        assert (peer.disk / "in").is_dir()


async def test_doctor_stops_at_the_first_rung_that_fails(tmp_path: Path) -> None:
    """Each by its own name."""
    place = PyftpdExplicit(tmp_path)
    place.partner.users["other"] = "unknown"
    async with running(place) as peer:
        async with opened(peer, user="other") as adapter:
            assert (await climbed(adapter))[-1] == ("sign-in", "fail")
        async with opened(peer, tls="explicit") as adapter:
            assert (await climbed(adapter))[-1] == ("tls", "fail")
        async with opened(peer) as adapter:
            missing = FileSubscription.model_validate({"get": "none/*.csv"})
            assert (await climbed(adapter, missing))[-1] == ("list", "fail")
    async with opened(peer) as adapter:
        assert (await climbed(adapter))[-1] == ("tcp", "fail")


async def test_doctor_tells_of_rights_that_are_missing(tmp_path: Path) -> None:
    """A user who may only read cannot claim files."""
    place = Pyftpd(tmp_path)
    place.partner.handler.authorizer._permissions = "elr"
    async with running(place) as peer, opened(peer) as adapter:
        found = await climbed(adapter, peer.options)
        assert found[-2:] == [("list", "ok"), ("rename", "fail")]
        assert ("in clear", "warn") in found


def test_a_url_is_an_address_and_no_more() -> None:
    """No credentials, no path."""
    for url in ("ftp://u:p@host", "ftp://host/path", "http://host", "ftp://", "host"):
        with pytest.raises(ValidationError):
            FtpConfig.model_validate({"type": "ftp", "url": url})
    assert FtpConfig.model_validate({"type": "ftp", "url": "ftp://h", "tls": "implicit"}).place == ("h", 990)
    assert FtpConfig.model_validate({"type": "ftp", "url": "ftp://h:2121"}).place == ("h", 2121)
