"""Tools that a measurement can use and the lock does not hold: they live in a cache folder, never in the checkout."""

from __future__ import annotations

import os
from pathlib import Path


class Missing(Exception):
    """Something cannot be measured here; the text says why, and what to do."""


def cache() -> Path:
    """The folder of such tools."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pipe-bench"
