"""What all connections of files do alike: a folder, FTP and SFTP, each over the same test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from adapters.files.adapter import FileAdapter
from adapters.files.keys import FileSubscription, FileTarget
from pipe.contract import Blob, Health
from pipe.errors import BadHeader, PipeError, Refused, StoreUnavailable, Unreachable
from pipe.testing import FakeDoor, FakeDoors, FakeServices
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import AsyncsshPlace, FilesPeer, FolderPlace, Place, Pyftpd, Vsftpd, standing, visited

KINDS: tuple[type[Place], ...] = (FolderPlace, Pyftpd, Vsftpd, AsyncsshPlace)


@pytest.fixture(scope="module")
def places() -> Iterator[Callable[[type[Place]], Place]]:
    """The place of each kind, made once."""
    with standing() as made:
        yield made


@pytest.fixture(params=KINDS, ids=lambda place: str(place.name))
async def peer(request: pytest.FixtureRequest, places: Callable[[type[Place]], Place]) -> AsyncIterator[FilesPeer]:
    """A fresh folder at each of them."""
    async with visited(places(request.param)) as there:
        yield there


def door(**keys: Any) -> FakeDoor:
    """A route's entrance that looks every ten seconds."""
    return FakeDoor(FileSubscription.model_validate({"get": "in/*.csv", "every": "10s"} | keys))


@contextlib.asynccontextmanager
async def taking(peer: FilesPeer, *doors: FakeDoor, **keys: Any) -> AsyncIterator[FileAdapter]:
    """A source at work, its first look done."""
    source = peer.make(**keys)
    await source.open()
    running = asyncio.create_task(source.run(FakeDoors(*doors)))
    try:
        await looked(peer, running)
        yield source
    finally:
        running.cancel()
        await asyncio.wait([running])
        await source.close()


async def looked(peer: FilesPeer, running: asyncio.Task[None] | None = None) -> None:
    """Returns once the source sleeps again. Raises what ended it."""
    waits = [asyncio.ensure_future(peer.clock.sleeping()), *([running] if running else [])]
    async with asyncio.timeout(20):
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if running is not None and running.done():
        waits[0].cancel()
        running.result()


async def look(peer: FilesPeer, times: int = 1) -> None:
    """Lets the source look again."""
    for _ in range(times):
        await peer.clock.advance(10)
        await looked(peer)


async def put(peer: FilesPeer, body: Any, number: int = 1, fields: Any = None, **keys: Any) -> None:
    """One attempt of a fresh adapter."""
    sink = peer.make()
    await sink.open()
    try:
        await sink.send(outgoing(body, FileTarget.model_validate(keys), number, **(fields or {})))
    finally:
        await sink.close()


# --- taking


async def test_a_file_says_what_it_is_called(peer: FilesPeer) -> None:
    """Name, path and size are there for expressions; the content type follows the name."""
    peer.write("in/звіт №1.csv", b"1;2")
    mine = door()
    async with taking(peer, mine):
        await look(peer)
    (arrival,) = mine.arrivals
    about = {"file_name": "звіт №1.csv", "file_path": "in/звіт №1.csv", "size": "3"}
    assert arrival.headers == arrival.params == about
    assert (arrival.body, arrival.content_type) == (b"1;2", "text/csv")


@pytest.mark.key("from.file_folder.ready", "from.ftp.ready", "from.sftp.ready", "from.ftp.every", "from.sftp.every")
async def test_a_file_that_still_grows_waits(peer: FilesPeer) -> None:
    """`stable`: size and time the same at two looks, which are `every` apart."""
    peer.write("in/a.csv", b"one")
    mine = door()
    async with taking(peer, mine):
        peer.write("in/a.csv", b"one, two")
        await look(peer)
        assert mine.bodies == []
        await look(peer)
    assert mine.bodies == [b"one, two"]


