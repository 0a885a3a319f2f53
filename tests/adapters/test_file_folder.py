"""Files taken from a folder once each, and put there whole."""

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from adapters.file_folder import FileFolder, FolderConfig
from adapters.files.keys import FileSubscription, FileTarget
from pipe.contract import Blob, Message, Outgoing, Timeout
from pipe.errors import BadHeader, NotAuthorised, PeerFailed, Refused, StoreUnavailable, Unreachable
from pipe.testing import FakeClock, FakeDoor, FakeDoors, FakeServices
from pipe.testing.services import FakeSpool
from pipe.testing.suites import FileSinkContract, SourceContract

PART = f".d-1.{hashlib.sha256(b'x').hexdigest()[:12]}.part"
"""what the file of `put` is called until it is whole"""


def made(folder: Path, /, clock: FakeClock | None = None, **services: Any) -> FileFolder:
    """A folder adapter, not opened."""
    config = FolderConfig.model_validate({"type": "file_folder", "path": str(folder)})
    return FileFolder("folder", config, FakeServices(clock, **services))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the promises of every adapter


class FolderPeer:
    """A folder, and whoever looks into it from outside."""

    target = FileTarget.model_validate({"put": "out/${message.id}"})
    options = FileSubscription.model_validate({"get": "in/*.msg", "every": "1s"})

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.number = folder, FakeClock(), 0
        (folder / "in").mkdir(parents=True)
        self.names: dict[bytes, Path] = {}

    def make(self) -> FileFolder:
        """A new adapter that leads here."""
        return made(self.folder, self.clock)

    async def leave(self) -> None:
        """Nobody is here any more."""
        self.folder.rename(self.folder.with_name("gone"))

    def put(self, template: str) -> FileTarget:
        """One attempt of a fresh adapter."""
        return FileTarget.model_validate({"put": template})

    async def files(self) -> dict[str, bytes]:
        """Every file below the folder."""
        return files(self.folder)

    async def received(self) -> list[bytes]:
        """What arrived."""
        return list(files(self.folder / "out").values())

    async def offer(self, body: bytes) -> None:
        """One message more to take."""
        self.number += 1
        self.names[body] = self.folder / "in" / f"{self.number}.msg"
        self.names[body].write_bytes(body)

    async def tick(self) -> None:
        """Time for the next look."""
        await self.clock.advance(1)

    async def told(self, body: bytes) -> bool:
        """Whether it was confirmed."""
        name = self.names[body].relative_to(self.folder)
        return not (self.folder / name).exists() and not (self.folder / ".work" / "route" / name).exists()


class TestPutting(FileSinkContract):
    """A file is there whole, under the name that was meant."""

    @pytest.fixture
    def peer(self, tmp_path: Path) -> FolderPeer:
        """Fresh for each promise."""
        return FolderPeer(tmp_path / "exchange")


class TestTaking(SourceContract):
    """A file is gone only when its message is safe."""

    @pytest.fixture
    def peer(self, tmp_path: Path) -> FolderPeer:
        """Fresh for each promise."""
        return FolderPeer(tmp_path / "exchange")


# --- putting


async def put(folder: Path, template: str, body: Any = b"x", exists: str = "replace", **fields: Any) -> None:
    """One attempt of a fresh adapter."""
    sink = made(folder)
    await sink.open()
    try:
        to = FileTarget.model_validate({"put": template, "exists": exists})
        await sink.send(Outgoing(Message("m-1", "r", body, **fields), to, "d-1", 1, Timeout()))
    finally:
        await sink.close()


@pytest.mark.key("to.file_folder.put", "file_folder.path")
async def test_missing_folders_are_made(tmp_path: Path) -> None:
    """As deep as the path says."""
    await put(tmp_path, "out/${params.year}/a.txt", params={"year": "2026"})
    assert files(tmp_path) == {"out/2026/a.txt": b"x"}


