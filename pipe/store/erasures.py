"""The list of erasures: a file that outlives the store, so that a restored older copy forgets what was forgotten.

It lies beside the backups, and grows only. A line holds no more than a keyed hash of whose data went, a time, and a
proof that this gateway wrote it.
"""

from __future__ import annotations

import fcntl
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import orjson

from pipe.errors import BackupDamaged
from pipe.store.vault import Vault

NAME = "erasures.jsonl"


@dataclass(frozen=True, slots=True, order=True)
class Erasure:
    """Whose data goes, and until when it was accepted (seconds since 1970)."""

    at: float
    subject: str
    """the keyed hash"""


def read(path: Path, vault: Vault) -> list[Erasure]:
    """The erasures of a list; none where there is no such file. Raises BackupDamaged for a line that is not ours."""
    if not path.exists():
        return []
    found = []
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        whole = number < len(lines)  # what has no line end was cut off while it was written
        if line and whole:
            found.append(_parsed(path, number, line, vault))
    return found


def note(path: Path, erasures: Iterable[Erasure], vault: Vault) -> int:
    """Appends those that are not in the list yet, synced; returns how many. Raises OSError, BackupDamaged."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = set(read(path, vault))
        fresh = sorted(set(erasures) - known)
        if not fresh:
            return 0
        # What was cut off while it was written was never promised to anybody.
        os.ftruncate(file, _whole(file))
        os.write(file, b"".join(_line(erasure, vault) for erasure in fresh))
        os.fsync(file)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return len(fresh)
    finally:
        os.close(file)


def _whole(file: int) -> int:
    """Where the last whole line ends."""
    return os.pread(file, os.fstat(file).st_size, 0).rfind(b"\n") + 1


def _line(erasure: Erasure, vault: Vault) -> bytes:
    fields = {"at": erasure.at, "subject": erasure.subject, "proof": _proof(erasure, vault)}
    return orjson.dumps(fields) + b"\n"


def _parsed(path: Path, number: int, line: bytes, vault: Vault) -> Erasure:
    try:
        fields = orjson.loads(line)
        erasure = Erasure(float(fields["at"]), str(fields["subject"]))
        proof = str(fields["proof"])
    except (ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"{path}:{number} is no erasure: {error}") from error
    if not hmac.compare_digest(proof, _proof(erasure, vault)):
        raise BackupDamaged(f"{path}:{number} was not written by a gateway with this master key")
    return erasure


def _proof(erasure: Erasure, vault: Vault) -> str:
    return vault.hash("erasure", erasure.subject, repr(erasure.at))
