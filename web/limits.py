"""What a listener puts up with from its peers."""

from __future__ import annotations

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of one listener; each has a test at the limit and one past it."""

    header_seconds: float = 10
    """from the first byte of a request (a new connection: from its start) to the end of its header"""
    header_bytes: int = 16 * 1024
    """all fields of a header together"""
    header_fields: int = 128
    url_signs: int = 2000
    body_rate: int = 1024
    """bytes a second that an unfinished body must bring"""
    body_window: float = 10
    """seconds over which `body_rate` is measured"""
    keep_alive: float = 75
    """seconds that a connection may rest between two requests"""
    linger: float = 2
    """seconds that a refused body is still read, so that the peer sees the answer"""
    per_address: int = 1000
    """connections of one address; past it the one that rests longest makes room"""
    connections: int = 10_000
    """connections of a listener, but at most three quarters of the files that the process may open; likewise"""
    handshake: float = 10
    """seconds for a TLS handshake"""
    tick: float = 1
    """seconds between two looks at slow peers and renewed certificates"""


def affordable(connections: int) -> int:
    """So many connections, or three quarters of the files that this process may open: the store needs some too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections if soft == resource.RLIM_INFINITY else min(connections, soft * 3 // 4)
