"""The stand-ins do as they are told, and remember what they saw."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import orjson
import pytest

from partners import PORTS, Partners, start, tell
from partners.records import Lines
from pipe.errors import BadRequest, Unreachable
from tests.partners.conftest import APPEAL, XML, Ask


async def register(ask: Ask) -> tuple[int, bytes]:
    """Hands one good appeal to the register."""
    status, _, body = await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=XML)
    return status, body


def seen(data: Path) -> list[dict[str, object]]:
    """What the register wrote down."""
    return [orjson.loads(line) for line in (data / "partners/registry/seen.jsonl").read_bytes().splitlines()]


async def test_a_request_is_written_down_with_its_answer(ask: Ask, data: Path) -> None:
    """Id, key, which attempt, the body's hash and what was answered."""
    await register(ask)
    await register(ask)
    rows = [(row["id"], row["key"], row["attempt"], row["answer"], row["status"]) for row in seen(data)]
    assert rows == [("m1", None, 1, "ok", 201), ("m1", None, 2, "ok", 201)]


async def test_a_stopped_stand_in_refuses_connections_and_comes_back_at_its_port(
    ask: Ask, data: Path, partners: Partners
) -> None:
    """As a dead host does; its neighbours go on."""
    await register(ask)
    await tell(data, "registry", "stop")
    with pytest.raises(aiohttp.ClientConnectorError):
        await register(ask)
    assert (await ask("sms", "GET", "/sms/ping"))[0] == 200
    assert (await tell(data, "registry", "start"))["listening"] is True
    assert (await register(ask))[0] == 201


@pytest.mark.parametrize(
    ("words", "status", "header"),
    [
        (["refuse"], 422, None),
        (["refuse", "404"], 404, None),
        (["fail"], 503, None),
        (["fail", "503", "7"], 503, "7"),
        (["error200"], 200, None),
    ],
)
async def test_a_bad_answer_is_given_and_nothing_is_done(
    ask: Ask, data: Path, partners: Partners, words: Sequence[str], status: int, header: str | None
) -> None:
    """Refuse, fail and error200 do no work."""
    await tell(data, "registry", *words)
    got, headers, _ = await ask("registry", "POST", "/registry/appeals", data=APPEAL.encode(), headers=XML)
    assert (got, headers.get("Retry-After"), seen(data)[0]["answer"]) == (status, header, "fail")
    assert len(partners.stand_ins["registry"].rows) == 0


@pytest.mark.parametrize("verb", ["reset", "truncate"])
async def test_a_broken_answer_is_no_answer(ask: Ask, data: Path, verb: str) -> None:
    """The client sees its connection end, and the record says that nothing was answered."""
    await tell(data, "registry", verb)
    with pytest.raises(aiohttp.ClientError):
        await register(ask)
    assert seen(data)[0]["answer"] == "none"


async def test_the_work_can_be_done_while_the_answer_is_lost(ask: Ask, data: Path, partners: Partners) -> None:
    """The worst of cases: it took effect, and nobody was told."""
    await tell(data, "registry", "reset", "done=yes")
    with pytest.raises(aiohttp.ClientError):
        await register(ask)
    assert len(partners.stand_ins["registry"].rows) == 1


async def test_a_hanging_stand_in_reads_and_never_answers(ask: Ask, data: Path) -> None:
    """It is written down before the wait, so that a test can act in that very moment."""
    await tell(data, "registry", "hang")
    waiting = asyncio.ensure_future(register(ask))
    while not seen(data):  # noqa: ASYNC110 - the file is the only thing to watch
        await asyncio.sleep(0.01)
    assert (seen(data)[0]["answer"], waiting.done()) == ("none", False)
    waiting.cancel()


