"""W3C Trace Context: which trace a message belongs to, and the ids of its spans. They are computed, none is stored.

https://www.w3.org/TR/trace-context/: `traceparent` is version, trace, the span that called, flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pipe.contract import Message

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1
NONE: Mapping[str, str] = {}


class Trace(NamedTuple):
    """What a `traceparent` says."""

    id: str
    """32 hex digits"""
    caller: str
    """16 hex digits: the span within which the message came"""
    sampled: bool
    """whether the caller keeps what it sees of it"""

    def header(self, span: str) -> str:
        """The `traceparent` of a request that is sent within `span`."""
        return f"00-{self.id}-{span}-{int(self.sampled):02x}"


def read(headers: Mapping[str, str]) -> Trace | None:
    """The trace that headers name; None where there is none, or none that is well made."""
    said = headers.get("traceparent")
    form = None if said is None else _FORM.fullmatch(said)
    if form is None or (form[1] == "00" and form[5]):
        return None
    return Trace(form[2], form[3], bool(int(form[4], 16) & _SAMPLED))


def trace_of(message: Message) -> Trace | None:
    """The trace of a message, or of the one that a split took apart."""
    if (found := read(message.headers)) is not None or message.parent is None:
        return found
    return read(message.parent["headers"])


def span(of: str) -> str:
    """The id of a span, 16 hex digits: the same whenever it is asked for."""
    return blake2b(of.encode(), digest_size=8).hexdigest()


def stamped(headers: Mapping[str, str], id: str, share: float) -> Mapping[str, str]:
    """The headers of a message that arrived; one that belongs to no trace begins one, which `share` of all are kept."""
    if read(headers) is not None:
        return headers
    trace = blake2b(id.encode(), digest_size=16).hexdigest()
    sampled = int(trace[:8], 16) < share * 0x1_0000_0000
    return {**headers, "traceparent": Trace(trace, span(id), sampled).header(span(id))}


def attempt_span(delivery: str, attempt: int) -> str:
    """The span of one attempt of a delivery."""
    return span(f"{delivery}#{attempt}")


def onward(message: Message, delivery: str, attempt: int) -> Mapping[str, str]:
    """The headers that a partner gets with an attempt; none where the message belongs to no trace."""
    trace = trace_of(message)
    if trace is None:
        return NONE
    headers = {"traceparent": trace.header(attempt_span(delivery, attempt))}
    if state := message.headers.get("tracestate"):
        headers["tracestate"] = state
    return headers
