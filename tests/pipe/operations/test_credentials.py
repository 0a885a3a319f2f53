"""API keys and secrets: shown once or never, in use at once, and the audit knows of them without knowing them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipe.errors import BadRequest, NotFound
from pipe.operations import perform
from pipe.store import schema
from pipe.store.secret_store import SecretStore
from tests.pipe.house import House
from tests.pipe.operations.hosts import audited, begin, do, host_of
from tests.pipe.operations.test_dead_letters import PLAIN


async def test_a_secret_is_in_use_at_once_and_the_one_before_still_accepted(house: House) -> None:
    """Two live values for rotation, no third."""
    await begin(house, PLAIN)
    host = host_of(house)
    for value in ("one", "two", "three"):
        await perform(host, "secrets.set", {"name": "sms", "value": value})
    secrets = SecretStore()
    await secrets.load(house.store)
    assert (secrets.get("sms"), secrets.accepted("sms"), secrets.get("other")) == ("three", ["three", "two"], None)
    assert host.world.secrets_taken_up == 3  # type: ignore[union-attr]  # the test's own world counts


async def test_a_secret_is_nowhere_to_be_read(house: House) -> None:
    """Not in its row, not in the audit, not in the list."""
    await begin(house, PLAIN)
    await do(house, "secrets.set", name="sms", value="hunter22hunter22")
    rows = [dict(row) for table in (schema.secret, schema.audit) for row in await house.rows(table.select())]
    [listed] = await do(house, "secrets.list")
    assert "hunter22" not in str(rows) + str(listed)
    assert (listed["name"], listed["version"], listed["by"]) == ("sms", 1, "olena")


async def test_a_removed_secret_is_gone(house: House) -> None:
    """With a reason; one that is not there cannot be removed."""
    await begin(house, PLAIN)
    await do(house, "secrets.set", name="sms", value="x")
    await do(house, "secrets.remove", name="sms", reason="not needed")
    assert await do(house, "secrets.list") == []
    with pytest.raises(NotFound):
        await do(house, "secrets.remove", name="sms", reason="again")
    assert len(await audited(house, "secret.removed")) == 1


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("a b", "x"), ("../a", "x"), ("a", "")])
async def test_a_bad_name_or_an_empty_value_is_refused(house: House, name: str, value: str) -> None:
    """Nothing is stored."""
    await begin(house, PLAIN)
    with pytest.raises(BadRequest):
        await do(house, "secrets.set", name=name, value=value)
    assert await do(house, "secrets.list") == []


async def test_a_key_is_added_to_its_file_and_revoked_from_it(house: House, tmp_path: Path) -> None:
    """The file keeps its other lines and its mode; the audit has the hash's beginning, not the key."""
    await begin(house, PLAIN)
    file = tmp_path / "partners.keys"
    file.write_text("# ours\nold:" + "1" * 64)
    file.chmod(0o640)
    issued = await do(house, "keys.issue", name="mayor", file=str(file))
    assert file.read_text().splitlines() == ["# ours", "old:" + "1" * 64, "mayor:" + "0" * 64]
    assert file.stat().st_mode & 0o777 == 0o640
    [entry] = await audited(house, "key.issued")
    assert issued["key"] not in str(dict(entry))
    await do(house, "keys.revoke", name="mayor", reason="left", file=str(file))
    assert file.read_text().splitlines() == ["# ours", "old:" + "1" * 64]
    with pytest.raises(NotFound):
        await do(house, "keys.revoke", name="mayor", reason="again", file=str(file))


async def test_without_a_key_file_it_says_what_is_missing(house: House) -> None:
    """No connection has one here."""
    await begin(house, PLAIN)
    with pytest.raises(NotFound, match="--file"):
        await do(house, "keys.issue", name="mayor")
