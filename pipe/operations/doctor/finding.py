"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Grade = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`fail`: a promise does not hold like this. `warn`: it may not."""

    name: str
    grade: Grade
    text: str
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"check": self.name, "grade": self.grade, "text": self.text, "hint": self.hint}