async def test_an_answer_can_be_sent_twice(data: Path, partners: Partners) -> None:
    """A client that keeps the connection must not take the second for the answer to its next question."""
    await tell(data, "registry", "duplicate")
    reader, writer = await asyncio.open_connection("127.0.0.1", partners.stand_ins["registry"].port)
    writer.write(b"GET /registry/ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    got = await reader.read()
    writer.close()
    assert got.count(b"HTTP/1.1 200") == 2


async def test_a_manner_can_be_for_some_requests_only(ask: Ask, data: Path) -> None:
    """`for=1`: then well again."""
    await tell(data, "registry", "fail", "for=1")
    assert [(await register(ask))[0] for _ in range(2)] == [503, 201]


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["nobody", "stop"], "there is no stand-in `nobody`"),
        (["registry", "explode"], "a stand-in knows no `explode`"),
        (["registry", "slow", "long"], "cannot read seconds=long"),
        (["registry", "hang", "5"], "`hang` takes no `5`"),
        (["registry", "well", "done=perhaps"], "cannot read done=perhaps"),
    ],
)
async def test_a_command_that_makes_no_sense_is_refused(
    partners: Partners, data: Path, words: Sequence[str], part: str
) -> None:
    """With what would have been right."""
    with pytest.raises(BadRequest) as refused:
        await tell(data, *words)
    assert part in refused.value.text


async def test_only_their_owner_may_command_them(partners: Partners, data: Path) -> None:
    """The socket is 0600."""
    assert stat.S_IMODE((data / "partners.sock").stat().st_mode) == 0o600


async def test_where_none_run_a_command_says_so(tmp_path: Path) -> None:
    """Unreachable, with the folder."""
    with pytest.raises(Unreachable):
        await tell(tmp_path, "registry", "stop")


async def test_rows_outlive_a_restart(ask: Ask, data: Path, partners: Partners) -> None:
    """A key that was used before the restart makes no second row after it."""
    await register(ask)
    await partners.close()
    async with await start(data, {}) as again:
        assert len(again.stand_ins["registry"].rows) == 1


async def test_a_taken_port_is_an_error_and_leaves_nothing_open(partners: Partners, tmp_path: Path) -> None:
    """Nothing of a half start stays."""
    with pytest.raises(OSError, match="in use"):
        await start(tmp_path / "other", {"payments": partners.stand_ins["payments"].port})
    assert not (tmp_path / "other/partners.json").exists()


async def test_bodies_are_written_down_when_asked_for(ask: Ask, data: Path) -> None:
    """Off by default: they may be large and private."""
    await register(ask)
    await tell(data, "registry", "bodies", "on")
    await register(ask)
    assert [row.get("body") for row in seen(data)] == [None, APPEAL]


def test_half_a_line_is_never_read(tmp_path: Path) -> None:
    """Each line is one write."""
    lines = Lines(tmp_path / "x.jsonl", fsync=True)
    lines.add({"a": 1})
    lines.add({"b": "ї"})
    lines.close()
    lines.close()
    assert Lines.read(lines) == [{"a": 1}, {"b": "ї"}]


async def test_as_a_process_they_say_where_they_are_and_end_cleanly(tmp_path: Path) -> None:
    """`python -m partners`: addresses on standard output and in partners.json; SIGTERM is a clean end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "partners", "--data", tmp_path, "--port-base", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    printed = dict([(await process.stdout.readline()).decode().split() for _ in PORTS])
    assert orjson.loads((tmp_path / "partners.json").read_bytes())["addresses"] == printed
    os.kill(process.pid, signal.SIGTERM)
    assert (await process.wait(), (tmp_path / "partners.json").exists()) == (0, False)


async def test_the_shared_folder_is_there_and_the_gateway_is_told_of_it(partners: Partners, data: Path) -> None:
    """`PIPE_ARCHIVE`, absolute, with the place for incoming files."""
    archive = Path(partners.environment["PIPE_ARCHIVE"])
    assert (archive, archive.is_absolute(), (archive / "in").is_dir()) == ((data / "archive").resolve(), True, True)
