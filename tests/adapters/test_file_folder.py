"""A folder of this machine: what of it is not like other places of files: links, names, rights of the system."""

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
from pipe.errors import BadHeader, NotAuthorised, PeerFailed, Refused, Unreachable
from pipe.testing import FakeClock, FakeDoor, FakeDoors, FakeServices
from pipe.testing.services import FakeSpool

PART = f".d-1.{hashlib.sha256(b'x').hexdigest()[:12]}.part"
"""what the file of `put` is called until it is whole"""


def made(folder: Path, /, clock: FakeClock | None = None, **services: Any) -> FileFolder:
    """A folder adapter, not opened."""
    config = FolderConfig.model_validate({"type": "file_folder", "path": str(folder)})
    return FileFolder("folder", config, FakeServices(clock, **services))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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


async def test_the_same_name_again_is_a_new_file(folder: Path) -> None:
    """Its time says so, also with the same content."""
    mine = door()
    async with taking(folder, mine) as clock:
        for second in (1, 2):
            (folder / "in" / "a.csv").write_text("same")
            os.utime(folder / "in" / "a.csv", (second, second))
            await look(clock, 2)
    assert mine.bodies == [b"same", b"same"]


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