@pytest.mark.key("from.file_folder.ready.marker", "from.ftp.ready.marker", "from.sftp.ready.marker")
async def test_a_marker_says_that_a_file_is_ready(peer: FilesPeer) -> None:
    """It is taken at once, and the marker goes with it."""
    for name in ("a.csv", "b.csv", "b.csv.done"):
        peer.write(f"in/{name}", name.encode())
    mine = door(ready={"marker": ".done"})
    async with taking(peer, mine):
        pass
    assert mine.bodies == [b"b.csv"]
    assert await peer.files() == {"in/a.csv": b"a.csv"}


@pytest.mark.key("from.ftp.get", "from.sftp.get", "from.file_folder.get")
async def test_a_pattern_may_go_through_any_number_of_folders(peer: FilesPeer) -> None:
    """`**` stands for none, one or more; hidden folders, and the one that files are moved to, are left out."""
    for name in ("in/a.csv", "in/x/b.csv", "in/x/y/c.csv", "in/x/no.txt", "in/.hidden/d.csv", "in/done/e.csv"):
        peer.write(name, name.encode())
    mine = door(get="in/**/*.csv", after={"move": "in/done"})
    async with taking(peer, mine):
        await look(peer, 3)
    assert sorted(mine.bodies) == [b"in/a.csv", b"in/x/b.csv", b"in/x/y/c.csv"]
    left = await peer.files()
    assert sorted(left) == [
        "in/.hidden/d.csv", "in/done/a.csv", "in/done/b.csv", "in/done/c.csv", "in/done/e.csv", "in/x/no.txt",
    ]  # fmt: skip


async def test_folders_of_claims_do_not_pile_up(peer: FilesPeer) -> None:
    """A folder for each day of the partner's would otherwise become one of ours, looked into for ever."""
    mine = door(get="in/**/*.csv")
    async with taking(peer, mine):
        for day in ("2026/01/15", "2026/01/16"):
            peer.write(f"in/{day}/a.csv", day.encode())
            await look(peer, 2)
    assert mine.bodies == [b"2026/01/15", b"2026/01/16"]
    assert [path.name for path in (peer.disk / ".work").rglob("*")] == ["route", "in"]


async def test_older_files_come_first(peer: FilesPeer) -> None:
    """By their time, not by their name."""
    for name, age in (("a", 100), ("b", 300), ("c", 200)):
        peer.write(f"in/{name}.csv", name.encode(), modified=1_795_000_000 - age)
    mine = door()
    async with taking(peer, mine):
        await look(peer)
    assert mine.bodies == [b"b", b"c", b"a"]


@pytest.mark.key("from.file_folder.after", "from.ftp.after", "from.sftp.after")
@pytest.mark.key("from.file_folder.after.move", "from.ftp.after.move", "from.sftp.after.move")
async def test_a_file_may_be_moved_when_it_is_safe(peer: FilesPeer) -> None:
    """A taken name gets a number: nothing in `done` is overwritten."""
    mine = door(after={"move": "done/"})
    async with taking(peer, mine):
        for content in (b"one", b"two", b"three", b"four", b"five"):
            peer.write("in/a.csv", content)
            await look(peer, 2)
    names = ["done/a.csv", "done/a-1.csv", "done/a-2.csv", "done/a-3.csv", "done/a-4.csv"]
    bodies = [b"one", b"two", b"three", b"four", b"five"]
    assert await peer.files() == dict(zip(names, bodies, strict=True))
    assert mine.bodies == bodies


async def test_a_file_that_is_kept_is_taken_once(peer: FilesPeer) -> None:
    """Untouched, also by a second source; a new version of it is a new message."""
    mine = door(after="keep")
    peer.write("in/a.csv", b"one", modified=1_795_000_000)
    async with taking(peer, mine):
        await look(peer, 3)
    assert mine.bodies == [b"one"]
    async with taking(peer, mine):
        await look(peer, 2)
        assert mine.bodies == [b"one"]
        peer.write("in/a.csv", b"two!")
        await look(peer, 2)
    assert mine.bodies == [b"one", b"two!"]
    assert await peer.files() == {"in/a.csv": b"two!"}


