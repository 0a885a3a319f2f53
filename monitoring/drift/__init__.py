"""Drift: whether what partners publish, and the messages that pass, still look as they did."""

from __future__ import annotations

from monitoring.drift.operations import OPERATIONS
from monitoring.drift.tables import create
from monitoring.drift.watch import Drift

__all__ = ["MIGRATIONS", "OPERATIONS", "Drift"]

MIGRATIONS = (create,)
