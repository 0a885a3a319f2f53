"""`/metrics`: what happened and what waits, in a bounded number of series, for those who may see it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitoring.metrics import Metrics
from pipe.errors import Denied, PeerFailed, Refused
from pipe.events import Arrived, Attempted
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin
from tests.pipe.operations.test_dead_letters import PLAIN

NOTHING: Any = None


async def series(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample as Prometheus reads it."""
    body = (await metrics.serve(NOTHING)).body
    assert isinstance(body, bytes)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


async def test_what_happened_is_counted_and_what_waits_is_told(house: House) -> None:
    """One delivered, one retried and waiting, one dead."""
    await begin(house, PLAIN)
    metrics = Metrics(house.engine, open_to_all=True)
    house.partner("out").script = [None, Refused(), PeerFailed()]
    for states in (["delivered"], ["delivered", "dead"], ["delivered", "dead", "retry"]):
        await house.put("hello")
        await house.reaches(*states)
    found = await series(metrics)
    assert found["gw_messages_total", (("direction", "in"), ("outcome", "ok"), ("pipe", "r"))] == 3
    assert found["gw_dead_letters_total", (("pipe", "r"), ("reason", "PIPE-2006"))] == 1
    assert found["gw_retries_total", (("pipe", "r"), ("reason", "PIPE-2004"))] == 1
    assert found["gw_dead_letters", (("pipe", "r"),)] == 1
    assert found["gw_queue_depth", (("queue", "r"),)] == 1
    assert found["gw_connection_up", (("connection", "in"), ("kind", "memory_source"))] == 1


async def test_a_hundred_thousand_citizens_make_no_more_series_than_one(house: House) -> None:
    """Labels are names of the configuration and closed lists, never what messages carry."""
    await begin(house, PLAIN)
    metrics = Metrics(house.engine, open_to_all=True)

    def events(n: int) -> None:
        metrics.saw(Arrived("r", "accepted", None, 0.01))
        metrics.saw(Attempted("r", "out", "out", "delivered", None, 0.01, f"message-{n}"))

    events(0)
    before = len(await series(metrics))
    for n in range(100_000):
        events(n)
    assert len(await series(metrics)) == before


async def test_others_do_not_see_the_numbers(house: House) -> None:
    """On a listener that is neither loopback nor asks for certificates."""
    await begin(house, PLAIN)
    with pytest.raises(Denied):
        await Metrics(house.engine, open_to_all=False).serve(NOTHING)
