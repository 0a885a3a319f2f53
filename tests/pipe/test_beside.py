"""A gateway beside others: stand-ins that end with it, commands that hold its folder, a second gateway."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from pipe.app import Gateway, Settings
from pipe.beside import StandIns
from pipe.config.findings import ConfigInvalid
from pipe.errors import ConfigError, StoreLocked
from pipe.store.lock import FolderLock

CONFIG = """version: 1
connections:
  in: {type: http_server, auth: none}
  out: {type: file_folder, path: out}
routes:
  r: {from: {connection: in, path: /x}, to: {connection: out, put: x}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that serves one route."""
    path = tmp_path / "connections.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What stand-ins tell a gateway's environment is gone after the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


async def test_stand_ins_end_when_whoever_started_them_is_gone(tmp_path: Path) -> None:
    """Even kill -9: their standard input ends."""
    beside = StandIns(tmp_path / "none.yaml", tmp_path)
    await beside.start()
    try:
        assert os.environ["PIPE_PARTNER_SMS"] == beside.addresses["sms"]
        process = beside._process
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        await beside.stop()


async def test_stand_ins_that_cannot_start_say_why(tmp_path: Path) -> None:
    """With their last words."""
    (tmp_path / "partners").write_text("a file where their folder should be")
    beside = StandIns(tmp_path / "none.yaml", tmp_path)
    with pytest.raises(ConfigError, match="did not start: "):
        await beside.start()


async def test_stand_ins_that_run_already_are_joined(config: Path, tmp_path: Path) -> None:
    """Started by `pipe partners` on the same folder; the gateway that joins them does not end them."""
    text = CONFIG.replace("  out:", '  crm: {type: http_client, url: "https://crm.example", auth: none}\n  out:')
    config.write_text(text.replace("{connection: out, put: x}", "{connection: crm, post: /x}"))
    first, second = StandIns(config, tmp_path / "data"), StandIns(config, tmp_path / "data")
    await first.start()
    try:
        await second.start()
        await second.stop()
        assert second.redirects == first.redirects
        assert first.redirects["crm"]["url"] == first.addresses["crm"]
        third = StandIns(config, tmp_path / "data")
        await third.start()
        assert third.addresses == first.addresses
    finally:
        await first.stop()


async def test_stand_ins_that_are_about_to_end_are_not_joined(tmp_path: Path) -> None:
    """Those of a gateway that was killed a moment ago: whoever joined them would be left without partners."""
    first, second = (StandIns(tmp_path / "none.yaml", tmp_path) for _ in range(2))
    await first.start()
    process = first._process
    assert process is not None
    assert process.stdin is not None
    process.send_signal(signal.SIGSTOP)
    process.stdin.close()
    starting = asyncio.create_task(second.start())
    try:
        await asyncio.sleep(0.1)
        assert not starting.done()
        process.send_signal(signal.SIGCONT)
        await starting
        assert await asyncio.wait_for(process.wait(), 20) == 0
        assert set(second.addresses.values()).isdisjoint(first.addresses.values())
        assert (tmp_path / "partners.json").exists()
        assert second._process is not None
        assert second._process.returncode is None
    finally:
        await first.stop()
        await second.stop()


async def test_a_wrong_configuration_is_told_by_the_gateway(config: Path, tmp_path: Path) -> None:
    """Every mistake of it, stand-ins or not."""
    config.write_text(CONFIG.replace("http_server", "htp_server"))
    gateway = Gateway(Settings(config, tmp_path / "data", "127.0.0.1:0", partners=True))
    with pytest.raises(ConfigInvalid, match="htp_server"):
        await gateway.run()


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.1:80"])
async def test_stand_ins_are_refused_where_others_reach_the_gateway(config: Path, listen: str) -> None:
    """Their keys are published; nothing was started, nothing was made."""
    gateway = Gateway(Settings(config, config.parent / "data", listen, partners=True))
    with pytest.raises(ConfigError, match="loopback only"):
        await gateway.run()
    assert not (config.parent / "data" / "partners.json").exists()


async def test_a_command_that_holds_the_folder_is_waited_for(config: Path) -> None:
    """A look at the folder during a restart must not keep the gateway from starting."""
    data = config.parent / "data"
    data.mkdir(mode=0o700)
    held = FolderLock(data)
    held.acquire()
    gateway = Gateway(Settings(config, data, "127.0.0.1:0"))
    starting = asyncio.create_task(gateway.start())
    await asyncio.sleep(0.2)
    assert not starting.done()
    held.release()
    await asyncio.wait_for(starting, 20)
    await gateway.stop()


async def test_what_lint_refuses_does_not_start(config: Path) -> None:
    """As `pipe apply` would not take it up: a message must not be accepted for a route that leads nowhere."""
    config.write_text(config.read_text() + "  lost: {from: internal}\n")
    gateway = Gateway(Settings(config, config.parent / "data", "127.0.0.1:0"))
    with pytest.raises(ConfigInvalid, match="`lost` leads nowhere"):
        await gateway.run()
    assert not (config.parent / "data" / "pipe.db").exists()


async def test_a_second_gateway_is_refused_at_once(config: Path) -> None:
    """And the first one goes on, its addresses unharmed."""
    first = Gateway(Settings(config, config.parent / "data", "127.0.0.1:0"))
    await first.start()
    try:
        second = Gateway(Settings(config, config.parent / "data", "127.0.0.1:0"))
        with pytest.raises(StoreLocked, match=f"process {os.getpid()}"):
            await asyncio.wait_for(second.run(), 30)
        assert orjson.loads((config.parent / "data" / "addresses.json").read_bytes())["pid"] == os.getpid()
    finally:
        await first.stop()


async def test_it_stops_when_told(config: Path) -> None:
    """SIGTERM ends it with 0, and its socket and addresses are gone."""
    data = config.parent / "data"
    gateway = Gateway(Settings(config, data, "127.0.0.1:0"))
    ready = asyncio.Event()
    running = asyncio.create_task(gateway.run(lambda _: ready.set()))
    await asyncio.wait_for(ready.wait(), 20)
    assert ("GET", "/ready", "takes messages?") in gateway.endpoints()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await asyncio.wait_for(running, 20) == 0
    assert [(data / name).exists() for name in ("pipe.sock", "addresses.json")] == [False, False]
