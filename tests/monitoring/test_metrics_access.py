"""`/metrics` where other machines reach the listener: by key, or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import aiohttp
import pytest

from tests.pipe.running import running
from web.listener import Listeners

KEY, OTHER = "a-key-for-prometheus", "a-later-key"
CONNECTIONS = "version: 1\nconnections: {c: {type: http_server, auth: none}}\n"
ACCESS = 'metrics: {api_keys: "${file:metrics.keys}"}\n'


@pytest.fixture(autouse=True)
def reached_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on any address but loopback, which tests do not bind."""
    monkeypatch.setattr(Listeners, "secured", lambda self, listener: False)


def keys(folder: Path, key: str) -> None:
    """The file lets this key in."""
    (folder / "metrics.keys").write_text(f"prometheus:{hashlib.sha256(key.encode()).hexdigest()}\n")


async def asked(address: str, key: str | None = None) -> tuple[int, str]:
    """Status and text of `/metrics`."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession(address, headers=headers) as client, client.get("/metrics") as answer:
        return answer.status, await answer.text()


@pytest.mark.key("top.metrics", "top.metrics.api_keys")
async def test_who_has_a_key_may_read(tmp_path: Path) -> None:
    """Nobody else, and the keys are those of the configuration in force."""
    config = tmp_path / "c.yaml"
    config.write_text(CONNECTIONS + ACCESS, encoding="utf-8")
    keys(tmp_path, KEY)
    async with running(config) as gateway:
        address = gateway.addresses()["default"]
        good, wrong, none = [await asked(address, key) for key in (KEY, "another", None)]
        config.write_text(CONNECTIONS + ACCESS.replace("metrics.keys", "other.keys"), encoding="utf-8")
        keys(tmp_path, OTHER)
        (tmp_path / "metrics.keys").rename(tmp_path / "other.keys")
        await gateway.apply(gateway.read_configuration(), "anna")
        after = [(await asked(address, key))[0] for key in (KEY, OTHER)]
    assert (good[0], "gw_messages_total" in good[1]) == (200, True)
    assert (wrong[0], none[0], after) == (401, 401, [401, 200])
    assert "gw_" not in wrong[1] + none[1]


async def test_without_keys_nobody_may(tmp_path: Path) -> None:
    """And the answer says what to write."""
    config = tmp_path / "c.yaml"
    config.write_text(CONNECTIONS, encoding="utf-8")
    async with running(config) as gateway:
        status, text = await asked(gateway.addresses()["default"], KEY)
    assert (status, "metrics: {api_keys: …}" in text) == (403, True)
