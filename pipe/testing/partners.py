"""A pytest fixture for integrators: their own `connections.yaml` in a real gateway, a stand-in for each partner.

    from pipe.testing.partners import partners

    def test_a_reading_reaches_the_crm(partners):
        bench = partners("connections.yaml")
        bench["meters"].offer("meters/m-7/reading", b'{"value": 20.5}')
        (call,) = bench["crm"].seen(1)
        assert call["path"] == "/readings/m-7"

Gateway and stand-ins are processes on loopback, so tests need no event loop. They end with the test.
"""

from __future__ import annotations

import base64
import contextlib
import email
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import orjson
import pytest

from pipe.unix_socket import reachable

PATIENCE_S = 30.0
"""how long anything is waited for"""
START_S = 120.0
"""how long gateway and stand-ins may take to start, on a machine that has other things to do"""
T = TypeVar("T")


class Answer(NamedTuple):
    """What the gateway answered a caller."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def values(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)


class Partner:
    """One stand-in, told what to do and asked what it saw."""

    def __init__(self, name: str, data: Path, address: str) -> None:
        self.name, self.address = name, address
        self._data = data

    def seen(self, least: int = 0) -> list[dict[str, Any]]:
        """The requests that it saw, once there are so many.

        Each has `method`, `path`, `body`, `answer`, `status`, `id`, `key`, `attempt`.
        """
        return self._many("seen", least)

    def rows(self, least: int = 0) -> list[dict[str, Any]]:
        """What it has done, one row for each thing that it was told once, once there are so many."""
        return self._many("rows", least)

    def files(self, least: int = 0) -> dict[str, bytes]:
        """The files that lie at an FTP or SFTP server, once there are so many; half ones and claimed ones left out."""
        until(lambda: len(self._files()) >= least, f"{least} files at {self.name}")
        return self._files()

    def mails(self, least: int = 0) -> list[EmailMessage]:
        """The mails that it took, once there are so many."""
        folder = self._data / "partners" / self.name / "mails"
        until(lambda: len(self._lines("rows")) >= least, f"{least} mails at {self.name}")
        kept = [folder / f"{row['n']}.eml" for row in self._lines("rows")]
        read = email.message_from_bytes
        return [read(each.read_bytes(), _class=EmailMessage, policy=policy.default) for each in kept]

    def _files(self) -> dict[str, bytes]:
        root = self._data / "partners" / self.name / "files"
        found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        whole = {name: path for name, path in found.items() if not any(part[0] == "." for part in name.split("/"))}
        return {name: path.read_bytes() for name, path in sorted(whole.items())}

    def set(self, *words: str) -> None:
        """`set("slow", "2")`, `set("fail", "503", "for=2")`, `set("well")`: as `pipe partners set`."""
        self._tell(*words)

    def offer(self, place: str, body: bytes) -> None:
        """It has something for us there: on a topic, as a file of that name, at a path that the gateway asks for."""
        self._tell("offer", place, base64.b64encode(body).decode())

    def stop(self) -> None:
        """Connections to it are refused."""
        self._tell("stop")

    def start(self) -> None:
        """It listens again."""
        self._tell("start")

    def status(self) -> dict[str, Any]:
        """How it is."""
        return self._tell("status")

    def _many(self, kind: str, least: int) -> list[dict[str, Any]]:
        until(lambda: len(self._lines(kind)) >= least, f"{least} of {kind} at {self.name}")
        return self._lines(kind)

    def _lines(self, kind: str) -> list[dict[str, Any]]:
        path = self._data / "partners" / self.name / f"{kind}.jsonl"
        if not path.exists():
            return []
        whole, _, _ = path.read_bytes().rpartition(b"\n")  # a long line may be being written
        return [orjson.loads(line) for line in whole.splitlines()]

    def _tell(self, verb: str, *arguments: str) -> dict[str, Any]:
        with reachable(self._data / "partners.sock") as path, socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE_S)
            line.connect(str(path))
            line.sendall(orjson.dumps({"name": self.name, "verb": verb, "arguments": arguments}) + b"\n")
            told: dict[str, Any] = orjson.loads(line.makefile("rb").readline())
        assert "error" not in told, told["error"]
        return told


class Bench:
    """A running gateway with a stand-in for each of its partners: `bench["crm"]`."""

    def __init__(self, config: Path, data: Path, environment: Mapping[str, str]) -> None:
        """Starts both; returns once the gateway is ready."""
        self.config, self.data = config, data
        self._environment = {**os.environ, **environment}
        self._log = data.with_suffix(".log")
        self._start()
        told = orjson.loads((data / "partners.json").read_bytes())
        self.partners = {name: Partner(name, data, address) for name, address in told["addresses"].items()}
        for partner in self.partners.values():
            partner._tell("bodies", "on")  # noqa: SLF001 — the class beside

    def _start(self) -> None:
        arguments = ("run", "--partners", "--config", str(self.config), "--data", str(self.data))
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 — our own module in our own interpreter
                (sys.executable, "-m", "pipe", *arguments, "--listen", "127.0.0.1:0", "--log-json"),
                stdout=log,
                stderr=log,
                env=self._environment,
            )
        until(self._ready, "the gateway", self.log, START_S)
        addresses = orjson.loads((self.data / "addresses.json").read_bytes())
        addresses.pop("pid")
        self.addresses: dict[str, str] = addresses
        """of the gateway's listeners"""

    def _ready(self) -> bool:
        assert self._process.poll() is None, self.log()
        return (self.data / "addresses.json").exists()

    def __getitem__(self, name: str) -> Partner:
        return self.partners[name]

    def call(
        self,
        path: str,
        body: bytes | None = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Calls the gateway as its callers do: `bench.call("/pipe/orders", b"{}")`; POST where there is a body."""
        address = next(iter(self.addresses.values())) + path
        request = urllib.request.Request(address, body, dict(headers or {}), method=method)  # noqa: S310 — our own
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
                return Answer(answer.status, answer.read(), dict(answer.headers))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.read(), dict(error.headers))

    def pipe(self, *arguments: str) -> Any:
        """What a `pipe` command says with `--json`: `bench.pipe("dead", "list")`."""
        command = (sys.executable, "-m", "pipe", *arguments, "--data", str(self.data), "--json")
        done = subprocess.run(  # noqa: S603 — as above
            command, capture_output=True, env=self._environment, timeout=PATIENCE_S, check=False
        )
        assert done.returncode != 2, done.stderr.decode(errors="replace")
        return orjson.loads(done.stdout)

    def wait(self, question: Callable[[], T]) -> T:
        """The answer, once it is true."""
        return until(question, "what was waited for", self.log)

    def log(self) -> str:
        """What the gateway has written so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """Ends the gateway without warning (kill -9); the stand-ins end with it, and remember what they saw."""
        self._process.kill()
        self._process.wait()
        (self.data / "addresses.json").unlink(missing_ok=True)

    def close(self) -> None:
        """Ends both in good order. Safe twice."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self._process.kill()
        self._process.wait()


Starts = Callable[..., Bench]


@pytest.fixture
def partners(tmp_path: Path) -> Iterator[Starts]:
    """Starts benches: `partners("connections.yaml")`, with `NAME=value` for the environment. They end with the test."""
    running: list[Bench] = []

    def start(config: str | Path, **environment: str) -> Bench:
        bench = Bench(Path(config), tmp_path / f"bench-{len(running)}", environment)
        running.append(bench)
        return bench

    yield start
    for bench in running:
        bench.close()


def until(question: Callable[[], T], what: str, told: Callable[[], str] = str, within: float = PATIENCE_S) -> T:
    """The answer, once it is true. Fails after `within` seconds with what was waited for."""
    end = time.monotonic() + within
    while not (answer := question()):
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come within {within:g} s. {told()}")
        time.sleep(0.02)
    return answer