async def test_a_large_body_is_copied(tmp_path: Path) -> None:
    """A Blob becomes the file, and stays."""
    source = tmp_path / "blob"
    source.write_bytes(b"y" * 3_000_000)
    exchange = tmp_path / "exchange"
    exchange.mkdir()
    await put(exchange, "a.bin", Blob(source, 3_000_000, ""))
    assert files(tmp_path) == {"blob": b"y" * 3_000_000, "exchange/a.bin": b"y" * 3_000_000}


async def test_no_reader_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name appears when the bytes are on disk; what breaks off leaves nothing."""
    seen: list[list[str]] = []
    synced = os.fsync

    def broken(file: int) -> None:
        if seen:
            synced(file)
            return
        seen.append(list(files(tmp_path)))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(PeerFailed, match="No space left"):
        await put(tmp_path, "a.txt")
    assert (seen, files(tmp_path)) == ([[PART]], {})


async def test_what_an_earlier_attempt_left_is_cleared(tmp_path: Path) -> None:
    """The gateway may have died in the middle of it."""
    (tmp_path / PART).write_bytes(b"half")
    await put(tmp_path, "a.txt")
    assert files(tmp_path) == {"a.txt": b"x"}


@pytest.mark.key("to.file_folder.exists")
async def test_another_file_may_be_protected(tmp_path: Path) -> None:
    """`exists: refuse` keeps it, and takes the same bytes for our own earlier attempt."""
    await put(tmp_path, "a.txt", b"first", exists="refuse")
    await put(tmp_path, "a.txt", b"first", exists="refuse")
    with pytest.raises(Refused, match="other content"):
        await put(tmp_path, "a.txt", b"second", exists="refuse")
    assert files(tmp_path) == {"a.txt": b"first"}


@pytest.mark.parametrize("template", ["/etc/x", "../x", "a/../../x"])
def test_a_path_that_leads_out_is_a_mistake_of_the_configuration(template: str) -> None:
    """Lint names it."""
    with pytest.raises(ValidationError, match="below the folder"):
        FileTarget.model_validate({"put": template})


@pytest.mark.parametrize(
    "values", [{"a": ".", "b": "."}, {"a": "co", "b": "n"}, {"a": ".work", "b": ""}, {"a": ".w", "b": "ork"}]
)
async def test_values_together_make_no_forbidden_name(tmp_path: Path, values: dict[str, str]) -> None:
    """`${a}${b}` is looked at as a whole as well."""
    with pytest.raises(BadHeader):
        await put(tmp_path, "${params.a}${params.b}/x.txt", params=values)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("link", ["folder", "file"])
async def test_a_link_leads_nowhere(tmp_path: Path, link: str) -> None:
    """A link in the folder is never followed: a linked folder is refused, a linked file replaced."""
    inside, outside = tmp_path / "in", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "a.txt").write_bytes(b"theirs")
    if link == "folder":
        (inside / "sub").symlink_to(outside)
        with pytest.raises(Refused, match="leads over a link"):
            await put(inside, "sub/a.txt")
    else:
        (inside / "a.txt").symlink_to(outside / "a.txt")
        await put(inside, "a.txt")
        assert (inside / "a.txt").read_bytes() == b"x"
    assert (outside / "a.txt").read_bytes() == b"theirs"


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(max_size=12) | st.sampled_from(["..", "a/..", "\\..", "CON.txt", " ", "a.", "\ud800"]))
async def test_any_name_is_refused_or_is_one_file(tmp_path: Path, name: str) -> None:
    """Whatever data says, it makes one file in its folder or none."""
    folder = tmp_path / "exchange"
    folder.mkdir(exist_ok=True)
    for path in files(folder):
        (folder / path).unlink()
    try:
        await put(folder, "out/${params.name}/x", params={"name": name})
    except BadHeader:
        assert files(folder) == {}
    else:
        assert list(files(folder)) == [f"out/{name}/x"]
    assert [path.name for path in tmp_path.iterdir()] == ["exchange"]


async def test_a_folder_that_may_not_be_used_stops_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the connection that needs mending, not the message."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NotAuthorised, match="may not be read and written"):
        await put(tmp_path, "a.txt")


async def test_a_missing_folder_is_unreachable(tmp_path: Path) -> None:
    """Open says so: a share that is not mounted."""
    with pytest.raises(Unreachable):
        await put(tmp_path / "none", "a.txt")


# --- taking


def door(**keys: Any) -> FakeDoor:
    """A route's entrance that polls every ten seconds."""
    return FakeDoor(FileSubscription.model_validate({"get": "in/*.csv", "every": "10s"} | keys))


