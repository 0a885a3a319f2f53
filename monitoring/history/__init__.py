"""How routes and connections did over time: minute by minute for two days, by quarters of an hour for three months."""

from __future__ import annotations

from monitoring.history.hour import Hour
from monitoring.history.reading import Gauge, Point, Turn, points_of, turns_of
from monitoring.history.recorder import Recorder
from monitoring.history.tables import codes, create

__all__ = ["MIGRATIONS", "Gauge", "Hour", "Point", "Recorder", "Turn", "points_of", "turns_of"]

MIGRATIONS = (create, codes)
