"""Names that cannot be resolved, only slowly, or to another address than yesterday."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.attacks import soon
from tests.journeys.gateway import ROOT
from tests.torture.strait import Plan, a_strait, phone

pytestmark = [pytest.mark.journey, pytest.mark.timeout(120)]

NAMES: dict[str, dict[str, Any]] = {
    "unknown": {"error": "EAI_NONAME"},
    "failing": {"error": "EAI_AGAIN"},
    "hanging": {"hang": 2, "addresses": ["127.0.0.1"]},
    "moving": {"addresses": ["127.0.0.9"]},
}
"""what the resolver says of each partner's name; nobody listens at 127.0.0.9"""
WELL = {"addresses": ["127.0.0.1"]}


async def test_a_name_without_an_answer_waits_and_holds_up_nobody(tmp_path: Path) -> None:
    """NXDOMAIN, SERVFAIL, silence, a dead address: named, retried, others served; a new answer is taken up at once."""
    resolver = tmp_path / "resolver.json"
    resolver.write_text(json.dumps({f"{name}.test": answer for name, answer in NAMES.items()}))
    plan = Plan(
        hosts={name: f"{name}.test" for name in NAMES},
        connection="breaker: false, allow: {networks: [127.0.0.0/8]}",
        environment={
            "PIPE_TEST_RESOLVER": str(resolver),
            "PYTHONPATH": f"{ROOT}:{Path(__file__).with_name('names')}",
        },
    )
    async with a_strait(tmp_path, [*NAMES, "well"], plan) as strait:
        for place, name in enumerate(NAMES):
            for n in range(6):  # more than there are threads to ask the resolver
                await strait.callers[name].hand_in(phone(place * 10 + n), 0)
        for n in range(20):
            await strait.callers["well"].hand_in(phone(100), n)
        await strait.delivered("well", within=3)
        await soon(lambda: all(strait.codes(name) for name in NAMES), 20)
        codes = {name: strait.codes(name) for name in NAMES}
        reasons = {name: await strait.reason(name) for name in NAMES}
        resolver.write_text(json.dumps({f"{name}.test": WELL for name in NAMES}))
        await strait.delivered(*NAMES)
        wrong = await strait.wrong()
    assert codes == {name: {"PIPE-2001"} for name in NAMES}
    assert {name for name, reason in reasons.items() if f"{name}.test" in reason} == set(NAMES), reasons
    assert wrong == []