async def test_what_is_kept_is_not_fetched_again_after_a_restart(peer: FilesPeer) -> None:
    """Ten thousand files that stay where they are would otherwise come over the line at each start."""
    mine, services = door(after="keep"), FakeServices(peer.clock)
    for name in ("a", "б"):
        peer.write(f"in/{name}.csv", name.encode())
    for _ in range(2):
        source = peer.place.adapter(peer.folder, services=services)
        await source.open()
        running = asyncio.create_task(source.run(FakeDoors(mine)))
        await looked(peer, running)
        await look(peer, 2)
        running.cancel()
        await asyncio.wait([running])
        await source.close()
    assert (sorted(mine.bodies), mine.asked) == ([b"a", "б".encode()], 2)
    mine.options = door().options  # the route says `delete` now
    source = peer.place.adapter(peer.folder, services=services)
    await source.open()
    running = asyncio.create_task(source.run(FakeDoors(mine)))
    await looked(peer, running)
    await look(peer)
    running.cancel()
    await asyncio.wait([running])
    await source.close()
    assert (len(mine.bodies), await peer.files()) == (2, {})


async def test_what_a_crash_left_claimed_is_resumed(peer: FilesPeer) -> None:
    """Claimed and not delivered: it comes first."""
    peer.write(".work/route/in/x/a.csv", b"left")
    mine = door()
    async with taking(peer, mine):
        pass
    assert (mine.bodies, mine.arrivals[0].headers["file_path"]) == ([b"left"], "in/x/a.csv")
    assert await peer.files() == {}


