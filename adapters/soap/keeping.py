"""What of an envelope is kept beside its values, so that a person can see what came: the bytes, without passwords."""

from __future__ import annotations

import copy
import re
from typing import Any

from adapters.soap.message import Received
from adapters.soap.names import WSSE
from adapters.soap.xml import written
from pipe.contract import WIRE_KEPT, Wire

_PASSWORD = f"{{{WSSE}}}Password"
_WRITTEN = re.compile(rb"(<(?:[\w.-]+:)?Password(?:\s[^<>]*)?>)[^<]*(?=</)")
_HIDDEN = b"***"


def kept(raw: bytes, content_type: str, message: Received) -> Wire:
    """The beginning of what came; passwords and digests are `***`."""
    secrets = [] if message.header is None else list(message.header.iter(_PASSWORD))
    if not secrets:
        return Wire(content_type, raw[:WIRE_KEPT], len(raw))
    data, found = _WRITTEN.subn(rb"\g<1>" + _HIDDEN, raw)
    told = [each.text.encode() for each in secrets if each.text]
    if found < len(secrets) or any(secret in data for secret in told):
        # Written in a way that the bytes do not show: another encoding, CDATA, a part in Base64.
        content_type, data = message.package.media_type, written(_hidden(message.envelope))
    return Wire(content_type, data[:WIRE_KEPT], len(raw))


def _hidden(envelope: Any) -> Any:
    hidden = copy.deepcopy(envelope)
    for element in hidden.iter(_PASSWORD):
        del element[:]
        element.text = _HIDDEN.decode()
    return hidden
