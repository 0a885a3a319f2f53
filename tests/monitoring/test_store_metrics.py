"""What the store did is counted, so that messages a commit can be told."""

from __future__ import annotations

from monitoring.metrics import Metrics
from tests.monitoring.test_metrics import series
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin
from tests.pipe.operations.test_dead_letters import PLAIN


async def test_commits_and_units_of_work_are_counted(house: House) -> None:
    """A message is two units at least, its coming and its end; what is told is what the writer did."""
    await begin(house, PLAIN)
    metrics = Metrics(house.engine, open_to_all=True)
    await house.put("hello")
    await house.reaches("delivered")
    found = await series(metrics)
    commits, units = found["gw_store_commits_total", ()], found["gw_store_units_total", ()]
    assert (commits, units) == (house.store.writer.commits, house.store.writer.units)
    assert units >= 2
