"""Promises of making tests of stored messages: they pass, and they tell nothing of what is sensitive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
from hypothesis import given
from hypothesis import strategies as st

from pipe.app import Online, catalogue, read_configuration, tables
from pipe.capturing import Fakes
from pipe.operations import Host
from pipe.operations.configuring import capture
from pipe.trials import run_tests
from pipe.trials.recording import recorded
from tests.pipe.running import Partner, running

TEXT = """
version: 1
include: ["captured*.yaml"]
connections:
  partners: {{type: http_server, auth: none}}
  crm: {{type: http_client, url: "{url}"}}
routes:
  orders:
    from: {{connection: partners, path: "/orders/{{place}}"}}
    sensitive: [body.phone, body.name]
    steps: [{{decode: json}}, {{map: {{phone: body.phone, name: body.name, place: params.place, sum: body.sum}}}}]
    to: {{connection: crm, post: "/orders/${{body.phone}}", idempotent_by: body.phone}}
"""
BODIES = (
    '{"phone": "+380671234567", "name": "\\u041e\\u043b\\u0435\\u043d\\u0430 Kovalenko", "sum": 10.50}',
    '{"phone": "0891234567", "name": "Іван", "sum": 1}',
)


async def captured(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """The cases of two orders, and the file that they become."""
    config = folder / "c.yaml"
    async with Partner() as partner:
        config.write_text(TEXT.format(url=partner.url), encoding="utf-8")
        async with running(config) as gateway:
            async with aiohttp.ClientSession(gateway.addresses()["default"]) as client:
                for body in BODIES:
                    assert (await client.post("/pipe/orders/Kyiv", data=body.encode())).status == 202
            host = Host(gateway.store, gateway.clock, "anna", Online(gateway), gateway.engine)
            cases = await capture(host, "orders")
    known = catalogue()
    return cases, await recorded("orders", cases, read_configuration(config, known), known, tables())


async def test_captured_tests_pass(tmp_path: Path) -> None:
    """The file loads beside the configuration, and its tests pass, with what was delivered as what is expected."""
    _, text = await captured(tmp_path)
    (tmp_path / "captured.yaml").write_text(text, encoding="utf-8")
    known = catalogue()
    configuration = read_configuration(tmp_path / "c.yaml", known)
    results = await run_tests(configuration, known, tables())
    assert [result.problems for result in results] == [[], []]
    assert [test.expect[0]["connection"] for test in configuration.tests] == ["crm", "crm"]


async def test_captured_tests_tell_nothing_sensitive(tmp_path: Path) -> None:
    """Neither the values nor their escapes are in the file, in what was sent or in what is expected."""
    _, text = await captured(tmp_path)
    for value in ("671234567", "Олена", "Kovalenko", "u041e", "891234567", "Іван"):
        assert value not in text


async def test_what_is_not_sensitive_is_kept(tmp_path: Path) -> None:
    """A test with nothing real in it would test nothing."""
    cases, _ = await captured(tmp_path)
    assert [(case["send"]["params"]["place"], float(case["send"]["body"]["sum"])) for case in cases] == [
        ("Kyiv", 10.5),
        ("Kyiv", 1),
    ]


def hash_of(*parts: str) -> str:
    """Like the vault's, with a key that everybody knows."""
    import hashlib

    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:32]


@given(st.text(alphabet="0123456789abcXYZабвЇ +-@.", min_size=1, max_size=40))
def test_a_fake_has_the_shape_of_the_value(value: str) -> None:
    """Same length; digits stay digits, letters letters of their alphabet, all else as it is; twice the same."""
    fake = Fakes((value,), hash_of).put(value)
    shape = [(sign.isdigit(), sign.isascii(), sign.isupper(), sign if not sign.isalnum() else "") for sign in fake]
    assert [
        (sign.isdigit(), sign.isascii(), sign.isupper(), sign if not sign.isalnum() else "") for sign in value
    ] == shape
    assert fake == Fakes((value,), hash_of).put(value)


def test_fakes_reach_every_depth() -> None:
    """In lists, in maps, in keys and within longer texts."""
    put = Fakes(("Olena",), hash_of).put({"Olena": ["to Olena", {"n": "Olena"}], "n": 5})
    assert "Olena" not in str(put)
    assert put["n"] == 5
