"""An OpenID provider that others wrote (npm's oidc-provider), as a process beside the test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

FOLDER = Path(__file__).parent / "provider"
SECRET = "secret-of-the-test-client-0123456789"


@asynccontextmanager
async def provider(redirect: str, host: str = "localhost") -> AsyncIterator[str]:
    """Its issuer. It vouches for whatever login it is given as a mail address."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").exists():
        pytest.skip(f"oidc-provider is not installed: npm ci --prefix {FOLDER.relative_to(Path.cwd())}")
    process = await asyncio.create_subprocess_exec(
        *(node, "provider.mjs", redirect, host),
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield orjson.loads(await asyncio.wait_for(process.stdout.readline(), 30))["issuer"]
    finally:
        process.stdin.close()
        await process.wait()
