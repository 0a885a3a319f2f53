"""What a mail server's replies mean for us: 4xx come later, 5xx never; some are the connection's fault."""

from __future__ import annotations

import re

from pipe.contract import Receipt
from pipe.errors import Busy, NotAuthorised, PeerError, PeerFailed, Refused, ReplyInvalid, Unreachable

_LONGEST = 300
_CREDENTIALS = {530, 534, 535, 538}
_ENHANCED = re.compile(r"^([245])\.(\d{1,3})\.(\d{1,3})\b")


def said(code: int, text: str) -> str:
    """`550 5.1.1 no such user here`, on one line."""
    words = " ".join(text.split())
    return f"{code} {words[:_LONGEST]}".rstrip()


def answer(code: int, text: str) -> Receipt:
    """The reply, for the attempt's story."""
    return Receipt(code, body=said(code, text))


def meaning(code: int, text: str, what: str) -> PeerError:
    """The error that a reply stands for; `what` says who did not take what. Nothing was accepted where it is given."""
    words, reply = f"{what}: {said(code, text)}", answer(code, text)
    if code in _CREDENTIALS:
        return NotAuthorised(words, reply=reply)
    if code == 421:
        return Busy(words, reply=reply)  # it ends the connection: too many, too fast, or it is going down
    if 400 <= code < 500:
        return PeerFailed(words, reply=reply)
    if 500 <= code < 600:
        return Refused(words, reply=reply)
    return ReplyInvalid(words, reply=reply)


def shut(code: int, text: str, where: str) -> PeerError:
    """What it means that the server does not even greet us."""
    words, reply = f"{where} does not let us in: {said(code, text)}", answer(code, text)
    if code == 421:
        return Busy(words, reply=reply)
    if 500 <= code < 600:
        return NotAuthorised(
            words, reply=reply, hint="ask the server's owner to let this machine's address in; the mail waits"
        )
    return Unreachable(words, reply=reply)


def no_sign_in(code: int, text: str, who: str) -> PeerError:
    """What it means that AUTH fails: a 4xx passes, anything else needs a person."""
    words, reply = f"{who} does not sign us in: {said(code, text)}", answer(code, text)
    return (Unreachable if 400 <= code < 500 else NotAuthorised)(words, reply=reply)


def worst(refusals: dict[str, tuple[int, str]], where: str) -> PeerError:
    """The error of a mail of which some recipients were refused: none gets it, and for good where one is for good."""
    final = {box: reply for box, reply in refusals.items() if reply[0] >= 500}
    listed = final or refusals
    box, (code, text) = next(iter(listed.items()))
    more = f" and {len(listed) - 1} more" if len(listed) > 1 else ""
    error = meaning(code, text, f"{where} does not take mail to {box}{more}")
    if isinstance(error, Refused):
        error.hint = "mend the address and replay; nobody has got this mail"
    return error
