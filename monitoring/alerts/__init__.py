"""Alerts: what a person must hear of, from the first sign to the all-clear; routes of `from: {alerts: …}` tell it."""

from __future__ import annotations

from monitoring.alerts.operations import OPERATIONS
from monitoring.alerts.tables import create, who_heard
from monitoring.alerts.watch import Alarms

__all__ = ["MIGRATIONS", "OPERATIONS", "Alarms"]

MIGRATIONS = (create, who_heard)
