"""Appeals of citizens: a number for each, a reminder when nobody confirms, a digest of the day."""

from __future__ import annotations

from flows.appeals import steps, tables
from pipe.contract import Flow

FLOW = Flow(
    name="appeals",
    steps=(steps.register, steps.confirm, steps.remind, steps.digest),
    migrations=(tables.create,),
)
