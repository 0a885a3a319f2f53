"""The processes of a run: the backend, what is measured, and the load; all are children that end with the run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError

import orjson

from benchmarks.load import BODY, Load

ROOT = Path(__file__).resolve().parent.parent
CONNECTIONS = 64
WRK = shutil.which("wrk") or ""


@contextmanager
def process(*arguments: str | Path, log: Path | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process of this checkout, ended with the block; it writes to `log`, or to a pipe of ours."""
    with open(log or os.devnull, "w") as words:  # noqa: PTH123 - devnull is a name, not a path of ours
        started = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
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
    """A module that prints its port first; gives its address."""
    with process("-m", *arguments) as started:
        assert started.stdout is not None
        yield f"http://127.0.0.1:{int(started.stdout.readline())}/"


@contextmanager
def gateway(data: Path, backend: str) -> Iterator[str]:
    """The gateway on a folder of its own; gives its address."""
    arguments = ("-m", "pipe", "run", "--config", ROOT / "benchmarks/gateway.yaml", "--data", data)
    log = data.parent / f"{data.name}.log"
    with process(*arguments, "--listen", "127.0.0.1:0", log=log, PIPE_BENCH_BACKEND=backend) as started:
        yield _ready(started, data / "addresses.json", log)


def _ready(started: subprocess.Popen[str], addresses: Path, log: Path) -> str:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        assert started.poll() is None, f"the gateway ended with {started.returncode}: {log.read_text()[-2000:]}"
        if addresses.exists():
            address: str = orjson.loads(addresses.read_bytes())["default"]
            try:
                with urllib.request.urlopen(f"{address}/ready", timeout=2):  # noqa: S310 - loopback
                    return address
            except (URLError, OSError):
                pass
        time.sleep(0.05)
    raise AssertionError("the gateway is not ready after 30 s")


def asked(address: str) -> Any:
    """The JSON at an address."""
    with urllib.request.urlopen(address, timeout=10) as response:  # noqa: S310 - loopback
        return orjson.loads(response.read())


def loaded(address: str, seconds: float) -> Load:
    """Puts the load upon an address and returns what became of it: by wrk where there is one, else by our own."""
    return _by_wrk(address, seconds) if WRK else _by_own(address, seconds)


def _by_wrk(address: str, seconds: float) -> Load:
    script = Path(__file__).with_name("load.lua")
    began = time.monotonic()
    result = subprocess.run(
        [WRK, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "-s", script, address],
        env={**os.environ, "PIPE_BENCH_BODY": BODY.decode()},
        check=True,
        capture_output=True,
    )
    return Load(**orjson.loads(result.stdout.splitlines()[-1]), began=began)


def _by_own(address: str, seconds: float) -> Load:
    host, _, rest = address.removeprefix("http://").partition(":")
    port, _, path = rest.partition("/")
    arguments = ["-m", "benchmarks.load", host, port, f"/{path}", str(seconds), str(CONNECTIONS)]
    result = subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    return Load(**orjson.loads(result.stdout))
