"""`pipe bundle`: what a helper needs, and nothing that is nobody's business."""

from __future__ import annotations

import zipfile

import orjson
import pytest

from pipe.errors import BadRequest, Refused
from tests.pipe.cli.test_commands import gateway, pipe, url
from tests.pipe.house import House
from tests.pipe.operations.hosts import audited

__all__ = ["gateway", "url"]
SAID = "nobody is called Petro Kanar"


async def test_a_bundle_tells_how_it_is_and_nothing_that_was_said(gateway: House) -> None:
    """State, books, exchanges, configuration, versions; no bodies, no words of partners, no callers."""
    gateway.partner("out").script = [Refused(SAID)]
    await gateway.put('{"k": 1, "text": "Petro Kanar writes"}', caller="Petro Kanar")
    await gateway.done(1)
    file = gateway.folder / "help.zip"
    said = await pipe(gateway, "bundle", str(file), "--json")
    assert orjson.loads(said.stdout)["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert {"about.json", "status.json", "ledger.json", "doctor.json", "configuration/connections.yaml"} <= parts.keys()
    [letter] = orjson.loads(parts["dead-letters.json"])
    [failed] = orjson.loads(parts["exchanges-failed.json"])
    assert (letter["class"], letter["route"], failed["state"]) == ("refused", "r", "dead")
    assert "aiohttp" in orjson.loads(parts["about.json"])["packages"]
    assert parts["configuration/connections.yaml"].decode() == (gateway.folder / "connections.yaml").read_text()
    assert [name for name, content in parts.items() if b"Kanar" in content] == []
    assert len(await audited(gateway, "bundle.made")) == 1
    with pytest.raises(BadRequest, match="File exists"):
        await pipe(gateway, "bundle", str(file))
