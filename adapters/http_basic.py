"""User names and passwords, for partners that cannot do better: argon2 hashes, checked in threads."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from pipe import blocking
from pipe.contract import Clock, Secret
from pipe.errors import ConfigError, RateLimited

_KEPT_SECONDS = 60
_REMEMBERED = 1024
_WAITING = 32
_AT_ONCE = 2
"""an argon2 check takes 64 MiB and a core for a tenth of a second or more"""


class BasicVerifier:
    """Says whose a name and password are; lines `name:argon2-hash`, `#` begins a comment."""

    def __init__(self, users: Secret, clock: Clock) -> None:
        self._users = users
        self._clock = clock
        self._hasher = PasswordHasher()
        self._salt = os.urandom(16)
        self._text = ""
        self._hashes: dict[str, str] = {}
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def caller_of(self, credentials: str) -> str | None:
        """The user, or None. `credentials` is what follows `Basic`. Raises RateLimited when too many wait already."""
        hashes = self._fresh_hashes()
        if not hashes:
            return None
        name, _, password = _decoded(credentials).partition(":")
        known = hashlib.sha256(self._salt + credentials.encode("utf-8", "surrogatepass")).digest()
        if self._seen.get(known, 0) > self._clock.monotonic():
            return name
        if self._waiting >= _WAITING:
            raise RateLimited("too many passwords are being checked", retry_after=2)
        self._waiting += 1
        try:
            async with self._turns:
                # An unknown name is checked too, against somebody's hash, so that it takes as long as a known one.
                hashed = hashes.get(name) or next(iter(hashes.values()))
                right = await blocking.run("passwords", self._matches, hashed, password)
        finally:
            self._waiting -= 1
        if not right or name not in hashes:
            return None
        self._seen[known] = self._clock.monotonic() + _KEPT_SECONDS
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return name

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _fresh_hashes(self) -> dict[str, str]:
        text = self._users.reveal()
        if text != self._text:
            self._hashes = parsed(text)
            self._text = text
            self._seen.clear()
        return self._hashes


def parsed(text: str) -> dict[str, str]:
    """Names and hashes, by lines `name:argon2-hash`. Raises ConfigError naming the line."""
    hashes = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        name, _, hashed = content.partition(":")
        if not name or not hashed.startswith("$argon2"):
            raise ConfigError(f"line {number} of the users is not `name:argon2-hash`")
        hashes[name] = hashed
    return hashes


def _decoded(credentials: str) -> str:
    try:
        return base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, ValueError):  # UnicodeDecodeError is a ValueError
        return ""
