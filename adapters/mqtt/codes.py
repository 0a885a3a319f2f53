"""What the broker's reason codes mean for us."""

from __future__ import annotations

from paho.mqtt.reasoncodes import ReasonCode

from pipe.errors import Busy, NotAuthorised, PeerError, PeerFailed, Refused, Unreachable

_BUSY = {0x88, 0x89, 0x97, 0x9F}
"""unavailable, busy, quota exceeded, too many connections in this time"""
_CREDENTIALS = {0x85, 0x86, 0x87, 0x8A, 0x8C}
"""client id, user or password, not authorised, banned, way of signing in"""
_MOMENT = {0x80, 0x83, 0x91}
"""unspecified, its own reasons, packet identifier in use"""


def no_sign_in(code: ReasonCode, who: str) -> PeerError:
    """Why CONNECT was refused; nothing was sent."""
    text = f"{who} does not sign us in: {said(code)}"
    if code.value == 0x84:
        return Unreachable(text, hint="write the other `version:` of the protocol in this connection")
    if code.value in _CREDENTIALS:
        return NotAuthorised(text)
    return (Busy if code.value in _BUSY else Unreachable)(text)


def no_publish(code: ReasonCode, topic: str, who: str) -> PeerError:
    """Why this message was refused. A forbidden topic condemns the message, not the connection."""
    text = f"{who} did not take the message for {topic[:200]!r}: {said(code)}"
    if code.value in _BUSY:
        return Busy(text)
    return (PeerFailed if code.value in _MOMENT else Refused)(text)


def said(code: ReasonCode) -> str:
    """The broker's words and number."""
    return f"{code.getName()} (0x{code.value:02x})"
