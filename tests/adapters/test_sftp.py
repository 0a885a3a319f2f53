"""SFTP: what of it is not like other places of files: host keys, our keys, servers that allow less."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import ValidationError

from adapters.files.keys import FileSubscription, FileTarget
from adapters.sftp import Sftp
from adapters.sftp.config import SftpConfig
from adapters.sftp.session import PIECE
from pipe.contract import Health, Timeout
from pipe.errors import AddressForbidden, BadHeader, HostKeyUnknown, NotAuthorised, PeerFailed, Unreachable, Verdict
from pipe.testing import FakeDoor, FakeDoors, FakeServices
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import AsyncsshPlace, FilesPeer, Openssh, open_folder, until
from tests.adapters.ftp_bench import climbed, opened, running

BOTH_LOOPS = True


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that servers can enter who run as somebody else."""
    with open_folder() as folder:
        yield folder


def target(put: str = "out/a") -> FileTarget:
    """Where a file goes."""
    return FileTarget.model_validate({"put": put})


# --- whose server it is


@pytest.mark.key("sftp.host_keys", "sftp.url")
async def test_an_unknown_server_is_not_spoken_to(tmp_path: Path) -> None:
    """Neither name nor password reach it; the error holds what to compare, and what to write if it is right."""
    place = AsyncsshPlace(tmp_path)
    async with running(place) as peer:
        async with opened(peer, host_keys=[f"SHA256:{'A' * 43}"]) as stranger:
            with pytest.raises(HostKeyUnknown) as caught:
                await stranger.send(outgoing(b"x", target()))
            health = await stranger.check()
        assert caught.value.verdict is Verdict.STOP
        assert place.partner.fingerprint in caught.value.text
        assert place.partner.known_hosts.strip().rpartition(" ")[0] in caught.value.hint
        assert (health.state, place.partner.fingerprint in health.reason) == ("down", True)
        async with opened(peer) as adapter:
            await adapter.send(outgoing(b"x", target()))
            assert await adapter.check() == Health("up")


@pytest.mark.key("sftp.known_hosts")
async def test_the_servers_key_may_stand_in_a_file(tmp_path: Path) -> None:
    """A line for another key, or none, refuses the server; a line for its key lets it in, at once."""
    place, known = AsyncsshPlace(tmp_path), tmp_path / "known_hosts"
    async with running(place) as peer:
        pinned: dict[str, Any] = {"known_hosts": str(known), "host_keys": []}
        async with opened(peer, **pinned) as adapter:
            with pytest.raises(HostKeyUnknown, match="cannot be read"):
                await adapter.send(outgoing(b"x", target()))
            known.write_text("", encoding="utf-8")
            with pytest.raises(HostKeyUnknown, match="is not pinned"):
                await adapter.send(outgoing(b"x", target()))
            other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
            known.write_text(f"[127.0.0.1]:{place.partner.port} {other}", encoding="utf-8")
            with pytest.raises(HostKeyUnknown, match="is not pinned"):
                await adapter.send(outgoing(b"x", target()))
            known.write_text(place.partner.known_hosts, encoding="utf-8")
            await adapter.send(outgoing(b"x", target()))
    assert await peer.files() == {"out/a": b"x"}


def test_a_server_must_be_pinned() -> None:
    """And there must be a way to sign in."""
    base = {"type": "sftp", "url": "sftp://h", "user": "gw"}
    with pytest.raises(ValidationError, match="say which server this is"):
        SftpConfig.model_validate({**base, "password": "${env:A}"})
    with pytest.raises(ValidationError, match="say how to sign in"):
        SftpConfig.model_validate({**base, "known_hosts": "hosts"})


# --- who we are


@pytest.mark.key("sftp.password", "sftp.user")
async def test_a_new_password_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    """The file is read at each sign-in: refused with the old one, let in with the new one."""
    secret = tmp_path / "password"
    place = AsyncsshPlace(tmp_path, users={"operator": "new-one"})
    secret.write_text("old-one", encoding="utf-8")
    async with running(place) as peer, opened(peer, user="operator", password=f"${{file:{secret}}}") as adapter:
        with pytest.raises(NotAuthorised, match="does not let operator in") as caught:
            await adapter.send(outgoing(b"x", target()))
        assert "old-one" not in str(caught.value)
        secret.write_text("new-one", encoding="utf-8")
        await adapter.send(outgoing(b"x", target()))
    assert await peer.files() == {"out/a": b"x"}


