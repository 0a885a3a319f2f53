"""The commands, asked of a running gateway: what people read, what programs get, how they end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from pipe.cli import main
from pipe.cli.root import app
from pipe.control import ControlServer
from pipe.errors import PeerFailed, PipeError, Refused
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin, host_of
from tests.pipe.operations.test_dead_letters import ORDERED


@pytest.fixture
def url() -> Any:
    """Commands do not see which store there is."""
    return lambda: None


@pytest.fixture
async def gateway(house: House) -> AsyncIterator[House]:
    """A house whose control socket listens; its route is ordered by a key."""
    await begin(house, ORDERED)
    server = ControlServer(house.data, lambda actor, progress: host_of(house, actor))
    await server.start()
    try:
        yield house
    finally:
        await server.stop()


async def pipe(house: House, *arguments: str) -> Result:
    """Runs a command in a thread, as its own process would."""
    found = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--data", str(house.data)])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found


async def test_status_begins_with_one_sentence(gateway: House) -> None:
    """Exit code 0 while all is well, 1 where a person must do something."""
    well = await pipe(gateway, "status")
    assert (well.exit_code, well.stdout.splitlines()[0]) == (0, "All is well: 1 route, 2 connections, nothing waits.")
    gateway.partner("out").script = [Refused()]
    await gateway.put('{"k": 1}')
    await gateway.done(1)
    ill = await pipe(gateway, "status")
    assert ill.exit_code == 1
    assert ill.stdout.startswith("One thing needs a person: route r has 1 dead delivery: `pipe dead list --route r`.")


async def test_explain_reads_as_a_story(gateway: House) -> None:
    """A sentence; who and when; each attempt; what next."""
    gateway.partner("out").script = [PeerFailed("out of paper")]
    first = await gateway.put('{"k": 1}', caller="demo")
    second = await gateway.put('{"k": 1}')
    await gateway.reaches("retry", "held")
    told = (await pipe(gateway, "explain", first.id)).stdout
    assert told.startswith(f"{first.id} waits for its next attempt (out): attempt 1 of 30 failed: out of paper.")
    for words in (
        "came from demo through in",
        "steps: decode (line ",
        "1. ",
        "[PIPE-2004]: out of paper",
        "next: attempt 2, at ",
    ):
        assert words in told
    held = (await pipe(gateway, "explain", second.id)).stdout
    assert f"message {first.id} of the same key goes first" in held


async def test_dead_letters_from_list_to_replay(gateway: House) -> None:
    """List, show, rehearse, replay: each says what it found and ends as it should."""
    gateway.partner("out").script = [Refused("no such street")]
    accepted = await gateway.put('{"k": 1}')
    await gateway.done(1)
    listed = await pipe(gateway, "dead", "list")
    assert accepted.id in listed.stdout
    assert "no such street" in (await pipe(gateway, "dead", "show", accepted.id)).stdout
    rehearsed = await pipe(gateway, "dead", "rehearse")
    assert (rehearsed.exit_code, rehearsed.stdout.splitlines()[0]) == (0, "1 of 1 would pass now.")
    replayed = await pipe(gateway, "dead", "replay", "--route", "r", "--reason", "mended")
    assert (replayed.exit_code, replayed.stdout) == (0, "1 dead letter is on its way again.\n")
    await gateway.reaches("delivered")
    assert (await pipe(gateway, "dead", "replay", "--route", "r")).exit_code == 1
    assert (await pipe(gateway, "dead", "list")).stdout == "There are no dead letters.\n"


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "connections",
        "routes",
        "ledger",
        "ledger verify",
        "search",
        "dead list",
        "dead rehearse",
        "secrets list",
    ],
)
async def test_programs_get_json(gateway: House, command: str) -> None:
    """An array of objects, or one object, and nothing else on standard output."""
    found = await pipe(gateway, *command.split(), "--json")
    answer = orjson.loads(found.stdout)
    assert isinstance(answer, dict) or all(isinstance(each, dict) for each in answer)


@pytest.mark.parametrize(
    "command",
    [
        "connections",
        "routes",
        "ledger",
        "ledger verify",
        "search",
        "search --since 2h",
        "dead rehearse",
        "secrets list",
    ],
)
async def test_people_get_words(gateway: House, command: str) -> None:
    """Never an empty answer, never a stack trace."""
    found = await pipe(gateway, *command.split())
    assert (found.exit_code, found.exception, bool(found.stdout.strip())) == (0, None, True)


async def test_pause_and_resume_say_what_is_now(gateway: House) -> None:
    """And what was already."""
    said = [
        (await pipe(gateway, *words)).stdout
        for words in (("pause", "out", "--reason", "x"), ("pause", "out", "--reason", "x"), ("resume", "out"))
    ]
    assert said == [
        "connection out is paused now.\n",
        "connection out was paused already.\n",
        "connection out is running now.\n",
    ]


async def test_edit_takes_the_new_body_from_a_file(gateway: House, tmp_path: Path) -> None:
    """And says the id that it goes under."""
    gateway.partner("out").script = [Refused()]
    accepted = await gateway.put('{"k": 1}')
    await gateway.done(1)
    body = tmp_path / "body.json"
    body.write_text('{"k": 2}')
    done = await pipe(gateway, "dead", "edit", accepted.id, "--file", str(body), "--reason", "a slip")
    await gateway.done(2)
    assert f"in place of {accepted.id}" in done.stdout
    assert gateway.partner("out").bodies == [b'{"k":2}']


async def test_resolve_wants_one_decision(gateway: House) -> None:
    """None or two are refused before anything is asked."""
    for words in ((), ("--dead", "--retry")):
        with pytest.raises(PipeError, match="say one of"):
            await pipe(gateway, "resolve", "m", *words)


def test_an_error_goes_to_standard_error_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line: code, what, and what to try; nothing on standard output."""
    monkeypatch.setattr(sys, "argv", ["pipe", "status", "--data", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith("[PIPE-4001] there is no data folder")
