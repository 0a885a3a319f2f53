"""One thing that is watched: what is known of it, what was seen last, and how these differ."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from monitoring.drift.changes import Change, between
from monitoring.drift.shape import Known
from pipe.config.blocks import Drift, Samples
from pipe.outline import Interface, Outline, as_plain, of_plain

SHOWN = 12
"""hex digits of a hash that people are shown"""


@dataclass(slots=True)
class Row:
    """A row of the table; times are seconds since 1970."""

    connection: str
    what: Literal["wsdl", "openapi", "sample"]
    part: str
    looked_at: float
    changed_at: float | None = None
    trouble: str | None = None
    accepted_at: float | None = None
    accepted_by: str | None = None
    reason: str | None = None


@dataclass(slots=True)
class Description:
    """A WSDL or an OpenAPI document."""

    row: Row
    where: str = ""
    pinned: Outline | None = None
    accepted: Outline | None = None
    """what a person made the known one"""
    base: str = ""
    """hash of the copy that it was accepted beside: another copy is known by itself"""
    served: Outline | None = None
    strict: bool = False

    @property
    def known(self) -> Outline | None:
        """What is compared with."""
        if self.accepted is not None and self.base == hashed(self.pinned):
            return self.accepted
        return self.pinned if self.pinned is not None else self.served

    def seen(self, interface: Interface) -> None:
        """Takes up what is served now. Where there is no copy the first that was served is the known one."""
        self.where, self.pinned, self.strict = interface.where, interface.pinned, interface.strict
        self.served = interface.served
        if self.pinned is None and self.accepted is None:
            self.accepted, self.base = interface.served, hashed(None)

    def changes(self) -> list[Change]:
        """How what is served differs from what is known."""
        known, what = self.known, self.row.what
        if known is None or self.served is None or what == "sample":
            return []
        return between(what, known, self.served, strict=self.strict)

    def accept(self) -> None:
        """What is served is the known one."""
        if self.served is not None:
            self.accepted, self.base = self.served, hashed(self.pinned)

    def data(self) -> dict[str, Any]:
        """For JSON."""
        outlines = {"pinned": self.pinned, "accepted": self.accepted, "served": self.served}
        plain = {name: None if each is None else as_plain(each) for name, each in outlines.items()}
        return {**plain, "where": self.where, "base": self.base, "strict": self.strict}

    def facts(self) -> dict[str, Any]:
        """What people are told of it."""
        known, seen = (hashed(each)[:SHOWN] or None for each in (self.known, self.served))
        return {"where": self.where, "known": known, "seen": seen, "learned": None, "learn": None}


@dataclass(slots=True)
class Sample:
    """One kind of message."""

    row: Row
    shape: Known = field(default_factory=Known)
    wanted: Samples = field(default_factory=Samples)

    def changes(self) -> list[Change]:
        """How messages differ now."""
        return self.shape.changes(self.row.part, self.wanted.sure)

    def accept(self) -> None:
        """What is now is what is known."""
        self.shape.accept(self.wanted.sure)

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return self.shape.plain()

    def facts(self) -> dict[str, Any]:
        """What people are told of it."""
        fields = {path: [*each[1], each[2]] for path, each in self.shape.plain()["fields"].items()}
        digest = hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:SHOWN]
        return {
            "where": None, "known": digest if self.shape.n >= self.wanted.learn else None, "seen": None,
            "learned": self.shape.n, "learn": self.wanted.learn,
        }  # fmt: skip


Watched = Description | Sample


def of_row(values: Mapping[str, Any], drift: Drift | Literal[False]) -> Watched:
    """What a row of the table holds; `drift` are the connection's keys."""
    fields: Any = {each.name: values[each.name] for each in dataclasses.fields(Row)}
    row = Row(**fields)
    data = orjson.loads(values["data"])
    if row.what == "sample":
        return Sample(row, Known.of(data), (drift and drift.samples) or Samples())
    outlines = {name: None if data[name] is None else of_plain(data[name]) for name in ("pinned", "accepted", "served")}
    return Description(row, data["where"], base=data["base"], strict=data["strict"], **outlines)


def hashed(outline: Outline | None) -> str:
    """The hash of what an outline means; empty where there is none."""
    if outline is None:
        return ""
    return hashlib.sha256(orjson.dumps(as_plain(outline), option=orjson.OPT_SORT_KEYS)).hexdigest()
