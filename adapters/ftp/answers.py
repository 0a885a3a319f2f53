"""What an FTP server's answer says: about the file, about us, about the moment."""

from __future__ import annotations

from pipe.errors import Busy, NotAuthorised, PeerError, PeerFailed, Refused

_FULL = ("452", "552")
_NO_RIGHT = ("permission", "denied", "not allowed", "not permitted", "read-only", "read only", "no access", "access is")
_THERE = ("exist", "already")


def meaning(where: str, code: str, text: str) -> PeerError:
    """The error of ours that an answer is, wherever it is not expected."""
    said = f"{where}: {code} {text}".strip()
    if code in _FULL:
        return PeerFailed(
            f"{said} (its disk, or our quota there, is full)", hint="ask the partner for space; it is retried"
        )
    if code == "421":
        return Busy(said)
    if code in {"430", "530", "532", "331", "332"}:
        return NotAuthorised(said)
    if code in {"534", "535", "536", "522", "521"} or no_right(text):
        return NotAuthorised(said, hint="ask the partner to give this user the right; its messages wait")
    if code.startswith("4"):
        return PeerFailed(said)
    return Refused(said)


def no_right(text: str) -> bool:
    """Whether a 550 is about rights; servers say so in words only."""
    lower = text.lower()
    return any(word in lower for word in _NO_RIGHT)


def is_there(text: str) -> bool:
    """Whether a refusal is about a name that is taken."""
    lower = text.lower()
    return any(word in lower for word in _THERE)
