"""`pipe exchanges` as people and programs meet it: a table, lines that go on, files."""

from __future__ import annotations

import asyncio
import csv
import json
import threading
from pathlib import Path

import orjson
import pytest

from pipe.cli import exchanges
from pipe.cli.frame import Frame
from pipe.errors import Refused
from pipe.indexing import Indexing
from tests.pipe.cli.test_commands import gateway, pipe, url
from tests.pipe.house import House
from tests.pipe.operations.hosts import audited

__all__ = ["gateway", "url"]


async def test_it_finds_shows_and_exports(gateway: House) -> None:
    """A table for people, objects for programs, whole files that only their owner reads."""
    gateway.partner("out").script = [Refused("=no such street")]
    await gateway.put('{"k": 1, "text": "яма на дорозі"}')
    await gateway.put('{"k": 2, "text": "ліфт"}')
    await gateway.done(2)
    await Indexing(gateway.engine).once()
    shown = await pipe(gateway, "exchanges")
    head, lift, pit = shown.stdout.splitlines()
    assert head.split() == ["ID", "RECEIVED", "ROUTE", "FROM", "TO", "OUTCOME", "TRIES", "TOOK", "TEXT"]
    assert lift.split()[3:9] == ["r", "in", "out", "delivered", "1", "0"]
    assert "no such street" in pit
    told = orjson.loads((await pipe(gateway, "exchanges", "--text", "ям*", "--bodies", "--json")).stdout)
    assert [json.loads(row["body"])["k"] for row in told] == [1]
    assert (await pipe(gateway, "exchanges", "--text", "газ")).stdout == "Nothing was found.\n"
    table, lines = gateway.folder / "out.csv", gateway.folder / "out.jsonl"
    said = await pipe(gateway, "exchanges", "--export", str(table), "--bodies")
    assert said.stdout == f"2 exchanges written to {table}.\n"
    await pipe(gateway, "exchanges", "--export", str(lines), "--outcome", "failed")
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [json.loads(row["body"])["k"] for row in rows] == [2, 1]
    assert [row["state"] for row in rows] == ["delivered", "dead"]
    assert [json.loads(line)["state"] for line in lines.read_text().splitlines()] == ["dead"]
    assert table.stat().st_mode & 0o077 == 0
    assert [orjson.loads(row["after"]) for row in await audited(gateway, "exchanges.exported")] == [
        {"bodies": True},
        {"outcome": "failed"},
    ]


async def test_an_export_that_fails_leaves_no_file(gateway: House) -> None:
    """And says why."""
    from pipe.errors import BadRequest

    with pytest.raises(BadRequest, match=r"cannot be written: No such file"):
        await pipe(gateway, "exchanges", "--export", str(gateway.folder / "nowhere" / "x.csv"))
    with pytest.raises(BadRequest, match="no state `lost`"):
        await pipe(gateway, "exchanges", "--export", str(gateway.folder / "x.csv"), "--outcome", "lost")
    assert list(gateway.folder.glob("*x.csv*")) == []


async def test_it_follows_what_happens(
    gateway: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for each change, none twice, nothing of what was before."""
    monkeypatch.setattr(exchanges, "EVERY_S", 0.01)
    await gateway.put('{"k": 1}')
    await gateway.done(1)
    turns: asyncio.Queue[bool] = asyncio.Queue()
    taken = threading.Event()
    loop = asyncio.get_running_loop()

    def turn() -> bool:
        taken.set()
        return asyncio.run_coroutine_threadsafe(turns.get(), loop).result(30)

    frame = Frame(Path("connections.yaml"), gateway.data)
    following = asyncio.create_task(asyncio.to_thread(exchanges._follow, frame, {"route": "r"}, turn))
    turns.put_nowait(True)
    await asyncio.to_thread(taken.wait, 30)
    await gateway.put('{"k": 2}')
    [*_, last] = await gateway.done(2)
    for more in (True, True, False):
        turns.put_nowait(more)
    await following
    lines = [line for line in capsys.readouterr().out.splitlines() if "r:  in → out  delivered" in line]
    assert len(lines) == 1, lines
    assert last["state"] == "delivered"
