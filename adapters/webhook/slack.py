"""Slack's incoming webhook: what is posted, and what its one-word answers mean."""

from __future__ import annotations

from typing import Any

import orjson

from adapters.http_transport import Reply
from adapters.webhook.config import WebhookTarget
from pipe.contract import Outgoing, Receipt
from pipe.errors import MappingFailed, NotAuthorised, PeerError, Refused, ReplyInvalid

MOST_BLOCKS = 50
_GONE = {
    "no_service", "no_service_id", "no_team", "team_disabled", "invalid_token", "action_prohibited", "no_active_hooks",
    "channel_not_found", "channel_is_archived", "posting_to_general_channel_denied", "user_not_found",
}  # fmt: skip
"""the webhook itself is no longer good: every message would meet the same"""
_HINT = "make the webhook anew in Slack, or unarchive its channel, and write its path into the secret; messages wait"


def payload(target: WebhookTarget, outgoing: Outgoing) -> bytes:
    """What is posted. Raises MappingFailed where the blocks are none."""
    made: dict[str, Any] = {}
    if target.text is not None:
        made["text"] = target.text.fill(outgoing.data, escaped)
    if target.blocks is not None:
        blocks, path = target.blocks(outgoing.data), target.blocks.text
        if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
            raise MappingFailed(f"`{path}` is no list of blocks", path=path)
        if len(blocks) > MOST_BLOCKS:
            raise MappingFailed(f"`{path}` gives {len(blocks)} blocks, and Slack takes {MOST_BLOCKS}", path=path)
        made["blocks"] = blocks
    return orjson.dumps(made, default=str)


def escaped(value: str) -> str:
    """A value that cannot become a link, a mention or a command (`<!channel>`)."""
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def meaning(reply: Reply, answer: Receipt, usual: PeerError | None, who: str) -> PeerError | None:
    """What the answer means beyond its status; None where the message was posted."""
    word = reply.body[:80].decode("utf-8", "replace").strip()
    if word in _GONE:
        return NotAuthorised(f"{who} answered {reply.status}: {word}", hint=_HINT, reply=answer)
    if usual is not None:
        usual.text = f"{usual.text}: {word}" if word.isascii() and word.replace("_", "").isalnum() else usual.text
        return usual
    if word == "ok":
        return None
    if word.replace("_", "").isalnum() and word.isascii():
        return Refused(f"{who} answered {reply.status}: {word}", reply=answer)
    return ReplyInvalid(f"{who} answered {reply.status}, and neither `ok` nor a word of Slack's", reply=answer)
