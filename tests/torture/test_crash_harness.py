"""The harness itself: what it does to a process must be what the test meant, and nothing else."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.torture.crash import attached, failing

pytestmark = [pytest.mark.journey, pytest.mark.debian]

WRITES = """
import errno, os, sys, threading
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
said = set()

def write():
    while not ended.wait(0.0005):
        try:
            os.pwrite(file, bytes(4096), 0)
        except OSError as error:
            said.add(errno.errorcode[error.errno])

ended = threading.Event()
threads = [threading.Thread(target=write) for _ in range(2)]
for thread in threads:
    thread.start()
print("writing", flush=True)
sys.stdin.read()
ended.set()
for thread in threads:
    thread.join()
print(*said)
"""


async def test_a_disk_that_is_well_again_leaves_no_call_without_its_answer(tmp_path: Path) -> None:
    """Faults begin and end amid writes: each write is done, or fails as it was told to, and none in a third way."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITES, str(tmp_path / "file"),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"writing\n"
    for _ in range(30):
        async with attached(process.pid, *failing("pwrite64", "ENOSPC")):
            await asyncio.sleep(0.02)
    said, _ = await process.communicate(b"")
    assert said == b"ENOSPC\n"
