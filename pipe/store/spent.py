"""What one piece of work has cost the processor so far, over all the threads that do it."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Spent:
    """Grows while the work goes on."""

    seconds: float = 0.0


SPENT: ContextVar[Spent | None] = ContextVar("spent", default=None)
"""where reads of the store count their time, for whoever wants to know it"""
