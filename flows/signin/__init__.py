"""Who is at the other end: passwords, second factors, sessions, API keys. What they may do is the flow `access`."""

from __future__ import annotations

from flows.signin import tables
from pipe.contract import Flow

FLOW = Flow(name="signin", migrations=(tables.create,))
