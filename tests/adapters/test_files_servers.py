"""Every server of files that there is: strangers, restarts, full disks and quotas, and a doctor whom nobody notices."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from adapters.files.keys import FileSubscription, FileTarget
from pipe.contract import Health
from pipe.errors import NotAuthorised, PeerFailed, Unreachable, Verdict
from pipe.testing import FakeDoor, FakeDoors
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import (
    PLACES,
    AsyncsshPlace,
    FilesPeer,
    FolderPlace,
    Openssh,
    Place,
    Proftpd,
    open_folder,
    standing,
    visited,
)
from tests.adapters.ftp_bench import climbed, opened, running

SERVERS = tuple(place for place in PLACES if place is not FolderPlace)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that servers can enter who run as somebody else."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[type[Place]], Place]]:
    """The place of each kind, made once."""
    with standing() as made:
        yield made


@pytest.fixture(params=SERVERS, ids=lambda place: str(place.name))
async def peer(request: pytest.FixtureRequest, places: Callable[[type[Place]], Place]) -> AsyncIterator[FilesPeer]:
    """A fresh folder at each of them."""
    async with visited(places(request.param)) as there:
        yield there


def target(put: str) -> FileTarget:
    """Where a file goes."""
    return FileTarget.model_validate({"put": put})


async def test_a_stranger_is_not_let_in_and_is_welcome_once_he_has_the_password(
    peer: FilesPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stops, says who was refused, and shows no secret; the right one is taken up as it is."""
    monkeypatch.setenv("SECRET", "not-the-password")
    own: dict[str, Any] = {"password": "${env:SECRET}"}
    if isinstance(peer.place, Openssh):
        other = asyncssh.generate_private_key("ssh-ed25519").export_private_key().decode()
        monkeypatch.setenv("SECRET", other)
        own = {"key": "${env:SECRET}"}
    async with opened(peer, **own) as adapter:
        with pytest.raises(NotAuthorised) as caught:
            await adapter.send(outgoing(b"x", target("a")))
        assert caught.value.verdict is Verdict.STOP
        assert "not-the-password" not in str(caught.value)
        assert (await adapter.check()).state == "down"
        assert (await climbed(adapter))[-1] == ("sign-in", "fail")
        right = peer.place.folder / "ours" if isinstance(peer.place, Openssh) else None
        monkeypatch.setenv("SECRET", right.read_text() if right else _password())
        await adapter.send(outgoing(b"x", target("a")))
        assert await adapter.check() == Health("up")
    assert await peer.files() == {"a": b"x"}


def _password() -> str:
    from partners.demo import PASSWORD

    return PASSWORD


async def test_a_server_that_is_restarted_costs_one_attempt_at_most(peer: FilesPeer) -> None:
    """What it was told before the restart is not lost, and what comes after it goes through."""
    async with opened(peer) as adapter:
        await adapter.send(outgoing(b"one", target("a")))
        await peer.place.stop()
        with pytest.raises(Unreachable):
            await adapter.send(outgoing(b"two", target("b"), 2))
        assert (await adapter.check()).state == "down"
        await peer.place.start()
        await adapter.send(outgoing(b"two", target("b"), 2)._replace(attempt=2))
    assert await peer.files() == {"a": b"one", "b": b"two"}


async def test_a_source_takes_up_where_a_restart_has_cut_it_off(peer: FilesPeer) -> None:
    """It ends by name; started again it goes on, and takes nothing twice."""
    door = FakeDoor(peer.options)
    async with opened(peer) as adapter:
        for number in range(3):
            peer.write(f"in/{number}.msg", b"%d" % number, modified=1_795_000_000 + number)
        door.held = asyncio.Event()
        source = asyncio.create_task(adapter.run(FakeDoors(door)))
        async with asyncio.timeout(20):
            while not door.asked:
                await peer.tick()
                await asyncio.sleep(0.01)
        await peer.place.stop()
        door.held.set()
        with pytest.raises(Unreachable):
            await source
        await peer.place.start()
        source = asyncio.create_task(adapter.run(FakeDoors(door)))
        async with asyncio.timeout(20):
            while await peer.files():
                await peer.tick()
                await asyncio.sleep(0.01)
        source.cancel()
        await asyncio.wait([source])
    assert door.bodies == [b"0", b"1", b"2"]


