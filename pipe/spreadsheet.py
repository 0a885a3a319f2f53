"""What is written into CSV files that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, as text; anything else as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, every cell harmless."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([harmless(value) for value in row] for row in rows)
    return out.getvalue()
