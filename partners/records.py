"""What a stand-in remembers: every request that it saw, and every row that it made."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

Answer = Literal["ok", "fail", "none"]


class Lines:
    """A file of JSON lines that only grows. A reader may meet half of the last one, where it is long."""

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._fsync = fsync
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, row: Mapping[str, Any]) -> None:
        """Appends one line; with `fsync` it is on disk when this returns."""
        os.write(self._file, orjson.dumps(row) + b"\n")
        if self._fsync:
            os.fsync(self._file)

    def read(self) -> list[dict[str, Any]]:
        """All lines so far."""
        return [orjson.loads(line) for line in self.path.read_bytes().splitlines()]

    def close(self) -> None:
        """Safe twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class Recorder:
    """Every request that arrived, in the order in which it was answered: `seen.jsonl`."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.bodies = False
        """whether bodies are written down too"""
        self._attempts = Counter(row["id"] for row in lines.read())
        self.count = self._attempts.total()

    def saw(
        self, headers: Mapping[str, str], method: str, path: str, body: bytes, answer: Answer, status: int | None
    ) -> None:
        """Writes down one request and what it was answered."""
        message = headers.get("X-Pipe-Message-Id")
        self._attempts[message] += 1
        self.count += 1
        row: dict[str, Any] = {
            "id": message,
            "key": headers.get("Idempotency-Key"),
            "attempt": self._attempts[message],
            "said": headers.get("X-Pipe-Attempt"),
            "method": method,
            "path": path,
            "sha256": hashlib.sha256(body).hexdigest(),
            "answer": answer,
            "status": status,
        }
        if self.bodies:
            row["body"] = body.decode(errors="replace")
        self._lines.add(row)

    def close(self) -> None:
        """Safe twice."""
        self._lines.close()


class Rows:
    """What the partner has done, one row a key: `rows.jsonl`. It survives a restart, as a real partner's does."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._all = lines.read()
        self._by_key = {row["key"]: row for row in self._all if row["key"]}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> list[dict[str, Any]]:
        """Every row, in order."""
        return list(self._all)

    def of_key(self, key: str | None) -> dict[str, Any] | None:
        """The row that this idempotency key made."""
        return self._by_key.get(key) if key else None

    def find(self, field: str, value: Any) -> dict[str, Any] | None:
        """The first row whose field has that value."""
        return next((row for row in self._all if row.get(field) == value), None)

    def add(self, key: str | None, body: bytes, **fields: Any) -> dict[str, Any]:
        """Makes a row; its number is `n`, counted from 1."""
        row = {"n": len(self._all) + 1, "key": key, "sha256": hashlib.sha256(body).hexdigest(), **fields}
        self._all.append(row)
        if key:
            self._by_key[key] = row
        self._lines.add(row)
        return row

    def close(self) -> None:
        """Safe twice."""
        self._lines.close()
