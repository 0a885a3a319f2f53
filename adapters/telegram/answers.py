"""What the Bot API's answers mean for a message."""

from __future__ import annotations

from typing import Any

from adapters.http_replies import strict_json
from adapters.http_transport import Reply
from pipe.contract import Receipt
from pipe.errors import Busy, NotAuthorised, PeerBroke, PeerError, PeerFailed, RecipientGone, Refused, ReplyInvalid

LONGEST = 300
"""signs of Telegram's own words that an error repeats"""
_GONE = ("chat not found", "user not found", "peer_id_invalid", "user is deactivated", "have no rights to send")
_DONE = ("message is not modified", "message to delete not found")
"""what was asked for is so already"""
_RENEW = "write the token that BotFather gives into the secret of this connection; its messages wait"
_OTHER = "let one gateway only take this bot's updates, by one way only; another one is at it now"


def read(reply: Reply, who: str, method: str) -> tuple[Receipt, PeerError | None]:
    """The receipt, its body what the method returned; and the error that the answer stands for, None where it is good.

    Raises ReplyInvalid and PeerBroke for what is no answer of the Bot API.
    """
    try:
        said = strict_json(reply.body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("ok"), bool):
        answer = Receipt(reply.status, body=reply.body[:1000])
        if reply.status >= 500:
            raise PeerBroke(f"{who} answered {reply.status} to {method}", reply=answer)
        raise ReplyInvalid(f"{who} answered {reply.status} to {method}, and not as the Bot API does", reply=answer)
    if said["ok"]:
        return Receipt(reply.status, body=said.get("result"), content_type="application/json"), None
    answer = Receipt(reply.status, body=said, content_type="application/json")
    return _refusal(int(said.get("error_code") or reply.status), said, answer, f"{who}, {method}")


def _refusal(code: int, said: dict[str, Any], answer: Receipt, who: str) -> tuple[Receipt, PeerError | None]:
    words = " ".join(str(said.get("description", "")).split())[:LONGEST]
    beside = said.get("parameters") if isinstance(said.get("parameters"), dict) else {}
    low, text = words.lower(), f"{who}: {code} {words}"
    assert beside is not None
    if code == 400 and any(word in low for word in _DONE):
        return Receipt(200, body=True), None
    if code == 429:
        pause = beside.get("retry_after")
        return answer, Busy(text, retry_after=float(pause) if isinstance(pause, int) else None, reply=answer)
    if code in {401, 404}:
        return answer, NotAuthorised(text, hint=_RENEW, reply=answer)
    if code == 409:
        return answer, PeerFailed(text, hint=_OTHER, reply=answer)
    if code == 403 or any(word in low for word in _GONE):
        return answer, RecipientGone(text, reply=answer)
    if "migrate_to_chat_id" in beside:
        hint = f"the group is now {beside['migrate_to_chat_id']}: keep that number, and replay"
        return answer, Refused(text, hint=hint, reply=answer)
    # 5xx say nothing about whether the message went out, 502 to 504 neither.
    return answer, (PeerBroke if code >= 500 else Refused)(text, reply=answer)
