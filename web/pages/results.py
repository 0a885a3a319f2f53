"""What an operation gives back beside a plain model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Done:
    """An action is done: the page goes `to` an address and says `toast` there; the API answers with `result`."""

    to: str
    toast: str | None = None
    """key of a text"""
    values: Mapping[str, Any] = field(default_factory=dict)
    result: BaseModel | None = None
    status: int = 200
    """of the API's answer"""


@dataclass(frozen=True, slots=True)
class Show:
    """An action has something to show that is shown once (a key), or another page than its own."""

    template: str
    it: BaseModel
    status: int = 200