@contextlib.asynccontextmanager
async def taking(folder: Path, /, *doors: FakeDoor, **services: Any) -> AsyncIterator[FakeClock]:
    """A source at work, and the clock that it sleeps by."""
    clock = FakeClock()
    source = made(folder, clock, **services)
    await source.open()
    running = asyncio.create_task(source.run(FakeDoors(*doors)))
    await clock.sleeping()
    try:
        yield clock
    finally:
        running.cancel()
        await asyncio.wait([running])
        await source.close()


async def look(clock: FakeClock, times: int = 1) -> None:
    """Lets the source look again."""
    for _ in range(times):
        await clock.advance(10)
        await clock.sleeping()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an `in` in it."""
    (tmp_path / "in").mkdir()
    return tmp_path


async def test_a_file_says_what_it_is_called(folder: Path) -> None:
    """Name, path and size are there for expressions; the content type follows the name."""
    (folder / "in" / "a.csv").write_bytes(b"1;2")
    mine = door()
    async with taking(folder, mine) as clock:
        await look(clock)
    (arrival,) = mine.arrivals
    assert arrival.headers == arrival.params == {"file_name": "a.csv", "file_path": "in/a.csv", "size": "3"}
    assert (arrival.body, arrival.content_type) == (b"1;2", "text/csv")


@pytest.mark.key("from.file_folder.ready")
async def test_a_file_that_still_grows_waits(folder: Path) -> None:
    """`stable`: size and time the same at two looks."""
    file, mine = folder / "in" / "a.csv", door()
    file.write_bytes(b"one")
    async with taking(folder, mine) as clock:
        file.write_bytes(b"one, two")
        await look(clock)
        assert mine.bodies == []
        await look(clock)
    assert mine.bodies == [b"one, two"]


@pytest.mark.key("from.file_folder.ready", "from.file_folder.ready.marker")
async def test_a_marker_says_that_a_file_is_ready(folder: Path) -> None:
    """It is taken at once, and the marker goes with it."""
    mine = door(ready={"marker": ".done"})
    for name in ("a.csv", "b.csv", "b.csv.done"):
        (folder / "in" / name).write_bytes(name.encode())
    async with taking(folder, mine) as clock:
        await look(clock)
    assert mine.bodies == [b"b.csv"]
    assert files(folder) == {"in/a.csv": b"a.csv"}


@pytest.mark.key("from.file_folder.get")
async def test_only_what_fits_is_taken(folder: Path) -> None:
    """Not other endings, hidden files, folders, links, nor what lies outside."""
    (folder / "outside.csv").write_bytes(b"no")
    (folder / "in" / "a.csv").write_bytes(b"yes")
    (folder / "in" / "a.txt").write_bytes(b"no")
    (folder / "in" / ".a.csv").write_bytes(b"no")
    (folder / "in" / "folder.csv").mkdir()
    (folder / "in" / "link.csv").symlink_to(folder / "outside.csv")
    os.mkfifo(folder / "in" / "pipe.csv")
    mine = door()
    async with taking(folder, mine) as clock:
        await look(clock, 2)
    assert mine.bodies == [b"yes"]


async def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    """Also where the pattern would allow it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.csv").write_bytes(b"no")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "in").symlink_to(tmp_path / "outside")
    mine = door(get="*/*.csv")
    async with taking(tmp_path / "root", mine) as clock:
        await look(clock, 2)
    assert mine.bodies == []


