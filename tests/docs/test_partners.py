"""The routes of partners.yaml in a real gateway, with a stand-in for each partner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from pipe.testing.partners import Bench, partners

__all__ = ["partners"]  # the fixture

CONFIG = Path(__file__).with_name("partners.yaml")
Starts = Callable[..., Bench]


def test_readings_and_persons(partners: Starts) -> None:
    """Readings reach the CRM however it behaves, each once; a person is answered with what it says."""
    bench = partners(CONFIG)
    bench["meters"].offer("meters/m-7/reading", b'{"value": 20.5}')
    (call,) = bench["crm"].seen(1)
    assert (call["path"], orjson.loads(call["body"])) == ("/v2/readings", {"meter": "m-7", "value": 20.5})

    bench["crm"].set("200-with-error", "for=1")
    bench["meters"].offer("meters/m-7/reading", b'{"value": 21}')
    (dead,) = bench.wait(lambda: bench.pipe("dead", "list"))
    assert dead["route"] == "readings"

    bench["crm"].set("reset-after-send", "for=2")
    bench["meters"].offer("meters/m-7/reading", b'{"value": 22}')
    *_, last = bench["crm"].seen(5)
    assert (last["attempt"], len(bench["crm"].rows())) == (3, 2)

    assert bench.call("/pipe/persons/p-1").values == {"name": "Олена"}
