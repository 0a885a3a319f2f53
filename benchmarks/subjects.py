"""The processes of a run: the backend, what is measured, and the load; all are children that end with the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import orjson

from benchmarks.load import BODY, Load

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "benchmarks/gateway.yaml"
CONNECTIONS = 64
WRK = shutil.which("wrk") or ""
NOWHERE = "http://127.0.0.1:1"


@contextmanager
def process(
    *command: str | Path, log: Path | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block; it writes to `log`, or to a pipe of ours."""
    with open(log or os.devnull, "w") as words:  # noqa: PTH123 - devnull is a name, not a path of ours
        started = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            stdout=words if log else subprocess.PIPE,
            stderr=words if log else None,
            text=True,
        )
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
        if started.stdout is not None:
            started.stdout.close()


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """A module of ours that prints its port first; gives its address."""
    with process(sys.executable, "-m", *arguments) as started:
        yield address_of(started)


def address_of(started: subprocess.Popen[str]) -> str:
    """Where a process listens that prints its port first."""
    assert started.stdout is not None
    return f"http://127.0.0.1:{int(started.stdout.readline())}/"


@dataclass(frozen=True, slots=True)
class Partner:
    """A backend that can be spoilt."""

    address: str
    process: subprocess.Popen[str]

    def turn(self) -> None:
        """From refusing to answering, or back."""
        self.process.send_signal(signal.SIGUSR1)


@contextmanager
def partner(manner: str) -> Iterator[Partner]:
    """A backend of its own: answering, refusing or hanging."""
    with process(sys.executable, "-m", "benchmarks.backend", manner) as started:
        yield Partner(address_of(started), started)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is ready."""

    address: str
    """without a slash at its end"""
    pid: int
    data: Path
    ready_after: float
    """seconds from its start until it said so"""

    def url(self, route: str) -> str:
        """Where a route of gateway.yaml takes messages."""
        return f"{self.address}/pipe/{route}"

    def numbers(self) -> dict[str, float]:
        """Its metrics, by name and labels."""
        with urllib.request.urlopen(f"{self.address}/metrics", timeout=30) as response:  # noqa: S310 - loopback
            lines = response.read().decode().splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name[:1] != "#"}

    def waiting(self, route: str) -> float:
        """Deliveries of a route that are not done."""
        return self.numbers()[f'gw_queue_depth{{queue="{route}"}}']


@contextmanager
def gateway(data: Path, backend: str, spoilt: str = NOWHERE, *, config: Path = CONFIG) -> Iterator[Gateway]:
    """The gateway of gateway.yaml, or of another file, on a folder of its own, given the addresses of its partners."""
    addresses = {"PIPE_BENCH_BACKEND": backend.rstrip("/"), "PIPE_BENCH_SPOILT": spoilt.rstrip("/")}
    with ready_gateway(config, data, addresses) as started:
        yield started


@contextmanager
def ready_gateway(config: Path, data: Path, environment: Mapping[str, str] | None = None) -> Iterator[Gateway]:
    """A gateway of any configuration on a folder of its own."""
    arguments = ("-m", "pipe", "run", "--config", config, "--data", data, "--listen", "127.0.0.1:0")
    log = data.parent / f"{data.name}.log"
    began = time.monotonic()
    with process(sys.executable, *arguments, log=log, environment=environment) as started:
        address = _ready(started, data / "addresses.json", log)
        yield Gateway(address, started.pid, data, time.monotonic() - began)


def _ready(started: subprocess.Popen[str], addresses: Path, log: Path) -> str:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert started.poll() is None, f"the gateway ended with {started.returncode}: {log.read_text()[-2000:]}"
        if addresses.exists():
            address: str = orjson.loads(addresses.read_bytes())["default"]
            try:
                with urllib.request.urlopen(f"{address}/ready", timeout=2):  # noqa: S310 - loopback
                    return address
            except (URLError, OSError):
                pass
        time.sleep(0.02)
    raise AssertionError("the gateway is not ready after 120 s")


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder on a disk, gone after the block; /tmp may be memory."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="pipe-bench-") as path:
        yield Path(path)


def asked(address: str) -> Any:
    """The JSON at an address."""
    with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - loopback
        return orjson.loads(response.read())


def loaded(address: str, seconds: float, keys: int = 0) -> Load:
    """Puts the load upon an address and returns what became of it: by wrk where there is one, else by our own."""
    return _by_wrk(address, seconds, keys) if WRK else _by_own(address, seconds, keys)


def _by_wrk(address: str, seconds: float, keys: int) -> Load:
    script = Path(__file__).with_name("load.lua")
    began = time.monotonic()
    result = subprocess.run(
        [WRK, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", script, address],
        env={**os.environ, "PIPE_BENCH_BODY": BODY.decode(), "PIPE_BENCH_KEYS": str(keys)},
        check=True,
        capture_output=True,
    )
    return Load(**orjson.loads(result.stdout.splitlines()[-1]), began=began)


def _by_own(address: str, seconds: float, keys: int) -> Load:
    host, _, rest = address.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    arguments = ["-m", "benchmarks.load", host, port, f"/{path}", str(seconds), str(CONNECTIONS), str(keys)]
    result = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    return Load(**orjson.loads(result.stdout))