@pytest.mark.key("sftp.key", "sftp.passphrase")
async def test_we_may_sign_in_by_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In OpenSSH's form or PEM, with a passphrase or without; a wrong passphrase is told without being shown."""
    key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    place = AsyncsshPlace(tmp_path, keys=(key.export_public_key().decode(),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # so few rounds are quicker, and what ssh-keygen itself does
        sealed = key.export_private_key("openssh", passphrase="open-sesame", rounds=16)
    forms = {"plain": key.export_private_key("openssh"), "pem": key.export_private_key("pkcs8-pem"), "sealed": sealed}
    monkeypatch.setenv("PASSPHRASE", "open-sesame")
    async with running(place) as peer:
        for number, (name, text) in enumerate(forms.items()):
            file = tmp_path / name
            file.write_bytes(text)
            own: dict[str, Any] = {"password": None, "key": f"${{file:{file}}}"}
            own |= {"passphrase": "${env:PASSPHRASE}"} if name == "sealed" else {}
            async with opened(peer, **own) as adapter:
                await adapter.send(outgoing(b"x", target(name), number))
        assert sorted(await peer.files()) == ["pem", "plain", "sealed"]
        monkeypatch.setenv("PASSPHRASE", "wrong-words")
        async with opened(peer, **own) as adapter:
            with pytest.raises(NotAuthorised, match="`key:` of this connection cannot be used") as caught:
                await adapter.send(outgoing(b"x", target()))
        assert "wrong-words" not in str(caught.value)


@pytest.mark.debian
async def test_openssh_refuses_a_key_that_it_does_not_know(shared: Path) -> None:
    """And the connection stops until somebody mends it."""
    place = Openssh(shared / "place")
    async with running(place) as peer:
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(place.folder / "ours"))
        async with opened(peer) as adapter:
            with pytest.raises(NotAuthorised):
                await adapter.send(outgoing(b"x", target()))


# --- what the server lets us do


@pytest.mark.debian
async def test_a_server_for_reading_only_stops_the_connection(shared: Path) -> None:
    """Doctor says so without trying; a message that goes there waits."""

    class ReadOnly(Openssh):
        lines = ("Subsystem sftp internal-sftp -R",)

    async with running(ReadOnly(shared / "place")) as peer, opened(peer) as adapter:
        with pytest.raises(NotAuthorised):
            await adapter.send(outgoing(b"x", target("in/a")))
        assert (await climbed(adapter, peer.options))[-1] == ("rename", "fail")
    assert await peer.files() == {}


@pytest.mark.debian
async def test_a_disk_that_fills_up_is_waited_for(shared: Path) -> None:
    """In the middle of a file: a retry, and no half file is left; once there is space it goes through."""
    place = Openssh(shared / "place")
    peer = FilesPeer(place, "test")
    body = bytes(3_000_000)
    part = f".delivery-1.{hashlib.sha256(body).hexdigest()[:12]}.part"
    command = place.command
    full = ["strace", "-I", "1", "-f", "-qq", "-o", "/dev/null", "-P", str(peer.disk / part)]
    place.command = lambda: [*full, "-e", "inject=write,pwrite64:error=ENOSPC:when=4+", *command()]  # type: ignore[method-assign]
    async with running(place), opened(peer) as adapter:
        with pytest.raises(PeerFailed) as caught:
            await adapter.send(outgoing(body, target("a")))
        assert caught.value.verdict is Verdict.RETRY
        assert await peer.files() == {}
        await adapter.send(outgoing(b"small", target("b"), 2))
    assert await peer.files() == {"b": b"small"}


async def test_a_server_without_sftp_is_a_named_error(tmp_path: Path) -> None:
    """It lets us in, and offers a shell only."""
    place = AsyncsshPlace(tmp_path)
    async with running(place) as peer:
        place.partner._acceptor._options.sftp_factory = None  # type: ignore[union-attr]
        async with opened(peer) as adapter:
            health = await adapter.check()
    assert health.state == "down"


@pytest.mark.key("sftp.allow")
async def test_an_address_that_is_not_allowed_is_not_connected_to(tmp_path: Path) -> None:
    """A name that leads to loopback needs its network."""
    async with running(AsyncsshPlace(tmp_path)) as peer:
        url = f"sftp://localhost:{peer.place.partner.port}"  # type: ignore[attr-defined]
        async with opened(peer, url=url) as adapter:
            with pytest.raises(AddressForbidden, match="allow: networks"):
                await adapter.send(outgoing(b"x", target()))
        networks = ["127.0.0.0/8", "::1/128"]
        async with opened(peer, url=url, allow={"networks": networks}) as adapter:
            await adapter.send(outgoing(b"x", target()))


@pytest.mark.key("sftp.charset")
async def test_names_may_be_in_windows_1251(tmp_path: Path) -> None:
    """In listings and in paths; what it cannot say is refused."""
    async with running(AsyncsshPlace(tmp_path)) as peer, opened(peer, charset="windows-1251") as adapter:
        peer.write("in/звітя.msg".encode("windows-1251"), b"x")
        door = FakeDoor(peer.options)
        source = asyncio.create_task(adapter.run(FakeDoors(door)))
        async with asyncio.timeout(20):
            while not door.arrivals:
                await peer.tick()
                await asyncio.sleep(0.01)
        source.cancel()
        await asyncio.wait([source])
        assert door.arrivals[0].headers["file_name"] == "звітя.msg"
        await adapter.send(outgoing(b"x", target("out/${params.name}"), params={"name": "ґанок.txt"}))
        (there,) = (peer.disk / "out").iterdir()
        assert os.fsencode(there.name) == "ґанок.txt".encode("windows-1251")
        with pytest.raises(BadHeader, match="windows-1251"):
            await adapter.send(outgoing(b"x", target("out/${params.name}"), 2, params={"name": "日本.txt"}))


# --- breaking off, and going on


async def test_an_upload_goes_on_where_it_broke(tmp_path: Path) -> None:
    """The second attempt sends the rest; nobody sees the file before it is whole."""
    opened_at: list[int] = []

    class Noting(asyncssh.SFTPServer):
        def write(self, file_obj: object, offset: int, data: bytes) -> Any:
            opened_at.append(offset)
            return super().write(file_obj, offset, data)

    place = AsyncsshPlace(tmp_path, server=Noting)
    body = os.urandom(1 << 20) * 24
    async with running(place) as peer, opened(peer) as adapter:
        sending = asyncio.create_task(adapter.send(outgoing(body, target("out/a"))))
        await until(lambda: any(part.stat().st_size > 4 << 20 for part in peer.disk.glob("out/.*.part")), "4 MiB")
        await place.stop()
        with pytest.raises(Unreachable):
            await sending
        ((left, half),) = (await peer.files()).items()
        assert left.endswith(".part")
        opened_at.clear()
        await place.start()
        await adapter.send(outgoing(body, target("out/a"))._replace(attempt=2))
        assert await peer.files() == {"out/a": body}
    assert min(opened_at) == len(half) - PIECE  # the end of it may have holes


async def test_a_session_that_the_server_ended_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two messages nobody notices that the server was restarted."""
    monkeypatch.setattr("adapters.files.sessions.FRESH", -1.0)
    place = AsyncsshPlace(tmp_path)
    async with running(place) as peer, opened(peer) as adapter:
        await adapter.send(outgoing(b"one", target("a")))
        await place.stop()
        await place.start()
        await adapter.send(outgoing(b"two", target("b"), 2))
        assert await peer.files() == {"a": b"one", "b": b"two"}


@pytest.mark.key("sftp.concurrency")
async def test_sessions_are_used_again(tmp_path: Path) -> None:
    """Ten in turn need one; the default for those at the same time is two."""
    place = AsyncsshPlace(tmp_path)
    async with running(place) as peer, opened(peer) as adapter:
        assert adapter.config.concurrency == 2
        for number in range(5):
            await adapter.send(outgoing(b"x", target(f"a{number}"), number))
        assert len(place.partner._connections) == 1


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No wait is without a limit."""
    limits = {"connect": "300ms", "read": "300ms", "total": "2s"}
    monkeypatch.setenv("ANY_PASSWORD", "x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = {
            "type": "sftp", "url": f"sftp://127.0.0.1:{silent.getsockname()[1]}", "user": "u",
            "password": "${env:ANY_PASSWORD}", "host_keys": [f"SHA256:{'A' * 43}"], "timeout": limits,
        }  # fmt: skip
        adapter = Sftp("files", SftpConfig.model_validate(config), FakeServices())
        await adapter.open()
        with pytest.raises(Unreachable):
            await adapter.send(outgoing(b"x", target())._replace(timeout=Timeout.model_validate(limits)))
        await adapter.close()


# --- doctor


async def test_doctor_climbs_all_rungs_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether files may be renamed is not told before one is."""
    async with running(AsyncsshPlace(tmp_path)) as peer:
        async with opened(peer) as adapter:
            found = await climbed(adapter, peer.options, target("out/${message.id}"))
            assert await peer.files() == {}
        names = ["name", "tcp", "host key", "sign-in", "list"]
        assert found == [*((name, "ok") for name in names), ("rename", "warn"), ("put", "ok"), ("rename", "warn")]
        async with opened(peer, host_keys=[f"SHA256:{'A' * 43}"]) as adapter:
            assert (await climbed(adapter))[-1] == ("host key", "fail")
        monkeypatch.setenv("OTHER_PASSWORD", "wrong")
        async with opened(peer, password="${env:OTHER_PASSWORD}") as adapter:
            assert (await climbed(adapter))[-2:] == [("host key", "ok"), ("sign-in", "fail")]
        async with opened(peer) as adapter:
            missing = FileSubscription.model_validate({"get": "none/*.csv"})
            assert (await climbed(adapter, missing))[-1] == ("list", "fail")
    async with opened(peer) as adapter:
        assert (await climbed(adapter))[-1] == ("tcp", "fail")
