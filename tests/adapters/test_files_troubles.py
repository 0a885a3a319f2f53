"""Partners that are odd, or not our friends: what one file, one folder or one server does harms no other file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from adapters.files.keys import FileSubscription
from pipe.contract import Blob, Health, Timeout
from pipe.errors import KeyReused, NotAuthorised, QueueFull, Unreachable
from pipe.testing import FakeDoor, FakeDoors, FakeServices
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import AsyncsshPlace, FilesPeer, FolderPlace, Place, Pyftpd, until
from tests.adapters.ftp_bench import opened, running, target
from tests.adapters.test_files_behaviour import door, look, looked, put, taking


@contextlib.asynccontextmanager
async def at(place: Place) -> AsyncIterator[FilesPeer]:
    """A server for one test."""
    async with running(place) as peer:
        yield peer


def refusing(folder: Path, *names: str) -> Pyftpd:
    """A server that does not let anybody read files of these names."""
    place = Pyftpd(folder)
    read = place.partner.handler.ftp_RETR

    def retr(self: Any, path: str) -> Any:
        if path.rpartition("/")[2] in names:
            return self.respond("550 Permission denied.")
        return read(self, path)

    place.partner.handler.ftp_RETR = retr
    return place


# --- one file, one folder


async def test_a_file_that_may_not_be_read_holds_up_no_other(tmp_path: Path) -> None:
    """It is named; it stays claimed, and comes once the partner has mended its rights."""
    place = refusing(tmp_path, "a.csv")
    async with at(place) as peer:
        for name in ("a", "b"):
            peer.write(f"in/{name}.csv", name.encode())
        mine = door()
        async with taking(peer, mine) as source:
            await look(peer)
            assert mine.bodies == [b"b"]
            health = await source.check()
            assert (health.state, "in/a.csv cannot be had: " in health.reason) == ("degraded", True)
            place.partner.handler.ftp_RETR = Pyftpd(tmp_path).partner.handler.ftp_RETR
            await look(peer)
            assert (mine.bodies, await source.check()) == ([b"b", b"a"], Health("up"))
    assert await peer.files() == {}


async def test_a_server_that_lets_us_have_nothing_ends_the_look(tmp_path: Path) -> None:
    """Three in a row are no accident: the connection says so instead of asking ten thousand times."""
    names = [f"{number}.csv" for number in range(9)]
    async with at(refusing(tmp_path, *names)) as peer:
        for name in names:
            peer.write(f"in/{name}", b"x")
        async with opened(peer) as source:
            work = asyncio.create_task(source.run(FakeDoors(door())))
            await looked(peer, work)
            await peer.clock.advance(10)
            with pytest.raises(NotAuthorised, match="550 Permission denied"):
                await work
    assert sum(name.startswith(".work") for name in await peer.files()) == 3


async def test_a_folder_that_may_not_be_seen_holds_up_no_other_route(tmp_path: Path) -> None:
    """Its route is named, the other one has its turn each time."""
    listed = (place := Pyftpd(tmp_path)).partner.handler.ftp_MLSD

    def mlsd(self: Any, path: str) -> Any:
        return self.respond("550 Permission denied.") if path.endswith("secret") else listed(self, path)

    place.partner.handler.ftp_MLSD = mlsd
    async with at(place) as peer:
        peer.write("secret/a.csv", b"a")
        peer.write("in/b.csv", b"b")
        shut = FakeDoor(FileSubscription.model_validate({"get": "secret/*.csv", "every": "10s"}), route="shut")
        mine = door()
        async with taking(peer, shut, mine) as source:
            await look(peer)
            health = await source.check()
    assert (mine.bodies, health.state, "550" in health.reason) == ([b"b"], "degraded", True)


async def test_a_file_that_breaks_the_rules_of_its_route_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    """A key that was used for another file, for example: it would come again for ever."""
    async with at(FolderPlace(tmp_path)) as peer:
        peer.write("in/a.csv", b"x")
        mine = door()
        mine.refusals = [KeyReused("the idempotency key was used for another body")]
        async with taking(peer, mine) as source:
            await look(peer, 2)
            health = await source.check()
        assert (mine.asked, list(await peer.files())) == (1, [".refused/route/in/a.csv"])
    assert "the idempotency key was used" in health.reason


async def test_a_body_that_finds_no_room_is_taken_off_the_disk_again(tmp_path: Path) -> None:
    """A full queue would otherwise fill the disk too, look by look."""
    blobs = tmp_path / "blobs"
    blobs.mkdir()
    async with at(FolderPlace(tmp_path / "place")) as peer:
        peer.write("in/a.csv", bytes(2_000_000))
        mine = door()
        mine.refusals = [QueueFull("full"), QueueFull("full")]
        source = peer.place.adapter(peer.folder, services=FakeServices(peer.clock, folder=blobs))
        await source.open()
        work = asyncio.create_task(source.run(FakeDoors(mine)))
        await looked(peer, work)
        await look(peer, 2)
        assert list(blobs.iterdir()) == []
        await look(peer)
        work.cancel()
        await asyncio.wait([work])
        await source.close()
    (arrival,) = mine.arrivals
    assert isinstance(arrival.body, Blob)
    assert arrival.body.path.exists()


async def test_a_file_must_come_in_its_time(tmp_path: Path) -> None:
    """A partner that drips holds a session for `total` at most; what came is not fetched again."""

    class Dripping(asyncssh.SFTPServer):
        asked: list[int] = []  # noqa: RUF012  one test's own

        async def read(self, file_obj: object, offset: int, size: int) -> bytes:
            self.asked.append(offset)
            await asyncio.sleep(0.3)
            data = super().read(file_obj, offset, size)
            return data if isinstance(data, bytes) else await data

    body = os.urandom(6 << 20)
    async with at(AsyncsshPlace(tmp_path, server=Dripping)) as peer:
        peer.write("in/a.msg", body, modified=1_795_000_000)
        mine = FakeDoor(peer.options, max_body=1 << 30)
        async with opened(peer, timeout={"connect": "3s", "read": "3s", "total": "500ms"}) as source:
            for _ in range(20):
                work = asyncio.create_task(source.run(FakeDoors(mine)))
                async with asyncio.timeout(20):
                    while not work.done() and not mine.arrivals:
                        await peer.tick()
                        await asyncio.sleep(0.01)
                if mine.arrivals:
                    break
                with pytest.raises(Unreachable, match=r"did not come within 0\.5 s"):
                    await work
            work.cancel()
            await asyncio.wait([work])
        assert (mine.bodies, Dripping.asked.count(0)) == ([body], 1)


# --- markers


async def test_the_marker_of_the_next_file_of_that_name_stays(tmp_path: Path) -> None:
    """Put there while the first one is read: the second is taken too."""
    async with at(FolderPlace(tmp_path)) as peer:
        for name in ("in/a.csv", "in/a.csv.done"):
            peer.write(name, b"first")
        mine = door(ready={"marker": ".done"})
        mine.held = asyncio.Event()
        source = peer.make()
        await source.open()
        work = asyncio.create_task(source.run(FakeDoors(mine)))
        await mine.knocked()
        for name in ("in/a.csv", "in/a.csv.done"):
            peer.write(name, b"second")
        mine.held.set()
        await looked(peer, work)
        await look(peer)
        work.cancel()
        await asyncio.wait([work])
        await source.close()
    assert (mine.bodies, await peer.files()) == ([b"first", b"second"], {})


async def test_a_marker_that_a_crash_has_left_goes_with_its_file(tmp_path: Path) -> None:
    """Else the next file of that name would be taken before it is whole."""
    async with at(FolderPlace(tmp_path)) as peer:
        peer.write(".work/route/in/a.csv", b"claimed")
        peer.write("in/a.csv.done", b"")
        mine = door(ready={"marker": ".done"})
        async with taking(peer, mine):
            pass
    assert (mine.bodies, await peer.files()) == ([b"claimed"], {})


async def test_what_is_kept_keeps_its_marker(tmp_path: Path) -> None:
    """`keep` touches nothing: the partner may let us read only."""
    async with at(FolderPlace(tmp_path)) as peer:
        for name in ("in/a.csv", "in/a.csv.done"):
            peer.write(name, b"x")
        mine = door(ready={"marker": ".done"}, after="keep")
        async with taking(peer, mine):
            await look(peer, 2)
        assert (mine.bodies, len(await peer.files())) == ([b"x"], 2)


# --- servers that do as they like


async def test_a_half_file_with_holes_is_written_again_where_it_may_have_them(tmp_path: Path) -> None:
    """Some SFTP servers write what is under way in any order: the size of what is left says too much."""
    body = os.urandom(5 << 20)
    part = f".delivery-1.{hashlib.sha256(body).hexdigest()[:12]}.part"
    async with at(AsyncsshPlace(tmp_path)) as peer:
        sure = len(body) - (2 << 20)
        peer.write(part, body[:sure] + bytes(2 << 20))
        async with opened(peer) as sink:
            await sink.send(outgoing(body, target("a"))._replace(attempt=2))
        assert await peer.files() == {"a": body}


@pytest.mark.parametrize("told", [True, False])
async def test_a_server_that_gives_less_than_it_is_asked_for_is_asked_again(tmp_path: Path, told: bool) -> None:
    """Whether it tells how long the file is, or not: all of it comes, in its order."""

    class Stingy(asyncssh.SFTPServer):
        def read(self, file_obj: object, offset: int, size: int) -> Any:
            return super().read(file_obj, offset, min(size, 10_000))

        def fstat(self, file_obj: object) -> Any:
            if told:
                return super().fstat(file_obj)
            raise asyncssh.SFTPOpUnsupported("no fstat here")

    body = os.urandom(1_500_000)
    async with at(AsyncsshPlace(tmp_path, server=Stingy)) as peer:
        peer.write("in/a.csv", body)
        mine = door()
        async with taking(peer, mine):
            await look(peer)
        assert (mine.bodies, await peer.files()) == ([body], {})


async def test_a_server_that_renames_over_files_overwrites_no_claim(tmp_path: Path) -> None:
    """SFTP forbids it, and some servers do it all the same."""

    class Replacing(asyncssh.SFTPServer):
        def rename(self, oldpath: bytes, newpath: bytes) -> None:
            os.replace(self.map_path(oldpath), self.map_path(newpath))  # noqa: PTH105  bytes

    async with at(AsyncsshPlace(tmp_path, server=Replacing)) as peer:
        peer.write(".work/route/in/a.csv", b"first")
        peer.write("in/a.csv", b"second")
        mine = door()
        mine.refusals = [QueueFull(), QueueFull()]
        async with taking(peer, mine):
            await look(peer, 4)
        assert (mine.bodies, await peer.files()) == ([b"first", b"second"], {})


async def test_an_answer_that_comes_twice_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    """The session is given up, and the next one puts the file there."""
    place = Pyftpd(tmp_path)
    once = [True]
    respond = place.partner.handler.respond

    def twice(self: Any, answer: str, *given: Any) -> None:
        respond(self, answer, *given)
        if answer.startswith("226") and once:
            once.clear()
            respond(self, answer, *given)

    place.partner.handler.respond = twice
    async with at(place) as peer, opened(peer) as sink:
        sent = outgoing(b"x", target("out/a"))
        with contextlib.suppress(Unreachable):
            await sink.send(sent)
        await sink.send(sent._replace(attempt=2))
        assert await peer.files() == {"out/a": b"x"}


async def test_facts_that_are_told_only_when_asked_for_are_asked_for(tmp_path: Path) -> None:
    """A server that lists names alone would have nothing for us."""
    place = Pyftpd(tmp_path)
    place.partner.handler._current_facts = []
    place.partner.handler.__init__ = _without_facts(place.partner.handler.__init__)
    async with at(place) as peer:
        peer.write("in/a.csv", b"x")
        mine = door()
        async with taking(peer, mine):
            await look(peer)
    assert mine.bodies == [b"x"]


def _without_facts(made: Any) -> Any:
    def init(self: Any, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        self._current_facts = []

    return init


async def test_a_disk_without_second_names_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT, and shares of other systems, know no links: `exists: refuse` looks and renames there."""

    def none(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    async with at(FolderPlace(tmp_path)) as peer:
        monkeypatch.setattr("os.link", none)
        await put(peer, b"first", put="a.txt", exists="refuse")
        assert await peer.files() == {"a.txt": b"first"}


async def test_sessions_that_have_died_together_cost_one_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first silence says enough about the others: they are older."""
    asked: list[str] = []
    place = Pyftpd(tmp_path)

    def hang(self: Any, line: str) -> None:
        asked.append(line)

    async with at(place) as peer, opened(peer) as sink:
        first, second = (outgoing(b"x", target(f"out/{number}"), number) for number in (1, 2))
        await asyncio.gather(sink.send(first), sink.send(second))
        await until(lambda: len(sink._sessions._idle) == 2)
        monkeypatch.setattr("adapters.files.sessions.FRESH", -1.0)
        place.partner.handler.ftp_NOOP = hang
        for _, remote in sink._sessions._idle:
            remote._wire._silence = 0.2
        await sink.send(outgoing(b"x", target("out/3"), 3)._replace(timeout=Timeout.model_validate({"total": "10s"})))
        assert len(asked) == 1
