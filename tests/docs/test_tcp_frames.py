"""The adapter of docs/howto/own-adapter.md keeps the promises of a sink, and joins the gateway as a package."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pipe.contract import Duration, Template, Timeout
from pipe.errors import NoAnswer, Refused
from pipe.testing import FakeServices
from pipe.testing.suites import SinkContract, outgoing
from tests.docs.tcp_frames import FramesConfig, FramesTarget, TcpFrames

ROOT = Path(__file__).resolve().parents[2]


class Till:
    """The partner: a server on loopback that notes what it gets."""

    target = FramesTarget(label=Template("${message.id}"))

    def __init__(self) -> None:
        self.frames: dict[str, bytes] = {}
        self.answer = b"OK\n"
        self.held: asyncio.Event | None = None
        self._server: asyncio.Server

    async def start(self) -> None:
        """Listens on any free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if head := await reader.readline():
            size, name, _ = head.decode().split()
            self.frames[name] = await reader.readexactly(int(size))
            if self.held is not None:
                await self.held.wait()
            writer.write(self.answer)
        writer.close()

    def make(self) -> TcpFrames:
        """The adapter that leads here."""
        return TcpFrames("till", FramesConfig(type="tcp_frames", host="127.0.0.1", port=self.port), FakeServices())

    async def leave(self) -> None:
        """Refuses connections from now on."""
        self._server.close()
        await self._server.wait_closed()

    async def received(self) -> list[bytes]:
        """The bodies so far."""
        return list(self.frames.values())


class TestTcpFrames(SinkContract):
    """TcpFrames keeps the promises of a sink."""

    @pytest.fixture
    async def peer(self) -> AsyncIterator[Till]:
        """A running till."""
        till = Till()
        await till.start()
        yield till
        await till.leave()

    async def test_a_refusal_is_final_and_keeps_what_the_partner_said(self, peer: Till) -> None:
        """The verdict is dead, the answer is in the dead letter."""
        peer.answer = b"NO paper\n"
        with pytest.raises(Refused) as caught:
            await peer.make().send(outgoing(b"one", peer.target))
        assert caught.value.reply.body == "NO paper"

    async def test_a_partner_that_hangs_up_leaves_the_outcome_open(self, peer: Till) -> None:
        """It may have happened: the engine must not send blindly again."""
        peer.answer = b""
        with pytest.raises(NoAnswer):
            await peer.make().send(outgoing(b"one", peer.target))

    async def test_a_label_from_data_cannot_become_a_second_line(self, peer: Till) -> None:
        """What partners send is data, never protocol."""
        await peer.make().send(outgoing(b"one", FramesTarget(label=Template("${params.x}")), params={"x": "a\nb c"}))
        assert await peer.received() == [b"one"]

    async def test_silence_ends_with_the_time_out(self, peer: Till) -> None:
        """No I/O without a limit."""
        peer.held = asyncio.Event()
        short = Timeout(connect=Duration(1), read=Duration(1), total=Duration(0.05))
        with pytest.raises(NoAnswer):
            await peer.make().send(outgoing(b"one", peer.target)._replace(timeout=short))
        peer.held.set()


CONFIGURATION = """\
version: 1
connections:
  till: {type: tcp_frames, host: 127.0.0.1, port: 9100}
routes:
  receipts:
    from: {schedule: "0 6 * * *"}
    to: {connection: till, label: "${message.route}"}
"""


def wheel(folder: Path) -> Path:
    """The example as a package that any installer takes."""
    path = folder / "pipe_tcp_frames-1.0-py3-none-any.whl"
    info = "pipe_tcp_frames-1.0.dist-info"
    files = {
        "tcp_frames.py": (ROOT / "tests/docs/tcp_frames.py").read_text(encoding="utf-8"),
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: pipe-tcp-frames\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[pipe.adapters]\ntcp_frames = tcp_frames:TcpFrames\n",
    }
    record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return path


def test_an_installed_package_adds_its_adapter_by_entry_point(tmp_path: Path) -> None:
    """Installed by pip, its type is known in the YAML; not installed, it is a mistake with a line."""
    (tmp_path / "connections.yaml").write_text(CONFIGURATION, encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    subprocess.run([*pip, "--target", tmp_path / "site", wheel(tmp_path)], check=True)

    def lint(*path: Path) -> subprocess.CompletedProcess[str]:
        places = os.pathsep.join(str(place) for place in (ROOT, *path))
        command = (sys.executable, "-m", "pipe", "lint", "--config", tmp_path / "connections.yaml")
        return subprocess.run(
            command, env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True, check=False
        )

    without, with_it = lint(), lint(tmp_path / "site")
    assert (without.returncode, "connections.yaml:3" in without.stdout) == (1, True)
    assert (with_it.returncode, with_it.stdout) == (0, "")