async def test_older_files_come_first(folder: Path) -> None:
    """By their time, not by their name."""
    for name, age in (("a", 1), ("b", 3), ("c", 2)):
        (folder / "in" / f"{name}.csv").write_text(name)
        os.utime(folder / "in" / f"{name}.csv", (1000 - age, 1000 - age))
    mine = door()
    async with taking(folder, mine) as clock:
        await look(clock)
    assert mine.bodies == [b"b", b"c", b"a"]


@pytest.mark.key("from.file_folder.after", "from.file_folder.after.move")
async def test_a_file_may_be_moved_when_it_is_safe(folder: Path) -> None:
    """A taken name gets a number: nothing in `done` is overwritten."""
    mine = door(after={"move": "done/"})
    async with taking(folder, mine) as clock:
        for content in ("one", "two"):
            (folder / "in" / "a.csv").write_text(content)
            await look(clock, 2)
    assert files(folder) == {"done/a.csv": b"one", "done/a-1.csv": b"two"}
    assert mine.bodies == [b"one", b"two"]


@pytest.mark.key("from.file_folder.after")
async def test_a_file_that_is_kept_is_taken_once(folder: Path) -> None:
    """Untouched, also by a second source; a new version of it is a new message."""
    file, mine = folder / "in" / "a.csv", door(after="keep")
    file.write_text("one")
    async with taking(folder, mine) as clock:
        await look(clock, 3)
    assert mine.asked == 1
    async with taking(folder, mine) as clock:
        await look(clock, 2)
        assert (mine.asked, mine.bodies) == (2, [b"one"])
        file.write_text("two!")
        await look(clock, 2)
    assert mine.bodies == [b"one", b"two!"]
    assert files(folder) == {"in/a.csv": b"two!"}


async def test_the_same_name_again_is_a_new_file(folder: Path) -> None:
    """Its time says so, also with the same content."""
    mine = door()
    async with taking(folder, mine) as clock:
        for second in (1, 2):
            (folder / "in" / "a.csv").write_text("same")
            os.utime(folder / "in" / "a.csv", (second, second))
            await look(clock, 2)
    assert mine.bodies == [b"same", b"same"]


async def test_what_a_crash_left_claimed_is_resumed(folder: Path) -> None:
    """Claimed and not delivered: it comes first. Delivered and not deleted: it is deleted, and not delivered again."""
    claimed = folder / ".work" / "route" / "in"
    claimed.mkdir(parents=True)
    (claimed / "a.csv").write_text("left")
    mine = door()
    async with taking(folder, mine):
        pass
    assert (mine.bodies, mine.arrivals[0].headers["file_path"], files(folder)) == ([b"left"], "in/a.csv", {})


