"""Signed marks of how far the audit was: what is cut off or written anew behind one of them shows.

A chain of hashes alone cannot tell that its end is missing, nor that all of it was computed anew. So every now and then
its length and its last hash are signed (Ed25519) and appended to a file beside the store and, best, to one elsewhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import Connection

from pipe.errors import BadRequest, StoreUnavailable

FILE = "audit.checkpoints"
_LONGEST = 4096
"""bytes of a line; none comes near it"""
_ABOUT = b"pipe-audit-checkpoint-v1"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One line of the file."""

    count: int
    """rows of the audit"""
    seq: int
    """number of the last one"""
    head: str
    """its hash"""
    at: float
    before: str
    """SHA-256 of the line before; empty: the first one"""
    signature: str = ""

    def signed_text(self) -> bytes:
        """What the signature is over."""
        fields = asdict(self)
        fields.pop("signature")
        return _ABOUT + orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)

    def line(self) -> bytes:
        """As it stands in the file."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS) + b"\n"


class Signer:
    """The key that signs checkpoints, in a file of its own (0600), made when it is first needed."""

    def __init__(self, path: Path) -> None:
        """Raises StoreUnavailable where the file cannot be read or made."""
        try:
            if not path.exists():
                _make(path)
            self._key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text(encoding="ascii").strip()))
        except (OSError, ValueError) as error:
            raise StoreUnavailable(f"the key {path} that signs the audit cannot be used: {error}") from error

    def sign(self, mark: Checkpoint) -> Checkpoint:
        """The same with its signature."""
        signature = self._key.sign(mark.signed_text()).hex()
        return Checkpoint(mark.count, mark.seq, mark.head, mark.at, mark.before, signature)

    @property
    def public(self) -> str:
        """The other half, for whoever verifies: 64 hex digits."""
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def key_of(text: str) -> Ed25519PublicKey:
    """The public key of 64 hex digits. Raises BadRequest."""
    try:
        return Ed25519PublicKey.from_public_bytes(bytes.fromhex(text.strip()))
    except ValueError:
        raise BadRequest("the key of the checkpoints has 64 hex digits", hint="`pipe audit key` prints it") from None


def good(mark: Checkpoint, key: Ed25519PublicKey) -> bool:
    """Whether the signature fits."""
    try:
        key.verify(bytes.fromhex(mark.signature), mark.signed_text())
    except (InvalidSignature, ValueError):
        return False
    return True


def read(path: Path) -> Iterator[tuple[int, Checkpoint | None, str]]:
    """Number, checkpoint (None: unreadable) and SHA-256 of each line; a last one cut short by a kill is left out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadRequest(f"the checkpoints {path} cannot be read: {error.strerror}") from None
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith(b"\n"):
            return
        try:
            mark = Checkpoint(**orjson.loads(line))
        except (orjson.JSONDecodeError, TypeError):
            mark = None
        yield number, mark, hashlib.sha256(line).hexdigest()


def digest(mark: Checkpoint) -> str:
    """SHA-256 of its line, for the line after it."""
    return hashlib.sha256(mark.line()).hexdigest()


def last(path: Path) -> tuple[Checkpoint | None, str]:
    """The last line and its SHA-256; nothing where there is none."""
    found: tuple[Checkpoint | None, str] = (None, "")
    if path.exists():
        for _, mark, line in read(path):
            found = (mark, line)
    return found


def append(path: Path, mark: Checkpoint) -> None:
    """Adds a line to the file, fsynced. Raises StoreUnavailable where it cannot be written."""
    try:
        fresh = not path.exists()
        if not fresh:
            _mend(path)
        with path.open("ab") as file:
            file.write(mark.line())
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            path.chmod(0o600)
            _sync(path.parent)
    except OSError as error:
        raise StoreUnavailable(f"the checkpoint of the audit cannot be written to {path}: {error}") from error


def state(connection: Connection, since: Checkpoint | None) -> tuple[int, int, str] | None:
    """Rows, last number and last hash of the audit now; None where it is empty. `since` saves counting all of it."""
    row = connection.exec_driver_sql("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").first()
    if row is None:
        return None
    begin, known = (since.seq, since.count) if since is not None else (0, 0)
    sql = f"SELECT count(*) FROM audit WHERE seq > {int(begin)}"  # noqa: S608 — a number of ours
    return known + int(connection.exec_driver_sql(sql).scalar() or 0), int(row[0]), str(row[1])


def _mend(path: Path) -> None:
    """Takes away what a kill or a full disk has left of a line: it was never signed as far as anybody knows.

    Kept as a line of its own it would look like a forged one for ever.
    """
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        begin = max(0, end - _LONGEST)
        file.seek(begin)
        tail = file.read()
        if tail and not tail.endswith(b"\n"):
            file.truncate(begin + tail.rfind(b"\n") + 1)


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f"{path.name}.new")
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(file, f"{key.hex()}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    fresh.rename(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