async def test_nobody_notices_the_doctor(peer: FilesPeer) -> None:
    """All rungs hold, and not even the time of a folder has changed."""
    peer.write("in/a.msg", b"x")
    before = _state(peer.disk)
    async with opened(peer) as adapter:
        found = await climbed(adapter, peer.options, target("out/${message.id}"), _keeping())
    assert [state for _, state in found if state == "fail"] == []
    assert {"name", "tcp", "sign-in", "list", "rename", "put"} <= {name for name, _ in found}
    assert _state(peer.disk) == before


def _keeping() -> FileSubscription:
    return FileSubscription.model_validate({"get": "in/*.csv", "after": "keep"})


def _state(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


# --- no room


class Quota(Proftpd):
    """The same with a quota of two megabytes for everybody."""

    name = "ProFTPD with a quota"

    def command(self) -> Any:
        """See _Process."""
        command = super().command()
        config = self.folder / "proftpd.conf"
        tool = shutil.which("ftpquota", path="/usr/sbin")
        if tool is None:
            pytest.skip("ftpquota is not installed: see .ci/run")
        for kind in ("limit", "tally"):
            subprocess.run([tool, "--create-table", f"--type={kind}"], cwd=self.folder, check=True, capture_output=True)
        limit = ["--quota-type=all", "--limit-type=hard", "--bytes-upload=2", "--units=Mb", "--name=all"]
        subprocess.run([tool, "--add-record", "--type=limit", *limit], cwd=self.folder, check=True, capture_output=True)
        tables = f"file:{self.folder}/ftpquota.limittab", f"file:{self.folder}/ftpquota.tallytab"
        lines = f"""
LoadModule mod_quotatab.c
LoadModule mod_quotatab_file.c
QuotaEngine on
QuotaLimitTable {tables[0]}
QuotaTallyTable {tables[1]}
"""
        config.write_text(config.read_text(encoding="utf-8") + lines, encoding="utf-8")
        return command


@pytest.mark.debian
async def test_a_quota_that_is_used_up_is_waited_for(shared: Path) -> None:
    """552 in the middle of a file: a retry that says what to ask for, and no half file is left."""
    async with running(Quota(shared / "place")) as peer, opened(peer) as adapter:
        with pytest.raises(PeerFailed, match="552") as caught:
            await adapter.send(outgoing(bytes(3_000_000), target("a")))
        assert caught.value.verdict is Verdict.RETRY
        assert "ask the partner for space" in caught.value.hint
        assert await peer.files() == {}
        await adapter.send(outgoing(b"small", target("b"), 2))
        assert await peer.files() == {"b": b"small"}


async def test_an_sftp_server_that_fills_up_is_waited_for(tmp_path: Path) -> None:
    """It says so in words only; a retry, and no half file is left."""

    class Full(asyncssh.SFTPServer):
        left = 2

        def write(self, file_obj: object, offset: int, data: bytes) -> Any:
            if len(data) > 100 and not (left := type(self)).left:
                raise asyncssh.SFTPNoSpaceOnFilesystem("No space left on device")
            if len(data) > 100:
                left.left -= 1
            return super().write(file_obj, offset, data)

    async with running(AsyncsshPlace(tmp_path, server=Full)) as peer, opened(peer) as adapter:
        with pytest.raises(PeerFailed, match="No space left"):
            await adapter.send(outgoing(bytes(9_000_000), target("a")))
        assert await peer.files() == {}
        await adapter.send(outgoing(b"small", target("b"), 2))
        assert await peer.files() == {"b": b"small"}


async def test_a_half_open_server_holds_up_nobody_but_itself(tmp_path: Path) -> None:
    """While one says nothing, the other one takes and gives: sessions and threads are a connection's own."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1 << 16):
                pass
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    place = AsyncsshPlace(tmp_path)
    peer = FilesPeer(place, "test")
    url = f"sftp://127.0.0.1:{port}"
    async with running(place), opened(peer) as well, opened(peer, url=url) as bad:
        stuck = [asyncio.create_task(bad.send(outgoing(b"x", target("a"), number))) for number in range(8)]
        source = asyncio.create_task(bad.run(FakeDoors(FakeDoor(peer.options))))
        for number in range(20):
            await well.send(outgoing(b"x", target(f"out/{number}"), number))
        assert not any(each.done() for each in stuck)
        assert len(list(peer.disk.glob("out/*"))) == 20
        for each in (*stuck, source):
            each.cancel()
        await asyncio.wait([*stuck, source])
    silent.close()
