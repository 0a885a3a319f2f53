"""The pages' commands, typed one after the other into one shell, against a gateway started as the README says."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from tests.docs import pages
from tests.docs.pages import ROOT, Block
from tests.journeys import order
from tests.journeys.conftest import until
from tests.journeys.nursery import nursery

pytestmark = [pytest.mark.journey, pytest.mark.timeout(240)]

README, OPERATIONS, BACKUP = ROOT / "README.md", ROOT / "docs/howto/operations.md", ROOT / "docs/howto/backup.md"
DOCTOR = ROOT / "docs/howto/doctor.md"
SHOWN = "127.0.0.1:8080"
DONE = "-- done"
DEV = """\
#!/bin/sh
# What the real script does in a checkout that is set up, imports shared; `run` returns when the gateway is ready.
command=$1; shift
case $command in
    pipe) exec "$PYTHON" -IS "$ORDER" "$NURSERY" "$@" ;;
    run)
        rm -f data/addresses.json
        "$PYTHON" -m pipe run --partners --config connections.yaml --data data --listen "$LISTEN" >>gateway.log 2>&1 &
        for _ in $(seq 300); do
            if [ -f data/addresses.json ] && curl -sf "http://$LISTEN/ready" >answer.ready; then exit 0; fi
            sleep 0.1
        done
        cat gateway.log >&2; exit 1 ;;
esac
"""


class Terminal:
    """A shell in a folder that looks like a checkout."""

    def __init__(self, folder: Path, address: str, process: asyncio.subprocess.Process) -> None:
        self.folder = folder
        self._address = address
        self._process = process

    async def type(self, block: Block) -> str:
        """What a block's commands print, errors included. Fails where the last one fails."""
        return await self.run(block.text)

    async def run(self, commands: str, *, good: tuple[int, ...] = (0,)) -> str:
        """The same for any commands."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        typed = commands.replace(SHOWN, self._address)
        self._process.stdin.write(f"{typed}\necho; echo '{DONE}' $?\n".encode())
        output = (await asyncio.wait_for(self._process.stdout.readuntil(f"\n{DONE} ".encode()), 90)).decode()
        code = int(await self._process.stdout.readline())
        assert code in good, f"{commands}\nended with {code}:\n{output}"
        return output.removesuffix(f"\n{DONE} ")

    async def settle(self) -> None:
        """Returns when nothing waits but timers."""

        async def quiet() -> bool:
            status = orjson.loads(await self.run("./dev pipe status --json", good=(0, 1)))
            return all(set(route["by_state"]) <= {"timer"} for route in status["routes"])

        await until(quiet, 60)


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    """A shell beside the shipped configuration; what was started in it is ended."""
    for name in ("schemas", "secrets", "partners"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("connections.yaml", "flows/otp/routes.yaml", "flows/duty/routes.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "dev").write_text(DEV, encoding="utf-8")
    (tmp_path / "dev").chmod(0o755)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    ours = nursery(ROOT)
    await ours.ready()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHON": sys.executable,
        "ORDER": order.__file__,
        "NURSERY": ours.address,
        "LISTEN": address,
        "LC_ALL": "C.UTF-8",
    }
    process = await asyncio.create_subprocess_exec(
        *("bash", "--norc"),
        cwd=tmp_path,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=4 << 20,
    )
    terminal = Terminal(tmp_path, address, process)
    try:
        yield terminal
    finally:
        if (tmp_path / "data/addresses.json").exists():
            await terminal.run(
                'kill "$(sed \'s/.*"pid": *\\([0-9]*\\).*/\\1/\' data/addresses.json)"; wait', good=(0, 1)
            )
        process.kill()
        await process.wait()


async def played(terminal: Terminal, page: Path) -> list[str]:
    """What the page's blocks print, in order; those that are not to be typed are left out."""
    output = []
    for block in pages.blocks(page, "sh"):
        if block.word in {"elsewhere", "never"}:
            continue
        if block.word == "settled":
            await terminal.settle()
        output.append(await terminal.type(block))
    return output


async def test_the_five_minutes_of_the_readme(terminal: Terminal) -> None:
    """All that the README shows happens: XML arrives, a kill loses nothing, a dead letter is replayed."""
    output = await played(terminal, README)
    seen = terminal.folder / "data/partners/registry/seen.jsonl"
    told = "\n".join([*output, (terminal.folder / "gateway.log").read_text(encoding="utf-8")[-8000:], seen.read_text()])
    rows = [
        orjson.loads(line) for line in (terminal.folder / "data/partners/registry/rows.jsonl").read_bytes().splitlines()
    ]
    archived = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (terminal.folder / "data/archive/appeals").rglob("*.xml")
    }
    texts = [archived[row["id"]].partition("<Text>")[2].partition("<")[0] for row in rows]
    assert texts == ["Немає води", "one", "two", "three", "Це відхилять"], told
    assert "<Text>Немає води</Text>" in "".join(output)
    assert "The books are right" in output[-1]


async def test_the_commands_of_the_operations_page(terminal: Terminal) -> None:
    """Each of them runs against a gateway that has something to tell."""
    first = pages.blocks(README, "sh")
    for block in (first[0], *(block for block in first if block.text.startswith("appeal()"))):
        await terminal.type(block)
    output = await played(terminal, OPERATIONS)
    assert "All is well" in output[0]


async def test_the_drill_of_the_backup_page(terminal: Terminal) -> None:
    """Backup, restore and erasure of a gateway that has something to lose, as the page has them typed."""
    first = pages.blocks(README, "sh")
    for block in (first[0], *(block for block in first if block.text.startswith("appeal()"))):
        await terminal.type(block)
    doctor, made, copied, erased = await played(terminal, BACKUP)
    assert "the store's pages and rows are sound" in doctor
    assert made.count(" is whole") == 2
    assert "All of it is paused." in copied
    assert "Nothing was found." in erased
    assert "The books are right" in erased


async def test_the_commands_of_the_doctors_page(terminal: Terminal) -> None:
    """Each shipped connection is looked at while its stand-in lives."""
    await terminal.type(pages.blocks(README, "sh")[0])
    (output,) = await played(terminal, DOCTOR)
    assert "registry: all holds." in output or "registry: nothing failed" in output
    assert "fails at" not in output


@pytest.mark.parametrize("page", ["first-route", "testing-routes"])
async def test_the_commands_of_pages_that_bring_their_own_routes(terminal: Terminal, page: str) -> None:
    """The page's configuration is saved under the name that its commands use."""
    path = ROOT / f"docs/howto/{page}.md"
    [routes] = pages.blocks(path, "yaml")
    [commands] = [block for block in pages.blocks(path, "sh") if block.word == "folder"]
    name = commands.text.partition("--config ")[2].split()[0]
    (terminal.folder / name).write_text(routes.text, encoding="utf-8")
    await terminal.run("(set -e\n" + commands.text + ")")
