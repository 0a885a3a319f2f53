"""Who may do what: people, roles, grants, and the one predicate that decides, filters, shows and explains."""

from __future__ import annotations

from flows.access import tables
from flows.access.operations import OPERATIONS
from pipe.contract import Flow

FLOW = Flow(name="access", migrations=(tables.create, tables.subscriptions), operations=OPERATIONS)