async def test_a_crash_between_acceptance_and_deletion_delivers_once(
    peer: FilesPeer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity of a claimed file is the one that it had before."""
    mine = door()
    peer.write("in/a.csv", b"once", modified=1_795_000_000)

    async def died(*_: object) -> None:
        raise Unreachable("the session broke")

    with monkeypatch.context() as crash, contextlib.suppress(Unreachable):
        crash.setattr("adapters.files.taking.Taker._done", died)
        async with taking(peer, mine):
            await peer.clock.advance(10)
            await mine.arrived(1)
            await asyncio.sleep(0.1)
    assert list(await peer.files()) == [".work/route/in/a.csv"]
    async with taking(peer, mine):
        pass
    assert (mine.bodies, mine.asked, await peer.files()) == ([b"once"], 2, {})


@pytest.mark.key("file_folder.work", "ftp.work", "sftp.work")
async def test_gateways_that_share_a_folder_do_not_resume_one_anothers_claims(peer: FilesPeer) -> None:
    """Each has a folder of its own for what it has claimed."""
    peer.write(".work/route/in/a.csv", b"of another gateway")
    mine = door()
    async with taking(peer, mine, work=".work-kyiv"):
        await look(peer)
    assert mine.asked == 0
    with pytest.raises(BadHeader):
        await put(peer, b"x", put=".work/x")


async def test_claims_of_a_route_that_is_gone_are_told(peer: FilesPeer) -> None:
    """Nobody would look at them again."""
    peer.write(".work/renamed/in/a.csv", b"left")
    async with taking(peer, door()) as source:
        health = await source.check()
    assert (health.state, ".work/renamed holds files of a route that is gone" in health.reason) == ("degraded", True)


async def test_a_folder_that_is_not_there_is_told(peer: FilesPeer) -> None:
    """It may come with the first file; or the pattern is wrong."""
    async with taking(peer, door(get="inn/*.csv")) as source:
        health = await source.check()
        peer.write("inn/a.csv", b"1")
        await look(peer)
        assert await source.check() == Health("up")
    assert health == Health("degraded", "inn is not there", "troubles")


async def test_what_the_store_refuses_stays_where_it_was(peer: FilesPeer) -> None:
    """And is taken when the store is well."""
    peer.write("in/a.csv", b"one")
    mine = door()
    mine.refusals = [StoreUnavailable()]
    async with taking(peer, mine):
        await look(peer)
        assert await peer.files() == {"in/a.csv": b"one"}
        await look(peer)
    assert (mine.bodies, await peer.files()) == ([b"one"], {})


async def test_a_namesake_never_overwrites_a_claimed_file(peer: FilesPeer) -> None:
    """While one waits for the store, the next of that name waits for it."""
    peer.write(".work/route/in/a.csv", b"first")
    peer.write("in/a.csv", b"second")
    mine = door()
    mine.refusals = [StoreUnavailable(), StoreUnavailable()]
    async with taking(peer, mine):
        await look(peer, 4)
    assert (mine.bodies, await peer.files()) == ([b"first", b"second"], {})


async def test_a_file_that_is_too_large_is_set_aside(peer: FilesPeer) -> None:
    """The others go on, and the health of the connection says so."""
    peer.write("in/a.csv", b"x" * 101)
    peer.write("in/b.csv", b"x" * 100)
    mine = door()
    mine.max_body = 100
    async with taking(peer, mine) as source:
        await look(peer)
        health = await source.check()
    assert (mine.bodies, list(await peer.files())) == ([b"x" * 100], [".refused/route/in/a.csv"])
    assert (health.state, "in/a.csv became no message: it has 101 bytes" in health.reason) == ("degraded", True)


async def test_a_file_that_is_too_large_and_kept_stays(peer: FilesPeer) -> None:
    """`keep` touches nothing."""
    peer.write("in/a.csv", b"x" * 101)
    mine = door(after="keep")
    mine.max_body = 100
    async with taking(peer, mine):
        await look(peer, 3)
    assert (mine.asked, list(await peer.files())) == (0, ["in/a.csv"])


# --- putting


@pytest.mark.key("to.file_folder.put", "to.ftp.put", "to.sftp.put", "file_folder.path", "ftp.folder", "sftp.folder")
async def test_missing_folders_are_made(peer: FilesPeer) -> None:
    """As deep as the path says, below the connection's folder."""
    await put(peer, b"x", put="out/${params.year}/a/b.txt", fields={"params": {"year": "2026"}})
    assert await peer.files() == {"out/2026/a/b.txt": b"x"}


@pytest.mark.key("to.file_folder.exists", "to.ftp.exists", "to.sftp.exists")
async def test_another_file_may_be_protected(peer: FilesPeer) -> None:
    """`exists: refuse` keeps it, and takes the same bytes for our own earlier attempt."""
    await put(peer, b"first", put="a.txt", exists="refuse")
    await put(peer, b"first", put="a.txt", exists="refuse")
    with pytest.raises(Refused, match="other content"):
        await put(peer, b"second", put="a.txt", exists="refuse")
    assert await peer.files() == {"a.txt": b"first"}
    await put(peer, b"third", put="a.txt")
    assert await peer.files() == {"a.txt": b"third"}


async def test_an_empty_message_is_an_empty_file(peer: FilesPeer) -> None:
    """And comes back as an empty message."""
    await put(peer, b"", put="in/a.csv")
    mine = door()
    async with taking(peer, mine):
        await look(peer)
    assert mine.bodies == [b""]


async def test_a_large_body_goes_and_comes_in_pieces(peer: FilesPeer, tmp_path: Any) -> None:
    """A Blob becomes the file, byte for byte, and a large file becomes a Blob."""
    body = bytes(range(256)) * 20_000
    blob = tmp_path / "blob"
    blob.write_bytes(body)
    await put(peer, Blob(blob, len(body), "5" * 64), put="in/a.csv")
    assert await peer.files() == {"in/a.csv": body}
    mine = door()
    async with taking(peer, mine):
        await look(peer)
    assert mine.bodies == [body]


async def test_a_closed_connection_takes_nothing(peer: FilesPeer) -> None:
    """A message that comes too late hears a named error."""
    sink = peer.make()
    await sink.open()
    await sink.close()
    with pytest.raises(PipeError):
        await sink.send(outgoing(b"x", FileTarget.model_validate({"put": "a"})))
