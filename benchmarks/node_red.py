"""Node-RED as a subject, where npm can install it: into a cache folder, never into the checkout."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.optional import Missing, cache
from benchmarks.subjects import ROOT, address_of, folder, process

PACKAGE = "node-red@4"
PATIENCE_S = 300


def installed() -> Path:
    """Its modules, installed if they are not there yet. Raises Missing."""
    own = cache() / "node-red"
    modules = own / "node_modules"
    if shutil.which("node") is None:
        raise Missing("Node.js is not installed")
    if (modules / "node-red" / "package.json").exists():
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise Missing("npm is not installed")
    own.mkdir(parents=True, exist_ok=True)
    print(f"installing {PACKAGE} into {own}, once", flush=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(own), PACKAGE]
    try:
        done = subprocess.run(command, cwd=own, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise Missing(f"npm did not install it within {PATIENCE_S} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no word of it"])[0]
        raise Missing(f"npm could not install it: {last[:120]}")
    return modules


@contextmanager
def node_red(modules: Path, backend: str) -> Iterator[str]:
    """Its address, once its flow runs."""
    with folder() as own:
        command = ("node", ROOT / "benchmarks/node_red.js", backend, own)
        with process(*command, environment={"NODE_PATH": str(modules)}) as started:
            yield address_of(started)