async def test_a_crash_between_store_and_delete_makes_no_second_message(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The identity of a claimed file is the one that it had before."""
    mine = door()
    (folder / "in" / "a.csv").write_text("once")
    with monkeypatch.context() as crash:
        crash.setattr("adapters.file_folder.confined.Confined.delete", lambda *_: None)
        async with taking(folder, mine) as clock:
            await look(clock)
    assert list(files(folder)) == [".work/route/in/a.csv"]
    async with taking(folder, mine):
        pass
    assert (mine.bodies, mine.asked, files(folder)) == ([b"once"], 2, {})


async def test_what_the_store_refuses_stays_where_it_was(folder: Path) -> None:
    """And is taken when the store is well."""
    (folder / "in" / "a.csv").write_text("one")
    mine = door()
    mine.refusals = [StoreUnavailable()]
    async with taking(folder, mine) as clock:
        await look(clock)
        assert files(folder) == {"in/a.csv": b"one"}
        await look(clock)
    assert (mine.bodies, files(folder)) == ([b"one"], {})


async def test_a_namesake_never_overwrites_a_claimed_file(folder: Path) -> None:
    """While one waits for the store, the next of that name waits for it."""
    claimed = folder / ".work" / "route" / "in"
    claimed.mkdir(parents=True)
    (claimed / "a.csv").write_text("first")
    (folder / "in" / "a.csv").write_text("second")
    mine = door()
    mine.refusals = [StoreUnavailable(), StoreUnavailable()]
    async with taking(folder, mine) as clock:
        await look(clock, 4)
    assert (mine.bodies, files(folder)) == ([b"first", b"second"], {})


async def test_a_file_that_is_too_large_is_set_aside(folder: Path) -> None:
    """The others go on, and the health of the connection says so."""
    (folder / "in" / "a.csv").write_bytes(b"x" * 101)
    (folder / "in" / "b.csv").write_bytes(b"x" * 100)
    mine = door()
    mine.max_body = 100
    clock = FakeClock()
    source = made(folder, clock)
    await source.open()
    running = asyncio.create_task(source.run(FakeDoors(mine)))
    await clock.sleeping()
    await look(clock)
    health = await source.check()
    running.cancel()
    await asyncio.wait([running])
    await source.close()
    assert (mine.bodies, list(files(folder))) == ([b"x" * 100], [".refused/route/in/a.csv"])
    assert (health.state, "became no message: it has 101 bytes" in health.reason) == ("degraded", True)


async def test_a_large_file_becomes_a_blob(folder: Path, tmp_path: Path) -> None:
    """It is never whole in memory."""
    (folder / "in" / "a.csv").write_bytes(b"x" * 2_000_000)
    blobs, mine = tmp_path / "blobs", door()
    blobs.mkdir()
    async with taking(folder, mine, folder=blobs) as clock:
        await look(clock)
    assert isinstance(mine.arrivals[0].body, Blob)
    assert mine.bodies == [b"x" * 2_000_000]


async def test_a_name_that_is_no_text_still_arrives(folder: Path) -> None:
    """Bytes that are not UTF-8 are shown as such."""
    (folder / "in" / os.fsdecode(b"\xff.csv")).write_bytes(b"x")
    mine = door()
    async with taking(folder, mine) as clock:
        await look(clock)
    assert mine.arrivals[0].headers["file_name"] == "\ufffd.csv"


async def test_a_file_that_changes_while_it_is_read_waits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer still has it open: it goes back, and is taken when it is done."""
    file, mine = folder / "in" / "a.csv", door()
    file.write_text("half")
    late = [b" and half"]
    write = FakeSpool.write

    async def writing(self: FakeSpool, piece: bytes) -> None:
        if late:
            with (folder / ".work" / "route" / "in" / "a.csv").open("ab") as writer:
                writer.write(late.pop())
        await write(self, piece)

    monkeypatch.setattr(FakeSpool, "write", writing)
    async with taking(folder, mine) as clock:
        await look(clock)
        assert (mine.asked, list(files(folder))) == (0, ["in/a.csv"])
        await look(clock, 2)
    assert mine.bodies == [b"half and half"]


async def test_a_namesake_of_a_claimed_file_is_left_alone(folder: Path) -> None:
    """What cannot be claimed now is claimed later, and is no failure of the folder."""
    source = made(folder)
    for path in (folder / "in", folder / ".work" / "route" / "in"):
        path.mkdir(parents=True, exist_ok=True)
        (path / "a.csv").write_text(path.parent.name)
    async with source._sessions.one(source.patience) as remote:
        found = await remote.find(("in", "a.csv"))
        assert found is not None
        assert await source._taker._claimed(remote, door(), found) is None
    assert len(files(folder)) == 2
    await source.close()


async def test_a_folder_that_vanishes_ends_the_source(folder: Path) -> None:
    """As a named error; the supervisor tries again."""
    source = made(folder)
    await source.open()
    (folder / "in").rmdir()
    folder.rmdir()
    with pytest.raises(Unreachable):
        await source.run(FakeDoors(door()))
    await source.close()


@pytest.mark.parametrize("pattern", ["/in/*.csv", "../*.csv", "in/../../*", "in/**.csv", ".work/*", ""])
def test_a_pattern_stays_below_the_folder(pattern: str) -> None:
    """Lint names it."""
    with pytest.raises(ValidationError):
        FileSubscription.model_validate({"get": pattern})
