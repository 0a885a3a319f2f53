"""What the gateway says of a failure, for those who may not see bodies: some failures quote what the message holds."""

from __future__ import annotations

from web.pages.call import Call
from web.pages.permission import GATEWAY

BODY = "message.read_body"
_QUOTING = {"PIPE-2005", "PIPE-2006", "PIPE-2010", "PIPE-2011", "PIPE-2013", "PIPE-2015"}
"""what a partner said of a message; beside all that is wrong with a message itself"""


def sees_bodies(call: Call) -> bool:
    """Whether the one who asks may see what messages hold."""
    return call.may(BODY, GATEWAY)


def may_quote(code: str | None) -> bool:
    """Whether the text of such an error may hold a piece of a message or of a partner's answer."""
    return code is not None and (code.startswith("PIPE-3") or code in _QUOTING)


def said(code: str | None, text: str | None, *, sees: bool) -> str:
    """The text; nothing of one that may quote, for those who may not see bodies. Its code is told all the same."""
    return "" if text is None or (may_quote(code) and not sees) else text
