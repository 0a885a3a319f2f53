"""What the store did is counted, so that messages a commit can be told."""

from __future__ import annotations

from monitoring.metrics import Metrics
from tests.monitoring.test_metrics import series
from tests.pipe.house import House
from tests.pipe.operations.hosts import begin
from tests.pipe.operations.test_dead_letters import PLAIN


async def test_commits_and_units_of_work_are_counted(house: House) -> None:
    """A message is two units at least, its coming and its end; a commit holds one at least."""
    await begin(house, PLAIN)
    metrics = Metrics(house.engine, open_to_all=True)
    before = await series(metrics)
    await house.put("hello")
    await house.reaches("delivered")
    after = await series(metrics)
    commits, units = (after[name, ()] - before[name, ()] for name in ("gw_store_commits_total", "gw_store_units_total"))
    assert units >= 2
    assert 1 <= commits <= units
