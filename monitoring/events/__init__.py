"""The log of integration events: what happened between the gateway and its partners, in a line each."""

from __future__ import annotations

from monitoring.events.log import EventLog
from monitoring.events.operations import OPERATIONS
from monitoring.events.tables import create

__all__ = ["MIGRATIONS", "OPERATIONS", "EventLog"]

MIGRATIONS = (create,)
