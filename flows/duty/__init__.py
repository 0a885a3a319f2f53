"""People on duty: each subscribes to the alerts that concern them, and hears of no others."""

from __future__ import annotations

from flows.duty.operations import OPERATIONS
from pipe.contract import Flow

FLOW = Flow(name="duty", operations=OPERATIONS)
