"""What is said of a certificate. Adapters take it from `pipe.contract`."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple


class Certificate(NamedTuple):
    """A certificate that a connection rests on."""

    whose: Literal["partner", "ours"]
    name: str
    names: tuple[str, ...]
    """the hosts that it is for"""
    issuer: str
    ends: float
    """seconds since 1970"""

    @property
    def days(self) -> int:
        """Whole days left by this machine's clock, as TLS counts; below zero once it has ended."""
        return int((self.ends - time.time()) // 86_400)

    @property
    def left(self) -> str:
        """`61 days left`, `ended 1 day ago`."""
        count = abs(self.days)
        said = "1 day" if count == 1 else f"{count} days"
        return f"ended {said} ago" if self.days < 0 else f"{said} left"

    @property
    def said(self) -> str:
        """`for sms.example, issued by Some CA, 61 days left`."""
        return f"for {', '.join(self.names[:4]) or self.name}, issued by {self.issuer}, {self.left}"
