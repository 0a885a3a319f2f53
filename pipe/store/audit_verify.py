"""Reads the whole audit against its chain and its checkpoints, and says what kind of wrong is where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection

from pipe.store import checkpoints
from pipe.store.audit import GENESIS, chain_hash

Kind = Literal["altered", "deleted", "swapped", "fork", "truncated", "rewritten", "checkpoint"]
_ROWS = "SELECT seq, at, actor, event, target, before, after, prev, hash FROM audit ORDER BY seq"
_CONTENT = ("at", "actor", "event", "target", "before", "after")
MOST = 100
"""findings that are told; more of them say nothing new"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    seq: int
    """number of the row where it is"""
    text: str


@dataclass(slots=True)
class Verified:
    """What came of it."""

    rows: int
    last: int
    head: str
    checkpoints: int
    findings: list[Finding]


def verify(connection: Connection, files: list[Path], key: str | None) -> Verified:
    """Follows the chain row by row, then holds it against the checkpoints of every file.

    `key` is the public key; without it signatures are not looked at. Raises BadRequest for files that cannot be read.
    """
    marks = {file: list(checkpoints.read(file)) for file in files}
    wanted = {mark.seq for lines in marks.values() for _, mark, _ in lines if mark is not None}
    chain = _Chain(wanted)
    for row in connection.exec_driver_sql(_ROWS).mappings():
        chain.take(dict(row))
    findings = chain.findings()
    total = 0
    for file, lines in marks.items():
        total += len(lines)
        findings += _against(file, lines, chain, key)
    return Verified(chain.rows, chain.last, chain.head, total, findings[:MOST])


class _Chain:
    """Takes the rows in order and remembers what does not fit."""

    def __init__(self, wanted: set[int]) -> None:
        self.rows, self.last, self.head = 0, 0, GENESIS
        self.at: dict[int, tuple[int, str]] = {}
        """of the numbers that checkpoints name: how many rows up to it, and its hash"""
        self._wanted = wanted
        self._bad: list[dict[str, Any]] = []
        self._links: list[tuple[int, int, Finding]] = []
        self._prevs: dict[str, int] = {}

    def take(self, row: dict[str, Any]) -> None:
        """One row."""
        seq = int(row["seq"])
        fits = chain_hash(row) == row["hash"]
        if not fits:
            self._bad.append(row)
        if row["prev"] != self.head:
            self._links.append((self.last, seq, self._link(seq, str(row["prev"]))))
        self._prevs[row["prev"]] = seq
        self.rows, self.last, self.head = self.rows + 1, seq, row["hash"]
        if seq in self._wanted:
            self.at[seq] = (self.rows, row["hash"])

    def _link(self, seq: int, prev: str) -> Finding:
        if prev in self._prevs:
            other = self._prevs[prev]
            return Finding("fork", seq, f"rows {other} and {seq} both follow the same row: the history forks there")
        if seq > self.last + 1 or self.rows == 0:
            return Finding("deleted", self.last + 1, f"rows between {self.last} and {seq} are missing")
        text = f"row {seq} follows a row {self.last} with another hash: that one was altered and hashed anew"
        return Finding("altered", self.last, text)

    def findings(self) -> list[Finding]:
        """All of it, in order of the rows."""
        found, paired = [], set()
        for number, row in enumerate(self._bad):
            for other in self._bad[number + 1 :]:
                if row["seq"] not in paired and other["seq"] not in paired and _swapped(row, other):
                    paired |= {row["seq"], other["seq"]}
                    text = f"rows {row['seq']} and {other['seq']} have changed places"
                    found.append(Finding("swapped", int(row["seq"]), text))
        for row in self._bad:
            if row["seq"] not in paired:
                text = f"row {row['seq']} ({row['event']} by {row['actor']}) is not as it was written"
                found.append(Finding("altered", int(row["seq"]), text))
        # Rows that changed places, or whose hash was altered, do not fit their neighbours: that is no other fault.
        known = paired | {row["seq"] for row in self._bad}
        for former, seq, link in self._links:
            if seq not in known and (link.kind == "fork" or former not in known):
                found.append(link)
        return sorted(found, key=lambda each: each.seq)


def _swapped(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether each would fit with the number, or with the content, of the other."""
    numbers = chain_hash({**one, "seq": other["seq"]}) == one["hash"]
    if numbers and chain_hash({**other, "seq": one["seq"]}) == other["hash"]:
        return True
    a = {**one, **{name: other[name] for name in _CONTENT}}
    b = {**other, **{name: one[name] for name in _CONTENT}}
    return bool(chain_hash(a) == one["hash"] and chain_hash(b) == other["hash"])


def _against(
    file: Path, lines: list[tuple[int, checkpoints.Checkpoint | None, str]], chain: _Chain, key: str | None
) -> Iterator[Finding]:
    public = checkpoints.key_of(key) if key is not None else None
    before = ""
    for number, mark, digest in lines:
        where = f"{file.name}:{number}"
        if mark is None:
            yield Finding("checkpoint", 0, f"{where} is not readable")
        elif public is not None and not checkpoints.good(mark, public):
            yield Finding("checkpoint", mark.seq, f"{where} is not signed by the key")
        elif mark.before != before:
            yield Finding("checkpoint", mark.seq, f"{where} does not follow the line before: lines are missing")
        else:
            yield from _held(mark, where, chain)
        before = digest


def _held(mark: checkpoints.Checkpoint, where: str, chain: _Chain) -> Iterator[Finding]:
    if mark.seq > chain.last:
        lost = mark.count - chain.rows
        text = f"the audit ends with row {chain.last}; {where} signed row {mark.seq}: {max(lost, 1)} rows are cut off"
        yield Finding("truncated", chain.last, text)
        return
    count, head = chain.at.get(mark.seq, (0, ""))
    if head == "":
        yield Finding("deleted", mark.seq, f"row {mark.seq}, which {where} signed, is missing")
    elif head != mark.head:
        text = f"row {mark.seq} is another one than {where} signed: the history up to it was written anew"
        yield Finding("rewritten", mark.seq, text)
    elif count != mark.count:
        text = f"{mark.count} rows led to row {mark.seq} when {where} was signed, {count} do now"
        yield Finding("rewritten", mark.seq, text)
