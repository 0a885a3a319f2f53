"""API keys: shown once, kept as a hash in lines `name:sha256hex[:last day]`, several lines a name for rotation."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pipe.errors import ConfigError

PREFIX = "pipe_"
_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.@-]{0,127}):([0-9a-f]{64})(?::(\d{4}-\d{2}-\d{2}))?")


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One key that is let in."""

    name: str
    digest: str
    last_day: date | None = None
    """in UTC; None: without end"""

    def __str__(self) -> str:
        return f"{self.name}:{self.digest}" + (f":{self.last_day.isoformat()}" if self.last_day else "")


class KeyRing:
    """The keys of one file, ready to be asked."""

    def __init__(self, lines: Iterable[KeyLine]) -> None:
        self._by_start: dict[str, list[KeyLine]] = {}
        for line in lines:
            self._by_start.setdefault(line.digest[:16], []).append(line)

    @classmethod
    def parse(cls, text: str) -> KeyRing:
        """Raises ConfigError that names the first line that is not a key line; never shows it."""
        return cls(parse(text))

    def name_of(self, key: str, now: float) -> str | None:
        """Whose key it is; None where it is unknown or past its last day."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        for line in self._by_start.get(digest[:16], ()):
            if hmac.compare_digest(line.digest, digest) and lives(line, now):
                return line.name
        return None


def issue(name: str, last_day: date | None = None) -> tuple[str, str]:
    """A new key and its line: the key is shown once and kept nowhere, the line goes into the file.

    The key is 256 bits of chance and a checksum, so that scanners know a leaked one. Raises ValueError for a bad name.
    """
    chance = secrets.token_bytes(32)
    key = PREFIX + _text(chance + _checksum(chance))
    line = KeyLine(name, hashlib.sha256(key.encode()).hexdigest(), last_day)
    if not _LINE.fullmatch(str(line)):
        raise ValueError(f"`{name}` cannot be the name of a key: letters, digits, `_`, `.`, `@` and `-` can")
    return key, str(line)


def verify(text: str, key: str, now: float) -> str | None:
    """The name whose key it is by the lines of `text` at `now` (seconds since 1970), or None."""
    return KeyRing.parse(text).name_of(key, now)


def revoke(text: str, name: str, digest: str = "") -> tuple[str, int]:
    """The lines without the keys of `name` (only those whose hash begins with `digest`), and how many went."""
    kept = [line for line in text.splitlines() if not _is_key(line, name, digest)]
    return "".join(f"{line}\n" for line in kept), len(text.splitlines()) - len(kept)


def parse(text: str) -> list[KeyLine]:
    """All key lines; `#` begins a comment, empty lines are passed over. Raises ConfigError naming the line."""
    keys = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        match = _LINE.fullmatch(content)
        try:
            last_day = date.fromisoformat(match[3]) if match and match[3] else None
        except ValueError:
            match = None
        if match is None:
            raise ConfigError(f"line {number} of the keys is not `name:sha256hex` or `name:sha256hex:YYYY-MM-DD`")
        keys.append(KeyLine(match[1], match[2], last_day))
    return keys


def is_well_formed(key: str) -> bool:
    """Whether the text is a key of ours, by prefix and checksum; says nothing about whether it is let in."""
    try:
        content = base64.urlsafe_b64decode(key.removeprefix(PREFIX) + "=" * (-len(key.removeprefix(PREFIX)) % 4))
    except (binascii.Error, ValueError):
        return False
    return key.startswith(PREFIX) and len(content) == 36 and content[32:] == _checksum(content[:32])


def _is_key(line: str, name: str, digest: str) -> bool:
    match = _LINE.fullmatch(line.partition("#")[0].strip())
    return match is not None and match[1] == name and match[2].startswith(digest)


def lives(line: KeyLine, now: float) -> bool:
    """Whether the key is let in at `now`, seconds since 1970."""
    return line.last_day is None or datetime.fromtimestamp(now, UTC).date() <= line.last_day


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _checksum(content: bytes) -> bytes:
    return binascii.crc32(content).to_bytes(4, "big")
