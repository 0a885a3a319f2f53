"""FTP: breaking off, and going on; sessions that are used again; attempts that end in their time."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from adapters.ftp.config import FtpConfig
from pipe.contract import Timeout
from pipe.errors import (
    PipeError,
    Unreachable,
    Verdict,
)
from pipe.testing import FakeDoor, FakeDoors
from pipe.testing.services import FakeSpool
from pipe.testing.suites import outgoing
from tests.adapters.files_bench import (
    Pyftpd,
    until,
)
from tests.adapters.ftp_bench import opened, running, target

BOTH_LOOPS = True
"""the gateway runs on uvloop, whose TLS over a connection that stands is another one"""


class _Slow(FakeSpool):
    """A spool that lets something happen after its first piece."""

    made = 0
    then: Any = None

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        type(self).made += 1

    async def write(self, piece: bytes) -> None:
        """See Spool."""
        await super().write(piece)
        then, type(self).then = type(self).then, None
        if then is not None:
            await then()


async def test_a_download_goes_on_where_it_broke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had come is not fetched again, although the server was restarted in between."""
    asked: list[str] = []

    def rest(self: Any, line: str) -> None:
        asked.append(line)
        base_rest(self, line)

    place = Pyftpd(tmp_path)
    base_rest = place.partner.handler.ftp_REST
    place.partner.handler.ftp_REST = rest
    monkeypatch.setattr("pipe.testing.services.FakeSpool", _Slow)
    _Slow.made, _Slow.then = 0, place.stop
    body = os.urandom(1 << 20) * 24
    async with running(place) as peer:
        peer.write("in/a.msg", body, modified=1_795_000_000)
        door = FakeDoor(peer.options, max_body=1 << 30)
        async with opened(peer) as adapter:
            for _ in range(2):
                source = asyncio.create_task(adapter.run(FakeDoors(door)))
                async with asyncio.timeout(30):
                    while not source.done() and await peer.files():
                        await peer.tick()
                        await asyncio.sleep(0.01)
                source.cancel()
                ended = (await asyncio.gather(source, return_exceptions=True))[0]
                assert isinstance(ended, (Unreachable, asyncio.CancelledError))
                await place.start()
        assert door.bodies == [body]
        assert await peer.files() == {}
    assert (_Slow.made, len(asked)) == (1, 1)
    assert 0 < int(asked[0]) < len(body)


async def test_an_upload_goes_on_where_it_broke(tmp_path: Path) -> None:
    """The second attempt sends the rest; nobody sees the file before it is whole."""
    asked: list[str] = []

    def rest(self: Any, line: str) -> None:
        asked.append(line)
        base_rest(self, line)

    place = Pyftpd(tmp_path)
    base_rest = place.partner.handler.ftp_REST
    place.partner.handler.ftp_REST = rest
    from pyftpdlib.handlers import DTPHandler, ThrottledDTPHandler  # at the first import it warns; that is over here

    # So slow that the stop falls into the upload.
    place.partner.handler.dtp_handler = type("Slow", (ThrottledDTPHandler,), {"read_limit": 4 << 20})
    body = os.urandom(1 << 20) * 24
    async with running(place) as peer, opened(peer) as adapter:
        sending = asyncio.create_task(adapter.send(outgoing(body, target("out/a"))))
        await until(lambda: any(part.stat().st_size for part in peer.disk.glob("out/.*.part")), "the first bytes")
        await place.stop()
        error = (await asyncio.gather(sending, return_exceptions=True))[0]
        assert isinstance(error, PipeError)
        assert error.verdict is Verdict.RETRY
        (left,) = await peer.files()
        assert left.endswith(".part")
        place.partner.handler.dtp_handler = DTPHandler
        await place.start()
        again = outgoing(body, target("out/a"))._replace(attempt=2)
        await adapter.send(again)
        assert await peer.files() == {"out/a": body}
    assert len(asked) == 1
    assert int(asked[0]) > 0


async def test_a_server_that_cannot_resume_gets_the_whole_file(tmp_path: Path) -> None:
    """Half a file that was left is replaced."""

    def rest(self: Any, line: str) -> None:
        self.respond("502 REST not implemented.")

    place = Pyftpd(tmp_path, ftp_REST=rest)
    async with running(place) as peer, opened(peer) as adapter:
        body = b"0123456789"
        peer.write(f".delivery-1.{hashlib.sha256(body).hexdigest()[:12]}.part", b"0123")
        await adapter.send(outgoing(body, target("a"))._replace(attempt=2))
        assert await peer.files() == {"a": body}


async def test_a_session_that_the_server_ended_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two messages nobody notices that the server was restarted."""
    monkeypatch.setattr("adapters.files.sessions.FRESH", -1.0)
    place = Pyftpd(tmp_path)
    async with running(place) as peer, opened(peer) as adapter:
        await adapter.send(outgoing(b"one", target("a")))
        await place.stop()
        await place.start()
        await adapter.send(outgoing(b"two", target("b"), 2))
        assert await peer.files() == {"a": b"one", "b": b"two"}


@pytest.mark.key("ftp.concurrency")
async def test_sessions_are_used_again_and_given_up_when_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at the same time need two, ten in turn need one; a minute without use ends them."""
    assert FtpConfig.model_validate({"type": "ftp", "url": "ftp://h"}).concurrency == 2
    monkeypatch.setattr("adapters.files.sessions.IDLE", 0.2)
    place = Pyftpd(tmp_path)
    async with running(place) as peer, opened(peer) as adapter:
        for number in range(5):
            await adapter.send(outgoing(b"x", target(f"a{number}"), number))
        assert place.partner.sessions == 1
        await until(lambda: not place.partner.sessions, "the end of the session")


@pytest.mark.key("ftp.timeout", "file_folder.timeout", "sftp.timeout")
async def test_an_attempt_ends_in_its_time(tmp_path: Path) -> None:
    """`total` bounds the whole file; without a word it is an hour, because files are large."""
    assert FtpConfig.model_validate({"type": "ftp", "url": "ftp://h"}).timeout.total == 3600  # type: ignore[union-attr]

    def hang(self: Any, path: str, mode: str = "w") -> None:
        """Never answers."""

    async with running(Pyftpd(tmp_path, ftp_STOR=hang)) as peer, opened(peer) as adapter:
        sent = outgoing(b"x", target("a"))._replace(timeout=Timeout.model_validate({"total": "500ms"}))
        with pytest.raises(PipeError, match=r"within 0\.5 s"):
            await adapter.send(sent)


async def test_a_stop_does_not_wait_for_a_silent_server(tmp_path: Path) -> None:
    """Cancelled in the middle of a question, the source ends at once."""

    def hang(self: Any, path: str) -> None:
        """Never answers."""

    async with running(Pyftpd(tmp_path, ftp_MLSD=hang)) as peer, opened(peer) as adapter:
        source = asyncio.create_task(adapter.run(FakeDoors(FakeDoor(peer.options))))
        await asyncio.sleep(0.3)
        async with asyncio.timeout(10):
            source.cancel()
            await asyncio.wait([source])
