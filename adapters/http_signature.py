"""Signed requests by the Standard Webhooks rules: HMAC-SHA256 over id, time and the bytes as they were sent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

from pipe.errors import ConfigError, NoCredentials

TOLERANCE = 300
"""seconds that the sender's clock may differ from ours"""
_MOST = 10
"""signatures of one request that are looked at"""
_WRONG = "the credentials are missing or wrong"


class Signature:
    """What one request claims: feed it the body's bytes, then ask."""

    def __init__(self, headers: Mapping[str, str], secrets: Sequence[tuple[str, bytes]], now: float) -> None:
        """`secrets`: callers and theirs. Raises NoCredentials where headers are missing or the time is too far off."""
        self.id = headers.get("webhook-id", "")
        time = headers.get("webhook-timestamp", "")
        claims = headers.get("webhook-signature", "").split()
        self._claims = [claim[3:] for claim in claims[:_MOST] if claim.startswith("v1,")]
        if not _is_id(self.id) or not _is_near(time, now) or not self._claims:
            raise NoCredentials(_WRONG)
        start = f"{self.id}.{time}.".encode()
        self._sums = [(caller, hmac.new(secret, start, hashlib.sha256)) for caller, secret in secrets]

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes of the body, as they were sent."""
        for _, one in self._sums:
            one.update(piece)

    def check(self) -> str:
        """The caller whose signature it is. Raises NoCredentials for none; compares all, in constant time."""
        right = ""
        for caller, one in self._sums:
            digest = base64.b64encode(one.digest())
            for claim in self._claims:
                if hmac.compare_digest(digest, claim.encode("utf-8", "surrogatepass")):
                    right = caller
        if not right:
            raise NoCredentials(_WRONG)
        return right


def secrets_of(text: str) -> list[bytes]:
    """The secrets in the text, one a line or separated by blanks; `whsec_` begins base64. Raises ConfigError."""
    found = []
    for word in text.split():
        try:
            found.append(base64.b64decode(word[6:], validate=True) if word.startswith("whsec_") else word.encode())
        except binascii.Error:
            raise ConfigError("a secret that begins with `whsec_` is not base64") from None
    if not found or min(map(len, found)) < 16:
        raise ConfigError("a secret for signatures has at least 16 bytes")
    return found


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether the request claims to be signed."""
    return "webhook-signature" in headers


def _is_id(text: str) -> bool:
    return 0 < len(text) <= 256 and text.isascii() and text.isprintable()


def _is_near(text: str, now: float) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12 and abs(now - int(text)) <= TOLERANCE
