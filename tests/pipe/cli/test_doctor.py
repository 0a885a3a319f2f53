"""`pipe doctor NAME` as people and programs meet it, with and without a running gateway."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from pipe.cli import main
from pipe.cli.root import app
from tests.pipe.running import Partner, running

CONFIG = """
version: 1
connections:
  crm: {{type: http_client, url: "{url}", probe: {{get: /ping}}, auth: {{bearer: "${{file:token}}"}}}}
  gone: {{type: http_client, url: "http://127.0.0.1:1"}}
  callers: {{type: http_server, auth: none}}
"""


@pytest.fixture
async def partner() -> AsyncIterator[Partner]:
    """A CRM that takes everything."""
    async with Partner() as started:
        yield started


def written(folder: Path, partner: Partner) -> Path:
    """The configuration, with its secret."""
    (folder / "token").write_text("s3cret-of-ours", encoding="utf-8")
    config = folder / "connections.yaml"
    config.write_text(CONFIG.format(url=partner.url), encoding="utf-8")
    return config


async def doctor(config: Path, *arguments: str) -> Result:
    """Runs the command in a thread, as its own process would."""
    told = ["doctor", *arguments, "--config", str(config), "--data", str(config.parent / "data")]
    return await asyncio.to_thread(CliRunner().invoke, app, told)


async def test_before_the_first_start_a_connection_can_be_examined(tmp_path: Path, partner: Partner) -> None:
    """No data folder is needed, and none is made."""
    config = written(tmp_path, partner)
    good = await doctor(config, "crm")
    assert (good.exit_code, good.stdout.splitlines()[0]) == (0, "crm (http_client)")
    assert good.stdout.endswith("ok    probe  /ping answers 200\ncrm: all holds.\n")
    assert not (tmp_path / "data").exists()
    partner.status = 401
    bad = await doctor(config, "crm")
    assert bad.exit_code == 1
    assert "FAIL  probe  /ping answers 401: our credentials are not accepted" in bad.stdout
    assert "→ renew the secret that `auth:` names" in bad.stdout
    assert bad.stdout.endswith("crm fails at: probe.\n")


async def test_programs_get_one_object_for_one_name_else_a_list(tmp_path: Path, partner: Partner) -> None:
    """The same fields with and without a running gateway; exit code 1 where one fails."""
    config = written(tmp_path, partner)
    cold = orjson.loads((await doctor(config, "crm", "--json")).stdout)
    assert (cold["connection"], cold["well"], cold["fails_at"], cold["running"]) == ("crm", True, None, False)
    async with running(config):
        warm = orjson.loads((await doctor(config, "crm", "--json")).stdout)
        every = await doctor(config, "--all", "--json")
    assert (warm["running"], warm["checks"][0]["check"]) == (True, "at work")
    assert warm["checks"][1:] == cold["checks"]
    assert "s3cret-of-ours" not in every.stdout
    found = {told["connection"]: told["fails_at"] for told in orjson.loads(every.stdout)}
    assert (every.exit_code, found) == (1, {"callers": None, "crm": None, "gone": "tcp"})
    stopped = orjson.loads((await doctor(config, "crm", "callers", "--json")).stdout)
    assert [told["running"] for told in stopped] == [False, False]


async def test_a_running_gateways_listener_is_reached(tmp_path: Path, partner: Partner) -> None:
    """On the port that it was given."""
    config = written(tmp_path, partner)
    async with running(config) as gateway:
        told = orjson.loads((await doctor(config, "callers", "--json")).stdout)
        port = gateway.addresses()["default"].rpartition(":")[2]
    assert told["checks"][1]["text"] == f"127.0.0.1:{port} takes connections"


async def test_secrets_of_the_store_are_known(tmp_path: Path, partner: Partner) -> None:
    """Also where no gateway runs: then the folder's own store is asked."""
    config = written(tmp_path, partner)
    config.write_text(config.read_text(encoding="utf-8").replace("file:token", "secret:crm"), encoding="utf-8")
    cold = await doctor(config, "crm")
    assert (cold.exit_code, "crm fails at: probe." in cold.stdout) == (1, True)
    async with running(config):
        told = ["secrets", "set", "crm", "--config", str(config), "--data", str(tmp_path / "data")]
        assert (await asyncio.to_thread(CliRunner().invoke, app, told, input="from-the-store\n")).exit_code == 0
        assert (await doctor(config, "crm")).exit_code == 0
    assert (await doctor(config, "crm")).exit_code == 0


@pytest.mark.parametrize("arguments", [["nope"], ["crm", "--config", os.devnull]])
async def test_what_cannot_be_examined_ends_with_two(
    tmp_path: Path, partner: Partner, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown name, or a configuration with mistakes."""
    config = written(tmp_path, partner)
    told = ["pipe", "doctor", "--config", str(config), "--data", str(tmp_path / "data"), *arguments]
    monkeypatch.setattr("sys.argv", told)
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(main)
    assert ended.value.code == 2
